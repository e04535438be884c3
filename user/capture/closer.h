/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Closes descriptors whose closing takes long, in threads of its own. */
#ifndef SMTPSNOOP_CLOSER_H
#define SMTPSNOOP_CLOSER_H

#include <stddef.h>

struct closer;

struct closer *closer_new(void); /* NULL: errno says why */

/* Waits until everything is closed. NULL is allowed. */
void closer_free(struct closer *closer);

/*
 * Closes these descriptors soon, the last ones first. Returns at once, unless there is no memory:
 * then they are closed here.
 */
void closer_add(struct closer *closer, const int *fds, size_t count);

#endif
