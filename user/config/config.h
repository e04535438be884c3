/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration: a main file and conf.d beside it. It is read completely or not at all. */
#ifndef SMTPSNOOP_CONFIG_H
#define SMTPSNOOP_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hook.h"
#include "config/output_config.h"
#include "policy/decision.h"
#include "policy/policy.h"

#define CONFIG_ERROR_MAX      840U
#define CONFIG_EXCLUSIONS_MAX 10000U
#define CONFIG_LIST_MAX	      10000U /* values of one list */

/* Bounds of one file. */
#define CONFIG_FILE_MAX	      (4U << 20) /* bytes */
#define CONFIG_DEPTH_MAX      32U	 /* mappings and lists inside each other */
#define CONFIG_ANCHORS_MAX    100U
#define CONFIG_DIRECTIVES_MAX 10U

/* Bounds of all files together. */
#define CONFIG_FILES_MAX  1000U
#define CONFIG_BYTES_MAX  (16U << 20)
#define CONFIG_TOKENS_MAX 2000000U /* of YAML: a key and its value are four */
#define CONFIG_VALUES_MAX 500000U  /* each alias counts as what it stands for */

/* Where the daemon publishes its metrics; nowhere if there is neither a port nor a text file. */
struct metrics_config {
	char address[46]; /* of the loopback */
	bool ipv6;
	uint16_t port;	/* 0: no listener */
	char *textfile; /* owned; NULL: none */
};

struct config {
	enum hook hook;
	bool tls; /* capture.tls: probes in TLS libraries */
	uint64_t heartbeat_s;
	uint64_t join_s;	       /* alerts.join; 0: alike events are not joined */
	uint64_t join_after;	       /* alerts.after */
	struct output_config *outputs; /* owned */
	size_t output_count;
	struct metrics_config metrics;
	struct policy policy;
	struct strings files; /* that it was read from */
};

/* How a configuration is read. */
struct config_terms {
	bool trusted; /* refuse what other users could change (base/trusted.h), in all that is read
		       */
	unsigned int without; /* libraries to treat as not built in, a bit of enum library each */
	const atomic_bool *stop; /* borrowed; once it is true, the reading ends soon. NULL: never */
};

/*
 * Reads `path`, and the .yaml files of conf.d beside it in the order of their names. `path` NULL:
 * returns the defaults. NULL if anything is wrong: then `error` is one line, "FILE:LINE:COLUMN:
 * what: why", without a line feed. `terms` may be NULL. May be called in any thread.
 */
struct config *config_load(const char *path, const struct config_terms *terms,
			   char error[CONFIG_ERROR_MAX]);

/*
 * The same for a text, which is one file named `name` and has no conf.d. `name` is borrowed until
 * the configuration is freed.
 */
struct config *config_parse(struct span text, const char *name, char error[CONFIG_ERROR_MAX]);

void config_free(struct config *config); /* NULL is allowed */

/*
 * A decider of the configuration's policy, which owns the configuration. NULL if there is no
 * memory; then the caller still owns it.
 */
struct decider *config_decider(struct config *config);

/* The configuration of such a decider; borrowed. */
const struct config *config_of(const struct decider *decider);

#endif
