/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * When something is due: cron's five fields (crontab(5)) or systemd's OnCalendar (systemd.time(7)).
 * Not thread-safe.
 */
#ifndef SMTPSNOOP_SCHEDULE_H
#define SMTPSNOOP_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/zone.h"

#define SCHEDULE_NEVER INT64_MAX

struct schedule;

/*
 * NULL if the text is not a schedule; then *error says why (static), and *at is the offset of the
 * wrong part. `zone` is the zone of the text; it is borrowed and outlives the schedule.
 */
struct schedule *schedule_new(struct span text, struct zone *zone, const char **error, size_t *at);
void schedule_free(struct schedule *schedule); /* NULL is allowed */

/*
 * The first moment at or after `time_s` (seconds since 1970) at which the schedule is due;
 * SCHEDULE_NEVER if that is more than SCHEDULE_YEARS away.
 */
#define SCHEDULE_YEARS 9
int64_t schedule_next(struct schedule *schedule, int64_t time_s);

#endif
