/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is valid in a configuration but probably a mistake. */
#ifndef SMTPSNOOP_ADVICE_H
#define SMTPSNOOP_ADVICE_H

#include <stdint.h>

#include "config/config.h"

/* One line about one exclusion, without a line feed; valid only during the call. */
typedef void (*advice_fn)(void *context, const struct exclusion *exclusion, const char *advice);

/*
 * Reports exclusions that rely only on what a sender can forge, trust more than it seems
 * (doubts.h), can never be met, are covered by earlier ones, or have expired. `now_s`: seconds
 * since 1970. `user_exists`: whether the host knows a user; NULL: not checked. Returns how many.
 */
size_t config_advise(const struct config *config, int64_t now_s,
		     bool (*user_exists)(const char *name), advice_fn on_advice, void *context);

#endif
