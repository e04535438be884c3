/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command suggest. Theory of operation: messages are alike if executable, user, unit,
 * scheduler, submitter, relay and sender are the same. Each group becomes a draft that its own
 * messages meet and hardly any other would:
 *
 *   recipients	as they were; by domain where there were many
 *   subject	what all subjects begin with, then '*' if they go on differently
 *   schedule	where every message came within SPREAD_MAX_S of the day, on SCHEDULE_DAYS_MIN days
 * at least limits	the most that any hour held
 *
 * What is written comes from events, and so from whoever sent: it is quoted, its patterns'
 * characters are escaped, and it is a draft for a person to read.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands/commands.h"
#include "commands/event_lines.h"
#include "policy/facts_json.h"
#include "event/origin.h"
#include "base/report.h"
#include "base/text.h"

#define GROUPS_MAX	  1000U
#define MESSAGES_MAX	  100000U /* of a group; the rest is left out and counted */
#define RECIPIENTS_MAX	  1000U
#define RECIPIENTS_SHOWN  8U /* more than this of one domain become a pattern */
#define SPREAD_MAX_S	  7200
#define SCHEDULE_DAYS_MIN 3U
#define DAY_S		  86400
#define HOUR_S		  3600

enum part {
	PART_EXECUTABLE,
	PART_USER,
	PART_UNIT,
	PART_SCHEDULED_BY,
	PART_ORIGIN,
	PART_IP,
	PART_PORT,
	PART_SENDER,
	PART_COUNT,
};

struct seen {
	int64_t time_s;
	uint64_t recipients;
	uint64_t bytes;
};

struct group {
	char *parts[PART_COUNT]; /* owned; "" if it is not known */
	char **recipients;	 /* owned, once each */
	size_t recipient_count;
	struct seen *messages;
	size_t message_count;
	char *subject; /* owned: the common beginning; NULL: one had none */
	bool subject_varies;
	bool encrypted;
	bool too_many; /* messages or recipients that were left out */
};

struct suggestion {
	struct group *groups;
	size_t group_count;
	unsigned long events, left_out;
	bool failed; /* no memory */
};

/* ---- Gathering ------------------------------------------------------------------------------- */

static void *grow(void *array, size_t count, size_t size)
{
	if (count & (count - 1))
		return array;
	return realloc(array, (count ? 2 * count : 1) * size);
}

static char *copy_of(struct span text)
{
	return strndup(text.data ? text.data : "", text.len);
}

static struct group *group_of(struct suggestion *suggestion, const struct span *parts)
{
	struct group *grown, *made;

	for (size_t i = 0; i < suggestion->group_count; i++) {
		int same = 0;

		while (same < PART_COUNT &&
		       span_equal(span_of(suggestion->groups[i].parts[same]), parts[same]))
			same++;
		if (same == PART_COUNT)
			return &suggestion->groups[i];
	}
	if (suggestion->group_count == GROUPS_MAX)
		return NULL;
	grown = grow(suggestion->groups, suggestion->group_count, sizeof(*grown));
	if (!grown)
		return NULL;
	suggestion->groups = grown;
	made = &grown[suggestion->group_count++];
	*made = (struct group){.encrypted = false};
	for (int i = 0; i < PART_COUNT; i++) {
		made->parts[i] = copy_of(parts[i]);
		suggestion->failed = suggestion->failed || !made->parts[i];
	}
	return made;
}

static void add_recipient(struct group *group, struct span recipient)
{
	char **grown;

	for (size_t i = 0; i < group->recipient_count; i++) {
		if (span_equal(span_of(group->recipients[i]), recipient))
			return;
	}
	if (group->recipient_count == RECIPIENTS_MAX) {
		group->too_many = true;
		return;
	}
	grown = grow(group->recipients, group->recipient_count, sizeof(*grown));
	if (!grown)
		return;
	group->recipients = grown;
	grown[group->recipient_count] = copy_of(recipient);
	group->recipient_count += grown[group->recipient_count] != NULL;
}

static void add_subject(struct group *group, struct span subject)
{
	size_t same = 0;

	if (group->message_count == 1) {
		group->subject = copy_of(subject);
		return;
	}
	while (group->subject && same < subject.len && group->subject[same] == subject.data[same])
		same++;
	if (group->subject && (group->subject[same] || same < subject.len)) {
		while (same &&
		       /* Complete characters only */
		       ((unsigned char)group->subject[same] & 0xc0) == 0x80)
			same--;
		group->subject[same] = '\0';
		group->subject_varies = true;
	}
}

static void add_message(struct suggestion *suggestion, struct group *group,
			const struct facts *facts)
{
	struct seen *grown;

	if (group->message_count == MESSAGES_MAX) {
		group->too_many = true;
		return;
	}
	grown = grow(group->messages, group->message_count, sizeof(*grown));
	if (!grown) {
		suggestion->failed = true;
		return;
	}
	group->messages = grown;
	grown[group->message_count++] = (struct seen){.time_s = facts->end_s,
						      .recipients = facts->recipient_count,
						      .bytes = facts->bytes};
	group->encrypted = facts->encrypted;
	for (size_t i = 0; i < facts->recipient_count; i++)
		add_recipient(group, facts->recipients[i]);
	add_subject(group, facts->header_known ? facts->subject : (struct span){"", 0});
}

/* Whether the sender is known well enough: no exclusion could let an unknown sender pass. */
static bool is_clear(const struct facts *facts)
{
	const struct facts_process *process = &facts->processes[0];

	return facts->process_count == 1 && facts->processes_complete == IS_SO &&
	       facts->whole == IS_SO && process->executable.len &&
	       (process->user.len || process->unit.len) && process->same_user == IS_SO &&
	       process->own_namespaces == IS_SO && facts->end_s >= 0;
}

static void take_event(void *context, const json_t *event)
{
	struct suggestion *suggestion = context;
	const json_t *final = json_at(event, "smtpsnoop.final");
	struct facts facts;
	struct span parts[PART_COUNT];
	char port[8];
	struct group *group = NULL;

	if (json_is_false(final) || !facts_of_json(&facts, event))
		return;
	if (facts.session) { /* what it is has to be found out first */
		facts_free(&facts);
		return;
	}
	suggestion->events++;
	snprintf(port, sizeof(port), "%u", facts.relay_port);
	parts[PART_EXECUTABLE] = facts.processes[0].executable;
	parts[PART_USER] = facts.processes[0].user;
	parts[PART_UNIT] = facts.processes[0].unit;
	parts[PART_SCHEDULED_BY] = json_text_at(event, "smtpsnoop.process.scheduled_by");
	parts[PART_ORIGIN] = facts.processes[0].mta == IS_SO ? facts.origin_user : span_of("");
	parts[PART_IP] = json_text_at(event, "destination.ip");
	parts[PART_PORT] = span_of(port);
	parts[PART_SENDER] = facts.encrypted ? span_of("") : facts.sender;
	if (is_clear(&facts) && !(facts.processes[0].mta != NOT_SO && !facts.origin_user.len))
		group = group_of(suggestion, parts);
	if (group)
		add_message(suggestion, group, &facts);
	else
		suggestion->left_out++;
	facts_free(&facts);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/*
 * Between double quotes, escaped for YAML. `pattern`: characters with a meaning in patterns are
 * escaped too.
 */
static void quoted(struct text *out, const char *string, bool pattern, const char *tail)
{
	text_add_string(out, "\"");
	for (; *string; string++) {
		unsigned char c = (unsigned char)*string;

		if (pattern && strchr("*?[\\", c))
			text_add_string(out, "\\\\");
		if (c == '"' || c == '\\')
			text_add_format(out, "\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			text_add_format(out, "\\x%02x", c);
		else
			text_add(out, (struct span){string, 1});
	}
	text_add_format(out, "%s\"", tail);
}

static void pair(struct text *out, const char *indent, const char *name, const char *value,
		 bool pattern)
{
	if (!value[0])
		return;
	text_add_format(out, "%s%s: ", indent, name);
	quoted(out, value, pattern, "");
	text_add_string(out, "\n");
}

static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at ? at : "";
}

static bool one_domain(const struct group *group)
{
	for (size_t i = 0; i < group->recipient_count; i++) {
		if (!domain_of(group->recipients[i])[0] ||
		    strcmp(domain_of(group->recipients[i]), domain_of(group->recipients[0])) != 0)
			return false;
	}
	return true;
}

static void write_recipients(struct text *out, const struct group *group)
{
	if (!group->recipient_count)
		return;
	text_add_string(out, "      recipients: [");
	if (group->recipient_count > RECIPIENTS_SHOWN && one_domain(group)) {
		struct text pattern = {0};

		text_add_string(&pattern, domain_of(group->recipients[0]));
		text_add_string(out, "\"*");
		if (pattern.data) {
			struct text end = {0};

			quoted(&end, pattern.data, true, "");
			text_add(out, (struct span){end.data + 1, end.len - 1});
			text_free(&end);
		}
		text_free(&pattern);
	} else {
		for (size_t i = 0; i < group->recipient_count; i++) {
			text_add_string(out, i ? ", " : "");
			quoted(out, group->recipients[i], true, "");
		}
	}
	text_add_format(out, "]   # %zu seen\n", group->recipient_count);
}

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
static int arc_of_day(const struct group *group, int *spread)
{
	int *times = calloc(group->message_count, sizeof(*times)), start = 0;

	*spread = DAY_S;
	for (size_t i = 0; times && i < group->message_count; i++)
		times[i] = (int)(group->messages[i].time_s % DAY_S);
	if (times)
		qsort(times, group->message_count, sizeof(*times), by_number);
	for (size_t i = 0; times && i < group->message_count; i++) {
		size_t last = (i + group->message_count - 1) % group->message_count;
		int length = (times[last] - times[i] + DAY_S) % DAY_S;

		if (length < *spread) {
			*spread = length;
			start = times[i];
		}
	}
	free(times);
	return start;
}

static size_t days_of(const struct group *group)
{
	size_t days = 0;

	for (size_t i = 0; i < group->message_count; i++)
		days += !i ||
			group->messages[i].time_s / DAY_S != group->messages[i - 1].time_s / DAY_S;
	return days;
}

static void write_schedule(struct text *out, const struct group *group)
{
	int spread, start = arc_of_day(group, &spread), middle = (start + spread / 2) % DAY_S;

	if (days_of(group) < SCHEDULE_DAYS_MIN || spread > SPREAD_MAX_S)
		return;
	text_add_format(out, "    schedule: { at: \"%d %d * * *\", for: %dm, timezone: UTC }\n",
			middle / 60 % 60, middle / HOUR_S, spread / 120 + 6);
}

/* The most that any hour held. */
static struct seen busiest_hour(const struct group *group)
{
	struct seen most = {0}, now = {0};

	for (size_t first = 0, last = 0; last < group->message_count; last++) {
		now.time_s++; /* counts messages here */
		now.recipients += group->messages[last].recipients;
		now.bytes += group->messages[last].bytes;
		while (group->messages[last].time_s - group->messages[first].time_s >= HOUR_S) {
			now.time_s--;
			now.recipients -= group->messages[first].recipients;
			now.bytes -= group->messages[first++].bytes;
		}
		most.time_s = now.time_s > most.time_s ? now.time_s : most.time_s;
		most.recipients =
			now.recipients > most.recipients ? now.recipients : most.recipients;
		most.bytes = now.bytes > most.bytes ? now.bytes : most.bytes;
	}
	return most;
}

static void write_limits(struct text *out, const struct group *group)
{
	struct seen most = busiest_hour(group);
	uint64_t kibibytes = (most.bytes + most.bytes / 4) / 1024 + 1;

	text_add_format(out, "    limits: { messages: %lld/1h", (long long)most.time_s);
	if (!group->encrypted)
		text_add_format(out, ", recipients: %llu/1h, bytes: %lluKiB/1h",
				(unsigned long long)most.recipients, (unsigned long long)kibibytes);
	text_add_string(out, " }\n");
}

static void write_comment(struct text *out, const struct group *group)
{
	char first[TIME_LEN], last[TIME_LEN];

	text_time(first, group->messages[0].time_s * 1000000000LL);
	text_time(last, group->messages[group->message_count - 1].time_s * 1000000000LL);
	text_add_format(out, "  # %zu %s%s on %zu day%s, from %.19sZ to %.19sZ%s\n",
			group->message_count, group->encrypted ? "encrypted session" : "message",
			group->message_count == 1 ? "" : "s", days_of(group),
			days_of(group) == 1 ? "" : "s", first, last,
			group->too_many ? "; there were more, which are not counted" : "");
}

static void write_group(struct text *out, const struct group *group, size_t number)
{
	const char *const *parts = (const char *const *)group->parts;
	struct span base = text_basename(span_of(parts[PART_EXECUTABLE]));
	struct text name = {0};

	write_comment(out, group);
	text_add(&name, base);
	text_add_format(&name, "-%zu", number);
	text_add_string(out, "  - name: ");
	quoted(out, name.data ? name.data : "", false, "");
	text_free(&name);
	text_add_string(out, "\n    process:\n");
	pair(out, "      ", "executable", parts[PART_EXECUTABLE], true);
	pair(out, "      ", "user", parts[PART_USER], false);
	pair(out, "      ", "unit", parts[PART_UNIT], true);
	if (strcmp(parts[PART_SCHEDULED_BY], "none") != 0)
		pair(out, "      ", "scheduled_by", parts[PART_SCHEDULED_BY], false);
	text_add_format(out,
			strchr(parts[PART_IP], ':') ? "    relay: \"[%s]:%s\"\n"
						    : "    relay: \"%s:%s\"\n",
			parts[PART_IP], parts[PART_PORT]);
	if (!group->encrypted) {
		text_add_string(out, "    mail:\n");
		pair(out, "      ", "sender", parts[PART_SENDER], true);
		write_recipients(out, group);
		if (group->subject && group->subject[0]) {
			text_add_string(out, "      subject: ");
			quoted(out, group->subject, true, group->subject_varies ? "*" : "");
			text_add_string(out, "\n");
		}
	}
	if (parts[PART_ORIGIN][0]) {
		text_add_string(out, "    origin: { user: ");
		quoted(out, parts[PART_ORIGIN], false, "");
		text_add_string(out, " }\n");
	}
	write_schedule(out, group);
	write_limits(out, group);
	if (group->encrypted)
		text_add_string(out, "    encrypted: allow   # the mail itself was not seen\n");
	text_add_string(out, "\n");
}

static void write_all(struct suggestion *suggestion)
{
	struct text out = {0};

	text_add_format(
		&out,
		"# Drafted by smtpsnoop suggest from %lu event%s. Review each exclusion before you "
		"use it:\n"
		"# whoever can run a program as the named user passes, within the limits.\n",
		suggestion->events, suggestion->events == 1 ? "" : "s");
	if (suggestion->left_out)
		text_add_format(&out,
				"# %lu event%s left out: no exclusion could let them pass, or "
				"there are more than %u kinds.\n",
				suggestion->left_out, suggestion->left_out == 1 ? "" : "s",
				GROUPS_MAX);
	text_add_string(&out, suggestion->group_count ? "exclusions:\n" : "exclusions: []\n");
	for (size_t i = 0; i < suggestion->group_count; i++) {
		struct group *group = &suggestion->groups[i];

		qsort(group->messages, group->message_count, sizeof(*group->messages), by_time);
		write_group(&out, group, i + 1);
	}
	suggestion->failed = suggestion->failed || out.failed;
	if (out.data && !suggestion->failed)
		fputs(out.data, stdout);
	text_free(&out);
}

static void suggestion_free(struct suggestion *suggestion)
{
	for (size_t i = 0; i < suggestion->group_count; i++) {
		struct group *group = &suggestion->groups[i];

		for (int j = 0; j < PART_COUNT; j++)
			free(group->parts[j]);
		for (size_t j = 0; j < group->recipient_count; j++)
			free(group->recipients[j]);
		free(group->recipients);
		free(group->messages);
		free(group->subject);
	}
	free(suggestion->groups);
}

int command_suggest(const struct options *options)
{
	struct suggestion suggestion = {.groups = NULL};
	int status = STATUS_DONE;

	if (!options->files[0] &&
	    !event_lines_read(stdin, "standard input", false, take_event, &suggestion))
		status = STATUS_FAILED;
	for (char **path = options->files; *path; path++) {
		FILE *file = fopen(*path, "re");

		if (!file) {
			report(*path, "cannot open: %s", strerror(errno));
			status = STATUS_FAILED;
			continue;
		}
		if (!event_lines_read(file, *path, false, take_event, &suggestion))
			status = STATUS_FAILED;
		fclose(file);
	}
	if (!suggestion.failed)
		write_all(&suggestion);
	if (suggestion.failed) {
		report("suggest", "nothing was drafted: %s", strerror(ENOMEM));
		status = STATUS_FAILED;
	}
	suggestion_free(&suggestion);
	errno = 0;
	return fflush(stdout) ? command_output_failed(errno ? -errno : -EIO) : status;
}
