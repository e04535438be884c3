/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is reported before its end: transactions that wait for long, those that were under way when
 * the watch began (smtp/under_way.c), and sessions whose commands carry data.
 */
#include <stdlib.h>

#include "event/reasons.h"
#include "flow/flow_table.h"
#include "watch/pipeline_state.h"

/* After this many deadlines an open transaction is reported even if bytes still arrive. */
#define DEADLINES_OPEN_MAX 10U
#define QUEUED_NS	   1000000000ULL /* bytes on their way pass within this time, or the peer waits */

/*
 * Bytes were on their way when the watch began, and none has passed since: the peer does not take
 * them, and a mail is under way.
 */
static void flow_assume(struct pipeline *pipeline, struct flow *flow)
{
	if (!flow->id.remote_port) {
		flow_identify(pipeline->flows, flow, flow->queued);
		smtp_session_mid_stream(flow->smtp);
		smtp_session_under_way(flow->smtp, true);
		smtp_session_assume_under_way(flow->smtp, pipeline->now_ns);
	}
	free(flow->queued);
	flow->queued = NULL;
}

/*
 * Reports an open transaction once, as it is so far: at once if it was under way when the watch
 * began; otherwise if no byte came for the deadline or if it has been open for long. A sender
 * cannot delay the report by never ending his mail.
 */
void open_look(struct pipeline *pipeline, struct flow *flow)
{
	uint64_t deadline_ns = pipeline->deadline_ns, now_ns = pipeline->now_ns,
		 before_ns = UINT64_MAX, long_ns = deadline_ns * DEADLINES_OPEN_MAX;
	struct smtp_transaction *transaction;
	struct event *event;

	if (flow->queued && now_ns - flow->start_ns >= QUEUED_NS)
		flow_assume(pipeline, flow);
	if (!flow->smtp || smtp_oldest_open_position(flow->smtp) == UINT64_MAX ||
	    !smtp_session_is_smtp(flow->smtp))
		return;
	if (now_ns - flow->last_ns < deadline_ns)
		before_ns = now_ns > long_ns ? now_ns - long_ns : 0;
	transaction = smtp_session_open_transaction(flow->smtp, flow->provisional, before_ns);
	if (!transaction)
		return;
	transaction->end_pos = smtp_client_position(flow->smtp);
	transaction->end_ns = now_ns;
	flow->provisional = transaction->number;
	event = compose_message(pipeline, flow, transaction);
	if (!event)
		return;
	event->provisional = true;
	if (!event->transaction->under_way)
		event_reason(event, "transaction_open");
	hold_event(pipeline, event);
}

/* Whether a connection that is older than the watch carried, or may have carried, mail. */
bool open_is_older(const struct flow *flow)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);

	if (flow->id.flags & FLOW_FROM_START || !smtp_session_is_smtp(flow->smtp))
		return false;
	return facts->commands_seen || facts->transactions ||
	       smtp_session_is_unsettled(flow->smtp) ||
	       (facts->replies && is_mail_port(flow->id.remote_port));
}

/*
 * Reports once a session that is still open, a deadline after its commands began to carry data: a
 * channel may stay open for ever.
 */
void open_look_at_commands(struct pipeline *pipeline, struct flow *flow)
{
	struct event *event;

	if (!flow->smtp || flow->carrying_told ||
	    smtp_command_bytes(flow->smtp) < SMTP_CARRIED_MAX || !compose_is_session(flow))
		return;
	if (!flow->carrying_ns)
		flow->carrying_ns = pipeline->now_ns;
	if (pipeline->now_ns - flow->carrying_ns < pipeline->deadline_ns)
		return;
	flow->carrying_told = true;
	event = compose_session(pipeline, flow, pipeline->now_ns);
	if (!event)
		return;
	event->provisional = true;
	hold_event(pipeline, event);
}
