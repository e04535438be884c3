/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each mechanism has one function that examines a decoded response: where the user's name is, how
 * it is written there, and which bytes are needed to find it again. Everything else may be secret
 * and is overwritten: only what is known to be harmless is kept. A name counts only if what ends it
 * is there, because in a malformed response the password might otherwise be taken for the name.
 */
#include "smtp/auth.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define RESPONSE_MAX 12288U		    /* octets of a line (RFC 4954, section 4) */
#define DECODED_MAX  (RESPONSE_MAX / 4 * 3) /* octets after decoding */
#define SEPARATOR    '\x01'		    /* between the fields of the OAuth mechanisms */
#define MASK	     '*'

static const char base64_digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* A decoded response. It contains a secret: its owner wipes it. */
struct decoded {
	char bytes[DECODED_MAX];
	size_t len;
	size_t digits; /* of the line, without its padding */
};

/* How a name is written. */
enum form {
	FORM_BYTES,
	FORM_SASLNAME, /* "=2C" and "=3D" for a comma and an equals sign (RFC 5802, section 5.1) */
	FORM_QUOTED,   /* a backslash before a quoted character (RFC 2831, section 7.2) */
	FORM_UTF16,    /* little-endian */
};

struct range {
	size_t begin;
	size_t end;
};

struct found {
	struct range name;
	enum form form;
	struct range keep[2]; /* needed to find the name; the second may be empty */
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

static uint32_t byte_at(struct span text, size_t at)
{
	return at < text.len ? (unsigned char)text.data[at] : 0;
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
		uint32_t pair = byte_at(text, first) << 8 | byte_at(text, first + 1);

		line[i] = base64_digits[pair >> (10 - i * 6 % 8) & 0x3f];
	}
}

/* ---- Names ----------------------------------------------------------------------------------- */

static uint32_t le16(struct span text, size_t at)
{
	return byte_at(text, at) | byte_at(text, at + 1) << 8;
}

static uint32_t le32(struct span text, size_t at)
{
	return le16(text, at) | le16(text, at + 2) << 16;
}

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
	c = le16(name, *at);
	*at += 2;
	if (c < 0xd800 || c > 0xdfff)
		return put_utf8(c, part);
	low = le16(name, *at);
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
static size_t next_part(struct span name, enum form form, size_t *at, char part[4])
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
static bool read_name(struct span name, enum form form, char *user, size_t max, size_t *len)
{
	bool full = false;

	*len = 0;
	for (size_t at = 0; at < name.len;) {
		char part[4];
		size_t part_len = next_part(name, form, &at, part);

		if (!part_len || part[0] == '\0' || part[0] == SEPARATOR)
			return false;
		full = full || part_len > max - *len;
		if (full)
			continue; /* the rest must be well-formed too */
		memcpy(user + *len, part, part_len);
		*len += part_len;
	}
	return name.len != 0;
}

/* ---- Mechanisms ------------------------------------------------------------------------------ */

/* The first such byte at or after `from`; the text's length if there is none. */
static size_t find_byte(struct span text, size_t from, char byte)
{
	const char *at = from < text.len ? memchr(text.data + from, byte, text.len - from) : NULL;

	return at ? (size_t)(at - text.data) : text.len;
}

/* Ignores case. */
static bool begins(struct span text, size_t at, const char *with)
{
	size_t len = strlen(with);

	return at <= text.len && len <= text.len - at &&
	       strncasecmp(text.data + at, with, len) == 0;
}

/* LOGIN: the first response is the name and nothing else. EXTERNAL: RFC 4422, appendix A. */
static bool find_whole(struct span text, struct found *found)
{
	found->name = found->keep[0] = (struct range){0, text.len};
	return true;
}

/* RFC 4616: [authzid] NUL authcid NUL passwd */
static bool find_plain(struct span text, struct found *found)
{
	size_t begin = find_byte(text, 0, '\0') + 1, end = find_byte(text, begin, '\0');

	if (end >= text.len)
		return false;
	found->name = (struct range){begin, end};
	found->keep[0] = (struct range){0, end + 1};
	return true;
}

/*
 * RFC 2195: name SP digest. A name may contain blanks; an incomplete digest might be a part of the
 * name.
 */
static bool find_cram_md5(struct span text, struct found *found)
{
	const size_t digest_len = 32;
	size_t end;

	if (text.len < digest_len + 1)
		return false;
	end = text.len - digest_len - 1;
	for (size_t i = end + 1; i < text.len; i++) {
		if (!isxdigit((unsigned char)text.data[i]) && text.data[i] != MASK)
			return false;
	}
	found->name = (struct range){0, end};
	found->keep[0] = (struct range){0, end + 1};
	return text.data[end] == ' ';
}

/* Google and Microsoft: "user=" name SEPARATOR "auth=Bearer " token SEPARATOR SEPARATOR */
static bool find_xoauth2(struct span text, struct found *found)
{
	static const char key[] = "user=",
			  behind[] = "auth="; /* without it, the token is in the name */
	size_t begin = 0, end = find_byte(text, 0, SEPARATOR);

	while (end < text.len && !begins(text, begin, key)) {
		begin = end + 1;
		end = find_byte(text, begin, SEPARATOR);
	}
	if (end == text.len)
		return false;
	found->name = (struct range){begin + sizeof(key) - 1, end};
	found->keep[0] = (struct range){begin ? begin - 1 : 0, end + 1};
	if (begin)
		return true;
	found->keep[1] = (struct range){end + 1, end + sizeof(behind)};
	return begins(text, end + 1, behind);
}

/*
 * The header of RFC 5801, section 4: "n," or "y," or "p=binding,", then [ "a=" authzid ] ",".
 * `*end`: where it ends.
 */
static bool find_gs2_header(struct span text, struct range *authzid, size_t *end)
{
	size_t comma = find_byte(text, 0, ','), second = find_byte(text, comma + 1, ',');

	if (second >= text.len)
		return false;
	if (!begins(text, 0, "n,") && !begins(text, 0, "y,") && !begins(text, 0, "p="))
		return false;
	*authzid = (struct range){second, second};
	*end = second + 1;
	if (comma + 1 == second)
		return true;
	authzid->begin = comma + 3;
	return second >= comma + 3 && begins(text, comma + 1, "a=");
}

/* RFC 7628: a GS2 header with the name, then SEPARATOR "auth=Bearer " token SEPARATOR SEPARATOR */
static bool find_oauthbearer(struct span text, struct found *found)
{
	found->form = FORM_SASLNAME;
	return find_gs2_header(text, &found->name, &found->keep[0].end);
}

/* RFC 5802, section 7, client-first-message: a GS2 header, then "n=" name ",r=" nonce */
static bool find_scram(struct span text, struct found *found)
{
	struct range authzid;
	size_t begin, end;

	if (!find_gs2_header(text, &authzid, &begin) || !begins(text, begin, "n="))
		return false;
	end = find_byte(text, begin, ',');
	if (end == text.len)
		return false;
	found->form = FORM_SASLNAME;
	found->name = (struct range){begin + 2, end};
	found->keep[0] = (struct range){0, end + 1};
	return true;
}

/*
 * The first such byte at or after `from` that is not quoted (RFC 2831, section 7.2); the text's
 * length if there is none.
 */
static size_t find_unquoted(struct span text, size_t from, char byte)
{
	bool quoted = false;

	for (size_t i = from; i < text.len; i++) {
		char c = text.data[i];

		if (c == byte && !quoted)
			return i;
		if (c == '"')
			quoted = !quoted;
		else if (quoted && c == '\\')
			i++;
	}
	return text.len;
}

static size_t skip_space(struct span text, size_t from)
{
	while (from < text.len && isspace((unsigned char)text.data[from]))
		from++;
	return from;
}

/* The quote that closes the one before `from`; the text's length if there is none. */
static size_t find_closing_quote(struct span text, size_t from)
{
	for (size_t i = from; i < text.len; i++) {
		if (text.data[i] == '"')
			return i;
		if (text.data[i] == '\\')
			i++;
	}
	return text.len;
}

/* RFC 2831, section 2.1.2: a list of directives, among them username="name". */
static bool find_digest_md5(struct span text, struct found *found)
{
	static const char key[] = "username=\"";
	size_t begin = 0, at = skip_space(text, 0), end;

	while (!begins(text, at, key)) {
		begin = find_unquoted(text, at, ',') + 1;
		if (begin > text.len)
			return false;
		at = skip_space(text, begin);
	}
	at += sizeof(key) - 1;
	end = find_closing_quote(text, at);
	if (end == text.len)
		return false;
	found->form = FORM_QUOTED;
	found->name = (struct range){at, end};
	found->keep[0] = (struct range){begin ? begin - 1 : 0, end + 1};
	return true;
}

/*
 * The AUTHENTICATE_MESSAGE of MS-NLMP, section 2.2.1.3: a signature, a type, six fields (each a
 * length, a maximum length, an offset) and flags. After them, in no fixed order, is what the fields
 * point to.
 */
enum {
	NTLM_TYPE = 8,
	NTLM_AUTHENTICATE = 3,
	NTLM_LM_RESPONSE = 12,
	NTLM_NT_RESPONSE = 20,
	NTLM_USER = 36,
	NTLM_SESSION_KEY = 52,
	NTLM_FLAGS = 60,
	NTLM_HEADER_LEN = 64,
	NTLM_FIELD_LEN = 8,
	NTLM_UNICODE = 1, /* NTLMSSP_NEGOTIATE_UNICODE; else the client's code page */
};

static struct range ntlm_field(struct span text, size_t at)
{
	size_t begin = le32(text, at + 4);

	return (struct range){begin, begin + le16(text, at)};
}

/* True if no field points into the header. Messages before NTLM 2 do that, and have no flags. */
static bool ntlm_fields_fit(struct span text)
{
	for (size_t at = NTLM_LM_RESPONSE; at < NTLM_FLAGS; at += NTLM_FIELD_LEN) {
		struct range field = ntlm_field(text, at);

		if (field.begin < field.end && field.begin < NTLM_HEADER_LEN)
			return false;
	}
	return true;
}

static bool ntlm_overlaps(struct span text, size_t at, struct range name)
{
	struct range secret = ntlm_field(text, at);

	return secret.begin < secret.end && secret.begin < name.end && name.begin < secret.end;
}

static bool find_ntlm(struct span text, struct found *found)
{
	static const char signature[] = "NTLMSSP"; /* with its NUL */

	if (text.len < NTLM_HEADER_LEN || memcmp(text.data, signature, sizeof(signature)) != 0)
		return false;
	if (le32(text, NTLM_TYPE) != NTLM_AUTHENTICATE || !ntlm_fields_fit(text))
		return false;
	found->name = ntlm_field(text, NTLM_USER);
	if (found->name.end > text.len || ntlm_overlaps(text, NTLM_LM_RESPONSE, found->name) ||
	    ntlm_overlaps(text, NTLM_NT_RESPONSE, found->name) ||
	    ntlm_overlaps(text, NTLM_SESSION_KEY, found->name))
		return false;
	found->form = le32(text, NTLM_FLAGS) & NTLM_UNICODE ? FORM_UTF16 : FORM_BYTES;
	found->keep[0] = (struct range){0, NTLM_HEADER_LEN};
	found->keep[1] = found->name;
	return true;
}

static const struct mechanism {
	const char *name;
	bool (*find)(struct span text, struct found *found);
	bool family;	 /* a prefix of the mechanism's name */
	bool later_step; /* the name may come in any step; the response says if it is there */
} mechanisms[] = {
	{.name = "PLAIN", .find = find_plain},
	{.name = "LOGIN", .find = find_whole},
	{.name = "EXTERNAL", .find = find_whole},
	{.name = "CRAM-MD5", .find = find_cram_md5},
	{.name = "DIGEST-MD5", .find = find_digest_md5},
	{.name = "XOAUTH2", .find = find_xoauth2},
	{.name = "OAUTHBEARER", .find = find_oauthbearer},
	{.name = "SCRAM-", .find = find_scram, .family = true},
	{.name = "NTLM", .find = find_ntlm, .later_step = true},
};

static const struct mechanism *find_mechanism(struct span name, uint32_t step)
{
	for (size_t i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++) {
		const struct mechanism *mechanism = &mechanisms[i];

		if (begins(name, 0, mechanism->name) &&
		    (mechanism->family || name.len == strlen(mechanism->name)))
			return step == 0 || mechanism->later_step ? mechanism : NULL;
	}
	return NULL;
}

static struct span name_of(const struct decoded *decoded, const struct found *found)
{
	return (struct span){decoded->bytes + found->name.begin,
			     found->name.end - found->name.begin};
}

/* True if a response names a user; `found` says where. */
static bool find_user(struct span name, uint32_t step, struct span response,
		      struct decoded *decoded, struct found *found)
{
	const struct mechanism *mechanism = find_mechanism(name, step);
	size_t len;

	*found = (struct found){.form = FORM_BYTES};
	return mechanism && base64_decode(response, decoded) &&
	       mechanism->find((struct span){decoded->bytes, decoded->len}, found) &&
	       read_name(name_of(decoded, found), found->form, NULL, 0, &len);
}

size_t smtp_auth_user(struct span mechanism, uint32_t step, struct span response, char *user,
		      size_t max)
{
	struct decoded decoded;
	struct found found;
	size_t len = 0;

	if (find_user(mechanism, step, response, &decoded, &found))
		read_name(name_of(&decoded, &found), found.form, user, max, &len);
	explicit_bzero(&decoded, sizeof(decoded));
	return len;
}

/* ---- Redaction ------------------------------------------------------------------------------- */

static bool within(struct range range, size_t at)
{
	return at >= range.begin && at < range.end;
}

static void mask(struct decoded *decoded, const struct found *found)
{
	for (size_t i = 0; i < decoded->len; i++) {
		if (!within(found->keep[0], i) && !within(found->keep[1], i))
			decoded->bytes[i] = MASK;
	}
}

void smtp_auth_redact(struct span mechanism, uint32_t step, char *response, size_t len)
{
	struct decoded decoded;
	struct found found;

	if (!len || (len == 1 && (response[0] == '=' || response[0] == '*')))
		return;
	if (find_user(mechanism, step, (struct span){response, len}, &decoded, &found)) {
		mask(&decoded, &found);
		base64_encode(&decoded, response);
	} else {
		memset(response, MASK, len);
	}
	explicit_bzero(&decoded, sizeof(decoded));
}
