/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event in one sentence, for whoever reads a journal or a SIEM's list. */
#ifndef SMTPSNOOP_EVENT_SENTENCE_H
#define SMTPSNOOP_EVENT_SENTENCE_H

#include "event/event.h"
#include "base/text.h"

#define EVENT_SENTENCE_MAX 1700U /* bytes, whatever others chose */

/*
 * Adds one line of UTF-8. What others chose is made clean by text_add_line(), shortened, and stands
 * between quotes or angle brackets that it cannot close.
 */
void event_sentence(struct text *out, const struct event *event);

/* What was lost or left out, counted without bytes; and the bytes. */
uint64_t event_lost(const struct event_stats *stats);
uint64_t event_lost_bytes(const struct event_stats *stats);

/*
 * Adds the bytes as one line (text_add_line()), `max` bytes at most, with "..." behind what was
 * cut.
 */
void event_add_short(struct text *out, struct span bytes, size_t max, unsigned int flags);

/* The script that an interpreter runs, else the executable; empty: not known. */
struct span event_program(const struct sender *sender);

/* "bytes_missing,odd_address"; "process.user,schedule". */
void event_add_reasons(struct text *out, const struct event *event);
void event_add_criteria(struct text *out, uint32_t criteria);

#endif
