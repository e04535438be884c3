/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event's verdict: which exclusion applies, or which one is nearest. */
#ifndef SMTPSNOOP_VERDICT_H
#define SMTPSNOOP_VERDICT_H

#include "policy/decision.h"
#include "event/event.h"

/*
 * Decides an alert: it becomes excluded, or gets the nearest exclusion. Call it once for each
 * event, when nothing more will become known. Other events do not change. `names` may be NULL.
 */
void event_decide(struct event *event, struct decider *decider, const struct relay_names *names);

/* Adds to an event what each exclusion has let pass. */
void event_take_tallies(struct event *event, const struct decider *decider);

/* Adds to an event the rules that match `said`, the client's side of the session. */
void event_scan(struct event *event, const struct rules *rules, struct span said);

#endif
