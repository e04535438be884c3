/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The check whether a record is well formed. */
#ifndef SMTPSNOOP_RECORDS_H
#define SMTPSNOOP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "record.h"

#define RECORD_NAME_MAX 256U  /* bytes of the name of a user, a group or the host */
#define RECORD_PATH_MAX 4096U /* bytes of a cgroup's path */

/*
 * True if the record, of which `size` bytes can be read, has a known type and holds what
 * include/record.h says about it. Later readers need not check that
 *   - every length lies within the record, and their sum is what follows the fixed part;
 *   - counts and enum values are in range, and comm and each string and path end with a NUL;
 *   - a name or a path with a length of its own contains no NUL;
 *   - a flow has a cookie.
 * Records come from the kernel side, and from files that anybody may have made. `record` must be
 * aligned as its type needs.
 */
bool record_valid(const struct record *record, size_t size);

#endif
