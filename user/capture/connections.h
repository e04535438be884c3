/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The connections to ports for mail on which much was being sent when the watch began, passed on as
 * RECORD_CONNECTION.
 */
#ifndef SMTPSNOOP_CONNECTIONS_H
#define SMTPSNOOP_CONNECTIONS_H

#include <stddef.h>
#include <linux/types.h>

#include "record.h"

#define CONNECTIONS_MAX	       1024U /* connections passed on */
#define CONNECTIONS_NETNS_MAX  64U   /* network namespaces that are looked at */
#define CONNECTIONS_QUEUED_MIN 2048U /* bytes on their way: more than commands have */
/* After this time the search ends: what it has found by then is passed on. */
#define CONNECTIONS_TIME_NS 200000000ULL
#define CONNECTIONS_WAIT_MS 100 /* for each answer of the kernel */

typedef void (*connections_fn)(void *context, const struct record *record);

/*
 * Passes on one record for each connection with CONNECTIONS_QUEUED_MIN bytes that its peer has not
 * acknowledged, in every network namespace that a process is in. An idle connection gives none.
 * Kernels without sock_diag(7) give none at all. Records die with the call. Returns the number of
 * records.
 */
size_t connections_read(connections_fn on_record, void *context);

#endif
