/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an event says in a few words: the cells of the table (event_table.c), and words of wide
 * lines (event_wide.c). For people.
 */
#ifndef SMTPSNOOP_EVENT_WORDS_H
#define SMTPSNOOP_EVENT_WORDS_H

#include "base/text.h"
#include "event/event.h"
#include "format/terminal.h"

/* One event as a wide line. 0 or a negative errno. */
int event_wide(struct terminal *terminal, const struct event *event);

/* "sent", "refused", ...: what became of the mail. A static string. */
const char *words_result(const struct event *event);

/* The code of the colour of a result, and of an event: ALERT if it is one. Static strings. */
const char *words_result_color(const char *result);
const char *words_color(const struct event *event);

/*
 * The name by which people know a process: the script that an interpreter runs, else the
 * executable.
 */
struct span words_process(const struct sender *sender);

/*
 * Adds that name and, if another process made it send or handed the mail to it (`origin`, which may
 * be NULL), which one: "msmtp < php spam.php". It is
 * shortened, as long as it is wider than `width` columns (0: no limit), to "msmtp < spam.php" and
 * "< spam.php", which may still be wider.
 */
void words_add_process(struct text *text, const struct sender *sender, const struct origin *origin,
		       size_t width);

/*
 * These add to a text. What others chose passes text_add_visible(). The origin ("joe>": who
 * submitted the mail to the MTA) is added if it is known.
 */
void words_add_user(struct text *text, const struct sender *sender);
void words_add_origin(struct text *text, const struct origin *origin);
void words_add_endpoint(struct text *text, const struct endpoint *endpoint);
void words_add_size(struct text *text, uint64_t bytes); /* 999, 1.2K, 34M: four columns at most */
void words_add_unit(struct text *text, const struct sender *sender); /* or the container; "-" */

/*
 * The sender and the recipients ("first@example +2") in `width` columns; 0: no limit. An address
 * that is wider loses characters of its local part first, so that its domain stays readable; then
 * the front of its domain.
 */
void words_add_from(struct text *text, const struct event *event, size_t width);
void words_add_to(struct text *text, const struct event *event, size_t width);

/* The columns that an address needs, as words_add_to() writes it, to show its whole domain. */
size_t words_address_needs(struct span visible);

#endif
