/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Recordings that are written and read back, and files that are not recordings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <errno.h>

#include <cmocka.h>

#include "capture/recording.h"

#define RECORDS 50

static char path[] = "/tmp/smtpsnoop-test-XXXXXX";
static char why[RECORDING_WHY_MAX];

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path + sizeof(path) - 7, "XXXXXX");
	fd = mkstemp(path);
	close(fd);
	unlink(path);
	return fd < 0;
}

static int teardown(void **state)
{
	(void)state;
	unlink(path);
	return 0;
}

static void write_records(unsigned int count)
{
	struct recording *recording = NULL;
	struct exit_record record = {.h = {.type = RECORD_EXIT, .len = sizeof(record)}};

	assert_int_equal(recording_create(&recording, path, why), 0);
	for (record.pid = 0; record.pid < count; record.pid++)
		assert_int_equal(recording_write(recording, &record.h), 0);
	assert_int_equal(recording_close(recording), 0);
}

static int count_record(void *context, const struct record *record)
{
	uint32_t *count = context;

	assert_int_equal(record->len, sizeof(struct exit_record));
	assert_int_equal(((const struct exit_record *)record)->pid, *count);
	++*count;
	return 0;
}

static void write_file(const void *data, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	if (len)
		assert_int_equal(fwrite(data, len, 1, file), 1);
	fclose(file);
}

static void test_round_trip(void **state)
{
	uint32_t count = 0;
	struct stat st;

	(void)state;
	write_records(RECORDS);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(recording_read(path, count_record, &count, why), 0);
	assert_int_equal(count, RECORDS);
}

static void test_empty_recording(void **state)
{
	uint32_t count = 0;

	(void)state;
	write_records(0);
	assert_int_equal(recording_read(path, count_record, &count, why), 0);
	assert_int_equal(count, 0);
}

static void test_never_overwritten(void **state)
{
	struct recording *recording = NULL;

	(void)state;
	write_file("precious", 8);
	assert_int_equal(recording_create(&recording, path, why), -EEXIST);
	assert_null(recording);
	assert_non_null(strstr(why, "remove it"));
}

static void test_no_such_file(void **state)
{
	uint32_t count = 0;

	(void)state;
	assert_int_equal(recording_read(path, count_record, &count, why), -ENOENT);
	assert_int_equal(recording_read("/", count_record, &count, why), -EINVAL);
}

static void test_no_recording(void **state)
{
	static const char *const files[] = {"", "s", "smtpsnoop recording ",
					    "garbage of more than a line's length\n"};
	uint32_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		write_file(files[i], strlen(files[i]));
		assert_int_equal(recording_read(path, count_record, &count, why), -EINVAL);
		assert_true(strlen(why) > 0 && !strchr(why, '\n'));
	}
	write_file("smtpsnoop recording 2\n", 22);
	assert_int_equal(recording_read(path, count_record, &count, why), -EINVAL);
	assert_non_null(strstr(why, "another version"));
}

static void test_truncated_anywhere(void **state)
{
	const long magic = (long)strlen(RECORDING_MAGIC), size = sizeof(struct exit_record);

	(void)state;
	write_records(3);
	for (long len = magic + 3 * size; len >= magic; len--) {
		uint32_t count = 0;

		assert_int_equal(truncate(path, len), 0);
		assert_int_equal(recording_read(path, count_record, &count, why),
				 (len - magic) % size ? -EBADMSG : 0);
		assert_int_equal(count, (len - magic) / size);
	}
}

static void test_lengths_that_lie(void **state)
{
	static const uint32_t lengths[] = {0, 1, 15, RECORDING_RECORD_MAX + 1, UINT32_MAX};
	char data[64];
	uint32_t count = 0;

	(void)state;
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		struct record record = {.type = RECORD_EXIT, .len = lengths[i]};
		size_t magic = strlen(RECORDING_MAGIC);

		memcpy(data, RECORDING_MAGIC, magic);
		memcpy(data + magic, &record, sizeof(record));
		write_file(data, magic + sizeof(record));
		assert_int_equal(recording_read(path, count_record, &count, why), -EBADMSG);
	}
	assert_int_equal(count, 0);
}

static int stop_at_once(void *context, const struct record *record)
{
	(void)record;
	++*(uint32_t *)context;
	return 1;
}

static void test_stopped_by_the_reader(void **state)
{
	uint32_t count = 0;

	(void)state;
	write_records(RECORDS);
	assert_int_equal(recording_read(path, stop_at_once, &count, why), 0);
	assert_int_equal(count, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty_recording, setup, teardown),
		cmocka_unit_test_setup_teardown(test_never_overwritten, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_such_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_recording, setup, teardown),
		cmocka_unit_test_setup_teardown(test_truncated_anywhere, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lengths_that_lie, setup, teardown),
		cmocka_unit_test_setup_teardown(test_stopped_by_the_reader, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
