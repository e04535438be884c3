/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SMTP session: AUTH, STARTTLS, lost bytes, bounds, and sessions without replies. Each
 * conversation is played as it is, a byte at a time, and cut at every position: how TCP splits the
 * bytes must never change what is seen.
 */
#include "smtp_steps.h"

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

/* A gap in place of the answer to a 334: the lines behind it are commands. */
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

static void expect_unmatched(const struct step *steps, uint32_t surplus, const char *lines)
{
	assert_int_equal(expect(steps, lines).replies_surplus, surplus);
}

/* Whole commands are missing. Their replies show that the next command begins behind the gap. */
static void test_gap_of_commands(void **state)
{
	static const struct step steps[] = {HELLO, MAIL_A, RCPT_B, C_GAP(15), S("250 Ok\r\n"),
					    DATA,  TEXT,   QUIT,   END};
	/* The gap is noticed behind the replies to what it hides. */
	static const struct step late[] = {HELLO,     S("250 Ok\r\n250 Ok\r\n"),
					   C_GAP(12), C("\r\n"),
					   MAIL_A,    RCPT_B,
					   DATA,      TEXT,
					   QUIT,      END};
	/* It does not explain a reply before the last bytes that were seen. */
	static const struct step later[] = {HELLO,	   S("250 Ok\r\n"),
					    C("NOOP\r\n"), S("250 Ok\r\n"),
					    C_GAP(12),	   C("\r\n"),
					    MAIL_A,	   RCPT_B,
					    DATA,	   TEXT,
					    QUIT,	   END};

	(void)state;
	expect(steps,
	       "1 data success <a@x> <b@y>250 18 bytes 15 missing replies missing 250 Queued\n");
	expect_unmatched(late, 0, MAIL_1);
	expect_unmatched(later, 1,
			 "1 data success <a@x> <b@y>250 18 bytes replies missing 250 Queued\n");
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
	/* What hid one command may hide another one. */
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

/* MAIL, `count` recipients of at least `len` bytes each, and DATA, each with its reply. */
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
 * `count` mails in one piece, with all replies at the end. This is more than is kept behind a DATA.
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

/*
 * A finished transaction is reported with the next command, not only at the end of the connection.
 */
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

static void drop_it(void)
{
	smtp_transaction_free(transaction_kept);
	transaction_kept = NULL;
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
	assert_null(transaction_kept);
	smtp_server_data(session, span_of("250 Q\r\n"), 70);
	assert_non_null(transaction_kept);
	assert_int_equal(transaction_kept->start_pos, 9);
	assert_int_equal(transaction_kept->end_pos, 157);
	assert_int_equal(transaction_kept->start_ns, 20);
	assert_int_equal(transaction_kept->end_ns, 70);
	assert_int_equal(transaction_kept->missing_bytes, 100);
	assert_true(transaction_kept->data_started);
	assert_true(smtp_oldest_open_position(session) == UINT64_MAX);
	drop_it();
	smtp_client_data(session, span_of("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"), 80); /* 195 */
	smtp_client_data(session, span_of("RSET\r\n"), 90);
	smtp_server_data(session, span_of("221 Bye\r\n250 A\r\n550 B\r\n"), 95);
	assert_null(transaction_kept); /* the RSET may be refused */
	smtp_server_data(session, span_of("250 Reset\r\n"), 97);
	assert_non_null(transaction_kept);
	assert_int_equal(transaction_kept->start_pos, 163);
	assert_int_equal(transaction_kept->end_pos, 195);
	assert_int_equal(transaction_kept->end, SMTP_END_RESET);
	assert_false(transaction_kept->data_started);
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
	assert_null(transaction_kept);
	smtp_session_free(NULL);
	smtp_transaction_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_auth),	       cmocka_unit_test(test_auth_blind),
		cmocka_unit_test(test_starttls),       cmocka_unit_test(test_client_gaps),
		cmocka_unit_test(test_gap_in_answer),  cmocka_unit_test(test_gap_of_commands),
		cmocka_unit_test(test_server_gaps),    cmocka_unit_test(test_long_reply),
		cmocka_unit_test(test_recipients),     cmocka_unit_test(test_open_max),
		cmocka_unit_test(test_expected_max),   cmocka_unit_test(test_blind),
		cmocka_unit_test(test_blind_at_once),  cmocka_unit_test(test_positions),
		cmocka_unit_test(test_freed_unclosed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
