/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the C library knows one zone at a time, the one that TZ names. So TZ is set for a
 * moment, and put back; what that tells is kept for each quarter of an hour, at whose bounds all changes are.
 */
#include "zone.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define QUARTER_S 900
#define CACHE	  256U

struct zone {
	char name[ZONE_NAME_MAX + 1];
	struct {
		int64_t quarter;
		int32_t offset;
		bool known;
	} cache[CACHE];
};

static bool exists(const char *name)
{
	const char *folder = getenv("TZDIR");
	char path[512];
	struct stat info;

	if (name[0] == '/' || name[0] == '.' || strstr(name, ".."))
		return false;
	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "/usr/share/zoneinfo", name);
	return stat(path, &info) == 0 && S_ISREG(info.st_mode);
}

struct zone *zone_new(struct span name)
{
	struct zone *zone = name.len <= ZONE_NAME_MAX && !(name.len && memchr(name.data, '\0', name.len))
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

static int32_t look_up(const struct zone *zone, int64_t time_s)
{
	const char *before = getenv("TZ");
	char *kept = before ? strdup(before) : NULL;
	char name[ZONE_NAME_MAX + 2];
	time_t moment = time_s;
	struct tm local = {0};

	snprintf(name, sizeof(name), ":%s", zone->name);
	if (zone->name[0]) {
		setenv("TZ", name, 1);
		tzset();
	}
	localtime_r(&moment, &local);
	if (!zone->name[0])
		goto out;
	if (kept)
		setenv("TZ", kept, 1);
	else
		unsetenv("TZ");
	tzset();
out:
	free(kept);
	return (int32_t)local.tm_gmtoff;
}

int32_t zone_offset(struct zone *zone, int64_t time_s)
{
	int64_t quarter = (time_s - (time_s < 0 ? QUARTER_S - 1 : 0)) / QUARTER_S;
	uint64_t place = (uint64_t)quarter % CACHE;

	if (!zone->cache[place].known || zone->cache[place].quarter != quarter) {
		zone->cache[place].quarter = quarter;
		zone->cache[place].offset = look_up(zone, quarter * QUARTER_S);
		zone->cache[place].known = true;
	}
	return zone->cache[place].offset;
}
