/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: nobody can tell for certain where an address begins in free text. So every
 * word that has an '@' in it is hidden as a whole: "--to=bob@corp.example" and
 * "https://bob:secret@corp.example/" both become "@corp.example". Blanks and control characters
 * separate words; in a path, slashes do.
 *
 * A local part can have blanks. Some of them do not separate words:
 *
 *   <bob smith@x>   those within angle brackets
 *   bob\ smith@x    one behind a backslash
 *   bob @ x.y       those before an '@' that is alone, or has a domain with a dot behind it
 *                   ("@anna" and "@file" have none)
 *
 * In other cases it is not clear how far back the local part reaches:
 *
 *   "bob smith"@x   a quote is before the '@' in its word
 *   bob(a b)@x      a closing parenthesis is
 *   <bob smith@x    an angle bracket was opened and not closed
 *
 * Then everything from the first word of the text with a quote, an opening parenthesis or such a
 * bracket, to the last word that is in doubt, is hidden as one word. The text is read twice: once
 * to find these words, and once to write it. Both take linear time. What costs most is a hidden
 * word: in text that a process chose, only a number of them is looked at.
 */
#include "policy/privacy_text.h"

#include <ctype.h>
#include <string.h>

struct rewriting {
	struct teller *teller;
	struct span text;
	unsigned int kind;
	const bool *marked; /* privacy_bounded_text() */
	struct text *out;
	size_t end;	 /* out->len may not exceed it */
	bool full;	 /* something did not fit: nothing more is added */
	size_t *places;	 /* privacy_bounded_text() */
	size_t closed;	 /* behind the last '>' of the text; 0: there is none */
	size_t unclosed; /* the first '<' behind that; text.len: there is none */
};

struct word {
	size_t start, end;
	size_t at, at_len; /* its last '@'; at_len 0: there is none */
	bool opens;	   /* a local part of several words may begin in it */
	bool doubtful;	   /* its last '@' may belong to one that began in an earlier word */
};

static bool is_one_of(char c, const char *bytes)
{
	return c && strchr(bytes, c);
}

static bool separates(const struct rewriting *rewriting, char c)
{
	unsigned char byte = (unsigned char)c;

	return rewriting->kind & PRIVACY_PATH ? byte == '/' : byte <= ' ' || byte == 0x7f;
}

/* ---- Words ----------------------------------------------------------------------------------- */

static bool begins_with(struct span text, const char *bytes)
{
	size_t len = strlen(bytes);

	return text.len >= len && memcmp(text.data, bytes, len) == 0;
}

static bool is_dotted_domain(struct span text)
{
	struct span domain = privacy_domain(text);

	return domain.len && memchr(domain.data, '.', domain.len);
}

/*
 * The length of an '@' at the front; 0: there is none. It may be encoded: "%40" (URLs), "%2540" (a
 * URL in a URL), "+40" (xtext), "=40" (quoted-printable). The last two must have a domain behind
 * them, because "+40 722 123456" is a phone number and "--size=4096" an option.
 */
static size_t at_len(struct span text)
{
	unsigned char next = text.len > 3 ? (unsigned char)text.data[3] : 0;

	switch (text.data[0]) {
	case '@': return 1;
	case '%': return begins_with(text, "%40") ? 3 : begins_with(text, "%2540") ? 5 : 0;
	case '+':
		return begins_with(text, "+40") && (isalnum(next) || next >= 0x80 ||
						    is_one_of((char)next, ".-_"))
			       ? 3
			       : 0;
	case '=':
		return begins_with(text, "=40") && isalpha(next) &&
				       is_dotted_domain(span_part(text, 3, text.len))
			       ? 3
			       : 0;
	default: return 0;
	}
}

/* The number of separators at this place that belong to a word, because of the '@' behind them. */
static size_t joined_len(const struct rewriting *rewriting, size_t from)
{
	struct span text = rewriting->text, behind;
	size_t at = from;

	while (at < text.len && separates(rewriting, text.data[at]))
		at++;
	if (at == text.len || text.data[at] != '@' || rewriting->kind & PRIVACY_PATH)
		return 0;
	behind = span_part(text, at + 1, text.len);
	return !behind.len || separates(rewriting, behind.data[0]) || is_dotted_domain(behind)
		       ? at - from
		       : 0;
}

/* The end of the bytes from `at` on in which nothing separates words. */
static size_t joined_end(const struct rewriting *rewriting, size_t at)
{
	const char *data = rewriting->text.data, *close;

	if (data[at] == '\\')
		return at + 2;
	if (data[at] != '<' || at >= rewriting->closed)
		return at;
	close = memchr(data + at, '>', rewriting->closed - at);
	return (size_t)(close - data) + 1;
}

/* The word at or behind `at`. At the end of the text, an empty one. */
static struct word next_word(const struct rewriting *rewriting, size_t at)
{
	struct span text = rewriting->text;
	struct word word = {.start = at};
	bool in_doubt = false;
	size_t joined = 0, len; /* nothing before `joined` separates words */

	while (word.start < text.len && separates(rewriting, text.data[word.start]))
		word.start++;
	for (at = word.start; at < text.len; at += len) {
		if (at >= joined && separates(rewriting, text.data[at])) {
			len = joined_len(rewriting, at);
			if (!len)
				break;
			continue;
		}
		if (at + 1 >= joined) /* also what is behind a backslash */
			joined = joined_end(rewriting, at);
		in_doubt = in_doubt || is_one_of(text.data[at], "\")") || at > rewriting->unclosed;
		word.opens =
			word.opens || is_one_of(text.data[at], "\"(") || at == rewriting->unclosed;
		len = at_len(span_part(text, at, text.len));
		if (len) {
			word.at = at;
			word.at_len = len;
			word.doubtful = in_doubt;
		}
		len = len ? len : 1;
	}
	word.end = at;
	return word;
}

/*
 * The words that are in doubt, with those before them that may belong to their local parts, as one;
 * at_len 0: there are none. Removes what may be a local part without its '@' from a text that was
 * cut.
 */
static struct word doubtful_words(struct rewriting *rewriting)
{
	struct word all = {.at_len = 0}, word;
	size_t opener = rewriting->text.len, last = 0;

	for (word = next_word(rewriting, 0); word.start < word.end;
	     word = next_word(rewriting, word.end)) {
		last = word.start;
		if (opener > last && (word.opens || word.doubtful))
			opener = last;
		if (word.doubtful) {
			all = word;
			all.start = opener;
		}
	}
	if (rewriting->kind & PRIVACY_CUT)
		rewriting->text.len = opener < last ? opener : last;
	return all;
}

/* The last label begins with a digit, and it is not an IPv4 address: "tool@1.2.3". */
static bool is_version(struct span domain)
{
	size_t dots = 0, label = 0;
	bool numbers = true;

	for (size_t i = 0; i < domain.len; i++) {
		if (domain.data[i] == '.') {
			dots++;
			label = i + 1;
		} else {
			numbers = numbers && isdigit((unsigned char)domain.data[i]);
		}
	}
	return label < domain.len && isdigit((unsigned char)domain.data[label]) &&
	       !(numbers && dots == 3);
}

/* Part of a path in which each '@' is that of a scope or a version: "@scope", "tool@1.2.3". */
static bool is_package(const struct rewriting *rewriting, const struct word *word)
{
	for (size_t at = word->start; at < word->end; at++) {
		struct span rest = span_part(rewriting->text, at, word->end);
		size_t len = at_len(rest);

		if (len > 1 || is_one_of(rest.data[0], "\"()<>\\"))
			return false;
		if (len && at > word->start &&
		    !is_version(privacy_domain(span_part(rest, 1, rest.len))))
			return false;
	}
	return true;
}

static bool is_to_hide(const struct rewriting *rewriting, const struct word *word)
{
	return word->at_len && word->at > word->start &&
	       !(rewriting->kind & PRIVACY_PATH && is_package(rewriting, word));
}

/* ---- Output ---------------------------------------------------------------------------------- */

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

/* How many bytes from `from` on are marked, or not marked, like the first of them. */
static size_t same_mark(const struct rewriting *rewriting, size_t from, size_t to)
{
	size_t at = from;

	while (at < to && rewriting->marked[at + 1] == rewriting->marked[from + 1])
		at++;
	return at - from;
}

/* Adds text that is not hidden, except for its marked bytes. */
static void add_plain(struct rewriting *rewriting, size_t from, size_t to)
{
	if (!rewriting->marked)
		add_bytes(rewriting, span_part(rewriting->text, from, to));
	while (rewriting->marked && from < to) {
		size_t len = same_mark(rewriting, from, to);

		if (!rewriting->marked[from + 1])
			add_bytes(rewriting, span_part(rewriting->text, from, from + len));
		else if (!rewriting->marked[from])
			add_bytes(rewriting, span_of(PRIVACY_HIDDEN));
		from += len;
	}
}

/*
 * The domain behind the last '@' and before `end`. Empty if it may be something else: if a quote is
 * open that does not end in this word, behind a backslash, if only an encoded '@' follows a plain
 * one, or if an address could continue with the next byte.
 */
static struct span domain_in(const struct rewriting *rewriting, const struct word *word, size_t end)
{
	struct span before = span_part(rewriting->text, word->start, word->at);
	struct span behind = span_part(rewriting->text, word->at + word->at_len, end);
	struct span domain = privacy_domain(behind);
	bool quoted = false;

	for (size_t i = 0; i < before.len; i++)
		quoted = quoted != (before.data[i] == '"');
	if ((quoted && !memchr(behind.data, '"', behind.len)) ||
	    memchr(before.data, '\\', before.len) ||
	    (word->at_len > 1 && memchr(before.data, '@', before.len)) ||
	    (domain.len < behind.len && !is_one_of(behind.data[domain.len], "/:?,;>)]}\"'")))
		domain.len = 0;
	return domain;
}

/* Adds what stands for the bytes from `start` to `end`; the word's last '@' is between them. */
static void add_hidden(struct rewriting *rewriting, const struct word *word, size_t start,
		       size_t end)
{
	struct text *out = rewriting->out;
	size_t before = out->len;

	if (rewriting->full)
		return;
	if (rewriting->teller->privacy->addresses == PRIVACY_HASH) {
		privacy_encoded_address(out, rewriting->teller,
					span_part(rewriting->text, start, end),
					word->at_len > 1 ? rewriting->text.data[word->at] : '\0');
	} else {
		text_add_string(out, "@");
		text_add(out, domain_in(rewriting, word, end));
	}
	if (out->len > rewriting->end) {
		rewriting->full = true;
		out->len = before;
		out->data[before] = '\0';
	}
}

static bool is_pair(char first, char last)
{
	static const char opening[] = "<([{\"'`", closing[] = ">)]}\"'`";
	const char *found = first ? strchr(opening, first) : NULL;

	return found && closing[found - opening] == last;
}

/*
 * Hides a word. Brackets around it and punctuation behind it stay, so that "<bob@x>:" has the hash
 * of "bob@x".
 */
static void hide(struct rewriting *rewriting, const struct word *word)
{
	size_t start = word->start, end = word->end;
	const char *data = rewriting->text.data;

	if (rewriting->marked && rewriting->marked[start + 1] &&
	    same_mark(rewriting, start, end) == end - start) {
		add_plain(rewriting, start, end);
		return;
	}
	for (; end > word->at + word->at_len; end--) {
		if (is_one_of(data[end - 1], ".,:;!?"))
			continue;
		if (start == word->at || !is_pair(data[start], data[end - 1]))
			break;
		start++;
	}
	add_plain(rewriting, word->start, start);
	add_hidden(rewriting, word, start, end);
	add_plain(rewriting, end, word->end);
}

/* ---- The text -------------------------------------------------------------------------------- */

/* A path by itself. With a blank or a '=' it is text that has a path in it. */
static bool is_path(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.data[i] <= ' ' || text.data[i] == '=')
			return false;
	}
	while (text.len && is_one_of(text.data[0], ".~"))
		text = span_part(text, 1, text.len);
	return text.len && text.data[0] == '/';
}

static void find_brackets(struct rewriting *rewriting)
{
	struct span text = rewriting->text;
	const char *last = memrchr(text.data, '>', text.len), *first;

	rewriting->closed = last ? (size_t)(last - text.data) + 1 : 0;
	first = memchr(text.data + rewriting->closed, '<', text.len - rewriting->closed);
	rewriting->unclosed = first ? (size_t)(first - text.data) : text.len;
}

/* False: the end was left out. */
static bool rewrite(struct rewriting *rewriting)
{
	struct word doubt, word;
	size_t written = 0;

	if (!rewriting->text.len || rewriting->teller->privacy->addresses == PRIVACY_FULL) {
		add_plain(rewriting, 0, rewriting->text.len);
		return true;
	}
	if (rewriting->kind & PRIVACY_ARGUMENT && is_path(rewriting->text))
		rewriting->kind |= PRIVACY_PATH;
	find_brackets(rewriting);
	doubt = doubtful_words(rewriting);
	for (word = next_word(rewriting, 0); word.start < word.end;
	     word = next_word(rewriting, word.end)) {
		if (doubt.at_len && word.start == doubt.start)
			word = doubt;
		if (word.at_len && !*rewriting->places) {
			add_bytes(rewriting, span_of(PRIVACY_LEFT_OUT));
			return false;
		}
		*rewriting->places -= word.at_len > 0;
		if (is_to_hide(rewriting, &word)) {
			add_plain(rewriting, written, word.start);
			hide(rewriting, &word);
			written = word.end;
		}
	}
	add_plain(rewriting, written, rewriting->text.len);
	return true;
}

void privacy_text(struct text *out, struct teller *teller, struct span text, unsigned int kind,
		  size_t limit)
{
	size_t places = SIZE_MAX;
	struct rewriting rewriting = {
		.teller = teller, .text = text, .kind = kind, .out = out, .places = &places};

	rewriting.end = limit < SIZE_MAX - out->len ? out->len + limit : SIZE_MAX;
	rewrite(&rewriting);
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

	return rewrite(&rewriting);
}

bool privacy_may_hold_address(struct span text, unsigned int kind)
{
	return text.len && (kind & PRIVACY_CUT || memchr(text.data, '@', text.len) ||
			    memmem(text.data, text.len, "40", 2));
}
