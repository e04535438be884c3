/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Hides the addresses and the subject of an event, as `privacy` in the configuration says. */
#ifndef SMTPSNOOP_PRIVACY_H
#define SMTPSNOOP_PRIVACY_H

#include <stdbool.h>

#include "policy/privacy_address.h"

struct event;

/*
 * Hides the addresses and the subject of an event. Call it once, after the event was decided. What
 * it shares with others (senders, images) is replaced by copies. False if there was no memory: then
 * the event must not be written.
 */
bool privacy_apply(const struct privacy *privacy, struct event *event);

#endif
