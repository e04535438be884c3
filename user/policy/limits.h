/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * So much within a sliding window. A window is cut into LIMIT_SLICES; what lies within the oldest
 * slice still counts as a whole, so a limit is never exceeded, and is free again one slice late at
 * most. Pure.
 */
#ifndef SMTPSNOOP_LIMITS_H
#define SMTPSNOOP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_SLICES 60U

/* So many in a sliding window; window_s 0: not limited. */
struct limit {
	uint64_t amount;
	uint64_t window_s;
};

/* What was used of one limit. Zero it to begin. */
struct usage {
	uint64_t window_s; /* of the limit that it was made for */
	uint64_t newest;   /* number of the slice that was used last */
	uint64_t used[LIMIT_SLICES + 1];
};

/* Whether `amount` more may be used at `now_ns`, of any clock that does not go back. */
bool limit_allows(const struct limit *limit, const struct usage *usage, uint64_t now_ns,
		  uint64_t amount);

/* Uses it. */
void limit_use(const struct limit *limit, struct usage *usage, uint64_t now_ns, uint64_t amount);

/* The limit has become another: what was used stays used. */
void limit_change(const struct limit *limit, struct usage *usage);

#endif
