/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Searches in a text: for words in any case, or by a regular expression (PCRE2). */
#ifndef SMTPSNOOP_REGEX_H
#define SMTPSNOOP_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define REGEX_LEN_MAX 4096U /* bytes of an expression */

enum regex_kind {
	REGEX_WORDS,	  /* no character has a special meaning; any case */
	REGEX_EXPRESSION, /* Perl's syntax, with UTF-8; '.' does not match a line end */
};

enum regex_result {
	REGEX_NOT_FOUND,
	REGEX_FOUND,
	REGEX_GAVE_UP, /* after too many steps, or because there was no memory */
};

struct regex;

/*
 * NULL if the expression is not valid; then `error` (of REGEX_ERROR_MAX bytes) says why, and *at is
 * the offset of the byte. The caller frees it.
 */
#define REGEX_ERROR_MAX 128U
struct regex *regex_new(struct span expression, enum regex_kind kind, char *error, size_t *at);
void regex_free(struct regex *regex); /* NULL is allowed */

/*
 * Searches the text. Bytes that are not UTF-8 match nothing. If the author of the text makes an
 * expression backtrack, the search ends when *steps reaches 0. A step takes less than a
 * microsecond. Words use no steps.
 */
enum regex_result regex_find(const struct regex *regex, struct span text, uint64_t *steps);

#endif
