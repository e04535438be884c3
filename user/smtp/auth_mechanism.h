/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where a decoded AUTH response names its user: one function per mechanism. Private to auth.c,
 * which decodes and redacts the responses. Pure.
 */
#ifndef SMTPSNOOP_SMTP_AUTH_MECHANISM_H
#define SMTPSNOOP_SMTP_AUTH_MECHANISM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define AUTH_SEPARATOR '\x01' /* between the fields of the OAuth mechanisms */
#define AUTH_MASK      '*'    /* what a redacted byte becomes */

/* How a name is written. */
enum auth_form {
	FORM_BYTES,
	FORM_SASLNAME, /* "=2C" and "=3D" for a comma and an equals sign (RFC 5802, section 5.1) */
	FORM_QUOTED,   /* a backslash before a quoted character (RFC 2831, section 7.2) */
	FORM_UTF16,    /* little-endian */
};

struct auth_range {
	size_t begin;
	size_t end;
};

struct auth_found {
	struct auth_range name;
	enum auth_form form;
	struct auth_range keep[2]; /* needed to find the name; the second may be empty */
};

/*
 * Finds the name in a decoded response. `mechanism`: as sent, in any case. `step`: 0 for the
 * client's first response. False: unknown mechanism, a step or a response that names no user; then
 * *found is undefined. The name found may still be malformed.
 */
bool auth_find_name(struct span mechanism, uint32_t step, struct span text,
		    struct auth_found *found);

/* Little-endian numbers, and the byte, at an offset. What is beyond the text counts as 0. */
static inline uint32_t auth_byte_at(struct span text, size_t at)
{
	return at < text.len ? (unsigned char)text.data[at] : 0;
}

static inline uint32_t auth_le16(struct span text, size_t at)
{
	return auth_byte_at(text, at) | auth_byte_at(text, at + 1) << 8;
}

static inline uint32_t auth_le32(struct span text, size_t at)
{
	return auth_le16(text, at) | auth_le16(text, at + 2) << 16;
}

#endif
