/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The header fields of a message and of its parts (RFC 5322, 2045, 2183). */
#include <ctype.h>
#include <strings.h>

#include "mail/field.h"
#include "mail/parser.h"
#include "mail/word.h"

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
	FIELD_PHP_ORIGIN,
	FIELD_PHP_SCRIPT,
	FIELD_SOURCE,
	FIELD_SOURCE_ARGS,
	FIELD_SOURCE_DIR,
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
		[FIELD_PHP_ORIGIN] = "X-PHP-Originating-Script",
		[FIELD_PHP_SCRIPT] = "X-PHP-Script",
		[FIELD_SOURCE] = "X-Source",
		[FIELD_SOURCE_ARGS] = "X-Source-Args",
		[FIELD_SOURCE_DIR] = "X-Source-Dir",
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

/* ---- Fields of a part ------------------------------------------------------------------------ */

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
	if (type.len > MAIL_TYPE_MAX)
		type.len = MAIL_TYPE_MAX;
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

/* ---- Fields of the message ------------------------------------------------------------------- */

struct taking {
	struct mail *mail;
	enum mail_address_kind kind;
};

static void take_address(void *context, struct span address)
{
	const struct taking *taking = context;

	mail_add_address(taking->mail, taking->kind, address);
}

/* Decodes a text and keeps it, unless the field was there before: the first one counts. */
static void keep_decoded(struct mail_parser *parser, struct mail_string *string, struct span body)
{
	if (string->len)
		return;
	text_clear(&parser->scratch);
	mail_word_decode(&parser->scratch, body);
	*string = mail_keep(parser->mail, (struct span){parser->scratch.data, parser->scratch.len});
}

/* The first one counts: PHP puts its own in front of what the script adds. */
static void keep_claim(struct mail *mail, enum mail_claim claim, struct span body)
{
	if (mail->claims[claim].len)
		return;
	if (body.len > MAIL_CLAIM_MAX)
		body.len = MAIL_CLAIM_MAX;
	mail->claims[claim] = mail_keep(mail, body);
}

/* Fields that servers add too, or that decide nothing, may be there more than once. */
static bool may_repeat(enum field field)
{
	return field >= FIELD_RECEIVED && field <= FIELD_SOURCE_DIR;
}

/* A field of the message's own header. */
static void take_own_field(struct mail_parser *parser, enum field field, struct span body)
{
	struct mail *mail = parser->mail;
	struct taking taking = {mail, (enum mail_address_kind)field};

	if (!may_repeat(field) && parser->seen & 1U << field)
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
			mail->message_id = mail_keep(mail, mail_field_id(body));
		break;
	case FIELD_X_MAILER:
	case FIELD_USER_AGENT: keep_decoded(parser, &mail->x_mailer, body); break;
	case FIELD_RECEIVED:
		if (!mail->received.len)
			mail->received = mail_keep(mail, body);
		break;
	case FIELD_PHP_ORIGIN:
	case FIELD_PHP_SCRIPT: keep_claim(mail, MAIL_CLAIM_PHP_SCRIPT, body); break;
	case FIELD_SOURCE: keep_claim(mail, MAIL_CLAIM_SOURCE, body); break;
	case FIELD_SOURCE_ARGS: keep_claim(mail, MAIL_CLAIM_SOURCE_ARGS, body); break;
	case FIELD_SOURCE_DIR: keep_claim(mail, MAIL_CLAIM_SOURCE_DIR, body); break;
	default: break;
	}
}

/* ---- Any field ------------------------------------------------------------------------------- */

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

void mail_parser_field(struct mail_parser *parser, struct span line)
{
	struct span name = line, body;
	const char *colon = memchr(line.data, ':', line.len);
	enum field field;

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
