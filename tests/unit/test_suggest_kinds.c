/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table in which suggest counts days: distinct days in any order, a bounded table in which a
 * flood pushes out its own kinds, and which kinds are selected.
 */
#include "unit.h"

#include "base/hash.h"
#include "commands/suggest_kinds.h"

#define HONEST_USER 1U
#define OTHER_USER  2U
#define FLOOD	    (4U * KINDS_MAX)

static unsigned int days_of(const int32_t *of, size_t count)
{
	struct days days = {0};

	for (size_t i = 0; i < count; i++)
		days_add(&days, of[i]);
	return days_count(&days);
}

static void test_days(void **state)
{
	static const int32_t once[] = {5, 5, 5}, back[] = {9, 7, 8, 7, 9}, ends[] = {100, 37, 36},
			     jump[] = {1, 2, 3, 500, 501}, early[] = {0, 1}, before[] = {3, -2};

	(void)state;
	assert_int_equal(days_of(once, 3), 1);
	assert_int_equal(days_of(back, 5), 3);
	assert_int_equal(days_of(ends, 3), 2); /* 63 days back counts, 64 do not */
	assert_int_equal(days_of(jump, 5), 2);
	assert_int_equal(days_of(early, 2), 2);
	assert_int_equal(days_of(before, 2), 2);
}

static void flood(struct kinds *kinds, uint64_t user, int32_t day)
{
	for (uint32_t i = 0; i < FLOOD; i++)
		kinds_add(kinds, hash_mix((uint64_t)day << 32 | i, user) | 1, 7, user, day);
}

/* It mails once a day, and every day another user floods the table several times over. */
static void test_a_flood_of_another_user(void **state)
{
	struct kinds kinds = {.table = calloc(KINDS_MAX, sizeof(*kinds.table))};
	const struct kind *selected[10];

	(void)state;
	assert_non_null(kinds.table);
	for (int32_t day = 1; day <= 3; day++) {
		kinds_add(&kinds, 0x1234567, 9, HONEST_USER, day);
		flood(&kinds, OTHER_USER, day);
	}
	assert_true(kinds.forgotten > KINDS_MAX);
	assert_non_null(kinds_find(&kinds, 0x1234567));
	assert_int_equal(days_count(&kinds_find(&kinds, 0x1234567)->days), 3);
	assert_int_equal(kinds_select(&kinds, 3, 5, 5, selected, 10), 1);
	assert_int_equal(selected[0]->hash, 0x1234567);
	free(kinds.table);
}

/* A flood of its own user cannot push out what has come on a second day. */
static void test_a_flood_of_the_same_user(void **state)
{
	struct kinds kinds = {.table = calloc(KINDS_MAX, sizeof(*kinds.table))};

	(void)state;
	assert_non_null(kinds.table);
	for (int32_t day = 1; day <= 2; day++)
		kinds_add(&kinds, 0x1234567, 9, HONEST_USER, day);
	flood(&kinds, HONEST_USER, 3);
	assert_non_null(kinds_find(&kinds, 0x1234567));
	free(kinds.table);
}

/* Adds a kind of `days` days. */
static void add(struct kinds *kinds, uint64_t hash, uint64_t process, uint64_t user, int32_t days)
{
	for (int32_t day = 1; day <= days; day++)
		kinds_add(kinds, hash, process, user, day);
}

static void test_selection(void **state)
{
	struct kinds kinds = {.table = calloc(KINDS_MAX, sizeof(*kinds.table))};
	const struct kind *selected[20];

	(void)state;
	assert_non_null(kinds.table);
	for (uint64_t i = 0; i < 9; i++) /* one process of user 1 */
		add(&kinds, 100 + i, 10, 1, 3 + (int32_t)i);
	for (uint64_t i = 0; i < 9; i++) /* many processes of user 2 */
		add(&kinds, 200 + i, 20 + i, 2, 20);
	add(&kinds, 300, 30, 3, 2); /* too few days */
	add(&kinds, 30, 30, 3, 50); /* a process as a whole */
	add(&kinds, 301, 30, 3, 30);
	assert_int_equal(kinds_select(&kinds, 3, 2, 4, selected, 20), 1 + 4 + 2);
	assert_int_equal(selected[0]->hash, 301);
	assert_int_equal(selected[1]->user, 2);
	assert_int_equal(selected[4]->user, 2);
	assert_int_equal(selected[5]->hash, 108); /* those of most days */
	assert_int_equal(selected[6]->hash, 107);
	assert_int_equal(kinds_select(&kinds, 3, 2, 4, selected, 3), 3);
	assert_int_equal(kinds_select(&kinds, 60, 2, 4, selected, 3), 0);
	free(kinds.table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_days),
		cmocka_unit_test(test_a_flood_of_another_user),
		cmocka_unit_test(test_a_flood_of_the_same_user),
		cmocka_unit_test(test_selection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
