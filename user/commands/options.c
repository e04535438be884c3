/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/amount.h"
#include "base/report.h"
#include "capture/recording.h"

static const char help[] =
	"usage: smtpsnoop [COMMAND] [OPTION...] [FILE...]\n"
	"\n"
	"Show which process sends mail from this host.\n"
	"\n"
	"Commands:\n"
	"  watch              Watch this host live, one line a message. The default.\n"
	"                     Needs root.\n"
	"  run                The daemon: write events to the outputs of a configuration,\n"
	"                     and read it again at SIGHUP. Without -c, it reads\n"
	"                     /etc/smtpsnoop/smtpsnoop.yaml if that exists. Needs root.\n"
	"  record FILE        Watch, and record what the kernel side saw. FILE must not\n"
	"                     exist yet. The filters apply to what is recorded. Needs\n"
	"                     root.\n"
	"  replay FILE        Show the events of a recording.\n"
	"  check              Validate a configuration (-c) and warn about probable\n"
	"                     mistakes.\n"
	"  explain [FILE]     For each message of a recording, or of events (-o json) on\n"
	"                     standard input, show the nearest exclusion of a\n"
	"                     configuration (-c): what it expected and what the message\n"
	"                     has, by criterion. --all shows the other exclusions too.\n"
	"  suggest [FILE...]  Draft exclusions for review, for mail of three days or more,\n"
	"                     from events (-o json) in files or on standard input.\n"
	"  doctor             Show which hooks this kernel allows, which are chosen and\n"
	"                     what cannot be seen; then test the capture with one mail\n"
	"                     over loopback. Needs root.\n"
	"  version            Print the version.\n"
	"\n"
	"Options of watch, run, record and replay:\n"
	"  -c FILE            Configuration; conf.d/*.yaml beside it is read too. Also\n"
	"                     for check and explain.\n"
	"  -o FORMAT          Format of standard output:\n"
	"                       table     one aligned line a message (the default)\n"
	"                       wide      every field, as name=value\n"
	"                       json      one event a line, Elastic Common Schema\n"
	"                       cef       one event a line, ArcSight Common Event Format\n"
	"                       sentinel  one event a line, for Microsoft Sentinel\n"
	"                     run accepts only json, cef and sentinel. Without -o it\n"
	"                     uses the configured outputs, or json if there are none.\n"
	"  --all              Also show excluded messages, and SMTP sessions without a\n"
	"                     mail transaction.\n"
	"  --pid PID          Only messages of this process and its descendants.\n"
	"  --user USER        Only messages of this effective user, by name or number.\n"
	"  --unit UNIT        Only messages of this systemd unit.\n"
	"  --container ID     Only messages of this container: the beginning of its id,\n"
	"                     or its name (LXC, libvirt, systemd-nspawn).\n"
	"  --port PORT        Only messages to this destination port.\n"
	"  --count N          End after N messages.\n"
	"  --max-size SIZE    record only: end when FILE has this size, such as 100MiB.\n"
	"                     Without it, FILE grows as long as there is room.\n"
	"\n"
	"Options of watch, run, record and doctor:\n"
	"  --duration S       End after S seconds (not doctor).\n"
	"  --hook HOOK        Send hooks: auto (the default: the first that works),\n"
	"                     fentry, kprobe or tracepoint.\n"
	"  --no-wire          Use the send hooks alone. Replies are not seen, so outcomes\n"
	"                     are unknown.\n"
	"  --attack           doctor only: also try every known way to evade the capture,\n"
	"                     harmlessly, over loopback.\n"
	"\n"
	"Other options:\n"
	"  -h, --help         Print this text.\n"
	"  -V, --version      Print the version.\n"
	"\n"
	"SIGINT and SIGTERM end a watch in order: what was captured is written first.\n"
	"Colour is used only on a terminal, and not if NO_COLOR is set.\n"
	"\n"
	"Exit status: 0 success; 1 failure at run time; 2 wrong command line or\n"
	"configuration. An error is one line on standard error.\n";

void options_help(void)
{
	fputs(help, stdout);
}

enum option_code {
	OPTION_ALL = 256,
	OPTION_PID,
	OPTION_USER,
	OPTION_UNIT,
	OPTION_CONTAINER,
	OPTION_PORT,
	OPTION_COUNT,
	OPTION_DURATION,
	OPTION_MAX_SIZE,
	OPTION_HOOK,
	OPTION_NO_WIRE,
	OPTION_ATTACK,
};

static const struct option long_options[] = {
	{"all", no_argument, NULL, OPTION_ALL},
	{"pid", required_argument, NULL, OPTION_PID},
	{"user", required_argument, NULL, OPTION_USER},
	{"unit", required_argument, NULL, OPTION_UNIT},
	{"container", required_argument, NULL, OPTION_CONTAINER},
	{"port", required_argument, NULL, OPTION_PORT},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"max-size", required_argument, NULL, OPTION_MAX_SIZE},
	{"hook", required_argument, NULL, OPTION_HOOK},
	{"no-wire", no_argument, NULL, OPTION_NO_WIRE},
	{"attack", no_argument, NULL, OPTION_ATTACK},
	{"help", no_argument, NULL, 'h'},
	{"version", no_argument, NULL, 'V'},
	{NULL, 0, NULL, 0},
};

static int parse_number(const char *option, const char *text, uint64_t min, uint64_t max,
			uint64_t *number)
{
	char *end = NULL;
	unsigned long long value;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || text[0] < '0' || text[0] > '9' || *end || value < min || value > max) {
		report(option, "'%.64s' is out of range or not a number; expected %llu to %llu",
		       text, (unsigned long long)min, (unsigned long long)max);
		return -EINVAL;
	}
	*number = value;
	return 0;
}

static int parse_output(const char *text, enum output_format *output)
{
	char names[100];

	if (format_find(text, FORMAT_ON_TERMINAL, output))
		return 0;
	format_list(names, sizeof(names), FORMAT_ON_TERMINAL);
	report("-o", "'%.64s' is not a format; expected %s", text, names);
	return -EINVAL;
}

static int parse_hook(const char *text, enum hook *hook)
{
	if (hook_parse(text, hook))
		return 0;
	report("--hook", "'%.64s' is not a hook; expected auto, fentry, kprobe or tracepoint",
	       text);
	return -EINVAL;
}

static int parse_size(const char *option, const char *text, uint64_t min, uint64_t *size)
{
	struct span rest = span_of(text);

	if (amount_parse(&rest, amount_byte_units, size) && !rest.len && *size >= min)
		return 0;
	report(option, "'%.64s' is not a size; expected one such as 100MiB, at least 1KiB", text);
	return -EINVAL;
}

static int parse_option(struct options *options, int code)
{
	uint64_t number = 0;
	int error = 0;

	switch (code) {
	case 'o': options->output_given = true; return parse_output(optarg, &options->output);
	case 'c': options->config = optarg; return 0;
	case OPTION_HOOK: return parse_hook(optarg, &options->hook);
	case 'h': options->command = COMMAND_HELP; return 0;
	case 'V': options->command = COMMAND_VERSION; return 0;
	case OPTION_ALL: options->filter.all = true; return 0;
	case OPTION_USER: options->filter.user = optarg; return 0;
	case OPTION_UNIT: options->filter.unit = optarg; return 0;
	case OPTION_CONTAINER: options->filter.container = optarg; return 0;
	case OPTION_ATTACK: options->attack = true; return 0;
	case OPTION_NO_WIRE: options->wire = false; return 0;
	case OPTION_COUNT: return parse_number("--count", optarg, 1, UINT64_MAX, &options->count);
	case OPTION_PID:
		error = parse_number("--pid", optarg, 1, UINT32_MAX, &number);
		options->filter.pid = (uint32_t)number;
		return error;
	case OPTION_PORT:
		error = parse_number("--port", optarg, 1, 65535, &number);
		options->filter.port = (uint16_t)number;
		return error;
	case OPTION_DURATION:
		error = parse_number("--duration", optarg, 1, 1000000000, &number);
		options->duration_ns = number * 1000000000ULL;
		return error;
	case OPTION_MAX_SIZE:
		return parse_size("--max-size", optarg, RECORDING_SIZE_MIN, &options->max_size);
	default: return -EINVAL;
	}
}

/* Reports a mistake that getopt_long() found. `code`: ':' a value is missing, '?' unknown. */
static int option_mistake(int code, char **argv)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		report(word, "needs a value; smtpsnoop --help lists the options");
	else
		report(word, "unknown option; smtpsnoop --help lists the options");
	return -EINVAL;
}

static int parse_command(struct options *options, const char *word)
{
	static const struct {
		const char *name;
		enum command command;
	} commands[] = {
		{"run", COMMAND_RUN},	      {"watch", COMMAND_WATCH},
		{"record", COMMAND_RECORD},   {"replay", COMMAND_REPLAY},
		{"check", COMMAND_CHECK},     {"explain", COMMAND_EXPLAIN},
		{"suggest", COMMAND_SUGGEST}, {"doctor", COMMAND_DOCTOR},
		{"version", COMMAND_VERSION}, {"help", COMMAND_HELP},
	};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(word, commands[i].name) == 0) {
			options->command = commands[i].command;
			return 0;
		}
	}
	report(word, "unknown command; smtpsnoop --help lists the commands");
	return -EINVAL;
}

/* -EINVAL (reported) if an option does not fit the command, or one that it needs is missing. */
static int check_options(const struct options *options)
{
	enum command command = options->command;
	char names[100];

	if ((command == COMMAND_CHECK || command == COMMAND_EXPLAIN) && !options->config) {
		report(command == COMMAND_CHECK ? "check" : "explain",
		       "needs a configuration; name it with -c FILE");
		return -EINVAL;
	}
	if (options->max_size && command != COMMAND_RECORD) {
		report("--max-size", "only record accepts it");
		return -EINVAL;
	}
	if (command == COMMAND_RUN && options->output_given &&
	    !format_fits(options->output, FORMAT_IN_FILES)) {
		format_list(names, sizeof(names), FORMAT_IN_FILES);
		report("-o", "run accepts %s; smtpsnoop watch shows the table", names);
		return -EINVAL;
	}
	return 0;
}

/* The arguments that are not options: the command, if it was not the first one, and files. */
static int parse_words(struct options *options, int argc, char **argv, bool command_seen)
{
	bool needs_file;

	if (!command_seen && optind < argc && options->command == COMMAND_WATCH) {
		if (parse_command(options, argv[optind++]))
			return -EINVAL;
	}
	if (options->command == COMMAND_SUGGEST) {
		options->files = argv + optind;
		return 0;
	}
	needs_file = options->command == COMMAND_RECORD || options->command == COMMAND_REPLAY;
	if ((needs_file || options->command == COMMAND_EXPLAIN) && optind < argc)
		options->file = argv[optind++];
	if (check_options(options))
		return -EINVAL;
	if (needs_file && !options->file) {
		report(options->command == COMMAND_RECORD ? "record" : "replay",
		       "needs a file; use smtpsnoop %s FILE",
		       options->command == COMMAND_RECORD ? "record" : "replay");
		return -EINVAL;
	}
	if (optind < argc && options->command != COMMAND_HELP) {
		report(argv[optind], "unexpected argument; smtpsnoop --help shows the usage");
		return -EINVAL;
	}
	return 0;
}

int options_parse(struct options *options, int argc, char **argv)
{
	bool command_seen = argc > 1 && argv[1][0] != '-';
	int code;

	*options = (struct options){.command = COMMAND_WATCH, .output = FORMAT_TABLE, .wire = true};
	if (command_seen) {
		if (parse_command(options, argv[1]))
			return -EINVAL;
		argc--;
		argv++;
	}
	opterr = 0;
	while ((code = getopt_long(argc, argv, ":c:o:hV", long_options, NULL)) != -1) {
		if (code == '?' || code == ':')
			return option_mistake(code, argv);
		if (parse_option(options, code))
			return -EINVAL;
	}
	return parse_words(options, argc, argv, command_seen);
}
