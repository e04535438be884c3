/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text that quotes SMTP is not a session; SMTP behind other bytes is one. Attempts to hide a mail
 * in a session are reported.
 */
#include <stdio.h>

#include "conversation.h"

#define MAIL_TEXT                                                                                  \
	"EHLO c\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: "                          \
	"s\r\n\r\ntext\r\n.\r\nQUIT\r\n"

/* The number of transactions, which must be the same in every segmentation. */
static uint32_t messages(const struct step *steps, bool replies)
{
	static const size_t sizes[] = {0, 1, 3, 7};
	uint32_t count = 0;

	for (size_t i = 0; i < 4; i++) {
		struct played played = {0};

		play(steps, replies, sizes[i], 0, &played);
		if (i)
			assert_int_equal(played.count, count);
		count = played.count;
		played_free(&played);
	}
	return count;
}

static void test_quoted(void **state)
{
	static const struct step http[] = {
		C("POST /mail HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n"), C(MAIL_TEXT),
		S("HTTP/1.1 200 OK\r\n\r\n250 ok\r\n"), END};
	static const struct step imap[] = {S("* OK ready\r\n"), C("a1 LOGIN u p\r\n"),
					   S("a1 OK\r\n"),	C("a2 APPEND Sent {90}\r\n"),
					   S("+ go ahead\r\n"), C(MAIL_TEXT "\r\n"),
					   S("a2 OK\r\n"),	END};
	static const struct step nntp[] = {S("200 news\r\n"),	 C("POST\r\n"),
					   S("340 send it\r\n"), C(MAIL_TEXT),
					   S("240 posted\r\n"),	 END};
	static const struct step redis[] = {C("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$90\r\n" MAIL_TEXT
					      "\r\n"),
					    S("+OK\r\n"), END};
	static const struct step syslog[] = {C("<13>1 - h a - - - " MAIL_TEXT), END};
	static const struct step counted[] = {C("120 <13>1 - h a - - - x\r\n" MAIL_TEXT), END};
	static const struct step reply[] = {S("GET / HTTP/1.0\r\n\r\n"),
					    C("HTTP/1.0 200 OK\r\n\r\n" MAIL_TEXT), END};
	const struct step *all[] = {http, imap, nntp, redis, syslog, counted, reply};

	(void)state;
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		assert_int_equal(messages(all[i], true), 0);
	/* Without replies. */
	assert_int_equal(
		messages((const struct step[]){C("POST / HTTP/1.1\r\n\r\n" MAIL_TEXT), END}, false),
		0);
	assert_int_equal(messages((const struct step[]){C("a1 LOGIN u p\r\n" MAIL_TEXT), END},
				  false),
			 0);
}

static void test_sessions(void **state)
{
	static const struct step junk[] = {
		S("220 x\r\n"),
		C("POST / HTTP/1.1\r\nHost: x\r\n\r\n"),
		S("500 no\r\n500 no\r\n500 no\r\n"),
		C(MAIL_TEXT),
		S("250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n221 f\r\n"),
		END};
	static const struct step silent[] = {C(MAIL_TEXT), END};
	static const struct step own_server[] = {C(MAIL_TEXT), S("OK\r\nOK\r\n"), END};
	static const struct step refused[] = {S("554 no\r\n"), C(MAIL_TEXT), S("503 no\r\n"), END};

	(void)state;
	assert_int_equal(messages(junk, true), 1);
	assert_int_equal(messages(silent, true), 1);
	assert_int_equal(messages(silent, false), 1);
	assert_int_equal(messages(own_server, true), 1);
	assert_int_equal(messages(refused, true), 1);
	assert_int_equal(messages((const struct step[]){C("junk\r\n" MAIL_TEXT), END}, false), 1);
}

static void note_smuggling(void *context, struct smtp_transaction *transaction)
{
	uint32_t *bits = context;

	*bits = *bits << 1 | transaction->smuggling;
	smtp_transaction_free(transaction);
}

/*
 * One bit for each transaction, behind a leading 1: set if the transaction is reported as
 * smuggling.
 */
static uint32_t smuggling(const char *client, size_t size)
{
	uint32_t bits = 1;
	struct smtp_session *session = smtp_session_new(true, note_smuggling, &bits);

	assert_non_null(session);
	smtp_server_data(session, span_of("220 x\r\n"), 1);
	for (size_t at = 0, len = strlen(client); at < len; at += size)
		smtp_client_data(session,
				 (struct span){client + at, size < len - at ? size : len - at}, 1);
	smtp_session_close(session, 2);
	smtp_session_free(session);
	return bits;
}

#define OPENING(eol) "EHLO c" eol "MAIL FROM:<a@x>" eol "RCPT TO:<b@y>" eol "DATA" eol "text"
#define SECOND	     "MAIL FROM:<e@x>\r\nRCPT TO:<f@y>\r\nDATA\r\nevil\r\n.\r\n"

static void test_smuggling(void **state)
{
	static const char *const ends[] = {"\n.\n", "\n.\r\n", "\r\n.\n", "\r\n.\r\r\n"};
	static const char *const odd[] = {"\r.\r", "\r.\r\n",	"\r.\n",	  "\r\n.\r",
					  "\n.\r", "\r.\rxx\r", "\r.\r\nNOOP\r\n"};
	static char text[400];

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "%s%s%s", OPENING("\r\n"), ends[i], SECOND);
		assert_int_equal(smuggling(text, 1), 7);
		assert_int_equal(smuggling(text, 1000), 7);
	}
	/*
	 * An end of data for some servers, but not for this parser: the second mail is text of the
	 * first.
	 */
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		for (size_t size = 1; size < 9; size++) {
			snprintf(text, sizeof(text), "%s%s%s", OPENING("\r\n"), odd[i], SECOND);
			assert_int_equal(smuggling(text, size), 3);
		}
		snprintf(text, sizeof(text), "%s%s%s", OPENING("\r\n"), odd[i], "x\r\n.\r\n");
		assert_int_equal(smuggling(text, 1000), 2);
	}
	/* A mail that quotes such an end is not smuggling. */
	assert_int_equal(smuggling(OPENING("\r\n") "\r\n..\r\nMAIL FROM:<e@x>\r\n.\r\n", 1000), 2);
	/* The correct end, pipelined; and a client that ends every line with LF alone. */
	assert_int_equal(smuggling(OPENING("\r\n") "\r\n.\r\n" SECOND, 1000), 4);
	assert_int_equal(
		smuggling(OPENING("\n") "\n.\nMAIL FROM:<e@x>\nRCPT TO:<f@y>\nDATA\nx\n.\n", 1), 4);
}

static void test_smuggling_waited(void **state)
{
	uint32_t bits = 1;
	struct smtp_session *session = smtp_session_new(true, note_smuggling, &bits);

	(void)state;
	smtp_server_data(session, span_of("220 x\r\n"), 1);
	smtp_client_data(session, span_of(OPENING("\r\n") "\n.\n"), 1);
	smtp_server_data(session, span_of("250 a\r\n250 b\r\n250 c\r\n354 d\r\n250 e\r\n"), 1);
	smtp_client_data(session, span_of(SECOND), 1);
	smtp_session_close(session, 2);
	assert_int_equal(bits, 4);
	smtp_session_free(session);
}

static void test_starttls_injection(void **state)
{
	static const struct step injected[] = {S("220 x\r\n"),
					       C("EHLO c\r\n"),
					       S("250 STARTTLS\r\n"),
					       C("STARTTLS\r\nMAIL FROM:<a@x>\r\n"),
					       S("220 go\r\n"),
					       C("\x16\x03\x01"),
					       END};
	static const struct step refused[] = {S("220 x\r\n"),
					      C("EHLO c\r\n"),
					      S("250 x\r\n"),
					      C("STARTTLS\r\n"),
					      S("454 no\r\n"),
					      C("MAIL FROM:<a@x>\r\n"),
					      END};
	struct played played = {0};

	(void)state;
	play(injected, true, 0, 0, &played);
	assert_true(played.facts.commands_after_starttls);
	played_free(&played);
	play(refused, true, 0, 0, &played);
	assert_false(played.facts.commands_after_starttls);
	played_free(&played);
}

static void test_surplus(void **state)
{
	static const struct step hidden[] = {S("220 x\r\n"),
					     C("EHLO c\r\n"),
					     S("250 x\r\n250 y\r\n"),
					     C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"),
					     S("250 a\r\n250 b\r\n354 c\r\n"),
					     C("x\r\n.\r\n"),
					     S("250 d\r\n"),
					     END};
	struct played played = {0};

	(void)state;
	play(hidden, true, 0, 0, &played);
	assert_int_equal(played.facts.replies_surplus, 1);
	assert_non_null(strstr(played.lines.data, "success"));
	assert_non_null(strstr(played.lines.data, "replies missing"));
	played_free(&played);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_smuggling),
		cmocka_unit_test(test_smuggling_waited),
		cmocka_unit_test(test_starttls_injection),
		cmocka_unit_test(test_surplus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
