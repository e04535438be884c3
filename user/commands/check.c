/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command check: reads a configuration as a watch would, and warns about probable mistakes. */
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "commands/advice.h"
#include "commands/commands.h"
#include "commands/targets.h"
#include "base/report.h"
#include "base/text.h"

#define SCHEDULES_SHOWN 10U

static bool user_exists(const char *name)
{
	return getpwnam(name);
}

static void on_advice(void *context, const struct exclusion *exclusion, const char *advice)
{
	(void)context;
	printf("%s:%u: warning: %s: %s\n", exclusion->file, exclusion->line, exclusion->name,
	       advice);
}

/* Warns about probable mistakes outside of exclusions. Returns how many warnings. */
static size_t advise_whole(const struct config *config, const char *path)
{
	size_t warnings = 0;
	struct stat info;

	for (size_t i = 0; i < config->output_count; i++) {
		const struct output_config *output = &config->outputs[i];
		const char *slash = output->type == OUTPUT_FILE ? strrchr(output->path, '/') : NULL;
		char *folder = slash ? strndup(output->path, (size_t)(slash - output->path)) : NULL;

		if (folder && access(folder[0] ? folder : "/", F_OK)) {
			printf("%s: warning: output %s: the folder %s does not exist; create it\n",
			       path, output->name, folder);
			warnings++;
		}
		if (folder && stat(folder[0] ? folder : "/", &info) == 0 &&
		    (info.st_uid != 0 || info.st_mode & (S_IWGRP | S_IWOTH))) {
			printf("%s: warning: output %s: users other than root can write to the "
			       "folder %s and replace the file; make root its owner and only "
			       "writer\n",
			       path, output->name, folder);
			warnings++;
		}
		free(folder);
	}
	return warnings;
}

/*
 * One line with the schedules that match from their time on: until 0.1, they also matched before
 * it. An `early` says that this is meant.
 */
static void tell_schedules(const struct config *config, const char *path)
{
	struct text line = {0};
	size_t count = 0;

	for (size_t i = 0; i < config->policy.exclusion_count; i++) {
		const struct exclusion *exclusion = &config->policy.exclusions[i];

		if (!exclusion->schedule.at || exclusion->schedule.early_given ||
		    ++count > SCHEDULES_SHOWN)
			continue;
		text_add_string(&line, count > 1 ? ", " : "");
		text_add_visible(&line, span_of(exclusion->name));
	}
	if (count > SCHEDULES_SHOWN)
		text_add_format(&line, " and %zu more", count - SCHEDULES_SHOWN);
	if (count)
		printf("%s: note: these schedules match from their time on, not before it; for "
		       "mail "
		       "that may come sooner, add early: 5m (or early: 0s to confirm): %s\n",
		       path, line.data ? line.data : "");
	text_free(&line);
}

int command_check(const struct options *options)
{
	char error[CONFIG_ERROR_MAX];
	const struct config_terms terms = {.trusted = true}; /* as the daemon */
	struct config *config = config_load(options->config, &terms, error);
	size_t warnings;

	if (!config) {
		fprintf(stderr, "smtpsnoop: %s\n", error);
		return STATUS_USAGE;
	}
	targets_tell(config, stdout);
	warnings = config_advise(config, time(NULL), user_exists, on_advice, NULL);
	warnings += advise_whole(config, options->config);
	tell_schedules(config, options->config);
	printf("%s: valid: %zu file%s, %zu exclusion%s, %zu output%s, %zu warning%s\n",
	       options->config, config->files.count, config->files.count == 1 ? "" : "s",
	       config->policy.exclusion_count, config->policy.exclusion_count == 1 ? "" : "s",
	       config->output_count, config->output_count == 1 ? "" : "s", warnings,
	       warnings == 1 ? "" : "s");
	config_free(config);
	return STATUS_DONE;
}
