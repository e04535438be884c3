/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What `privacy` in the configuration hides, and what it shows of one address. Pure. */
#ifndef SMTPSNOOP_PRIVACY_ADDRESS_H
#define SMTPSNOOP_PRIVACY_ADDRESS_H

#include <stdbool.h>

#include "base/text.h"

enum privacy_addresses {
	PRIVACY_FULL,	/* addresses stay as they are */
	PRIVACY_DOMAIN, /* "@corp.example"; "@" for an address without a domain */
	/* "hmac-sha256:" and 32 hexadecimal digits; the same for an address everywhere */
	PRIVACY_HASH,
};

/* All zeros: nothing is hidden. */
struct privacy {
	enum privacy_addresses addresses;
	bool subject_hidden;
	unsigned char key[32]; /* for PRIVACY_HASH: the SHA-256 of the key file */
};

/*
 * Writes what may be shown of addresses. Set `privacy` and zero the rest; teller_end() frees it.
 * The first hash prepares the key for all later ones.
 */
struct teller {
	const struct privacy *privacy;
	struct evp_md_ctx_st *inner, *outer; /* after the key (RFC 2104); NULL: not prepared */
	struct evp_md_ctx_st *work;
};

void teller_end(struct teller *teller);

/*
 * Adds what may be shown of one address: all of it, its domain or its hash. Adds nothing for an
 * empty one. A domain is shown only if it is certainly one; otherwise "@" alone. out->failed: out
 * of memory.
 */
void privacy_address(struct text *out, struct teller *teller, struct span address);

/*
 * The same for a user name, which need not be an address. In mode `domain`, nothing is added for a
 * name without a domain.
 */
void privacy_name(struct text *out, struct teller *teller, struct span name);

/*
 * The domain or the address literal at the front of `text`, without dots at its end. Its length is
 * 0 if there is none.
 */
struct span privacy_domain(struct span text);

/*
 * The same as privacy_address() for an address in xtext ("+40", RFC 3461), percent-encoding or
 * quoted-printable. `escape` is the character that begins an escape; NUL: it is not encoded.
 */
void privacy_encoded_address(struct text *out, struct teller *teller, struct span address,
			     char escape);

#endif
