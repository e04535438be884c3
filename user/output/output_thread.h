/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What output.c and the thread of an output (output_thread.c) share; nobody else includes it. */
#ifndef SMTPSNOOP_OUTPUT_THREAD_H
#define SMTPSNOOP_OUTPUT_THREAD_H

#include <pthread.h>
#include <stdatomic.h>

#include "output/output.h"
#include "output/transport.h"

#define PLACE_MAX 300U

struct output {
	/* of it, the thread knows the name and the place alone: they never change */
	struct output_config config;
	char place[PLACE_MAX]; /* for people */
	struct transport *transport;
	struct queue *queue;
	pthread_t thread;
	bool started;
	uint64_t news; /* bytes that were added since it was last woken; the adder's */
	_Atomic uint64_t written, repeated, lost, failures;
	_Atomic uint64_t doubt_count; /* changed by the thread alone */
	/* when something was written last, or nothing waited (CLOCK_MONOTONIC) */
	_Atomic uint64_t progress_ns;
	_Atomic bool up, reopen, abandoned;
	_Atomic uint64_t stop_ns; /* CLOCK_MONOTONIC; 0: it is not to end */

	/* Set before stop_ns; NULL: somebody waits for the end. */
	struct output_leavers *leavers;
	uint64_t lost_told; /* of `lost`, as it left */

	/* The thread's. */
	struct entry *waiting, **waiting_end;
	struct entry *doubt, **doubt_end;
	uint64_t doubt_bytes;
	uint64_t again; /* of `waiting`, the first ones: were sent before */
	uint64_t retry_ns, reopen_ns, failed_ns;
	uint64_t lost_before, repeated_before; /* the failure under way */
	bool open;
	bool reopen_due; /* it is open, and is to be opened anew */
};

/* The thread; `output` is a struct output. */
void *output_run(void *output);

/* Counts a failure to open or to write, and reports it if it is the first of a row. */
void output_failed(struct output *output, int error);

/* Events that were added, and neither written nor sent. */
uint64_t output_unwritten(const struct output *output);

/* Reports them, if there are any. */
void output_report_unwritten(const struct output *output);

/* Frees the output and what it holds; no thread may use it any more. */
void output_destroy(struct output *output);

#endif
