/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events as JSON, one object a line, with ECS 9 names (docs/event.schema.json has them all). A
 * field that is not known is left out. The line is written from front to back, without a tree in
 * between: building and printing one took 60 of the 75 microseconds that a message cost.
 */
#include "format/format.h"

#include <stdio.h>
#include <string.h>

#include "policy/exclusion.h"
#include "process/image.h"
#include "base/json.h"
#include "base/text.h"

#define ECS_VERSION "9.0.0"
#define DATASET	    "smtpsnoop.events"

/* ---- Small pieces ---------------------------------------------------------------------------- */

/* A string that is left out if it is empty or NULL. */
static void known(struct text *out, const char *name, const char *string)
{
	if (is_known(string))
		json_bytes(out, name, span_of(string));
}

static void time_at(struct text *out, const char *name, int64_t realtime_ns)
{
	char time[TIME_LEN];

	text_time(time, realtime_ns);
	json_word(out, name, time);
}

/* ECS keeps ids as strings: "id":"1000". */
static void id(struct text *out, uint32_t number)
{
	json_number_string(out, "id", number);
}

/* An object that holds an id and nothing else. */
static void id_object(struct text *out, const char *name, uint32_t number)
{
	json_open(out, name);
	id(out, number);
	json_close(out);
}

static void list(struct text *out, const char *name, const char *const *strings, size_t count)
{
	json_open_list(out, name);
	for (size_t i = 0; i < count; i++)
		json_word(out, NULL, strings[i]);
	json_close_list(out);
}

/* ---- event.* --------------------------------------------------------------------------------- */

static void write_types(struct text *out, const struct event *event)
{
	static const char *const flow_category[] = {"email", "network"},
				 *const own_category[] = {"process"}, *const flow_type[] = {"info"},
				 *const end_type[] = {"connection", "end"},
				 *const start[] = {"start"}, *const end[] = {"end"};

	if (event->has_flow)
		list(out, "category", flow_category, 2);
	else
		list(out, "category", own_category, 1);
	if (event->action == EVENT_SESSION)
		list(out, "type", end_type, 2);
	else if (event->action == EVENT_STARTED)
		list(out, "type", start, 1);
	else
		list(out, "type", event->action == EVENT_STOPPED ? end : flow_type, 1);
}

static void write_event(struct text *out, const struct event *event)
{
	time_at(out, "@timestamp", event->time_ns);
	json_open(out, "ecs");
	json_word(out, "version", ECS_VERSION);
	json_close(out);
	json_open(out, "event");
	json_word(out, "id", event->id);
	json_word(out, "kind", event_kind(event));
	json_word(out, "action", event_action_name(event->action));
	json_word(out, "dataset", DATASET);
	write_types(out, event);
	known(out, "reason", event->detail);
	if (event->has_flow) {
		time_at(out, "start", event->start_ns);
		time_at(out, "end", event->end_ns);
		json_number(out, "duration",
			    event->end_ns > event->start_ns
				    ? (uint64_t)event->end_ns - (uint64_t)event->start_ns
				    : 0);
		if (event->transaction)
			json_word(out, "outcome", smtp_outcome_name(event->transaction->outcome));
		if (event->verdict == VERDICT_ALERT) {
			json_number(out, "severity", event_risk(event));
			json_number(out, "risk_score", event_risk(event));
		}
	}
	json_close(out);
	if (!event->host || !event->host[0])
		return;
	json_open(out, "host");
	known(out, "name", event->host);
	json_close(out);
}

/* ---- smtp.* ---------------------------------------------------------------------------------- */

static void write_recipients(struct text *out, const struct smtp_transaction *transaction)
{
	uint32_t refused = 0;

	json_number(out, "rcpt_count",
		    transaction->recipient_count + transaction->recipients_dropped);
	json_open_list(out, "rcpt_to");
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		json_bytes(out, NULL, smtp_transaction_recipient(transaction, i));
		refused += smtp_recipient_refused(transaction, i);
	}
	json_close_list(out);
	if (refused) {
		json_open_list(out, "rcpt_refused");
		for (uint32_t i = 0; i < transaction->recipient_count; i++) {
			if (smtp_recipient_refused(transaction, i))
				json_bytes(out, NULL, smtp_transaction_recipient(transaction, i));
		}
		json_close_list(out);
	}
	if (transaction->recipients_dropped)
		json_number(out, "rcpt_dropped", transaction->recipients_dropped);
}

static void write_transaction(struct text *out, const struct smtp_transaction *transaction)
{
	if (!transaction->from_unknown)
		json_bytes(out, "mail_from", smtp_transaction_from(transaction));
	write_recipients(out, transaction);
	if (transaction->parameters_len)
		json_bytes(out, "mail_parameters", smtp_transaction_parameters(transaction));
	json_number(out, "transaction", transaction->number);
	json_number(out, "bytes", transaction->bytes);
	if (origin_queue_id(transaction).len)
		json_bytes(out, "queue_id", origin_queue_id(transaction));
	if (!transaction->reply_code)
		return;
	json_open(out, "last_reply");
	json_number(out, "code", transaction->reply_code);
	json_bytes(out, "text", (struct span){transaction->reply_text, transaction->reply_len});
	json_close(out);
}

static void write_facts(struct text *out, const struct smtp_facts *facts)
{
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN) {
		json_bytes(out, "helo", (struct span){facts->helo, facts->helo_len});
		json_word(out, "protocol", smtp_protocol_name(facts->protocol));
	}
	if (facts->auth_mechanism_len) {
		json_open(out, "auth");
		json_bytes(out, "mechanism",
			   (struct span){facts->auth_mechanism, facts->auth_mechanism_len});
		if (facts->auth_user_len)
			json_bytes(out, "user",
				   (struct span){facts->auth_user, facts->auth_user_len});
		json_word(out, "outcome", event_auth_outcome(facts));
		json_close(out);
	}
	json_bool(out, "starttls", facts->starttls);
}

static void write_addresses(struct text *out, const char *name, const struct mail *mail,
			    enum mail_address_kind kind)
{
	bool any = false;

	for (uint32_t i = 0; i < mail->address_count; i++) {
		if (mail->addresses[i].kind != kind)
			continue;
		if (!any) {
			json_open(out, name);
			json_open_list(out, "address");
		}
		any = true;
		json_bytes(out, NULL, mail_span(mail, mail->addresses[i].address));
	}
	if (!any)
		return;
	json_close_list(out);
	json_close(out);
}

static void write_string(struct text *out, const char *name, const struct mail *mail,
			 struct mail_string string)
{
	if (string.len)
		json_bytes(out, name, mail_span(mail, string));
}

static void write_attachments(struct text *out, const struct mail *mail)
{
	json_open_list(out, "attachments");
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		const struct mail_attachment *attachment = &mail->attachments[i];

		json_open(out, NULL);
		json_open(out, "file");
		write_string(out, "name", mail, attachment->name);
		write_string(out, "mime_type", mail, attachment->type);
		json_number(out, "size", attachment->size);
		json_close(out);
		json_close(out);
	}
	json_close_list(out);
}

static void write_email(struct text *out, const struct mail *mail)
{
	json_open(out, "email");
	write_addresses(out, "from", mail, MAIL_FROM);
	write_addresses(out, "to", mail, MAIL_TO);
	write_addresses(out, "cc", mail, MAIL_CC);
	write_addresses(out, "reply_to", mail, MAIL_REPLY_TO);
	write_string(out, "subject", mail, mail->subject);
	write_string(out, "message_id", mail, mail->message_id);
	write_string(out, "x_mailer", mail, mail->x_mailer);
	if (mail->has_date)
		time_at(out, "origination_timestamp", mail->date_s * 1000000000LL);
	if (mail->attachment_count)
		write_attachments(out, mail);
	json_close(out);
}

static void write_smtp(struct text *out, const struct event *event)
{
	json_open(out, "smtp");
	json_word(out, "session_id", event->session_id);
	if (event->transaction)
		write_transaction(out, event->transaction);
	if (event->session)
		write_facts(out, event->session);
	json_close(out);
}

static void write_rule(struct text *out, const struct event *event)
{
	const char *techniques[EVENT_TECHNIQUES_MAX];
	const char *rule = event_rule(event);

	if (event->rule_count) {
		json_open(out, "rule");
		known(out, "name", event->rules[0].name);
		if (is_known(event->rules[0].author)) {
			json_open_list(out, "author");
			json_bytes(out, NULL, span_of(event->rules[0].author));
			json_close_list(out);
		}
		known(out, "description", event->rules[0].description);
		known(out, "version", event->rules[0].version);
		json_close(out);
	} else if (rule) {
		json_open(out, "rule");
		json_word(out, "name", rule);
		json_close(out);
	}
	if (event->verdict != VERDICT_ALERT)
		return;
	json_open(out, "threat");
	json_open(out, "technique");
	list(out, "id", techniques, event_techniques(event, techniques));
	json_close(out);
	json_close(out);
}

/* ---- Network --------------------------------------------------------------------------------- */

static void write_endpoint(struct text *out, const char *name, const struct endpoint *endpoint)
{
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	json_open(out, name);
	json_word(out, "ip", address);
	json_number(out, "port", endpoint->port);
	json_close(out);
}

static void write_network(struct text *out, const struct event *event)
{
	bool lmtp = event->session && event->session->protocol == SMTP_PROTOCOL_LMTP;
	char community[EVENT_COMMUNITY_LEN];

	write_endpoint(out, "source", &event->source);
	write_endpoint(out, "destination", &event->destination);
	json_open(out, "network");
	json_word(out, "transport", "tcp");
	json_word(out, "type", address_is_ipv4(event->destination.addr) ? "ipv4" : "ipv6");
	json_word(out, "protocol", lmtp ? "lmtp" : "smtp");
	json_word(out, "direction", "egress");
	if (event_community_id(event, community))
		json_word(out, "community_id", community);
	json_close(out);
	if (!event->tls && !event->server_name)
		return;
	json_open(out, "tls");
	if (event->tls)
		json_bool(out, "established", true);
	if (event->server_name) {
		json_open(out, "client");
		json_bytes(out, "server_name", span_of(event->server_name));
		json_close(out);
	}
	json_close(out);
}

/* ---- process.*, user.* ----------------------------------------------------------------------- */

/*
 * How long strings of a process may be as they are written: what the kernel side keeps of one fits,
 * unless it was blown up with characters that are escaped. An attacker gets an event of his process
 * for a few bytes that he sends.
 */
struct reach {
	size_t path, args, ancestor;
};

static const struct reach first_reach = {.path = 4096, .args = 8192, .ancestor = 1024},
			  other_reach = {.path = 1024, .args = 2048, .ancestor = 256};

static void write_args(struct text *out, const struct image *image, const struct reach *reach)
{
	struct text line = {0};
	size_t start;

	json_open_list(out, "args");
	start = out->len;
	for (size_t at = 0; at < image->args_len;) {
		struct span arg = {image->args + at,
				   strnlen(image->args + at, image->args_len - at)};

		if (out->len - start >= reach->args) {
			out->cut = true;
			break;
		}
		json_bytes_max(out, NULL, arg, reach->args - (out->len - start));
		at += arg.len + 1;
	}
	json_close_list(out);
	image_command_line(image, &line);
	if (line.len)
		json_bytes_max(out, "command_line", (struct span){line.data, line.len},
			       reach->args);
	out->failed = out->failed || line.failed;
	text_free(&line);
}

static void write_image(struct text *out, const struct image *image, size_t max)
{
	if (!image)
		return;
	json_bytes_max(out, "name", text_basename(span_of(image->executable)), max);
	json_bytes_max(out, "executable", span_of(image->executable), max);
}

static void write_process_id(struct text *out, uint32_t pid, uint64_t start_ns,
			     int64_t boot_to_real_ns)
{
	char entity[EVENT_ENTITY_LEN];

	json_number(out, "pid", pid);
	time_at(out, "start", (int64_t)(start_ns + (uint64_t)boot_to_real_ns));
	event_entity_id(entity, pid, start_ns);
	json_word(out, "entity_id", entity);
}

static void write_parent(struct text *out, const struct sender *sender, const struct reach *reach)
{
	if (!sender->ancestor_count)
		return;
	json_open(out, "parent");
	json_number(out, "pid", sender->ancestors[0].pid);
	write_image(out, sender->ancestors[0].image, reach->path);
	json_close(out);
}

static void write_tty(struct text *out, const struct sender *sender)
{
	if (!sender->full)
		return;
	json_bool(out, "interactive", sender->tty_major || sender->tty_minor);
	if (!sender->tty_major && !sender->tty_minor)
		return;
	json_open(out, "tty");
	json_open(out, "char_device");
	json_number(out, "major", sender->tty_major);
	json_number(out, "minor", sender->tty_minor);
	json_close(out);
	json_close(out);
}

static void write_process(struct text *out, const struct sender *sender, int64_t boot_to_real_ns,
			  const struct reach *reach)
{
	const struct image *image = sender->image;

	json_open(out, "process");
	write_process_id(out, sender->task.pid, sender->task.start_ns, boot_to_real_ns);
	json_open(out, "thread");
	json_number(out, "id", sender->task.tid);
	json_close(out);
	if (!image)
		json_bytes(out, "name", sender_comm(sender));
	write_image(out, image, reach->path);
	if (image) {
		write_args(out, image, reach);
		json_bytes_max(out, "working_directory", span_of(image->directory), reach->path);
	}
	if (sender->sha256[0]) {
		json_open(out, "hash");
		json_word(out, "sha256", sender->sha256);
		json_close(out);
	}
	if (sender->task.uid != sender->task.euid)
		id_object(out, "real_user", sender->task.uid);
	if (sender->task.gid != sender->task.egid)
		id_object(out, "real_group", sender->task.gid);
	write_parent(out, sender, reach);
	write_tty(out, sender);
	json_close(out);
}

static void write_user(struct text *out, const struct sender *sender)
{
	json_open(out, "user");
	id(out, sender->task.euid);
	known(out, "name", sender->user);
	json_open(out, "group");
	id(out, sender->task.egid);
	known(out, "name", sender->group);
	json_close(out);
	if (sender->task.loginuid != LOGINUID_NONE) {
		json_open(out, "audit");
		id(out, sender->task.loginuid);
		known(out, "name", sender->audit_user);
		json_close(out);
	}
	json_close(out);
}

static void write_units(struct text *out, const struct sender *sender)
{
	if (is_known(sender->unit) || is_known(sender->user_unit)) {
		json_open(out, "systemd");
		known(out, "unit", sender->unit);
		known(out, "user_unit", sender->user_unit);
		json_close(out);
	}
	if (is_known(sender->container)) {
		json_open(out, "container");
		known(out, "id", sender->container);
		json_close(out);
	}
}

static void write_sender(struct text *out, const struct sender *sender, int64_t boot_to_real_ns,
			 const struct reach *reach)
{
	write_process(out, sender, boot_to_real_ns, reach);
	write_user(out, sender);
	write_units(out, sender);
}

/* ---- smtpsnoop.* ----------------------------------------------------------------------------- */

static void write_ancestry(struct text *out, const struct sender *sender, const struct reach *reach)
{
	if (!sender->full)
		return;
	json_open_list(out, "ancestry");
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		json_open(out, NULL);
		json_number(out, "pid", sender->ancestors[i].pid);
		id_object(out, "user", sender->ancestors[i].uid);
		write_image(out, sender->ancestors[i].image, reach->ancestor);
		json_bool(out, "exe_verified",
			  image_is_verified(sender->ancestors[i].image, !sender->ancestors[i].uid));
		json_close(out);
	}
	json_close_list(out);
}

/* What ECS has no name for. */
static void write_own_process(struct text *out, const struct sender *sender,
			      const struct reach *reach)
{
	const struct image *image = sender->image;

	json_open(out, "process");
	json_bytes(out, "comm", sender_comm(sender));
	write_ancestry(out, sender, reach);
	known(out, "cgroup", sender->cgroup);
	if (image) {
		json_word(out, "exe_source", image->flags & EXEC_SNAPSHOT ? "snapshot" : "exec");
		if (is_known(image->script))
			json_bytes_max(out, "script", span_of(image->script), reach->path);
		json_bool(out, "exe_deleted", sender->exe_deleted);
		json_bool(out, "exe_memfd", image->flags & EXEC_MEMFD);
		json_bool(out, "exe_verified",
			  image_is_verified(image, !sender->task.uid && !sender->task.euid));
		json_bool(out, "exe_swapped", sender->exe_swapped);
	}
	if (sender->own_namespaces != NOT_KNOWN)
		json_bool(out, "own_namespaces", sender->own_namespaces == IS_SO);
	if (sender->scheduler != SCHEDULER_NOT_KNOWN)
		json_word(out, "scheduled_by", scheduler_name(sender->scheduler));
	json_close(out);
}

static void write_lost(struct text *out, const struct event_stats *stats)
{
	json_open(out, "lost");
	json_number(out, "malformed_records", stats->records_malformed);
	json_number(out, "flows", stats->flows_dropped);
	json_number(out, "events", stats->events_lost);
	json_number(out, "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		json_number(out, counter_name((enum counter)i), stats->counters[i]);
	json_close(out);
}

static void write_stats(struct text *out, const struct event_stats *stats, enum event_action action)
{
	json_open(out, "stats");
	if (action != EVENT_LOSS) {
		json_number(out, "messages", stats->messages);
		json_number(out, "recipients", stats->recipients);
		json_number(out, "bytes", stats->bytes);
	}
	if (action != EVENT_LOSS && action != EVENT_SESSION) {
		json_number(out, "alerts", stats->alerts);
		json_number(out, "excluded", stats->excluded);
		json_number(out, "sessions", stats->sessions);
		json_number(out, "encrypted", stats->encrypted);
		json_number(out, "unattributed", stats->unattributed);
		json_number(out, "quoted", stats->quoted);
		json_number(out, "records", stats->records);
	}
	if (action != EVENT_SESSION)
		write_lost(out, stats);
	json_close(out);
}

static void write_capture(struct text *out, const struct event *event)
{
	size_t blind = 0;

	json_open(out, "capture");
	json_word(out, "hook", event->capture.hook ? event->capture.hook : "none");
	if (event->has_flow) {
		json_word(out, "layer", event->capture.ktls ? "ktls" : "socket");
		json_word(out, "witness", event_witness_name(event->capture.witness));
		json_bool(out, "complete", event->capture.complete);
		json_number(out, "missing_bytes", event->capture.missing_bytes);
		json_bool(out, "mid_stream", event->capture.mid_stream);
		json_bool(out, "senders_complete", !event->senders_incomplete);
	} else {
		json_bool(out, "wire", event->capture.wire);
	}
	while (event->blind && event->blind[blind])
		blind++;
	if (event->blind)
		list(out, "blind", event->blind, blind);
	json_close(out);
}

static void write_senders(struct text *out, const struct event *event)
{
	if (event->sender_count)
		write_own_process(out, event->senders[0], &first_reach);
	if (event->sender_count < 2)
		return;
	json_open_list(out, "senders");
	for (uint32_t i = 0; i < event->sender_count; i++) {
		json_open(out, NULL);
		write_sender(out, event->senders[i], event->boot_to_real_ns, &other_reach);
		json_open(out, "smtpsnoop");
		write_own_process(out, event->senders[i], &other_reach);
		json_close(out);
		json_close(out);
	}
	json_close_list(out);
}

static void write_origin(struct text *out, const struct origin *origin)
{
	json_open(out, "origin");
	if (origin->has_uid)
		json_number_string(out, "uid", origin->uid);
	if (origin->user[0])
		json_bytes(out, "user", span_of(origin->user));
	json_word(out, "mta", origin->mta);
	if (origin->queue_id[0])
		json_word(out, "queue_id", origin->queue_id);
	if (origin->submission[0])
		json_word(out, "submission", origin->submission);
	json_close(out);
}

static void write_proxy(struct text *out, const struct preamble *proxy)
{
	json_open(out, "proxy");
	json_word(out, "protocol", event_proxy_protocol(proxy));
	json_bytes(out, "target", (struct span){proxy->target, proxy->target_len});
	json_number(out, "hops", proxy->hops);
	json_close(out);
}

static void write_criteria(struct text *out, const char *name, uint32_t criteria)
{
	json_open_list(out, name);
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criteria & 1U << i)
			json_word(out, NULL, criterion_name((enum criterion)i));
	}
	json_close_list(out);
}

static void write_nearest(struct text *out, const struct event *event)
{
	json_open(out, "nearest");
	known(out, "name", event->nearest);
	write_criteria(out, "failed", event->failed);
	if (event->unknown)
		write_criteria(out, "unknown", event->unknown);
	json_close(out);
}

/* What each exclusion has let pass since it was first read. */
static void write_let_pass(struct text *out, const struct event *event)
{
	json_open_list(out, "exclusions");
	for (size_t i = 0; i < event->let_pass_count; i++) {
		json_open(out, NULL);
		known(out, "name", event->let_pass[i].name);
		json_number(out, "messages", event->let_pass[i].passed.messages);
		json_number(out, "recipients", event->let_pass[i].passed.recipients);
		json_number(out, "bytes", event->let_pass[i].passed.bytes);
		json_close(out);
	}
	json_close_list(out);
}

/* Each output of the daemon. */
static void write_outputs(struct text *out, const struct event *event)
{
	json_open_list(out, "outputs");
	for (size_t i = 0; i < event->output_count; i++) {
		const struct event_output *output = &event->outputs[i];

		json_open(out, NULL);
		json_bytes(out, "name", span_of(output->name));
		json_bool(out, "up", output->up);
		json_number(out, "written", output->written);
		json_number(out, "lost", output->lost);
		json_number(out, "waiting", output->waiting);
		json_close(out);
	}
	json_close_list(out);
}

static void write_own(struct text *out, const struct event *event)
{
	json_open(out, "smtpsnoop");
	json_word(out, "version", VERSION);
	write_capture(out, event);
	if (event->config_hash[0]) {
		json_open(out, "config");
		json_word(out, "sha256", event->config_hash);
		json_close(out);
	}
	if (event->stats)
		write_stats(out, event->stats, event->action);
	if (event->let_pass)
		write_let_pass(out, event);
	if (event->action == EVENT_STATUS)
		json_number(out, "sequence", event->sequence);
	if (event->outputs)
		write_outputs(out, event);
	if (event->has_flow) {
		if (event->verdict != VERDICT_NONE)
			json_word(out, "verdict", event_verdict_name(event->verdict));
		if (event->rule_count) {
			json_open_list(out, "rules");
			for (size_t i = 0; i < event->rule_count; i++)
				json_bytes(out, NULL, span_of(event->rules[i].name));
			json_close_list(out);
		}
		known(out, "exclusion", event->exclusion);
		if (event->nearest)
			write_nearest(out, event);
		json_bool(out, "final", !event->provisional);
		if (event->reason_count)
			list(out, "reasons", event->reasons, event->reason_count);
		write_senders(out, event);
		if (event->origin)
			write_origin(out, event->origin);
		if (event->session && event->session->proxy.hops)
			write_proxy(out, &event->session->proxy);
	}
	if (out->cut)
		json_bool(out, "truncated", true);
	json_close(out);
}

/* ---- The whole ------------------------------------------------------------------------------- */

void event_json(struct text *out, const struct event *event)
{
	json_open(out, NULL);
	write_event(out, event);
	if (event->has_flow) {
		write_smtp(out, event);
		if (event->transaction && event->transaction->mail)
			write_email(out, event->transaction->mail);
		write_rule(out, event);
		write_network(out, event);
		if (event->sender_count)
			write_sender(out, event->senders[0], event->boot_to_real_ns, &first_reach);
	}
	write_own(out, event);
	json_close(out);
}
