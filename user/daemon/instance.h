/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One daemon a host. */
#ifndef SMTPSNOOP_INSTANCE_H
#define SMTPSNOOP_INSTANCE_H

#define INSTANCE_WHY_MAX 300U

/*
 * Takes the host's lock, which ends with the process: smtpsnoop.pid in /run, or in
 * $RUNTIME_DIRECTORY. It holds the process id. 0, or a negative errno with one clause in `why`;
 * -EBUSY: another one runs.
 */
int instance_lock(char why[INSTANCE_WHY_MAX]);

#endif
