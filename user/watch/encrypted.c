/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sessions under TLS.
 *
 * From the moment at which TLS begins, the wire shows nothing more of a session. Its plaintext may
 * still come: from a probe in the library that encrypts it. So `smtp-encrypted` is written only if
 * no plaintext has come when the connection ends, or ENCRYPTED_WAIT_NS after TLS began: a client
 * that says nothing must not delay it for ever. Without probes there is nothing to wait for. On a
 * port of mail, plaintext that is no mail does not count: the kernel gives a session up whose first
 * bytes are something else, and mail could follow.
 *
 * The time of the event is when it became due, not when a tick found that out. So a recording
 * replays to the same event.
 *
 * What the hellos say comes from the segments in which TLS begins, and from the record that joins
 * the plaintext. Of the client's, the last one before TLS began counts: text of a mail may look
 * like one.
 */
#include "event/reasons.h"
#include "flow/claims.h"
#include "flow/flow_tls.h"
#include "watch/pipeline_state.h"

#define ENCRYPTED_WAIT_NS 10000000000ULL

static void report(struct pipeline *pipeline, struct flow *flow, uint64_t time_ns)
{
	struct event *event;

	flow->encrypted_due = false;
	event = compose_flow_event(pipeline, EVENT_ENCRYPTED, flow, flow->start_ns, time_ns);
	if (!event)
		return;
	event->verdict = VERDICT_ALERT;
	compose_id(pipeline, event->id, compose_flow_number(flow), EVENT_ENCRYPTED, 0);
	compose_senders(event, flow, 0, UINT64_MAX);
	event->capture.witness = flow_witness(flow, 0, UINT64_MAX, compose_on_wire(pipeline, flow));
	event->capture.complete = !smtp_session_facts(flow->smtp)->client_missing;
	event_reasons(event);
	hold_event(pipeline, event);
}

/* Whether what was seen shows that the session is mail. */
static bool speaks_mail(const struct flow *flow)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);

	return compose_is_session(flow) || (facts->greeting_seen && !facts->other_verb_seen);
}

/* The same of what was seen before TLS began; or the port shows it. */
static bool is_mail(const struct flow *flow)
{
	return speaks_mail(flow) || is_mail_port(flow->id.remote_port);
}

void encrypted_segment(struct pipeline *pipeline, struct flow *flow,
		       const struct segment_record *record)
{
	bool outbound = record->flags & SEGMENT_OUTBOUND, tls = record->flow.flags & FLOW_TLS;

	if (flow->tls || (!tls && !outbound))
		return;
	flow_hello(flow, outbound, (struct span){record->data, record->data_len});
	if (!tls)
		return;
	flow->tls = true;
	flow->tls_since_ns = record->h.time_ns;
	flow->encrypted_due = is_mail(flow);
	if (flow->encrypted_due && !pipeline->tls)
		report(pipeline, flow, record->h.time_ns);
}

void encrypted_look(struct pipeline *pipeline, struct flow *flow)
{
	uint64_t due_ns = flow->tls_since_ns + ENCRYPTED_WAIT_NS;

	if (flow->encrypted_due && !flow->plain && pipeline->now_ns >= due_ns)
		report(pipeline, flow, due_ns);
}

void encrypted_end(struct pipeline *pipeline, struct flow *flow, uint64_t end_ns)
{
	uint64_t due_ns = flow->tls_since_ns + ENCRYPTED_WAIT_NS;

	if (flow->encrypted_due && !(flow->plain && speaks_mail(flow)))
		report(pipeline, flow, end_ns < due_ns ? end_ns : due_ns);
}
