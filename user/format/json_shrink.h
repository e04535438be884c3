/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A JSON event made shorter, for an output that takes no long lines. */
#ifndef SMTPSNOOP_JSON_SHRINK_H
#define SMTPSNOOP_JSON_SHRINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/*
 * Makes an event (one JSON object, without an end of line) that is longer than `max` bytes fit
 * them: strings are cut, with "..." behind what is left, and lists shortened, the least that will
 * do of three steps. Keys, their order and numbers stay; smtpsnoop.truncated says true. False if
 * that does not make it fit, if it is no object, if a number is beyond 63 bits, or if there is no
 * memory: then the line is as it was.
 */
bool json_shrink(struct text *line, size_t max);

#endif
