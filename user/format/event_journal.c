/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in the journal's native protocol (https://systemd.io/JOURNAL_NATIVE_PROTOCOL), a datagram
 * an event. A field is NAME=value and a line end; a value that holds a line end, or any other
 * control character, is told by its length instead, so that it can end nothing. Names are ours
 * alone. Every value has a bound, recipients have one together, and the whole stays below what a
 * datagram holds: no memory file is needed.
 */
#include "format/format.h"

#include <endian.h>
#include <string.h>

#include "format/event_sentence.h"
#include "policy/exclusion.h"
#include "process/image.h"

/* Bytes of a value; they add up to less than 48 KiB. */
#define NAME_MAX_JOURNAL 512U
#define LINE_MAX_JOURNAL 1024U /* subjects, replies' texts, addresses */
#define PATH_MAX_JOURNAL 4096U
#define RECIPIENTS_MAX	 12288U /* all of them */
#define COMM_MAX	 64U

/* ---- Fields ---------------------------------------------------------------------------------- */

static bool has_control(struct span value)
{
	for (size_t i = 0; i < value.len; i++) {
		if ((unsigned char)value.data[i] < ' ')
			return true;
	}
	return false;
}

static void add_field(struct text *out, const char *name, struct span value)
{
	uint64_t len = htole64(value.len);

	text_add_string(out, name);
	if (has_control(value)) {
		text_add_string(out, "\n");
		text_add(out, (struct span){(const char *)&len, sizeof(len)});
	} else {
		text_add_string(out, "=");
	}
	text_add(out, value);
	text_add_string(out, "\n");
}

/* Bytes that others chose, as valid UTF-8; left out if there are none. */
static void bytes(struct text *out, const char *name, struct span value, size_t max)
{
	struct text clean = {0};
	struct span whole, part;

	if (!value.len)
		return;
	/* A byte becomes one at least: what is behind `max` of them is not seen. */
	text_add_utf8(&clean, (struct span){value.data, value.len < max + 4 ? value.len : max + 4});
	whole = part = (struct span){clean.data, clean.len};
	if (whole.len > max) {
		part = text_cut(whole, max - 3);
		clean.len = part.len;
		text_add_string(&clean, "...");
		part = (struct span){clean.data, clean.len};
	}
	out->failed |= clean.failed;
	if (!clean.failed)
		add_field(out, name, part);
	text_free(&clean);
}

/* A word of our own. */
static void word(struct text *out, const char *name, const char *string)
{
	if (is_known(string))
		text_add_format(out, "%s=%s\n", name, string);
}

static void number(struct text *out, const char *name, uint64_t count)
{
	text_add_format(out, "%s=%llu\n", name, (unsigned long long)count);
}

/* ---- The event ------------------------------------------------------------------------------- */

static const char *message_id(enum event_action action)
{
	static const char *const ids[] = {
		[EVENT_STARTED] = JOURNAL_ID_STARTED, [EVENT_STATUS] = JOURNAL_ID_STATUS,
		[EVENT_MESSAGE] = JOURNAL_ID_MESSAGE, [EVENT_ENCRYPTED] = JOURNAL_ID_ENCRYPTED,
		[EVENT_SESSION] = JOURNAL_ID_SESSION, [EVENT_LOSS] = JOURNAL_ID_LOSS,
		[EVENT_STOPPED] = JOURNAL_ID_STOPPED,
	};

	return ids[action];
}

/* As syslog has them: 3 error, 4 warning, 6 information. */
static unsigned int priority(const struct event *event)
{
	if (event->action == EVENT_LOSS)
		return 4;
	if (!event_risk(event))
		return 6;
	return event->capture.witness == WITNESS_DIFFER ? 3 : 4;
}

static void write_event(struct text *out, const struct event *event)
{
	struct text sentence = {0};

	event_sentence(&sentence, event);
	out->failed |= sentence.failed;
	add_field(out, "MESSAGE", (struct span){sentence.data, sentence.len});
	text_free(&sentence);
	number(out, "PRIORITY", priority(event));
	word(out, "SYSLOG_IDENTIFIER", "smtpsnoop");
	word(out, "MESSAGE_ID", message_id(event->action));
	word(out, "SMTPSNOOP_ACTION", event_action_name(event->action));
	word(out, "SMTPSNOOP_KIND", event_kind(event));
	word(out, "SMTPSNOOP_EVENT_ID", event->id);
	word(out, "SMTPSNOOP_VERSION", VERSION);
	word(out, "SMTPSNOOP_DETAIL", event->detail);
	word(out, "SMTPSNOOP_CONFIG_SHA256", event->config_hash);
	if (event->host)
		bytes(out, "SMTPSNOOP_HOST", span_of(event->host), NAME_MAX_JOURNAL);
}

static void write_verdict(struct text *out, const struct event *event)
{
	const char *techniques[EVENT_TECHNIQUES_MAX];
	size_t count = event_techniques(event, techniques);

	if (event->verdict != VERDICT_NONE)
		word(out, "SMTPSNOOP_VERDICT", event_verdict_name(event->verdict));
	if (event_risk(event))
		number(out, "SMTPSNOOP_RISK", event_risk(event));
	word(out, "SMTPSNOOP_FINAL", event->provisional ? "0" : "1");
	bytes(out, "SMTPSNOOP_EXCLUSION", span_of(event->exclusion), NAME_MAX_JOURNAL);
	bytes(out, "SMTPSNOOP_NEAREST", span_of(event->nearest), NAME_MAX_JOURNAL);
	for (int i = 0; event->nearest && i < CRITERION_COUNT; i++) {
		if (event->failed & 1U << i)
			word(out, "SMTPSNOOP_NEAREST_FAILED", criterion_name((enum criterion)i));
	}
	for (uint32_t i = 0; i < event->reason_count; i++)
		word(out, "SMTPSNOOP_REASON", event->reasons[i]);
	bytes(out, "SMTPSNOOP_RULE", span_of(event_rule(event)), NAME_MAX_JOURNAL);
	for (size_t i = 0; i < count; i++)
		word(out, "SMTPSNOOP_TECHNIQUE", techniques[i]);
}

/* ---- Mail ------------------------------------------------------------------------------------ */

/* As many as there is room for; the list in full is for JSON. */
static void write_recipients(struct text *out, const struct smtp_transaction *transaction)
{
	size_t limit = out->len + RECIPIENTS_MAX - LINE_MAX_JOURNAL - 64;

	number(out, "SMTPSNOOP_RCPT_COUNT",
	       (uint64_t)transaction->recipient_count + transaction->recipients_dropped);
	for (uint32_t i = 0; i < transaction->recipient_count && out->len < limit; i++)
		bytes(out, "SMTPSNOOP_RCPT_TO", smtp_transaction_recipient(transaction, i),
		      LINE_MAX_JOURNAL);
}

static void write_transaction(struct text *out, const struct smtp_transaction *transaction)
{
	struct span from = smtp_transaction_from(transaction);
	const struct mail *mail = transaction->mail;

	if (!transaction->from_unknown)
		bytes(out, "SMTPSNOOP_MAIL_FROM", from.len ? from : span_of("<>"),
		      LINE_MAX_JOURNAL);
	write_recipients(out, transaction);
	word(out, "SMTPSNOOP_OUTCOME", smtp_outcome_name(transaction->outcome));
	number(out, "SMTPSNOOP_BYTES", transaction->bytes);
	if (transaction->reply_code) {
		number(out, "SMTPSNOOP_REPLY_CODE", transaction->reply_code);
		bytes(out, "SMTPSNOOP_REPLY",
		      (struct span){transaction->reply_text, transaction->reply_len},
		      LINE_MAX_JOURNAL);
	}
	bytes(out, "SMTPSNOOP_QUEUE_ID", origin_queue_id(transaction), NAME_MAX_JOURNAL);
	if (!mail)
		return;
	bytes(out, "SMTPSNOOP_SUBJECT", mail_span(mail, mail->subject), LINE_MAX_JOURNAL);
	bytes(out, "SMTPSNOOP_MESSAGE_ID", mail_span(mail, mail->message_id), LINE_MAX_JOURNAL);
}

static void write_session(struct text *out, const struct smtp_facts *facts)
{
	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN)
		bytes(out, "SMTPSNOOP_HELO", (struct span){facts->helo, facts->helo_len},
		      NAME_MAX_JOURNAL);
	word(out, "SMTPSNOOP_PROTOCOL", smtp_protocol_name(facts->protocol));
	bytes(out, "SMTPSNOOP_AUTH_USER", (struct span){facts->auth_user, facts->auth_user_len},
	      NAME_MAX_JOURNAL);
	if (facts->proxy.hops)
		bytes(out, "SMTPSNOOP_PROXY_TARGET",
		      (struct span){facts->proxy.target, facts->proxy.target_len},
		      NAME_MAX_JOURNAL);
}

/* ---- Network, process ------------------------------------------------------------------------ */

static void write_endpoint(struct text *out, const char *name, const struct endpoint *endpoint)
{
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	text_add_format(out, "SMTPSNOOP_%s=%s\nSMTPSNOOP_%s_PORT=%u\n", name, address, name,
			endpoint->port);
}

static void write_network(struct text *out, const struct event *event)
{
	word(out, "SMTPSNOOP_SESSION_ID", event->session_id);
	write_endpoint(out, "SOURCE", &event->source);
	write_endpoint(out, "DESTINATION", &event->destination);
	bytes(out, "SMTPSNOOP_SERVER_NAME", span_of(event->server_name), NAME_MAX_JOURNAL);
	word(out, "SMTPSNOOP_WITNESS", event_witness_name(event->capture.witness));
	number(out, "SMTPSNOOP_MISSING_BYTES", event->capture.missing_bytes);
	if (event->session)
		write_session(out, event->session);
}

static void write_image(struct text *out, const struct image *image)
{
	struct text line = {0};

	bytes(out, "SMTPSNOOP_EXECUTABLE", span_of(image->executable), PATH_MAX_JOURNAL);
	bytes(out, "SMTPSNOOP_SCRIPT", span_of(image->script), PATH_MAX_JOURNAL);
	image_command_line(image, &line);
	out->failed |= line.failed;
	bytes(out, "SMTPSNOOP_COMMAND_LINE", (struct span){line.data, line.len}, PATH_MAX_JOURNAL);
	text_free(&line);
}

/*
 * OBJECT_PID asks the journal for what it finds of a living process. What it finds may be another
 * process by then; our own fields are those of the send.
 */
static void write_sender(struct text *out, const struct sender *sender)
{
	number(out, "OBJECT_PID", sender->task.pid);
	number(out, "SMTPSNOOP_PID", sender->task.pid);
	number(out, "SMTPSNOOP_UID", sender->task.euid);
	bytes(out, "SMTPSNOOP_USER", span_of(sender->user), NAME_MAX_JOURNAL);
	if (sender->task.loginuid != LOGINUID_NONE)
		number(out, "SMTPSNOOP_LOGINUID", sender->task.loginuid);
	bytes(out, "SMTPSNOOP_COMM", sender_comm(sender), COMM_MAX);
	if (sender->image)
		write_image(out, sender->image);
	word(out, "SMTPSNOOP_SHA256", sender->sha256);
	bytes(out, "SMTPSNOOP_UNIT", span_of(sender->unit), NAME_MAX_JOURNAL);
	bytes(out, "SMTPSNOOP_USER_UNIT", span_of(sender->user_unit), NAME_MAX_JOURNAL);
	bytes(out, "SMTPSNOOP_CONTAINER", span_of(sender->container), NAME_MAX_JOURNAL);
	word(out, "SMTPSNOOP_SCHEDULED_BY", scheduler_name(sender->scheduler));
}

static void write_origin(struct text *out, const struct origin *origin)
{
	bytes(out, "SMTPSNOOP_ORIGIN_USER", span_of(origin->user), NAME_MAX_JOURNAL);
	if (origin->has_uid)
		number(out, "SMTPSNOOP_ORIGIN_UID", origin->uid);
}

/* ---- The watch itself ------------------------------------------------------------------------ */

static void write_totals(struct text *out, const struct event *event)
{
	const struct event_stats *stats = event->stats;

	if (event->action != EVENT_LOSS) {
		number(out, "SMTPSNOOP_MESSAGES", stats->messages);
		number(out, "SMTPSNOOP_RECIPIENTS", stats->recipients);
		number(out, "SMTPSNOOP_BYTES", stats->bytes);
	}
	if (event->action == EVENT_SESSION)
		return;
	if (event->action != EVENT_LOSS) {
		number(out, "SMTPSNOOP_ALERTS", stats->alerts);
		number(out, "SMTPSNOOP_EXCLUDED", stats->excluded);
	}
	number(out, "SMTPSNOOP_LOST", event_lost(stats));
	number(out, "SMTPSNOOP_LOST_BYTES", event_lost_bytes(stats));
}

void event_journal(struct text *out, const struct event *event)
{
	write_event(out, event);
	if (event->has_flow) {
		write_verdict(out, event);
		write_network(out, event);
		if (event->transaction)
			write_transaction(out, event->transaction);
		if (event->sender_count)
			write_sender(out, event->senders[0]);
		if (event->origin)
			write_origin(out, event->origin);
	}
	if (event->stats && !event->transaction)
		write_totals(out, event);
}
