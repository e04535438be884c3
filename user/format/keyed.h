/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Members of a JSON object, with names that are ready to be copied: quotes and colon included. The
 * names of an event are constants, and half of what a line costs is names and commas. The rules of
 * base/json.h hold: commas take care of themselves.
 */
#ifndef SMTPSNOOP_KEYED_H
#define SMTPSNOOP_KEYED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

struct json_key {
	const char *text; /* "\"name\":"; NULL: there is no name */
	size_t len;
};

#define JSON_KEY(name)                                                                             \
	{                                                                                          \
		"\"" name "\":", sizeof("\"" name "\":") - 1                                       \
	}

/* Begins an object or a list: `bracket` is '{' or '['. base/json.h writes what is in it. */
void keyed_open(struct text *out, const struct json_key *key, char bracket);

/* Our own text: ASCII without quotes, backslashes and control characters. */
void keyed_word(struct text *out, const struct json_key *key, const char *word);

/* Text that others chose, by the rules of text_add_json(); `max` as for json_bytes_max(), 0: no
 * bound. */
void keyed_bytes(struct text *out, const struct json_key *key, struct span bytes, size_t max);

void keyed_number(struct text *out, const struct json_key *key, uint64_t number);
void keyed_id(struct text *out, const struct json_key *key, uint64_t number); /* in quotes */
void keyed_bool(struct text *out, const struct json_key *key, bool value);

/* Times and addresses as text.h writes them. */
void keyed_time(struct text *out, const struct json_key *key, int64_t realtime_ns);
void keyed_ip(struct text *out, const struct json_key *key, const uint8_t *ip);

/* A list of our own words. */
void keyed_words(struct text *out, const struct json_key *key, const char *const *words,
		 size_t count);

#endif
