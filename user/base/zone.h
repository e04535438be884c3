/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Time zones by their IANA names, from the host's tz database. Not thread-safe. */
#ifndef SMTPSNOOP_ZONE_H
#define SMTPSNOOP_ZONE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define ZONE_NAME_MAX 63U

struct zone;

/*
 * NULL if the host knows no such zone, or there is no memory. An empty name is the host's own zone.
 */
struct zone *zone_new(struct span name);
void zone_free(struct zone *zone); /* NULL is allowed */

/* Seconds by which local time is ahead of UTC at a moment (seconds since 1970, not negative). */
int32_t zone_offset(struct zone *zone, int64_t time_s);

/*
 * Whether the offset stays the same for `days` whole days of UTC after the day of that moment; at
 * most 7.
 */
bool zone_is_steady(struct zone *zone, int64_t time_s, unsigned int days);

#endif
