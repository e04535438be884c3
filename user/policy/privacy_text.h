/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Addresses, alone and within text, made what `privacy` of the configuration lets be told of them.
 * Pure.
 */
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
	PRIVACY_CUT = 8, /* the text was cut: its last word may be a local part that lost its '@' */
};

/*
 * Tells addresses. Set `privacy`, zero the rest; what a hash needs is made ready at the first one,
 * for all that follow.
 */
struct teller {
	const struct privacy *privacy;
	struct evp_md_ctx_st *inner, *outer; /* behind the key; NULL: no hash was needed yet */
	struct evp_md_ctx_st *work;
};

void teller_end(struct teller *teller);

/* What may be told of one address; nothing of an empty one. out->failed: there was no memory. */
void privacy_address(struct text *out, struct teller *teller, struct span address);

/*
 * Likewise of a name that need not be an address. Empty, where a name without a domain may not be
 * told at all.
 */
void privacy_name(struct text *out, struct teller *teller, struct span name);

/*
 * Rewrites the addresses in free text. `kind` is of enum privacy_kind. At most `limit` bytes are
 * added: the text is cut between two characters, and an address is there whole or not at all. Time
 * is linear in the text's length.
 */
void privacy_text(struct text *out, struct teller *teller, struct span text, unsigned int kind,
		  size_t limit);

#define PRIVACY_HIDDEN	 "[subject]"
#define PRIVACY_LEFT_OUT "..."

/*
 * The same of what a process chose. In the place of each run of bytes that are marked stands
 * PRIVACY_HIDDEN. `marked` has a flag for each byte, and one for the byte before the first: a run
 * that began before was told there; NULL: none is marked. An address of which a part alone is
 * marked stays one. `places` counts down the places where an address could be; where there is one
 * too many, PRIVACY_LEFT_OUT takes the place of all behind the last address. False: so it was.
 */
bool privacy_bounded_text(struct text *out, struct teller *teller, struct span text,
			  unsigned int kind, const bool *marked, size_t *places);

/*
 * Likewise the parameters of a MAIL: the whole of ORCPT= and AUTH= is an address (RFC 3461, 4954).
 */
void privacy_parameters(struct text *out, struct teller *teller, struct span parameters);

/* Whether privacy_text() might change it: without it there is nothing to do. */
bool privacy_may_hold_address(struct span text, unsigned int kind);

#endif
