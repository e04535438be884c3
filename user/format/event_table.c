/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for people: a row for each mail, and below it, on a terminal, what makes it one to look
 * at. table_layout.c says which columns there are, event_words.c what is in them, table_notes.c
 * what stands below a row, and table_summary.c what comes at the end. event_wide.c writes the lines
 * if everything is to be shown.
 *
 * Theory of operation. The size of the terminal is read before each row, so a change counts at
 * once. The last column of the terminal stays free, because some terminals go to the next line as
 * soon as something stands there. The header is written again when the columns have changed, and
 * when the last one has left the screen. A pipe or a file has no width: every row is one line,
 * whole, with the notes at its end.
 */
#include "format/event_sentence.h"
#include "format/format.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format/event_words.h"
#include "format/table_layout.h"
#include "format/table_notes.h"
#include "format/table_summary.h"

#define NOTE_INDENT 2U
#define ROW_LINES   3U /* of most rows, with their notes */

struct table {
	struct sink sink;
	struct terminal terminal;
	struct table_options options;
	struct table_layout layout; /* of the last header */
	bool header_done;
	size_t header_at; /* lines that were written up to it */
	bool units;	  /* there was a row with a unit or a container */
	struct summary summary;
};

/* ---- The table ------------------------------------------------------------------------------- */

/* Adds the cell to the line as a column, and empties the cell. */
static void column(struct table *table, enum table_column column, const char *color)
{
	struct terminal *terminal = &table->terminal;
	struct span cell = {terminal->cell.data ? terminal->cell.data : "", terminal->cell.len};
	size_t width = table->layout.width[column], needed = text_width(cell);
	bool right;

	table_heading(column, &right);
	if (width) {
		if (terminal->line.len)
			text_add_string(&terminal->line, " ");
		if (color)
			terminal_color(terminal, color);
		text_add_column(&terminal->line, cell,
				table->layout.whole && needed > width ? needed : width, right);
		if (color)
			terminal_color(terminal, PLAIN);
	}
	text_clear(&terminal->cell);
}

/* Without a column for the destination, its port stands at the end of the recipient's. */
static bool to_has_port(const struct table *table)
{
	return !table->layout.width[COLUMN_DESTINATION];
}

static int put_header(struct table *table)
{
	bool right;

	table->header_done = true;
	for (int i = 0; i < COLUMN_COUNT; i++) {
		text_add_string(&table->terminal.cell, table_heading((enum table_column)i, &right));
		if (i == COLUMN_TO && to_has_port(table))
			text_add_string(&table->terminal.cell, " :PORT");
		column(table, (enum table_column)i, i == COLUMN_MARK ? NULL : BOLD);
	}
	table->header_at = table->terminal.written;
	return terminal_put_line(&table->terminal);
}

static void measure(struct table *table)
{
	struct table_options *options = &table->options;

	if (options->size)
		options->size(&options->width, &options->rows);
	table->terminal.width = options->width > 1 ? options->width - 1 : options->width;
}

/* Whether the next row pushes the header off the screen, whose last line is empty. */
static bool header_goes(const struct table *table)
{
	size_t lines = table->terminal.written - table->header_at;
	size_t rows = table->options.rows;

	return table->terminal.width && rows > 1 &&
	       lines + (rows > (size_t)2 * ROW_LINES ? ROW_LINES : 1) > rows - 1;
}

/* Writes the header, if the one on the screen goes, or is for other columns. */
static int head(struct table *table)
{
	struct table_layout layout;

	measure(table);
	layout = table_layout(table->terminal.width, table->units);
	if (table->header_done && !header_goes(table) &&
	    memcmp(layout.width, table->layout.width, sizeof(layout.width)) == 0)
		return 0;
	table->layout = layout;
	return put_header(table);
}

/* The width of a cell whose text is made for it; 0: there is no limit. */
static size_t room(const struct table *table, enum table_column column)
{
	return table->layout.whole ? 0 : table->layout.width[column];
}

static void add_sender(struct table *table, const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;
	struct text *cell = &table->terminal.cell;

	if (sender)
		text_add_format(cell, "%u", sender->task.pid);
	else
		text_add_string(cell, "?");
	column(table, COLUMN_PID, NULL);
	if (sender)
		words_add_process(cell, sender, event->origin, room(table, COLUMN_PROCESS));
	else
		text_add_string(cell, "?");
	column(table, COLUMN_PROCESS, BOLD);
	if (sender && event->origin)
		words_add_origin(cell, event->origin);
	/* Not the MTA's own user, if it is known who submitted the mail. */
	if (sender && !cell->len)
		words_add_user(cell, sender);
	column(table, COLUMN_USER, NULL);
	if (sender && event->origin && event->origin->submitter)
		words_add_unit(cell, event->origin->submitter);
	else if (sender)
		words_add_unit(cell, sender);
	column(table, COLUMN_UNIT, NULL);
}

/* "a...@corp.example   :25". The port is left out if the domain needs its place. */
static void add_to(struct table *table, const struct event *event)
{
	size_t width = room(table, COLUMN_TO), used, needed;
	struct text *cell = &table->terminal.cell;
	char port[10] = "";

	words_add_to(cell, event, 0);
	needed = words_address_needs((struct span){cell->data ? cell->data : "", cell->len});
	text_clear(cell);
	if (to_has_port(table))
		snprintf(port, sizeof(port), " :%u", event->destination.port);
	if (needed + strlen(port) > width)
		port[0] = '\0';
	words_add_to(cell, event, width - strlen(port));
	used = text_width((struct span){cell->data ? cell->data : "", cell->len}) + strlen(port);
	for (; port[0] && used < width; used++)
		text_add_string(cell, " ");
	text_add_string(cell, port);
	column(table, COLUMN_TO, NULL);
}

static void add_mail(struct table *table, const struct event *event)
{
	struct text *cell = &table->terminal.cell;

	words_add_endpoint(cell, &event->destination);
	column(table, COLUMN_DESTINATION, NULL);
	words_add_from(cell, event, room(table, COLUMN_FROM));
	column(table, COLUMN_FROM, NULL);
	add_to(table, event);
	if (event->transaction)
		words_add_size(cell, event->transaction->bytes);
	else if (event_commands_carry_data(event))
		words_add_size(cell, event->session->command_bytes);
	column(table, COLUMN_SIZE, NULL);
}

/* Writes the row; behind it, in the same line, the notes. */
static int put_row_with_notes(struct table *table, const struct event *event)
{
	struct terminal *terminal = &table->terminal;
	size_t start;

	notes_add_alert(&terminal->cell, event, 0);
	if (terminal->cell.len)
		text_add_string(&terminal->cell, "; ");
	start = terminal->cell.len;
	notes_add_details(&terminal->cell, event, &table->layout, false);
	if (terminal->cell.len) {
		text_add_string(&terminal->line, "  ");
		text_add(&terminal->line,
			 (struct span){terminal->cell.data, terminal->cell.len > start
								    ? terminal->cell.len
								    : start - strlen("; ")});
	}
	text_clear(&terminal->cell);
	return terminal_put_line(terminal);
}

/* Writes the row, and the notes below it. */
static int put_row(struct table *table, const struct event *event)
{
	struct terminal *terminal = &table->terminal;
	int error;
	bool alert;

	if (!terminal->width)
		return put_row_with_notes(table, event);
	error = terminal_put_line(terminal);
	notes_add_alert(&terminal->line, event, terminal->width - NOTE_INDENT);
	alert = terminal->line.len;
	if (!error)
		error = terminal_put_words(terminal, ALERT, NOTE_INDENT);
	notes_add_details(&terminal->line, event, &table->layout, alert);
	if (!error)
		error = terminal_put_words(terminal, event->exclusion ? DIM : YELLOW, NOTE_INDENT);
	text_clear(&terminal->line);
	return error;
}

/* An empty UNIT takes room that other columns need; so it comes with the first unit. */
static bool has_unit(const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	return sender && (is_known(sender->container) || is_known(sender->container_name) ||
			  is_known(sender->unit) || is_known(sender->user_unit));
}

static int write_row(struct table *table, const struct event *event)
{
	time_t seconds = (time_t)(event->time_ns / 1000000000);
	struct text *cell = &table->terminal.cell;
	const char *color = words_color(event);
	struct tm tm;
	int error;

	table->units |= has_unit(event);
	error = head(table);
	text_add_string(cell, event->verdict == VERDICT_ALERT ? "!" : " ");
	column(table, COLUMN_MARK, color);
	localtime_r(&seconds, &tm);
	text_add_format(cell, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
	column(table, COLUMN_TIME, NULL);
	text_add_string(cell, words_result(event));
	column(table, COLUMN_RESULT, color);
	add_sender(table, event);
	add_mail(table, event);
	return error ? error : put_row(table, event);
}

/* ---- Other events ---------------------------------------------------------------------------- */

static int write_loss(struct table *table, const struct event *event)
{
	struct text *line = &table->terminal.line;

	measure(table);
	text_add_string(line, event->reason_count ? "self-check: " : "not captured: ");
	table->summary.doubtful |= is_known(event->detail);
	if (is_known(event->detail))
		text_add_string(line, event->detail);
	else if (event->stats)
		summary_add_losses(line, event->stats);
	event_add_dropped(line, event);
	return terminal_put_words(&table->terminal, YELLOW, 0);
}

static int write_submission(struct table *table, const struct event *event)
{
	measure(table);
	event_sentence(&table->terminal.line, event);
	return terminal_put_words(&table->terminal, DIM, 0);
}

static int write_started(struct table *table, const struct event *event)
{
	struct text *line = &table->terminal.line;

	measure(table);
	if (strcmp(event->capture.hook, "none") == 0)
		text_add_string(line, "watching the wire alone: the sender is whoever connected");
	else
		text_add_format(line, "watching with %s hooks%s", event->capture.hook,
				event->capture.wire
					? " and the wire"
					: ", without the wire: no replies, no outcomes");
	text_add_string(line, "; ! marks an alert; Ctrl-C ends it");
	return terminal_put_words(&table->terminal, DIM, 0);
}

/* ---- The sink -------------------------------------------------------------------------------- */

static int table_flush(struct sink *base)
{
	errno = 0;
	return fflush(((struct table *)base)->terminal.out) ? (errno ? -errno : -EIO) : 0;
}

static int table_finish(struct sink *base, const struct event_stats *stats)
{
	struct table *table = (struct table *)base;
	int error;

	measure(table);
	error = summary_write(&table->summary, &table->terminal, stats);
	return error ? error : table_flush(base);
}

static int table_write(struct sink *base, const struct event *event)
{
	struct table *table = (struct table *)base;

	text_clear(&table->terminal.line);
	text_clear(&table->terminal.cell);
	switch (event->action) {
	case EVENT_STARTED: return write_started(table, event);
	case EVENT_LOSS: return write_loss(table, event);
	case EVENT_SUBMISSION: return table->options.all ? write_submission(table, event) : 0;
	case EVENT_STATUS:
	case EVENT_STOPPED: return 0; /* the summary has it */
	case EVENT_SESSION:
		if (!table->options.all && event->verdict != VERDICT_ALERT)
			return 0;
		break;
	default: break;
	}
	summary_count(&table->summary, event);
	return table->options.wide ? event_wide(&table->terminal, event) : write_row(table, event);
}

static void table_free(struct sink *base)
{
	struct table *table = (struct table *)base;

	summary_free(&table->summary);
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
