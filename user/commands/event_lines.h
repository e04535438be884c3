/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads events back that were written as JSON, one per line. */
#ifndef SMTPSNOOP_EVENT_LINES_H
#define SMTPSNOOP_EVENT_LINES_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

#define EVENT_LINE_MAX	     (8U << 20) /* bytes; a longer line is not an event */
#define EVENT_LINES_BAD_STOP 3U		/* so many at the start, and the file contains no events */
#define EVENT_LINES_BAD_TOLD 3U		/* the others are counted */

/* Borrows the event. */
typedef void (*event_line_fn)(void *context, const json_t *event);

/*
 * Reads all lines; empty ones are skipped. False: a line is not an event, or an error of reading.
 * It is reported with `name` and the line's number, unless `quiet`. If the first
 * EVENT_LINES_BAD_STOP lines are not events, or all are not, the file contains none: that is
 * reported once, and the reading ends.
 */
bool event_lines_read(FILE *file, const char *name, bool quiet, event_line_fn on_event,
		      void *context);

#endif
