/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an event says in a few words, and the lines that they go to. For people: the table
 * (event_table.c) and wide lines (event_wide.c).
 */
#ifndef SMTPSNOOP_EVENT_WORDS_H
#define SMTPSNOOP_EVENT_WORDS_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"
#include "event/event.h"

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define DIM    "\033[2m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

/* Where lines go, and the line in the making. */
struct terminal {
	FILE *out;
	bool color;
	struct text line; /* owned */
	struct text cell; /* owned; scratch for one value, empty between two */
};

/* Adds one of the codes above, if the terminal has colours. */
void terminal_color(struct terminal *terminal, const char *code);

/* Removes blanks from the end of the line. */
void terminal_trim(struct terminal *terminal);

/* Writes the line and empties it. 0 or a negative errno. */
int terminal_put_line(struct terminal *terminal);

/* One event as a wide line. 0 or a negative errno. */
int event_wide(struct terminal *terminal, const struct event *event);

/* "sent", "refused", ...: what became of the mail, and the code of its colour. Static strings. */
const char *words_result(const struct event *event);
const char *words_color(const struct event *event);

/*
 * The name by which people know a process: the script that an interpreter runs, else the
 * executable.
 */
struct span words_process(const struct sender *sender);

/*
 * Adds that name and, if another process made it send, which one: "msmtp < php spam.php". It is
 * shortened, as long as it is wider than `width` columns (0: no limit), to "msmtp < spam.php" and
 * "< spam.php", which may still be wider.
 */
void words_add_process(struct text *text, const struct sender *sender, size_t width);

/*
 * These add to a text. What others chose passes text_add_visible(). The origin ("joe>": who
 * submitted the mail to the MTA) is added if it is known.
 */
void words_add_user(struct text *text, const struct sender *sender);
void words_add_origin(struct text *text, const struct origin *origin);
void words_add_endpoint(struct text *text, const struct endpoint *endpoint);
void words_add_size(struct text *text, uint64_t bytes); /* 999, 1.2K, 34M: five columns at most */
void words_add_unit(struct text *text, const struct sender *sender); /* or the container; "-" */
void words_add_from(struct text *text, const struct event *event);
void words_add_to(struct text *text, const struct event *event); /* "first@example +2" */

/* What a reader must not miss, for the end of a line of the table. */
void words_add_notes(struct text *text, const struct event *event);

#endif
