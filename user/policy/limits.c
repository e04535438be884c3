/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/limits.h"

#include <string.h>

#define RING (LIMIT_SLICES + 1) /* the window, and the current slice */

static uint64_t slice_ns(uint64_t window_s)
{
	return (window_s * 1000000000ULL + LIMIT_SLICES - 1) / LIMIT_SLICES;
}

static uint64_t slice_at(uint64_t window_s, const struct usage *usage, uint64_t now_ns)
{
	uint64_t slice = now_ns / slice_ns(window_s);

	return slice > usage->newest ? slice : usage->newest;
}

static uint64_t total(const struct usage *usage, uint64_t slice)
{
	uint64_t sum = 0;

	for (uint64_t age = slice - usage->newest; age < RING; age++) {
		uint64_t back = age - (slice - usage->newest); /* slices before the newest */

		if (back > usage->newest)
			break;
		sum += usage->used[(usage->newest - back) % RING];
	}
	return sum;
}

bool limit_allows(const struct limit *limit, const struct usage *usage, uint64_t now_ns,
		  uint64_t amount)
{
	uint64_t used;

	if (!limit->window_s)
		return true;
	used = usage->window_s ? total(usage, slice_at(limit->window_s, usage, now_ns)) : 0;
	return used <= limit->amount && amount <= limit->amount - used;
}

void limit_use(const struct limit *limit, struct usage *usage, uint64_t now_ns, uint64_t amount)
{
	uint64_t slice;

	if (!limit->window_s)
		return;
	usage->window_s = limit->window_s;
	slice = slice_at(limit->window_s, usage, now_ns);
	for (uint64_t i = 0; i < slice - usage->newest && i < RING; i++)
		usage->used[(slice - i) % RING] = 0;
	usage->newest = slice;
	usage->used[slice % RING] += amount;
}

void limit_change(const struct limit *limit, struct usage *usage)
{
	uint64_t used, now_ns;

	if (!usage->window_s || usage->window_s == limit->window_s)
		return;
	now_ns = usage->newest * slice_ns(usage->window_s);
	used = total(usage, usage->newest);
	memset(usage, 0, sizeof(*usage));
	limit_use(limit, usage, now_ns, used);
}
