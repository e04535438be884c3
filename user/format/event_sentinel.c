/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for Microsoft Sentinel: a flat object a line, for the Azure Monitor Agent's JSON-file data
 * source and the table Smtpsnoop_CL (deploy/sentinel/table.json has every column with its type;
 * docs/sentinel.md says how it gets there). A column that is not known is left out.
 *
 * The service drops a record of 64 KiB and cuts a string of 32 KiB, without a word. So everything
 * that others chose has a bound here, in bytes as they stand in the line. Their sum leaves room for
 * the recipients, which come last and take what is left. What was cut is told by Truncated.
 */
#include "format/format.h"

#include <stdio.h>
#include <string.h>

#include "policy/exclusion.h"
#include "policy/facts.h"
#include "process/image.h"
#include "base/json.h"

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

/* ---- Columns --------------------------------------------------------------------------------- */

/* Bytes that others chose, `max` at most as they stand in the line. */
static void bounded(struct text *out, const char *name, struct span bytes, size_t max)
{
	json_bytes_max(out, name, bytes, max);
}

/* The same, left out if it is empty. */
static void known(struct text *out, const char *name, const char *string, size_t max)
{
	if (is_known(string))
		bounded(out, name, span_of(string), max);
}

static void known_span(struct text *out, const char *name, struct span bytes, size_t max)
{
	if (bytes.len)
		bounded(out, name, bytes, max);
}

/* A column of type long is signed. */
static void number(struct text *out, const char *name, uint64_t value)
{
	json_number(out, name, value > INT64_MAX ? INT64_MAX : value);
}

static void boolean(struct text *out, const char *name, bool value)
{
	json_bool(out, name, value);
}

/* Our own string. */
static void word(struct text *out, const char *name, const char *string)
{
	json_word(out, name, string);
}

static void time_at(struct text *out, const char *name, int64_t realtime_ns)
{
	char time[TIME_LEN];

	text_time(time, realtime_ns);
	word(out, name, time);
}

/* Ids of users are strings, as in every schema of the service. */
static void id(struct text *out, const char *name, uint32_t value)
{
	json_number_string(out, name, value);
}

/* ---- Lists: columns of type dynamic ---------------------------------------------------------- */

struct list {
	struct text *out;
	size_t start, max;
	bool full;
};

static struct list list_open(struct text *out, const char *name, size_t max)
{
	json_open_list(out, name);
	return (struct list){.out = out, .start = out->len, .max = max};
}

/*
 * After an element: takes it back if the list has grown too long. Then it is full, so that what
 * stays is its beginning.
 */
static void list_added(struct list *list, size_t before)
{
	struct text *out = list->out;

	if (out->failed || out->len - list->start <= list->max)
		return;
	out->len = before;
	out->data[before] = '\0';
	list->full = true;
	out->cut = true;
}

static void list_add(struct list *list, struct span bytes)
{
	size_t before = list->out->len;

	if (list->full)
		return;
	bounded(list->out, NULL, bytes, ADDRESS_MAX);
	list_added(list, before);
}

static void list_close(const struct list *list)
{
	json_close_list(list->out);
}

static void words(struct text *out, const char *name, const char *const *strings, size_t count)
{
	json_open_list(out, name);
	for (size_t i = 0; i < count; i++)
		json_word(out, NULL, strings[i]);
	json_close_list(out);
}

/* ---- The event ------------------------------------------------------------------------------- */

/* "syslog: down, 120 written, 3 lost, 17 waiting". */
static void write_outputs(struct text *out, const struct event *event)
{
	struct list list = list_open(out, "Outputs", LIST_MAX);

	for (size_t i = 0; i < event->output_count; i++) {
		const struct event_output *output = &event->outputs[i];
		char line[256];

		snprintf(line, sizeof(line), "%.64s: %s, %llu written, %llu lost, %llu waiting",
			 output->name, output->up ? "up" : "down",
			 (unsigned long long)output->written, (unsigned long long)output->lost,
			 (unsigned long long)output->waiting);
		list_add(&list, span_of(line));
	}
	list_close(&list);
}

static void write_event(struct text *out, const struct event *event)
{
	time_at(out, "TimeGenerated", event->time_ns);
	word(out, "EventAction", event_action_name(event->action));
	word(out, "EventKind", event_kind(event));
	word(out, "EventId", event->id);
	known(out, "HostName", event->host, NAME_MAX_BYTES);
	word(out, "ProductVersion", VERSION);
	known(out, "EventReason", event->detail, TEXT_MAX);
	known(out, "ConfigHash", event->config_hash, NAME_MAX_BYTES);
	if (event->action == EVENT_STATUS)
		number(out, "Sequence", event->sequence);
	if (event->outputs)
		write_outputs(out, event);
	word(out, "CaptureHook", event->capture.hook ? event->capture.hook : "none");
}

static void write_times(struct text *out, const struct event *event)
{
	uint64_t duration_ns = event->end_ns > event->start_ns
				       ? (uint64_t)event->end_ns - (uint64_t)event->start_ns
				       : 0;

	time_at(out, "EventStartTime", event->start_ns);
	time_at(out, "EventEndTime", event->end_ns);
	number(out, "DurationMs", duration_ns / 1000000);
}

static void write_criteria(struct text *out, const char *name, uint32_t criteria)
{
	const char *names[CRITERION_COUNT];
	size_t count = 0;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criteria & 1U << i)
			names[count++] = criterion_name((enum criterion)i);
	}
	words(out, name, names, count);
}

static void write_rules(struct text *out, const struct event *event)
{
	const char *techniques[EVENT_TECHNIQUES_MAX];
	struct list list;

	known(out, "RuleName", event_rule(event), NAME_MAX_BYTES);
	if (event->rule_count) {
		list = list_open(out, "RuleNames", LIST_MAX);
		for (size_t i = 0; i < event->rule_count; i++)
			list_add(&list, span_of(event->rules[i].name));
		list_close(&list);
	}
	if (event->verdict != VERDICT_ALERT)
		return;
	words(out, "Techniques", techniques, event_techniques(event, techniques));
}

static void write_decision(struct text *out, const struct event *event)
{
	if (event->verdict != VERDICT_NONE)
		word(out, "Verdict", event_verdict_name(event->verdict));
	boolean(out, "Final", !event->provisional);
	if (event->transaction)
		word(out, "EventOutcome", smtp_outcome_name(event->transaction->outcome));
	if (event->verdict == VERDICT_ALERT) {
		number(out, "EventSeverity", event_risk(event));
		number(out, "RiskScore", event_risk(event));
	}
	if (event->reason_count)
		words(out, "Reasons", event->reasons, event->reason_count);
	known(out, "Exclusion", event->exclusion, NAME_MAX_BYTES);
	if (event->nearest) {
		known(out, "NearestExclusion", event->nearest, NAME_MAX_BYTES);
		write_criteria(out, "NearestFailed", event->failed);
		if (event->unknown)
			write_criteria(out, "NearestUnknown", event->unknown);
	}
	write_rules(out, event);
}

/* ---- The SMTP session and its mail ----------------------------------------------------------- */

static void write_session(struct text *out, const struct event *event)
{
	const struct smtp_facts *facts = event->session;

	word(out, "SmtpSessionId", event->session_id);
	if (!facts)
		return;
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN) {
		bounded(out, "Helo", (struct span){facts->helo, facts->helo_len}, NAME_MAX_BYTES);
		word(out, "SmtpProtocol", smtp_protocol_name(facts->protocol));
	}
	if (facts->auth_mechanism_len) {
		bounded(out, "AuthMechanism",
			(struct span){facts->auth_mechanism, facts->auth_mechanism_len},
			NAME_MAX_BYTES);
		known_span(out, "AuthUser", (struct span){facts->auth_user, facts->auth_user_len},
			   NAME_MAX_BYTES);
		word(out, "AuthOutcome", event_auth_outcome(facts));
	}
	boolean(out, "StartTls", facts->starttls);
}

/* All or those that the server refused, as many as fit `max` bytes. */
static void write_recipients(struct text *out, const char *name,
			     const struct smtp_transaction *transaction, bool refused, size_t max)
{
	struct list list = list_open(out, name, max);

	for (uint32_t i = 0; i < transaction->recipient_count && !list.full; i++) {
		if (!refused || smtp_recipient_refused(transaction, i))
			list_add(&list, smtp_transaction_recipient(transaction, i));
	}
	list_close(&list);
}

static void write_transaction(struct text *out, const struct smtp_transaction *transaction)
{
	uint32_t refused = 0;

	if (!transaction->from_unknown)
		bounded(out, "MailFrom", smtp_transaction_from(transaction), ADDRESS_MAX);
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	number(out, "RecipientCount",
	       (uint64_t)transaction->recipient_count + transaction->recipients_dropped);
	number(out, "RefusedCount", refused);
	if (refused)
		write_recipients(out, "RcptRefused", transaction, true, LIST_LONG_MAX);
	known_span(out, "MailParameters", smtp_transaction_parameters(transaction), TEXT_MAX);
	number(out, "SmtpTransaction", transaction->number);
	number(out, "MessageBytes", transaction->bytes);
	known_span(out, "QueueId", origin_queue_id(transaction), NAME_MAX_BYTES);
	if (!transaction->reply_code)
		return;
	number(out, "ReplyCode", transaction->reply_code);
	bounded(out, "ReplyText", (struct span){transaction->reply_text, transaction->reply_len},
		TEXT_MAX);
}

static void write_addresses(struct text *out, const char *name, const struct mail *mail,
			    enum mail_address_kind kind, size_t max)
{
	struct list list = {0};

	for (uint32_t i = 0; i < mail->address_count && !list.full; i++) {
		if (mail->addresses[i].kind != kind)
			continue;
		if (!list.out)
			list = list_open(out, name, max);
		list_add(&list, mail_span(mail, mail->addresses[i].address));
	}
	if (list.out)
		list_close(&list);
}

static void write_attachments(struct text *out, const struct mail *mail)
{
	uint64_t bytes = 0;
	struct list list;

	number(out, "AttachmentCount", mail->attachment_count);
	if (!mail->attachment_count)
		return;
	list = list_open(out, "AttachmentNames", LIST_MAX);
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		list_add(&list, mail_span(mail, mail->attachments[i].name));
		bytes += mail->attachments[i].size;
	}
	list_close(&list);
	list = list_open(out, "AttachmentTypes", LIST_MAX);
	for (uint32_t i = 0; i < mail->attachment_count; i++)
		list_add(&list, mail_span(mail, mail->attachments[i].type));
	list_close(&list);
	number(out, "AttachmentBytes", bytes);
}

static void write_mail(struct text *out, const struct mail *mail)
{
	write_addresses(out, "HeaderFrom", mail, MAIL_FROM, LIST_MAX);
	write_addresses(out, "HeaderTo", mail, MAIL_TO, LIST_LONG_MAX);
	write_addresses(out, "HeaderCc", mail, MAIL_CC, LIST_MAX);
	write_addresses(out, "HeaderReplyTo", mail, MAIL_REPLY_TO, LIST_MAX);
	known_span(out, "Subject", mail_span(mail, mail->subject), TEXT_MAX);
	known_span(out, "MessageId", mail_span(mail, mail->message_id), TEXT_MAX);
	known_span(out, "XMailer", mail_span(mail, mail->x_mailer), NAME_MAX_BYTES);
	if (mail->has_date)
		time_at(out, "HeaderDate", mail->date_s * 1000000000LL);
	write_attachments(out, mail);
}

/* ---- The network ----------------------------------------------------------------------------- */

static void write_network(struct text *out, const struct event *event)
{
	bool lmtp = event->session && event->session->protocol == SMTP_PROTOCOL_LMTP;
	char address[ADDRESS_LEN], community[EVENT_COMMUNITY_LEN];

	text_address(address, event->source.addr);
	word(out, "SourceIp", address);
	number(out, "SourcePort", event->source.port);
	text_address(address, event->destination.addr);
	word(out, "DestinationIp", address);
	number(out, "DestinationPort", event->destination.port);
	word(out, "NetworkDirection", "egress");
	word(out, "NetworkProtocol", lmtp ? "lmtp" : "smtp");
	if (event_community_id(event, community))
		word(out, "CommunityId", community);
	boolean(out, "TlsEstablished", event->tls);
	known(out, "TlsServerName", event->server_name, NAME_MAX_BYTES);
}

static void write_proxy(struct text *out, const struct preamble *proxy)
{
	word(out, "ProxyProtocol", event_proxy_protocol(proxy));
	bounded(out, "ProxyTarget", (struct span){proxy->target, proxy->target_len}, ADDRESS_MAX);
	number(out, "ProxyHops", proxy->hops);
}

/* ---- Who sent -------------------------------------------------------------------------------- */

static void write_image(struct text *out, const struct image *image)
{
	struct text line = {0};

	bounded(out, "ProcessName", text_basename(span_of(image->executable)), NAME_MAX_BYTES);
	bounded(out, "ProcessExecutable", span_of(image->executable), PATH_MAX_BYTES);
	known(out, "ProcessScript", image->script, PATH_MAX_BYTES);
	known(out, "ProcessWorkingDirectory", image->directory, PATH_MAX_BYTES);
	image_command_line(image, &line);
	known_span(out, "ProcessCommandLine", (struct span){line.data, line.len}, COMMAND_LINE_MAX);
	out->failed = out->failed || line.failed;
	text_free(&line);
	word(out, "ExeSource", image->flags & EXEC_SNAPSHOT ? "snapshot" : "exec");
	boolean(out, "ExeInMemory", image->flags & EXEC_MEMFD);
}

static void write_process_id(struct text *out, const struct event *event,
			     const struct task_id *task)
{
	char entity[EVENT_ENTITY_LEN];

	number(out, "ProcessId", task->pid);
	number(out, "ThreadId", task->tid);
	time_at(out, "ProcessStartTime",
		(int64_t)(task->start_ns + (uint64_t)event->boot_to_real_ns));
	event_entity_id(entity, task->pid, task->start_ns);
	word(out, "ProcessEntityId", entity);
}

/* The executable, and what script it ran. */
static void add_ancestor(struct list *list, const struct image *image)
{
	struct text both = {0};

	if (image)
		text_add_string(&both, image->executable);
	if (image && image->script[0])
		text_add_string(&both, " ");
	if (image && image->script[0])
		text_add_string(&both, image->script);
	list_add(list, (struct span){both.data, both.len});
	list->out->failed = list->out->failed || both.failed;
	text_free(&both);
}

static void write_ancestry(struct text *out, const struct sender *sender)
{
	const struct ancestor *parent = sender->ancestors;
	struct list list;

	if (sender->ancestor_count) {
		number(out, "ParentProcessId", parent->pid);
		if (parent->image) {
			bounded(out, "ParentProcessName",
				text_basename(span_of(parent->image->executable)), NAME_MAX_BYTES);
			bounded(out, "ParentProcessExecutable", span_of(parent->image->executable),
				PATH_MAX_BYTES);
		}
	}
	if (!sender->full)
		return;
	list = list_open(out, "Ancestry", LIST_LONG_MAX);
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		add_ancestor(&list, sender->ancestors[i].image);
	}
	list_close(&list);
	boolean(out, "Interactive", sender->tty_major || sender->tty_minor);
}

static void write_process(struct text *out, const struct event *event, const struct sender *sender)
{
	write_process_id(out, event, &sender->task);
	bounded(out, "ProcessComm", sender_comm(sender), NAME_MAX_BYTES);
	if (sender->image) {
		write_image(out, sender->image);
		boolean(out, "ExeDeleted", sender->exe_deleted);
		boolean(out, "ExeSwapped", sender->exe_swapped);
		boolean(out, "ExeVerified",
			image_is_verified(sender->image, !sender->task.uid && !sender->task.euid));
	} else {
		bounded(out, "ProcessName", sender_comm(sender), NAME_MAX_BYTES);
	}
	known(out, "ProcessSha256", sender->sha256, NAME_MAX_BYTES);
	write_ancestry(out, sender);
	if (sender->scheduler != SCHEDULER_NOT_KNOWN)
		word(out, "ScheduledBy", scheduler_name(sender->scheduler));
}

static void write_user(struct text *out, const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	id(out, "UserId", task->euid);
	known(out, "UserName", sender->user, NAME_MAX_BYTES);
	id(out, "GroupId", task->egid);
	known(out, "GroupName", sender->group, NAME_MAX_BYTES);
	if (task->uid != task->euid)
		id(out, "RealUserId", task->uid);
	if (task->loginuid != LOGINUID_NONE) {
		id(out, "LoginUserId", task->loginuid);
		known(out, "LoginUserName", sender->audit_user, NAME_MAX_BYTES);
	}
	known(out, "SystemdUnit", sender->unit, NAME_MAX_BYTES);
	known(out, "SystemdUserUnit", sender->user_unit, NAME_MAX_BYTES);
	known(out, "ContainerId", sender->container, NAME_MAX_BYTES);
	known(out, "Cgroup", sender->cgroup, TEXT_MAX);
	if (sender->own_namespaces != NOT_KNOWN)
		boolean(out, "OwnNamespaces", sender->own_namespaces == IS_SO);
}

/* The other ones, each in brief. */
static void write_senders(struct text *out, const struct event *event)
{
	struct list list;

	number(out, "SenderCount", event->sender_count);
	boolean(out, "SendersComplete", !event->senders_incomplete);
	if (event->sender_count < 2)
		return;
	list = list_open(out, "OtherSenders", LIST_MAX);
	for (uint32_t i = 1; i < event->sender_count && !list.full; i++) {
		const struct sender *sender = event->senders[i];
		size_t before = out->len;

		json_open(out, NULL);
		number(out, "ProcessId", sender->task.pid);
		bounded(out, "ProcessComm", sender_comm(sender), NAME_MAX_BYTES);
		if (sender->image)
			bounded(out, "ProcessExecutable", span_of(sender->image->executable),
				ADDRESS_MAX);
		id(out, "UserId", sender->task.euid);
		known(out, "UserName", sender->user, NAME_MAX_BYTES);
		json_close(out);
		list_added(&list, before);
	}
	list_close(&list);
}

static void write_origin(struct text *out, const struct origin *origin)
{
	known(out, "OriginUserName", origin->user, NAME_MAX_BYTES);
	if (origin->has_uid)
		id(out, "OriginUserId", origin->uid);
	known(out, "OriginMta", origin->mta, NAME_MAX_BYTES);
	known(out, "OriginQueueId", origin->queue_id, NAME_MAX_BYTES);
	known(out, "OriginSubmissionId", origin->submission, NAME_MAX_BYTES);
}

/* ---- The watch ------------------------------------------------------------------------------- */

static void write_capture(struct text *out, const struct event *event)
{
	word(out, "CaptureLayer", event->capture.ktls ? "ktls" : "socket");
	word(out, "Witness", event_witness_name(event->capture.witness));
	boolean(out, "CaptureComplete", event->capture.complete);
	number(out, "MissingBytes", event->capture.missing_bytes);
	boolean(out, "MidStream", event->capture.mid_stream);
}

static void lost(struct text *out, const char *name, uint64_t count)
{
	if (count)
		number(out, name, count);
}

/* By cause; {}: nothing was. */
static void write_lost(struct text *out, const struct event_stats *stats)
{
	json_open(out, "Lost");
	lost(out, "malformed_records", stats->records_malformed);
	lost(out, "flows", stats->flows_dropped);
	lost(out, "events", stats->events_lost);
	lost(out, "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		lost(out, counter_name((enum counter)i), stats->counters[i]);
	json_close(out);
}

static void write_stats(struct text *out, const struct event_stats *stats, enum event_action action)
{
	if (action != EVENT_SESSION)
		write_lost(out, stats);
	if (action == EVENT_LOSS)
		return;
	number(out, "TotalMessages", stats->messages);
	number(out, "TotalRecipients", stats->recipients);
	number(out, "TotalBytes", stats->bytes);
	if (action == EVENT_SESSION)
		return;
	number(out, "TotalAlerts", stats->alerts);
	number(out, "TotalExcluded", stats->excluded);
	number(out, "TotalSessions", stats->sessions);
	number(out, "TotalEncrypted", stats->encrypted);
	number(out, "TotalUnattributed", stats->unattributed);
	number(out, "TotalQuoted", stats->quoted);
	number(out, "TotalRecords", stats->records);
}

/* What each exclusion has let pass. */
static void write_let_pass(struct text *out, const struct event *event)
{
	struct list list = list_open(out, "ExclusionTotals", TOTALS_MAX);

	for (size_t i = 0; i < event->let_pass_count && !list.full; i++) {
		const struct let_pass *let_pass = &event->let_pass[i];
		size_t before = out->len;

		json_open(out, NULL);
		known(out, "Name", let_pass->name, NAME_MAX_BYTES);
		number(out, "Messages", let_pass->passed.messages);
		number(out, "Recipients", let_pass->passed.recipients);
		number(out, "Bytes", let_pass->passed.bytes);
		json_close(out);
		list_added(&list, before);
	}
	list_close(&list);
}

static void write_watch(struct text *out, const struct event *event)
{
	size_t blind = 0;

	boolean(out, "WireHook", event->capture.wire);
	while (event->blind && event->blind[blind])
		blind++;
	if (event->blind)
		words(out, "CannotSee", event->blind, blind);
	if (event->let_pass)
		write_let_pass(out, event);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void write_flow(struct text *out, const struct event *event)
{
	write_times(out, event);
	write_decision(out, event);
	write_session(out, event);
	if (event->transaction)
		write_transaction(out, event->transaction);
	if (event->transaction && event->transaction->mail)
		write_mail(out, event->transaction->mail);
	write_network(out, event);
	if (event->session && event->session->proxy.hops)
		write_proxy(out, &event->session->proxy);
	if (event->sender_count) {
		write_process(out, event, event->senders[0]);
		write_user(out, event->senders[0]);
	}
	write_senders(out, event);
	if (event->origin)
		write_origin(out, event->origin);
	write_capture(out, event);
}

void event_sentinel(struct text *out, const struct event *event)
{
	size_t left;

	json_open(out, NULL);
	write_event(out, event);
	if (event->has_flow)
		write_flow(out, event);
	else
		write_watch(out, event);
	if (event->stats)
		write_stats(out, event->stats, event->action);
	if (event->transaction) {
		left = out->len + RECORD_END < RECORD_MAX ? RECORD_MAX - RECORD_END - out->len : 0;
		write_recipients(out, "RcptTo", event->transaction, false, left);
	}
	boolean(out, "Truncated", out->cut);
	json_close(out);
}
