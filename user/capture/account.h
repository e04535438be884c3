/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names of users and groups, from the host's name service. */
#ifndef SMTPSNOOP_ACCOUNT_H
#define SMTPSNOOP_ACCOUNT_H

#include <stdint.h>
#include <linux/types.h>

#include "record.h"

/*
 * The name of a user or a group, of at most RECORD_NAME_MAX bytes; the caller frees it with free().
 * NULL if there is none, the name is too long, the name service failed, or there is no memory.
 * Takes as long as the name service does.
 */
char *account_name(enum name_kind kind, uint32_t id);

#endif
