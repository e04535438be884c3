/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions that are older than the watch. Each conversation is played as it is, a byte at a time,
 * and cut at every position. Some are also looked at in the middle: is a transaction open then?
 */
#include "smtp_steps.h"

#include "unit.h"

#define LINES "the first line of it\r\nand a second one\r\n"
/* An own step: bytes passed that were not copied. */
#define STEP_SKIPPED ((enum step_kind)100)
#define SKIPPED                                                                                    \
	{                                                                                          \
		.kind = STEP_SKIPPED                                                               \
	}

static bool mail_port;

static bool is_open(const struct smtp_session *session)
{
	struct smtp_transaction *open = smtp_session_open_transaction(session, 0, 0);
	bool found = open;

	if (open)
		assert_true(open->under_way);
	smtp_transaction_free(open);
	return found;
}

/* Returns the number of the first step after which a transaction was open; 0: never. */
static size_t play_older(const struct step *steps, size_t size, struct played *played)
{
	struct smtp_session *session = smtp_session_new(true, played_take, played);
	size_t first = 0;

	assert_non_null(session);
	smtp_session_mid_stream(session);
	smtp_session_under_way(session, mail_port);
	for (size_t i = 0; steps[i].kind != STEP_END; i++) {
		struct span rest = steps[i].bytes;

		if (steps[i].kind == STEP_SKIPPED)
			smtp_session_skipped(session);
		if (steps[i].kind == STEP_CLIENT_GAP)
			smtp_client_gap(session, steps[i].gap, 1000);
		while (rest.len) {
			size_t len = size && size < rest.len ? size : rest.len;

			feed_exact(session, &steps[i], (struct span){rest.data, len}, 1000);
			rest.data += len;
			rest.len -= len;
		}
		if (!first && is_open(session))
			first = i + 1;
	}
	smtp_session_close(session, 2000);
	played->facts = *smtp_session_facts(session);
	smtp_session_free(session);
	return first;
}

/* `first`: as of play_older(). */
static void expect_older(const struct step *steps, size_t first, const char *lines)
{
	static const size_t sizes[] = {0, 1, 2, 7, 16};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct played played = {0};

		assert_int_equal(play_older(steps, sizes[i], &played), first);
		assert_string_equal(played.lines.data ? played.lines.data : "", lines);
		played_free(&played);
	}
}

#define NEXT   MAIL_A, RCPT_B, DATA, TEXT, QUIT
#define NEXT_2 "2 data success <a@x> <b@y>250 18 bytes 250 Queued\n"
#define NEXT_1 "1 data success <a@x> <b@y>250 18 bytes 250 Queued\n"

/* ---- A message is on its way ----------------------------------------------------------------- */

static void test_message(void **state)
{
	static const struct step steps[] = {C(LINES), C("third\r\n.\r\n"),
					    S("250 2.0.0 Queued\r\n"), NEXT, END};
	static const struct step refused[] = {C(LINES), C(".\r\n"), S("554 5.7.1 spam\r\n"), NEXT,
					      END};
	static const struct step commands[] = {C(LINES "DATA\r\nquit\r\nHelp is near\r\n"),
					       C("..\r\n.\r\n"), S("250 Queued\r\n"), NEXT, END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(
			steps, mail_port ? 1 : 0,
			"1 data success <?> 47 bytes replies missing 250 2.0.0 Queued\n" NEXT_2);
		expect_older(refused, mail_port ? 1 : 0,
			     "1 data failure <?> 40 bytes replies missing 554 5.7.1 spam\n" NEXT_2);
		expect_older(commands, mail_port ? 1 : 0,
			     "1 data success <?> 70 bytes replies missing 250 Queued\n" NEXT_2);
	}
}

/* Short ones, down to the end of data alone. */
static void test_short(void **state)
{
	static const struct step two[] = {C("x\r\n"), C(".\r\n"), S("250 Queued\r\n"), NEXT, END};
	static const struct step dot[] = {C(".\r\n"), S("250 Queued\r\n"), NEXT, END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(two, mail_port ? 2 : 0,
			     "1 data success <?> 3 bytes replies missing 250 Queued\n" NEXT_2);
		expect_older(dot, mail_port ? 1 : 0,
			     "1 data success <?> 0 bytes replies missing 250 Queued\n" NEXT_2);
	}
}

/* The reply to DATA comes after the start: the whole message is seen, on any port. */
static void test_reply_to_data(void **state)
{
	static const struct step steps[] = {S("250 ok\r\n"),
					    S("354 Go\r\n"),
					    C("Subject: x\r\n\r\nMAIL FROM:<q@q>\r\n.\r\n"),
					    S("250 Queued\r\n"),
					    NEXT,
					    END};

	(void)state;
	mail_port = false;
	expect_older(steps, 2, "1 data success <?> 31 bytes replies missing 250 Queued\n" NEXT_2);
}

/* The kernel side stops copying, or never began: the reply tells how it ended. */
static void test_not_copied(void **state)
{
	static const struct step tail[] = {C(LINES),	SKIPPED, S("250 Queued\r\n"),
					   C_GAP(5000), NEXT,	 END};
	static const struct step all[] = {SKIPPED, S("250 Queued\r\n"), NEXT, END};
	static const struct step hole[] = {C(LINES),	       C_GAP(100), C("x.\r\n"),
					   S("451 later\r\n"), NEXT,	   END};

	(void)state;
	mail_port = true;
	expect_older(tail, 1,
		     "1 data success <?> 40 bytes 1 missing replies missing 250 Queued\n" NEXT_2);
	expect_older(all, 0,
		     "1 data success <?> 0 bytes 1 missing replies missing 250 Queued\n" NEXT_2);
	expect_older(hole, 1,
		     "1 data failure <?> 144 bytes 100 missing replies missing 451 later\n" NEXT_2);
	mail_port = false;
	expect_older(tail, 0,
		     "1 data success <?> 40 bytes 1 missing replies missing 250 Queued\n" NEXT_2);
	expect_older(all, 0, NEXT_1);
}

static void test_never_ends(void **state)
{
	static const struct step steps[] = {C(LINES), END};

	(void)state;
	mail_port = true;
	expect_older(steps, 1, "1 close unknown <?> 40 bytes replies missing 0 \n");
	mail_port = false;
	expect_older(steps, 0, "");
}

/* ---- The envelope is under way --------------------------------------------------------------- */

static void test_envelope(void **state)
{
	static const struct step rcpt[] = {S("250 ok\r\n"), RCPT_B, DATA, TEXT, NEXT, END};
	static const struct step data[] = {DATA, TEXT, NEXT, END};
	static const struct step refused[] = {C("RCPT TO:<b@y>\r\n"), S("503 MAIL first\r\n"), NEXT,
					      END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(
			rcpt, 2,
			"1 data success <?> <b@y>250 18 bytes replies missing 250 Queued\n" NEXT_2);
		expect_older(data, 2,
			     "1 data success <?> 18 bytes replies missing 250 Queued\n" NEXT_2);
		expect_older(refused, 1, NEXT_1);
	}
}

/* ---- Nothing is under way -------------------------------------------------------------------- */

static void test_idle(void **state)
{
	static const struct step nothing[] = {END};
	static const struct step next[] = {NEXT, END};
	static const struct step reset[] = {C("RSET\r\n"), S("250 ok\r\n"), NEXT, END};
	static const struct step noop[] = {C("noop a b\r\n"), S("250 ok\r\n"), NEXT, END};
	static const struct step reply[] = {S("250 ok\r\n"), NEXT, END};
	static const struct step ended[] = {C("QUIT\r\n"), S("221 bye\r\n"), END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(nothing, 0, "");
		expect_older(next, 0, NEXT_1);
		expect_older(reset, 0, NEXT_1);
		expect_older(noop, 0, NEXT_1);
		expect_older(reply, 0, NEXT_1);
		expect_older(ended, 0, "");
	}
}

static void test_auth(void **state)
{
	static const struct step plain[] = {C("AGFAeABzZWNyZXRzZWNyZXRzZWNyZXQ=\r\n"),
					    S("235 ok\r\n"), NEXT, END};
	static const struct step login[] = {C("dXNlckBleGFtcGxlLm9yZw==\r\n"),
					    S("334 UGFz\r\n"),
					    C("c2VjcmV0c2VjcmV0c2VjcmV0\r\n"),
					    S("235 ok\r\n"),
					    NEXT,
					    END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(plain, 0, NEXT_1);
		expect_older(login, 0, NEXT_1);
	}
}

/* Lines that a server answers one by one are no message; neither is ciphertext. */
static void test_other(void **state)
{
	static const struct step junk[] = {C("what is this line then\r\n"), S("500 what\r\n"), NEXT,
					   END};
	static const struct step binary[] = {C("\x17\x03\x03zzzzzzzzzzzzzzzzzzzzzzzzzzz\n\x01\n"),
					     C("zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\n"), END};
	static const struct step server[] = {C("250 2.1.0 ok, go on with it\r\n"),
					     S("MAIL FROM:<a@x>\r\n"), END};
	static const struct step http[] = {C("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n"),
					   S("HTTP/1.1 200 OK\r\n\r\n"), END};

	(void)state;
	for (int i = 0; i < 2; i++) {
		mail_port = i;
		expect_older(binary, 0, "");
		expect_older(server, 0, "");
		expect_older(http, 0, "");
	}
	mail_port = false;
	expect_older(junk, 0, NEXT_1);
}

/* On a port for mail they were taken for one: the caller learns that it is doubtful. */
static struct smtp_transaction *told;

static void keep_doubtful(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	assert_null(told);
	told = transaction;
}

static void test_doubtful(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_doubtful, NULL);

	(void)state;
	smtp_session_mid_stream(session);
	smtp_session_under_way(session, true);
	assert_false(smtp_session_is_unsettled(session));
	smtp_client_data(session, BYTES("what is this line then\r\n"), 1);
	assert_true(smtp_session_is_unsettled(session));
	assert_true(is_open(session));
	smtp_server_data(session, BYTES("500 what\r\n"), 2);
	assert_non_null(told);
	assert_true(told->under_way && told->doubtful);
	assert_int_equal(told->outcome, SMTP_OUTCOME_UNKNOWN);
	smtp_transaction_free(told);
	told = NULL;
	smtp_session_close(session, 3);
	smtp_session_free(session);
}

/* A new transaction among the lines is parsed, and the one under way is still reported. */
static void test_new_transaction(void **state)
{
	static const struct step steps[] = {C(LINES "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\n"),
					    S("500 no\r\n250 ok\r\n250 ok\r\n354 go\r\n"), TEXT,
					    END};
	struct played played = {0};

	(void)state;
	mail_port = true;
	play_older(steps, 0, &played);
	assert_non_null(strstr(played.lines.data, "1 close unknown <?> 40 bytes"));
	assert_non_null(strstr(played.lines.data, "<a@x> <b@y>"));
	played_free(&played);
}

/* ---- Much was sent before the start ---------------------------------------------------------- */

static void test_assumed(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_doubtful, NULL);

	(void)state;
	smtp_session_mid_stream(session);
	smtp_session_under_way(session, true);
	smtp_session_assume_under_way(session, 1);
	assert_true(is_open(session));
	smtp_client_data(session, BYTES("rest of a line\r\nanother\r\n.\r\n"), 2);
	assert_null(told);
	smtp_server_data(session, BYTES("250 Queued\r\n"), 3);
	assert_non_null(told);
	assert_int_equal(told->outcome, SMTP_OUTCOME_SUCCESS);
	smtp_transaction_free(told);
	told = NULL;
	smtp_session_free(session);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message),
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_reply_to_data),
		cmocka_unit_test(test_not_copied),
		cmocka_unit_test(test_never_ends),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_other),
		cmocka_unit_test(test_doubtful),
		cmocka_unit_test(test_new_transaction),
		cmocka_unit_test(test_assumed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
