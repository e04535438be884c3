/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The user that an AUTH exchange names (RFC 4954), and the exchange without its secret. Pure. */
#ifndef SMTPSNOOP_SMTP_AUTH_H
#define SMTPSNOOP_SMTP_AUTH_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Finds the user that a response names: the one whose secret is checked, not the one acted for, if
 * a mechanism has both.
 *
 * `mechanism`: as sent, in any case. `step`: 0 for the client's first response (the initial
 * response of the AUTH line, or the first answer to a 334), then 1, 2, ... `response`: the line as
 * sent, in base64, without its line end. It may be truncated; the name is found if what ends it is
 * still there. In LOGIN and EXTERNAL only the line ends the name, so the name may be truncated too.
 *
 * Writes at most `max` bytes of the name, without a terminator. The client chooses them: any bytes
 * but NUL. Returns how many; 0, with nothing written, if the response names no user.
 */
size_t smtp_auth_user(struct span mechanism, uint32_t step, struct span response, char *user,
		      size_t max);

/*
 * Overwrites in place what is or may be secret in a response. The length stays the same, the result
 * is still base64, and smtp_auth_user() finds the same user in it. If no user is found, every byte
 * becomes '*': an unknown mechanism, not base64, a step that names no user, a line longer than RFC
 * 4954 allows. An empty initial response "=" and a cancelling "*" stay as they are.
 */
void smtp_auth_redact(struct span mechanism, uint32_t step, char *response, size_t len);

/*
 * Writes what is or may be secret in a response, decoded: the longest part that smtp_auth_redact()
 * would overwrite, at most `max` bytes of it. Returns how many; 0 if nothing is, or if the response
 * is not base64. The caller wipes it.
 */
size_t smtp_auth_secret(struct span mechanism, uint32_t step, struct span response, char *secret,
			size_t max);

#endif
