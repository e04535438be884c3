/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One output of the daemon: a bounded queue, and a thread that writes its records. */
#ifndef SMTPSNOOP_OUTPUT_H
#define SMTPSNOOP_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/output_config.h"
#include "output/queue.h"
#include "base/span.h"

#define OUTPUT_STALL_S 10U

struct output;

/*
 * Starts an output; the caller ends it by output_free() or output_leave(). The configuration is
 * copied. A file is opened before this returns, and a negative errno says what is wrong with its
 * path. Transient failures (disk full, no answer) are reported and retried, and so is everything
 * that goes over a socket.
 */
int output_new(struct output **output, const struct output_config *config);

const struct output_config *output_config_of(const struct output *output);

/*
 * Applies a configuration with the same destination (output_config_same_place()). Queued records
 * stay.
 */
void output_change(struct output *output, const struct output_config *config);

/*
 * Adds a record: head, then body. False if there was no room for it; the record then counts as lost
 * if `counted` is set. Never waits.
 */
bool output_add(struct output *output, struct span head, struct span body, struct queue_class class,
		bool counted);

/* Counts as lost a record that could not be made. */
void output_lose(struct output *output);

/* Wakes the thread to write what was added. */
void output_wake(struct output *output);

/* Whether something was added since it was last woken. */
bool output_has_news(const struct output *output);

/* Reopens its file (after a rotation), or looks up its receiver's name again (UDP). */
void output_reopen(struct output *output);

/*
 * Outputs that the configuration no longer has. They write what they have and free themselves.
 * Zeroed to begin.
 */
struct output_leavers {
	_Atomic size_t count;
	_Atomic uint64_t lost; /* events that they lost meanwhile */
};

/*
 * Gives the output up: it writes what is left, for at most limit_ns, and frees itself. The caller
 * must not use it any more. Does not wait. `leavers` must outlive the output.
 */
void output_leave(struct output *output, uint64_t limit_ns, struct output_leavers *leavers);

/*
 * Tells it to write what is left, for at most limit_ns, and to end. output_free() must follow. Does
 * not wait.
 */
void output_stop(struct output *output, uint64_t limit_ns);

/*
 * Waits for its end, at most a little longer than output_stop() allowed. Its counts are final then.
 * False if it hangs; its memory is left to it.
 */
bool output_wait(struct output *output);

/* Waits like output_wait(), reports what could not be written, and frees it. NULL is allowed. */
void output_free(struct output *output);

/* Counts since the start of the output. */
struct output_stats {
	/* records, each once; over UDP also those that were refused later, and are lost */
	uint64_t written;
	uint64_t repeated; /* records that were sent again because they were in doubt */
	uint64_t lost;	   /* records */
	uint64_t failures; /* to open or to write */
	uint64_t waiting;  /* records in the queue */
	uint64_t doubt; /* records that were sent and are kept until they have surely been read */
	uint64_t bytes; /* memory used by both */
	/* the last attempt succeeded, or there was none; and the output is not stalled */
	bool up;
	/* records have waited for OUTPUT_STALL_S without a write or a failure */
	bool stalled;
};

struct output_stats output_stats(const struct output *output);

#endif
