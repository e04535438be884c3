/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/keyed.h"

#include <string.h>

#include "base/json.h"

/* Adds comma and name, and room for `more` bytes: where these go. NULL: there was no memory. */
static char *begin(struct text *out, const struct json_key *key, size_t more)
{
	char last = out->len ? out->data[out->len - 1] : '{';
	bool comma = last != '{' && last != '[';
	char *at = text_extend(out, comma + key->len + more);

	if (!at)
		return NULL;
	if (comma)
		*at++ = ',';
	memcpy(at, key->text, key->len);
	return at + key->len;
}

void keyed_open(struct text *out, const struct json_key *key, char bracket)
{
	char *at = begin(out, key, 1);

	if (at)
		*at = bracket;
}

static void add_quoted(struct text *out, const struct json_key *key, struct span plain)
{
	char *at = begin(out, key, plain.len + 2);

	if (!at)
		return;
	*at++ = '"';
	memcpy(at, plain.data, plain.len);
	at[plain.len] = '"';
}

void keyed_word(struct text *out, const struct json_key *key, const char *word)
{
	add_quoted(out, key, span_of(word));
}

void keyed_bytes(struct text *out, const struct json_key *key, struct span bytes, size_t max)
{
	char *at;

	if (max) {
		begin(out, key, 0);
		json_bytes_max(out, NULL, bytes, max);
		return;
	}
	at = begin(out, key, 1);
	if (at)
		*at = '"';
	text_add_json(out, bytes);
	at = text_extend(out, 1);
	if (at)
		*at = '"';
}

#define DIGITS_MAX 20U /* of a number of 64 bits */

static struct span digits_of(char digits[DIGITS_MAX], uint64_t number)
{
	size_t at = DIGITS_MAX;

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	return (struct span){digits + at, DIGITS_MAX - at};
}

void keyed_number(struct text *out, const struct json_key *key, uint64_t number)
{
	char digits[DIGITS_MAX];
	struct span text = digits_of(digits, number);
	char *at = begin(out, key, text.len);

	if (at)
		memcpy(at, text.data, text.len);
}

void keyed_id(struct text *out, const struct json_key *key, uint64_t number)
{
	char digits[DIGITS_MAX];

	add_quoted(out, key, digits_of(digits, number));
}

void keyed_bool(struct text *out, const struct json_key *key, bool value)
{
	struct span word = span_of(value ? "true" : "false");
	char *at = begin(out, key, word.len);

	if (at)
		memcpy(at, word.data, word.len);
}

void keyed_time(struct text *out, const struct json_key *key, int64_t realtime_ns)
{
	char time[TIME_LEN];

	text_time(time, realtime_ns);
	keyed_word(out, key, time);
}

void keyed_ip(struct text *out, const struct json_key *key, const uint8_t *ip)
{
	char address[ADDRESS_LEN];

	text_address(address, ip);
	keyed_word(out, key, address);
}

void keyed_words(struct text *out, const struct json_key *key, const char *const *words,
		 size_t count)
{
	keyed_open(out, key, '[');
	for (size_t i = 0; i < count; i++)
		json_word(out, NULL, words[i]);
	json_close_list(out);
}
