/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a process that an exclusion asks about: script, directory and command line, from
 * an event and from its JSON line alike.
 */
#include "unit.h"

#include <stdlib.h>

#include <jansson.h>

#include "event/event.h"
#include "policy/facts.h"
#include "policy/facts_json.h"

struct process {
	const char *script, *directory;
	uint32_t flags;
	uint32_t uid;
	bool swapped;
};

struct expected {
	const char *script, *directory, *command_line; /* NULL: unknown */
};

static void expect_text(struct span found, const char *expected)
{
	if (!expected) {
		assert_null(found.data);
		return;
	}
	assert_non_null(found.data);
	assert_int_equal(found.len, strlen(expected));
	assert_memory_equal(found.data, expected, found.len);
}

static void expect_facts(const struct facts *facts, const struct expected *expected)
{
	expect_text(facts->processes[0].script, expected->script);
	expect_text(facts->processes[0].directory, expected->directory);
	expect_text(facts->processes[0].command_line, expected->command_line);
}

/* Two senders, the second one a mailer whose facts never change. */
static void check_event(const struct process *process, const struct expected *expected)
{
	static char args[] = "python3\0daily.py";
	struct image image = {.refs = 1,
			      .flags = process->flags,
			      .executable = (char *)"/usr/bin/python3",
			      .script = (char *)process->script,
			      .directory = (char *)process->directory,
			      .args = args,
			      .args_len = sizeof(args)};
	struct image mailer = {.refs = 1,
			       .executable = (char *)"/usr/bin/msmtp",
			       .script = (char *)"",
			       .directory = (char *)"/",
			       .args = (char *)"msmtp",
			       .args_len = 6};
	struct sender senders[2] = {
		{.image = &image,
		 .task = {.uid = process->uid, .euid = process->uid},
		 .exe_swapped = process->swapped},
		{.image = &mailer},
	};
	struct event *event = calloc(1, sizeof(*event));
	struct facts facts;

	assert_non_null(event);
	event->action = EVENT_ENCRYPTED;
	event->senders[0] = &senders[0];
	event->senders[1] = &senders[1];
	event->sender_count = 2;
	assert_true(facts_of_event(&facts, event));
	expect_facts(&facts, expected);
	expect_text(facts.processes[1].script, "");
	expect_text(facts.processes[1].directory, "/");
	expect_text(facts.processes[1].command_line, "msmtp");
	facts_free(&facts);
	free(event);
}

static void check_json(const struct process *process, const struct expected *expected)
{
	const bool known = !(process->flags & EXEC_SNAPSHOT) || !process->uid;
	json_t *event = json_pack("{s:{s:s},s:{s:s,s:s,s:s},s:{s:{s:s*,s:b,s:b,s:b}}}", "event",
				  "action", "smtp-encrypted", "process", "executable",
				  "/usr/bin/python3", "working_directory", process->directory,
				  "command_line", "python3 daily.py", "smtpsnoop", "process",
				  "script", process->script[0] ? process->script : NULL,
				  "exe_verified", known, "exe_swapped", process->swapped,
				  "args_truncated", (process->flags & EXEC_ARGS_TRUNCATED) != 0);
	struct facts facts;

	assert_non_null(event);
	assert_true(facts_of_json(&facts, event));
	expect_facts(&facts, expected);
	facts_free(&facts);
	json_decref(event);
}

static const struct {
	struct process process;
	struct expected expected;
} rows[] = {
	{{"/opt/daily.py", "/srv", 0, 1000, false}, {"/opt/daily.py", "/srv", "python3 daily.py"}},
	{{"", "/srv", 0, 1000, false}, {"", "/srv", "python3 daily.py"}},
	{{"-m mail.daily", "/srv", 0, 1000, false}, {"-m mail.daily", "/srv", "python3 daily.py"}},
	{{"/opt/daily..py", "/a..b/..c", 0, 1000, false},
	 {"/opt/daily..py", "/a..b/..c", "python3 daily.py"}},

	/* A path that leads elsewhere than it seems to, or of which a part is missing. */
	{{"/opt/../tmp/daily.py", "/srv", 0, 1000, false}, {NULL, "/srv", "python3 daily.py"}},
	{{"/opt/..", "/srv", 0, 1000, false}, {NULL, "/srv", "python3 daily.py"}},
	{{".../daily.py", ".../srv", 0, 1000, false}, {NULL, NULL, "python3 daily.py"}},
	{{"...", "/srv", EXEC_ARGS_TRUNCATED, 1000, false}, {NULL, "/srv", NULL}},

	/* Processes that are older than the watch could have changed all of it, except root's. */
	{{"/opt/daily.py", "/srv", EXEC_SNAPSHOT, 1000, false}, {NULL, NULL, NULL}},
	{{"/opt/daily.py", "/srv", EXEC_SNAPSHOT, 0, false},
	 {"/opt/daily.py", "/srv", "python3 daily.py"}},
	{{"/opt/daily.py", "/srv", 0, 1000, true}, {"", "/srv", "python3 daily.py"}},
};

static void test_exec(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		check_event(&rows[i].process, &rows[i].expected);
		check_json(&rows[i].process, &rows[i].expected);
	}
}

/* The arguments could not be read: that is no empty command line. */
static void test_unread(void **state)
{
	const struct process process = {"", "/srv", EXEC_ARGS_UNREAD, 1000, false};
	const struct expected expected = {NULL, "/srv", NULL};

	(void)state;
	check_event(&process, &expected);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_unread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
