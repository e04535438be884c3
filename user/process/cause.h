/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which of a sender's ancestors made it send: the script behind a mail program. */
#ifndef SMTPSNOOP_CAUSE_H
#define SMTPSNOOP_CAUSE_H

#include "process/identity.h"

/*
 * The ancestor that people mean when they ask which script sends. NULL: it is the sender itself, or
 * it is not known. Borrowed from the sender. For display only: what it returns follows from names
 * of programs, so it must decide nothing.
 */
const struct ancestor *sender_cause(const struct sender *sender);

#endif
