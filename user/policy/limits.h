/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An amount within a sliding window. A window is cut into LIMIT_SLICES. The oldest slice still
 * counts as a whole, so a limit is never exceeded, and becomes free at most one slice late. Pure.
 */
#ifndef SMTPSNOOP_LIMITS_H
#define SMTPSNOOP_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

#define LIMIT_SLICES 60U

/* `amount` in a sliding window; window_s 0: not limited. */
struct limit {
	uint64_t amount;
	uint64_t window_s;
};

/* What was used of one limit. Starts zeroed. */
struct usage {
	uint64_t window_s; /* of the limit that it was counted for */
	uint64_t newest;   /* number of the slice used last */
	uint64_t used[LIMIT_SLICES + 1];
};

/* Whether `amount` more may be used at `now_ns`, of a monotonic clock. */
bool limit_allows(const struct limit *limit, const struct usage *usage, uint64_t now_ns,
		  uint64_t amount);

/* Counts `amount` as used. */
void limit_use(const struct limit *limit, struct usage *usage, uint64_t now_ns, uint64_t amount);

/* The limit was changed: what was used stays counted. */
void limit_change(const struct limit *limit, struct usage *usage);

#endif
