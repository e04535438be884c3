/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/json.h"

#include <string.h>

/* Whether no comma is needed after the last byte. */
static bool is_opening(const struct text *out)
{
	char last = out->len ? out->data[out->len - 1] : '{';

	return last == '{' || last == '[' || last == ':';
}

static char *put(char *at, struct span bytes)
{
	memcpy(at, bytes.data, bytes.len);
	return at + bytes.len;
}

/*
 * A comma if something precedes it, the name, and the value with `quote` ('\0': none) at either
 * end. Written in one piece, because most of an event is this.
 */
static void add(struct text *out, const char *name, char quote, struct span value)
{
	struct span named = span_of(name);
	bool comma = !is_opening(out);
	char *at =
		text_extend(out, comma + (name ? named.len + 3 : 0) + (quote ? 2 : 0) + value.len);

	if (!at)
		return;
	if (comma)
		*at++ = ',';
	if (name) {
		*at++ = '"';
		at = put(at, named);
		*at++ = '"';
		*at++ = ':';
	}
	if (quote)
		*at++ = quote;
	at = put(at, value);
	if (quote)
		*at = quote;
}

static void end(struct text *out, char last)
{
	char *at = text_extend(out, 1);

	if (at)
		*at = last;
}

void json_open(struct text *out, const char *name)
{
	add(out, name, '\0', span_of("{"));
}

void json_close(struct text *out)
{
	end(out, '}');
}

void json_open_list(struct text *out, const char *name)
{
	add(out, name, '\0', span_of("["));
}

void json_close_list(struct text *out)
{
	end(out, ']');
}

void json_word(struct text *out, const char *name, const char *string)
{
	add(out, name, '"', span_of(string));
}

void json_bytes(struct text *out, const char *name, struct span bytes)
{
	add(out, name, '\0', span_of("\""));
	text_add_json(out, bytes);
	end(out, '"');
}

/*
 * The length of the row of backslashes at the front of a JSON string; each backslash is two bytes
 * there.
 */
static size_t json_row(const char *json, size_t len)
{
	size_t row = 0;

	while (row + 1 < len && json[row] == '\\' && json[row + 1] == '\\')
		row += 2;
	return row;
}

/*
 * The bytes at the front of a JSON string that belong together: a character, an escape, or a row of
 * backslashes with the 'x' or the "xNN" after it, as text_add_json() wrote them.
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

/*
 * Cuts what was added since `start`. Up to half of a row of backslashes that does not fit stays: it
 * may have been doubled.
 */
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

	/* a byte needs one or more; one more character, so that this cut does not hit its end */
	if (bytes.len > max + 4)
		bytes.len = max + 4;
	add(out, name, '\0', span_of("\""));
	start = out->len;
	text_add_json(out, bytes);
	cut(out, start, max);
	end(out, '"');
}

static void add_number(struct text *out, const char *name, char quote, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	add(out, name, quote, (struct span){digits + at, sizeof(digits) - at});
}

void json_number(struct text *out, const char *name, uint64_t number)
{
	add_number(out, name, '\0', number);
}

void json_number_string(struct text *out, const char *name, uint64_t number)
{
	add_number(out, name, '"', number);
}

void json_bool(struct text *out, const char *name, bool value)
{
	add(out, name, '\0', value ? span_of("true") : span_of("false"));
}
