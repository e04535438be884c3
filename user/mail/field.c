/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parsers of header fields. They accept what mail programs accept, not only what is valid. */
#include "mail/field.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "mail/word.h"

#define CONTINUATIONS_MAX 64U
#define YEAR_MAX	  2200 /* nanoseconds since 1970 fit 63 bits up to 2262 */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span text)
{
	while (text.len && is_blank(text.data[0])) {
		text.data++;
		text.len--;
	}
	while (text.len && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/*
 * The end of the comment that begins at `at`. Comments nest; one that is never closed extends to
 * the end.
 */
static size_t comment_end(struct span body, size_t at)
{
	size_t depth = 0;

	for (; at < body.len; at++) {
		if (body.data[at] == '\\')
			at++;
		else if (body.data[at] == '(')
			depth++;
		else if (body.data[at] == ')' && --depth == 0)
			return at + 1;
	}
	return body.len;
}

/* The end of the quoted string that begins at `at`. */
static size_t quote_end(struct span body, size_t at)
{
	for (at++; at < body.len; at++) {
		if (body.data[at] == '\\')
			at++;
		else if (body.data[at] == '"')
			return at + 1;
	}
	return body.len;
}

/* ---- Addresses ------------------------------------------------------------------------------- */

struct mailbox {
	char text[MAIL_ADDRESS_MAX];
	size_t len;
	size_t words;	 /* outside of brackets, separated by blanks */
	bool blank;	 /* the last byte was a blank */
	bool in_angle;	 /* between < and > */
	bool from_angle; /* the address was in brackets: anything else is a name */
};

static void mailbox_add(struct mailbox *mailbox, struct span part)
{
	size_t room = sizeof(mailbox->text) - mailbox->len;

	if (mailbox->from_angle && !mailbox->in_angle)
		return;
	if (!mailbox->in_angle && (mailbox->blank || !mailbox->len))
		mailbox->words++;
	mailbox->blank = false;
	if (part.len > room)
		part.len = room;
	memcpy(mailbox->text + mailbox->len, part.data, part.len);
	mailbox->len += part.len;
}

static void mailbox_tell(struct mailbox *mailbox, mail_address_fn tell, void *context)
{
	struct span address = {mailbox->text, mailbox->len};
	const char *colon = memchr(address.data, ':', address.len);

	if (mailbox->from_angle && colon && address.data[0] == '@') { /* a source route */
		address.len -= (size_t)(colon + 1 - address.data);
		address.data = colon + 1;
	}
	if (address.len &&
	    (mailbox->from_angle || mailbox->words == 1 || memchr(address.data, '@', address.len)))
		tell(context, address);
	*mailbox = (struct mailbox){.len = 0};
}

void mail_field_addresses(struct span body, mail_address_fn tell, void *context)
{
	struct mailbox mailbox = {.len = 0};

	for (size_t at = 0, end; at < body.len; at = end) {
		char c = body.data[at];

		end = at + 1;
		if (c == '(') {
			end = comment_end(body, at);
		} else if (c == '"') {
			end = quote_end(body, at);
			end = end > body.len ? body.len : end;
			mailbox_add(&mailbox, (struct span){body.data + at, end - at});
		} else if (is_blank(c)) {
			mailbox.blank = true;
		} else if (c == '<' && !mailbox.from_angle) {
			mailbox.len = 0;
			mailbox.in_angle = mailbox.from_angle = true;
		} else if (c == '>') {
			mailbox.in_angle = false;
		} else if (!mailbox.in_angle && (c == ',' || c == ';')) {
			mailbox_tell(&mailbox, tell, context);
		} else if (!mailbox.in_angle && c == ':') { /* after the name of a group */
			mailbox = (struct mailbox){.len = 0};
		} else {
			mailbox_add(&mailbox, (struct span){body.data + at, 1});
		}
	}
	mailbox_tell(&mailbox, tell, context);
}

/* ---- Values and parameters ------------------------------------------------------------------- */

struct span mail_field_value(struct span body)
{
	const char *end = memchr(body.data, ';', body.len), *comment;

	if (end)
		body.len = (size_t)(end - body.data);
	body = trim(body);
	comment = memchr(body.data, '(', body.len);
	if (comment)
		body.len = (size_t)(comment - body.data);
	return trim(body);
}

/* A parameter as it is written: a name, and a value with its quotes. */
struct parameter {
	struct span name;
	struct span value;
};

/* Takes the next parameter off the front. False: there is none. */
static bool next_parameter(struct span *rest, struct parameter *parameter)
{
	size_t at = 0, end, equals = 0;

	while (at < rest->len && (rest->data[at] == ';' || is_blank(rest->data[at])))
		at++;
	if (at == rest->len)
		return false;
	for (end = at; end < rest->len && rest->data[end] != ';';) {
		if (rest->data[end] == '=' && !equals)
			equals = end;
		if (rest->data[end] == '"')
			end = quote_end(*rest, end);
		else
			end++;
	}
	if (end > rest->len)
		end = rest->len;
	if (equals) {
		parameter->name = trim((struct span){rest->data + at, equals - at});
		parameter->value = trim((struct span){rest->data + equals + 1, end - equals - 1});
	} else {
		parameter->name = parameter->value = (struct span){"", 0};
	}
	rest->data += end;
	rest->len -= end;
	return true;
}

/* Adds a token, or a quoted string without its quotes. */
static void add_plain(struct text *out, struct span value)
{
	if (!value.len || value.data[0] != '"') {
		text_add(out, value);
		return;
	}
	for (size_t i = 1; i < value.len && value.data[i] != '"'; i++) {
		if (value.data[i] == '\\' && i + 1 < value.len)
			i++;
		text_add(out, (struct span){value.data + i, 1});
	}
}

static void add_percent(struct text *out, struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		char c = value.data[i];

		if (c == '%' && value.len - i > 2 && hex_value(value.data[i + 1]) >= 0 &&
		    hex_value(value.data[i + 2]) >= 0) {
			c = (char)(hex_value(value.data[i + 1]) * 16 +
				   hex_value(value.data[i + 2]));
			i += 2;
		}
		text_add(out, (struct span){&c, 1});
	}
}

/* Takes "charset'language'" off the front of an extended value. */
static struct span take_charset(struct span *value)
{
	const char *first = memchr(value->data, '\'', value->len), *second;
	struct span charset = {"", 0};

	if (!first)
		return charset;
	second = memchr(first + 1, '\'', value->len - (size_t)(first + 1 - value->data));
	if (!second)
		return charset;
	charset = (struct span){value->data, (size_t)(first - value->data)};
	value->len -= (size_t)(second + 1 - value->data);
	value->data = second + 1;
	return charset;
}

/* The pieces of one parameter by number; [0] is also "name*". */
struct pieces {
	struct parameter piece[CONTINUATIONS_MAX];
	struct span plain;
	bool has_plain;
};

static bool is_extended(const struct parameter *piece)
{
	return piece->name.len && piece->name.data[piece->name.len - 1] == '*';
}

/* Puts a parameter of that name in its place. */
static void pieces_put(struct pieces *pieces, const struct parameter *parameter, size_t name_len)
{
	unsigned int number = 0;
	size_t at = name_len + 1;

	if (parameter->name.len == name_len) {
		if (!pieces->has_plain)
			pieces->plain = parameter->value;
		pieces->has_plain = true;
		return;
	}
	for (; at < parameter->name.len && isdigit((unsigned char)parameter->name.data[at]) &&
	       number < 1000;
	     at++)
		number = number * 10 + (unsigned int)(parameter->name.data[at] - '0');
	if (number < CONTINUATIONS_MAX && !pieces->piece[number].name.len)
		pieces->piece[number] = *parameter;
}

/*
 * Encoded words have no place in a parameter (RFC 2047, 5), but many senders put them there, also
 * into the pieces of RFC 2231, with a word cut at the end of a piece. They are decoded once the
 * pieces are joined.
 */
static void add_pieces(struct text *out, const struct pieces *pieces)
{
	struct text bytes = {0}, joined = {0};
	struct span charset = {"", 0};

	for (unsigned int i = 0; i < CONTINUATIONS_MAX && pieces->piece[i].name.len; i++) {
		struct span value = pieces->piece[i].value;

		if (i == 0 && is_extended(&pieces->piece[i]))
			charset = take_charset(&value);
		if (is_extended(&pieces->piece[i]))
			add_percent(&bytes, value);
		else
			add_plain(&bytes, value);
	}
	if (bytes.len &&
	    (!charset.len ||
	     !mail_charset_decode(&joined, charset, (struct span){bytes.data, bytes.len})))
		text_add(&joined, (struct span){bytes.data, bytes.len});
	if (joined.len)
		mail_word_decode(out, (struct span){joined.data, joined.len});
	out->failed |= bytes.failed | joined.failed;
	text_free(&joined);
	text_free(&bytes);
}

bool mail_field_parameter(struct text *out, struct span body, const char *name)
{
	size_t name_len = strlen(name);
	struct pieces pieces = {.has_plain = false};
	struct parameter parameter;
	const char *first = memchr(body.data, ';', body.len);
	struct text plain = {0};

	if (!first)
		return false;
	body.len -= (size_t)(first - body.data);
	body.data = first;
	while (next_parameter(&body, &parameter)) {
		if (parameter.name.len >= name_len &&
		    strncasecmp(parameter.name.data, name, name_len) == 0 &&
		    (parameter.name.len == name_len || parameter.name.data[name_len] == '*'))
			pieces_put(&pieces, &parameter, name_len);
	}
	if (pieces.piece[0].name.len) {
		add_pieces(out, &pieces);
		return true;
	}
	if (!pieces.has_plain)
		return false;
	add_plain(&plain, pieces.plain);
	mail_word_decode(out, (struct span){plain.data ? plain.data : "", plain.len});
	text_free(&plain);
	return true;
}

/* ---- Dates ----------------------------------------------------------------------------------- */

/* "+0130" or a name (RFC 5322, 4.3), as minutes east of UTC. An unknown zone counts as UTC. */
static int zone_minutes(const char *zone)
{
	static const struct {
		const char *name;
		int hours;
	} zones[] = {{"EST", -5}, {"EDT", -4}, {"CST", -6}, {"CDT", -5},
		     {"MST", -7}, {"MDT", -6}, {"PST", -8}, {"PDT", -7}};
	unsigned int hours, minutes;

	if ((zone[0] == '+' || zone[0] == '-') && sscanf(zone + 1, "%2u%2u", &hours, &minutes) == 2)
		return (zone[0] == '-' ? -1 : 1) * (int)(hours * 60 + minutes);
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++) {
		if (strcasecmp(zone, zones[i].name) == 0)
			return zones[i].hours * 60;
	}
	return 0;
}

static int month_of(const char *name)
{
	static const char months[] = "janfebmaraprmayjunjulaugsepoctnovdec";

	for (int i = 0; i < 12; i++) {
		if (strncasecmp(name, months + (size_t)i * 3, 3) == 0)
			return i;
	}
	return -1;
}

bool mail_field_date(struct span body, int64_t *unix_s)
{
	char text[128], month[4] = "", zone[8] = "";
	struct tm tm = {.tm_isdst = 0}, check;
	const char *start, *comma;
	int fields;
	time_t when;

	if (body.len >= sizeof(text))
		body.len = sizeof(text) - 1;
	memcpy(text, body.data, body.len);
	text[body.len] = '\0';
	comma = strchr(text, ',');
	start = comma ? comma + 1 : text;
	fields = sscanf(start, " %2d %3[A-Za-z]%*[A-Za-z. ]%4d %2d:%2d:%2d %7[A-Za-z0-9+-]",
			&tm.tm_mday, month, &tm.tm_year, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, zone);
	if (fields == 5)
		sscanf(start, " %*d %*s %*d %*d:%*d %7[A-Za-z0-9+-]", zone);
	tm.tm_mon = month_of(month);
	if (fields < 5 || tm.tm_mon < 0 || tm.tm_year < 0)
		return false;
	tm.tm_year += tm.tm_year < 50 ? 2000 : tm.tm_year < 1000 ? 1900 : 0; /* RFC 5322, 4.3 */
	if (tm.tm_year < 1970 || tm.tm_year > YEAR_MAX)
		return false;
	tm.tm_year -= 1900;
	check = tm;
	if (tm.tm_hour > 23 || tm.tm_min > 59 || tm.tm_sec > 60 || tm.tm_hour < 0 ||
	    tm.tm_min < 0 || tm.tm_sec < 0)
		return false;
	when = timegm(&tm);
	if (tm.tm_mday != check.tm_mday && check.tm_sec != 60) /* this month has no such day */
		return false;
	*unix_s = (int64_t)when - (int64_t)zone_minutes(zone) * 60;
	return true;
}

struct span mail_field_id(struct span body)
{
	const char *end;

	body = trim(body);
	if (!body.len || body.data[0] != '<')
		return body;
	body.data++;
	body.len--;
	end = memchr(body.data, '>', body.len);
	if (end)
		body.len = (size_t)(end - body.data);
	return trim(body);
}
