/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: events wait here, in order, until the names and the hash of their senders
 * have arrived, or for EVENT_HOLD_NS. An event that may be no alert waits EVENT_SETTLE_NS longer:
 * surplus replies of the server would show that the mail hid another one. Exclusions decide last.
 * Every event is counted then. The daemon joins alike ones (joining.c), a watch bounds what one
 * connection writes (pacing.c). What is left to be written
 * gets privacy applied, then the sink writes it.
 */
#include <stdlib.h>
#include <string.h>

#include "policy/filter.h"
#include "flow/flow_table.h"
#include "policy/verdict.h"
#include "watch/pipeline_state.h"

#define LOOK_MAX 512U

static void event_count(struct event_stats *stats, const struct event *event)
{
	if (event->provisional)
		return;
	if (event->verdict == VERDICT_ALERT && event->has_flow)
		stats->alerts++;
	if (event->action == EVENT_SESSION) {
		stats->sessions++;
		stats->carrying += event_commands_carry_data(event);
		stats->command_bytes += event->session ? event->session->command_bytes : 0;
	}
	if (event->action == EVENT_ENCRYPTED)
		stats->encrypted++;
	if (event->action != EVENT_MESSAGE)
		return;
	stats->messages++;
	stats->excluded += event->verdict == VERDICT_EXCLUDED;
	stats->recipients += event->transaction->recipient_count;
	stats->bytes += event->transaction->bytes;
	if (!event->sender_count)
		stats->unattributed++;
	if (!event->capture.complete && !event->transaction->under_way)
		stats->incomplete++;
}

/* Surplus replies may arrive behind the one that ended the transaction. */
static void event_take_surplus(struct event *event, uint32_t surplus)
{
	if (surplus <= event->session->replies_surplus)
		return;
	event->session->replies_surplus = surplus;
	event_reason(event, "replies_unmatched");
}

void hold_take_surplus(struct pipeline *pipeline, uint64_t flow, uint32_t surplus)
{
	for (struct held_event *held = pipeline->held_first; held; held = held->next) {
		if (held->event->has_flow && held->event->flow == flow && held->event->session)
			event_take_surplus(held->event, surplus);
	}
}

static void decide_event(struct pipeline *pipeline, struct event *event)
{
	const struct flow *flow = event->has_flow ? flow_find(pipeline->flows, event->flow) : NULL;

	if (flow && flow->smtp && event->session)
		event_take_surplus(event, smtp_session_facts(flow->smtp)->replies_surplus);
	if (other_canary(pipeline, event)) {
		event->exclusion = strdup(CANARY_EXCLUSION);
		event->verdict = event->exclusion ? VERDICT_EXCLUDED : event->verdict;
	} else {
		event_decide(event, pipeline->decider, pipeline->relay_names);
	}
}

/* Whether --count is reached: several messages may end at once. */
static bool count_reached(const struct pipeline *pipeline, const struct event *event)
{
	return event->action == EVENT_MESSAGE && pipeline->filter.count &&
	       pipeline->stats.messages >= pipeline->filter.count;
}

void hold_write(struct pipeline *pipeline, struct event *event)
{
	decide_event(pipeline, event);
	if (!filter_passes(&pipeline->filter, event, pipeline->relay_names) ||
	    count_reached(pipeline, event)) {
		event_free(event);
		return;
	}
	event_count(&pipeline->stats, event);
	if (pipeline->hooks.on_event && !pipeline->error)
		pipeline->hooks.on_event(pipeline->hooks.context, event);
	if (pipeline->join)
		joining_take(pipeline, event);
	else if (pipeline->pacing)
		pacing_take(pipeline, event);
	else
		tell_event(pipeline, event);
}

/* Whoever has no name yet, or never, is one with all such: a user can have thousands of uids. */
static uint32_t holder_of(const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	return sender && is_known(sender->user) ? sender_uid(sender) % HOLDERS : HOLDERS;
}

/* Writes an event that waits; `at` points to it, and `before` is the one before it, or NULL. */
static void write_held(struct pipeline *pipeline, struct held_event **at, struct held_event *before)
{
	struct held_event *held = *at;

	if (!held)
		return;
	*at = held->next;
	if (!held->next)
		pipeline->held_last = before;
	pipeline->held_count--;
	pipeline->held_by[held->holder]--;
	hold_write(pipeline, held->event);
	free(held);
}

void hold_write_first(struct pipeline *pipeline)
{
	write_held(pipeline, &pipeline->held_first, NULL);
}

/*
 * Writes the oldest event of a user who has more than an eighth of all. Only the LOOK_MAX oldest
 * are looked at: in a flood, one of the first is the flooder's. If there is none, the oldest one.
 */
static void write_oldest(struct pipeline *pipeline)
{
	struct held_event **at = &pipeline->held_first, *before = NULL;
	unsigned int looked = 0;

	while (*at && looked < LOOK_MAX &&
	       pipeline->held_by[(*at)->holder] <= EVENTS_HELD_MAX / 8) {
		before = *at;
		at = &before->next;
		looked++;
	}
	if (*at && looked < LOOK_MAX)
		write_held(pipeline, at, before);
	else
		hold_write_first(pipeline);
}

void hold_flush(struct pipeline *pipeline)
{
	while (pipeline->held_first) {
		const struct held_event *first = pipeline->held_first;
		bool filled = compose_fill(pipeline, first->event);

		if (pipeline->now_ns < (filled ? first->settle_ns : first->deadline_ns))
			return;
		hold_write_first(pipeline);
	}
}

/* True if an exclusion, or what the server said, may make it no alert. */
static bool may_be_no_alert(const struct pipeline *pipeline, const struct event *event)
{
	bool exclusions = pipeline->decider && decider_policy(pipeline->decider)->exclusion_count;

	return event->transaction &&
	       (exclusions || event->transaction->result == SMTP_RESULT_ASKED);
}

void hold_event(struct pipeline *pipeline, struct event *event)
{
	struct held_event *held = calloc(1, sizeof(*held));

	compose_fill(pipeline, event); /* asks for what is missing */
	if (!held) {
		hold_write(pipeline, event);
		return;
	}
	held->event = event;
	held->deadline_ns = pipeline->now_ns + EVENT_HOLD_NS;
	if (may_be_no_alert(pipeline, event))
		held->settle_ns = pipeline->now_ns + EVENT_SETTLE_NS;
	*(pipeline->held_last ? &pipeline->held_last->next : &pipeline->held_first) = held;
	pipeline->held_last = held;
	held->holder = holder_of(event);
	pipeline->held_by[held->holder]++;
	if (++pipeline->held_count > EVENTS_HELD_MAX)
		write_oldest(pipeline);
	hold_flush(pipeline);
}

void hold_free(struct pipeline *pipeline)
{
	while (pipeline->held_first) {
		struct held_event *first = pipeline->held_first;

		pipeline->held_first = first->next;
		event_free(first->event);
		free(first);
	}
}
