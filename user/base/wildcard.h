/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patterns of an exclusion, as a shell has them:
 *
 *   *	     any characters, but for those that the kind of text bounds it by
 *   **	     any characters
 *   ?	     one character (of UTF-8), but for those
 *   [a-z]   one byte of a set; [!a-z] one that is not in it
 *   \x	     x itself
 *
 * A match is of the whole text, and takes time in proportion to text and pattern, whatever they
 * are. Pure.
 */
#ifndef SMTPSNOOP_WILDCARD_H
#define SMTPSNOOP_WILDCARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define WILDCARD_TOKENS_MAX 512U /* characters, sets and stars of a pattern */

enum wildcard_kind {
	WILDCARD_PATH, /* the letters' case counts; a star ends at '/' */
	/*
	 * any case; a star ends at what routes a mail: '@', '%', '!', ':', and at quotes and blanks
	 */
	WILDCARD_ADDRESS,
	WILDCARD_TEXT, /* any case (of ASCII); a star ends nowhere */
	WILDCARD_NAME, /* the letters' case counts; a star ends nowhere */
};

struct wildcard;

/*
 * NULL if the pattern is none; then *error says why (static), and *at is the offset of the byte.
 * The caller frees it.
 */
struct wildcard *wildcard_new(struct span pattern, enum wildcard_kind kind, const char **error,
			      size_t *at);
void wildcard_free(struct wildcard *wildcard); /* NULL is allowed */

bool wildcard_match(const struct wildcard *wildcard, struct span text);

/* Whether the pattern matches one text only. */
bool wildcard_is_literal(const struct wildcard *wildcard);

#endif
