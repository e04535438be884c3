/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An event as the text of one format. A formatter appends one record, without an end of line, to an empty text; it
 * keeps nothing. What others chose of it is escaped by the rules of the format: a record never holds an end of line, but
 * for the journal's.
 */
#ifndef SMTPSNOOP_FORMAT_H
#define SMTPSNOOP_FORMAT_H

#include <stdio.h>

#include "event.h"
#include "text.h"

/* If there was no memory, out->failed says so, and the record is not whole. */
typedef void (*format_fn)(struct text *out, const struct event *event);

/* One JSON object (CONTRACT of the project, ECS 9 names; docs/event.schema.json). */
void event_json(struct text *out, const struct event *event);

/* One flat JSON object of less than 60,000 bytes, for Microsoft Sentinel (deploy/sentinel/table.json). */
void event_sentinel(struct text *out, const struct event *event);

/* A line an event, to `out`, which stays the caller's. NULL if there is no memory. */
struct sink *sink_lines_new(FILE *out, format_fn format);

#endif
