/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a path is parsed as in RFC 5321. A path of another form is parsed like a
 * mailbox of a header field (RFC 5322, 3.4), because some servers accept that: Exim and Postfix
 * leave out comments and a display name, and use what is in the innermost brackets. Servers differ
 * in how they read such a path, so it is marked (odd_address), and the most likely reading is
 * reported. A unit is what is read as one: a quoted string, a comment, a quoted pair, or a byte.
 */
#include "smtp/command.h"

#include <ctype.h>
#include <strings.h>

#define CHUNK_MAX (1ULL << 62) /* a larger BDAT is malformed: no message is that long */

/* isspace() without LF. Postfix accepts all of these between words, Exim after the colon. */
static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
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

/* Takes a word off the front, up to a blank. */
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

/* Takes "FROM:" or "TO:" off the front. False if it is not there. */
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

/* ---- Paths ----------------------------------------------------------------------------------- */

/*
 * The length of the quoted string at the front; 1 if the quote is never closed and so quotes
 * nothing.
 */
static size_t quoted_len(struct span text)
{
	for (size_t i = 1; i < text.len; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '"')
			return i + 1;
	}
	return 1;
}

/*
 * The length of the comment at the front (RFC 5322, 3.2.2). Comments nest; one that is never closed
 * extends to the end.
 */
static size_t comment_len(struct span text)
{
	size_t depth = 0;

	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] == '\\')
			i++;
		else if (text.data[i] == '(')
			depth++;
		else if (text.data[i] == ')' && --depth == 0)
			return i + 1;
	}
	return text.len;
}

static size_t unit_len(struct span text, size_t at)
{
	struct span rest = {text.data + at, text.len - at};

	switch (rest.data[0]) {
	case '"': return quoted_len(rest);
	case '(': return comment_len(rest);
	case '\\': return rest.len > 1 ? 2 : 1;
	default: return 1;
	}
}

static struct span skip(struct span text, size_t len)
{
	return (struct span){text.data + len, text.len - len};
}

static struct span skip_comments(struct span text)
{
	text = skip_blanks(text);
	while (text.len && text.data[0] == '(')
		text = skip_blanks(skip(text, comment_len(text)));
	return text;
}

/* True for what joins two words of an address, with or without blanks around it. */
static bool is_joint(char c)
{
	return c == '@' || c == '.';
}

/*
 * Where the brackets of a path begin, after an optional display name; text.len if there are none.
 * The brackets of MAIL's AUTH=<> do not count.
 */
static size_t bracket_at(struct span text, enum smtp_verb verb)
{
	static const char auth[] = "AUTH=";
	size_t len = sizeof(auth) - 1;

	for (size_t i = 0; i < text.len; i += unit_len(text, i)) {
		if (text.data[i] == '<' &&
		    !(verb == SMTP_VERB_MAIL && i > len && is_blank(text.data[i - len - 1]) &&
		      strncasecmp(text.data + i - len, auth, len) == 0))
			return i;
	}
	return text.len;
}

/*
 * Takes "<path>" off the front; of nested ones, the innermost counts. False: it is not closed, or
 * nested.
 */
static bool take_bracketed(struct span *text, struct span *path)
{
	size_t depth = 0, deepest = 0, start = 1, end = text->len, i = 0;

	while (i < text->len) {
		char c = text->data[i];
		size_t at = i;

		i += unit_len(*text, i);
		if (c == '<') {
			deepest = ++depth;
			if (end == text->len)
				start = i;
		} else if (c == '>') {
			if (end == text->len)
				end = at;
			if (--depth == 0)
				break;
		}
	}
	*path = (struct span){text->data + start, end - start};
	*text = skip(*text, i);
	return depth == 0 && deepest == 1;
}

static bool is_text_byte(char c)
{
	return (unsigned char)c >= ' ' && c != 0x7f;
}

static bool is_all(struct span text, bool (*is_of)(char c))
{
	for (size_t i = 0; i < text.len; i++) {
		if (!is_of(text.data[i]))
			return false;
	}
	return true;
}

/* RFC 5321, 4.1.2: Mail-parameters, with any value. */
static bool are_plain_parameters(struct span parameters)
{
	for (;;) {
		struct span word = next_word(&parameters);
		size_t len = 0;

		if (!word.len)
			return true;
		while (len < word.len &&
		       (isalnum((unsigned char)word.data[len]) || (len && word.data[len] == '-')))
			len++;
		if (!len || (len < word.len && word.data[len] != '=') ||
		    !is_all(word, is_text_byte))
			return false;
	}
}

/*
 * Takes a path without brackets off the front: up to a blank that is next to neither a joint nor a
 * comment. If a name has no domain and no parameters follow, Exim joins the words ("RCPT TO:v w@y"
 * is v=w@y), and so does this function.
 */
static struct span take_bare(struct span *text)
{
	struct span path = *text;
	size_t i = 0;

	while (i < text->len) {
		struct span behind = skip_blanks(skip(*text, i));

		if (is_blank(text->data[i])) {
			if (!behind.len || !(is_joint(behind.data[0]) || behind.data[0] == '(' ||
					     (i && is_joint(text->data[i - 1]))))
				break;
			i = text->len - behind.len;
		}
		i += unit_len(*text, i);
	}
	path.len = i;
	if (!are_plain_parameters(skip(*text, i)) && !memchr(path.data, '@', path.len))
		path.len = trim(*text).len;
	*text = skip(*text, path.len);
	return path;
}

static bool is_domain_byte(char c)
{
	return isalnum((unsigned char)c) || c == '-' || c == '.' || c == '_' ||
	       (unsigned char)c >= 0x80;
}

/* A byte of a dot-string, including RFC 6531. */
static bool is_local_byte(char c)
{
	return isalnum((unsigned char)c) || (unsigned char)c >= 0x80 ||
	       (c && strchr("!#$%&'*+-/=?^_`{|}~.", c));
}

static bool is_literal_byte(char c)
{
	return c > ' ' && !strchr("[]()<>\\\"", c) && c != 0x7f;
}

/* A domain name, or an address literal "[192.0.2.1]". */
static bool is_plain_domain(struct span domain)
{
	if (domain.len > 2 && domain.data[0] == '[' && domain.data[domain.len - 1] == ']')
		return is_all((struct span){domain.data + 1, domain.len - 2}, is_literal_byte);
	return domain.len && is_all(domain, is_domain_byte);
}

/*
 * RFC 5321, 4.1.2: Mailbox; or a dot-string alone, or the null path. A quoted string alone does not
 * count: Postfix looks for an address in it.
 */
static bool is_plain_mailbox(struct span mailbox)
{
	bool quoted = mailbox.len && mailbox.data[0] == '"';
	size_t len = 0;

	if (!mailbox.len)
		return true;
	if (quoted)
		len = quoted_len(mailbox);
	while (!quoted && len < mailbox.len && is_local_byte(mailbox.data[len]))
		len++;
	if (!len ||
	    (quoted && (len == 1 || !is_all((struct span){mailbox.data, len}, is_text_byte))))
		return false;
	if (len == mailbox.len)
		return !quoted;
	return mailbox.data[len] == '@' && is_plain_domain(skip(mailbox, len + 1));
}

static bool is_route_byte(char c)
{
	return is_domain_byte(c) || c == '@' || c == ',';
}

/* Where the first colon is; text.len if there is none. */
static size_t colon_at(struct span text)
{
	size_t at = 0;

	while (at < text.len && text.data[at] != ':')
		at += unit_len(text, at);
	return at < text.len ? at : text.len;
}

/*
 * Drops a source route "@a,@b:" (RFC 5321, appendix C). False: it is malformed, or not the only
 * one.
 */
static bool drop_route(struct span *path)
{
	bool plain = true, dropped = false;

	while (path->len && path->data[0] == '@') {
		size_t colon = colon_at(*path);

		if (colon == path->len)
			return false;
		plain = plain && !dropped &&
			is_all((struct span){path->data, colon}, is_route_byte);
		*path = skip(*path, colon + 1);
		dropped = true;
	}
	return plain && (path->len || !dropped);
}

/* Reduces a group "name:address;" (RFC 5322, 3.4) to the address. */
static void drop_group(struct span *path)
{
	size_t colon = colon_at(*path);

	if (colon == path->len || path->data[path->len - 1] != ';')
		return;
	*path = skip(*path, colon + 1);
	path->len--;
}

/*
 * Parses a path "<@a,@b:user@host>", "<>", or one without brackets: its address without the route.
 * The rest is the parameters.
 */
static void parse_path(struct span text, struct smtp_command *command, enum smtp_verb verb)
{
	struct span rest = skip_comments(text), path;
	size_t bracket = bracket_at(rest, verb);
	bool plain = rest.data == skip_blanks(text).data;

	if (bracket < rest.len) {
		plain = plain && !bracket;
		rest = skip(rest, bracket);
		plain = take_bracketed(&rest, &path) && plain &&
			(!rest.len || is_blank(rest.data[0]));
	} else {
		path = take_bare(&rest);
		plain = plain && path.len && path.data[0] != '@';
	}
	command->parameters = trim(rest);
	command->argument = trim(path);
	plain = plain && command->argument.len == path.len;
	plain = drop_route(&command->argument) && plain;
	if (!is_plain_mailbox(command->argument)) {
		drop_group(&command->argument);
		plain = false;
	}
	command->odd_address = !plain || !are_plain_parameters(command->parameters);
}

size_t smtp_command_address(const struct smtp_command *command, char *address)
{
	struct span text = command->argument;
	size_t len = 0;
	bool blank = false;

	for (size_t i = 0, unit; i < text.len; i += unit) {
		unit = command->odd_address ? unit_len(text, i) : text.len;
		if (command->odd_address && (text.data[i] == '(' || is_blank(text.data[i]))) {
			blank = blank || text.data[i] != '(';
			continue;
		}
		if (blank && len && !is_joint(address[len - 1]) && !is_joint(text.data[i]))
			address[len++] = ' ';
		blank = false;
		memcpy(address + len, text.data + i, unit);
		len += unit;
	}
	return len;
}

/* ---- Commands -------------------------------------------------------------------------------- */

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

static enum smtp_verb verb_of(struct span word)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (is_word(word, verbs[i].word))
			return verbs[i].verb;
	}
	return SMTP_VERB_NONE;
}

struct smtp_command smtp_command_parse(struct span line)
{
	struct smtp_command command = {.verb = SMTP_VERB_NONE,
				       .argument = {"", 0},
				       .parameters = {"", 0}};
	enum smtp_verb verb = verb_of(next_word(&line));

	switch (verb) {
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT:
		if (!take_keyword(&line, verb == SMTP_VERB_MAIL ? "FROM:" : "TO:"))
			return command;
		parse_path(line, &command, verb);
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
		/* With an argument it is refused, and no message or TLS follows. */
		if (skip_blanks(line).len)
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
	if (whole && (verb == SMTP_VERB_QUIT || verb == SMTP_VERB_RSET))
		return true;
	for (size_t i = 0; i < line.len; i++) {
		if (is_blank(line.data[i]))
			return true;
	}
	return false;
}

bool smtp_command_begins(struct span line)
{
	struct span rest = line, word = next_word(&rest);

	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		size_t len = strlen(verbs[i].word);

		if (strncasecmp(word.data, verbs[i].word, word.len < len ? word.len : len) == 0 &&
		    (word.len == len || (word.len < len && !rest.len)))
			return true;
	}
	return false;
}
