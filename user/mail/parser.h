/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parser of a message, for the files that make it up: parser.c (lines, boundaries, the sizes of
 * parts) and header.c (what the header fields say).
 */
#ifndef SMTPSNOOP_MAIL_PARSER_H
#define SMTPSNOOP_MAIL_PARSER_H

#include "mail/mail.h"

/* Bytes of a body's line that decide whether it is a boundary line: "--", the boundary, "--", ...
 */
#define MAIL_LINE_HEAD_MAX (MAIL_BOUNDARY_MAX + 8U)
#define MAIL_TYPE_MAX	   127U /* bytes kept of a content type */

struct boundary {
	char text[MAIL_BOUNDARY_MAX];
	uint32_t len;
};

/* The part under way, the message itself included. */
struct part {
	char type[MAIL_TYPE_MAX + 1];
	struct text name;
	bool disposed; /* its Content-Disposition says attachment */
	bool has_name; /* Content-Disposition gave one: it goes before Content-Type's */
	struct boundary boundary;
	struct text charset;
	enum mail_encoding encoding;
	uint64_t size; /* of the body so far, decoded, the line end before a boundary not counted */
	uint64_t units;	   /* base64: characters */
	uint32_t line_end; /* bytes of the line end just seen, not counted yet */
	uint32_t quoted;   /* quoted-printable: 1 behind a '=', 2 behind its first digit */
	bool cr;	   /* a CR was seen, and not what follows */
};

struct mail_parser {
	struct mail *mail;
	bool body;
	bool top; /* in the message's own header */
	bool line_start;
	bool skip_line; /* up to the next LF: the rest of a boundary line */
	char *field;	/* the field under way; owned, MAIL_FIELD_MAX */
	uint32_t field_len;
	bool field_cut;
	/* the field's last line has ended: the next one goes on with it, or not */
	bool pending_line_end;
	char head[MAIL_LINE_HEAD_MAX];
	uint32_t head_len;
	struct boundary stack[MAIL_DEPTH_MAX];
	uint32_t depth;
	struct part part;
	bool in_part; /* of a multipart, or of the message itself: not preamble or epilogue */
	struct text scratch;
	uint32_t seen; /* which fields: 1 << enum of the table */
};

/*
 * A whole header field, unfolded, without its line end. A field of the message's own header
 * (parser->top) goes into the mail; the fields that describe a part go into parser->part.
 */
void mail_parser_field(struct mail_parser *parser, struct span line);

/* Copies a text into the mail. The result is empty if it does not fit (mail->truncated). */
struct mail_string mail_keep(struct mail *mail, struct span text);

/* Adds an address; one beyond MAIL_ADDRESSES_MAX is dropped (mail->truncated). */
void mail_add_address(struct mail *mail, enum mail_address_kind kind, struct span address);

/* Adds a part that has ended as an attachment. Likewise MAIL_ATTACHMENTS_MAX. */
void mail_add_attachment(struct mail *mail, const struct part *part);

#endif
