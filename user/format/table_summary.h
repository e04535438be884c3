/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The closing summary of the table: who sent how much, the unusual ones first, and what was lost.
 */
#ifndef SMTPSNOOP_TABLE_SUMMARY_H
#define SMTPSNOOP_TABLE_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "format/terminal.h"

#define SUMMARY_SENDERS_MAX 512U /* different senders that are counted apart */
#define SUMMARY_USER_MAX    64U	 /* of them, those of one user: nobody can fill the list alone */
#define SUMMARY_SHOWN	    30U	 /* senders that the summary names */
#define SUMMARY_REASONS_MAX 4U	 /* different reasons that are kept of a sender */

/* A process by name, with its user; or the rest of what a user's processes sent. */
struct summary_sender {
	char *name; /* visible; owned */
	uint32_t uid;
	uint64_t count;
	uint64_t alerts;			  /* of them */
	const char *reasons[SUMMARY_REASONS_MAX]; /* what was unusual; static strings */
	size_t reason_count;
};

/* Starts zeroed. */
struct summary {
	struct summary_sender *senders; /* owned */
	size_t count, size;
	uint64_t rest, rest_alerts; /* of senders that found no room */
	bool doubtful; /* a span or a hook was reported in which mail may have been missed */
};

/* Counts an event, if it is one that somebody sent. */
void summary_count(struct summary *summary, const struct event *event);

/* Writes it. 0 or a negative errno. */
int summary_write(struct summary *summary, struct terminal *terminal,
		  const struct event_stats *stats);

void summary_free(struct summary *summary);

/* Adds what was lost, in words. False: nothing was lost. */
bool summary_add_losses(struct text *line, const struct event_stats *stats);

#endif
