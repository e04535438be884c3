/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a reader of the table must not miss about an event, in words. */
#ifndef SMTPSNOOP_TABLE_NOTES_H
#define SMTPSNOOP_TABLE_NOTES_H

#include "base/text.h"
#include "event/event.h"
#include "format/table_layout.h"

#define NOTES_DOMAINS_MAX 3U /* domains of further recipients that are named */

/*
 * Adds "ALERT: closest exclusion 'nightly' failed on process.user" and what is unusual; nothing if
 * it is no alert, or if nothing is known but that. Of many criteria, those that fit a line of
 * `width` columns (0: no limit) are named.
 */
void notes_add_alert(struct text *text, const struct event *event, size_t width);

/*
 * Adds "1 of 2 recipients refused; reply: 550 ..." and the like, or nothing. `all`: of an alert
 * also what the columns of the layout leave out.
 */
void notes_add_details(struct text *text, const struct event *event,
		       const struct table_layout *layout, bool all);

/* Reasons that other words of the notes do not cover, by name: "executable_deleted, odd_address".
 */
void notes_add_reasons(struct text *text, const char *const *reasons, size_t count);

#endif
