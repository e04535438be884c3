/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The options that say which events are shown. */
#ifndef SMTPSNOOP_OPTIONS_FILTER_H
#define SMTPSNOOP_OPTIONS_FILTER_H

#include "commands/options.h"

/*
 * Each adds the values of one option, separated by commas, to a filter. On a mistake: one line on
 * standard error, and -EINVAL. Words point into `text`.
 */
int filter_option_numbers(const char *option, const char *text, uint32_t max,
			  struct filter_numbers *numbers);
int filter_option_words(const char *option, const char *text, struct filter_words *words);

/* KEY=PATTERN: adds a criterion, which the options own. */
int filter_option_where(struct options *options, const char *text);

/*
 * Looks whether this host has what the filter names, as watch, record and run need it. A name that
 * can never match is an error (reported): -EINVAL. One that may come later is only reported.
 */
int filter_check_host(const struct filter *filter);

#endif
