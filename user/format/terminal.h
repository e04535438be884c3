/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the table and wide lines go: a terminal with a width and colours, a pipe or a file. */
#ifndef SMTPSNOOP_TERMINAL_H
#define SMTPSNOOP_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

#include "base/text.h"

#define GREEN	"\033[32m"
#define YELLOW	"\033[33m"
#define BLUE	"\033[34m"
#define MAGENTA "\033[35m"
#define CYAN	"\033[36m"
#define ALERT	"\033[1;31m" /* of alerts alone */
#define DIM	"\033[2m"
#define BOLD	"\033[1m"
#define PLAIN	"\033[0m"

#define TERMINAL_WORDS_LINES_MAX 4U /* lines of terminal_put_words() */

struct terminal {
	FILE *out;
	bool color;
	size_t width;	  /* columns that are used; 0: there is no limit */
	size_t written;	  /* lines so far */
	struct text line; /* owned; the line in the making */
	struct text cell; /* owned; scratch for one value, empty between two */
};

/* Adds one of the codes above, if the terminal has colours. */
void terminal_color(struct terminal *terminal, const char *code);

/* Removes blanks from the end of the line. */
void terminal_trim(struct terminal *terminal);

/* Writes the line and empties it. 0 or a negative errno. */
int terminal_put_line(struct terminal *terminal);

/*
 * Writes the line and empties it, as several lines if it is wider than the terminal: broken at
 * blanks, each with `indent` blanks in front. What does not fit TERMINAL_WORDS_LINES_MAX lines is
 * shortened. The line has no colours; `color` is that of the whole. 0 or a negative errno.
 */
int terminal_put_words(struct terminal *terminal, const char *color, size_t indent);

#endif
