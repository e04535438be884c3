/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Joining alike events: what is written by itself, what a joined event says, and what a user who
 * varies everything gets written.
 */
#include "join_events.h"

#include "event/join.h"

#define SECOND	 1000000000ULL
#define INTERVAL (60 * SECOND)
#define AFTER	 5U
#define BOB	 1001U

/* ---- Joining --------------------------------------------------------------------------------- */

static struct join *joining(void)
{
	struct join *join = join_new(42);

	assert_non_null(join);
	join_configure(join, INTERVAL, AFTER);
	return join;
}

/* Passes an event in. True: it is written by itself, with `bytes`; it is freed then. */
static bool is_written(struct join *join, struct event *event, uint64_t user, uint64_t now_ns,
		       uint64_t bytes)
{
	bool excluded = event->verdict == VERDICT_EXCLUDED;
	enum join_result result = join_take(join, event, user, now_ns);

	assert_int_not_equal(result, JOIN_LOST);
	if (result == JOIN_JOINED)
		return false;
	event_free(event);
	join_charge(join, user, excluded, bytes);
	return true;
}

/* Passes in that many alike mails. Returns how many were written. */
static unsigned int flood(struct join *join, unsigned int mails, uint64_t user, uint64_t now_ns)
{
	unsigned int written = 0;

	for (unsigned int i = 0; i < mails; i++)
		written += is_written(join, mail(), user, now_ns, 3000);
	return written;
}

static void assert_none_due(struct join *join, uint64_t now_ns)
{
	assert_null(join_next(join, now_ns));
}

static void test_after_the_first(void **state)
{
	struct join *join = joining();
	struct event *event;
	unsigned int first = made + AFTER + 1;

	(void)state;
	assert_int_equal(flood(join, 100, ALICE, SECOND), AFTER);
	assert_none_due(join, SECOND + INTERVAL - 1);
	event = join_next(join, SECOND + INTERVAL);
	assert_non_null(event);
	assert_int_equal(event->joined->count, 100 - AFTER);
	assert_int_equal(event->joined->recipients, 100 - AFTER);
	assert_int_equal(event->joined->bytes, (100 - AFTER) * 100);
	assert_int_equal(event->joined->first_ns, first);
	assert_int_equal(event->joined->last_ns, made);
	assert_int_equal(event->time_ns, made);
	assert_int_equal(event->end_ns, made);
	assert_int_equal(event->start_ns, first - 1);
	assert_int_equal(event->joined->differ, 0);
	assert_int_equal(event->joined->id_count, JOINED_IDS_MAX);
	assert_string_equal(event->joined->ids[0], event->id);
	assert_string_not_equal(event->joined->ids[1], event->id);
	event_free(event);
	assert_none_due(join, SECOND + INTERVAL);
	join_free(join);
}

/* One event an interval while the flood lasts; then it begins anew. */
static void test_a_flood_that_lasts(void **state)
{
	struct join *join = joining();
	uint64_t now_ns = SECOND;

	(void)state;
	assert_int_equal(flood(join, 100, ALICE, now_ns), AFTER);
	for (int i = 0; i < 3; i++) {
		now_ns += INTERVAL;
		event_free(join_next(join, now_ns));
		assert_none_due(join, now_ns);
		assert_int_equal(flood(join, 100, ALICE, now_ns), 0);
	}
	now_ns += INTERVAL;
	event_free(join_next(join, now_ns));
	assert_none_due(join, now_ns);
	assert_int_equal(flood(join, 2, ALICE, now_ns), 0); /* joined, and it was a flood no more */
	now_ns += INTERVAL;
	event_free(join_next(join, now_ns));
	assert_none_due(join, now_ns);
	assert_int_equal(flood(join, AFTER, ALICE, now_ns), AFTER);
	assert_none_due(join, now_ns + INTERVAL);
	join_free(join);
}

static void test_few_are_never_joined(void **state)
{
	struct join *join = joining();

	(void)state;
	for (uint64_t now_ns = SECOND; now_ns < 20 * INTERVAL; now_ns += INTERVAL) {
		assert_none_due(join, now_ns);
		assert_int_equal(flood(join, AFTER, ALICE, now_ns), AFTER);
	}
	join_free(join);
}

static void test_switched_off(void **state)
{
	struct join *join = joining();
	struct event *event;

	(void)state;
	assert_int_equal(flood(join, 20, ALICE, SECOND), AFTER);
	join_configure(join, 0, 0);
	event = join_next(join, SECOND);
	assert_non_null(event);
	assert_int_equal(event->joined->count, 20 - AFTER);
	event_free(event);
	assert_none_due(join, SECOND);
	assert_int_equal(flood(join, 20, ALICE, SECOND), 20);
	join_configure(join, INTERVAL, 1);
	assert_int_equal(flood(join, 20, ALICE, SECOND), 1);
	join_free(join);
}

/* Data in commands is counted in joined sessions, too. */
static void test_sessions(void **state)
{
	struct join *join = joining();
	struct event *event;

	(void)state;
	for (unsigned int i = 0; i < AFTER + 3; i++) {
		event = event_new(EVENT_SESSION);
		assert_non_null(event);
		event->has_flow = true;
		event->session = calloc(1, sizeof(*event->session));
		assert_non_null(event->session);
		event->session->command_bytes = 5000;
		event->verdict = VERDICT_ALERT;
		assert_int_equal(is_written(join, event, ALICE, SECOND, 1), i < AFTER);
	}
	event = join_next(join, SECOND + INTERVAL);
	assert_non_null(event);
	assert_int_equal(event->joined->count, 3);
	assert_int_equal(event->joined->bytes, 15000);
	event_free(event);
	join_free(join);
}

/* ---- A hostile user -------------------------------------------------------------------------- */

/* No two of these are alike. */
static struct event *varied_mail(unsigned int number)
{
	char executable[64], from[64], to[64];
	struct event *event;

	snprintf(executable, sizeof(executable), "/tmp/copy-%u", number);
	snprintf(from, sizeof(from), "a@from-%u.example", number);
	snprintf(to, sizeof(to), "b@to-%u.example", number);
	event = mail_of(executable, from, to);
	event->destination.port = (uint16_t)number;
	return event;
}

static void test_nothing_alike(void **state)
{
	const unsigned int mails = 100000;
	struct join *join = joining();
	uint64_t counted = 0;
	unsigned int written = 0, joined = 0;
	struct event *event;
	uint32_t differ = 0;

	(void)state;
	for (unsigned int i = 0; i < mails; i++) {
		written += is_written(join, varied_mail(i), ALICE, SECOND, 3000);
		if (i % 5000 == 0) /* nobody else is affected */
			assert_true(is_written(join, varied_mail(i), BOB, SECOND, 3000));
	}
	assert_in_range(written, JOIN_KINDS_MAX, JOIN_BYTES_MAX / 3000 + 1);
	while ((event = join_next(join, SECOND + INTERVAL))) {
		counted += event->joined->count;
		differ |= event->joined->differ;
		joined++;
		event_free(event);
	}
	assert_in_range(joined, 1, JOIN_APART_MAX + 1);
	assert_int_equal(counted + written, mails);
	assert_int_equal(differ, 1U << JOINED_EXECUTABLE | 1U << JOINED_RELAY |
					 1U << JOINED_SENDER | 1U << JOINED_RECIPIENTS);
	join_free(join);
}

/* Few kinds of many events each: their examples are bounded too. */
static void test_many_floods_at_once(void **state)
{
	struct join *join = joining();
	unsigned int joined = 0, apart = 0, written = 0;
	uint64_t counted = 0;
	struct event *event;

	(void)state;
	for (unsigned int i = 0; i < 4000; i++)
		written += is_written(join, varied_mail(i % 40), ALICE, SECOND, 1000);
	while ((event = join_next(join, SECOND + INTERVAL))) {
		joined++;
		apart += !event->joined->differ;
		counted += event->joined->count;
		event_free(event);
	}
	assert_int_equal(written, 40 * AFTER);
	assert_int_equal(joined, JOIN_APART_MAX + 1);
	assert_int_equal(apart, JOIN_APART_MAX);
	assert_int_equal(counted, 4000 - written);
	join_free(join);
}

static void test_long_events(void **state)
{
	struct join *join = joining();

	(void)state;
	assert_true(is_written(join, varied_mail(1), ALICE, SECOND, JOIN_BYTES_MAX));
	assert_false(is_written(join, varied_mail(2), ALICE, SECOND, 0));
	assert_true(is_written(join, varied_mail(3), BOB, SECOND, JOIN_BYTES_MAX - 1000));
	assert_true(is_written(join, varied_mail(4), BOB, SECOND, 0));
	for (int i = 0; i < 2; i++) { /* the addresses alone tell that it is too long */
		struct event *event = mail();

		for (int j = 0; j < 200; j++)
			add_recipient(event, "somebody@corp.example");
		assert_int_equal(is_written(join, event, i ? ALICE + 9 : BOB, SECOND, 9), i);
	}
	join_free(join);
}

/* The verdict, the action and whether it is final are those of all in a joined event. */
static void test_verdicts_are_not_mixed(void **state)
{
	struct join *join = joining();
	struct event *event;

	(void)state;
	assert_true(is_written(join, varied_mail(0), ALICE, SECOND, JOIN_BYTES_MAX));
	for (unsigned int i = 0; i < 400; i++) {
		event = varied_mail(i);
		event->provisional = i % 4 == 1;
		if (i % 4 == 2)
			event->action = EVENT_ENCRYPTED;
		if (i % 4 == 3)
			event->action = EVENT_SESSION;
		if (event->action != EVENT_MESSAGE) {
			smtp_transaction_free(event->transaction);
			event->transaction = NULL;
		}
		assert_false(is_written(join, event, ALICE, SECOND, 0));
	}
	for (unsigned int seen = 0, apart = 0; seen < 400;) {
		event = join_next(join, SECOND + INTERVAL);
		assert_non_null(event);
		assert_true(event->joined->count == 1 || event->joined->count == 98);
		assert_true(++apart <= JOIN_APART_MAX + 4);
		seen += (unsigned int)event->joined->count;
		event_free(event);
	}
	assert_none_due(join, SECOND + INTERVAL);
	join_free(join);
}

/* Refused mail first, accepted mail behind it: the joined event does not look harmless. */
static void test_the_highest_risk_shows(void **state)
{
	struct join *join = joining();
	struct event *event;

	(void)state;
	assert_true(is_written(join, varied_mail(0), ALICE, SECOND, JOIN_BYTES_MAX));
	for (unsigned int i = 0; i < 50; i++) {
		event = varied_mail(i);
		if (i < 40)
			event->transaction->outcome = SMTP_OUTCOME_FAILURE;
		event->transaction->result = i < 40 ? SMTP_RESULT_REFUSED : SMTP_RESULT_SENT;
		event_reason(event, i < 40 ? "odd_address" : "smtp_smuggling");
		assert_false(is_written(join, event, ALICE, SECOND, 0));
	}
	for (unsigned int i = 0; i < JOIN_APART_MAX; i++)
		event_free(join_next(join, SECOND + INTERVAL));
	event = join_next(join, SECOND + INTERVAL);
	assert_non_null(event);
	assert_non_null(event->joined);
	assert_int_equal(event->joined->count, 50 - JOIN_APART_MAX);
	assert_int_equal(event_risk(event), 47);
	assert_int_equal(event->reason_count, 2);
	assert_true(event->joined->differ & 1U << JOINED_OUTCOME);
	assert_true(event->joined->differ & 1U << JOINED_REASONS);
	assert_true(event->start_ns < event->joined->first_ns);
	event_free(event);
	join_free(join);
}

static void test_an_example_is_short(void **state)
{
	struct join *join = joining();
	char address[600];
	struct event *event;

	(void)state;
	memset(address, 'x', sizeof(address) - 1);
	address[sizeof(address) - 1] = '\0';
	assert_true(is_written(join, mail(), ALICE, SECOND, JOIN_BYTES_MAX));
	event = mail_of("/x", address, NULL);
	for (int i = 0; i < 150; i++) {
		add_recipient(event, address);
		event->transaction->recipients[i].code = i ? 250 : 550;
	}
	event->senders[event->sender_count++] = sender_new("/y");
	event->transaction->mail = calloc(1, sizeof(*event->transaction->mail));
	assert_non_null(event->transaction->mail);
	for (int i = 0; i < 20; i++)
		text_add(&event->transaction->mail->text, (struct span){address, 500});
	assert_false(is_written(join, event, ALICE, SECOND, 0));
	event = join_next(join, SECOND + INTERVAL);
	assert_non_null(event);
	assert_int_equal(event->joined->recipients, 150);
	assert_int_equal(event->transaction->recipient_count, SMTP_SHORT_RECIPIENTS);
	assert_int_equal(event->transaction->recipients_dropped, 150 - SMTP_SHORT_RECIPIENTS);
	assert_int_equal(smtp_transaction_from(event->transaction).len, SMTP_SHORT_ADDRESS);
	assert_int_equal(smtp_transaction_recipient(event->transaction, 9).len, SMTP_SHORT_ADDRESS);
	assert_memory_equal(smtp_transaction_recipient(event->transaction, 9).data, address,
			    SMTP_SHORT_ADDRESS);
	assert_true(smtp_recipient_refused(event->transaction, 0));
	assert_false(smtp_recipient_refused(event->transaction, 1));
	assert_int_equal(event->sender_count, 1);
	assert_true(event->senders_incomplete);
	assert_null(event->transaction->mail);
	event_free(event);
	join_free(join);
}

/* ---- Users ----------------------------------------------------------------------------------- */

static void test_many_users(void **state)
{
	struct join *join = joining();
	unsigned int joined = 0;
	uint64_t counted = 0;
	struct event *event;

	(void)state;
	for (uint64_t user = 0; user < JOIN_USERS_MAX; user++)
		assert_int_equal(flood(join, AFTER + 1, user, SECOND), AFTER);
	/* The others share one place, and are counted. */
	assert_int_equal(flood(join, AFTER + 1, JOIN_USERS_MAX, SECOND), AFTER);
	assert_int_equal(flood(join, AFTER + 1, JOIN_USERS_MAX + 1, SECOND), 0);
	while ((event = join_next(join, SECOND + INTERVAL))) {
		joined++;
		counted += event->joined->count;
		event_free(event);
	}
	assert_int_equal(joined, JOIN_USERS_MAX + 1);
	assert_int_equal(counted, JOIN_USERS_MAX + 1 + AFTER + 1);
	assert_int_equal(flood(join, 1, JOIN_USERS_MAX + 2, SECOND + INTERVAL), 1);
	join_free(join);
}

/* The intervals of users end one after the other. */
static void test_each_user_has_an_interval(void **state)
{
	struct join *join = joining();

	(void)state;
	flood(join, AFTER + 1, ALICE, SECOND);
	flood(join, AFTER + 2, BOB, 2 * SECOND);
	for (unsigned int i = 1; i <= 2; i++) {
		struct event *event = join_next(join, i * SECOND + INTERVAL);

		assert_non_null(event);
		assert_int_equal(event->joined->count, i);
		event_free(event);
		assert_none_due(join, i * SECOND + INTERVAL);
	}
	join_free(join);
}

/* ---- Provisional, excluded ------------------------------------------------------------------- */

static struct event *of_id(struct event *event, const char *id, bool provisional)
{
	snprintf(event->id, sizeof(event->id), "%s", id);
	event->provisional = provisional;
	return event;
}

static void test_pairs_stay_together(void **state)
{
	static const char id[] = "0123456789abcdef0123456789abcdef";
	struct join *join = joining();
	struct event *event;

	(void)state;
	assert_true(is_written(join, of_id(mail(), id, true), ALICE, SECOND, 1));
	assert_int_equal(flood(join, 20, ALICE, SECOND), AFTER);
	assert_true(is_written(join, of_id(mail(), id, false), ALICE, SECOND, 1));
	assert_false(is_written(join, of_id(mail(), id, false), ALICE, SECOND, 1)); /* once */
	for (unsigned int i = 1; i < AFTER; i++)
		assert_true(is_written(join, of_id(mail(), "f", true), ALICE, SECOND, 1));
	/* Where the first one was joined, so may be the second one. */
	assert_false(is_written(join, of_id(mail(), "e", true), ALICE, SECOND, 1));
	assert_false(is_written(join, of_id(mail(), "e", false), ALICE, SECOND, 1));
	for (unsigned int i = 0; i < 2; i++) {
		event = join_next(join, SECOND + INTERVAL);
		assert_non_null(event);
		assert_int_equal(event->joined->count, event->provisional ? 1 : 20 - AFTER + 2);
		event_free(event);
	}
	join_free(join);
}

static struct event *excluded_mail(unsigned int number)
{
	struct event *event = varied_mail(number);

	event->verdict = VERDICT_EXCLUDED;
	event->exclusion = copy_of("newsletter");
	return event;
}

static void test_excluded(void **state)
{
	const uint64_t bytes = 4096, fit = JOIN_EXCLUDED_MAX / bytes;
	struct join *join = joining();
	struct event *event;

	(void)state;
	for (unsigned int i = 0; i < fit; i++)
		assert_true(is_written(join, excluded_mail(i), ALICE, SECOND, bytes));
	for (unsigned int i = 0; i < 100; i++)
		assert_false(is_written(join, excluded_mail(i), ALICE, SECOND, bytes));
	assert_true(is_written(join, varied_mail(0), ALICE, SECOND, bytes)); /* of alerts alone */
	event = join_next(join, SECOND + INTERVAL);
	assert_non_null(event);
	assert_int_equal(event->joined->count, 100);
	assert_int_equal(event->verdict, VERDICT_EXCLUDED);
	event_free(event);
	assert_none_due(join, SECOND + INTERVAL);
	assert_true(is_written(join, excluded_mail(0), ALICE, SECOND + INTERVAL, bytes));
	join_free(join);
}

/* What waits at the end is freed. */
static void test_freed_early(void **state)
{
	struct join *join = joining();

	(void)state;
	flood(join, 20, ALICE, SECOND);
	for (unsigned int i = 0; i < 300; i++)
		is_written(join, varied_mail(i), BOB, SECOND, 3000);
	join_free(join);
	join_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_after_the_first),
		cmocka_unit_test(test_a_flood_that_lasts),
		cmocka_unit_test(test_few_are_never_joined),
		cmocka_unit_test(test_switched_off),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_nothing_alike),
		cmocka_unit_test(test_many_floods_at_once),
		cmocka_unit_test(test_long_events),
		cmocka_unit_test(test_verdicts_are_not_mixed),
		cmocka_unit_test(test_the_highest_risk_shows),
		cmocka_unit_test(test_an_example_is_short),
		cmocka_unit_test(test_many_users),
		cmocka_unit_test(test_each_user_has_an_interval),
		cmocka_unit_test(test_pairs_stay_together),
		cmocka_unit_test(test_excluded),
		cmocka_unit_test(test_freed_early),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
