/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who handed a mail to the local MTA that relays it: what the MTA's own Received field says (RFC
 * 5321, 4.4), and which mail seen before, on its way into the MTA, has the same queue id.
 */
#ifndef SMTPSNOOP_ORIGIN_H
#define SMTPSNOOP_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "process/identity.h"
#include "smtp/smtp.h"
#include "base/span.h"

#define ORIGIN_USER_MAX	    64U /* bytes of a login name; a longer one is not taken */
#define ORIGIN_QUEUE_ID_MAX 40U /* of a queue id; a longer one is not taken */
/* Mails into local MTAs that are remembered; beyond, the oldest is forgotten */
#define SUBMISSIONS_MAX	 4096U
#define ORIGIN_EVENT_LEN 32U

struct origin {
	const char *mta; /* "postfix", "exim", "sendmail", "opensmtpd"; static */
	bool has_uid;
	bool named; /* the uid's name may be looked up: it is one of this host's users */
	uint32_t uid;
	char user[ORIGIN_USER_MAX + 1];		/* "": not known */
	char queue_id[ORIGIN_QUEUE_ID_MAX + 1]; /* "": not known */
	char submission[ORIGIN_EVENT_LEN +
			1]; /* event.id of the mail on its way into the MTA; "": none was seen */
};

/*
 * The MTA that a sender is: a known executable under the user that it runs as. NULL: it is none. A
 * static name.
 */
const char *origin_mta(const struct sender *sender);

/*
 * Whether a program, or what runs as a user, sends mail that others have handed to it. NULL: false.
 */
bool path_passes_on(const char *executable);
bool user_passes_on(const char *user);

/*
 * Reads a Received field's text (unfolded) as `mta` writes it. False if it is in none of that MTA's
 * forms. A local submission has the user or uid; another has a queue id at most.
 */
bool origin_parse(const char *mta, struct span received, struct origin *origin);

/* The queue id that a server named when it took a mail; empty if it named none. */
struct span origin_queue_id(const struct smtp_transaction *transaction);

/* Mails on their way into MTAs of this host, by queue id. */
struct submissions;

/* NULL if there is no memory. */
struct submissions *submissions_new(void);
void submissions_free(struct submissions *submissions);

/*
 * `named`: the uid is one of this host's users. A queue id that two users had within the table
 * names neither of them.
 */
void submissions_add(struct submissions *submissions, struct span queue_id, uint32_t uid,
		     bool named, const char *event_id);

/* Fills in who submitted the mail that has the origin's queue id. False if none is known. */
bool submissions_find(const struct submissions *submissions, struct origin *origin);

#endif
