/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an interpreter accepts options, then the script. Each reads its options in
 * its own way, which is a row of grammar.c; the walk over the arguments is the same for all. It
 * ends at the script, or at whatever says that no file is run: code on the command line, standard
 * input, or an option that the table does not have. Whether an unknown option takes the next
 * argument cannot be told, and a wrong script is worse than none.
 */
#include "process/script.h"

#include <ctype.h>

#include "base/text.h"
#include "process/grammar.h"

struct walk {
	const struct grammar *grammar;
	struct span args; /* those that are left */
	struct script script;
	bool no_word; /* only an option names the script */
	bool search;  /* a name without a slash is looked up in PATH */
	bool command; /* the command ("run") was seen */
};

static bool next_arg(struct walk *walk, struct span *arg)
{
	struct span *args = &walk->args;

	if (!args->len)
		return false;
	arg->data = args->data;
	arg->len = strnlen(args->data, args->len);
	args->data += arg->len < args->len ? arg->len + 1 : arg->len;
	args->len -= arg->len < args->len ? arg->len + 1 : arg->len;
	return true;
}

/* Each of these ends the walk by returning true. */
static bool end(struct walk *walk, enum script_kind kind, struct span name)
{
	walk->script.kind = kind;
	walk->script.name = name;
	return true;
}

static bool end_none(struct walk *walk)
{
	return end(walk, SCRIPT_NONE, span_of(""));
}

static bool end_behind(struct walk *walk)
{
	return end(walk, SCRIPT_BEHIND, span_of(""));
}

static bool is_url(struct span name)
{
	size_t len = 0;

	while (len < name.len && isalnum((unsigned char)name.data[len]))
		len++;
	return len > 1 && len < name.len && name.data[len] == ':';
}

static bool end_file(struct walk *walk, struct span name)
{
	if (!name.len || span_equal(name, span_of("-")))
		return end_none(walk);
	if (walk->grammar->traits & GRAMMAR_URLS && is_url(name))
		return end(walk, SCRIPT_URL, name);
	if (walk->search && !memchr(name.data, '/', name.len))
		return end(walk, SCRIPT_SEARCHED, name);
	return end(walk, SCRIPT_FILE, name);
}

/* The first argument that is no option. */
static bool word(struct walk *walk, struct span arg)
{
	if (walk->no_word || walk->grammar->traits & GRAMMAR_NO_WORD)
		return end_none(walk);
	if (!walk->command) {
		walk->command = true;
		switch (grammar_word(walk->grammar, arg)) {
		case OPTION_FLAG: return false;
		case OPTION_CODE: return end_none(walk);
		default: break;
		}
	}
	return grammar_ends(walk->grammar, arg) ? end_file(walk, arg) : end_none(walk);
}

/* The options have ended. */
static bool word_behind(struct walk *walk, bool dashes)
{
	struct span arg;

	if (dashes && walk->grammar->traits & GRAMMAR_STDIN_BEHIND)
		return end_none(walk);
	walk->command = true;
	return next_arg(walk, &arg) ? word(walk, arg) : end_behind(walk);
}

/* A second directory is relative to the first one; this is too rare to be told. */
static bool folder(struct walk *walk, struct span name)
{
	if (walk->script.folder.len && (!name.len || name.data[0] != '/'))
		return end_none(walk);
	walk->script.folder = name;
	return false;
}

/* An option of a kind that has a value. */
static bool with_value(struct walk *walk, enum option_kind kind, struct span value)
{
	switch (kind) {
	case OPTION_FILE: return end_file(walk, value);
	case OPTION_MODULE: return value.len ? end(walk, SCRIPT_MODULE, value) : end_none(walk);
	case OPTION_FOLDER: return folder(walk, value);
	case OPTION_STDIN: walk->no_word = true; return false;
	default: return false;
	}
}

static bool with_next(struct walk *walk, enum option_kind kind)
{
	struct span value;

	return next_arg(walk, &value) ? with_value(walk, kind, value) : end_behind(walk);
}

/* An option that is a whole argument: "--name", "--name=value", "-name". */
static bool long_option(struct walk *walk, struct span arg)
{
	const char *equals = memchr(arg.data, '=', arg.len);
	const struct span name = {arg.data, equals ? (size_t)(equals - arg.data) : arg.len};
	const enum option_kind kind = grammar_word(walk->grammar, name);

	switch (kind) {
	case OPTION_CODE: return end_none(walk);
	case OPTION_UNKNOWN:
		return equals || walk->grammar->traits & GRAMMAR_OPEN ? false : end_none(walk);
	case OPTION_FLAG: return false;
	case OPTION_ASSIGNED: return equals ? false : end_none(walk);
	case OPTION_SEARCH: walk->search = true; return false;
	default: break;
	}
	if (equals)
		return with_value(walk, kind, (struct span){equals + 1, arg.len - name.len - 1});
	return with_next(walk, kind);
}

/* What follows an OPTION_DIGITS at `at`: returns where the next option is. */
static size_t behind_digits(struct span cluster, size_t at)
{
	if (at < cluster.len && (cluster.data[at] == ':' || cluster.data[at] == '='))
		return cluster.len;
	while (at < cluster.len && isdigit((unsigned char)cluster.data[at]))
		at++;
	return at;
}

/* Letters behind one dash. */
static bool cluster(struct walk *walk, struct span arg)
{
	for (size_t i = 1; i < arg.len;) {
		const enum option_kind kind = grammar_letter(walk->grammar, arg.data[i++]);
		const struct span rest = {arg.data + i, arg.len - i};
		struct span skipped;

		switch (kind) {
		case OPTION_UNKNOWN:
		case OPTION_CODE: return end_none(walk);
		case OPTION_FLAG: break;
		case OPTION_SEARCH: walk->search = true; break;
		case OPTION_DIGITS: i = behind_digits(arg, i); break;
		case OPTION_LETTER: i += rest.len > 0; break;
		case OPTION_REST: return false;
		case OPTION_ASSIGNED:
			return rest.len && rest.data[0] == '=' ? false : end_none(walk);
		case OPTION_NEXT:
			if (!next_arg(walk, &skipped))
				return end_behind(walk);
			break;
		default: return rest.len ? with_value(walk, kind, rest) : with_next(walk, kind);
		}
	}
	return false;
}

/* Behind one dash, bash looks for a word first: "-rcfile" is "--rcfile". */
static bool bash_word(struct walk *walk, struct span arg, bool *ended)
{
	char name[32] = "-";

	if (!(walk->grammar->traits & GRAMMAR_WORDS_FIRST) || arg.data[0] != '-' || arg.len < 3 ||
	    arg.len + 1 > sizeof(name))
		return false;
	memcpy(name + 1, arg.data, arg.len);
	if (grammar_word(walk->grammar, (struct span){name, arg.len + 1}) == OPTION_UNKNOWN)
		return false;
	*ended = long_option(walk, (struct span){name, arg.len + 1});
	return true;
}

/* One argument. True: the walk has ended. */
static bool step(struct walk *walk, struct span arg)
{
	const unsigned int traits = walk->grammar->traits;
	bool ended;

	if (!arg.len || !(arg.data[0] == '-' || (arg.data[0] == '+' && traits & GRAMMAR_PLUS)))
		return word(walk, arg);
	if (arg.len == 1 && arg.data[0] == '-')
		return traits & GRAMMAR_DASH_ENDS ? word_behind(walk, false) : end_none(walk);
	if (span_equal(arg, span_of("--")))
		return word_behind(walk, true);
	if (arg.len > 1 && (traits & GRAMMAR_WORDS || arg.data[1] == '-'))
		return long_option(walk, arg);
	if (bash_word(walk, arg, &ended))
		return ended;
	return cluster(walk, arg);
}

/* BusyBox runs the applet that its own name says, or else the next argument. */
static bool choose_applet(struct walk *walk, struct span own_name)
{
	struct span name = text_basename(own_name);

	if (name.len && name.data[0] == '-') /* a login shell */
		name = (struct span){name.data + 1, name.len - 1};
	if (grammar_of(name) == walk->grammar && !next_arg(walk, &name))
		return false;
	walk->grammar = grammar_of_applet(text_basename(name));
	return walk->grammar;
}

struct script script_of_args(struct span executable, struct span args)
{
	struct walk walk = {.grammar = grammar_of(text_basename(executable)),
			    .args = args,
			    .script = {.name = {"", 0}, .folder = {"", 0}}};
	struct span arg;

	if (!walk.grammar || !next_arg(&walk, &arg))
		return walk.script;
	if (walk.grammar->traits & GRAMMAR_APPLETS && !choose_applet(&walk, arg))
		return walk.script;
	while (next_arg(&walk, &arg)) {
		if (step(&walk, arg))
			return walk.script;
	}
	end_behind(&walk);
	return walk.script;
}
