/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Flows: bytes put in order, and the senders of byte ranges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "flow/claims.h"
#include "flow/flow.h"
#include "flow/flow_table.h"

#define SECOND 1000000000ULL

static unsigned int transactions;
static char last_from[256];
static uint64_t last_missing;

static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	struct span from = smtp_transaction_from(transaction);

	(void)context;
	transactions++;
	last_missing = transaction->missing_bytes;
	memcpy(last_from, from.data, from.len);
	last_from[from.len] = '\0';
	smtp_transaction_free(transaction);
}

static void on_evict(void *context, struct flow *flow)
{
	(void)context;
	(void)flow;
	fail_msg("the table is not full");
}

static struct flow_table *table;
static struct flow *flow;

static int setup(void **state)
{
	(void)state;
	transactions = 0;
	last_from[0] = '\0';
	table = flow_table_new(on_evict, NULL);
	flow = flow_get(table, 1, 1);
	flow->smtp = smtp_session_new(true, on_transaction, NULL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	flow_table_free(table);
	return 0;
}

static void client(uint32_t seq, const char *text)
{
	flow_bytes(flow, true, seq, span_of(text), (uint32_t)strlen(text), 1);
}

static void server(uint32_t seq, const char *text, uint64_t time_ns)
{
	flow_bytes(flow, false, seq, span_of(text), (uint32_t)strlen(text), time_ns);
}

/* Adds a sender with this pid to the flow, in this directory. Returns its index. */
static int sender_in(uint32_t pid, const char *directory)
{
	struct sender *sender = calloc(1, sizeof(*sender));
	int index;

	assert_non_null(sender);
	sender->refs = 1;
	sender->task.pid = pid;
	sender->full = directory;
	sender->directory = directory ? strdup(directory) : NULL;
	index = flow_sender(flow, sender);
	sender_unref(sender);
	return index;
}

static int sender_of(uint32_t pid)
{
	return sender_in(pid, NULL);
}

static void test_in_order_across_the_wrap(void **state)
{
	(void)state;
	client(0xfffffff0U, "MAIL FROM:<a@b>\r\n");
	client(0x1U, "RCPT TO:<c@d>\r\n");
	assert_int_equal(smtp_client_position(flow->smtp), 32);
	smtp_session_close(flow->smtp, 2);
	assert_int_equal(transactions, 1);
	assert_string_equal(last_from, "a@b");
	assert_int_equal(last_missing, 0);
}

/* Urgent data is reported before its segment, more than once, and again after the segment. */
static void test_urgent(void **state)
{
	(void)state;
	client(100, "MA");
	flow_urgent(flow, 102);
	flow_urgent(flow, 102);
	client(102, "XIL FROM:<a@b>\r\n");
	flow_urgent(flow, 102);
	assert_int_equal(flow->urgent_count, 0);
	assert_int_equal(smtp_session_facts(flow->smtp)->urgent_bytes, 1);
	client(118, "RCPT TO:<c@d>\r\n");
	for (uint32_t i = 0; i < 3 * FLOW_URGENT_MAX; i++)
		flow_urgent(flow, 5000 + i);
	assert_int_equal(flow->urgent_count, FLOW_URGENT_MAX);
	assert_int_equal(smtp_client_position(flow->smtp), 33);
	smtp_session_close(flow->smtp, 2);
	assert_int_equal(transactions, 1);
	assert_string_equal(last_from, "a@b");
	assert_int_equal(last_missing, 0);
}

static void test_repeated_and_overlapping(void **state)
{
	(void)state;
	client(100, "MAIL FROM:<a@b>\r\n");
	client(100, "MAIL FROM:<a@b>\r\n");
	client(110, "<a@b>\r\nRCPT TO:<c@d>\r\n");
	client(100, "");
	assert_int_equal(smtp_client_position(flow->smtp), 32);
	smtp_session_close(flow->smtp, 2);
	assert_int_equal(transactions, 1);
	assert_int_equal(last_missing, 0);
}

static void test_outbound_hole_is_a_gap_at_once(void **state)
{
	(void)state;
	client(100, "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	client(142, "\r\nQUIT\r\n");
	assert_int_equal(smtp_client_position(flow->smtp), 50);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 10);
}

static void test_truncated_segment(void **state)
{
	(void)state;
	flow_bytes(flow, true, 100, span_of("MAIL"), 20, 1);
	assert_int_equal(smtp_client_position(flow->smtp), 20);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 16);
}

static void test_inbound_waits_for_what_is_missing(void **state)
{
	(void)state;
	server(1, "220 a\r\n", 1);
	server(15, "250 c\r\n", 2);
	assert_int_equal(smtp_session_facts(flow->smtp)->replies, 1);
	assert_int_equal(flow->rx.held_count, 1);
	server(8, "250 b\r\n", 3);
	assert_int_equal(smtp_session_facts(flow->smtp)->replies, 3);
	assert_int_equal(flow->rx.held_count, 0);
	assert_int_equal(smtp_session_facts(flow->smtp)->server_missing, 0);
}

static void test_inbound_hole_is_given_up(void **state)
{
	(void)state;
	server(1, "220 a\r\n", 1);
	server(15, "250 c\r\n", SECOND);
	flow_tick(flow, SECOND + STREAM_HOLD_NS);
	assert_int_equal(smtp_session_facts(flow->smtp)->server_missing, 0);
	flow_tick(flow, SECOND + STREAM_HOLD_NS + 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->server_missing, 7);
	assert_int_equal(flow->rx.held_count, 0);
}

static void test_inbound_held_bounds(void **state)
{
	(void)state;
	server(1, "220 a\r\n", 1);
	for (uint32_t i = 0; i < 4 * STREAM_HELD_MAX; i++) {
		server(100 + 20 * i, "250 c\r\n", 2);
		assert_true(flow->rx.held_count <= STREAM_HELD_MAX);
	}
	flow_finish(flow, 3);
	assert_int_equal(flow->rx.held_count, 0);
	assert_int_equal(flow->rx.held_bytes, 0);
}

static void test_inbound_held_bytes(void **state)
{
	static char bulk[STREAM_HELD_BYTES];
	struct span data = {bulk, sizeof(bulk)};

	(void)state;
	server(1, "220 a\r\n", 1);
	flow_bytes(flow, false, 100, data, sizeof(bulk), 2);
	flow_bytes(flow, false, 100 + 2 * sizeof(bulk), data, sizeof(bulk), 2);
	assert_true(flow->rx.held_bytes <= STREAM_HELD_BYTES);
	flow_finish(flow, 3);
}

static void test_inbound_far_ahead_is_not_ours(void **state)
{
	(void)state;
	server(1, "220 a\r\n", 1);
	server(8 + STREAM_AHEAD_MAX + 1, "250 forged\r\n", 2);
	assert_int_equal(flow->rx.held_count, 0);
	assert_int_equal(smtp_session_facts(flow->smtp)->replies, 1);
}

/* Gigabytes that did not look like mail were skipped without a copy; then a mail follows. */
static void test_jumps(void **state)
{
	static const uint32_t skipped[] = {(1U << 31) - 1, 1U << 31, (1U << 31) + 1, 3U << 30,
					   UINT32_MAX - STREAM_OLD_MAX - 64};

	for (size_t i = 0; i < sizeof(skipped) / sizeof(skipped[0]); i++) {
		uint64_t position;

		teardown(state);
		setup(state);
		client(100, "POST / HTTP/1.1\r\n\r\nMAI");
		server(1, "220 a\r\n", 1);
		flow->id.flags |= FLOW_SKIPPED;
		position = smtp_client_position(flow->smtp);
		client(122 + skipped[i], "L\r\nMAIL FROM:<a@b>\r\n");
		assert_true(smtp_client_position(flow->smtp) >= position + 20);
		client(142 + skipped[i], "RCPT TO:<c@d>\r\n");
		assert_true(smtp_session_facts(flow->smtp)->client_missing > 0);
		server(8 + skipped[i], "\r\n250 ok\r\n", 2);
		server(18 + skipped[i], "250 ok\r\n", 2);
		assert_int_equal(smtp_session_facts(flow->smtp)->replies, 3);
		assert_true(smtp_session_facts(flow->smtp)->server_missing > 0);
		smtp_session_close(flow->smtp, 3);
		assert_int_equal(transactions, 1);
		assert_string_equal(last_from, "a@b");
	}
}

/*
 * A new send is never older than the bytes that left, even if its number is: the numbers wrapped.
 */
static void test_jump_of_a_send(void **state)
{
	struct sender *found[4];
	int one = sender_of(1), two = sender_of(2);

	(void)state;
	server(1, "220 a\r\n", 1);
	flow_claim(flow, one, 100, 20, (struct span){NULL, 0});
	client(100, "POST / HTTP/1.1\r\n\r\n\r");
	flow_send_begins(flow, 90, true, 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 0);
	flow->id.flags |= FLOW_SKIPPED;
	flow_send_begins(flow, 120, false, 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 0);
	flow_send_begins(flow, 100, true, 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 1);
	flow_claim(flow, two, 100, 34, span_of("\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"));
	client(100, "\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n");
	assert_int_equal(flow_senders_of(flow, 22, 54, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 2);
	assert_false(flow_unclaimed(flow, 22, 54));
	assert_int_equal(flow_witness(flow, 22, 54, true), WITNESS_AGREE);
	smtp_session_close(flow->smtp, 3);
	assert_int_equal(transactions, 1);
	assert_int_equal(last_missing, 0);
}

/* Bytes that may be repeated or forged do not count as new ones. */
static void test_no_jump(void **state)
{
	(void)state;
	client(100, "NOOP\r\n");
	server(1, "220 a\r\n", 1);
	client(106 - STREAM_WINDOW_MAX, "MAIL FROM:<old@b>\r\nRCPT TO:<c@d>\r\n");
	server(8U - STREAM_OLD_MAX - 1, "250 forged\r\n", 1);
	server(8U + STREAM_AHEAD_MAX + 1, "250 forged\r\n", 1);
	flow->id.flags |= FLOW_SKIPPED;
	client(106 - STREAM_OLD_MAX, "MAIL FROM:<old@b>\r\nRCPT TO:<c@d>\r\n");
	server(8U - STREAM_OLD_MAX, "250 forged\r\n", 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->replies, 1);
	assert_int_equal(smtp_session_facts(flow->smtp)->client_missing, 0);
	assert_int_equal(smtp_session_facts(flow->smtp)->server_missing, 0);
	smtp_session_close(flow->smtp, 3);
	assert_int_equal(transactions, 0);
	flow->id.flags = 0;
	flow_urgent(flow, 50);
	assert_int_equal(flow->urgent_count, 0);
}

static void test_held_repeated(void **state)
{
	(void)state;
	server(1, "220 a\r\n", 1);
	server(15, "250 c\r\n", 2);
	server(15, "250 c\r\n", 2);
	server(15, "250 c\r\n250 d\r\n", 2);
	server(8, "250 b\r\n", 3);
	assert_int_equal(smtp_session_facts(flow->smtp)->replies, 4);
}

static void test_senders_by_range(void **state)
{
	struct sender *found[4];
	int one = sender_of(1), two = sender_of(2);

	(void)state;
	flow_claim(flow, one, 100, 10, (struct span){NULL, 0});
	flow_claim(flow, one, 110, 10, (struct span){NULL, 0});
	flow_claim(flow, two, 120, 10, (struct span){NULL, 0});
	flow_claim(flow, one, 130, 10, (struct span){NULL, 0});
	assert_int_equal(flow->claim_count, 3);
	assert_int_equal(flow_senders_of(flow, 0, 20, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 1);
	assert_int_equal(flow_senders_of(flow, 20, 30, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 2);
	assert_int_equal(flow_senders_of(flow, 5, 40, found, 4), 2);
	flow_forget(flow, 25);
	assert_int_equal(flow_senders_of(flow, 25, 40, found, 4), 2);
	flow_forget(flow, 35);
	assert_int_equal(flow_senders_of(flow, 35, 40, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 1);
}

/* Each range has the directory of its first byte; a process in two directories is one sender. */
static void test_senders_by_directory(void **state)
{
	static const char *const places[] = {"/a", "/b", "/a", "/a"};
	struct sender *found[4];

	(void)state;
	for (uint32_t i = 0; i < 4; i++)
		flow_claim(flow, sender_in(1, places[i]), 100 + 10 * i, 10, (struct span){NULL, 0});
	assert_int_equal(flow->sender_count, 3);
	for (uint32_t i = 0; i < 4; i++) {
		assert_int_equal(flow_senders_of(flow, 10 * i, 40, found, 4), 1);
		assert_string_equal(found[0]->directory, places[i]);
	}
	/* the last one is where it stands; a short record says nothing of that */
	assert_int_equal(flow_sender_of_task(flow, &found[0]->task), 2);
	assert_int_equal(sender_of(1), 2);
}

/* Going to and fro does not use up the room for senders. */
static void test_directories_bounded(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 3 * FLOW_SENDERS_MAX; i++) {
		int index = sender_in(1, i % 2 ? "/a" : "/b");

		assert_in_range(index, 0, FLOW_SENDERS_MAX - 1);
		assert_string_equal(flow->senders[index]->directory, i % 2 ? "/a" : "/b");
	}
	assert_int_equal(flow->senders_dropped, 0);
}

static void test_unclaimed_bytes_name_everybody(void **state)
{
	struct sender *found[4];

	(void)state;
	assert_int_equal(flow_senders_of(flow, 0, 10, found, 4), 0);
	sender_of(1);
	assert_int_equal(flow_senders_of(flow, 0, 10, found, 4), 1);
}

static void test_claims_bounded(void **state)
{
	struct sender *found[FLOW_SENDERS_MAX];
	int one = sender_of(1), two = sender_of(2);

	(void)state;
	for (uint32_t i = 0; i < 10 * FLOW_CLAIMS_MAX; i++)
		flow_claim(flow, i % 2 ? one : two, 100 + i, 1, (struct span){NULL, 0});
	assert_int_equal(flow->claim_count, FLOW_CLAIMS_MAX);
	assert_true(flow->claims_dropped > 0);
	/* The dropped claims leave a doubt: bytes that either sender may have sent name both. */
	assert_int_equal(flow_senders_of(flow, 5 * FLOW_CLAIMS_MAX, 5 * FLOW_CLAIMS_MAX + 1, found,
					 FLOW_SENDERS_MAX),
			 2);
}

/* A full list drops the oldest sender that has no part in an open transaction. */
static void test_senders_bounded(void **state)
{
	struct sender *found[FLOW_SENDERS_MAX];

	(void)state;
	for (uint32_t i = 0; i < FLOW_SENDERS_MAX; i++)
		assert_int_equal(sender_of(i + 1), (int)i);
	assert_int_equal(sender_of(1), 0);
	assert_int_equal(sender_of(1000), (int)FLOW_SENDERS_MAX - 1);
	assert_int_equal(flow->senders_dropped, 0);
	assert_int_equal(flow_senders_of(flow, 0, 1, found, FLOW_SENDERS_MAX), FLOW_SENDERS_MAX);
	assert_int_equal(found[0]->task.pid, 2);
	assert_int_equal(found[FLOW_SENDERS_MAX - 1]->task.pid, 1000);
}

static void say(uint32_t pid, const char *text)
{
	uint32_t seq = flow->tx.started ? flow->tx.next_seq : 100;

	flow_claim(flow, sender_of(pid), seq, (uint32_t)strlen(text), (struct span){NULL, 0});
	client(seq, text);
}

static void test_sender_behind_many(void **state)
{
	struct sender *found[FLOW_SENDERS_MAX];
	uint64_t start;

	(void)state;
	for (uint32_t pid = 1; pid <= 40; pid++)
		say(pid, "NOOP\r\n");
	start = smtp_client_position(flow->smtp);
	say(100, "MAIL FROM:<a@b>\r\n");
	say(101, "RCPT TO:<c@d>\r\n");
	for (uint32_t pid = 200; pid < 200 + FLOW_SENDERS_MAX - 2; pid++)
		say(pid, "NOOP\r\n");
	assert_int_equal(flow_senders_of(flow, start, start + 32, found, FLOW_SENDERS_MAX), 2);
	assert_int_equal(found[0]->task.pid, 100);
	assert_int_equal(found[1]->task.pid, 101);
	assert_false(flow_unclaimed(flow, start, UINT64_MAX));
	/* Some senders of the other bytes were dropped. */
	assert_true(flow_unclaimed(flow, 0, UINT64_MAX));
	assert_int_equal(sender_of(300), -1); /* every sender has a part in the open mail */
	assert_int_equal(flow->senders_dropped, 1);
	assert_true(flow_unclaimed(flow, start, UINT64_MAX));
}

/* Whoever sent the beginning of a line sent part of the command. */
static void test_senders_of_a_line(void **state)
{
	struct sender *found[FLOW_SENDERS_MAX];

	(void)state;
	say(1, "NOOP\r\n");
	for (uint32_t pid = 2; pid <= FLOW_SENDERS_MAX; pid++)
		say(pid, " ");
	say(100, " ");
	say(101, "MAIL FROM:<a@b>\r\n");
	assert_int_equal(flow->senders_dropped, 1);
	assert_int_equal(flow_senders_of(flow, 6, 38, found, FLOW_SENDERS_MAX), FLOW_SENDERS_MAX);
	assert_int_equal(found[0]->task.pid, 2);
	assert_int_equal(found[FLOW_SENDERS_MAX - 1]->task.pid, 100);
	assert_true(flow_unclaimed(flow, 6, 38));
	assert_int_equal(flow_open_position(flow), 6);
}

static void claim(uint32_t seq, const char *text)
{
	flow_claim(flow, 0, seq, (uint32_t)strlen(text), span_of(text));
}

static void test_witnesses_agree(void **state)
{
	(void)state;
	sender_of(1);
	claim(100, "MAIL FROM:<a@b>\r\n");
	client(100, "MAIL FR");
	client(107, "OM:<a@b>\r\n");
	assert_int_equal(flow->prefix_count, 0);
	assert_int_equal(flow_witness(flow, 0, 17, true), WITNESS_AGREE);
	assert_int_equal(flow_witness(flow, 17, 30, true), WITNESS_WIRE_ONLY);
	assert_int_equal(flow_witness(flow, 0, 17, false), WITNESS_SEND_ONLY);
}

static void test_witnesses_differ(void **state)
{
	(void)state;
	sender_of(1);
	claim(100, "MAIL FROM:<a@b>\r\n");
	claim(117, "RCPT TO:<c@d>\r\n");
	client(100, "MAIL FROM:<x@b>\r\nRCPT TO:<c@d>\r\n");
	assert_int_equal(flow_witness(flow, 0, 17, true), WITNESS_DIFFER);
	assert_int_equal(flow_witness(flow, 17, 32, true), WITNESS_AGREE);
}

static void test_partly_accepted_send(void **state)
{
	(void)state;
	sender_of(1);
	claim(100, "MAIL FROM:<a@b>\r\n");
	flow_claim_cut(flow, 100, 5);
	claim(105, "FROM:<x@y>\r\n");
	client(100, "MAIL FROM:<x@y>\r\n");
	assert_int_equal(flow_witness(flow, 0, 17, true), WITNESS_AGREE);
}

static void test_prefixes_bounded(void **state)
{
	(void)state;
	sender_of(1);
	for (uint32_t i = 0; i < 10 * FLOW_PREFIXES_MAX; i++)
		claim(100 + 4 * i, "NOOP");
	assert_int_equal(flow->prefix_count, FLOW_PREFIXES_MAX);
}

static void test_claim_without_position(void **state)
{
	struct sender *found[4];
	int one = sender_of(1), two = sender_of(2);

	(void)state;
	client(100, "MAIL FROM:<a@b>\r\n");
	flow_claim_next(flow, one);
	client(117, "RCPT TO:<c@d>\r\n");
	flow_claim_next(flow, two);
	assert_int_equal(flow_senders_of(flow, 0, 17, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 1);
	assert_int_equal(flow_senders_of(flow, 17, 32, found, 4), 1);
	assert_int_equal(found[0]->task.pid, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_in_order_across_the_wrap, setup, teardown),
		cmocka_unit_test_setup_teardown(test_urgent, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repeated_and_overlapping, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outbound_hole_is_a_gap_at_once, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_truncated_segment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound_waits_for_what_is_missing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_inbound_hole_is_given_up, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound_held_bounds, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound_held_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_inbound_far_ahead_is_not_ours, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_jumps, setup, teardown),
		cmocka_unit_test_setup_teardown(test_jump_of_a_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_jump, setup, teardown),
		cmocka_unit_test_setup_teardown(test_held_repeated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_senders_by_range, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unclaimed_bytes_name_everybody, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_claims_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_senders_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sender_behind_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_senders_of_a_line, setup, teardown),
		cmocka_unit_test_setup_teardown(test_senders_by_directory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_directories_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_witnesses_agree, setup, teardown),
		cmocka_unit_test_setup_teardown(test_witnesses_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(test_partly_accepted_send, setup, teardown),
		cmocka_unit_test_setup_teardown(test_prefixes_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_claim_without_position, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
