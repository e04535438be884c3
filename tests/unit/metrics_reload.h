/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A reload of the metrics as the daemon does it, without a second thread. */
#ifndef SMTPSNOOP_TESTS_METRICS_RELOAD_H
#define SMTPSNOOP_TESTS_METRICS_RELOAD_H

#include <stdio.h>

#include "daemon/metrics.h"

/* The configuration in force, with which the next one is compared. */
static struct metrics_config in_force;

static inline void be_in_force(const struct metrics_config *config)
{
	static char textfile[256];

	in_force = *config;
	if (!config->textfile)
		return;
	snprintf(textfile, sizeof(textfile), "%s", config->textfile);
	in_force.textfile = textfile;
}

static inline struct metrics *started_metrics(void)
{
	in_force = (struct metrics_config){.port = 0};
	return metrics_new();
}

static inline int configure(struct metrics *metrics, const struct metrics_config *config,
			    char why[METRICS_WHY_MAX])
{
	struct metrics_started started;
	int error = metrics_prepare(metrics, &in_force, config, &started, why);

	if (error)
		return error;
	metrics_take(metrics, config, &started);
	be_in_force(config);
	return 0;
}

#endif
