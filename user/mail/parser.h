/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The parser of a message, private to the files that implement it: parser.c (lines, boundaries, the
 * size of each part), header.c (header fields) and mail.c (the result).
 */
#ifndef SMTPSNOOP_MAIL_PARSER_H
#define SMTPSNOOP_MAIL_PARSER_H

#include "mail/mail.h"

/* Bytes of a body line that decide whether it is a boundary: "--", boundary, "--", line end. */
#define MAIL_LINE_HEAD_MAX (MAIL_BOUNDARY_MAX + 8U)
#define MAIL_TYPE_MAX	   127U /* bytes kept of a content type */

struct boundary {
	char text[MAIL_BOUNDARY_MAX];
	uint32_t len;
};

/* The part in progress, or the message itself. */
struct part {
	char type[MAIL_TYPE_MAX + 1];
	struct text name;
	bool disposed; /* Content-Disposition: attachment */
	bool has_name; /* Content-Disposition gave the name, and overrides Content-Type */
	struct boundary boundary;
	struct text charset;
	enum mail_encoding encoding;
	uint64_t size;	/* decoded bytes of the body so far, without a line end before a boundary */
	uint64_t units; /* base64: characters so far */
	uint32_t line_end; /* bytes of the last line end, not counted in `size` yet */
	uint32_t quoted;   /* quoted-printable: 1 after '=', 2 after its first digit */
	bool cr;	   /* the last byte was a CR */
};

struct mail_parser {
	struct mail *mail;
	bool body;
	bool top; /* in the header of the message itself */
	bool line_start;
	bool skip_line; /* up to the next LF: the rest of a boundary line */
	char *field;	/* the field in progress; owned, MAIL_FIELD_MAX bytes */
	uint32_t field_len;
	bool field_cut;
	bool pending_line_end; /* a line of the field has ended; the next one may continue it */
	char head[MAIL_LINE_HEAD_MAX];
	uint32_t head_len;
	struct boundary stack[MAIL_DEPTH_MAX];
	uint32_t depth;
	struct part part;
	bool in_part; /* in the body of a part or of the message, not in a preamble or epilogue */
	struct text scratch;
	uint32_t seen; /* fields of the message so far: 1 << enum field */
};

/*
 * Takes a whole header field, unfolded, without its line end. A field of the message's own header
 * (parser->top) goes to the mail; a field that describes a part goes to parser->part.
 */
void mail_parser_field(struct mail_parser *parser, struct span line);

/* Copies a text into the mail. If it does not fit: an empty result, and mail->truncated. */
struct mail_string mail_keep(struct mail *mail, struct span text);

/* Adds an address. One beyond MAIL_ADDRESSES_MAX is dropped, and mail->truncated is set. */
void mail_add_address(struct mail *mail, enum mail_address_kind kind, struct span address);

/* Adds a part that has ended as an attachment. Likewise, with MAIL_ATTACHMENTS_MAX. */
void mail_add_attachment(struct mail *mail, const struct part *part);

#endif
