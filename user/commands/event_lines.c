/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/event_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "policy/facts_json.h"

#define WHY_MAX	  200U
#define RECORDING "smtpsnoop recording"
#define LINE_MIN  4096U
#define EXPECTED  "expected lines of smtpsnoop -o json"

struct lines {
	FILE *file;
	const char *name;
	bool quiet;
	char *data; /* of the line; owned */
	size_t len, size;
	bool too_long;
	bool failed; /* no memory */
	unsigned long number, good, bad, told;
	unsigned long first_bad; /* its number */
	char first_why[WHY_MAX];
};

static bool keep_byte(struct lines *lines, int byte)
{
	size_t size = lines->size ? 2 * lines->size : LINE_MIN;
	char *grown;

	if (lines->len == EVENT_LINE_MAX) {
		lines->too_long = true;
		return true;
	}
	if (lines->len == lines->size) {
		grown = realloc(lines->data, size);
		if (!grown) {
			lines->failed = true;
			return false;
		}
		lines->data = grown;
		lines->size = size;
	}
	lines->data[lines->len++] = (char)byte;
	return true;
}

/* False: there is no further line, or it cannot be read. */
static bool next_line(struct lines *lines)
{
	int byte;

	lines->len = 0;
	lines->too_long = false;
	while ((byte = getc_unlocked(lines->file)) != EOF && byte != '\n') {
		if (!keep_byte(lines, byte))
			return false;
	}
	lines->number++;
	return !ferror(lines->file) && (byte != EOF || lines->len);
}

static bool is_blank(const struct lines *lines)
{
	if (lines->too_long)
		return false;
	for (size_t i = 0; i < lines->len; i++) {
		if (!strchr(" \t\r", lines->data[i]))
			return false;
	}
	return true;
}

/* NULL: the line is not an event; `why` says why. */
static json_t *event_of(const struct lines *lines, char why[WHY_MAX])
{
	json_error_t error;
	json_t *event;

	if (lines->too_long) {
		snprintf(why, WHY_MAX, "longer than %u bytes", EVENT_LINE_MAX);
		return NULL;
	}
	if (lines->len >= strlen(RECORDING) &&
	    memcmp(lines->data, RECORDING, strlen(RECORDING)) == 0) {
		snprintf(why, WHY_MAX,
			 "this is a recording; smtpsnoop replay FILE -o json writes "
			 "its events");
		return NULL;
	}
	event = json_loadb(lines->data, lines->len, JSON_ALLOW_NUL, &error);
	if (event && json_text_at(event, "event.action").data)
		return event;
	if (event)
		snprintf(why, WHY_MAX, "it has no event.action");
	else
		snprintf(why, WHY_MAX, "column %d: %s", error.column, error.text);
	json_decref(event);
	return NULL;
}

static void tell_line(struct lines *lines, unsigned long number, const char *why)
{
	lines->told++;
	if (!lines->quiet)
		report(lines->name, "line %lu: not an event: %s; " EXPECTED, number, why);
}

/* Before the first event, a mistake waits: perhaps the file contains no events at all. */
static void take_bad(struct lines *lines, const char *why)
{
	if (!lines->bad++) {
		lines->first_bad = lines->number;
		snprintf(lines->first_why, WHY_MAX, "%s", why);
	}
	if (lines->good && lines->told < EVENT_LINES_BAD_TOLD)
		tell_line(lines, lines->number, why);
}

static void take_good(struct lines *lines)
{
	if (!lines->good++ && lines->bad)
		tell_line(lines, lines->first_bad, lines->first_why);
}

static void sum_up(const struct lines *lines)
{
	if (lines->quiet)
		return;
	if (lines->failed || ferror(lines->file))
		report(lines->name, "cannot read: %s", strerror(lines->failed ? ENOMEM : errno));
	else if (!lines->good && lines->bad)
		report(lines->name, "contains no events: line %lu: %s; " EXPECTED, lines->first_bad,
		       lines->first_why);
	else if (lines->bad > lines->told)
		report(lines->name, "%lu more lines are not events", lines->bad - lines->told);
}

bool event_lines_read(FILE *file, const char *name, bool quiet, event_line_fn on_event,
		      void *context)
{
	struct lines lines = {.file = file, .name = name, .quiet = quiet};
	char why[WHY_MAX] = "";

	while ((lines.good || lines.bad < EVENT_LINES_BAD_STOP) && next_line(&lines)) {
		json_t *event = NULL;

		if (is_blank(&lines))
			continue;
		event = event_of(&lines, why);
		if (event) {
			take_good(&lines);
			on_event(context, event);
		} else {
			take_bad(&lines, why);
		}
		json_decref(event);
	}
	sum_up(&lines);
	free(lines.data);
	return !lines.bad && !lines.failed && !ferror(file);
}
