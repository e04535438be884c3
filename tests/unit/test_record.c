/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * record_valid(): a valid record of each type, cut at each byte, and with each length and count
 * changed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/hook.h"
#include "capture/records.h"

/*
 * A record in memory of exactly its size, so that ASan sees a read behind it. The caller frees it.
 */
static void *make(uint32_t type, size_t fixed, const void *data, size_t data_len)
{
	struct record *record = calloc(1, fixed + data_len);

	assert_non_null(record);
	record->type = type;
	record->len = (uint32_t)(fixed + data_len);
	record->time_ns = 1;
	if (data)
		memcpy((char *)record + fixed, data, data_len);
	return record;
}

#define EXEC_DATA "msmtp\0bin\0usr\0./run\0/bin/sh\0reports\0home\0msmtp\0-t\0"

static struct exec_record *make_exec(void)
{
	struct exec_record *exec =
		make(RECORD_EXEC, sizeof(*exec), EXEC_DATA, sizeof(EXEC_DATA) - 1);

	exec->exe_len = 14;
	exec->filename_len = 6;
	exec->interp_len = 8;
	exec->cwd_len = 13;
	exec->args_len = 9;
	return exec;
}

static struct sender_record *make_sender(void)
{
	struct sender_record *sender =
		make(RECORD_SENDER, sizeof(*sender), "cron.service\0system.slice\0", 26);

	sender->flow = 7;
	sender->ancestor_count = ANCESTORS_MAX;
	sender->cgroup_len = 26;
	return sender;
}

static struct directory_record *make_directory(void)
{
	struct directory_record *directory =
		make(RECORD_DIRECTORY, sizeof(*directory), "www\0srv\0", 8);

	directory->flow = 7;
	directory->path_len = 8;
	return directory;
}

static struct send_record *make_send(void)
{
	struct send_record *send = make(RECORD_SEND, sizeof(*send), "MAIL FROM:", 10);

	send->flow.cookie = 7;
	send->len = 20;
	send->data_len = 10;
	return send;
}

static struct segment_record *make_segment(void)
{
	struct segment_record *segment = make(RECORD_SEGMENT, sizeof(*segment), "250 ok", 6);

	segment->flow.cookie = 7;
	segment->len = segment->data_len = 6;
	return segment;
}

static struct close_record *make_close(void)
{
	struct close_record *record = make(RECORD_CLOSE, sizeof(*record), NULL, 0);

	record->flow.cookie = 7;
	return record;
}

static void test_urgent(void **state)
{
	struct urgent_record *urgent = make(RECORD_URGENT, sizeof(*urgent), NULL, 0);

	(void)state;
	urgent->flow.cookie = 7;
	assert_true(record_valid(&urgent->h, urgent->h.len));
	assert_false(record_valid(&urgent->h, urgent->h.len - 1));
	urgent->flow.cookie = 0;
	assert_false(record_valid(&urgent->h, urgent->h.len));
	free(urgent);
}

static struct count_record *make_count(void)
{
	struct count_record *record = make(RECORD_COUNT, sizeof(*record), NULL, 0);

	record->flow.cookie = 1;
	record->step = COUNT_ON;
	return record;
}

static struct host_record *make_host(void)
{
	struct host_record *host = make(RECORD_HOST, sizeof(*host), "mail1", 5);

	host->version = RECORD_VERSION;
	host->hook = HOOK_TRACEPOINT;
	host->wire = 1;
	host->name_len = 5;
	return host;
}

static struct name_record *make_name(void)
{
	struct name_record *name = make(RECORD_NAME, sizeof(*name), NULL, 7);

	name->kind = NAME_USER;
	name->name_len = 7;
	memcpy(name->name, "reports", 7);
	return name;
}

static struct hash_record *make_hash(void)
{
	struct hash_record *hash = make(RECORD_HASH, sizeof(*hash), NULL, 0);

	hash->valid = 1;
	return hash;
}

static struct cgroup_record *make_cgroup(void)
{
	struct cgroup_record *cgroup = make(RECORD_CGROUP, sizeof(*cgroup), "/init.scope", 11);

	cgroup->path_len = 11;
	return cgroup;
}

static struct accounts_record *make_accounts(void)
{
	struct accounts_record *accounts =
		make(RECORD_ACCOUNTS, sizeof(*accounts), "own:nginx:web", 13);

	accounts->text_len = 13;
	return accounts;
}

#define RECORDS_MAX 32

static size_t make_all(struct record **records)
{
	size_t n = 0;

	records[n++] = &make_exec()->h;
	records[n++] = make(RECORD_FORK, sizeof(struct fork_record), NULL, 0);
	records[n++] = make(RECORD_EXIT, sizeof(struct exit_record), NULL, 0);
	records[n++] = &make_sender()->h;
	records[n++] = &make_directory()->h;
	records[n++] = &make_send()->h;
	records[n++] = &make_segment()->h;
	records[n++] = &make_close()->h;
	records[n++] = &make_count()->h;
	records[n++] = &make_host()->h;
	records[n++] = make(RECORD_CLOCK, sizeof(struct clock_record), NULL, 0);
	records[n++] = make(RECORD_LOSS, sizeof(struct loss_record), NULL, 0);
	records[n++] = make(RECORD_DROPPED, sizeof(struct dropped_record), NULL, 0);
	records[n++] = make(RECORD_HEALTH, sizeof(struct health_record), NULL, 0);
	records[n++] = &make_name()->h;
	records[n++] = &make_hash()->h;
	records[n++] = &make_cgroup()->h;
	records[n++] = &make_accounts()->h;
	assert_true(n <= RECORDS_MAX);
	return n;
}

static bool valid(const void *record)
{
	return record_valid(record, ((const struct record *)record)->len);
}

#define assert_spoilt(record, field, value)                                                        \
	do {                                                                                       \
		__typeof__((record)->field) before_ = (record)->field;                             \
		assert_true(valid(record));                                                        \
		(record)->field = (value);                                                         \
		assert_false(valid(record));                                                       \
		(record)->field = before_;                                                         \
	} while (0)

/* ---- All types ------------------------------------------------------------------------------- */

static void test_good(void **state)
{
	struct record *records[RECORDS_MAX];
	size_t n = make_all(records);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		assert_true(valid(records[i]));
		assert_true(record_valid(records[i],
					 records[i]->len + 100U)); /* a longer slot of the ring */
		free(records[i]);
	}
}

/* Cut at each byte, both by the available room and by the record's own length. */
static void test_truncated(void **state)
{
	struct record *records[RECORDS_MAX];
	size_t n = make_all(records);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		for (size_t size = 0; size < records[i]->len; size++) {
			struct record *copy = malloc(size ? size : 1);

			assert_non_null(copy);
			memcpy(copy, records[i], size);
			assert_false(record_valid(copy, size));
			if (size >= sizeof(*copy)) {
				copy->len = (uint32_t)size;
				assert_int_equal(record_valid(copy, size),
						 copy->type == RECORD_CLOSE &&
							 size == CLOSE_RECORD_OLD);
			}
			free(copy);
		}
		free(records[i]);
	}
}

static void test_longer_than_it_counts(void **state)
{
	struct record *records[RECORDS_MAX], *longer;
	size_t n = make_all(records);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		longer = calloc(1, records[i]->len + 8U);
		assert_non_null(longer);
		memcpy(longer, records[i], records[i]->len);
		longer->len += 8;
		assert_false(valid(longer));
		longer->len = UINT32_MAX;
		assert_false(record_valid(longer, records[i]->len + 8U));
		free(longer);
		free(records[i]);
	}
}

static void test_type(void **state)
{
	struct record *record = make(RECORD_CLOCK, sizeof(struct clock_record), NULL, 0);

	(void)state;
	assert_spoilt(record, type, 0);
	assert_spoilt(record, type, RECORD_DIRECTORY + 1);
	assert_spoilt(record, type, RECORD_CGROUP + 1);
	assert_spoilt(record, type, UINT32_MAX);
	assert_spoilt(record, len, 0);
	assert_false(record_valid(record, 0));
	free(record);
}

/* Each byte of each record is set to extreme values: whatever the result, no read is outside. */
static void test_each_byte(void **state)
{
	static const unsigned char values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
	struct record *records[RECORDS_MAX];
	size_t n = make_all(records);
	unsigned int good = 0;

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const uint32_t len = records[i]->len;
		unsigned char *bytes = (unsigned char *)records[i];

		for (size_t at = 0; at < len; at++) {
			const unsigned char before = bytes[at];

			for (size_t v = 0; v < sizeof(values); v++) {
				bytes[at] = values[v];
				good += record_valid(records[i], len);
			}
			bytes[at] = before;
		}
		free(records[i]);
	}
	assert_true(good > 0);
}

/* ---- Each type ------------------------------------------------------------------------------- */

static void test_exec(void **state)
{
	struct exec_record *exec = make_exec();

	(void)state;
	assert_spoilt(exec, exe_len, 15);
	assert_spoilt(exec, exe_len, 0xffff);
	assert_spoilt(exec, args_len, 8);
	assert_spoilt(exec, args_len, 0xffff);
	assert_spoilt(exec, cwd_len, 0xffff);
	exec->args_len = 8; /* the total length is right, but the strings end at the wrong places */
	exec->filename_len = 7;
	assert_false(valid(exec));
	exec->filename_len = 6;
	exec->exe_len = 15;
	assert_false(valid(exec));
	exec->exe_len = 13;
	exec->args_len = 10;
	assert_false(valid(exec));
	free(exec);
}

static void test_exec_strings(void **state)
{
	struct exec_record *exec = make_exec();

	(void)state;
	assert_spoilt(exec, data[13], 'x');  /* the executable's last NUL */
	assert_spoilt(exec, data[19], 'x');  /* the file name's */
	assert_spoilt(exec, data[27], 'x');  /* the interpreter's */
	assert_spoilt(exec, data[40], 'x');  /* the working directory's */
	assert_spoilt(exec, data[15], '\0'); /* a NUL within the file name */
	exec->data[49] = 'x';		     /* arguments may be cut, without a last NUL */
	assert_true(valid(exec));
	free(exec);
}

static void test_exec_empty_and_longest(void **state)
{
	struct exec_record *exec = make(RECORD_EXEC, sizeof(*exec), NULL, 0);

	(void)state;
	assert_true(valid(exec));
	free(exec);
	exec = make(RECORD_EXEC, sizeof(*exec), NULL, EXEC_DATA_MAX);
	exec->exe_len = EXEC_DATA_MAX - EXEC_ARGS_MAX;
	exec->args_len = EXEC_ARGS_MAX;
	assert_true(valid(exec));
	exec->exe_len--; /* too many bytes of arguments */
	exec->args_len++;
	assert_false(valid(exec));
	free(exec);
	exec = make(RECORD_EXEC, sizeof(*exec), NULL, EXEC_DATA_MAX + 1U);
	exec->exe_len = EXEC_DATA_MAX + 1U;
	assert_false(valid(exec));
	free(exec);
}

static void test_sender(void **state)
{
	struct sender_record *sender = make_sender();

	(void)state;
	assert_spoilt(sender, ancestor_count, ANCESTORS_MAX + 1);
	assert_spoilt(sender, ancestor_count, UINT32_MAX);
	assert_spoilt(sender, cgroup_len, 25);
	assert_spoilt(sender, cgroup_len, UINT32_MAX);
	assert_spoilt(sender, flow, 0);
	assert_spoilt(sender, cgroup[25], 'x');
	memset(sender->task.comm, 'x', sizeof(sender->task.comm));
	assert_false(valid(sender));
	free(sender);
	sender = make(RECORD_SENDER, sizeof(*sender), NULL, CGROUP_DATA_MAX + 1U);
	sender->flow = 7;
	sender->cgroup_len = CGROUP_DATA_MAX + 1U;
	assert_false(valid(sender));
	free(sender);
}

static void test_directory(void **state)
{
	struct directory_record *directory = make_directory();

	(void)state;
	assert_spoilt(directory, flow, 0);
	assert_spoilt(directory, path_len, 7);
	assert_spoilt(directory, path_len, UINT32_MAX);
	assert_spoilt(directory, path[7], 'x');
	free(directory);
	directory = make(RECORD_DIRECTORY, sizeof(*directory), NULL, DIRECTORY_DATA_MAX + 1U);
	directory->flow = 7;
	directory->path_len = DIRECTORY_DATA_MAX + 1U;
	assert_false(valid(directory));
	free(directory);
}

static void test_send(void **state)
{
	struct send_record *send = make_send();

	(void)state;
	assert_spoilt(send, data_len, 11);
	assert_spoilt(send, data_len, 9);
	assert_spoilt(send, data_len, UINT32_MAX);
	assert_spoilt(send, len, 9);
	assert_spoilt(send, flow.cookie, 0);
	memset(send->task.comm, 'x', sizeof(send->task.comm));
	assert_false(valid(send));
	free(send);
	send = make(RECORD_SEND, sizeof(*send), NULL, SEND_PIECE_MAX + 1U);
	send->flow.cookie = 7;
	send->len = send->data_len = SEND_PIECE_MAX + 1U;
	assert_false(valid(send));
	free(send);
}

static void test_segment(void **state)
{
	struct segment_record *segment = make_segment();

	(void)state;
	assert_spoilt(segment, data_len, 7);
	assert_spoilt(segment, data_len, UINT32_MAX);
	assert_spoilt(segment, len, 5);
	assert_spoilt(segment, flow.cookie, 0);
	free(segment);
	segment = make(RECORD_SEGMENT, sizeof(*segment), NULL, SEGMENT_DATA_MAX + 1U);
	segment->flow.cookie = 7;
	segment->len = segment->data_len = SEGMENT_DATA_MAX + 1U;
	assert_false(valid(segment));
	free(segment);
}

static void test_made_by_user_space(void **state)
{
	struct host_record *host = make_host();
	struct name_record *name = make_name();
	struct hash_record *hash = make_hash();
	struct cgroup_record *cgroup = make_cgroup();
	struct accounts_record *accounts = make_accounts();
	struct close_record *close = make_close();
	struct count_record *count = make_count();

	(void)state;
	assert_spoilt(host, version, RECORD_VERSION + 1);
	assert_spoilt(host, hook, HOOK_COUNT);
	assert_spoilt(host, wire, HOST_TLS << 1);
	assert_spoilt(host, name_len, UINT32_MAX);
	assert_spoilt(host, name[2], '\0');
	assert_spoilt(name, kind, 0);
	assert_spoilt(name, kind, NAME_GROUP + 1);
	assert_spoilt(name, name_len, 8);
	assert_spoilt(name, name[2], '\0');
	assert_spoilt(hash, valid, 2);
	assert_spoilt(cgroup, path_len, 12);
	assert_spoilt(cgroup, path[0], 'x');
	assert_spoilt(cgroup, path[3], '\0');
	assert_spoilt(close, flow.cookie, 0);
	assert_spoilt(count, flow.cookie, 0);
	assert_spoilt(count, step, 0);
	assert_spoilt(count, step, COUNT_ODD + 1);
	assert_spoilt(count, plain, 1);
	free(count);
	free(host);
	free(name);
	free(hash);
	assert_spoilt(accounts, text_len, 14);
	assert_spoilt(accounts, text[4], '\0');
	free(accounts);
	free(cgroup);
	free(close);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_longer_than_it_counts),
		cmocka_unit_test(test_type),
		cmocka_unit_test(test_urgent),
		cmocka_unit_test(test_each_byte),
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_exec_strings),
		cmocka_unit_test(test_exec_empty_and_longest),
		cmocka_unit_test(test_sender),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_segment),
		cmocka_unit_test(test_made_by_user_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
