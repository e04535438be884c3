/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One output of the daemon: a bounded queue, and a thread that writes what is in it. */
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
 * Starts it. The configuration is copied. A file is opened before this returns: a negative errno
 * says what is wrong with its path. What may pass (no space, no answer) is told, and tried again by
 * and by; so is what is reached over a socket.
 */
int output_new(struct output **output, const struct output_config *config);

const struct output_config *output_config_of(const struct output *output);

/*
 * Takes on a configuration that leads to the same place (output_config_same_place()): what waits
 * stays.
 */
void output_change(struct output *output, const struct output_config *config);

/*
 * Adds a record, head and body behind each other. False: it found no room, and was counted as lost
 * if `counted` is set. Never waits.
 */
bool output_add(struct output *output, struct span head, struct span body, struct queue_class class,
		bool counted);

/* A record that could not be made: counted as lost. */
void output_lose(struct output *output);

/* Has it write what was added. */
void output_wake(struct output *output);

/* Whether something was added since it was last woken. */
bool output_has_news(const struct output *output);

/* Opens its file anew (after a rotation), or looks up its receiver's name again (UDP). */
void output_reopen(struct output *output);

/*
 * Outputs that are no longer wanted, and write what they have: they free themselves. Zeroed to
 * begin.
 */
struct output_leavers {
	_Atomic size_t count;
	_Atomic uint64_t lost; /* events that they lost on the way */
};

/*
 * Has it write what is left, for so long at most, and free itself; it is not the caller's any more.
 * Does not wait.
 */
void output_leave(struct output *output, uint64_t limit_ns, struct output_leavers *leavers);

/*
 * Has it write what is left, for so long at most, and end: to be followed by output_free(). Does
 * not wait.
 */
void output_stop(struct output *output, uint64_t limit_ns);

/*
 * Waits for its end, and a little longer than output_stop() said at most: what it counts stays as
 * it is from then on. False: it hangs, and is left to itself.
 */
bool output_wait(struct output *output);

/* The same; tells what could not be written. NULL is allowed. */
void output_free(struct output *output);

/* Since the start. */
struct output_stats {
	/* records, each once; of UDP also those that were refused later, and are lost */
	uint64_t written;
	uint64_t repeated; /* records that were sent again, for they were in doubt */
	uint64_t lost;	   /* records */
	uint64_t failures; /* of opening or writing */
	uint64_t waiting;  /* records in the queue */
	uint64_t
		doubt; /* records that were sent, and are kept until they have been read for sure */
	uint64_t bytes; /* that both take */
	/*
	 * the last attempt was good, or there was none; and something was written if something
	 * waits
	 */
	bool up;
	/* something has waited for OUTPUT_STALL_S, and nothing was written or failed */
	bool stalled;
};

struct output_stats output_stats(const struct output *output);

#endif
