/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"

static const char help[] =
	"smtpsnoop: which process sends mail from this host\n"
	"\n"
	"usage: smtpsnoop [COMMAND] [OPTIONS]\n"
	"\n"
	"  watch          watch this host live, one line a message (the default; needs root)\n"
	"  run            the daemon: the outputs and exclusions of a configuration (-c), read "
	"again at "
	"SIGHUP\n"
	"                 (needs root)\n"
	"  record FILE    keep what the kernel side saw, to replay; shows it as watch does (needs "
	"root)\n"
	"  replay FILE    give the events of a recording again\n"
	"  check          read a configuration (-c), and warn of what is hardly meant\n"
	"  explain [FILE] of each event on standard input, or in a recording: every exclusion (-c) "
	"with each "
	"of\n"
	"                 its criteria, met, failed or unknown\n"
	"  suggest [FILE...]  draft exclusions from events (-o json), for review\n"
	"  doctor         what this kernel allows, what is chosen, what cannot be seen, and a\n"
	"                 self-test over loopback (needs root)\n"
	"  version        print the version\n"
	"\n"
	"  -o FORMAT          table (for people, the default), wide (every column), json (a line "
	"an event),\n"
	"                     cef (ArcSight Common Event Format, a line an event), sentinel (a "
	"flat line an "
	"event, for\n"
	"                     Microsoft Sentinel)\n"
	"  -c FILE            configuration: exclusions, in this file and in conf.d/*.yaml beside "
	"it\n"
	"      --all          also excluded messages, and SMTP sessions without a mail "
	"transaction\n"
	"      --pid PID      only messages of this process or its descendants\n"
	"      --user USER    only of this effective user, by name or number\n"
	"      --unit UNIT    only of this systemd unit\n"
	"      --container ID only of this container (the beginning of its id will do)\n"
	"      --port PORT    only to this destination port\n"
	"      --count N      end after N messages\n"
	"      --duration S   end after S seconds\n"
	"      --hook HOOK    auto (the default), fentry, kprobe or tracepoint\n"
	"      --no-wire      send hooks alone: no replies, so no outcomes\n"
	"      --attack       doctor: try every known way round the watch, harmlessly, over "
	"loopback\n"
	"  -h, --help         this text\n"
	"\n"
	"Exit status: 0 done; 1 it failed at run time; 2 the command line or the\n"
	"configuration is wrong.\n"
	"SIGINT and SIGTERM end it in order. Colour is used on a terminal only, and not if "
	"NO_COLOR is "
	"set.\n";

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
		report(option, "'%.64s' is not a whole number from %llu to %llu", text,
		       (unsigned long long)min, (unsigned long long)max);
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
	report("-o", "'%.64s' is not a format: %s", text, names);
	return -EINVAL;
}

static int parse_hook(const char *text, enum hook *hook)
{
	if (hook_parse(text, hook))
		return 0;
	report("--hook", "'%.64s' is not a hook: auto, fentry, kprobe or tracepoint", text);
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
	default: return -EINVAL;
	}
}

/* A mistake that getopt found: optopt is the option's character, or 0 for an unknown long one. */
static int option_mistake(int code, char **argv)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		report(word, "needs a value: smtpsnoop --help lists the options");
	else
		report(word, "no such option: smtpsnoop --help lists them");
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
	report(word, "no such command: smtpsnoop --help lists them");
	return -EINVAL;
}

/* The words that are no options: the command, if argv does not begin with it, and a file. */
static int parse_words(struct options *options, int argc, char **argv, bool command_seen)
{
	bool takes_file;

	if (!command_seen && optind < argc && options->command == COMMAND_WATCH) {
		if (parse_command(options, argv[optind++]))
			return -EINVAL;
	}
	if (options->command == COMMAND_SUGGEST) {
		options->files = argv + optind;
		return 0;
	}
	takes_file = options->command == COMMAND_RECORD || options->command == COMMAND_REPLAY;
	if ((takes_file || options->command == COMMAND_EXPLAIN) && optind < argc)
		options->file = argv[optind++];
	if ((options->command == COMMAND_CHECK || options->command == COMMAND_EXPLAIN) &&
	    !options->config) {
		report(options->command == COMMAND_CHECK ? "check" : "explain",
		       "needs a configuration: -c FILE");
		return -EINVAL;
	}
	if (options->command == COMMAND_RUN && options->output_given &&
	    !format_fits(options->output, FORMAT_IN_FILES)) {
		report("-o", "run writes for machines: json, cef or sentinel; smtpsnoop watch has "
			     "the table");
		return -EINVAL;
	}
	if (takes_file && !options->file) {
		report(options->command == COMMAND_RECORD ? "record" : "replay",
		       "needs a file: smtpsnoop %s FILE",
		       options->command == COMMAND_RECORD ? "record" : "replay");
		return -EINVAL;
	}
	if (optind < argc && options->command != COMMAND_HELP) {
		report(argv[optind], "one word too many: smtpsnoop --help shows what is taken");
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
