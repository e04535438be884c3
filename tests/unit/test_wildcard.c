/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patterns: what they match, where their stars stop, that they agree with fnmatch(), and that no
 * pattern is slow.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/wildcard.h"

static bool match(const char *pattern, enum wildcard_kind kind, const char *text)
{
	const char *error;
	size_t at;
	struct wildcard *wildcard = wildcard_new(span_of(pattern), kind, &error, &at);
	bool matched;

	assert_non_null(wildcard);
	matched = wildcard_match(wildcard, span_of(text));
	wildcard_free(wildcard);
	return matched;
}

static void test_paths(void **state)
{
	(void)state;
	assert_true(match("/usr/bin/msmtp", WILDCARD_PATH, "/usr/bin/msmtp"));
	assert_false(match("/usr/bin/msmtp", WILDCARD_PATH, "/usr/bin/msmtpd"));
	assert_false(match("/usr/bin/msmtp", WILDCARD_PATH, "/usr/bin/MSMTP"));
	assert_true(match("/usr/bin/*", WILDCARD_PATH, "/usr/bin/msmtp"));
	assert_false(match("/usr/bin/*", WILDCARD_PATH, "/usr/bin/a/msmtp"));
	assert_true(match("/usr/**", WILDCARD_PATH, "/usr/bin/a/msmtp"));
	assert_true(match("/opt/*/bin/report-?", WILDCARD_PATH, "/opt/x/bin/report-1"));
	assert_false(match("/opt/*/bin/report-?", WILDCARD_PATH, "/opt/x/y/bin/report-1"));
	assert_true(match("/opt/**/bin/*", WILDCARD_PATH, "/opt/x/y/bin/bin/report"));
	assert_false(match("/a?b", WILDCARD_PATH, "/a/b"));
	assert_false(match("/a[!x]b", WILDCARD_PATH, "/a/b"));
	assert_true(match("/a[/]b", WILDCARD_PATH, "/a/b"));
	assert_true(match("/a\\*b", WILDCARD_PATH, "/a*b"));
	assert_false(match("/a\\*b", WILDCARD_PATH, "/axb"));
}

static void test_addresses(void **state)
{
	(void)state;
	assert_true(match("*@corp.example", WILDCARD_ADDRESS, "Joe@CORP.example"));
	assert_false(match("*@corp.example", WILDCARD_ADDRESS, "joe@evil.example@corp.example"));
	assert_false(match("*@corp.example", WILDCARD_ADDRESS, "joe%evil.example@corp.example"));
	assert_false(match("*@corp.example", WILDCARD_ADDRESS, "evil.example!joe@corp.example"));
	assert_false(
		match("*@corp.example", WILDCARD_ADDRESS, "\"joe@evil.example\"@corp.example"));
	assert_false(match("*@corp.example", WILDCARD_ADDRESS, "joe@corp.example.evil.example"));
	assert_false(match("*@*.example", WILDCARD_ADDRESS, "joe@corp.evil"));
	assert_true(match("*@*.example", WILDCARD_ADDRESS, "joe@a.b.example"));
}

static void test_text(void **state)
{
	(void)state;
	assert_true(match("Daily sales report *", WILDCARD_TEXT, "daily Sales report 1/2 @ x"));
	assert_false(match("Daily sales report *", WILDCARD_TEXT, "Re: Daily sales report 1"));
	assert_true(match("*", WILDCARD_TEXT, ""));
	assert_true(match("", WILDCARD_TEXT, ""));
	assert_false(match("", WILDCARD_TEXT, "x"));
	assert_false(match("?", WILDCARD_TEXT, ""));
	assert_true(match("J?nner", WILDCARD_TEXT, "J\xc3\xa4nner"));
	assert_true(match("?\xe2\x82\xac?", WILDCARD_TEXT, "\xf0\x9f\x98\x80\xe2\x82\xac\xc3\xa4"));
	assert_false(match("J??nner", WILDCARD_TEXT, "J\xc3\xa4nner"));
	assert_true(match("[a-c]x[!0-9]", WILDCARD_TEXT, "Bxy"));
	assert_false(match("[a-c]x[!0-9]", WILDCARD_TEXT, "bx5"));
	assert_true(match("[]]", WILDCARD_TEXT, "]"));
	assert_true(match("[a-]", WILDCARD_TEXT, "-"));
	assert_true(match("[\\]]", WILDCARD_TEXT, "]"));
}

static void expect_error(const char *pattern, const char *expected, size_t expected_at)
{
	const char *error;
	size_t at;

	assert_null(wildcard_new(span_of(pattern), WILDCARD_TEXT, &error, &at));
	assert_string_equal(error, expected);
	assert_int_equal(at, expected_at);
}

static void test_errors(void **state)
{
	char longest[WILDCARD_TOKENS_MAX + 2];

	(void)state;
	expect_error("ab[c", "the set has no closing ']'", 2);
	expect_error("a[]", "the set has no closing ']'", 1);
	expect_error("[", "the set has no closing ']'", 0);
	expect_error("[a-", "the set has no closing ']'", 0);
	expect_error("[a\\", "the set has no closing ']'", 0);
	expect_error("x[z-a]", "the range ends before it begins", 1);
	expect_error("ab\\", "nothing follows the backslash", 2);
	memset(longest, 'x', sizeof(longest));
	longest[WILDCARD_TOKENS_MAX + 1] = '\0';
	expect_error(longest, "it has more than 512 characters", WILDCARD_TOKENS_MAX);
	longest[WILDCARD_TOKENS_MAX] = '\0';
	assert_true(match(longest, WILDCARD_TEXT, longest));
}

/* Random patterns and texts of few letters, so that many match. */
static void test_like_fnmatch(void **state)
{
	static const char pattern_letters[] = "ab*?[/", text_letters[] = "ab/";
	uint32_t seed = 7;
	unsigned int matched = 0;

	(void)state;
	for (int n = 0; n < 300000; n++) {
		char pattern[24] = "", text[12] = "";
		size_t len = 0;
		bool stars = false;

		seed = seed * 1103515245 + 12345;
		for (unsigned int i = 0; i < (seed >> 16) % 7; i++) {
			char c;

			seed = seed * 1103515245 + 12345;
			c = pattern_letters[(seed >> 16) % (sizeof(pattern_letters) - 1)];
			if (c == '[')
				len += (size_t)snprintf(pattern + len, sizeof(pattern) - len,
							seed >> 24 & 1 ? "[a]" : "[!a/]");
			else if (c != '*' || !len || pattern[len - 1] != '*')
				pattern[len++] = c;
			stars = stars || c == '*';
		}
		pattern[len] = '\0';
		seed = seed * 1103515245 + 12345;
		for (unsigned int i = 0, max = (seed >> 16) % 9; i < max; i++) {
			seed = seed * 1103515245 + 12345;
			text[i] = text_letters[(seed >> 16) % (sizeof(text_letters) - 1)];
		}
		assert_int_equal(match(pattern, WILDCARD_NAME, text),
				 fnmatch(pattern, text, 0) == 0);
		assert_int_equal(match(pattern, WILDCARD_PATH, text),
				 fnmatch(pattern, text, FNM_PATHNAME) == 0);
		matched += stars && fnmatch(pattern, text, 0) == 0;
	}
	assert_true(matched > 1000);
}

/* Patterns that a backtracking matcher never finishes are as fast as any other. */
static void test_time(void **state)
{
	char pattern[WILDCARD_TOKENS_MAX + 1], text[65537];
	clock_t begin = clock();

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(pattern); i++)
		pattern[i] = i & 1 ? 'a' : '*';
	pattern[sizeof(pattern) - 2] = 'b';
	pattern[sizeof(pattern) - 1] = '\0';
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_false(match(pattern, WILDCARD_TEXT, text));
	assert_true((double)(clock() - begin) / CLOCKS_PER_SEC < 5.0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	     cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_text),	     cmocka_unit_test(test_errors),
		cmocka_unit_test(test_like_fnmatch), cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
