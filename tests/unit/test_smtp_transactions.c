/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The SMTP session: what ends a transaction and what leaves it open (refusals, BDAT, LMTP). Each
 * conversation is played as it is, a byte at a time, and cut at every position: how TCP splits the
 * bytes must never change what is seen.
 */
#include "smtp_steps.h"

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
	expect(all, "1 close failure <a@x> <b@y>550! <c@y>450! 0 bytes 450 Later\n");
	expect(all_quit, "1 close failure <a@x> <b@y>550! 0 bytes 550 Nobody\nhere\n");
	expect(sender, "1 close failure <a@x> <b@y>503! 0 bytes 553 No\n");
	expect(data, "1 data failure <a@x> <b@y>250 3 bytes 554 Spam\n");
	expect(later, "1 data failure <a@x> <b@y>250 3 bytes 451 Greylisted\n");
	expect(unanswered, "1 data unknown <a@x> <b@y>250 3 bytes 354 Go\n");
	expect(goodbye, "1 close failure <a@x> <b@y>250 3 bytes 421 Shutdown\n");
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
	/*
	 * All in one piece: the server refuses the second MAIL, so the recipients behind it belong
	 * to the first.
	 */
	static const struct step pipelined[] = {
		HELLO,
		C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nMAIL FROM:<c@x>\r\nRCPT "
		  "TO:<d@y>\r\nDATA\r\n"),
		S("250 A\r\n250 B\r\n503 Nested\r\n250 D\r\n354 Go\r\n"),
		TEXT,
		QUIT,
		END};
	/*
	 * The reply to the second MAIL comes only after the message and the next envelope: the
	 * server has used the second MAIL.
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

/* For a server that does not know BDAT, the bytes behind it are commands. */
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
	/*
	 * All in one piece: the client does not know that a recipient is refused when it sends the
	 * message.
	 */
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
	expect(mixed, "1 data success <a@x> <b@y>250 <c@y>550! <d@y>452! 4 bytes 250 B has it\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
	expect(failed, "1 data failure <a@x> <b@y>452! <d@y>452! 4 bytes 452 D is full\n");
	expect(late, "1 data success <a@x> <b@y>452! <d@y>250 4 bytes 250 D has it\n");
	expect(pipelined, "1 data success <a@x> <b@y>250 <c@y>550! <d@y>452! 2 bytes 250 for B\n"
			  "2 data failure <e@x> <f@y>550! 2 bytes 550 F\n");
	expect(chunk, "1 data success <a@x> <b@y>250 <d@y>250 2 bytes 250 D has it\n"
		      "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),       cmocka_unit_test(test_reset),
		cmocka_unit_test(test_second_mail),    cmocka_unit_test(test_bdat_unknown),
		cmocka_unit_test(test_mid_stream),     cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_malformed_bdat), cmocka_unit_test(test_lmtp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
