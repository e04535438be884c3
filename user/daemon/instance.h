/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* At most one daemon runs on a host. */
#ifndef SMTPSNOOP_INSTANCE_H
#define SMTPSNOOP_INSTANCE_H

#define INSTANCE_WHY_MAX 300U

/*
 * Locks smtpsnoop.pid in /run, or in $RUNTIME_DIRECTORY, until the process ends, and writes the
 * process id to it. 0, or a negative errno with one clause in `why`; -EBUSY if another daemon runs.
 */
int instance_lock(char why[INSTANCE_WHY_MAX]);

#endif
