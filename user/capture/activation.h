/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What started a system unit, by the service manager's own state. */
#ifndef SMTPSNOOP_ACTIVATION_H
#define SMTPSNOOP_ACTIVATION_H

#include <stdint.h>

#include <linux/types.h>

#include "record.h"

/*
 * Asks systemd over the system bus whether the activation of `unit` that the process belongs to was
 * a timer's. start_ns: when the process started (CLOCK_BOOTTIME). Takes milliseconds, and seconds
 * if systemd hangs.
 */
enum activation activation_of(const char *unit, uint64_t start_ns);

#endif
