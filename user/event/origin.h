/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who submitted a mail to the local MTA that relays it: from the MTA's own Received field (RFC
 * 5321, 4.4), and from an earlier mail into the MTA with the same queue id.
 */
#ifndef SMTPSNOOP_ORIGIN_H
#define SMTPSNOOP_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "process/identity.h"
#include "smtp/smtp.h"
#include "base/span.h"

#define ORIGIN_USER_MAX	    64U /* bytes of a login name; a longer one is ignored */
#define ORIGIN_QUEUE_ID_MAX 40U /* bytes of a queue id; a longer one is ignored */
/* Mails into local MTAs that are remembered; beyond that, the oldest is forgotten. */
#define SUBMISSIONS_MAX	 4096U
#define ORIGIN_EVENT_LEN 32U

struct origin {
	const char *mta; /* "postfix", "exim", "sendmail", "opensmtpd"; static */
	bool has_uid;
	bool named; /* the uid belongs to this host, so its name may be looked up */
	uint32_t uid;
	char user[ORIGIN_USER_MAX + 1];		/* "": not known */
	char queue_id[ORIGIN_QUEUE_ID_MAX + 1]; /* "": not known */
	char submission[ORIGIN_EVENT_LEN +
			1]; /* event.id of the mail into the MTA; "": none was seen */
};

/*
 * The MTA that a sender is: a known executable that runs as the MTA's own user. A static name;
 * NULL: not an MTA.
 */
const char *origin_mta(const struct sender *sender);

/* Whether a program, or everything that runs as a user, relays mail of others. NULL: false. */
bool path_passes_on(const char *executable);
bool user_passes_on(const char *user);

/*
 * Parses the text of a Received field (unfolded) as `mta` writes it. False if it has none of that
 * MTA's forms. A local submission has the user or the uid; any other mail has at most a queue id.
 */
bool origin_parse(const char *mta, struct span received, struct origin *origin);

/* The queue id in the server's reply to a mail; empty if there is none. */
struct span origin_queue_id(const struct smtp_transaction *transaction);

/* Mails into MTAs of this host, by queue id. */
struct submissions;

/* NULL if there is no memory. */
struct submissions *submissions_new(void);
void submissions_free(struct submissions *submissions);

/*
 * `named`: the uid belongs to this host. A queue id that two users had within the table identifies
 * neither of them.
 */
void submissions_add(struct submissions *submissions, struct span queue_id, uint32_t uid,
		     bool named, const char *event_id);

/* Fills in who submitted the mail with the origin's queue id. False if that is not known. */
bool submissions_find(const struct submissions *submissions, struct origin *origin);

#endif
