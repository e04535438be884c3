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
#include "commands/options_filter.h"

#define DURATION_MAX_S 1000000000ULL

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
	"  check FILE         Validate a configuration (also: -c FILE) and warn about\n"
	"                     probable mistakes.\n"
	"  explain [FILE]     For each message of a recording, or of events (-o json) on\n"
	"                     standard input, show the nearest exclusion of a\n"
	"                     configuration (-c): what it expected and what the message\n"
	"                     has, by criterion. --all shows the other exclusions too.\n"
	"  suggest [FILE...]  Draft exclusions for review, for mail of three days or more,\n"
	"                     from events (-o json) in files or on standard input.\n"
	"  suggest --library [FOLDER]\n"
	"                     Draft exclusions for the mailers that are installed on this\n"
	"                     host, from smtpsnoop's library of them.\n"
	"  doctor             Show which hooks this kernel allows, which are chosen and\n"
	"                     what cannot be seen; then test the capture with one mail\n"
	"                     over loopback. Needs root.\n"
	"  version            Print the version, the commit, and which features were\n"
	"                     built in.\n"
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
	"  --all              Also show excluded messages, SMTP sessions without a mail\n"
	"                     transaction, and the end of each session.\n"
	"  --alerts           Show alerts alone.\n"
	"  --count N          End after N messages.\n"
	"  --duration TIME    End after that time: 30s, 5m, 1h; a bare number is seconds.\n"
	"                     replay: of the recording.\n"
	"  --max-size SIZE    record only: end when FILE has this size, such as 100MiB.\n"
	"                     Without it, FILE grows as long as there is room.\n"
	"\n"
	"Filters of watch, run, record and replay. A message must match all of them. A\n"
	"filter that is repeated, or has values with commas between them, matches any of\n"
	"them:\n"
	"  --pid PID          Messages of this process and its descendants.\n"
	"  --user USER        Messages of this effective user, by name or number.\n"
	"  --unit UNIT        Messages of this systemd unit; without a suffix, a service.\n"
	"  --container ID     Messages of this container: the beginning of its id, or\n"
	"                     its name (LXC, libvirt, systemd-nspawn).\n"
	"  --port PORT        Messages to this destination port.\n"
	"  --where KEY=PATTERN\n"
	"                     Messages that meet this criterion of an exclusion, such as\n"
	"                     mail.recipients=*@evil.example or process.executable=/tmp/**.\n"
	"                     One process or recipient of several is enough. If it is\n"
	"                     repeated, all must match. A recording is bounded by criteria\n"
	"                     of process alone. smtpsnoop.yaml(5) lists the keys.\n"
	"\n"
	"Options of watch, run, record and doctor:\n"
	"  --hook HOOK        Send hooks: auto (the default: the first that works),\n"
	"                     fentry, kprobe or tracepoint.\n"
	"  --no-wire          Use the send hooks alone. Replies are not seen, so outcomes\n"
	"                     are unknown.\n"
	"  --no-tls           Do not probe TLS libraries. Mail under TLS is then shown\n"
	"                     without sender and recipients.\n"
	"  --attack           doctor only: also try every known way to evade the capture,\n"
	"                     harmlessly, over loopback.\n"
	"\n"
	"Other options:\n"
	"  -h, --help         Print this text.\n"
	"  -V, --version      As the command version.\n"
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
	OPTION_ALERTS,
	OPTION_PID,
	OPTION_USER,
	OPTION_UNIT,
	OPTION_CONTAINER,
	OPTION_PORT,
	OPTION_WHERE,
	OPTION_COUNT,
	OPTION_DURATION,
	OPTION_MAX_SIZE,
	OPTION_HOOK,
	OPTION_NO_WIRE,
	OPTION_NO_TLS,
	OPTION_ATTACK,
	OPTION_LIBRARY,
};

static const struct option long_options[] = {
	{"all", no_argument, NULL, OPTION_ALL},
	{"alerts", no_argument, NULL, OPTION_ALERTS},
	{"pid", required_argument, NULL, OPTION_PID},
	{"user", required_argument, NULL, OPTION_USER},
	{"unit", required_argument, NULL, OPTION_UNIT},
	{"container", required_argument, NULL, OPTION_CONTAINER},
	{"port", required_argument, NULL, OPTION_PORT},
	{"where", required_argument, NULL, OPTION_WHERE},
	{"count", required_argument, NULL, OPTION_COUNT},
	{"duration", required_argument, NULL, OPTION_DURATION},
	{"max-size", required_argument, NULL, OPTION_MAX_SIZE},
	{"hook", required_argument, NULL, OPTION_HOOK},
	{"no-wire", no_argument, NULL, OPTION_NO_WIRE},
	{"no-tls", no_argument, NULL, OPTION_NO_TLS},
	{"attack", no_argument, NULL, OPTION_ATTACK},
	{"library", no_argument, NULL, OPTION_LIBRARY},
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

/* "5m", or a bare number of seconds. */
static int parse_duration(const char *text, uint64_t *ns)
{
	static const struct unit bare[] = {{"", 1}, {NULL, 0}};
	struct span rest = span_of(text), again = rest;
	uint64_t seconds = 0;
	bool good = (amount_parse(&rest, amount_time_units, &seconds) && !rest.len) ||
		    (amount_parse(&again, bare, &seconds) && !again.len);

	if (!good || !seconds || seconds > DURATION_MAX_S) {
		report("--duration",
		       "'%.64s' is not a duration; expected one such as 30s, 5m or 1h, or a number "
		       "of seconds",
		       text);
		return -EINVAL;
	}
	*ns = seconds * 1000000000ULL;
	return 0;
}

static int parse_filter(struct options *options, int code)
{
	struct filter *filter = &options->filter;

	switch (code) {
	case OPTION_PID: return filter_option_numbers("--pid", optarg, INT32_MAX, &filter->pid);
	case OPTION_PORT: return filter_option_numbers("--port", optarg, UINT16_MAX, &filter->port);
	case OPTION_USER: return filter_option_words("--user", optarg, &filter->user);
	case OPTION_UNIT: return filter_option_words("--unit", optarg, &filter->unit);
	case OPTION_CONTAINER:
		return filter_option_words("--container", optarg, &filter->container);
	case OPTION_WHERE: return filter_option_where(options, optarg);
	default: return -EINVAL;
	}
}

static int parse_option(struct options *options, int code)
{
	switch (code) {
	case 'o': options->output_given = true; return parse_output(optarg, &options->output);
	case 'c': options->config = optarg; return 0;
	case OPTION_HOOK: return parse_hook(optarg, &options->hook);
	case 'h': options->command = COMMAND_HELP; return 0;
	case 'V': options->command = COMMAND_VERSION; return 0;
	case OPTION_ALL: options->filter.all = true; return 0;
	case OPTION_ALERTS: options->filter.alerts = true; return 0;
	case OPTION_ATTACK: options->attack = true; return 0;
	case OPTION_LIBRARY: options->library = true; return 0;
	case OPTION_NO_WIRE: options->wire = false; return 0;
	case OPTION_NO_TLS: options->tls = false; return 0;
	case OPTION_COUNT: return parse_number("--count", optarg, 1, UINT64_MAX, &options->count);
	case OPTION_DURATION: return parse_duration(optarg, &options->duration_ns);
	case OPTION_MAX_SIZE:
		return parse_size("--max-size", optarg, RECORDING_SIZE_MIN, &options->max_size);
	default: return parse_filter(options, code);
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

static const struct {
	const char *name;
	enum command command;
} commands[] = {
	{"run", COMMAND_RUN},	      {"watch", COMMAND_WATCH},	  {"record", COMMAND_RECORD},
	{"replay", COMMAND_REPLAY},   {"check", COMMAND_CHECK},	  {"explain", COMMAND_EXPLAIN},
	{"suggest", COMMAND_SUGGEST}, {"doctor", COMMAND_DOCTOR}, {"version", COMMAND_VERSION},
	{"help", COMMAND_HELP},
};

static const char *command_name(enum command command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].command == command)
			return commands[i].name;
	}
	return "smtpsnoop";
}

static int parse_command(struct options *options, const char *word)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(word, commands[i].name) == 0) {
			options->command = commands[i].command;
			return 0;
		}
	}
	report(word, "unknown command; smtpsnoop --help lists the commands");
	return -EINVAL;
}

#define IS(command) (1U << (command))
#define LIVE	    (IS(COMMAND_WATCH) | IS(COMMAND_RECORD) | IS(COMMAND_RUN))
#define SHOWING	    (LIVE | IS(COMMAND_REPLAY))
#define ANY	    (IS(COMMAND_VERSION) | IS(COMMAND_HELP))

/* The commands that use an option. An option that is not here fits all. */
static const struct {
	const char *name;
	int code;
	unsigned int commands;
} uses[] = {
	{"-o", 'o', SHOWING},
	{"-c", 'c', SHOWING | IS(COMMAND_CHECK) | IS(COMMAND_EXPLAIN)},
	{"--alerts", OPTION_ALERTS, SHOWING},
	{"--pid", OPTION_PID, SHOWING},
	{"--user", OPTION_USER, SHOWING},
	{"--unit", OPTION_UNIT, SHOWING},
	{"--container", OPTION_CONTAINER, SHOWING},
	{"--port", OPTION_PORT, SHOWING},
	{"--where", OPTION_WHERE, SHOWING},
	{"--count", OPTION_COUNT, SHOWING},
	{"--duration", OPTION_DURATION, SHOWING},
	{"--max-size", OPTION_MAX_SIZE, IS(COMMAND_RECORD)},
	{"--hook", OPTION_HOOK, LIVE | IS(COMMAND_DOCTOR)},
	{"--no-wire", OPTION_NO_WIRE, LIVE | IS(COMMAND_DOCTOR)},
	{"--no-tls", OPTION_NO_TLS, LIVE | IS(COMMAND_DOCTOR)},
	{"--attack", OPTION_ATTACK, IS(COMMAND_DOCTOR)},
	{"--library", OPTION_LIBRARY, IS(COMMAND_SUGGEST)},
};

#define USES (sizeof(uses) / sizeof(uses[0]))

/* Writes "watch, record, run". */
static void list_commands(unsigned int set, char *out, size_t size)
{
	size_t len = 0;

	for (unsigned int i = 0; i <= COMMAND_HELP && len < size; i++) {
		if (set & 1U << i)
			len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "",
						command_name((enum command)i));
	}
}

/* -EINVAL (reported) if an option was given that the command would ignore. `given`: by `uses`. */
static int check_uses(enum command command, unsigned int given)
{
	char names[100] = "";

	for (size_t i = 0; i < USES; i++) {
		if (!(given & 1U << i) || (uses[i].commands | ANY) & IS(command))
			continue;
		list_commands(uses[i].commands, names, sizeof(names));
		report(uses[i].name, "%s does not accept it; only %s", command_name(command),
		       names);
		return -EINVAL;
	}
	return 0;
}

static unsigned int use_of(int code)
{
	for (size_t i = 0; i < USES; i++) {
		if (uses[i].code == code)
			return 1U << i;
	}
	return 0;
}

/* -EINVAL (reported) if an option does not fit the command, or one that it needs is missing. */
static int check_options(const struct options *options)
{
	enum command command = options->command;
	char names[100];

	if (command == COMMAND_CHECK && !options->config) {
		report("check", "needs a configuration; use smtpsnoop check FILE");
		return -EINVAL;
	}
	if (command == COMMAND_EXPLAIN && !options->config) {
		report("explain", "needs a configuration; name it with -c FILE");
		return -EINVAL;
	}
	if (options->filter.all && options->filter.alerts) {
		report("--alerts", "cannot be combined with --all; choose one of them");
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
		if (!options->library || optind + 1 >= argc)
			return 0;
		report(argv[optind + 1], "unexpected argument; --library takes one folder");
		return -EINVAL;
	}
	if (options->command == COMMAND_CHECK && !options->config && optind < argc)
		options->config = argv[optind++];
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
	unsigned int given = 0;
	int code;

	*options = (struct options){.command = COMMAND_WATCH,
				    .output = FORMAT_TABLE,
				    .wire = true,
				    .tls = true};
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
		given |= use_of(code);
	}
	if (parse_words(options, argc, argv, command_seen))
		return -EINVAL;
	return check_uses(options->command, given);
}

void options_free(struct options *options)
{
	for (uint32_t i = 0; i < options->filter.where_count; i++)
		exclusion_free(&options->where[i]);
	options->filter.where_count = 0;
}
