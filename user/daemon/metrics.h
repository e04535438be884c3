/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the daemon tells of itself, in the text format of Prometheus: over HTTP on the loopback, and
 * as a file for the node exporter. No label comes from mail, nor from a user of the host: names of
 * outputs and exclusions are the configuration's.
 */
#ifndef SMTPSNOOP_METRICS_H
#define SMTPSNOOP_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "base/text.h"

#define METRICS_WHY_MAX 200U

struct metrics;

/* NULL if there is no memory. */
struct metrics *metrics_new(void);
/* Waits a second at most for the text file to be removed. NULL is allowed. */
void metrics_free(struct metrics *metrics);

/*
 * Serves where the configuration says, and stops where it no longer does; a text file is removed
 * then. 0, or a negative errno with one clause in `why`: then all is as before. An address that is
 * configured already and cannot be had, see metrics_retry(), is no reason to refuse. For a reload;
 * it waits for no disk.
 */
int metrics_configure(struct metrics *metrics, const struct metrics_config *config,
		      char why[METRICS_WHY_MAX]);

/*
 * The same for the start, and for each second after it: what can be had of the configuration in
 * force is served at once, and a listener whose address another process holds is tried again every
 * 10 s. An unprivileged user could take the port, and that must not keep the daemon from its work.
 * That it fails is told once, and that it works then, once. Whether all is served that the
 * configuration asks for.
 */
bool metrics_retry(struct metrics *metrics, const struct metrics_config *config);

/* Whether somebody may read them: else there is no need to write a page. */
bool metrics_wanted(const struct metrics *metrics);

/*
 * The page that is given out from now on; copied. To be called every second: it also ends
 * connections that take too long.
 */
void metrics_publish(struct metrics *metrics, struct span page);

/* Times at which the text file could not be written, since the start. */
uint64_t metrics_file_failures(const struct metrics *metrics);

#endif
