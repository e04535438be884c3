/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the kind of a criterion's value says how it is written down, and the
 * criterion says which fact it was compared with. Of several values a few are shown, and of the
 * facts only those that do not meet the criterion.
 */
#include "commands/explain_values.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SHOWN_MAX 5U   /* values of a list */
#define VALUE_MAX 200U /* bytes of a value */

static struct span front(struct span value)
{
	if (value.len > VALUE_MAX)
		value.len = VALUE_MAX;
	return value;
}

/* In UTC. An event may name any year, so nanoseconds would not do. */
static void add_time(struct text *out, int64_t time_s, bool day)
{
	char shown[64] = "";
	time_t time = time_s;
	struct tm tm;

	if (gmtime_r(&time, &tm))
		strftime(shown, sizeof(shown), "%Y-%m-%dT%H:%M:%SZ", &tm);
	text_add_format(out, "%.*s", day ? (int)strcspn(shown, "T") : 63, shown);
}

/* A list that is being written: "a, b and 3 more". */
struct listing {
	struct text *out;
	size_t count;
};

static void list(struct listing *listing, struct span value)
{
	if (listing->count++ >= SHOWN_MAX)
		return;
	text_add_string(listing->out, listing->count > 1 ? ", " : "");
	if (!value.len)
		text_add_string(listing->out, value.data ? "(none)" : "(not known)");
	text_add_visible(listing->out, front(value));
	if (value.len > VALUE_MAX)
		text_add_string(listing->out, "...");
}

static void list_end(const struct listing *listing)
{
	if (listing->count > SHOWN_MAX)
		text_add_format(listing->out, " and %zu more", listing->count - SHOWN_MAX);
}

/* ---- What is expected ------------------------------------------------------------------------ */

static void expected_list(struct text *out, enum value_kind kind, const void *value)
{
	const struct patterns *patterns = value;
	const struct strings *strings = value;
	const struct searches *searches = value;
	const struct relays *relays = value;
	struct listing listing = {.out = out};

	switch (kind) {
	case VALUE_STRINGS:
	case VALUE_SHA256:
		for (size_t i = 0; i < strings->count; i++)
			list(&listing, span_of(strings->items[i]));
		break;
	case VALUE_WORDS:
	case VALUE_EXPRESSIONS:
		for (size_t i = 0; i < searches->count; i++)
			list(&listing, span_of(searches->items[i].text));
		break;
	case VALUE_RELAYS:
		for (size_t i = 0; i < relays->count; i++)
			list(&listing, span_of(relays->items[i].text));
		break;
	default:
		for (size_t i = 0; i < patterns->count; i++)
			list(&listing, span_of(patterns->items[i].text));
		break;
	}
	list_end(&listing);
}

static void expected_schedule(struct text *out, const struct due *due)
{
	text_add_visible(out, front(span_of(due->text)));
	text_add_format(out, ", for %llus", (unsigned long long)due->for_s);
	if (due->early_s)
		text_add_format(out, ", early %llus", (unsigned long long)due->early_s);
}

static void expected_limit(struct text *out, const struct limit *limit, const char *unit)
{
	text_add_format(out, "at most %llu%s in %llus", (unsigned long long)limit->amount, unit,
			(unsigned long long)limit->window_s);
}

static void expected_day(struct text *out, int64_t time_s)
{
	text_add_string(out, "until the end of ");
	add_time(out, time_s - 1, true);
}

static void expected_value(struct text *out, enum value_kind kind, const void *value)
{
	static const char *const scheduled_by[] = {[SCHEDULED_NOT_ASKED] = "",
						   [SCHEDULED_SYSTEMD_TIMER] = "systemd-timer",
						   [SCHEDULED_CRON] = "cron",
						   [SCHEDULED_AT] = "at",
						   [SCHEDULED_ANY] = "cron, at or systemd-timer"};

	switch (kind) {
	case VALUE_SCHEDULED_BY:
		text_add_string(out, scheduled_by[*(const enum scheduled_by *)value]);
		break;
	case VALUE_DEMAND:
		text_add_string(out, *(const enum demand *)value == DEMAND_REQUIRED ? "required"
										    : "none");
		break;
	case VALUE_SCHEDULE: expected_schedule(out, value); break;
	case VALUE_RATE: expected_limit(out, value, ""); break;
	case VALUE_BYTE_RATE: expected_limit(out, value, " bytes"); break;
	case VALUE_EXPIRES: expected_day(out, ((const struct expiry *)value)->time_s); break;
	default: expected_list(out, kind, value); break;
	}
}

/* Of criteria that apply to every message, or with any criterion of a process. */
static const char *expected_implied(enum criterion criterion)
{
	switch (criterion) {
	case CRITERION_CAPTURE: return "everything was seen, and nothing hidden";
	case CRITERION_ENCRYPTED: return "a session whose plaintext was seen";
	case CRITERION_REAL_USER: return "real and effective user and group are the same";
	case CRITERION_CONTAINER: return "the namespaces of the watch";
	case CRITERION_ORIGIN: return "no MTA that relays for others, or origin.user or unit";
	case CRITERION_ORIGIN_REAL_USER: return expected_implied(CRITERION_REAL_USER);
	case CRITERION_ORIGIN_CONTAINER: return expected_implied(CRITERION_CONTAINER);
	default: return "";
	}
}

void explain_expected(struct text *out, const struct exclusion *exclusion, enum criterion criterion)
{
	const struct criterion_row *row = &criterion_rows[criterion];

	if (exclusion_has(exclusion, criterion) && criterion != CRITERION_ENCRYPTED)
		expected_value(out, row->kind, (const char *)exclusion + row->offset);
	else
		text_add_string(out, expected_implied(criterion));
}

/* ---- What the message has -------------------------------------------------------------------- */

static void list_id(struct listing *listing, struct span name, uint32_t id)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", id);
	list(listing, name.len ? name : span_of(number));
}

/* The criterion of a process that compares the same fact as one of the process of the origin. */
static enum criterion of_any_process(enum criterion criterion)
{
	switch (criterion) {
	case CRITERION_ORIGIN_REAL_USER: return CRITERION_REAL_USER;
	case CRITERION_ORIGIN_CONTAINER: return CRITERION_CONTAINER;
	case CRITERION_ORIGIN_SCHEDULED_BY: return CRITERION_SCHEDULED_BY;
	case CRITERION_ORIGIN_UNIT: return CRITERION_UNIT;
	case CRITERION_ORIGIN_EXECUTABLE: return CRITERION_EXECUTABLE;
	case CRITERION_ORIGIN_SCRIPT: return CRITERION_SCRIPT;
	default: return criterion;
	}
}

static void list_process(struct listing *listing, enum criterion criterion,
			 const struct facts_process *process)
{
	switch (of_any_process(criterion)) {
	case CRITERION_USER: list_id(listing, process->user, process->uid); break;
	case CRITERION_GROUP: list_id(listing, process->group, process->gid); break;
	case CRITERION_REAL_USER: list(listing, span_of("they differ")); break;
	case CRITERION_LOGIN:
		if (process->loginuid == LOGINUID_NONE)
			list(listing, span_of("none"));
		else
			list_id(listing, process->login, process->loginuid);
		break;
	case CRITERION_TTY:
		list(listing, span_of(process->tty == IS_SO ? "a terminal" : "no terminal"));
		break;
	case CRITERION_CONTAINER:
		list(listing, process->container.len ? process->container
						     : span_of("not those, and no container"));
		break;
	case CRITERION_SCHEDULED_BY:
		list(listing, span_of(scheduler_name(process->scheduler)));
		break;
	case CRITERION_SHA256: list(listing, process->sha256); break;
	case CRITERION_UNIT: list(listing, process->unit); break;
	case CRITERION_EXECUTABLE:
		list(listing, process->executable.len
				      ? process->executable
				      : span_of("no path: in memory, deleted or exchanged"));
		break;
	case CRITERION_SCRIPT: list(listing, process->script); break;
	case CRITERION_WORKING_DIRECTORY: list(listing, process->directory); break;
	case CRITERION_ARGUMENTS: list(listing, process->command_line); break;
	case CRITERION_ANCESTOR:
		for (uint32_t i = 0; i < process->ancestor_count; i++)
			list(listing, process->ancestors[i]);
		break;
	default: list(listing, span_of("another one")); break;
	}
}

static void actual_processes(struct text *out, const struct exclusion *exclusion,
			     enum criterion criterion, const struct facts *facts)
{
	struct listing listing = {.out = out};

	for (uint32_t i = 0; i < facts->process_count; i++) {
		if (exclusion_process_state(exclusion, criterion, &facts->processes[i]) ==
		    STATE_FAILED)
			list_process(&listing, criterion, &facts->processes[i]);
	}
	list_end(&listing);
}

static void actual_relay(struct text *out, const struct facts *facts)
{
	char address[ADDRESS_LEN];

	text_address(address, facts->relay);
	text_add_format(out, address_is_ipv4(facts->relay) ? "%s:%u" : "[%s]:%u", address,
			facts->relay_port);
	if (!facts->proxy_target.len)
		return;
	text_add_string(out, ", a proxy to ");
	text_add_visible(out, front(facts->proxy_target));
}

static void actual_addresses(struct text *out, const struct patterns *patterns,
			     const struct span *addresses, size_t count)
{
	struct listing listing = {.out = out};

	for (size_t i = 0; i < count; i++) {
		if (patterns_match(patterns, addresses[i]) == STATE_FAILED)
			list(&listing, addresses[i]);
	}
	if (!count)
		list(&listing, span_of(""));
	list_end(&listing);
}

static void actual_times(struct text *out, const struct facts *facts)
{
	add_time(out, facts->start_s, false);
	if (facts->end_s == facts->start_s)
		return;
	text_add_string(out, " to ");
	add_time(out, facts->end_s, false);
}

static void actual_mail(struct text *out, const struct exclusion *exclusion,
			enum criterion criterion, const struct facts *facts)
{
	struct listing listing = {.out = out};

	switch (criterion) {
	case CRITERION_SENDER: list(&listing, facts->sender); break;
	case CRITERION_SUBJECT: list(&listing, facts->subject); break;
	case CRITERION_HEADER_FROM:
		actual_addresses(out, &exclusion->mail.header_from, facts->header_from,
				 facts->header_from_count);
		break;
	case CRITERION_RECIPIENTS:
		actual_addresses(out, &exclusion->mail.recipients, facts->recipients,
				 facts->recipient_count);
		break;
	default:
		text_add_format(out, "none of these in %zu bytes of header and body",
				facts->content.len);
		break;
	}
}

static void actual_message(struct text *out, enum criterion criterion, const struct facts *facts)
{
	struct listing listing = {.out = out};

	if (criterion_rows[criterion].of_submitter) {
		list_process(&listing, criterion, &facts->submitter);
		return;
	}
	switch (criterion) {
	case CRITERION_EXPIRES:
	case CRITERION_SCHEDULE: actual_times(out, facts); break;
	case CRITERION_CAPTURE:
		text_add_string(out, "something was hidden or does not fit; smtpsnoop.reasons says "
				     "what");
		break;
	case CRITERION_ENCRYPTED: text_add_string(out, "an encrypted session"); break;
	case CRITERION_RELAY: actual_relay(out, facts); break;
	case CRITERION_TLS: text_add_string(out, facts->tls == IS_SO ? "TLS" : "no TLS"); break;
	case CRITERION_ORIGIN: text_add_string(out, "an MTA relays it"); break;
	case CRITERION_ORIGIN_USER: list_id(&listing, facts->origin_user, facts->origin_uid); break;
	case CRITERION_AUTH_USER: list(&listing, facts->auth_user); break;
	case CRITERION_LIMIT_MESSAGES: text_add_string(out, "1"); break;
	case CRITERION_LIMIT_RECIPIENTS: text_add_format(out, "%zu", facts->recipient_count); break;
	case CRITERION_LIMIT_BYTES:
		text_add_format(out, "%llu bytes", (unsigned long long)facts->bytes);
		break;
	default: break;
	}
}

void explain_actual(struct text *out, const struct exclusion *exclusion, enum criterion criterion,
		    const struct facts *facts)
{
	const struct criterion_row *row = &criterion_rows[criterion];

	if (facts->session &&
	    (row->of_mail || row->of_submitter || criterion == CRITERION_ORIGIN_USER))
		text_add_string(out, "a session without a mail");
	else if (row->of_process)
		actual_processes(out, exclusion, criterion, facts);
	else if (row->of_mail)
		actual_mail(out, exclusion, criterion, facts);
	else
		actual_message(out, criterion, facts);
}

/* ---- Why it is not known --------------------------------------------------------------------- */

static const char *const unknown_reasons[CRITERION_COUNT] = {
	[CRITERION_CAPTURE] = "bytes or replies were not seen, or the data did not end",
	[CRITERION_USER] = "the user id has no known name",
	[CRITERION_REAL_USER] = "its effective user is not known",
	[CRITERION_GROUP] = "the group id has no known name",
	[CRITERION_LOGIN] = "the login uid has no known name",
	[CRITERION_TTY] = "the terminal was not recorded",
	[CRITERION_CONTAINER] = "its namespaces or its cgroup are not known",
	[CRITERION_SCHEDULED_BY] = "what started the process is not known",
	[CRITERION_SHA256] = "the executable was not hashed",
	[CRITERION_UNIT] = "its cgroup is not known",
	[CRITERION_EXECUTABLE] =
		"the path at exec is not known; a process may be older than the watch",
	[CRITERION_ANCESTOR] = "the path at exec of an ancestor is not known",
	[CRITERION_SCRIPT] = "its path is not known, or has '..' in it",
	[CRITERION_WORKING_DIRECTORY] = "the directory at exec is not known",
	[CRITERION_ARGUMENTS] = "the arguments are not known, or were cut",
	[CRITERION_RELAY] = "a name among them could not be resolved",
	[CRITERION_ORIGIN] = "whether an MTA relays it is not known",
	[CRITERION_ORIGIN_USER] = "who handed it to an MTA is not known",
	[CRITERION_AUTH_USER] = "the AUTH was not seen",
	[CRITERION_SENDER] = "the MAIL command was not seen",
	[CRITERION_HEADER_FROM] = "the header was not seen completely, or repeats a field",
	[CRITERION_RECIPIENTS] = "not every recipient was seen",
	[CRITERION_SUBJECT] = "the header was not seen completely, or repeats a field",
	[CRITERION_LIMIT_RECIPIENTS] = "not every recipient was seen",
	[CRITERION_LIMIT_BYTES] = "not every byte was seen",
};

static const char *unknown_process(const struct exclusion *exclusion, enum criterion criterion,
				   const struct facts *facts)
{
	const char *reason = unknown_reasons[criterion];

	for (uint32_t i = 0; i < facts->process_count; i++) {
		if (exclusion_process_state(exclusion, criterion, &facts->processes[i]) ==
		    STATE_UNKNOWN)
			return reason ? reason : "it was not seen";
	}
	return facts->process_count ? "other processes may have sent bytes of it"
				    : "no process was seen that sent it";
}

static const char *unknown_content(const struct facts *facts)
{
	if (!facts->content.data)
		return "the body is not known: an event does not contain it, a recording does";
	return facts->content_complete ? "the expression backtracks too often on this text"
				       : "the body was captured up to capture.body_bytes";
}

const char *explain_unknown(const struct exclusion *exclusion, enum criterion criterion,
			    const struct facts *facts)
{
	const char *reason = unknown_reasons[criterion];

	if (criterion_rows[criterion].of_process)
		return unknown_process(exclusion, criterion, facts);
	if (criterion == CRITERION_CONTAINS || criterion == CRITERION_MATCHES)
		return unknown_content(facts);
	if (criterion_rows[criterion].of_submitter)
		return !facts->has_submitter ? "the process that handed it to an MTA is not known"
					     : unknown_reasons[of_any_process(criterion)];
	if (facts->encrypted && criterion != CRITERION_CAPTURE && criterion != CRITERION_RELAY)
		return "it is encrypted";
	return reason ? reason : "it was not seen";
}
