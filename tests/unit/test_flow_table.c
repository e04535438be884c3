/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The table of flows: its bound, and which flow a full table drops. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "flow/flow.h"
#include "flow/flow_table.h"

static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	smtp_transaction_free(transaction);
}

static unsigned int evictions;

static void on_evict(void *context, struct flow *flow)
{
	(void)context;
	(void)flow;
	evictions++;
}

static struct flow_table *table;
static struct flow *flow;

static int setup(void **state)
{
	(void)state;
	evictions = 0;
	table = flow_table_new(on_evict, NULL);
	flow = flow_get(table, 1, 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_free(table);
	return 0;
}

static void test_table_is_bounded(void **state)
{
	(void)state;
	for (uint64_t cookie = 2; cookie < FLOWS_MAX + 10; cookie++)
		assert_non_null(flow_get(table, cookie, cookie));
	assert_int_equal(flow_count(table), FLOWS_MAX);
	assert_int_equal(evictions, 9);
	assert_int_equal(flow_evicted(table), 9);
	assert_null(flow_find(table, 1));
	assert_non_null(flow_find(table, FLOWS_MAX));
	flow_remove(table, flow_find(table, FLOWS_MAX));
	assert_null(flow_find(table, FLOWS_MAX));
}

static void test_table_keeps_what_is_in_use(void **state)
{
	(void)state;
	for (uint64_t cookie = 2; cookie < 3 * FLOWS_MAX; cookie++) {
		flow_get(table, cookie, cookie);
		assert_ptr_equal(flow_get(table, 1, cookie), flow);
	}
}

static void open_mail(uint64_t cookie)
{
	struct flow *one = flow_get(table, cookie, cookie);

	if (!one->smtp)
		one->smtp = smtp_session_new(true, on_transaction, NULL);
	flow_bytes(one, true, 100, span_of("MAIL FROM:<a@b>\r\n"), 17, 1);
}

/* A full table drops a flow without an open transaction, if a bounded search finds one. */
static void test_table_keeps_what_is_open(void **state)
{
	(void)state;
	open_mail(1);
	for (uint64_t cookie = 2; cookie < 3 * FLOWS_MAX; cookie++)
		flow_get(table, cookie, cookie);
	assert_ptr_equal(flow_find(table, 1), flow);
	assert_int_equal(flow_count(table), FLOWS_MAX);
	teardown(state);
	setup(state);
	for (uint64_t cookie = 1; cookie <= FLOWS_EVICT_TRIES; cookie++)
		open_mail(cookie);
	for (uint64_t cookie = FLOWS_EVICT_TRIES + 1; cookie <= FLOWS_MAX; cookie++)
		flow_get(table, cookie, cookie);
	flow_get(table, FLOWS_MAX + 1, 1);
	assert_null(flow_find(table, 1));
	for (uint64_t cookie = 2; cookie <= FLOWS_EVICT_TRIES; cookie++)
		flow_get(table, FLOWS_MAX + cookie, 1);
	for (uint64_t cookie = 2; cookie <= FLOWS_EVICT_TRIES; cookie++)
		assert_non_null(flow_find(table, cookie));
	assert_int_equal(flow_evicted(table), FLOWS_EVICT_TRIES);
}

static void owned(uint64_t cookie, uint32_t owner)
{
	const struct flow_id id = {.cookie = cookie, .owner = owner};

	flow_identify(table, flow_get(table, cookie, cookie), &id);
}

/* Who has most flows loses his own, although those of another owner were idle for longer. */
static void test_table_is_shared_by_owners(void **state)
{
	(void)state;
	for (uint64_t cookie = 2; cookie < 100; cookie++)
		owned(cookie, 1);
	for (uint64_t cookie = 100; cookie < 3 * FLOWS_MAX; cookie++)
		owned(cookie, 2);
	assert_int_equal(flow_count(table), FLOWS_MAX);
	for (uint64_t cookie = 1; cookie < 100; cookie++)
		assert_non_null(flow_find(table, cookie));
	assert_null(flow_find(table, 100));
	while (flow_oldest(table))
		flow_remove(table, flow_oldest(table));
	assert_int_equal(flow_count(table), 0);
	owned(1, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_table_is_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_keeps_what_is_in_use, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_keeps_what_is_open, setup, teardown),
		cmocka_unit_test_setup_teardown(test_table_is_shared_by_owners, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
