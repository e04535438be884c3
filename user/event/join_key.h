/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* By what events are alike: a number for each part, for join.c. */
#ifndef SMTPSNOOP_JOIN_KEY_H
#define SMTPSNOOP_JOIN_KEY_H

#include <stdint.h>

#include "event/event.h"

struct join_key {
	uint64_t parts[JOINED_PART_COUNT];
	uint64_t whole; /* of all parts, the action, the verdict, and whether the event is final */
};

/* `seed`: the same for all keys that are compared. The event has a flow. */
void join_key(struct join_key *key, const struct event *event, uint64_t seed);

/* The parts in which two keys differ: bits, enum joined_part. */
uint32_t join_key_differ(const struct join_key *a, const struct join_key *b);

#endif
