/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The criteria of an exclusion, and how one message stands to each. Pure. */
#ifndef SMTPSNOOP_EXCLUSION_H
#define SMTPSNOOP_EXCLUSION_H

#include <stdint.h>

#include "config/config.h"
#include "policy/facts.h"

/* In the order in which they are looked at: the dearest last. */
enum criterion {
	CRITERION_EXPIRES,
	CRITERION_CAPTURE, /* asked of every message: nothing was hidden or lost */
	CRITERION_ENCRYPTED,
	CRITERION_USER,
	CRITERION_REAL_USER, /* asked where a process is: real equal to effective user */
	CRITERION_GROUP,
	CRITERION_LOGIN,
	CRITERION_TTY,
	CRITERION_CONTAINER, /* without it in the exclusion: the watch's own namespaces */
	CRITERION_SCHEDULED_BY,
	CRITERION_SHA256,
	CRITERION_UNIT,
	CRITERION_EXECUTABLE,
	CRITERION_ANCESTOR,
	CRITERION_RELAY,
	CRITERION_TLS,
	CRITERION_ORIGIN, /* asked of every mail that an MTA sends */
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

enum state {
	STATE_NOT_ASKED,
	STATE_MET,
	STATE_FAILED,
	STATE_UNKNOWN,
};

/* Addresses that a relay's name stands for. */
struct relay_names;

/* What evaluation needs beside the message and the exclusion. */
struct surroundings {
	const struct relay_names *names; /* NULL: no name is resolved */
	const struct usage *usage;	 /* of the three limits; NULL: nothing was used */
	uint64_t steps;			 /* left for expressions, for one message */
};

/* "process.executable", ...: as the configuration has it; a static string. */
const char *criterion_name(enum criterion criterion);

/* The criteria that are written in the exclusion, a bit each. */
uint32_t exclusion_written(const struct exclusion *exclusion);

/* Those, and what is asked of every message: what exclusion_state() is to be asked about. */
uint32_t exclusion_asks(const struct exclusion *exclusion);

/*
 * How the message stands to a criterion that is asked for; STATE_NOT_ASKED: it does not count for
 * this message.
 */
enum state exclusion_state(const struct exclusion *exclusion, enum criterion criterion,
			   const struct facts *facts, struct surroundings *surroundings);

#endif
