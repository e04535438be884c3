/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An exclusion, and how one message compares with each of its criteria. Pure.
 *
 * A criterion has a number and a name (event/criterion.h) and one row (exclusion.c). The
 * configuration is read, checked and freed by the row, and messages are evaluated by it.
 */
#ifndef SMTPSNOOP_EXCLUSION_H
#define SMTPSNOOP_EXCLUSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/criterion.h"
#include "policy/facts.h"
#include "policy/limits.h"
#include "policy/relay.h"
#include "policy/value_kind.h"
#include "policy/values.h"

struct exclusion {
	char *name;
	char *note;	   /* NULL: none */
	const char *file;  /* borrowed from the configuration */
	unsigned int line; /* from 1 */

	/* The values of the criteria; each has a row in exclusion.c. */
	struct {
		struct patterns executable, unit, ancestor, container;
		struct patterns script, working_directory, arguments;
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
		struct patterns executable, script, unit, container;
		enum scheduled_by scheduled_by;
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
	bool any;			 /* one address of several is enough: a filter searches */
};

struct criterion_row {
	size_t offset; /* of its value in struct exclusion */

	/*
	 * One of these evaluates it. The first is called for each process that sent a byte, the
	 * second for the process that handed the mail to an MTA. Both get the value.
	 */
	enum state (*of_process)(const void *value, const struct facts_process *process);
	enum state (*of_submitter)(const void *value, const struct facts_process *process);
	enum state (*of_message)(const struct exclusion *exclusion, const struct facts *facts,
				 struct surroundings *surroundings);

	enum value_kind kind;
	bool selects;	 /* selects a process, relay or mail; an exclusion needs one such */
	bool of_mail;	 /* does not count if nothing of the mail was seen */
	bool of_content; /* does not count if the mail was refused before any of its data */
};

/* By enum criterion. */
extern const struct criterion_row criterion_rows[CRITERION_COUNT];

/* Whether the exclusion has this criterion in the configuration. */
bool exclusion_has(const struct exclusion *exclusion, enum criterion criterion);

/* The criteria that the exclusion has in the configuration. */
struct criteria exclusion_written(const struct exclusion *exclusion);

/* Those, and the implied ones: every criterion that exclusion_state() is to be called for. */
struct criteria exclusion_asks(const struct exclusion *exclusion);

/*
 * Whether the exclusion says for whom an MTA may send: without that, it lets no mail of an MTA
 * pass. Whoever hands a mail in can borrow everything but the user and the unit, so the other
 * criteria of the origin say it only if the exclusion accepts what can be forged.
 */
bool exclusion_names_origin(const struct exclusion *exclusion);

/* Whether the exclusion has a criterion of the origin in the configuration. */
bool exclusion_asks_origin(const struct exclusion *exclusion);

/* How one process compares with a criterion of a process, or of the one that handed a mail in. */
enum state exclusion_process_state(const struct exclusion *exclusion, enum criterion criterion,
				   const struct facts_process *process);

/* How the message compares with one criterion. STATE_NOT_ASKED: it does not count here. */
enum state exclusion_state(const struct exclusion *exclusion, enum criterion criterion,
			   const struct facts *facts, struct surroundings *surroundings);

/*
 * For filters. Whether a process meets every criterion of a process that the exclusion has in the
 * configuration; whether a message meets all others. Nothing is implied, and what is not known does
 * not match.
 */
bool exclusion_asks_process(const struct exclusion *exclusion);
bool exclusion_finds_process(const struct exclusion *exclusion,
			     const struct facts_process *process);
bool exclusion_finds_message(const struct exclusion *exclusion, const struct facts *facts,
			     struct surroundings *surroundings);

/*
 * Whether `wide` excludes every message that `narrow` excludes. False if that is not certain, and
 * always if `wide` has a schedule or a limit.
 */
bool exclusion_covers(const struct exclusion *wide, const struct exclusion *narrow);

#endif
