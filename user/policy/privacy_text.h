/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, alone and in text, as `privacy` in the configuration allows to show them. Pure. */
#ifndef SMTPSNOOP_PRIVACY_TEXT_H
#define SMTPSNOOP_PRIVACY_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "policy/privacy.h"
#include "base/text.h"

enum privacy_kind {
	PRIVACY_TEXT = 0,
	PRIVACY_ENCODED = 1,  /* "+40" (xtext, RFC 3461) and "%40" are an '@' too */
	PRIVACY_ARGUMENT = 2, /* of a program: "-fbob@corp.example", paths */
	PRIVACY_PATH = 4,     /* of a file: a slash ends an address, and "package@1.2.3" is none */
	/* The text was cut: its last word may be a local part whose '@' is missing */
	PRIVACY_CUT = 8,
};

/*
 * Writes addresses. Set `privacy` and zero the rest; the keyed hash is prepared at the first
 * address, for all that follow.
 */
struct teller {
	const struct privacy *privacy;
	/* The hash state after the key; NULL: no hash was needed yet */
	struct evp_md_ctx_st *inner, *outer;
	struct evp_md_ctx_st *work;
};

void teller_end(struct teller *teller);

/*
 * Adds what may be shown of one address; nothing of an empty one. out->failed: there was no memory.
 */
void privacy_address(struct text *out, struct teller *teller, struct span address);

/*
 * The same for a name that need not be an address. Adds nothing if a name without a domain must not
 * be shown at all.
 */
void privacy_name(struct text *out, struct teller *teller, struct span name);

/*
 * Adds free text with its addresses hidden. `kind`: enum privacy_kind. At most `limit` bytes are
 * added: the text is cut between two characters, and an address is complete or absent. The time is
 * linear in the length of the text.
 */
void privacy_text(struct text *out, struct teller *teller, struct span text, unsigned int kind,
		  size_t limit);

#define PRIVACY_HIDDEN	 "[subject]"
#define PRIVACY_LEFT_OUT "..."

/*
 * The same for text that a process chose. Each run of marked bytes becomes PRIVACY_HIDDEN. `marked`
 * has a flag for each byte, and one for the byte before the first: a run that began there was
 * already written. NULL: nothing is marked. An address that is only partly marked is still an
 * address. `places` counts down the places where an address could be. When it is used up,
 * PRIVACY_LEFT_OUT replaces everything after the last address, and the result is false.
 */
bool privacy_bounded_text(struct text *out, struct teller *teller, struct span text,
			  unsigned int kind, const bool *marked, size_t *places);

/*
 * The same for the parameters of a MAIL: the values of ORCPT= and AUTH= are addresses as a whole
 * (RFC 3461, 4954).
 */
void privacy_parameters(struct text *out, struct teller *teller, struct span parameters);

/* Whether privacy_text() might change the text; if not, there is nothing to do. */
bool privacy_may_hold_address(struct span text, unsigned int kind);

#endif
