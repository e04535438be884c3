/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The cache of names, hashes and cgroups: each is requested once and stored once; the cache is
 * bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "process/names.h"

static void tell_user(struct names *names, uint32_t uid, const char *name, uint64_t time_ns)
{
	size_t len = strlen(name);
	struct name_record *record = calloc(1, sizeof(*record) + len);

	assert_non_null(record);
	record->h = (struct record){RECORD_NAME, (uint32_t)(sizeof(*record) + len), time_ns};
	record->kind = NAME_USER;
	record->id = uid;
	record->name_len = (uint32_t)len;
	memcpy(record->name, name, len);
	assert_int_equal(names_record(names, &record->h), 0);
	free(record);
}

static void test_asked_once_then_known(void **state)
{
	struct names *names = names_new();
	const char *text = NULL;

	(void)state;
	assert_int_equal(names_user(names, 1000, 1, &text), NAME_MISSING);
	assert_int_equal(names_user(names, 1000, 2, &text), NAME_ASKED);
	tell_user(names, 1000, "reports", 3);
	assert_int_equal(names_user(names, 1000, 4, &text), NAME_KNOWN);
	assert_string_equal(text, "reports");
	tell_user(names, 1001, "", 3);
	assert_int_equal(names_user(names, 1001, 4, &text), NAME_KNOWN);
	assert_string_equal(text, "");
	names_free(names);
}

static void test_a_name_grows_old(void **state)
{
	struct names *names = names_new();
	const char *text = NULL;

	(void)state;
	tell_user(names, 1000, "reports", 1);
	assert_int_equal(names_user(names, 1000, NAMES_FRESH_NS, &text), NAME_KNOWN);
	assert_int_equal(names_user(names, 1000, NAMES_FRESH_NS + 1, &text), NAME_MISSING);
	assert_int_equal(names_user(names, 1000, NAMES_FRESH_NS + 2, &text), NAME_ASKED);
	names_free(names);
}

static void test_a_question_without_an_answer_is_asked_again(void **state)
{
	struct names *names = names_new();
	const char *text = NULL;

	(void)state;
	assert_int_equal(names_user(names, 7, 1, &text), NAME_MISSING);
	assert_int_equal(names_user(names, 7, NAMES_FRESH_NS, &text), NAME_ASKED);
	assert_int_equal(names_user(names, 7, NAMES_FRESH_NS + 1, &text), NAME_MISSING);
	names_free(names);
}

static void test_a_hash_is_of_that_file_alone(void **state)
{
	struct names *names = names_new();
	struct hash_record record = {.h = {RECORD_HASH, sizeof(record), 1},
				     .inode = 5,
				     .ctime_ns = 6,
				     .size = 7,
				     .dev = 8,
				     .valid = 1,
				     .sha256 = {0xab}};
	struct image image = {.inode = 5, .ctime_ns = 6, .size = 7, .dev = 8};
	const char *text = NULL;

	(void)state;
	assert_int_equal(names_record(names, &record.h), 0);
	assert_int_equal(names_hash(names, &image, 2, &text), NAME_KNOWN);
	assert_memory_equal(text, "ab00", 4);
	assert_int_equal(strlen(text), SHA256_HEX_LEN);
	image.ctime_ns++;
	assert_int_equal(names_hash(names, &image, 2, &text), NAME_MISSING);
	record.valid = 0;
	assert_int_equal(names_record(names, &record.h), 0);
	image.ctime_ns--;
	assert_int_equal(names_hash(names, &image, 2, &text), NAME_KNOWN);
	assert_string_equal(text, "");
	names_free(names);
}

static void test_the_newest_is_kept(void **state)
{
	struct names *names = names_new();
	const char *text = NULL;

	(void)state;
	for (uint32_t uid = 0; uid < 20 * NAMES_MAX; uid++) {
		tell_user(names, uid, "somebody", 1);
		assert_int_equal(names_user(names, uid, 2, &text), NAME_KNOWN);
	}
	names_free(names);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_asked_once_then_known),
		cmocka_unit_test(test_a_name_grows_old),
		cmocka_unit_test(test_a_question_without_an_answer_is_asked_again),
		cmocka_unit_test(test_a_hash_is_of_that_file_alone),
		cmocka_unit_test(test_the_newest_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
