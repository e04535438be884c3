/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways to make this parser and the server disagree about the state of the session. In each
 * conversation a real server (Postfix, Exim) accepts a mail. That mail must be reported: as it is
 * if that can be known, else as incomplete.
 */
#include "conversation.h"

#include <stdio.h>
#include <string.h>

#define HELLO  S("220 mx ESMTP\r\n"), C("EHLO me.example\r\n"), S("250-mx\r\n250 PIPELINING\r\n")
#define MAIL_E C("MAIL FROM:<evil@x>\r\n"), S("250 Ok\r\n")
#define RCPT_V C("RCPT TO:<v@y>\r\n"), S("250 Ok\r\n")
#define DATA_V                                                                                     \
	C("DATA\r\n"), S("354 Go\r\n"), C("Subject: x\r\n\r\nHi\r\n.\r\n"), S("250 Queued\r\n")
#define QUIT C("QUIT\r\n"), S("221 Bye\r\n")
#define EVIL "1 data success <evil@x> <v@y>250 18 bytes 250 Queued\n"
#define BLIND_V                                                                                    \
	C("RCPT TO:<v@y>\r\n"), C("DATA\r\n"), C("Subject: x\r\n\r\nHi\r\n.\r\n"), C("QUIT\r\n")
#define STEPS(...) ((const struct step[]){__VA_ARGS__, END})

static struct smtp_facts expect(const struct step *steps, const char *lines)
{
	return expect_with(steps, true, lines);
}

/* Expects a reported transaction with this text, and that it is marked as incomplete. */
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

/* ---- Commands that end a transaction, and were refused --------------------------------------- */

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
		/* Pipelined: the reply comes after the next command. */
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

/* Several such commands in a row, each with a reply of its own. */
static void test_refused_ends(void **state)
{
	(void)state;
	expect(STEPS(HELLO,
		     C("MAIL FROM:<evil@x>\r\nRSET x\r\nQUIT x\r\nRCPT TO:<v@y>\r\nRSET y\r\n"),
		     S("250 Ok\r\n501 No\r\n501 No\r\n250 Ok\r\n501 No\r\n"), DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO,
		     C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRSET x\r\nRSET\r\nMAIL "
		       "FROM:<evil@x>\r\n"),
		     S("250 Ok\r\n250 Ok\r\n501 No\r\n250 Ok\r\n250 Ok\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	expect(STEPS(HELLO,
		     C("MAIL FROM:<evil@x>\r\nRSET x\r\nMAIL FROM:<a@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("250 Ok\r\n501 No\r\n503 Nested\r\n250 Ok\r\n"), DATA_V, QUIT),
	       EVIL);
	/*
	 * The RSET is accepted: the server refuses the RCPT without a MAIL, which opens no
	 * transaction.
	 */
	expect(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRSET\r\nRCPT TO:<v@y>\r\n"),
		     S("250 Ok\r\n250 Ok\r\n250 Ok\r\n503 MAIL first\r\n"), MAIL_E, RCPT_V, DATA_V,
		     QUIT),
	       "1 reset unknown <a@x> <b@y>250 0 bytes 250 Ok\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	/* Never answered: its effect is unknown. */
	expect_doubtful(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRSET x\r\nRCPT TO:<v@y>\r\n"),
			      S("250 Ok\r\n")),
			true, "<v@y>");
}

/* ---- What a server takes without a MAIL that was seen ---------------------------------------- */

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
	/* Refused: there was no MAIL. */
	expect(STEPS(HELLO, C("RCPT TO:<v@y>\r\n"), S("503 No\r\n"), C("DATA\r\n"), S("503 No\r\n"),
		     MAIL_E, RCPT_V, DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO, MAIL_E, C("DATA\r\n"), S("503 No\r\n"), QUIT), "");
}

static void test_blind(void **state)
{
	static const char *const bad[] = {"RSET x\r\n", "QUIT x\r\n", "DATA x\r\n",
					  "STARTTLS x\r\n", "X\r\n"};
	static const char *const ends[] = {"RSET\r\n", "EHLO \x0b\r\n", "LHLO x\r\n",
					   "EHLO @@@\r\n", "STARTTLS\r\n"};

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

/* ---- Two MAILs ------------------------------------------------------------------------------- */

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
	/*
	 * Without replies, the reported MAIL may be the wrong one, so the transaction is
	 * incomplete.
	 */
	expect_with(STEPS(C("EHLO me\r\n"), C("MAIL FROM:<evil@x>\r\nMAIL FROM:<a@x>\r\n"),
			  BLIND_V),
		    false, "1 data unknown <a@x> <v@y>0 18 bytes replies missing 0 \n");
}

/* ---- What is sent behind a DATA -------------------------------------------------------------- */

#define BODY C("Subject: x\r\n\r\nHi\r\n.\r\n"), S("250 Queued\r\n")

static void test_refused_data(void **state)
{
	(void)state;
	expect(STEPS(HELLO, C("DATA\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"),
		     S("503 No\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n"), BODY, QUIT),
	       EVIL);
	expect(STEPS(HELLO,
		     C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nRSET\r\nMAIL FROM:<evil@x>\r\n"
		       "RCPT TO:<v@y>\r\nDATA\r\n"),
		     S("250 Ok\r\n550 No\r\n554 No\r\n250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n"),
		     BODY, QUIT),
	       "1 reset failure <a@x> <b@y>550! 0 bytes 550 No\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	/* Several refused DATA, then the mail. */
	expect(STEPS(HELLO,
		     C("DATA\r\nDATA\r\nDATA\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"
		       "Subject: x\r\n\r\nHi\r\n.\r\nQUIT\r\n"),
		     S("503 No\r\n503 No\r\n503 No\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n250 "
		       "Queued\r\n221 "
		       "Bye\r\n")),
	       EVIL);
	/* In the pieces of a client that does not wait. */
	expect(STEPS(HELLO, C("DATA\r\nMAIL FROM:<ev"), C("il@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("503 No\r\n"), C("DATA\r\n"), S("250 Ok\r\n250 Ok\r\n354 Go\r\n"), BODY,
		     QUIT),
	       EVIL);
	/* Never answered: this is a message as far as anybody can know. */
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("DATA\r\nMAIL FROM:<a@x>\r\n.\r\nQUIT\r\n")),
	       "1 data unknown <evil@x> <v@y>250 17 bytes 250 Ok\n");
}

/* Without replies, a DATA without recipients is read as the server reads it: refused. */
static void test_refused_data_blind(void **state)
{
	(void)state;
	expect_with(STEPS(C("EHLO me\r\n"), C("DATA\r\nMAIL FROM:<evil@x>\r\n"), BLIND_V), false,
		    "1 reset unknown <?> 0 bytes replies missing 0 \n"
		    "2 data unknown <evil@x> <v@y>0 18 bytes replies missing 0 \n");
	expect_doubtful(STEPS(C("EHLO me\r\n"), C("BDAT 999999999\r\nMAIL FROM:<evil@x>\r\n"),
			      BLIND_V),
			false, "<evil@x> <v@y>");
}

/*
 * More bytes than are kept behind a DATA: the session reports surplus replies, and its transactions
 * are incomplete.
 */
static void test_refused_data_bound(void **state)
{
	static const char *const behind[] = {"503 No\r\n", "503 No\r\n250 Ok\r\n250 Ok\r\n"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct played played = {0};
		struct text client = {0};

		text_add_string(&client, "DATA\r\n");
		for (size_t n = 0; n < SMTP_BEHIND_MAX; n += 8)
			text_add_string(&client, "NOOP x\r\n");
		text_add_string(&client, "MAIL FROM:<b@x>\r\n");
		play(STEPS(HELLO, {.kind = STEP_CLIENT, .bytes = {client.data, client.len}},
			   {.kind = STEP_SERVER, .bytes = span_of(behind[i])}, MAIL_E, RCPT_V,
			   DATA_V),
		     true, 1000, 0, &played);
		assert_true(played.facts.replies_surplus > 0);
		assert_int_equal(played.count, 2);
		assert_non_null(strstr(played.lines.data, "1 reset unknown <?>"));
		assert_non_null(
			strstr(played.lines.data, "<evil@x> <v@y>250 18 bytes replies missing"));
		played_free(&played);
		text_free(&client);
	}
}

static struct smtp_transaction *kept;

static void keep_it(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	assert_null(kept);
	kept = transaction;
}

static void test_positions(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);

	(void)state;
	smtp_client_data(session, span_of("EHLO me\r\nDATA\r\n"), 10);	     /* 15 */
	smtp_client_data(session, span_of("MAIL FROM:<evil@x>\r\n"), 20);    /* 35 */
	smtp_client_data(session, span_of("RCPT TO:<v@y>\r\nDATA\r\n"), 30); /* 56 */
	smtp_client_data(session, span_of("Hi\r\n.\r\nQU"), 40);	     /* 65 */
	assert_int_equal(smtp_client_position(session), 65);
	smtp_server_data(session, span_of("220 mx\r\n250 mx\r\n503 No\r\n"), 50);
	assert_int_equal(smtp_client_position(session), 65);
	assert_int_equal(smtp_oldest_open_position(session), 15);
	smtp_server_data(session, span_of("250 A\r\n250 B\r\n354 Go\r\n"), 60);
	assert_null(kept);
	smtp_client_data(session, span_of("IT\r\n"), 70);
	assert_int_equal(smtp_client_position(session), 69);
	smtp_server_data(session, span_of("250 Q\r\n"), 80);
	assert_non_null(kept);
	assert_int_equal(kept->start_pos, 15);
	assert_int_equal(kept->end_pos, 63);
	assert_int_equal(kept->bytes, 4);
	assert_int_equal(kept->end_ns, 80);
	smtp_transaction_free(kept);
	kept = NULL;
	smtp_session_free(session);
}

/* Secrets behind a DATA or BDAT are masked, in every segmentation. */
static void test_mask_behind(void **state)
{
	static const char *const texts[] = {"DATA\r\nAUTH LOGIN\r\nsecret\r\nsecret\r\n",
					    "BDAT 100\r\nAUTH PLAIN secret\r\n",
					    "BDAT 5 LAST\r\nHELLOAUTH LOGIN\r\nsecret\r\n",
					    "DATA\r\nX\r\n.\r\nAUTH PLAIN\r\nsecret\r\nQUIT\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		size_t len = strlen(texts[i]);

		for (size_t cut = 0; cut <= 2 * len; cut++) {
			struct smtp_session *session = smtp_session_new(true, keep_it, NULL);
			size_t first = cut <= len ? cut : 0, step = cut <= len ? len : cut - len;
			char copy[100];

			memcpy(copy, texts[i], len + 1);
			for (size_t at = 0; at < len;) {
				size_t n = at < first ? first : step;

				n = n < len - at ? n : len - at;
				smtp_mask_secrets(session, copy + at, n, true);
				smtp_client_data(session, (struct span){texts[i] + at, n}, 1);
				at += n;
			}
			for (size_t at = 0; at < len; at++)
				assert_false(copy[at] >= 'a' && copy[at] <= 'z');
			smtp_session_free(session);
		}
	}
}

/* ---- BDAT ------------------------------------------------------------------------------------ */

static void test_refused_bdat(void **state)
{
	struct smtp_facts facts;

	(void)state;
	/* BDAT is not offered after HELO: the chunk never comes. */
	facts = expect(STEPS(S("220 mx\r\n"), C("HELO me\r\n"), S("250 mx\r\n"),
			     C("BDAT 999999999\r\n"), S("503 No\r\n"), MAIL_E, RCPT_V, DATA_V,
			     QUIT),
		       EVIL);
	assert_int_equal(facts.replies_surplus, 0);
	expect(STEPS(HELLO, C("BDAT 999999999\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"),
		     S("503 No\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n"), BODY, QUIT),
	       EVIL);
	/* Refused at once or after the whole chunk: a command begins behind the chunk. */
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("BDAT 9 LAST\r\nSubject: "), S("554 No\r\n"), MAIL_E,
		     RCPT_V, DATA_V, QUIT),
	       "1 data failure <evil@x> <v@y>250 9 bytes 554 No\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	expect(STEPS(HELLO, C("BDAT 9 LAST\r\nSubject: MAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("503 No\r\n250 Ok\r\n250 Ok\r\n"), DATA_V, QUIT),
	       EVIL);
	/* Answered before the whole chunk was sent: the server does not wait for the rest. */
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("BDAT 100 LAST\r\nHi"), S("250 Queued\r\n"),
		     C("MAIL FROM:<c@x>\r\n"), S("250 Ok\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 data success <evil@x> <v@y>250 2 bytes replies missing 250 Queued\n"
	       "2 data success <c@x> <v@y>250 18 bytes 250 Queued\n");
}

/* For 2^32 + 12, Exim reads 12 octets; for "18 x" it reads 18. */
static void test_odd_bdat(void **state)
{
	(void)state;
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("BDAT 4294967308 LAST\r\n123456789\r\n\n"),
		     S("250 Queued\r\n"), MAIL_E, RCPT_V, DATA_V, QUIT),
	       "1 data success <evil@x> <v@y>250 12 bytes replies missing 250 Queued\n"
	       "2 data success <evil@x> <v@y>250 18 bytes 250 Queued\n");
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("BDAT 18 x\r\nBDAT 99999999999\r\n"),
		     S("250 18 octets\r\n"), C("BDAT 0 LAST\r\n"), S("250 Queued\r\n"),
		     C("MAIL FROM:<c@x>\r\n"), S("250 Ok\r\n"), RCPT_V, DATA_V, QUIT),
	       "1 data success <evil@x> <v@y>250 18 bytes replies missing 250 Queued\n"
	       "2 data success <c@x> <v@y>250 18 bytes 250 Queued\n");
	expect(STEPS(HELLO, MAIL_E, C("BDAT 18 x\r\nRCPT TO:<v@y>\r\n"), S("501 No\r\n250 Ok\r\n"),
		     DATA_V, QUIT),
	       EVIL);
	/* Without replies. */
	expect_doubtful(STEPS(C("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 4294967308 "
				"LAST\r\nSubject: a\r\n"),
			      C("MAIL FROM:<evil@x>\r\n"), BLIND_V),
			false, "<a@x> <b@y>");
	expect_doubtful(STEPS(C("EHLO me\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nBDAT 18 "
				"x\r\nBDAT 99999999999\r\n"
				"BDAT 0 LAST\r\nQUIT\r\n")),
			false, "<evil@x> <v@y>");
	expect_doubtful(STEPS(C("EHLO me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 18 x\r\nBDAT "
				"99999999999\r\n"
				"BDAT 0 LAST\r\n"),
			      C("MAIL FROM:<evil@x>\r\n"), BLIND_V),
			false, "<a@x> <b@y>");
}

/* ---- TLS that is none ------------------------------------------------------------------------ */

static void test_no_tls(void **state)
{
	(void)state;
	expect(STEPS(HELLO, C("STARTTLS\r\n\x16\x03\x01junk\r\n"), S("503 No\r\n500 What\r\n"),
		     MAIL_E, RCPT_V, DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO, C("STARTTLS\r\n\x16junk\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("503 No\r\n500 What\r\n250 Ok\r\n250 Ok\r\n"), DATA_V, QUIT),
	       EVIL);
	expect_with(STEPS(C("EHLO me\r\n"), C("STARTTLS\r\n\x16\x03\x01junk\r\n"),
			  C("MAIL FROM:<evil@x>\r\n"), BLIND_V),
		    false, "1 data unknown <evil@x> <v@y>0 18 bytes replies missing 0 \n");
	/* An encrypted session gives no transaction. */
	expect_with(STEPS(C("EHLO me\r\n"), C("STARTTLS\r\n"),
			  C("\x16\x03\x01MAIL FROM:<evil@x>\r\n\xff\n\n")),
		    false, "");
}

/* ---- AUTH ------------------------------------------------------------------------------------ */

static void test_answers_ahead(void **state)
{
	struct smtp_facts facts;

	(void)state;
	facts = expect(STEPS(HELLO, C("AUTH LOGIN\r\ndXNlcg==\r\ncGFzcw==\r\n"),
			     S("334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n235 Ok\r\n"), MAIL_E,
			     RCPT_V, DATA_V, QUIT),
		       EVIL);
	assert_int_equal(facts.auth_code, 235);
	assert_int_equal(facts.auth_user_len, 0);
	expect(STEPS(HELLO,
		     C("AUTH PLAIN\r\nAGFAeABzZWNyZXQ=\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\n"),
		     S("334 \r\n535 No\r\n250 Ok\r\n250 Ok\r\n"), DATA_V, QUIT),
	       EVIL);
	/*
	 * A command in place of an answer: either the server asks for nothing more, or it reads the
	 * command as the answer.
	 */
	facts = expect(STEPS(HELLO, C("AUTH LOGIN\r\n"), S("334 VXNlcm5hbWU6\r\n"),
			     C("dXNlcg==\r\n"), S("334 UGFzc3dvcmQ6\r\n"), MAIL_E, RCPT_V, DATA_V,
			     QUIT),
		       EVIL);
	assert_int_equal(facts.auth_user_len, 0);
	expect(STEPS(HELLO, C("AUTH LOGIN\r\n"), S("334 VXNlcm5hbWU6\r\n"),
		     C("MAIL\tFROM:<a@x>\r\n"), S("501 No\r\n"), MAIL_E, RCPT_V, DATA_V, QUIT),
	       EVIL);
	expect(STEPS(HELLO, C("AUTH=LOGIN\r\n"), S("334 VXNlcm5hbWU6\r\n"), C("DATA\r\n"),
		     S("535 No\r\n"), MAIL_E, RCPT_V, DATA_V, QUIT),
	       EVIL);
	expect_with(STEPS(C("EHLO me\r\n"),
			  C("AUTH LOGIN\r\nMAIL\tFROM:<evil@x>\r\nRCPT\tTO:<v@y>\r\nDATA\r\n"
			    "Subject: x\r\n\r\nHi\r\n.\r\nQUIT\r\n")),
		    false, "1 data unknown <evil@x> <v@y>0 18 bytes 0 \n");
}

static void test_first_line(void **state)
{
	static const char *const lines[] = {"USER x\r\n", "PASS x\r\n", "APOP x\r\n", "CAPA\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_with(STEPS({.kind = STEP_CLIENT, .bytes = span_of(lines[i])},
				  C("EHLO me\r\n"), C("MAIL FROM:<evil@x>\r\n"), BLIND_V),
			    false, "1 data unknown <evil@x> <v@y>0 18 bytes 0 \n");
}

/* ---- An end of data that is none ------------------------------------------------------------- */

static void test_false_end(void **state)
{
	static const char *const ends[] = {"\r\n.\r\r\n", "\n.\n", "\r\n.\n", "\n.\r\n",
					   "\n.\r\r\n"};
	static const char *const modes[] = {"BDAT 99999999999\r\n",
					    "BDAT 999999\r\n",
					    "BDAT 18 x\r\n",
					    "STARTTLS\r\n\x16\x03\x01\r\n",
					    "DATA\r\n",
					    "AUTH LOGIN\r\n",
					    "QUIT\r\nRSET\r\n"};
	static const char *const datas[] = {"DATA\r\n", "DATA\n"};

	(void)state;
	for (size_t i = 0; i < 5 * 7 * 2; i++) {
		struct step data = {.kind = STEP_CLIENT, .bytes = span_of(datas[i / 35])};
		char text[200];
		struct played played = {0};

		snprintf(text, sizeof(text), "Hi%s%sbye\r\n.\r\n", ends[i % 5], modes[i / 5 % 7]);
		/* For the server, the bytes behind that end are text. A second mail follows. */
		play(STEPS(HELLO, C("MAIL FROM:<a@x>\r\n"), S("250 Ok\r\n"), C("RCPT TO:<b@y>\r\n"),
			   S("250 Ok\r\n"), data, S("354 Go\r\n"),
			   {.kind = STEP_CLIENT, .bytes = span_of(text)}, S("250 Queued\r\n"),
			   MAIL_E, RCPT_V, DATA_V, QUIT),
		     true, 0, 0, &played);
		assert_non_null(strstr(played.lines.data, "data success <a@x> <b@y>250"));
		assert_non_null(strstr(played.lines.data, "<evil@x> <v@y>"));
		played_free(&played);
		/* The same without replies. */
		play(STEPS(C("EHLO me\r\n"), C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"), data,
			   {.kind = STEP_CLIENT, .bytes = span_of(text)},
			   C("MAIL FROM:<evil@x>\r\n"), BLIND_V),
		     false, 0, 0, &played);
		assert_non_null(strstr(played.lines.data, "<a@x> <b@y>"));
		assert_non_null(strstr(played.lines.data, "<evil@x> <v@y>"));
		played_free(&played);
	}
	/* The end of the first mail is uncertain, so the first mail is incomplete. */
	expect_doubtful(STEPS(HELLO, MAIL_E, RCPT_V, C("DATA\r\n"), S("354 Go\r\n"),
			      C("Hi\r\n.\r\r\nmore\r\n.\r\n"), S("250 Queued\r\n")),
			true, "<evil@x>");
	expect_doubtful(STEPS(C("EHLO me\r\n"),
			      C("MAIL FROM:<evil@x>\r\nRCPT "
				"TO:<v@y>\r\nDATA\r\nHi\r\n.\r\r\nmore\r\n.\r\n")),
			false, "<evil@x>");
	/* The client waited for the reply, so the mail had ended. */
	expect(STEPS(HELLO, MAIL_E, RCPT_V, C("DATA\r\n"), S("354 Go\r\n"), C("Hi\n.\n"),
		     S("250 Queued\r\n"), MAIL_E, RCPT_V, C("BDAT 4 LAST\r\nHi\r\n"),
		     S("250 Queued\r\n"), QUIT),
	       "1 data success <evil@x> <v@y>250 3 bytes 250 Queued\n"
	       "2 data success <evil@x> <v@y>250 4 bytes 250 Queued\n");
}

/* ---- Behind a tunnel that is not known ------------------------------------------------------- */

static void test_tunnel(void **state)
{
	static const char upgrade[] =
		"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n";

	(void)state;
	expect(STEPS(C("TUNNEL h:25\r\n"), S("OK\r\n"), HELLO, MAIL_E, RCPT_V, DATA_V, QUIT), EVIL);
	expect(STEPS({.kind = STEP_CLIENT, .bytes = span_of(upgrade)},
		     S("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"), HELLO,
		     MAIL_E, RCPT_V, DATA_V, QUIT),
	       EVIL);
	/* The client does not wait for replies. */
	expect(STEPS(C("TUNNEL h:25\r\nEHLO me\r\nMAIL FROM:<evil@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"
		       "Subject: x\r\n\r\nHi\r\n.\r\n"),
		     S("OK\r\n220 mx\r\n250 mx\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n250 Queued\r\n")),
	       EVIL);
	expect(STEPS(C("TUNNEL h:25\r\n"), S("OK\r\n"), HELLO, MAIL_E, RCPT_V,
		     C("BDAT 4 LAST\r\nHi\r\n"), S("250 Queued\r\n"), QUIT),
	       "1 data success <evil@x> <v@y>250 4 bytes 250 Queued\n");
	/* The tunnel's answer takes the place of the greeting. */
	expect_doubtful(STEPS(C("TUNNEL h:25\r\n"), S("OK mx\r\n"), C("EHLO me\r\n"),
			      S("250 mx\r\n"), MAIL_E, RCPT_V, DATA_V),
			true, "<evil@x>");
	/* An HTTP POST that quotes a session, and a server that quotes one in its answer. */
	expect(STEPS(C("POST / HTTP/1.1\r\n\r\nEHLO c\r\nMAIL FROM:<a@x>\r\nRCPT "
		       "TO:<b@y>\r\nDATA\r\nx\r\n.\r\n"),
		     S("HTTP/1.1 200 OK\r\n\r\n250 a\r\n250 b\r\n354 c\r\n250 d\r\n")),
	       "");
	expect(STEPS(C("POST / HTTP/1.1\r\n\r\nEHLO c\r\nMAIL FROM:<a@x>\r\nRCPT "
		       "TO:<b@y>\r\nDATA\r\nx\r\n.\r\n"),
		     S("HTTP/1.1 200 OK\r\n\r\n220 m\r\nEHLO c\r\n250 a\r\nMAIL FROM:<a@x>\r\n250 "
		       "b\r\n")),
	       "");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_end),
		cmocka_unit_test(test_refused_ends),
		cmocka_unit_test(test_no_mail),
		cmocka_unit_test(test_blind),
		cmocka_unit_test(test_second_mail),
		cmocka_unit_test(test_refused_data),
		cmocka_unit_test(test_refused_data_blind),
		cmocka_unit_test(test_refused_data_bound),
		cmocka_unit_test(test_positions),
		cmocka_unit_test(test_mask_behind),
		cmocka_unit_test(test_refused_bdat),
		cmocka_unit_test(test_odd_bdat),
		cmocka_unit_test(test_no_tls),
		cmocka_unit_test(test_answers_ahead),
		cmocka_unit_test(test_first_line),
		cmocka_unit_test(test_false_end),
		cmocka_unit_test(test_tunnel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
