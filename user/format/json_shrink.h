/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A JSON event made shorter, for an output that does not accept long lines. */
#ifndef SMTPSNOOP_JSON_SHRINK_H
#define SMTPSNOOP_JSON_SHRINK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/*
 * Makes an event (one JSON object, without an end of line) fit `max` bytes. A longer one is
 * shortened in steps until it fits: strings are cut and end with "...", lists lose their last
 * elements, and the last steps remove what other fields say as well. The order of keys and the
 * numbers stay, and smtpsnoop.truncated is true. False if it does not fit after the last step, is
 * not an object, has a number beyond 63 bits, or if there is no memory: then the line is unchanged.
 */
bool json_shrink(struct text *line, size_t max);

#endif
