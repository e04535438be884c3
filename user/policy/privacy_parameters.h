/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hides addresses in the parameters of MAIL. Pure. */
#ifndef SMTPSNOOP_PRIVACY_PARAMETERS_H
#define SMTPSNOOP_PRIVACY_PARAMETERS_H

#include "policy/privacy_address.h"

/*
 * Adds the parameters. The whole value of ORCPT= and AUTH= is an address in xtext (RFC 3461, RFC
 * 4954); the others are text. out->failed: out of memory.
 */
void privacy_parameters(struct text *out, struct teller *teller, struct span parameters);

#endif
