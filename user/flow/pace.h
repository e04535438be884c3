/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How many events, and how many bytes of them, one connection or one user may write. Credit is
 * time: an event and its bytes cost some of it, and it comes back as time passes, up to a bound.
 * So a burst is written as a whole, and what lasts longer is written at the rate. Pure: the clock
 * is the caller's.
 */
#ifndef SMTPSNOOP_PACE_H
#define SMTPSNOOP_PACE_H

#include <stdbool.h>
#include <stdint.h>

/* Of one connection; of a user, PACE_USER times as much. */
#define PACE_EVENTS_PER_S 2000U
#define PACE_BYTES_PER_S  (8U << 20)
#define PACE_BURST_S	  5U /* what was saved up: 10,000 events, 40 MiB */
#define PACE_USER	  2U

/* Excluded and observed mail must not use up what alerts need. */
enum pace_kind { PACE_ALERT, PACE_OTHER, PACE_KINDS };

struct pace {
	unsigned int refs;	    /* of one that pace_new() made */
	uint64_t at_ns;		    /* when credit was last added; 0: never, it is full */
	int64_t events[PACE_KINDS]; /* credit in nanoseconds; below 0: overdrawn by one event */
	int64_t bytes[PACE_KINDS];
	uint64_t left_out; /* events, which the caller counts */
};

/* With one reference; NULL: no memory. */
struct pace *pace_new(void);
struct pace *pace_ref(struct pace *pace); /* NULL is allowed, and so below */
void pace_unref(struct pace *pace);

/* Whether more than `reserve_ns` of the credit for events is left, and any for bytes. */
bool pace_allows(struct pace *pace, enum pace_kind kind, uint64_t reserve_ns, uint64_t now_ns);

/* An event of this many bytes was written; `share`: 1 or PACE_USER. */
void pace_charge(struct pace *pace, enum pace_kind kind, unsigned int share, uint64_t bytes);

#endif
