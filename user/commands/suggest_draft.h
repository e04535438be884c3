/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A stream as an exclusion in YAML. */
#ifndef SMTPSNOOP_SUGGEST_DRAFT_H
#define SMTPSNOOP_SUGGEST_DRAFT_H

#include <stdbool.h>

#include "base/text.h"
#include "commands/suggest_stream.h"

/*
 * Adds the exclusion, as one item of a list. False: relays or recipients vary too much for one;
 * then nothing is added. Sorts the messages of the stream by time.
 */
bool draft_write(struct text *out, struct stream *stream, const char *name);

/* Adds comments: how many messages there were, and when. */
void draft_comment(struct text *out, const struct stream *stream);

#endif
