/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration: a main file, and what lies in conf.d beside it. Read whole or not at all. */
#ifndef SMTPSNOOP_CONFIG_H
#define SMTPSNOOP_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/hook.h"
#include "policy/limits.h"
#include "config/output_config.h"
#include "policy/privacy.h"
#include "base/regex.h"
#include "policy/rules.h"
#include "base/schedule.h"
#include "base/wildcard.h"
#include "base/zone.h"

#define CONFIG_ERROR_MAX      512U
#define CONFIG_HASH_LEN	      64U
#define CONFIG_FILE_MAX	      (4U << 20) /* bytes of one file */
#define CONFIG_EXCLUSIONS_MAX 10000U
#define CONFIG_LIST_MAX	      10000U /* values of one list */

/* A pattern, and how it was written. */
struct pattern {
	char *text;
	struct wildcard *wildcard;
};

struct patterns {
	struct pattern *items;
	size_t count; /* 0: not asked for */
};

struct strings {
	char **items;
	size_t count;
};

struct search {
	char *text;
	struct regex *regex;
};

struct searches {
	struct search *items;
	size_t count;
};

enum scheduled_by {
	SCHEDULED_NOT_ASKED,
	SCHEDULED_SYSTEMD_TIMER,
	SCHEDULED_CRON,
	SCHEDULED_AT,
	SCHEDULED_ANY,
};

enum demand {
	DEMAND_ANY,
	DEMAND_REQUIRED,
	DEMAND_NONE,
};

/* A relay: an address with a prefix, or a name. */
struct relay {
	char *text;
	char *name;	     /* NULL: an address */
	uint8_t addr[16];    /* IPv4 is v4-mapped */
	unsigned int prefix; /* bits of addr that count, of 128 */
	uint16_t port;	     /* 0: any */
};

struct relays {
	struct relay *items;
	size_t count;
};

struct exclusion {
	char *name;
	char *note;	   /* NULL: none */
	const char *file;  /* of the configuration's */
	unsigned int line; /* from 1 */

	struct {
		struct patterns executable, unit, ancestor, container;
		struct strings sha256, user, group, login;
		enum scheduled_by scheduled_by;
		enum demand tty;
	} process;
	struct relays relay;
	struct {
		struct patterns sender, header_from, recipients, subject;
		struct searches contains, matches;
	} mail;
	struct {
		struct schedule *at; /* NULL: at any time */
		struct zone *zone;
		char *text;
		uint64_t for_s;
	} schedule;
	struct {
		struct limit messages, recipients, bytes;
	} limits;
	struct {
		struct strings user;
	} origin;
	struct patterns auth_user;
	enum demand tls;
	bool encrypted; /* also a session whose plaintext was not seen */
	bool accept_forgeable;
	bool has_expires;
	int64_t expires_s; /* seconds since 1970: the end of the day that is named, in UTC */
};

/* Where the daemon tells of itself; nowhere, if there is neither port nor text file. */
struct metrics_config {
	char address[46]; /* of the loopback */
	bool ipv6;
	uint16_t port;	/* 0: no listener */
	char *textfile; /* NULL: none */
};

struct config {
	enum hook hook;
	bool tls; /* the plaintext of TLS libraries is asked for */
	uint64_t heartbeat_s;
	struct output_config *outputs;
	size_t output_count;
	struct metrics_config metrics;
	struct privacy privacy;
	struct exclusion *exclusions;
	size_t exclusion_count;
	uint64_t deadline_s;
	uint64_t body_bytes;		  /* of a message, kept for contains and matches */
	struct rules *rules;		  /* NULL: none */
	struct strings files;		  /* that it was read from */
	char sha256[CONFIG_HASH_LEN + 1]; /* of their contents, one behind the other */
};

/* An address, with a prefix perhaps: its addr and prefix are set. `text` is cut at the slash. */
bool network_parse(char *text, struct relay *relay);

/* Whether the first `prefix` bits of both are the same. */
bool address_in_network(const uint8_t *addr, const uint8_t *network, unsigned int prefix);

/*
 * Reads `path`, and the .yaml files of conf.d beside it, in name order; `path` NULL: what holds
 * without any. NULL if anything is wrong: then `error` is one line, "FILE:LINE:COLUMN: what: why",
 * without its end.
 */
struct config *config_load(const char *path, char error[CONFIG_ERROR_MAX]);
/* Whether an exclusion looks into the text of messages. */
bool config_wants_content(const struct config *config);

void config_free(struct config *config); /* NULL is allowed */

#endif
