/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The SHA-256 of the file that a process executes, given only if it cannot be another file's. */
#ifndef SMTPSNOOP_HASH_H
#define SMTPSNOOP_HASH_H

#include <stdbool.h>
#include <stdint.h>
#include <linux/types.h>

#include "record.h"

#define HASH_FILE_MAX (512ULL * 1024 * 1024) /* bytes; a larger executable is not hashed */

/* Where to look for the file. */
struct hash_source {
	uint32_t pid;	  /* a process that executes it, or did */
	uint64_t exec_ns; /* when it executed the file (CLOCK_BOOTTIME) */
	const char *path; /* the executable's path in the process's mount namespace; borrowed */
};

/*
 * Fills `sha256` and sets `valid` if a file was found whose dev, inode, ctime and size are those of
 * the record, before and after it was read; else both stay zero. The file is looked for as
 * /proc/PID/exe, then under /proc/PID/root, then by its path in our own namespace. Takes as long as
 * reading the file does; ends early, without a hash, once *stop is set.
 */
void hash_executable(struct hash_record *record, const struct hash_source *source,
		     const _Atomic bool *stop);

#endif
