/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Lists of values that a criterion compares a fact with: any one of them is enough. */
#ifndef SMTPSNOOP_VALUES_H
#define SMTPSNOOP_VALUES_H

#include <stddef.h>
#include <stdint.h>

#include "base/regex.h"
#include "base/span.h"
#include "base/wildcard.h"

/*
 * A pattern, and how it was written. `target`: the real path of what it names, if that is a
 * symbolic link; it matches as well. NULL: it is none.
 */
struct pattern {
	char *text;
	struct wildcard *wildcard;
	char *target;
};

/* All kinds of list: the items are owned; count 0: the exclusion does not have the criterion. */
struct patterns {
	struct pattern *items;
	size_t count;
};

struct strings {
	char **items;
	size_t count;
};

struct search {
	char *text;
	struct regex *regex;
};

struct searches {
	struct search *items;
	size_t count;
};

void patterns_free(struct patterns *patterns);
void strings_free(struct strings *strings);
void searches_free(struct searches *searches);

/* How a fact compares with a criterion. */
enum state {
	STATE_NOT_ASKED,
	STATE_MET,
	STATE_FAILED,
	STATE_UNKNOWN,
};

/* Whether one of the values matches. STATE_UNKNOWN if the text is not known (data is NULL). */
enum state patterns_match(const struct patterns *patterns, struct span text);
enum state strings_match(const struct strings *strings, struct span text);

/* The values are names or numbers: of a user or a group. */
enum state ids_match(const struct strings *strings, struct span name, uint32_t number);

#endif
