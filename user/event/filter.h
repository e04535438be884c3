/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which events are shown. */
#ifndef SMTPSNOOP_FILTER_H
#define SMTPSNOOP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

/* Which events the user asked for; those of the started, stopped and loss kind always pass. */
struct filter {
	bool all;	       /* also sessions without a mail transaction, and excluded messages */
	uint32_t pid;	       /* 0: any; also as an ancestor */
	const char *user;      /* name or number of the effective user; NULL: any */
	const char *unit;      /* NULL: any */
	const char *container; /* the beginning of its id; NULL: any */
	uint16_t port;	       /* destination; 0: any */
	uint64_t count;	       /* messages that are told at most; 0: all */
};

/* Whether the event is asked for; `count` is not looked at. */
bool filter_passes(const struct filter *filter, const struct event *event);

#endif
