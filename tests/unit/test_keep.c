/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a recording with a filter contains: the flows that the filter selects, complete and in
 * order, and no byte of any other; and a replay of it gives the events of the live watch.
 */
#include "watched.h"

static void finish(struct watched *watched)
{
	pipeline_finish(watched->pipeline, "end");
}

#define WORD(word)                                                                                 \
	{                                                                                          \
		.items = {{word, sizeof(word) - 1}}, .count = 1                                    \
	}
#define NUMBER(number)                                                                             \
	{                                                                                          \
		.items = {number}, .count = 1                                                      \
	}

/* ---- Tests ----------------------------------------------------------------------------------- */

static const struct line of_joe = {.cookie = 1, .port = 25, .pid = 10, .uid = JOE},
			 of_anne = {.cookie = 2, .port = 587, .pid = 11, .uid = ANNE};

static void two_users(struct watched *watched, const struct filter *filter)
{
	now_ns = 0;
	begin(watched, filter, true);
	tell_host(watched);
	session(watched, of_joe, "joes-mail");
	session(watched, of_anne, "annes-mail");
	tell_name(watched, JOE, "joe");
	tell_name(watched, ANNE, "anne");
	now_ns += 1000 * MS;
	pipeline_tick(watched->pipeline, now_ns);
	finish(watched);
}

static void test_all(void **state)
{
	const struct filter filter = {.all = true};
	struct watched watched;

	(void)state;
	two_users(&watched, &filter);
	assert_int_equal(watched.records, 3 + 2 * 18);
	assert_true(is_recorded(&watched, "joes-mail") && is_recorded(&watched, "annes-mail"));
	assert_non_null(strstr(watched.events.data, "annes-mail@x"));
	expect_same_events(&watched, &filter);
	watched_free(&watched);
}

/* The names are known only after both connections are closed. */
static void test_selected(void **state)
{
	static const struct filter filters[] = {
		{.all = true, .user = WORD("joe")},
		{.all = true, .user = WORD("1000")},
		{.all = true, .user = {.items = {{"mallory", 7}, {"joe", 3}}, .count = 2}},
		{.all = true, .pid = NUMBER(10)},
		{.all = true, .port = NUMBER(25)},
		{.all = true, .port = {.items = {465, 25}, .count = 2}},
		{.all = true, .port = NUMBER(25), .user = WORD("joe"), .unit = WORD("app.service")},
		{.all = true, .user = WORD("joe"), .unit = WORD("app")}};
	static const struct filter none[] = {
		{.all = true, .user = WORD("mallory")},
		{.all = true, .port = NUMBER(26)},
		{.all = true, .container = WORD("a")},
		{.all = true, .port = NUMBER(25), .user = WORD("anne")},
		{.all = true, .pid = NUMBER(12)},
		{.all = true, .unit = WORD("other.service")},
		{.all = true, .unit = WORD("ap")}};
	struct watched watched;

	(void)state;
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		two_users(&watched, &filters[i]);
		assert_true(is_recorded(&watched, "joes-mail"));
		assert_false(is_recorded(&watched, "annes-mail"));
		/* The host, the names, joe's records; of anne's the sender and the end. */
		assert_int_equal(watched.records, 3 + 18 + 2);
		assert_int_equal(pipeline_recorded_late(watched.pipeline), 0);
		assert_non_null(strstr(watched.events.data, "joes-mail@x"));
		expect_same_events(&watched, &filters[i]);
		watched_free(&watched);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		two_users(&watched, &none[i]);
		assert_false(is_recorded(&watched, "joes-mail"));
		assert_false(is_recorded(&watched, "annes-mail"));
		assert_int_equal(watched.records, 3 + 2 + 2);
		assert_null(watched.events.data);
		watched_free(&watched);
	}
}

/* A connection that one process opens and greets on, and another one mails on. */
static void test_handed_on(void **state)
{
	const struct filter filter = {.all = true, .user = WORD("1000")};
	struct watched watched;
	struct line line = {.cookie = 3, .port = 25, .pid = 20, .uid = 0};

	(void)state;
	now_ns = 0;
	begin(&watched, &filter, true);
	tell_host(&watched);
	greet(&watched, &line, "opener");
	assert_false(is_recorded(&watched, "opener"));
	line.pid = 21;
	line.uid = JOE;
	tell_sender(&watched, line.cookie, line.pid, line.uid);
	mail(&watched, &line, "joes-mail");
	assert_true(is_recorded(&watched, "opener"));
	hang_up(&watched, &line);
	finish(&watched);
	assert_int_equal(pipeline_recorded_late(watched.pipeline), 0);
	expect_same_events(&watched, &filter);
	watched_free(&watched);
}

static void say_much(struct watched *watched, struct line *line, size_t len)
{
	char block[8192];

	memset(block, 'n', sizeof(block));
	memcpy(block, "NOOP ", 5);
	block[sizeof(block) - 1] = '\n';
	for (; len >= sizeof(block); len -= sizeof(block)) {
		say_bytes(watched, line, (struct span){block, sizeof(block)});
		hear(watched, line, "250 ok\r\n");
	}
}

/* What waits is bounded: then the flow is recorded from there on, and says so. */
static void test_late(void **state)
{
	const struct filter filter = {.all = true, .user = WORD("1000")};
	struct watched watched;
	struct line line = {.cookie = 3, .port = 25, .pid = 20, .uid = 0};

	(void)state;
	now_ns = 0;
	begin(&watched, &filter, true);
	tell_host(&watched);
	greet(&watched, &line, "opener");
	say_much(&watched, &line, 100000);
	line.pid = 21;
	line.uid = JOE;
	tell_sender(&watched, line.cookie, line.pid, line.uid);
	mail(&watched, &line, "joes-mail");
	hang_up(&watched, &line);
	finish(&watched);
	assert_false(is_recorded(&watched, "opener"));
	assert_false(is_recorded(&watched, "nnnnnn"));
	assert_true(is_recorded(&watched, "joes-mail"));
	assert_int_equal(pipeline_recorded_late(watched.pipeline), 1);
	for (size_t at = 0, len; at < watched.recorded.len; at += len) {
		struct segment_record segment;

		memcpy(&segment, watched.recorded.data + at, sizeof(struct record));
		len = segment.h.len;
		if (segment.h.type != RECORD_SEGMENT)
			continue;
		memcpy(&segment, watched.recorded.data + at, sizeof(segment));
		assert_int_equal(segment.flow.flags & FLOW_FROM_START, 0);
	}
	watched_free(&watched);
}

/* All flows together have a bound as well: those that wait longest give up what waits. */
static void test_bound_of_all(void **state)
{
	const struct filter filter = {.all = true, .user = WORD("1000")};
	static struct line lines[400];
	struct watched watched;
	size_t whole = 0;

	(void)state;
	now_ns = 0;
	begin(&watched, &filter, true);
	tell_host(&watched);
	for (size_t i = 0; i < 400; i++) {
		char name[20];

		lines[i] = (struct line){.cookie = 100 + i,
					 .port = 25,
					 .pid = 1000 + (uint32_t)i,
					 .uid = 0};
		snprintf(name, sizeof(name), "opener-%03zu", i);
		greet(&watched, &lines[i], name);
		say_much(&watched, &lines[i], 50000);
	}
	for (size_t i = 0; i < 400; i++) {
		lines[i].uid = JOE;
		tell_sender(&watched, lines[i].cookie, lines[i].pid, JOE);
		say(&watched, &lines[i], "QUIT\r\n");
		hang_up(&watched, &lines[i]);
	}
	for (size_t i = 0; i < 400; i++) {
		char name[20];

		snprintf(name, sizeof(name), "opener-%03zu", i);
		whole += is_recorded(&watched, name);
		assert_int_equal(is_recorded(&watched, name), whole > 0); /* the newest ones */
	}
	assert_in_range(whole, 250, 380); /* of 50 KB each, 16 MiB hold that many */
	assert_int_equal(pipeline_recorded_late(watched.pipeline), 400 - whole);
	finish(&watched);
	watched_free(&watched);
}

static void tell_connection(struct watched *watched, const struct line *line)
{
	struct connection_record *connection = make(sizeof(*connection), (struct span){NULL, 0});

	connection->flow = id_of(line->cookie, line->port);
	connection->flow.flags = 0;
	connection->task = task_of(line->pid, line->uid);
	connection->queued = 1U << 30;
	tell(watched, &connection->h, RECORD_CONNECTION, sizeof(*connection));
}

/* Connections on which much was being sent when the watch began: told at once, or not at all. */
static void test_under_way(void **state)
{
	const struct filter filter = {.all = true, .user = WORD("1000")};
	struct watched watched;

	(void)state;
	now_ns = 0;
	begin(&watched, &filter, true);
	tell_host(&watched);
	tell_connection(&watched, &of_joe);
	tell_connection(&watched, &of_anne);
	assert_int_equal(watched.records, 2);
	for (int i = 0; i < 30; i++) {
		now_ns += 100 * MS;
		pipeline_tick(watched.pipeline, now_ns);
	}
	finish(&watched);
	assert_int_equal(watched.records, 2);
	assert_int_equal(pipeline_recorded_late(watched.pipeline), 0);
	watched_free(&watched);
}

/* Flows that are still open at the end, and a pipeline that ends without pipeline_finish(). */
static void test_end(void **state)
{
	const struct filter filter = {.all = true, .user = WORD("joe")};
	struct watched watched;
	struct line joe = of_joe, anne = of_anne;

	(void)state;
	for (int finished = 0; finished < 2; finished++) {
		now_ns = 0;
		joe = of_joe;
		anne = of_anne;
		begin(&watched, &filter, true);
		tell_host(&watched);
		greet(&watched, &joe, "joes-mail");
		greet(&watched, &anne, "annes-mail");
		tell_name(&watched, JOE, "joe");
		if (finished)
			finish(&watched);
		assert_int_equal(is_recorded(&watched, "joes-mail"), finished);
		assert_false(is_recorded(&watched, "annes-mail"));
		watched_free(&watched);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),	     cmocka_unit_test(test_selected),
		cmocka_unit_test(test_handed_on),    cmocka_unit_test(test_late),
		cmocka_unit_test(test_bound_of_all), cmocka_unit_test(test_under_way),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
