/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command line. */
#ifndef SMTPSNOOP_OPTIONS_H
#define SMTPSNOOP_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/hook.h"
#include "policy/filter.h"
#include "event/formats.h"

enum command {
	COMMAND_WATCH,
	COMMAND_RECORD,
	COMMAND_RUN,
	COMMAND_REPLAY,
	COMMAND_CHECK,
	COMMAND_EXPLAIN,
	COMMAND_SUGGEST,
	COMMAND_DOCTOR,
	COMMAND_VERSION,
	COMMAND_HELP
};

struct options {
	enum command command;
	enum output_format output; /* a format that fits FORMAT_ON_TERMINAL */
	bool output_given;
	enum hook hook;
	bool wire;
	bool tls;     /* false: no probes in TLS libraries */
	bool attack;  /* doctor: also try every known evasion */
	bool library; /* suggest: from the library of exclusions, not from events */
	struct filter filter;
	struct exclusion where[FILTER_WHERE_MAX]; /* what the filter points to; owned */
	uint64_t count;				  /* end after that many messages; 0: never */
	uint64_t duration_ns;			  /* end after that long; 0: never */
	uint64_t max_size;			  /* record: bytes of the file; 0: any number */
	const char *file;   /* record, replay; explain: NULL is standard input */
	char **files;	    /* suggest: NULL-terminated; none is standard input */
	const char *config; /* NULL: not given */
};

/*
 * Reads the command line. On a mistake: one line on standard error that says what is wrong and what
 * is expected, and -EINVAL. Strings point into argv.
 */
int options_parse(struct options *options, int argc, char **argv);

/* Frees what options_parse() has made, also after a mistake. */
void options_free(struct options *options);

/* The text of --help. */
void options_help(void);

#endif
