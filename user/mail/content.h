/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The beginning of a message as its reader sees it, for what is to be looked for in it: header
 * fields and bodies with their encodings undone, as UTF-8, lines ended by LF.
 */
#ifndef SMTPSNOOP_MAIL_CONTENT_H
#define SMTPSNOOP_MAIL_CONTENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "base/text.h"

enum mail_encoding { ENCODING_NONE, ENCODING_BASE64, ENCODING_QUOTED };

/* What the content of all messages together may take. */
struct mail_budget {
	size_t left;	  /* bytes */
	uint64_t refused; /* messages that were cut for want of it */
};

/* Zero it to begin: nothing is kept then. */
struct mail_content {
	struct text text;
	size_t limit;		    /* bytes of one message */
	struct mail_budget *budget; /* borrowed, outlives it; NULL: nothing is kept */
	bool cut;		    /* there was more */
	size_t part_start;	    /* where the body of the part under way begins in the text */
	uint32_t bits, bit_count;   /* base64 */
	char quoted[2];		    /* quoted-printable: the '=', and its first digit */
	uint32_t quoted_len;
};

static inline bool mail_content_wants(const struct mail_content *content)
{
	return content->budget && !content->cut;
}

/* A header field, unfolded, as "Name: text" on a line of its own. */
void mail_content_field(struct mail_content *content, struct span name, struct span body);

/* The next bytes of a part's body. */
void mail_content_body(struct mail_content *content, enum mail_encoding encoding,
		       struct span piece);

/* The part has ended; what is kept of it was in that charset. */
void mail_content_end_part(struct mail_content *content, struct span charset);

void mail_content_free(struct mail_content *content);

#endif
