/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bodies of structured header fields (RFC 5322, 2045, 2231), unfolded. Pure; time is linear in
 * their length.
 */
#ifndef SMTPSNOOP_MAIL_FIELD_H
#define SMTPSNOOP_MAIL_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

#define MAIL_ADDRESS_MAX 1024U /* bytes of one address; a longer one is cut */

/* The span dies with the call. */
typedef void (*mail_address_fn)(void *context, struct span address);

/*
 * Tells each address of a list (RFC 5322, 3.4 and 4.4): without display names, comments, blanks
 * outside of quotes, group names and source routes. A word without a domain is told if it is a
 * whole mailbox.
 */
void mail_field_addresses(struct span body, mail_address_fn tell, void *context);

/* What stands before the parameters, "multipart/mixed": the span is the body's. */
struct span mail_field_value(struct span body);

/*
 * Adds the value of a parameter, decoded: quoted, in pieces and with a charset (RFC 2231, which
 * goes first), or with encoded words in it, as many write it. False: there is none. `name` in lower
 * case.
 */
bool mail_field_parameter(struct text *out, struct span body, const char *name);

/* Seconds since 1970; false, and *unix_s untouched: it is no date (RFC 5322, 3.3 and 4.3). */
bool mail_field_date(struct span body, int64_t *unix_s);

/* A message identifier without its brackets: the span is the body's. */
struct span mail_field_id(struct span body);

#endif
