/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The commands. Each returns the program's exit status. */
#ifndef SMTPSNOOP_COMMANDS_H
#define SMTPSNOOP_COMMANDS_H

#include "event/event.h"
#include "commands/options.h"

#define STATUS_DONE   0
#define STATUS_FAILED 1 /* at run time */
#define STATUS_USAGE  2 /* the command line or the configuration is wrong */

int command_watch(const struct options *options); /* and record */
int command_run(const struct options *options);
int command_replay(const struct options *options);
int command_check(const struct options *options);
int command_explain(const struct options *options);
int command_suggest(const struct options *options);
int command_doctor(const struct options *options);

/* Prints version, commit and features; the caller flushes standard output. */
void command_version(void);

/* False (reported) if this process may not load BPF programs. */
bool command_privileged(const char *command);

/* Says on standard error how many sessions under TLS a recording has the plaintext of, if any. */
void command_tell_decrypted(const char *file, uint64_t sessions);

/* The sink that the options select, on standard output. NULL if there is no memory. */
struct sink *command_sink(const struct options *options);

/*
 * The exclusions of the configuration that the options name, or NULL if they name none. False if
 * the configuration is wrong (reported).
 */
struct decider;
bool command_decider(const struct options *options, struct decider **decider);

/* Reports that standard output failed for good with this negative errno; STATUS_FAILED. */
int command_output_failed(int error);

#endif
