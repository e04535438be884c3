/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Metrics over HTTP, served by libmicrohttpd on a thread of its own. In a build without
 * libmicrohttpd, listening fails with -ENOSYS.
 */
#ifndef SMTPSNOOP_METRICS_HTTP_H
#define SMTPSNOOP_METRICS_HTTP_H

#include "config/config.h"
#include "daemon/metrics_board.h"

/* What all listeners share: the board and the table of connections. */
struct http;

struct MHD_Daemon; /* a listener */

/* The board is borrowed until http_free(). NULL if there is no memory. */
struct http *http_new(struct board *board);

/* All listeners must have been stopped. NULL is allowed. */
void http_free(struct http *http);

/*
 * Starts a listener at the configured address and port. On success *listener is the caller's, to be
 * passed to http_stop(). Returns 0 or a negative errno: -ENOSYS without libmicrohttpd.
 */
int http_listen(struct http *http, const struct metrics_config *config,
		struct MHD_Daemon **listener);

/* Ends the listener, its connections and its thread. NULL is allowed. */
void http_stop(struct MHD_Daemon *listener);

/* Ends connections that are older than 10 seconds. To be called every second. */
void http_end_old(struct http *http);

#endif
