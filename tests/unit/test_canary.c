/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The canary: its conversation over loopback, and which records are taken for its own. What is
 * taken is never reported, so a record that differs from the expected one in anything must not be.
 */
#include "unit.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/canary.h"
#include "capture/records.h"

#define ISN_CLIENT 0xfffffff0U /* the positions wrap */
#define ISN_SERVER 77000U
#define PID	   4242U

static struct canary canary;

static int converse(void **state)
{
	(void)state;
	canary_init(&canary);
	canary_begin(&canary, 1);
	for (int i = 0; i < 1000 && canary.state == CANARY_SENDING; i++) {
		canary_step(&canary, 2);
		usleep(1000);
	}
	return canary.state == CANARY_SENT ? 0 : -1;
}

static int leave(void **state)
{
	(void)state;
	canary_close(&canary);
	return 0;
}

/* ---- Records as the kernel side writes them -------------------------------------------------- */

/* Each is in memory of exactly its size. The caller frees it. */
static struct send_record *send_of(uint32_t at, uint32_t len)
{
	struct send_record *send = calloc(1, sizeof(*send) + len);

	assert_non_null(send);
	send->h = (struct record){RECORD_SEND, (uint32_t)(sizeof(*send) + len), 5};
	send->flow.cookie = canary.cookies[CANARY_CLIENT];
	send->task.pid = PID;
	send->task.start_ns = 3;
	send->seq = ISN_CLIENT + at;
	send->len = send->data_len = len;
	send->flags = SEND_ENTRY;
	memcpy(send->data, canary.client.text + at, len);
	return send;
}

static struct segment_record *segment_of(bool client, uint32_t at, uint32_t len)
{
	const struct canary_side *side = client ? &canary.client : &canary.server;
	struct segment_record *segment = calloc(1, sizeof(*segment) + len);

	assert_non_null(segment);
	segment->h = (struct record){RECORD_SEGMENT, (uint32_t)(sizeof(*segment) + len), 5};
	segment->flow.cookie = canary.cookies[CANARY_CLIENT];
	segment->seq = (client ? ISN_CLIENT : ISN_SERVER) + at;
	segment->len = segment->data_len = len;
	segment->flags = client ? SEGMENT_OUTBOUND : 0;
	memcpy(segment->data, side->text + at, len);
	return segment;
}

static bool take(void *record)
{
	bool taken = canary_take(&canary, record);

	free(record);
	return taken;
}

/* The length of the line at a position. */
static uint32_t line_at(const struct canary_side *side, uint32_t at)
{
	const char *end = memchr(side->text + at, '\n', side->len - at);

	assert_non_null(end);
	return (uint32_t)(end + 1 - side->text) - at;
}

/* Passes the whole conversation, except the client's line `left_out` in sends. */
static void take_all(int left_out)
{
	uint32_t at = 0, len;

	for (int i = 0; at < canary.client.len; at += len, i++) {
		len = line_at(&canary.client, at);
		if (i != left_out)
			assert_true(take(send_of(at, len)));
		assert_true(take(segment_of(true, at, len)));
	}
	for (at = 0; at < canary.server.len; at += len) {
		len = line_at(&canary.server, at);
		assert_true(take(segment_of(false, at, len)));
	}
}

static bool take_close(uint64_t cookie)
{
	struct close_record close_record = {.h = {RECORD_CLOSE, sizeof(close_record), 6}};

	close_record.flow.cookie = cookie;
	return canary_take(&canary, &close_record.h);
}

/* ---- The conversation ------------------------------------------------------------------------ */

static void test_whole(void **state)
{
	(void)state;
	assert_non_null(strstr(canary.client.text, "MAIL FROM:<"));
	assert_int_equal(canary.client.read, canary.client.len);
	assert_int_equal(canary.server.read, canary.server.len);
	assert_true(canary.cookies[CANARY_CLIENT] && canary.cookies[CANARY_SERVER]);
	for (size_t i = 0; i < CANARY_SOCKETS; i++)
		assert_int_equal(canary.sockets[i], -1);
	take_all(-1);
	assert_true(canary_client_seen(&canary, CANARY_SEEN_SEND));
	assert_true(canary_client_seen(&canary, CANARY_SEEN_WIRE));
	assert_true(canary_server_seen(&canary, CANARY_SEEN_WIRE));
	take_all(-1); /* retransmitted */
	assert_true(take_close(canary.cookies[CANARY_CLIENT]));
}

static void test_new_each_time(void **state)
{
	char before[CANARY_SIDE_MAX];
	uint64_t cookie = canary.cookies[CANARY_CLIENT];

	memcpy(before, canary.client.text, sizeof(before));
	assert_int_equal(converse(state), 0);
	assert_memory_not_equal(before, canary.client.text, canary.client.len);
	assert_true(cookie != canary.cookies[CANARY_CLIENT]);
	assert_false(take_close(cookie));
}

static void test_missed(void **state)
{
	(void)state;
	take_all(2);
	assert_false(canary_client_seen(&canary, CANARY_SEEN_SEND));
	assert_true(canary_client_seen(&canary, CANARY_SEEN_WIRE));
}

static void test_cannot_connect(void **state)
{
	(void)state;
	canary_begin(&canary, 1);
	close(canary.sockets[CANARY_LISTENER]);
	canary.sockets[CANARY_LISTENER] = dup(canary.sockets[CANARY_CLIENT]);
	canary_step(&canary, 2);
	assert_int_equal(canary.state, CANARY_FAILED);
	assert_int_equal(canary.error, -ECONNRESET);
}

static void test_takes_too_long(void **state)
{
	(void)state;
	canary_begin(&canary, 1);
	assert_int_equal(canary.state, CANARY_SENDING);
	/* another socket in its place, to which nobody connects */
	close(canary.sockets[CANARY_CLIENT]);
	canary.sockets[CANARY_CLIENT] = socket(AF_INET, SOCK_STREAM, 0);
	canary.client_port = 0;
	canary_step(&canary, 2);
	assert_int_equal(canary.state, CANARY_SENDING);
	canary_step(&canary, 2 + CANARY_SENDING_NS);
	assert_int_equal(canary.state, CANARY_FAILED);
	assert_int_equal(canary.error, -ETIMEDOUT);
	assert_int_equal(canary.sockets[CANARY_CLIENT], -1);
}

static void test_strangers_connect(void **state)
{
	struct sockaddr_in addr;
	socklen_t len = sizeof(addr);
	int strangers[4];

	(void)state;
	canary_begin(&canary, 1);
	assert_int_equal(getsockname(canary.sockets[CANARY_LISTENER], (void *)&addr, &len), 0);
	for (int i = 0; i < 4; i++) {
		strangers[i] = socket(AF_INET, SOCK_STREAM, 0);
		assert_int_equal(connect(strangers[i], (void *)&addr, len), 0);
	}
	for (int i = 0; i < 1000 && canary.state == CANARY_SENDING; i++) {
		canary_step(&canary, 2);
		usleep(1000);
	}
	assert_int_equal(canary.state, CANARY_SENT);
	for (int i = 0; i < 4; i++)
		close(strangers[i]);
}

static void test_another_writes(void **state)
{
	(void)state;
	canary_begin(&canary, 1);
	assert_int_equal(send(canary.sockets[CANARY_CLIENT], "RSET\r\n", 6, 0), 6);
	for (int i = 0; i < 1000 && canary.state == CANARY_SENDING; i++) {
		canary_step(&canary, 2);
		usleep(1000);
	}
	assert_int_equal(canary.state, CANARY_FAILED);
	assert_int_equal(canary.error, -EBADMSG);
}

/* ---- What is not its own --------------------------------------------------------------------- */

static void test_forged_socket(void **state)
{
	struct segment_record *segment = segment_of(true, 0, 16);
	struct send_record *send = send_of(0, 16);

	(void)state;
	segment->flow.cookie += 1000;
	send->flow.cookie += 1ULL << 62;
	assert_true(record_valid(&segment->h, segment->h.len));
	assert_false(take(segment));
	assert_false(take(send));
	assert_false(take_close(canary.cookies[CANARY_CLIENT] + 100));
	assert_false(canary.foreign);
}

static void test_forged_task(void **state)
{
	struct send_record *send = send_of(0, 16);

	(void)state;
	assert_true(take(send));
	send = send_of(0, 16);
	send->task.pid++;
	assert_false(take(send));
	send = send_of(0, 16);
	send->task.start_ns++;
	assert_false(take(send));
	send = send_of(0, 0); /* a claim without bytes */
	send->task.pid++;
	assert_false(take(send));
	assert_false(take_close(canary.cookies[CANARY_CLIENT])); /* the pipeline has to know */
}

static void test_forged_bytes(void **state)
{
	uint32_t line = line_at(&canary.client, 0);
	struct segment_record *segment;

	(void)state;
	assert_true(take(segment_of(true, 0, line)));
	for (uint32_t i = 0; i < line; i++) {
		segment = segment_of(true, 0, line);
		segment->data[i] ^= 1;
		assert_false(take(segment));
	}
	segment = segment_of(true, 0, line);
	segment->seq++; /* the right bytes at the wrong position */
	assert_false(take(segment));
	segment = segment_of(true, 0, line);
	segment->seq -= line; /* before the beginning */
	assert_false(take(segment));
	segment = segment_of(true, 0, line);
	segment->len += 100; /* bytes that were not captured */
	assert_false(take(segment));
	segment = segment_of(true, 0, line);
	segment->flags = 0; /* the client's bytes from the server */
	assert_false(take(segment));
}

/* What follows the last byte of the conversation, or is in its place. */
static void test_forged_mail(void **state)
{
	static const char mail[] = "MAIL FROM:<spy@evil.example>\r\n";
	struct segment_record *segment = calloc(1, sizeof(*segment) + sizeof(mail) - 1);
	uint32_t ends[3];

	(void)state;
	assert_non_null(segment);
	take_all(-1);
	ends[0] = (uint32_t)canary.client.len;
	ends[1] = ends[0] - 6;
	ends[2] = 0;
	segment->h =
		(struct record){RECORD_SEGMENT, (uint32_t)(sizeof(*segment) + sizeof(mail) - 1), 5};
	segment->flow.cookie = canary.cookies[CANARY_CLIENT];
	segment->flags = SEGMENT_OUTBOUND;
	segment->len = segment->data_len = sizeof(mail) - 1;
	memcpy(segment->data, mail, sizeof(mail) - 1);
	for (int i = 0; i < 3; i++) {
		segment->seq = ISN_CLIENT + ends[i];
		assert_false(canary_take(&canary, &segment->h));
	}
	free(segment);
	assert_true(canary.foreign);
}

static void test_urgent_and_malformed(void **state)
{
	struct urgent_record urgent = {.h = {RECORD_URGENT, sizeof(urgent), 6}};
	struct send_record *send = send_of(0, 16);

	(void)state;
	urgent.flow.cookie = canary.cookies[CANARY_CLIENT];
	assert_false(canary_take(&canary, &urgent.h));
	for (uint32_t len = sizeof(struct record); len < send->h.len; len++) {
		struct record *cut = malloc(len);

		assert_non_null(cut);
		memcpy(cut, send, len);
		cut->len = len;
		assert_false(take(cut));
	}
	free(send);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, converse, leave)
	const struct CMUnitTest tests[] = {
		TEST(test_whole),	   TEST(test_new_each_time),
		TEST(test_missed),	   TEST(test_cannot_connect),
		TEST(test_takes_too_long), TEST(test_strangers_connect),
		TEST(test_another_writes), TEST(test_forged_socket),
		TEST(test_forged_task),	   TEST(test_forged_bytes),
		TEST(test_forged_mail),	   TEST(test_urgent_and_malformed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
