/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SMTP session: greetings, the forms of commands, messages, pipelining. Each conversation is
 * played as it is, a byte at a time, and cut at every position: how TCP splits the bytes must never
 * change what is seen.
 */
#include "smtp_steps.h"

/* ---- Greetings and facts --------------------------------------------------------------------- */

static void test_greetings(void **state)
{
	static const struct step ehlo[] = {HELLO, MAIL_A, RCPT_B, DATA, TEXT, QUIT, END};
	static const struct step helo[] = {S("220 mx\r\n"),
					   C("hElO  me.example \r\n"),
					   S("250 mx\r\n"),
					   MAIL_A,
					   RCPT_B,
					   DATA,
					   TEXT,
					   QUIT,
					   END};
	static const struct step lhlo[] = {S("220 mx\r\n"),
					   C("lhlo me.example\r\n"),
					   S("250 mx\r\n"),
					   MAIL_A,
					   RCPT_B,
					   DATA,
					   TEXT,
					   QUIT,
					   END};
	static const struct step none[] = {S("220 mx\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT, END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(ehlo, MAIL_1);
	assert_int_equal(facts.protocol, SMTP_PROTOCOL_ESMTP);
	assert_int_equal(facts.helo_len, 10);
	assert_memory_equal(facts.helo, "me.example", 10);
	assert_true(facts.greeting_seen && facts.commands_seen && facts.mail_from_seen &&
		    facts.rcpt_to_seen);
	assert_false(facts.starttls);
	assert_int_equal(facts.transactions, 1);
	assert_int_equal(facts.commands, 5);
	assert_int_equal(facts.replies, 7);
	assert_int_equal(facts.client_bytes, 17 + 17 + 15 + 6 + 21 + 6);
	assert_int_equal(facts.server_bytes, 14 + 8 + 16 + 8 + 8 + 8 + 12 + 9);
	facts = expect(helo, MAIL_1);
	assert_int_equal(facts.protocol, SMTP_PROTOCOL_SMTP);
	assert_int_equal(facts.helo_len, 10);
	facts = expect(lhlo, MAIL_1);
	assert_int_equal(facts.protocol, SMTP_PROTOCOL_LMTP);
	facts = expect(none, MAIL_1);
	assert_int_equal(facts.protocol, SMTP_PROTOCOL_UNKNOWN);
	assert_int_equal(facts.helo_len, 0);
}

static void test_nothing(void **state)
{
	static const struct step nothing[] = {END};
	static const struct step banner[] = {S("220 mx\r\n"), END};
	static const struct step quit[] = {S("220 mx\r\n"), C("QUIT\r\n"), S("221 Bye\r\n"), END};
	static const struct step mail_only[] = {HELLO, MAIL_A, QUIT, END};
	static const struct step http[] = {C("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
					   S("HTTP/1.1 200 OK\r\n\r\n250 x\r\n"), END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(nothing, "");
	assert_false(facts.commands_seen || facts.greeting_seen);
	facts = expect(banner, "");
	assert_true(facts.greeting_seen);
	facts = expect(quit, "");
	assert_true(facts.commands_seen);
	assert_false(facts.mail_from_seen);
	facts = expect(mail_only, "");
	assert_true(facts.mail_from_seen);
	assert_false(facts.rcpt_to_seen);
	facts = expect(http, "");
	assert_false(facts.commands_seen || facts.greeting_seen);
}

static void test_refused_greeting(void **state)
{
	static const struct step older[] = {S("220 mx\r\n"),
					    C("EHLO me.example\r\n"),
					    S("500 What?\r\n"),
					    C("HELO me.example\r\n"),
					    S("250 mx\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step empty[] = {HELLO,  MAIL_A, C("EHLO\r\n"), S("501 Syntax\r\n"),
					    RCPT_B, DATA,   TEXT,	   QUIT,
					    END};
	static const struct step again[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    C("EHLO me.example\r\n"),
					    S("250 mx\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step goodbye[] = {S("554 Go away\r\n"), C("QUIT\r\n"), S("221 Bye\r\n"),
					      END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(older, MAIL_1);
	assert_int_equal(facts.protocol, SMTP_PROTOCOL_SMTP);
	facts = expect(empty, MAIL_1);
	assert_int_equal(facts.helo_len, 10); /* of the accepted greeting */
	expect(again, "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	facts = expect(goodbye, "");
	assert_false(facts.greeting_seen);
}

/* ---- The forms of a command ------------------------------------------------------------------ */

static void expect_forms(const char *mail, const char *rcpt, const char *from, const char *to)
{
	struct text lines = {0};
	struct step steps[] = {HELLO,
			       {.kind = STEP_CLIENT, .bytes = span_of(mail)},
			       S("250 Ok\r\n"),
			       {.kind = STEP_CLIENT, .bytes = span_of(rcpt)},
			       S("250 Ok\r\n"),
			       DATA,
			       TEXT,
			       QUIT,
			       END};

	text_add_string(&lines, "1 data success <");
	text_add_string(&lines, from);
	text_add_string(&lines, " <");
	text_add_string(&lines, to);
	text_add_string(&lines, ">250 18 bytes 250 Queued\n");
	expect(steps, lines.data);
	text_free(&lines);
}

static void test_forms(void **state)
{
	static const struct {
		const char *mail, *rcpt, *from, *to;
	} forms[] = {
		{"mail from:<a@x>\r\n", "rcpt to:<b@y>\r\n", "a@x>", "b@y"},
		{"mAiL FrOm:<a@x>\r\n", "RcPt tO:<B@Y>\r\n", "a@x>", "B@Y"},
		{"MAIL FROM:<a@x>\n", "RCPT TO:<b@y>\n", "a@x>", "b@y"},
		{"MAIL FROM:<a@x>\r\r\n", "RCPT TO:<b@y>\r\r\n", "a@x>", "b@y"},
		{" \tMAIL FROM:<a@x>\r\n", "  RCPT TO:<b@y>\r\n", "a@x>", "b@y"},
		{"MAIL  \t FROM:<a@x>\r\n", "RCPT\tTO:<b@y>\r\n", "a@x>", "b@y"},
		{"MAIL FROM:\t<a@x>\r\n", "RCPT TO: <b@y>\r\n", "a@x>", "b@y"},
		{"MAIL FROM:a@x\r\n", "RCPT TO:b@y\r\n", "a@x>", "b@y"},
		{"MAIL FROM: a@x \r\n", "RCPT TO: b@y \r\n", "a@x>", "b@y"},
		{"MAIL FROM:<>\r\n", "RCPT TO:<>\r\n", ">", ""},
		{"MAIL FROM:\r\n", "RCPT TO:\r\n", ">", ""},
		{"MAIL FROM:<@r,@s:a@x>\r\n", "RCPT TO:<@r:b@y>\r\n", "a@x>", "b@y"},
		{"MAIL FROM:<\"a > b\"@x>\r\n", "RCPT TO:<\"c \\\" > d\"@y>\r\n", "\"a > b\"@x>",
		 "\"c \\\" > d\"@y"},
		{"MAIL FROM:<\"a@x>\r\n", "RCPT TO:<b\"@y>\r\n", "\"a@x>", "b\"@y"},
		{"MAIL FROM:<a@x\r\n", "RCPT TO:<b@y\r\n", "a@x>", "b@y"},
		{"MAIL FROM:< a@x >\r\n", "RCPT TO:< b@y >\r\n", "a@x>", "b@y"},
		{"MAIL FROM:<j\xc3\xbcrgen@x>\r\n", "RCPT TO:<\xe5\x8d\x97@y>\r\n",
		 "j\xc3\xbcrgen@x>", "\xe5\x8d\x97@y"},
		{"MAIL FROM:<a@x> \r\n", "RCPT TO:<b@y> NOTIFY=NEVER\r\n", "a@x>", "b@y"},
		{"MAIL FROM:<a@x> SIZE=10  BODY=8BITMIME \r\n", "RCPT TO:<b@y>\r\n",
		 "a@x> [SIZE=10  BODY=8BITMIME]", "b@y"},
		{"MAIL FROM:<a@x>SIZE=10\r\n", "RCPT TO:<b@y>x\r\n", "a@x> [SIZE=10]", "b@y"},
		{"MAIL FROM:a@x SIZE=10\r\n", "RCPT TO:b@y\r\n", "a@x> [SIZE=10]", "b@y"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		expect_forms(forms[i].mail, forms[i].rcpt, forms[i].from, forms[i].to);
}

static void test_no_forms(void **state)
{
	static const char *const mails[] = {"MAIL FROM :<a@x>\r\n", "SEND FROM:<a@x>\r\n",
					    "MAIL FROM<a@x>\r\n",   "MAIL\r\n",
					    "MAILFROM:<a@x>\r\n",   "MAIL TO:<a@x>\r\n",
					    "XMAIL FROM:<a@x>\r\n", "MAI FROM:<a@x>\r\n",
					    "MAIL FRO\r\n",	    "\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(mails) / sizeof(mails[0]); i++) {
		struct step steps[] = {HELLO,
				       {.kind = STEP_CLIENT, .bytes = span_of(mails[i])},
				       S("501 Syntax\r\n"),
				       C("RCPT TO:<b@y>\r\n"),
				       S("503 MAIL first\r\n"),
				       C("DATA\r\n"),
				       S("503 MAIL first\r\n"),
				       QUIT,
				       END};
		struct smtp_facts facts = expect(steps, "");

		assert_int_equal(facts.transactions, 0);
		assert_int_equal(facts.commands, 5);
		assert_false(facts.mail_from_seen && !strstr(mails[i], "MAIL FROM:"));
	}
}

static void test_junk_before(void **state)
{
	static const struct step junk[] = {S("220 mx\r\n"),
					   C("\r\n"),
					   S("500 What?\r\n"),
					   C("\x01\xff\x00 junk\r\n"),
					   S("500 What?\r\n"),
					   C("NOOP\r\n"),
					   S("250 Ok\r\n"),
					   MAIL_A,
					   RCPT_B,
					   DATA,
					   TEXT,
					   QUIT,
					   END};

	(void)state;
	expect(junk, MAIL_1);
}

static void test_long_parameter(void **state)
{
	char *line = long_line("MAIL FROM:<a@x> X=", "\r\n", 3000);
	struct step steps[] = {HELLO,
			       {.kind = STEP_CLIENT, .bytes = {line, 3000}},
			       S("250 Ok\r\n"),
			       RCPT_B,
			       DATA,
			       TEXT,
			       QUIT,
			       END};
	struct text lines = {0};
	struct smtp_facts facts;

	(void)state;
	text_add_string(&lines, "1 data success <a@x> [");
	text_add(&lines, (struct span){line + 16, 3000 - 16 - 2});
	text_add_string(&lines, "] <b@y>250 18 bytes 250 Queued\n");
	facts = expect(steps, lines.data);
	assert_int_equal(facts.lines_truncated, 0);
	text_free(&lines);
	free(line);
}

static void test_too_long_line(void **state)
{
	static const size_t sizes[] = {SMTP_LINE_MAX, SMTP_LINE_MAX + 1, SMTP_LINE_MAX + 2,
				       SMTP_LINE_MAX + 3, 3 * SMTP_LINE_MAX};

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *line = long_line("MAIL FROM:<a@x> X=", "\r\n", sizes[i]);
		struct step steps[] = {HELLO,
				       {.kind = STEP_CLIENT, .bytes = {line, sizes[i]}},
				       S("250 Ok\r\n"),
				       RCPT_B,
				       QUIT,
				       END};
		struct text lines = {0};
		size_t kept = sizes[i] - 2 < SMTP_LINE_MAX ? sizes[i] - 2 : SMTP_LINE_MAX;
		struct smtp_facts facts;

		text_add_string(&lines, "1 close unknown <a@x> [");
		text_add(&lines, (struct span){line + 16, kept - 16});
		text_add_string(&lines, "] <b@y>250 0 bytes 250 Ok\n");
		facts = expect(steps, lines.data);
		assert_int_equal(facts.lines_truncated, sizes[i] > SMTP_LINE_MAX + 1);
		text_free(&lines);
		free(line);
	}
}

static void test_long_word(void **state)
{
	char *line = long_line("EHLO ", "\r\n", 1000);
	struct step steps[] = {{.kind = STEP_CLIENT, .bytes = {line, 1000}}, END};
	struct smtp_facts facts = expect(steps, "");

	(void)state;
	assert_int_equal(facts.helo_len, SMTP_WORD_MAX);
	free(line);
}

/* ---- Several mails, pipelining --------------------------------------------------------------- */

static void test_several(void **state)
{
	static const struct step steps[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    C("MAIL FROM:<c@x>\r\n"),
					    S("250 Ok\r\n"),
					    C("RCPT TO:<d@y>\r\n"),
					    S("251 Elsewhere\r\n"),
					    C("RCPT TO:<e@y>\r\n"),
					    S("250 Ok\r\n"),
					    DATA,
					    C(".\r\n"),
					    S("250 2nd\r\n"),
					    QUIT,
					    END};
	struct smtp_facts facts =
		expect(steps, MAIL_1 "2 data success <c@x> <d@y>251 <e@y>250 0 bytes 250 2nd\n");

	(void)state;
	assert_int_equal(facts.transactions, 2);
}

#define WHOLE                                                                                      \
	"EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nHi\r\n.\r\nMAIL FROM:<c@x>\r\n"    \
	"RCPT TO:<d@y>\r\nRCPT TO:<e@y>\r\nDATA\r\nHo\r\n.\r\nQUIT\r\n"
#define ANSWERS                                                                                    \
	"250 mx\r\n250 A\r\n250 B\r\n354 Go\r\n250 Q1\r\n250 C\r\n550 D\r\n250 E\r\n354 "          \
	"Go\r\n250 Q2\r\n"                                                                         \
	"221 Bye\r\n"
#define WHOLE_LINES                                                                                \
	"1 data success <a@x> <b@y>250 4 bytes 250 Q1\n"                                           \
	"2 data success <c@x> <d@y>550! <e@y>250 4 bytes 250 Q2\n"

static void test_pipelined(void **state)
{
	static const struct step after[] = {S("220 mx\r\n"), C(WHOLE), S(ANSWERS), END};
	static const struct step before[] = {C(WHOLE), S("220 mx\r\n" ANSWERS), END};
	static const struct step split[] = {C("EHLO me\r\n"),
					    S("220 mx\r\n250 mx\r\n"),
					    C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"),
					    S("250 A\r\n250 B\r\n354 Go\r\n"),
					    C("Hi\r\n.\r\nQUIT\r\n"),
					    S("250 Q1\r\n221 Bye\r\n"),
					    END};
	struct smtp_facts facts;

	(void)state;
	expect(after, WHOLE_LINES);
	facts = expect(before, WHOLE_LINES);
	assert_true(facts.greeting_seen);
	expect(split, "1 data success <a@x> <b@y>250 4 bytes 250 Q1\n");
}

/* ---- The message ----------------------------------------------------------------------------- */

static void expect_message(const char *message, unsigned int bytes)
{
	struct step steps[] = {HELLO,
			       MAIL_A,
			       RCPT_B,
			       DATA,
			       {.kind = STEP_CLIENT, .bytes = span_of(message)},
			       S("250 Queued\r\n"),
			       MAIL_A,
			       RCPT_B,
			       DATA,
			       TEXT,
			       QUIT,
			       END};
	char lines[256];

	snprintf(lines, sizeof(lines),
		 "1 data success <a@x> <b@y>250 %u bytes 250 Queued\n"
		 "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n",
		 bytes);
	expect(steps, lines);
}

static void test_message(void **state)
{
	(void)state;
	expect_message(".\r\n", 0);
	expect_message(".\n", 0);
	expect_message("\r\n.\r\n", 2);
	expect_message("Hi\n.\n", 3);
	expect_message("Hi\n.\r\n", 3);
	expect_message("Hi\r\n.\n", 4);
	expect_message("..\r\n.\r\n", 4);
	expect_message("..\r\n...\r\n. \r\n.x\r\n.\r\n", 4 + 5 + 4 + 4);
	expect_message(".\rx\r\n.\r\n", 5);
	expect_message("x.\r\n.\r\n", 4);
	expect_message("x\r.\r\n.\r\n", 5);
	expect_message("Hi\r\r\n.\r\r\n", 5); /* CRCRLF throughout */
	expect_message(".\r\r\rx\n.\r\n", 6);
	expect_message("MAIL FROM:<evil@x>\r\nRCPT TO:<evil@y>\r\nDATA\r\nQUIT\r\n.\r\n",
		       20 + 18 + 6 + 6);
}

static void test_data_refused(void **state)
{
	static const struct step steps[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    C("DATA\r\n"),
					    S("451 Later\r\n"),
					    C("RSET\r\n"),
					    S("250 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step no_mail[] = {HELLO,  C("DATA\r\n"), S("503 No\r\n"),
					      MAIL_A, RCPT_B,	     DATA,
					      TEXT,   QUIT,	     END};
	static const struct step argument[] = {
		HELLO, MAIL_A, RCPT_B, C("DATA x\r\n"), S("501 No\r\n"), DATA, TEXT, QUIT, END};

	(void)state;
	expect(steps, "1 reset failure <a@x> <b@y>250 0 bytes 451 Later\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(no_mail, MAIL_1);
	expect(argument, MAIL_1);
}

/* The server accepts a DATA that this parser does not know. */
static void test_unknown_data(void **state)
{
	static const struct step steps[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    C("DATA x\r\n"),
					    S("354 Go\r\n"),
					    C("MAIL FROM:<evil@x>\r\n.\r\n"),
					    S("250 Queued\r\n"),
					    QUIT,
					    END};

	(void)state;
	expect(steps, "1 data success <a@x> <b@y>250 20 bytes 250 Queued\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greetings),	 cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_refused_greeting), cmocka_unit_test(test_forms),
		cmocka_unit_test(test_no_forms),	 cmocka_unit_test(test_junk_before),
		cmocka_unit_test(test_long_parameter),	 cmocka_unit_test(test_too_long_line),
		cmocka_unit_test(test_long_word),	 cmocka_unit_test(test_several),
		cmocka_unit_test(test_pipelined),	 cmocka_unit_test(test_message),
		cmocka_unit_test(test_data_refused),	 cmocka_unit_test(test_unknown_data),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
