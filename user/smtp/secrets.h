/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a client sent as AUTH secrets, so that they are found where the server repeats them. Kept in
 * memory only, bounded, and wiped at the end of the session.
 */
#ifndef SMTPSNOOP_SMTP_SECRETS_H
#define SMTPSNOOP_SMTP_SECRETS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/span.h"

#define SECRETS_MAX    8U   /* secrets kept of one session; the oldest is forgotten first */
#define SECRET_LEN_MAX 256U /* bytes kept of one; of a longer one the beginning is looked for */
#define SECRET_LEN_MIN 4U   /* a shorter one would be found in ordinary text */

struct secrets;

/* Remembers a secret. `*secrets` is NULL at first. Without memory it is not remembered. */
void secrets_keep(struct secrets **secrets, struct span secret);

/*
 * Overwrites with '*' each secret in `data`, which is a line or a part of it. `head` is what came
 * of the line before: a secret may have begun there. If no line end is in `data`, the beginning of
 * a secret at its end is overwritten too. `secrets` may be NULL.
 */
void secrets_mask(const struct secrets *secrets, struct span head, char *data, size_t len);

void secrets_free(struct secrets *secrets); /* NULL is allowed */

#endif
