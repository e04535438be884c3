/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs by which a mail is handed to a local MTA: which MTA's, and what they are run for. */
#ifndef SMTPSNOOP_SUBMISSION_PROGRAM_H
#define SMTPSNOOP_SUBMISSION_PROGRAM_H

#include <stdbool.h>

#include "process/identity.h"

struct submission_program {
	const char *mta; /* NULL: runs another one that hands the mail in */
	const char *executable;
	bool secure; /* the file is setuid or setgid: it gets rights that its user lacks */
};

/* By the whole path. NULL: it is none. `image` may be NULL. */
const struct submission_program *submission_program_of(const struct image *image);

/* Whether it got the rights that the real program gets. Root has them already. */
bool submission_has_rights(const struct submission_program *program, const struct sender *sender);

/* Whether it is the MTA at work, and takes no mail. */
bool submission_is_at_work(const struct submission_program *program, const struct sender *sender);

/* Whether it hands nothing in, for certain: it lists the queue or the like. */
bool submission_only_asks(const struct image *image);

/* Whether it sends what others handed in. */
bool submission_runs_queue(const struct image *image);

#endif
