/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * JSON (RFC 8259), written from front to back into a text. Commas are added where needed. The
 * caller closes objects and lists in their order. `name` NULL: an element of a list, or the whole
 * document.
 */
#ifndef SMTPSNOOP_JSON_H
#define SMTPSNOOP_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"

void json_open(struct text *out, const char *name); /* { */
void json_close(struct text *out);
void json_open_list(struct text *out, const char *name); /* [ */
void json_close_list(struct text *out);

/* Our own string: ASCII without quotes, backslashes and control characters. */
void json_word(struct text *out, const char *name, const char *string);

/* Bytes that others chose, by the rules of text_add_json(). */
void json_bytes(struct text *out, const char *name, struct span bytes);

/*
 * The same in at most `max` bytes between the quotes. A longer string is cut at the end of a
 * character or an escape, and out->cut says so.
 */
void json_bytes_max(struct text *out, const char *name, struct span bytes, size_t max);

void json_number(struct text *out, const char *name, uint64_t number);
void json_number_string(struct text *out, const char *name, uint64_t number); /* in quotes */
void json_bool(struct text *out, const char *name, bool value);

#endif
