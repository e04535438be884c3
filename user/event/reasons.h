/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is unusual about a message. */
#ifndef SMTPSNOOP_REASONS_H
#define SMTPSNOOP_REASONS_H

#include "event/event.h"

/* Adds the reasons that can be seen in the event itself (docs/smtpsnoop.8, REASONS). */
void event_reasons(struct event *event);

#endif
