/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Builds events from flows and transactions: ids, endpoints, senders. */
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/hook.h"
#include "base/text.h"
#include "event/reasons.h"
#include "flow/claims.h"
#include "flow/flow_tls.h"
#include "policy/verdict.h"
#include "process/sender.h"
#include "watch/pipeline_state.h"

static int64_t realtime(const struct pipeline *pipeline, uint64_t boot_ns)
{
	return (int64_t)(boot_ns +
			 (uint64_t)pipeline->realtime_offset_ns); /* a forged offset may wrap */
}

bool compose_on_wire(const struct pipeline *pipeline, const struct flow *flow)
{
	return pipeline->wire && !(flow->id.flags & FLOW_UNWIRED) &&
	       !flow_key_is_plaintext(flow->id.cookie) && !flow->plain;
}

struct pipeline_health pipeline_health(const struct pipeline *pipeline)
{
	return (struct pipeline_health){
		.send = pipeline->hook != HOOK_NONE &&
			!(pipeline->health & (HEALTH_SEND_DETACHED | HEALTH_SEND_MISSED)),
		.wire = pipeline->wire &&
			!(pipeline->health & (HEALTH_WIRE_DETACHED | HEALTH_WIRE_MISSED)),
		.impaired = pipeline->health & ~(uint32_t)HEALTH_UNSENT,
		.unsent = pipeline->health & HEALTH_UNSENT,
		.checked_ns = pipeline->checked_ns
				      ? (int64_t)(pipeline->checked_ns +
						  (uint64_t)pipeline->realtime_offset_ns)
				      : 0,
	};
}

struct event *compose_event(struct pipeline *pipeline, enum event_action action, uint64_t time_ns)
{
	struct pipeline_health health = pipeline_health(pipeline);
	struct event *event = event_new(action);

	if (!event) {
		pipeline->stats.events_lost++;
		return NULL;
	}
	event->time_ns = event->start_ns = event->end_ns = realtime(pipeline, time_ns);
	event->boot_to_real_ns = pipeline->realtime_offset_ns;
	event->host = pipeline->host;
	event->capture.hook = hook_name(health.send ? pipeline->hook : HOOK_NONE);
	event->capture.wire = health.wire;
	event->capture.checked_ns = health.checked_ns;
	return event;
}

void compose_id(const struct pipeline *pipeline, char *id, uint64_t cookie, uint64_t what,
		uint64_t number)
{
	uint64_t a = hash_mix(hash_mix(hash_mix(hash_mix(0, pipeline->boot), cookie), what),
			      number),
		 b = hash_mix(a, cookie);

	text_hex(id, a, EVENT_ID_LEN / 2);
	text_hex(id + EVENT_ID_LEN / 2, b, EVENT_ID_LEN / 2);
}

uint64_t compose_flow_number(const struct flow *flow)
{
	return flow->id.cookie >> 63 ? hash_mix(flow->id.cookie, flow->start_ns) : flow->id.cookie;
}

bool compose_fill(struct pipeline *pipeline, struct event *event)
{
	bool filled = true;

	for (uint32_t i = 0; i < event->sender_count; i++) {
		if (!sender_fill(event->senders[i], pipeline->names, &pipeline->own,
				 pipeline->now_ns, &pipeline->hooks.want))
			filled = false;
	}
	return origin_fill(pipeline, event) && filled;
}

bool compose_is_mid_stream(const struct flow_id *id)
{
	return !(id->flags & FLOW_FROM_START) || id->flags & FLOW_SKIPPED;
}

bool compose_is_session(const struct flow *flow)
{
	return smtp_session_is_smtp(flow->smtp) && smtp_client_speaks_smtp(flow->smtp);
}

static void event_endpoint(struct endpoint *endpoint, const uint8_t *addr, uint16_t port)
{
	memcpy(endpoint->addr, addr, sizeof(endpoint->addr));
	endpoint->port = port;
}

/*
 * A message is under TLS if its plaintext was read, and it began behind the hellos: what came
 * before them was sent in clear.
 */
static void describe_tls(const struct pipeline *pipeline, struct event *event,
			 const struct flow *flow, uint64_t start_ns)
{
	bool plain = flow->plain || flow_key_is_plaintext(flow->id.cookie);

	if (event->action == EVENT_MESSAGE)
		event->tls = plain && start_ns >= flow->tls_since_ns;
	else
		event->tls = plain || flow->tls;
	if (!event->tls)
		return;
	if (plain)
		event->capture.layer = event_layer_name((enum tls_layer)flow->layer);
	else if (pipeline->tls)
		event_reason(event, "plaintext_unseen");
	if (plain && flow->tls_late)
		event->capture.mid_stream = true;
	event->tls_server = flow->tls_server;
	event->server_name = flow->server_name ? strdup(flow->server_name) : NULL;
}

struct event *compose_flow_event(struct pipeline *pipeline, enum event_action action,
				 const struct flow *flow, uint64_t start_ns, uint64_t end_ns)
{
	struct event *event = compose_event(pipeline, action, end_ns);

	if (!event)
		return NULL;
	event->has_flow = true;
	event->flow = flow->id.cookie;
	event->pace = pace_ref(flow->pace);
	event->start_ns = realtime(pipeline, start_ns);
	event_endpoint(&event->source, flow->id.local_addr, flow->id.local_port);
	event_endpoint(&event->destination, flow->id.remote_addr, flow->id.remote_port);
	if (action != EVENT_MESSAGE) {
		event->source_bytes = flow->bytes_sent;
		event->destination_bytes = flow->bytes_received;
	}
	event->mptcp = flow->id.flags & FLOW_MPTCP;
	event->capture.mid_stream = compose_is_mid_stream(&flow->id);
	compose_id(pipeline, event->session_id, compose_flow_number(flow), 0, 0);
	event->session = malloc(sizeof(*event->session));
	if (event->session)
		*event->session = *smtp_session_facts(flow->smtp);
	describe_tls(pipeline, event, flow, start_ns);
	return event;
}

void compose_senders(struct event *event, const struct flow *flow, uint64_t start, uint64_t end)
{
	event->sender_count = flow_senders_of(flow, start, end, event->senders, EVENT_SENDERS_MAX);
	for (uint32_t i = 0; i < event->sender_count; i++)
		sender_ref(event->senders[i]);
	event->senders_incomplete = !event->sender_count ||
				    event->sender_count == EVENT_SENDERS_MAX ||
				    flow_unclaimed(flow, start, end);
}

/* The witness of positions of a flow. `end` as flow_tls_witness() takes it. */
static enum witness witness_of(const struct pipeline *pipeline, const struct flow *flow,
			       uint64_t start, uint64_t until, uint64_t end)
{
	if (flow->plain)
		return flow_tls_witness(flow, end);
	return flow_witness(flow, start, until, compose_on_wire(pipeline, flow));
}

struct event *compose_message(struct pipeline *pipeline, const struct flow *flow,
			      struct smtp_transaction *transaction)
{
	struct event *event = compose_flow_event(pipeline, EVENT_MESSAGE, flow,
						 transaction->start_ns, transaction->end_ns);

	if (!event) {
		smtp_transaction_free(transaction);
		return NULL;
	}
	event->transaction = transaction;
	event->verdict = VERDICT_ALERT;
	compose_id(pipeline, event->id, compose_flow_number(flow), EVENT_MESSAGE,
		   transaction->number);
	compose_senders(event, flow, transaction->start_pos, transaction->end_pos);
	event->capture.witness =
		witness_of(pipeline, flow, transaction->start_pos, transaction->end_pos,
			   transaction->outcome == SMTP_OUTCOME_SUCCESS ? transaction->end_pos : 0);
	event->capture.missing_bytes = transaction->missing_bytes;
	event->capture.complete = !transaction->missing_bytes && !transaction->replies_missing &&
				  event->capture.witness != WITNESS_DIFFER;
	event_reasons(event);
	if (pipeline->rules)
		event_scan(event, pipeline->rules, (struct span){flow->said.data, flow->said.len});
	return event;
}

/* The bytes in what looked like TLS to the parser, but not to the kernel side, are no secret. */
static void count_opaque(const struct flow *flow, struct event *event)
{
	if (!event->session)
		return;
	event->session->command_bytes = smtp_command_bytes(flow->smtp);
	if (!flow->tls)
		event->session->command_bytes += event->session->opaque_bytes;
}

struct event *compose_session(struct pipeline *pipeline, const struct flow *flow, uint64_t end_ns)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);
	struct event *event =
		compose_flow_event(pipeline, EVENT_SESSION, flow, flow->start_ns, end_ns);

	if (!event)
		return NULL;
	count_opaque(flow, event);
	event->capture.witness = witness_of(pipeline, flow, 0, UINT64_MAX, 0);
	event->verdict = event_commands_carry_data(event) ||
					 (flow->plain && event->capture.witness == WITNESS_DIFFER)
				 ? VERDICT_ALERT
			 : flow->messages ? VERDICT_NONE
					  : VERDICT_OBSERVED;
	compose_id(pipeline, event->id, compose_flow_number(flow), EVENT_SESSION, 0);
	compose_senders(event, flow, 0, UINT64_MAX);
	event->capture.missing_bytes = facts->client_missing;
	event->capture.complete =
		!facts->client_missing && !facts->server_missing && !facts->replies_surplus;
	event_reasons(event);
	event->stats = calloc(1, sizeof(*event->stats));
	if (event->stats) {
		event->stats->messages = flow->messages;
		event->stats->recipients = flow->recipients;
		event->stats->bytes = flow->bytes;
	}
	return event;
}
