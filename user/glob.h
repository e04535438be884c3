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
 * A match is of the whole text, and takes time in proportion to text and pattern, whatever they are. Pure.
 */
#ifndef SMTPSNOOP_GLOB_H
#define SMTPSNOOP_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "span.h"

#define GLOB_TOKENS_MAX 512U /* characters, sets and stars of a pattern */

enum glob_kind {
	GLOB_PATH, /* the letters' case counts; a star ends at '/' */
	GLOB_ADDRESS, /* any case; a star ends at what routes a mail: '@', '%', '!', ':', and at quotes and blanks */
	GLOB_TEXT, /* any case (of ASCII); a star ends nowhere */
	GLOB_NAME, /* the letters' case counts; a star ends nowhere */
};

struct glob;

/*
 * NULL if the pattern is none; then *error says why (static), and *at is the offset of the byte. The caller frees
 * the glob.
 */
struct glob *glob_new(struct span pattern, enum glob_kind kind, const char **error, size_t *at);
void glob_free(struct glob *glob); /* NULL is allowed */

bool glob_match(const struct glob *glob, struct span text);

/* Whether the pattern matches one text only. */
bool glob_is_literal(const struct glob *glob);

#endif
