/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways to make this parser lose the place that the server is at: each conversation is one that a real server (Postfix,
 * Exim) takes a mail in. It must be told, as what it is where that can be known, else as incomplete.
 */
#include "conversation.h"

#include <stdio.h>
#include <string.h>

#define HELLO	   S("220 mx ESMTP\r\n"), C("EHLO me.example\r\n"), S("250-mx\r\n250 PIPELINING\r\n")
#define MAIL_E	   C("MAIL FROM:<evil@x>\r\n"), S("250 Ok\r\n")
#define RCPT_V	   C("RCPT TO:<v@y>\r\n"), S("250 Ok\r\n")
#define DATA_V	   C("DATA\r\n"), S("354 Go\r\n"), C("Subject: x\r\n\r\nHi\r\n.\r\n"), S("250 Queued\r\n")
#define QUIT	   C("QUIT\r\n"), S("221 Bye\r\n")
#define EVIL	   "1 data success <evil@x> <v@y>250 18 bytes 250 Queued\n"
#define BLIND_V	   C("RCPT TO:<v@y>\r\n"), C("DATA\r\n"), C("Subject: x\r\n\r\nHi\r\n.\r\n"), C("QUIT\r\n")
#define STEPS(...) ((const struct step[]){__VA_ARGS__, END})

static void same(const struct played *expected, const struct step *steps, bool replies, size_t size,
		 size_t cut)
{
	struct played played = {0};

	play(steps, replies, size, cut, &played);
	assert_string_equal(expected->lines.data ? expected->lines.data : "",
			    played.lines.data ? played.lines.data : "");
	assert_string_equal(expected->details.data ? expected->details.data : "",
			    played.details.data ? played.details.data : "");
	played_free(&played);
}

/* In every segmentation the same. */
static struct smtp_facts expect_with(const struct step *steps, bool replies, const char *lines)
{
	struct played whole = {0};
	struct smtp_facts facts;
	size_t len = 0;

	for (const struct step *step = steps; step->kind != STEP_END; step++)
		len += step->bytes.len;
	play(steps, replies, 0, 0, &whole);
	assert_string_equal(whole.lines.data ? whole.lines.data : "", lines);
	same(&whole, steps, replies, 1, 0);
	same(&whole, steps, replies, 7, 0);
	for (size_t cut = 1; cut < len; cut += len / 400 + 1)
		same(&whole, steps, replies, 0, cut);
	facts = whole.facts;
	played_free(&whole);
	return facts;
}

static struct smtp_facts expect(const struct step *steps, const char *lines)
{
	return expect_with(steps, true, lines);
}

/* A line that is to be found in what is told, and nothing of what was told of this address is complete. */
static void expect_doubtful(const struct step *steps, bool replies, const char *address)
{
	struct played played = {0};
	const char *line;

	play(steps, replies, 0, 0, &played);
	assert_non_null(played.lines.data);
	line = strstr(played.lines.data, address);
	assert_non_null(line);
	assert_non_null(strstr(line, "replies missing"));
	played_free(&played);
}

/* ---- Commands that end a transaction, and were refused ------------------------------------------ */

static void test_refused_end(void **state)
{
	static const struct {
		const char *command, *reply;
	} ends[] = {
		{"RSET x\r\n", "501 Syntax\r\n"},	   {"STARTTLS\r\n", "502 Not here\r\n"},
		{"STARTTLS\r\n", "503 Not now\r\n"},	   {"LHLO x\r\n", "500 What\r\n"},
		{"EHLO \x0b\r\n", "501 Syntax\r\n"},	   {"EHLO @@@\r\n", "501 Syntax\r\n"},
		{"QUIT x\r\n", "501 Syntax\r\n"},	   {"HELO\r\n", "501 Syntax\r\n"},
		{"MAIL FROM:<c@x>\r\n", "503 Nested\r\n"}, {"RSET\r\n", "421 Busy\r\n"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		struct step end = {.kind = STEP_CLIENT, .bytes = span_of(ends[i].command)};
		struct step reply = {.kind = STEP_SERVER, .bytes = span_of(ends[i].reply)};
		char at_once[200], replies[200];
		struct smtp_facts facts;

		facts = expect(STEPS(HELLO, MAIL_E, end, reply, RCPT_V, DATA_V, QUIT), EVIL);
		assert_int_equal(facts.protocol, SMTP_PROTOCOL_ESMTP);
		assert_int_equal(facts.helo_len, 10);
		/* Pipelined: the reply comes when more has been sent. */
		snprintf(at_once, sizeof(at_once), "MAIL FROM:<evil@x>\r\n%sRCPT TO:<v@y>\r\n",
			 ends[i].command);
		snprintf(replies, sizeof(replies), "250 Ok\r\n%s250 Ok\r\n", ends[i].reply);
		expect(STEPS(HELLO, {.kind = STEP_CLIENT, .bytes = span_of(at_once)},
			     {.kind = STEP_SERVER, .bytes = span_of(replies)}, DATA_V, QUIT),
		       EVIL);
		/* Between two recipients. */
		expect(STEPS(HELLO, MAIL_E, RCPT_V, end, reply, RCPT_V, DATA_V, QUIT),
		       "1 data success <evil@x> <v@y>250 <v@y>250 18 bytes 250 Queued\n");
	}
}

/* Several of them in a row, each answered in its own way. */
static void test_refused_ends(void **state)
{
	(void)state;
	expect(STEPS(HELLO, C("MAIL FROM:<evil@x>\r\nRSET x\r\nQUIT x\r\nRCPT TO:<v@y>\r\nRSET y\r\n"),
		     S("250 Ok\r\n501 No\r\n501 No\r\n250 Ok\r\n501 No\r\n"), DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRSET x\r\nRSET\r\nMAIL FROM:<evil@x>\r\n"),
		     S("250 Ok\r\n250 Ok\r\n501 No\r\n250 Ok\r\n250 Ok\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	expect(STEPS(HELLO, C("MAIL FROM:<evil@x>\r\nRSET x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("250 Ok\r\n501 No\r\n503 Nested\r\n250 Ok\r\n"), DATA_V, QUIT),
	       EVIL);
	/* Taken: what follows without a MAIL is refused, and nothing. */
	expect(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRSET\r\nRCPT TO:<v@y>\r\n"),
		     S("250 Ok\r\n250 Ok\r\n250 Ok\r\n503 MAIL first\r\n"), MAIL_E, RCPT_V, DATA_V, QUIT),
	       "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	/* Never answered: what it did is not known. */
	expect_doubtful(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRSET x\r\nRCPT TO:<v@y>\r\n"), S("250 Ok\r\n")),
			true, "<v@y>");
}

/* ---- What a server takes without a MAIL that was seen --------------------------------------------- */

static void test_no_mail(void **state)
{
	(void)state;
	expect(STEPS(HELLO, C("XMAIL FROM:<evil@x>\r\n"), S("250 Ok\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 data success <?> <v@y>250 18 bytes replies missing 250 Queued\n");
	expect(STEPS(HELLO, C("MAIL FROM:<a@x>\r\n"), S("503 Nested\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 data success <a@x> <v@y>250 18 bytes replies missing 250 Queued\n");
	expect(STEPS(HELLO, C("XMAIL FROM:<evil@x>\r\n"), S("250 Ok\r\n"), C("XRCPT TO:<v@y>\r\n"),
		     S("250 Ok\r\n"), DATA_V, QUIT),
	       "1 data success <?> 18 bytes replies missing 250 Queued\n");
	expect(STEPS(HELLO, MAIL_E, C("XRCPT TO:<v@y>\r\n"), S("250 Ok\r\n"), DATA_V, QUIT),
	       "1 data success <evil@x> 18 bytes replies missing 250 Queued\n");
	expect(STEPS(HELLO, C("XMAIL FROM:<evil@x>\r\n"), S("250 Ok\r\n"), RCPT_V, QUIT),
	       "1 close unknown <?> <v@y>250 0 bytes replies missing 250 Ok\n");
	/* Refused: there was none. */
	expect(STEPS(HELLO, C("RCPT TO:<v@y>\r\n"), S("503 No\r\n"), C("DATA\r\n"), S("503 No\r\n"), MAIL_E,
		     RCPT_V, DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO, MAIL_E, C("DATA\r\n"), S("503 No\r\n"), QUIT), "");
}

static void test_blind(void **state)
{
	static const char *const bad[] = {"RSET x\r\n", "QUIT x\r\n", "DATA x\r\n", "STARTTLS x\r\n",
					  "X\r\n"};
	static const char *const ends[] = {"RSET\r\n", "EHLO \x0b\r\n", "LHLO x\r\n", "EHLO @@@\r\n",
					   "STARTTLS\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_with(STEPS(C("EHLO me\r\n"), C("MAIL FROM:<evil@x>\r\n"),
				  {.kind = STEP_CLIENT, .bytes = span_of(bad[i])}, BLIND_V),
			    false, "1 data unknown <evil@x> <v@y>0 18 bytes 0 \n");
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		expect_with(STEPS(C("EHLO me\r\n"), C("MAIL FROM:<evil@x>\r\n"),
				  {.kind = STEP_CLIENT, .bytes = span_of(ends[i])}, BLIND_V),
			    false, "1 data unknown <?> <v@y>0 18 bytes replies missing 0 \n");
}

/* ---- Two MAILs -------------------------------------------------------------------------------- */

static void test_second_mail(void **state)
{
	static const struct step bad_first[] = {
		HELLO,
		C("MAIL FROM:<a@x> BOGUS=1\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"),
		S("555 Bogus\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n"),
		C("Subject: x\r\n\r\nHi\r\n.\r\n"),
		S("250 Queued\r\n"),
		QUIT,
		END};
	static const struct step bad_second[] = {
		HELLO,
		C("MAIL FROM:<evil@x>\r\nMAIL FROM:<a@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"),
		S("250 Ok\r\n503 Nested\r\n250 Ok\r\n354 Go\r\n"),
		C("Subject: x\r\n\r\nHi\r\n.\r\n"),
		S("250 Queued\r\n"),
		QUIT,
		END};

	(void)state;
	expect(bad_first, EVIL);
	expect(bad_second, EVIL);
	/* Without replies, the one that is named may be the wrong one: that is said. */
	expect_with(STEPS(C("EHLO me\r\n"), C("MAIL FROM:<evil@x>\r\nMAIL FROM:<a@x>\r\n"), BLIND_V), false,
		    "1 data unknown <a@x> <v@y>0 18 bytes replies missing 0 \n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_end), cmocka_unit_test(test_refused_ends),
		cmocka_unit_test(test_no_mail),	    cmocka_unit_test(test_blind),
		cmocka_unit_test(test_second_mail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
