/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * AUTH secrets in the records of a flow: sends and segments, of a client and of a server of this
 * host, in both directions.
 */
#include "unit.h"

#include <string.h>

#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/mask.h"

static struct flow_table *table;

static void on_evict(void *context, struct flow *flow)
{
	(void)context;
	(void)flow;
}

static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	smtp_transaction_free(transaction);
}

static int setup(void **state)
{
	(void)state;
	table = flow_table_new(on_evict, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_free(table);
	return 0;
}

static struct flow *flow_of(uint64_t cookie)
{
	struct flow *flow = flow_get(table, cookie, 1);

	if (!flow->smtp)
		flow->smtp = smtp_session_new(true, on_transaction, NULL);
	return flow;
}

/* Records a segment as the pipeline does: masked first, then read. Expects what was recorded. */
static void segment(struct flow *flow, bool outbound, uint32_t flags, uint32_t *seq,
		    const char *text, const char *expected)
{
	size_t len = strlen(text);
	struct segment_record *record = calloc(1, sizeof(*record) + len + 1);

	assert_non_null(record);
	record->flags = outbound ? SEGMENT_OUTBOUND : 0;
	record->flow.flags = flow->id.flags = flags;
	record->seq = *seq;
	record->len = record->data_len = (uint32_t)len;
	memcpy(record->data, text, len);
	mask_segment(flow, record);
	assert_string_equal(record->data, expected);
	flow_bytes(flow, outbound, *seq, (struct span){text, len}, (uint32_t)len, 1);
	*seq += (uint32_t)len;
	free(record);
}

static void sent(struct flow *flow, uint32_t flags, uint32_t seq, const char *text,
		 const char *expected)
{
	size_t len = strlen(text);
	struct send_record *record = calloc(1, sizeof(*record) + len + 1);

	assert_non_null(record);
	record->flow.flags = flags;
	record->flags = SEND_ENTRY;
	record->seq = seq;
	record->len = record->data_len = (uint32_t)len;
	memcpy(record->data, text, len);
	mask_send(flow, record);
	assert_string_equal(record->data, expected);
	free(record);
}

static const struct {
	bool client;
	const char *text, *recorded;
} steps[] = {
	{false, "220 mx\r\n", "220 mx\r\n"},
	{true, "EHLO me\r\n", "EHLO me\r\n"},
	{false, "250 mx\r\n", "250 mx\r\n"},
	{true, "AUTH LOGIN\r\n", "AUTH LOGIN\r\n"},
	{false, "502 no\r\n", "502 **\r\n"},
	{true, "dXNlcg==\r\n", "********\r\n"},
	{false, "500 dXNlcg==?\r\n", "500 *********\r\n"},
	{true, "c2Vjcm", "******"},
	{true, "V0\r\n", "**\r\n"},
	{false, "500 c2VjcmV0?\r\n", "500 *********\r\n"},
	{true, "MAIL FROM:<a@x>\r\n", "MAIL FROM:<a@x>\r\n"},
	{false, "250 ok, c2VjcmV0\r\n", "250 ok, ********\r\n"},
	{true, "what\r\n", "what\r\n"},
	{false, "500 what?\r\n", "500 what?\r\n"},
};

#define STEPS (sizeof(steps) / sizeof(steps[0]))

/* Each send comes before its segment. */
static void test_client(void **state)
{
	struct flow *flow = flow_of(1);
	uint32_t tx = 100, rx = 200;

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		bool client = steps[i].client;

		if (client)
			sent(flow, 0, tx, steps[i].text, steps[i].recorded);
		segment(flow, client, 0, client ? &tx : &rx, steps[i].text, steps[i].recorded);
	}
}

/* The same connection at its other end: what arrives is the client's, what is sent the server's. */
static void test_server(void **state)
{
	struct flow *flow = flow_of(2);
	uint32_t tx = 100, rx = 200;

	(void)state;
	for (size_t i = 0; i < STEPS; i++) {
		bool client = steps[i].client;

		if (!client)
			sent(flow, FLOW_ACCEPTED, tx, steps[i].text, steps[i].recorded);
		segment(flow, !client, FLOW_ACCEPTED, client ? &rx : &tx, steps[i].text,
			steps[i].recorded);
	}
}

/* A reply that arrives out of order, or twice, is masked like one to a secret. */
static void test_out_of_order(void **state)
{
	struct flow *flow = flow_of(3);
	uint32_t tx = 100, rx = 200, later = 300;

	(void)state;
	for (size_t i = 0; i < 8; i++)
		segment(flow, steps[i].client, 0, steps[i].client ? &tx : &rx, steps[i].text,
			steps[i].recorded);
	segment(flow, true, 0, &tx, "V0\r\n", "**\r\n");
	segment(flow, false, 0, &later, "500-secret\r\n500 c2VjcmV0?\r\n",
		"500-******\r\n500 *********\r\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_client, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server, setup, teardown),
		cmocka_unit_test_setup_teardown(test_out_of_order, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
