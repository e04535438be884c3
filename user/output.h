/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One output of the daemon: a bounded queue, and a thread that writes what is in it. */
#ifndef SMTPSNOOP_OUTPUT_H
#define SMTPSNOOP_OUTPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "output_config.h"
#include "span.h"

struct output;

/*
 * Starts it. The configuration is copied. A file is opened before this returns: a negative errno then says why it cannot be
 * written; what is reached over a socket may come later.
 */
int output_new(struct output **output, const struct output_config *config);

const struct output_config *output_config_of(const struct output *output);

/* Adds a record, head and body behind each other. What finds no room is counted as lost. Never waits. */
void output_add(struct output *output, struct span head, struct span body, bool urgent);

/* A record that could not be made: counted as lost. */
void output_lose(struct output *output);

/* Has it write what was added. */
void output_wake(struct output *output);

/* Whether something was added since it was last woken. */
bool output_has_news(const struct output *output);

/* Opens its file anew (after a rotation); connections stay. */
void output_reopen(struct output *output);

/* Has it write what is left, for so long at most, and end: to be followed by output_free(). Does not wait. */
void output_stop(struct output *output, uint64_t limit_ns);

/* Waits for its end, and a little longer than output_stop() said at most; tells what could not be written. NULL is allowed. */
void output_free(struct output *output);

/* After output_stop(): whether its thread has ended. */
bool output_has_ended(const struct output *output);

/* Since the start. */
struct output_stats {
	uint64_t written;  /* records, each once */
	uint64_t repeated; /* records that were sent again, for they were in doubt */
	uint64_t lost;	   /* records */
	uint64_t failures; /* of opening or writing */
	uint64_t waiting;  /* records in the queue */
	uint64_t doubt;	   /* records that were sent, and are kept until they have been read for sure */
	uint64_t bytes;	   /* that both take */
	bool up;	   /* the last attempt was good, or there was none */
};

struct output_stats output_stats(const struct output *output);

#endif
