/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hides addresses in text that is not an address field. Pure. */
#ifndef SMTPSNOOP_PRIVACY_TEXT_H
#define SMTPSNOOP_PRIVACY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"
#include "policy/privacy_address.h"

enum privacy_kind {
	PRIVACY_TEXT = 0,
	PRIVACY_ARGUMENT = 1, /* of a program: it may be a path */
	PRIVACY_PATH = 2,     /* of a file: slashes separate words, and "package@1.2.3" stays */
	/* The text was cut: its last word may be a local part whose '@' is missing */
	PRIVACY_CUT = 4,
};

/*
 * Adds free text in which every word with an '@' is hidden. `kind`: enum privacy_kind. At most
 * `limit` bytes are added: the text is cut between two characters, and what replaces a hidden word
 * is complete or absent. The time is linear in the length of the text. out->failed: out of memory.
 */
void privacy_text(struct text *out, struct teller *teller, struct span text, unsigned int kind,
		  size_t limit);

#define PRIVACY_HIDDEN	 "[subject]"
#define PRIVACY_LEFT_OUT "..."

/*
 * The same for text that a process chose. Each run of marked bytes becomes PRIVACY_HIDDEN. `marked`
 * has a flag for each byte, and one for the byte before the first: a run that began there was
 * already written. NULL: nothing is marked. A word that is only partly marked is hidden as others
 * are. `places` counts down the words with an '@' that may be examined. When it is used up,
 * PRIVACY_LEFT_OUT replaces everything after the last hidden word, and the result is false.
 */
bool privacy_bounded_text(struct text *out, struct teller *teller, struct span text,
			  unsigned int kind, const bool *marked, size_t *places);

/* Whether privacy_text() might change the text; if not, there is nothing to do. */
bool privacy_may_hold_address(struct span text, unsigned int kind);

#endif
