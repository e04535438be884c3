/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Untrusted bytes, escaped for programs and for terminals. */
#include "unit.h"

#include <locale.h>

#include <jansson.h>

#include "clean.h"
#include "base/json.h"
#include "base/text.h"

static void expect_with(void (*add)(struct text *, struct span), struct span bytes,
			const char *expected)
{
	struct text text = {0};
	struct span copy = exact(bytes);

	add(&text, copy);
	assert_string_equal(text.data ? text.data : "", expected);
	assert_int_equal(text.len, strlen(expected));
	assert_false(text.failed);
	exact_free(copy);
	text_free(&text);
}

#define UTF8(literal, expected)	   expect_with(text_add_utf8, BYTES(literal), expected)
#define VISIBLE(literal, expected) expect_with(text_add_visible, BYTES(literal), expected)

static void test_utf8(void **state)
{
	(void)state;
	UTF8("", "");
	UTF8("plain", "plain");
	UTF8("a\tb\r\n", "a\tb\r\n");
	UTF8("\x7f", "\\x7f");
	UTF8("a\x7f"
	     "b",
	     "a\\x7fb");
	UTF8("a\xff"
	     "b",
	     "a\\xffb");
	UTF8("\xc2\x80\xc2\x9f\xc2\xa0", "\\xc2\\x80\\xc2\\x9f\xc2\xa0");
	UTF8("\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
	UTF8("\\x41 \\n \\", "\\\\x41 \\n \\");
	UTF8("\\\\x", "\\\\\\\\x");
	UTF8("\\\x7f", "\\\\\\x7f"); /* differs from the four characters \x7f in the input */
	UTF8("\\x7f", "\\\\x7f");
}

static void test_utf8_invalid(void **state)
{
	(void)state;
	UTF8("\xc0\x80", "\\xc0\\x80"); /* overlong NUL, slash, and the longer forms */
	UTF8("\xc1\xbf", "\\xc1\\xbf");
	UTF8("\xe0\x9f\xbf", "\\xe0\\x9f\\xbf");
	UTF8("\xf0\x8f\xbf\xbf", "\\xf0\\x8f\\xbf\\xbf");
	UTF8("\xe0\xa0\x80", "\xe0\xa0\x80"); /* the shortest valid forms */
	UTF8("\xf0\x90\x80\x80", "\xf0\x90\x80\x80");
	UTF8("\xed\xa0\x80", "\\xed\\xa0\\x80"); /* surrogates */
	UTF8("\xed\xbf\xbf", "\\xed\\xbf\\xbf");
	UTF8("\xed\x9f\xbf\xee\x80\x80", "\xed\x9f\xbf\xee\x80\x80");
	UTF8("\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80"); /* above U+10FFFF */
	UTF8("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
	UTF8("\xf5\x80\x80\x80", "\\xf5\\x80\\x80\\x80");
	UTF8("\xf8\x88\x80\x80\x80", "\\xf8\\x88\\x80\\x80\\x80");
	UTF8("\xc3", "\\xc3"); /* truncated */
	UTF8("\xe2\x82", "\\xe2\\x82");
	UTF8("\xf0\x9f\x98", "\\xf0\\x9f\\x98");
	UTF8("\xe2\x82x", "\\xe2\\x82x");
	UTF8("\x80\xbf", "\\x80\\xbf");
}

/* Any two bytes give valid UTF-8, and no other two bytes give the same. */
static void test_utf8_pairs(void **state)
{
	struct text text = {0}, again = {0}, back = {0};

	(void)state;
	for (unsigned int pair = 0; pair < 0x10000; pair++) {
		char bytes[2] = {(char)(pair >> 8), (char)pair};
		struct span copy = exact((struct span){bytes, 2});

		text_clear(&text);
		text_clear(&again);
		text_add_utf8(&text, copy);
		assert_null(memchr(text.data, 0x7f, text.len));
		clean_decode(&back, (struct span){text.data, text.len});
		assert_int_equal(back.len, 2);
		assert_memory_equal(back.data, bytes, 2);
		text_free(&back);
		/* Escaping valid UTF-8 again only doubles backslashes. */
		if (!memchr(text.data, '\\', text.len)) {
			text_add_utf8(&again, (struct span){text.data, text.len});
			assert_int_equal(again.len, text.len);
			assert_memory_equal(again.data, text.data, text.len);
			assert_memory_equal(text.data, bytes, 2);
		}
		exact_free(copy);
	}
	text_free(&text);
	text_free(&again);
}

/* ---- One line -------------------------------------------------------------------------------- */

static void expect_line(struct span bytes, unsigned int flags, const char *expected)
{
	struct text text = {0}, back = {0};
	struct span copy = exact(bytes);

	text_add_line(&text, copy, flags);
	if (expected)
		assert_string_equal(text.data ? text.data : "", expected);
	clean_decode(&back, (struct span){text.data, text.len});
	assert_int_equal(back.len, bytes.len);
	assert_memory_equal(back.data, bytes.data, bytes.len);
	exact_free(copy);
	text_free(&text);
	text_free(&back);
}

#define LINE(literal, expected) expect_line(BYTES(literal), 0, expected)

static void test_line(void **state)
{
	(void)state;
	LINE("plain, \"<a=b>\" | \\n", "plain, \"<a=b>\" | \\n");
	LINE("a\r\n\t\x1b\x7f\xff", "a\\x0d\\x0a\\x09\\x1b\\x7f\\xff");
	LINE("\xc2\x85|\xe2\x80\xa8|\xe2\x80\xae|\xe2\x81\xa6|\xc3\xbc",
	     "\\xc2\\x85|\\xe2\\x80\\xa8|\\xe2\\x80\\xae|\\xe2\\x81\\xa6|\xc3\xbc");
	LINE("  a  ", "\\x20 a \\x20");
	LINE(" ", "\\x20");
	LINE("a\\ ", "a\\\\\\x20");
	/* Differs from the escaped byte, with any number of backslashes. */
	LINE("\\x41", "\\\\x41");
	LINE("\\\\x41", "\\\\\\\\x41");
	LINE("\\\x7f", "\\\\\\x7f");
	LINE("\\", "\\");
	expect_line(BYTES("a\r\nb"), TEXT_LINE_ENDS, "a\r\nb");
	expect_line(BYTES("<\"a\">,"), TEXT_QUOTED, "\\x3c\\x22a\\x22\\x3e,");
	expect_line(BYTES("a,b"), TEXT_LISTED, "a\\x2cb");
}

/* Any four of the special bytes give one clean line, and no other four give the same. */
static void test_line_rows(void **state)
{
	static const char bytes[] = {'\\',   'x',    '4',    '1',    ' ',    '\n',   '\0', '\x7f',
				     '\xc2', '\x9b', '\xbc', '\xe2', '\x80', '\xa8', ','};
	const size_t count = sizeof(bytes);

	(void)state;
	for (size_t i = 0; i < count * count * count * count; i++) {
		char row[4] = {bytes[i % count], bytes[i / count % count],
			       bytes[i / count / count % count], bytes[i / count / count / count]};
		struct text text = {0};

		expect_line((struct span){row, 4}, 0, NULL);
		expect_line((struct span){row, 4}, TEXT_LISTED, NULL);
		text_add_line(&text, (struct span){row, 4}, 0);
		assert_clean_line((struct span){text.data, text.len});
		text_free(&text);
	}
}

/* Wherever the line is cut, the rest decodes to a beginning of the bytes. */
static void test_cut(void **state)
{
	static const char row[] = "a\\\\x41\xff\xc3\xbc\\\xff\xf0\x9f\x98\x80\\\\\\z\\\\\\x";
	struct text line = {0};
	size_t before = 0;

	(void)state;
	text_add_line(&line, BYTES(row), 0);
	for (size_t max = 0; max <= line.len; max++) {
		struct span cut = text_cut((struct span){line.data, line.len}, max);
		struct text back = {0};

		assert_true(cut.len <= max && cut.len >= before);
		before = cut.len;
		clean_decode(&back, cut);
		assert_memory_equal(back.data, row, back.len);
		text_free(&back);
	}
	assert_int_equal(before, line.len);
	text_free(&line);
}

/* A bounded JSON string stays valid wherever it is cut, and decodes to a beginning of the bytes. */
static void expect_json_cut(struct span bytes, size_t max)
{
	struct text json = {0}, back = {0};
	const char *value;
	json_t *object;

	json_open(&json, NULL);
	json_bytes_max(&json, "key", bytes, max);
	json_close(&json);
	object = json_loadb(json.data, json.len, 0, NULL);
	if (!object)
		fail_msg("no JSON: %s", json.data);
	value = json_string_value(json_object_get(object, "key"));
	assert_non_null(value);
	assert_true(json.len - strlen("{\"key\":\"\"}") <= max);
	clean_decode(&back, span_of(value));
	assert_true(back.len <= bytes.len);
	if (back.len)
		assert_memory_equal(back.data, bytes.data, back.len);
	assert_int_equal(json.cut, back.len < bytes.len);
	text_free(&json);
	text_free(&back);
	json_decref(object);
}

static void test_json_cut(void **state)
{
	static const char bytes[] = {'\\', 'x', '"', '\n', '\xff', 'a'};
	const size_t count = sizeof(bytes);

	(void)state;
	for (size_t i = 0; i < count * count * count * count * count; i++) {
		char row[] = {bytes[i % count], bytes[i / count % count],
			      bytes[i / count / count % count],
			      bytes[i / count / count / count % count],
			      bytes[i / count / count / count / count]};

		for (size_t max = 0; max <= 26; max++)
			expect_json_cut((struct span){row, sizeof(row)}, max);
	}
	expect_json_cut(BYTES("\\\\\\\\\\\\\\\\"), 9);
	expect_json_cut(BYTES("\\\\\\\\\\\\\\\\x"), 22);
	expect_json_cut(BYTES("AAAAAAA\\xa\"BBBBBBBBBB"), 14);
	expect_json_cut(BYTES("\xc3\xbc\\\\x\xc3\xbc\\x41\xe2\x80\xa8\\z\xf0\x9f\x98\x80"), 30);
}

static void test_visible(void **state)
{
	(void)state;
	VISIBLE("", "");
	VISIBLE("a b", "a b");
	VISIBLE("a\x1b[31m\r\n\t\x7f", "a\\x1b[31m\\x0d\\x0a\\x09\\x7f");
	VISIBLE("\xff\xc3", "\\xff\\xc3");
	VISIBLE("\xc3\xbc\xe5\x8d\x97", "\xc3\xbc\xe5\x8d\x97");
	VISIBLE("\xc2\x9b"
		"31m",
		"\\u009b31m");
	VISIBLE("\xe2\x80\xae\xe2\x80\xac\xe2\x81\xa6\xe2\x81\xa9", "\\u202e\\u202c\\u2066\\u2069");
	VISIBLE("\xe2\x80\x8b\xef\xbb\xbf\xc2\xad\xe2\x80\x8f", "\\u200b\\ufeff\\u00ad\\u200f");
	VISIBLE("\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029");
	VISIBLE("\xf3\xa0\x81\x81", "\\U000e0041"); /* a tag character */
	VISIBLE("e\xcc\x81", "e\\u0301");	    /* combining: it has no column of its own */
	VISIBLE("\xe3\x85\xa4\xe1\x85\x9f",
		"\\u3164\\u115f"); /* Hangul fillers: letters that look blank */
	VISIBLE("\xe2\xa0\x80\xef\xbe\xa0", "\\u2800\\uffa0");
}

static void expect_column(struct span visible, size_t width, bool right, const char *expected)
{
	struct text text = {0};
	struct span copy = exact(visible);

	text_add_column(&text, copy, width, right);
	if (expected)
		assert_string_equal(text.data ? text.data : "", expected);
	assert_int_equal(text_width((struct span){text.data, text.len}), width);
	exact_free(copy);
	text_free(&text);
}

static void test_columns(void **state)
{
	(void)state;
	expect_column(BYTES(""), 0, false, "");
	expect_column(BYTES(""), 3, false, "   ");
	expect_column(BYTES("ab"), 4, false, "ab  ");
	expect_column(BYTES("ab"), 4, true, "  ab");
	expect_column(BYTES("abcd"), 4, true, "abcd");
	expect_column(BYTES("abcdefgh"), 5, false, "ab\xe2\x80\xa6gh");
	expect_column(BYTES("abcdefgh"), 4, false, "ab\xe2\x80\xa6h");
	expect_column(BYTES("abcdefgh"), 1, false, "\xe2\x80\xa6");
	expect_column(BYTES("abcdefgh"), 0, false, "");
	expect_column(BYTES("\xe5\x8d\x97\xe5\x8d\x97\xe5\x8d\x97"), 6, false,
		      "\xe5\x8d\x97\xe5\x8d\x97\xe5\x8d\x97");
	expect_column(BYTES("\xe5\x8d\x97\xe5\x8d\x97\xe5\x8d\x97"), 5, false,
		      "\xe5\x8d\x97\xe2\x80\xa6\xe5\x8d\x97");
	expect_column(BYTES("\xe5\x8d\x97\xe5\x8d\x97\xe5\x8d\x97"), 2, false, NULL);
}

/* Whatever the text contains, it has exactly the requested width. */
static void test_column_widths(void **state)
{
	static const char *const parts[] = {"a", "\xe5\x8d\x97", "\xc3\xbc", "\xf0\x9f\x98\x80",
					    " ", "\xff",	 "\x1b"};
	struct text raw = {0}, visible = {0};
	unsigned int seed = 1;

	(void)state;
	for (unsigned int round = 0; round < 3000; round++) {
		text_clear(&raw);
		text_clear(&visible);
		for (unsigned int n = round % 13; n; n--) {
			seed = seed * 1103515245U + 12345U;
			text_add_string(&raw, parts[(seed >> 16) % 7]);
		}
		text_add_visible(&visible, (struct span){raw.data, raw.len});
		for (size_t width = 0; width < 20; width++)
			expect_column((struct span){visible.data, visible.len}, width, round & 1,
				      NULL);
	}
	text_free(&raw);
	text_free(&visible);
}

static void test_growth(void **state)
{
	struct text text = {0};

	(void)state;
	for (unsigned int i = 0; i < 1000; i++)
		text_add_format(&text, "%03u", i);
	assert_int_equal(text.len, 3000);
	assert_memory_equal(text.data + 2997, "999", 4);
	text_clear(&text);
	assert_int_equal(text.len, 0);
	assert_string_equal(text.data, "");
	text_add_format(&text, "%600s", "x");
	assert_int_equal(text.len, 511); /* the limit of text_add_format() */
	text_free(&text);
	assert_null(text.data);
	text_clear(&text);
	text_free(&text);
}

static void test_time(void **state)
{
	static const struct {
		int64_t ns;
		const char *expected;
	} times[] = {
		{0, "1970-01-01T00:00:00.000000Z"},
		{1, "1970-01-01T00:00:00.000000Z"},
		{1700000000123456789, "2023-11-14T22:13:20.123456Z"},
		{-1, "1969-12-31T23:59:59.999999Z"},
		{-1500000000, "1969-12-31T23:59:58.500000Z"},
		{INT64_MAX, "2262-04-11T23:47:16.854775Z"},
		{INT64_MIN, "1677-09-21T00:12:43.145224Z"},
	};
	char out[TIME_LEN];

	(void)state;
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		text_time(out, times[i].ns);
		assert_string_equal(out, times[i].expected);
	}
}

static void test_address(void **state)
{
	static const uint8_t v4[16] = {[10] = 0xff, [11] = 0xff, 192, 0, 2, 255}, any[16] = {0};
	static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1},
			     near[16] = {[9] = 1, [10] = 0xff, [11] = 0xff};
	uint8_t longest[16];
	char out[ADDRESS_LEN];

	(void)state;
	text_address(out, v4);
	assert_string_equal(out, "192.0.2.255");
	text_address(out, any);
	assert_string_equal(out, "::");
	text_address(out, v6);
	assert_string_equal(out, "2001:db8::1");
	assert_true(address_is_ipv4(v4));
	assert_false(address_is_ipv4(v6) || address_is_ipv4(any) || address_is_ipv4(near));
	memset(longest, 0xff, sizeof(longest));
	text_address(out, longest);
	assert_string_equal(out, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff");
}

static void expect_basename(struct span path, const char *expected)
{
	struct span copy = exact(path), name = text_basename(copy);

	assert_int_equal(name.len, strlen(expected));
	assert_memory_equal(name.data, expected, name.len);
	exact_free(copy);
}

static void test_basename(void **state)
{
	(void)state;
	expect_basename(BYTES(""), "");
	expect_basename(BYTES("msmtp"), "msmtp");
	expect_basename(BYTES("/usr/bin/msmtp"), "msmtp");
	expect_basename(BYTES("/"), "/");
	expect_basename(BYTES("/usr/bin/"), "/usr/bin/");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),	   cmocka_unit_test(test_utf8_invalid),
		cmocka_unit_test(test_utf8_pairs), cmocka_unit_test(test_visible),
		cmocka_unit_test(test_line),	   cmocka_unit_test(test_line_rows),
		cmocka_unit_test(test_json_cut),   cmocka_unit_test(test_cut),
		cmocka_unit_test(test_columns),	   cmocka_unit_test(test_column_widths),
		cmocka_unit_test(test_growth),	   cmocka_unit_test(test_time),
		cmocka_unit_test(test_address),	   cmocka_unit_test(test_basename),
	};

	if (!setlocale(LC_ALL, "C.UTF-8"))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
