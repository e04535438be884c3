/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command check: a configuration is read as a watch would read it, and looked at for what is hardly meant. */
#include <pwd.h>
#include <stdio.h>
#include <time.h>

#include "advice.h"
#include "commands.h"
#include "report.h"

static bool user_exists(const char *name)
{
	return getpwnam(name);
}

static void on_advice(void *context, const struct exclusion *exclusion, const char *advice)
{
	(void)context;
	printf("%s:%u: warning: %s: %s\n", exclusion->file, exclusion->line, exclusion->name, advice);
}

int command_check(const struct options *options)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config = config_load(options->config, error);
	size_t warnings;

	if (!config) {
		fprintf(stderr, "smtpsnoop: %s\n", error);
		return STATUS_USAGE;
	}
	warnings = config_advise(config, time(NULL), user_exists, on_advice, NULL);
	printf("%s: good: %zu file%s, %zu exclusion%s, %zu warning%s\n", options->config, config->files.count,
	       config->files.count == 1 ? "" : "s", config->exclusion_count,
	       config->exclusion_count == 1 ? "" : "s", warnings, warnings == 1 ? "" : "s");
	config_free(config);
	return STATUS_DONE;
}
