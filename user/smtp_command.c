/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "smtp_command.h"

#include <ctype.h>
#include <strings.h>

#define CHUNK_MAX (1ULL << 62) /* a larger BDAT is malformed: no message is that long */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static struct span skip_blanks(struct span text)
{
	while (text.len && is_blank(text.data[0])) {
		text.data++;
		text.len--;
	}
	return text;
}

static struct span trim(struct span text)
{
	text = skip_blanks(text);
	while (text.len && is_blank(text.data[text.len - 1]))
		text.len--;
	return text;
}

/* Takes a word off the front: up to a blank. */
static struct span next_word(struct span *text)
{
	struct span word = skip_blanks(*text);

	text->len -= (size_t)(word.data - text->data);
	text->data = word.data;
	word.len = 0;
	while (word.len < text->len && !is_blank(text->data[word.len]))
		word.len++;
	text->data += word.len;
	text->len -= word.len;
	return word;
}

static bool is_word(struct span word, const char *wanted)
{
	return word.len == strlen(wanted) && strncasecmp(word.data, wanted, word.len) == 0;
}

/* Takes "FROM:" or "TO:" off the front; false if it is not there. */
static bool take_keyword(struct span *text, const char *keyword)
{
	size_t len = strlen(keyword);
	struct span rest = skip_blanks(*text);

	if (rest.len < len || strncasecmp(rest.data, keyword, len) != 0)
		return false;
	text->data = rest.data + len;
	text->len = rest.len - len;
	return true;
}

/* The length of a path: up to `end` outside of quotes (RFC 5321, 4.1.2 Quoted-string), or to the end. */
static size_t path_len(struct span text, bool bracketed)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < text.len; i++) {
		char c = text.data[i];

		if (quoted && c == '\\' && i + 1 < text.len)
			i++;
		else if (c == '"')
			quoted = !quoted;
		else if (!quoted && (bracketed ? c == '>' : is_blank(c)))
			break;
	}
	/* A quote that is never closed quotes nothing. */
	if (quoted) {
		const char *end = bracketed ? memchr(text.data, '>', text.len) : NULL;

		return end ? (size_t)(end - text.data) : text.len;
	}
	return i;
}

/* A path "<@a,@b:user@host>", "<>", or bare: the address without its route. The rest is the parameters. */
static void parse_path(struct span text, struct smtp_command *command)
{
	bool bracketed;
	struct span path = skip_blanks(text);
	const char *colon;

	bracketed = path.len && path.data[0] == '<';
	if (bracketed) {
		path.data++;
		path.len--;
	}
	command->parameters = path;
	path.len = path_len(path, bracketed);
	command->parameters.data += path.len;
	command->parameters.len -= path.len;
	if (bracketed && command->parameters.len) { /* the '>' */
		command->parameters.data++;
		command->parameters.len--;
	}
	command->parameters = trim(command->parameters);
	if (path.len && path.data[0] == '@' && (colon = memchr(path.data, ':', path.len))) {
		path.len -= (size_t)(colon + 1 - path.data);
		path.data = colon + 1;
	}
	command->argument = trim(path);
}

static bool parse_bdat(struct span text, struct smtp_command *command)
{
	struct span number = next_word(&text), last = next_word(&text);

	command->last = is_word(last, "LAST");
	command->size = 0;
	for (size_t i = 0; i < number.len; i++) {
		if (!isdigit((unsigned char)number.data[i]) || command->size > CHUNK_MAX / 10)
			return false;
		command->size = command->size * 10 + (uint64_t)(number.data[i] - '0');
	}
	return number.len && (!last.len || command->last) && !skip_blanks(text).len;
}

static enum smtp_verb verb_of(struct span word)
{
	static const struct {
		const char *word;
		enum smtp_verb verb;
	} verbs[] = {
		{"MAIL", SMTP_VERB_MAIL},  {"RCPT", SMTP_VERB_RCPT},  {"DATA", SMTP_VERB_DATA},
		{"EHLO", SMTP_VERB_EHLO},  {"HELO", SMTP_VERB_HELO},  {"QUIT", SMTP_VERB_QUIT},
		{"RSET", SMTP_VERB_RSET},  {"AUTH", SMTP_VERB_AUTH},  {"STARTTLS", SMTP_VERB_STARTTLS},
		{"BDAT", SMTP_VERB_BDAT},  {"LHLO", SMTP_VERB_LHLO},  {"NOOP", SMTP_VERB_OTHER},
		{"HELP", SMTP_VERB_OTHER}, {"VRFY", SMTP_VERB_OTHER}, {"EXPN", SMTP_VERB_OTHER},
	};

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (is_word(word, verbs[i].word))
			return verbs[i].verb;
	}
	return SMTP_VERB_NONE;
}

struct smtp_command smtp_command_parse(struct span line)
{
	struct smtp_command command = {.verb = SMTP_VERB_NONE, .argument = {"", 0}, .parameters = {"", 0}};
	enum smtp_verb verb = verb_of(next_word(&line));

	switch (verb) {
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT:
		if (!take_keyword(&line, verb == SMTP_VERB_MAIL ? "FROM:" : "TO:"))
			return command;
		parse_path(line, &command);
		break;
	case SMTP_VERB_BDAT:
		if (!parse_bdat(line, &command))
			return command;
		break;
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO: command.argument = trim(line); break;
	case SMTP_VERB_AUTH:
		command.argument = next_word(&line);
		command.parameters = trim(line);
		break;
	case SMTP_VERB_DATA:
	case SMTP_VERB_STARTTLS:
		if (skip_blanks(line).len) /* with an argument it is refused, and nothing follows */
			return command;
		break;
	default: break;
	}
	command.verb = verb;
	return command;
}

size_t smtp_command_secret(struct span line)
{
	struct span rest = line, word = next_word(&rest);

	if (!is_word(word, "AUTH"))
		return line.len;
	next_word(&rest);
	rest = skip_blanks(rest);
	return (size_t)(rest.data - line.data);
}

bool smtp_command_certain(struct span line, bool whole)
{
	struct span rest = line, word = next_word(&rest);
	enum smtp_verb verb = verb_of(word);

	if (verb == SMTP_VERB_NONE)
		return false;
	return (whole && (verb == SMTP_VERB_QUIT || verb == SMTP_VERB_RSET)) ||
	       memchr(line.data, ' ', line.len) != NULL;
}
