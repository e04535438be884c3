/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What started a system unit, according to the service manager. */
#ifndef SMTPSNOOP_ACTIVATION_H
#define SMTPSNOOP_ACTIVATION_H

#include <stdint.h>

#include <linux/types.h>

#include "record.h"

/*
 * Asks systemd whether a timer caused the activation of `unit` that the process belongs to.
 * start_ns: when the process started (CLOCK_BOOTTIME). Takes milliseconds, or seconds if systemd
 * hangs.
 */
enum activation activation_of(const char *unit, uint64_t start_ns);

#endif
