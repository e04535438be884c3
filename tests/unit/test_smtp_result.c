/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of a mail, and the reply that decided it: refused and deferred commands of each kind,
 * pipelined or not, an envelope that was only asked about, LMTP, and more recipients than are kept.
 */
#include "smtp_steps.h"

/* "result code text" of each transaction, and "data" if its data began. */
static void take_result(void *context, struct smtp_transaction *transaction)
{
	static const char *const names[] = {"unknown", "sent", "deferred", "refused", "asked"};
	struct text *text = context;

	text_add_format(text, "%s %u ", names[transaction->result], transaction->reply_code);
	text_add(text, (struct span){transaction->reply_text, transaction->reply_len});
	text_add_string(text, transaction->data_started ? " data\n" : "\n");
	smtp_transaction_free(transaction);
}

/* Pieces of `size` bytes; 0: whole steps. */
static void play_results(const struct step *steps, size_t size, bool cut, struct text *text)
{
	struct smtp_session *session = smtp_session_new(true, take_result, text);

	for (const struct step *step = steps; step->kind != STEP_END; step++) {
		size_t most = size ? size : step->bytes.len;

		for (size_t at = 0; at < step->bytes.len; at += most) {
			size_t len = step->bytes.len - at < most ? step->bytes.len - at : most;

			feed_exact(session, step, (struct span){step->bytes.data + at, len}, 1);
		}
	}
	if (cut)
		smtp_session_cut(session);
	smtp_session_close(session, 2);
	smtp_session_free(session);
}

static void expect_result_cut(const struct step *steps, const char *results, bool cut)
{
	static const size_t sizes[] = {0, 1, 2, 7};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct text text = {0};

		play_results(steps, sizes[i], cut, &text);
		assert_string_equal(text.data ? text.data : "", results);
		text_free(&text);
	}
}

static void expect_result(const struct step *steps, const char *results)
{
	expect_result_cut(steps, results, false);
}

#define STEPS(...) ((const struct step[]){__VA_ARGS__, END})
#define RSET	   C("RSET\r\n"), S("250 Flushed\r\n")
#define MRD	   "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"
#define MRRD	   "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n"

/* A DATA that was refused never began, whatever follows it. */
static void test_data_refused(void **state)
{
	(void)state;
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("451 Later\r\n"), RSET, QUIT),
		      "deferred 451 Later\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("554 No\r\n"), QUIT),
		      "refused 554 No\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("421 Closing\r\n")),
		      "deferred 421 Closing\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("452 Full\r\n"),
			    C("MAIL FROM:<c@x>\r\n"), S("250 Ok\r\n"), RCPT_B, DATA, TEXT, QUIT),
		      "deferred 452 Full\nsent 250 Queued data\n");
	/* A second try in the same transaction. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("451 Later\r\n"), DATA, TEXT,
			    QUIT),
		      "sent 250 Queued data\n");
	/* In one piece, and with the text behind it, which is read as commands. */
	expect_result(STEPS(HELLO, C(MRD), S("250 Ok\r\n250 Ok\r\n451 Later\r\n"), RSET, QUIT),
		      "deferred 451 Later\n");
	expect_result(STEPS(HELLO, C(MRD "Subject: x\r\n\r\nHi\r\n.\r\nQUIT\r\n"),
			    S("250 Ok\r\n250 Ok\r\n503 Pipelining\r\n500 a\r\n500 b\r\n500 c\r\n"
			      "500 d\r\n221 Bye\r\n")),
		      "refused 503 Pipelining\n");
}

/* The client sends DATA before it knows that no recipient was taken: the first refusal counts. */
static void test_consequence(void **state)
{
	(void)state;
	expect_result(STEPS(HELLO, C(MRD), S("250 Ok\r\n450 Greylisted\r\n503 RCPT first\r\n"),
			    RSET, QUIT),
		      "deferred 450 Greylisted\n");
	expect_result(STEPS(HELLO, C(MRD), S("250 Ok\r\n550 Nobody\r\n554 No recipients\r\n"), RSET,
			    QUIT),
		      "refused 550 Nobody\n");
	expect_result(STEPS(HELLO, C(MRRD),
			    S("250 Ok\r\n452 Full\r\n550 Nobody\r\n503 RCPT first\r\n"), RSET,
			    QUIT),
		      "deferred 452 Full\n");
	expect_result(STEPS(HELLO, C(MRD), S("550 Sender\r\n503 MAIL first\r\n503 RCPT first\r\n"),
			    QUIT),
		      "refused 550 Sender\n");
	expect_result(STEPS(HELLO, C(MRD), S("451 Sender\r\n503 MAIL first\r\n503 RCPT first\r\n"),
			    QUIT),
		      "deferred 451 Sender\n");
	/* The server takes DATA without a recipient (RFC 2920, 3.1); the client ends it at once. */
	expect_result(STEPS(HELLO, C(MRD), S("250 Ok\r\n450 Greylisted\r\n354 Go\r\n"), C(".\r\n"),
			    S("554 No recipients\r\n"), QUIT),
		      "deferred 450 Greylisted data\n");
	/* The connection is closed: DATA gets no reply. */
	expect_result(STEPS(HELLO, C(MRD), S("250 Ok\r\n421 Closing\r\n")),
		      "deferred 421 Closing\n");
	expect_result(STEPS(HELLO, C(MRD), S("421 Closing\r\n")), "deferred 421 Closing\n");
	/* One recipient was taken, so the reply to DATA decides. */
	expect_result(STEPS(HELLO, C(MRRD),
			    S("250 Ok\r\n450 Greylisted\r\n250 Ok\r\n554 Policy\r\n"), RSET, QUIT),
		      "refused 554 Policy\n");
	expect_result(STEPS(HELLO, C(MRRD), S("250 Ok\r\n550 No\r\n250 Ok\r\n354 Go\r\n"), TEXT,
			    QUIT),
		      "sent 250 Queued data\n");
}

static void test_after_data(void **state)
{
	(void)state;
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n.\r\n"), S("451 Later\r\n"), QUIT),
		      "deferred 451 Later data\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n.\r\n"), S("554 Spam\r\n"), QUIT),
		      "refused 554 Spam data\n");
	/* The server gives up in the middle: the data did begin. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n"), S("421 Timeout\r\n")),
		      "deferred 421 Timeout data\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, DATA, C("x\r\n")), "unknown 354 Go data\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n")), "unknown 250 Ok data\n");
	/* A refusal does not decide what comes after it. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("451 Later\r\n"), DATA,
			    C("x\r\n")),
		      "unknown 354 Go data\n");
}

static void test_bdat(void **state)
{
	(void)state;
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 4 LAST\r\nHi\r\n"), S("250 Got\r\n"),
			    QUIT),
		      "sent 250 Got data\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 4 LAST\r\nHi\r\n"), S("451 Later\r\n"),
			    QUIT),
		      "deferred 451 Later data\n");
	/* The first chunk is refused: the rest is not sent, or its refusal is a consequence. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 4\r\nHi\r\n"), S("452 Full\r\n"), RSET,
			    QUIT),
		      "deferred 452 Full\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 4\r\nHi\r\nBDAT 2 LAST\r\n\r\n"),
			    S("452 Full\r\n503 BDAT failed\r\n"), RSET, QUIT),
		      "deferred 452 Full\n");
	expect_result(STEPS(HELLO, C("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nBDAT 4 LAST\r\nHi\r\n"),
			    S("250 Ok\r\n450 Greylisted\r\n503 RCPT first\r\n"), RSET, QUIT),
		      "deferred 450 Greylisted data\n");
	/* The connection ends within the chunk. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 400\r\nHi\r\n"), S("452 Full\r\n")),
		      "deferred 452 Full data\n");
}

/* An envelope that was only asked about. */
static void test_asked(void **state)
{
	static const char asked[] = "asked 250 Ok\n";

	(void)state;
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, RSET, QUIT), asked);
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, QUIT), asked);
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B), asked);
	expect_result(STEPS(HELLO, C("MAIL FROM:<>\r\nRCPT TO:<b@y>\r\nRSET\r\n"),
			    S("250 Ok\r\n250 Ok\r\n250 Flushed\r\n"), QUIT),
		      asked);
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, MAIL_A, RCPT_B, QUIT), "asked 250 Ok\n"
									  "asked 250 Ok\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("RCPT TO:<c@y>\r\n"), S("550 No\r\n"), QUIT),
		      "asked 550 No\n");
	/* Refused, not only asked. */
	expect_result(STEPS(HELLO, MAIL_A, C("RCPT TO:<c@y>\r\n"), S("550 No\r\n"), RSET, QUIT),
		      "refused 550 No\n");
	expect_result(STEPS(HELLO, MAIL_A, C("RCPT TO:<c@y>\r\n"), S("450 Later\r\n"), RSET, QUIT),
		      "deferred 450 Later\n");
	/* The server gave it up. */
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, S("421 Timeout\r\n")), "deferred 421 Timeout\n");
	/* Not answered, or not seen to the end. */
	expect_result(STEPS(HELLO, MAIL_A, C("RCPT TO:<b@y>\r\n")), "unknown 250 Ok\n");
	expect_result_cut(STEPS(HELLO, MAIL_A, RCPT_B), "unknown 250 Ok\n", true);
}

/* What looks like a question, but may have brought data. */
static void test_not_asked(void **state)
{
	(void)state;
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("DATA\r\n"), S("250 Yes\r\n"), RSET, QUIT),
		      "unknown 250 Yes data\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, S("250 More\r\n"), RSET, QUIT),
		      "unknown 250 Ok\n");
	expect_result(STEPS(HELLO, RCPT_B, RSET, QUIT), "unknown 250 Ok\n");
	expect_result(STEPS(HELLO, MAIL_A, RCPT_B, C("BDAT 0\r\n"), S("250 Ok\r\n"), RSET, QUIT),
		      "unknown 250 Ok data\n");
}

#define LHLO   S("220 mx LMTP\r\n"), C("LHLO me.example\r\n"), S("250 mx\r\n")
#define RCPT_C C("RCPT TO:<c@y>\r\n"), S("250 Ok\r\n")
#define RCPT_D C("RCPT TO:<d@y>\r\n"), S("250 Ok\r\n")

/* One reply per recipient, refusals at any place. */
static void expect_lmtp(const char *replies, const char *result, const char *line)
{
	struct step steps[] = {LHLO, MAIL_A,	      RCPT_B, RCPT_C, RCPT_D,
			       DATA, C("x\r\n.\r\n"), S(""),  QUIT,   END};

	for (struct step *step = steps; step->kind != STEP_END; step++) {
		if (step->kind == STEP_SERVER && !step->bytes.len)
			step->bytes = span_of(replies);
	}
	expect_result(steps, result);
	expect(steps, line);
}

static void test_lmtp(void **state)
{
	(void)state;
	expect_lmtp("250 B\r\n250 C\r\n250 D\r\n", "sent 250 D data\n",
		    "1 data success <a@x> <b@y>250 <c@y>250 <d@y>250 3 bytes 250 D\n");
	expect_lmtp("550 B\r\n250 C\r\n250 D\r\n", "sent 250 D data\n",
		    "1 data success <a@x> <b@y>550! <c@y>250 <d@y>250 3 bytes 250 D\n");
	expect_lmtp("250 B\r\n452 C\r\n250 D\r\n", "sent 250 D data\n",
		    "1 data success <a@x> <b@y>250 <c@y>452! <d@y>250 3 bytes 250 D\n");
	expect_lmtp("250 B\r\n452 C\r\n550 D\r\n", "sent 250 B data\n",
		    "1 data success <a@x> <b@y>250 <c@y>452! <d@y>550! 3 bytes 250 B\n");
	expect_lmtp("550 B\r\n452 C\r\n550 D\r\n", "deferred 452 C data\n",
		    "1 data failure <a@x> <b@y>550! <c@y>452! <d@y>550! 3 bytes 452 C\n");
	expect_lmtp("550 B\r\n552 C\r\n554 D\r\n", "refused 554 D data\n",
		    "1 data failure <a@x> <b@y>550! <c@y>552! <d@y>554! 3 bytes 554 D\n");
}

/* A recipient is refused at RCPT, another one after the data. */
static void test_lmtp_both(void **state)
{
	(void)state;
	expect(STEPS(LHLO, MAIL_A, C("RCPT TO:<b@y>\r\n"), S("550 No\r\n"), RCPT_C, RCPT_D, DATA,
		     C("x\r\n.\r\n"), S("250 C\r\n452 D\r\n"), QUIT),
	       "1 data success <a@x> <b@y>550! <c@y>250 <d@y>452! 3 bytes 250 C\n");
	expect(STEPS(LHLO, MAIL_A, RCPT_B, C("RCPT TO:<c@y>\r\n"), S("450 No\r\n"), RCPT_D,
		     C("BDAT 3 LAST\r\nx\r\n"), S("550 B\r\n250 D\r\n"), QUIT),
	       "1 data success <a@x> <b@y>550! <c@y>450! <d@y>250 3 bytes 250 D\n");
}

/* ---- More than is kept ------------------------------------------------------------------------
 */

struct flood {
	struct smtp_transaction *told[2];
	uint32_t count;
};

static void take_flood(void *context, struct smtp_transaction *transaction)
{
	struct flood *flood = context;

	assert_true(flood->count < 2);
	flood->told[flood->count++] = transaction;
}

static void repeat(struct text *text, const char *line, unsigned int count)
{
	while (count--)
		text_add_string(text, line);
}

static struct span bytes_of(const struct text *text)
{
	return (struct span){text->data, text->len};
}

/*
 * `between` commands of one kind, with these replies, in one piece between MAIL and DATA; the final
 * reply; and a second mail, refused, whose replies must not be taken for those of the first.
 */
static void play_flood(struct flood *flood, const char *command, const char *reply,
		       unsigned int between, const char *final)
{
	struct smtp_session *session = smtp_session_new(true, take_flood, flood);
	struct text client = {0}, server = {0};

	smtp_server_data(session, span_of("220 mx\r\n"), 1);
	smtp_client_data(session, span_of("EHLO me\r\n"), 1);
	smtp_server_data(session, span_of("250 mx\r\n"), 1);
	text_add_string(&client, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
	repeat(&client, command, between);
	text_add_string(&client, "DATA\r\n");
	text_add_string(&server, "250 Ok\r\n550 Nobody\r\n");
	repeat(&server, reply, between);
	text_add_string(&server, "354 Go\r\n");
	smtp_client_data(session, bytes_of(&client), 2);
	/* The first replies arrive, and the client goes on, before the others do. */
	smtp_server_data(session, (struct span){server.data, 2000}, 3);
	smtp_client_data(session, span_of("x\r\n.\r\n"), 3);
	smtp_server_data(session, (struct span){server.data + 2000, server.len - 2000}, 3);
	smtp_server_data(session, span_of(final), 4);
	smtp_client_data(session, span_of("MAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\nQUIT\r\n"), 5);
	smtp_server_data(session, span_of("250 Ok\r\n450 Later\r\n221 Bye\r\n"), 6);
	assert_int_equal(smtp_session_facts(session)->replies_surplus, 0);
	smtp_session_close(session, 7);
	smtp_session_free(session);
	text_free(&client);
	text_free(&server);
	assert_int_equal(flood->count, 2);
	assert_int_equal(flood->told[1]->result, SMTP_RESULT_DEFERRED);
	assert_false(flood->told[1]->replies_missing);
}

static void flood_free(struct flood *flood)
{
	for (uint32_t i = 0; i < flood->count; i++)
		smtp_transaction_free(flood->told[i]);
}

/* Of 20,001 recipients, most are dropped. The first 2,000 are not all that was taken. */
static void test_many_recipients(void **state)
{
	static const struct {
		const char *reply, *final;
		enum smtp_result result;
	} cases[] = {
		{"250 Ok\r\n", "250 Queued\r\n", SMTP_RESULT_SENT},
		{"250 Ok\r\n", "554 Spam\r\n", SMTP_RESULT_REFUSED},
		{"550 No\r\n", "451 Later\r\n", SMTP_RESULT_REFUSED}, /* 550 came first */
		{"452 Full\r\n", "554 None\r\n", SMTP_RESULT_DEFERRED},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct flood flood = {.count = 0};

		play_flood(&flood, "RCPT TO:<c@y>\r\n", cases[i].reply, 20000, cases[i].final);
		assert_int_equal(flood.told[0]->result, cases[i].result);
		assert_int_equal(flood.told[0]->recipient_count, SMTP_RECIPIENTS_MAX);
		assert_int_equal(flood.told[0]->recipients_dropped, 20001 - SMTP_RECIPIENTS_MAX);
		assert_false(flood.told[0]->replies_missing);
		flood_free(&flood);
	}
}

/* The first 2,000 recipients are refused, and a dropped one is taken. */
static void test_dropped_is_taken(void **state)
{
	struct flood flood = {.count = 0};
	struct smtp_session *session = smtp_session_new(true, take_flood, &flood);
	struct text client = {0}, server = {0};

	(void)state;
	smtp_server_data(session, span_of("220 mx\r\n"), 1);
	text_add_string(&client, "EHLO me\r\nMAIL FROM:<a@x>\r\n");
	repeat(&client, "RCPT TO:<c@y>\r\n", 2001);
	text_add_string(&client, "QUIT\r\n");
	text_add_string(&server, "250 mx\r\n250 Ok\r\n");
	repeat(&server, "550 No\r\n", 2000);
	text_add_string(&server, "250 Ok\r\n221 Bye\r\n");
	smtp_client_data(session, bytes_of(&client), 2);
	smtp_server_data(session, bytes_of(&server), 3);
	smtp_session_close(session, 4);
	smtp_session_free(session);
	text_free(&client);
	text_free(&server);
	assert_int_equal(flood.count, 1);
	assert_int_equal(flood.told[0]->outcome, SMTP_OUTCOME_UNKNOWN);
	flood_free(&flood);
}

/* Other commands than RCPT are not joined in the queue: the outcome is unknown, never a wrong one.
 */
static void test_many_commands(void **state)
{
	static const char *const finals[] = {"250 Queued\r\n", "554 Spam\r\n"};

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct flood flood = {.count = 0};

		play_flood(&flood, "NOOP\r\n", "250 Ok\r\n", 20000, finals[i]);
		assert_int_equal(flood.told[0]->outcome, SMTP_OUTCOME_UNKNOWN);
		assert_true(flood.told[0]->replies_missing);
		flood_free(&flood);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_data_refused),
		cmocka_unit_test(test_consequence),
		cmocka_unit_test(test_after_data),
		cmocka_unit_test(test_bdat),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_not_asked),
		cmocka_unit_test(test_lmtp),
		cmocka_unit_test(test_lmtp_both),
		cmocka_unit_test(test_many_recipients),
		cmocka_unit_test(test_dropped_is_taken),
		cmocka_unit_test(test_many_commands),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
