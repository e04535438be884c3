/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the path of one send.
 *
 *	record --> process table	exec, fork, exit
 *	       --> flow, its senders	sender, send, close
 *	       --> flow, its streams --> SMTP session --> transaction --> event --> held --> sink
 *	       --> names		user names, hashes, cgroups
 *
 * A record is all the pipeline ever learns from, its time is all the clock it has; so a recording
 * gives the same events as the watch that made it. An event is built the moment its transaction
 * ends. It is then held, in order, until the names and the hash of its senders have come (they were
 * asked for when the sender was first seen, so most are there), or for EVENT_HOLD_NS.
 */
#include "watch/pipeline.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "event/filter.h"
#include "flow/flow.h"
#include "base/hook.h"
#include "flow/mask.h"
#include "process/names.h"
#include "policy/privacy.h"
#include "process/process.h"
#include "event/reasons.h"
#include "capture/records.h"
#include "policy/relay_names.h"
#include "process/sender.h"
#include "policy/verdict.h"

#define DEADLINE_NS 60000000000ULL
/* A transaction that is open for so many of them is told, bytes or none */
#define DEADLINES_OPEN_MAX 10U
#define CONTENT_BUDGET	   (64U << 20) /* bytes of all messages' content together */

struct held_event {
	struct held_event *next;
	/* not before: what the server still says to this mail may show that it hid another */
	uint64_t settle_ns;
	uint64_t deadline_ns;
	struct event *event;
};

struct pipeline {
	struct sink *sink;
	struct filter filter;
	struct pipeline_hooks hooks;
	struct process_table *processes;
	struct flow_table *flows;
	struct names *names;
	struct submissions *submissions; /* NULL: there was none */
	struct decider *decider;	 /* borrowed; NULL: nothing is excluded */
	struct relay_names *relay_names;
	struct mail_budget budget;
	struct held_event *held_first, *held_last;
	size_t held_count;
	struct event_stats stats;
	uint64_t counters[COUNTER_MAX]; /* as last told */
	uint64_t flows_evicted;		/* as last told */
	uint64_t now_ns;
	uint64_t deadline_ns;	       /* without a byte, for an open transaction */
	const struct privacy *privacy; /* of the decider's configuration; NULL: all is told */
	const struct rules *rules;     /* of the decider's configuration; NULL: none */
	size_t said_max;	       /* bytes kept of what a client says, for them */
	size_t content_max;	       /* bytes kept of a message's content; 0: none is wanted */
	uint64_t heartbeat_ns;	       /* between status events; 0: there are none */
	uint64_t beat_ns;	       /* when the last one was */
	uint64_t sequence;	       /* of the last one */
	uint64_t outputs_lost;	       /* events lost behind the sink, and not yet told */
	uint64_t expired_ns;	       /* when processes and streams were last looked through */
	int64_t realtime_offset_ns;
	int error;

	/* From the host record. */
	enum hook hook;
	bool wire;
	struct namespaces own;
	uint64_t boot;
	char *host;
};

/* ---- Events going out ------------------------------------------------------------------------ */

static int64_t realtime(const struct pipeline *pipeline, uint64_t boot_ns)
{
	return (int64_t)(boot_ns +
			 (uint64_t)pipeline->realtime_offset_ns); /* a forged one may wrap */
}

/* Whether the wire has the bytes of this flow: not what goes into TLS. */
static bool on_wire(const struct pipeline *pipeline, const struct flow *flow)
{
	return pipeline->wire && !(flow->id.flags & FLOW_UNWIRED) &&
	       !flow_key_is_plaintext(flow->id.cookie);
}

static struct event *event_make(struct pipeline *pipeline, enum event_action action,
				uint64_t time_ns)
{
	struct event *event = event_new(action);

	if (!event) {
		pipeline->stats.events_lost++;
		return NULL;
	}
	event->time_ns = event->start_ns = event->end_ns = realtime(pipeline, time_ns);
	event->boot_to_real_ns = pipeline->realtime_offset_ns;
	event->host = pipeline->host;
	event->capture.hook = hook_name(pipeline->hook);
	event->capture.wire = pipeline->wire;
	return event;
}

/*
 * One step of a multiplicative hash that spreads a word over all bits (the finalizer of
 * splitmix64).
 */
static uint64_t mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) + 0x9e3779b97f4a7c15ULL;
	sum = (sum ^ sum >> 30) * 0xbf58476d1ce4e5b9ULL;
	sum = (sum ^ sum >> 27) * 0x94d049bb133111ebULL;
	return sum ^ sum >> 31;
}

/* A name for what these four numbers make unique, as 32 hex digits. */
static void event_identify(const struct pipeline *pipeline, char *id, uint64_t cookie,
			   uint64_t what, uint64_t number)
{
	uint64_t a = mix(mix(mix(mix(0, pipeline->boot), cookie), what), number),
		 b = mix(a, cookie);

	text_hex(id, a, EVENT_ID_LEN / 2);
	text_hex(id + EVENT_ID_LEN / 2, b, EVENT_ID_LEN / 2);
}

/*
 * A number for a flow that no other flow since boot has: an address is given to one socket after
 * another.
 */
static uint64_t flow_number(const struct flow *flow)
{
	return flow->id.cookie >> 63 ? mix(flow->id.cookie, flow->start_ns) : flow->id.cookie;
}

static void event_count(struct event_stats *stats, const struct event *event)
{
	if (event->provisional)
		return;
	if (event->verdict == VERDICT_ALERT && event->has_flow)
		stats->alerts++;
	if (event->action == EVENT_SESSION)
		stats->sessions++;
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
}

/* Replies to nothing that was parsed may come behind the one that ended the transaction. */
static void event_take_surplus(struct event *event, uint32_t surplus)
{
	if (surplus <= event->session->replies_surplus)
		return;
	event->session->replies_surplus = surplus;
	event_reason(event, "replies_unmatched");
}

/* Likewise for all events of a flow that wait. */
static void held_take_surplus(struct pipeline *pipeline, uint64_t flow, uint32_t surplus)
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
	if (pipeline->decider)
		event_decide(event, pipeline->decider, pipeline->relay_names);
}

/* Whether as many messages were told as were asked for: several may become known at once. */
static bool count_reached(const struct pipeline *pipeline, const struct event *event)
{
	return event->action == EVENT_MESSAGE && pipeline->filter.count &&
	       pipeline->stats.messages >= pipeline->filter.count;
}

/*
 * 0, or a negative errno at which the sink failed. What may not be told is hidden before anything
 * is written.
 */
static int event_tell(struct pipeline *pipeline, struct event *event)
{
	if (!pipeline->privacy || privacy_apply(pipeline->privacy, event))
		return pipeline->sink->write(pipeline->sink, event);
	pipeline->outputs_lost++; /* no memory: it is not written at all */
	return 0;
}

/* Writes an event and frees it. */
static void event_write(struct pipeline *pipeline, struct event *event)
{
	decide_event(pipeline, event);
	if (filter_passes(&pipeline->filter, event) && !count_reached(pipeline, event)) {
		int error = pipeline->error ? pipeline->error : event_tell(pipeline, event);

		event_count(&pipeline->stats, event);
		if (error) {
			pipeline->stats.events_lost++;
			pipeline->error = error;
		} else if (pipeline->hooks.on_event) {
			pipeline->hooks.on_event(pipeline->hooks.context, event);
		}
	}
	event_free(event);
}

/* The MTA that sends a message on; NULL: it is none that can be believed. */
static const char *mta_of(const struct pipeline *pipeline, const struct event *event)
{
	const char *mta = NULL;

	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct sender *sender = event->senders[i];
		const char *name =
			sender->task.ns_user == pipeline->own.user ? origin_mta(sender) : NULL;

		if (!name || (mta && strcmp(mta, name) != 0))
			return NULL;
		mta = name;
	}
	return mta;
}

static void event_find_origin(struct pipeline *pipeline, struct event *event)
{
	const struct mail *mail = event->transaction ? event->transaction->mail : NULL;
	const char *mta = mail && mail->received.len ? mta_of(pipeline, event) : NULL;
	struct origin origin;

	if (event->origin || !mta || event->transaction->missing_bytes ||
	    !origin_parse(mta, mail_span(mail, mail->received), &origin))
		return;
	if (!origin.has_uid && !origin.user[0] && pipeline->submissions)
		submissions_find(pipeline->submissions, &origin);
	event->origin = malloc(sizeof(*event->origin));
	if (event->origin)
		*event->origin = origin;
}

/* True if nothing more is to come. */
static bool event_fill_origin(struct pipeline *pipeline, struct event *event)
{
	struct origin *origin;
	const char *name = NULL;
	enum name_state state;

	event_find_origin(pipeline, event);
	origin = event->origin;
	if (!origin || !origin->named || origin->user[0])
		return true;
	state = names_user(pipeline->names, origin->uid, pipeline->now_ns, &name);
	if (state == NAME_MISSING && pipeline->hooks.want_user)
		pipeline->hooks.want_user(pipeline->hooks.context, origin->uid);
	if (state == NAME_KNOWN && strlen(name) <= ORIGIN_USER_MAX)
		memcpy(origin->user, name, strlen(name) + 1);
	return state == NAME_KNOWN;
}

/* Remembers who handed a mail to an MTA of this host. */
static void submission_keep(struct pipeline *pipeline, const struct event *event)
{
	static const uint8_t loopback4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127},
			     loopback6[16] = {[15] = 1};
	const uint8_t *to = event->destination.addr;
	bool here = memcmp(to, loopback4, sizeof(loopback4)) == 0 ||
		    memcmp(to, loopback6, sizeof(loopback6)) == 0 ||
		    memcmp(to, event->source.addr, 16) == 0;
	struct span queue_id = origin_queue_id(event->transaction);

	if (!here || event->sender_count != 1 || !queue_id.len)
		return;
	if (!pipeline->submissions)
		pipeline->submissions = submissions_new();
	if (pipeline->submissions)
		submissions_add(pipeline->submissions, queue_id, event->senders[0]->task.euid,
				event->senders[0]->task.ns_user == pipeline->own.user, event->id);
}

/* Fills what is known of the event's senders by now. True if nothing more is to come. */
static bool event_fill(struct pipeline *pipeline, struct event *event)
{
	bool filled = true;

	for (uint32_t i = 0; i < event->sender_count; i++) {
		if (!sender_fill(event->senders[i], pipeline->names, &pipeline->own,
				 pipeline->now_ns, &pipeline->hooks))
			filled = false;
	}
	return event_fill_origin(pipeline, event) && filled;
}

static void held_write_first(struct pipeline *pipeline)
{
	struct held_event *first = pipeline->held_first;

	pipeline->held_first = first->next;
	if (!first->next)
		pipeline->held_last = NULL;
	pipeline->held_count--;
	event_write(pipeline, first->event);
	free(first);
}

/* Lets out, in order, what is complete or has waited long enough. */
static void held_flush(struct pipeline *pipeline)
{
	while (pipeline->held_first) {
		const struct held_event *first = pipeline->held_first;
		bool filled = event_fill(pipeline, first->event);

		if (pipeline->now_ns < (filled ? first->settle_ns : first->deadline_ns))
			return;
		held_write_first(pipeline);
	}
}

static void event_hold(struct pipeline *pipeline, struct event *event)
{
	struct held_event *held = calloc(1, sizeof(*held));

	event_fill(pipeline, event); /* asks for what is missing */
	if (!held) {
		event_write(pipeline, event);
		return;
	}
	held->event = event;
	held->deadline_ns = pipeline->now_ns + EVENT_HOLD_NS;
	if (pipeline->decider && decider_config(pipeline->decider)->exclusion_count &&
	    event->transaction)
		held->settle_ns = pipeline->now_ns + EVENT_SETTLE_NS;
	*(pipeline->held_last ? &pipeline->held_last->next : &pipeline->held_first) = held;
	pipeline->held_last = held;
	if (++pipeline->held_count > EVENTS_HELD_MAX)
		held_write_first(pipeline);
	held_flush(pipeline);
}

/* ---- Events of a flow ------------------------------------------------------------------------ */

/* Whether what came before was not seen. */
static bool is_mid_stream(const struct flow_id *id)
{
	return !(id->flags & FLOW_FROM_START) || id->flags & FLOW_SKIPPED;
}

static bool is_mail_port(uint16_t port)
{
	return port == 25 || port == 465 || port == 587 || port == 2525;
}

static void event_endpoint(struct endpoint *endpoint, const uint8_t *addr, uint16_t port)
{
	memcpy(endpoint->addr, addr, sizeof(endpoint->addr));
	endpoint->port = port;
}

static struct event *event_of_flow(struct pipeline *pipeline, enum event_action action,
				   const struct flow *flow, uint64_t start_ns, uint64_t end_ns)
{
	struct event *event = event_make(pipeline, action, end_ns);

	if (!event)
		return NULL;
	event->has_flow = true;
	event->capture.ktls = flow_key_is_plaintext(flow->id.cookie);
	event->flow = flow->id.cookie;
	event->start_ns = realtime(pipeline, start_ns);
	event_endpoint(&event->source, flow->id.local_addr, flow->id.local_port);
	event_endpoint(&event->destination, flow->id.remote_addr, flow->id.remote_port);
	event->mptcp = flow->id.flags & FLOW_MPTCP;
	event->capture.mid_stream = is_mid_stream(&flow->id);
	event_identify(pipeline, event->session_id, flow_number(flow), 0, 0);
	event->session = malloc(sizeof(*event->session));
	if (event->session)
		*event->session = *smtp_session_facts(flow->smtp);
	return event;
}

static void event_add_senders(struct event *event, const struct flow *flow, uint64_t start,
			      uint64_t end)
{
	event->sender_count = flow_senders_of(flow, start, end, event->senders, EVENT_SENDERS_MAX);
	for (uint32_t i = 0; i < event->sender_count; i++)
		sender_ref(event->senders[i]);
	event->senders_incomplete = !event->sender_count ||
				    event->sender_count == EVENT_SENDERS_MAX ||
				    flow_unclaimed(flow, start, end);
}

/*
 * The event of a transaction, which it owns. NULL: there is no memory, and the transaction is gone.
 */
static struct event *event_of_transaction(struct pipeline *pipeline, const struct flow *flow,
					  struct smtp_transaction *transaction)
{
	struct event *event = event_of_flow(pipeline, EVENT_MESSAGE, flow, transaction->start_ns,
					    transaction->end_ns);

	if (!event) {
		smtp_transaction_free(transaction);
		return NULL;
	}
	event->transaction = transaction;
	event->verdict = VERDICT_ALERT;
	event_identify(pipeline, event->id, flow_number(flow), EVENT_MESSAGE, transaction->number);
	event_add_senders(event, flow, transaction->start_pos, transaction->end_pos);
	event->capture.witness = flow_witness(flow, transaction->start_pos, transaction->end_pos,
					      on_wire(pipeline, flow));
	event->capture.missing_bytes = transaction->missing_bytes;
	event->capture.complete = !transaction->missing_bytes && !transaction->replies_missing &&
				  event->capture.witness != WITNESS_DIFFER;
	event_reasons(event);
	if (pipeline->rules)
		event_scan(event, pipeline->rules, (struct span){flow->said.data, flow->said.len});
	return event;
}

/*
 * A transaction has ended: called by the session, from within flow_bytes() or smtp_session_close().
 */
static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	struct flow *flow = context;
	struct pipeline *pipeline = flow->owner;
	struct event *event;

	flow->messages++;
	flow->recipients += transaction->recipient_count;
	flow->bytes += transaction->bytes;
	event = event_of_transaction(pipeline, flow, transaction);
	if (!event)
		return;
	submission_keep(pipeline, event);
	event_hold(pipeline, event);
}

/*
 * A transaction that is open, and has been for long, or without a byte: what it is so far is told
 * once. Whoever never ends his mail is not waited for.
 */
static void flow_look_at_open(struct pipeline *pipeline, struct flow *flow)
{
	uint64_t deadline_ns = pipeline->deadline_ns, now_ns = pipeline->now_ns,
		 before_ns = UINT64_MAX, long_ns = deadline_ns * DEADLINES_OPEN_MAX;
	struct smtp_transaction *transaction;
	struct event *event;

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
	event = event_of_transaction(pipeline, flow, transaction);
	if (!event)
		return;
	event->provisional = true;
	event_reason(event, "transaction_open");
	event_hold(pipeline, event);
}

static bool is_session(const struct flow *flow, const struct smtp_facts *facts)
{
	return smtp_session_is_smtp(flow->smtp) &&
	       (facts->protocol != SMTP_PROTOCOL_UNKNOWN || facts->mail_from_seen);
}

static void session_end(struct pipeline *pipeline, const struct flow *flow)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);
	struct event *event;

	pipeline->stats.quoted += facts->quoted;
	if (facts->replies_surplus)
		held_take_surplus(pipeline, flow->id.cookie, facts->replies_surplus);
	if (!is_session(flow, facts))
		return;
	event = event_of_flow(pipeline, EVENT_SESSION, flow, flow->start_ns, pipeline->now_ns);
	if (!event)
		return;
	event->verdict = flow->messages ? VERDICT_NONE : VERDICT_OBSERVED;
	event_identify(pipeline, event->id, flow_number(flow), EVENT_SESSION, 0);
	event_add_senders(event, flow, 0, UINT64_MAX);
	event->tls = flow->tls;
	event->capture.witness = flow_witness(flow, 0, UINT64_MAX, on_wire(pipeline, flow));
	event->capture.missing_bytes = facts->client_missing;
	event->capture.complete =
		!facts->client_missing && !facts->server_missing && !facts->replies_surplus;
	event_reasons(event);
	if (pipeline->rules)
		event_scan(event, pipeline->rules, (struct span){flow->said.data, flow->said.len});
	event->stats = calloc(1, sizeof(*event->stats));
	if (event->stats) {
		event->stats->messages = flow->messages;
		event->stats->recipients = flow->recipients;
		event->stats->bytes = flow->bytes;
	}
	event_hold(pipeline, event);
}

/* The client's side went over to TLS: of the mail that follows, nothing can be told but this. */
static void flow_encrypted(struct pipeline *pipeline, struct flow *flow)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);
	struct event *event;

	flow->tls = true;
	if (!is_session(flow, facts) && !facts->greeting_seen &&
	    !is_mail_port(flow->id.remote_port))
		return;
	event = event_of_flow(pipeline, EVENT_ENCRYPTED, flow, flow->start_ns, pipeline->now_ns);
	if (!event)
		return;
	event->verdict = VERDICT_ALERT;
	event->tls = true;
	event_identify(pipeline, event->id, flow_number(flow), EVENT_ENCRYPTED, 0);
	event_add_senders(event, flow, 0, UINT64_MAX);
	event->capture.witness = flow_witness(flow, 0, UINT64_MAX, on_wire(pipeline, flow));
	event->capture.complete = !facts->client_missing;
	event_reasons(event);
	event_hold(pipeline, event);
}

/* ---- Records of flows ------------------------------------------------------------------------ */

static struct flow *pipeline_flow(struct pipeline *pipeline, uint64_t cookie, uint64_t time_ns)
{
	struct flow *flow = flow_get(pipeline->flows, cookie, time_ns);

	if (!flow)
		return NULL;
	if (!flow->smtp) {
		flow->owner = pipeline;
		flow->smtp = smtp_session_new(on_wire(pipeline, flow), on_transaction, flow);
		if (flow->smtp && pipeline->rules)
			flow_keep(flow, &pipeline->budget, pipeline->said_max);
		if (flow->smtp && pipeline->content_max)
			smtp_session_keep(flow->smtp, &pipeline->budget, pipeline->content_max);
	}
	return flow->smtp ? flow : NULL;
}

static struct flow *pipeline_flow_of(struct pipeline *pipeline, const struct flow_id *id,
				     uint64_t time_ns)
{
	struct flow *flow = pipeline_flow(pipeline, id->cookie, time_ns);

	if (!flow)
		return NULL;
	if (!flow->id.remote_port && is_mid_stream(id))
		smtp_session_mid_stream(flow->smtp);
	flow->id = *id;
	return flow;
}

static void flow_end(struct pipeline *pipeline, struct flow *flow)
{
	if (flow->smtp) {
		flow_finish(flow, pipeline->now_ns);
		smtp_session_close(flow->smtp, pipeline->now_ns);
		session_end(pipeline, flow);
	}
}

/*
 * What is open of it goes out as it is, and as incomplete: what follows is not seen as a part of
 * it.
 */
static void on_evict(void *context, struct flow *flow)
{
	const struct pipeline *pipeline = context;

	if (flow->smtp && smtp_oldest_open_position(flow->smtp) != UINT64_MAX) {
		smtp_client_gap(flow->smtp, 0, pipeline->now_ns);
		smtp_server_gap(flow->smtp, 0, pipeline->now_ns);
	}
	flow_end(context, flow);
}

/* Adds the sender to the flow; its index, or -1. Takes over the caller's reference. */
static int flow_add(struct pipeline *pipeline, struct flow *flow, struct sender *sender)
{
	int index;

	if (!sender)
		return -1;
	sender_fill(sender, pipeline->names, &pipeline->own, pipeline->now_ns, &pipeline->hooks);
	index = flow_sender(flow, sender);
	sender_unref(sender);
	return index;
}

static void on_sender(struct pipeline *pipeline, const struct sender_record *record)
{
	struct flow *flow = pipeline_flow(pipeline, record->flow, record->h.time_ns);

	if (flow)
		flow_add(pipeline, flow,
			 sender_of_record(record, pipeline->processes, &pipeline->hooks));
}

static void on_send(struct pipeline *pipeline, const struct send_record *record)
{
	struct flow *flow = pipeline_flow_of(pipeline, &record->flow, record->h.time_ns);
	struct span data = {record->data, record->data_len};
	bool wire;
	int sender;

	if (!flow)
		return;
	wire = on_wire(pipeline, flow);
	sender = flow_sender_of_task(flow, &record->task);
	if (sender < 0)
		sender = flow_add(pipeline, flow,
				  sender_of_task(&record->task, record->h.time_ns,
						 pipeline->processes, &pipeline->hooks));
	if (record->flags & SEND_SEQ_UNKNOWN) {
		flow_claim_next(flow, sender);
		return;
	}
	if (wire && record->flags & SEND_EXIT && !(record->flags & SEND_UNREADABLE)) {
		flow_claim_cut(flow, record->seq, record->len);
		return;
	}
	if (!wire || record->flags & SEND_ENTRY)
		flow_send_begins(flow, record->seq, wire, record->h.time_ns);
	flow_claim(flow, sender, record->seq, record->len, wire ? data : (struct span){NULL, 0});
	if (!wire)
		flow_bytes(flow, true, record->seq, data, record->len, record->h.time_ns);
}

static void on_segment(struct pipeline *pipeline, const struct segment_record *record)
{
	struct flow *flow = pipeline_flow_of(pipeline, &record->flow, record->h.time_ns);
	bool outbound = record->flags & SEGMENT_OUTBOUND;

	if (!flow)
		return;
	flow_tick(flow, record->h.time_ns);
	flow_bytes(flow, outbound, record->seq, (struct span){record->data, record->data_len},
		   record->len, record->h.time_ns);
	if (record->flow.flags & FLOW_TLS && !flow->tls)
		flow_encrypted(pipeline, flow);
	if (flow->claim_count > 1)
		flow_forget(flow, flow_open_position(flow));
}

static void on_urgent(struct pipeline *pipeline, const struct urgent_record *record)
{
	struct flow *flow = pipeline_flow_of(pipeline, &record->flow, record->h.time_ns);

	if (flow)
		flow_urgent(flow, record->seq);
}

static void on_close(struct pipeline *pipeline, const struct close_record *record)
{
	struct flow *flow = flow_find(pipeline->flows, record->flow.cookie);

	if (!flow)
		return;
	flow_end(pipeline, flow);
	flow_remove(pipeline->flows, flow);
}

/* ---- Other records --------------------------------------------------------------------------- */

static void on_host(struct pipeline *pipeline, const struct host_record *record)
{
	struct event *event;
	char *host = strndup(record->name, record->name_len);

	if (!host)
		return;
	while (pipeline->held_first) /* they have the old name */
		held_write_first(pipeline);
	free(pipeline->host);
	pipeline->host = host;
	pipeline->hook = record->hook < HOOK_COUNT ? (enum hook)record->hook : HOOK_NONE;
	pipeline->wire = record->wire & HOST_WIRE;
	pipeline->own = (struct namespaces){.user = record->ns_user,
					    .pid = record->ns_pid,
					    .mnt = record->ns_mnt,
					    .net = record->ns_net};
	memcpy(&pipeline->boot, record->boot_id, sizeof(pipeline->boot));
	pipeline->beat_ns = pipeline->now_ns;
	event = event_make(pipeline, EVENT_STARTED, record->h.time_ns);
	if (!event)
		return;
	event_identify(pipeline, event->id, record->h.time_ns, EVENT_STARTED, 0);
	event->blind = hook_blind(pipeline->hook, pipeline->wire, record->wire & HOST_PAGES);
	if (pipeline->decider)
		memcpy(event->config_hash, decider_config(pipeline->decider)->sha256,
		       sizeof(event->config_hash));
	event_hold(pipeline, event);
}

/* The kernel side's counters changed, or flows had to leave: what that means is told at once. */
static void loss_tell(struct pipeline *pipeline, const __u64 counters[COUNTER_MAX])
{
	uint64_t evicted = flow_evicted(pipeline->flows);
	struct event_stats lost = {
		.flows_dropped = evicted - pipeline->flows_evicted,
		.content_refused = pipeline->budget.refused - pipeline->stats.content_refused,
		.events_lost = pipeline->outputs_lost,
	};
	bool any = lost.flows_dropped || lost.content_refused || lost.events_lost;
	struct event *event;

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
	event = event_make(pipeline, EVENT_LOSS, pipeline->now_ns);
	if (!event)
		return;
	event_identify(pipeline, event->id, pipeline->now_ns, EVENT_LOSS, 0);
	event->stats = malloc(sizeof(lost));
	if (event->stats)
		*event->stats = lost;
	event_hold(pipeline, event);
}

/* Likewise what was lost on this side alone: no record tells of that. */
static void loss_look(struct pipeline *pipeline)
{
	__u64 counters[COUNTER_MAX];

	if (!pipeline->outputs_lost && flow_evicted(pipeline->flows) == pipeline->flows_evicted &&
	    pipeline->budget.refused == pipeline->stats.content_refused)
		return;
	for (int i = 0; i < COUNTER_MAX; i++)
		counters[i] = pipeline->counters[i];
	loss_tell(pipeline, counters);
}

/* ---- Entry ----------------------------------------------------------------------------------- */

/*
 * Tells a record to whoever keeps it, without the AUTH secrets in it: before the session has taken
 * in these bytes, so that it knows what they will be.
 */
static void record_keep(struct pipeline *pipeline, const struct record *record)
{
	const struct segment_record *segment = (const void *)record;
	const struct send_record *send = (const void *)record;
	struct flow *flow = NULL;
	struct record *copy;

	if (!pipeline->hooks.on_record)
		return;
	if (record->type == RECORD_SEND)
		flow = pipeline_flow(pipeline, send->flow.cookie, record->time_ns);
	else if (record->type == RECORD_SEGMENT)
		flow = pipeline_flow(pipeline, segment->flow.cookie, record->time_ns);
	copy = malloc(record->len);
	if (!copy || (!flow && (record->type == RECORD_SEND || record->type == RECORD_SEGMENT))) {
		pipeline->stats.events_lost++;
		free(copy);
		return;
	}
	memcpy(copy, record, record->len);
	if (record->type == RECORD_SEND)
		mask_send(flow, (void *)copy);
	else if (record->type == RECORD_SEGMENT)
		mask_segment(flow, (void *)copy);
	pipeline->hooks.on_record(pipeline->hooks.context, copy);
	free(copy);
}

void pipeline_record(struct pipeline *pipeline, const struct record *record)
{
	if (!record_valid(record, record->len)) {
		pipeline->stats.records_malformed++;
		return;
	}
	pipeline->stats.records++;
	if (record->time_ns > pipeline->now_ns)
		pipeline->now_ns = record->time_ns;
	record_keep(pipeline, record);
	switch (record->type) {
	case RECORD_EXEC:
	case RECORD_FORK:
	case RECORD_EXIT: process_table_record(pipeline->processes, record); break;
	case RECORD_SENDER: on_sender(pipeline, (const void *)record); break;
	case RECORD_SEND: on_send(pipeline, (const void *)record); break;
	case RECORD_SEGMENT: on_segment(pipeline, (const void *)record); break;
	case RECORD_URGENT: on_urgent(pipeline, (const void *)record); break;
	case RECORD_CLOSE: on_close(pipeline, (const void *)record); break;
	case RECORD_HOST: on_host(pipeline, (const void *)record); break;
	case RECORD_CLOCK:
		pipeline->realtime_offset_ns =
			((const struct clock_record *)record)->realtime_offset_ns;
		break;
	case RECORD_LOSS:
		loss_tell(pipeline, ((const struct loss_record *)record)->counters);
		break;
	case RECORD_RELAY: relay_names_record(pipeline->relay_names, (const void *)record); break;
	case RECORD_NAME:
	case RECORD_HASH:
	case RECORD_CGROUP:
	case RECORD_ACTIVATION:
		names_record(pipeline->names, record);
		held_flush(pipeline);
		break;
	}
}

/* Asks for the addresses of the exclusions' relays, now and then. */
static void want_relays(struct pipeline *pipeline)
{
	const struct config *config = pipeline->decider ? decider_config(pipeline->decider) : NULL;

	if (!config || !pipeline->hooks.want_relay)
		return;
	for (size_t i = 0; i < config->exclusion_count; i++) {
		const struct relays *relays = &config->exclusions[i].relay;

		for (size_t j = 0; j < relays->count; j++) {
			const char *name = relays->items[j].name;

			if (name && relay_names_due(pipeline->relay_names, name, pipeline->now_ns))
				pipeline->hooks.want_relay(pipeline->hooks.context, name);
		}
	}
}

void pipeline_exclude(struct pipeline *pipeline, struct decider *decider)
{
	const struct config *config = decider_config(decider);

	pipeline->decider = decider;
	pipeline->deadline_ns = config->deadline_s * 1000000000ULL;
	pipeline->rules = config->rules;
	pipeline->privacy = &config->privacy;
	pipeline->said_max = config->body_bytes;
	pipeline->content_max = config_wants_content(config) ? config->body_bytes : 0;
	want_relays(pipeline);
}

/* What status and stopped events have in common. */
static void event_take_totals(struct pipeline *pipeline, struct event *event)
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
	struct event *event = event_make(pipeline, EVENT_STATUS, pipeline->now_ns);

	pipeline->beat_ns = pipeline->now_ns;
	pipeline->sequence++;
	if (!event)
		return;
	event_identify(pipeline, event->id, pipeline->now_ns, EVENT_STATUS, pipeline->sequence);
	event->sequence = pipeline->sequence;
	if (pipeline->decider)
		memcpy(event->config_hash, decider_config(pipeline->decider)->sha256,
		       sizeof(event->config_hash));
	event_take_totals(pipeline, event);
	event_hold(pipeline, event);
}

void pipeline_lost(struct pipeline *pipeline, uint64_t events)
{
	pipeline->outputs_lost += events;
}

void pipeline_tick(struct pipeline *pipeline, uint64_t now_ns)
{
	if (now_ns > pipeline->now_ns)
		pipeline->now_ns = now_ns;
	held_flush(pipeline);
	if (pipeline->now_ns - pipeline->expired_ns < 1000000000ULL)
		return;
	pipeline->expired_ns = pipeline->now_ns;
	process_table_expire(pipeline->processes, pipeline->now_ns);
	for (struct flow *flow = flow_oldest(pipeline->flows); flow; flow = flow->newer) {
		flow_tick(flow, pipeline->now_ns);
		flow_look_at_open(pipeline, flow);
	}
	loss_look(pipeline);
	want_relays(pipeline);
	if (pipeline->heartbeat_ns &&
	    pipeline->now_ns - pipeline->beat_ns >= pipeline->heartbeat_ns)
		pipeline_status(pipeline);
}

void pipeline_finish(struct pipeline *pipeline, const char *reason)
{
	struct flow *flow;
	struct event *event;

	while ((flow = flow_oldest(pipeline->flows))) {
		flow_end(pipeline, flow);
		flow_remove(pipeline->flows, flow);
	}
	if (pipeline->hooks.want_counters)
		pipeline->hooks.want_counters(pipeline->hooks.context);
	loss_look(pipeline);
	while (pipeline->held_first) {
		event_fill(pipeline, pipeline->held_first->event);
		held_write_first(pipeline);
	}
	event = event_make(pipeline, EVENT_STOPPED, pipeline->now_ns);
	if (!event)
		return;
	event_identify(pipeline, event->id, pipeline->now_ns, EVENT_STOPPED, 0);
	event->detail = reason;
	event_take_totals(pipeline, event);
	event_write(pipeline, event);
}

struct pipeline *pipeline_new(struct sink *sink, const struct filter *filter,
			      const struct pipeline_hooks *hooks)
{
	struct pipeline *pipeline = calloc(1, sizeof(*pipeline));

	if (!pipeline)
		return NULL;
	pipeline->sink = sink;
	pipeline->filter = *filter;
	pipeline->hooks = *hooks;
	pipeline->hook = HOOK_NONE;
	pipeline->processes = process_table_new();
	pipeline->flows = flow_table_new(on_evict, pipeline);
	pipeline->names = names_new();
	pipeline->relay_names = relay_names_new();
	pipeline->deadline_ns = DEADLINE_NS;
	pipeline->budget.left = CONTENT_BUDGET;
	if (!pipeline->processes || !pipeline->flows || !pipeline->names ||
	    !pipeline->relay_names) {
		pipeline_free(pipeline);
		return NULL;
	}
	return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	while (pipeline->held_first) {
		struct held_event *first = pipeline->held_first;

		pipeline->held_first = first->next;
		event_free(first->event);
		free(first);
	}
	flow_table_free(pipeline->flows);
	process_table_free(pipeline->processes);
	names_free(pipeline->names);
	relay_names_free(pipeline->relay_names);
	submissions_free(pipeline->submissions);
	free(pipeline->host);
	free(pipeline);
}

int pipeline_error(const struct pipeline *pipeline)
{
	return pipeline->error;
}

void pipeline_flushed(struct pipeline *pipeline, int error)
{
	if (error && !pipeline->error)
		pipeline->error = error;
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

const struct relay_names *pipeline_relay_names(const struct pipeline *pipeline)
{
	return pipeline->relay_names;
}
