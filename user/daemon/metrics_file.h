/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Metrics as a text file, for the textfile collector of the Prometheus node exporter. */
#ifndef SMTPSNOOP_METRICS_FILE_H
#define SMTPSNOOP_METRICS_FILE_H

#include "daemon/metrics_board.h"

struct writer;

/*
 * Starts a thread that writes the board's page to `path` every 15 seconds. `path` is copied, and
 * the board gets a user. On success *started is the caller's, to be passed to writer_stop().
 * Returns 0 or a negative errno. Waits for no disk: a path that cannot be written shows later, as a
 * report and in board_failures().
 */
int writer_start(struct writer **started, struct board *board, const char *path);

/*
 * Tells the thread to remove the file and to end; does not wait. The thread frees itself. NULL is
 * allowed.
 */
void writer_stop(struct writer *writer);

/* Borrowed from the writer. */
const char *writer_path(const struct writer *writer);

#endif
