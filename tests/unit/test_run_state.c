/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's state file in a real folder: what the next run makes of it, and what others may have
 * put in its place.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "daemon/run_state.h"
#include "daemon/state_file.h"

#define SECOND 1000000000ULL

static char folder[] = "/tmp/smtpsnoop-state-XXXXXX";
static int dir = -1;

static const struct run_mark sample = {.boot = {1, 2, 0xfe},
				       .boottime_ns = 1000 * SECOND,
				       .realtime_ns = 1700000000 * (int64_t)SECOND};

static int set_up(void **state)
{
	(void)state;
	memcpy(folder + strlen(folder) - 6, "XXXXXX", 6);
	if (!mkdtemp(folder) || setenv("STATE_DIRECTORY", folder, 1))
		return -1;
	dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return dir < 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = {STATE_FILE, "run.state.new", "run.lock", "victim"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(dir, names[i], 0);
	close(dir);
	return rmdir(folder);
}

/* Writes a file of any content. */
static void put_file(const char *name, const char *data, size_t len, mode_t mode)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static int read_error(void)
{
	struct run_mark mark;
	char why[STATE_WHY_MAX] = "";
	int error = state_read(dir, &mark, why);

	if (error)
		assert_true(why[0]);
	return error;
}

/* ---- The file -------------------------------------------------------------------------------- */

static void test_what_is_written_is_read(void **state)
{
	struct run_mark mark = sample, found;
	char why[STATE_WHY_MAX];
	struct stat stat;

	(void)state;
	assert_int_equal(read_error(), -ENOENT);
	for (int i = 0; i < 2; i++) {
		mark.stopped = i;
		mark.realtime_ns = i ? INT64_MIN : INT64_MAX;
		assert_int_equal(state_write(dir, &mark, i), 0);
		assert_int_equal(state_read(dir, &found, why), 0);
		assert_memory_equal(found.boot, mark.boot, BOOT_ID_LEN);
		assert_true(found.boottime_ns == mark.boottime_ns);
		assert_true(found.realtime_ns == mark.realtime_ns);
		assert_int_equal(found.stopped, mark.stopped);
	}
	assert_int_equal(fstatat(dir, STATE_FILE, &stat, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(stat.st_mode & 07777, 0600);
	assert_int_equal(faccessat(dir, "run.state.new", F_OK, 0), -1);
}

/* Every beginning of a good file, and a good file in which any byte is another one. */
static void test_damaged(void **state)
{
	struct run_mark mark = sample;
	char good[STATE_FILE_MAX], bad[2 * STATE_FILE_MAX];
	size_t len;
	ssize_t got;
	int fd;

	(void)state;
	assert_int_equal(state_write(dir, &mark, false), 0);
	fd = openat(dir, STATE_FILE, O_RDONLY | O_CLOEXEC);
	got = read(fd, good, sizeof(good));
	close(fd);
	assert_true(got > 60);
	len = got > 0 ? (size_t)got : 0;
	for (size_t i = 0; i < len; i++) {
		put_file(STATE_FILE, good, i, 0600);
		assert_int_equal(read_error(), -EBADMSG);
		memcpy(bad, good, len);
		bad[i] = i % 2 ? '\0' : '~';
		put_file(STATE_FILE, bad, len, 0600);
		assert_int_equal(read_error(), -EBADMSG);
	}
	memcpy(bad, good, len);
	memset(bad + len, '\n', sizeof(bad) - len);
	put_file(STATE_FILE, bad, len + 1, 0600);
	assert_int_equal(read_error(), -EBADMSG);
	put_file(STATE_FILE, bad, sizeof(bad), 0600);
	assert_int_equal(read_error(), -EBADMSG);
	put_file(STATE_FILE, good, len, 0600);
	assert_int_equal(read_error(), 0);
}

/* A link is neither read nor written through. */
static void test_symbolic_link(void **state)
{
	struct run_mark mark = sample;
	struct stat stat;

	(void)state;
	put_file("victim", "precious", 8, 0600);
	assert_int_equal(symlinkat("victim", dir, STATE_FILE), 0);
	assert_int_equal(symlinkat("victim", dir, "run.state.new"), 0);
	assert_int_equal(read_error(), -ELOOP);
	assert_int_equal(state_write(dir, &mark, true), 0);
	assert_int_equal(fstatat(dir, "victim", &stat, 0), 0);
	assert_int_equal(stat.st_size, 8);
	assert_int_equal(fstatat(dir, STATE_FILE, &stat, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(stat.st_mode));
	assert_int_equal(read_error(), 0);
}

static void test_file_of_others(void **state)
{
	struct run_mark mark = sample;

	(void)state;
	assert_int_equal(mkfifoat(dir, STATE_FILE, 0600), 0);
	assert_int_equal(read_error(), -EPERM); /* and nobody waits for a writer */
	assert_int_equal(state_write(dir, &mark, false), 0);
	assert_int_equal(read_error(), 0);
	assert_int_equal(fchmodat(dir, STATE_FILE, 0620, 0), 0);
	assert_int_equal(read_error(), -EPERM);
	assert_int_equal(fchmodat(dir, STATE_FILE, 0600, 0), 0);
	if (geteuid() != 0)
		return; /* the rest needs root */
	assert_int_equal(fchownat(dir, STATE_FILE, 65534, 65534, 0), 0);
	assert_int_equal(read_error(), -EPERM);
}

static void test_folder(void **state)
{
	int fds[2], again[2];
	char why[STATE_WHY_MAX];

	(void)state;
	assert_int_equal(state_folder_open("/dev/null/x", &fds[0], &fds[1], why), -ENOTDIR);
	assert_int_equal(fchmod(dir, 0770), 0);
	assert_int_equal(state_folder_open(folder, &fds[0], &fds[1], why), -EPERM);
	assert_int_equal(fchmod(dir, 0700), 0);
	assert_int_equal(state_folder_open(folder, &fds[0], &fds[1], why), 0);
	assert_int_equal(state_folder_open(folder, &again[0], &again[1], why), -EBUSY);
	close(fds[1]);
	assert_int_equal(state_folder_open(folder, &again[0], &again[1], why), 0);
	close(fds[0]);
	close(again[0]);
	close(again[1]);
}

/* ---- What it means --------------------------------------------------------------------------- */

static struct run_record compare(const struct run_mark *mark, uint64_t boottime_s,
				 int64_t realtime_s, bool rebooted)
{
	struct run_mark now = {.boottime_ns = boottime_s * SECOND,
			       .realtime_ns = realtime_s * (int64_t)SECOND};
	struct run_record record;

	memcpy(now.boot, mark->boot, BOOT_ID_LEN);
	now.boot[15] ^= rebooted;
	memset(&record, 0xff, sizeof(record));
	state_compare(mark, &now, &record);
	return record;
}

static void test_same_boot(void **state)
{
	struct run_mark mark = sample;
	struct run_record record = compare(&mark, 1012, 1700000012, false);

	(void)state;
	assert_int_equal(record.end, RUN_KILLED);
	assert_int_equal(record.flags, 0);
	assert_true(record.unwatched_ns == 12 * SECOND);
	assert_true(record.ended_ns == mark.realtime_ns);
	/* Only the wall clock was set back: the span is the same, in the new clock. */
	record = compare(&mark, 1012, 1600000000, false);
	assert_true(record.unwatched_ns == 12 * SECOND);
	assert_true(record.ended_ns == 1599999988 * (int64_t)SECOND);
	mark.stopped = true;
	assert_int_equal(compare(&mark, 1012, 1700000012, false).end, RUN_STOPPED);
	/* From the future of this boot. */
	record = compare(&mark, 999, 1700000012, false);
	assert_int_equal(record.end, RUN_UNKNOWN);
	assert_true(record.unwatched_ns == 0);
}

static void test_other_boot(void **state)
{
	struct run_mark mark = sample;
	struct run_record record = compare(&mark, 20, 1700000300, true);

	(void)state;
	assert_int_equal(record.end, RUN_KILLED);
	assert_int_equal(record.flags, RUN_REBOOTED);
	assert_true(record.unwatched_ns == 300 * SECOND);
	assert_true(record.ended_ns == mark.realtime_ns);
	record = compare(&mark, 20, 1600000000, true);
	assert_int_equal(record.flags, RUN_REBOOTED | RUN_CLOCK_BACK);
	assert_true(record.unwatched_ns == 0);
	/* A boot id that could not be read is never the same one. */
	memset(mark.boot, 0, BOOT_ID_LEN);
	assert_int_equal(compare(&mark, 1012, 1700000012, false).flags, RUN_REBOOTED);
}

/* ---- Runs ------------------------------------------------------------------------------------ */

static struct run_record previous(const struct run_state *run)
{
	struct run_record record = {.end = RUN_END_COUNT};

	assert_non_null(run);
	run_state_previous(run, &record);
	return record;
}

static void test_one_run_after_the_other(void **state)
{
	struct run_state *run = run_state_open();
	struct run_record record = previous(run);

	(void)state;
	assert_int_equal(record.end, RUN_NONE);
	run_state_close(run, true); /* it never watched: nothing is left */
	run = run_state_open();
	assert_int_equal(previous(run).end, RUN_NONE);
	run_state_begin(run);
	run_state_alive(run);
	run_state_close(run, true);
	run = run_state_open();
	record = previous(run);
	assert_int_equal(record.end, RUN_STOPPED);
	assert_int_equal(record.flags, 0);
	assert_true(record.unwatched_ns < 5 * SECOND);
	run_state_begin(run);
	run_state_close(run, false);
	run = run_state_open();
	assert_int_equal(previous(run).end, RUN_KILLED);
	run_state_close(run, false);
}

/* The second one watches, but it neither reads nor writes the first one's state. */
static void test_two_at_once(void **state)
{
	struct run_state *first = run_state_open(), *second;
	struct run_mark mark;
	char why[STATE_WHY_MAX];

	(void)state;
	run_state_begin(first);
	second = run_state_open();
	assert_int_equal(previous(second).end, RUN_UNKNOWN);
	run_state_begin(second);
	run_state_alive(second);
	run_state_close(second, true);
	run_state_close(first, false);
	assert_int_equal(state_read(dir, &mark, why), 0);
	assert_false(mark.stopped);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_what_is_written_is_read, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_symbolic_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_file_of_others, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_folder, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_same_boot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_other_boot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_one_run_after_the_other, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_at_once, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
