/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the kernel knows (user, pid, destination, outcome) comes first, for a reader who sees only
 * the beginning of a line. Every part has a bound, so that the sentence has one
 * (EVENT_SENTENCE_MAX).
 */
#include "format/event_sentence.h"

#include "event/criterion.h"
#include "process/cause.h"
#include "process/image.h"

#define NAME_MAX_BYTES	  64U
#define ADDRESS_MAX_BYTES 200U
#define PATH_MAX_BYTES	  200U

void event_add_short(struct text *out, struct span bytes, size_t max, unsigned int flags)
{
	struct text line = {0};
	struct span whole, part;

	/* Each byte becomes one or more, so that those after `max` cannot be needed. */
	text_add_line(&line, (struct span){bytes.data, bytes.len < max + 4 ? bytes.len : max + 4},
		      flags);
	out->failed |= line.failed;
	whole = part = (struct span){line.data, line.len};
	if (whole.len > max)
		part = text_cut(whole, max - 3);
	text_add(out, part);
	if (part.len < whole.len)
		text_add_string(out, "...");
	text_free(&line);
}

static struct span program_of(const struct image *image)
{
	return span_of(is_known(image->script) ? image->script : image->executable);
}

struct span event_program(const struct sender *sender)
{
	return sender->image ? program_of(sender->image) : (struct span){"", 0};
}

void event_add_ancestor(struct text *out, const struct ancestor *ancestor, size_t path_max,
			size_t args_max, unsigned int flags)
{
	const struct image *image = ancestor->image;
	struct text line = {0};

	if (!image) {
		text_add_format(out, "pid %u", ancestor->pid);
		return;
	}
	event_add_short(out, span_of(image->executable), path_max, flags);
	if (is_known(image->script)) {
		text_add_string(out, " ");
		event_add_short(out, span_of(image->script), path_max, flags);
	}
	image_command_line(image, &line);
	out->failed |= line.failed;
	if (line.len) {
		text_add_string(out, ": ");
		event_add_short(out, (struct span){line.data, line.len}, args_max, flags);
	}
	text_free(&line);
}

void event_add_reasons(struct text *out, const struct event *event)
{
	for (uint32_t i = 0; i < event->reason_count; i++)
		text_add_format(out, "%s%s", i ? "," : "", event->reasons[i]);
}

void event_add_criteria(struct text *out, struct criteria criteria)
{
	bool any = false;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (!criteria_have(criteria, (enum criterion)i))
			continue;
		text_add_format(out, "%s%s", any ? "," : "", criterion_name((enum criterion)i));
		any = true;
	}
}

/* ---- Who, to whom, with what ----------------------------------------------------------------- */

static void add_user(struct text *out, const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	if (!sender) {
		text_add_string(out, "An unknown process");
		return;
	}
	if (is_known(sender->user))
		event_add_short(out, span_of(sender->user), NAME_MAX_BYTES, TEXT_QUOTED);
	else
		text_add_format(out, "uid %u", sender_uid(sender));
	text_add_format(out, " (pid %u)", sender->task.pid);
}

/* " for joe": who submitted the mail to the MTA that sends it. */
static void add_origin(struct text *out, const struct origin *origin)
{
	if (!origin || (!origin->user[0] && !origin->has_uid))
		return;
	text_add_string(out, " for ");
	if (origin->user[0])
		event_add_short(out, span_of(origin->user), NAME_MAX_BYTES, TEXT_QUOTED);
	else
		text_add_format(out, "uid %u", origin->uid);
}

static void add_destination(struct text *out, const struct event *event)
{
	char address[ADDRESS_LEN];

	text_address(address, event->destination.addr);
	text_add_format(out, address_is_ipv4(event->destination.addr) ? " %s:%u" : " [%s]:%u",
			address, event->destination.port);
}

/* " under TLS 1.3". */
static void add_tls(struct text *out, const struct event *event)
{
	const char *version = hello_version(event->tls_server.version);

	if (!event->tls)
		return;
	text_add_string(out, " under TLS");
	if (version && event->tls_server.version > 0x0300)
		text_add_format(out, " %s", version);
}

static void add_quoted(struct text *out, const char *before, struct span bytes, size_t max,
		       const char *after)
{
	text_add_string(out, before);
	event_add_short(out, bytes, max, TEXT_QUOTED);
	text_add_string(out, after);
}

/* " from "/srv/spam.php"": the process that handed the mail to the MTA. */
static void add_submitter(struct text *out, const struct origin *origin)
{
	if (origin->submitter && origin->submitter->image)
		add_quoted(out, " from \"", event_program(origin->submitter), PATH_MAX_BYTES, "\"");
	else if (origin->candidate_count)
		text_add_format(out, " from one of %u processes", origin->candidate_count);
}

/* " with "/usr/bin/msmtp" for "/srv/spam.php"": the program, and what made it send. */
static void add_program(struct text *out, const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;
	const struct ancestor *cause = sender ? sender_cause(sender) : NULL;

	if (!sender)
		return;
	if (sender->image)
		add_quoted(out, " with \"", event_program(sender), PATH_MAX_BYTES, "\"");
	else
		add_quoted(out, " as \"", sender_comm(sender), NAME_MAX_BYTES, "\"");
	if (cause)
		add_quoted(out, " for \"", program_of(cause->image), PATH_MAX_BYTES, "\"");
	if (event->origin)
		add_submitter(out, event->origin);
}

static void add_envelope(struct text *out, const struct smtp_transaction *transaction)
{
	uint32_t count = transaction->recipient_count + transaction->recipients_dropped;

	if (transaction->from_unknown)
		text_add_string(out, " from an unseen sender");
	else
		add_quoted(out, " from <", smtp_transaction_from(transaction), ADDRESS_MAX_BYTES,
			   ">");
	if (transaction->recipient_count)
		add_quoted(out, " to <", smtp_transaction_recipient(transaction, 0),
			   ADDRESS_MAX_BYTES, ">");
	if (count > 1)
		text_add_format(out, " and %u more", count - 1);
}

/* ---- What was decided ------------------------------------------------------------------------ */

static void add_verdict(struct text *out, const struct event *event)
{
	if (event->provisional)
		text_add_string(out, "; still open");
	if (event->capture.witness == WITNESS_DIFFER)
		text_add_string(out, event->tls ? "; not what its TLS library was given"
						: "; rewritten while it was sent");
	if (event->verdict == VERDICT_EXCLUDED && event->exclusion) {
		add_quoted(out, "; excluded by \"", span_of(event->exclusion), NAME_MAX_BYTES,
			   "\"");
	} else if (event->verdict == VERDICT_ALERT && event->nearest) {
		add_quoted(out, "; not excluded by \"", span_of(event->nearest), NAME_MAX_BYTES,
			   "\"");
		if (event->failed.bits) {
			text_add_string(out, " for ");
			event_add_criteria(out, event->failed);
		}
	}
}

/* "; one of 512 alike mails", "; one of 512 mails that differ in relay,mail.sender". */
static void add_joined(struct text *out, const struct event_joined *joined, const char *what)
{
	bool any = false;

	if (!joined)
		return;
	text_add_format(out, "; one of %llu %s%s", (unsigned long long)joined->count,
			joined->differ ? "" : "alike ", what);
	for (int i = 0; i < JOINED_PART_COUNT; i++) {
		if (!(joined->differ & 1U << i))
			continue;
		text_add_format(out, "%s%s", any ? "," : " that differ in ",
				joined_part_name((enum joined_part)i));
		any = true;
	}
}

static const char *what_became(const struct event *event)
{
	switch (event->transaction->result) {
	case SMTP_RESULT_DEFERRED: return " was told to try mail again later by";
	case SMTP_RESULT_REFUSED: return " was refused mail by";
	case SMTP_RESULT_ASKED: return " asked about an address and sent no mail to";
	default: return event->provisional ? " is sending mail to" : " sent mail to";
	}
}

static void message(struct text *out, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;

	add_user(out, event);
	text_add_string(out, what_became(event));
	add_destination(out, event);
	add_tls(out, event);
	add_origin(out, event->origin);
	if (transaction->reply_code)
		text_add_format(out, " (%u, %llu bytes)", transaction->reply_code,
				(unsigned long long)transaction->bytes);
	else
		text_add_format(out, " (no reply seen, %llu bytes)",
				(unsigned long long)transaction->bytes);
	add_program(out, event);
	add_envelope(out, transaction);
	add_joined(out, event->joined, "mails");
	add_verdict(out, event);
}

static void submission(struct text *out, const struct event *event)
{
	add_user(out, event);
	text_add_format(out, " handed a mail to %s", event->origin ? event->origin->mta : "an MTA");
	add_program(out, event);
	text_add_string(out, "; no relayed mail was seen to be that one");
}

static void encrypted(struct text *out, const struct event *event)
{
	add_user(out, event);
	text_add_string(out, " opened an encrypted SMTP session to");
	add_destination(out, event);
	if (is_known(event->server_name))
		add_quoted(out, " for <", span_of(event->server_name), ADDRESS_MAX_BYTES, ">");
	add_tls(out, event);
	add_program(out, event);
	add_joined(out, event->joined, "sessions");
	add_verdict(out, event);
}

/* "1 message", "2 messages". */
static void add_amount(struct text *out, const char *before, uint64_t count, const char *what)
{
	text_add_format(out, "%s%llu %s%s", before, (unsigned long long)count, what,
			count == 1 ? "" : "s");
}

static void session(struct text *out, const struct event *event)
{
	bool carries = event_commands_carry_data(event);

	add_user(out, event);
	text_add_string(out,
			carries ? " sent data in SMTP commands to" : " ended an SMTP session with");
	add_destination(out, event);
	if (carries)
		text_add_format(out, " (%llu bytes in commands)",
				(unsigned long long)event->session->command_bytes);
	if (event->stats) {
		add_amount(out, ": ", event->stats->messages, "message");
		add_amount(out, ", ", event->stats->recipients, "recipient");
		add_amount(out, ", ", event->stats->bytes, "byte");
	}
	add_program(out, event);
	add_joined(out, event->joined, "sessions");
	add_verdict(out, event);
}

/* ---- The watch itself ------------------------------------------------------------------------ */

static bool counts_bytes(int counter)
{
	return counter == COUNTER_SEGMENT_BYTES || counter == COUNTER_PRESSURE_BYTES;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a + b < a ? UINT64_MAX : a + b;
}

uint64_t event_lost(const struct event_stats *stats)
{
	uint64_t lost = add_saturated(add_saturated(stats->records_malformed, stats->flows_dropped),
				      add_saturated(stats->events_lost, stats->content_refused));

	lost = add_saturated(lost, stats->events_left_out);
	for (int i = 0; i < COUNTER_MAX; i++)
		lost = add_saturated(lost, counts_bytes(i) ? 0 : stats->counters[i]);
	return lost;
}

uint64_t event_lost_bytes(const struct event_stats *stats)
{
	return add_saturated(stats->counters[COUNTER_SEGMENT_BYTES],
			     stats->counters[COUNTER_PRESSURE_BYTES]);
}

static void add_count(struct text *out, const char *what, uint64_t count)
{
	if (count)
		text_add_format(out, " %s=%llu", what, (unsigned long long)count);
}

void event_add_dropped(struct text *out, const struct event *event)
{
	for (size_t i = 0; i < event->dropped_count && i < 3; i++) {
		const struct event_dropped *one = &event->dropped[i];

		text_add_string(out, "; of user ");
		if (one->name[0])
			text_add_line(out, span_of(one->name), 0);
		else
			text_add_format(out, "%u", one->uid);
		text_add_format(out, "%s: %llu bytes", one->contained ? " (contained)" : "",
				(unsigned long long)one->bytes);
	}
}

static void loss(struct text *out, const struct event *event)
{
	const struct event_stats *stats = event->stats;

	if (stats && !event_lost(stats) && !event_lost_bytes(stats) && is_known(event->detail)) {
		text_add_format(out, "smtpsnoop %s: %s",
				event->reason_count ? "may have missed mail"
						    : "saw nothing for a while",
				event->detail);
		return;
	}
	text_add_string(out, "smtpsnoop lost or could not read:");
	if (stats) {
		add_count(out, "malformed_records", stats->records_malformed);
		add_count(out, "flows", stats->flows_dropped);
		add_count(out, "events", stats->events_lost);
		add_count(out, "events_left_out", stats->events_left_out);
		add_count(out, "contents", stats->content_refused);
		for (int i = 0; i < COUNTER_MAX; i++)
			add_count(out, counter_name((enum counter)i), stats->counters[i]);
	}
	event_add_dropped(out, event);
	if (is_known(event->detail))
		text_add_format(out, " (%s)", event->detail);
}

static void totals(struct text *out, const struct event *event)
{
	const struct event_stats *stats = event->stats;

	if (event->action == EVENT_STATUS)
		text_add_format(out, "smtpsnoop watches by %s, %s the wire hook",
				event->capture.hook ? event->capture.hook : "none",
				event->capture.wire ? "with" : "without");
	else
		text_add_string(out, "smtpsnoop has stopped");
	if (is_known(event->detail))
		text_add_format(out, " (%s)", event->detail);
	if (!stats)
		return;
	add_amount(out, ": ", stats->messages, "message");
	add_amount(out, ", ", stats->alerts, "alert");
	text_add_format(out, ", %llu excluded, %llu lost", (unsigned long long)stats->excluded,
			(unsigned long long)event_lost(stats));
}

static void add_previous_run(struct text *out, const struct previous_run *previous)
{
	if (!previous || previous->end == RUN_NONE)
		return;
	text_add_format(out, "; how the previous run ended: %s", event_previous_how(previous));
	if (previous->unwatched_ns)
		text_add_format(out, ", nobody watched for %.1f s",
				(double)previous->unwatched_ns / 1e9);
}

static void started(struct text *out, const struct event *event)
{
	size_t begin = out->len;

	text_add_format(out, "smtpsnoop watches by %s, %s the wire hook",
			event->capture.hook ? event->capture.hook : "none",
			event->capture.wire ? "with" : "without");
	add_previous_run(out, event->previous);
	for (size_t i = 0; event->blind && event->blind[i]; i++) {
		text_add_string(out, i ? "; " : "; not seen: ");
		/* Our own words, as many as fit. */
		if (out->len - begin + strlen(event->blind[i]) > EVENT_SENTENCE_MAX - 8) {
			text_add_string(out, "...");
			return;
		}
		text_add_string(out, event->blind[i]);
	}
}

void event_sentence(struct text *out, const struct event *event)
{
	switch (event->action) {
	case EVENT_STARTED: started(out, event); return;
	case EVENT_STATUS:
	case EVENT_STOPPED: totals(out, event); return;
	case EVENT_MESSAGE: message(out, event); return;
	case EVENT_ENCRYPTED: encrypted(out, event); return;
	case EVENT_SESSION: session(out, event); return;
	case EVENT_LOSS: loss(out, event); return;
	case EVENT_SUBMISSION: submission(out, event); return;
	}
}
