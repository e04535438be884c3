/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which events are shown. */
#ifndef SMTPSNOOP_FILTER_H
#define SMTPSNOOP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* What the user asked for. Events without a flow (started, stopped, status, loss) always pass. */
struct filter {
	bool all;	       /* also excluded messages, and sessions without a mail transaction */
	uint32_t pid;	       /* 0: any; also the pid of an ancestor */
	const char *user;      /* name or number of the effective user; NULL: any */
	const char *unit;      /* NULL: any */
	const char *container; /* the beginning of its id, or its name; NULL: any */
	uint16_t port;	       /* destination; 0: any */
	uint64_t count;	       /* report this many messages at most; 0: all */
};

/* True if the filter selects by sender; or by anything else than `all` and `count`. */
bool filter_wants_sender(const struct filter *filter);
bool filter_selects(const struct filter *filter);

/* True if this sender is one that the filter selects. */
bool filter_passes_sender(const struct filter *filter, const struct sender *sender);

/* True if the event is to be shown. Does not look at `count`. */
bool filter_passes(const struct filter *filter, const struct event *event);

#endif
