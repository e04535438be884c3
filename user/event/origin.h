/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Who submitted a mail to the local MTA that relays it. Two sources: the Received field that the
 * MTA itself added (RFC 5321, 4.4), and a mail that was seen on its way into the MTA and has the
 * same queue id.
 */
#ifndef SMTPSNOOP_ORIGIN_H
#define SMTPSNOOP_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "process/identity.h"
#include "smtp/smtp.h"
#include "base/span.h"

#define ORIGIN_USER_MAX	    64U /* bytes of a login name; a longer one is ignored */
#define ORIGIN_QUEUE_ID_MAX 40U /* of a queue id; a longer one is ignored */
/* Mails into local MTAs that are remembered; then the oldest is replaced */
#define SUBMISSIONS_MAX 4096U
/* Bytes of their senders; beyond that, the user of the oldest stays known, and not the process */
#define SUBMISSIONS_BYTES_MAX (8UL << 20)
#define ORIGIN_EVENT_LEN      32U
/* Submissions that fit a mail equally well and are kept; of more, only the number is known */
#define ORIGIN_CANDIDATES_MAX 8U

/* How the process that handed a mail in was found. */
enum origin_how {
	ORIGIN_NOT_KNOWN,
	ORIGIN_PID,	   /* the MTA's own words name it */
	ORIGIN_CONNECTION, /* it was seen on its way into the MTA */
	ORIGIN_TIME,	   /* no other submission fits the user and the time */
};

/* "pid", ...: as in events. A static string. */
const char *origin_how_name(enum origin_how how);

struct origin {
	const char *mta; /* "postfix", "exim", "sendmail", "opensmtpd", "nullmailer"; static */
	enum origin_how how;
	/*
	 * The process that handed the mail in: its image and ancestors; credentials, cgroup and
	 * namespaces as of the submission. A reference; NULL: not known, and `how` says nothing.
	 */
	struct sender *submitter;
	/* Has the pid that the MTA names, but perhaps not the user. A reference; may be NULL. */
	struct sender *unproved;
	/* Where several fit: references, the oldest first, then NULL. Then there is no submitter.
	 */
	struct sender *candidates[ORIGIN_CANDIDATES_MAX];
	uint32_t candidate_count; /* how many fit; at most ORIGIN_CANDIDATES_MAX are kept */
	bool has_uid;
	bool named; /* the uid is a user of this host: its name may be looked up */
	uint32_t uid;
	/* By the MTA's own words, of a mail that a program of this host handed in. */
	bool local;
	bool has_time;
	bool searched;				/* in the table of submission programs */
	uint32_t pid;				/* of the submission program; 0: not known */
	int64_t time_s;				/* since 1970; valid if has_time */
	char user[ORIGIN_USER_MAX + 1];		/* "": not known */
	char queue_id[ORIGIN_QUEUE_ID_MAX + 1]; /* "": not known */
	/* event.id of the mail on its way into the MTA; "": not seen */
	char submission[ORIGIN_EVENT_LEN + 1];
};

/* Frees an origin with its references. NULL is allowed. */
void origin_free(struct origin *origin);

/*
 * The MTA that a sender is: a known executable that runs as its own user. A static name; NULL: the
 * sender is not an MTA.
 */
const char *origin_mta(const struct sender *sender);

/*
 * True if a program, or what runs as a user, sends mail that others submitted to it. NULL: false.
 */
bool path_passes_on(const char *executable);
bool user_passes_on(const char *user);

/*
 * Parses the text of a Received field (unfolded) in the forms that `mta` writes. False if it has
 * another form. A local submission gives the user or uid; any other gives a queue id at most.
 */
bool origin_parse(const char *mta, struct span received, struct origin *origin);

/* The queue id in the reply of a server that accepted a mail; empty if there is none. */
struct span origin_queue_id(const struct smtp_transaction *transaction);

/* Mails into MTAs of this host, by queue id. */
struct submissions;

/* NULL if there is no memory. */
struct submissions *submissions_new(void);
void submissions_free(struct submissions *submissions);

/*
 * `sender` sent it; `submitter` handed it in, the same or what started it. NULL: not known;
 * otherwise a reference is kept. `named`: the sender's uid is a user of this host. If two users in
 * the table have the same queue id, it stands for neither.
 */
void submissions_add(struct submissions *submissions, struct span queue_id,
		     const struct sender *sender, struct sender *submitter, bool named,
		     const char *event_id);

/* Fills in who submitted the mail with the queue id of `origin`. False if that is not known. */
bool submissions_find(const struct submissions *submissions, struct origin *origin);

#endif
