/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The index of exclusions against trying every exclusion: thousands of random messages and
 * exclusions, with every criterion, get the same decision, the same nearest exclusion and the same
 * failed criteria.
 */
#include "unit.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/config.h"
#include "policy/decision.h"
#include "policy/exclusion_index.h"

#define POLICIES   30
#define EXCLUSIONS 80
#define MESSAGES   200

static uint64_t seed;

/* From 0 to below `n`. */
static unsigned int below(unsigned int n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (unsigned int)(seed >> 33) % n;
}

static bool one_in(unsigned int n)
{
	return below(n) == 0;
}

/* ---- Exclusions ------------------------------------------------------------------------------ */

/* One of the values; a '#' in it stands for a number, of which facts have some as well. */
static void add_value(struct text *out, const char *const *values, unsigned int count)
{
	const char *value = values[below(count)], *number = strchr(value, '#');

	text_add_string(out, "'");
	text_add(out, (struct span){value, number ? (size_t)(number - value) : strlen(value)});
	if (number)
		text_add_format(out, "%u%s", below(20), number + 1);
	text_add_string(out, "'");
}

struct choice {
	const char *group, *key;
	const char *values[8];
	bool single;
};

static const struct choice choices[] = {
	{"process",
	 "executable",
	 {"/opt/a#/bin/*", "/opt/a#", "/opt/**", "/**/a#", "/o[op]t/a#"},
	 0},
	{"process", "user", {"u#", "u#", "#", "007", "U#"}, 0},
	{"process", "group", {"g#", "#"}, 0},
	{"process", "login", {"u#", "none", "#"}, 0},
	{"process", "unit", {"s#.service", "s#.*", "*.scope", "s?.service", "*"}, 0},
	{"process", "container", {"c#", "c*"}, 0},
	{"process", "script", {"/opt/s#.py", "/opt/*", "/**#.py", "-m m#"}, 0},
	{"process", "ancestor", {"/opt/a#", "/usr/sbin/cron"}, 0},
	{"process", "working_directory", {"/srv/d#", "/srv/*"}, 0},
	{"process", "arguments", {"* -#", "a#", "*"}, 0},
	{"process", "scheduled_by", {"cron", "at", "any"}, 1},
	{"process", "tty", {"none", "required", "any"}, 1},
	{"origin", "user", {"u#", "#"}, 0},
	{"origin", "executable", {"/opt/a#", "/opt/**", "/**/a#"}, 0},
	{"origin", "script", {"/opt/s#.py", "/opt/*"}, 0},
	{"origin", "unit", {"s#.service", "*"}, 0},
	{"origin", "container", {"c#", "c*"}, 0},
	{"origin", "scheduled_by", {"cron", "any"}, 1},
	{"mail", "sender", {"r#@corp.example", "R#@Corp.example", "*@corp.example", "<>"}, 0},
	{"mail", "header_from", {"r#@corp.example", "*@corp.example"}, 0},
	{"mail", "recipients", {"r#@corp.example", "*@CORP.example", "*", "**"}, 0},
	{"mail", "subject", {"Report * of #", "report #*", "*", "*#", "Report # of #"}, 0},
	{"mail", "contains", {"well #", "all is"}, 0},
	{"mail", "matches", {"well #$", "(is|was) well"}, 0},
	{"limits", "messages", {"3/1h", "100/1h"}, 1},
	{"limits", "recipients", {"5/1h", "1000/1h"}, 1},
	{"limits", "bytes", {"10KiB/1h", "1GiB/1h"}, 1},
	{"",
	 "relay",
	 {"10.0.0.#", "10.0.#.0/24", "10.0.0.#:25", "10.0.0.0/8", "::/0", "n#.example"},
	 0},
	{"", "tls", {"required", "none"}, 1},
	{"", "auth_user", {"u#", "*", "u*"}, 0},
	{"", "expires", {"2026-11-20", "2026-11-29", "2030-01-01"}, 1},
	{"", "encrypted", {"allow", "deny"}, 1},
};

static void add_choice(struct text *out, const struct choice *choice)
{
	unsigned int count = 0, values = choice->single ? 1 : 1 + below(3);

	while (count < 8 && choice->values[count])
		count++;
	text_add_format(out, "%s: ", choice->key);
	text_add_string(out, values > 1 ? "[" : "");
	for (unsigned int i = 0; i < values; i++) {
		text_add_string(out, i ? ", " : "");
		add_value(out, choice->values, count);
	}
	text_add_string(out, values > 1 ? "]" : "");
}

/* The criteria of a group, each with a chance, and the user; without a group, they are lines. */
static void add_group(struct text *out, const char *group, unsigned int rare)
{
	bool any = false;

	for (size_t i = 0; i < sizeof(choices) / sizeof(choices[0]); i++) {
		if (strcmp(choices[i].group, group) != 0 ||
		    (!one_in(rare) && strcmp(choices[i].key, "user") != 0))
			continue;
		if (!group[0])
			text_add_string(out, "  ");
		else if (any)
			text_add_string(out, ", ");
		else
			text_add_format(out, "  %s: { ", group);
		add_choice(out, &choices[i]);
		if (!group[0])
			text_add_string(out, "\n");
		any = true;
	}
	text_add_string(out, any && group[0] ? " }\n" : "");
}

static struct config *random_policy(void)
{
	char error[CONFIG_ERROR_MAX];
	struct text text = {0};
	struct config *config;
	unsigned int rare = 2 + below(5);

	text_add_string(&text, "exclusions:\n");
	for (int i = 0; i < EXCLUSIONS; i++) {
		text_add_format(&text, "- name: e%d\n  accept_forgeable: true\n", i);
		if (one_in(8))
			text_add_string(
				&text,
				"  schedule: { at: '0 8 * * *', for: 12h, timezone: UTC }\n");
		if (one_in(2))
			text_add_string(&text, "  process: { user: u3 }\n");
		else
			add_group(&text, "process", rare);
		if (one_in(3))
			add_group(&text, "origin", rare);
		add_group(&text, "mail", rare);
		add_group(&text, "limits", rare * 2);
		add_group(&text, "", rare);
	}
	config = config_parse((struct span){text.data, text.len}, "random", error);
	if (!config)
		print_message("%s\n", error);
	assert_non_null(config);
	text_free(&text);
	return config;
}

/* ---- Messages -------------------------------------------------------------------------------- */

struct message {
	struct facts facts;
	struct span addresses[8];
	char room[4096];
	size_t used;
};

/* A text of the message; one in ten is not known, one in twenty empty. */
__attribute__((format(printf, 2, 3))) static struct span some(struct message *message,
							      const char *format, ...)
{
	char *start = message->room + message->used;
	va_list args;
	int len;

	if (one_in(10))
		return (struct span){NULL, 0};
	if (one_in(20))
		return span_of("");
	va_start(args, format);
	len = vsnprintf(start, sizeof(message->room) - message->used, format, args);
	va_end(args);
	message->used += (size_t)len + 1;
	assert_true(message->used < sizeof(message->room));
	return (struct span){start, (size_t)len};
}

static enum truth some_truth(void)
{
	return one_in(6) ? NOT_KNOWN : one_in(4) ? NOT_SO : IS_SO;
}

static void random_process(struct message *message, struct facts_process *process)
{
	*process = (struct facts_process){
		.executable = some(message, one_in(2) ? "/opt/a%u" : "/opt/a%u/bin/x", below(20)),
		.user = some(message, "u%u", one_in(2) ? 3 : below(20)),
		.group = some(message, "g%u", below(20)),
		.unit = some(message, "s%u.service", below(20)),
		.container = some(message, "c%u", below(20)),
		.login = some(message, "u%u", below(20)),
		.script = some(message, one_in(4) ? "-m m%u" : "/opt/s%u.py", below(20)),
		.directory = some(message, "/srv/d%u", below(20)),
		.command_line = some(message, one_in(2) ? "x -%u" : "a%u", below(20)),
		.uid = below(20),
		.gid = below(20),
		.loginuid = one_in(3) ? LOGINUID_NONE : below(20),
		.same_user = some_truth(),
		.tty = some_truth(),
		.own_namespaces = some_truth(),
		.scheduler = (enum scheduler)below(5),
		.ancestors = {some(message, "/opt/a%u", below(20)), span_of("/usr/sbin/cron")},
		.ancestor_count = below(3),
		.mta = some_truth() == IS_SO ? NOT_SO : IS_SO,
	};
}

static void random_message(struct message *message, int number)
{
	struct facts *facts = &message->facts;

	message->used = 0;
	*facts = (struct facts){
		.start_s = 1795500000 + number * 600,
		.end_s = 1795500001 + number * 600,
		.clock_ns = 1000000000ULL * 600 * (uint64_t)number,
		.process_count = one_in(12) ? 0 : 1 + one_in(5),
		.processes_complete = one_in(8) ? NOT_KNOWN : IS_SO,
		.whole = one_in(8) ? NOT_KNOWN : IS_SO,
		.tls = some_truth(),
		.relay = {[10] = 0xff,
			  [11] = 0xff,
			  [12] = 10,
			  [14] = one_in(3) ? (uint8_t)below(20) : 0,
			  [15] = (uint8_t)below(20)},
		.relay_port = one_in(3) ? 587 : 25,
		.proxy_target = one_in(10) ? some(message, "10.0.0.%u:25", below(20)) : span_of(""),
		.auth_user = some(message, "u%u", below(20)),
		.sender = one_in(6) ? span_of("<>") : some(message, "r%u@Corp.example", below(20)),
		.recipients = message->addresses,
		.recipient_count = below(4),
		.recipients_known = !one_in(8),
		.header_from = message->addresses + 4,
		.header_from_count = below(3),
		.header_known = !one_in(6),
		.subject = some(message, "Report %u of %u", below(20), below(20)),
		.content = some(message, "all is well %u", below(20)),
		.content_complete = !one_in(6),
		.bytes = below(5000),
		.bytes_known = !one_in(8),
		.no_content = one_in(10),
		.encrypted = one_in(10),
		.session = one_in(15),
		.origin_user = some(message, "u%u", below(20)),
		.has_origin_uid = one_in(2),
		.origin_uid = below(20),
	};
	for (unsigned int i = 0; i < 8; i++)
		message->addresses[i] =
			some(message, one_in(6) ? "x%u@evil.example" : "r%u@corp.example",
			     below(20));
	for (uint32_t i = 0; i < facts->process_count; i++)
		random_process(message, &facts->processes[i]);
	facts->has_submitter = one_in(2);
	if (facts->has_submitter)
		random_process(message, &facts->submitter);
}

/* ---- The index alone ---- */

/* What the index must know: the criteria that are not met, without those that it leaves out. */
static unsigned int missed_of(const struct exclusion *exclusion, const struct facts *facts,
			      struct surroundings *surroundings)
{
	struct criteria asks = {exclusion_asks(exclusion).bits & ~INDEX_LEAVES_OUT};
	unsigned int missed = 0;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		enum state state =
			criteria_have(asks, (enum criterion)i)
				? exclusion_state(exclusion, (enum criterion)i, facts, surroundings)
				: STATE_NOT_ASKED;

		missed += state == STATE_FAILED || state == STATE_UNKNOWN;
	}
	return missed;
}

static void test_missed(void **state)
{
	static struct message message;
	struct surroundings surroundings = {.steps = 1};

	(void)state;
	for (int i = 0; i < POLICIES; i++) {
		struct config *config;
		struct exclusion_index *index;

		seed = (uint64_t)i + 1000;
		config = random_policy();
		index = exclusion_index_new(config->policy.exclusions,
					    config->policy.exclusion_count);
		assert_non_null(index);
		for (int j = 0; j < MESSAGES; j++) {
			const uint8_t *missed;

			random_message(&message, j);
			missed = exclusion_index_missed(index, &message.facts, &surroundings);
			for (size_t k = 0; k < config->policy.exclusion_count; k++) {
				assert_int_equal(missed[k],
						 missed_of(&config->policy.exclusions[k],
							   &message.facts, &surroundings));
			}
		}
		exclusion_index_free(index);
		config_free(config);
	}
}

/* ---- Both ways ------------------------------------------------------------------------------- */

struct tally {
	unsigned int excluded, alerts, many_failed;
};

static void compare(struct decider *indexed, struct decider *plain, struct message *message,
		    bool final, struct tally *tally)
{
	struct decision a, b;

	decide(indexed, &message->facts, NULL, final, &a);
	decide(plain, &message->facts, NULL, final, &b);
	assert_string_equal(a.excluded ? a.excluded->name : "", b.excluded ? b.excluded->name : "");
	assert_string_equal(a.nearest ? a.nearest->name : "", b.nearest ? b.nearest->name : "");
	assert_int_equal(a.failed.bits, b.failed.bits);
	assert_int_equal(a.unknown.bits, b.unknown.bits);
	tally->excluded += a.excluded != NULL;
	tally->alerts += a.excluded == NULL;
	tally->many_failed += criteria_count(a.failed) > 2;
}

static void test_same_decisions(void **state)
{
	static struct message message;
	struct tally tally = {0};

	(void)state;
	for (int i = 0; i < POLICIES; i++) {
		struct decider *indexed, *plain;

		seed = (uint64_t)i + 1;
		indexed = config_decider(random_policy());
		seed = (uint64_t)i + 1;
		plain = config_decider(random_policy());
		decider_try_all(plain);
		for (int j = 0; j < MESSAGES; j++) {
			random_message(&message, j);
			compare(indexed, plain, &message, !one_in(10), &tally);
		}
		decider_free(indexed);
		decider_free(plain);
	}
	/* Each kind of decision occurs often. */
	print_message("%u excluded, %u alerts, %u with more than two criteria\n", tally.excluded,
		      tally.alerts, tally.many_failed);
	assert_true(tally.excluded > 200 && tally.alerts > 1000 && tally.many_failed > 100);
}

/* A policy without exclusions, and an index of none. */
static void test_none(void **state)
{
	char error[CONFIG_ERROR_MAX];
	static struct message message;
	struct decider *decider =
		config_decider(config_parse(span_of("exclusions: []\n"), "none", error));
	struct decision decision;

	(void)state;
	seed = 1;
	random_message(&message, 1);
	decide(decider, &message.facts, NULL, true, &decision);
	assert_null(decision.excluded);
	assert_null(decision.nearest);
	decider_free(decider);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_missed),
		cmocka_unit_test(test_same_decisions),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
