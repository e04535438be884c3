/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event's verdict: what the exclusions make of it. */
#ifndef SMTPSNOOP_VERDICT_H
#define SMTPSNOOP_VERDICT_H

#include "policy/decision.h"
#include "event/event.h"

/*
 * Decides an alert: it becomes excluded, or learns which exclusion came closest. To be called once
 * for each event, when all is known of it that will be. Other events stay as they are. `names` may
 * be NULL.
 */
void event_decide(struct event *event, struct decider *decider, const struct relay_names *names);

/* Notes in an event what each exclusion has let pass. */
void event_take_tallies(struct event *event, const struct decider *decider);

/* Notes in an event which rules match what the client has said. */
void event_scan(struct event *event, const struct rules *rules, struct span said);

#endif
