/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The parts of the command doctor. */
#ifndef SMTPSNOOP_DOCTOR_H
#define SMTPSNOOP_DOCTOR_H

#include <stdbool.h>

#include "commands/options.h"

struct capture_trial;
struct libraries;

/*
 * Watches with the hooks that the options select, while a child tries every known way to send a
 * mail, and prints the result of each. `chosen` is what the watch will choose. Returns an exit
 * status.
 */
int doctor_attack(const struct options *options, const struct capture_trial *chosen);

/*
 * Prints each TLS library of this host: whether what passes it is read, at what price, or why it
 * stays dark. Waits until all processes were looked at, at most 5 s. NULL: prints nothing.
 */
void doctor_libraries(struct libraries *libraries);

#endif
