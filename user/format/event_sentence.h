/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event in one sentence, for people who read a journal or the list of a SIEM. */
#ifndef SMTPSNOOP_EVENT_SENTENCE_H
#define SMTPSNOOP_EVENT_SENTENCE_H

#include "event/event.h"
#include "base/text.h"

#define EVENT_SENTENCE_MAX 1920U /* bytes, whatever others chose */

/*
 * Adds one line of UTF-8. What others chose passes text_add_line(), is shortened, and is enclosed
 * in quotes or angle brackets that it cannot close.
 */
void event_sentence(struct text *out, const struct event *event);

/* How many records, flows, events and so on were lost or left out, and how many bytes. */
uint64_t event_lost(const struct event_stats *stats);
uint64_t event_lost_bytes(const struct event_stats *stats);

/* Adds whose bytes were left out: "; of user nobody: 4452732273 bytes" for each, at most three. */
void event_add_dropped(struct text *out, const struct event *event);

/* Adds the bytes as one line (text_add_line()) of at most `max` bytes; "..." ends what was cut. */
void event_add_short(struct text *out, struct span bytes, size_t max, unsigned int flags);

/* The path of the script that an interpreter runs, else of the executable; empty: not known. */
struct span event_program(const struct sender *sender);

/*
 * Adds what an ancestor ran, as one line: "/usr/bin/php8.2 /srv/spam.php: php -q /srv/spam.php", or
 * "pid 7" if that is not known. Executable, script and arguments are shortened to these bytes.
 */
void event_add_ancestor(struct text *out, const struct ancestor *ancestor, size_t path_max,
			size_t args_max, unsigned int flags);

/* "bytes_missing,odd_address"; "process.user,schedule". */
void event_add_reasons(struct text *out, const struct event *event);
void event_add_criteria(struct text *out, struct criteria criteria);

#endif
