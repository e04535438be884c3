/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for people: a line for each mail. The table fits the terminal. Columns have fixed widths,
 * except the two addresses, which share the rest and are shortened in the middle. The pid and the
 * process are in every table, however narrow. event_wide.c writes the lines if everything is to be
 * shown.
 */
#include "format/event_sentence.h"
#include "format/format.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/event_words.h"

#define WIDTH_DEFAULT 120U
#define WIDTH_NARROW  100U /* below it, user and size are left out */
#define WIDTH_UNIT    150U /* from it on, there is room for the unit */
#define TALLY_MAX     256U /* different processes counted for the summary */
#define TALLY_SHOWN   5U

struct tally {
	char *name; /* visible; owned */
	uint64_t count;
};

struct table {
	struct sink sink;
	struct terminal terminal;
	struct table_options options;
	bool header_done;
	struct tally tallies[TALLY_MAX];
	size_t tally_count;
	uint64_t tally_rest;
	bool doubtful; /* a span or a hook was reported in which mail may have been missed */
};

/* ---- The table ------------------------------------------------------------------------------- */

struct layout {
	size_t process, user, unit, destination, address, size; /* columns; 0: left out */
};

static struct layout layout_of(unsigned int width)
{
	struct layout layout = {.process = 15, .user = 10, .destination = 21, .size = 5};
	size_t fixed;

	if (width < WIDTH_NARROW)
		layout = (struct layout){.process = 12, .destination = 17};
	else if (width >= WIDTH_UNIT)
		layout.unit = 22;
	fixed = 10 + 9 + 8 + layout.process + 1 + (layout.user ? layout.user + 1 : 0) +
		(layout.unit ? layout.unit + 1 : 0) + layout.destination + 1 +
		(layout.size ? layout.size + 1 : 0) + 1;
	layout.address = width > fixed + 12 ? (width - fixed) / 2 : 6;
	return layout;
}

/* Adds the cell to the line as a column, and empties the cell. */
static void column(struct table *table, size_t width, bool right)
{
	if (width) {
		text_add_column(&table->terminal.line,
				(struct span){table->terminal.cell.data ? table->terminal.cell.data
									: "",
					      table->terminal.cell.len},
				width, right);
		text_add_string(&table->terminal.line, " ");
	}
	text_clear(&table->terminal.cell);
}

static void heading(struct table *table, const char *name, size_t width, bool right)
{
	text_add_string(&table->terminal.cell, name);
	column(table, width, right);
}

static int put_header(struct table *table, const struct layout *layout)
{
	table->header_done = true;
	terminal_color(&table->terminal, BOLD);
	heading(table, "TIME", 9, false);
	heading(table, "RESULT", 8, false);
	heading(table, "PID", 7, true);
	heading(table, "PROCESS", layout->process, false);
	heading(table, "USER", layout->user, false);
	heading(table, "UNIT", layout->unit, false);
	heading(table, "DESTINATION", layout->destination, false);
	heading(table, "FROM", layout->address, false);
	heading(table, "TO", layout->address, false);
	heading(table, "SIZE", layout->size, true);
	terminal_trim(&table->terminal);
	terminal_color(&table->terminal, PLAIN);
	return terminal_put_line(&table->terminal);
}

static void add_sender(struct table *table, const struct event *event, const struct layout *layout)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	if (sender)
		text_add_format(&table->terminal.cell, "%u", sender->task.pid);
	else
		text_add_string(&table->terminal.cell, "?");
	column(table, 7, true);
	if (sender)
		words_add_process(&table->terminal.cell, sender, layout->process);
	else
		text_add_string(&table->terminal.cell, "?");
	terminal_color(&table->terminal, BOLD);
	column(table, layout->process, false);
	terminal_color(&table->terminal, PLAIN);
	if (sender && event->origin)
		words_add_origin(&table->terminal.cell, event->origin);
	/* Not the MTA's own user, if it is known who submitted the mail. */
	if (sender && !table->terminal.cell.len)
		words_add_user(&table->terminal.cell, sender);
	column(table, layout->user, false);
	if (sender)
		words_add_unit(&table->terminal.cell, sender);
	column(table, layout->unit, false);
}

static int write_row(struct table *table, const struct event *event)
{
	unsigned int width = table->options.width ? table->options.width : WIDTH_DEFAULT;
	struct layout layout = layout_of(width);
	time_t seconds = (time_t)(event->time_ns / 1000000000);
	struct tm tm;
	int error = table->header_done ? 0 : put_header(table, &layout);

	localtime_r(&seconds, &tm);
	text_add_format(&table->terminal.cell, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
	column(table, 9, false);
	text_add_string(&table->terminal.cell, words_result(event));
	terminal_color(&table->terminal, words_color(event));
	column(table, 8, false);
	terminal_color(&table->terminal, PLAIN);
	add_sender(table, event, &layout);
	words_add_endpoint(&table->terminal.cell, &event->destination);
	column(table, layout.destination, false);
	words_add_from(&table->terminal.cell, event);
	column(table, layout.address, false);
	words_add_to(&table->terminal.cell, event);
	column(table, layout.address, false);
	if (event->transaction)
		words_add_size(&table->terminal.cell, event->transaction->bytes);
	else if (event_commands_carry_data(event))
		words_add_size(&table->terminal.cell, event->session->command_bytes);
	column(table, layout.size, true);
	terminal_color(&table->terminal, YELLOW);
	words_add_notes(&table->terminal.line, event);
	terminal_trim(&table->terminal);
	terminal_color(&table->terminal, PLAIN);
	return error ? error : terminal_put_line(&table->terminal);
}

/* ---- Other events ---------------------------------------------------------------------------- */

/* Adds one count, behind others if there are `any`. False: it is 0. */
static bool add_lost(struct text *line, bool any, uint64_t count, const char *what)
{
	if (count)
		text_add_format(line, "%s%llu %s", any ? ", " : "", (unsigned long long)count,
				what);
	return count;
}

/* Adds what was lost, in words. False: nothing was lost. */
static bool add_losses(struct text *line, const struct event_stats *stats)
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

static int write_loss(struct table *table, const struct event *event)
{
	terminal_color(&table->terminal, YELLOW);
	text_add_string(&table->terminal.line,
			event->reason_count ? "self-check: " : "not captured: ");
	table->doubtful |= is_known(event->detail);
	if (is_known(event->detail))
		text_add_string(&table->terminal.line, event->detail);
	else if (event->stats)
		add_losses(&table->terminal.line, event->stats);
	event_add_dropped(&table->terminal.line, event);
	terminal_color(&table->terminal, PLAIN);
	return terminal_put_line(&table->terminal);
}

static int write_started(struct table *table, const struct event *event)
{
	terminal_color(&table->terminal, DIM);
	if (strcmp(event->capture.hook, "none") == 0)
		text_add_string(&table->terminal.line,
				"watching the wire alone: the sender is whoever connected");
	else
		text_add_format(&table->terminal.line, "watching with %s hooks%s",
				event->capture.hook,
				event->capture.wire
					? " and the wire"
					: ", without the wire: no replies, no outcomes");
	text_add_string(&table->terminal.line, "; Ctrl-C ends it");
	terminal_color(&table->terminal, PLAIN);
	return terminal_put_line(&table->terminal);
}

/* ---- The summary ----------------------------------------------------------------------------- */

static void tally(struct table *table, const struct event *event)
{
	struct text name = {0};
	size_t i = 0;

	if ((event->action != EVENT_MESSAGE && event->action != EVENT_ENCRYPTED) ||
	    event->provisional)
		return;
	if (event->sender_count) {
		words_add_process(&name, event->senders[0], 0);
		text_add_string(&name, " (");
		if (event->origin)
			words_add_origin(&name, event->origin);
		words_add_user(&name, event->senders[0]);
		text_add_string(&name, ")");
	} else {
		text_add_string(&name, "not known");
	}
	while (name.data && i < table->tally_count &&
	       strcmp(table->tallies[i].name, name.data) != 0)
		i++;
	if (!name.data || i == TALLY_MAX) {
		table->tally_rest++;
		text_free(&name);
		return;
	}
	if (i == table->tally_count)
		table->tallies[table->tally_count++].name = name.data;
	else
		text_free(&name);
	table->tallies[i].count++;
}

static int by_count(const void *a, const void *b)
{
	const struct tally *first = a, *second = b;

	return first->count < second->count ? 1 : first->count > second->count ? -1 : 0;
}

static void add_count(struct text *line, uint64_t count, const char *one, const char *many)
{
	text_add_format(line, "%llu %s", (unsigned long long)count, count == 1 ? one : many);
}

static int summary_senders(struct table *table)
{
	uint64_t rest = table->tally_rest;
	int error = 0;

	qsort(table->tallies, table->tally_count, sizeof(table->tallies[0]), by_count);
	for (size_t i = 0; i < table->tally_count && !error; i++) {
		if (i >= TALLY_SHOWN) {
			rest += table->tallies[i].count;
			continue;
		}
		text_add_format(&table->terminal.line, "%9llu  ",
				(unsigned long long)table->tallies[i].count);
		text_add_string(&table->terminal.line, table->tallies[i].name);
		error = terminal_put_line(&table->terminal);
	}
	if (rest && !error) {
		text_add_format(&table->terminal.line, "%9llu  by others",
				(unsigned long long)rest);
		error = terminal_put_line(&table->terminal);
	}
	return error;
}

static int table_flush(struct sink *base)
{
	errno = 0;
	return fflush(((struct table *)base)->terminal.out) ? (errno ? -errno : -EIO) : 0;
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
static int summary_losses(struct table *table, const struct event_stats *stats)
{
	struct text *line = &table->terminal.line;
	bool any;
	int error = 0;

	text_add_string(line, "not captured: ");
	any = add_losses(line, stats);
	if (any)
		error = terminal_put_line(&table->terminal);
	text_clear(line);
	if (add_doubts(line, stats))
		any = true;
	if (!any)
		text_add_string(line,
				table->doubtful ? "not captured: see above" : "nothing was lost");
	if (!error && line->len)
		error = terminal_put_line(&table->terminal);
	return error;
}

static int table_finish(struct sink *base, const struct event_stats *stats)
{
	struct table *table = (struct table *)base;
	int error;

	terminal_color(&table->terminal, BOLD);
	add_count(&table->terminal.line, stats->messages, "message", "messages");
	text_add_string(&table->terminal.line, " to ");
	add_count(&table->terminal.line, stats->recipients, "recipient", "recipients");
	text_add_string(&table->terminal.line, ", ");
	words_add_size(&table->terminal.line, stats->bytes);
	text_add_string(&table->terminal.line, stats->bytes < 1000 ? " bytes" : "");
	if (stats->encrypted) {
		text_add_string(&table->terminal.line, "; ");
		add_count(&table->terminal.line, stats->encrypted, "encrypted session",
			  "encrypted sessions");
	}
	if (stats->carrying) {
		text_add_string(&table->terminal.line, "; ");
		add_count(&table->terminal.line, stats->carrying, "session with data in commands",
			  "sessions with data in commands");
	}
	terminal_color(&table->terminal, PLAIN);
	error = terminal_put_line(&table->terminal);
	if (!error)
		error = summary_senders(table);
	if (!error)
		error = summary_losses(table, stats);
	return error ? error : table_flush(base);
}

/* ---- The sink -------------------------------------------------------------------------------- */

static int table_write(struct sink *base, const struct event *event)
{
	struct table *table = (struct table *)base;

	text_clear(&table->terminal.line);
	text_clear(&table->terminal.cell);
	switch (event->action) {
	case EVENT_STARTED: return write_started(table, event);
	case EVENT_LOSS: return write_loss(table, event);
	case EVENT_STATUS:
	case EVENT_STOPPED: return 0; /* the summary has it */
	case EVENT_SESSION:
		if (!table->options.all && event->verdict != VERDICT_ALERT)
			return 0;
		break;
	default: break;
	}
	tally(table, event);
	return table->options.wide ? event_wide(&table->terminal, event) : write_row(table, event);
}

static void table_free(struct sink *base)
{
	struct table *table = (struct table *)base;

	for (size_t i = 0; i < table->tally_count; i++)
		free(table->tallies[i].name);
	text_free(&table->terminal.line);
	text_free(&table->terminal.cell);
	free(table);
}

struct sink *sink_table_new(FILE *out, const struct table_options *options)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->sink = (struct sink){.write = table_write,
				    .flush = table_flush,
				    .finish = table_finish,
				    .free = table_free};
	table->terminal.out = out;
	table->terminal.color = options->color;
	table->options = *options;
	return &table->sink;
}
