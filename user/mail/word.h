/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Encoded words of header fields (RFC 2047) and the charsets of mail. Pure. */
#ifndef SMTPSNOOP_MAIL_WORD_H
#define SMTPSNOOP_MAIL_WORD_H

#include <stdbool.h>

#include "base/span.h"
#include "base/text.h"

/*
 * Adds an unfolded field body with its encoded words decoded, as UTF-8. Bytes of adjacent words of
 * one charset are joined before they are converted: senders split characters. What is not valid
 * stays as it was.
 */
void mail_word_decode(struct text *out, struct span body);

/*
 * Adds bytes of a charset as UTF-8. False, and nothing added: it is not known, or they are not
 * valid in it.
 */
bool mail_charset_decode(struct text *out, struct span charset, struct span bytes);

#endif
