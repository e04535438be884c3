/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "json.h"

#include <string.h>

/* Whether what stands at the end wants no comma behind it. */
static bool is_opening(const struct text *out)
{
	char last = out->len ? out->data[out->len - 1] : '{';

	return last == '{' || last == '[' || last == ':';
}

/* A comma where something stands before, the name, and `first`, with which the value begins. In one piece: most of an event is this. */
static void begin(struct text *out, const char *name, struct span first)
{
	struct span named = span_of(name);
	bool comma = !is_opening(out);
	char *at = text_extend(out, comma + (name ? named.len + 3 : 0) + first.len);

	if (!at)
		return;
	if (comma)
		*at++ = ',';
	if (name) {
		*at++ = '"';
		memcpy(at, named.data, named.len);
		at += named.len;
		*at++ = '"';
		*at++ = ':';
	}
	memcpy(at, first.data, first.len);
}

void json_open(struct text *out, const char *name)
{
	begin(out, name, span_of("{"));
}

void json_close(struct text *out)
{
	text_add(out, (struct span){"}", 1});
}

void json_open_list(struct text *out, const char *name)
{
	begin(out, name, span_of("["));
}

void json_close_list(struct text *out)
{
	text_add(out, (struct span){"]", 1});
}

void json_word(struct text *out, const char *name, const char *string)
{
	begin(out, name, span_of("\""));
	text_add_string(out, string);
	text_add(out, (struct span){"\"", 1});
}

void json_bytes(struct text *out, const char *name, struct span bytes)
{
	begin(out, name, span_of("\""));
	text_add_json(out, bytes);
	text_add(out, (struct span){"\"", 1});
}

/* The length of the row of backslashes at the front of a JSON string, each of them two here. */
static size_t json_row(const char *json, size_t len)
{
	size_t row = 0;

	while (row + 1 < len && json[row] == '\\' && json[row + 1] == '\\')
		row += 2;
	return row;
}

/*
 * The bytes at the front of a JSON string that belong together: a character, an escape, or a row of backslashes with the
 * 'x' or the "xNN" behind it, as text_add_json() wrote them.
 */
static size_t json_front(const char *json, size_t len)
{
	unsigned char c = (unsigned char)json[0];
	size_t row = json_row(json, len);

	if (c != '\\')
		return c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
	if (!row)
		return len > 1 && json[1] == 'u' ? 6 : 2;
	if (row == len || json[row] != 'x')
		return row;
	return row / 2 % 2 ? row + 3 : row + 1; /* or the row was doubled for this 'x' */
}

/* Cuts what was added since `start`. Of a row that does not fit up to half stays: it may have been doubled. */
static void cut(struct text *out, size_t start, size_t max)
{
	size_t kept = start, next = start, half;

	if (out->failed || out->len - start <= max)
		return;
	while (next - start <= max) {
		kept = next;
		next += json_front(out->data + next, out->len - next);
	}
	half = json_row(out->data + kept, out->len - kept) / 4 * 2;
	kept += half < max - (kept - start) ? half : (max - (kept - start)) / 2 * 2;
	out->len = kept;
	out->data[kept] = '\0';
	out->cut = true;
}

void json_bytes_max(struct text *out, const char *name, struct span bytes, size_t max)
{
	size_t start;

	if (bytes.len >
	    max + 4) /* a byte takes one or more; one character more, so that it is not its end that is cut here */
		bytes.len = max + 4;
	begin(out, name, span_of("\""));
	start = out->len;
	text_add_json(out, bytes);
	cut(out, start, max);
	text_add(out, (struct span){"\"", 1});
}

/* Digits, with `quote` ('\0': none) at either end. */
static void add_number(struct text *out, const char *name, uint64_t number, char quote)
{
	char digits[22];
	size_t at = sizeof(digits), end = at;

	if (quote)
		digits[--at] = quote;
	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	if (quote)
		digits[--at] = quote;
	begin(out, name, (struct span){digits + at, end - at});
}

void json_number(struct text *out, const char *name, uint64_t number)
{
	add_number(out, name, number, '\0');
}

void json_number_string(struct text *out, const char *name, uint64_t number)
{
	add_number(out, name, number, '"');
}

void json_bool(struct text *out, const char *name, bool value)
{
	begin(out, name, value ? span_of("true") : span_of("false"));
}
