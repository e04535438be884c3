/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A way out of the process, for whole records. All calls come from one thread, that of its output.
 *
 * What was sent may still not have been read when the other end goes away. A transport that can
 * tell how many of the last records are in doubt says so; the output keeps them, and sends them
 * again once it is connected anew. So a record may arrive twice (it has the same event id), but not
 * never.
 */
#ifndef SMTPSNOOP_TRANSPORT_H
#define SMTPSNOOP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/output_config.h"

#define TRANSPORT_BATCH 64 /* records at a time */

struct transport {
	/*
	 * Opens or connects, what was open being closed. 0, or a negative errno: to be tried again
	 * later.
	 */
	int (*open)(struct transport *transport);

	/*
	 * Sends records in their order: how many were taken whole (0: there is no room now), or a
	 * negative errno if not even the first one was (-EMSGSIZE: it never will be). A record that
	 * was taken in part is to be given again.
	 */
	int (*send)(struct transport *transport, const struct iovec *records, int count);

	/*
	 * After an error of send(): whether it has to be opened anew; else it is to be tried again
	 * as it is.
	 */
	bool (*is_broken)(const struct transport *transport, int error);

	/* Waits until there may be room. NULL: it always has. */
	void (*wait)(struct transport *transport, int timeout_ms);

	/*
	 * Of `sent` records in doubt, the last ones: how many still are, or a negative errno if the
	 * other end is gone. Besides, all are that were sent less than doubt_ns ago. NULL: none
	 * ever is.
	 */
	int (*unsure)(struct transport *transport, size_t sent);
	uint64_t doubt_ns;

	/* After an error: so long without another one before it counts as good again. */
	uint64_t quiet_ns;

	/*
	 * Records that were taken, and then lost, as a later send() heard. Whoever counts them sets
	 * it to 0.
	 */
	uint64_t lost;

	/* Whether the other end has all that was sent, as far as can be told. NULL: always. */
	bool (*is_settled)(const struct transport *transport);

	/*
	 * Whether what is written goes nowhere any more: it must be opened anew first. NULL: never.
	 */
	bool (*is_gone)(const struct transport *transport);

	/* Whether it should be opened anew, and may be used until then. NULL: never. */
	bool (*is_stale)(const struct transport *transport);

	void (*free)(struct transport *transport);
};

/*
 * Appends to a file, which is made (mode 0640) if it is not there. NULL if there is no memory; so
 * the others.
 */
struct transport *transport_file_new(const char *path);

/* Standard output. */
struct transport *transport_stdout_new(void);

/* A datagram a record, to a socket of this host. */
struct transport *transport_local_new(const char *path);

struct transport *transport_udp_new(const char *host, const char *service);
struct transport *transport_tcp_new(const char *host, const char *service);

#endif
