/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether a record is well formed. */
#ifndef SMTPSNOOP_RECORDS_H
#define SMTPSNOOP_RECORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <linux/types.h>

#include "record.h"

/*
 * True if the record, of which `size` bytes can be read, is of a known type and every length in it
 * holds within it: what reads it later need not check. Records come from the kernel side, and from
 * files that anybody may have made.
 */
bool record_valid(const struct record *record, size_t size);

#endif
