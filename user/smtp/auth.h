/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which user an AUTH exchange names (RFC 4954), and the exchange without its secret. Pure. */
#ifndef SMTPSNOOP_SMTP_AUTH_H
#define SMTPSNOOP_SMTP_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * The user that a response names: the one whose secret proves it, not the one acted for, where a
 * mechanism has both. `mechanism` as issued, in any case. `step`: 0 for the client's first response
 * (the initial response of the AUTH line, or the first answer to a 334), 1, 2, ... for the next
 * ones. `response`: the line as sent, in base64, without its line end. It may be cut off: a name is
 * then given if what ends it is still there. Nothing ends the name of LOGIN and EXTERNAL but the
 * line: there, it may be cut off too.
 *
 * Writes at most `max` bytes of the name, not terminated, and any bytes but NUL: they are the
 * client's. Returns how many; 0, and nothing written: this response names none.
 */
size_t smtp_auth_user(struct span mechanism, uint32_t step, struct span response, char *user,
		      size_t max);

/*
 * Overwrites in place what is or may be secret in a response. It stays as long as it was, and
 * base64, and smtp_auth_user() finds the same user in what is left. Where it finds none, every byte
 * becomes '*': an unknown mechanism, no base64, a step that names no user, a line longer than RFC
 * 4954 allows. An empty initial response "=" and a cancelling "*" stay as they are.
 */
void smtp_auth_redact(struct span mechanism, uint32_t step, char *response, size_t len);

#endif
