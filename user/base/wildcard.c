/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the tokens of a pattern are the states of a nondeterministic automaton. Bits
 * say which of them are active, and every byte of the text moves them all at once. So nothing is
 * tried twice, and no text can make a pattern slow.
 */
#include "base/wildcard.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BITS 64U
#define WORDS	  (WILDCARD_TOKENS_MAX / WORD_BITS + 1)

enum token_type { TOKEN_BYTE, TOKEN_ANY, TOKEN_SET, TOKEN_STAR, TOKEN_STARS };

struct set {
	uint32_t bits[8];
};

struct token {
	enum token_type type;
	unsigned char byte;
	uint16_t set; /* index into the pattern's sets */
};

struct wildcard {
	bool fold;
	struct set bounds; /* bytes that neither '*' nor '?' matches */
	uint32_t count;
	uint32_t set_count;
	/* bytes that the pattern begins and ends with; of a literal one, all its bytes */
	uint32_t lead, tail;
	struct set *sets; /* owned */
	struct token tokens[];
};

static bool set_has(const struct set *set, unsigned char c)
{
	return set->bits[c / 32] >> (c % 32) & 1;
}

static void set_add(struct set *set, unsigned char c)
{
	set->bits[c / 32] |= 1U << (c % 32);
}

/* ---- Patterns -------------------------------------------------------------------------------- */

struct parse {
	struct span pattern;
	size_t at;
	bool fold;
	const char *error;
};

static void add_range(struct set *set, unsigned char first, unsigned char last, bool fold)
{
	for (unsigned int c = first; c <= last; c++) {
		set_add(set, (unsigned char)c);
		if (fold) {
			set_add(set, (unsigned char)tolower((int)c));
			set_add(set, (unsigned char)toupper((int)c));
		}
	}
}

/* One byte of a set, perhaps a quoted one. */
static bool set_byte(struct parse *parse, unsigned char *c)
{
	if (parse->at < parse->pattern.len && parse->pattern.data[parse->at] == '\\')
		parse->at++;
	if (parse->at >= parse->pattern.len)
		return false;
	*c = (unsigned char)parse->pattern.data[parse->at++];
	return true;
}

/* The text after the '['. */
static bool parse_set(struct parse *parse, const struct set *bounds, struct set *set)
{
	char sign = parse->at < parse->pattern.len ? parse->pattern.data[parse->at] : '\0';
	bool negated = sign == '!' || sign == '^';
	size_t first_at;
	unsigned char first, last;

	parse->at += negated;
	first_at = parse->at;
	while (parse->at < parse->pattern.len) {
		if (parse->pattern.data[parse->at] == ']' && parse->at > first_at) {
			parse->at++;
			for (size_t i = 0; negated && i < 8; i++)
				set->bits[i] = ~(set->bits[i] | bounds->bits[i]);
			return true;
		}
		if (!set_byte(parse, &first))
			break;
		last = first;
		if (parse->pattern.len - parse->at > 1 && parse->pattern.data[parse->at] == '-' &&
		    parse->pattern.data[parse->at + 1] != ']') {
			parse->at++;
			if (!set_byte(parse, &last))
				break;
		}
		if (last < first) {
			parse->error = "the range ends before it begins";
			return false;
		}
		add_range(set, first, last, parse->fold);
	}
	parse->error = "the set has no closing ']'";
	return false;
}

static bool parse_token(struct parse *parse, struct wildcard *wildcard, struct token *token)
{
	char c = parse->pattern.data[parse->at++];

	*token = (struct token){.type = TOKEN_BYTE, .byte = (unsigned char)c};
	if (c == '?') {
		token->type = TOKEN_ANY;
	} else if (c == '*') {
		token->type = TOKEN_STAR;
		while (parse->at < parse->pattern.len && parse->pattern.data[parse->at] == '*') {
			token->type = TOKEN_STARS;
			parse->at++;
		}
	} else if (c == '[') {
		struct set *sets =
			realloc(wildcard->sets, (wildcard->set_count + 1) * sizeof(*sets));

		if (!sets) {
			parse->error = "out of memory";
			return false;
		}
		wildcard->sets = sets;
		sets[wildcard->set_count] = (struct set){0};
		token->type = TOKEN_SET;
		token->set = (uint16_t)wildcard->set_count++;
		return parse_set(parse, &wildcard->bounds, &sets[token->set]);
	} else if (c == '\\') {
		if (parse->at == parse->pattern.len) {
			parse->error = "nothing follows the backslash";
			return false;
		}
		token->byte = (unsigned char)parse->pattern.data[parse->at++];
	}
	if (token->type == TOKEN_BYTE && parse->fold)
		token->byte = (unsigned char)tolower(token->byte);
	return true;
}

/* Keeps how the pattern begins and ends, in no more memory than needed. */
static struct wildcard *finished(struct wildcard *wildcard)
{
	struct wildcard *smaller;

	while (wildcard->lead < wildcard->count &&
	       wildcard->tokens[wildcard->lead].type == TOKEN_BYTE)
		wildcard->lead++;
	while (wildcard->tail < wildcard->count &&
	       wildcard->tokens[wildcard->count - 1 - wildcard->tail].type == TOKEN_BYTE)
		wildcard->tail++;
	smaller = realloc(wildcard, sizeof(*wildcard) + wildcard->count * sizeof(struct token));
	return smaller ? smaller : wildcard;
}

struct wildcard *wildcard_new(struct span pattern, enum wildcard_kind kind, const char **error,
			      size_t *at)
{
	static const char *const bounds[] = {[WILDCARD_PATH] = "/",
					     [WILDCARD_ADDRESS] = "@%!:\" \t",
					     [WILDCARD_TEXT] = "",
					     [WILDCARD_NAME] = ""};
	struct parse parse = {.pattern = pattern,
			      .fold = kind == WILDCARD_ADDRESS || kind == WILDCARD_TEXT};
	struct wildcard *wildcard =
		calloc(1, sizeof(*wildcard) + WILDCARD_TOKENS_MAX * sizeof(struct token));

	*at = 0;
	*error = "out of memory";
	if (!wildcard)
		return NULL;
	wildcard->fold = parse.fold;
	for (const char *c = bounds[kind]; *c; c++)
		set_add(&wildcard->bounds, (unsigned char)*c);
	while (parse.at < pattern.len) {
		*at = parse.at;
		if (wildcard->count == WILDCARD_TOKENS_MAX)
			parse.error = "it has more than 512 characters";
		if (parse.error ||
		    !parse_token(&parse, wildcard, &wildcard->tokens[wildcard->count++])) {
			*error = parse.error;
			wildcard_free(wildcard);
			return NULL;
		}
	}
	return finished(wildcard);
}

void wildcard_free(struct wildcard *wildcard)
{
	if (wildcard)
		free(wildcard->sets);
	free(wildcard);
}

bool wildcard_is_literal(const struct wildcard *wildcard)
{
	return wildcard->lead == wildcard->count;
}

size_t wildcard_lead(const struct wildcard *wildcard, char *bytes, size_t max)
{
	size_t len = wildcard->lead < max ? wildcard->lead : max;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)wildcard->tokens[i].byte;
	return len;
}

size_t wildcard_tail(const struct wildcard *wildcard, char *bytes, size_t max)
{
	size_t len = wildcard->tail < max ? wildcard->tail : max;

	for (size_t i = 0; i < len; i++)
		bytes[i] = (char)wildcard->tokens[wildcard->count - len + i].byte;
	return len;
}

/* ---- Matching -------------------------------------------------------------------------------- */

struct states {
	uint64_t words[WORDS];
};

/* A star also matches nothing, so the token after it is active with it. */
static void activate(const struct wildcard *wildcard, struct states *states, uint32_t state)
{
	for (;; state++) {
		states->words[state / WORD_BITS] |= 1ULL << (state % WORD_BITS);
		if (state == wildcard->count || (wildcard->tokens[state].type != TOKEN_STAR &&
						 wildcard->tokens[state].type != TOKEN_STARS))
			return;
	}
}

static bool is_continuation(unsigned char c)
{
	return (c & 0xc0) == 0x80;
}

static void step(const struct wildcard *wildcard, struct states *next, uint32_t state,
		 unsigned char c)
{
	const struct token *token = &wildcard->tokens[state];

	/* '?' matched the first byte of a character: the others belong to it. */
	if (state && is_continuation(c) && wildcard->tokens[state - 1].type == TOKEN_ANY)
		activate(wildcard, next, state);
	if (state == wildcard->count)
		return;
	switch (token->type) {
	case TOKEN_BYTE:
		if ((wildcard->fold ? tolower(c) : c) == token->byte)
			activate(wildcard, next, state + 1);
		break;
	case TOKEN_ANY:
		if (!is_continuation(c) && !set_has(&wildcard->bounds, c))
			activate(wildcard, next, state + 1);
		break;
	case TOKEN_SET:
		if (set_has(&wildcard->sets[token->set], c))
			activate(wildcard, next, state + 1);
		break;
	case TOKEN_STAR:
		if (!set_has(&wildcard->bounds, c))
			activate(wildcard, next, state);
		break;
	case TOKEN_STARS: activate(wildcard, next, state); break;
	}
}

static bool same_bytes(const struct wildcard *wildcard, uint32_t token, const char *text,
		       uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)text[i];

		if ((wildcard->fold ? tolower(c) : c) != wildcard->tokens[token + i].byte)
			return false;
	}
	return true;
}

/* Most texts that do not match already fail here: at how the pattern begins and ends. */
static bool may_match(const struct wildcard *wildcard, struct span text)
{
	uint32_t tail = wildcard->lead == wildcard->count ? 0 : wildcard->tail;

	return text.len >= (size_t)wildcard->lead + tail &&
	       same_bytes(wildcard, 0, text.data, wildcard->lead) &&
	       same_bytes(wildcard, wildcard->count - tail, text.data + text.len - tail, tail);
}

bool wildcard_match(const struct wildcard *wildcard, struct span text)
{
	struct states now = {{0}};
	uint32_t words = wildcard->count / WORD_BITS + 1;

	if (!may_match(wildcard, text))
		return false;
	if (wildcard->lead == wildcard->count)
		return text.len == wildcard->count;
	activate(wildcard, &now, 0);
	for (size_t i = 0; i < text.len; i++) {
		struct states next = {{0}};
		uint64_t any = 0;

		for (uint32_t word = 0; word < words; word++) {
			for (uint64_t bits = now.words[word]; bits; bits &= bits - 1)
				step(wildcard, &next,
				     word * WORD_BITS + (uint32_t)__builtin_ctzll(bits),
				     (unsigned char)text.data[i]);
		}
		for (uint32_t word = 0; word < words; word++)
			any |= next.words[word];
		if (!any)
			return false;
		now = next;
	}
	return now.words[wildcard->count / WORD_BITS] >> (wildcard->count % WORD_BITS) & 1;
}
