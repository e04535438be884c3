/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which events are shown.
 *
 * A filter looks for something, so it asks less than an exclusion does: one process, one recipient
 * of several is enough. What is not known does not match.
 */
#ifndef SMTPSNOOP_FILTER_H
#define SMTPSNOOP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "event/event.h"
#include "policy/exclusion.h"

#define FILTER_VALUES_MAX 32U /* of one option */
#define FILTER_WHERE_MAX  16U

/* Any of them matches; none: all do. Borrowed. */
struct filter_words {
	struct span items[FILTER_VALUES_MAX];
	uint32_t count;
};

struct filter_numbers {
	uint32_t items[FILTER_VALUES_MAX];
	uint32_t count;
};

/* What the user asked for. Events without a flow (started, stopped, status, loss) always pass. */
struct filter {
	bool all;		   /* also excluded messages, and sessions without a transaction */
	bool alerts;		   /* alerts alone */
	struct filter_numbers pid; /* also the pid of an ancestor */
	struct filter_words user;  /* name or number of the effective user */
	struct filter_words unit;  /* without a dot: a service */
	struct filter_words container; /* the beginning of its id, or its name */
	struct filter_numbers port;    /* destination */
	const struct exclusion *where; /* each has one criterion, and all must match; borrowed */
	uint32_t where_count;
	uint64_t count; /* report this many messages at most; 0: all */
};

/* Adds a value. False: there are FILTER_VALUES_MAX already. */
bool filter_add_word(struct filter_words *words, struct span word);
bool filter_add_number(struct filter_numbers *numbers, uint32_t number);

/* True if the filter selects by sender; or by sender or port. A recording is selected by these. */
bool filter_wants_sender(const struct filter *filter);
bool filter_selects(const struct filter *filter);

/* True if a criterion needs the text of messages. */
bool filter_wants_content(const struct filter *filter);

bool filter_passes_port(const struct filter *filter, uint16_t port);

/* True if this sender is one that the filter selects. */
bool filter_passes_sender(const struct filter *filter, const struct sender *sender);

/*
 * True if the event is to be shown. Does not look at `count`. `names`: the addresses of relays that
 * a criterion names; may be NULL.
 */
bool filter_passes(const struct filter *filter, const struct event *event,
		   const struct relay_names *names);

#endif
