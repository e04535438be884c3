/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What output.c and the thread of an output (output_thread.c) share. No other file includes it. */
#ifndef SMTPSNOOP_OUTPUT_THREAD_H
#define SMTPSNOOP_OUTPUT_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "output/output.h"
#include "output/transport.h"

#define PLACE_MAX 300U

struct output {
	/* the thread may read its name, type and place alone: these never change */
	struct output_config config;
	char place[PLACE_MAX]; /* as reports name it */
	struct transport *transport;
	struct queue *queue;
	pthread_t thread;
	bool started;
	/* Bytes added since the thread was last woken; for the adding thread alone */
	uint64_t news;
	_Atomic uint64_t written, repeated, lost, failures;
	_Atomic uint64_t doubt_count; /* changed by the thread alone */
	/* the last time when something was written, or nothing waited (CLOCK_MONOTONIC) */
	_Atomic uint64_t progress_ns;
	_Atomic bool up, reopen, abandoned;
	_Atomic uint64_t stop_ns; /* CLOCK_MONOTONIC; 0: the output is not to end */

	/* Set before stop_ns. NULL: the caller waits for the end. */
	struct output_leavers *leavers;
	uint64_t lost_told; /* the part of `lost` that was reported when it left */

	/* For the thread alone. */
	struct entry *waiting, **waiting_end;
	struct entry *doubt, **doubt_end;
	uint64_t doubt_bytes;
	uint64_t again; /* so many of the first in `waiting` were sent before */
	uint64_t retry_ns, reopen_ns, failed_ns;
	uint64_t lost_before, repeated_before; /* counts when the current failure began */
	bool open;
	bool reopen_due; /* it is open, and is to be reopened */
};

/* The thread; `output` is a struct output. */
void *output_run(void *output);

/* Counts a failure to open or to write; reports it if the output worked before. */
void output_failed(struct output *output, int error);

/* Events that were added and neither written nor sent. */
uint64_t output_unwritten(const struct output *output);

/* Reports the number of such events, if there are any. */
void output_report_unwritten(const struct output *output);

/* Frees the output and what it holds. Its thread must have ended, or be the caller. */
void output_destroy(struct output *output);

#endif
