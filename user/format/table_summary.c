/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. Each sender, a process by its name and its user, has an entry with a count.
 * A process can take any name, so the entries of one user are bounded; what exceeds that is in one
 * entry for the user. At the end, those with reasons come first, then those with alerts, then the
 * busiest.
 */
#include "format/table_summary.h"

#include <stdlib.h>
#include <string.h>

#include "format/event_words.h"
#include "format/table_notes.h"

#define UID_UNKNOWN UINT32_MAX

/* ---- Counting -------------------------------------------------------------------------------- */

static bool is_sent(const struct event *event)
{
	switch (event->action) {
	case EVENT_MESSAGE:
	case EVENT_ENCRYPTED: return !event->provisional;
	case EVENT_SESSION: return !event->provisional && event->verdict == VERDICT_ALERT;
	default: return false;
	}
}

/* Whose entry it is: of mail that an MTA sends, of whoever submitted it. */
static uint32_t user_of(const struct event *event)
{
	if (event->origin && event->origin->has_uid)
		return event->origin->uid;
	return event->sender_count ? event->senders[0]->task.euid : UID_UNKNOWN;
}

/* "curl (root)"; `rest`: "others (root)". */
static void add_name(struct text *name, const struct event *event, bool rest)
{
	const struct origin *origin = event->origin;

	if (!event->sender_count) {
		text_add_string(name, "not known");
		return;
	}
	if (rest)
		text_add_string(name, "others");
	else
		words_add_process(name, event->senders[0], NULL, 0);
	text_add_string(name, " (");
	if (origin && (origin->has_uid || !rest))
		words_add_origin(name, origin);
	words_add_user(name, event->senders[0]);
	text_add_string(name, ")");
}

/* Makes room for one more. False: there is none. */
static bool grow(struct summary *summary)
{
	size_t size = summary->size ? 2 * summary->size : 32;
	struct summary_sender *senders;

	if (summary->count < summary->size)
		return true;
	if (size > SUMMARY_SENDERS_MAX)
		return false;
	senders = realloc(summary->senders, size * sizeof(*senders));
	if (!senders)
		return false;
	summary->senders = senders;
	summary->size = size;
	return true;
}

static size_t count_of_user(const struct summary *summary, uint32_t uid)
{
	size_t count = 0;

	for (size_t i = 0; i < summary->count; i++)
		count += summary->senders[i].uid == uid;
	return count;
}

static struct summary_sender *find(const struct summary *summary, const char *name, uint32_t uid)
{
	for (size_t i = 0; i < summary->count; i++)
		if (summary->senders[i].uid == uid && strcmp(summary->senders[i].name, name) == 0)
			return &summary->senders[i];
	return NULL;
}

/* The entry of this name; NULL: there is no room, or the user has `max` entries. */
static struct summary_sender *entry(struct summary *summary, const struct event *event, bool rest,
				    size_t max)
{
	struct summary_sender *sender = NULL;
	uint32_t uid = user_of(event);
	struct text name = {0};
	bool named;

	add_name(&name, event, rest);
	named = name.data && !name.failed;
	if (named)
		sender = find(summary, name.data, uid);
	if (!sender && named && count_of_user(summary, uid) < max && grow(summary)) {
		sender = &summary->senders[summary->count++];
		*sender = (struct summary_sender){.name = name.data, .uid = uid};
		return sender;
	}
	text_free(&name);
	return sender;
}

static void add_reason(struct summary_sender *sender, const char *reason)
{
	for (size_t i = 0; i < sender->reason_count; i++)
		if (strcmp(sender->reasons[i], reason) == 0)
			return;
	if (sender->reason_count < SUMMARY_REASONS_MAX)
		sender->reasons[sender->reason_count++] = reason;
}

void summary_count(struct summary *summary, const struct event *event)
{
	bool alert = event->verdict == VERDICT_ALERT;
	struct summary_sender *sender;

	if (!is_sent(event))
		return;
	sender = entry(summary, event, false, SUMMARY_USER_MAX - 1);
	if (!sender)
		sender = entry(summary, event, true, SUMMARY_USER_MAX);
	if (!sender) {
		summary->rest++;
		summary->rest_alerts += alert;
		return;
	}
	sender->count++;
	sender->alerts += alert;
	for (uint32_t i = 0; alert && i < event->reason_count; i++)
		add_reason(sender, event->reasons[i]);
}

void summary_free(struct summary *summary)
{
	for (size_t i = 0; i < summary->count; i++)
		free(summary->senders[i].name);
	free(summary->senders);
	*summary = (struct summary){0};
}

/* ---- What was lost --------------------------------------------------------------------------- */

/* Adds one count, behind others if there are `any`. False: it is 0. */
static bool add_lost(struct text *line, bool any, uint64_t count, const char *what)
{
	if (count)
		text_add_format(line, "%s%llu %s", any ? ", " : "", (unsigned long long)count,
				what);
	return count;
}

bool summary_add_losses(struct text *line, const struct event_stats *stats)
{
	static const char *const words[COUNTER_MAX] = {
		[COUNTER_PROCESS_LOST] = "process records",
		[COUNTER_SENDER_LOST] = "sender records",
		[COUNTER_SEGMENT_LOST] = "segments",
		[COUNTER_SEGMENT_BYTES] = "bytes of segments",
		[COUNTER_PRESSURE_BYTES] = "bytes beyond the share of their user",
		[COUNTER_CLOSE_LOST] = "ends of connections",
		[COUNTER_STATE_FAILED] = "sockets that could not be followed",
		[COUNTER_SEND_UNREADABLE] = "sends whose bytes could not be read",
		[COUNTER_SEND_PENDING_FULL] = "sends that could not be kept",
		[COUNTER_MISSED] = "runs that the kernel left out",
	};
	bool any = false;

	for (int i = 0; i < COUNTER_MAX; i++)
		any |= add_lost(line, any, stats->counters[i], words[i]);
	any |= add_lost(line, any, stats->flows_dropped, "connections");
	any |= add_lost(line, any, stats->content_refused, "contents of messages");
	any |= add_lost(line, any, stats->events_lost, "events");
	any |= add_lost(line, any, stats->events_left_out, "events of a flood");
	any |= add_lost(line, any, stats->records_malformed, "malformed records");
	if (stats->unwatched_ns)
		text_add_format(line, "%swhat passed in %.1f s before the start", any ? ", " : "",
				(double)stats->unwatched_ns / 1e9);
	return any || stats->unwatched_ns;
}

static void add_count(struct text *line, uint64_t count, const char *one, const char *many)
{
	text_add_format(line, "%llu %s", (unsigned long long)count, count == 1 ? one : many);
}

/* Adds what may be missing although nothing was dropped. False: nothing is. */
static bool add_doubts(struct text *line, const struct event_stats *stats)
{
	if (stats->mid_stream) {
		add_count(line, stats->mid_stream, "connection", "connections");
		text_add_string(line, " began before the watch: what was sent before is not known");
	}
	if (stats->mid_stream && stats->incomplete)
		text_add_string(line, "; ");
	if (stats->incomplete) {
		add_count(line, stats->incomplete, "message was", "messages were");
		text_add_string(line, " not seen completely");
	}
	return stats->mid_stream || stats->incomplete;
}

/* "Nothing was lost" stands here only if that is certain. */
static int write_losses(const struct summary *summary, struct terminal *terminal,
			const struct event_stats *stats)
{
	struct text *line = &terminal->line;
	bool any;
	int error = 0;

	text_add_string(line, "not captured: ");
	any = summary_add_losses(line, stats);
	if (any)
		error = terminal_put_words(terminal, YELLOW, 0);
	text_clear(line);
	if (add_doubts(line, stats))
		any = true;
	if (!any)
		text_add_string(line,
				summary->doubtful ? "not captured: see above" : "nothing was lost");
	if (!error && line->len)
		error = terminal_put_words(terminal, any || summary->doubtful ? YELLOW : PLAIN, 0);
	return error;
}

/* ---- The senders ----------------------------------------------------------------------------- */

/* Negative: `a` comes first. */
static int by_need(const void *a, const void *b)
{
	const struct summary_sender *first = a, *second = b;
	const uint64_t firsts[] = {first->reason_count > 0, first->alerts, first->count};
	const uint64_t seconds[] = {second->reason_count > 0, second->alerts, second->count};

	for (size_t i = 0; i < sizeof(firsts) / sizeof(firsts[0]); i++)
		if (firsts[i] != seconds[i])
			return firsts[i] > seconds[i] ? -1 : 1;
	return strcmp(first->name, second->name);
}

/* How many of them are alerts; the mark says it of all of them. */
static void add_alerts(struct text *line, uint64_t count, uint64_t alerts)
{
	if (!alerts || alerts == count)
		return;
	text_add_string(line, ": ");
	add_count(line, alerts, "alert", "alerts");
}

/* "!        3  curl (www-data): 2 alerts: executable_deleted", cut at the width. */
static int write_sender(struct terminal *terminal, const struct summary_sender *sender)
{
	struct text *cell = &terminal->cell;
	struct span line;
	int error;

	text_add_format(cell, "%s %7llu  %s", sender->alerts ? "!" : " ",
			(unsigned long long)sender->count, sender->name);
	add_alerts(cell, sender->count, sender->alerts);
	for (size_t i = 0; i < sender->reason_count; i++)
		text_add_format(cell, "%s%s", i ? ", " : ": ", sender->reasons[i]);
	line = (struct span){cell->data ? cell->data : "", cell->len};
	if (sender->alerts)
		terminal_color(terminal, ALERT);
	if (terminal->width && text_width(line) > terminal->width)
		text_add_column(&terminal->line, line, terminal->width, false);
	else
		text_add(&terminal->line, line);
	if (sender->alerts)
		terminal_color(terminal, PLAIN);
	error = terminal_put_line(terminal);
	text_clear(cell);
	return error;
}

/* "        7  by 3 more senders: 2 alerts"; 0 senders: those that found no room. */
static int write_others(struct terminal *terminal, uint64_t count, uint64_t alerts, size_t senders)
{
	if (!count)
		return 0;
	text_add_format(&terminal->line, "%s %7llu  by ", alerts ? "!" : " ",
			(unsigned long long)count);
	if (senders)
		add_count(&terminal->line, senders, "more sender", "more senders");
	else
		text_add_string(&terminal->line, "senders that were not counted apart");
	add_alerts(&terminal->line, count, alerts);
	return terminal_put_words(terminal, alerts ? ALERT : PLAIN, 0);
}

static int write_senders(struct summary *summary, struct terminal *terminal)
{
	uint64_t count = 0, alerts = 0;
	size_t shown = summary->count < SUMMARY_SHOWN ? summary->count : SUMMARY_SHOWN;
	int error = 0;

	if (summary->count)
		qsort(summary->senders, summary->count, sizeof(summary->senders[0]), by_need);
	for (size_t i = 0; i < shown && !error; i++)
		error = write_sender(terminal, &summary->senders[i]);
	for (size_t i = shown; i < summary->count; i++) {
		count += summary->senders[i].count;
		alerts += summary->senders[i].alerts;
	}
	if (!error)
		error = write_others(terminal, count, alerts, summary->count - shown);
	return error ? error : write_others(terminal, summary->rest, summary->rest_alerts, 0);
}

/* ---- The whole ------------------------------------------------------------------------------- */

static void add_totals(struct text *line, const struct event_stats *stats)
{
	add_count(line, stats->messages, "message", "messages");
	text_add_string(line, " to ");
	add_count(line, stats->recipients, "recipient", "recipients");
	text_add_string(line, ", ");
	words_add_size(line, stats->bytes);
	text_add_string(line, stats->bytes < 1000 ? " bytes" : "");
	if (stats->encrypted) {
		text_add_string(line, "; ");
		add_count(line, stats->encrypted, "encrypted session", "encrypted sessions");
	}
	if (stats->carrying) {
		text_add_string(line, "; ");
		add_count(line, stats->carrying, "session with data in commands",
			  "sessions with data in commands");
	}
	if (stats->alerts) {
		text_add_string(line, "; ");
		add_count(line, stats->alerts, "alert", "alerts");
	}
	if (stats->excluded)
		text_add_format(line, "; %llu excluded", (unsigned long long)stats->excluded);
}

int summary_write(struct summary *summary, struct terminal *terminal,
		  const struct event_stats *stats)
{
	int error = 0;

	/* The terminal has echoed "^C"; and the rows end here. */
	if (terminal->width)
		error = terminal_put_line(terminal);
	add_totals(&terminal->line, stats);
	if (!error)
		error = terminal_put_words(terminal, BOLD, 0);
	if (!error)
		error = write_senders(summary, terminal);
	return error ? error : write_losses(summary, terminal, stats);
}
