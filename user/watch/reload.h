/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads a new configuration in a thread of its own, while the capture loop goes on. */
#ifndef SMTPSNOOP_RELOAD_H
#define SMTPSNOOP_RELOAD_H

#include <stdatomic.h>
#include <stdbool.h>

/* What the thread does. All calls are made one after the other. */
struct reload_work {
	void *context;
	/*
	 * Returns what was read, or NULL; whatever went wrong is reported by then. If `stop`
	 * becomes true, it returns soon.
	 */
	void *(*read)(void *context, const atomic_bool *stop);
	/* Frees what read() returned, or what the loop exchanged it for. */
	void (*release)(void *context, void *result);
};

struct reload;

/* Starts the thread. `work` is copied. NULL: errno says why. */
struct reload *reload_new(const struct reload_work *work);

/* Stops reading, releases what was read and not taken, and ends the thread. NULL is allowed. */
void reload_free(struct reload *reload);

/* Readable when reload_take() or reload_begin() may succeed. */
int reload_fd(const struct reload *reload);

/* Begins to read. False: the thread is not done with the last configuration; try again later. */
bool reload_begin(struct reload *reload);

/* True: a configuration was read. *result is the caller's until reload_done(), which must follow.
 */
bool reload_take(struct reload *reload, void **result);

/* Gives the result back, or what it was exchanged for: the thread releases it. */
void reload_done(struct reload *reload, void *result);

#endif
