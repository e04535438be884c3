/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Each mechanism has one function that examines a decoded response: where the user's name is, how
 * it is written there, and which bytes are needed to find it again. Everything else may be secret
 * and is overwritten: only what is known to be harmless is kept. A name counts only if what ends it
 * is there, because in a malformed response the password might otherwise be taken for the name.
 */
#include "smtp/auth_mechanism.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

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

/* ---- Names and passwords --------------------------------------------------------------------- */

/* LOGIN: the first response is the name and nothing else. EXTERNAL: RFC 4422, appendix A. */
static bool find_whole(struct span text, struct auth_found *found)
{
	found->name = found->keep[0] = (struct auth_range){0, text.len};
	return true;
}

/* RFC 4616: [authzid] NUL authcid NUL passwd */
static bool find_plain(struct span text, struct auth_found *found)
{
	size_t begin = find_byte(text, 0, '\0') + 1, end = find_byte(text, begin, '\0');

	if (end >= text.len)
		return false;
	found->name = (struct auth_range){begin, end};
	found->keep[0] = (struct auth_range){0, end + 1};
	return true;
}

/*
 * RFC 2195: name SP digest. A name may contain blanks; an incomplete digest might be a part of the
 * name.
 */
static bool find_cram_md5(struct span text, struct auth_found *found)
{
	const size_t digest_len = 32;
	size_t end;

	if (text.len < digest_len + 1)
		return false;
	end = text.len - digest_len - 1;
	for (size_t i = end + 1; i < text.len; i++) {
		if (!isxdigit((unsigned char)text.data[i]) && text.data[i] != AUTH_MASK)
			return false;
	}
	found->name = (struct auth_range){0, end};
	found->keep[0] = (struct auth_range){0, end + 1};
	return text.data[end] == ' ';
}

/* ---- OAuth and SCRAM ------------------------------------------------------------------------- */

/* Google and Microsoft: "user=" name ^A "auth=Bearer " token ^A ^A (^A is the separator). */
static bool find_xoauth2(struct span text, struct auth_found *found)
{
	static const char key[] = "user=",
			  behind[] = "auth="; /* without it, the token is in the name */
	size_t begin = 0, end = find_byte(text, 0, AUTH_SEPARATOR);

	while (end < text.len && !begins(text, begin, key)) {
		begin = end + 1;
		end = find_byte(text, begin, AUTH_SEPARATOR);
	}
	if (end == text.len)
		return false;
	found->name = (struct auth_range){begin + sizeof(key) - 1, end};
	found->keep[0] = (struct auth_range){begin ? begin - 1 : 0, end + 1};
	if (begin)
		return true;
	found->keep[1] = (struct auth_range){end + 1, end + sizeof(behind)};
	return begins(text, end + 1, behind);
}

/*
 * The header of RFC 5801, section 4: "n," or "y," or "p=binding,", then [ "a=" authzid ] ",".
 * `*end`: where it ends.
 */
static bool find_gs2_header(struct span text, struct auth_range *authzid, size_t *end)
{
	size_t comma = find_byte(text, 0, ','), second = find_byte(text, comma + 1, ',');

	if (second >= text.len)
		return false;
	if (!begins(text, 0, "n,") && !begins(text, 0, "y,") && !begins(text, 0, "p="))
		return false;
	*authzid = (struct auth_range){second, second};
	*end = second + 1;
	if (comma + 1 == second)
		return true;
	authzid->begin = comma + 3;
	return second >= comma + 3 && begins(text, comma + 1, "a=");
}

/* RFC 7628: a GS2 header with the name, then ^A "auth=Bearer " token ^A ^A. */
static bool find_oauthbearer(struct span text, struct auth_found *found)
{
	found->form = FORM_SASLNAME;
	return find_gs2_header(text, &found->name, &found->keep[0].end);
}

/* RFC 5802, section 7, client-first-message: a GS2 header, then "n=" name ",r=" nonce */
static bool find_scram(struct span text, struct auth_found *found)
{
	struct auth_range authzid;
	size_t begin, end;

	if (!find_gs2_header(text, &authzid, &begin) || !begins(text, begin, "n="))
		return false;
	end = find_byte(text, begin, ',');
	if (end == text.len)
		return false;
	found->form = FORM_SASLNAME;
	found->name = (struct auth_range){begin + 2, end};
	found->keep[0] = (struct auth_range){0, end + 1};
	return true;
}

/* ---- DIGEST-MD5 ------------------------------------------------------------------------------ */

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
static bool find_digest_md5(struct span text, struct auth_found *found)
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
	found->name = (struct auth_range){at, end};
	found->keep[0] = (struct auth_range){begin ? begin - 1 : 0, end + 1};
	return true;
}

/* ---- NTLM ------------------------------------------------------------------------------------ */

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

static struct auth_range ntlm_field(struct span text, size_t at)
{
	size_t begin = auth_le32(text, at + 4);

	return (struct auth_range){begin, begin + auth_le16(text, at)};
}

/* True if no field points into the header. Messages before NTLM 2 do that, and have no flags. */
static bool ntlm_fields_fit(struct span text)
{
	for (size_t at = NTLM_LM_RESPONSE; at < NTLM_FLAGS; at += NTLM_FIELD_LEN) {
		struct auth_range field = ntlm_field(text, at);

		if (field.begin < field.end && field.begin < NTLM_HEADER_LEN)
			return false;
	}
	return true;
}

static bool ntlm_overlaps(struct span text, size_t at, struct auth_range name)
{
	struct auth_range secret = ntlm_field(text, at);

	return secret.begin < secret.end && secret.begin < name.end && name.begin < secret.end;
}

static bool find_ntlm(struct span text, struct auth_found *found)
{
	static const char signature[] = "NTLMSSP"; /* with its NUL */

	if (text.len < NTLM_HEADER_LEN || memcmp(text.data, signature, sizeof(signature)) != 0)
		return false;
	if (auth_le32(text, NTLM_TYPE) != NTLM_AUTHENTICATE || !ntlm_fields_fit(text))
		return false;
	found->name = ntlm_field(text, NTLM_USER);
	if (found->name.end > text.len || ntlm_overlaps(text, NTLM_LM_RESPONSE, found->name) ||
	    ntlm_overlaps(text, NTLM_NT_RESPONSE, found->name) ||
	    ntlm_overlaps(text, NTLM_SESSION_KEY, found->name))
		return false;
	found->form = auth_le32(text, NTLM_FLAGS) & NTLM_UNICODE ? FORM_UTF16 : FORM_BYTES;
	found->keep[0] = (struct auth_range){0, NTLM_HEADER_LEN};
	found->keep[1] = found->name;
	return true;
}

/* ---- All mechanisms -------------------------------------------------------------------------- */

static const struct mechanism {
	const char *name;
	bool (*find)(struct span text, struct auth_found *found);
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

bool auth_find_name(struct span mechanism, uint32_t step, struct span text,
		    struct auth_found *found)
{
	const struct mechanism *known = find_mechanism(mechanism, step);

	*found = (struct auth_found){.form = FORM_BYTES};
	return known && known->find(text, found);
}
