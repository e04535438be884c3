/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What started a system unit, by the service manager's own state. */
#ifndef SMTPSNOOP_ACTIVATION_H
#define SMTPSNOOP_ACTIVATION_H

#include <stdint.h>

enum activation {
	ACTIVATION_UNKNOWN, /* systemd is not the manager here, did not answer, or has forgotten */
	ACTIVATION_OTHER,
	ACTIVATION_TIMER, /* a timer of the unit elapsed, and so it was started */
};

/*
 * Asks systemd over the system bus whether the activation of `unit` that the process belongs to was a timer's.
 * start_ns: when the process started (CLOCK_BOOTTIME). Takes milliseconds, and seconds if systemd hangs.
 */
enum activation activation_of(const char *unit, uint64_t start_ns);

#endif
