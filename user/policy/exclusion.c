/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: one function for each criterion, in a table. Each is given the exclusion's
 * values and the message's facts, and says met, failed or unknown. A fact that is not there is
 * unknown, never met; so is what depends on bytes that were not captured.
 *
 * Criteria of a process are asked of every process that sent a byte of the message: one that fails
 * decides.
 */
#include "policy/exclusion.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/relay_names.h"

static enum state of_truth(enum truth truth)
{
	return truth == IS_SO ? STATE_MET : truth == NOT_SO ? STATE_FAILED : STATE_UNKNOWN;
}

/* ---- Values of a list: any of them will do --------------------------------------------------- */

static enum state among_patterns(const struct patterns *patterns, struct span text)
{
	if (!text.data)
		return STATE_UNKNOWN;
	for (size_t i = 0; i < patterns->count; i++) {
		if (wildcard_match(patterns->items[i].wildcard, text))
			return STATE_MET;
	}
	return STATE_FAILED;
}

static enum state among_strings(const struct strings *strings, struct span text)
{
	if (!text.data)
		return STATE_UNKNOWN;
	for (size_t i = 0; i < strings->count; i++) {
		if (span_equal(span_of(strings->items[i]), text))
			return STATE_MET;
	}
	return STATE_FAILED;
}

/* A name, or a number in its place. */
static enum state among_ids(const struct strings *strings, struct span name, uint32_t number)
{
	bool names = false;

	for (size_t i = 0; i < strings->count; i++) {
		const char *item = strings->items[i];
		char *end;

		if (!isdigit((unsigned char)item[0]))
			names = true;
		else if (strtoul(item, &end, 10) == number && !*end)
			return STATE_MET;
	}
	return names ? among_strings(strings, name) : STATE_FAILED;
}

/* ---- The process ----------------------------------------------------------------------------- */

typedef enum state (*process_fn)(const struct exclusion *exclusion,
				 const struct facts_process *process);

static enum state process_executable(const struct exclusion *exclusion,
				     const struct facts_process *process)
{
	return among_patterns(&exclusion->process.executable, process->executable);
}

static enum state process_sha256(const struct exclusion *exclusion,
				 const struct facts_process *process)
{
	return among_strings(&exclusion->process.sha256, process->sha256);
}

static enum state process_user(const struct exclusion *exclusion,
			       const struct facts_process *process)
{
	return among_ids(&exclusion->process.user, process->user, process->uid);
}

static enum state process_real_user(const struct exclusion *exclusion,
				    const struct facts_process *process)
{
	(void)exclusion;
	return of_truth(process->same_user);
}

static enum state process_group(const struct exclusion *exclusion,
				const struct facts_process *process)
{
	return among_ids(&exclusion->process.group, process->group, process->gid);
}

static enum state process_login(const struct exclusion *exclusion,
				const struct facts_process *process)
{
	if (process->loginuid == LOGINUID_NONE)
		return among_strings(&exclusion->process.login, span_of("none"));
	return among_ids(&exclusion->process.login, process->login, process->loginuid);
}

static enum state process_tty(const struct exclusion *exclusion,
			      const struct facts_process *process)
{
	enum state state = of_truth(process->tty);

	if (exclusion->process.tty == DEMAND_REQUIRED || state == STATE_UNKNOWN)
		return state;
	return state == STATE_MET ? STATE_FAILED : STATE_MET;
}

static enum state process_container(const struct exclusion *exclusion,
				    const struct facts_process *process)
{
	if (!exclusion->process.container.count)
		return of_truth(process->own_namespaces);
	return among_patterns(&exclusion->process.container, process->container);
}

static enum state process_unit(const struct exclusion *exclusion,
			       const struct facts_process *process)
{
	return among_patterns(&exclusion->process.unit, process->unit);
}

static enum state process_scheduled_by(const struct exclusion *exclusion,
				       const struct facts_process *process)
{
	static const enum scheduler wanted[] = {[SCHEDULED_SYSTEMD_TIMER] = SCHEDULER_SYSTEMD_TIMER,
						[SCHEDULED_CRON] = SCHEDULER_CRON,
						[SCHEDULED_AT] = SCHEDULER_AT};

	if (process->scheduler == SCHEDULER_NOT_KNOWN)
		return STATE_UNKNOWN;
	if (exclusion->process.scheduled_by == SCHEDULED_ANY)
		return process->scheduler != SCHEDULER_NONE ? STATE_MET : STATE_FAILED;
	return process->scheduler == wanted[exclusion->process.scheduled_by] ? STATE_MET
									     : STATE_FAILED;
}

static enum state process_ancestor(const struct exclusion *exclusion,
				   const struct facts_process *process)
{
	enum state result = process->ancestor_count ? STATE_FAILED : STATE_UNKNOWN;

	for (uint32_t i = 0; i < process->ancestor_count; i++) {
		enum state state =
			among_patterns(&exclusion->process.ancestor, process->ancestors[i]);

		if (state == STATE_MET)
			return state;
		if (state == STATE_UNKNOWN)
			result = state;
	}
	return result;
}

static enum state every_process(process_fn process_state, const struct exclusion *exclusion,
				const struct facts *facts)
{
	enum state result =
		facts->process_count ? of_truth(facts->processes_complete) : STATE_UNKNOWN;

	for (uint32_t i = 0; i < facts->process_count; i++) {
		enum state state = process_state(exclusion, &facts->processes[i]);

		if (state == STATE_FAILED)
			return state;
		if (state == STATE_UNKNOWN)
			result = state;
	}
	return result;
}

/* ---- Where to -------------------------------------------------------------------------------- */

static enum state relay_state(const struct relay *relay, const uint8_t *addr, uint16_t port,
			      const struct relay_names *names, uint64_t now_ns)
{
	if (relay->port && relay->port != port)
		return STATE_FAILED;
	if (!relay->name)
		return address_in_network(addr, relay->addr, relay->prefix) ? STATE_MET
									    : STATE_FAILED;
	if (!names)
		return STATE_UNKNOWN;
	switch (relay_names_have(names, relay->name, addr, now_ns)) {
	case RELAY_SAME: return STATE_MET;
	case RELAY_OTHER: return STATE_FAILED;
	default: return STATE_UNKNOWN;
	}
}

/*
 * "name:port", as a proxy was told, is one of the relays: a name by its letters, an address by its
 * number.
 */
static bool target_is(const struct relay *relay, struct span host, uint16_t port)
{
	char text[64];
	struct relay target = {0};

	if (relay->port && relay->port != port)
		return false;
	if (relay->name)
		return host.len == strlen(relay->name) &&
		       strncasecmp(host.data, relay->name, host.len) == 0;
	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = (struct span){host.data + 1, host.len - 2};
	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	return !memchr(text, '/', host.len) && network_parse(text, &target) &&
	       address_in_network(target.addr, relay->addr, relay->prefix);
}

static enum state target_state(const struct relays *relays, struct span target)
{
	struct span host = target;
	unsigned long port = 0;

	while (host.len && target.data[host.len - 1] != ':')
		host.len--;
	if (!host.len)
		return STATE_FAILED;
	for (size_t i = host.len; i < target.len && port < 65536; i++) {
		if (!isdigit((unsigned char)target.data[i]))
			return STATE_FAILED;
		port = 10 * port + (unsigned long)(target.data[i] - '0');
	}
	host.len--;
	for (size_t i = 0; i < relays->count; i++) {
		if (port && port < 65536 && target_is(&relays->items[i], host, (uint16_t)port))
			return STATE_MET;
	}
	return STATE_FAILED;
}

static enum state relay(const struct exclusion *exclusion, const struct facts *facts,
			struct surroundings *surroundings)
{
	enum state result = STATE_FAILED;

	for (size_t i = 0; i < exclusion->relay.count && result != STATE_MET; i++) {
		enum state state =
			relay_state(&exclusion->relay.items[i], facts->relay, facts->relay_port,
				    surroundings->names, facts->clock_ns);

		if (state != STATE_FAILED)
			result = state;
	}
	if (facts->proxy_target.len &&
	    target_state(&exclusion->relay, facts->proxy_target) != STATE_MET)
		return STATE_FAILED;
	return result;
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
	return among_patterns(&exclusion->auth_user, facts->auth_user);
}

static enum state sender(const struct exclusion *exclusion, const struct facts *facts,
			 struct surroundings *surroundings)
{
	(void)surroundings;
	return among_patterns(&exclusion->mail.sender, facts->sender);
}

/* Every one of the addresses; without any, the criterion is not met. */
static enum state every_address(const struct patterns *patterns, const struct span *addresses,
				size_t count, bool known)
{
	for (size_t i = 0; i < count; i++) {
		if (among_patterns(patterns, addresses[i]) == STATE_FAILED)
			return STATE_FAILED;
	}
	return !known ? STATE_UNKNOWN : count ? STATE_MET : STATE_FAILED;
}

static enum state header_from(const struct exclusion *exclusion, const struct facts *facts,
			      struct surroundings *surroundings)
{
	(void)surroundings;
	return every_address(&exclusion->mail.header_from, facts->header_from,
			     facts->header_from_count, facts->header_known);
}

static enum state recipients(const struct exclusion *exclusion, const struct facts *facts,
			     struct surroundings *surroundings)
{
	(void)surroundings;
	return every_address(&exclusion->mail.recipients, facts->recipients, facts->recipient_count,
			     facts->recipients_known);
}

static enum state subject(const struct exclusion *exclusion, const struct facts *facts,
			  struct surroundings *surroundings)
{
	(void)surroundings;
	return among_patterns(&exclusion->mail.subject,
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
	(void)surroundings;
	if (!exclusion->origin.user.count)
		return is_by_mta(facts) == IS_SO    ? STATE_FAILED
		       : is_by_mta(facts) == NOT_SO ? STATE_NOT_ASKED
						    : STATE_UNKNOWN;
	if (!facts->has_origin_uid)
		return among_strings(&exclusion->origin.user, facts->origin_user);
	return among_ids(&exclusion->origin.user, facts->origin_user, facts->origin_uid);
}

/* ---- When, how much, and what was seen ------------------------------------------------------- */

/* Due within `for` before or after the moment. */
static bool is_due(const struct exclusion *exclusion, int64_t time_s)
{
	int64_t next =
		schedule_next(exclusion->schedule.at, time_s - (int64_t)exclusion->schedule.for_s);

	return next != SCHEDULE_NEVER && next <= time_s + (int64_t)exclusion->schedule.for_s;
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
	return facts->end_s < exclusion->expires_s ? STATE_MET : STATE_FAILED;
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

typedef enum state (*state_fn)(const struct exclusion *exclusion, const struct facts *facts,
			       struct surroundings *surroundings);

#define AT(field) offsetof(struct exclusion, field)

static const struct row {
	const char *name;
	process_fn of_process; /* else: */
	state_fn of_message;
	size_t list;  /* offset of its number of values; 0: it is no list */
	bool of_mail; /* does not count where nothing of the mail was seen */
} rows[] = {
	[CRITERION_EXPIRES] = {"expires", NULL, expires, 0, false},
	[CRITERION_CAPTURE] = {"capture", NULL, capture, 0, false},
	[CRITERION_ENCRYPTED] = {"encrypted", NULL, encrypted, 0, false},
	[CRITERION_USER] = {"process.user", process_user, NULL, AT(process.user.count), false},
	[CRITERION_REAL_USER] = {"process.real_user", process_real_user, NULL, 0, false},
	[CRITERION_GROUP] = {"process.group", process_group, NULL, AT(process.group.count), false},
	[CRITERION_LOGIN] = {"process.login", process_login, NULL, AT(process.login.count), false},
	[CRITERION_TTY] = {"process.tty", process_tty, NULL, 0, false},
	[CRITERION_CONTAINER] = {"process.container", process_container, NULL, 0, false},
	[CRITERION_SCHEDULED_BY] = {"process.scheduled_by", process_scheduled_by, NULL, 0, false},
	[CRITERION_SHA256] = {"process.sha256", process_sha256, NULL, AT(process.sha256.count),
			      false},
	[CRITERION_UNIT] = {"process.unit", process_unit, NULL, AT(process.unit.count), false},
	[CRITERION_EXECUTABLE] = {"process.executable", process_executable, NULL,
				  AT(process.executable.count), false},
	[CRITERION_ANCESTOR] = {"process.ancestor", process_ancestor, NULL,
				AT(process.ancestor.count), false},
	[CRITERION_RELAY] = {"relay", NULL, relay, AT(relay.count), false},
	[CRITERION_TLS] = {"tls", NULL, tls, 0, false},
	[CRITERION_ORIGIN] = {"origin", NULL, origin, 0, false},
	[CRITERION_AUTH_USER] = {"auth_user", NULL, auth_user, AT(auth_user.count), false},
	[CRITERION_SENDER] = {"mail.sender", NULL, sender, AT(mail.sender.count), true},
	[CRITERION_HEADER_FROM] = {"mail.header_from", NULL, header_from,
				   AT(mail.header_from.count), true},
	[CRITERION_RECIPIENTS] = {"mail.recipients", NULL, recipients, AT(mail.recipients.count),
				  true},
	[CRITERION_SUBJECT] = {"mail.subject", NULL, subject, AT(mail.subject.count), true},
	[CRITERION_SCHEDULE] = {"schedule", NULL, schedule, 0, false},
	[CRITERION_CONTAINS] = {"mail.contains", NULL, contains, AT(mail.contains.count), true},
	[CRITERION_MATCHES] = {"mail.matches", NULL, matches, AT(mail.matches.count), true},
	[CRITERION_LIMIT_MESSAGES] = {"limits.messages", NULL, limit_messages, 0, false},
	[CRITERION_LIMIT_RECIPIENTS] = {"limits.recipients", NULL, limit_recipients, 0, false},
	[CRITERION_LIMIT_BYTES] = {"limits.bytes", NULL, limit_bytes, 0, false},
};

const char *criterion_name(enum criterion criterion)
{
	return rows[criterion].name;
}

static bool is_written(const struct exclusion *exclusion, enum criterion criterion)
{
	size_t count = 0;

	switch (criterion) {
	case CRITERION_EXPIRES: return exclusion->has_expires;
	case CRITERION_ENCRYPTED: return exclusion->encrypted;
	case CRITERION_TTY: return exclusion->process.tty != DEMAND_ANY;
	case CRITERION_CONTAINER: return exclusion->process.container.count;
	case CRITERION_SCHEDULED_BY: return exclusion->process.scheduled_by != SCHEDULED_NOT_ASKED;
	case CRITERION_TLS: return exclusion->tls != DEMAND_ANY;
	case CRITERION_ORIGIN: return exclusion->origin.user.count;
	case CRITERION_SCHEDULE: return exclusion->schedule.at;
	case CRITERION_LIMIT_MESSAGES: return exclusion->limits.messages.window_s;
	case CRITERION_LIMIT_RECIPIENTS: return exclusion->limits.recipients.window_s;
	case CRITERION_LIMIT_BYTES: return exclusion->limits.bytes.window_s;
	default: break;
	}
	if (rows[criterion].list)
		memcpy(&count, (const char *)exclusion + rows[criterion].list, sizeof(count));
	return count;
}

uint32_t exclusion_written(const struct exclusion *exclusion)
{
	uint32_t written = 0;

	for (int i = 0; i < CRITERION_COUNT; i++)
		written |= (uint32_t)is_written(exclusion, (enum criterion)i) << i;
	return written;
}

uint32_t exclusion_asks(const struct exclusion *exclusion)
{
	uint32_t written = exclusion_written(exclusion), asks = written | 1U << CRITERION_CAPTURE |
								1U << CRITERION_ENCRYPTED |
								1U << CRITERION_ORIGIN;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (written & 1U << i && rows[i].of_process)
			asks |= 1U << CRITERION_REAL_USER | 1U << CRITERION_CONTAINER;
	}
	return asks;
}

enum state exclusion_state(const struct exclusion *exclusion, enum criterion criterion,
			   const struct facts *facts, struct surroundings *surroundings)
{
	const struct row *row = &rows[criterion];

	if (facts->encrypted && row->of_mail)
		return STATE_NOT_ASKED;
	return row->of_process ? every_process(row->of_process, exclusion, facts)
			       : row->of_message(exclusion, facts, surroundings);
}
