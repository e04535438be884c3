/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Over 600 lines: it finds where an address begins in free text, which has many cases. Hiding every
 * word with an @ would need fewer; that is not done yet.
 *
 * Theory of operation: in a field that holds an address, everything is part of it. Only what is
 * certainly a domain is shown; so odd syntax may lose the domain, but never shows a local part. In
 * free text an address is searched at each '@': to the right is the domain, to the left the local
 * part, up to a byte that an address cannot have without quotes. A quoted string or a comment
 * before the '@' belongs to the address, and so does everything in the same pair of angle brackets.
 *
 * Some bytes are ambiguous: ' ` = | & may be part of a local part (o'brien,
 * bounce+bob=corp.example), or separate it from what precedes it (--to=bob, 'bob). They separate if
 * what precedes them is empty or the name of a value; otherwise they belong to the local part. A
 * doubt hides more, not less.
 *
 * Each '@' looks back no further than the end of the previous address, so that the time is linear.
 * Addresses cost most: in text that a process chose (arguments, paths), only a limited number of
 * them is examined.
 */
#include "policy/privacy_text.h"

#include <ctype.h>
#include <strings.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#define DOMAIN_MAX   253U  /* bytes told of a domain (RFC 1035, 2.3.4) */
#define BRACKETS_MAX 1024U /* bytes between angle brackets that may be one path */
#define HASH_NAME    "hmac-sha256:"
#define HASH_BYTES   16U
#define LOWER_BYTES  256U /* made small at a time */

struct rewriting {
	struct teller *teller;
	struct span text;
	unsigned int kind;
	const bool *marked; /* by byte, from the one before the text; NULL: none is */
	struct text *out;
	size_t end; /* out->len may not exceed it */
	bool full;  /* something did not fit: nothing more is added */
	/* where an address could be, that may still be looked at; NULL: any number */
	size_t *places;
	/* up to here a quoted string that begins before, or a quote quoted in it, has no end */
	size_t quoted;
	size_t told; /* bytes of the text that are dealt with */
	struct text scratch;
};

/* ---- Bytes ----------------------------------------------------------------------------------- */

static struct span part(struct span text, size_t from, size_t to)
{
	return (struct span){text.data + from, to - from};
}

static bool is_one_of(char c, const char *bytes)
{
	return c && strchr(bytes, c);
}

enum { ENDS_WORD = 1, DOUBTFUL = 2 };

/* Every byte of a text may be asked several times. */
static const unsigned char classes[256] = {
	[0 ... ' '] = ENDS_WORD, [0x7f] = ENDS_WORD, ['<'] = ENDS_WORD, ['>'] = ENDS_WORD,
	['('] = ENDS_WORD,	 [')'] = ENDS_WORD,  ['['] = ENDS_WORD, [']'] = ENDS_WORD,
	[','] = ENDS_WORD,	 [';'] = ENDS_WORD,  [':'] = ENDS_WORD, ['"'] = ENDS_WORD,
	['\''] = DOUBTFUL,	 ['`'] = DOUBTFUL,   ['='] = DOUBTFUL,	['|'] = DOUBTFUL,
	['&'] = DOUBTFUL,
};

/* What an address cannot have without quotes. */
static bool ends_word(char c, unsigned int kind)
{
	return classes[(unsigned char)c] == ENDS_WORD || (kind & PRIVACY_PATH && c == '/');
}

static bool is_doubtful(char c)
{
	return classes[(unsigned char)c] == DOUBTFUL;
}

static bool is_name_byte(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '_';
}

/*
 * The length of the character of a domain at the front; 0: it is none. `literal`: within an address
 * literal as well.
 */
static size_t domain_char(struct span text, bool literal)
{
	unsigned char c = text.len ? (unsigned char)text.data[0] : 0;
	uint32_t code = 0;

	if (c >= 0x80)
		return utf8_front(text, &code);
	return isalnum(c) || is_one_of((char)c, literal ? ".-_:[]" : ".-_");
}

/* What stands behind an '@', as far as it can be a domain, without the dots at its end. */
static struct span domain_of(struct span text, bool literal)
{
	struct span domain = {text.data, 0};
	size_t len;

	while ((len = domain_char(part(text, domain.len, text.len), literal)) &&
	       domain.len + len <= DOMAIN_MAX)
		domain.len += len;
	while (domain.len && domain.data[domain.len - 1] == '.')
		domain.len--;
	return domain;
}

/* The same within text, where a colon or a bracket behind a domain is not of it. */
static struct span domain_in_text(struct span text)
{
	struct span domain;

	if (!text.len || text.data[0] != '[')
		return domain_of(text, false);
	domain = domain_of(text, true);
	for (size_t i = 1; i < domain.len; i++) {
		if (domain.data[i] == ']')
			return part(domain, 0, i + 1);
	}
	return part(domain, 0, 0);
}

/* ---- One address ----------------------------------------------------------------------------- */

/*
 * The length of a quoted string, a comment (they nest) or a quoted pair at the front, of a byte
 * else; 0: it is not closed.
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
 * Where the last '@' stands that is not quoted; address.len: there is none, or what is not closed
 * may hold another.
 */
static size_t last_at(struct span address)
{
	size_t at = address.len, len;

	for (size_t i = 0; i < address.len; i += len) {
		len = unit_len(part(address, i, address.len));
		if (!len)
			return address.len;
		if (address.data[i] == '@')
			at = i;
	}
	return at;
}

/*
 * Without blanks and brackets around it, and without a source route "@a,@b:" (RFC 5321, appendix
 * C).
 */
static struct span bare(struct span address)
{
	bool literal = false;

	while (address.len &&
	       ((unsigned char)address.data[0] <= ' ' || is_one_of(address.data[0], "<>")))
		address = part(address, 1, address.len);
	while (address.len && ((unsigned char)address.data[address.len - 1] <= ' ' ||
			       is_one_of(address.data[address.len - 1], "<>")))
		address.len--;
	for (size_t i = 0; address.len && address.data[0] == '@' && i + 1 < address.len; i++) {
		literal = address.data[i] == '[' || (literal && address.data[i] != ']');
		if (address.data[i] == ':' && !literal)
			return part(address, i + 1, address.len);
	}
	return address;
}

/*
 * What is hashed begins with the key, filled up with zeros, each byte changed by `pad` (RFC 2104).
 * NULL: there is none.
 */
static EVP_MD_CTX *begun(const struct privacy *privacy, unsigned char pad)
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
	teller->inner = begun(teller->privacy, 0x36);
	teller->outer = begun(teller->privacy, 0x5c);
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

	for (; address.len; address = part(address, len, address.len)) {
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

/* HMAC-SHA256 of the address in small letters. */
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
	static const char digits[] = "0123456789abcdef";
	char told[] = HASH_NAME "0123456789abcdef0123456789abcdef",
	     *at = told + sizeof(HASH_NAME) - 1;
	unsigned char digest[EVP_MAX_MD_SIZE];

	if (!hash_address(teller, address, digest)) {
		out->failed = true;
		return;
	}
	for (size_t i = 0; i < HASH_BYTES; i++) {
		*at++ = digits[digest[i] >> 4];
		*at++ = digits[digest[i] & 0xf];
	}
	text_add(out, (struct span){told, sizeof(told) - 1});
}

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
	domain = at < address.len ? domain_of(part(address, at + 1, address.len), true)
				  : part(address, at, at);
	if (teller->privacy->addresses == PRIVACY_HASH) {
		add_hash(out, teller, domain.len ? part(address, 0, at + 1 + domain.len) : address);
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

/* ---- Where an address begins ----------------------------------------------------------------- */

/* The length of an '@' at this place, in one of its forms; 0: there is none. */
static size_t at_len(const struct rewriting *rewriting, size_t at)
{
	struct span rest = part(rewriting->text, at, rewriting->text.len);

	if (rest.data[0] == '@')
		return 1;
	if (!(rewriting->kind & PRIVACY_ENCODED) || rest.len < 4 ||
	    (memcmp(rest.data, "+40", 3) != 0 && memcmp(rest.data, "%40", 3) != 0))
		return 0;
	return domain_char(part(rest, 3, rest.len), false) ? 3 : 0;
}

/*
 * Where the quoted string or comment begins that ends before `end`; `end`: it has no beginning
 * behind `low`.
 */
static size_t quoted_start(struct span text, size_t low, size_t end)
{
	char open = text.data[end - 1] == '"' ? '"' : '(';

	for (size_t i = end - 1; i > low; i--) {
		if (text.data[i - 1] == open && !(i - 1 > low && text.data[i - 2] == '\\'))
			return i - 1;
	}
	return end;
}

/* Where the run of bytes begins that may be a local part before `end`. */
static size_t run_start(const struct rewriting *rewriting, size_t low, size_t end)
{
	struct span text = rewriting->text;
	size_t at = end;

	while (at > low) {
		bool joined = at == end || text.data[at] == '.';
		size_t start = at;

		if (joined && is_one_of(text.data[at - 1], "\")"))
			start = quoted_start(text, low, at);
		else if (!ends_word(text.data[at - 1], rewriting->kind))
			start = at - 1;
		if (start == at)
			break;
		at = start;
	}
	return at;
}

#define NAME(name) ((struct span){name, sizeof(name) - 1})

/* A name that values of addresses go by. */
static bool is_known_name(struct span name)
{
	static const struct span names[] = {
		NAME("to"),	  NAME("cc"),	      NAME("bcc"),	   NAME("from"),
		NAME("sender"),	  NAME("recipient"),  NAME("recipients"),  NAME("rcpt"),
		NAME("rcpt_to"),  NAME("rcpt-to"),    NAME("mail_from"),   NAME("mail-from"),
		NAME("mail"),	  NAME("mailto"),     NAME("email"),	   NAME("e-mail"),
		NAME("user"),	  NAME("username"),   NAME("login"),	   NAME("auth"),
		NAME("orcpt"),	  NAME("reply_to"),   NAME("reply-to"),	   NAME("replyto"),
		NAME("address"),  NAME("addr"),	      NAME("smtp_to"),	   NAME("smtp_from"),
		NAME("email_to"), NAME("email_from"), NAME("return_path"), NAME("return-path"),
		NAME("admin")};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (name.len == names[i].len &&
		    strncasecmp(name.data, names[i].data, name.len) == 0)
			return true;
	}
	return false;
}

/*
 * Whether what stands before a '=' is the name of a value, and no part of the address behind it:
 * bounce addresses have other addresses in them (prvs=tag=bob, list-bob=corp.example), which have a
 * dot or another '='.
 */
static bool is_value_name(struct span name, struct span value, bool first)
{
	size_t len = 0;

	if (name.len && name.data[0] == '?')
		name = part(name, 1, name.len);
	for (size_t i = 0; i < name.len; i++) {
		if (!is_name_byte(name.data[i]) &&
		    !(first && name.data[0] == '-' && name.data[i] == '.'))
			return false;
	}
	if (!name.len || (first && name.data[0] == '-') || is_known_name(name))
		return true;
	while (len < value.len && !is_doubtful(value.data[len])) {
		if (value.data[len] == '.' || value.data[len] == '+')
			return false;
		len++;
	}
	return isalpha((unsigned char)name.data[0]) && (len == value.len || value.data[len] != '=');
}

/* Where the local part begins within a run that ends before `end`. */
static size_t local_start(const struct rewriting *rewriting, size_t run, size_t end)
{
	struct span text = rewriting->text;
	bool value = false;

	for (size_t i = run, first = run; i < end && !ends_word(text.data[i], 0);
	     i++) { /* else it is quoted */
		struct span before = part(text, run, i);
		char c = text.data[i];

		if (!is_doubtful(c))
			continue;
		if (before.len && !(c == '&' && value) &&
		    !(c == '=' && is_value_name(before, part(text, i + 1, end), run == first)))
			break;
		value = c == '=';
		run = i + 1;
	}
	return run;
}

static bool is_path(struct span text)
{
	while (text.len && (text.data[0] == '.' || text.data[0] == '~'))
		text = part(text, 1, text.len);
	return text.len && text.data[0] == '/' && !memchr(text.data, '=', text.len);
}

/* What is in front of the address in an argument: "-f", as sendmail has it, or a folder. */
static size_t argument_start(const struct rewriting *rewriting, size_t start, size_t end)
{
	struct span text = rewriting->text;

	if (!(rewriting->kind & PRIVACY_ARGUMENT))
		return start;
	if (start == 0 && end > 2 && text.data[0] == '-' && is_one_of(text.data[1], "fr"))
		return 2;
	if (is_path(part(text, start, end))) {
		for (size_t i = start; i < end && !ends_word(text.data[i], 0); i++)
			start = text.data[i] == '/' ? i + 1 : start;
	}
	return start;
}

/* ---- Free text ------------------------------------------------------------------------------- */

/* Adds text as it is, up to what fits. */
static void add_bytes(struct rewriting *rewriting, struct span text)
{
	size_t room = rewriting->end - rewriting->out->len;

	if (rewriting->full)
		return;
	if (text.len > room) {
		rewriting->full = true;
		text.len = room;
		while (text.len && ((unsigned char)text.data[text.len] & 0xc0) == 0x80)
			text.len--;
	}
	text_add(rewriting->out, text);
}

/* Bytes from `from` on that are marked, or not, as the first of them. */
static size_t same_mark(const struct rewriting *rewriting, size_t from, size_t to)
{
	size_t at = from;

	while (at < to && rewriting->marked[at + 1] == rewriting->marked[from + 1])
		at++;
	return at - from;
}

/* What is no address. */
static void add_plain(struct rewriting *rewriting, size_t from, size_t to)
{
	if (!rewriting->marked)
		add_bytes(rewriting, part(rewriting->text, from, to));
	while (rewriting->marked && from < to) {
		size_t len = same_mark(rewriting, from, to);

		if (!rewriting->marked[from + 1])
			add_bytes(rewriting, part(rewriting->text, from, from + len));
		else if (!rewriting->marked[from])
			add_bytes(rewriting, span_of(PRIVACY_HIDDEN));
		from += len;
	}
}

static void add_address(struct rewriting *rewriting, struct span address)
{
	struct text *out = rewriting->out;
	size_t before = out->len;

	if (rewriting->full)
		return;
	privacy_address(out, rewriting->teller, address);
	if (out->len > rewriting->end) {
		rewriting->full = true;
		out->len = before;
		out->data[before] = '\0';
	}
}

/* Undoes xtext or percent-encoding, of which `mark` is the first byte. */
static void decode(struct text *out, struct span text, char mark)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (c == mark && i + 2 < text.len && hex_value(text.data[i + 1]) >= 0 &&
		    hex_value(text.data[i + 2]) >= 0) {
			c = (char)(hex_value(text.data[i + 1]) << 4 | hex_value(text.data[i + 2]));
			i += 2;
		}
		text_add(out, (struct span){&c, 1});
	}
}

static void add_encoded(struct rewriting *rewriting, struct span address, char mark)
{
	text_clear(&rewriting->scratch);
	decode(&rewriting->scratch, address, mark);
	rewriting->out->failed = rewriting->out->failed || rewriting->scratch.failed;
	if (!rewriting->scratch.failed)
		add_address(rewriting,
			    (struct span){rewriting->scratch.data, rewriting->scratch.len});
}

/* The address between two places. `mark`: of its encoding, NUL: it is in none. */
static void tell(struct rewriting *rewriting, size_t start, size_t end, char mark)
{
	struct span address = part(rewriting->text, start, end);

	if (rewriting->marked && rewriting->marked[start + 1] &&
	    same_mark(rewriting, start, end) == end - start)
		add_plain(rewriting, start, end);
	else if (mark)
		add_encoded(rewriting, address, mark);
	else
		add_address(rewriting, address);
}

/* The last label begins with a digit, and it is no address of IPv4. */
static bool is_version(struct span domain)
{
	size_t labels = 1, label = 0;
	bool numbers = true;

	for (size_t i = 0; i < domain.len; i++) {
		if (domain.data[i] == '.') {
			labels++;
			label = i + 1;
		} else {
			numbers = numbers && isdigit((unsigned char)domain.data[i]);
		}
	}
	return label < domain.len && isdigit((unsigned char)domain.data[label]) &&
	       !(numbers && labels == 4);
}

/*
 * "<...>" at this place, with an '@' in it: one path, whatever stands in it. Its length; 0: it is
 * none.
 */
static size_t path_len(struct span text, size_t at)
{
	size_t end = at + 1, len = text.len < at + BRACKETS_MAX ? text.len : at + BRACKETS_MAX;
	bool any = false;

	while (end < len && !is_one_of(text.data[end], "<>")) {
		any = any || text.data[end] == '@';
		end++;
	}
	return any && end < len && text.data[end] == '>' ? end + 1 - at : 0;
}

/*
 * A quoted string at this place, with an '@' right behind it: where that stands; 0: it is none. A
 * quote that is quoted in a string looked through before would end where that does: the bytes are
 * not looked at again.
 */
static size_t behind_quoted(struct rewriting *rewriting, size_t at)
{
	struct span text = rewriting->text;
	size_t len = text.len < at + BRACKETS_MAX ? text.len : at + BRACKETS_MAX;
	size_t end = rewriting->quoted > at ? rewriting->quoted : at + 1;

	while (end < len && text.data[end] != '"')
		end += text.data[end] == '\\' ? 2 : 1;
	rewriting->quoted = end;
	return end < len && end + 1 < text.len && at_len(rewriting, end + 1) ? end + 1 : 0;
}

/*
 * The address whose first '@' is at `at`. `from`: the same, or where the quoted string in front of
 * it begins. Returns where to go on; nothing before it is looked at again.
 */
static size_t take_address(struct rewriting *rewriting, size_t low, size_t from, size_t at)
{
	struct span text = rewriting->text, domain;
	size_t len = at_len(rewriting, at), end = at + len, last = at, more, start;
	bool literal = len == 1;

	while (end < text.len && !ends_word(text.data[end], rewriting->kind) &&
	       !is_doubtful(text.data[end])) {
		more = at_len(rewriting, end);
		last = more ? end : last;
		len = more ? more : len;
		literal = literal || more == 1;
		end += more ? more : 1;
	}
	domain = domain_in_text(part(text, last + len, text.len));
	start = run_start(rewriting, low, from);
	start = argument_start(rewriting, local_start(rewriting, start, at), at);
	if (start == last || (rewriting->kind & PRIVACY_PATH && is_version(domain)))
		return end;
	add_plain(rewriting, rewriting->told, start);
	if (literal)
		end = last + len + domain.len;
	tell(rewriting, start, end, literal ? '\0' : text.data[last]);
	rewriting->told = end;
	return end;
}

/*
 * Where that begins in a text that was cut which may be of a local part: the word at its end, and
 * everything from the first quote or comment on, which may be another word of it, and from a '<' on
 * that is not closed.
 */
static size_t cut_start(struct span text, size_t low)
{
	size_t end = text.len;
	bool closed = false;

	for (size_t at = text.len; at > low; at--) {
		char c = text.data[at - 1];

		closed = closed || c == '>';
		if (c == '"' || c == '(' || (c == '<' && !closed))
			end = at - 1;
	}
	while (end > low && !ends_word(text.data[end - 1], 0))
		end--;
	return end;
}

/* What is left of the text. */
static void add_rest(struct rewriting *rewriting)
{
	struct span text = rewriting->text;

	add_plain(rewriting, rewriting->told,
		  rewriting->kind & PRIVACY_CUT ? cut_start(text, rewriting->told) : text.len);
}

/* Whether one more place may be looked at. */
static bool take_place(struct rewriting *rewriting)
{
	if (!rewriting->places)
		return true;
	if (!*rewriting->places)
		return false;
	--*rewriting->places;
	return true;
}

/*
 * The address that could begin, or have its '@', at this place: how far it was dealt with; `at`:
 * there is none.
 */
static size_t rewrite_at(struct rewriting *rewriting, size_t low, size_t at, bool *cut)
{
	struct span text = rewriting->text;
	size_t path = text.data[at] == '<' ? path_len(text, at) : 0;
	size_t quoted = text.data[at] == '"' ? behind_quoted(rewriting, at) : 0;

	if (!path && !quoted && !at_len(rewriting, at))
		return at;
	*cut = !take_place(rewriting);
	if (*cut)
		return at;
	if (!path)
		return take_address(rewriting, low, at, quoted ? quoted : at);
	add_plain(rewriting, rewriting->told, at + 1);
	tell(rewriting, at + 1, at + path - 1, '\0');
	rewriting->told = at + path - 1;
	return at + path;
}

/* False: it was cut. */
static bool rewrite(struct rewriting *rewriting)
{
	size_t low = 0, at = 0, end;
	bool cut = false;

	if (rewriting->kind & PRIVACY_ARGUMENT && is_path(rewriting->text))
		rewriting->kind |= PRIVACY_PATH;
	while (at < rewriting->text.len && !cut) {
		end = rewrite_at(rewriting, low, at, &cut);
		low = end > at ? end : low;
		at = end > at ? end : at + 1;
	}
	if (cut)
		add_bytes(rewriting, span_of(PRIVACY_LEFT_OUT));
	else
		add_rest(rewriting);
	text_free(&rewriting->scratch);
	return !cut;
}

static bool take_text(struct rewriting *rewriting)
{
	if (rewriting->teller->privacy->addresses != PRIVACY_FULL)
		return rewrite(rewriting);
	add_plain(rewriting, 0, rewriting->text.len);
	return true;
}

void privacy_text(struct text *out, struct teller *teller, struct span text, unsigned int kind,
		  size_t limit)
{
	struct rewriting rewriting = {.teller = teller, .text = text, .kind = kind, .out = out};

	rewriting.end = limit < SIZE_MAX - out->len ? out->len + limit : SIZE_MAX;
	take_text(&rewriting);
}

bool privacy_bounded_text(struct text *out, struct teller *teller, struct span text,
			  unsigned int kind, const bool *marked, size_t *places)
{
	struct rewriting rewriting = {.teller = teller,
				      .text = text,
				      .kind = kind,
				      .out = out,
				      .marked = marked,
				      .end = SIZE_MAX,
				      .places = places};

	return take_text(&rewriting);
}

bool privacy_may_hold_address(struct span text, unsigned int kind)
{
	if (!text.len)
		return false;
	return kind & PRIVACY_CUT || memchr(text.data, '@', text.len) ||
	       (kind & PRIVACY_ENCODED &&
		(memmem(text.data, text.len, "+40", 3) || memmem(text.data, text.len, "%40", 3)));
}

/* ---- Parameters of a MAIL -------------------------------------------------------------------- */

static bool begins_with(struct span text, const char *keyword)
{
	size_t len = strlen(keyword);

	return text.len >= len && strncasecmp(text.data, keyword, len) == 0;
}

/* Whether the whole value is an address; the length of what is in front of it. */
static size_t value_start(struct span word)
{
	const char *type;

	if (begins_with(word, "AUTH="))
		return 5;
	if (!begins_with(word, "ORCPT="))
		return 0;
	type = memchr(word.data, ';', word.len);
	return type ? (size_t)(type - word.data) + 1 : 6;
}

/* "<>" of an AUTH= is nobody. */
static void add_value(struct text *out, struct teller *teller, struct span value)
{
	struct text decoded = {0};

	decode(&decoded, value, '+');
	if (span_equal(value, span_of("<>")))
		text_add(out, value);
	else if (decoded.len)
		privacy_address(out, teller, (struct span){decoded.data, decoded.len});
	out->failed = out->failed || decoded.failed;
	text_free(&decoded);
}

/* The word at the front: up to a blank that is not quoted. */
static struct span parameter(struct span text)
{
	size_t len = 0, unit;

	while (len < text.len && (unsigned char)text.data[len] > ' ') {
		unit = text.data[len] == '"' ? unit_len(part(text, len, text.len)) : 1;
		len = unit ? len + unit : text.len;
	}
	return part(text, 0, len);
}

void privacy_parameters(struct text *out, struct teller *teller, struct span parameters)
{
	size_t told = 0, at = 0;

	while (at < parameters.len && teller->privacy->addresses != PRIVACY_FULL) {
		struct span word = parameter(part(parameters, at, parameters.len));
		size_t start = value_start(word);

		if (start) {
			privacy_text(out, teller, part(parameters, told, at + start),
				     PRIVACY_ENCODED, SIZE_MAX);
			add_value(out, teller, part(word, start, word.len));
			told = at + word.len;
		}
		at += word.len ? word.len : 1;
	}
	privacy_text(out, teller, part(parameters, told, parameters.len), PRIVACY_ENCODED,
		     SIZE_MAX);
}
