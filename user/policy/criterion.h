/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The criteria of an exclusion: one table, one row each (exclusion.c). The configuration is read,
 * checked and freed by it, messages are evaluated by it, and events take the names from it.
 */
#ifndef SMTPSNOOP_CRITERION_H
#define SMTPSNOOP_CRITERION_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/values.h"

/* In the order of evaluation: the most expensive ones last. Events carry them as bits. */
enum criterion {
	CRITERION_EXPIRES,
	CRITERION_CAPTURE, /* of every message: nothing was hidden or lost */
	CRITERION_ENCRYPTED,
	CRITERION_USER,
	CRITERION_REAL_USER, /* with any criterion of a process: real equal to effective user */
	CRITERION_GROUP,
	CRITERION_LOGIN,
	CRITERION_TTY,
	CRITERION_CONTAINER, /* if the exclusion names none: the watch's own namespaces */
	CRITERION_SCHEDULED_BY,
	CRITERION_SHA256,
	CRITERION_UNIT,
	CRITERION_EXECUTABLE,
	CRITERION_ANCESTOR,
	CRITERION_RELAY,
	CRITERION_TLS,
	CRITERION_ORIGIN, /* of every mail that an MTA relays */
	CRITERION_AUTH_USER,
	CRITERION_SENDER,
	CRITERION_HEADER_FROM,
	CRITERION_RECIPIENTS,
	CRITERION_SUBJECT,
	CRITERION_SCHEDULE,
	CRITERION_CONTAINS,
	CRITERION_MATCHES,
	CRITERION_LIMIT_MESSAGES,
	CRITERION_LIMIT_RECIPIENTS,
	CRITERION_LIMIT_BYTES,
	CRITERION_COUNT,
};

/* The type of a criterion's value in struct exclusion, and how it is written in YAML. */
enum value_kind {
	VALUE_IMPLIED,	    /* not in the configuration */
	VALUE_PATHS,	    /* struct patterns: absolute paths */
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

struct exclusion;
struct facts;
struct facts_process;
struct surroundings;

struct criterion_row {
	const char *name; /* in events; static */
	const char *key;  /* in the configuration, if it is not the name */
	size_t offset;	  /* of its value in struct exclusion */

	/* One of these evaluates it. The first is called for each process that sent a byte. */
	enum state (*of_process)(const struct exclusion *exclusion,
				 const struct facts_process *process);
	enum state (*of_message)(const struct exclusion *exclusion, const struct facts *facts,
				 struct surroundings *surroundings);

	enum value_kind kind;
	/* It says which process, relay or mail is meant. An exclusion needs at least one of these.
	 */
	bool selects;
	bool of_mail; /* it does not count if nothing of the mail was seen */
};

extern const struct criterion_row criterion_rows[CRITERION_COUNT];

/* "process.executable", ...: as events name it; a static string. */
const char *criterion_name(enum criterion criterion);

#endif
