/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kinds of values that criteria have: the lists of values.h and relay.h, the limits of
 * limits.h, and those below. Each kind has one row in value_kind.c, which says when a value is set,
 * how it is freed, and when it covers another one; and one row in config/config_exclusion.c, which
 * says how it is read.
 */
#ifndef SMTPSNOOP_VALUE_KIND_H
#define SMTPSNOOP_VALUE_KIND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/schedule.h"
#include "base/zone.h"

enum scheduled_by {
	SCHEDULED_NOT_ASKED,
	SCHEDULED_SYSTEMD_TIMER,
	SCHEDULED_CRON,
	SCHEDULED_AT,
	SCHEDULED_ANY,
};

enum demand {
	DEMAND_ANY,
	DEMAND_REQUIRED,
	DEMAND_NONE,
};

/* When mail is expected. */
struct due {
	struct schedule *at; /* owned; NULL: at any time */
	struct zone *zone;   /* owned */
	char *text;	     /* as written; owned */
	uint64_t for_s;	     /* from a scheduled time on */
	uint64_t early_s;    /* before it */
	bool early_given;    /* also where it is 0 */
};

struct expiry {
	bool set;
	int64_t time_s; /* seconds since 1970: the end of the day that is named, in UTC */
};

/* The type of a value, and how it is written in YAML. */
enum value_kind {
	VALUE_IMPLIED,	    /* not in the configuration */
	VALUE_PATHS,	    /* struct patterns: absolute paths */
	VALUE_SCRIPTS,	    /* struct patterns: absolute paths, "-m NAME" or URLs */
	VALUE_NAMES,	    /* struct patterns */
	VALUE_ADDRESSES,    /* struct patterns: mail addresses */
	VALUE_TEXTS,	    /* struct patterns: any text */
	VALUE_STRINGS,	    /* struct strings */
	VALUE_SHA256,	    /* struct strings: 64 hexadecimal digits */
	VALUE_WORDS,	    /* struct searches: words */
	VALUE_EXPRESSIONS,  /* struct searches: regular expressions */
	VALUE_RELAYS,	    /* struct relays */
	VALUE_SCHEDULED_BY, /* enum scheduled_by */
	VALUE_DEMAND,	    /* enum demand */
	VALUE_ENCRYPTED,    /* bool */
	VALUE_SCHEDULE,	    /* struct due */
	VALUE_RATE,	    /* struct limit: a number in a time */
	VALUE_BYTE_RATE,    /* struct limit: bytes in a time */
	VALUE_EXPIRES,	    /* struct expiry: a date */
	VALUE_COUNT,
};

/* Whether the configuration has set the value. A zeroed value of any kind is not set. */
bool value_is_set(enum value_kind kind, const void *value);

/* Frees what the value owns, not the value itself. */
void value_free(enum value_kind kind, void *value);

/*
 * Whether every message that meets `narrow` also meets `wide`, which is set. False if that is not
 * certain.
 */
bool value_covers(enum value_kind kind, const void *wide, const void *narrow);

#endif
