/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The one walk over an event (fields.h has the theory). Each function reads one part of the event
 * and puts in the fields that are known. Which format shows a field is not decided here; where two
 * formats show the same thing in two ways, both fields are put in.
 */
#include "format/walk.h"

#include <string.h>

#include "format/event_sentence.h"

#define ECS_VERSION "9.0.0"
#define DATASET	    "smtpsnoop.events"

void fields_begin(struct fields *fields)
{
	memset(fields->known, 0, sizeof(fields->known));
	fields->command_line = (struct text){0};
}

void fields_end(struct fields *fields)
{
	text_free(&fields->command_line);
}

/* ---- The event ------------------------------------------------------------------------------- */

static void put_types(struct fields *fields, const struct event *event)
{
	static const char *const flow_category[] = {"email", "network"},
				 *const own_category[] = {"process"}, *const flow_type[] = {"info"},
				 *const end_type[] = {"connection", "end"},
				 *const start[] = {"start"}, *const end[] = {"end"};

	if (event->has_flow)
		put_words(fields, FIELD_CATEGORY, flow_category, 2);
	else if (event->action == EVENT_SUBMISSION)
		put_words(fields, FIELD_CATEGORY, flow_category, 1);
	else
		put_words(fields, FIELD_CATEGORY, own_category, 1);
	if (event->action == EVENT_SESSION)
		put_words(fields, FIELD_TYPE, end_type, 2);
	else if (event->action == EVENT_STARTED)
		put_words(fields, FIELD_TYPE, start, 1);
	else
		put_words(fields, FIELD_TYPE, event->action == EVENT_STOPPED ? end : flow_type, 1);
}

static void put_event(struct fields *fields, const struct event *event)
{
	put_time(fields, FIELD_TIMESTAMP, event->time_ns);
	put_word(fields, FIELD_ECS_VERSION, ECS_VERSION);
	put_word(fields, FIELD_EVENT_ID, event->id);
	put_word(fields, FIELD_EVENT_KIND, event_kind(event));
	put_word(fields, FIELD_ACTION, event_action_name(event->action));
	put_word(fields, FIELD_DATASET, DATASET);
	put_types(fields, event);
	put_string_known(fields, FIELD_DETAIL, event->detail);
	put_string_known(fields, FIELD_HOST, event->host);
	put_word(fields, FIELD_VERSION, VERSION);
	put_word(fields, FIELD_HOOK, event->capture.hook ? event->capture.hook : "none");
	put_word_known(fields, FIELD_CONFIG_HASH, event->config_hash);
	put(fields, FIELD_TRUNCATED);
}

static void put_times(struct fields *fields, const struct event *event)
{
	uint64_t duration_ns = event->end_ns > event->start_ns
				       ? (uint64_t)event->end_ns - (uint64_t)event->start_ns
				       : 0;

	put_time(fields, FIELD_START, event->start_ns);
	put_time(fields, FIELD_END, event->end_ns);
	put_number(fields, FIELD_DURATION_NS, duration_ns);
	put_number(fields, FIELD_DURATION_MS, duration_ns / 1000000);
}

/* ---- What was decided ------------------------------------------------------------------------ */

static void put_criteria(struct fields *fields, enum field field, struct criteria criteria,
			 const char *names[CRITERION_COUNT])
{
	size_t count = 0;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criteria_have(criteria, (enum criterion)i))
			names[count++] = criterion_name((enum criterion)i);
	}
	put_words(fields, field, names, count);
}

static bool next_rule(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct event *event = of;

	(void)scratch;
	if (*at >= event->rule_count)
		return false;
	*item = span_of(event->rules[(*at)++].name);
	return true;
}

/* ECS has a list of authors; a rule names one. */
static bool next_author(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct rule *rule = of;

	(void)scratch;
	*item = span_of(rule->author);
	return (*at)++ == 0;
}

static void put_rule(struct fields *fields, const struct event *event)
{
	const struct rule *first = event->rules;

	put_string_known(fields, FIELD_RULE_NAME, event_rule(event));
	if (!event->rule_count)
		return;
	put(fields, FIELD_RULE);
	put_list(fields, FIELD_RULE_NAMES, next_rule, event);
	if (is_known(first->author))
		put_list(fields, FIELD_RULE_AUTHOR, next_author, first);
	put_string_known(fields, FIELD_RULE_DESCRIPTION, first->description);
	put_string_known(fields, FIELD_RULE_VERSION, first->version);
}

static void put_joined(struct fields *fields, const struct event_joined *joined)
{
	size_t differ = 0;

	put_number(fields, FIELD_JOINED_COUNT, joined->count);
	put_time(fields, FIELD_JOINED_FIRST, joined->first_ns);
	put_time(fields, FIELD_JOINED_LAST, joined->last_ns);
	put_number(fields, FIELD_JOINED_RECIPIENTS, joined->recipients);
	put_number(fields, FIELD_JOINED_BYTES, joined->bytes);
	for (uint32_t i = 0; i < joined->id_count; i++)
		fields->joined_ids[i] = joined->ids[i];
	put_words(fields, FIELD_JOINED_IDS, fields->joined_ids, joined->id_count);
	for (int i = 0; i < JOINED_PART_COUNT; i++) {
		if (joined->differ & 1U << i)
			fields->joined_differ[differ++] = joined_part_name((enum joined_part)i);
	}
	if (differ)
		put_words(fields, FIELD_JOINED_DIFFER, fields->joined_differ, differ);
}

static void put_decision(struct fields *fields, const struct event *event)
{
	if (event->verdict != VERDICT_NONE)
		put_word(fields, FIELD_VERDICT, event_verdict_name(event->verdict));
	put_bool(fields, FIELD_FINAL, !event->provisional);
	if (event_result(event))
		put_word(fields, FIELD_RESULT, event_result(event));
	if (event->transaction)
		put_word(fields, FIELD_OUTCOME, smtp_outcome_name(event->transaction->outcome));
	if (event->verdict == VERDICT_ALERT) {
		put_number(fields, FIELD_SEVERITY, event_risk(event));
		put_number(fields, FIELD_RISK, event_risk(event));
		put_words(fields, FIELD_TECHNIQUES, fields->techniques,
			  event_techniques(event, fields->techniques));
	}
	if (event->reason_count)
		put_words(fields, FIELD_REASONS, event->reasons, event->reason_count);
	put_string_known(fields, FIELD_EXCLUSION, event->exclusion);
	if (event->nearest) {
		put_string_known(fields, FIELD_NEAREST, event->nearest);
		put_criteria(fields, FIELD_NEAREST_FAILED, event->failed, fields->failed);
		if (event->unknown.bits)
			put_criteria(fields, FIELD_NEAREST_UNKNOWN, event->unknown,
				     fields->unknown);
	}
	put_rule(fields, event);
	if (event->joined)
		put_joined(fields, event->joined);
}

/* ---- The connection -------------------------------------------------------------------------- */

static void put_tls(struct fields *fields, const struct event *event)
{
	uint16_t version = event->tls_server.version;

	put_bool(fields, FIELD_TLS, event->tls);
	if (event->server_name)
		put_bytes(fields, FIELD_SERVER_NAME, span_of(event->server_name));
	if (!version)
		return;
	if (hello_version(version)) {
		put_word(fields, FIELD_TLS_VERSION, hello_version(version));
		put_word(fields, FIELD_TLS_PROTOCOL, hello_protocol(version));
	}
	hello_cipher(fields->tls_cipher, event->tls_server.cipher);
	put_word(fields, FIELD_TLS_CIPHER, fields->tls_cipher);
}

static void put_network(struct fields *fields, const struct event *event, enum field_format format)
{
	bool lmtp = event->session && event->session->protocol == SMTP_PROTOCOL_LMTP;

	put(fields, FIELD_SOURCE_IP)->ip = event->source.addr;
	put_number(fields, FIELD_SOURCE_PORT, event->source.port);
	if (event->source_bytes || event->destination_bytes) {
		put_number(fields, FIELD_SOURCE_BYTES, event->source_bytes);
		put_number(fields, FIELD_DESTINATION_BYTES, event->destination_bytes);
	}
	put(fields, FIELD_DESTINATION_IP)->ip = event->destination.addr;
	put_number(fields, FIELD_DESTINATION_PORT, event->destination.port);
	put_word(fields, FIELD_TRANSPORT, "tcp");
	put_word(fields, FIELD_NETWORK_TYPE,
		 address_is_ipv4(event->destination.addr) ? "ipv4" : "ipv6");
	put_word(fields, FIELD_NETWORK_PROTOCOL, lmtp ? "lmtp" : "smtp");
	put_word(fields, FIELD_DIRECTION, "egress");
	if (format != FIELDS_JOURNAL && event_community_id(event, fields->community_id))
		put_word(fields, FIELD_COMMUNITY_ID, fields->community_id);
	put_tls(fields, event);
}

static void put_capture(struct fields *fields, const struct event_capture *capture)
{
	put_word(fields, FIELD_LAYER, capture->layer);
	put_word(fields, FIELD_WITNESS, event_witness_name(capture->witness));
	put_bool(fields, FIELD_COMPLETE, capture->complete);
	put_number(fields, FIELD_MISSING_BYTES, capture->missing_bytes);
	put_bool(fields, FIELD_MID_STREAM, capture->mid_stream);
}

/* ---- The watch itself ------------------------------------------------------------------------ */

static void put_stats(struct fields *fields, const struct event_stats *stats,
		      enum event_action action)
{
	if (action != EVENT_SESSION || stats->events_left_out) {
		put(fields, FIELD_LOST)->counts = stats;
		put_number(fields, FIELD_LOST_COUNT, event_lost(stats));
		put_number(fields, FIELD_LOST_BYTES, event_lost_bytes(stats));
	}
	if (action == EVENT_LOSS)
		return;
	put_number(fields, FIELD_MESSAGES, stats->messages);
	put_number(fields, FIELD_RECIPIENTS, stats->recipients);
	put_number(fields, FIELD_TOTAL_BYTES, stats->bytes);
	if (action == EVENT_SESSION)
		return;
	put_number(fields, FIELD_ALERTS, stats->alerts);
	put_number(fields, FIELD_EXCLUDED, stats->excluded);
	put_number(fields, FIELD_SESSIONS, stats->sessions);
	put_number(fields, FIELD_CARRYING, stats->carrying);
	put_number(fields, FIELD_TOTAL_COMMAND_BYTES, stats->command_bytes);
	put_number(fields, FIELD_ENCRYPTED, stats->encrypted);
	put_number(fields, FIELD_UNATTRIBUTED, stats->unattributed);
	if (stats->joined)
		put_number(fields, FIELD_JOINED, stats->joined);
	put_number(fields, FIELD_QUOTED, stats->quoted);
	put_number(fields, FIELD_MID_STREAMS, stats->mid_stream);
	put_number(fields, FIELD_INCOMPLETE, stats->incomplete);
	put_number(fields, FIELD_RECORDS, stats->records);
}

static bool dropped(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;
	const struct event_dropped *one = &event->dropped[at];

	if (at >= event->dropped_count)
		return false;
	put_number(element, FIELD_DROPPED_UID, one->uid);
	put_string_known(element, FIELD_DROPPED_USER, one->name);
	put_bool(element, FIELD_DROPPED_CONTAINED, one->contained);
	put_number(element, FIELD_DROPPED_BYTES, one->bytes);
	return true;
}

static bool let_pass(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;
	const struct let_pass *one = &event->let_pass[at];

	if (at >= event->let_pass_count)
		return false;
	put_string_known(element, FIELD_LET_PASS_NAME, one->name);
	put_number(element, FIELD_LET_PASS_MESSAGES, one->passed.messages);
	put_number(element, FIELD_LET_PASS_RECIPIENTS, one->passed.recipients);
	put_number(element, FIELD_LET_PASS_BYTES, one->passed.bytes);
	return true;
}

static bool output(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;
	const struct event_output *one = &event->outputs[at];

	if (at >= event->output_count)
		return false;
	put_bytes(element, FIELD_OUTPUT_NAME, span_of(one->name));
	put_bool(element, FIELD_OUTPUT_UP, one->up);
	put_number(element, FIELD_OUTPUT_WRITTEN, one->written);
	put_number(element, FIELD_OUTPUT_LOST, one->lost);
	put_number(element, FIELD_OUTPUT_WAITING, one->waiting);
	return true;
}

/* "syslog: down, 120 written, 3 lost, 17 waiting". */
static bool next_output(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct event *event = of;
	const struct event_output *one;

	if (*at >= event->output_count)
		return false;
	one = &event->outputs[(*at)++];
	text_clear(scratch);
	text_add_format(scratch, "%.64s: %s, %llu written, %llu lost, %llu waiting", one->name,
			one->up ? "up" : "down", (unsigned long long)one->written,
			(unsigned long long)one->lost, (unsigned long long)one->waiting);
	*item = (struct span){scratch->data, scratch->len};
	return true;
}

static void put_previous_run(struct fields *fields, const struct previous_run *previous)
{
	put_word(fields, FIELD_PREVIOUS_HOW, event_previous_how(previous));
	if (previous->end == RUN_NONE || previous->end == RUN_UNKNOWN)
		return;
	put_time(fields, FIELD_PREVIOUS_END, previous->ended_ns);
	put_bool(fields, FIELD_PREVIOUS_REBOOTED, previous->rebooted);
	if (!previous->unwatched_ns)
		return;
	put_number(fields, FIELD_UNWATCHED_NS, previous->unwatched_ns);
	put_number(fields, FIELD_UNWATCHED_MS, previous->unwatched_ns / 1000000);
}

static void put_watch(struct fields *fields, const struct event *event)
{
	size_t blind = 0;

	put_bool(fields, FIELD_WIRE, event->capture.wire);
	if (event->capture.checked_ns)
		put_time(fields, FIELD_CHECKED, event->capture.checked_ns);
	if (event->reason_count)
		put_words(fields, FIELD_REASONS, event->reasons, event->reason_count);
	while (event->blind && event->blind[blind])
		blind++;
	if (event->blind)
		put_words(fields, FIELD_BLIND, event->blind, blind);
	if (event->dropped)
		put_records(fields, FIELD_DROPPED, dropped, event);
	if (event->let_pass)
		put_records(fields, FIELD_LET_PASS, let_pass, event);
	if (event->previous)
		put_previous_run(fields, event->previous);
	if (event->start_ns != event->end_ns) /* a span in which something was lost */
		put_times(fields, event);
	if (event->action == EVENT_STATUS)
		put_number(fields, FIELD_SEQUENCE, event->sequence);
	if (!event->outputs)
		return;
	put_records(fields, FIELD_OUTPUTS, output, event);
	put_list(fields, FIELD_OUTPUT_LINES, next_output, event);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void put_flow(struct fields *fields, const struct event *event, enum field_format format)
{
	put_times(fields, event);
	put_decision(fields, event);
	put_word(fields, FIELD_SESSION_ID, event->session_id);
	if (event->session)
		walk_session(fields, event->session, event->tls && event->capture.mid_stream);
	if (event->session && event->action == EVENT_SESSION) {
		put_number(fields, FIELD_COMMAND_BYTES, event->session->command_bytes);
		put_number(fields, FIELD_REPLY_BYTES, event->session->reply_bytes);
	}
	if (event->transaction)
		walk_transaction(fields, event->transaction);
	put_network(fields, event, format);
	put_capture(fields, &event->capture);
	walk_senders(fields, event);
	if (event->origin)
		walk_origin(fields, event);
}

static void put_submission(struct fields *fields, const struct event *event)
{
	put_times(fields, event);
	put_decision(fields, event);
	walk_senders(fields, event);
	if (event->origin)
		walk_origin(fields, event);
}

void fields_of_event(struct fields *fields, const struct event *event, enum field_format format)
{
	fields_begin(fields);
	put_event(fields, event);
	if (event->has_flow)
		put_flow(fields, event, format);
	else if (event->action == EVENT_SUBMISSION)
		put_submission(fields, event);
	else
		put_watch(fields, event);
	if (event->stats)
		put_stats(fields, event->stats, event->action);
}
