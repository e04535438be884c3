/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What one connection and one user may write in a watch: a flood is bounded and reported, every
 * message is counted, other users and normal senders of bulk mail lose nothing.
 */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "flow/pace.h"
#include "smtp/transaction.h"
#include "watch/pipeline_state.h"

#define SECOND 1000000000ULL
#define BURST  (PACE_EVENTS_PER_S * PACE_BURST_S)

enum who { JOE = 1000, ANNE = 1001 };

struct watched {
	struct sink sink;
	struct pipeline *pipeline;
	uint64_t row_bytes;
	size_t rows[2];	 /* of Joe, of Anne: messages */
	size_t excluded; /* of them */
	size_t sessions, losses;
	uint64_t left_out; /* as the losses and the last session say */
	uint64_t of_session;
	char said[512]; /* by the last loss */
};

static int take(struct sink *sink, const struct event *event)
{
	struct watched *watched = (struct watched *)sink;

	sink->bytes += watched->row_bytes;
	if (event->action == EVENT_MESSAGE)
		watched->rows[event->senders[0]->task.uid - JOE]++;
	if (event->verdict == VERDICT_EXCLUDED)
		watched->excluded++;
	if (event->action == EVENT_SESSION) {
		watched->sessions++;
		watched->of_session = event->stats->events_left_out;
	}
	if (event->action == EVENT_LOSS) {
		watched->losses++;
		watched->left_out += event->stats->events_left_out;
		snprintf(watched->said, sizeof(watched->said), "%s", event->detail);
	}
	return 0;
}

static void begin(struct watched *watched, bool pace)
{
	const struct filter filter = {.all = true};
	const struct pipeline_hooks hooks = {0};

	*watched = (struct watched){.sink = {.write = take}, .row_bytes = 2000};
	watched->pipeline = pipeline_new(&watched->sink, &filter, &hooks);
	assert_non_null(watched->pipeline);
	if (pace)
		assert_int_equal(pipeline_pace(watched->pipeline), 0);
	pipeline_tick(watched->pipeline, 100 * SECOND);
}

static struct event *event_of(enum event_action action, enum who who, struct pace *flow)
{
	struct event *event = event_new(action);
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(event);
	assert_non_null(sender);
	sender->refs = 1;
	sender->task.pid = 4321;
	sender->task.uid = sender->task.euid = who;
	sender->user = strdup(who == JOE ? "joe" : "anne");
	event->senders[event->sender_count++] = sender;
	event->has_flow = true;
	event->pace = pace_ref(flow);
	event->source.port = 40000;
	event->destination.port = 25;
	if (action == EVENT_MESSAGE)
		event->transaction = smtp_transaction_new(1, 0, 1);
	else
		event->stats = calloc(1, sizeof(*event->stats));
	return event;
}

static void mail(struct watched *watched, enum who who, struct pace *flow,
		 enum event_verdict verdict)
{
	struct event *event = event_of(EVENT_MESSAGE, who, flow);

	event->verdict = verdict;
	hold_write(watched->pipeline, event);
}

static void mails(struct watched *watched, enum who who, struct pace *flow, size_t count)
{
	while (count--)
		mail(watched, who, flow, VERDICT_ALERT);
}

static void pass(struct watched *watched, uint64_t ns)
{
	pipeline_tick(watched->pipeline, watched->pipeline->now_ns + ns);
}

static void end(struct watched *watched)
{
	pipeline_finish(watched->pipeline, "end");
	pipeline_free(watched->pipeline);
}

/* A mailing list: a thousand mails each second over one connection, and ten thousand at once. */
static void test_bulk(void **state)
{
	struct pace *flow = pace_new();
	struct watched watched;

	(void)state;
	begin(&watched, true);
	for (int second = 0; second < 60; second++) {
		for (int i = 0; i < 10; i++) {
			mails(&watched, JOE, flow, 100);
			pass(&watched, SECOND / 10);
		}
	}
	mails(&watched, JOE, flow, BURST);
	assert_int_equal(watched.rows[0], 60000 + BURST);
	end(&watched);
	assert_int_equal(watched.losses, 0);
	pace_unref(flow);
}

/* One connection floods for 8 s. Another one of its user, and another user, are not affected. */
static void test_flood(void **state)
{
	struct pace *flow = pace_new(), *other = pace_new(), *annes = pace_new();
	struct watched watched;
	struct event *session;

	(void)state;
	begin(&watched, true);
	for (int i = 0; i < 80; i++) {
		mails(&watched, JOE, flow, 2500);
		mails(&watched, ANNE, annes, 1);
		pass(&watched, SECOND / 10);
	}
	assert_int_equal(watched.rows[1], 80);
	assert_in_range(watched.rows[0], BURST + 7 * PACE_EVENTS_PER_S,
			BURST + 8 * PACE_EVENTS_PER_S);
	assert_int_equal(watched.losses, 1); /* the first one at once, then one in 10 s */
	assert_non_null(strstr(watched.said, "process 4321 (uid 1000), connection "));
	assert_non_null(strstr(watched.said, ":40000 to "));
	mails(&watched, JOE, other, 100);
	session = event_of(EVENT_SESSION, JOE, flow);
	hold_write(watched.pipeline, session);
	assert_int_equal(watched.sessions, 1);
	assert_int_equal(pipeline_stats(watched.pipeline)->messages, 200000 + 80 + 100);
	assert_int_equal(pipeline_stats(watched.pipeline)->alerts, 200000 + 80 + 100);
	assert_int_equal(watched.of_session, 200000 + 100 - watched.rows[0]);
	end(&watched);
	assert_int_equal(watched.losses, 2);
	assert_int_equal(watched.left_out, watched.of_session);
	pace_unref(flow);
	pace_unref(other);
	pace_unref(annes);
}

/* Connections without end, a mail or a hundred in each: the user is bounded, and only he. */
static void test_many_connections(void **state)
{
	struct watched watched;

	(void)state;
	begin(&watched, true);
	for (int i = 0; i < 2000; i++) {
		struct pace *flow = pace_new();

		mails(&watched, JOE, flow, 100);
		hold_write(watched.pipeline, event_of(EVENT_SESSION, JOE, flow));
		pace_unref(flow);
		mails(&watched, ANNE, NULL, 1);
		pass(&watched, SECOND / 1000);
	}
	assert_int_equal(watched.rows[1], 2000);
	assert_in_range(watched.rows[0], 1, PACE_USER * (BURST + 3 * PACE_EVENTS_PER_S));
	assert_int_equal(watched.sessions, 2000); /* what is reserved for them is enough here */
	assert_int_equal(pipeline_stats(watched.pipeline)->messages, 202000);
	end(&watched);
}

/* Fewer, but large: mails with thousands of recipients. */
static void test_large_rows(void **state)
{
	struct pace *flow = pace_new();
	struct watched watched;

	(void)state;
	begin(&watched, true);
	watched.row_bytes = 1U << 20;
	mails(&watched, JOE, flow, 1000);
	assert_in_range(watched.rows[0], 40, 41);
	pass(&watched, SECOND);
	mails(&watched, JOE, flow, 1000);
	assert_in_range(watched.rows[0], 48, 50);
	watched.row_bytes = UINT64_MAX / 2; /* one at a time, however large */
	pass(&watched, 60 * SECOND);
	mails(&watched, JOE, flow, 10);
	assert_in_range(watched.rows[0], 49, 51);
	end(&watched);
	pace_unref(flow);
}

/* With --all: expected mail does not use up what alerts need. */
static void test_excluded_apart(void **state)
{
	struct pace *flow = pace_new();
	struct watched watched;

	(void)state;
	begin(&watched, true);
	for (int i = 0; i < 50000; i++)
		mail(&watched, JOE, flow, VERDICT_EXCLUDED);
	assert_in_range(watched.excluded, BURST, BURST + 1);
	mails(&watched, JOE, flow, 100);
	assert_int_equal(watched.rows[0], watched.excluded + 100);
	end(&watched);
	pace_unref(flow);
}

/* A replay writes all. */
static void test_replay(void **state)
{
	struct watched watched;

	(void)state;
	begin(&watched, false);
	mails(&watched, JOE, NULL, 50000);
	assert_int_equal(watched.rows[0], 50000);
	end(&watched);
	assert_int_equal(watched.losses, 0);
}

/* A clock that goes back, or leaps, gives no more than the burst. */
static void test_clock(void **state)
{
	struct pace pace = {0};

	(void)state;
	assert_true(pace_allows(&pace, PACE_ALERT, 0, SECOND));
	for (size_t i = 0; i < BURST; i++)
		pace_charge(&pace, PACE_ALERT, 1, 1);
	assert_false(pace_allows(&pace, PACE_ALERT, 0, SECOND / 2));
	assert_true(pace_allows(&pace, PACE_OTHER, 0, SECOND / 2));
	assert_true(pace_allows(&pace, PACE_ALERT, 0, UINT64_MAX));
	for (size_t i = 0; i < BURST; i++)
		pace_charge(&pace, PACE_ALERT, 1, 1);
	assert_false(pace_allows(&pace, PACE_ALERT, 0, UINT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bulk),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test(test_large_rows),
		cmocka_unit_test(test_excluded_apart),
		cmocka_unit_test(test_replay),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
