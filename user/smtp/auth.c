/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Decodes the responses of an AUTH exchange, reads the user and removes the secrets. */
#include "smtp/auth.h"

#include <string.h>
#include <strings.h>

#include "smtp/auth_mechanism.h"

#define RESPONSE_MAX 12288U		    /* octets of a line (RFC 4954, section 4) */
#define DECODED_MAX  (RESPONSE_MAX / 4 * 3) /* octets after decoding */

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A decoded response. It contains a secret: its owner wipes it. */
struct decoded {
	char bytes[DECODED_MAX];
	size_t len;
	size_t digits; /* of the line, without its padding */
};

/* ---- base64 (RFC 4648) ----------------------------------------------------------------------- */

/*
 * Padding may be missing, in part or as a whole, where a line was cut. A digit that completes no
 * octet is dropped.
 */
static bool base64_decode(struct span line, struct decoded *decoded)
{
	size_t digits = line.len;
	uint32_t bits = 0;

	if (line.len > RESPONSE_MAX)
		return false;
	while (digits && line.data[digits - 1] == '=')
		digits--;
	if (digits != line.len && (digits % 4 < 2 || line.len - digits > 4 - digits % 4))
		return false;
	decoded->digits = digits;
	decoded->len = 0;
	for (size_t i = 0; i < digits; i++) {
		const char *digit = memchr(base64_digits, line.data[i], sizeof(base64_digits) - 1);

		if (!digit)
			return false;
		bits = bits << 6 | (uint32_t)(digit - base64_digits);
		if (i % 4)
			decoded->bytes[decoded->len++] = (char)(bits >> (6 - i % 4 * 2));
	}
	return true;
}

/*
 * Overwrites the digits that it was decoded from. The bits after the last whole octet, perhaps
 * secret, become 0.
 */
static void base64_encode(const struct decoded *decoded, char *line)
{
	struct span text = {decoded->bytes, decoded->len};

	for (size_t i = 0; i < decoded->digits; i++) {
		size_t first = i * 6 / 8;
		uint32_t pair = auth_byte_at(text, first) << 8 | auth_byte_at(text, first + 1);

		line[i] = base64_digits[pair >> (10 - i * 6 % 8) & 0x3f];
	}
}

/* ---- Names ----------------------------------------------------------------------------------- */

static size_t put_utf8(uint32_t c, char part[4])
{
	if (c < 0x80) {
		part[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		part[0] = (char)(0xc0 | c >> 6);
		part[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		part[0] = (char)(0xe0 | c >> 12);
		part[1] = (char)(0x80 | (c >> 6 & 0x3f));
		part[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	part[0] = (char)(0xf0 | c >> 18);
	part[1] = (char)(0x80 | (c >> 12 & 0x3f));
	part[2] = (char)(0x80 | (c >> 6 & 0x3f));
	part[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* A surrogate without its other half becomes U+FFFD, the replacement character. */
static size_t next_utf16(struct span name, size_t *at, char part[4])
{
	uint32_t c, low;

	if (name.len - *at < 2)
		return 0;
	c = auth_le16(name, *at);
	*at += 2;
	if (c < 0xd800 || c > 0xdfff)
		return put_utf8(c, part);
	low = auth_le16(name, *at);
	if (c > 0xdbff || low < 0xdc00 || low > 0xdfff)
		return put_utf8(0xfffd, part);
	*at += 2;
	return put_utf8(0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00), part);
}

static size_t next_saslname(struct span name, size_t *at, char part[4])
{
	struct span rest = {name.data + *at, name.len - *at};

	part[0] = rest.data[0];
	if (part[0] != '=') {
		*at += 1;
		return 1;
	}
	if (rest.len < 3)
		return 0;
	*at += 3;
	part[0] = strncasecmp(rest.data, "=2C", 3) == 0 ? ',' : '=';
	return part[0] == ',' || strncasecmp(rest.data, "=3D", 3) == 0;
}

/* Takes the next character of a name, as UTF-8. Returns its bytes; 0: the name is malformed. */
static size_t next_part(struct span name, enum auth_form form, size_t *at, char part[4])
{
	if (form == FORM_UTF16)
		return next_utf16(name, at, part);
	if (form == FORM_SASLNAME)
		return next_saslname(name, at, part);
	if (form == FORM_QUOTED && name.data[*at] == '\\') {
		*at += 1;
		if (*at == name.len)
			return 0;
	}
	part[0] = name.data[(*at)++];
	return 1;
}

/*
 * Writes as much of a name as fits into `max` bytes. False if it is not a name: empty, malformed,
 * or with a NUL or an OAuth separator, which no mechanism allows. (PLAIN's response sent to LOGIN
 * has a NUL, followed by the password.)
 */
static bool read_name(struct span name, enum auth_form form, char *user, size_t max, size_t *len)
{
	bool full = false;

	*len = 0;
	for (size_t at = 0; at < name.len;) {
		char part[4];
		size_t part_len = next_part(name, form, &at, part);

		if (!part_len || part[0] == '\0' || part[0] == AUTH_SEPARATOR)
			return false;
		full = full || part_len > max - *len;
		if (full)
			continue; /* the rest must be well-formed too */
		memcpy(user + *len, part, part_len);
		*len += part_len;
	}
	return name.len != 0;
}

static struct span name_of(const struct decoded *decoded, const struct auth_found *found)
{
	return (struct span){decoded->bytes + found->name.begin,
			     found->name.end - found->name.begin};
}

/* True if a response names a user; `found` says where. */
static bool find_user(struct span mechanism, uint32_t step, struct span response,
		      struct decoded *decoded, struct auth_found *found)
{
	size_t len;

	return base64_decode(response, decoded) &&
	       auth_find_name(mechanism, step, (struct span){decoded->bytes, decoded->len},
			      found) &&
	       read_name(name_of(decoded, found), found->form, NULL, 0, &len);
}

size_t smtp_auth_user(struct span mechanism, uint32_t step, struct span response, char *user,
		      size_t max)
{
	struct decoded decoded;
	struct auth_found found;
	size_t len = 0;

	if (find_user(mechanism, step, response, &decoded, &found))
		read_name(name_of(&decoded, &found), found.form, user, max, &len);
	explicit_bzero(&decoded, sizeof(decoded));
	return len;
}

/* ---- Redaction ------------------------------------------------------------------------------- */

static bool within(struct auth_range range, size_t at)
{
	return at >= range.begin && at < range.end;
}

static void mask(struct decoded *decoded, const struct auth_found *found)
{
	for (size_t i = 0; i < decoded->len; i++) {
		if (!within(found->keep[0], i) && !within(found->keep[1], i))
			decoded->bytes[i] = AUTH_MASK;
	}
}

void smtp_auth_redact(struct span mechanism, uint32_t step, char *response, size_t len)
{
	struct decoded decoded;
	struct auth_found found;

	if (!len || (len == 1 && (response[0] == '=' || response[0] == '*')))
		return;
	if (find_user(mechanism, step, (struct span){response, len}, &decoded, &found)) {
		mask(&decoded, &found);
		base64_encode(&decoded, response);
	} else {
		memset(response, AUTH_MASK, len);
	}
	explicit_bzero(&decoded, sizeof(decoded));
}

/* ---- The secret ------------------------------------------------------------------------------ */

/* The longest run of bytes that are not kept, without control characters at its ends. */
static struct span longest_secret(const struct decoded *decoded, const struct auth_found *found)
{
	struct span longest = {decoded->bytes, 0};

	for (size_t from = 0, to; from < decoded->len; from = to + 1) {
		struct span run;

		for (to = from; to < decoded->len && !within(found->keep[0], to) &&
				!within(found->keep[1], to);)
			to++;
		run = (struct span){decoded->bytes + from, to - from};
		while (run.len && (unsigned char)run.data[0] < ' ') {
			run.data++;
			run.len--;
		}
		while (run.len && (unsigned char)run.data[run.len - 1] < ' ')
			run.len--;
		if (run.len > longest.len)
			longest = run;
	}
	return longest;
}

size_t smtp_auth_secret(struct span mechanism, uint32_t step, struct span response, char *secret,
			size_t max)
{
	struct auth_found found = {.form = FORM_BYTES};
	struct decoded decoded;
	struct span longest;

	if (!base64_decode(response, &decoded))
		return 0;
	if (!find_user(mechanism, step, response, &decoded, &found))
		found = (struct auth_found){.form = FORM_BYTES};
	longest = longest_secret(&decoded, &found);
	if (longest.len > max)
		longest.len = max;
	memcpy(secret, longest.data, longest.len);
	explicit_bzero(&decoded, sizeof(decoded));
	return longest.len;
}
