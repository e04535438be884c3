/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Patterns of an exclusion, in the syntax of a shell:
 *
 * *  any characters, except those that end a star in this kind of text
 * **  any characters
 * ?  one character (of UTF-8), except those
 * [a-z]  one byte of a set; [!a-z] one that is not in it
 * \\x  x itself
 *
 * A match covers the whole text. Its time is proportional to text and pattern, whatever they are.
 * Pure.
 */
#ifndef SMTPSNOOP_WILDCARD_H
#define SMTPSNOOP_WILDCARD_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define WILDCARD_TOKENS_MAX 512U /* characters, sets and stars of a pattern */

enum wildcard_kind {
	WILDCARD_PATH, /* case counts; a star ends at '/' */
	/*
	 * any case; a star ends at characters that route a mail: '@', '%', '!', ':', and at quotes
	 * and blanks
	 */
	WILDCARD_ADDRESS,
	WILDCARD_TEXT, /* any case (of ASCII); a star never ends */
	WILDCARD_NAME, /* case counts; a star never ends */
};

struct wildcard;

/*
 * NULL if the pattern is not valid; then *error says why (static), and *at is the offset of the
 * byte. The caller frees it.
 */
struct wildcard *wildcard_new(struct span pattern, enum wildcard_kind kind, const char **error,
			      size_t *at);
void wildcard_free(struct wildcard *wildcard); /* NULL is allowed */

bool wildcard_match(const struct wildcard *wildcard, struct span text);

/*
 * The bytes that every matching text begins or ends with: the first or the last ones, at most
 * `max`, in lower case where case does not count. Returns their number.
 */
size_t wildcard_lead(const struct wildcard *wildcard, char *bytes, size_t max);
size_t wildcard_tail(const struct wildcard *wildcard, char *bytes, size_t max);

/* Whether the pattern matches only one text. */
bool wildcard_is_literal(const struct wildcard *wildcard);

#endif
