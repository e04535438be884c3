/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a message is excluded, by which exclusion, or which one came closest. */
#ifndef SMTPSNOOP_DECISION_H
#define SMTPSNOOP_DECISION_H

#include "config/config.h"
#include "event/event.h"
#include "policy/exclusion.h"
#include "policy/facts.h"

struct decision {
	const struct exclusion *excluded; /* NULL: by none; borrowed from the configuration */
	const struct exclusion
		*nearest; /* of a message that is not excluded; NULL: there is no exclusion */
	uint32_t failed;  /* criteria of the nearest one that are not met, a bit each */
	uint32_t unknown; /* of them: those that could not be told */
};

/* A configuration's exclusions, with what was used of their limits. */
struct decider;

/* Owns the configuration from now on. NULL if there is no memory: then the caller still has it. */
struct decider *decider_new(struct config *config);
void decider_free(struct decider *decider); /* NULL is allowed */

/*
 * Takes on all of another decider, which is freed. An exclusion of the same name goes on with what
 * it has used.
 */
void decider_replace(struct decider *decider, struct decider *with);

const struct config *decider_config(const struct decider *decider);

/*
 * The first exclusion whose criteria are all met decides, and what it has of limits is used.
 * `names` may be NULL. `final` false: the message has not ended; it cannot be excluded, only how
 * near it is can be told.
 */
void decide(struct decider *decider, const struct facts *facts, const struct relay_names *names,
	    bool final, struct decision *decision);

/* What the exclusion of this index has let pass. */
const struct passed *decider_passed(const struct decider *decider, size_t index);

#endif
