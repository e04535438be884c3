/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The header of the PROXY protocol in front of a session: servers that take it, servers that read
 * it as lines, and what only begins like one. In every segmentation.
 */
#include "smtp_steps.h"

#define STEPS(...) ((const struct step[]){__VA_ARGS__, END})
#define SIGNATURE  "\r\n\r\n\0\r\nQUIT\n"
#define V1	   "PROXY TCP4 192.0.2.1 198.51.100.25 40000 25\r\n"
#define V1_TCP6	   "PROXY TCP6 2001:db8::1 2001:db8::25 40000 25\r\n"
#define V2	   SIGNATURE "\x21\x11\0\x0c\xc0\0\2\1\xc6\x33\x64\x19\x9c\x40\0\x19"
#define V2_LOCAL   SIGNATURE "\x20\0\0\0"
/* With a newline and commands in an option (PP2_TYPE_NOOP), which nobody reads. */
#define V2_OPTION                                                                                  \
	SIGNATURE "\x21\x11\0\x1a\xc0\0\2\1\xc6\x33\x64\x19\x9c\x40\0\x19\4\0\x0b\nDATA\r\nRSET"
#define V2_IPV6                                                                                    \
	SIGNATURE "\x21\x21\0\x24\x20\1\r\n\0\0\0\0\0\0\0\0\0\0\0\1\x20\1\r\n\0\0\0\0\0\0\0\0\0\0" \
		  "\0\2\x9c\x40\0\x19"
#define REST                                                                                       \
	C("EHLO me.example\r\n"), S("250-mx\r\n250 PIPELINING\r\n"), MAIL_A, RCPT_B, DATA, TEXT,   \
		QUIT

static void expect_taken(const struct step *steps)
{
	struct smtp_facts facts = expect(steps, MAIL_1);

	assert_int_equal(facts.protocol, SMTP_PROTOCOL_ESMTP);
	assert_int_equal(facts.helo_len, 10);
	assert_int_equal(facts.replies_surplus, 0);
	assert_true(facts.command_bytes < 512);
}

static void test_taken(void **state)
{
	(void)state;
	expect_taken(STEPS(C(V1), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C(V1_TCP6), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C("PROXY UNKNOWN\r\n"), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C(V2), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C(V2_LOCAL), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C(V2_OPTION), S("220 mx\r\n"), REST));
	expect_taken(STEPS(C(V2_IPV6), S("220 mx\r\n"), REST));
	/* The server greets first; the client sends all before it hears anything. */
	expect_taken(STEPS(S("220 mx\r\n"), C(V2), REST));
	expect_taken(STEPS(C(V1 "EHLO me.example\r\n"), S("220 mx\r\n250 mx\r\n"), MAIL_A, RCPT_B,
			   DATA, TEXT, QUIT));
	expect_taken(STEPS(C(V2 "EHLO me.example\r\n"), S("220 mx\r\n250 mx\r\n"), MAIL_A, RCPT_B,
			   DATA, TEXT, QUIT));
	/* The header, and a proxy behind it. */
	expect_taken(STEPS(C(V1 "CONNECT mx:25 HTTP/1.1\r\n\r\n"), S("HTTP/1.1 200 Ok\r\n\r\n"),
			   S("220 mx\r\n"), REST));
}

/* The server reads lines: it does not know them, or obeys the QUIT. */
static void test_not_taken(void **state)
{
	(void)state;
	expect_taken(STEPS(C(V1), S("220 mx\r\n500 What?\r\n"), REST));
	expect_taken(STEPS(S("220 mx\r\n"), C(V1), S("502 What?\r\n"), REST));
	assert_int_equal(expect(STEPS(C(V2), S("220 mx\r\n500 What?\r\n500 What?\r\n500 What?\r\n"
					       "221 Bye\r\n")),
				"")
				 .replies_surplus,
			 0);
}

/* What only begins like a header is read as lines. */
static void test_no_header(void **state)
{
	static const char long_line[] =
		"PROXY xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n";

	(void)state;
	expect_taken(STEPS(S("220 mx\r\n"), C("PROX\r\n"), S("500 What?\r\n"), REST));
	expect_taken(STEPS(S("220 mx\r\n"), C("\r\n\r\n"), S("500 What?\r\n500 What?\r\n"), REST));
	expect_taken(STEPS(S("220 mx\r\n"), C(SIGNATURE "\x31"), S("500 a\r\n500 b\r\n500 c\r\n"),
			   S("502 QUIT?\r\n"), C("\r\n"), S("500 d\r\n"), REST));
	expect_taken(STEPS(S("220 mx\r\n"), C(long_line), S("500 What?\r\n"), REST));
	/* Not at the start of the stream. */
	expect_taken(STEPS(S("220 mx\r\n"), C("NOOP\r\n"), S("250 Ok\r\n"), C(V1),
			   S("500 What?\r\n"), REST));
}

/* Data in a header counts like data in commands. */
static void test_data_in_header(void **state)
{
	struct smtp_session *session;
	struct played played = {0};
	char data[16 + 60000] = SIGNATURE "\x21\0\xea\x60"; /* 60,000 bytes */

	(void)state;
	memset(data + 16, 'x', 60000);
	session = smtp_session_new(true, played_take, &played);
	smtp_client_data(session, (struct span){data, sizeof(data)}, 1);
	smtp_server_data(session, span_of("220 mx\r\n"), 2);
	smtp_client_data(session, span_of("EHLO me\r\n"), 3);
	smtp_server_data(session, span_of("250 mx\r\n"), 4);
	smtp_session_close(session, 5);
	assert_true(smtp_session_facts(session)->command_bytes >= 60000);
	assert_int_equal(smtp_session_facts(session)->helo_len, 2);
	smtp_session_free(session);
	played_free(&played);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),
		cmocka_unit_test(test_not_taken),
		cmocka_unit_test(test_no_header),
		cmocka_unit_test(test_data_in_header),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
