/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. A message is a header, an empty line and a body; a body of type multipart is
 *cut by boundary lines into parts, each with a header and a body of its own (RFC 2046, 5.1). So the
 * parser is in one of two states, header or body, and keeps a stack of the boundaries it waits for.
 *
 *   header	lines are gathered into one field until a line that does not go on with a blank; the
 *		field is then taken apart (field.c) and what is wanted of it kept
 *   body	the beginning of each line is compared with the boundaries, if there are any; the
 *rest is counted, with its transfer encoding undone, and forgotten
 *
 * Memory: the field under way, and what is kept, both bounded. A message without multipart costs
 * nothing behind its header.
 */
#include "mail/mail.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "mail/field.h"
#include "mail/word.h"

#define LINE_HEAD_MAX (MAIL_BOUNDARY_MAX + 8U) /* bytes of a body's line that a boundary needs */
#define TYPE_MAX      127U

struct boundary {
	char text[MAIL_BOUNDARY_MAX];
	uint32_t len;
};

/* The part under way, the message itself included. */
struct part {
	char type[TYPE_MAX + 1];
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
	bool after_gap; /* the field under way is not whole */
	char *field;	/* the field under way; owned, MAIL_FIELD_MAX */
	uint32_t field_len;
	bool field_cut;
	/* the field's last line has ended: the next one goes on with it, or not */
	bool pending_line_end;
	char head[LINE_HEAD_MAX];
	uint32_t head_len;
	struct boundary stack[MAIL_DEPTH_MAX];
	uint32_t depth;
	struct part part;
	bool in_part; /* of a multipart, or of the message itself: not preamble or epilogue */
	struct text scratch;
	uint32_t seen; /* which fields: 1 << enum of the table */
};

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

void mail_free(struct mail *mail)
{
	if (!mail)
		return;
	mail_content_free(&mail->content);
	text_free(&mail->text);
	free(mail->addresses);
	free(mail->attachments);
	free(mail);
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static struct mail_string keep(struct mail *mail, struct span text)
{
	struct mail_string string = {(uint32_t)mail->text.len, 0};

	if (text.len > MAIL_TEXT_MAX - mail->text.len) {
		mail->truncated = true;
		return string;
	}
	text_add(&mail->text, text);
	string.len = (uint32_t)(mail->text.len - string.offset);
	return string;
}

/* Makes room for one more element; the arrays grow by doubling. */
static void *room(void *array, uint32_t count, size_t size)
{
	if (count && (count & (count - 1)))
		return array;
	return realloc(array, (count ? 2 * (size_t)count : 1) * size);
}

struct taking {
	struct mail *mail;
	enum mail_address_kind kind;
};

static void take_address(void *context, struct span address)
{
	const struct taking *taking = context;
	struct mail *mail = taking->mail;
	struct mail_address *bigger;

	if (mail->address_count >= MAIL_ADDRESSES_MAX) {
		mail->truncated = true;
		return;
	}
	bigger = room(mail->addresses, mail->address_count, sizeof(*bigger));
	if (!bigger)
		return;
	mail->addresses = bigger;
	mail->addresses[mail->address_count++] =
		(struct mail_address){.kind = taking->kind, .address = keep(mail, address)};
}

static void keep_attachment(struct mail_parser *parser)
{
	struct mail *mail = parser->mail;
	struct part *part = &parser->part;
	struct mail_attachment *bigger;

	if (mail->attachment_count >= MAIL_ATTACHMENTS_MAX) {
		mail->truncated = true;
		return;
	}
	bigger = room(mail->attachments, mail->attachment_count, sizeof(*bigger));
	if (!bigger)
		return;
	mail->attachments = bigger;
	mail->attachments[mail->attachment_count++] = (struct mail_attachment){
		.name = keep(mail, (struct span){part->name.data, part->name.len}),
		.type = keep(mail, span_of(part->type)),
		.size = part->encoding == ENCODING_BASE64 ? part->units * 3 / 4 : part->size,
	};
}

/* ---- Header fields --------------------------------------------------------------------------- */

enum field {
	FIELD_FROM,
	FIELD_TO,
	FIELD_CC,
	FIELD_REPLY_TO,
	FIELD_SUBJECT,
	FIELD_DATE,
	FIELD_MESSAGE_ID,
	FIELD_X_MAILER,
	FIELD_USER_AGENT,
	FIELD_RECEIVED,
	FIELD_TYPE,
	FIELD_DISPOSITION,
	FIELD_ENCODING,
	FIELD_OTHER,
};

static enum field field_of(struct span name)
{
	static const char *const names[] = {
		[FIELD_FROM] = "From",
		[FIELD_TO] = "To",
		[FIELD_CC] = "Cc",
		[FIELD_REPLY_TO] = "Reply-To",
		[FIELD_SUBJECT] = "Subject",
		[FIELD_DATE] = "Date",
		[FIELD_MESSAGE_ID] = "Message-ID",
		[FIELD_X_MAILER] = "X-Mailer",
		[FIELD_USER_AGENT] = "User-Agent",
		[FIELD_RECEIVED] = "Received",
		[FIELD_TYPE] = "Content-Type",
		[FIELD_DISPOSITION] = "Content-Disposition",
		[FIELD_ENCODING] = "Content-Transfer-Encoding",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (name.len == strlen(names[i]) && strncasecmp(name.data, names[i], name.len) == 0)
			return (enum field)i;
	}
	return FIELD_OTHER;
}

static bool word_is(struct span word, const char *wanted)
{
	return word.len == strlen(wanted) && strncasecmp(word.data, wanted, word.len) == 0;
}

/* The first one counts, of those that may stand once. */
static void keep_decoded(struct mail_parser *parser, struct mail_string *string, struct span body)
{
	if (string->len)
		return;
	text_clear(&parser->scratch);
	mail_word_decode(&parser->scratch, body);
	*string = keep(parser->mail, (struct span){parser->scratch.data, parser->scratch.len});
}

static void take_boundary(struct mail_parser *parser, struct span body)
{
	struct boundary *boundary = &parser->part.boundary;

	text_clear(&parser->scratch);
	if (!mail_field_parameter(&parser->scratch, body, "boundary") || !parser->scratch.len)
		return;
	if (parser->scratch.len > MAIL_BOUNDARY_MAX) {
		parser->mail->truncated = true;
		return;
	}
	memcpy(boundary->text, parser->scratch.data, parser->scratch.len);
	boundary->len = (uint32_t)parser->scratch.len;
}

static void take_name(struct mail_parser *parser, struct span body, const char *parameter)
{
	struct part *part = &parser->part;

	text_clear(&parser->scratch);
	if (!mail_field_parameter(&parser->scratch, body, parameter))
		return;
	text_clear(&part->name);
	text_add(&part->name, (struct span){parser->scratch.data, parser->scratch.len});
}

static void take_type(struct mail_parser *parser, struct span body)
{
	struct part *part = &parser->part;
	struct span type = mail_field_value(body);

	if (part->type[0])
		return;
	if (type.len > TYPE_MAX)
		type.len = TYPE_MAX;
	for (size_t i = 0; i < type.len; i++)
		part->type[i] = (char)tolower((unsigned char)type.data[i]);
	part->type[type.len] = '\0';
	if (strncmp(part->type, "multipart/", 10) == 0)
		take_boundary(parser, body);
	else if (!part->has_name)
		take_name(parser, body, "name");
	if (mail_content_wants(&parser->mail->content))
		mail_field_parameter(&part->charset, body, "charset");
}

static void take_disposition(struct mail_parser *parser, struct span body)
{
	struct part *part = &parser->part;

	if (word_is(mail_field_value(body), "attachment"))
		part->disposed = true;
	text_clear(&parser->scratch);
	if (mail_field_parameter(&parser->scratch, body, "filename")) {
		take_name(parser, body, "filename");
		part->has_name = true;
	}
}

static void take_encoding(struct part *part, struct span body)
{
	struct span value = mail_field_value(body);

	if (word_is(value, "base64"))
		part->encoding = ENCODING_BASE64;
	else if (word_is(value, "quoted-printable"))
		part->encoding = ENCODING_QUOTED;
}

/* A field of the message's own header. */
static void take_own_field(struct mail_parser *parser, enum field field, struct span body)
{
	struct mail *mail = parser->mail;
	struct taking taking = {mail, (enum mail_address_kind)field};

	if (field != FIELD_RECEIVED && parser->seen & 1U << field)
		mail->repeated = true;
	parser->seen |= 1U << field;
	switch (field) {
	case FIELD_FROM:
	case FIELD_TO:
	case FIELD_CC:
	case FIELD_REPLY_TO: mail_field_addresses(body, take_address, &taking); break;
	case FIELD_SUBJECT: keep_decoded(parser, &mail->subject, body); break;
	case FIELD_DATE:
		if (!mail->has_date)
			mail->has_date = mail_field_date(body, &mail->date_s);
		break;
	case FIELD_MESSAGE_ID:
		if (!mail->message_id.len)
			mail->message_id = keep(mail, mail_field_id(body));
		break;
	case FIELD_X_MAILER:
	case FIELD_USER_AGENT: keep_decoded(parser, &mail->x_mailer, body); break;
	case FIELD_RECEIVED:
		if (!mail->received.len)
			mail->received = keep(mail, body);
		break;
	default: break;
	}
}

static struct span trimmed(struct span text)
{
	while (text.len && isspace((unsigned char)text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len && isspace((unsigned char)text.data[text.len - 1]))
		text.len--;
	return text;
}

/* The field under way is whole. */
static void end_field(struct mail_parser *parser)
{
	struct span line = {parser->field, parser->field_len}, name = line, body = {"", 0};
	const char *colon = memchr(line.data, ':', line.len);
	enum field field;

	parser->field_len = 0;
	parser->pending_line_end = false;
	if (parser->field_cut)
		parser->mail->truncated = true;
	parser->field_cut = false;
	if (!colon)
		return;
	name.len = (size_t)(colon - line.data);
	name = trimmed(name);
	body = trimmed((struct span){colon + 1, line.len - (size_t)(colon + 1 - line.data)});
	field = field_of(name);
	if (parser->top)
		mail_content_field(&parser->mail->content, name, body);
	switch (field) {
	case FIELD_OTHER: break;
	case FIELD_TYPE: take_type(parser, body); break;
	case FIELD_DISPOSITION: take_disposition(parser, body); break;
	case FIELD_ENCODING: take_encoding(&parser->part, body); break;
	default:
		if (parser->top)
			take_own_field(parser, field, body);
		break;
	}
}

/* The empty line behind a header. */
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
	parser->in_part = false; /* the preamble */
}

/* Adds to the field under way; line ends within it become nothing (RFC 5322, 2.2.3). */
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

/* A piece of one line of a header, with its LF if that is there. */
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

/* ---- The body -------------------------------------------------------------------------------- */

static void end_part(struct mail_parser *parser)
{
	struct part *part = &parser->part;

	if (parser->in_part && !part->boundary.len && (part->disposed || part->name.len))
		keep_attachment(parser);
	if (parser->in_part)
		mail_content_end_part(&parser->mail->content,
				      (struct span){part->charset.data, part->charset.len});
	text_free(&part->name);
	text_free(&part->charset);
	*part = (struct part){0};
	parser->in_part = false;
}

/* Whether a line opens with "--boundary"; *closing: "--" stands behind it. */
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

/* A line of a body is whole as far as boundaries go. True: it was one. */
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
	parser->depth = closing ? at - 1 : at; /* those within it ended without saying so */
	parser->body = closing;
	parser->in_part = !closing;
	parser->line_start = true;
	parser->field_len = 0;
	return true;
}

/*
 * One byte of a body that is not base64. The line end before a boundary is the boundary's (RFC
 * 2046, 5.1.1).
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

/* Bytes of a part's body: their number, with the encoding undone. */
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

/* A piece of one line of a body; only where boundaries are waited for, or the part is counted. */
static void take_body(struct mail_parser *parser, struct span piece)
{
	bool whole = piece.data[piece.len - 1] == '\n', start = parser->line_start;
	size_t take = LINE_HEAD_MAX - parser->head_len;

	parser->line_start = whole;
	if (start)
		parser->head_len = 0;
	else if (!parser->head_len) /* the line is no boundary: that was seen before */
		take = 0;
	if (take > piece.len)
		take = piece.len;
	memcpy(parser->head + parser->head_len, piece.data, take);
	parser->head_len += (uint32_t)take;
	if (take && !whole && parser->head_len < LINE_HEAD_MAX && parser->head[0] == '-')
		return; /* not decided yet */
	if (take && parser->head[0] == '-') {
		struct span head = {parser->head, parser->head_len};

		if (take_boundary_line(parser, head)) {
			parser->skip_line = !whole; /* what follows on this line belongs to it */
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
	parser->field_len =
		0; /* half a field is none, and what comes next may be the other half of one */
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
