/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "flow/pace.h"

#include <stdlib.h>

#define SECOND_NS 1000000000ULL
#define BURST_NS  ((int64_t)(PACE_BURST_S * SECOND_NS))

struct pace *pace_new(void)
{
	struct pace *pace = calloc(1, sizeof(*pace));

	if (pace)
		pace->refs = 1;
	return pace;
}

struct pace *pace_ref(struct pace *pace)
{
	if (pace)
		pace->refs++;
	return pace;
}

void pace_unref(struct pace *pace)
{
	if (pace && --pace->refs == 0)
		free(pace);
}

static void add_credit(int64_t *credit, uint64_t passed_ns)
{
	if (passed_ns >= (uint64_t)BURST_NS || *credit > BURST_NS - (int64_t)passed_ns)
		*credit = BURST_NS;
	else
		*credit += (int64_t)passed_ns;
}

bool pace_allows(struct pace *pace, enum pace_kind kind, uint64_t reserve_ns, uint64_t now_ns)
{
	if (!pace)
		return true;
	for (int i = 0; i < PACE_KINDS; i++) {
		uint64_t passed_ns = !pace->at_ns	    ? UINT64_MAX
				     : now_ns > pace->at_ns ? now_ns - pace->at_ns
							    : 0;

		add_credit(&pace->events[i], passed_ns);
		add_credit(&pace->bytes[i], passed_ns);
	}
	pace->at_ns = now_ns;
	return pace->events[kind] > (int64_t)reserve_ns && pace->bytes[kind] > 0;
}

void pace_charge(struct pace *pace, enum pace_kind kind, unsigned int share, uint64_t bytes)
{
	const uint64_t max_bytes = (uint64_t)PACE_BYTES_PER_S * PACE_BURST_S;

	if (!pace)
		return;
	if (bytes > max_bytes * share)
		bytes = max_bytes * share;
	pace->events[kind] -= (int64_t)(SECOND_NS / PACE_EVENTS_PER_S / share);
	pace->bytes[kind] -= (int64_t)(bytes * SECOND_NS / PACE_BYTES_PER_S / share);
}
