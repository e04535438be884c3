/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The addresses of the relays that a configuration names, from the records that carry them. */
#ifndef SMTPSNOOP_RELAY_NAMES_H
#define SMTPSNOOP_RELAY_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <linux/types.h>

#include "record.h"
#include "base/span.h"

#define RELAY_NAMES_MAX 1024U
#define RELAY_FRESH_NS	300000000000ULL	 /* asked for again when older than this */
#define RELAY_RETRY_NS	10000000000ULL	 /* the same while nothing is known */
#define RELAY_STALE_NS	3600000000000ULL /* not used if older than this */

enum relay_answer {
	RELAY_UNKNOWN, /* the name was not resolved, or too long ago */
	RELAY_OTHER,
	RELAY_SAME,
};

struct relay_names;

/* NULL if there is no memory. */
struct relay_names *relay_names_new(void);
void relay_names_free(struct relay_names *names); /* NULL is allowed */

/* Processes a RECORD_RELAY. */
void relay_names_record(struct relay_names *names, const struct relay_record *record);

enum relay_answer relay_names_have(const struct relay_names *names, const char *name,
				   const uint8_t *addr, uint64_t now_ns);

/* Whether to ask for the name now; from then on it counts as asked for. */
bool relay_names_due(struct relay_names *names, const char *name, uint64_t now_ns);

#endif
