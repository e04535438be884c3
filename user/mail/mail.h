/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The header fields of a message and the parts of its MIME structure (RFC 5322, 2045, 2183). A push
 * parser: it is fed the message as the server stores it, with dot-stuffing undone. Of the body it
 * keeps only what mail_parser_keep() asks for.
 */
#ifndef SMTPSNOOP_MAIL_H
#define SMTPSNOOP_MAIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "mail/content.h"
#include "base/span.h"
#include "base/text.h"

/* Bounds. What exceeds a bound is dropped, and mail->truncated is set. */
#define MAIL_FIELD_MAX	     16384U /* bytes of a header field, unfolded */
#define MAIL_TEXT_MAX	     65536U /* bytes kept of a message, all fields together */
#define MAIL_ADDRESSES_MAX   1000U  /* addresses kept of a message */
#define MAIL_ATTACHMENTS_MAX 100U
#define MAIL_DEPTH_MAX	     8U /* nested multiparts */
/* bytes kept of a claim: more than a format shows, so that each format says that it cut it */
#define MAIL_CLAIM_MAX	  4200U
#define MAIL_BOUNDARY_MAX 70U /* RFC 2046, 5.1.1 */

enum mail_address_kind { MAIL_FROM, MAIL_TO, MAIL_CC, MAIL_REPLY_TO };

/*
 * What header fields claim about the program that made the mail. PHP (mail.add_x_header) and
 * control panels of hosting providers write them, but a sender can write whatever he likes there.
 * So they are shown, and nothing else: no decision uses them.
 */
enum mail_claim {
	MAIL_CLAIM_PHP_SCRIPT,	/* X-PHP-Originating-Script "33:spam.php", or X-PHP-Script */
	MAIL_CLAIM_SOURCE,	/* X-Source "/usr/bin/php" */
	MAIL_CLAIM_SOURCE_ARGS, /* X-Source-Args "/usr/bin/php /home/u/spam.php" */
	MAIL_CLAIM_SOURCE_DIR,	/* X-Source-Dir "shop.example:/public_html" */
	MAIL_CLAIM_COUNT,
};

/* A part of mail->text. */
struct mail_string {
	uint32_t offset;
	uint32_t len;
};

struct mail_address {
	enum mail_address_kind kind;
	struct mail_string address;
};

struct mail_attachment {
	struct mail_string name; /* decoded; empty if it has no name */
	struct mail_string type; /* in lower case: "application/pdf" */
	uint64_t size;		 /* bytes, with the transfer encoding undone */
};

/*
 * A parsed message. Text is UTF-8 if it could be decoded, else as it was sent. Owned by whoever
 * gets it from mail_parser_finish().
 */
struct mail {
	struct text text;
	struct mail_address *addresses;
	uint32_t address_count;
	struct mail_attachment *attachments;
	uint32_t attachment_count;
	struct mail_string subject;
	struct mail_string message_id;
	struct mail_string x_mailer;
	struct mail_string claims[MAIL_CLAIM_COUNT]; /* as they were sent, the first of each */
	struct mail_string received; /* the first Received field, which was added last */
	int64_t date_s;		     /* seconds since 1970; valid if has_date */
	bool has_date;
	bool headers_end; /* the empty line after the header was seen */
	bool repeated;	  /* a field that may occur once occurs twice: From, Subject, Date, ... */
	bool truncated;	  /* a bound was exceeded, or bytes are missing */
	struct mail_content content;
};

/* A string of the mail as a span, which is valid as long as the mail. */
static inline struct span mail_span(const struct mail *mail, struct mail_string string)
{
	return string.len ? (struct span){mail->text.data + string.offset, string.len}
			  : (struct span){"", 0};
}

struct mail_parser;

/* NULL: no memory. The caller frees the parser with mail_parser_free(). */
struct mail_parser *mail_parser_new(void);
void mail_parser_free(struct mail_parser *parser); /* NULL is allowed */

/*
 * Keeps the content of the message, at most `limit` bytes. Call it before feeding any data.
 * `budget` must outlive the mail.
 */
void mail_parser_keep(struct mail_parser *parser, struct mail_budget *budget, size_t limit);

/* Feeds the next bytes of the message, in pieces of any size. */
void mail_parser_data(struct mail_parser *parser, struct span data);

/* Says that `len` bytes are missing here (0: an unknown number). */
void mail_parser_gap(struct mail_parser *parser, uint64_t len);

/* Ends the message, complete or not. Returns what it says; the caller frees it with mail_free(). */
struct mail *mail_parser_finish(struct mail_parser *parser);
void mail_free(struct mail *mail); /* NULL is allowed */

#endif
