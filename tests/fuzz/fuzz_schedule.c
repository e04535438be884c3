/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Schedules and their next due time: the input is a zone, a moment, and a text. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/schedule.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = {"UTC", "Europe/Berlin", "America/New_York",
					    "Australia/Lord_Howe"};
	static struct zone *zones[4];
	const char *error = NULL;
	struct schedule *schedule;
	size_t at = 0;
	uint32_t moment;
	struct zone **zone;

	if (size < 5)
		return 0;
	zone = &zones[data[0] % 4];
	if (!*zone)
		*zone = zone_new(span_of(names[data[0] % 4]));
	memcpy(&moment, data + 1, sizeof(moment));
	schedule =
		schedule_new((struct span){(const char *)data + 5, size - 5}, *zone, &error, &at);
	if (!schedule) {
		if (!error || at > size - 5)
			abort();
		return 0;
	}
	if (data[0] & 0x10) {
		int64_t next = schedule_next(schedule, moment);

		if (next < moment ||
		    (next != SCHEDULE_NEVER && schedule_next(schedule, next) != next))
			abort();
	}
	schedule_free(schedule);
	return 0;
}
