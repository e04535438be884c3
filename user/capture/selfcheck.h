/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether the capture still captures: checked while the watch runs, and told as records. */
#ifndef SMTPSNOOP_SELFCHECK_H
#define SMTPSNOOP_SELFCHECK_H

#include <stdbool.h>

#include "capture/capture.h"

#define CANARY_FIRST_NS	 1000000000ULL	/* after the start */
#define CANARY_PERIOD_NS 50000000000ULL /* with one repetition, the result is there within 60 s */
#define CANARY_AGAIN_NS	 1000000000ULL	/* after one that was not seen or not sent */
#define CANARY_BUSY_NS	 5000000000ULL	/* after one that says nothing because records were lost */
/* Its records are on their way no longer than this, once the ring was read to its end. */
#define CANARY_SETTLE_NS 1000000000ULL
#define CANARY_TRIES	 2U /* so many must fail before that is reported */

struct selfcheck;

/*
 * `on_record` gets the records of type RECORD_HEALTH. The capture is borrowed. NULL: there is no
 * memory.
 */
struct selfcheck *selfcheck_new(struct capture *capture, capture_record_fn on_record,
				void *context);
void selfcheck_free(struct selfcheck *check); /* NULL is allowed */

/* Whether a record is of the canary: then it is for nobody else. The record may be malformed. */
bool selfcheck_take(struct selfcheck *check, const struct record *record);

/* After each drain: goes on with the canary. Never waits. */
void selfcheck_turn(struct selfcheck *check);

/* Once a second: compares what is attached with what was. */
void selfcheck_round(struct selfcheck *check);

#endif
