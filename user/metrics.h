/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the daemon tells of itself, in the text format of Prometheus: over HTTP on the loopback, and as a file for the node
 * exporter. No label comes from mail, nor from a user of the host: names of outputs and exclusions are the configuration's.
 */
#ifndef SMTPSNOOP_METRICS_H
#define SMTPSNOOP_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "text.h"

#define METRICS_WHY_MAX 200U

struct metrics;

/* NULL if there is no memory. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics); /* NULL is allowed */

/*
 * Serves where the configuration says, and stops where it no longer does. 0, or a negative errno with one clause in `why`: then
 * all is as before.
 */
int metrics_configure(struct metrics *metrics, const struct metrics_config *config,
		      char why[METRICS_WHY_MAX]);

/* Whether somebody may read them: else there is no need to write a page. */
bool metrics_wanted(const struct metrics *metrics);

/* The page that is given out from now on; copied. */
void metrics_publish(struct metrics *metrics, struct span page);

/* Times at which the text file could not be written, since the start. */
uint64_t metrics_file_failures(const struct metrics *metrics);

#endif
