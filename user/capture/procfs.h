/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One process in /proc. The directory is opened once and everything is read below it: a descriptor
 * of /proc/PID belongs to that process, and never shows a later process with the same pid.
 */
#ifndef SMTPSNOOP_PROCFS_H
#define SMTPSNOOP_PROCFS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct procfs_stat {
	uint64_t start_ns; /* CLOCK_BOOTTIME, rounded down to a tick */
	uint32_t parent_pid;
	char state; /* 'R', 'S', 'Z', ... */
};

/* The length of one tick, the unit of the times in /proc. */
uint64_t procfs_tick_ns(void);

/* An O_PATH descriptor of /proc/PID, or a negative errno. The caller closes it. */
int procfs_open(uint32_t pid);

/*
 * Reads at most `size` bytes of a file below `dir`. Returns how many, or a negative errno (-ESRCH:
 * the process is gone).
 */
ssize_t procfs_read(int dir, const char *name, char *out, size_t size);

/*
 * Reads /proc/PID/stat. 0 or a negative errno: -ESRCH if the process is gone, -EBADMSG if the line
 * is malformed.
 */
int procfs_stat(int dir, struct procfs_stat *stat);

/*
 * The path of the process's cgroup: in the v2 hierarchy, or in systemd's named v1 hierarchy if the
 * v2 path is missing or "/". The caller frees it with free(). NULL if neither can be read.
 */
char *procfs_cgroup(int dir);

#endif
