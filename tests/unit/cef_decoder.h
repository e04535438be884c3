/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A decoder of CEF that follows the specification alone, and checks on the way: keys are words and
 * are there once, and escapes are those of CEF. For test_event_cef.c.
 */
#ifndef SMTPSNOOP_TESTS_CEF_DECODER_H
#define SMTPSNOOP_TESTS_CEF_DECODER_H

#include <stdlib.h>
#include <string.h>

#include "clean.h"
#include "event_samples.h"

#define FIELDS_MAX 128U
#define HEADER	   7

struct field {
	char *key;
	struct text value; /* without the escapes of CEF, with those of text.h */
};

struct decoded {
	char *header[HEADER];
	struct field fields[FIELDS_MAX];
	size_t count;
};

/* Decodes a field of the header, up to a '|' that is not escaped. Returns what follows it. */
static const char *decode_header(const char *at, char **field)
{
	struct text text = {0};

	for (; *at && *at != '|'; at++) {
		if (*at == '\\') {
			at++;
			assert_true(*at == '\\' || *at == '|');
		}
		text_add(&text, (struct span){at, 1});
	}
	assert_int_equal(*at, '|');
	*field = copy_of(text.data ? text.data : "");
	text_free(&text);
	return at + 1;
}

/* The next '=' that is not escaped; NULL: there is none. */
static const char *next_equals(const char *at)
{
	for (; *at && *at != '='; at++) {
		if (*at == '\\')
			at++;
	}
	return *at ? at : NULL;
}

static void decode_value(struct text *value, const char *at, const char *end)
{
	for (; at < end; at++) {
		char c = *at;

		assert_int_not_equal(c, '=');
		if (c == '\\') {
			at++;
			assert_true(at < end);
			assert_non_null(strchr("\\=rn", *at));
			c = (char)(*at == 'r' ? '\r' : *at == 'n' ? '\n' : *at);
		}
		text_add(value, (struct span){&c, 1});
	}
}

/* A key is the word before an '='. Its value ends at the blank before the next key. */
static void decode_extension(struct decoded *record, const char *at)
{
	const char *equals = next_equals(at);

	while (equals) {
		const char *next = next_equals(equals + 1), *end = next;
		struct field *field = &record->fields[record->count++];

		assert_true(record->count < FIELDS_MAX);
		for (const char *c = at; c < equals; c++)
			assert_true((*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
				    (*c >= '0' && *c <= '9'));
		field->key = strndup(at, (size_t)(equals - at));
		while (next && *end != ' ')
			end--;
		decode_value(&field->value, equals + 1,
			     next ? end : equals + 1 + strlen(equals + 1));
		for (size_t i = 0; i + 1 < record->count; i++)
			assert_string_not_equal(record->fields[i].key, field->key);
		at = next ? end + 1 : end;
		equals = next;
	}
}

static struct decoded decode(const char *line)
{
	struct decoded record = {0};

	assert_int_equal(strncmp(line, "CEF:0|", 6), 0);
	record.header[0] = copy_of("0");
	line += 6;
	for (int i = 1; i < HEADER; i++)
		line = decode_header(line, &record.header[i]);
	decode_extension(&record, line);
	return record;
}

static void record_free(struct decoded *record)
{
	for (int i = 0; i < HEADER; i++)
		free(record->header[i]);
	for (size_t i = 0; i < record->count; i++) {
		free(record->fields[i].key);
		text_free(&record->fields[i].value);
	}
}

/* NULL: there is no such key. */
static const char *get(const struct decoded *record, const char *key)
{
	for (size_t i = 0; i < record->count; i++) {
		if (strcmp(record->fields[i].key, key) == 0)
			return record->fields[i].value.data ? record->fields[i].value.data : "";
	}
	return NULL;
}

static void expect(const struct decoded *record, const char *key, const char *wanted)
{
	const char *there = get(record, key);

	if (!wanted) {
		if (there)
			fail_msg("%s=%s is not expected", key, there);
		return;
	}
	if (!there)
		fail_msg("there is no %s", key);
	assert_string_equal(there, wanted);
}

/* The value is these bytes, or their beginning and "...". */
static void expect_bytes(const struct decoded *record, const char *key, struct span wanted)
{
	const char *there = get(record, key);
	struct text bytes = {0};
	size_t len;

	if (!there)
		fail_msg("there is no %s", key);
	len = strlen(there);
	if (len >= 3 && strcmp(there + len - 3, "...") == 0) {
		clean_decode(&bytes, (struct span){there, len - 3});
		assert_true(bytes.len < wanted.len);
	} else {
		clean_decode(&bytes, (struct span){there, len});
		assert_int_equal(bytes.len, wanted.len);
	}
	assert_memory_equal(bytes.data, wanted.data, bytes.len);
	text_free(&bytes);
}

#endif
