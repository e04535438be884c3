/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A relay's name, looked up forward by the host's own resolver. */
#ifndef SMTPSNOOP_RESOLVE_H
#define SMTPSNOOP_RESOLVE_H

#include <linux/types.h>

#include "record.h"

/*
 * The name's addresses, of RELAY_ADDRESSES_MAX at most; none if it has none or nobody answered. The
 * header's time is not set. The caller frees it with free(). NULL if there is no memory. May take
 * as long as the resolver does.
 */
struct relay_record *relay_resolve(const char *name);

#endif
