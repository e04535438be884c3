/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Bytes that others chose, made safe to show: to a machine (JSON) or to a person (a terminal). */
#ifndef SMTPSNOOP_TEXT_H
#define SMTPSNOOP_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * A string that grows. It starts zeroed. `data` is owned, and NUL-terminated once something was
 * added.
 */
struct text {
	char *data;
	size_t len;
	size_t size;
	bool failed; /* there was no memory: text is missing at the end */
	bool cut;    /* a string was cut because it was too long */
};

void text_add(struct text *text, struct span bytes);

/* Makes room for this many more bytes and the NUL. False: there is no memory. */
bool text_grow(struct text *text, size_t more);

/*
 * Makes the text longer; returns where the caller writes the new bytes, all of them. NULL: there is
 * no memory.
 */
static inline char *text_extend(struct text *text, size_t more)
{
	char *added;

	if (text->len + more >= text->size && !text_grow(text, more))
		return NULL;
	added = text->data + text->len;
	text->len += more;
	text->data[text->len] = '\0';
	return added;
}

void text_add_string(struct text *text, const char *string);
__attribute__((format(printf, 2, 3))) void text_add_format(struct text *text, const char *format,
							   ...);
void text_clear(struct text *text); /* empty again; keeps the memory */
void text_free(struct text *text);

/*
 * Adds bytes as valid UTF-8. Valid characters stay as they are (control characters below a blank
 * too: JSON escapes them). DEL, C1 controls and every other byte become "\xNN". A row of
 * backslashes is doubled only before an 'x' or such a byte; so the original bytes can be recovered.
 */
void text_add_utf8(struct text *text, struct span bytes);

/*
 * Whether a character ends a line, or changes the direction of the text after it: U+2028 to U+202E,
 * U+2066 to U+2069.
 */
bool text_breaks_line(uint32_t code);

/* The same, as the content of a JSON string between its quotes. */
void text_add_json(struct text *text, struct span bytes);

/*
 * Adds bytes for a terminal: control characters, invalid UTF-8, and characters that change the
 * direction of text or cannot be seen become escapes ("\x1b", "\u202e"). In a locale that is not
 * UTF-8, everything beyond ASCII does.
 */
void text_add_visible(struct text *text, struct span bytes);

enum text_line {
	TEXT_LINE_ENDS = 1 << 0, /* CR and LF stay: the format has its own escapes for them */
	TEXT_QUOTED = 1 << 1,	 /* '"', '<' and '>' are escaped: they enclose the text */
	TEXT_LISTED = 1 << 2,	 /* ',' is escaped: it separates several texts */
};

/*
 * Adds bytes as one line of UTF-8. Control characters, invalid UTF-8, a blank at either end, and
 * characters that end a line or change its direction become "\xNN", byte by byte. A row of
 * backslashes before an 'x' or an escape is doubled; so the bytes can be recovered. `flags`: enum
 * text_line.
 */
void text_add_line(struct text *text, struct span bytes, unsigned int flags);

/*
 * The bytes at the front that belong together: a character, or a row of backslashes with the escape
 * after them. The text was written by text_add_line() or text_add_utf8(), and is not empty.
 */
size_t text_piece(struct span line);

/* As much from the front as fits `max` bytes, cut between two such pieces. */
struct span text_cut(struct span line, size_t max);

/* The columns that a string of text_add_visible() uses. */
size_t text_width(struct span visible);

/*
 * Adds a visible string in exactly `width` columns: padded with blanks (`right`: in front), or
 * shortened in its middle.
 */
void text_add_column(struct text *text, struct span visible, size_t width, bool right);

/* The bytes at the front of a visible string that fit `width` columns, and those columns. */
size_t text_fitting(struct span visible, size_t width, size_t *columns);

/* The end of a visible string, as much as fits `width` columns. */
struct span text_last(struct span visible, size_t width);

/* What stands for omitted text: one column. A static string. */
const char *text_ellipsis(void);

/* The last `digits` hexadecimal digits of a number, and a NUL after them. */
void text_hex(char *out, uint64_t number, size_t digits);

#define TIME_LEN    40U
#define ADDRESS_LEN 46U

/* ISO 8601 in UTC with microseconds, into TIME_LEN bytes. */
void text_time(char *out, int64_t realtime_ns);

/* An address of 16 bytes, v4-mapped ones as IPv4, into ADDRESS_LEN bytes. */
void text_address(char *out, const uint8_t *addr);
bool address_is_ipv4(const uint8_t *addr);

/* The name after the last slash. */
struct span text_basename(struct span path);

/*
 * The bytes of the character at the front, and its code; 0 if there is no valid one. The span is
 * not empty.
 */
size_t utf8_front(struct span bytes, uint32_t *code);

/* A hexadecimal digit's value, or -1. */
int hex_value(char c);

#endif
