/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration: a main file and conf.d beside it. It is read completely or not at all. */
#ifndef SMTPSNOOP_CONFIG_H
#define SMTPSNOOP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hook.h"
#include "config/output_config.h"
#include "policy/decision.h"
#include "policy/policy.h"

#define CONFIG_ERROR_MAX      512U
#define CONFIG_FILE_MAX	      (4U << 20) /* bytes of one file */
#define CONFIG_EXCLUSIONS_MAX 10000U
#define CONFIG_LIST_MAX	      10000U /* values of one list */

/* Where the daemon publishes its metrics; nowhere if there is neither a port nor a text file. */
struct metrics_config {
	char address[46]; /* of the loopback */
	bool ipv6;
	uint16_t port;	/* 0: no listener */
	char *textfile; /* owned; NULL: none */
};

struct config {
	enum hook hook;
	bool tls; /* capture.tls */
	uint64_t heartbeat_s;
	uint64_t join_s;	       /* alerts.join; 0: alike events are not joined */
	uint64_t join_after;	       /* alerts.after */
	struct output_config *outputs; /* owned */
	size_t output_count;
	struct metrics_config metrics;
	struct policy policy;
	struct strings files; /* that it was read from */
};

/*
 * Reads `path`, and the .yaml files of conf.d beside it in the order of their names. `path` NULL:
 * returns the defaults. NULL if anything is wrong: then `error` is one line, "FILE:LINE:COLUMN:
 * what: why", without a line feed.
 */
struct config *config_load(const char *path, char error[CONFIG_ERROR_MAX]);

void config_free(struct config *config); /* NULL is allowed */

/*
 * A decider of the configuration's policy, which owns the configuration. NULL if there is no
 * memory; then the caller still owns it.
 */
struct decider *config_decider(struct config *config);

/* The configuration of such a decider; borrowed. */
const struct config *config_of(const struct decider *decider);

#endif
