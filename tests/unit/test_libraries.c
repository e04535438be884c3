/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finding TLS libraries: what /proc and ld.so.cache say, what is remembered of a file, who pays. */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "capture/closer.h"
#include "capture/layouts.h"
#include "capture/ld_cache.h"
#include "capture/mapping.h"
#include "capture/verdicts.h"

#define S_NS	 1000000000ULL
#define REAL_NS	 (1700000000 * S_NS)
#define ALICE	 1000U
#define MALLORY	 1001U
#define CTIME_NS (REAL_NS - 3600 * S_NS + 1)

/* ---- /proc/PID/maps -------------------------------------------------------------------------- */

static void mapping_lines(void **state)
{
	struct mapping mapping;

	(void)state;
	assert_true(
		mapping_parse("7f00aa000-7f00ab000 r-xp 00001000 08:1f 1234      /a b (deleted)",
			      &mapping));
	assert_int_equal(mapping.start, 0x7f00aa000);
	assert_int_equal(mapping.end, 0x7f00ab000);
	assert_int_equal(mapping.major, 8);
	assert_int_equal(mapping.minor, 0x1f);
	assert_int_equal(mapping.inode, 1234);
	assert_true(mapping.executable);
	assert_string_equal(mapping.path, "/a b (deleted)");
	assert_true(mapping_parse("1000-2000 r--p 0 0:2 18446744073709551615 ", &mapping));
	assert_false(mapping.executable);
	assert_string_equal(mapping.path, "");
}

static void mapping_lines_that_do_not_count(void **state)
{
	static const char *const lines[] = {
		"",
		"7f00-7f01 r-xp 0 00:00 0 [vdso]", /* no file */
		"7f01-7f00 r-xp 0 08:01 5 /x",	   /* backwards */
		"7f00-7f00 r-xp 0 08:01 5 /x",
		"7f00-7f01 r-x",
		"7f00-7f01",
		"-7f01 r-xp 0 08:01 5 /x",
		"7f00-7f01 r-xp 0 08:01",
		"7f00-7f01 r-xp 0 08-01 5 /x",
		"7f00-7f01 r-xp 0 123456789:01 5 /x",
		"7f00-7f01 r-xp 0 08:01 99999999999999999999 /x", /* more than 64 bits */
		"7f00-7f01 r-xp 0 08:01 -5 /x",
		" 7f00-7f01 r-xp 0 08:01 5 /x",
	};
	struct mapping mapping;

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (mapping_parse(lines[i], &mapping))
			fail_msg("accepted: %s", lines[i]);
	}
}

struct seen {
	size_t count;
	uint64_t inodes[8];
	char paths[8][64];
};

static void see_mapping(void *context, const struct mapping *mapping)
{
	struct seen *seen = context;

	assert_true(seen->count < 8);
	seen->inodes[seen->count] = mapping->inode;
	snprintf(seen->paths[seen->count++], 64, "%s", mapping->path);
}

/* Only executable mappings are given; the rest of a line that is cut off waits for its other half.
 */
static void mapping_pieces(void **state)
{
	char text[] = "1000-2000 r-xp 0 08:01 5 /first\n"
		      "2000-3000 rw-p 0 08:01 6 /data\n"
		      "\n"
		      "3000-4000 --xp 0 08:01 7 /second\n"
		      "4000-5000 r-xp 0 08:0";
	struct seen seen = {};
	size_t used = mapping_each(text, sizeof(text) - 1, see_mapping, &seen);

	(void)state;
	assert_int_equal(used, sizeof(text) - 1 - strlen("4000-5000 r-xp 0 08:0"));
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.inodes[0], 5);
	assert_int_equal(seen.inodes[1], 7);
	assert_string_equal(seen.paths[1], "/second");
}

/* ---- ld.so.cache ----------------------------------------------------------------------------- */

#define ENTRY_LEN  24U
#define HEADER_LEN 48U

/* A cache with these paths. Free with exact_free(). */
static struct span cache_of(const char *const *paths, uint32_t count)
{
	static char bytes[4096];
	size_t strings = HEADER_LEN + count * ENTRY_LEN;

	memset(bytes, 0, sizeof(bytes));
	memcpy(bytes, "glibc-ld.so.cache1.1", 20);
	memcpy(bytes + 20, &count, sizeof(count));
	for (uint32_t i = 0; i < count; i++) {
		uint32_t at = (uint32_t)strings;

		memcpy(bytes + HEADER_LEN + i * ENTRY_LEN + 8, &at, sizeof(at));
		strcpy(bytes + strings, paths[i]);
		strings += strlen(paths[i]) + 1;
	}
	return exact((struct span){bytes, strings});
}

static void see_path(void *context, const char *path)
{
	struct seen *seen = context;

	assert_true(seen->count < 8);
	snprintf(seen->paths[seen->count++], 64, "%s", path);
}

static const char *const paths[] = {"/lib/libssl.so.3",	       "/lib/libc.so.6",
				    "/opt/libssl/lib/libm.so", "/lib/libgnutls.so.30",
				    "relative/libssl.so",      "/lib/libnspr4.so"};

#define PATHS (sizeof(paths) / sizeof(paths[0]))

static void cache_names_libraries(void **state)
{
	struct span cache = cache_of(paths, PATHS);
	struct seen seen = {};

	(void)state;
	assert_int_equal(ld_cache_each(cache, see_path, &seen), 3);
	assert_string_equal(seen.paths[0], "/lib/libssl.so.3");
	assert_string_equal(seen.paths[1], "/lib/libgnutls.so.30");
	assert_string_equal(seen.paths[2], "/lib/libnspr4.so");
	exact_free(cache);
}

/* Behind a cache of the format before glibc 2.2. */
static void cache_behind_an_older_one(void **state)
{
	struct span cache = cache_of(paths, PATHS), both;
	char *bytes = malloc(64 + cache.len);
	struct seen seen = {};

	(void)state;
	assert_non_null(bytes);
	memset(bytes, 'x', 64);
	memcpy(bytes, "ld.so-1.7.0", 11);
	memcpy(bytes + 64, cache.data, cache.len);
	both = (struct span){bytes, 64 + cache.len};
	assert_int_equal(ld_cache_each(both, see_path, &seen), 3);
	assert_string_equal(seen.paths[0], "/lib/libssl.so.3");
	free(bytes);
	exact_free(cache);
}

/* ASan finds a read behind the copy. */
static void cache_cut_anywhere(void **state)
{
	struct span cache = cache_of(paths, PATHS);

	(void)state;
	for (size_t len = 0; len < cache.len; len++) {
		struct span cut = exact((struct span){cache.data, len});
		struct seen seen = {};

		assert_true(ld_cache_each(cut, see_path, &seen) < 3);
		exact_free(cut);
	}
	exact_free(cache);
}

static void cache_with_forged_numbers(void **state)
{
	static const uint32_t forged[] = {0, 1, 0x7fffffff, 0x80000000, 0xffffffff};
	struct span cache = cache_of(paths, PATHS);
	char *bytes = (char *)cache.data;

	(void)state;
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct seen seen = {};

		memcpy(bytes + 20, &forged[i], 4); /* the number of entries */
		assert_true(ld_cache_each(cache, see_path, &seen) <= 3);
	}
	memcpy(bytes + 20, &(uint32_t){PATHS}, 4);
	for (size_t i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		struct seen seen = {};

		memcpy(bytes + HEADER_LEN + 8, &forged[i], 4); /* where the first path is */
		assert_int_equal(ld_cache_each(cache, see_path, &seen), 2);
	}
	exact_free(cache);
}

/* ---- What is remembered of a file ------------------------------------------------------------ */

static struct file_identity file(uint64_t inode)
{
	return (struct file_identity){.device = 1,
				      .inode = inode,
				      .ctime_ns = CTIME_NS,
				      .mtime_ns = CTIME_NS,
				      .size = 4096};
}

static struct file_verdict *put(struct verdicts *verdicts, uint64_t inode, enum verdict verdict,
				uint32_t user, uint64_t now_ns)
{
	struct file_identity identity = file(inode);

	return verdicts_put(verdicts, &identity, verdict, user, now_ns, REAL_NS);
}

static void verdict_is_found(void **state)
{
	struct verdicts *verdicts = verdicts_new();
	struct file_identity identity = file(7);
	struct file_verdict *verdict;

	(void)state;
	assert_null(verdicts_find(verdicts, 1, 7, 1));
	verdict = put(verdicts, 7, VERDICT_NOTHING, ALICE, 1);
	assert_ptr_equal(verdicts_find(verdicts, 1, 7, 2), verdict);
	assert_null(verdicts_find(verdicts, 2, 7, 2));
	assert_null(verdicts_find(verdicts, 1, 8, 2));
	assert_true(file_same(&verdict->identity, &identity));
	verdicts_remove(verdicts, verdict);
	assert_null(verdicts_find(verdicts, 1, 7, 3));
	assert_int_equal(verdicts_count(verdicts), 0);
	verdicts_free(verdicts);
}

static void rewritten_file_is_another(void **state)
{
	struct file_identity was = file(7), now = was;

	(void)state;
	now.ctime_ns++;
	assert_false(file_same(&was, &now));
	now = was;
	now.size++;
	assert_false(file_same(&was, &now));
	now = was;
	now.mtime_ns++; /* anyone can set it; ctime tells */
	assert_true(file_same(&was, &now));
}

static void new_verdict_replaces(void **state)
{
	struct verdicts *verdicts = verdicts_new();

	(void)state;
	put(verdicts, 7, VERDICT_NOTHING, ALICE, 1);
	put(verdicts, 7, VERDICT_REFUSED, MALLORY, 2);
	assert_int_equal(verdicts_count(verdicts), 1);
	assert_int_equal(verdicts_find(verdicts, 1, 7, 3)->verdict, VERDICT_REFUSED);
	assert_int_equal(verdicts_find(verdicts, 1, 7, 3)->user, MALLORY);
	verdicts_free(verdicts);
}

/* Within a tick of its ctime a file can be written again without a trace. */
static void verdict_on_a_new_file_is_not_settled(void **state)
{
	struct verdicts *verdicts = verdicts_new();
	struct file_identity identity = file(7);

	(void)state;
	identity.ctime_ns = REAL_NS - S_NS / 1000 + 1;
	assert_false(verdicts_put(verdicts, &identity, VERDICT_NOTHING, 0, 1, REAL_NS)->settled);
	assert_true(
		verdicts_put(verdicts, &identity, VERDICT_NOTHING, 0, 1, REAL_NS + S_NS)->settled);
	identity.ctime_ns = REAL_NS; /* in whole seconds, perhaps */
	assert_false(
		verdicts_put(verdicts, &identity, VERDICT_NOTHING, 0, 1, REAL_NS + S_NS)->settled);
	verdicts_free(verdicts);
}

/* The same inode at two mounts of an overlay has two devices. No copy has the same times. */
static void file_below_an_overlay(void **state)
{
	struct file_identity here = file(7), there = here;

	(void)state;
	there.device = 2;
	assert_false(file_same_below(&here, &there)); /* no overlay is involved */
	there.overlay = true;
	assert_true(file_same_below(&here, &there));
	there.ctime_ns++;
	assert_false(file_same_below(&here, &there));
}

static void thousands_of_files_push_out_their_own(void **state)
{
	struct verdicts *verdicts = verdicts_new();

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		put(verdicts, i, VERDICT_NOTHING, ALICE, i);
	put(verdicts, 100, VERDICT_LIBRARY, MALLORY, 100)->library = (struct library *)&verdicts;
	for (uint64_t i = 0; i < 3ULL * VERDICTS_MAX; i++)
		assert_non_null(put(verdicts, 1000 + i, VERDICT_NOTHING, MALLORY, 1000 + i));
	assert_int_equal(verdicts_count(verdicts), VERDICTS_MAX);
	for (uint64_t i = 0; i <= 100; i++) /* hers, and the library */
		assert_non_null(verdicts_find(verdicts, 1, i, 100000));
	assert_null(verdicts_find(verdicts, 1, 1000, 100000));
	verdicts_free(verdicts);
}

/* ---- Who pays -------------------------------------------------------------------------------- */

static unsigned int examine_until_refused(struct verdicts *verdicts, uint32_t user, uint64_t now_ns,
					  uint64_t took_ns)
{
	unsigned int count = 0;

	while (count < 1000000 && verdicts_may_examine(verdicts, user, now_ns)) {
		verdicts_charge(verdicts, user, took_ns);
		count++;
	}
	return count;
}

static void examinations_have_a_bound(void **state)
{
	struct verdicts *verdicts = verdicts_new();

	(void)state;
	assert_int_equal(examine_until_refused(verdicts, MALLORY, S_NS, 1),
			 EXAMINE_BURST_NS / EXAMINE_MIN_NS);
	/* others do not wait */
	assert_true(verdicts_may_examine(verdicts, ALICE, S_NS));
	assert_true(verdicts_may_examine(verdicts, 0, S_NS));
	/* and a second later he has a twentieth of it */
	assert_int_equal(examine_until_refused(verdicts, MALLORY, 2 * S_NS, S_NS / 1000),
			 1000 / EXAMINE_SHARE);
	/* what was not used does not add up */
	assert_int_equal(examine_until_refused(verdicts, MALLORY, 1000 * S_NS, S_NS / 10), 10);
	verdicts_free(verdicts);
}

/* Many users share one account; root and those who were here before do not. */
static void thousands_of_users(void **state)
{
	struct verdicts *verdicts = verdicts_new();

	(void)state;
	put(verdicts, 1, VERDICT_NOTHING, ALICE, S_NS);
	verdicts_count_library(verdicts, ALICE, 1);
	for (uint32_t user = 2000; user < 4000; user++) {
		verdicts_may_examine(verdicts, user, S_NS);
		verdicts_charge(verdicts, user, S_NS);
	}
	assert_false(verdicts_may_examine(verdicts, 5000, S_NS));
	assert_true(verdicts_may_examine(verdicts, ALICE, S_NS));
	assert_true(verdicts_may_examine(verdicts, 0, S_NS));
	assert_int_equal(verdicts_libraries(verdicts, ALICE), 1);
	assert_int_equal(put(verdicts, 2, VERDICT_NOTHING, 5000, S_NS)->user, VERDICT_OTHER_USER);
	/* once they have paid their debts, others get the accounts */
	assert_true(verdicts_may_examine(verdicts, 6000, 100 * S_NS));
	assert_int_equal(put(verdicts, 3, VERDICT_NOTHING, 6000, 100 * S_NS)->user, 6000);
	verdicts_free(verdicts);
}

/* ---- Where the random is --------------------------------------------------------------------- */

static struct tls_layout place(uint16_t random)
{
	return (struct tls_layout){.random = random, .random_in = TLS_DIRECT, .role = TLS_NO_ROLE};
}

static uint32_t add_place(struct layouts *layouts, uint16_t random, uint32_t user, bool *changed)
{
	struct tls_layout layout = place(random);

	return layouts_add(layouts, TLS_OPENSSL, &layout, 1, user, changed);
}

static bool has_place(const struct layouts *layouts, uint16_t random)
{
	struct tls_layout list[TLS_LAYOUTS_MAX];
	uint32_t count = layouts_list(layouts, TLS_OPENSSL, list);

	for (uint32_t i = 0; i < count; i++) {
		if (list[i].random == random)
			return true;
	}
	return false;
}

static void places_are_counted(void **state)
{
	struct layouts layouts = {};
	struct tls_layout layout = place(0x160);
	bool changed;

	(void)state;
	assert_int_equal(add_place(&layouts, 0x160, LAYOUTS_TRUSTED, &changed), 0);
	assert_true(changed);
	add_place(&layouts, 0x160, 1000, &changed);
	assert_false(changed);
	layouts_remove(&layouts, TLS_OPENSSL, &layout, 1, LAYOUTS_TRUSTED, &changed);
	assert_false(changed);
	assert_true(has_place(&layouts, 0x160));
	layouts_remove(&layouts, TLS_OPENSSL, &layout, 1, 1001, &changed); /* he has none */
	assert_true(has_place(&layouts, 0x160));
	layouts_remove(&layouts, TLS_OPENSSL, &layout, 1, 1000, &changed);
	assert_true(changed);
	assert_false(has_place(&layouts, 0x160));
	assert_int_equal(layouts.count[TLS_OPENSSL], 0);
}

static void strange_places_leave_room(void **state)
{
	struct layouts layouts = {};
	bool changed;
	uint32_t missing = 0;

	(void)state;
	for (uint16_t i = 0; i < 100; i++)
		missing += add_place(&layouts, i, 1000, &changed);
	assert_int_equal(missing, 100 - LAYOUTS_UNTRUSTED_MAX);
	assert_int_equal(layouts.count[TLS_OPENSSL], LAYOUTS_USER_MAX);
	for (uint16_t i = 0; i < TLS_LAYOUTS_MAX - LAYOUTS_UNTRUSTED_MAX; i++)
		assert_int_equal(add_place(&layouts, 0x100 + i, LAYOUTS_TRUSTED, &changed), 0);
	for (uint16_t i = LAYOUTS_UNTRUSTED_MAX; i < TLS_LAYOUTS_MAX; i++) /* in place of his */
		assert_int_equal(add_place(&layouts, 0x100 + i, LAYOUTS_TRUSTED, &changed), 1);
	for (uint16_t i = 0; i < TLS_LAYOUTS_MAX; i++)
		assert_true(has_place(&layouts, 0x100 + i));
	assert_int_equal(add_place(&layouts, 0x200, LAYOUTS_TRUSTED, &changed), 1);
	assert_false(changed);
}

/* Whoever has filled the table makes room for the next user. */
static void places_are_shared(void **state)
{
	struct layouts layouts = {};
	struct tls_layout layout = place(0x200);
	bool changed;

	(void)state;
	add_place(&layouts, 0x160, LAYOUTS_TRUSTED, &changed);
	for (uint16_t i = 0; i < LAYOUTS_USER_MAX; i++)
		add_place(&layouts, i, 1000, &changed);
	for (uint16_t i = 1; i < LAYOUTS_UNTRUSTED_MAX; i++) {
		/* one of the first user's is not tried any longer */
		assert_int_equal(add_place(&layouts, 0x200 + i, 1000 + i, &changed), 1);
		assert_true(changed);
		assert_true(has_place(&layouts, 0x200 + i));
	}
	assert_true(has_place(&layouts, 0x160));
	assert_true(has_place(&layouts, 0));
	assert_false(has_place(&layouts, 1));
	/* each has one; a fifth user, and a second place of the second, must wait */
	assert_int_equal(add_place(&layouts, 0x200, 2000, &changed), 1);
	assert_int_equal(add_place(&layouts, 0x300, 1001, &changed), 1);
	/* the same place as another's takes no room */
	assert_int_equal(add_place(&layouts, 0, 2000, &changed), 0);
	layout = place(0x201);
	layouts_remove(&layouts, TLS_OPENSSL, &layout, 1, 1001, &changed);
	assert_true(changed);
	assert_false(has_place(&layouts, 0x201));
	assert_true(has_place(&layouts, 0x200)); /* the fifth user's turn */
	assert_false(has_place(&layouts, 0x300));
}

/* Many users fill what is known; root's places are tried all the same. */
static void known_places_are_bounded(void **state)
{
	struct layouts layouts = {};
	bool changed;

	(void)state;
	for (uint32_t i = 0; i < LAYOUTS_KNOWN_MAX; i++)
		add_place(&layouts, (uint16_t)i, 1000 + i, &changed);
	assert_int_equal(layouts.count[TLS_OPENSSL], LAYOUTS_KNOWN_MAX);
	add_place(&layouts, 0x160, LAYOUTS_TRUSTED, &changed);
	assert_true(has_place(&layouts, 0x160));
	assert_int_equal(layouts.count[TLS_OPENSSL], LAYOUTS_KNOWN_MAX);
}

/* ---- Closing --------------------------------------------------------------------------------- */

static void everything_is_closed(void **state)
{
	struct closer *closer = closer_new();
	int pipes[100][2], fds[100];
	char byte;

	(void)state;
	assert_non_null(closer);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(pipe(pipes[i]), 0);
		fds[i] = pipes[i][1];
	}
	closer_add(closer, fds, 60);
	closer_add(closer, fds + 60, 40);
	closer_add(closer, NULL, 0);
	closer_free(closer);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(read(pipes[i][0], &byte, 1), 0); /* would wait for a writer */
		close(pipes[i][0]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mapping_lines),
		cmocka_unit_test(mapping_lines_that_do_not_count),
		cmocka_unit_test(mapping_pieces),
		cmocka_unit_test(cache_names_libraries),
		cmocka_unit_test(cache_behind_an_older_one),
		cmocka_unit_test(cache_cut_anywhere),
		cmocka_unit_test(cache_with_forged_numbers),
		cmocka_unit_test(verdict_is_found),
		cmocka_unit_test(rewritten_file_is_another),
		cmocka_unit_test(new_verdict_replaces),
		cmocka_unit_test(verdict_on_a_new_file_is_not_settled),
		cmocka_unit_test(file_below_an_overlay),
		cmocka_unit_test(thousands_of_files_push_out_their_own),
		cmocka_unit_test(examinations_have_a_bound),
		cmocka_unit_test(thousands_of_users),
		cmocka_unit_test(places_are_counted),
		cmocka_unit_test(strange_places_leave_room),
		cmocka_unit_test(places_are_shared),
		cmocka_unit_test(known_places_are_bounded),
		cmocka_unit_test(everything_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
