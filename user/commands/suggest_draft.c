/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an exclusion has to let the next mails of its stream pass, and little else.
 *
 *   relay	those that were seen on DAYS_REPEATED days
 *   recipients	of the domains that were: as they were, or by domain where there were many
 *   subject	what all subjects begin with, up to the word in which they begin to differ
 *   schedule	where every message came within SPREAD_MAX_S of the day
 *   limits	the most that any hour held, and a quarter more; of bytes twice that
 *
 * Values are quoted for YAML, and what has a meaning in patterns is escaped.
 */
#include "commands/suggest_draft.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "commands/doubts.h"

#define DAYS_REPEATED 2U
#define SPREAD_MAX_S  7200
#define MARGIN_MIN    15 /* minutes after the last time of the day that was seen */
#define SUBJECT_MIN   3U /* bytes that subjects have in common */
#define DAY_S	      86400
#define HOUR_S	      3600

/* For a text between double quotes. `pattern`: what has a meaning in patterns is escaped too. */
static void escaped(struct text *out, struct span string, bool pattern)
{
	for (size_t i = 0; i < string.len; i++) {
		char c = string.data[i];

		if (pattern && strchr("*?[\\", c))
			text_add_string(out, "\\\\");
		if (c == '"' || c == '\\')
			text_add_string(out, "\\");
		text_add(out, (struct span){&string.data[i], 1});
	}
}

static void quoted(struct text *out, struct span string, bool pattern, const char *tail)
{
	text_add_string(out, "\"");
	escaped(out, string, pattern);
	text_add_format(out, "%s\"", tail);
}

static void pair(struct text *out, const char *name, const char *value, bool pattern)
{
	if (!value[0])
		return;
	text_add_format(out, "      %s: ", name);
	quoted(out, span_of(value), pattern, "");
	text_add_string(out, "\n");
}

/* ---- Relays and recipients ------------------------------------------------------------------- */

static bool write_relays(struct text *out, const struct stream *stream)
{
	char address[ADDRESS_LEN];
	size_t count = 0;

	for (size_t i = 0; i < stream->relay_count; i++) {
		const struct relay_seen *relay = &stream->relays[i];

		if (days_count(&relay->days) < DAYS_REPEATED)
			continue;
		text_address(address, relay->address);
		text_add_format(out,
				address_is_ipv4(relay->address) ? "%s\"%s:%u\"" : "%s\"[%s]:%u\"",
				count++ ? ", " : "    relay: [", address, relay->port);
	}
	text_add_string(out, count ? "]\n" : "");
	return count;
}

/* Adds the addresses of a domain, or a pattern. False: many at a domain where anyone can be. */
static bool write_domain(struct text *out, const struct domain_seen *domain, const char **separator)
{
	struct span name = span_of(domain->name);

	if (domain->many &&
	    (name.len < 2 || domain_is_public((struct span){name.data + 1, name.len - 1})))
		return false;
	if (domain->many) {
		text_add_format(out, "%s\"*", *separator);
		escaped(out, name, true);
		text_add_string(out, "\"");
	}
	for (size_t i = 0; !domain->many && i < domain->count; i++) {
		text_add_string(out, *separator);
		quoted(out, span_of(domain->addresses[i]), true, "");
		*separator = ", ";
	}
	*separator = ", ";
	return true;
}

static bool write_recipients(struct text *out, const struct stream *stream)
{
	const char *separator = "      recipients: [";
	size_t left_out = 0;

	for (size_t i = 0; i < stream->domain_count; i++) {
		const struct domain_seen *domain = &stream->domains[i];

		if (days_count(&domain->days) < DAYS_REPEATED || !domain->count ||
		    !write_domain(out, domain, &separator))
			left_out++;
	}
	if (separator[0] != ',')
		return false;
	text_add_string(out, "]");
	if (left_out)
		text_add_format(out, "   # %zu other domain%s did not come again", left_out,
				left_out == 1 ? "" : "s");
	text_add_string(out, "\n");
	return true;
}

/* ---- Subject --------------------------------------------------------------------------------- */

/* Where subjects differ, the word in which they do, and one with a digit before it, may change. */
static struct span subject_start(const struct stream *stream)
{
	struct span start = span_of(stream->subject);

	while (stream->subject_varies && start.len && start.data[start.len - 1] != ' ')
		start.len--;
	for (size_t i = 0; stream->subject_varies && i < start.len; i++) {
		if (!isdigit((unsigned char)start.data[i]))
			continue;
		for (start.len = i; start.len && start.data[start.len - 1] != ' ';)
			start.len--;
	}
	return start;
}

static void write_subject(struct text *out, const struct stream *stream)
{
	struct span start = stream->subject ? subject_start(stream) : (struct span){NULL, 0};

	if (start.len < SUBJECT_MIN)
		return;
	text_add_string(out, "      subject: ");
	quoted(out, start, true, stream->subject_varies ? "*" : "");
	text_add_string(out, "\n");
}

/* ---- When and how much ----------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
	const struct seen *first = a, *second = b;

	return first->time_s < second->time_s ? -1 : first->time_s > second->time_s;
}

static int by_number(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

/*
 * The shortest arc of the day that contains all times: returns its start, in seconds of the day;
 * *spread is its length.
 */
static int arc_of_day(const struct stream *stream, int *spread)
{
	size_t count = stream->message_count;
	int *times = calloc(count, sizeof(*times)), start = 0;

	*spread = DAY_S;
	for (size_t i = 0; times && i < count; i++)
		times[i] = (int)(stream->messages[i].time_s % DAY_S);
	if (times)
		qsort(times, count, sizeof(*times), by_number);
	for (size_t i = 0; times && i < count; i++) {
		size_t last = (i + count - 1) % count;
		int length = (times[last] - times[i] + DAY_S) % DAY_S;

		if (length < *spread) {
			*spread = length;
			start = times[i];
		}
	}
	free(times);
	return start;
}

/* Not if some times were not kept: they may be any. */
static void write_schedule(struct text *out, const struct stream *stream)
{
	int spread, start = arc_of_day(stream, &spread);

	if (spread > SPREAD_MAX_S || stream->message_count < stream->count)
		return;
	text_add_format(
		out, "    schedule: { at: \"%d %d * * *\", for: %dm, early: 5m, timezone: UTC }\n",
		start / 60 % 60, start / HOUR_S, spread / 60 + 1 + MARGIN_MIN);
}

/* The most that any hour held; time_s counts messages. */
static struct seen busiest_hour(const struct stream *stream)
{
	const struct seen *messages = stream->messages;
	struct seen most = {0}, now = {0};

	for (size_t first = 0, last = 0; last < stream->message_count; last++) {
		now.time_s++;
		now.recipients += messages[last].recipients;
		now.bytes += messages[last].bytes;
		while (messages[last].time_s - messages[first].time_s >= HOUR_S) {
			now.time_s--;
			now.recipients -= messages[first].recipients;
			now.bytes -= messages[first++].bytes;
		}
		most.time_s = now.time_s > most.time_s ? now.time_s : most.time_s;
		most.recipients =
			now.recipients > most.recipients ? now.recipients : most.recipients;
		most.bytes = now.bytes > most.bytes ? now.bytes : most.bytes;
	}
	return most;
}

/* A quarter more, and at least one. */
static unsigned long long with_room(uint64_t amount)
{
	uint64_t more = amount + amount / 4 + 1;

	return more < UINT32_MAX ? more : UINT32_MAX;
}

static void write_limits(struct text *out, const struct stream *stream)
{
	struct seen most = busiest_hour(stream);

	text_add_format(out, "    limits: { messages: %llu/1h", with_room((uint64_t)most.time_s));
	if (!stream->encrypted)
		text_add_format(out, ", recipients: %llu/1h, bytes: %lluKiB/1h",
				with_room(most.recipients), 2 * with_room(most.bytes / 1024));
	text_add_string(out, " }\n");
}

/* ---- The whole ------------------------------------------------------------------------------- */

/* The path of a script; of "-m NAME", or of a path that may lead anywhere, there is none. */
static bool names_script(const char *script)
{
	return script[0] == '/' && !strstr(script, "/../");
}

static void write_process(struct text *out, const struct stream *stream)
{
	const char *const *parts = (const char *const *)stream->parts;

	text_add_string(out, "    process:\n");
	pair(out, "executable", parts[PART_EXECUTABLE], true);
	if (names_script(parts[PART_SCRIPT]))
		pair(out, "script", parts[PART_SCRIPT], true);
	pair(out, "user", parts[PART_USER], false);
	pair(out, "unit", parts[PART_UNIT], true);
	if (strcmp(parts[PART_SCHEDULED_BY], "none") != 0)
		pair(out, "scheduled_by", parts[PART_SCHEDULED_BY], false);
}

/* Who handed it to an MTA; nothing if no MTA relayed it. */
static void write_origin(struct text *out, const struct stream *stream)
{
	const char *const *parts = (const char *const *)stream->parts;

	if (!parts[PART_ORIGIN][0] && !parts[PART_ORIGIN_UNIT][0])
		return;
	text_add_string(out, "    origin:\n");
	pair(out, "executable", parts[PART_ORIGIN_EXECUTABLE], true);
	if (names_script(parts[PART_ORIGIN_SCRIPT]))
		pair(out, "script", parts[PART_ORIGIN_SCRIPT], true);
	pair(out, "user", parts[PART_ORIGIN], false);
	pair(out, "unit", parts[PART_ORIGIN_UNIT], true);
}

static bool write_mail(struct text *out, const struct stream *stream)
{
	text_add_string(out, "    mail:\n");
	pair(out, "sender", stream->parts[PART_SENDER], true);
	if (!write_recipients(out, stream))
		return false;
	write_subject(out, stream);
	return true;
}

static bool write_all(struct text *out, struct stream *stream, const char *name)
{
	text_add_string(out, "  - name: ");
	quoted(out, span_of(name), false, "");
	text_add_string(out, "\n");
	write_process(out, stream);
	if (!write_relays(out, stream) || (!stream->encrypted && !write_mail(out, stream)))
		return false;
	write_origin(out, stream);
	qsort(stream->messages, stream->message_count, sizeof(*stream->messages), by_time);
	write_schedule(out, stream);
	write_limits(out, stream);
	if (stream->encrypted)
		text_add_string(out, "    encrypted: allow   # the mail itself was not seen\n");
	return true;
}

bool draft_write(struct text *out, struct stream *stream, const char *name)
{
	struct text draft = {0};
	bool good = stream->message_count && write_all(&draft, stream, name);

	if (good)
		text_add(out, (struct span){draft.data, draft.len});
	out->failed = out->failed || draft.failed;
	text_free(&draft);
	return good;
}

static void script_comment(struct text *out, const char *what, const char *script)
{
	if (!script[0] || names_script(script))
		return;
	text_add_format(out, "  # %s: ", what);
	text_add_visible(out, span_of(script));
	text_add_string(out, "\n");
}

void draft_comment(struct text *out, const struct stream *stream)
{
	char first[TIME_LEN], last[TIME_LEN];

	text_time(first, stream->first_s * 1000000000LL);
	text_time(last, stream->last_s * 1000000000LL);
	text_add_format(out, "  # %lu %s%s on %u days, from %.10s to %.10s%s\n", stream->count,
			stream->encrypted ? "encrypted session" : "message",
			stream->count == 1 ? "" : "s", days_count(&stream->days), first, last,
			stream->too_many ? "; some of their values are left out" : "");
	script_comment(out, "script", stream->parts[PART_SCRIPT]);
	script_comment(out, "script that handed it in", stream->parts[PART_ORIGIN_SCRIPT]);
}
