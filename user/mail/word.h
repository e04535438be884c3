/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decodes the encoded words of header fields (RFC 2047) and the charsets of mail. Pure. */
#ifndef SMTPSNOOP_MAIL_WORD_H
#define SMTPSNOOP_MAIL_WORD_H

#include <stdbool.h>

#include "base/span.h"
#include "base/text.h"

/*
 * Adds an unfolded field body as UTF-8, with its encoded words decoded. Bytes of adjacent words of
 * one charset are joined before the conversion, because senders split characters. What is not valid
 * stays as it is.
 */
void mail_word_decode(struct text *out, struct span body);

/*
 * Adds bytes of a charset as UTF-8. False, with nothing added: the charset is unknown, or the bytes
 * are not valid in it.
 */
bool mail_charset_decode(struct text *out, struct span charset, struct span bytes);

#endif
