/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* How interpreters read their options: a table with one row for each. script.c walks by it. */
#ifndef SMTPSNOOP_GRAMMAR_H
#define SMTPSNOOP_GRAMMAR_H

#include <stdbool.h>

#include "base/span.h"

/* What an option does with what follows it. The values are the marks in `options` below. */
enum option_kind {
	OPTION_UNKNOWN = 0,
	OPTION_FLAG = ' ',     /* no mark: it has no value */
	OPTION_VALUE = ':',    /* a value: the rest of the word, or the next argument */
	OPTION_REST = '~',     /* the rest of the word, even if that is empty */
	OPTION_NEXT = '+',     /* the next argument; the letters behind it are options */
	OPTION_DIGITS = '#',   /* the digits behind it, or all behind a ':' or '='; then options */
	OPTION_LETTER = '$',   /* the letter behind it; then options */
	OPTION_ASSIGNED = '=', /* a value only behind a '='; without one, versions differ */
	OPTION_CODE = '!', /* the program is on the command line or standard input, or none runs */
	OPTION_FILE = '>', /* a value: the script */
	OPTION_MODULE = '@', /* a value: a module, which is the program */
	OPTION_FOLDER = '/', /* a value: the directory that the script's name is relative to */
	OPTION_STDIN = '^',  /* a value; afterwards only an OPTION_FILE names the script */
	OPTION_SEARCH = '%', /* a flag: a name without a slash is looked up in PATH */
};

enum grammar_trait {
	GRAMMAR_WORDS = 1 << 0,	       /* a whole argument is one option, also behind one dash */
	GRAMMAR_WORDS_FIRST = 1 << 1,  /* it may be, and otherwise consists of letters */
	GRAMMAR_UNDERSCORES = 1 << 2,  /* in the name of an option, '_' means '-' */
	GRAMMAR_PLUS = 1 << 3,	       /* options may begin with a '+' */
	GRAMMAR_DASH_ENDS = 1 << 4,    /* "-" ends the options; otherwise it is standard input */
	GRAMMAR_STDIN_BEHIND = 1 << 5, /* behind "--", the program is on standard input */
	GRAMMAR_OPEN = 1 << 6,	       /* options that are not listed have no value */
	GRAMMAR_NO_WORD = 1 << 7,      /* only an OPTION_FILE names the script */
	GRAMMAR_URLS = 1 << 8,	       /* the script may be a URL */
	GRAMMAR_APPLETS = 1 << 9,      /* argv[0], or the argument behind it, chooses the grammar */
};

struct grammar {
	const char *names; /* of executables, separated by blanks; a version may follow each */
	/*
	 * Separated by blanks, each with its mark. "-abc:" are the letters a, b and c; "--word:" is
	 * a word, and so is everything with GRAMMAR_WORDS. A '*' before the mark stands for any
	 * rest of the word. Without a dash it is a command, as in "deno run". The first one that
	 * fits counts.
	 */
	const char *options;
	const char
		*endings; /* a first word that is a script ends in one of these; NULL: any does */
	unsigned int traits; /* enum grammar_trait */
};

/* By the name of the executable, such as "python3.11"; NULL: not a known interpreter. */
const struct grammar *grammar_of(struct span name);

/* Calls `is` with each name in the table until it returns true. False: it never did. */
bool grammar_any_name(bool (*is)(const void *context, struct span name), const void *context);

/* The grammar of an applet of BusyBox; NULL: it runs no script. */
const struct grammar *grammar_of_applet(struct span name);

/* An option or command that is a word, without its value; OPTION_UNKNOWN: not in the table. */
enum option_kind grammar_word(const struct grammar *grammar, struct span word);

enum option_kind grammar_letter(const struct grammar *grammar, char letter);

/* Whether the script's name ends as it must. */
bool grammar_ends(const struct grammar *grammar, struct span name);

#endif
