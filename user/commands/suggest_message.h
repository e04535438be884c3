/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a message is grouped by, and whether an exclusion for it may be drafted. */
#ifndef SMTPSNOOP_SUGGEST_MESSAGE_H
#define SMTPSNOOP_SUGGEST_MESSAGE_H

#include <stdint.h>

#include <jansson.h>

#include "commands/suggest_stream.h"
#include "policy/facts.h"

/* Why messages are not drafted. */
enum left {
	LEFT_NOT, /* they may be */
	LEFT_WRITABLE,
	LEFT_NO_FILE,
	LEFT_FEW_DAYS,
	LEFT_VARY,
	LEFT_OF_PROCESS,
	LEFT_TOO_MANY,
	LEFT_NOT_WHOLE,
	LEFT_NOT_KNOWN,
	LEFT_FOREIGN,
	LEFT_RELAYED,
	LEFT_PROXY,
	LEFT_SESSION,
	LEFT_ODD,
	LEFT_COUNT,
};

struct identity {
	struct span parts[PART_COUNT]; /* of the event, or of `uid` */
	char uid[12];
	uint64_t process, kind, user; /* hashes; never 0 */
};

/*
 * Fills in the identity, which borrows from the event. `seed`: a number that no sender knows. The
 * reason if no exclusion should or could let the message pass; LEFT_NOT otherwise.
 */
enum left message_identify(uint64_t seed, const json_t *event, const struct facts *facts,
			   struct identity *identity);

#endif
