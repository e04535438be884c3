/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An event as the text of one format. A writer appends one record, without an end of line, to an
 * empty text and keeps no state. It escapes what others chose by the rules of its format. A record
 * never contains an end of line, except in the journal's format.
 */
#ifndef SMTPSNOOP_FORMAT_H
#define SMTPSNOOP_FORMAT_H

#include <stdio.h>

#include "event/event.h"
#include "event/formats.h"
#include "base/text.h"

/* If there was no memory, out->failed is set and the record is incomplete. */
typedef void (*format_fn)(struct text *out, const struct event *event);

/* The writer of a format; NULL for those of the terminal (sink_table_new()). */
format_fn format_writer(enum output_format format);

/* One JSON object with ECS 9 names (docs/event.schema.json). */
void event_json(struct text *out, const struct event *event);

/*
 * ArcSight's Common Event Format (CEF:0), always below 7,500 bytes: what does not fit is cut and
 * ends with "...".
 */
void event_cef(struct text *out, const struct event *event);

/*
 * A datagram of the journal's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL), always below 48
 * KiB. It contains line ends, and bytes of 0 in the lengths of values. The caller adds
 * SYSLOG_FACILITY.
 */
void event_journal(struct text *out, const struct event *event);

/* MESSAGE_ID of each action, for `journalctl MESSAGE_ID=...`. */
#define JOURNAL_ID_STARTED    "64e0ddf578ea401eaff4fe5533461bd3"
#define JOURNAL_ID_STATUS     "b4c771d58166456c9f38236983d528e4"
#define JOURNAL_ID_MESSAGE    "03ad436935d049c394947f921e10839d"
#define JOURNAL_ID_ENCRYPTED  "0ddcfcbfa7a94301b71ddffd75f0c578"
#define JOURNAL_ID_SESSION    "6b26bf713d5d4c21b4b2c95b82ee3bd7"
#define JOURNAL_ID_LOSS	      "2e6db8790da14221b0f9d0daf7ec0c82"
#define JOURNAL_ID_STOPPED    "8cc826f1a7ac4deab6d2a2fa1568fe89"
#define JOURNAL_ID_SUBMISSION "d0a4c95e1f7b4e6c8f3b52a96e17c4d8"

/*
 * One flat JSON object of less than 60,000 bytes, for Microsoft Sentinel
 * (deploy/sentinel/table.json).
 */
void event_sentinel(struct text *out, const struct event *event);

struct table_options {
	bool wide;	    /* a line of name=value pairs, with everything that is known */
	bool color;	    /* ANSI colours */
	bool all;	    /* also the ends of sessions */
	unsigned int width; /* columns of the terminal; 0: not a terminal, so nothing is cut */
	unsigned int rows;  /* lines of the terminal; 0: not known, so the header comes once */
	/* Reads both again, before each row; NULL: they do not change. */
	void (*size)(unsigned int *width, unsigned int *rows);
};

/* A table for people, to `out`, which stays the caller's. NULL if there is no memory. */
struct sink *sink_table_new(FILE *out, const struct table_options *options);

/* A line for each event, to `out`, which stays the caller's. NULL if there is no memory. */
struct sink *sink_lines_new(FILE *out, format_fn format);

#endif
