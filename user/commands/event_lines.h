/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads events back that were written as JSON, one per line. */
#ifndef SMTPSNOOP_EVENT_LINES_H
#define SMTPSNOOP_EVENT_LINES_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

/* Borrows the event. */
typedef void (*event_line_fn)(void *context, const json_t *event);

/*
 * Reads all lines; empty ones are skipped. A line that is not JSON, or an error of reading, is
 * reported with `name` and the line's number; then the result is false, after all lines have been
 * read.
 */
bool event_lines_read(FILE *file, const char *name, event_line_fn on_event, void *context);

#endif
