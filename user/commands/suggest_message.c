/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/suggest_message.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "commands/doubts.h"
#include "policy/facts_json.h"

#define TIME_MAX_S (1LL << 33)

static struct span or_empty(struct span text)
{
	return text.data ? text : span_of("");
}

/* A unit that gets another name with every login or start; it does not come again. */
static bool is_passing_unit(struct span unit)
{
	static const char *const starts[] = {"session-", "run-"};

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (unit.len > strlen(starts[i]) &&
		    memcmp(unit.data, starts[i], strlen(starts[i])) == 0)
			return true;
	}
	return false;
}

/*
 * Who handed the mail to an MTA. The process counts only if an exclusion can ask for it: under its
 * own user, and in the watch's namespaces.
 */
static void identify_origin(const struct facts *facts, struct span *parts)
{
	const struct facts_process *submitter = &facts->submitter;
	bool relayed = facts->processes[0].mta == IS_SO,
	     counts =
		     relayed && submitter->same_user == IS_SO && submitter->own_namespaces == IS_SO;

	parts[PART_ORIGIN] = relayed ? or_empty(facts->origin_user) : span_of("");
	parts[PART_ORIGIN_EXECUTABLE] = counts ? or_empty(submitter->executable) : span_of("");
	parts[PART_ORIGIN_SCRIPT] = counts ? or_empty(submitter->script) : span_of("");
	parts[PART_ORIGIN_UNIT] = counts ? or_empty(submitter->unit) : span_of("");
	if (parts[PART_ORIGIN].len && is_passing_unit(parts[PART_ORIGIN_UNIT]))
		parts[PART_ORIGIN_UNIT] = span_of("");
}

static void identify(uint64_t seed, const json_t *event, const struct facts *facts,
		     struct identity *identity)
{
	const struct facts_process *process = &facts->processes[0];
	struct span *parts = identity->parts;

	snprintf(identity->uid, sizeof(identity->uid), "%u", process->uid);
	parts[PART_EXECUTABLE] = or_empty(process->executable);
	parts[PART_USER] = or_empty(process->user);
	if (!parts[PART_USER].len && facts->process_count && process->uid != UINT32_MAX)
		parts[PART_USER] = span_of(identity->uid);
	parts[PART_UNIT] = or_empty(process->unit);
	if (parts[PART_USER].len && is_passing_unit(parts[PART_UNIT]))
		parts[PART_UNIT] = span_of("");
	identify_origin(facts, parts);
	parts[PART_SCHEDULED_BY] = or_empty(json_text_at(event, "smtpsnoop.process.scheduled_by"));
	parts[PART_SCRIPT] = or_empty(json_text_at(event, "smtpsnoop.process.script"));
	parts[PART_SENDER] = facts->encrypted ? span_of("") : or_empty(facts->sender);
	identity->user = hash_bytes(seed, parts[PART_USER]);
	identity->user =
		hash_bytes(identity->user,
			   parts[PART_ORIGIN].len ? parts[PART_ORIGIN] : parts[PART_ORIGIN_UNIT]) |
		1;
	identity->process = seed;
	for (int i = 0; i < PART_OF_PROCESS; i++)
		identity->process = hash_bytes(identity->process, parts[i]);
	identity->process |= 1;
	identity->kind = hash_mix(identity->process, facts->encrypted);
	for (int i = PART_OF_PROCESS; i < PART_COUNT; i++)
		identity->kind = hash_bytes(identity->kind, parts[i]);
	identity->kind |= 1;
}

static bool is_true_at(const json_t *event, const char *path)
{
	return json_is_true(json_at(event, path));
}

/* Whether the program is one that no exclusion should trust. */
static enum left left_by_program(const json_t *event)
{
	struct span path = json_text_at(event, "process.executable");

	if (is_true_at(event, "smtpsnoop.process.exe_deleted") ||
	    is_true_at(event, "smtpsnoop.process.exe_memfd") ||
	    is_true_at(event, "smtpsnoop.process.exe_swapped") ||
	    (path.data && path_is_no_file(path.data)))
		return LEFT_NO_FILE;
	return path.data && path_writable_by_any(path.data) ? LEFT_WRITABLE : LEFT_NOT;
}

/* The same of the program that handed the mail to an MTA. */
static enum left left_by_submitter(const struct facts_process *submitter)
{
	char path[STREAM_TEXT_MAX + 1];

	if (!submitter->executable.data)
		return LEFT_NOT;
	if (!submitter->executable.len)
		return LEFT_NO_FILE;
	if (submitter->executable.len > STREAM_TEXT_MAX)
		return LEFT_ODD;
	memcpy(path, submitter->executable.data, submitter->executable.len);
	path[submitter->executable.len] = '\0';
	if (path_is_no_file(path))
		return LEFT_NO_FILE;
	return path_writable_by_any(path) ? LEFT_WRITABLE : LEFT_NOT;
}

/* Whether an exclusion could let the message pass. */
static enum left left_by_facts(const struct facts *facts, const struct identity *identity)
{
	const struct facts_process *process = &facts->processes[0];

	if (facts->session)
		return LEFT_SESSION;
	if (facts->process_count != 1 || facts->processes_complete != IS_SO ||
	    facts->whole != IS_SO || facts->end_s < 0 || facts->end_s > TIME_MAX_S)
		return LEFT_NOT_WHOLE;
	if (!process->executable.len ||
	    (!identity->parts[PART_USER].len && !identity->parts[PART_UNIT].len))
		return LEFT_NOT_KNOWN;
	if (process->same_user != IS_SO || process->own_namespaces != IS_SO)
		return LEFT_FOREIGN;
	if (process->mta != NOT_SO && !identity->parts[PART_ORIGIN].len &&
	    !identity->parts[PART_ORIGIN_UNIT].len)
		return LEFT_RELAYED;
	if (facts->proxy_target.len)
		return LEFT_PROXY;
	for (int i = 0; i < PART_COUNT; i++) {
		if (!stream_text_is_plain(identity->parts[i]))
			return LEFT_ODD;
	}
	return LEFT_NOT;
}

enum left message_identify(uint64_t seed, const json_t *event, const struct facts *facts,
			   struct identity *identity)
{
	enum left left = left_by_program(event);

	*identity = (struct identity){.process = 0};
	identify(seed, event, facts, identity);
	left = left ? left : left_by_submitter(&facts->submitter);
	return left ? left : left_by_facts(facts, identity);
}
