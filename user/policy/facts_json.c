/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/facts_json.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct span unknown = {NULL, 0};

/* ---- Values by their path -------------------------------------------------------------------- */

const json_t *json_at(const json_t *object, const char *path)
{
	char name[64];

	while (object && *path) {
		size_t len = strcspn(path, ".");

		if (len >= sizeof(name))
			return NULL;
		memcpy(name, path, len);
		name[len] = '\0';
		object = json_object_get(object, name);
		path += len + (path[len] == '.');
	}
	return object;
}

static struct span text_of(const json_t *value)
{
	if (!json_is_string(value))
		return unknown;
	return (struct span){json_string_value(value), json_string_length(value)};
}

struct span json_text_at(const json_t *object, const char *path)
{
	return text_of(json_at(object, path));
}

int64_t json_number_at(const json_t *object, const char *path, int64_t otherwise)
{
	const json_t *value = json_at(object, path);

	return json_is_integer(value) ? json_integer_value(value) : otherwise;
}

int64_t json_time_at(const json_t *object, const char *path)
{
	struct span text = json_text_at(object, path);
	struct tm tm = {0};

	if (!text.data || !strptime(text.data, "%Y-%m-%dT%H:%M:%S", &tm))
		return -1;
	return timegm(&tm);
}

static enum truth truth_at(const json_t *object, const char *path)
{
	const json_t *value = json_at(object, path);

	return json_is_true(value) ? IS_SO : json_is_false(value) ? NOT_SO : NOT_KNOWN;
}

/* An id is a string of digits in an event. */
static uint32_t id_at(const json_t *object, const char *path, uint32_t otherwise)
{
	struct span text = json_text_at(object, path);

	return text.len ? (uint32_t)strtoul(text.data, NULL, 10) : otherwise;
}

static bool text_is(struct span text, const char *wanted)
{
	return text.data && span_equal(text, span_of(wanted));
}

/* ---- Processes ------------------------------------------------------------------------------- */

static enum scheduler scheduler_of(struct span name)
{
	for (int i = SCHEDULER_NONE; i <= SCHEDULER_AT; i++) {
		if (text_is(name, scheduler_name((enum scheduler)i)))
			return (enum scheduler)i;
	}
	return SCHEDULER_NOT_KNOWN;
}

static struct span or_none(struct span text, bool known)
{
	return text.data ? text : known ? span_of("") : unknown;
}

/* What the process was asked to run. Known only where its executable is. */
static void exec_facts(struct facts_process *process, const json_t *who, const json_t *own)
{
	process->script = facts_path(
		or_none(json_text_at(own, "script"), json_at(who, "process.command_line")));
	process->directory = facts_path(json_text_at(who, "process.working_directory"));
	if (truth_at(own, "args_truncated") != IS_SO)
		process->command_line = json_text_at(who, "process.command_line");
}

static void process_facts(struct facts_process *process, const json_t *who, const json_t *own)
{
	const json_t *ancestry = json_at(own, "ancestry");
	bool cgroup = json_at(own, "cgroup");
	struct span path, container = json_text_at(who, "container.id"),
			  user = json_text_at(who, "user.name"),
			  group = json_text_at(who, "user.group.name");

	if (truth_at(own, "root_names") == IS_SO) /* they are not this host's */
		user = group = unknown;
	if (!container.data)
		container = json_text_at(who, "container.name");
	*process = (struct facts_process){
		.executable = json_text_at(who, "process.executable"),
		.sha256 = json_text_at(who, "process.hash.sha256"),
		.user = user,
		.group = group,
		.unit = or_none(json_text_at(who, "systemd.unit"), cgroup),
		.container = or_none(container, cgroup),
		.login = json_text_at(who, "user.audit.name"),
		.uid = id_at(who, "user.id", UINT32_MAX),
		.gid = id_at(who, "user.group.id", UINT32_MAX),
		.loginuid = id_at(who, "user.audit.id", LOGINUID_NONE),
		.same_user = json_at(who, "process.real_user") || json_at(who, "process.real_group")
				     ? NOT_SO
				     : IS_SO,
		.tty = truth_at(who, "process.interactive"),
		.own_namespaces = truth_at(own, "own_namespaces"),
		.scheduler = scheduler_of(json_text_at(own, "scheduled_by")),
	};
	path = json_text_at(who, "process.executable");
	process->mta = user_passes_on(process->user.data) || path_passes_on(path.data) ? IS_SO
		       : path.data						       ? NOT_SO
										       : NOT_KNOWN;
	if (truth_at(own, "exe_verified") != IS_SO)
		process->executable = unknown;
	else
		exec_facts(process, who, own);
	if (truth_at(own, "exe_swapped") == IS_SO || truth_at(own, "exe_memfd") == IS_SO)
		process->executable = span_of("");
	if (truth_at(own, "exe_swapped") == IS_SO)
		process->script = span_of("");
	for (size_t i = 0; i < json_array_size(ancestry) && i < ANCESTORS_MAX; i++) {
		const json_t *ancestor = json_array_get(ancestry, i);

		process->ancestors[process->ancestor_count++] =
			truth_at(ancestor, "exe_verified") == IS_SO
				? json_text_at(ancestor, "executable")
				: unknown;
	}
}

/* The process that handed the mail to an MTA. What an event does not say of it is not known. */
static void submitter_facts(struct facts *facts, const json_t *origin)
{
	const json_t *who = json_at(origin, "process");
	struct span container = json_text_at(origin, "container.id");

	facts->has_submitter =
		who && origin_process_counts(text_is(json_text_at(origin, "how"), "time"),
					     json_at(origin, "user") || json_at(origin, "uid"));
	if (!facts->has_submitter)
		return;
	facts->submitter = (struct facts_process){
		.unit = json_text_at(origin, "systemd.unit"),
		.container = container.data ? container : json_text_at(origin, "container.name"),
		.same_user = truth_at(who, "real_user") == IS_SO ? IS_SO : NOT_KNOWN,
		.own_namespaces = truth_at(who, "own_namespaces"),
		.scheduler = scheduler_of(json_text_at(who, "scheduled_by")),
	};
	if (truth_at(who, "exe_verified") != IS_SO)
		return;
	facts->submitter.executable = json_text_at(who, "executable");
	facts->submitter.script =
		facts_path(or_none(json_text_at(who, "script"), json_at(who, "args")));
}

static void all_processes(struct facts *facts, const json_t *event)
{
	const json_t *senders = json_at(event, "smtpsnoop.senders");
	size_t count = json_array_size(senders);

	if (!count && json_at(event, "process")) {
		process_facts(&facts->processes[0], event, json_at(event, "smtpsnoop.process"));
		facts->process_count = 1;
	}
	for (size_t i = 0; i < count && i < FACTS_PROCESSES_MAX; i++) {
		const json_t *sender = json_array_get(senders, i);

		process_facts(&facts->processes[facts->process_count++], sender,
			      json_at(sender, "smtpsnoop.process"));
	}
}

/* ---- The message ----------------------------------------------------------------------------- */

static bool has_reason(const json_t *event, const char *wanted)
{
	const json_t *reasons = json_at(event, "smtpsnoop.reasons");

	for (size_t i = 0; i < json_array_size(reasons); i++) {
		if (text_is(text_of(json_array_get(reasons, i)), wanted))
			return true;
	}
	return false;
}

static enum truth whole(const json_t *event)
{
	if (has_reason(event, "smtp_smuggling") || has_reason(event, "replies_unmatched") ||
	    has_reason(event, "urgent_data") || has_reason(event, "commands_after_starttls") ||
	    has_reason(event, "odd_address") || has_reason(event, "witnesses_differ"))
		return NOT_SO;
	if (truth_at(event, "smtpsnoop.capture.complete") != IS_SO ||
	    truth_at(event, "smtpsnoop.capture.mid_stream") != NOT_SO ||
	    json_at(event, "smtp.rcpt_dropped") || has_reason(event, "data_not_ended"))
		return NOT_KNOWN;
	return IS_SO;
}

static void take_address(uint8_t *address, struct span text)
{
	if (text.data && inet_pton(AF_INET, text.data, address + 12) == 1)
		address[10] = address[11] = 0xff;
	else if (text.data)
		inet_pton(AF_INET6, text.data, address);
}

static size_t texts(struct span *out, const json_t *array)
{
	size_t count = json_array_size(array);

	for (size_t i = 0; i < count; i++) {
		out[i] = text_of(json_array_get(array, i));
		if (!out[i].data)
			out[i] = span_of("");
	}
	return count;
}

static bool mail_facts(struct facts *facts, const json_t *event)
{
	const json_t *recipients = json_at(event, "smtp.rcpt_to"),
		     *from = json_at(event, "email.from.address");
	struct span result = json_text_at(event, "smtpsnoop.result");

	facts->spans = calloc(json_array_size(recipients) + json_array_size(from) + 1,
			      sizeof(*facts->spans));
	if (!facts->spans)
		return false;
	facts->sender = json_text_at(event, "smtp.mail_from");
	if (facts->sender.data && !facts->sender.len)
		facts->sender = span_of("<>");
	facts->recipients = facts->spans;
	facts->recipient_count = texts(facts->recipients, recipients);
	facts->recipients_known =
		json_array_size(recipients) && !json_at(event, "smtp.rcpt_dropped");
	facts->header_from = facts->spans + facts->recipient_count;
	facts->header_from_count = texts(facts->header_from, from);
	facts->header_known = json_at(event, "email") && !has_reason(event, "mail_truncated") &&
			      !has_reason(event, "header_repeated");
	facts->subject = json_text_at(event, "email.subject");
	if (!facts->subject.data)
		facts->subject = span_of("");
	facts->bytes = (uint64_t)json_number_at(event, "smtp.bytes", 0);
	facts->bytes_known = json_number_at(event, "smtpsnoop.capture.missing_bytes", 1) == 0;
	facts->no_content = !facts->bytes && !json_at(event, "email") &&
			    (text_is(result, "deferred") || text_is(result, "refused"));
	return true;
}

static void command_facts(struct facts *facts, const json_t *event)
{
	facts->bytes = (uint64_t)json_number_at(event, "smtp.command_bytes", 0);
	facts->bytes_known = json_number_at(event, "smtpsnoop.capture.missing_bytes", 1) == 0;
	facts->recipients_known = true; /* there is none */
}

bool facts_of_json(struct facts *facts, const json_t *event)
{
	struct span action = json_text_at(event, "event.action");
	struct span outcome = json_text_at(event, "smtp.auth.outcome");
	bool encrypted = text_is(action, "smtp-encrypted"),
	     session = text_is(action, "smtp-session") && has_reason(event, "commands_carry_data");

	if (!encrypted && !session && !text_is(action, "smtp-message"))
		return false;
	*facts = (struct facts){
		.start_s = json_time_at(event, "event.start"),
		.end_s = json_time_at(event, "event.end"),
		.processes_complete = truth_at(event, "smtpsnoop.capture.senders_complete") == IS_SO
					      ? IS_SO
					      : NOT_KNOWN,
		.whole = whole(event),
		.relay_port = (uint16_t)json_number_at(event, "destination.port", 0),
		.proxy_target = json_text_at(event, "smtpsnoop.proxy.target"),
		.encrypted = encrypted,
		.session = session,
		.tls = truth_at(event, "tls.established") == IS_SO ? IS_SO : NOT_SO,
		.origin_user = json_text_at(event, "smtpsnoop.origin.user"),
		.has_origin_uid = json_at(event, "smtpsnoop.origin.uid"),
		.origin_uid = id_at(event, "smtpsnoop.origin.uid", UINT32_MAX),
	};
	facts->clock_ns = facts->end_s > 0 ? (uint64_t)facts->end_s * 1000000000ULL : 0;
	take_address(facts->relay, json_text_at(event, "destination.ip"));
	all_processes(facts, event);
	submitter_facts(facts, json_at(event, "smtpsnoop.origin"));
	if (!encrypted && text_is(outcome, "failure"))
		facts->auth_user = span_of("");
	else if (!encrypted)
		facts->auth_user =
			or_none(json_text_at(event, "smtp.auth.user"),
				!json_at(event, "smtp.auth") &&
					truth_at(event, "smtpsnoop.capture.mid_stream") == NOT_SO);
	if (session)
		command_facts(facts, event);
	return encrypted || session || mail_facts(facts, event);
}
