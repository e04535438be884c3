/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of a sender's ancestors made it send: the script behind a mail program. */
#ifndef SMTPSNOOP_CAUSE_H
#define SMTPSNOOP_CAUSE_H

#include "process/identity.h"

/* What a program does for another one that mails. By names: for display, like the rest here. */
enum role {
	ROLE_OTHER,	    /* of its own accord: a script, an application, a daemon */
	ROLE_SHELL,	    /* a shell that reads its commands, for example from a terminal */
	ROLE_SHELL_COMMAND, /* a shell that runs one command (-c) */
	ROLE_STARTER,	    /* starts another program: env, sudo */
	ROLE_MAIL,	    /* takes a mail and sends it, or hands it on */
};

enum role image_role(const struct image *image);

/*
 * The ancestor that people mean when they ask which script sends. NULL: it is the sender itself, or
 * it is not known. Borrowed from the sender. For display only: what it returns follows from names
 * of programs, so it must decide nothing.
 */
const struct ancestor *sender_cause(const struct sender *sender);

#endif
