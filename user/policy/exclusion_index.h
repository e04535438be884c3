/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How many criteria of each exclusion a message does not meet, without trying every exclusion. */
#ifndef SMTPSNOOP_EXCLUSION_INDEX_H
#define SMTPSNOOP_EXCLUSION_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "policy/exclusion.h"

/* Criteria that the index does not know. */
#define INDEX_LEAVES_OUT                                                                           \
	(CRITERION_BIT(CRITERION_CONTAINS) | CRITERION_BIT(CRITERION_MATCHES) |                    \
	 CRITERION_BIT(CRITERION_SCHEDULE) | CRITERION_BIT(CRITERION_LIMIT_MESSAGES) |             \
	 CRITERION_BIT(CRITERION_LIMIT_RECIPIENTS) | CRITERION_BIT(CRITERION_LIMIT_BYTES))

struct exclusion_index;

/* Of exclusions that outlive the index and do not change. NULL if there is no memory. */
struct exclusion_index *exclusion_index_new(const struct exclusion *exclusions, size_t count);
void exclusion_index_free(struct exclusion_index *index); /* NULL is allowed */

/*
 * For each exclusion, how many of the criteria that the index knows the message does not meet:
 * as exclusion_state() finds them. Borrowed until the next call. `surroundings` is
 * for exclusion_state(); its steps are not used.
 */
const uint8_t *exclusion_index_missed(struct exclusion_index *index, const struct facts *facts,
				      struct surroundings *surroundings);

#endif
