/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The beginning of a message as its reader sees it, to be searched: header fields and bodies as
 * UTF-8, with their encodings undone and lines ended by LF.
 */
#ifndef SMTPSNOOP_MAIL_CONTENT_H
#define SMTPSNOOP_MAIL_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

enum mail_encoding { ENCODING_NONE, ENCODING_BASE64, ENCODING_QUOTED };

/* The memory for the content of all messages together. */
struct mail_budget {
	size_t left;	  /* bytes not in use */
	uint64_t refused; /* messages that were cut because it was used up */
};

/* Zero it to begin; then nothing is kept. */
struct mail_content {
	struct text text;
	size_t limit;		    /* bytes per message */
	struct mail_budget *budget; /* borrowed, must outlive this; NULL: nothing is kept */
	bool cut;		    /* the message continues beyond the text */
	size_t part_start;	    /* where the body of the part in progress begins in the text */
	uint32_t bits, bit_count;   /* base64: bits of an incomplete octet */
	char quoted[2];		    /* quoted-printable: a '=' and its first digit */
	uint32_t quoted_len;
};

/* True if further content would be kept. */
static inline bool mail_content_wants(const struct mail_content *content)
{
	return content->budget && !content->cut;
}

/* Adds a header field, unfolded, as "Name: text" on a line of its own. */
void mail_content_field(struct mail_content *content, struct span name, struct span body);

/* Adds the next bytes of a part's body. */
void mail_content_body(struct mail_content *content, enum mail_encoding encoding,
		       struct span piece);

/* Ends a part. `charset`: that of its body, which is converted to UTF-8. */
void mail_content_end_part(struct mail_content *content, struct span charset);

/* Frees the text and returns its bytes to the budget. */
void mail_content_free(struct mail_content *content);

#endif
