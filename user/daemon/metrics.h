/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The daemon's own metrics in the text format of Prometheus: over HTTP on the loopback, and as a
 * file for the node exporter. No label comes from mail or from a user of the host: names of outputs
 * and exclusions are the configuration's.
 */
#ifndef SMTPSNOOP_METRICS_H
#define SMTPSNOOP_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "base/text.h"

#define METRICS_WHY_MAX 200U

struct metrics;
struct MHD_Daemon;
struct writer;

/* NULL if there is no memory. */
struct metrics *metrics_new(void);
/* Waits at most one second for the text file to be removed. NULL is allowed. */
void metrics_free(struct metrics *metrics);

/* What a new configuration needs and what did not run yet. */
struct metrics_started {
	struct MHD_Daemon *listener; /* NULL: none is needed, or the one that runs stays */
	struct writer *writer;	     /* likewise */
};

/*
 * Starts what `config` needs and `old`, the configuration in force, did not. May be called in
 * another thread while `metrics` is used. 0, or a negative errno with one clause in `why`; then
 * nothing was started. An unchanged address that is not served, see metrics_retry(), is no error.
 * Waits for no disk. metrics_take() or metrics_drop() follows.
 */
int metrics_prepare(struct metrics *metrics, const struct metrics_config *old,
		    const struct metrics_config *config, struct metrics_started *started,
		    char why[METRICS_WHY_MAX]);

/* Applies the configuration: stops what is gone; the text file is removed then. */
void metrics_take(struct metrics *metrics, const struct metrics_config *config,
		  const struct metrics_started *started);

/* Stops what was started. In any thread. */
void metrics_drop(const struct metrics_started *started);

/*
 * Applies the configuration in force as far as possible. To be called at the start and then every
 * second: a listener whose address another process holds is retried every 10 s. (An unprivileged
 * user could take the port, and that must not stop the daemon.) The failure and its end are
 * reported once each. True if everything that the configuration asks for is served.
 */
bool metrics_retry(struct metrics *metrics, const struct metrics_config *config);

/* Whether there is a listener or a file. If not, no page needs to be made. */
bool metrics_wanted(const struct metrics *metrics);

/*
 * Replaces the page by a copy of this one. To be called every second, because it also ends
 * connections that last too long.
 */
void metrics_publish(struct metrics *metrics, struct span page);

/* How often the text file could not be written since the start. */
uint64_t metrics_file_failures(const struct metrics *metrics);

#endif
