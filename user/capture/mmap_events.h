/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Tells when any process maps a file as executable. */
#ifndef SMTPSNOOP_MMAP_EVENTS_H
#define SMTPSNOOP_MMAP_EVENTS_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "capture/mapping.h"

struct mmap_events;

typedef void (*mmap_event_fn)(void *context, uint32_t pid, const struct mapping *mapping);

/*
 * Opens a ring of 64 KiB for each processor that is online. Returns 0, or a negative errno: then
 * nothing is open. mmap_events_close() frees it.
 */
int mmap_events_open(struct mmap_events **events);
void mmap_events_close(struct mmap_events *events); /* NULL is allowed */

/* Opens the rings of processors that have come online since. */
void mmap_events_renew(struct mmap_events *events);

/* Descriptors to poll for reading, in an array of the caller; at most `max`. Returns their number.
 */
size_t mmap_events_poll(const struct mmap_events *events, struct pollfd *fds, size_t max);
size_t mmap_events_fds_max(const struct mmap_events *events);

/*
 * Gives what waits, a bounded number of events of each ring. The mapping's path dies with the call.
 * Adds to *lost how many events the kernel has dropped, because a ring was full. Returns whether
 * events are left: these wake nobody.
 */
bool mmap_events_drain(struct mmap_events *events, mmap_event_fn give, void *context,
		       uint64_t *lost);

#endif
