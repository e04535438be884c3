/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a record is well formed. */
#ifndef SMTPSNOOP_RECORDS_H
#define SMTPSNOOP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "record.h"

#define RECORD_NAME_MAX 256U  /* bytes of a user's, a group's or the host's name */
#define RECORD_PATH_MAX 4096U /* bytes of a cgroup's path */

/*
 * True if the record, of which `size` bytes can be read, is of a known type and holds what
 * include/record.h says of it. What reads it later need not check that
 *   - every length lies within the record, and is what the record has behind its fixed part;
 *   - counts and numbers of an enum are in range, comm and each string and path end with a NUL;
 *   - a name or a path that is told by its length has no NUL in it;
 *   - a flow has a cookie.
 * Records come from the kernel side, and from files that anybody may have made. `record` is aligned
 * as its type asks for.
 */
bool record_valid(const struct record *record, size_t size);

#endif
