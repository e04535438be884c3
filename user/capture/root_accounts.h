/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The names that a process's own root directory gives to its user and group. */
#ifndef SMTPSNOOP_ROOT_ACCOUNTS_H
#define SMTPSNOOP_ROOT_ACCOUNTS_H

#include <stdint.h>
#include <sys/types.h>

#define ACCOUNTS_FILE_MAX (1U << 20) /* bytes read of etc/passwd, of etc/group */

/*
 * Reads etc/passwd and etc/group of the process's root. `start_ns`: its start (CLOCK_BOOTTIME).
 * Returns the text of an accounts_record: "host", "own:USER:GROUP", or "" if the process is gone or
 * nothing there can be trusted. The caller frees it; NULL: no memory. May block if the file system
 * does: not for the thread that reads the ring.
 */
char *root_accounts(uint32_t pid, uint64_t start_ns, uint32_t uid, uint32_t gid);

/*
 * The same below a root directory that the caller opened. `trusted`: who must own the folders and
 * the files; root, except in tests.
 */
char *root_accounts_at(int root, uid_t trusted, uint32_t uid, uint32_t gid);

#endif
