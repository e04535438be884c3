/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the C library knows one zone at a time, the one that TZ names, and reads it
 * from a file whenever TZ changes. So TZ is set for a moment and then restored, and in that moment
 * the offsets of all days of about a year are read. Where two days differ, the quarters of an hour
 * between them are read as well; all changes are at the bounds of quarters.
 *
 * TZ is one for all threads, and the capture evaluates schedules while another thread may read a
 * configuration with others. So one lock is around every use of the environment here.
 */
#include "base/zone.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define DAY_S	   86400
#define QUARTER_S  900
#define BLOCK_DAYS 366U /* days that are read at once */
#define BLOCKS	   16U	/* kept */
#define QUARTERS   256U

static pthread_mutex_t environment = PTHREAD_MUTEX_INITIALIZER;

struct zone {
	char name[ZONE_NAME_MAX + 1];
	struct {
		int64_t number;
		int32_t offsets[BLOCK_DAYS +
				8]; /* at the beginning of each day, and of the days after it */
		bool known;
	} blocks[BLOCKS];
	struct {
		int64_t number;
		int32_t offset;
		bool known;
	} quarters[QUARTERS];
};

static bool exists(const char *name)
{
	const char *folder;
	char path[512];
	struct stat info;

	if (name[0] == '/' || name[0] == '.' || strstr(name, ".."))
		return false;
	pthread_mutex_lock(&environment);
	folder = getenv("TZDIR");
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/usr/share/zoneinfo", name);
	pthread_mutex_unlock(&environment);
	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

struct zone *zone_new(struct span name)
{
	struct zone *zone =
		name.len <= ZONE_NAME_MAX && !(name.len && memchr(name.data, '\0', name.len))
			? calloc(1, sizeof(*zone))
			: NULL;

	if (!zone)
		return NULL;
	if (name.len)
		memcpy(zone->name, name.data, name.len);
	if (name.len && strcmp(zone->name, "UTC") != 0 && !exists(zone->name)) {
		free(zone);
		return NULL;
	}
	return zone;
}

void zone_free(struct zone *zone)
{
	free(zone);
}

/* The offsets at `count` moments, `step_s` apart. */
static void look_up(const struct zone *zone, int64_t time_s, int64_t step_s, int32_t *offsets,
		    size_t count)
{
	char name[ZONE_NAME_MAX + 2], *kept;
	const char *before;

	pthread_mutex_lock(&environment);
	before = getenv("TZ");
	kept = before ? strdup(before) : NULL;
	snprintf(name, sizeof(name), ":%s", zone->name);
	if (zone->name[0])
		setenv("TZ", name, 1);
	tzset();
	for (size_t i = 0; i < count; i++) {
		time_t moment = time_s + (int64_t)i * step_s;
		struct tm local = {0};

		localtime_r(&moment, &local);
		offsets[i] = (int32_t)local.tm_gmtoff;
	}
	if (kept)
		setenv("TZ", kept, 1);
	else
		unsetenv("TZ");
	tzset();
	pthread_mutex_unlock(&environment);
	free(kept);
}

/* The offset of a day, and of the days after it. */
static const int32_t *days_from(struct zone *zone, int64_t day)
{
	int64_t number = day / BLOCK_DAYS;
	uint64_t place = (uint64_t)number % BLOCKS;

	if (!zone->blocks[place].known || zone->blocks[place].number != number) {
		look_up(zone, number * BLOCK_DAYS * DAY_S, DAY_S, zone->blocks[place].offsets,
			BLOCK_DAYS + 8);
		zone->blocks[place].number = number;
		zone->blocks[place].known = true;
	}
	return zone->blocks[place].offsets + day % BLOCK_DAYS;
}

bool zone_is_steady(struct zone *zone, int64_t time_s, unsigned int days)
{
	const int32_t *offsets = days_from(zone, time_s / DAY_S);

	for (unsigned int i = 0; i <= days; i++) {
		if (offsets[i] != offsets[i + 1])
			return false;
	}
	return true;
}

int32_t zone_offset(struct zone *zone, int64_t time_s)
{
	const int32_t *offsets = days_from(zone, time_s / DAY_S);
	int64_t number = time_s / QUARTER_S;
	uint64_t place = (uint64_t)number % QUARTERS;

	if (offsets[0] == offsets[1])
		return offsets[0];
	if (!zone->quarters[place].known || zone->quarters[place].number != number) {
		look_up(zone, number * QUARTER_S, QUARTER_S, &zone->quarters[place].offset, 1);
		zone->quarters[place].number = number;
		zone->quarters[place].known = true;
	}
	return zone->quarters[place].offset;
}
