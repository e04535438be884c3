/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Patterns and texts: the input is a kind, a pattern up to the first newline, and a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/wildcard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data + 1, *end, *error = NULL;
	struct span pattern, rest;
	struct wildcard *wildcard;
	size_t at = 0;

	if (size < 2)
		return 0;
	end = memchr(text, '\n', size - 1);
	pattern = (struct span){text, end ? (size_t)(end - text) : size - 1};
	rest = end ? (struct span){end + 1, size - 2 - pattern.len} : (struct span){"", 0};
	wildcard = wildcard_new(pattern, (enum wildcard_kind)(data[0] % 4), &error, &at);
	if (!wildcard) {
		if (!error || at > pattern.len)
			abort();
		return 0;
	}
	/* A pattern without special characters matches itself, and no longer text. */
	if (wildcard_is_literal(wildcard) && !memchr(pattern.data, '\\', pattern.len) &&
	    (!wildcard_match(wildcard, pattern) ||
	     (rest.len > pattern.len && wildcard_match(wildcard, rest))))
		abort();
	wildcard_match(wildcard, rest);
	wildcard_free(wildcard);
	return 0;
}
