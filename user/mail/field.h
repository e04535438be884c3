/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parses the bodies of structured header fields (RFC 5322, 2045, 2231), unfolded. Pure. The time is
 * linear in the length.
 */
#ifndef SMTPSNOOP_MAIL_FIELD_H
#define SMTPSNOOP_MAIL_FIELD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

#define MAIL_ADDRESS_MAX 1024U /* bytes of one address; a longer one is cut */

/* The span is valid during the call only. */
typedef void (*mail_address_fn)(void *context, struct span address);

/*
 * Calls `tell` for each address of a list (RFC 5322, 3.4 and 4.4), without display names, comments,
 * blanks outside of quotes, group names and source routes. A word without a domain counts if it is
 * a whole mailbox.
 */
void mail_field_addresses(struct span body, mail_address_fn tell, void *context);

/* What precedes the parameters, for example "multipart/mixed". The span points into the body. */
struct span mail_field_value(struct span body);

/*
 * Adds the decoded value of a parameter: quoted, in pieces and with a charset (RFC 2231,
 * preferred), or with encoded words in it, as many senders write it. False: there is no such
 * parameter. `name` is in lower case.
 */
bool mail_field_parameter(struct text *out, struct span body, const char *name);

/*
 * Parses a date (RFC 5322, 3.3 and 4.3) to seconds since 1970. False, with *unix_s untouched: not a
 * date.
 */
bool mail_field_date(struct span body, int64_t *unix_s);

/* A message identifier without its brackets. The span points into the body. */
struct span mail_field_id(struct span body);

#endif
