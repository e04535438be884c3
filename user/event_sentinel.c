/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for Microsoft Sentinel: a flat object a line, for the Azure Monitor Agent's JSON-file data source and the table
 * Smtpsnoop_CL (deploy/sentinel/table.json has every column with its type; docs/sentinel.md says how it gets there). A
 * column that is not known is left out.
 *
 * The service drops a record of 64 KiB and cuts a string of 32 KiB, without a word. So everything that others chose has a
 * bound here, in bytes as they stand in the line. Their sum leaves room for the recipients, which come last and take
 * what is left. What was cut is told by Truncated.
 */
#include "format.h"

#include <stdio.h>
#include <string.h>

#include "exclusion.h"
#include "facts.h"
#include "image.h"
#include "json.h"

#define RECORD_MAX	 59000U /* bytes of a line */
#define RECORD_END	 32U	/* of them, behind the recipients */
#define NAME_MAX_BYTES	 256U	/* a name, an id, a word of SMTP */
#define ADDRESS_MAX	 512U	/* an address of mail */
#define TEXT_MAX	 1024U	/* a subject, a reply, parameters */
#define PATH_MAX_BYTES	 2048U
#define COMMAND_LINE_MAX 4096U
#define LIST_MAX	 2048U	/* a list: names between brackets */
#define LIST_LONG_MAX	 4096U	/* ancestors, recipients that were refused, header To */
#define TOTALS_MAX	 16384U /* what each exclusion let pass; only where there is no mail */

struct row {
	struct text *out;
};

/* ---- Columns -------------------------------------------------------------------------------- */

/* Bytes that others chose, `max` at most as they stand in the line. */
static void bounded(struct row *row, const char *name, struct span bytes, size_t max)
{
	json_bytes_max(row->out, name, bytes, max);
}

/* The same, left out if it is empty. */
static void known(struct row *row, const char *name, const char *string, size_t max)
{
	if (string && string[0])
		bounded(row, name, span_of(string), max);
}

static void known_span(struct row *row, const char *name, struct span bytes, size_t max)
{
	if (bytes.len)
		bounded(row, name, bytes, max);
}

/* A column of type long is signed. */
static void number(struct row *row, const char *name, uint64_t value)
{
	json_number(row->out, name, value > INT64_MAX ? INT64_MAX : value);
}

static void boolean(struct row *row, const char *name, bool value)
{
	json_bool(row->out, name, value);
}

/* Our own string. */
static void word(struct row *row, const char *name, const char *string)
{
	json_string(row->out, name, string);
}

static void time_at(struct row *row, const char *name, int64_t realtime_ns)
{
	char time[TIME_LEN];

	text_time(time, realtime_ns);
	word(row, name, time);
}

/* Ids of users are strings, as in every schema of the service. */
static void id(struct row *row, const char *name, uint32_t value)
{
	char string[16];

	snprintf(string, sizeof(string), "%u", value);
	word(row, name, string);
}

/* ---- Lists: columns of type dynamic ---------------------------------------------------------- */

struct list {
	struct row *row;
	size_t start, max;
	bool full;
};

static struct list list_open(struct row *row, const char *name, size_t max)
{
	json_open_list(row->out, name);
	return (struct list){.row = row, .start = row->out->len, .max = max};
}

/* After an element: takes it back if the list has grown too long. Then it is full, so that what stays is its beginning. */
static void list_added(struct list *list, size_t before)
{
	struct text *out = list->row->out;

	if (out->failed || out->len - list->start <= list->max)
		return;
	out->len = before;
	out->data[before] = '\0';
	list->full = true;
	out->cut = true;
}

static void list_add(struct list *list, struct span bytes)
{
	size_t before = list->row->out->len;

	if (list->full)
		return;
	bounded(list->row, NULL, bytes, ADDRESS_MAX);
	list_added(list, before);
}

static void list_close(const struct list *list)
{
	json_close_list(list->row->out);
}

static void words(struct row *row, const char *name, const char *const *strings, size_t count)
{
	json_open_list(row->out, name);
	for (size_t i = 0; i < count; i++)
		json_string(row->out, NULL, strings[i]);
	json_close_list(row->out);
}

/* ---- The event ------------------------------------------------------------------------------ */

/* "syslog: down, 120 written, 3 lost, 17 waiting". */
static void write_outputs(struct row *row, const struct event *event)
{
	struct list list = list_open(row, "Outputs", LIST_MAX);

	for (size_t i = 0; i < event->output_count; i++) {
		const struct event_output *output = &event->outputs[i];
		char line[256];

		snprintf(line, sizeof(line), "%.64s: %s, %llu written, %llu lost, %llu waiting", output->name,
			 output->up ? "up" : "down", (unsigned long long)output->written,
			 (unsigned long long)output->lost, (unsigned long long)output->waiting);
		list_add(&list, span_of(line));
	}
	list_close(&list);
}

static void write_event(struct row *row, const struct event *event)
{
	time_at(row, "TimeGenerated", event->time_ns);
	word(row, "EventAction", event_action_name(event->action));
	word(row, "EventKind", event_kind(event));
	word(row, "EventId", event->id);
	known(row, "HostName", event->host, NAME_MAX_BYTES);
	word(row, "ProductVersion", VERSION);
	known(row, "EventReason", event->detail, TEXT_MAX);
	known(row, "ConfigHash", event->config_hash, NAME_MAX_BYTES);
	if (event->action == EVENT_STATUS)
		number(row, "Sequence", event->sequence);
	if (event->outputs)
		write_outputs(row, event);
	word(row, "CaptureHook", event->capture.hook ? event->capture.hook : "none");
}

static void write_times(struct row *row, const struct event *event)
{
	uint64_t duration_ns =
		event->end_ns > event->start_ns ? (uint64_t)event->end_ns - (uint64_t)event->start_ns : 0;

	time_at(row, "EventStartTime", event->start_ns);
	time_at(row, "EventEndTime", event->end_ns);
	number(row, "DurationMs", duration_ns / 1000000);
}

static void write_criteria(struct row *row, const char *name, uint32_t criteria)
{
	const char *names[CRITERION_COUNT];
	size_t count = 0;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criteria & 1U << i)
			names[count++] = criterion_name((enum criterion)i);
	}
	words(row, name, names, count);
}

static void write_rules(struct row *row, const struct event *event)
{
	const char *techniques[EVENT_TECHNIQUES_MAX];
	struct list list;

	known(row, "RuleName", event_rule(event), NAME_MAX_BYTES);
	if (event->rule_count) {
		list = list_open(row, "RuleNames", LIST_MAX);
		for (size_t i = 0; i < event->rule_count; i++)
			list_add(&list, span_of(event->rules[i].name));
		list_close(&list);
	}
	if (event->verdict != VERDICT_ALERT)
		return;
	words(row, "Techniques", techniques, event_techniques(event, techniques));
}

static void write_decision(struct row *row, const struct event *event)
{
	if (event->verdict != VERDICT_NONE)
		word(row, "Verdict", event_verdict_name(event->verdict));
	boolean(row, "Final", !event->provisional);
	if (event->transaction)
		word(row, "EventOutcome", smtp_outcome_name(event->transaction->outcome));
	if (event->verdict == VERDICT_ALERT) {
		number(row, "EventSeverity", event_risk(event));
		number(row, "RiskScore", event_risk(event));
	}
	if (event->reason_count)
		words(row, "Reasons", event->reasons, event->reason_count);
	known(row, "Exclusion", event->exclusion, NAME_MAX_BYTES);
	if (event->nearest) {
		known(row, "NearestExclusion", event->nearest, NAME_MAX_BYTES);
		write_criteria(row, "NearestFailed", event->failed);
		if (event->unknown)
			write_criteria(row, "NearestUnknown", event->unknown);
	}
	write_rules(row, event);
}

/* ---- The SMTP session and its mail ---------------------------------------------------------- */

static void write_session(struct row *row, const struct event *event)
{
	const struct smtp_facts *facts = event->session;

	word(row, "SmtpSessionId", event->session_id);
	if (!facts)
		return;
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN) {
		bounded(row, "Helo", (struct span){facts->helo, facts->helo_len}, NAME_MAX_BYTES);
		word(row, "SmtpProtocol", smtp_protocol_name(facts->protocol));
	}
	if (facts->auth_mechanism_len) {
		bounded(row, "AuthMechanism", (struct span){facts->auth_mechanism, facts->auth_mechanism_len},
			NAME_MAX_BYTES);
		known_span(row, "AuthUser", (struct span){facts->auth_user, facts->auth_user_len},
			   NAME_MAX_BYTES);
		word(row, "AuthOutcome",
		     !facts->auth_code	       ? "unknown"
		     : facts->auth_code == 235 ? "success"
					       : "failure");
	}
	boolean(row, "StartTls", facts->starttls);
}

/* All or those that the server refused, as many as fit `max` bytes. */
static void write_recipients(struct row *row, const char *name, const struct smtp_transaction *transaction,
			     bool refused, size_t max)
{
	struct list list = list_open(row, name, max);

	for (uint32_t i = 0; i < transaction->recipient_count && !list.full; i++) {
		if (!refused || smtp_recipient_refused(transaction, i))
			list_add(&list, smtp_transaction_recipient(transaction, i));
	}
	list_close(&list);
}

static void write_transaction(struct row *row, const struct smtp_transaction *transaction)
{
	uint32_t refused = 0;

	if (!transaction->from_unknown)
		bounded(row, "MailFrom", smtp_transaction_from(transaction), ADDRESS_MAX);
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	number(row, "RecipientCount",
	       (uint64_t)transaction->recipient_count + transaction->recipients_dropped);
	number(row, "RefusedCount", refused);
	if (refused)
		write_recipients(row, "RcptRefused", transaction, true, LIST_LONG_MAX);
	known_span(row, "MailParameters", smtp_transaction_parameters(transaction), TEXT_MAX);
	number(row, "SmtpTransaction", transaction->number);
	number(row, "MessageBytes", transaction->bytes);
	known_span(row, "QueueId", origin_queue_id(transaction), NAME_MAX_BYTES);
	if (!transaction->reply_code)
		return;
	number(row, "ReplyCode", transaction->reply_code);
	bounded(row, "ReplyText", (struct span){transaction->reply_text, transaction->reply_len}, TEXT_MAX);
}

static void write_addresses(struct row *row, const char *name, const struct mail *mail,
			    enum mail_address_kind kind, size_t max)
{
	struct list list = {0};

	for (uint32_t i = 0; i < mail->address_count && !list.full; i++) {
		if (mail->addresses[i].kind != kind)
			continue;
		if (!list.row)
			list = list_open(row, name, max);
		list_add(&list, mail_span(mail, mail->addresses[i].address));
	}
	if (list.row)
		list_close(&list);
}

static void write_attachments(struct row *row, const struct mail *mail)
{
	uint64_t bytes = 0;
	struct list list;

	number(row, "AttachmentCount", mail->attachment_count);
	if (!mail->attachment_count)
		return;
	list = list_open(row, "AttachmentNames", LIST_MAX);
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		list_add(&list, mail_span(mail, mail->attachments[i].name));
		bytes += mail->attachments[i].size;
	}
	list_close(&list);
	list = list_open(row, "AttachmentTypes", LIST_MAX);
	for (uint32_t i = 0; i < mail->attachment_count; i++)
		list_add(&list, mail_span(mail, mail->attachments[i].type));
	list_close(&list);
	number(row, "AttachmentBytes", bytes);
}

static void write_mail(struct row *row, const struct mail *mail)
{
	write_addresses(row, "HeaderFrom", mail, MAIL_FROM, LIST_MAX);
	write_addresses(row, "HeaderTo", mail, MAIL_TO, LIST_LONG_MAX);
	write_addresses(row, "HeaderCc", mail, MAIL_CC, LIST_MAX);
	write_addresses(row, "HeaderReplyTo", mail, MAIL_REPLY_TO, LIST_MAX);
	known_span(row, "Subject", mail_span(mail, mail->subject), TEXT_MAX);
	known_span(row, "MessageId", mail_span(mail, mail->message_id), TEXT_MAX);
	known_span(row, "XMailer", mail_span(mail, mail->x_mailer), NAME_MAX_BYTES);
	if (mail->has_date)
		time_at(row, "HeaderDate", mail->date_s * 1000000000LL);
	write_attachments(row, mail);
}

/* ---- The network ---------------------------------------------------------------------------- */

static void write_network(struct row *row, const struct event *event)
{
	bool lmtp = event->session && event->session->protocol == SMTP_PROTOCOL_LMTP;
	char address[ADDRESS_LEN], community[EVENT_COMMUNITY_LEN];

	text_address(address, event->source.addr);
	word(row, "SourceIp", address);
	number(row, "SourcePort", event->source.port);
	text_address(address, event->destination.addr);
	word(row, "DestinationIp", address);
	number(row, "DestinationPort", event->destination.port);
	word(row, "NetworkDirection", "egress");
	word(row, "NetworkProtocol", lmtp ? "lmtp" : "smtp");
	if (event_community_id(event, community))
		word(row, "CommunityId", community);
	boolean(row, "TlsEstablished", event->tls);
	known(row, "TlsServerName", event->server_name, NAME_MAX_BYTES);
}

static void write_proxy(struct row *row, const struct preamble *proxy)
{
	static const char *const protocols[] = {
		[PREAMBLE_HTTP] = "http", [PREAMBLE_SOCKS4] = "socks4", [PREAMBLE_SOCKS5] = "socks5"};

	word(row, "ProxyProtocol", protocols[proxy->protocols[proxy->hops - 1]]);
	bounded(row, "ProxyTarget", (struct span){proxy->target, proxy->target_len}, ADDRESS_MAX);
	number(row, "ProxyHops", proxy->hops);
}

/* ---- Who sent ------------------------------------------------------------------------------- */

static void write_image(struct row *row, const struct image *image)
{
	struct text line = {0};

	bounded(row, "ProcessName", text_basename(span_of(image->executable)), NAME_MAX_BYTES);
	bounded(row, "ProcessExecutable", span_of(image->executable), PATH_MAX_BYTES);
	known(row, "ProcessScript", image->script, PATH_MAX_BYTES);
	known(row, "ProcessWorkingDirectory", image->directory, PATH_MAX_BYTES);
	image_command_line(image, &line);
	known_span(row, "ProcessCommandLine", (struct span){line.data, line.len}, COMMAND_LINE_MAX);
	text_free(&line);
	word(row, "ExeSource", image->flags & EXEC_SNAPSHOT ? "snapshot" : "exec");
	boolean(row, "ExeInMemory", image->flags & EXEC_MEMFD);
}

static void write_process_id(struct row *row, const struct event *event, const struct task_id *task)
{
	char entity[32];

	number(row, "ProcessId", task->pid);
	number(row, "ThreadId", task->tid);
	time_at(row, "ProcessStartTime", (int64_t)(task->start_ns + (uint64_t)event->boot_to_real_ns));
	snprintf(entity, sizeof(entity), "%08x-%016llx", task->pid, (unsigned long long)task->start_ns);
	word(row, "ProcessEntityId", entity);
}

static void write_ancestry(struct row *row, const struct sender *sender)
{
	const struct ancestor *parent = sender->ancestors;
	struct list list;

	if (sender->ancestor_count) {
		number(row, "ParentProcessId", parent->pid);
		if (parent->image) {
			bounded(row, "ParentProcessName", text_basename(span_of(parent->image->executable)),
				NAME_MAX_BYTES);
			bounded(row, "ParentProcessExecutable", span_of(parent->image->executable),
				PATH_MAX_BYTES);
		}
	}
	if (!sender->full)
		return;
	list = list_open(row, "Ancestry", LIST_LONG_MAX);
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		const struct image *image = sender->ancestors[i].image;

		list_add(&list, image ? span_of(image->executable) : (struct span){"", 0});
	}
	list_close(&list);
	boolean(row, "Interactive", sender->tty_major || sender->tty_minor);
}

static void write_process(struct row *row, const struct event *event, const struct sender *sender)
{
	write_process_id(row, event, &sender->task);
	bounded(row, "ProcessComm", sender_comm(sender), NAME_MAX_BYTES);
	if (sender->image) {
		write_image(row, sender->image);
		boolean(row, "ExeDeleted", sender->exe_deleted);
		boolean(row, "ExeSwapped", sender->exe_swapped);
		boolean(row, "ExeVerified",
			image_is_verified(sender->image, !sender->task.uid && !sender->task.euid));
	} else {
		bounded(row, "ProcessName", sender_comm(sender), NAME_MAX_BYTES);
	}
	known(row, "ProcessSha256", sender->sha256, NAME_MAX_BYTES);
	write_ancestry(row, sender);
	if (sender->scheduler != SCHEDULER_NOT_KNOWN)
		word(row, "ScheduledBy", scheduler_name(sender->scheduler));
}

static void write_user(struct row *row, const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	id(row, "UserId", task->euid);
	known(row, "UserName", sender->user, NAME_MAX_BYTES);
	id(row, "GroupId", task->egid);
	known(row, "GroupName", sender->group, NAME_MAX_BYTES);
	if (task->uid != task->euid)
		id(row, "RealUserId", task->uid);
	if (task->loginuid != LOGINUID_NONE) {
		id(row, "LoginUserId", task->loginuid);
		known(row, "LoginUserName", sender->audit_user, NAME_MAX_BYTES);
	}
	known(row, "SystemdUnit", sender->unit, NAME_MAX_BYTES);
	known(row, "SystemdUserUnit", sender->user_unit, NAME_MAX_BYTES);
	known(row, "ContainerId", sender->container, NAME_MAX_BYTES);
	known(row, "Cgroup", sender->cgroup, TEXT_MAX);
	if (sender->own_namespaces != NOT_KNOWN)
		boolean(row, "OwnNamespaces", sender->own_namespaces == IS_SO);
}

/* The other ones, each in brief. */
static void write_senders(struct row *row, const struct event *event)
{
	struct list list;

	number(row, "SenderCount", event->sender_count);
	boolean(row, "SendersComplete", !event->senders_incomplete);
	if (event->sender_count < 2)
		return;
	list = list_open(row, "OtherSenders", LIST_MAX);
	for (uint32_t i = 1; i < event->sender_count && !list.full; i++) {
		const struct sender *sender = event->senders[i];
		size_t before = row->out->len;

		json_open(row->out, NULL);
		number(row, "ProcessId", sender->task.pid);
		bounded(row, "ProcessComm", sender_comm(sender), NAME_MAX_BYTES);
		if (sender->image)
			bounded(row, "ProcessExecutable", span_of(sender->image->executable), ADDRESS_MAX);
		id(row, "UserId", sender->task.euid);
		known(row, "UserName", sender->user, NAME_MAX_BYTES);
		json_close(row->out);
		list_added(&list, before);
	}
	list_close(&list);
}

static void write_origin(struct row *row, const struct origin *origin)
{
	known(row, "OriginUserName", origin->user, NAME_MAX_BYTES);
	if (origin->has_uid)
		id(row, "OriginUserId", origin->uid);
	known(row, "OriginMta", origin->mta, NAME_MAX_BYTES);
	known(row, "OriginQueueId", origin->queue_id, NAME_MAX_BYTES);
	known(row, "OriginSubmissionId", origin->submission, NAME_MAX_BYTES);
}

/* ---- The watch ------------------------------------------------------------------------------ */

static void write_capture(struct row *row, const struct event *event)
{
	word(row, "CaptureLayer", event->capture.ktls ? "ktls" : "socket");
	word(row, "Witness", event_witness_name(event->capture.witness));
	boolean(row, "CaptureComplete", event->capture.complete);
	number(row, "MissingBytes", event->capture.missing_bytes);
	boolean(row, "MidStream", event->capture.mid_stream);
}

static void lost(struct row *row, const char *name, uint64_t count)
{
	if (count)
		number(row, name, count);
}

/* By cause; {}: nothing was. */
static void write_lost(struct row *row, const struct event_stats *stats)
{
	json_open(row->out, "Lost");
	lost(row, "malformed_records", stats->records_malformed);
	lost(row, "flows", stats->flows_dropped);
	lost(row, "events", stats->events_lost);
	lost(row, "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		lost(row, counter_name((enum counter)i), stats->counters[i]);
	json_close(row->out);
}

static void write_stats(struct row *row, const struct event_stats *stats, enum event_action action)
{
	if (action != EVENT_SESSION)
		write_lost(row, stats);
	if (action == EVENT_LOSS)
		return;
	number(row, "TotalMessages", stats->messages);
	number(row, "TotalRecipients", stats->recipients);
	number(row, "TotalBytes", stats->bytes);
	if (action == EVENT_SESSION)
		return;
	number(row, "TotalAlerts", stats->alerts);
	number(row, "TotalExcluded", stats->excluded);
	number(row, "TotalSessions", stats->sessions);
	number(row, "TotalEncrypted", stats->encrypted);
	number(row, "TotalUnattributed", stats->unattributed);
	number(row, "TotalQuoted", stats->quoted);
	number(row, "TotalRecords", stats->records);
}

/* What each exclusion has let pass. */
static void write_let_pass(struct row *row, const struct event *event)
{
	struct list list = list_open(row, "ExclusionTotals", TOTALS_MAX);

	for (size_t i = 0; i < event->let_pass_count && !list.full; i++) {
		const struct let_pass *let_pass = &event->let_pass[i];
		size_t before = row->out->len;

		json_open(row->out, NULL);
		known(row, "Name", let_pass->name, NAME_MAX_BYTES);
		number(row, "Messages", let_pass->passed.messages);
		number(row, "Recipients", let_pass->passed.recipients);
		number(row, "Bytes", let_pass->passed.bytes);
		json_close(row->out);
		list_added(&list, before);
	}
	list_close(&list);
}

static void write_watch(struct row *row, const struct event *event)
{
	size_t blind = 0;

	boolean(row, "WireHook", event->capture.wire);
	while (event->blind && event->blind[blind])
		blind++;
	if (event->blind)
		words(row, "CannotSee", event->blind, blind);
	if (event->let_pass)
		write_let_pass(row, event);
}

/* ---- The whole ------------------------------------------------------------------------------ */

static void write_flow(struct row *row, const struct event *event)
{
	write_times(row, event);
	write_decision(row, event);
	write_session(row, event);
	if (event->transaction)
		write_transaction(row, event->transaction);
	if (event->transaction && event->transaction->mail)
		write_mail(row, event->transaction->mail);
	write_network(row, event);
	if (event->session && event->session->proxy.hops)
		write_proxy(row, &event->session->proxy);
	if (event->sender_count) {
		write_process(row, event, event->senders[0]);
		write_user(row, event->senders[0]);
	}
	write_senders(row, event);
	if (event->origin)
		write_origin(row, event->origin);
	write_capture(row, event);
}

void event_sentinel(struct text *out, const struct event *event)
{
	struct row row = {.out = out};
	size_t left;

	json_open(out, NULL);
	write_event(&row, event);
	if (event->has_flow)
		write_flow(&row, event);
	else
		write_watch(&row, event);
	if (event->stats)
		write_stats(&row, event->stats, event->action);
	if (event->transaction) {
		left = out->len + RECORD_END < RECORD_MAX ? RECORD_MAX - RECORD_END - out->len : 0;
		write_recipients(&row, "RcptTo", event->transaction, false, left);
	}
	boolean(&row, "Truncated", out->cut);
	json_close(out);
}
