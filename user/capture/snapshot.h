/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processes that started before the watch, read from /proc and passed on as exec records
 * (EXEC_SNAPSHOT).
 */
#ifndef SMTPSNOOP_SNAPSHOT_H
#define SMTPSNOOP_SNAPSHOT_H

#include <stdint.h>
#include <linux/types.h>

#include "record.h"

typedef void (*snapshot_fn)(void *context, const struct record *record);

/*
 * Passes on one record for each process in /proc that can be read. Processes that end meanwhile are
 * left out, and so are those without an executable (kernel threads). The header's time is when the
 * process was read. /proc does not show the path that was executed and its interpreter, so filename
 * and interp are empty. A working directory of "/" is one empty component; no component means
 * unknown. Records die with the call. Returns the number of records, or a negative errno if /proc
 * could not be read at all.
 */
int snapshot_processes(snapshot_fn on_record, void *context);

/*
 * The same for one process. 0, or a negative errno: -ESRCH if it is gone (or if start_ns is not 0
 * and the process did not start then), -ENOENT if it has no executable, -EAGAIN if it changed at
 * every attempt.
 */
int snapshot_process(uint32_t pid, uint64_t start_ns, snapshot_fn on_record, void *context);

#endif
