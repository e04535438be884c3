/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which process handed a mail to a local MTA: a table of the submission programs (sendmail,
 * postdrop, exim) that ran, and of the processes that started them.
 */
#ifndef SMTPSNOOP_SUBMITTERS_H
#define SMTPSNOOP_SUBMITTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/identity.h"
#include "process/process.h"

/* Submission programs remembered; beyond that, the oldest of the user who has most is dropped */
#define SUBMITTERS_MAX 4096U
/* Bytes for all of them, with the images that they refer to; beyond that, likewise */
#define SUBMITTERS_BYTES_MAX (8UL << 20)

/* So long a submission waits for the mail that the MTA relays */
#define SUBMITTERS_WAIT_NS  10000000000ULL
#define SUBMITTERS_TOLD_MAX 20U

struct submitters;

/* NULL if there is no memory. */
struct submitters *submitters_new(void);
void submitters_free(struct submitters *submitters); /* NULL is allowed */

/*
 * Notes a submission program: `program` is the sender of the record, with its image. Not noted is
 * what is no submission program by its path, and what runs in another user namespace than `own`:
 * there it has no rights at an MTA. `offset_ns`: CLOCK_REALTIME minus CLOCK_BOOTTIME.
 */
void submitters_add(struct submitters *submitters, const struct sender_record *record,
		    const struct sender *program, struct process_table *processes,
		    uint32_t own_ns_user, int64_t offset_ns);

/* Whether the image, which may be NULL, is a program that hands in mails. */
bool submitters_is_program(const struct image *image);

/*
 * Notes a submission program from the snapshot of /proc. It may hand in a mail of anybody: nobody
 * saw who started it.
 */
void submitters_add_older(struct submitters *submitters, const struct exec_record *record,
			  const struct image *image, int64_t offset_ns);

void submitters_exit(struct submitters *submitters, const struct exit_record *record,
		     int64_t offset_ns);

/*
 * Something is not in the table: records were lost, or the clock was set. From then on, the only
 * one that fits need not be the right one.
 */
void submitters_doubt(struct submitters *submitters, uint64_t now_ns, int64_t offset_ns);

/* What is known of a submission. The times are CLOCK_REALTIME; the program ran between them. */
struct submission_trace {
	const char *mta;	    /* of origin.h */
	const struct sender *relay; /* the MTA's process that sends the mail */
	int64_t from_ns, to_ns;
	uint32_t vpid; /* of the submission program, as the MTA sees it; 0: not known */
	uint32_t uid;  /* real; valid if has_uid */
	bool has_uid;
};

/*
 * The submissions that fit: how many; the first `max` of them, the oldest first, are put into
 * `found`, borrowed. NULL for one of which only is known that it ran.
 */
uint32_t submitters_find(const struct submitters *submitters, const struct submission_trace *trace,
			 struct sender **found, uint32_t max);

/* Whether every submission that could fit is in the table, so that the only one is the right one.
 */
bool submitters_know_all(const struct submitters *submitters, const struct submission_trace *trace);

/*
 * Who handed in the mail that a submission program sends to the MTA by SMTP, as sendmail does and a
 * runner of its queue does later. Borrowed; NULL: not known, or the program runs a queue, whose
 * mails others handed in.
 */
struct sender *submitters_of(const struct submitters *submitters, const struct sender *program);

/* A relayed mail is this one: it is not told any more. */
void submitters_claim(struct submitters *submitters, const struct sender *submitter);

/* A relayed mail is one of those that fit: as many are told as there are without a mail. */
void submitters_claim_any(struct submitters *submitters, const struct submission_trace *trace);

/* A submission that ended SUBMITTERS_WAIT_NS ago, and that no relayed mail was found to be. */
struct unclaimed {
	const char *mta;
	struct sender *submitter;  /* borrowed */
	uint64_t exec_ns, exit_ns; /* CLOCK_BOOTTIME, of the submission program */
};

typedef void (*unclaimed_fn)(void *context, const struct unclaimed *unclaimed);

/*
 * Tells each of them once; `all`: also those that ended later. Of a user, at most
 * SUBMITTERS_TOLD_MAX a call. Returns how many more there were since the last call: they are not
 * told.
 */
uint64_t submitters_tell(struct submitters *submitters, uint64_t now_ns, bool all,
			 unclaimed_fn tell, void *context);

/* The bytes that the table uses, approximately. */
size_t submitters_bytes(const struct submitters *submitters);

#endif
