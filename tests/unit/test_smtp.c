/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SMTP session. Each conversation is played as it stands, a byte at a time, and cut at every
 * position: the pieces that TCP makes must never change what is seen.
 */
#include "conversation.h"

#include <stdio.h>

#define HELLO  S("220 mx ESMTP\r\n"), C("EHLO me.example\r\n"), S("250-mx\r\n250 PIPELINING\r\n")
#define MAIL_A C("MAIL FROM:<a@x>\r\n"), S("250 Ok\r\n")
#define RCPT_B C("RCPT TO:<b@y>\r\n"), S("250 Ok\r\n")
#define DATA   C("DATA\r\n"), S("354 Go\r\n")
#define TEXT   C("Subject: x\r\n\r\nHi\r\n.\r\n"), S("250 Queued\r\n")
#define QUIT   C("QUIT\r\n"), S("221 Bye\r\n")
#define MAIL_1 "1 data success <a@x> <b@y>250 18 bytes 250 Queued\n"

static struct smtp_facts expect(const struct step *steps, const char *lines)
{
	return expect_with(steps, true, lines);
}

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
	assert_int_equal(facts.helo_len, 10); /* the one that was accepted */
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

/* A line of `len` bytes: `head`, as many x as it takes, `tail`. */
static char *long_line(const char *head, const char *tail, size_t len)
{
	char *line = malloc(len + 1);

	assert_non_null(line);
	memset(line, 'x', len);
	memcpy(line, head, strlen(head));
	memcpy(line + len - strlen(tail), tail, strlen(tail));
	line[len] = '\0';
	return line;
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

/* A server that takes an odd DATA all the same. */
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

/* ---- Refusals -------------------------------------------------------------------------------- */

static void test_refusals(void **state)
{
	static const struct step one[] = {HELLO,
					  MAIL_A,
					  RCPT_B,
					  C("RCPT TO:<c@y>\r\n"),
					  S("550-Nobody\r\n550 here\r\n"),
					  C("RCPT TO:<d@y>\r\n"),
					  S("250 Ok\r\n"),
					  DATA,
					  TEXT,
					  QUIT,
					  END};
	static const struct step all[] = {HELLO,
					  MAIL_A,
					  C("RCPT TO:<b@y>\r\n"),
					  S("550-Nobody\r\n550 here\r\n"),
					  C("RCPT TO:<c@y>\r\n"),
					  S("450 Later\r\n"),
					  C("DATA\r\n"),
					  S("554 No valid recipients\r\n"),
					  QUIT,
					  END};
	static const struct step all_quit[] = {
		HELLO, MAIL_A, C("RCPT TO:<b@y>\r\n"), S("550-Nobody\r\n550 here\r\n"), QUIT, END};
	static const struct step sender[] = {HELLO,
					     C("MAIL FROM:<a@x>\r\n"),
					     S("553 No\r\n"),
					     C("RCPT TO:<b@y>\r\n"),
					     S("503 MAIL first\r\n"),
					     QUIT,
					     END};
	static const struct step data[] = {
		HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n.\r\n"), S("554 Spam\r\n"), QUIT, END};
	static const struct step later[] = {HELLO, MAIL_A,	    RCPT_B,
					    DATA,  C("x\r\n.\r\n"), S("451 Greylisted\r\n"),
					    END};
	static const struct step unanswered[] = {HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n.\r\n"), END};
	static const struct step goodbye[] = {HELLO, MAIL_A,	 RCPT_B,
					      DATA,  C("x\r\n"), S("421 Shutdown\r\n"),
					      END};

	(void)state;
	expect(one, "1 data success <a@x> <b@y>250 <c@y>550! <d@y>250 18 bytes 250 Queued\n");
	expect(all, "1 close failure <a@x> <b@y>550! <c@y>450! 0 bytes 554 No valid recipients\n");
	expect(all_quit, "1 close failure <a@x> <b@y>550! 0 bytes 550 Nobody\nhere\n");
	expect(sender, "1 close failure <a@x> <b@y>503! 0 bytes 503 MAIL first\n");
	expect(data, "1 data failure <a@x> <b@y>250 3 bytes 554 Spam\n");
	expect(later, "1 data failure <a@x> <b@y>250 3 bytes 451 Greylisted\n");
	expect(unanswered, "1 data unknown <a@x> <b@y>250 3 bytes 354 Go\n");
	expect(goodbye, "1 close unknown <a@x> <b@y>250 3 bytes 354 Go\n");
}

static void test_reset(void **state)
{
	static const struct step reset[] = {HELLO,  MAIL_A, RCPT_B, C("RSET\r\n"), S("250 Ok\r\n"),
					    MAIL_A, RCPT_B, DATA,   TEXT,	   QUIT,
					    END};
	static const struct step close[] = {HELLO, MAIL_A, RCPT_B, END};
	static const struct step middle[] = {HELLO, MAIL_A, RCPT_B, DATA, C("Subject: x\r\n\r\nHi"),
					     END};

	(void)state;
	expect(reset, "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(close, "1 close unknown <a@x> <b@y>250 0 bytes 250 Ok\n");
	expect(middle, "1 close unknown <a@x> <b@y>250 16 bytes 354 Go\n");
}

static void test_second_mail(void **state)
{
	static const struct step refused[] = {
		HELLO, MAIL_A, C("MAIL FROM:<c@x>\r\n"), S("503 Nested\r\n"), RCPT_B, DATA, TEXT,
		QUIT,  END};
	static const struct step accepted[] = {HELLO,
					       MAIL_A,
					       RCPT_B,
					       C("MAIL FROM:<c@x>\r\n"),
					       S("250 Ok\r\n"),
					       C("RCPT TO:<d@y>\r\n"),
					       S("250 Ok\r\n"),
					       DATA,
					       TEXT,
					       QUIT,
					       END};
	static const struct step after_refusal[] = {
		HELLO, C("MAIL FROM:<c@x>\r\n"), S("553 No\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT,
		END};
	static const struct step twice[] = {HELLO,
					    MAIL_A,
					    C("MAIL FROM:<c@x>\r\nMAIL FROM:<d@x>\r\n"),
					    S("503 Nested\r\n503 Nested\r\n"),
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	/* All in one piece, and accepted: the second MAIL takes the recipients behind it. */
	static const struct step pipelined[] = {
		HELLO,
		C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nMAIL FROM:<c@x>\r\nRCPT "
		  "TO:<d@y>\r\nDATA\r\n"),
		S("250 A\r\n250 B\r\n503 Nested\r\n250 D\r\n354 Go\r\n"),
		TEXT,
		QUIT,
		END};
	/*
	 * Its reply comes only after the message, and the mail behind it: it is the one that the
	 * server has.
	 */
	static const struct step late[] = {
		HELLO,
		C("MAIL FROM:<a@x>\r\nMAIL FROM:<c@x>\r\nRCPT TO:<b@y>\r\nBDAT 1 LAST\r\nxMAIL "
		  "FROM:<e@x>\r\n"
		  "RCPT TO:<f@y>\r\n"),
		S("250 A\r\n250 C\r\n250 B\r\n250 Queued\r\n250 E\r\n250 F\r\n"), QUIT, END};

	(void)state;
	expect(late, "1 data success <c@x> <b@y>250 1 bytes 250 Queued\n"
		     "2 close unknown <e@x> <f@y>250 0 bytes 250 F\n");
	expect(refused, MAIL_1);
	expect(accepted, "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
			 "2 data success <c@x> <d@y>250 18 bytes 250 Queued\n");
	expect(after_refusal, MAIL_1);
	expect(twice, MAIL_1);
	expect(pipelined, "1 data success <a@x> <b@y>250 <d@y>250 18 bytes 250 Queued\n");
}

/* ---- BDAT ------------------------------------------------------------------------------------ */

/* To a server that does not know BDAT, what follows it is commands. */
static void test_bdat_unknown(void **state)
{
	static const struct step waits[] = {
		HELLO, MAIL_A, RCPT_B, C("BDAT 100 LAST\r\n"), S("500 What\r\n"), DATA,
		TEXT,  MAIL_A, RCPT_B, C("BDAT 9\r\n"),	       S("502 What\r\n"), QUIT,
		END};
	static const struct step refused[] = {HELLO,
					      MAIL_A,
					      RCPT_B,
					      C("BDAT 4 LAST\r\n"),
					      S("554 No\r\n"),
					      C("x\r\n."),
					      MAIL_A,
					      RCPT_B,
					      DATA,
					      TEXT,
					      QUIT,
					      END};
	static const struct step at_once[] = {HELLO,
					      MAIL_A,
					      RCPT_B,
					      C("BDAT 40 LAST\r\nRSET\r\nMAIL FROM:<c@x>\r\nRCPT "),
					      S("500 What\r\n250 Reset\r\n250 C\r\n"),
					      C("TO:<d@y>\r\nMAIL FROM:<e@x>\r\n"),
					      S("250 D\r\n503 Nested\r\n"),
					      QUIT,
					      END};

	(void)state;
	expect(waits, "1 data success <a@x> <b@y>250 18 bytes 250 Queued\n"
		      "2 close failure <a@x> <b@y>250 0 bytes 502 What\n");
	expect(refused, "1 data failure <a@x> <b@y>250 4 bytes 554 No\n"
			"2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	/* All of it was sent before the reply. */
	expect(at_once, "1 reset failure <a@x> <b@y>250 0 bytes 500 What\n"
			"2 close unknown <c@x> <d@y>250 0 bytes 250 D\n");
}

/* ---- Sessions under way ---------------------------------------------------------------------- */

static void test_mid_stream(void **state)
{
	static const struct step text[] = {C("a line\r\nthe last\r\n.\r\n"),
					   S("250 Queued\r\n"),
					   MAIL_A,
					   RCPT_B,
					   DATA,
					   TEXT,
					   QUIT,
					   END};
	static const struct step answer[] = {
		S("ited\r\n250 Ok\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT, END};
	const struct step *all[] = {text, answer};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct played played = {0};
		struct smtp_session *session = smtp_session_new(true, played_take, &played);

		smtp_session_mid_stream(session);
		for (const struct step *step = all[i]; step->kind != STEP_END; step++)
			feed_exact(session, step, step->bytes, 1);
		assert_int_equal(played.count, 1); /* before the end of the connection */
		assert_string_equal(played.lines.data, MAIL_1);
		assert_int_equal(smtp_session_facts(session)->replies_surplus, 0);
		smtp_session_free(session);
		played_free(&played);
	}
}

static void test_bdat(void **state)
{
	static const struct step chunks[] = {HELLO,
					     MAIL_A,
					     RCPT_B,
					     C("BDAT 6\r\n.\r\nHi\n"),
					     S("250 Ok\r\n"),
					     C("bdat 10 last\r\nMAIL FROM:"),
					     S("250 Queued\r\n"),
					     MAIL_A,
					     RCPT_B,
					     DATA,
					     TEXT,
					     QUIT,
					     END};
	static const struct step zero[] = {HELLO,
					   MAIL_A,
					   RCPT_B,
					   C("BDAT 4\r\nHi\r\n"),
					   S("250 Ok\r\n"),
					   C("BDAT 0 LAST\r\n"),
					   S("250 Queued\r\n"),
					   QUIT,
					   END};
	static const struct step pipelined[] = {HELLO,
						C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 2 "
						  "LAST\r\nHiMAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\n"
						  "BDAT 2\r\nHoBDAT 1 LAST\r\n!QUIT\r\n"),
						S("250 A\r\n250 B\r\n250 Q1\r\n250 C\r\n250 "
						  "D\r\n250 2 octets\r\n250 Q2\r\n221 Bye\r\n"),
						END};
	static const struct step refused[] = {
		HELLO, MAIL_A, RCPT_B, C("BDAT 4\r\nHi\r\n"), S("552 Too much\r\n"), QUIT, END};
	static const struct step unfinished[] = {HELLO, MAIL_A, RCPT_B,
						 C("BDAT 400\r\nHi\r\nQUIT\r\n"), END};

	(void)state;
	expect(chunks, "1 data success <a@x> <b@y>250 16 bytes 250 Queued\n"
		       "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(zero, "1 data success <a@x> <b@y>250 4 bytes 250 Queued\n");
	expect(pipelined, "1 data success <a@x> <b@y>250 2 bytes 250 Q1\n"
			  "2 data success <c@x> <d@y>250 3 bytes 250 Q2\n");
	expect(refused, "1 close failure <a@x> <b@y>250 4 bytes 552 Too much\n");
	expect(unfinished, "1 close unknown <a@x> <b@y>250 10 bytes 250 Ok\n");
}

static void test_malformed_bdat(void **state)
{
	static const char *const lines[] = {"BDAT\r\n",		 "BDAT x\r\n",
					    "BDAT -1\r\n",	 "BDAT 5 X\r\n",
					    "BDAT 5 LAST x\r\n", "BDAT 99999999999999999999\r\n",
					    "BDAT 0x5\r\n",	 "BDAT LAST\r\n",
					    "BDAT5\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct step steps[] = {HELLO,
				       MAIL_A,
				       RCPT_B,
				       {.kind = STEP_CLIENT, .bytes = span_of(lines[i])},
				       S("501 Syntax\r\n"),
				       DATA,
				       TEXT,
				       QUIT,
				       END};

		expect(steps, MAIL_1);
	}
}

/* ---- LMTP ------------------------------------------------------------------------------------ */

#define LHLO   S("220 mx LMTP\r\n"), C("LHLO me\r\n"), S("250 mx\r\n")
#define RCPT_C C("RCPT TO:<c@y>\r\n"), S("550 Nobody\r\n")
#define RCPT_D C("RCPT TO:<d@y>\r\n"), S("250 Ok\r\n")

static void test_lmtp(void **state)
{
	static const struct step mixed[] = {LHLO,
					    MAIL_A,
					    RCPT_B,
					    RCPT_C,
					    RCPT_D,
					    DATA,
					    C("Hi\r\n.\r\n"),
					    S("250 B has it\r\n452 D is full\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step failed[] = {LHLO,
					     MAIL_A,
					     RCPT_B,
					     RCPT_D,
					     DATA,
					     C("Hi\r\n.\r\n"),
					     S("452 B is full\r\n"),
					     S("452 D is full\r\n"),
					     QUIT,
					     END};
	static const struct step late[] = {LHLO,
					   MAIL_A,
					   RCPT_B,
					   RCPT_D,
					   DATA,
					   C("Hi\r\n.\r\n"),
					   S("452 B is full\r\n"),
					   S("250 D has it\r\n"),
					   QUIT,
					   END};
	/* All at once: that a recipient is refused is known when the message is sent. */
	static const struct step pipelined[] = {
		LHLO,
		C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nRCPT TO:<d@y>\r\nBDAT 2 "
		  "LAST\r\nx\n"
		  "MAIL FROM:<e@x>\r\nRCPT TO:<f@y>\r\nBDAT 2 LAST\r\nx\n"),
		S("250 A\r\n250 B\r\n550 C\r\n250 D\r\n250 for B\r\n452 for D\r\n250 E\r\n550 "
		  "F\r\n503 "
		  "none\r\n"),
		QUIT, END};
	static const struct step chunk[] = {LHLO,
					    MAIL_A,
					    RCPT_B,
					    RCPT_D,
					    C("BDAT 2 LAST\r\nHi"),
					    S("250 B has it\r\n250 D has it\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};

	(void)state;
	expect(mixed, "1 data success <a@x> <b@y>250 <c@y>550! <d@y>250 4 bytes 452 D is full\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(failed, "1 data failure <a@x> <b@y>250 <d@y>250 4 bytes 452 D is full\n");
	expect(late, "1 data success <a@x> <b@y>250 <d@y>250 4 bytes 250 D has it\n");
	expect(pipelined, "1 data success <a@x> <b@y>250 <c@y>550! <d@y>250 2 bytes 452 for D\n"
			  "2 data failure <e@x> <f@y>550! 2 bytes 503 none\n");
	expect(chunk, "1 data success <a@x> <b@y>250 <d@y>250 2 bytes 250 D has it\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
}

/* ---- AUTH and STARTTLS ----------------------------------------------------------------------- */

static void expect_mechanism(const struct smtp_facts *facts, const char *mechanism)
{
	assert_int_equal(facts->auth_mechanism_len, strlen(mechanism));
	assert_memory_equal(facts->auth_mechanism, mechanism, strlen(mechanism));
}

static void test_auth(void **state)
{
	static const struct step plain[] = {HELLO,
					    C("AUTH PLAIN AGFAeABzZWNyZXQ=\r\n"),
					    S("235 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step login[] = {HELLO,
					    C("auth login\r\n"),
					    S("334 VXNlcm5hbWU6\r\n"),
					    C("QUIT\r\n"),
					    S("334 UGFzc3dvcmQ6\r\n"),
					    C("DATA\r\n"),
					    S("235 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};
	static const struct step given_up[] = {HELLO,
					       C("AUTH CRAM-MD5\r\n"),
					       S("334 PDEyPg==\r\n"),
					       C("*\r\n"),
					       S("501 Cancelled\r\n"),
					       MAIL_A,
					       RCPT_B,
					       DATA,
					       TEXT,
					       QUIT,
					       END};
	static const struct step refused[] = {
		HELLO, C("AUTH LOGIN\r\n"), S("504 No\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT, END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(plain, MAIL_1);
	expect_mechanism(&facts, "PLAIN");
	facts = expect(login, MAIL_1);
	expect_mechanism(&facts, "LOGIN");
	facts = expect(given_up, MAIL_1);
	expect_mechanism(&facts, "CRAM-MD5");
	expect(refused, MAIL_1);
}

#define BLIND                                                                                      \
	C("MAIL FROM:<a@x>\r\n"), C("RCPT TO:<b@y>\r\n"), C("DATA\r\n"),                           \
		C("Subject: x\r\n\r\nHi\r\n.\r\n"), C("QUIT\r\n")
#define BLIND_1 "1 data unknown <a@x> <b@y>0 18 bytes 0 \n"

static void test_auth_blind(void **state)
{
	static const struct step plain[] = {C("EHLO me\r\n"), C("AUTH PLAIN AGFAeABzZWNyZXQ=\r\n"),
					    BLIND, END};
	static const struct step plain_later[] = {C("EHLO me\r\n"), C("AUTH PLAIN\r\n"),
						  C("AGFAeABzZWNyZXQ=\r\n"), BLIND, END};
	static const struct step login[] = {C("EHLO me\r\n"),
					    C("AUTH LOGIN\r\n"),
					    C("dXNlcg==\r\n"),
					    C("c2VjcmV0\r\n"),
					    BLIND,
					    END};
	static const struct step login_user[] = {C("EHLO me\r\n"), C("AUTH LOGIN dXNlcg==\r\n"),
						 C("c2VjcmV0\r\n"), BLIND, END};
	static const struct step refused[] = {C("EHLO me\r\n"), C("AUTH LOGIN\r\n"), BLIND, END};
	static const struct step given_up[] = {C("EHLO me\r\n"), C("AUTH PLAIN\r\n"), C("*\r\n"),
					       BLIND, END};

	(void)state;
	expect_with(plain, false, BLIND_1);
	expect_with(plain_later, false, BLIND_1);
	expect_with(login, false, BLIND_1);
	expect_with(login_user, false, BLIND_1);
	expect_with(refused, false, BLIND_1);
	expect_with(given_up, false, BLIND_1);
}

static void test_starttls(void **state)
{
	static const struct step tls[] = {
		HELLO,
		C("STARTTLS\r\n"),
		S("220 Go\r\n"),
		C("\x16\x03\x01\x02\x00MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"),
		S("\x16\x03\x03\n250 x\r\n"),
		END};
	static const struct step plain[] = {
		HELLO, C("STARTTLS\r\n"), S("220 Go\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT, END};
	static const struct step refused[] = {
		HELLO, C("STARTTLS\r\n"), S("454 Not now\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT,
		END};
	static const struct step argument[] = {
		HELLO, C("STARTTLS now\r\n"), S("501 No\r\n"), MAIL_A, RCPT_B, DATA, TEXT, QUIT,
		END};
	static const struct step inside[] = {
		HELLO, MAIL_A, RCPT_B, C("STARTTLS\r\n"), S("220 Go\r\n"), C("\x16\x03\x01xyz"),
		END};
	static const struct step odd[] = {HELLO, C("STARTTLS\r\n"), S("220 Go\r\n"),
					  C("\x16\x02xyz\r\n"), END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(tls, "");
	assert_true(facts.starttls);
	facts = expect(plain, MAIL_1);
	assert_true(facts.starttls);
	facts = expect(refused, MAIL_1);
	assert_false(facts.starttls);
	facts = expect(argument, MAIL_1);
	assert_false(facts.starttls);
	expect(inside, "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n");
	expect(odd, "");
}

/* ---- Holes ----------------------------------------------------------------------------------- */

static void test_client_gaps(void **state)
{
	static const struct step command[] = {HELLO,	 MAIL_A,	C("RCPT TO:<b@"),
					      C_GAP(20), C("c@y>\r\n"), S("250 Ok\r\n"),
					      RCPT_B,	 DATA,		TEXT,
					      MAIL_A,	 RCPT_B,	DATA,
					      TEXT,	 QUIT,		END};
	static const struct step message[] = {HELLO,
					      MAIL_A,
					      RCPT_B,
					      DATA,
					      C("Hi\r\n"),
					      C_GAP(100),
					      C(".\r\nx\r\n.\r\n"),
					      S("250 Queued\r\n"),
					      QUIT,
					      END};
	static const struct step chunk[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    C("BDAT 100 LAST\r\n"),
					    C("Hi"),
					    C_GAP(90),
					    C("12345678QUIT\r\n"),
					    S("250 Queued\r\n221 Bye\r\n"),
					    END};
	static const struct step chunk_end[] = {HELLO,
						MAIL_A,
						RCPT_B,
						C("BDAT 10 LAST\r\nHi"),
						C_GAP(20),
						C("QUIT\r\n"),
						S("250 Queued\r\n"),
						MAIL_A,
						RCPT_B,
						DATA,
						TEXT,
						END};
	static const struct step end_of_data[] = {
		HELLO,	MAIL_A, RCPT_B, DATA, C("Hi\r\n"), C_GAP(9), S("250 Queued\r\n"),
		MAIL_A, RCPT_B, DATA,	TEXT, QUIT,	   END};
	static const struct step unknown[] = {HELLO,	  MAIL_A, RCPT_B, C_GAP(0),
					      C("x\r\n"), QUIT,	  END};
	struct smtp_facts facts;

	(void)state;
	facts = expect(
		command,
		"1 data success <a@x> <b@y>250 18 bytes 20 missing replies missing 250 Queued\n"
		"2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	assert_int_equal(facts.client_missing, 20);
	expect(message, "1 data success <a@x> <b@y>250 110 bytes 100 missing 250 Queued\n");
	expect(chunk, "1 data success <a@x> <b@y>250 100 bytes 90 missing 250 Queued\n");
	expect(chunk_end,
	       "1 data success <a@x> <b@y>250 10 bytes 20 missing replies missing 250 Queued\n"
	       "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(end_of_data,
	       "1 data success <a@x> <b@y>250 13 bytes 9 missing replies missing 250 Queued\n"
	       "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	facts = expect(unknown,
		       "1 close unknown <a@x> <b@y>250 0 bytes 1 missing replies missing 250 Ok\n");
	assert_int_equal(facts.client_missing, 1);
}

/* A hole where an answer to a 334 should be: the commands behind it are commands. */
static void test_gap_in_answer(void **state)
{
	static const struct step steps[] = {HELLO,
					    C("AUTH LOGIN\r\n"),
					    S("334 VXNlcm5hbWU6\r\n"),
					    C("dXN"),
					    C_GAP(3),
					    C("==\r\n"),
					    S("334 UGFzc3dvcmQ6\r\n"),
					    C("c2VjcmV0\r\n"),
					    S("235 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};

	static const struct step whole[] = {HELLO,
					    C("AUTH LOGIN\r\n"),
					    S("334 VXNlcm5hbWU6\r\n"),
					    C_GAP(30),
					    S("235 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    TEXT,
					    QUIT,
					    END};

	(void)state;
	expect(steps, MAIL_1);
	expect(whole, MAIL_1);
}

/*
 * Whole commands are missing; that they were answered shows that the next one starts behind the
 * hole.
 */
static void test_gap_of_commands(void **state)
{
	static const struct step steps[] = {HELLO, MAIL_A, RCPT_B, C_GAP(15), S("250 Ok\r\n"),
					    DATA,  TEXT,   QUIT,   END};

	(void)state;
	expect(steps,
	       "1 data success <a@x> <b@y>250 18 bytes 15 missing replies missing 250 Queued\n");
}

static void test_server_gaps(void **state)
{
	static const struct step lost[] = {HELLO,      MAIL_A,	  C("RCPT TO:<b@y>\r\n"),
					   S("250 O"), S_GAP(30), S("k\r\n"),
					   DATA,       TEXT,	  MAIL_A,
					   RCPT_B,     DATA,	  TEXT,
					   QUIT,       END};
	static const struct step surplus[] = {HELLO,  MAIL_A, S("250 Surprise\r\n"),
					      RCPT_B, DATA,   TEXT,
					      MAIL_A, RCPT_B, DATA,
					      TEXT,   QUIT,   END};
	static const struct step junk[] = {
		HELLO, MAIL_A, S("hello\r\n25\r\n999 x\r\n \r\n2x0 y\r\n\r\n"), RCPT_B, DATA, TEXT,
		QUIT,  END};
	static const struct step one_lost[] = {HELLO,  MAIL_A, C("RCPT TO:<b@y>\r\n"),
					       DATA,   TEXT,   MAIL_A,
					       RCPT_B, DATA,   TEXT,
					       QUIT,   END};
	struct smtp_facts facts;
	struct played played = {0};

	(void)state;
	expect(one_lost, "1 data success <a@x> <b@y>0 18 bytes replies missing 250 Queued\n"
			 "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	play(lost, true, 0, 0, &played);
	assert_int_equal(played.count, 2);
	assert_non_null(strstr(played.lines.data, "replies missing"));
	assert_int_equal(played.facts.server_missing, 30);
	played_free(&played);
	/* What hid a command once may do so again. */
	expect(surplus, "1 data success <a@x> <b@y>250 18 bytes replies missing 250 Queued\n"
			"2 data success <a@x> <b@y>250 18 bytes replies missing 250 Queued\n");
	facts = expect(junk, MAIL_1);
	assert_int_equal(facts.replies, 7);
}

static void test_long_reply(void **state)
{
	char *line = long_line("250 ", "\r\n", 5000);
	struct step steps[] = {HELLO,  MAIL_A,	   RCPT_B,
			       DATA,   C(".\r\n"), {.kind = STEP_SERVER, .bytes = {line, 5000}},
			       MAIL_A, RCPT_B,	   DATA,
			       TEXT,   QUIT,	   END};
	struct text lines = {0};

	(void)state;
	text_add_string(&lines, "1 data success <a@x> <b@y>250 0 bytes 250 ");
	text_add(&lines, (struct span){line + 4, SMTP_REPLY_TEXT_MAX});
	text_add_string(&lines, "\n2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(steps, lines.data);
	text_free(&lines);
	free(line);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

/* MAIL, `count` recipients of `len` bytes each at least, and the end; each answered at once. */
static void play_recipients(uint32_t count, size_t len, struct played *played)
{
	struct text client = {0}, server = {0};
	struct step steps[3] = {{.kind = STEP_CLIENT}, {.kind = STEP_SERVER}, END};

	text_add_string(&client, "MAIL FROM:<a@x>\r\n");
	text_add_string(&server, "220 mx\r\n250 Ok\r\n");
	for (uint32_t i = 0; i < count; i++) {
		char *name = long_line("", "", len + 1);

		text_add_format(&client, "RCPT TO:<%u", i);
		text_add(&client, (struct span){name, len});
		text_add_string(&client, "@y>\r\n");
		text_add_string(&server, "250 Ok\r\n");
		free(name);
	}
	text_add_string(&client, "DATA\r\n.\r\n");
	text_add_string(&server, "354 Go\r\n250 Queued\r\n");
	steps[0].bytes = (struct span){client.data, client.len};
	steps[1].bytes = (struct span){server.data, server.len};
	play(steps, true, 0, 0, played);
	text_free(&client);
	text_free(&server);
}

static void test_recipients(void **state)
{
	struct played played = {0};

	(void)state;
	play_recipients(600, 0, &played);
	assert_int_equal(played.count, 1);
	assert_non_null(strstr(played.lines.data, "<0@y>250 <1@y>250"));
	assert_non_null(strstr(played.lines.data, "<599@y>250 0 bytes 250 Queued\n"));
	played_free(&played);
	play_recipients(SMTP_RECIPIENTS_MAX, 0, &played);
	assert_non_null(strstr(played.lines.data, "<1999@y>250 0 bytes 250 Queued\n"));
	played_free(&played);
	play_recipients(SMTP_RECIPIENTS_MAX + 3, 0, &played);
	assert_non_null(strstr(played.lines.data, "<1999@y>250 0 bytes 3 dropped 250 Queued\n"));
	played_free(&played);
	play_recipients(300, 1000, &played); /* SMTP_ENVELOPE_MAX */
	assert_int_equal(played.count, 1);
	assert_non_null(strstr(played.lines.data, "dropped 250 Queued\n"));
	played_free(&played);
}

/*
 * `count` mails in one piece, none answered until all were sent, which is more than is kept behind
 * a DATA.
 */
static void play_unanswered(uint32_t count, uint32_t noops, bool answered, struct played *played)
{
	struct text client = {0}, server = {0};
	struct step steps[3] = {{.kind = STEP_CLIENT}, {.kind = STEP_SERVER}, END};

	text_add_string(&server, "220 mx\r\n");
	for (uint32_t i = 0; i < count; i++) {
		text_add_format(&client, "MAIL FROM:<%u@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n", i);
		for (size_t n = 0; !i && n < SMTP_BEHIND_MAX; n += 8)
			text_add_string(&client, "eight..\n");
		text_add_string(&client, "Hi\r\n.\r\n");
		text_add_string(&server, answered ? "250 A\r\n250 B\r\n354 Go\r\n250 Q\r\n" : "");
		for (uint32_t n = 0; n < noops; n++) {
			text_add_string(&client, "NOOP\r\n");
			text_add_string(&server, answered ? "250 N\r\n" : "");
		}
	}
	steps[0].bytes = (struct span){client.data, client.len};
	steps[1].bytes = (struct span){server.data, server.len};
	play(steps, true, 0, 0, played);
	text_free(&client);
	text_free(&server);
}

static uint32_t occurrences(const char *text, const char *word)
{
	uint32_t n = 0;

	for (const char *at = text; (at = strstr(at, word)); at++)
		n++;
	return n;
}

static void test_open_max(void **state)
{
	struct played played = {0};

	(void)state;
	play_unanswered(SMTP_OPEN_MAX, 0, true, &played);
	assert_int_equal(played.count, SMTP_OPEN_MAX);
	assert_int_equal(occurrences(played.lines.data, "data success"), SMTP_OPEN_MAX);
	played_free(&played);
	play_unanswered(300, 0, true, &played);
	assert_int_equal(played.count, 300);
	assert_int_equal(occurrences(played.lines.data, "data success"), SMTP_OPEN_MAX);
	assert_int_equal(occurrences(played.lines.data, "data unknown"), 300 - SMTP_OPEN_MAX);
	assert_int_equal(occurrences(played.lines.data, "replies missing"), 300 - SMTP_OPEN_MAX);
	assert_memory_equal(played.lines.data, "1 data unknown <0@x>", 20);
	played_free(&played);
}

static void test_expected_max(void **state)
{
	struct played played = {0};

	(void)state;
	play_unanswered(SMTP_OPEN_MAX, 13, true, &played);
	assert_int_equal(played.count, SMTP_OPEN_MAX);
	assert_int_equal(played.facts.expected_dropped, SMTP_OPEN_MAX * 17 - SMTP_EXPECTED_MAX);
	assert_int_equal(occurrences(played.lines.data, "replies missing"), SMTP_OPEN_MAX);
	played_free(&played);
	play_unanswered(2000, 0, false, &played);
	assert_int_equal(played.count, 2000);
	assert_int_equal(occurrences(played.lines.data, "data unknown"), 2000);
	played_free(&played);
}

/* ---- Without the server's side --------------------------------------------------------------- */

static void test_blind(void **state)
{
	static const struct step one[] = {C("EHLO me\r\n"), BLIND, END};
	static const struct step two[] = {
		C("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nHi\r\n.\r\n"),
		C("MAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\nBDAT 2 LAST\r\nHo"),
		C("MAIL FROM:<e@x>\r\nRCPT TO:<f@y>\r\n"),
		C("MAIL FROM:<g@x>\r\nRCPT TO:<h@y>\r\nRSET\r\n"), END};
	static const struct step tls[] = {C("EHLO me\r\nSTARTTLS\r\n"),
					  C("\x16\x03\x01MAIL FROM:<a@x>\r\n"), END};
	struct smtp_facts facts;

	(void)state;
	expect_with(one, false, BLIND_1);
	expect_with(
		two, false,
		"1 data unknown <a@x> <b@y>0 4 bytes 0 \n2 data unknown <c@x> <d@y>0 2 bytes 0 \n"
		"3 reset unknown <e@x> <f@y>0 0 bytes 0 \n4 reset unknown <g@x> <h@y>0 0 bytes 0 "
		"\n");
	facts = expect_with(tls, false, "");
	assert_true(facts.starttls);
}

/* What has ended goes out with the next command, not only at the end of the connection. */
static void test_blind_at_once(void **state)
{
	struct played played = {0};
	struct smtp_session *session = smtp_session_new(false, played_take, &played);

	(void)state;
	smtp_client_data(session,
			 span_of("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nHi\r\n.\r\n"), 1);
	assert_int_equal(played.count, 0);
	smtp_client_data(session, span_of("NOOP\r\n"), 2);
	assert_int_equal(played.count, 1);
	smtp_session_free(session);
	played_free(&played);
}

/* ---- Positions and times --------------------------------------------------------------------- */

static struct smtp_transaction *kept;

static void keep_it(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	assert_null(kept);
	kept = transaction;
}

static void drop_it(void)
{
	smtp_transaction_free(kept);
	kept = NULL;
}

static void test_positions(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);

	(void)state;
	assert_int_equal(smtp_client_position(session), 0);
	assert_true(smtp_oldest_open_position(session) == UINT64_MAX);
	smtp_client_data(session, span_of("EHLO me\r\n"), 10);	       /* 9 */
	smtp_client_data(session, span_of("MAIL FROM:<a@x>\r\n"), 20); /* 26 */
	assert_int_equal(smtp_oldest_open_position(session), 9);
	smtp_client_data(session, span_of("RCPT TO:<b@y>\r\nDATA\r\n"), 30); /* 47 */
	smtp_client_data(session, span_of("Hi\r\n"), 40);		     /* 51 */
	smtp_client_gap(session, 100, 45);				     /* 151 */
	smtp_client_data(session, span_of("x\r\n.\r\nQUIT\r\n"), 50);	     /* 157, 163 */
	assert_int_equal(smtp_client_position(session), 163);
	assert_int_equal(smtp_oldest_open_position(session), 9);
	smtp_server_data(session, span_of("220 mx\r\n250 mx\r\n250 A\r\n250 B\r\n354 Go\r\n"), 60);
	assert_null(kept);
	smtp_server_data(session, span_of("250 Q\r\n"), 70);
	assert_non_null(kept);
	assert_int_equal(kept->start_pos, 9);
	assert_int_equal(kept->end_pos, 157);
	assert_int_equal(kept->start_ns, 20);
	assert_int_equal(kept->end_ns, 70);
	assert_int_equal(kept->missing_bytes, 100);
	assert_true(kept->data_started);
	assert_true(smtp_oldest_open_position(session) == UINT64_MAX);
	drop_it();
	smtp_client_data(session, span_of("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"), 80); /* 195 */
	smtp_client_data(session, span_of("RSET\r\n"), 90);
	smtp_server_data(session, span_of("221 Bye\r\n250 A\r\n550 B\r\n"), 95);
	assert_null(kept); /* the RSET may be refused */
	smtp_server_data(session, span_of("250 Reset\r\n"), 97);
	assert_non_null(kept);
	assert_int_equal(kept->start_pos, 163);
	assert_int_equal(kept->end_pos, 195);
	assert_int_equal(kept->end, SMTP_END_RESET);
	assert_false(kept->data_started);
	drop_it();
	smtp_session_free(session);
}

static void test_freed_unclosed(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);

	(void)state;
	smtp_client_data(session,
			 span_of("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nMAIL FROM:<c@x>\r\nRCPT"), 1);
	smtp_session_free(session);
	assert_null(kept);
	smtp_session_free(NULL);
	smtp_transaction_free(NULL);
}

/* ---- Masking --------------------------------------------------------------------------------- */

/*
 * Plays as the recorder does: masks a copy of each piece, then feeds the original. Returns what it
 * kept.
 */
static struct text play_masked(const struct step *steps, size_t size, size_t cut)
{
	struct played played = {0};
	struct smtp_session *session = smtp_session_new(true, played_take, &played);
	struct text recorded = {0};
	size_t at = 0;

	for (const struct step *step = steps; step->kind != STEP_END; step++) {
		struct span rest = step->bytes;

		if (step->kind == STEP_CLIENT_GAP)
			smtp_client_gap(session, step->gap, 1);
		while (rest.len) {
			size_t len = size && size < rest.len ? size : rest.len,
			       before = recorded.len;

			if (at < cut && cut < at + len)
				len = cut - at;
			if (step->kind == STEP_CLIENT) {
				text_add(&recorded, (struct span){rest.data, len});
				smtp_mask_secrets(session, recorded.data + before, len, true);
			}
			feed_exact(session, step, (struct span){rest.data, len}, 1);
			at += len;
			rest.data += len;
			rest.len -= len;
		}
	}
	smtp_session_free(session);
	played_free(&played);
	return recorded;
}

static void expect_masked_once(const struct step *steps, size_t size, size_t cut,
			       const char *expected)
{
	struct text recorded = play_masked(steps, size, cut);

	assert_string_equal(recorded.data, expected);
	text_free(&recorded);
}

/* In one piece the users' names are with_user; in a line that came in two, nothing is. */
static void expect_masked_user(const struct step *steps, const char *with_user,
			       const char *expected)
{
	expect_masked_once(steps, 0, 0, with_user);
	expect_masked_once(steps, 1, 0, expected);
	for (size_t cut = 1; cut < 400; cut++) {
		struct text recorded = play_masked(steps, 0, cut);
		size_t as_kept = 0, masked = 0;

		assert_int_equal(recorded.len, strlen(with_user));
		for (size_t i = 0; i < recorded.len; i++) {
			as_kept += recorded.data[i] == with_user[i];
			masked += recorded.data[i] == with_user[i] || recorded.data[i] == '*';
		}
		assert_int_equal(masked, recorded.len);
		assert_true(as_kept == recorded.len || strstr(recorded.data, "**"));
		text_free(&recorded);
	}
}

static void expect_masked(const struct step *steps, const char *expected)
{
	expect_masked_user(steps, expected, expected);
}

/* Lower-case letters are the secret here: none of them may be kept, in whatever pieces it came. */
static void expect_no_secret(const struct step *steps, size_t size, size_t cut)
{
	struct text recorded = play_masked(steps, size, cut);

	for (size_t i = 0; i < recorded.len; i++)
		assert_false(recorded.data[i] >= 'a' && recorded.data[i] <= 'z');
	text_free(&recorded);
}

#define HEAD "EHLO me.example\r\n"
#define TAIL                                                                                       \
	"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: AUTH PLAIN "                         \
	"c2VjcmV0\r\n\r\nc2VjcmV0\r\n.\r\nQUIT\r\n"
#define MAIL_TAIL                                                                                  \
	MAIL_A, RCPT_B, DATA, C("Subject: AUTH PLAIN c2VjcmV0\r\n\r\nc2VjcmV0\r\n.\r\n"),          \
		S("250 Queued\r\n"), QUIT

static void test_mask(void **state)
{
	static const struct step plain[] = {HELLO, C("AUTH PLAIN AGFAeABzZWNyZXQ=\r\n"),
					    S("235 Ok\r\n"), MAIL_TAIL, END};
	static const struct step blanks[] = {HELLO, C(" auth\tPLAIN  AGFAeABzZWNyZXQ=\r\n"),
					     S("235 Ok\r\n"), MAIL_TAIL, END};
	static const struct step login[] = {HELLO,
					    C("AUTH LOGIN\r\n"),
					    S("334 VXNlcm5hbWU6\r\n"),
					    C("dXNlcg==\r\n"),
					    S("334 UGFzc3dvcmQ6\r\n"),
					    C("c2VjcmV0\r\n"),
					    S("235 Ok\r\n"),
					    MAIL_TAIL,
					    END};
	static const struct step command_like[] = {HELLO,
						   C("AUTH LOGIN\r\n"),
						   S("334 VXNlcm5hbWU6\r\n"),
						   C("QUITQUIT\r\n"),
						   S("334 UGFzc3dvcmQ6\r\n"),
						   C("rset\n"),
						   S("235 Ok\r\n"),
						   MAIL_TAIL,
						   END};
	static const struct step none[] = {HELLO, C("AUTHOR x\r\n"), S("500 No\r\n"), MAIL_TAIL,
					   END};

	(void)state;
	/* "\0a@x\0******" */
	expect_masked_user(plain, HEAD "AUTH PLAIN AGFAeAAqKioqKio=\r\n" TAIL,
			   HEAD "AUTH PLAIN ****************\r\n" TAIL);
	expect_masked_user(blanks, HEAD " auth\tPLAIN  AGFAeAAqKioqKio=\r\n" TAIL,
			   HEAD " auth\tPLAIN  ****************\r\n" TAIL);
	expect_masked_user(login, HEAD "AUTH LOGIN\r\ndXNlcg==\r\n********\r\n" TAIL,
			   HEAD "AUTH LOGIN\r\n********\r\n********\r\n" TAIL);
	expect_masked_user(command_like, HEAD "AUTH LOGIN\r\nQUITQUIT\r\n****\n" TAIL,
			   HEAD "AUTH LOGIN\r\n********\r\n****\n" TAIL);
	expect_masked(none, HEAD "AUTHOR x\r\n" TAIL);
}

static void test_mask_pipelined(void **state)
{
	static const char *const auths[] = {"AUTH LOGIN\r\nsecret\r\nsecret\r\n",
					    " AUTH LOGIN\r\nsecret\r\nsecret\r\n",
					    "AUTH\tLOGIN\nsecret\nsecret\n",
					    "AUTH PLAIN secret\r\nMAIL FROM:<A@X>\r\n",
					    "AUTH XOAUTH2\r\nsecret",
					    "AUTH\r\nsecret\r\n",
					    "AUTH PLAIN\r\nquitrset\r\n",
					    "AUTH PLAIN secret\r\nQUIT\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		struct step steps[] = {C("EHLO ME\r\n"),
				       S("220 mx\r\n250 mx\r\n"),
				       {.kind = STEP_CLIENT, .bytes = span_of(auths[i])},
				       END};

		expect_no_secret(steps, 0, 0);
		expect_no_secret(steps, 1, 0);
		for (size_t cut = 1; cut < 80; cut++)
			expect_no_secret(steps, 0, cut);
	}
}

/* A message is kept as it is, whatever it looks like, once the server has taken its DATA. */
static void test_mask_message(void **state)
{
	static const struct step steps[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    C("AUTH PLAIN x\r\nsecret\r\n.\r\n"),
					    S("250 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    C("BDAT 19 LAST\r\nAUTH LOGIN\r\nsecret\nQUIT\r\n"),
					    END};

	(void)state;
	expect_masked(steps, HEAD
		      "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nAUTH PLAIN x\r\nsecret\r\n.\r\n"
		      "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"
		      "BDAT 19 LAST\r\nAUTH LOGIN\r\nsecret\nQUIT\r\n");
}

static void test_mask_whole_session(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);
	char text[] = "EHLO me\r\nAUTH PLAIN secret\r\nMAIL FROM:<a@x>\r\nQUIT\r\n";

	(void)state;
	smtp_mask_secrets(session, text, sizeof(text) - 1, true);
	assert_string_equal(text, "EHLO me\r\nAUTH PLAIN ******\r\nMAIL FROM:<a@x>\r\nQUIT\r\n");
	smtp_mask_secrets(session, text, 0, true);
	smtp_session_free(session);
}

static void test_mask_after_gap(void **state)
{
	static const struct step initial[] = {C("EHLO ME\r\n"), C("AUTH PLAIN sec"), C_GAP(3),
					      C("secret\r\n"), END};
	static const struct step answer[] = {
		S("220 mx\r\n"), C("AUTH LOGIN\r\n"), S("334 x\r\n"),  C("sec"), C_GAP(3),
		C("secret\r\n"), S("334 x\r\n"),      C("secret\r\n"), END};
	static const struct step lost[] = {S("220 mx\r\n"), C("AUTH LOGIN\r\n"),
					   C_GAP(3),	    S("334 x\r\n"),
					   C("ret\r\n"),    S("334 x\r\n"),
					   C("secret\r\n"), END};

	(void)state;
	for (size_t size = 0; size < 3; size++) {
		expect_no_secret(initial, size, 0);
		expect_no_secret(answer, size, 0);
		expect_no_secret(lost, size, 0);
	}
}

static void test_mask_long_line(void **state)
{
	char *line = long_line("AUTH PLAIN ", "\r\n", 3 * SMTP_LINE_MAX);
	struct step steps[] = {{.kind = STEP_CLIENT, .bytes = {line, 3 * SMTP_LINE_MAX}}, END};

	(void)state;
	expect_no_secret(steps, 0, 0);
	expect_no_secret(steps, 1000, 0);
	expect_no_secret(steps, SMTP_LINE_MAX, 0);
	expect_no_secret(steps, 1, 0);
	free(line);
}

/* What is not the next thing in the stream is masked by what it could be. */
static void test_mask_out_of_order(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);
	char answer[] = "c2VjcmV0\r\n", initial[] = "NOOP\r\nAUTH PLAIN c2VjcmV0\r\n",
	     tail[] = "LAIN c2VjcmV0\r\n";
	char first[] = "LAIN c2VjcmV0\r\nunknown\r\n", commands[] = "DATA\r\n.\r\nQUIT\r\n";

	(void)state;
	smtp_server_data(session, span_of("220 mx\r\n"), 1);
	smtp_mask_secrets(session, initial, sizeof(initial) - 1, false);
	assert_string_equal(initial, "NOOP\r\nAUTH PLAIN ********\r\n");
	smtp_client_data(session, span_of("AUTH LOGIN\r\n"), 1);
	smtp_mask_secrets(session, answer, sizeof(answer) - 1, false);
	assert_string_equal(answer, "********\r\n");
	smtp_mask_secrets(session, tail, sizeof(tail) - 1, false);
	assert_string_equal(tail, "*************\r\n");
	smtp_server_data(session, span_of("504 No\r\n"), 1);
	smtp_mask_secrets(session, first, sizeof(first) - 1, false);
	assert_string_equal(first, "*************\r\nunknown\r\n");
	smtp_mask_secrets(session, commands, sizeof(commands) - 1, false);
	assert_string_equal(commands, "DATA\r\n.\r\nQUIT\r\n");
	smtp_session_free(session);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_greetings),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_refused_greeting),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_no_forms),
		cmocka_unit_test(test_junk_before),
		cmocka_unit_test(test_long_parameter),
		cmocka_unit_test(test_too_long_line),
		cmocka_unit_test(test_long_word),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_data_refused),
		cmocka_unit_test(test_unknown_data),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_second_mail),
		cmocka_unit_test(test_bdat_unknown),
		cmocka_unit_test(test_mid_stream),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_malformed_bdat),
		cmocka_unit_test(test_lmtp),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_auth_blind),
		cmocka_unit_test(test_starttls),
		cmocka_unit_test(test_client_gaps),
		cmocka_unit_test(test_gap_in_answer),
		cmocka_unit_test(test_gap_of_commands),
		cmocka_unit_test(test_server_gaps),
		cmocka_unit_test(test_long_reply),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_open_max),
		cmocka_unit_test(test_expected_max),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_blind_at_once),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_freed_unclosed),
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_mask_pipelined),
		cmocka_unit_test(test_mask_message),
		cmocka_unit_test(test_mask_whole_session),
		cmocka_unit_test(test_mask_after_gap),
		cmocka_unit_test(test_mask_long_line),
		cmocka_unit_test(test_mask_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
