/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Counters, and the events that report them: capture-loss, status. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "flow/flow_table.h"
#include "policy/verdict.h"
#include "watch/pipeline_state.h"

/* The name of a user of this host, if it is known by now. */
static void dropped_name(struct pipeline *pipeline, struct event_dropped *one)
{
	const struct want *want = &pipeline->hooks.want;
	const char *name = NULL;

	switch (names_user(pipeline->names, one->uid, pipeline->now_ns, &name)) {
	case NAME_MISSING:
		if (want->user)
			want->user(want->context, one->uid);
		break;
	case NAME_KNOWN: snprintf(one->name, sizeof(one->name), "%s", name); break;
	case NAME_ASKED: break;
	}
}

void totals_dropped(struct pipeline *pipeline, const struct dropped_record *record)
{
	pipeline->dropped_count = 0;
	for (uint32_t i = 0; i < record->count && i < EVENT_DROPPED_MAX; i++) {
		const struct dropped_user *user = &record->users[i];
		struct event_dropped *one = &pipeline->dropped[pipeline->dropped_count++];

		*one = (struct event_dropped){.uid = user->uid,
					      .contained = user->ns_pid != pipeline->own.pid,
					      .bytes = user->bytes};
		if (!one->contained)
			dropped_name(pipeline, one);
	}
}

static void take_dropped(struct pipeline *pipeline, struct event *event)
{
	size_t size = pipeline->dropped_count * sizeof(*event->dropped);

	event->dropped = size ? malloc(size) : NULL;
	if (event->dropped) {
		memcpy(event->dropped, pipeline->dropped, size);
		event->dropped_count = pipeline->dropped_count;
	}
	pipeline->dropped_count = 0;
}

void totals_lost(struct pipeline *pipeline, const __u64 counters[COUNTER_MAX])
{
	uint64_t evicted = flow_evicted(pipeline->flows);
	struct event_stats lost = {
		.flows_dropped = evicted - pipeline->flows_evicted,
		.content_refused = pipeline->budget.refused - pipeline->stats.content_refused,
		.events_lost = pipeline->outputs_lost,
	};
	bool any = lost.flows_dropped || lost.content_refused || lost.events_lost;
	struct event *event;

	if (counters[COUNTER_PROCESS_LOST] > pipeline->counters[COUNTER_PROCESS_LOST])
		origin_doubt(pipeline);
	for (int i = 0; i < COUNTER_MAX; i++) {
		if (counters[i] > pipeline->counters[i])
			lost.counters[i] = counters[i] - pipeline->counters[i];
		any = any || lost.counters[i];
		pipeline->counters[i] = pipeline->stats.counters[i] = counters[i];
	}
	pipeline->flows_evicted = pipeline->stats.flows_dropped = evicted;
	pipeline->stats.content_refused = pipeline->budget.refused;
	pipeline->stats.events_lost += pipeline->outputs_lost;
	pipeline->outputs_lost = 0;
	if (!any)
		return;
	event = compose_event(pipeline, EVENT_LOSS, pipeline->now_ns);
	if (!event)
		return;
	compose_id(pipeline, event->id, pipeline->now_ns, EVENT_LOSS, 0);
	event->stats = malloc(sizeof(lost));
	if (event->stats)
		*event->stats = lost;
	take_dropped(pipeline, event);
	hold_event(pipeline, event);
}

void totals_check(struct pipeline *pipeline)
{
	__u64 counters[COUNTER_MAX];

	if (!pipeline->outputs_lost && flow_evicted(pipeline->flows) == pipeline->flows_evicted &&
	    pipeline->budget.refused == pipeline->stats.content_refused)
		return;
	for (int i = 0; i < COUNTER_MAX; i++)
		counters[i] = pipeline->counters[i];
	totals_lost(pipeline, counters);
}

/* ---- Between two runs ------------------------------------------------------------------------ */

void totals_previous_run(struct pipeline *pipeline, const struct run_record *record)
{
	if (!pipeline->previous)
		pipeline->previous = malloc(sizeof(*pipeline->previous));
	if (pipeline->previous)
		*pipeline->previous =
			(struct previous_run){.end = (enum run_end)record->end,
					      .rebooted = record->flags & RUN_REBOOTED,
					      .ended_ns = record->ended_ns,
					      .unwatched_ns = record->unwatched_ns};
}

static const char *why_unwatched(const struct previous_run *previous)
{
	if (previous->end == RUN_UNKNOWN)
		return "nobody watched for an unknown time: the state that the previous run left "
		       "cannot be used";
	if (!previous->unwatched_ns)
		return "nobody watched for an unknown time: since the previous run the host was "
		       "rebooted and its clock set back";
	if (previous->end == RUN_STOPPED)
		return previous->rebooted
			       ? "nobody watched: the previous run was stopped, and the host was "
				 "rebooted"
			       : "nobody watched: the previous run was stopped";
	return previous->rebooted ? "nobody watched: the host was rebooted, and the previous run "
				    "did not end in order"
				  : "nobody watched: the previous run was killed or crashed";
}

void totals_unwatched(struct pipeline *pipeline, const struct previous_run *previous)
{
	struct event_stats lost = {.unwatched_ns = previous->unwatched_ns};
	struct event *event;

	if (previous->end == RUN_NONE)
		return;
	pipeline->stats.unwatched_ns = previous->unwatched_ns;
	event = compose_event(pipeline, EVENT_LOSS, pipeline->now_ns);
	if (!event)
		return;
	compose_id(pipeline, event->id, pipeline->now_ns, EVENT_LOSS, 1);
	if (previous->unwatched_ns) {
		event->start_ns = previous->ended_ns; /* the sum of forged ones may wrap */
		event->end_ns = (int64_t)((uint64_t)previous->ended_ns + previous->unwatched_ns);
	}
	event->detail = why_unwatched(previous);
	event->stats = malloc(sizeof(lost));
	if (event->stats)
		*event->stats = lost;
	hold_event(pipeline, event);
}

/* ---- Status ---------------------------------------------------------------------------------- */

void totals_take(struct pipeline *pipeline, struct event *event)
{
	event->stats = malloc(sizeof(*event->stats));
	if (event->stats)
		*event->stats = pipeline->stats;
	if (pipeline->decider)
		event_take_tallies(event, pipeline->decider);
	if (pipeline->hooks.want_outputs)
		pipeline->hooks.want_outputs(pipeline->hooks.context, event);
}

void pipeline_heartbeat(struct pipeline *pipeline, uint64_t interval_ns)
{
	pipeline->heartbeat_ns = interval_ns;
}

void pipeline_status(struct pipeline *pipeline)
{
	struct event *event = compose_event(pipeline, EVENT_STATUS, pipeline->now_ns);

	pipeline->beat_ns = pipeline->now_ns;
	pipeline->sequence++;
	if (!event)
		return;
	compose_id(pipeline, event->id, pipeline->now_ns, EVENT_STATUS, pipeline->sequence);
	event->sequence = pipeline->sequence;
	if (pipeline->decider)
		memcpy(event->config_hash, decider_policy(pipeline->decider)->sha256,
		       sizeof(event->config_hash));
	totals_take(pipeline, event);
	hold_event(pipeline, event);
}

void pipeline_damaged(struct pipeline *pipeline)
{
	pipeline->stats.records_malformed++;
}

void pipeline_lost(struct pipeline *pipeline, uint64_t events)
{
	pipeline->outputs_lost += events;
}

const struct event_stats *pipeline_stats(const struct pipeline *pipeline)
{
	return &pipeline->stats;
}

struct pipeline_load pipeline_load(const struct pipeline *pipeline)
{
	return (struct pipeline_load){
		.flows = flow_count(pipeline->flows),
		.held = pipeline->held_count,
		.processes = process_table_count(pipeline->processes),
	};
}
