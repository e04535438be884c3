/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a table has one row for each criterion: the kind of its value, where the
 * value is in struct exclusion, and the function that evaluates it. The function compares the
 * exclusion's values with the facts of the message, and returns met, failed or unknown. A missing
 * fact is unknown, never met. The same holds for everything that depends on bytes that were not
 * captured.
 *
 * Criteria of a process are evaluated for every process that sent a byte of the message. If one
 * fails, the criterion has failed. The same functions evaluate the criteria of the process that
 * handed the mail to an MTA. Where that is not known, all its facts are unknown.
 */
#include "policy/exclusion.h"

#include <stdlib.h>

static enum state of_truth(enum truth truth)
{
	return truth == IS_SO ? STATE_MET : truth == NOT_SO ? STATE_FAILED : STATE_UNKNOWN;
}

/* ---- The process ----------------------------------------------------------------------------- */

static enum state process_executable(const void *value, const struct facts_process *process)
{
	return patterns_match(value, process->executable);
}

static enum state process_sha256(const void *value, const struct facts_process *process)
{
	return strings_match(value, process->sha256);
}

static enum state process_user(const void *value, const struct facts_process *process)
{
	return ids_match(value, process->user, process->uid);
}

static enum state process_real_user(const void *value, const struct facts_process *process)
{
	(void)value;
	return of_truth(process->same_user);
}

static enum state process_group(const void *value, const struct facts_process *process)
{
	return ids_match(value, process->group, process->gid);
}

static enum state process_login(const void *value, const struct facts_process *process)
{
	if (process->loginuid == LOGINUID_NONE)
		return strings_match(value, span_of("none"));
	return ids_match(value, process->login, process->loginuid);
}

static enum state process_tty(const void *value, const struct facts_process *process)
{
	enum state state = of_truth(process->tty);

	if (*(const enum demand *)value == DEMAND_REQUIRED || state == STATE_UNKNOWN)
		return state;
	return state == STATE_MET ? STATE_FAILED : STATE_MET;
}

static enum state process_container(const void *value, const struct facts_process *process)
{
	const struct patterns *containers = value;

	if (!containers->count)
		return of_truth(process->own_namespaces);
	return patterns_match(containers, process->container);
}

static enum state process_unit(const void *value, const struct facts_process *process)
{
	return patterns_match(value, process->unit);
}

static enum state process_scheduled_by(const void *value, const struct facts_process *process)
{
	static const enum scheduler wanted[] = {[SCHEDULED_SYSTEMD_TIMER] = SCHEDULER_SYSTEMD_TIMER,
						[SCHEDULED_CRON] = SCHEDULER_CRON,
						[SCHEDULED_AT] = SCHEDULER_AT};
	const enum scheduled_by scheduled_by = *(const enum scheduled_by *)value;

	if (process->scheduler == SCHEDULER_NOT_KNOWN)
		return STATE_UNKNOWN;
	if (scheduled_by == SCHEDULED_ANY)
		return process->scheduler != SCHEDULER_NONE ? STATE_MET : STATE_FAILED;
	return process->scheduler == wanted[scheduled_by] ? STATE_MET : STATE_FAILED;
}

static enum state process_ancestor(const void *value, const struct facts_process *process)
{
	enum state result = process->ancestor_count ? STATE_FAILED : STATE_UNKNOWN;

	for (uint32_t i = 0; i < process->ancestor_count; i++) {
		enum state state = patterns_match(value, process->ancestors[i]);

		if (state == STATE_MET)
			return state;
		if (state == STATE_UNKNOWN)
			result = state;
	}
	return result;
}

static enum state process_script(const void *value, const struct facts_process *process)
{
	return patterns_match(value, process->script);
}

static enum state process_working_directory(const void *value, const struct facts_process *process)
{
	return patterns_match(value, process->directory);
}

static enum state process_arguments(const void *value, const struct facts_process *process)
{
	return patterns_match(value, process->command_line);
}

static enum state every_process(const struct criterion_row *row, const void *value,
				const struct facts *facts)
{
	enum state result =
		facts->process_count ? of_truth(facts->processes_complete) : STATE_UNKNOWN;

	for (uint32_t i = 0; i < facts->process_count; i++) {
		enum state state = row->of_process(value, &facts->processes[i]);

		if (state == STATE_FAILED)
			return state;
		if (state == STATE_UNKNOWN)
			result = state;
	}
	return result;
}

/* ---- Where to -------------------------------------------------------------------------------- */

static enum state relay(const struct exclusion *exclusion, const struct facts *facts,
			struct surroundings *surroundings)
{
	if (facts->proxy_target.len &&
	    relays_match_target(&exclusion->relay, facts->proxy_target) != STATE_MET)
		return STATE_FAILED;
	return relays_match(&exclusion->relay, facts->relay, facts->relay_port, surroundings->names,
			    facts->clock_ns);
}

static enum state tls(const struct exclusion *exclusion, const struct facts *facts,
		      struct surroundings *surroundings)
{
	enum state state = of_truth(facts->tls);

	(void)surroundings;
	if (exclusion->tls == DEMAND_REQUIRED || state == STATE_UNKNOWN)
		return state;
	return state == STATE_MET ? STATE_FAILED : STATE_MET;
}

/* ---- The mail -------------------------------------------------------------------------------- */

static enum state auth_user(const struct exclusion *exclusion, const struct facts *facts,
			    struct surroundings *surroundings)
{
	(void)surroundings;
	return patterns_match(&exclusion->auth_user, facts->auth_user);
}

static enum state sender(const struct exclusion *exclusion, const struct facts *facts,
			 struct surroundings *surroundings)
{
	(void)surroundings;
	return patterns_match(&exclusion->mail.sender, facts->sender);
}

static bool one_address(const struct patterns *patterns, const struct span *addresses, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (patterns_match(patterns, addresses[i]) == STATE_MET)
			return true;
	}
	return false;
}

/*
 * Every address must match, or any one of them. Without any address the criterion has failed.
 */
static enum state addresses_match(const struct patterns *patterns, const struct span *addresses,
				  size_t count, bool known, bool any)
{
	if (any)
		return one_address(patterns, addresses, count) ? STATE_MET : STATE_FAILED;
	for (size_t i = 0; i < count; i++) {
		if (patterns_match(patterns, addresses[i]) == STATE_FAILED)
			return STATE_FAILED;
	}
	return !known ? STATE_UNKNOWN : count ? STATE_MET : STATE_FAILED;
}

static enum state header_from(const struct exclusion *exclusion, const struct facts *facts,
			      struct surroundings *surroundings)
{
	return addresses_match(&exclusion->mail.header_from, facts->header_from,
			       facts->header_from_count, facts->header_known, surroundings->any);
}

static enum state recipients(const struct exclusion *exclusion, const struct facts *facts,
			     struct surroundings *surroundings)
{
	return addresses_match(&exclusion->mail.recipients, facts->recipients,
			       facts->recipient_count, facts->recipients_known, surroundings->any);
}

static enum state subject(const struct exclusion *exclusion, const struct facts *facts,
			  struct surroundings *surroundings)
{
	(void)surroundings;
	return patterns_match(&exclusion->mail.subject,
			      facts->header_known ? facts->subject : (struct span){NULL, 0});
}

static enum state search(const struct searches *searches, const struct facts *facts,
			 struct surroundings *surroundings)
{
	enum state result = facts->content_complete ? STATE_FAILED : STATE_UNKNOWN;

	if (!facts->content.data)
		return STATE_UNKNOWN;
	for (size_t i = 0; i < searches->count; i++) {
		switch (regex_find(searches->items[i].regex, facts->content,
				   &surroundings->steps)) {
		case REGEX_FOUND: return STATE_MET;
		case REGEX_GAVE_UP: result = STATE_UNKNOWN; break;
		default: break;
		}
	}
	return result;
}

static enum state contains(const struct exclusion *exclusion, const struct facts *facts,
			   struct surroundings *surroundings)
{
	return search(&exclusion->mail.contains, facts, surroundings);
}

static enum state matches(const struct exclusion *exclusion, const struct facts *facts,
			  struct surroundings *surroundings)
{
	return search(&exclusion->mail.matches, facts, surroundings);
}

static enum truth is_by_mta(const struct facts *facts)
{
	enum truth result = NOT_SO;

	for (uint32_t i = 0; i < facts->process_count; i++) {
		if (facts->processes[i].mta == IS_SO)
			return IS_SO;
		if (facts->processes[i].mta == NOT_KNOWN)
			result = NOT_KNOWN;
	}
	return result;
}

static enum state origin(const struct exclusion *exclusion, const struct facts *facts,
			 struct surroundings *surroundings)
{
	enum truth by_mta = is_by_mta(facts);

	(void)exclusion;
	(void)surroundings;
	return by_mta == IS_SO ? STATE_FAILED : by_mta == NOT_SO ? STATE_NOT_ASKED : STATE_UNKNOWN;
}

/* What the MTA itself says. */
static enum state origin_user(const struct exclusion *exclusion, const struct facts *facts,
			      struct surroundings *surroundings)
{
	(void)surroundings;
	if (!facts->has_origin_uid)
		return strings_match(&exclusion->origin.user, facts->origin_user);
	return ids_match(&exclusion->origin.user, facts->origin_user, facts->origin_uid);
}

/* ---- When, how much, and what was seen ------------------------------------------------------- */

/* Whether the moment lies in a span from `early` before a scheduled time to `for` after it. */
static bool is_due(const struct exclusion *exclusion, int64_t time_s)
{
	const struct due *due = &exclusion->schedule;
	int64_t next = schedule_next(due->at, time_s - (int64_t)due->for_s);

	return next != SCHEDULE_NEVER && next <= time_s + (int64_t)due->early_s;
}

static enum state schedule(const struct exclusion *exclusion, const struct facts *facts,
			   struct surroundings *surroundings)
{
	(void)surroundings;
	return is_due(exclusion, facts->start_s) && is_due(exclusion, facts->end_s) ? STATE_MET
										    : STATE_FAILED;
}

static enum state expires(const struct exclusion *exclusion, const struct facts *facts,
			  struct surroundings *surroundings)
{
	(void)surroundings;
	return facts->end_s < exclusion->expires.time_s ? STATE_MET : STATE_FAILED;
}

static enum state capture(const struct exclusion *exclusion, const struct facts *facts,
			  struct surroundings *surroundings)
{
	(void)exclusion;
	(void)surroundings;
	return of_truth(facts->whole);
}

static enum state encrypted(const struct exclusion *exclusion, const struct facts *facts,
			    struct surroundings *surroundings)
{
	(void)surroundings;
	if (!facts->encrypted)
		return STATE_NOT_ASKED;
	return exclusion->encrypted ? STATE_MET : STATE_FAILED;
}

static enum state within(const struct limit *limit, const struct surroundings *surroundings,
			 unsigned int which, const struct facts *facts, uint64_t amount, bool known)
{
	static const struct usage nothing;
	const struct usage *usage = surroundings->usage ? &surroundings->usage[which] : &nothing;

	if (!known)
		return STATE_UNKNOWN;
	return limit_allows(limit, usage, facts->clock_ns, amount) ? STATE_MET : STATE_FAILED;
}

static enum state limit_messages(const struct exclusion *exclusion, const struct facts *facts,
				 struct surroundings *surroundings)
{
	return within(&exclusion->limits.messages, surroundings, 0, facts, 1, true);
}

static enum state limit_recipients(const struct exclusion *exclusion, const struct facts *facts,
				   struct surroundings *surroundings)
{
	return within(&exclusion->limits.recipients, surroundings, 1, facts, facts->recipient_count,
		      facts->recipients_known);
}

static enum state limit_bytes(const struct exclusion *exclusion, const struct facts *facts,
			      struct surroundings *surroundings)
{
	return within(&exclusion->limits.bytes, surroundings, 2, facts, facts->bytes,
		      facts->bytes_known);
}

/* ---- The table ------------------------------------------------------------------------------- */

#define AT(field) offsetof(struct exclusion, field)

/* Columns: offset of the value, evaluation, kind, flags. */
const struct criterion_row criterion_rows[CRITERION_COUNT] = {
	[CRITERION_EXPIRES] = {AT(expires), .of_message = expires, .kind = VALUE_EXPIRES},
	[CRITERION_CAPTURE] = {0, .of_message = capture, .kind = VALUE_IMPLIED},
	[CRITERION_ENCRYPTED] = {AT(encrypted), .of_message = encrypted, .kind = VALUE_ENCRYPTED},
	[CRITERION_USER] = {AT(process.user), .of_process = process_user, .selects = true,
			    .kind = VALUE_STRINGS},
	[CRITERION_REAL_USER] = {0, .of_process = process_real_user, .kind = VALUE_IMPLIED},
	[CRITERION_GROUP] = {AT(process.group), .of_process = process_group, .selects = true,
			     .kind = VALUE_STRINGS},
	[CRITERION_LOGIN] = {AT(process.login), .of_process = process_login, .selects = true,
			     .kind = VALUE_STRINGS},
	[CRITERION_TTY] = {AT(process.tty), .of_process = process_tty, .kind = VALUE_DEMAND},
	[CRITERION_CONTAINER] = {AT(process.container), .of_process = process_container,
				 .selects = true, .kind = VALUE_NAMES},
	[CRITERION_SCHEDULED_BY] = {AT(process.scheduled_by), .of_process = process_scheduled_by,
				    .selects = true, .kind = VALUE_SCHEDULED_BY},
	[CRITERION_SHA256] = {AT(process.sha256), .of_process = process_sha256, .selects = true,
			      .kind = VALUE_SHA256},
	[CRITERION_UNIT] = {AT(process.unit), .of_process = process_unit, .selects = true,
			    .kind = VALUE_NAMES},
	[CRITERION_EXECUTABLE] = {AT(process.executable), .of_process = process_executable,
				  .selects = true, .kind = VALUE_PATHS},
	[CRITERION_ANCESTOR] = {AT(process.ancestor), .of_process = process_ancestor,
				.selects = true, .kind = VALUE_PATHS},
	[CRITERION_SCRIPT] = {AT(process.script), .of_process = process_script, .selects = true,
			      .kind = VALUE_SCRIPTS},
	[CRITERION_WORKING_DIRECTORY] = {AT(process.working_directory),
					 .of_process = process_working_directory, .selects = true,
					 .kind = VALUE_PATHS},
	[CRITERION_ARGUMENTS] = {AT(process.arguments), .of_process = process_arguments,
				 .selects = true, .kind = VALUE_NAMES},
	[CRITERION_RELAY] = {AT(relay), .of_message = relay, .selects = true, .kind = VALUE_RELAYS},
	[CRITERION_TLS] = {AT(tls), .of_message = tls, .kind = VALUE_DEMAND},
	[CRITERION_ORIGIN] = {0, .of_message = origin, .kind = VALUE_IMPLIED},
	[CRITERION_ORIGIN_USER] = {AT(origin.user), .of_message = origin_user, .selects = true,
				   .kind = VALUE_STRINGS},
	[CRITERION_ORIGIN_REAL_USER] = {0, .of_submitter = process_real_user,
					.kind = VALUE_IMPLIED},
	[CRITERION_ORIGIN_CONTAINER] = {AT(origin.container), .of_submitter = process_container,
					.selects = true, .kind = VALUE_NAMES},
	[CRITERION_ORIGIN_SCHEDULED_BY] = {AT(origin.scheduled_by),
					   .of_submitter = process_scheduled_by, .selects = true,
					   .kind = VALUE_SCHEDULED_BY},
	[CRITERION_ORIGIN_UNIT] = {AT(origin.unit), .of_submitter = process_unit, .selects = true,
				   .kind = VALUE_NAMES},
	[CRITERION_ORIGIN_EXECUTABLE] = {AT(origin.executable), .of_submitter = process_executable,
					 .selects = true, .kind = VALUE_PATHS},
	[CRITERION_ORIGIN_SCRIPT] = {AT(origin.script), .of_submitter = process_script,
				     .selects = true, .kind = VALUE_SCRIPTS},
	[CRITERION_AUTH_USER] = {AT(auth_user), .of_message = auth_user, .selects = true,
				 .kind = VALUE_NAMES},
	[CRITERION_SENDER] = {AT(mail.sender), .of_message = sender, .selects = true,
			      .of_mail = true, .kind = VALUE_ADDRESSES},
	[CRITERION_HEADER_FROM] = {AT(mail.header_from), .of_message = header_from, .selects = true,
				   .of_mail = true, .of_content = true, .kind = VALUE_ADDRESSES},
	[CRITERION_RECIPIENTS] = {AT(mail.recipients), .of_message = recipients, .selects = true,
				  .of_mail = true, .kind = VALUE_ADDRESSES},
	[CRITERION_SUBJECT] = {AT(mail.subject), .of_message = subject, .selects = true,
			       .of_mail = true, .of_content = true, .kind = VALUE_TEXTS},
	[CRITERION_SCHEDULE] = {AT(schedule), .of_message = schedule, .kind = VALUE_SCHEDULE},
	[CRITERION_CONTAINS] = {AT(mail.contains), .of_message = contains, .selects = true,
				.of_mail = true, .of_content = true, .kind = VALUE_WORDS},
	[CRITERION_MATCHES] = {AT(mail.matches), .of_message = matches, .selects = true,
			       .of_mail = true, .of_content = true, .kind = VALUE_EXPRESSIONS},
	[CRITERION_LIMIT_MESSAGES] = {AT(limits.messages), .of_message = limit_messages,
				      .kind = VALUE_RATE},
	[CRITERION_LIMIT_RECIPIENTS] = {AT(limits.recipients), .of_message = limit_recipients,
					.kind = VALUE_RATE},
	[CRITERION_LIMIT_BYTES] = {AT(limits.bytes), .of_message = limit_bytes,
				   .kind = VALUE_BYTE_RATE},
};

static const void *value_of(const struct exclusion *exclusion, enum criterion criterion)
{
	return (const char *)exclusion + criterion_rows[criterion].offset;
}

bool exclusion_has(const struct exclusion *exclusion, enum criterion criterion)
{
	return value_is_set(criterion_rows[criterion].kind, value_of(exclusion, criterion));
}

void exclusion_free(struct exclusion *exclusion)
{
	for (int i = 0; i < CRITERION_COUNT; i++)
		value_free(criterion_rows[i].kind, (char *)exclusion + criterion_rows[i].offset);
	free(exclusion->name);
	free(exclusion->note);
}

struct criteria exclusion_written(const struct exclusion *exclusion)
{
	struct criteria written = {0};

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (exclusion_has(exclusion, (enum criterion)i))
			criteria_add(&written, (enum criterion)i);
	}
	return written;
}

static bool asks_submitter(const struct exclusion *exclusion)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criterion_rows[i].of_submitter && exclusion_has(exclusion, (enum criterion)i))
			return true;
	}
	return false;
}

bool exclusion_asks_origin(const struct exclusion *exclusion)
{
	return exclusion->origin.user.count || asks_submitter(exclusion);
}

bool exclusion_names_origin(const struct exclusion *exclusion)
{
	return exclusion->origin.user.count || exclusion->origin.unit.count ||
	       (exclusion->accept_forgeable && asks_submitter(exclusion));
}

struct criteria exclusion_asks(const struct exclusion *exclusion)
{
	struct criteria asks = exclusion_written(exclusion);

	criteria_add(&asks, CRITERION_CAPTURE);
	criteria_add(&asks, CRITERION_ENCRYPTED);
	if (exclusion_asks_process(exclusion))
		criteria_add(&asks, CRITERION_REAL_USER);
	/* What a user is called in a container, and what root is there, is up to the container. */
	if (exclusion_asks_process(exclusion) || exclusion_asks_origin(exclusion))
		criteria_add(&asks, CRITERION_CONTAINER);
	if (!exclusion_names_origin(exclusion))
		criteria_add(&asks, CRITERION_ORIGIN);
	if (asks_submitter(exclusion)) {
		criteria_add(&asks, CRITERION_ORIGIN_REAL_USER);
		criteria_add(&asks, CRITERION_ORIGIN_CONTAINER);
	}
	return asks;
}

bool exclusion_covers(const struct exclusion *wide, const struct exclusion *narrow)
{
	uint64_t implied;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		const enum criterion criterion = (enum criterion)i;

		if (exclusion_has(wide, criterion) &&
		    !value_covers(criterion_rows[i].kind, value_of(wide, criterion),
				  value_of(narrow, criterion)))
			return false;
	}
	/*
	 * A criterion that is implied in `wide` must be implied in `narrow` as well. If `narrow`
	 * names it, it lets other messages pass: of a container, relayed by an MTA, encrypted.
	 */
	implied = exclusion_asks(wide).bits & ~exclusion_written(wide).bits;
	return !(implied & (exclusion_written(narrow).bits | ~exclusion_asks(narrow).bits));
}

enum state exclusion_state(const struct exclusion *exclusion, enum criterion criterion,
			   const struct facts *facts, struct surroundings *surroundings)
{
	const struct criterion_row *row = &criterion_rows[criterion];

	if (facts->encrypted && row->of_mail)
		return STATE_NOT_ASKED;
	/* A mail that was refused before its data began has no content that could be wrong. */
	if (facts->no_content && row->of_content)
		return STATE_NOT_ASKED;
	/* Commands bring no mail that could meet these, and nobody handed them to an MTA. */
	if (facts->session && (row->of_mail || row->of_submitter || row->of_message == origin ||
			       row->of_message == origin_user))
		return exclusion_has(exclusion, criterion) ? STATE_FAILED : STATE_NOT_ASKED;
	if (row->of_process)
		return every_process(row, value_of(exclusion, criterion), facts);
	return row->of_submitter
		       ? row->of_submitter(value_of(exclusion, criterion), &facts->submitter)
		       : row->of_message(exclusion, facts, surroundings);
}

enum state exclusion_process_state(const struct exclusion *exclusion, enum criterion criterion,
				   const struct facts_process *process)
{
	const struct criterion_row *row = &criterion_rows[criterion];
	const void *value = value_of(exclusion, criterion);

	return row->of_process ? row->of_process(value, process)
			       : row->of_submitter(value, process);
}

/* ---- For filters ----------------------------------------------------------------------------- */

bool exclusion_asks_process(const struct exclusion *exclusion)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criterion_rows[i].of_process && exclusion_has(exclusion, (enum criterion)i))
			return true;
	}
	return false;
}

bool exclusion_finds_process(const struct exclusion *exclusion, const struct facts_process *process)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		const enum criterion criterion = (enum criterion)i;

		if (criterion_rows[i].of_process && exclusion_has(exclusion, criterion) &&
		    exclusion_process_state(exclusion, criterion, process) != STATE_MET)
			return false;
	}
	return true;
}

bool exclusion_finds_message(const struct exclusion *exclusion, const struct facts *facts,
			     struct surroundings *surroundings)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		const struct criterion_row *row = &criterion_rows[i];

		if (!row->of_process && exclusion_has(exclusion, (enum criterion)i) &&
		    exclusion_state(exclusion, (enum criterion)i, facts, surroundings) != STATE_MET)
			return false;
	}
	return true;
}
