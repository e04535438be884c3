/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events as JSON, one object a line, with ECS 9 names (docs/event.schema.json has them all). A field
 * that is not known is left out; a string that others chose is made valid UTF-8 first.
 */
#include "event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <openssl/evp.h>

#include "text.h"

#define ECS_VERSION "9.0.0"
#define DATASET	    "smtpsnoop.events"

struct json_sink {
	struct sink sink;
	FILE *out;
	struct text text; /* scratch */
};

/* ---- Small pieces --------------------------------------------------------------------------- */

/* The object `name` of `parent`, made if it is not there. */
static json_t *section(json_t *parent, const char *name)
{
	json_t *child = json_object_get(parent, name);

	if (!child) {
		child = json_object();
		json_object_set_new(parent, name, child);
	}
	return child;
}

static json_t *string_of(struct json_sink *sink, struct span bytes)
{
	text_clear(&sink->text);
	text_add_utf8(&sink->text, bytes);
	return json_stringn(sink->text.data ? sink->text.data : "", sink->text.len);
}

static void set_bytes(struct json_sink *sink, json_t *object, const char *name, struct span bytes)
{
	json_object_set_new(object, name, string_of(sink, bytes));
}

/* A string that is left out if it is empty or NULL. */
static void set_known(struct json_sink *sink, json_t *object, const char *name, const char *string)
{
	if (string && string[0])
		set_bytes(sink, object, name, span_of(string));
}

static void set_string(json_t *object, const char *name, const char *string)
{
	json_object_set_new(object, name, json_string(string));
}

static void set_number(json_t *object, const char *name, uint64_t number)
{
	json_object_set_new(object, name, json_integer((json_int_t)number));
}

static void set_bool(json_t *object, const char *name, bool value)
{
	json_object_set_new(object, name, json_boolean(value));
}

static void set_time(json_t *object, const char *name, int64_t realtime_ns)
{
	char time[TIME_LEN];

	text_time(time, realtime_ns);
	set_string(object, name, time);
}

/* ECS keeps ids as strings. */
static void set_id(json_t *object, uint32_t id)
{
	char text[16];

	snprintf(text, sizeof(text), "%u", id);
	set_string(object, "id", text);
}

static json_t *list_of(const char *const *strings, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		json_array_append_new(list, json_string(strings[i]));
	return list;
}

/* ---- event.* -------------------------------------------------------------------------------- */

static const char *kind_of(const struct event *event)
{
	switch (event->action) {
	case EVENT_STARTED:
	case EVENT_STOPPED: return "state";
	case EVENT_STATUS: return "metric";
	default: return event->has_flow && event->verdict == VERDICT_ALERT ? "alert" : "event";
	}
}

static void set_types(json_t *object, const struct event *event)
{
	static const char *const flow_category[] = {"email", "network"}, *const own_category[] = {"process"},
				 *const flow_type[] = {"info"}, *const end_type[] = {"connection", "end"},
				 *const start[] = {"start"}, *const end[] = {"end"}, *const info[] = {"info"};

	json_object_set_new(object, "category",
			    event->has_flow ? list_of(flow_category, 2) : list_of(own_category, 1));
	if (event->action == EVENT_SESSION)
		json_object_set_new(object, "type", list_of(end_type, 2));
	else if (event->has_flow)
		json_object_set_new(object, "type", list_of(flow_type, 1));
	else
		json_object_set_new(object, "type",
				    list_of(event->action == EVENT_STARTED   ? start
					    : event->action == EVENT_STOPPED ? end
									     : info,
					    1));
}

static const char *outcome_name(enum smtp_outcome outcome)
{
	return outcome == SMTP_OUTCOME_SUCCESS	 ? "success"
	       : outcome == SMTP_OUTCOME_FAILURE ? "failure"
						 : "unknown";
}

/* Severity and risk on the scales that Elastic and Sentinel use: 47 is medium, 21 low. */
static void set_severity(json_t *object, const struct event *event)
{
	unsigned int risk = event->capture.witness == WITNESS_DIFFER ? 73 : 47;

	if (event->transaction && event->transaction->outcome == SMTP_OUTCOME_FAILURE && risk == 47)
		risk = 21;
	set_number(object, "severity", risk);
	set_number(object, "risk_score", risk);
}

static void write_event(struct json_sink *sink, json_t *root, const struct event *event)
{
	json_t *object = section(root, "event");

	set_time(root, "@timestamp", event->time_ns);
	set_string(section(root, "ecs"), "version", ECS_VERSION);
	set_string(object, "id", event->id);
	set_string(object, "kind", kind_of(event));
	set_string(object, "action", event_action_name(event->action));
	set_string(object, "dataset", DATASET);
	set_types(object, event);
	if (event->host && event->host[0])
		set_known(sink, section(root, "host"), "name", event->host);
	set_known(sink, object, "reason", event->detail);
	if (!event->has_flow)
		return;
	set_time(object, "start", event->start_ns);
	set_time(object, "end", event->end_ns);
	set_number(object, "duration",
		   event->end_ns > event->start_ns ? (uint64_t)(event->end_ns - event->start_ns) : 0);
	if (event->transaction)
		set_string(object, "outcome", outcome_name(event->transaction->outcome));
	if (event->verdict == VERDICT_ALERT)
		set_severity(object, event);
}

/* ---- smtp.* --------------------------------------------------------------------------------- */

static void write_recipients(struct json_sink *sink, json_t *object,
			     const struct smtp_transaction *transaction)
{
	json_t *all = json_array(), *refused = json_array();

	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		json_t *address = string_of(sink, smtp_transaction_recipient(transaction, i));

		json_array_append(all, address);
		if (smtp_recipient_refused(transaction, i))
			json_array_append(refused, address);
		json_decref(address);
	}
	json_object_set_new(object, "rcpt_to", all);
	if (json_array_size(refused))
		json_object_set(object, "rcpt_refused", refused);
	json_decref(refused);
	if (transaction->recipients_dropped)
		set_number(object, "rcpt_dropped", transaction->recipients_dropped);
}

static void write_transaction(struct json_sink *sink, json_t *object,
			      const struct smtp_transaction *transaction)
{
	json_t *reply;

	set_bytes(sink, object, "mail_from", smtp_transaction_from(transaction));
	write_recipients(sink, object, transaction);
	if (transaction->parameters_len)
		set_bytes(sink, object, "mail_parameters", smtp_transaction_parameters(transaction));
	set_number(object, "transaction", transaction->number);
	set_number(object, "bytes", transaction->bytes);
	if (!transaction->reply_code)
		return;
	reply = section(object, "last_reply");
	set_number(reply, "code", transaction->reply_code);
	set_bytes(sink, reply, "text", (struct span){transaction->reply_text, transaction->reply_len});
}

static void write_smtp(struct json_sink *sink, json_t *root, const struct event *event)
{
	static const char *const protocols[] = {[SMTP_PROTOCOL_SMTP] = "smtp",
						[SMTP_PROTOCOL_ESMTP] = "esmtp",
						[SMTP_PROTOCOL_LMTP] = "lmtp"};
	const struct smtp_facts *facts = event->session;
	json_t *object = section(root, "smtp");

	set_string(object, "session_id", event->session_id);
	if (event->transaction)
		write_transaction(sink, object, event->transaction);
	if (!facts)
		return;
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN) {
		set_bytes(sink, object, "helo", (struct span){facts->helo, facts->helo_len});
		set_string(object, "protocol", protocols[facts->protocol]);
	}
	if (facts->auth_mechanism_len)
		set_bytes(sink, section(object, "auth"), "mechanism",
			  (struct span){facts->auth_mechanism, facts->auth_mechanism_len});
	set_bool(object, "starttls", facts->starttls);
	if (facts->mail_from_seen && facts->rcpt_to_seen)
		set_string(section(root, "rule"), "name", "network_smtp_raw");
}

static void write_threat(json_t *root, const struct event *event)
{
	static const char *const plain[] = {"T1048.003", "T1071.003"}, *const encrypted[] = {"T1048.002",
											     "T1071.003"};

	if (event->verdict != VERDICT_ALERT)
		return;
	json_object_set_new(section(section(root, "threat"), "technique"), "id",
			    list_of(event->tls ? encrypted : plain, 2));
}

/* ---- Network -------------------------------------------------------------------------------- */

/*
 * Community ID version 1 with seed 0, for a TCP flow: the ends in order of address and port, so that
 * both directions give the same (https://github.com/corelight/community-id-spec).
 */
static void set_community_id(json_t *network, const struct endpoint *source,
			     const struct endpoint *destination)
{
	bool v4 = address_is_ipv4(source->addr);
	size_t len = v4 ? 4 : 16, skip = 16 - len, at = 2;
	int order = memcmp(source->addr + skip, destination->addr + skip, len);
	unsigned char input[64] = {0, 0}, sha1[EVP_MAX_MD_SIZE], base64[40];
	unsigned int sha1_len = 0;
	const struct endpoint *ends[2];
	char id[48];

	if (order == 0)
		order = (int)source->port - (int)destination->port;
	ends[0] = order <= 0 ? source : destination;
	ends[1] = order <= 0 ? destination : source;
	for (int i = 0; i < 2; i++, at += len)
		memcpy(input + at, ends[i]->addr + skip, len);
	input[at++] = 6; /* TCP */
	input[at++] = 0;
	for (int i = 0; i < 2; i++) {
		input[at++] = (unsigned char)(ends[i]->port >> 8);
		input[at++] = (unsigned char)ends[i]->port;
	}
	if (EVP_Digest(input, at, sha1, &sha1_len, EVP_sha1(), NULL) != 1)
		return;
	EVP_EncodeBlock(base64, sha1, (int)sha1_len);
	snprintf(id, sizeof(id), "1:%s", (const char *)base64);
	set_string(network, "community_id", id);
}

static void write_endpoint(json_t *root, const char *name, const struct endpoint *endpoint)
{
	json_t *object = section(root, name);
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	set_string(object, "ip", address);
	set_number(object, "port", endpoint->port);
}

static void write_network(json_t *root, const struct event *event)
{
	json_t *network = section(root, "network");
	bool lmtp = event->session && event->session->protocol == SMTP_PROTOCOL_LMTP;

	write_endpoint(root, "source", &event->source);
	write_endpoint(root, "destination", &event->destination);
	set_string(network, "transport", "tcp");
	set_string(network, "type", address_is_ipv4(event->destination.addr) ? "ipv4" : "ipv6");
	set_string(network, "protocol", lmtp ? "lmtp" : "smtp");
	set_string(network, "direction", "egress");
	set_community_id(network, &event->source, &event->destination);
	if (event->tls)
		set_bool(section(root, "tls"), "established", true);
	if (event->server_name)
		set_string(section(section(root, "tls"), "client"), "server_name", event->server_name);
}

/* ---- process.*, user.* ---------------------------------------------------------------------- */

static void write_args(struct json_sink *sink, json_t *process, const struct image *image)
{
	json_t *args = json_array();
	struct text line = {0};

	for (size_t at = 0; at < image->args_len;) {
		struct span arg = {image->args + at, strnlen(image->args + at, image->args_len - at)};

		json_array_append_new(args, string_of(sink, arg));
		if (at)
			text_add_string(&line, " ");
		text_add(&line, arg);
		at += arg.len + 1;
	}
	json_object_set_new(process, "args", args);
	if (line.len)
		set_bytes(sink, process, "command_line", (struct span){line.data, line.len});
	text_free(&line);
}

static void write_image(struct json_sink *sink, json_t *process, const struct image *image)
{
	if (!image)
		return;
	set_bytes(sink, process, "name", text_basename(span_of(image->executable)));
	set_bytes(sink, process, "executable", span_of(image->executable));
}

static void write_process_id(json_t *process, uint32_t pid, uint64_t start_ns, int64_t boot_to_real_ns)
{
	char id[32];

	set_number(process, "pid", pid);
	set_time(process, "start", (int64_t)start_ns + boot_to_real_ns);
	snprintf(id, sizeof(id), "%08x-%016llx", pid, (unsigned long long)start_ns);
	set_string(process, "entity_id", id);
}

static void write_parent(struct json_sink *sink, json_t *process, const struct sender *sender)
{
	json_t *parent;

	if (!sender->ancestor_count)
		return;
	parent = section(process, "parent");
	set_number(parent, "pid", sender->ancestors[0].pid);
	write_image(sink, parent, sender->ancestors[0].image);
}

static void write_tty(json_t *process, const struct sender *sender)
{
	json_t *device;

	if (!sender->full)
		return;
	set_bool(process, "interactive", sender->tty_major || sender->tty_minor);
	if (!sender->tty_major && !sender->tty_minor)
		return;
	device = section(section(process, "tty"), "char_device");
	set_number(device, "major", sender->tty_major);
	set_number(device, "minor", sender->tty_minor);
}

static void write_process(struct json_sink *sink, json_t *process, const struct sender *sender,
			  int64_t boot_to_real_ns)
{
	const struct image *image = sender->image;

	write_process_id(process, sender->task.pid, sender->task.start_ns, boot_to_real_ns);
	set_number(section(process, "thread"), "id", sender->task.tid);
	if (!image)
		set_bytes(sink, process, "name",
			  (struct span){sender->task.comm, strnlen(sender->task.comm, COMM_LEN)});
	write_image(sink, process, image);
	if (image) {
		write_args(sink, process, image);
		set_bytes(sink, process, "working_directory", span_of(image->directory));
	}
	if (sender->sha256[0])
		set_string(section(process, "hash"), "sha256", sender->sha256);
	if (sender->task.uid != sender->task.euid)
		set_id(section(process, "real_user"), sender->task.uid);
	write_parent(sink, process, sender);
	write_tty(process, sender);
}

static void write_user(struct json_sink *sink, json_t *user, const struct sender *sender)
{
	set_id(user, sender->task.euid);
	set_known(sink, user, "name", sender->user);
	set_id(section(user, "group"), sender->task.egid);
	if (sender->task.loginuid == LOGINUID_NONE)
		return;
	set_id(section(user, "audit"), sender->task.loginuid);
	set_known(sink, section(user, "audit"), "name", sender->audit_user);
}

static void write_ancestry(struct json_sink *sink, json_t *own, const struct sender *sender)
{
	json_t *ancestry = json_array();

	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		json_t *ancestor = json_object();

		set_number(ancestor, "pid", sender->ancestors[i].pid);
		write_image(sink, ancestor, sender->ancestors[i].image);
		json_array_append_new(ancestry, ancestor);
	}
	if (sender->full)
		json_object_set(own, "ancestry", ancestry);
	json_decref(ancestry);
}

/* What ECS has no name for. */
static void write_own_process(struct json_sink *sink, json_t *own, const struct sender *sender)
{
	const struct image *image = sender->image;

	set_bytes(sink, own, "comm", (struct span){sender->task.comm, strnlen(sender->task.comm, COMM_LEN)});
	write_ancestry(sink, own, sender);
	set_known(sink, own, "cgroup", sender->cgroup);
	if (!image)
		return;
	set_string(own, "exe_source", image->flags & EXEC_SNAPSHOT ? "snapshot" : "exec");
	set_known(sink, own, "script", image->script);
	set_bool(own, "exe_deleted", sender->exe_deleted);
	set_bool(own, "exe_memfd", image->flags & EXEC_MEMFD);
}

static void write_units(struct json_sink *sink, json_t *root, const struct sender *sender)
{
	if (sender->unit && sender->unit[0])
		set_known(sink, section(root, "systemd"), "unit", sender->unit);
	if (sender->user_unit && sender->user_unit[0])
		set_known(sink, section(root, "systemd"), "user_unit", sender->user_unit);
	if (sender->container && sender->container[0])
		set_known(sink, section(root, "container"), "id", sender->container);
}

static void write_senders(struct json_sink *sink, json_t *root, const struct event *event)
{
	json_t *list;

	if (!event->sender_count)
		return;
	write_process(sink, section(root, "process"), event->senders[0], event->boot_to_real_ns);
	write_user(sink, section(root, "user"), event->senders[0]);
	write_units(sink, root, event->senders[0]);
	write_own_process(sink, section(section(root, "smtpsnoop"), "process"), event->senders[0]);
	if (event->sender_count == 1)
		return;
	list = json_array();
	for (uint32_t i = 0; i < event->sender_count; i++) {
		json_t *object = json_object();

		write_process(sink, section(object, "process"), event->senders[i], event->boot_to_real_ns);
		write_user(sink, section(object, "user"), event->senders[i]);
		write_units(sink, object, event->senders[i]);
		json_array_append_new(list, object);
	}
	json_object_set_new(section(root, "smtpsnoop"), "senders", list);
}

/* ---- smtpsnoop.* ---------------------------------------------------------------------------- */

static void write_stats(json_t *own, const struct event_stats *stats, enum event_action action)
{
	json_t *object = section(own, "stats"), *lost;

	if (action != EVENT_LOSS) {
		set_number(object, "messages", stats->messages);
		set_number(object, "recipients", stats->recipients);
		set_number(object, "bytes", stats->bytes);
	}
	if (action == EVENT_SESSION)
		return;
	if (action != EVENT_LOSS) {
		set_number(object, "alerts", stats->alerts);
		set_number(object, "sessions", stats->sessions);
		set_number(object, "encrypted", stats->encrypted);
		set_number(object, "unattributed", stats->unattributed);
		set_number(object, "records", stats->records);
	}
	lost = section(object, "lost");
	set_number(lost, "malformed_records", stats->records_malformed);
	set_number(lost, "flows", stats->flows_dropped);
	set_number(lost, "events", stats->events_lost);
	for (int i = 0; i < COUNTER_MAX; i++)
		set_number(lost, counter_name((enum counter)i), stats->counters[i]);
}

static void write_capture(json_t *own, const struct event *event)
{
	json_t *capture = section(own, "capture");

	set_string(capture, "hook", event->capture.hook ? event->capture.hook : "none");
	if (!event->has_flow) {
		set_bool(capture, "wire", event->capture.wire);
		return;
	}
	set_string(capture, "layer", "socket");
	set_string(capture, "witness", event_witness_name(event->capture.witness));
	set_bool(capture, "complete", event->capture.complete);
	set_number(capture, "missing_bytes", event->capture.missing_bytes);
	set_bool(capture, "mid_stream", event->capture.mid_stream);
}

static void write_own(json_t *root, const struct event *event)
{
	json_t *own = section(root, "smtpsnoop");
	size_t blind = 0;

	set_string(own, "version", VERSION);
	write_capture(own, event);
	if (event->stats)
		write_stats(own, event->stats, event->action);
	while (event->blind && event->blind[blind])
		blind++;
	if (event->blind)
		json_object_set_new(section(own, "capture"), "blind", list_of(event->blind, blind));
	if (!event->has_flow)
		return;
	if (event->verdict != VERDICT_NONE)
		set_string(own, "verdict", event_verdict_name(event->verdict));
	set_bool(own, "final", true);
	if (event->reason_count)
		json_object_set_new(own, "reasons", list_of(event->reasons, event->reason_count));
}

/* ---- The sink ------------------------------------------------------------------------------- */

static int append(const char *buffer, size_t size, void *text)
{
	text_add(text, (struct span){buffer, size});
	return 0;
}

static int json_write(struct sink *base, const struct event *event)
{
	struct json_sink *sink = (struct json_sink *)base;
	json_t *root = json_object();
	int error = 0;

	write_event(sink, root, event);
	if (event->has_flow) {
		write_smtp(sink, root, event);
		write_threat(root, event);
		write_network(root, event);
		write_senders(sink, root, event);
	}
	write_own(root, event);
	text_clear(&sink->text);
	json_dump_callback(root, append, &sink->text, JSON_COMPACT);
	text_add_string(&sink->text, "\n");
	json_decref(root);
	errno = 0;
	if (fwrite(sink->text.data, 1, sink->text.len, sink->out) != sink->text.len)
		error = errno ? -errno : -EIO;
	return error;
}

static int json_flush(struct sink *base)
{
	errno = 0;
	return fflush(((struct json_sink *)base)->out) ? (errno ? -errno : -EIO) : 0;
}

static int json_finish(struct sink *base, const struct event_stats *stats)
{
	(void)stats; /* the stopped event has told */
	return json_flush(base);
}

static void json_free(struct sink *base)
{
	struct json_sink *sink = (struct json_sink *)base;

	text_free(&sink->text);
	free(sink);
}

struct sink *sink_json_new(FILE *out)
{
	struct json_sink *sink = calloc(1, sizeof(*sink));

	if (!sink)
		return NULL;
	sink->sink = (struct sink){.write = json_write,
				   .flush = json_flush,
				   .finish = json_finish,
				   .free = json_free};
	sink->out = out;
	return &sink->sink;
}
