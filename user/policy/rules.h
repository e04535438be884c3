/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * YARA rules over what the client said in an SMTP session. Built without libyara, there are none to
 * be had.
 */
#ifndef SMTPSNOOP_RULES_H
#define SMTPSNOOP_RULES_H

#include <stddef.h>

#include "base/span.h"

#define RULES_ERROR_MAX	  256U
#define RULES_MATCHED_MAX 32U /* rules that one scan tells */
#define RULES_SCAN_S	  2   /* a scan that takes longer is given up */

struct rules;

/*
 * A rule that matched, with what its meta section says; "" where that is nothing. Dies with the
 * rules.
 */
struct rule_match {
	const char *name, *author, *description, *version;
};

/* NULL if there is no memory, or no libyara: then `error` says so. */
struct rules *rules_new(char error[RULES_ERROR_MAX]);
void rules_free(struct rules *rules); /* NULL is allowed */

/* Adds the rules of a file. 0, or -1: `error` says the line, and what is wrong there. */
int rules_add(struct rules *rules, const char *path, char error[RULES_ERROR_MAX]);

/* Once all are added. 0, or -1: no memory. */
int rules_ready(struct rules *rules, char error[RULES_ERROR_MAX]);

/* The rules that match; their number, at most `max`. */
size_t rules_scan(const struct rules *rules, struct span data, struct rule_match *matches,
		  size_t max);

#endif
