/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An exclusion, and how one message compares with each of its criteria. Pure. */
#ifndef SMTPSNOOP_EXCLUSION_H
#define SMTPSNOOP_EXCLUSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/schedule.h"
#include "base/zone.h"
#include "policy/criterion.h"
#include "policy/facts.h"
#include "policy/limits.h"
#include "policy/relay.h"

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
	uint64_t for_s;
};

struct expiry {
	bool set;
	int64_t time_s; /* seconds since 1970: the end of the day that is named, in UTC */
};

struct exclusion {
	char *name;
	char *note;	   /* NULL: none */
	const char *file;  /* borrowed from the configuration */
	unsigned int line; /* from 1 */

	/* The values of the criteria; each has a row in exclusion.c. */
	struct {
		struct patterns executable, unit, ancestor, container;
		struct strings sha256, user, group, login;
		enum scheduled_by scheduled_by;
		enum demand tty;
	} process;
	struct relays relay;
	struct {
		struct patterns sender, header_from, recipients, subject;
		struct searches contains, matches;
	} mail;
	struct due schedule;
	struct {
		struct limit messages, recipients, bytes;
	} limits;
	struct {
		struct strings user;
	} origin;
	struct patterns auth_user;
	enum demand tls;
	bool encrypted; /* also a session whose plaintext was not seen */
	struct expiry expires;

	bool accept_forgeable;
};

/* Frees what the exclusion owns, not the exclusion itself. */
void exclusion_free(struct exclusion *exclusion);

/* What evaluation needs besides the message and the exclusion. */
struct surroundings {
	const struct relay_names *names; /* NULL: no name is resolved */
	const struct usage *usage;	 /* of the three limits; NULL: nothing was used */
	uint64_t steps;			 /* left for expressions, for one message */
};

/* Whether the exclusion has this criterion in the configuration. */
bool exclusion_has(const struct exclusion *exclusion, enum criterion criterion);

/* The criteria that the exclusion has in the configuration, one bit each. */
uint32_t exclusion_written(const struct exclusion *exclusion);

/* Those, and the implied ones: every criterion that exclusion_state() is to be called for. */
uint32_t exclusion_asks(const struct exclusion *exclusion);

/* How the message compares with one criterion. STATE_NOT_ASKED: it does not count here. */
enum state exclusion_state(const struct exclusion *exclusion, enum criterion criterion,
			   const struct facts *facts, struct surroundings *surroundings);

#endif
