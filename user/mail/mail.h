/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a message says of itself: header fields and the parts of its MIME structure (RFC 5322, 2045,
 * 2183). A push parser: it takes the message as the server would keep it (dot-stuffing undone). Of
 * the body nothing is kept but what mail_parser_keep() asks for.
 */
#ifndef SMTPSNOOP_MAIL_H
#define SMTPSNOOP_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/content.h"
#include "base/span.h"
#include "base/text.h"

/* Bounds. What exceeds one is dropped, and `truncated` says so. */
#define MAIL_FIELD_MAX	     16384U /* bytes of one header field, unfolded */
#define MAIL_TEXT_MAX	     65536U /* bytes kept of one message, all fields together */
#define MAIL_ADDRESSES_MAX   1000U  /* addresses kept of one message */
#define MAIL_ATTACHMENTS_MAX 100U
#define MAIL_DEPTH_MAX	     8U	 /* multiparts within each other */
#define MAIL_BOUNDARY_MAX    70U /* RFC 2046, 5.1.1 */

enum mail_address_kind { MAIL_FROM, MAIL_TO, MAIL_CC, MAIL_REPLY_TO };

/* Bytes of the mail's text. */
struct mail_string {
	uint32_t offset;
	uint32_t len;
};

struct mail_address {
	enum mail_address_kind kind;
	struct mail_string address;
};

struct mail_attachment {
	struct mail_string name; /* decoded; empty: it has none */
	struct mail_string type; /* "application/pdf", in lower case */
	uint64_t size;		 /* bytes, with the transfer encoding undone */
};

/* Text is UTF-8 where it could be decoded, else as it was sent. Owned by the transaction. */
struct mail {
	struct text text;
	struct mail_address *addresses;
	uint32_t address_count;
	struct mail_attachment *attachments;
	uint32_t attachment_count;
	struct mail_string subject;
	struct mail_string message_id;
	struct mail_string x_mailer;
	struct mail_string received; /* the first Received field: the one written last */
	int64_t date_s;		     /* seconds since 1970; valid if has_date */
	bool has_date;
	bool headers_end; /* the empty line behind the header was seen */
	bool repeated;	  /* a field stands twice that may stand once: From, Subject, Date, ... */
	bool truncated;	  /* something exceeded a bound */
	struct mail_content content;
};

static inline struct span mail_span(const struct mail *mail, struct mail_string string)
{
	return string.len ? (struct span){mail->text.data + string.offset, string.len}
			  : (struct span){"", 0};
}

struct mail_parser;

/* NULL if there is no memory. */
struct mail_parser *mail_parser_new(void);
void mail_parser_free(struct mail_parser *parser); /* NULL is allowed */

/*
 * Keeps the content, `limit` bytes at most. To be called before any data; `budget` outlives the
 * mail.
 */
void mail_parser_keep(struct mail_parser *parser, struct mail_budget *budget, size_t limit);

/* The next bytes of the message, in pieces of any size. */
void mail_parser_data(struct mail_parser *parser, struct span data);

/* `len` bytes are missing here (0: an unknown number). */
void mail_parser_gap(struct mail_parser *parser, uint64_t len);

/*
 * The message has ended, as far as it was seen. The caller owns the result: mail_free(). NULL: no
 * memory.
 */
struct mail *mail_parser_finish(struct mail_parser *parser);
void mail_free(struct mail *mail); /* NULL is allowed */

#endif
