/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Text that is looked for within a text: as it stands in any case, or by a regular expression
 * (PCRE2).
 */
#ifndef SMTPSNOOP_REGEX_H
#define SMTPSNOOP_REGEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define REGEX_LEN_MAX 4096U /* bytes of an expression */

enum regex_kind {
	REGEX_WORDS,	  /* no character has a meaning; any case */
	REGEX_EXPRESSION, /* Perl's, with UTF-8; '.' ends at a line's end */
};

enum regex_result {
	REGEX_NOT_FOUND,
	REGEX_FOUND,
	REGEX_GAVE_UP, /* after too many steps, or for want of memory */
};

struct regex;

/*
 * NULL if the expression is none; then `error` (of REGEX_ERROR_MAX bytes) says why, and *at is the
 * offset of the byte. The caller frees it.
 */
#define REGEX_ERROR_MAX 128U
struct regex *regex_new(struct span expression, enum regex_kind kind, char *error, size_t *at);
void regex_free(struct regex *regex); /* NULL is allowed */

/*
 * Looks for it. What is not UTF-8 in the text matches nothing. An expression that the text's author
 * makes backtrack ends when *steps has come to 0; a step is less than a microsecond. Words take no
 * steps.
 */
enum regex_result regex_find(const struct regex *regex, struct span text, uint64_t *steps);

#endif
