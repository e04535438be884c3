/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an interpreter accepts options, then the script. Short options come in
 * clusters ("-Bu"). An option with a value uses the rest of its cluster or the next argument. An
 * option that brings the program with it (-c, -e, -m) means that there is no script. An interpreter
 * fails on arguments that it does not understand, so a wrong guess only concerns a process that
 * sends nothing.
 */
#include "process/script.h"

#include <ctype.h>

#include "base/text.h"

struct interpreter {
	const char *name;
	const char *inline_options; /* these bring the program with them */
	/* these have a value: the rest of the cluster, or the next argument */
	const char *value_options;
	const char *rest_options; /* these use the rest of the cluster, never the next argument */
	/* long options that use the next argument; NUL-separated, then an empty one */
	const char *long_values;
};

static const struct interpreter interpreters[] = {
	{"python", "cm", "WXQ", "", "--check-hash-based-pycs\0"},
	{"pypy", "cm", "WXQ", "", ""},
	{"perl", "eE", "I", "MmxiCD", ""},
	{"ruby", "e", "ICrE", "Kx", ""},
	{"sh", "cs", "oO", "", ""},
	{"bash", "cs", "oO", "", "--rcfile\0--init-file\0"},
	{"dash", "cs", "o", "", ""},
	{"ksh", "cs", "o", "", ""},
	{"zsh", "cs", "o", "", ""},
	{"php", "rBRE", "dczt", "", ""},
	{"node", "ep", "r", "", "--require\0--import\0--loader\0"},
	{"lua", "e", "l", "", ""},
	{"tclsh", "", "", "", ""},
};

/* "python3.11" is python; "perl5.36-x86_64" is perl. */
static const struct interpreter *interpreter_of(struct span executable)
{
	struct span name = text_basename(executable);

	for (size_t i = 0; i < sizeof(interpreters) / sizeof(interpreters[0]); i++) {
		size_t len = strlen(interpreters[i].name);

		if (name.len >= len && memcmp(name.data, interpreters[i].name, len) == 0 &&
		    (name.len == len || isdigit((unsigned char)name.data[len])))
			return &interpreters[i];
	}
	return NULL;
}

static bool next_arg(struct span *args, struct span *arg)
{
	if (!args->len)
		return false;
	arg->data = args->data;
	arg->len = strnlen(args->data, args->len);
	args->data += arg->len < args->len ? arg->len + 1 : arg->len;
	args->len -= arg->len < args->len ? arg->len + 1 : arg->len;
	return true;
}

/* False: the program is not in a file. *takes_next: the next argument is the option's value. */
static bool short_options(const struct interpreter *interpreter, struct span cluster,
			  bool *takes_next)
{
	for (size_t i = 1; i < cluster.len; i++) {
		if (strchr(interpreter->inline_options, cluster.data[i]))
			return false;
		if (strchr(interpreter->rest_options, cluster.data[i]))
			return true;
		if (strchr(interpreter->value_options, cluster.data[i])) {
			*takes_next = i + 1 == cluster.len;
			return true;
		}
	}
	return true;
}

static bool long_option_takes_next(const struct interpreter *interpreter, struct span option)
{
	for (const char *name = interpreter->long_values; *name; name += strlen(name) + 1) {
		if (span_equal(option, span_of(name)))
			return true;
	}
	return false;
}

struct span script_of_args(struct span executable, struct span args)
{
	const struct interpreter *interpreter = interpreter_of(executable);
	const struct span none = {"", 0};
	struct span arg;

	if (!interpreter || !next_arg(&args, &arg))
		return none;
	while (next_arg(&args, &arg)) {
		bool takes_next = false;

		if (arg.len < 2 || (arg.data[0] != '-' && arg.data[0] != '+'))
			return arg.len == 1 && arg.data[0] == '-' ? none : arg;
		if (span_equal(arg, span_of("--")))
			return next_arg(&args, &arg) ? arg : none;
		if (arg.data[1] == '-')
			takes_next = long_option_takes_next(interpreter, arg);
		else if (!short_options(interpreter, arg, &takes_next))
			return none;
		if (takes_next && !next_arg(&args, &arg))
			return none;
	}
	return none;
}
