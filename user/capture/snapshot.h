/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The processes that ran before the watch, read from /proc and told as exec records
 * (EXEC_SNAPSHOT).
 */
#ifndef SMTPSNOOP_SNAPSHOT_H
#define SMTPSNOOP_SNAPSHOT_H

#include <stdint.h>
#include <linux/types.h>

#include "record.h"

typedef void (*snapshot_fn)(void *context, const struct record *record);

/*
 * One record for each process in /proc, whichever can be read; a process that ends meanwhile is
 * left out, and so is one that has no executable (a kernel thread). The header's time is when it
 * was read. What the kernel ran a script with is not to be seen here: filename and interp are
 * empty. The root as working directory is one empty component; no component at all: not known.
 * Records die with the call. Returns how many were told, or a negative errno if /proc could not be
 * read at all.
 */
int snapshot_processes(snapshot_fn on_record, void *context);

/*
 * The same for one process. -ESRCH if it is gone (or is not the one that started at start_ns, if
 * that is not 0), -ENOENT if it has no executable, -EAGAIN if it did nothing but exec while it was
 * read.
 */
int snapshot_process(uint32_t pid, uint64_t start_ns, snapshot_fn on_record, void *context);

#endif
