/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the path of one send.
 *
 *	record --> process table	exec, fork, exit
 *	       --> flow, its senders	sender, send, close
 *	       --> flow, its streams --> SMTP session --> transaction --> event --> held --> sink
 *	       --> names		user names, hashes, cgroups
 *
 * Records are the only input of the pipeline, and their times are its only clock. So a recording
 * gives the same events as the watch that made it. An event is built when its transaction ends
 * (compose.c). It waits in order until the names and the hash of its senders have arrived (hold.c).
 * They were asked for when the sender was first seen, so most are there already.
 */
#include "watch/pipeline.h"

#include <stdlib.h>
#include <string.h>

#include "capture/connections.h"
#include "capture/records.h"
#include "event/join.h"
#include "event/reasons.h"
#include "event/submitters.h"
#include "flow/claims.h"
#include "flow/flow.h"
#include "flow/flow_table.h"
#include "flow/flow_tls.h"
#include "flow/mask.h"
#include "policy/relay_names.h"
#include "policy/verdict.h"
#include "process/sender.h"
#include "watch/pipeline_state.h"

#define DEADLINE_NS    60000000000ULL
#define CONTENT_BUDGET (64U << 20) /* bytes of all messages' content together */

/* ---- Events of a flow ------------------------------------------------------------------------ */

/* A transaction has ended. Called from within flow_bytes() or smtp_session_close(). */
static void on_transaction(void *context, struct smtp_transaction *transaction)
{
	struct flow *flow = context;
	struct pipeline *pipeline = flow->owner;
	struct event *event;

	if (transaction->doubtful && flow->provisional != transaction->number) {
		smtp_transaction_free(transaction);
		return;
	}
	flow->messages++;
	flow->recipients += transaction->recipient_count;
	flow->bytes += transaction->bytes;
	event = compose_message(pipeline, flow, transaction);
	if (!event)
		return;
	origin_connection(pipeline, event);
	hold_event(pipeline, event);
}

static void session_end(struct pipeline *pipeline, const struct flow *flow, uint64_t end_ns)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);
	struct event *event;

	pipeline->stats.quoted += facts->quoted;
	if (facts->replies_surplus)
		hold_take_surplus(pipeline, flow->id.cookie, facts->replies_surplus);
	if (!compose_is_session(flow))
		return;
	event = compose_session(pipeline, flow, end_ns);
	if (!event)
		return;
	if (pipeline->rules)
		event_scan(event, pipeline->rules, (struct span){flow->said.data, flow->said.len});
	hold_event(pipeline, event);
}

/* ---- Records of flows ------------------------------------------------------------------------ */

/*
 * The key of the flow that a record's key means. The plaintext that a library passed on belongs to
 * the flow of its socket. That of TLS in the kernel, of which only one direction is seen, is a flow
 * of its own.
 */
static uint64_t flow_key(const struct pipeline *pipeline, uint64_t key)
{
	const struct flow *flow;

	if (!flow_key_is_plaintext(key))
		return key;
	flow = flow_find(pipeline->flows, key ^ FLOW_KEY_PLAINTEXT);
	return flow && flow->plain ? flow->id.cookie : key;
}

static struct flow *pipeline_flow(struct pipeline *pipeline, uint64_t key, uint64_t time_ns)
{
	struct flow *flow = flow_get(pipeline->flows, flow_key(pipeline, key), time_ns);

	if (!flow)
		return NULL;
	if (!flow->smtp) {
		flow->owner = pipeline;
		flow->smtp =
			smtp_session_new(compose_on_wire(pipeline, flow), on_transaction, flow);
		if (pipeline->pacing && !flow->pace)
			flow->pace = pace_new();
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
	if (!flow->id.remote_port && compose_is_mid_stream(id))
		smtp_session_mid_stream(flow->smtp);
	if (!flow->id.remote_port && !(id->flags & FLOW_FROM_START))
		smtp_session_under_way(flow->smtp, is_plain_mail_port(id->remote_port));
	if (!flow->plain)
		flow_identify(pipeline->flows, flow, id);
	else if (!flow_key_is_plaintext(id->cookie))
		return NULL; /* what is left of the ciphertext */
	return flow;
}

static void flow_end(struct pipeline *pipeline, struct flow *flow, uint64_t end_ns)
{
	if (flow->smtp) {
		flow_finish(flow, end_ns);
		pipeline->stats.mid_stream += open_is_older(flow);
		encrypted_end(pipeline, flow, end_ns);
		smtp_session_close(flow->smtp, end_ns);
		session_end(pipeline, flow, end_ns);
	}
	if (pipeline->keep)
		keep_flow_end(pipeline, flow);
}

/* Reports an open transaction as incomplete: the bytes that follow will not be matched with it. */
static void on_evict(void *context, struct flow *flow)
{
	const struct pipeline *pipeline = context;

	if (flow->smtp && smtp_oldest_open_position(flow->smtp) != UINT64_MAX) {
		smtp_client_gap(flow->smtp, 0, pipeline->now_ns);
		smtp_server_gap(flow->smtp, 0, pipeline->now_ns);
	}
	flow_end(context, flow, pipeline->now_ns);
}

/* Adds the sender to the flow; returns its index, or -1. Takes the caller's reference. */
static int flow_add(struct pipeline *pipeline, struct flow *flow, struct sender *sender)
{
	int index;

	if (!sender)
		return -1;
	sender_fill(sender, pipeline->names, &pipeline->own, pipeline->now_ns,
		    &pipeline->hooks.want);
	index = flow_sender(flow, sender);
	sender_unref(sender);
	return index;
}

/* Waits for the sender record that follows. One that does not come leaves it to be replaced. */
static void on_directory(struct pipeline *pipeline, const struct directory_record *record)
{
	struct flow *flow = pipeline_flow(pipeline, record->flow, record->h.time_ns);

	if (!flow)
		return;
	free(flow->directory);
	flow->directory = malloc(record->h.len);
	if (flow->directory)
		memcpy(flow->directory, record, record->h.len);
}

static void on_sender(struct pipeline *pipeline, const struct sender_record *record)
{
	struct flow *flow = pipeline_flow(pipeline, record->flow, record->h.time_ns);
	struct sender *sender;

	if (!flow)
		return;
	sender = sender_of_record(record, pipeline->processes, &pipeline->hooks.want);
	if (sender && flow->directory)
		sender_stands(sender, flow->directory);
	free(flow->directory);
	flow->directory = NULL;
	flow_add(pipeline, flow, sender);
}

static void on_send(struct pipeline *pipeline, const struct send_record *record)
{
	struct flow *flow = pipeline_flow_of(pipeline, &record->flow, record->h.time_ns);
	struct span data = {record->data, record->data_len};
	bool wire;
	int sender;

	if (!flow)
		return;
	wire = compose_on_wire(pipeline, flow);
	sender = flow_sender_of_task(flow, &record->task);
	if (sender < 0)
		sender = flow_add(pipeline, flow,
				  sender_of_task(&record->task, record->h.time_ns,
						 pipeline->processes, &pipeline->hooks.want));
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
	if (!outbound && record->flow.flags & FLOW_SKIPPED)
		smtp_session_skipped(flow->smtp);
	flow_bytes(flow, outbound, record->seq, (struct span){record->data, record->data_len},
		   record->len, record->h.time_ns);
	encrypted_segment(pipeline, flow, record);
	if (flow->claim_count > 1)
		flow_forget(flow, flow_open_position(flow));
}

/*
 * A connection that was sending when the watch began. Until one of its own records comes, nothing
 * else of it is used: it may have begun just after the hooks were attached.
 */
static void on_connection(struct pipeline *pipeline, const struct connection_record *record)
{
	struct flow *flow = pipeline_flow(pipeline, record->flow.cookie, record->h.time_ns);

	if (!flow || flow->id.remote_port)
		return;
	if (record->queued >= CONNECTIONS_QUEUED_MIN && !flow->queued &&
	    is_plain_mail_port(record->flow.remote_port))
		flow->queued = malloc(sizeof(*flow->queued));
	if (flow->queued)
		*flow->queued = record->flow;
	if (record->task.pid)
		flow_add(pipeline, flow,
			 sender_of_task(&record->task, record->h.time_ns, pipeline->processes,
					&pipeline->hooks.want));
}

/* Whether the session has read nothing but a ClientHello, as if it were lines. */
static bool began_as_tls(const struct flow *flow)
{
	const struct smtp_facts *facts = smtp_session_facts(flow->smtp);

	return flow->id.flags & FLOW_FROM_START && !facts->greeting_seen && !facts->commands_seen;
}

/* From now on the bytes of the flow are those that the library passes on. */
static void on_tls(struct pipeline *pipeline, const struct tls_record *record)
{
	struct flow_id id = record->flow;
	struct flow *flow;

	id.cookie ^= FLOW_KEY_PLAINTEXT;
	flow = flow_find(pipeline->flows, id.cookie);
	if (!flow || !flow->id.remote_port)
		flow = pipeline_flow_of(pipeline, &id, record->h.time_ns);
	if (!flow || !flow->smtp)
		return;
	flow_restart(flow);
	if (began_as_tls(flow)) {
		flow_forget_session(flow);
		if (!pipeline_flow(pipeline, id.cookie, record->h.time_ns))
			return;
	}
	smtp_session_tls_begins(flow->smtp);
	flow_joined(flow, record);
}

static void on_count(struct pipeline *pipeline, const struct count_record *record)
{
	struct flow *flow = flow_find(pipeline->flows, flow_key(pipeline, record->flow.cookie));

	if (flow && flow->plain)
		flow_counted(flow, record);
}

static void on_urgent(struct pipeline *pipeline, const struct urgent_record *record)
{
	struct flow *flow = pipeline_flow_of(pipeline, &record->flow, record->h.time_ns);

	if (flow)
		flow_urgent(flow, record->seq);
}

static void on_close(struct pipeline *pipeline, const struct close_record *record)
{
	struct flow *flow = flow_find(pipeline->flows, flow_key(pipeline, record->flow.cookie));

	if (!flow)
		return;
	if (record->h.len == sizeof(*record)) {
		flow->bytes_sent = record->sent;
		flow->bytes_received = record->received;
	}
	flow_end(pipeline, flow, record->h.time_ns);
	flow_remove(pipeline->flows, flow);
}

/* ---- Other records --------------------------------------------------------------------------- */

static void on_host(struct pipeline *pipeline, const struct host_record *record)
{
	struct previous_run previous = {.end = RUN_NONE};
	struct event *event;
	char *host = strndup(record->name, record->name_len);

	if (!host)
		return;
	while (pipeline->held_first) /* they carry the old name */
		hold_write_first(pipeline);
	free(pipeline->host);
	pipeline->host = host;
	pipeline->hook = record->hook < HOOK_COUNT ? (enum hook)record->hook : HOOK_NONE;
	pipeline->wire = record->wire & HOST_WIRE;
	pipeline->tls = record->wire & HOST_TLS;
	pipeline->own = (struct namespaces){.user = record->ns_user,
					    .pid = record->ns_pid,
					    .mnt = record->ns_mnt,
					    .net = record->ns_net};
	memcpy(&pipeline->boot, record->boot_id, sizeof(pipeline->boot));
	pipeline->beat_ns = pipeline->watched_ns = pipeline->now_ns;
	event = compose_event(pipeline, EVENT_STARTED, record->h.time_ns);
	if (!event)
		return;
	compose_id(pipeline, event->id, record->h.time_ns, EVENT_STARTED, 0);
	event->blind = hook_blind(pipeline->blind, pipeline->hook, pipeline->wire,
				  record->wire & HOST_PAGES, pipeline->tls);
	if (pipeline->decider)
		memcpy(event->config_hash, decider_policy(pipeline->decider)->sha256,
		       sizeof(event->config_hash));
	if (pipeline->previous)
		previous = *pipeline->previous;
	event->previous = pipeline->previous;
	pipeline->previous = NULL;
	hold_event(pipeline, event);
	totals_unwatched(pipeline, &previous);
}

/* ---- Entry ----------------------------------------------------------------------------------- */

/* The flow whose bytes a record has, or announces; 0: none. */
static uint64_t cookie_of(const struct record *record)
{
	switch (record->type) {
	case RECORD_SEND: return ((const struct send_record *)record)->flow.cookie;
	case RECORD_SEGMENT: return ((const struct segment_record *)record)->flow.cookie;
	case RECORD_URGENT: return ((const struct urgent_record *)record)->flow.cookie;
	case RECORD_TLS:
		return ((const struct tls_record *)record)->flow.cookie ^ FLOW_KEY_PLAINTEXT;
	case RECORD_COUNT:
		return ((const struct count_record *)record)->flow.cookie ^ FLOW_KEY_PLAINTEXT;
	case RECORD_CONNECTION: return ((const struct connection_record *)record)->flow.cookie;
	default: return 0;
	}
}

/*
 * Keeps a copy of the record, with AUTH secrets masked, for the recording. This comes before the
 * session reads these bytes, because the session's state tells which of them are secret.
 */
static void record_keep(struct pipeline *pipeline, const struct record *record)
{
	uint64_t cookie = cookie_of(record);
	struct flow *flow = cookie ? pipeline_flow(pipeline, cookie, record->time_ns) : NULL;
	struct record *copy = malloc(record->len);

	if (record->type == RECORD_CLOSE)
		flow = flow_find(pipeline->flows,
				 flow_key(pipeline,
					  ((const struct close_record *)record)->flow.cookie));
	if (!copy || (cookie && !flow)) {
		pipeline->stats.events_lost++;
		free(copy);
		return;
	}
	memcpy(copy, record, record->len);
	if (record->type == RECORD_SEND)
		mask_send(flow, (void *)copy);
	else if (record->type == RECORD_SEGMENT)
		mask_segment(flow, (void *)copy);
	keep_record(pipeline, flow, copy);
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
	if (pipeline->keep)
		record_keep(pipeline, record);
	switch (record->type) {
	case RECORD_EXEC:
		process_table_record(pipeline->processes, record);
		if (((const struct exec_record *)record)->flags & EXEC_SNAPSHOT)
			origin_older(pipeline, (const void *)record);
		break;
	case RECORD_FORK: process_table_record(pipeline->processes, record); break;
	case RECORD_EXIT:
		process_table_record(pipeline->processes, record);
		origin_exit(pipeline, (const void *)record);
		break;
	case RECORD_SUBMISSION: origin_submission(pipeline, (const void *)record); break;
	case RECORD_SENDER: on_sender(pipeline, (const void *)record); break;
	case RECORD_DIRECTORY: on_directory(pipeline, (const void *)record); break;
	case RECORD_SEND: on_send(pipeline, (const void *)record); break;
	case RECORD_SEGMENT: on_segment(pipeline, (const void *)record); break;
	case RECORD_URGENT: on_urgent(pipeline, (const void *)record); break;
	case RECORD_TLS: on_tls(pipeline, (const void *)record); break;
	case RECORD_COUNT: on_count(pipeline, (const void *)record); break;
	case RECORD_CLOSE: on_close(pipeline, (const void *)record); break;
	case RECORD_HOST: on_host(pipeline, (const void *)record); break;
	case RECORD_CLOCK: origin_clock(pipeline, (const void *)record); break;
	case RECORD_LOSS:
		totals_lost(pipeline, ((const struct loss_record *)record)->counters);
		break;
	case RECORD_DROPPED: totals_dropped(pipeline, (const void *)record); break;
	case RECORD_CONNECTION: on_connection(pipeline, (const void *)record); break;
	case RECORD_RUN: totals_previous_run(pipeline, (const void *)record); break;
	case RECORD_HEALTH: health_take(pipeline, (const void *)record); break;
	case RECORD_RELAY: relay_names_record(pipeline->relay_names, (const void *)record); break;
	case RECORD_NAME:
	case RECORD_HASH:
	case RECORD_CGROUP:
	case RECORD_ACCOUNTS:
	case RECORD_ACTIVATION:
		names_record(pipeline->names, record);
		hold_flush(pipeline);
		break;
	}
	if (pipeline->keep && (record->type == RECORD_SEND || record->type == RECORD_CONNECTION))
		keep_look(pipeline, flow_find(pipeline->flows, cookie_of(record)));
}

void pipeline_tick(struct pipeline *pipeline, uint64_t now_ns)
{
	if (now_ns > pipeline->now_ns)
		pipeline->now_ns = now_ns;
	hold_flush(pipeline);
	if (pipeline->keep)
		keep_tick(pipeline);
	if (pipeline->now_ns - pipeline->expired_ns < 1000000000ULL)
		return;
	pipeline->expired_ns = pipeline->now_ns;
	process_table_expire(pipeline->processes, pipeline->now_ns);
	for (struct flow *flow = flow_oldest(pipeline->flows); flow; flow = flow->newer) {
		flow_tick(flow, pipeline->now_ns);
		open_look(pipeline, flow);
		open_look_at_commands(pipeline, flow);
		encrypted_look(pipeline, flow);
	}
	origin_tell(pipeline, false);
	totals_check(pipeline);
	pacing_report(pipeline, false);
	joining_flush(pipeline, false);
	exclude_want_relays(pipeline);
	if (pipeline->heartbeat_ns &&
	    pipeline->now_ns - pipeline->beat_ns >= pipeline->heartbeat_ns)
		pipeline_status(pipeline);
}

void pipeline_finish(struct pipeline *pipeline, const char *reason)
{
	struct flow *flow;
	struct event *event;

	while ((flow = flow_oldest(pipeline->flows))) {
		smtp_session_cut(flow->smtp);
		flow_end(pipeline, flow, pipeline->now_ns);
		flow_remove(pipeline->flows, flow);
	}
	if (pipeline->keep)
		keep_finish(pipeline);
	if (pipeline->hooks.want_counters)
		pipeline->hooks.want_counters(pipeline->hooks.context);
	origin_tell(pipeline, true);
	totals_check(pipeline);
	while (pipeline->held_first) {
		compose_fill(pipeline, pipeline->held_first->event);
		hold_write_first(pipeline);
	}
	joining_flush(pipeline, true);
	pacing_report(pipeline, true);
	event = compose_event(pipeline, EVENT_STOPPED, pipeline->now_ns);
	if (!event)
		return;
	compose_id(pipeline, event->id, pipeline->now_ns, EVENT_STOPPED, 0);
	event->detail = reason;
	totals_take(pipeline, event);
	hold_write(pipeline, event);
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
	pipeline->content_max = filter_wants_content(filter) ? POLICY_BODY_BYTES : 0;
	pipeline->budget.left = CONTENT_BUDGET;
	pipeline->keep = hooks->on_record ? keep_new() : NULL;
	if ((hooks->on_record && !pipeline->keep) || !pipeline->processes || !pipeline->flows ||
	    !pipeline->names || !pipeline->relay_names) {
		pipeline_free(pipeline);
		return NULL;
	}
	return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	hold_free(pipeline);
	while (pipeline->keep && flow_oldest(pipeline->flows)) {
		keep_flow_end(pipeline, flow_oldest(pipeline->flows));
		flow_remove(pipeline->flows, flow_oldest(pipeline->flows));
	}
	flow_table_free(pipeline->flows);
	keep_free(pipeline->keep);
	process_table_free(pipeline->processes);
	names_free(pipeline->names);
	relay_names_free(pipeline->relay_names);
	submissions_free(pipeline->submissions);
	submitters_free(pipeline->submitters);
	join_free(pipeline->join);
	pacing_free(pipeline->pacing);
	free(pipeline->host);
	free(pipeline->previous);
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
