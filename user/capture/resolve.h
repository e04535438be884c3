/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The addresses of a relay's name, looked up by the host's own resolver. */
#ifndef SMTPSNOOP_RESOLVE_H
#define SMTPSNOOP_RESOLVE_H

#include <linux/types.h>

#include "record.h"

/*
 * The name's addresses, at most RELAY_ADDRESSES_MAX; no address if the name has none or no server
 * answered. The header's time is not set. The caller frees the record with free(). NULL if there is
 * no memory. May take as long as the resolver does.
 */
struct relay_record *relay_resolve(const char *name);

#endif
