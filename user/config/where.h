/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One criterion of an exclusion, as an option of the command line: KEY=PATTERN. */
#ifndef SMTPSNOOP_CONFIG_WHERE_H
#define SMTPSNOOP_CONFIG_WHERE_H

#include "config/config.h"
#include "policy/exclusion.h"

/*
 * Reads `text` into `exclusion`, which is zeroed and gets this one criterion; the caller frees it
 * with exclusion_free(). False: `error` says in one clause, which begins with the key, what is
 * wrong and what is expected.
 */
bool config_read_where(struct exclusion *exclusion, const char *text, char error[CONFIG_ERROR_MAX]);

#endif
