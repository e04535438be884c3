/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the field says that the bytes are an address, whatever they look like. Only
 * what is certainly a domain is shown. Odd syntax can cost the domain, and never shows a local
 * part.
 */
#include "policy/privacy_address.h"

#include <ctype.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#define DOMAIN_MAX  253U /* bytes shown of a domain (RFC 1035, 2.3.4) */
#define HASH_NAME   "hmac-sha256:"
#define HASH_BYTES  16U
#define LOWER_BYTES 256U /* put into lower case at a time */

static bool is_one_of(char c, const char *bytes)
{
	return c && strchr(bytes, c);
}

/* ---- The domain ------------------------------------------------------------------------------ */

/* The length of the character at the front if a domain, or an address literal, may have it. */
static size_t domain_char(struct span text, bool literal)
{
	unsigned char c = text.len ? (unsigned char)text.data[0] : 0;
	uint32_t code = 0;

	if (c >= 0x80)
		return utf8_front(text, &code);
	return isalnum(c) || is_one_of((char)c, literal ? ".-_:[]" : ".-_");
}

static struct span domain_of(struct span text, bool literal)
{
	struct span domain = {text.data, 0};
	size_t len;

	while ((len = domain_char(span_part(text, domain.len, text.len), literal)) &&
	       domain.len + len <= DOMAIN_MAX)
		domain.len += len;
	while (domain.len && domain.data[domain.len - 1] == '.')
		domain.len--;
	return domain;
}

struct span privacy_domain(struct span text)
{
	struct span domain;

	if (!text.len || text.data[0] != '[')
		return domain_of(text, false);
	domain = domain_of(text, true);
	for (size_t i = 1; i < domain.len; i++) {
		if (domain.data[i] == ']')
			return span_part(domain, 0, i + 1);
	}
	return span_part(domain, 0, 0);
}

/*
 * The length of what is at the front: a quoted string, a comment (they nest), a quoted pair, or
 * else one byte. 0: a quoted string or comment that has no end.
 */
static size_t unit_len(struct span text)
{
	char open = text.data[0], close = open == '(' ? ')' : '"';
	size_t depth = 1;

	if (open == '\\')
		return text.len > 1 ? 2 : 1;
	if (open != '"' && open != '(')
		return 1;
	for (size_t i = 1; i < text.len; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == close && --depth == 0)
			return i + 1;
		else if (text.data[i] == '(' && open == '(')
			depth++;
	}
	return 0;
}

/*
 * The offset of the last '@' that is not quoted. address.len: there is none, or a quoted string
 * without an end may hide another one.
 */
static size_t last_at(struct span address)
{
	size_t at = address.len, len;

	for (size_t i = 0; i < address.len; i += len) {
		len = unit_len(span_part(address, i, address.len));
		if (!len)
			return address.len;
		if (address.data[i] == '@')
			at = i;
	}
	return at;
}

/*
 * Without the blanks and brackets around it, and without a source route "@a,@b:" (RFC 5321,
 * appendix C).
 */
static struct span bare(struct span address)
{
	bool literal = false;

	while (address.len &&
	       ((unsigned char)address.data[0] <= ' ' || is_one_of(address.data[0], "<>")))
		address = span_part(address, 1, address.len);
	while (address.len && ((unsigned char)address.data[address.len - 1] <= ' ' ||
			       is_one_of(address.data[address.len - 1], "<>")))
		address.len--;
	for (size_t i = 0; address.len && address.data[0] == '@' && i + 1 < address.len; i++) {
		literal = address.data[i] == '[' || (literal && address.data[i] != ']');
		if (address.data[i] == ':' && !literal)
			return span_part(address, i + 1, address.len);
	}
	return address;
}

/* ---- The hash -------------------------------------------------------------------------------- */

/*
 * A hash that has taken in the key, filled up with zeros and with each byte changed by `pad` (RFC
 * 2104). NULL: out of memory.
 */
static EVP_MD_CTX *begin_hash(const struct privacy *privacy, unsigned char pad)
{
	unsigned char block[SHA256_CBLOCK] = {0};
	EVP_MD_CTX *hash = EVP_MD_CTX_new();

	_Static_assert(sizeof(privacy->key) <= sizeof(block), "the key fits one block");
	memcpy(block, privacy->key, sizeof(privacy->key));
	for (size_t i = 0; i < sizeof(block); i++)
		block[i] ^= pad;
	if (hash && (EVP_DigestInit_ex(hash, EVP_sha256(), NULL) != 1 ||
		     EVP_DigestUpdate(hash, block, sizeof(block)) != 1)) {
		EVP_MD_CTX_free(hash);
		hash = NULL;
	}
	OPENSSL_cleanse(block, sizeof(block));
	return hash;
}

static bool teller_begin(struct teller *teller)
{
	if (teller->work)
		return true;
	teller->inner = begin_hash(teller->privacy, 0x36);
	teller->outer = begin_hash(teller->privacy, 0x5c);
	teller->work = teller->inner && teller->outer ? EVP_MD_CTX_new() : NULL;
	if (!teller->work)
		teller_end(teller);
	return teller->work;
}

void teller_end(struct teller *teller)
{
	EVP_MD_CTX_free(teller->inner);
	EVP_MD_CTX_free(teller->outer);
	EVP_MD_CTX_free(teller->work);
	teller->inner = teller->outer = teller->work = NULL;
}

static bool hash_lower(EVP_MD_CTX *hash, struct span address)
{
	unsigned char lower[LOWER_BYTES];
	size_t len;

	for (; address.len; address = span_part(address, len, address.len)) {
		len = address.len < sizeof(lower) ? address.len : sizeof(lower);
		for (size_t i = 0; i < len; i++) {
			char c = address.data[i];

			lower[i] = (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
		}
		if (EVP_DigestUpdate(hash, lower, len) != 1)
			return false;
	}
	return true;
}

/* HMAC-SHA256 of the address in lower case. */
static bool hash_address(struct teller *teller, struct span address,
			 unsigned char digest[EVP_MAX_MD_SIZE])
{
	return teller_begin(teller) && EVP_MD_CTX_copy_ex(teller->work, teller->inner) == 1 &&
	       hash_lower(teller->work, address) &&
	       EVP_DigestFinal_ex(teller->work, digest, NULL) == 1 &&
	       EVP_MD_CTX_copy_ex(teller->work, teller->outer) == 1 &&
	       EVP_DigestUpdate(teller->work, digest, SHA256_DIGEST_LENGTH) == 1 &&
	       EVP_DigestFinal_ex(teller->work, digest, NULL) == 1;
}

static void add_hash(struct text *out, struct teller *teller, struct span address)
{
	char shown[] = HASH_NAME "0123456789abcdef0123456789abcdef";
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!hash_address(teller, address, digest)) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < HASH_BYTES; i++)
		text_hex(shown + sizeof(HASH_NAME) - 1 + 2 * i, digest[i], 2);
	text_add(out, (struct span){shown, sizeof(shown) - 1});
}

/* ---- What is shown --------------------------------------------------------------------------- */

void privacy_address(struct text *out, struct teller *teller, struct span address)
{
	struct span domain;
	size_t at;

	if (teller->privacy->addresses == PRIVACY_FULL) {
		text_add(out, address);
		return;
	}
	address = bare(address);
	if (!address.len)
		return;
	at = last_at(address);
	domain = at < address.len ? domain_of(span_part(address, at + 1, address.len), true)
				  : span_part(address, at, at);
	if (teller->privacy->addresses == PRIVACY_HASH) {
		add_hash(out, teller,
			 domain.len ? span_part(address, 0, at + 1 + domain.len) : address);
	} else {
		text_add_string(out, "@");
		text_add(out, domain);
	}
}

void privacy_name(struct text *out, struct teller *teller, struct span name)
{
	size_t before = out->len;

	privacy_address(out, teller, name);
	if (teller->privacy->addresses == PRIVACY_DOMAIN && out->len == before + 1)
		out->data[--out->len] = '\0';
}

/* Adds the text with its escapes undone. */
static void decode(struct text *out, struct span text, char escape)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == escape && i + 2 < text.len && hex_value(text.data[i + 1]) >= 0 &&
		    hex_value(text.data[i + 2]) >= 0) {
			c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
			i += 2;
		}
		text_add(out, (struct span){&c, 1});
	}
}

void privacy_encoded_address(struct text *out, struct teller *teller, struct span address,
			     char escape)
{
	struct text decoded = {0};

	if (escape) {
		decode(&decoded, address, escape);
		address = (struct span){decoded.data, decoded.len};
	}
	if (decoded.failed)
		out->failed = true;
	else
		privacy_address(out, teller, address);
	text_free(&decoded);
}
