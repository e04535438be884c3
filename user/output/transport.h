/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A way out of the process, for whole records. All calls come from one thread, that of the output.
 *
 * Records that were sent may still be unread when the receiver goes away. A transport that can tell
 * how many of the last records are in doubt says so; the output keeps these and sends them again
 * after it has reconnected. So a record may arrive twice (with the same event id), but is not lost.
 */
#ifndef SMTPSNOOP_TRANSPORT_H
#define SMTPSNOOP_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "config/output_config.h"

#define TRANSPORT_BATCH 64 /* records in one call */

struct transport {
	/*
	 * Opens or connects, and closes what was open before. If that fails, a file or a connection
	 * to another host stays open. 0, or a negative errno: to be retried later.
	 */
	int (*open)(struct transport *transport);

	/*
	 * Sends records in order. Returns how many were accepted whole (0: no room now), or a
	 * negative errno if not even the first one was (-EMSGSIZE: it never will be). A record that
	 * was accepted in part must be given again.
	 */
	int (*send)(struct transport *transport, const struct iovec *records, int count);

	/*
	 * After an error of send(): whether it must be reopened. Otherwise send() is to be retried.
	 */
	bool (*is_broken)(const struct transport *transport, int error);

	/* Waits until there may be room. NULL: there always is. */
	void (*wait)(struct transport *transport, int timeout_ms);

	/*
	 * `sent` records are in doubt: returns how many of the last of them still are, or a
	 * negative errno if the receiver is gone. Records sent less than doubt_ns ago are in doubt
	 * in any case. NULL: no record ever is.
	 */
	int (*unsure)(struct transport *transport, size_t sent);
	uint64_t doubt_ns;

	/* After an error: the time without another error before it counts as working again. */
	uint64_t quiet_ns;

	/*
	 * Records that were accepted and then lost, as a later send() learned. The caller that
	 * counts them sets it to 0.
	 */
	uint64_t lost;

	/*
	 * Whether the receiver has everything that was sent, as far as the kernel knows. NULL:
	 * always.
	 */
	bool (*is_settled)(const struct transport *transport);

	/*
	 * Whether writes no longer reach anybody, so that it must be reopened first. NULL: never.
	 */
	bool (*is_gone)(const struct transport *transport);

	/* Whether it should be reopened, and may be used until then. NULL: never. */
	bool (*is_stale)(const struct transport *transport);

	void (*free)(struct transport *transport);
};

/*
 * Appends to a file, which is created (mode 0640) if it does not exist. This function and the
 * others return NULL if there is no memory; the caller frees the transport with its free().
 */
struct transport *transport_file_new(const char *path);

/* Standard output. */
struct transport *transport_stdout_new(void);

/* One datagram for each record, to a socket of this host. */
struct transport *transport_local_new(const char *path);

struct transport *transport_udp_new(const char *host, const char *service);
struct transport *transport_tcp_new(const char *host, const char *service);

#endif
