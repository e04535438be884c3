/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for people: a line a mail. The table fits the terminal: columns have fixed widths, the two
 * addresses share what is left and are shortened in their middle; what says who sent (pid, process)
 * is never dropped. Wide is one line of name=value pairs, with nothing left out. Whatever others
 * chose passes text_add_visible() before it is printed.
 */
#include "event/event.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "policy/exclusion.h"
#include "base/text.h"

#define WIDTH_DEFAULT 120U
#define WIDTH_NARROW  100U /* below it, user and size are left out */
#define WIDTH_UNIT    150U /* from it on, there is room for the unit */
#define TALLY_MAX     256U /* different processes counted for the summary */
#define TALLY_SHOWN   5U

#define RED    "\033[31m"
#define GREEN  "\033[32m"
#define YELLOW "\033[33m"
#define DIM    "\033[2m"
#define BOLD   "\033[1m"
#define PLAIN  "\033[0m"

struct tally {
	char *name; /* visible; owned */
	uint64_t count;
};

struct table {
	struct sink sink;
	FILE *out;
	struct table_options options;
	struct text line, cell; /* scratch */
	bool header_done;
	struct tally tallies[TALLY_MAX];
	size_t tally_count;
	uint64_t tally_rest;
};

/* ---- What an event says, in a word ----------------------------------------------------------- */

static const char *result_of(const struct event *event)
{
	if (event->action == EVENT_ENCRYPTED)
		return "tls";
	if (event->action == EVENT_SESSION)
		return "session";
	switch (event->transaction->outcome) {
	case SMTP_OUTCOME_SUCCESS: return "sent";
	case SMTP_OUTCOME_FAILURE: return "refused";
	case SMTP_OUTCOME_UNKNOWN: break;
	}
	return "unknown";
}

static const char *result_color(const struct event *event)
{
	if (event->action != EVENT_MESSAGE)
		return DIM;
	switch (event->transaction->outcome) {
	case SMTP_OUTCOME_SUCCESS: return GREEN;
	case SMTP_OUTCOME_FAILURE: return RED;
	case SMTP_OUTCOME_UNKNOWN: break;
	}
	return YELLOW;
}

/*
 * The name under which people know a process: the script that an interpreter runs, else the
 * executable.
 */
static struct span process_name(const struct sender *sender)
{
	if (sender->image && sender->image->script[0])
		return text_basename(span_of(sender->image->script));
	if (sender->image)
		return text_basename(span_of(sender->image->executable));
	return (struct span){sender->task.comm, strnlen(sender->task.comm, COMM_LEN)};
}

static void add_user(struct text *text, const struct sender *sender)
{
	if (sender->user && sender->user[0])
		text_add_visible(text, span_of(sender->user));
	else
		text_add_format(text, "%u", sender->task.euid);
}

/* "joe>": who handed the mail to the MTA that sends it on. Added where that is known. */
static void add_origin(struct text *text, const struct origin *origin)
{
	if (origin->user[0])
		text_add_visible(text, span_of(origin->user));
	else if (origin->has_uid)
		text_add_format(text, "%u", origin->uid);
	else
		return;
	text_add_string(text, ">");
}

static void add_endpoint(struct text *text, const struct endpoint *endpoint)
{
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	text_add_format(text, address_is_ipv4(endpoint->addr) ? "%s:%u" : "[%s]:%u", address,
			endpoint->port);
}

/* 999, 1.2K, 34M: at most five columns. */
static void add_size(struct text *text, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double size = (double)bytes;
	size_t unit = 0;

	while (size >= 999.5 && unit + 2 < sizeof(units)) {
		size /= 1024;
		unit++;
	}
	if (unit == 0)
		text_add_format(text, "%u", (unsigned int)bytes);
	else
		text_add_format(text, size < 9.95 ? "%.1f%c" : "%.0f%c", size, units[unit]);
}

static void add_unit(struct text *text, const struct sender *sender)
{
	if (sender->container && sender->container[0])
		text_add_visible(text,
				 (struct span){sender->container, strnlen(sender->container, 12)});
	else if (sender->unit && sender->unit[0])
		text_add_visible(text, span_of(sender->unit));
	else if (sender->user_unit && sender->user_unit[0])
		text_add_visible(text, span_of(sender->user_unit));
	else
		text_add_string(text, "-");
}

static void add_from(struct text *text, const struct event *event)
{
	struct span from;

	if (!event->transaction) {
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
		return;
	}
	from = smtp_transaction_from(event->transaction);
	if (from.len)
		text_add_visible(text, from);
	else
		text_add_string(text, event->transaction->from_unknown ? "?" : "<>");
}

static void add_to(struct text *text, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint32_t count =
		transaction ? transaction->recipient_count + transaction->recipients_dropped : 0;

	if (transaction && transaction->recipient_count)
		text_add_visible(text, smtp_transaction_recipient(transaction, 0));
	else
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
	if (count > 1)
		text_add_format(text, " +%u", count - 1);
}

/* What a reader must not overlook, at the end of the line. */
/* "process.user, schedule": what an exclusion asked and did not get. */
static void add_criteria(struct text *text, uint32_t criteria)
{
	bool any = false;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (!(criteria & 1U << i))
			continue;
		text_add_format(text, "%s%s", any ? "," : "", criterion_name((enum criterion)i));
		any = true;
	}
}

static void add_verdict(struct text *text, const struct event *event)
{
	if (event->provisional)
		text_add_string(text, "  STILL OPEN");
	if (event->exclusion) {
		text_add_string(text, "  excluded: ");
		text_add_visible(text, span_of(event->exclusion));
	}
	if (!event->nearest)
		return;
	text_add_string(text, "  not ");
	text_add_visible(text, span_of(event->nearest));
	text_add_string(text, ": ");
	add_criteria(text, event->failed);
}

static void add_notes(struct text *text, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint32_t refused = 0;

	for (uint32_t i = 0; transaction && i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	if (refused && refused < transaction->recipient_count)
		text_add_format(text, "  %u of %u recipients refused", refused,
				transaction->recipient_count);
	if (event->capture.witness == WITNESS_DIFFER)
		text_add_string(text, "  REWRITTEN while it was sent");
	if (event->capture.missing_bytes)
		text_add_format(text, "  %llu bytes not captured",
				(unsigned long long)event->capture.missing_bytes);
	if (event->sender_count > 1)
		text_add_format(text, "  %u senders", event->sender_count);
	add_verdict(text, event);
}

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

static void color(struct table *table, const char *code)
{
	if (table->options.color)
		text_add_string(&table->line, code);
}

/* Adds what stands in the cell as a column and empties the cell. */
static void column(struct table *table, size_t width, bool right)
{
	if (width) {
		text_add_column(&table->line,
				(struct span){table->cell.data ? table->cell.data : "",
					      table->cell.len},
				width, right);
		text_add_string(&table->line, " ");
	}
	text_clear(&table->cell);
}

static void heading(struct table *table, const char *name, size_t width, bool right)
{
	text_add_string(&table->cell, name);
	column(table, width, right);
}

static void trim_right(struct text *line)
{
	while (line->len && line->data[line->len - 1] == ' ')
		line->data[--line->len] = '\0';
}

/* Writes the line out. 0 or a negative errno. */
static int put_line(struct table *table)
{
	int error = 0;

	trim_right(&table->line);
	text_add_string(&table->line, "\n");
	errno = 0;
	if (fwrite(table->line.data, 1, table->line.len, table->out) != table->line.len)
		error = errno ? -errno : -EIO;
	text_clear(&table->line);
	return error;
}

static int put_header(struct table *table, const struct layout *layout)
{
	table->header_done = true;
	color(table, BOLD);
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
	trim_right(&table->line);
	color(table, PLAIN);
	return put_line(table);
}

static void add_sender(struct table *table, const struct event *event, const struct layout *layout)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	if (sender)
		text_add_format(&table->cell, "%u", sender->task.pid);
	else
		text_add_string(&table->cell, "?");
	column(table, 7, true);
	if (sender)
		text_add_visible(&table->cell, process_name(sender));
	else
		text_add_string(&table->cell, "?");
	color(table, BOLD);
	column(table, layout->process, false);
	color(table, PLAIN);
	if (sender && event->origin)
		add_origin(&table->cell, event->origin);
	if (sender && !table->cell.len) /* an MTA's user says less than whose mail it is */
		add_user(&table->cell, sender);
	column(table, layout->user, false);
	if (sender)
		add_unit(&table->cell, sender);
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
	text_add_format(&table->cell, "%02d:%02d:%02d", tm.tm_hour, tm.tm_min, tm.tm_sec);
	column(table, 9, false);
	text_add_string(&table->cell, result_of(event));
	color(table, result_color(event));
	column(table, 8, false);
	color(table, PLAIN);
	add_sender(table, event, &layout);
	add_endpoint(&table->cell, &event->destination);
	column(table, layout.destination, false);
	add_from(&table->cell, event);
	column(table, layout.address, false);
	add_to(&table->cell, event);
	column(table, layout.address, false);
	if (event->transaction)
		add_size(&table->cell, event->transaction->bytes);
	column(table, layout.size, true);
	color(table, YELLOW);
	add_notes(&table->line, event);
	trim_right(&table->line);
	color(table, PLAIN);
	return error ? error : put_line(table);
}

/* ---- Wide ------------------------------------------------------------------------------------ */

/* " name=value", in quotes if a blank, a quote or nothing is in the value. */
static void pair(struct table *table, const char *name, struct span value)
{
	struct text *line = &table->line;
	bool quoted;

	text_clear(&table->cell);
	text_add_visible(&table->cell, value);
	quoted = !table->cell.len || memchr(table->cell.data, ' ', table->cell.len) ||
		 memchr(table->cell.data, '"', table->cell.len);
	text_add_format(line, " %s=%s", name, quoted ? "\"" : "");
	for (size_t i = 0; i < table->cell.len; i++) {
		if (quoted && table->cell.data[i] == '"')
			text_add_string(line, "\\");
		text_add(line, (struct span){table->cell.data + i, 1});
	}
	if (quoted)
		text_add_string(line, "\"");
	text_clear(&table->cell);
}

static void pair_known(struct table *table, const char *name, const char *value)
{
	if (value && value[0])
		pair(table, name, span_of(value));
}

static void pair_number(struct table *table, const char *name, uint64_t value)
{
	text_add_format(&table->line, " %s=%llu", name, (unsigned long long)value);
}

static void wide_args(struct table *table, const struct image *image)
{
	struct text args = {0};

	for (size_t at = 0; at < image->args_len; at++) {
		char c = image->args[at] ? image->args[at] : ' ';

		if (at + 1 < image->args_len || image->args[at])
			text_add(&args, (struct span){&c, 1});
	}
	pair(table, "args", (struct span){args.data ? args.data : "", args.len});
	text_free(&args);
}

/* "cron>sh>report.sh": the oldest known ancestor first. */
static void wide_ancestry(struct table *table, const struct sender *sender)
{
	struct text row = {0};

	for (uint32_t i = sender->ancestor_count; i-- > 0;) {
		const struct image *image = sender->ancestors[i].image;

		if (image)
			text_add(&row,
				 text_basename(span_of(image->script[0] ? image->script
									: image->executable)));
		else
			text_add_format(&row, "%u", sender->ancestors[i].pid);
		if (i)
			text_add_string(&row, ">");
	}
	if (row.len)
		pair(table, "ancestors", (struct span){row.data, row.len});
	text_free(&row);
}

static void wide_sender(struct table *table, const struct sender *sender)
{
	const struct image *image = sender->image;

	pair_number(table, "pid", sender->task.pid);
	pair(table, "comm", (struct span){sender->task.comm, strnlen(sender->task.comm, COMM_LEN)});
	if (image) {
		pair(table, "exe", span_of(image->executable));
		pair_known(table, "script", image->script);
		wide_args(table, image);
		pair(table, "cwd", span_of(image->directory));
		if (sender->exe_deleted)
			pair(table, "exe_state",
			     span_of(image->flags & EXEC_MEMFD ? "memfd" : "deleted"));
	}
	pair_known(table, "sha256", sender->sha256);
	add_user(&table->cell, sender);
	text_add_format(&table->line, " user=%s", table->cell.data ? table->cell.data : "");
	text_clear(&table->cell);
	pair_number(table, "uid", sender->task.euid);
	if (sender->task.loginuid != LOGINUID_NONE)
		pair_number(table, "loginuid", sender->task.loginuid);
	if (sender->tty_major || sender->tty_minor)
		text_add_format(&table->line, " tty=%u:%u", sender->tty_major, sender->tty_minor);
	pair_known(table, "unit", sender->unit);
	pair_known(table, "user_unit", sender->user_unit);
	pair_known(table, "container", sender->container);
	wide_ancestry(table, sender);
}

static void wide_mail(struct table *table, const struct mail *mail)
{
	struct text names = {0};

	if (mail->subject.len)
		pair(table, "subject", mail_span(mail, mail->subject));
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		const struct mail_attachment *attachment = &mail->attachments[i];

		if (i)
			text_add_string(&names, ",");
		text_add(&names, mail_span(mail, attachment->name.len ? attachment->name
								      : attachment->type));
	}
	if (names.len)
		pair(table, "attachments", (struct span){names.data, names.len});
	text_free(&names);
}

static void wide_origin(struct table *table, const struct origin *origin)
{
	pair(table, "mta", span_of(origin->mta));
	pair_known(table, "queue_id", origin->queue_id);
	if (origin->has_uid)
		pair_number(table, "origin_uid", origin->uid);
	pair_known(table, "origin_user", origin->user);
}

static void wide_session(struct table *table, const struct smtp_facts *facts)
{
	if (facts->proxy.hops)
		pair(table, "proxy_target",
		     (struct span){facts->proxy.target, facts->proxy.target_len});
	if (facts->helo_len)
		pair(table, "helo", (struct span){facts->helo, facts->helo_len});
	if (facts->auth_mechanism_len)
		pair(table, "auth",
		     (struct span){facts->auth_mechanism, facts->auth_mechanism_len});
	if (facts->auth_user_len)
		pair(table, "auth_user", (struct span){facts->auth_user, facts->auth_user_len});
}

static void wide_transaction(struct table *table, const struct smtp_transaction *transaction)
{
	struct text recipients = {0};

	if (!transaction->from_unknown)
		pair(table, "from", smtp_transaction_from(transaction));
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (i)
			text_add_string(&recipients, ",");
		text_add(&recipients, smtp_transaction_recipient(transaction, i));
		if (smtp_recipient_refused(transaction, i))
			text_add_string(&recipients, "(refused)");
	}
	pair(table, "to", (struct span){recipients.data ? recipients.data : "", recipients.len});
	text_free(&recipients);
	pair_number(table, "bytes", transaction->bytes);
	if (transaction->mail)
		wide_mail(table, transaction->mail);
	if (!transaction->reply_code)
		return;
	pair_number(table, "reply", transaction->reply_code);
	pair(table, "reply_text", (struct span){transaction->reply_text, transaction->reply_len});
}

static int write_wide(struct table *table, const struct event *event)
{
	char time[TIME_LEN];

	text_time(time, event->time_ns);
	text_add_string(&table->line, time);
	color(table, result_color(event));
	text_add_format(&table->line, " %s", result_of(event));
	color(table, PLAIN);
	for (uint32_t i = 0; i < event->sender_count; i++)
		wide_sender(table, event->senders[i]);
	add_endpoint(&table->cell, &event->source);
	text_add_format(&table->line, " source=%s", table->cell.data);
	text_clear(&table->cell);
	add_endpoint(&table->cell, &event->destination);
	text_add_format(&table->line, " destination=%s", table->cell.data);
	text_clear(&table->cell);
	if (event->session)
		wide_session(table, event->session);
	if (event->origin)
		wide_origin(table, event->origin);
	if (event->transaction)
		wide_transaction(table, event->transaction);
	pair(table, "witness", span_of(event_witness_name(event->capture.witness)));
	pair_number(table, "missing", event->capture.missing_bytes);
	if (event->capture.mid_stream)
		text_add_string(&table->line, " mid_stream=yes");
	for (uint32_t i = 0; i < event->reason_count; i++)
		pair(table, "reason", span_of(event->reasons[i]));
	if (event->verdict != VERDICT_NONE)
		pair(table, "verdict", span_of(event_verdict_name(event->verdict)));
	if (event->provisional)
		text_add_string(&table->line, " final=no");
	pair_known(table, "exclusion", event->exclusion);
	if (event->nearest) {
		pair_known(table, "nearest", event->nearest);
		text_add_string(&table->line, " failed=");
		add_criteria(&table->line, event->failed);
	}
	return put_line(table);
}

/* ---- Other events ---------------------------------------------------------------------------- */

/* What was lost, in words; nothing if nothing was. */
static bool add_losses(struct text *line, const struct event_stats *stats)
{
	static const char *const words[COUNTER_MAX] = {
		[COUNTER_PROCESS_LOST] = "process records",
		[COUNTER_SENDER_LOST] = "sender records",
		[COUNTER_SEGMENT_LOST] = "segments",
		[COUNTER_SEGMENT_BYTES] = "bytes of segments",
		[COUNTER_PRESSURE_BYTES] = "bytes left out under load",
		[COUNTER_CLOSE_LOST] = "ends of connections",
		[COUNTER_STATE_FAILED] = "sockets that could not be followed",
		[COUNTER_SEND_UNREADABLE] = "sends whose bytes could not be read",
		[COUNTER_SEND_PENDING_FULL] = "sends that could not be kept",
		[COUNTER_MISSED] = "runs that the kernel left out",
	};
	bool any = false;

	for (int i = 0; i < COUNTER_MAX; i++) {
		if (stats->counters[i])
			text_add_format(line, "%s%llu %s", any ? ", " : "",
					(unsigned long long)stats->counters[i], words[i]);
		any = any || stats->counters[i];
	}
	if (stats->flows_dropped)
		text_add_format(line, "%s%llu connections", any ? ", " : "",
				(unsigned long long)stats->flows_dropped);
	any = any || stats->flows_dropped;
	if (stats->content_refused)
		text_add_format(line, "%s%llu contents of messages", any ? ", " : "",
				(unsigned long long)stats->content_refused);
	any = any || stats->content_refused;
	if (stats->events_lost)
		text_add_format(line, "%s%llu events", any ? ", " : "",
				(unsigned long long)stats->events_lost);
	return any || stats->events_lost;
}

static int write_loss(struct table *table, const struct event *event)
{
	color(table, YELLOW);
	text_add_string(&table->line, "not captured: ");
	if (event->stats)
		add_losses(&table->line, event->stats);
	color(table, PLAIN);
	return put_line(table);
}

static int write_started(struct table *table, const struct event *event)
{
	color(table, DIM);
	if (strcmp(event->capture.hook, "none") == 0)
		text_add_string(&table->line,
				"watching the wire alone: the sender is whoever connected");
	else
		text_add_format(&table->line, "watching with %s hooks%s", event->capture.hook,
				event->capture.wire
					? " and the wire"
					: ", without the wire: no replies, no outcomes");
	text_add_string(&table->line, "; Ctrl-C ends it");
	color(table, PLAIN);
	return put_line(table);
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
		text_add_visible(&name, process_name(event->senders[0]));
		text_add_string(&name, " (");
		if (event->origin)
			add_origin(&name, event->origin);
		add_user(&name, event->senders[0]);
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
		text_add_format(&table->line, "%9llu  ",
				(unsigned long long)table->tallies[i].count);
		text_add_string(&table->line, table->tallies[i].name);
		error = put_line(table);
	}
	if (rest && !error) {
		text_add_format(&table->line, "%9llu  by others", (unsigned long long)rest);
		error = put_line(table);
	}
	return error;
}

static int table_flush(struct sink *base)
{
	errno = 0;
	return fflush(((struct table *)base)->out) ? (errno ? -errno : -EIO) : 0;
}

static int table_finish(struct sink *base, const struct event_stats *stats)
{
	struct table *table = (struct table *)base;
	int error;

	color(table, BOLD);
	add_count(&table->line, stats->messages, "message", "messages");
	text_add_string(&table->line, " to ");
	add_count(&table->line, stats->recipients, "recipient", "recipients");
	text_add_string(&table->line, ", ");
	add_size(&table->line, stats->bytes);
	text_add_string(&table->line, stats->bytes < 1000 ? " bytes" : "");
	if (stats->encrypted) {
		text_add_string(&table->line, "; ");
		add_count(&table->line, stats->encrypted, "encrypted session",
			  "encrypted sessions");
	}
	color(table, PLAIN);
	error = put_line(table);
	if (!error)
		error = summary_senders(table);
	text_add_string(&table->line, "not captured: ");
	if (!add_losses(&table->line, stats)) {
		text_clear(&table->line);
		text_add_string(&table->line, "nothing was lost");
	}
	if (!error)
		error = put_line(table);
	return error ? error : table_flush(base);
}

/* ---- The sink -------------------------------------------------------------------------------- */

static int table_write(struct sink *base, const struct event *event)
{
	struct table *table = (struct table *)base;

	text_clear(&table->line);
	text_clear(&table->cell);
	switch (event->action) {
	case EVENT_STARTED: return write_started(table, event);
	case EVENT_LOSS: return write_loss(table, event);
	case EVENT_STATUS:
	case EVENT_STOPPED: return 0; /* the summary tells */
	case EVENT_SESSION:
		if (!table->options.all)
			return 0;
		break;
	default: break;
	}
	tally(table, event);
	return table->options.wide ? write_wide(table, event) : write_row(table, event);
}

static void table_free(struct sink *base)
{
	struct table *table = (struct table *)base;

	for (size_t i = 0; i < table->tally_count; i++)
		free(table->tallies[i].name);
	text_free(&table->line);
	text_free(&table->cell);
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
	table->out = out;
	table->options = *options;
	return &table->sink;
}
