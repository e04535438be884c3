/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in ArcSight's Common Event Format, version 0 (CEF Implementation Standard: header,
 * extension dictionary), a line for each event, for receivers of syslog.
 *
 * What others chose is made safe in two steps. text_add_line() makes it one line of text, without
 * anything that a receiver could read as the end of a value. Then '\', '=', CR and LF are escaped
 * as CEF requires. So no value can end itself or begin another key. Each value has a bound on its
 * escaped length, which is at most the dictionary's, and all of them together stay below CEF_MAX:
 * rsyslog accepts 8 KiB with the syslog header.
 */
#include "format/format.h"

#include <string.h>

#include "format/event_sentence.h"
#include "process/image.h"

#define CEF_MAX	  7500U /* bytes of a record, less one */
#define CEF_FIXED 264U	/* of them, reserved for numbers and labels, which have no bound */

/*
 * Bytes of a value, escaped. The dictionary has limits in characters; these are lower, or the
 * comment names the key whose limit it is.
 */
#define ACTION_MAX	63U  /* act */
#define HOST_MAX	100U /* dvchost */
#define REASON_MAX	600U
#define USER_MAX	200U
#define PATH_MAX_CEF	440U
#define ADDRESS_MAX	320U
#define RECIPIENTS_MAX	900U
#define NAME_MAX_CEF	200U
#define SUBJECT_MAX	360U
#define COMMAND_MAX	560U
#define SENTENCE_MAX	720U
#define RULE_MAX	128U /* in the name field of the header */
#define DHOST_MAX	256U
#define CLAIM_MAX	200U
#define ANCESTORS_BYTES 900U /* all of them */
#define ANCESTOR_PATH	160U
#define ANCESTOR_ARGS	120U

/* ---- Escaping -------------------------------------------------------------------------------- */

static bool is_special(char c)
{
	return c == '\\' || c == '=' || c == '\r' || c == '\n';
}

static size_t escaped_len(struct span line)
{
	size_t len = line.len;

	for (size_t i = 0; i < line.len; i++)
		len += is_special(line.data[i]);
	return len;
}

static void add_escaped(struct text *out, struct span line)
{
	for (size_t at = 0, plain; at < line.len; at += plain + 1) {
		for (plain = 0; at + plain < line.len && !is_special(line.data[at + plain]);)
			plain++;
		text_add(out, (struct span){line.data + at, plain});
		if (at + plain == line.len)
			return;
		switch (line.data[at + plain]) {
		case '\r': text_add_string(out, "\\r"); break;
		case '\n': text_add_string(out, "\\n"); break;
		default:
			text_add_string(out, "\\");
			text_add(out, (struct span){line.data + at + plain, 1});
		}
	}
}

/*
 * The beginning of a line, as much as fits `max` bytes once it is escaped. Characters and escapes
 * stay whole.
 */
static struct span fitting(struct span line, size_t max)
{
	size_t taken = 0, fits = 0;

	while (fits < line.len) {
		struct span piece = {line.data + fits, line.len - fits};

		piece.len = text_piece(piece);
		taken += escaped_len(piece);
		if (taken > max)
			break;
		fits += piece.len;
	}
	return (struct span){line.data, fits};
}

/* ---- Key and value --------------------------------------------------------------------------- */

/* Adds one line of text; leaves it out if it is empty or has no room for 8 bytes. */
static void line_value(struct text *out, const char *key, struct span line, size_t max)
{
	size_t before = out->len + strlen(key) + 2 + CEF_FIXED;
	size_t room = before < CEF_MAX ? CEF_MAX - before : 0;
	struct span part = line;

	max = max < room ? max : room;
	if (!line.len || max < 8)
		return;
	if (line.len > max || escaped_len(line) > max)
		part = fitting(line, max - 3);
	text_add_string(out, " ");
	text_add_string(out, key);
	text_add_string(out, "=");
	add_escaped(out, part);
	if (part.len < line.len)
		text_add_string(out, "...");
}

/* Bytes that others chose. Each becomes one or more, so that those after `max` are not needed. */
static void value(struct text *out, const char *key, struct span bytes, size_t max)
{
	struct text line = {0};

	text_add_line(&line, (struct span){bytes.data, bytes.len < max + 4 ? bytes.len : max + 4},
		      TEXT_LINE_ENDS);
	out->failed |= line.failed;
	line_value(out, key, (struct span){line.data, line.len}, max);
	text_free(&line);
}

static void word(struct text *out, const char *key, const char *string)
{
	line_value(out, key, span_of(string), ACTION_MAX);
}

/* CEF has signed numbers. */
static void number(struct text *out, const char *key, uint64_t count)
{
	if (count > INT64_MAX)
		count = INT64_MAX;
	text_add_format(out, " %s=%llu", key, (unsigned long long)count);
}

static void number_labelled(struct text *out, const char *key, const char *label, uint64_t count)
{
	number(out, key, count);
	text_add_format(out, " %sLabel=%s", key, label);
}

/* A value with its label; neither is written without the other. */
static void labelled(struct text *out, const char *key, const char *label, struct span bytes,
		     size_t max)
{
	size_t before = out->len;

	value(out, key, bytes, max);
	if (out->len != before)
		text_add_format(out, " %sLabel=%s", key, label);
}

static void time_at(struct text *out, const char *key, int64_t realtime_ns)
{
	text_add_format(out, " %s=%lld", key, (long long)(realtime_ns / 1000000));
}

/* ---- The header ------------------------------------------------------------------------------ */

static unsigned int severity(const struct event *event)
{
	unsigned int risk = event_risk(event);

	if (risk)
		return (risk + 9) / 10; /* 21: 3, 47: 5, 73: 8 */
	switch (event->action) {
	case EVENT_LOSS: return 5;
	case EVENT_STOPPED: return 3; /* nothing is watched from now on */
	case EVENT_STARTED:
	case EVENT_STATUS: return 0;
	default: return 1;
	}
}

static const char *name_of(const struct event *event)
{
	bool alert = event->verdict == VERDICT_ALERT;

	switch (event->action) {
	case EVENT_STARTED: return "Watch started";
	case EVENT_STATUS: return "Watch status";
	case EVENT_STOPPED: return "Watch stopped";
	case EVENT_LOSS: return "Capture loss";
	case EVENT_SESSION:
		return alert ? "Data in SMTP commands that no exclusion covers"
		       : event->verdict == VERDICT_EXCLUDED
			       ? "Data in SMTP commands that an exclusion covers"
			       : "SMTP session ended";
	case EVENT_ENCRYPTED:
		return alert ? "Encrypted SMTP session that no exclusion covers"
			     : "Encrypted SMTP session";
	case EVENT_SUBMISSION: return "Mail handed to a local MTA";
	case EVENT_MESSAGE: break;
	}
	if (alert)
		return "Mail that no exclusion covers";
	return event->verdict == VERDICT_EXCLUDED ? "Mail that an exclusion covers" : "Mail";
}

/* A field of the header: '\' and '|' are escaped, and there are no line ends. */
static void header_field(struct text *out, struct span bytes, size_t max)
{
	struct text line = {0};

	event_add_short(&line, bytes, max, 0);
	out->failed |= line.failed;
	for (size_t i = 0; i < line.len; i++) {
		if (line.data[i] == '\\' || line.data[i] == '|')
			text_add_string(out, "\\");
		text_add(out, (struct span){line.data + i, 1});
	}
	text_free(&line);
}

/* Includes the first key, "rt": it alone begins without a blank, so it has to be always there. */
static void write_header(struct text *out, const struct event *event)
{
	text_add_string(out, "CEF:0|smtpsnoop|smtpsnoop|");
	header_field(out, span_of(VERSION), RULE_MAX);
	text_add_format(out, "|%s|%s", event_action_name(event->action), name_of(event));
	if (event_rule(event)) {
		text_add_string(out, ": ");
		header_field(out, span_of(event_rule(event)), RULE_MAX);
	}
	text_add_format(out, "|%u|rt=%lld", severity(event), (long long)(event->time_ns / 1000000));
}

/* ---- The extension, of every event ----------------------------------------------------------- */

static void write_sentence(struct text *out, const struct event *event)
{
	struct text sentence = {0};

	event_sentence(&sentence, event);
	out->failed |= sentence.failed;
	line_value(out, "msg", (struct span){sentence.data, sentence.len}, SENTENCE_MAX);
	text_free(&sentence);
}

static void write_reason(struct text *out, const struct event *event)
{
	struct text reason = {0};

	if (event->reason_count)
		event_add_reasons(&reason, event);
	else if (event->nearest)
		event_add_criteria(&reason, event->failed);
	else if (is_known(event->detail))
		text_add_string(&reason, event->detail);
	out->failed |= reason.failed;
	line_value(out, "reason", (struct span){reason.data, reason.len}, REASON_MAX);
	text_free(&reason);
}

static void write_event(struct text *out, const struct event *event)
{
	value(out, "externalId", span_of(event->id), EVENT_ID_LEN);
	word(out, "cat", event_kind(event));
	if (event->host)
		value(out, "dvchost", span_of(event->host), HOST_MAX);
	write_sentence(out, event);
	if (event_is_of_watch(event))
		return;
	time_at(out, "start", event->start_ns);
	time_at(out, "end", event->end_ns);
	if (event->joined)
		number(out, "cnt", event->joined->count);
	if (event->verdict != VERDICT_NONE)
		word(out, "act", event_verdict_name(event->verdict));
	if (event->transaction)
		word(out, "outcome", smtp_outcome_name(event->transaction->outcome));
}

/* ---- Network --------------------------------------------------------------------------------- */

/* dst and src are for IPv4 only. IPv6 has its own keys, with labels that the dictionary fixes. */
static void write_endpoint(struct text *out, const struct endpoint *endpoint, bool source)
{
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	if (address_is_ipv4(endpoint->addr))
		word(out, source ? "src" : "dst", address);
	else if (source)
		text_add_format(out, " c6a2=%s c6a2Label=Source IPv6 Address", address);
	else
		text_add_format(out, " c6a3=%s c6a3Label=Destination IPv6 Address", address);
	number(out, source ? "spt" : "dpt", endpoint->port);
}

/* The host that the client asked for: the target behind a proxy, else the TLS server name. */
static void write_destination_host(struct text *out, const struct event *event)
{
	const struct preamble *proxy = event->session ? &event->session->proxy : NULL;
	struct span target;
	const char *colon;

	if (!proxy || !proxy->hops) {
		if (event->server_name)
			value(out, "dhost", span_of(event->server_name), DHOST_MAX);
		return;
	}
	target = (struct span){proxy->target, proxy->target_len};
	colon = target.len ? memrchr(target.data, ':', target.len) : NULL;
	if (colon)
		target.len = (size_t)(colon - target.data);
	value(out, "dhost", target, DHOST_MAX);
}

static void write_network(struct text *out, const struct event *event)
{
	word(out, "app", "SMTP");
	word(out, "proto", "TCP");
	word(out, "deviceDirection", "1"); /* outbound */
	write_endpoint(out, &event->source, true);
	write_endpoint(out, &event->destination, false);
	write_destination_host(out, event);
}

/* ---- Who sent -------------------------------------------------------------------------------- */

static void write_image(struct text *out, const struct sender *sender)
{
	struct text line = {0};

	if (!sender->image) {
		value(out, "sproc", sender_comm(sender), PATH_MAX_CEF);
		return;
	}
	value(out, "sproc", span_of(sender->image->executable), PATH_MAX_CEF);
	value(out, "filePath", event_program(sender), PATH_MAX_CEF);
	value(out, "fileHash", span_of(sender->sha256), SHA256_HEX_LEN);
	image_command_line(sender->image, &line);
	out->failed |= line.failed;
	labelled(out, "flexString2", "command line", (struct span){line.data, line.len},
		 COMMAND_MAX);
	text_free(&line);
}

static void write_unit(struct text *out, const struct sender *sender)
{
	const char *unit = is_known(sender->unit) ? sender->unit : sender->user_unit;

	value(out, "sourceServiceName", span_of(unit), NAME_MAX_CEF);
	if (is_known(sender_container(sender)))
		labelled(out, "cs6", "container", span_of(sender_container(sender)), NAME_MAX_CEF);
	else
		labelled(out, "cs6", "unit", span_of(unit), NAME_MAX_CEF);
}

static void write_sender(struct text *out, const struct sender *sender)
{
	value(out, "suser", span_of(sender->user), USER_MAX);
	number(out, "suid", sender->task.euid);
	number(out, "spid", sender->task.pid);
	write_image(out, sender);
	write_unit(out, sender);
}

/* "/bin/dash: sh -c msmtp < /usr/bin/php8.2 /srv/spam.php: php /srv/spam.php": the parent first. */
static void write_ancestors(struct text *out, const struct sender *sender)
{
	struct text line = {0};

	for (uint32_t i = 0; i < sender->ancestor_count && line.len < ANCESTORS_BYTES; i++) {
		if (i)
			text_add_string(&line, " < ");
		event_add_ancestor(&line, &sender->ancestors[i], ANCESTOR_PATH, ANCESTOR_ARGS,
				   TEXT_LINE_ENDS);
	}
	out->failed |= line.failed;
	line_value(out, "requestContext", (struct span){line.data, line.len}, ANCESTORS_BYTES);
	text_free(&line);
}

/* ---- Mail ------------------------------------------------------------------------------------ */

/* The address of a path; an empty path is "<>", as in the command. */
static struct span address_of(struct span path)
{
	return path.len ? path : span_of("<>");
}

/* As many as fit, then "+N"; the JSON format has the full list. */
static void write_recipients(struct text *out, const struct smtp_transaction *transaction)
{
	uint32_t total = transaction->recipient_count + transaction->recipients_dropped, shown = 0;
	struct text list = {0}, one = {0};
	size_t taken = 0, before = out->len;

	for (; shown < transaction->recipient_count; shown++) {
		size_t len;

		text_clear(&one);
		event_add_short(&one, address_of(smtp_transaction_recipient(transaction, shown)),
				ADDRESS_MAX, TEXT_LISTED | TEXT_LINE_ENDS);
		len = escaped_len((struct span){one.data, one.len}) + 1;
		if (taken + len > RECIPIENTS_MAX - sizeof(",+4294967295"))
			break;
		taken += len;
		if (shown)
			text_add_string(&list, ",");
		text_add(&list, (struct span){one.data, one.len});
	}
	if (shown < total)
		text_add_format(&list, "%s+%u", shown ? "," : "", total - shown);
	out->failed |= list.failed || one.failed;
	line_value(out, "cs2", (struct span){list.data, list.len}, RECIPIENTS_MAX);
	if (out->len != before)
		text_add_string(out, " cs2Label=recipients");
	text_free(&list);
	text_free(&one);
}

/* What the mail's header says of the PHP script, marked as the sender's own words. */
static void write_claim(struct text *out, const struct mail *mail)
{
	struct text line = {0};

	if (!mail || !mail->claims[MAIL_CLAIM_PHP_SCRIPT].len)
		return;
	text_add_string(&line, "claimed: ");
	event_add_short(&line, mail_span(mail, mail->claims[MAIL_CLAIM_PHP_SCRIPT]), CLAIM_MAX,
			TEXT_LINE_ENDS);
	out->failed |= line.failed;
	line_value(out, "requestClientApplication", (struct span){line.data, line.len}, CLAIM_MAX);
	text_free(&line);
}

static void write_transaction(struct text *out, const struct smtp_transaction *transaction)
{
	if (!transaction->from_unknown)
		labelled(out, "cs1", "sender", address_of(smtp_transaction_from(transaction)),
			 ADDRESS_MAX);
	/* The dictionary counts mail addresses as user names. */
	if (transaction->recipient_count)
		value(out, "duser", address_of(smtp_transaction_recipient(transaction, 0)),
		      ADDRESS_MAX);
	write_recipients(out, transaction);
	number(out, "out", transaction->bytes);
	number_labelled(out, "cn1", "recipients",
			(uint64_t)transaction->recipient_count + transaction->recipients_dropped);
	if (transaction->reply_code)
		number_labelled(out, "cn2", "reply code", transaction->reply_code);
	if (transaction->mail)
		labelled(out, "flexString1", "subject",
			 mail_span(transaction->mail, transaction->mail->subject), SUBJECT_MAX);
}

static void write_session(struct text *out, const struct event *event)
{
	const struct smtp_facts *facts = event->session;

	if (facts && facts->protocol != SMTP_PROTOCOL_UNKNOWN)
		labelled(out, "cs3", "helo", (struct span){facts->helo, facts->helo_len},
			 NAME_MAX_CEF);
	if (event->exclusion)
		labelled(out, "cs4", "exclusion", span_of(event->exclusion), NAME_MAX_CEF);
	else
		labelled(out, "cs4", "nearest exclusion", span_of(event->nearest), NAME_MAX_CEF);
	labelled(out, "cs5", "session", span_of(event->session_id), EVENT_ID_LEN);
	number_labelled(out, "cn3", "missing bytes", event->capture.missing_bytes);
	if (event->action != EVENT_SESSION || !event->stats)
		return;
	number(out, "out", event->stats->bytes + (facts ? facts->command_bytes : 0));
	if (facts)
		number(out, "in", facts->reply_bytes);
	number_labelled(out, "cn1", "recipients", event->stats->recipients);
	number_labelled(out, "cn2", "messages", event->stats->messages);
}

/* ---- The watch itself ------------------------------------------------------------------------ */

static void write_totals(struct text *out, const struct event *event)
{
	const struct event_stats *stats = event->stats;

	if (event->config_hash[0])
		labelled(out, "cs1", "configuration", span_of(event->config_hash), EVENT_HASH_LEN);
	if (!stats)
		return;
	if (event->action != EVENT_LOSS) {
		number_labelled(out, "cn1", "messages", stats->messages);
		number_labelled(out, "cn2", "alerts", stats->alerts);
		number_labelled(out, "cn3", "lost", event_lost(stats));
	} else {
		number_labelled(out, "cn1", "lost", event_lost(stats));
		number_labelled(out, "cn3", "missing bytes", event_lost_bytes(stats));
	}
}

void event_cef(struct text *out, const struct event *event)
{
	write_header(out, event);
	write_event(out, event);
	if (event->has_flow) {
		write_network(out, event);
		if (event->transaction)
			write_transaction(out, event->transaction);
		write_session(out, event);
		if (event->sender_count)
			write_sender(out, event->senders[0]);
	} else if (event->action == EVENT_SUBMISSION && event->sender_count) {
		write_sender(out, event->senders[0]);
	} else {
		write_totals(out, event);
	}
	write_reason(out, event);
	/* Last, so that they leave no other key without room. */
	if (event->transaction)
		write_claim(out, event->transaction->mail);
	if (event->sender_count)
		write_ancestors(out, event->senders[0]);
}
