/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The process table, with records as the kernel side and the reader of /proc write them. */
#include "exec_records.h"

#include "process/image.h"
#include "process/process.h"

#define MS   1000000ULL
#define TICK (10 * MS)

#define B PATH("b\0bin")
#define C PATH("c\0bin")

/* ---- Records --------------------------------------------------------------------------------- */

static void tell_exec(struct process_table *table, const struct exec *exec)
{
	struct exec_record *record = exec_record(exec);

	assert_int_equal(process_table_record(table, &record->h), 0);
	free(record);
}

#define EXEC(table, ...) tell_exec(table, &(struct exec){__VA_ARGS__})

static void tell_fork(struct process_table *table, uint32_t parent, uint64_t parent_start,
		      uint32_t pid, uint64_t start)
{
	struct fork_record record = {
		{RECORD_FORK, sizeof(record), start}, parent_start, start, parent, pid};

	assert_int_equal(process_table_record(table, &record.h), 0);
}

static void tell_exit(struct process_table *table, uint32_t pid, uint64_t start, uint64_t time)
{
	struct exit_record record = {{RECORD_EXIT, sizeof(record), time}, start, pid, 0};

	assert_int_equal(process_table_record(table, &record.h), 0);
}

/* Expects that the process ran this executable at that moment; NULL: unknown. */
static void check(struct process_table *table, uint32_t pid, uint64_t start, uint64_t at,
		  const char *executable)
{
	struct image *image = process_image_at(table, pid, start, at);

	if (executable) {
		assert_non_null(image);
		assert_string_equal(image->executable, executable);
	} else {
		assert_null(image);
	}
	image_unref(image);
}

/* ---- The table ------------------------------------------------------------------------------- */

static void test_by_time(void **state)
{
	struct process_table *table = process_table_new();
	struct image *image;

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 200, .exe = A);
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 300, .exe = B);
	check(table, 7, 101, 199, NULL); /* unknown before the first exec */
	check(table, 7, 101, 200, "/bin/a");
	check(table, 7, 101, 299, "/bin/a");
	check(table, 7, 101, 300, "/bin/b");
	check(table, 7, 101, UINT64_MAX, "/bin/b");
	check(table, 7, 102, 300, NULL);
	check(table, 8, 101, 300, NULL);
	assert_int_equal(process_table_count(table), 1);
	image = process_image_at(table, 7, 101, 300);
	process_table_free(table);
	assert_string_equal(image->executable, "/bin/b"); /* a reference outlives the table */
	image_unref(image);
	process_table_free(NULL);
}

static void test_out_of_order(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 300, .exe = B);
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 200, .exe = A);
	check(table, 7, 101, 250, "/bin/a");
	check(table, 7, 101, 350, "/bin/b");
	process_table_free(table);
}

/* The table keeps the newest images; for the time before them, the image is unknown. */
static void test_many_execs(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	for (uint64_t i = 1; i <= PROCESS_IMAGES_MAX + 3; i++)
		EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 1000 * i, .exe = i % 2 ? A : B);
	check(table, 7, 101, 3999, NULL);
	check(table, 7, 101, 4000, "/bin/b");
	check(table, 7, 101, 5000, "/bin/a");
	check(table, 7, 101, 6000, "/bin/b");
	check(table, 7, 101, 7000, "/bin/a");
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 500,
	     .exe = C); /* older than all others */
	check(table, 7, 101, 3999, NULL);
	process_table_free(table);
}

static void test_fork(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 200, .exe = A, .parent_pid = 1,
	     .parent_start_ns = 5);
	tell_fork(table, 7, 101, 8, 301);
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 400, .exe = B);
	check(table, 8, 301, 500, "/bin/a");
	EXEC(table, .pid = 8, .start_ns = 301, .exec_ns = 600, .exe = C, .parent_pid = 1,
	     .parent_start_ns = 5);
	check(table, 8, 301, 599, "/bin/a");
	check(table, 8, 301, 600, "/bin/c");
	tell_fork(table, 70, 101, 80, 701); /* the parent is unknown */
	check(table, 80, 701, 800, NULL);
	process_table_free(table);
}

/* A fork that is read after the parent's next exec. */
static void test_fork_read_late(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 200, .exe = A);
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 400, .exe = B);
	tell_fork(table, 7, 101, 8, 301);
	check(table, 8, 301, 500, "/bin/a");
	process_table_free(table);
}

static void test_exit(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101, .exec_ns = 200, .exe = A);
	EXEC(table, .pid = 8, .start_ns = 102, .exec_ns = 200, .exe = B);
	tell_exit(table, 7, 101, 1000);
	tell_exit(table, 7, 101, 2000); /* twice */
	tell_exit(table, 9, 101, 2000); /* unknown */
	check(table, 7, 101, 900, "/bin/a");
	process_table_expire(table, 1000 + PROCESS_LINGER_NS - 1);
	assert_int_equal(process_table_count(table), 2);
	process_table_expire(table, 1000 + PROCESS_LINGER_NS);
	assert_int_equal(process_table_count(table), 1);
	check(table, 7, 101, 900, NULL);
	process_table_expire(table, UINT64_MAX);
	assert_int_equal(process_table_count(table), 1); /* a living process stays */
	tell_exit(table, 8, 102, UINT64_MAX);
	process_table_expire(table, 5);
	assert_int_equal(process_table_count(table), 1);
	process_table_free(table);
}

static void test_pid_reused(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 101 * MS + 1, .exec_ns = 200 * MS, .exe = A);
	tell_exit(table, 7, 101 * MS + 1, 300 * MS);
	EXEC(table, .pid = 7, .start_ns = 301 * MS + 1, .exec_ns = 400 * MS, .exe = B);
	check(table, 7, 101 * MS + 1, 500 * MS, "/bin/a");
	check(table, 7, 301 * MS + 1, 500 * MS, "/bin/b");
	assert_int_equal(process_table_count(table), 2);
	/* The pid is used again, so the exit record of this process was lost. */
	EXEC(table, .pid = 7, .start_ns = 501 * MS + 1, .exec_ns = 600 * MS, .exe = C);
	process_table_expire(table, 600 * MS + PROCESS_LINGER_NS);
	assert_int_equal(process_table_count(table), 1);
	check(table, 7, 501 * MS + 1, 700 * MS, "/bin/c");
	process_table_free(table);
}

/* ---- /proc ----------------------------------------------------------------------------------- */

static void test_snapshot_start(void **state)
{
	struct process_table *table = process_table_new();
	const uint64_t start = 3 * TICK + 1234567;

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 3 * TICK, .exec_ns = 3 * TICK, .read_ns = 10 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = A, .parent_pid = 2, .parent_start_ns = TICK);
	check(table, 7, start, 20 * TICK, "/bin/a");
	check(table, 7, 3 * TICK, 20 * TICK, "/bin/a");
	check(table, 7, 4 * TICK - 1, 20 * TICK, "/bin/a");
	check(table, 7, 4 * TICK, 20 * TICK, NULL);
	check(table, 7, 3 * TICK - 1, 20 * TICK, NULL);
	EXEC(table, .pid = 7, .start_ns = start, .exec_ns = 30 * TICK, .exe = B);
	assert_int_equal(process_table_count(table), 1);
	check(table, 7, start, 29 * TICK, "/bin/a");
	check(table, 7, start, 30 * TICK, "/bin/b");
	check(table, 7, 3 * TICK, 30 * TICK, "/bin/b"); /* whole ticks, as in /proc */
	check(table, 7, start + 1, 30 * TICK, NULL);	/* the exact start is known */
	tell_exit(table, 7, start, 40 * TICK);
	process_table_expire(table, 40 * TICK + PROCESS_LINGER_NS);
	assert_int_equal(process_table_count(table), 0);
	process_table_free(table);
}

/* A process can change what /proc shows; records of an exec or a fork have priority. */
static void test_snapshot_of_known(void **state)
{
	struct process_table *table = process_table_new();
	const uint64_t start = 3 * TICK + 1234567;

	(void)state;
	EXEC(table, .pid = 7, .start_ns = start, .exec_ns = 4 * TICK, .exe = A);
	tell_fork(table, 7, start, 8, 5 * TICK + 1);
	EXEC(table, .pid = 7, .start_ns = 3 * TICK, .exec_ns = 3 * TICK, .read_ns = 9 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = B);
	EXEC(table, .pid = 8, .start_ns = 5 * TICK, .exec_ns = 5 * TICK, .read_ns = 9 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = B);
	assert_int_equal(process_table_count(table), 2);
	check(table, 7, start, 20 * TICK, "/bin/a");
	check(table, 7, start, 4 * TICK - 1, NULL);
	check(table, 8, 5 * TICK + 1, 20 * TICK, "/bin/a");
	process_table_free(table);
}

/* If only the fork is known, /proc adds the image. */
static void test_snapshot_of_fork(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	tell_fork(table, 7, 1, 8, 5 * TICK + 1);
	EXEC(table, .pid = 8, .start_ns = 5 * TICK, .exec_ns = 5 * TICK, .read_ns = 9 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = A);
	assert_int_equal(process_table_count(table), 1);
	check(table, 8, 5 * TICK + 1, 9 * TICK, "/bin/a");
	process_table_free(table);
}

/* The hooks are attached before /proc is read, so older records may follow the snapshot. */
static void test_snapshot_overtaken(void **state)
{
	struct process_table *table = process_table_new();
	const uint64_t start = 3 * TICK + 5, child = 6 * TICK + 5;

	(void)state;
	EXEC(table, .pid = 7, .start_ns = 3 * TICK, .exec_ns = 3 * TICK, .read_ns = 9 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = B);
	EXEC(table, .pid = 7, .start_ns = start, .exec_ns = 8 * TICK, .exe = B);
	check(table, 7, start, 7 * TICK, NULL); /* not the image of its later exec */
	check(table, 7, start, 8 * TICK, "/bin/b");

	EXEC(table, .pid = 1, .start_ns = TICK, .exec_ns = TICK, .read_ns = 5 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = A);
	EXEC(table, .pid = 8, .start_ns = 6 * TICK, .exec_ns = 6 * TICK, .read_ns = 9 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = C);
	tell_fork(table, 1, TICK, 8, child);
	check(table, 8, child, 7 * TICK, "/bin/a");
	EXEC(table, .pid = 8, .start_ns = child, .exec_ns = 8 * TICK, .exe = C);
	check(table, 8, child, 8 * TICK - 1, "/bin/a");
	check(table, 8, child, 8 * TICK, "/bin/c");
	assert_int_equal(process_table_count(table), 3);
	process_table_free(table);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static void test_ended_leave_first(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	for (uint32_t pid = 1; pid <= PROCESSES_MAX; pid++)
		tell_fork(table, 0, 0, pid, pid * TICK + 1);
	assert_int_equal(process_table_count(table), PROCESSES_MAX);
	tell_exit(table, 500, 500 * TICK + 1, 1);
	tell_exit(table, 400, 400 * TICK + 1, 2);
	EXEC(table, .pid = 100001, .start_ns = 101, .exec_ns = 200, .exe = A);
	EXEC(table, .pid = 100002, .start_ns = 101, .exec_ns = 200, .exe = A);
	EXEC(table, .pid = 100003, .start_ns = 101, .exec_ns = 200, .exe = A);
	assert_int_equal(process_table_count(table), PROCESSES_MAX);
	check(table, 100001, 101, 300, "/bin/a");
	check(table, 100003, 101, 300, "/bin/a");
	EXEC(table, .pid = 400, .start_ns = 400 * TICK, .exec_ns = 400 * TICK,
	     .flags = EXEC_SNAPSHOT, .exe = B);
	check(table, 400, 400 * TICK + 1, 400 * TICK + 1, "/bin/b"); /* dropped, so new */
	process_table_free(table);
}

/* The bytes are bounded too, even with the longest records. */
static void test_bytes(void **state)
{
	static char path[EXEC_DATA_MAX - EXEC_ARGS_MAX], args[EXEC_ARGS_MAX];
	struct process_table *table = process_table_new();
	size_t most = 0;

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	for (uint32_t pid = 1; pid <= 10000; pid++) {
		EXEC(table, .pid = pid, .start_ns = pid * TICK + 1, .exec_ns = pid * TICK + 2,
		     .exe = {path, sizeof(path)}, .args = {args, sizeof(args)});
		if (pid % 3 == 0)
			tell_exit(table, pid, pid * TICK + 1, pid * TICK + 3);
		tell_fork(table, pid, pid * TICK + 1, 20000 + pid, pid * TICK + 4);
		if (process_table_count(table) > most)
			most = process_table_count(table);
		assert_true(process_table_count(table) * sizeof(path) < 2UL * PROCESS_BYTES_MAX);
	}
	assert_true(most > 100);
	check(table, 10001, 10001 * TICK + 1, UINT64_MAX, NULL);
	assert_true(process_table_count(table) < 10000);
	process_table_free(table);
}

/* Random records: only the sanitizers can find a fault. */
static void test_any_order(void **state)
{
	struct process_table *table = process_table_new();
	unsigned int seed = 1;

	(void)state;
	for (int i = 0; i < 200000; i++) {
		const uint32_t random = (seed = seed * 1103515245 + 12345) >> 8;
		const uint32_t pid = random % 50;
		const uint64_t start = (random / 64 % 4) * TICK + (random / 256 % 3),
			       time = (uint64_t)i * MS;

		switch (random / 1024 % 8) {
		case 0:
		case 1:
			EXEC(table, .pid = pid, .start_ns = start, .exec_ns = time, .exe = A,
			     .parent_pid = 1);
			break;
		case 2:
			EXEC(table, .pid = pid, .start_ns = start, .exec_ns = start,
			     .read_ns = time + 5 * MS, .flags = EXEC_SNAPSHOT, .exe = B);
			break;
		case 3:
		case 4: tell_fork(table, pid, start, (random / 3) % 50, time); break;
		case 5: tell_exit(table, pid, start, time); break;
		case 6: process_table_expire(table, time); break;
		case 7: process_ask(table, pid, start, time); break;
		default:
			image_unref(
				process_image_at(table, pid, start, time - random % (1000 * MS)));
			break;
		}
	}
	process_table_free(table);
}

/* If /proc cannot be read, it is not tried again for each send. Later records still count. */
static void test_asked_once_a_minute(void **state)
{
	struct process_table *table = process_table_new();

	(void)state;
	assert_true(process_ask(table, 7, 101, 1000));
	assert_false(process_ask(table, 7, 101, 1000));
	assert_false(process_ask(table, 7, 101, 999 + PROCESS_ASK_NS));
	assert_true(process_ask(table, 7, 102, 1001));
	assert_true(process_ask(table, 7, 101, 1000 + PROCESS_ASK_NS));
	assert_false(process_ask(table, 7, 101, 1000 + PROCESS_ASK_NS));
	check(table, 7, 102, 2000, NULL);
	EXEC(table, .pid = 7, .start_ns = 102, .exec_ns = 1500, .exe = A);
	check(table, 7, 102, 2000, "/bin/a");
	process_table_free(table);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_by_time),
		cmocka_unit_test(test_out_of_order),
		cmocka_unit_test(test_many_execs),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_fork_read_late),
		cmocka_unit_test(test_exit),
		cmocka_unit_test(test_pid_reused),
		cmocka_unit_test(test_snapshot_start),
		cmocka_unit_test(test_snapshot_of_known),
		cmocka_unit_test(test_snapshot_of_fork),
		cmocka_unit_test(test_snapshot_overtaken),
		cmocka_unit_test(test_ended_leave_first),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_any_order),
		cmocka_unit_test(test_asked_once_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
