/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * SMTP behind requests to proxies: where it begins, which target the request names, and what is not
 * a request.
 */
#include "conversation.h"

#define GREETING "220 mail.example ESMTP\r\n"
#define ENVELOPE                                                                                   \
	C("EHLO me.example\r\n"), S("250 mail.example\r\n"), C("MAIL FROM:<a@x>\r\n"),             \
		S("250 ok\r\n"), C("RCPT TO:<b@y>\r\n"), S("250 ok\r\n"), C("RCPT TO:<c@y>\r\n"),  \
		S("550 no\r\n"), C("DATA\r\n"), S("354 go\r\n"),                                   \
		C("Subject: s\r\n\r\ntext\r\n.\r\n"), S("250 taken\r\n"), C("QUIT\r\n"),           \
		S("221 bye\r\n")
#define MAIL	  S(GREETING), ENVELOPE
#define DELIVERED "1 data success <a@x> <b@y>250 <c@y>550! 20 bytes 250 taken\n"
#define PIPELINED                                                                                  \
	"EHLO me.example\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"         \
	"Subject: s\r\n\r\ntext\r\n.\r\nQUIT\r\n"
#define PIPELINED_REPLIES                                                                          \
	GREETING "250 mail.example\r\n250 ok\r\n250 ok\r\n550 no\r\n354 go\r\n250 taken\r\n221 "   \
		 "bye\r\n"
#define OK_HTTP	  "HTTP/1.1 200 Connection established\r\nVia: p\r\n\r\n"
#define OK_SOCKS4 "\0\x5a\0\x19\x7f\0\0\x01"
#define OK_SOCKS5 "\x05\0\0\x01\x0a\0\0\x0a\x0a\x0a" /* the address consists of line ends */

#define NUL_16 "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

/* Plays in every segmentation, with a cut at every position. */
static void expect(const struct step *steps, const char *lines, uint8_t protocol, uint8_t hops,
		   const char *target)
{
	for (size_t size = 0; size < 40; size++) {
		for (size_t cut = 0; cut < (size ? 1 : 400); cut++) {
			struct played played = {0};
			const struct preamble *proxy = &played.facts.proxy;

			play(steps, true, size, cut, &played);
			assert_string_equal(played.lines.data ? played.lines.data : "", lines);
			assert_int_equal(proxy->hops, hops);
			assert_int_equal(played.facts.replies_surplus, 0);
			if (hops) {
				assert_int_equal(proxy->protocols[hops - 1], protocol);
				assert_int_equal(proxy->target_len, strlen(target));
				assert_memory_equal(proxy->target, target, proxy->target_len);
			}
			played_free(&played);
		}
	}
}

static void test_http(void **state)
{
	static const struct step plain[] = {
		C("CONNECT mail.example:25 HTTP/1.1\r\nHost: mail.example\r\n\r\n"), S(OK_HTTP),
		MAIL, END};
	static const struct step bare[] = {C("connect [2001:db8::1]:587 HTTP/1.0\n\n"),
					   S("HTTP/1.0 200 ok\n\n"), MAIL, END};
	static const struct step refused[] = {
		C("CONNECT h:25 HTTP/1.1\r\n\r\n"),
		S("HTTP/1.1 407 no\r\nContent-Length: 12\r\n\r\n220 <html>\r\n"),
		C("CONNECT h:25 HTTP/1.1\r\nProxy-Authorization: Basic eDp5\r\n\r\n"),
		S("HTTP/1.1 100 wait\r\n\r\n" OK_HTTP),
		MAIL,
		END};
	static const struct step pipelined[] = {
		C("CONNECT h:25 HTTP/1.1\r\nX: y\r\n\r\n" PIPELINED), S(OK_HTTP PIPELINED_REPLIES),
		END};

	/* Blank lines also begin the header of the PROXY protocol. */
	static const struct step blank[] = {C("\r\nCONNECT h:25 HTTP/1.1\r\n\r\n"), S(OK_HTTP),
					    MAIL, END};
	static const struct step blanks[] = {C("\r\n\r\nCONNECT h:25 HTTP/1.1\r\n\r\n"), S(OK_HTTP),
					     MAIL, END};

	(void)state;
	expect(blank, DELIVERED, PREAMBLE_HTTP, 1, "h:25");
	expect(blanks, DELIVERED, PREAMBLE_HTTP, 1, "h:25");
	expect(plain, DELIVERED, PREAMBLE_HTTP, 1, "mail.example:25");
	expect(bare, DELIVERED, PREAMBLE_HTTP, 1, "[2001:db8::1]:587");
	expect(refused, DELIVERED, PREAMBLE_HTTP, 2, "h:25");
	expect(pipelined, DELIVERED, PREAMBLE_HTTP, 1, "h:25");
}

static void test_socks4(void **state)
{
	static const struct step address[] = {C("\x04\x01\0\x19\x7f\0\0\x01user\0"), S(OK_SOCKS4),
					      MAIL, END};
	static const struct step name[] = {C("\x04\x01\x02\x4b\0\0\0\x07\0mail.example\0"),
					   S(OK_SOCKS4), MAIL, END};
	static const struct step pipelined[] = {C("\x04\x01\0\x19\x0a\x0a\x0a\x0a\0" PIPELINED),
						S(OK_SOCKS4 PIPELINED_REPLIES), END};

	(void)state;
	expect(address, DELIVERED, PREAMBLE_SOCKS4, 1, "127.0.0.1:25");
	expect(name, DELIVERED, PREAMBLE_SOCKS4, 1, "mail.example:587");
	expect(pipelined, DELIVERED, PREAMBLE_SOCKS4, 1, "10.10.10.10:25");
}

static void test_socks5(void **state)
{
	static const struct step name[] = {
		C("\x05\x02\0\x02"), S("\x05\0"), C("\x05\x01\0\x03\x0cmail.example\0\x19"),
		S(OK_SOCKS5),	     MAIL,	  END};
	static const struct step password[] = {C("\x05\x01\x02"),
					       S("\x05\x02"),
					       C("\x01\x04user\x06s\necre"),
					       S("\x01\0"),
					       C("\x05\x01\0\x01\x0a\x0a\x0d\x0a\x0a\x0a"),
					       S("\x05\0\0\x03\x02hi\0\x19"),
					       MAIL,
					       END};
	static const struct step ipv6[] = {
		C("\x05\x01\0\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
		  "\0\x19" PIPELINED),
		S("\x05\0\x05\0\0\x04" NUL_16 "\0\x19" PIPELINED_REPLIES), END};
	static const struct step pipelined[] = {
		C("\x05\x01\x02\x01\x01u\x01p\x05\x01\0\x03\x01h\0\x19" PIPELINED),
		S("\x05\x02\x01\0" OK_SOCKS5 PIPELINED_REPLIES), END};

	(void)state;
	expect(name, DELIVERED, PREAMBLE_SOCKS5, 1, "mail.example:25");
	expect(pipelined, DELIVERED, PREAMBLE_SOCKS5, 1, "h:25");
	expect(ipv6, DELIVERED, PREAMBLE_SOCKS5, 1, "[2001:db8::1]:25");
	expect(password, DELIVERED, PREAMBLE_SOCKS5, 1, "10.10.13.10:2570");
}

static void test_chain(void **state)
{
	static const struct step chain[] = {C("\x05\x01\0"),
					    S("\x05\0"),
					    C("\x05\x01\0\x03\x02p2\x0c\x38"),
					    S(OK_SOCKS5),
					    C("CONNECT p3:1080 HTTP/1.1\r\n\r\n"),
					    S(OK_HTTP),
					    C("\x04\x01\0\x19\x7f\0\0\x02\0"),
					    S(OK_SOCKS4),
					    MAIL,
					    END};
	static const struct step at_once[] = {
		C("CONNECT p2:1080 "
		  "HTTP/1.1\r\n\r\n\x05\x01\0\x05\x01\0\x01\x7f\0\0\x03\0\x19" PIPELINED),
		S(OK_HTTP "\x05\0" OK_SOCKS5 PIPELINED_REPLIES), END};

	(void)state;
	expect(chain, DELIVERED, PREAMBLE_SOCKS4, 3, "127.0.0.2:25");
	expect(at_once, DELIVERED, PREAMBLE_SOCKS5, 2, "127.0.0.3:25");
}

/* A request sent to a mail server: the server refuses each line, and its replies stay in step. */
static void test_to_a_mail_server(void **state)
{
	static const struct step http[] = {S(GREETING),
					   C("CONNECT x:25 HTTP/1.1\r\nHost: x\r\n\r\n"),
					   S("500 no\r\n500 no\r\n500 no\r\n"), ENVELOPE, END};
	static const struct step early[] = {C("CONNECT x:25 HTTP/1.1\r\nHost: x\r\n\r\n"),
					    S(GREETING "500 no\r\n500 no\r\n500 no\r\n"), ENVELOPE,
					    END};
	static const struct step in_headers[] = {
		C("CONNECT x:25 HTTP/1.1\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: "
		  "s\r\n\r\n"
		  "text\r\n.\r\n"),
		S(GREETING "500 no\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"), END};
	static const struct step in_name[] = {
		C("\x05\x01\0\x05\x01\0\x03\x08\r\nMAIL FROM:<a@x>\r\n"
		  "RCPT TO:<b@y>\r\nDATA\r\nSubject: s\r\n\r\ntext\r\n.\r\n"),
		S(GREETING "500 no\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"), END};
	static const struct step in_user[] = {
		C("\x04\x01\0\x19\x7f\0\0\x01\nMAIL FROM:<a@x>\r\nRCPT "
		  "TO:<b@y>\r\nDATA\r\nSubject: s\r\n\r\n"
		  "text\r\n.\r\n"),
		S(GREETING "500 no\r\n250 ok\r\n250 ok\r\n354 go\r\n250 taken\r\n"), END};
	static const char taken[] = "1 data success <a@x> <b@y>250 20 bytes 250 taken\n";

	(void)state;
	expect(http, DELIVERED, 0, 0, "");
	expect(early, DELIVERED, 0, 0, "");
	expect(in_headers, taken, 0, 0, "");
	expect(in_name, taken, 0, 0, "");
	expect(in_user, taken, 0, 0, "");
}

/* Commands inside a request that a proxy accepted: the session behind it is still read. */
static void test_commands_to_a_proxy(void **state)
{
	static const struct step message[] = {C("CONNECT x:25 HTTP/1.1\r\nDATA\r\n\r\n"),
					      S(OK_HTTP), MAIL, END};
	static const struct step chunk[] = {C("CONNECT x:25 HTTP/1.1\r\nBDAT 100000\r\n\r\n"),
					    S(OK_HTTP), MAIL, END};
	static const struct step envelope[] = {
		C("CONNECT x:25 HTTP/1.1\r\nMAIL FROM:<z@x>\r\nDATA\r\n\r\n"), S(OK_HTTP), MAIL,
		END};

	(void)state;
	expect(message, DELIVERED, PREAMBLE_HTTP, 1, "x:25");
	expect(chunk, DELIVERED, PREAMBLE_HTTP, 1, "x:25");
	for (size_t size = 0; size < 9; size++) {
		struct played played = {0};

		play(envelope, true, size, 0, &played);
		assert_non_null(
			strstr(played.lines.data, "<a@x> <b@y>250 <c@y>550! 20 bytes 250 taken\n"));
		played_free(&played);
	}
}

/* The content of the tunnel counts: an HTTP POST through it is not a session. */
static void test_quoted_in_a_tunnel(void **state)
{
	static const struct step post[] = {C("CONNECT x:80 HTTP/1.1\r\n\r\n"), S(OK_HTTP),
					   C("POST / HTTP/1.1\r\n\r\n" PIPELINED),
					   S("HTTP/1.1 200 ok\r\n\r\n"), END};
	struct smtp_session *session = smtp_session_new(true, NULL, NULL);

	(void)state;
	smtp_client_data(session, post[0].bytes, 1);
	smtp_server_data(session, post[1].bytes, 2);
	assert_true(smtp_session_is_smtp(session));
	smtp_client_data(session, (struct span){post[2].bytes.data, 19}, 3);
	smtp_server_data(session, post[3].bytes, 4);
	assert_false(smtp_session_is_smtp(session));
	smtp_session_free(session);
}

static void expect_masked(const char *mask, size_t len, const char *request)
{
	for (size_t cut = 0; cut < len; cut++) {
		struct smtp_session *session = smtp_session_new(true, NULL, NULL);
		char *copy = malloc(len);

		memcpy(copy, request, len);
		smtp_mask_secrets(session, copy, cut, true);
		smtp_client_data(session, (struct span){request, cut}, 1);
		smtp_mask_secrets(session, copy + cut, len - cut, true);
		assert_memory_equal(copy, mask, len);
		free(copy);
		smtp_session_free(session);
	}
}

#define EXPECT_MASKED(request, mask) expect_masked(mask, sizeof(mask) - 1, request)

static void test_masked(void **state)
{
	(void)state;
	EXPECT_MASKED("CONNECT h:25 HTTP/1.1\r\nproxy-authorization: Basic eDp5\r\n more\r\nHost: "
		      "h\r\n\r\n",
		      "CONNECT h:25 HTTP/1.1\r\nproxy-authorization:***********\r\n ****\r\nHost: "
		      "h\r\n\r\n");
	EXPECT_MASKED("CONNECT h:25 HTTP/1.1\r\nA: b\r\n c\r\nCookie: d\n\nHELO x\r\n",
		      "CONNECT h:25 HTTP/1.1\r\nA: b\r\n c\r\nCookie:**\n\nHELO x\r\n");
	EXPECT_MASKED("\x05\x01\x02\x01\x01u\x04s\x05\x01\n\x05\x01\0\x03\x01h\0\x19HELO x\r\n",
		      "\x05\x01\x02\x01\x01u\x04***\n\x05\x01\0\x03\x01h\0\x19HELO x\r\n");
}

static void test_bounds(void **state)
{
	char request[PREAMBLE_HTTP_MAX + 100];
	struct preamble preamble = {0};
	bool ended;

	(void)state;
	memset(request, 'a', sizeof(request));
	memcpy(request, "CONNECT h HTTP/1.1\r\n", 20);
	preamble_client(&preamble, (struct span){request, sizeof(request)}, NULL, &ended);
	assert_true(preamble.client.off);
	preamble = (struct preamble){0};
	memcpy(request, "CONNECT aaaaaaaaaaaa", 20); /* the target does not end */
	preamble_client(&preamble, (struct span){request, sizeof(request)}, NULL, &ended);
	assert_true(preamble.client.off);
	assert_true(preamble.target_len <= PREAMBLE_TARGET_MAX);
	preamble = (struct preamble){0};
	for (size_t i = 0; i < 20; i++)
		preamble_client(&preamble, (struct span){"\x04\x01\0\x19\x7f\0\0\x01\0", 9}, NULL,
				&ended);
	assert_true(preamble.client.off);
	assert_int_equal(preamble.hops, PREAMBLE_HOPS_MAX);
	preamble = (struct preamble){0};
	memset(request, 'u', 400);
	memcpy(request, "\x04\x01\0\x19\x7f\0\0\x01", 8);
	preamble_client(&preamble, (struct span){request, 400}, NULL, &ended);
	assert_true(preamble.client.off);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http),
		cmocka_unit_test(test_socks4),
		cmocka_unit_test(test_socks5),
		cmocka_unit_test(test_chain),
		cmocka_unit_test(test_to_a_mail_server),
		cmocka_unit_test(test_commands_to_a_proxy),
		cmocka_unit_test(test_quoted_in_a_tunnel),
		cmocka_unit_test(test_masked),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
