/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which events are shown. */
#ifndef SMTPSNOOP_FILTER_H
#define SMTPSNOOP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* Which events the user asked for. Events of the kinds started, stopped and loss always pass. */
struct filter {
	bool all;	       /* also excluded messages, and sessions without a mail transaction */
	uint32_t pid;	       /* 0: any; also the pid of an ancestor */
	const char *user;      /* name or number of the effective user; NULL: any */
	const char *unit;      /* NULL: any */
	const char *container; /* the beginning of its id; NULL: any */
	uint16_t port;	       /* destination; 0: any */
	uint64_t count;	       /* messages shown at most; 0: all */
};

/* Whether the event passes the filter; `count` is ignored. */
bool filter_passes(const struct filter *filter, const struct event *event);

#endif
