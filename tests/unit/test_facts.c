/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What is known of a process that an exclusion asks about: script, directory and command line, and
 * of the one that handed a mail to an MTA; from an event and from its JSON line alike.
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

/* ---- Who handed it to an MTA ------------------------------------------------------------------
 */

static void expect_submitter(const struct facts *facts, const char *container)
{
	const struct facts_process *submitter = &facts->submitter;

	expect_text(submitter->executable, "/usr/bin/python3");
	expect_text(submitter->script, "/opt/daily.py");
	expect_text(submitter->unit, "cron.service");
	expect_text(submitter->container, container);
	assert_int_equal(submitter->same_user, IS_SO);
	assert_int_equal(submitter->own_namespaces, IS_SO);
	assert_int_equal(submitter->scheduler, SCHEDULER_CRON);
}

static void expect_no_submitter(const struct facts *facts)
{
	const struct facts_process *submitter = &facts->submitter;

	assert_null(submitter->executable.data);
	assert_null(submitter->script.data);
	assert_null(submitter->unit.data);
	assert_null(submitter->container.data);
	assert_int_equal(submitter->same_user, NOT_KNOWN);
	assert_int_equal(submitter->own_namespaces, NOT_KNOWN);
	assert_int_equal(submitter->scheduler, SCHEDULER_NOT_KNOWN);
	assert_false(facts->has_submitter);
}

/* What the MTA's words say counts without a process; several candidates are none. */
static void test_submitter(void **state)
{
	struct image image = {.refs = 1,
			      .executable = (char *)"/usr/bin/python3",
			      .script = (char *)"/opt/daily.py",
			      .directory = (char *)"/srv",
			      .args = (char *)"python3",
			      .args_len = 8};
	struct sender submitter = {.image = &image,
				   .task = {.uid = 1001, .euid = 1001},
				   .cgroup = (char *)"/system.slice/cron.service",
				   .unit = (char *)"cron.service",
				   .own_namespaces = IS_SO,
				   .scheduler = SCHEDULER_CRON};
	struct origin origin = {.mta = "postfix", .has_uid = true, .uid = 1001, .user = "reports"};
	struct event *event = calloc(1, sizeof(*event));
	struct facts facts;

	(void)state;
	assert_non_null(event);
	event->action = EVENT_ENCRYPTED;
	assert_true(facts_of_event(&facts, event));
	expect_no_submitter(&facts);
	event->origin = &origin;
	origin.candidates[0] = origin.candidates[1] = &submitter;
	origin.candidate_count = 2;
	assert_true(facts_of_event(&facts, event));
	expect_no_submitter(&facts);
	expect_text(facts.origin_user, "reports");
	assert_true(facts.has_origin_uid && facts.origin_uid == 1001);
	origin.submitter = &submitter;
	assert_true(facts_of_event(&facts, event));
	expect_submitter(&facts, "");
	submitter.task.euid = UINT32_MAX; /* not known */
	assert_true(facts_of_event(&facts, event));
	assert_int_equal(facts.submitter.same_user, NOT_KNOWN);
	image.flags = EXEC_SNAPSHOT;
	assert_true(facts_of_event(&facts, event));
	expect_text(facts.submitter.executable, NULL);
	expect_text(facts.submitter.script, NULL);
	origin.how = ORIGIN_TIME;
	assert_true(facts_of_event(&facts, event));
	assert_true(facts.has_submitter);
	origin.has_uid = false; /* nobody says whose it is: any process may have handed it in */
	origin.user[0] = '\0';
	assert_true(facts_of_event(&facts, event));
	expect_no_submitter(&facts);
	origin.how = ORIGIN_CONNECTION;
	assert_true(facts_of_event(&facts, event));
	assert_true(facts.has_submitter);
	free(event);
}

static struct facts facts_from(const json_t *event)
{
	struct facts facts;

	assert_true(facts_of_json(&facts, event));
	facts_free(&facts);
	return facts;
}

static void test_submitter_in_json(void **state)
{
	json_t *event = json_loads(
		"{\"event\":{\"action\":\"smtp-encrypted\"},\"smtpsnoop\":{\"origin\":{\"user\":"
		"\"reports\",\"how\":\"time\",\"process\":{\"executable\":\"/usr/bin/python3\","
		"\"script\":\"/opt/daily.py\",\"args\":[\"python3\"],\"exe_verified\":true,"
		"\"real_user\":true,\"own_namespaces\":true,\"scheduled_by\":\"cron\"},"
		"\"systemd\":{\"unit\":\"cron.service\"},\"container\":{\"id\":\"c1\"}}}}",
		0, NULL);
	json_t *origin, *process;
	struct facts facts;

	(void)state;
	assert_non_null(event);
	origin = json_object_get(json_object_get(event, "smtpsnoop"), "origin");
	process = json_object_get(origin, "process");
	facts = facts_from(event);
	expect_submitter(&facts, "c1");
	json_object_set_new(process, "real_user", json_false());
	assert_int_equal(facts_from(event).submitter.same_user, NOT_KNOWN);
	json_object_set_new(process, "exe_verified", json_false());
	expect_text(facts_from(event).submitter.executable, NULL);
	expect_text(facts_from(event).submitter.script, NULL);
	json_object_del(origin, "systemd");
	expect_text(facts_from(event).submitter.unit, NULL);
	json_object_del(origin, "user"); /* by time, and nobody says whose it is */
	facts = facts_from(event);
	expect_no_submitter(&facts);
	json_object_set_new(origin, "how", json_string("connection"));
	assert_true(facts_from(event).has_submitter);
	json_object_set_new(origin, "user", json_string("reports"));
	json_object_del(origin, "process");
	facts = facts_from(event);
	expect_no_submitter(&facts);
	expect_text(facts.origin_user, "reports");
	json_decref(event);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exec),
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_submitter),
		cmocka_unit_test(test_submitter_in_json),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
