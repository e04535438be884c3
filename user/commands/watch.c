/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The commands watch and record: a live watch that is printed, and with record also saved in a
 * file.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "config/config.h"
#include "commands/commands.h"
#include "commands/options_filter.h"
#include "policy/decision.h"
#include "format/format.h"
#include "watch/live.h"
#include "capture/privilege.h"
#include "capture/recording.h"
#include "base/report.h"

#define TERMINAL_WIDTH_UNKNOWN 80U /* of a serial console, which cannot tell */

/*
 * What SIGWINCH would tell, without a handler: asking costs less than a microsecond a row, and no
 * change of the size can be missed.
 */
static void terminal_size(unsigned int *width, unsigned int *rows)
{
	struct winsize size;
	bool known = !ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) && size.ws_col;

	*width = known ? size.ws_col : TERMINAL_WIDTH_UNKNOWN;
	*rows = known ? size.ws_row : 0;
}

static bool wants_color(void)
{
	const char *no_color = getenv("NO_COLOR"), *terminal = getenv("TERM");

	return !(no_color && no_color[0]) && !(terminal && strcmp(terminal, "dumb") == 0);
}

struct sink *command_sink(const struct options *options)
{
	bool terminal = isatty(STDOUT_FILENO);
	struct table_options table = {
		.wide = options->output == FORMAT_WIDE,
		.color = terminal && wants_color(),
		.size = terminal ? terminal_size : NULL,
		.all = options->filter.all,
	};
	format_fn writer = format_writer(options->output);

	return writer ? sink_lines_new(stdout, writer) : sink_table_new(stdout, &table);
}

int command_output_failed(int error)
{
	if (error == -EPIPE)
		report("standard output", "the reader closed it; the watch has ended");
	else if (error == -ENOSPC)
		report("standard output", "%s; free some space, then start the watch again",
		       strerror(ENOSPC));
	else
		report("standard output", "cannot write: %s", strerror(-error));
	return STATUS_FAILED;
}

static int recording_failed(const char *path, int error)
{
	report(path, "cannot write: %s; the recording ends here", strerror(-error));
	return STATUS_FAILED;
}

bool command_decider(const struct options *options, struct decider **decider)
{
	const struct config_terms terms = {.trusted = geteuid() == 0};
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	*decider = NULL;
	if (!options->config)
		return true;
	config = config_load(options->config, &terms, error);
	if (!config) {
		fprintf(stderr, "smtpsnoop: %s\n", error);
		return false;
	}
	*decider = config_decider(config);
	if (*decider)
		return true;
	config_free(config);
	report(options->config, "cannot use the configuration: %s", strerror(ENOMEM));
	return false;
}

struct reloading {
	const char *path;
	const char *file; /* of the recording; NULL: none */
	struct decider *decider;
};

/* Reads the file again. NULL: the mistake in it is reported, and the old configuration stays. */
static void *read_again(void *context, const atomic_bool *stop)
{
	const struct reloading *reloading = context;
	const struct config_terms terms = {.trusted = geteuid() == 0, .stop = stop};
	char error[CONFIG_ERROR_MAX];
	struct config *config = config_load(reloading->path, &terms, error);
	struct decider *decider;

	if (!config && !atomic_load(stop))
		report(NULL, "%s; the old configuration stays in force", error);
	if (!config)
		return NULL;
	decider = config_decider(config);
	if (!decider) {
		config_free(config);
		report(reloading->path, "%s; the old configuration stays in force",
		       strerror(ENOMEM));
	}
	return decider;
}

static bool take(void *context, struct pipeline *pipeline, void *result)
{
	const struct reloading *reloading = context;

	(void)pipeline;
	if (result)
		decider_replace(reloading->decider, result);
	return result;
}

static void release(void *context, void *result)
{
	(void)context;
	decider_free(result);
}

/* The bytes of flows that the filter selects too late are not in the recording. */
static void on_end(void *context, struct pipeline *pipeline)
{
	const struct reloading *reloading = context;
	uint64_t late = pipeline_recorded_late(pipeline);

	if (late)
		report(reloading->file,
		       "%llu connection%s recorded without %s beginning: a process that the filter "
		       "selects came to use %s late",
		       (unsigned long long)late, late == 1 ? " is" : "s are",
		       late == 1 ? "its" : "their", late == 1 ? "it" : "them");
}

static int watch(const struct options *options, struct sink *sink, struct recording *recording,
		 struct decider *decider)
{
	static const struct live_reload reload = {.read = read_again,
						  .take = take,
						  .release = release};
	struct reloading reloading = {.path = options->config,
				      .file = options->file,
				      .decider = decider};
	struct live_options live = {
		.capture = {.hook = options->hook, .wire = options->wire, .tls = options->tls},
		.filter = options->filter,
		.count = options->count,
		.duration_ns = options->duration_ns,
		.decider = decider,
		.reload = decider ? &reload : NULL,
		.context = &reloading,
		.recording = recording,
		.on_end = recording ? on_end : NULL,
		.pace = true,
	};
	enum live_end end = LIVE_SIGNAL;
	int error = 0, closed;

	live.filter.count = options->count;
	if (live_run(&live, sink, &end, &error)) {
		recording_close(recording);
		return STATUS_FAILED;
	}
	if (recording)
		command_tell_decrypted(options->file, recording_decrypted(recording));
	closed = recording_close(recording);
	if (end == LIVE_RECORDING || closed)
		return recording_failed(options->file, end == LIVE_RECORDING ? error : closed);
	if (end == LIVE_SIZE)
		report(options->file, "has reached --max-size; the recording ends here");
	return error ? command_output_failed(error) : STATUS_DONE;
}

void command_tell_decrypted(const char *file, uint64_t sessions)
{
	if (sessions)
		report(file,
		       "the recording contains the text of %llu session%s that %s encrypted on the "
		       "wire",
		       (unsigned long long)sessions, sessions == 1 ? "" : "s",
		       sessions == 1 ? "was" : "were");
}

bool command_privileged(const char *command)
{
	char why[PRIVILEGE_WHY_MAX];

	if (!privilege_check(why))
		return true;
	report(command, "%s", why);
	return false;
}

int command_watch(const struct options *options)
{
	struct recording *recording = NULL;
	struct decider *decider;
	char why[RECORDING_WHY_MAX];
	struct sink *sink;
	int status;

	if (!command_privileged(options->command == COMMAND_RECORD ? "record" : "watch"))
		return STATUS_FAILED;
	if (filter_check_host(&options->filter))
		return STATUS_USAGE;
	if (!command_decider(options, &decider))
		return STATUS_USAGE;
	if (options->command == COMMAND_RECORD &&
	    recording_create(&recording, options->file, why)) {
		report(options->file, "%s", why);
		decider_free(decider);
		return STATUS_FAILED;
	}
	if (options->max_size)
		recording_bound(recording, options->max_size);
	sink = command_sink(options);
	if (!sink) {
		recording_close(recording);
		decider_free(decider);
		report("watch", "cannot start: %s", strerror(ENOMEM));
		return STATUS_FAILED;
	}
	status = watch(options, sink, recording, decider);
	sink->free(sink);
	decider_free(decider);
	return status;
}
