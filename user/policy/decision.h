/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a message is excluded, by which exclusion, or which one came closest. */
#ifndef SMTPSNOOP_DECISION_H
#define SMTPSNOOP_DECISION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "policy/facts.h"
#include "policy/policy.h"

struct decision {
	const struct exclusion *excluded; /* NULL: none applies; borrowed from the policy */
	const struct exclusion *nearest;  /* if none applies; NULL: there is no exclusion */
	struct criteria failed;		  /* criteria of the nearest one that are not met */
	struct criteria unknown;	  /* those of them that are unknown */
};

/* A policy's exclusions, with what was used of their limits. */
struct decider;

/*
 * `owner` owns the policy. The decider keeps it and calls release() for it when it is freed, or
 * when its policy is replaced. NULL if there is no memory: then nothing is released.
 */
struct decider *decider_new(const struct policy *policy, void *owner, void (*release)(void *owner));
void decider_free(struct decider *decider); /* NULL is allowed */

/*
 * Exchanges the policies of both. An exclusion takes over what the one of the same name has used of
 * its limits. The caller frees `with`, which has the old policy then, when nothing borrows from it
 * any more. Fast, whatever the number of exclusions.
 */
void decider_replace(struct decider *decider, struct decider *with);

const struct policy *decider_policy(const struct decider *decider);
void *decider_owner(const struct decider *decider);

/* Whether an exclusion searches the text of messages. */
bool decider_wants_content(const struct decider *decider);

/*
 * The first exclusion whose criteria are all met applies, and the message counts for its limits.
 * `names` may be NULL. `final` false: the message has not ended, so no exclusion applies; only the
 * nearest one is found.
 */
void decide(struct decider *decider, const struct facts *facts, const struct relay_names *names,
	    bool final, struct decision *decision);

/* From now on, every exclusion is tried. The decisions are the same; for tests and comparisons. */
void decider_try_all(struct decider *decider);

/*
 * How far a message is from an exclusion: the criteria that are not met, in thousandths of those
 * that are written (at least 1).
 */
static inline uint32_t decision_distance(uint32_t missed, uint32_t written)
{
	return missed * 1000 / written;
}

/* What the exclusion with this index has let pass. */
const struct passed *decider_passed(const struct decider *decider, size_t index);

#endif
