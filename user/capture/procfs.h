/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One process in /proc. The directory is opened once and everything is read below it: a descriptor
 * of /proc/PID belongs to that process, and never shows another one that got the same pid.
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

/* The length of a tick of /proc's times. */
uint64_t procfs_tick_ns(void);

/* An O_PATH descriptor of /proc/PID, or a negative errno. The caller closes it. */
int procfs_open(uint32_t pid);

/*
 * Reads a file below `dir`, up to `size` bytes; their number, or a negative errno (-ESRCH: it is
 * gone).
 */
ssize_t procfs_read(int dir, const char *name, char *out, size_t size);

/* 0 or a negative errno. */
int procfs_stat(int dir, struct procfs_stat *stat);

/*
 * The path of the process's cgroup: in the v2 hierarchy, or in systemd's named v1 hierarchy if the
 * v2 path is missing or "/". The caller frees it with free(). NULL if neither can be read.
 */
char *procfs_cgroup(int dir);

#endif
