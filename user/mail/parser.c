/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. A message is a header, an empty line and a body. Boundary lines divide the
 * body of a multipart into parts, each with a header and a body of its own (RFC 2046, 5.1). So the
 * parser is in one of two states, header or body, and keeps a stack of the boundaries that may
 * follow.
 *
 * header  Lines are joined to one field until a line does not begin with a blank. Then the field is
 *         parsed (header.c, field.c), and what is needed of it is kept.
 * body    The start of each line is compared with the boundaries, if there are any. The rest is
 *         counted, with its transfer encoding undone, and dropped.
 *
 * Memory: the field in progress and what is kept; both are bounded. A message that is not a
 * multipart costs nothing after its header.
 */
#include "mail/parser.h"

#include <ctype.h>
#include <stdlib.h>

struct mail_parser *mail_parser_new(void)
{
	struct mail_parser *parser = calloc(1, sizeof(*parser));

	if (!parser)
		return NULL;
	parser->mail = calloc(1, sizeof(*parser->mail));
	parser->field = malloc(MAIL_FIELD_MAX);
	parser->top = parser->line_start = parser->in_part = true;
	if (!parser->mail || !parser->field) {
		mail_parser_free(parser);
		return NULL;
	}
	return parser;
}

void mail_parser_free(struct mail_parser *parser)
{
	if (!parser)
		return;
	mail_free(parser->mail);
	text_free(&parser->part.name);
	text_free(&parser->part.charset);
	text_free(&parser->scratch);
	free(parser->field);
	free(parser);
}

void mail_parser_keep(struct mail_parser *parser, struct mail_budget *budget, size_t limit)
{
	parser->mail->content.budget = budget;
	parser->mail->content.limit = limit;
}

/* ---- Headers --------------------------------------------------------------------------------- */

/* The field in progress is complete. */
static void end_field(struct mail_parser *parser)
{
	struct span line = {parser->field, parser->field_len};

	parser->field_len = 0;
	parser->pending_line_end = false;
	if (parser->field_cut)
		parser->mail->truncated = true;
	parser->field_cut = false;
	mail_parser_field(parser, line);
}

/* The empty line after a header. */
static void end_header(struct mail_parser *parser)
{
	struct part *part = &parser->part;

	parser->body = true;
	if (parser->top)
		parser->mail->headers_end = true;
	parser->top = false;
	parser->head_len = 0;
	if (!part->boundary.len)
		return;
	if (parser->depth == MAIL_DEPTH_MAX) {
		parser->mail->truncated = true;
		return;
	}
	parser->stack[parser->depth++] = part->boundary;
	parser->in_part = false; /* a preamble follows */
}

/* Adds to the field in progress. Line ends within it are left out (RFC 5322, 2.2.3). */
static void field_add(struct mail_parser *parser, struct span part)
{
	size_t left = MAIL_FIELD_MAX - parser->field_len;

	if (part.len > left) {
		part.len = left;
		parser->field_cut = true;
	}
	memcpy(parser->field + parser->field_len, part.data, part.len);
	parser->field_len += (uint32_t)part.len;
}

/* A piece of one header line, with its LF if that is there. */
static void take_header(struct mail_parser *parser, struct span piece)
{
	bool whole = piece.data[piece.len - 1] == '\n', start = parser->line_start;

	parser->line_start = whole;
	if (start && parser->pending_line_end && piece.data[0] != ' ' && piece.data[0] != '\t')
		end_field(parser);
	parser->pending_line_end = whole;
	if (whole)
		piece.len--;
	field_add(parser, piece);
	if (!whole)
		return;
	while (parser->field_len && parser->field[parser->field_len - 1] == '\r')
		parser->field_len--;
	if (!parser->field_len) {
		parser->pending_line_end = false;
		end_header(parser);
	}
}

/* ---- Parts ----------------------------------------------------------------------------------- */

/*
 * Counts a byte of a body that is not base64. The line end before a boundary belongs to the
 * boundary (RFC 2046, 5.1.1).
 */
static void count_byte(struct part *part, char c)
{
	if (part->quoted == 1 && (c == '\r' || c == '\n')) { /* a soft line break */
		part->quoted = c == '\r';
		return;
	}
	if (part->quoted) { /* "=3D" is one byte */
		part->size += part->quoted == 2;
		part->quoted = part->quoted == 1 ? 2 : 0;
		return;
	}
	part->size += part->line_end;
	part->line_end = 0;
	if (c == '\n') {
		part->line_end = part->cr ? 2 : 1;
		part->cr = false;
		return;
	}
	part->size += part->cr;
	part->cr = c == '\r';
	if (part->cr)
		return;
	if (c == '=' && part->encoding == ENCODING_QUOTED)
		part->quoted = 1;
	else
		part->size++;
}

/* Counts bytes of a part's body, with the encoding undone. */
static void count_body(struct mail_parser *parser, struct span piece)
{
	struct part *part = &parser->part;

	if (parser->in_part)
		mail_content_body(&parser->mail->content, part->encoding, piece);
	for (size_t i = 0; i < piece.len; i++) {
		char c = piece.data[i];

		if (part->encoding == ENCODING_BASE64)
			part->units += isalnum((unsigned char)c) || c == '+' || c == '/';
		else
			count_byte(part, c);
	}
}

static void end_part(struct mail_parser *parser)
{
	struct part *part = &parser->part;

	if (parser->in_part && !part->boundary.len && (part->disposed || part->name.len))
		mail_add_attachment(parser->mail, part);
	if (parser->in_part)
		mail_content_end_part(&parser->mail->content,
				      (struct span){part->charset.data, part->charset.len});
	text_free(&part->name);
	text_free(&part->charset);
	*part = (struct part){0};
	parser->in_part = false;
}

/* ---- Boundaries ------------------------------------------------------------------------------ */

/* True if a line begins with "--boundary"; *closing: followed by "--". */
static bool is_boundary(const struct boundary *boundary, struct span line, bool *closing)
{
	if (line.len < boundary->len + 2 || memcmp(line.data, "--", 2) != 0 ||
	    memcmp(line.data + 2, boundary->text, boundary->len) != 0)
		return false;
	line.data += boundary->len + 2;
	line.len -= boundary->len + 2;
	*closing = line.len >= 2 && memcmp(line.data, "--", 2) == 0;
	return *closing || !line.len || isspace((unsigned char)line.data[0]);
}

/* Enough of a body line is there to compare it with the boundaries. True: it is one. */
static bool take_boundary_line(struct mail_parser *parser, struct span line)
{
	bool closing = false;
	uint32_t at = parser->depth;

	if (line.len < 3 || line.data[0] != '-' || line.data[1] != '-')
		return false;
	while (at && !is_boundary(&parser->stack[at - 1], line, &closing))
		at--;
	if (!at)
		return false;
	end_part(parser);
	parser->depth = closing ? at - 1 : at; /* unclosed multiparts inside it end too */
	parser->body = closing;
	parser->in_part = !closing;
	parser->line_start = true;
	parser->field_len = 0;
	return true;
}

/* A piece of one body line, where boundaries may follow or the part is counted. */
static void take_body(struct mail_parser *parser, struct span piece)
{
	bool whole = piece.data[piece.len - 1] == '\n', start = parser->line_start;
	size_t take = MAIL_LINE_HEAD_MAX - parser->head_len;

	parser->line_start = whole;
	if (start)
		parser->head_len = 0;
	else if (!parser->head_len) /* already known not to be a boundary */
		take = 0;
	if (take > piece.len)
		take = piece.len;
	memcpy(parser->head + parser->head_len, piece.data, take);
	parser->head_len += (uint32_t)take;
	if (take && !whole && parser->head_len < MAIL_LINE_HEAD_MAX && parser->head[0] == '-')
		return; /* not decided yet */
	if (take && parser->head[0] == '-') {
		struct span head = {parser->head, parser->head_len};

		if (take_boundary_line(parser, head)) {
			parser->skip_line = !whole; /* the rest of this line */
			parser->head_len = 0;
			return;
		}
		count_body(parser, head);
		piece.data += take;
		piece.len -= take;
	}
	parser->head_len = 0;
	if (piece.len)
		count_body(parser, piece);
}

/* ---- The message ----------------------------------------------------------------------------- */

void mail_parser_data(struct mail_parser *parser, struct span data)
{
	while (data.len) {
		const char *end;
		struct span piece = data;

		if (parser->body && !parser->depth && !parser->part.disposed &&
		    !parser->part.name.len && !mail_content_wants(&parser->mail->content))
			return;
		end = memchr(data.data, '\n', data.len);
		if (end)
			piece.len = (size_t)(end - data.data) + 1;
		data.data += piece.len;
		data.len -= piece.len;
		if (parser->skip_line)
			parser->skip_line = !end;
		else if (parser->body)
			take_body(parser, piece);
		else
			take_header(parser, piece);
	}
}

void mail_parser_gap(struct mail_parser *parser, uint64_t len)
{
	parser->mail->truncated = parser->mail->content.cut = true;
	if (parser->body) {
		parser->part.size += len;
		parser->head_len = 0;
		parser->line_start = false;
		return;
	}
	/* Drops the half field. What follows may be half a field too: with "?" it has no name. */
	parser->field_len = 0;
	field_add(parser, (struct span){"?", 1});
	parser->line_start = parser->pending_line_end = false;
}

struct mail *mail_parser_finish(struct mail_parser *parser)
{
	struct mail *mail = parser->mail;

	if (!parser->body && parser->field_len)
		end_field(parser);
	if (parser->body && parser->head_len)
		take_boundary_line(parser, (struct span){parser->head, parser->head_len});
	end_part(parser);
	parser->mail = NULL;
	return mail;
}
