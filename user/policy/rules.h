/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * YARA rules, applied to the client's side of an SMTP session. Without libyara there are no rules.
 */
#ifndef SMTPSNOOP_RULES_H
#define SMTPSNOOP_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define RULES_ERROR_MAX	  400U
#define RULES_MATCHED_MAX 32U /* rules that one scan returns */
#define RULES_SCAN_S	  2   /* a longer scan is abandoned */

struct rules;

/*
 * A rule that matched, with its meta section; "" if a value is missing. Valid as long as the rules.
 */
struct rule_match {
	const char *name, *author, *description, *version;
};

/*
 * NULL if there is no memory or no libyara; `error` says which. `trusted`: a file, or one that it
 * includes, is refused if other users could change it (base/trusted.h).
 */
struct rules *rules_new(bool trusted, char error[RULES_ERROR_MAX]);
void rules_free(struct rules *rules); /* NULL is allowed */

/* Adds the rules of a file. Returns 0, or -1: `error` has the line, and what is wrong there. */
int rules_add(struct rules *rules, const char *path, char error[RULES_ERROR_MAX]);

/* Call it when all rules are added. Returns 0, or -1: no memory. */
int rules_ready(struct rules *rules, char error[RULES_ERROR_MAX]);

/* Writes the rules that match, at most `max`; returns how many. */
size_t rules_scan(const struct rules *rules, struct span data, struct rule_match *matches,
		  size_t max);

#endif
