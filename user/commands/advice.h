/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is allowed in a configuration, and yet hardly meant. */
#ifndef SMTPSNOOP_ADVICE_H
#define SMTPSNOOP_ADVICE_H

#include <stdint.h>

#include "config/config.h"

/* One line on one exclusion, without its end; it dies with the call. */
typedef void (*advice_fn)(void *context, const struct exclusion *exclusion, const char *advice);

/*
 * Tells of exclusions that trust only what a sender can forge, that can never be met, that others
 * come before, or that have expired. `now_s`: seconds since 1970. `user_exists`: whether the host
 * knows a user; NULL: not asked. Returns how many.
 */
size_t config_advise(const struct config *config, int64_t now_s,
		     bool (*user_exists)(const char *name), advice_fn on_advice, void *context);

#endif
