/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Over 600 lines: the cases of two tables, one for each criterion and one for pairs of exclusions.
 *
 * Each criterion met, failed and unknown; which exclusion applies, and which one is nearest;
 * limits, also across a reload; which exclusion covers another. The facts are made up here. The
 * live tests check that those of real processes and mails are the same.
 */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "policy/decision.h"
#include "policy/relay_names.h"

#define HOUR_NS 3600000000000ULL

static struct config *configure(const char *text)
{
	char path[] = "/tmp/smtpsnoop-exclusion-XXXXXX.yaml", error[CONFIG_ERROR_MAX];
	int fd = mkstemps(path, 5);
	struct config *config;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	config = config_load(path, NULL, error);
	unlink(path);
	if (!config)
		print_message("%s\n", error);
	assert_non_null(config);
	return config;
}

/* A configuration with one exclusion, which has these keys. */
static struct config *asking(const char *more)
{
	char text[2048];

	snprintf(text, sizeof(text), "exclusions:\n- name: one\n  accept_forgeable: true\n  %s\n",
		 more);
	return configure(text);
}

static struct span recipients[3], from[1];

/* A message that meets every criterion of the tests: 2026-11-24 08:05 in Berlin. */
static struct facts message(void)
{
	static const char content[] = "Subject: Report of today\nAll is Well, see "
				      "https://corp.example/?t=0123456789abcdef\n";

	recipients[0] = span_of("a@corp.example");
	recipients[1] = span_of("B@CORP.example");
	from[0] = span_of("reports@corp.example");
	return (struct facts){
		.start_s = 1795503900,
		.end_s = 1795503905,
		.clock_ns = 100 * HOUR_NS,
		.processes[0] = {.executable = span_of("/usr/bin/msmtp"),
				 .sha256 = span_of("01234567890123456789012345678901234567890123456"
						   "78901234567890123"),
				 .user = span_of("reports"),
				 .group = span_of("mailers"),
				 .unit = span_of("report.service"),
				 .container = span_of(""),
				 .login = span_of("reports"),
				 .script = span_of("/opt/reports/daily.py"),
				 .directory = span_of("/srv/reports"),
				 .command_line = span_of("python3 daily.py --to Ops"),
				 .uid = 2001,
				 .gid = 2002,
				 .loginuid = 2001,
				 .same_user = IS_SO,
				 .tty = NOT_SO,
				 .own_namespaces = IS_SO,
				 .scheduler = SCHEDULER_CRON,
				 .mta = NOT_SO,
				 .ancestors = {span_of("/bin/sh"), span_of("/usr/sbin/cron")},
				 .ancestor_count = 2},
		.process_count = 1,
		.processes_complete = IS_SO,
		.whole = IS_SO,
		.tls = NOT_SO,
		.relay = {[10] = 0xff, [11] = 0xff, [12] = 10, [15] = 25},
		.relay_port = 587,
		.auth_user = span_of("smtp-user"),
		.sender = span_of("reports@corp.example"),
		.recipients = recipients,
		.recipient_count = 2,
		.recipients_known = true,
		.header_from = from,
		.header_from_count = 1,
		.header_known = true,
		.subject = span_of("Report of today"),
		.content = {content, sizeof(content) - 1},
		.content_complete = true,
		.bytes = 1000,
		.bytes_known = true,
	};
}

enum change {
	NO_CHANGE,
	NO_EXECUTABLE,
	OTHER_EXECUTABLE,
	NO_USER_NAME,
	OTHER_USER,
	NOT_REAL,
	NO_UNIT_KNOWN,
	NO_UNIT,
	IN_CONTAINER,
	OTHER_NAMESPACES,
	NAMESPACES_UNKNOWN,
	NO_LOGIN,
	WITH_TTY,
	SCHEDULER_UNKNOWN,
	BY_HAND,
	BY_TIMER,
	ANCESTOR_UNKNOWN,
	NO_ANCESTORS,
	NO_SCRIPT,
	MODULE,
	EXEC_UNKNOWN,
	SECOND_PROCESS,
	MAYBE_MORE_PROCESSES,
	NO_PROCESS,
	OTHER_PORT,
	OTHER_ADDRESS,
	GOOD_PROXY_TARGET,
	BAD_PROXY_TARGET,
	AUTH_UNKNOWN,
	NULL_SENDER,
	ONE_RECIPIENT_MORE,
	RECIPIENTS_UNKNOWN,
	HEADER_UNKNOWN,
	NO_FROM,
	NO_CONTENT,
	CONTENT_CUT,
	FOUND_IN_CUT,
	BY_MTA,
	MAYBE_MTA,
	BY_MTA_OF_REPORTS,
	BY_MTA_OF_OTHER,
	BY_MTA_IN_CONTAINER,
	HANDED_IN,
	HANDED_IN_BY_OTHER_PROGRAM,
	HANDED_IN_SETUID,
	HANDED_IN_IN_CONTAINER,
	HANDED_IN_OLDER_THAN_WATCH,
	HANDED_IN_COMMANDS,
	NEXT_HOUR,
	ENDS_LATE,
	ENCRYPTED,
	NOT_WHOLE,
	MAYBE_WHOLE,
	BYTES_UNKNOWN,
	COMMANDS,
	COMMANDS_OF_MTA,
};

/* A script of reports hands the mail to an MTA. */
static void hand_in(struct facts *facts)
{
	facts->submitter = facts->processes[0];
	facts->has_submitter = true;
	facts->origin_user = span_of("reports");
	facts->processes[0] = (struct facts_process){.executable = span_of("/usr/sbin/exim4"),
						     .user = span_of("Debian-exim"),
						     .same_user = IS_SO,
						     .own_namespaces = IS_SO,
						     .mta = IS_SO};
}

static void change_origin(struct facts *facts, enum change what)
{
	const struct span unknown = {NULL, 0};
	struct facts_process *submitter = &facts->submitter;

	hand_in(facts);
	switch (what) {
	case HANDED_IN_BY_OTHER_PROGRAM:
		submitter->executable = span_of("/tmp/x"), submitter->script = span_of("");
		submitter->unit = span_of("session-1.scope");
		submitter->scheduler = SCHEDULER_NONE;
		break;
	case HANDED_IN_SETUID: submitter->same_user = NOT_SO; break;
	case HANDED_IN_IN_CONTAINER:
		submitter->container = span_of("0123abcd"), submitter->own_namespaces = NOT_SO;
		break;
	case HANDED_IN_OLDER_THAN_WATCH: submitter->executable = submitter->script = unknown; break;
	case HANDED_IN_COMMANDS: facts->session = true; break;
	default: break;
	}
}

static void change(struct facts *facts, enum change what)
{
	const struct span unknown = {NULL, 0};
	struct facts_process *process = &facts->processes[0];

	switch (what) {
	case NO_CHANGE: break;
	case NO_EXECUTABLE: process->executable = unknown; break;
	case OTHER_EXECUTABLE: process->executable = span_of("/tmp/usr/bin/msmtp"); break;
	case NO_USER_NAME: process->user = unknown; break;
	case OTHER_USER: process->user = span_of("mallory"), process->uid = 2003; break;
	case NOT_REAL: process->same_user = NOT_SO; break;
	case NO_UNIT_KNOWN: process->unit = unknown; break;
	case NO_UNIT: process->unit = span_of(""); break;
	case IN_CONTAINER:
		process->container = span_of("0123abcd"), process->own_namespaces = NOT_SO;
		break;
	case OTHER_NAMESPACES: process->own_namespaces = NOT_SO; break;
	case NAMESPACES_UNKNOWN: process->own_namespaces = NOT_KNOWN; break;
	case NO_LOGIN: process->loginuid = LOGINUID_NONE, process->login = unknown; break;
	case WITH_TTY: process->tty = IS_SO; break;
	case SCHEDULER_UNKNOWN: process->scheduler = SCHEDULER_NOT_KNOWN; break;
	case BY_HAND: process->scheduler = SCHEDULER_NONE; break;
	case BY_TIMER: process->scheduler = SCHEDULER_SYSTEMD_TIMER; break;
	case ANCESTOR_UNKNOWN: process->ancestors[1] = unknown; break;
	case NO_ANCESTORS: process->ancestor_count = 0; break;
	case NO_SCRIPT: process->script = span_of(""); break;
	case MODULE: process->script = span_of("-m reports.daily"); break;
	case EXEC_UNKNOWN:
		process->script = process->directory = process->command_line = unknown;
		break;
	case SECOND_PROCESS:
		facts->processes[1] = *process;
		facts->processes[1].user = span_of("mallory");
		facts->processes[1].uid = 2003;
		facts->process_count = 2;
		break;
	case MAYBE_MORE_PROCESSES: facts->processes_complete = NOT_KNOWN; break;
	case NO_PROCESS: facts->process_count = 0; break;
	case OTHER_PORT: facts->relay_port = 25; break;
	case OTHER_ADDRESS: facts->relay[15] = 26; break;
	case GOOD_PROXY_TARGET: facts->proxy_target = span_of("10.0.0.25:587"); break;
	case BAD_PROXY_TARGET: facts->proxy_target = span_of("10.0.0.26:587"); break;
	case AUTH_UNKNOWN: facts->auth_user = unknown; break;
	case NULL_SENDER: facts->sender = span_of("<>"); break;
	case ONE_RECIPIENT_MORE:
		recipients[2] = span_of("x@evil.example"), facts->recipient_count = 3;
		break;
	case RECIPIENTS_UNKNOWN: facts->recipients_known = false; break;
	case HEADER_UNKNOWN: facts->header_known = false; break;
	case NO_FROM: facts->header_from_count = 0; break;
	case NO_CONTENT: facts->content = unknown; break;
	case CONTENT_CUT:
		facts->content = span_of("Subject: x\n"), facts->content_complete = false;
		break;
	case FOUND_IN_CUT: facts->content_complete = false; break;
	case BY_MTA: process->mta = IS_SO; break;
	case MAYBE_MTA: process->mta = NOT_KNOWN; break;
	case BY_MTA_OF_REPORTS:
		process->mta = IS_SO, facts->origin_user = span_of("reports");
		break;
	case BY_MTA_OF_OTHER: process->mta = IS_SO, facts->origin_user = span_of("mallory"); break;
	case BY_MTA_IN_CONTAINER:
		process->mta = IS_SO, facts->origin_user = span_of("reports");
		process->own_namespaces = NOT_SO;
		break;
	case NEXT_HOUR: facts->start_s += 3600, facts->end_s += 3600; break;
	case ENDS_LATE: facts->end_s += 3600; break;
	case ENCRYPTED: facts->encrypted = true, facts->tls = IS_SO; break;
	case NOT_WHOLE: facts->whole = NOT_SO; break;
	case MAYBE_WHOLE: facts->whole = NOT_KNOWN; break;
	case BYTES_UNKNOWN: facts->bytes_known = false; break;
	case COMMANDS: facts->session = true; break;
	case COMMANDS_OF_MTA: facts->session = true, process->mta = IS_SO; break;
	default: change_origin(facts, what); break;
	}
}

#define REPORTS "process: { user: reports }"

static const struct {
	const char *asks;
	enum change change;
	enum criterion criterion;
	enum state state;
} cases[] = {
	{"process: { executable: /usr/bin/* }", NO_CHANGE, CRITERION_EXECUTABLE, STATE_MET},
	{"process: { executable: /usr/bin/* }", OTHER_EXECUTABLE, CRITERION_EXECUTABLE,
	 STATE_FAILED},
	{"process: { executable: /usr/bin/* }", NO_EXECUTABLE, CRITERION_EXECUTABLE, STATE_UNKNOWN},
	{"process: { sha256: '0123456789012345678901234567890123456789012345678901234567890123' }",
	 NO_CHANGE, CRITERION_SHA256, STATE_MET},
	{"process: { sha256: '1123456789012345678901234567890123456789012345678901234567890123' }",
	 NO_CHANGE, CRITERION_SHA256, STATE_FAILED},
	{REPORTS, NO_CHANGE, CRITERION_USER, STATE_MET},
	{REPORTS, OTHER_USER, CRITERION_USER, STATE_FAILED},
	{REPORTS, NO_USER_NAME, CRITERION_USER, STATE_UNKNOWN},
	{REPORTS, SECOND_PROCESS, CRITERION_USER, STATE_FAILED},
	{REPORTS, MAYBE_MORE_PROCESSES, CRITERION_USER, STATE_UNKNOWN},
	{REPORTS, NO_PROCESS, CRITERION_USER, STATE_UNKNOWN},
	{"process: { user: [x, '2001'] }", NO_USER_NAME, CRITERION_USER, STATE_MET},
	{"process: { user: '2001' }", OTHER_USER, CRITERION_USER, STATE_FAILED},
	{"process: { user: '2001' }", NO_USER_NAME, CRITERION_USER, STATE_MET},
	{REPORTS, NOT_REAL, CRITERION_REAL_USER, STATE_FAILED},
	{REPORTS, OTHER_NAMESPACES, CRITERION_CONTAINER, STATE_FAILED},
	{REPORTS, NAMESPACES_UNKNOWN, CRITERION_CONTAINER, STATE_UNKNOWN},
	{"process: { container: 0123* }", IN_CONTAINER, CRITERION_CONTAINER, STATE_MET},
	{"process: { container: 0123* }", NO_CHANGE, CRITERION_CONTAINER, STATE_FAILED},
	{"process: { group: mailers }", NO_CHANGE, CRITERION_GROUP, STATE_MET},
	{"process: { group: '2003' }", NO_CHANGE, CRITERION_GROUP, STATE_FAILED},
	{"process: { unit: report.service }", NO_CHANGE, CRITERION_UNIT, STATE_MET},
	{"process: { unit: report.service }", NO_UNIT, CRITERION_UNIT, STATE_FAILED},
	{"process: { unit: report.service }", NO_UNIT_KNOWN, CRITERION_UNIT, STATE_UNKNOWN},
	{"process: { login: none }", NO_CHANGE, CRITERION_LOGIN, STATE_FAILED},
	{"process: { login: none }", NO_LOGIN, CRITERION_LOGIN, STATE_MET},
	{"process: { login: reports }", NO_CHANGE, CRITERION_LOGIN, STATE_MET},
	{"process: { user: reports, tty: none }", NO_CHANGE, CRITERION_TTY, STATE_MET},
	{"process: { user: reports, tty: none }", WITH_TTY, CRITERION_TTY, STATE_FAILED},
	{"process: { user: reports, tty: required }", NO_CHANGE, CRITERION_TTY, STATE_FAILED},
	{"process: { scheduled_by: cron }", NO_CHANGE, CRITERION_SCHEDULED_BY, STATE_MET},
	{"process: { scheduled_by: cron }", BY_TIMER, CRITERION_SCHEDULED_BY, STATE_FAILED},
	{"process: { scheduled_by: any }", BY_TIMER, CRITERION_SCHEDULED_BY, STATE_MET},
	{"process: { scheduled_by: any }", BY_HAND, CRITERION_SCHEDULED_BY, STATE_FAILED},
	{"process: { scheduled_by: any }", SCHEDULER_UNKNOWN, CRITERION_SCHEDULED_BY,
	 STATE_UNKNOWN},
	{"process: { ancestor: /usr/sbin/cron }", NO_CHANGE, CRITERION_ANCESTOR, STATE_MET},
	{"process: { ancestor: /usr/sbin/nagios4 }", NO_CHANGE, CRITERION_ANCESTOR, STATE_FAILED},
	{"process: { ancestor: /usr/sbin/cron }", ANCESTOR_UNKNOWN, CRITERION_ANCESTOR,
	 STATE_UNKNOWN},
	{"process: { ancestor: /usr/sbin/cron }", NO_ANCESTORS, CRITERION_ANCESTOR, STATE_UNKNOWN},
	{"process: { script: /opt/reports/daily.py }", NO_CHANGE, CRITERION_SCRIPT, STATE_MET},
	{"process: { script: [/x, '/opt/**'] }", NO_CHANGE, CRITERION_SCRIPT, STATE_MET},
	{"process: { script: '/opt/*' }", NO_CHANGE, CRITERION_SCRIPT, STATE_FAILED},
	{"process: { script: '/opt/**' }", NO_SCRIPT, CRITERION_SCRIPT, STATE_FAILED},
	{"process: { script: '/opt/**' }", EXEC_UNKNOWN, CRITERION_SCRIPT, STATE_UNKNOWN},
	{"process: { script: -m reports.* }", MODULE, CRITERION_SCRIPT, STATE_MET},
	{"process: { script: -m reports }", MODULE, CRITERION_SCRIPT, STATE_FAILED},
	{"process: { script: 'https://x.example/*.ts' }", NO_CHANGE, CRITERION_SCRIPT,
	 STATE_FAILED},
	{"process: { working_directory: /srv/reports }", NO_CHANGE, CRITERION_WORKING_DIRECTORY,
	 STATE_MET},
	{"process: { working_directory: '/srv/reports/**' }", NO_CHANGE,
	 CRITERION_WORKING_DIRECTORY, STATE_FAILED},
	{"process: { working_directory: /srv/reports }", EXEC_UNKNOWN, CRITERION_WORKING_DIRECTORY,
	 STATE_UNKNOWN},
	{"process: { arguments: '* --to Ops' }", NO_CHANGE, CRITERION_ARGUMENTS, STATE_MET},
	{"process: { arguments: '* --to ops' }", NO_CHANGE, CRITERION_ARGUMENTS, STATE_FAILED},
	{"process: { arguments: --to }", NO_CHANGE, CRITERION_ARGUMENTS, STATE_FAILED},
	{"process: { arguments: '*' }", EXEC_UNKNOWN, CRITERION_ARGUMENTS, STATE_UNKNOWN},
	{"relay: '10.0.0.25:587'", NO_CHANGE, CRITERION_RELAY, STATE_MET},
	{"relay: '10.0.0.25:587'", OTHER_PORT, CRITERION_RELAY, STATE_FAILED},
	{"relay: '10.0.0.25:587'", OTHER_ADDRESS, CRITERION_RELAY, STATE_FAILED},
	{"relay: 10.0.0.24/31", NO_CHANGE, CRITERION_RELAY, STATE_MET},
	{"relay: 10.0.0.24/31", OTHER_ADDRESS, CRITERION_RELAY, STATE_FAILED},
	{"relay: 0.0.0.0/0", OTHER_ADDRESS, CRITERION_RELAY, STATE_MET},
	{"relay: '::/0'", NO_CHANGE, CRITERION_RELAY, STATE_MET},
	{"relay: [mail.example, 10.0.0.25]", NO_CHANGE, CRITERION_RELAY, STATE_MET},
	{"relay: mail.example", NO_CHANGE, CRITERION_RELAY, STATE_UNKNOWN},
	{"relay: '10.0.0.25:587'", GOOD_PROXY_TARGET, CRITERION_RELAY, STATE_MET},
	{"relay: '10.0.0.25:587'", BAD_PROXY_TARGET, CRITERION_RELAY, STATE_FAILED},
	{"relay: 10.0.0.0/8\n  tls: none", NO_CHANGE, CRITERION_TLS, STATE_MET},
	{"relay: 10.0.0.0/8\n  tls: required", NO_CHANGE, CRITERION_TLS, STATE_FAILED},
	{"relay: 10.0.0.0/8\n  tls: required", ENCRYPTED, CRITERION_TLS, STATE_MET},
	{"auth_user: smtp-*", NO_CHANGE, CRITERION_AUTH_USER, STATE_MET},
	{"auth_user: other", NO_CHANGE, CRITERION_AUTH_USER, STATE_FAILED},
	{"auth_user: other", AUTH_UNKNOWN, CRITERION_AUTH_USER, STATE_UNKNOWN},
	{"mail: { sender: REPORTS@corp.example }", NO_CHANGE, CRITERION_SENDER, STATE_MET},
	{"mail: { sender: reports@corp.example }", NULL_SENDER, CRITERION_SENDER, STATE_FAILED},
	{"mail: { sender: <> }", NULL_SENDER, CRITERION_SENDER, STATE_MET},
	{"mail: { sender: reports@corp.example }", ENCRYPTED, CRITERION_SENDER, STATE_NOT_ASKED},
	{"mail: { recipients: '*@corp.example' }", NO_CHANGE, CRITERION_RECIPIENTS, STATE_MET},
	{"mail: { recipients: '*@corp.example' }", ONE_RECIPIENT_MORE, CRITERION_RECIPIENTS,
	 STATE_FAILED},
	{"mail: { recipients: '*@corp.example' }", RECIPIENTS_UNKNOWN, CRITERION_RECIPIENTS,
	 STATE_UNKNOWN},
	{"mail: { header_from: reports@corp.example }", NO_CHANGE, CRITERION_HEADER_FROM,
	 STATE_MET},
	{"mail: { header_from: reports@corp.example }", NO_FROM, CRITERION_HEADER_FROM,
	 STATE_FAILED},
	{"mail: { header_from: reports@corp.example }", HEADER_UNKNOWN, CRITERION_HEADER_FROM,
	 STATE_UNKNOWN},
	{"mail: { subject: 'report of *' }", NO_CHANGE, CRITERION_SUBJECT, STATE_MET},
	{"mail: { subject: 'of *' }", NO_CHANGE, CRITERION_SUBJECT, STATE_FAILED},
	{"mail: { subject: 'report of *' }", HEADER_UNKNOWN, CRITERION_SUBJECT, STATE_UNKNOWN},
	{"mail: { contains: ['no', 'all is well'] }", NO_CHANGE, CRITERION_CONTAINS, STATE_MET},
	{"mail: { contains: 'all.is well' }", NO_CHANGE, CRITERION_CONTAINS, STATE_FAILED},
	{"mail: { contains: 'all is well' }", NO_CONTENT, CRITERION_CONTAINS, STATE_UNKNOWN},
	{"mail: { contains: 'all is well' }", CONTENT_CUT, CRITERION_CONTAINS, STATE_UNKNOWN},
	{"mail: { contains: 'all is well' }", FOUND_IN_CUT, CRITERION_CONTAINS, STATE_MET},
	{"mail: { matches: 'corp\\.example/\\?t=[0-9a-f]{16}' }", NO_CHANGE, CRITERION_MATCHES,
	 STATE_MET},
	{"mail: { matches: 'corp\\.example/\\?t=[0-9a-f]{17}' }", NO_CHANGE, CRITERION_MATCHES,
	 STATE_FAILED},
	{REPORTS, BY_MTA, CRITERION_ORIGIN, STATE_FAILED},
	{REPORTS, NO_CHANGE, CRITERION_ORIGIN, STATE_NOT_ASKED},
	{REPORTS, MAYBE_MTA, CRITERION_ORIGIN, STATE_UNKNOWN},
	{REPORTS, COMMANDS, CRITERION_USER, STATE_MET},
	{REPORTS, COMMANDS_OF_MTA, CRITERION_ORIGIN, STATE_NOT_ASKED},
	{"origin: { user: reports }", COMMANDS_OF_MTA, CRITERION_ORIGIN_USER, STATE_FAILED},
	{"relay: '10.0.0.25:587'", COMMANDS, CRITERION_RELAY, STATE_MET},
	{"mail: { sender: reports@corp.example }", COMMANDS, CRITERION_SENDER, STATE_FAILED},
	{"mail: { recipients: '*@corp.example' }", COMMANDS, CRITERION_RECIPIENTS, STATE_FAILED},
	{"mail: { contains: 'all is well' }", COMMANDS, CRITERION_CONTAINS, STATE_FAILED},
	{"origin: { user: reports }", BY_MTA, CRITERION_ORIGIN_USER, STATE_UNKNOWN},
	{"origin: { user: reports }", NO_CHANGE, CRITERION_ORIGIN_USER, STATE_UNKNOWN},
	{"origin: { user: reports }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_USER, STATE_MET},
	{"origin: { user: reports }", BY_MTA_OF_OTHER, CRITERION_ORIGIN_USER, STATE_FAILED},
	{"origin: { user: reports }", BY_MTA_OF_REPORTS, CRITERION_CONTAINER, STATE_MET},
	{"origin: { user: reports }", BY_MTA_IN_CONTAINER, CRITERION_CONTAINER, STATE_FAILED},
	/* The process that handed it in: as a process that sends itself. */
	{"origin: { executable: /usr/bin/* }", HANDED_IN, CRITERION_ORIGIN_EXECUTABLE, STATE_MET},
	{"origin: { executable: /usr/bin/* }", HANDED_IN_BY_OTHER_PROGRAM,
	 CRITERION_ORIGIN_EXECUTABLE, STATE_FAILED},
	{"origin: { executable: '/**' }", HANDED_IN_OLDER_THAN_WATCH, CRITERION_ORIGIN_EXECUTABLE,
	 STATE_UNKNOWN},
	{"origin: { executable: '/**' }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_EXECUTABLE,
	 STATE_UNKNOWN},
	{"origin: { executable: '/**' }", HANDED_IN_COMMANDS, CRITERION_ORIGIN_EXECUTABLE,
	 STATE_FAILED},
	{"origin: { script: '/opt/**' }", HANDED_IN, CRITERION_ORIGIN_SCRIPT, STATE_MET},
	{"origin: { script: '/opt/**' }", HANDED_IN_BY_OTHER_PROGRAM, CRITERION_ORIGIN_SCRIPT,
	 STATE_FAILED},
	{"origin: { script: '/opt/**' }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_SCRIPT,
	 STATE_UNKNOWN},
	{"origin: { unit: report.service }", HANDED_IN, CRITERION_ORIGIN_UNIT, STATE_MET},
	{"origin: { unit: report.service }", HANDED_IN_BY_OTHER_PROGRAM, CRITERION_ORIGIN_UNIT,
	 STATE_FAILED},
	{"origin: { unit: '*' }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_UNIT, STATE_UNKNOWN},
	{"origin: { scheduled_by: cron }", HANDED_IN, CRITERION_ORIGIN_SCHEDULED_BY, STATE_MET},
	{"origin: { scheduled_by: any }", HANDED_IN_BY_OTHER_PROGRAM, CRITERION_ORIGIN_SCHEDULED_BY,
	 STATE_FAILED},
	{"origin: { scheduled_by: any }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_SCHEDULED_BY,
	 STATE_UNKNOWN},
	{"origin: { container: 0123* }", HANDED_IN_IN_CONTAINER, CRITERION_ORIGIN_CONTAINER,
	 STATE_MET},
	{"origin: { container: 0123* }", HANDED_IN, CRITERION_ORIGIN_CONTAINER, STATE_FAILED},
	{"origin: { container: '*' }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_CONTAINER,
	 STATE_UNKNOWN},
	{"origin: { unit: x.service }", HANDED_IN, CRITERION_ORIGIN_CONTAINER, STATE_MET},
	{"origin: { unit: x.service }", HANDED_IN_IN_CONTAINER, CRITERION_ORIGIN_CONTAINER,
	 STATE_FAILED},
	{"origin: { unit: x.service }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_CONTAINER,
	 STATE_UNKNOWN},
	{"origin: { unit: x.service }", HANDED_IN, CRITERION_ORIGIN_REAL_USER, STATE_MET},
	{"origin: { unit: x.service }", HANDED_IN_SETUID, CRITERION_ORIGIN_REAL_USER, STATE_FAILED},
	{"origin: { unit: x.service }", BY_MTA_OF_REPORTS, CRITERION_ORIGIN_REAL_USER,
	 STATE_UNKNOWN},
	{"origin: { unit: x.service }", HANDED_IN_COMMANDS, CRITERION_ORIGIN_REAL_USER,
	 STATE_NOT_ASKED},
	{REPORTS "\n  schedule: { at: '0 8 * * *', for: 15m, timezone: Europe/Berlin }", NO_CHANGE,
	 CRITERION_SCHEDULE, STATE_MET},
	/* The message begins at 8:05:00 and ends at 8:05:05. */
	{REPORTS "\n  schedule: { at: '10 8 * * *', for: 15m, timezone: Europe/Berlin }", NO_CHANGE,
	 CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '6 8 * * *', for: 12h, timezone: Europe/Berlin }", NO_CHANGE,
	 CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '10 8 * * *', for: 1m, early: 5m, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_MET},
	{REPORTS "\n  schedule: { at: '10 8 * * *', for: 1h, early: 4m, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '5 8 * * *', for: 1m, early: 0s, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_MET},
	{REPORTS "\n  schedule: { at: '4 8 * * *', for: 1m, early: 1h, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: 'Tue *-*-* 08:00', for: 10m, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_MET},
	{REPORTS "\n  schedule: { at: 'Wed *-*-* 08:00', for: 10m, timezone: Europe/Berlin }",
	 NO_CHANGE, CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '0 8 * * *', for: 15m, timezone: UTC }", NO_CHANGE,
	 CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '0 8 * * *', for: 15m, timezone: Europe/Berlin }", NEXT_HOUR,
	 CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  schedule: { at: '0 8 * * *', for: 15m, timezone: Europe/Berlin }", ENDS_LATE,
	 CRITERION_SCHEDULE, STATE_FAILED},
	{REPORTS "\n  expires: 2026-11-24", NO_CHANGE, CRITERION_EXPIRES, STATE_MET},
	{REPORTS "\n  expires: 2026-11-23", NO_CHANGE, CRITERION_EXPIRES, STATE_FAILED},
	{REPORTS, NO_CHANGE, CRITERION_ENCRYPTED, STATE_NOT_ASKED},
	{REPORTS, ENCRYPTED, CRITERION_ENCRYPTED, STATE_FAILED},
	{REPORTS "\n  encrypted: allow", ENCRYPTED, CRITERION_ENCRYPTED, STATE_MET},
	{REPORTS, NO_CHANGE, CRITERION_CAPTURE, STATE_MET},
	{REPORTS, NOT_WHOLE, CRITERION_CAPTURE, STATE_FAILED},
	{REPORTS, MAYBE_WHOLE, CRITERION_CAPTURE, STATE_UNKNOWN},
	{REPORTS "\n  limits: { messages: 1/1h }", NO_CHANGE, CRITERION_LIMIT_MESSAGES, STATE_MET},
	{REPORTS "\n  limits: { recipients: 1/1h }", NO_CHANGE, CRITERION_LIMIT_RECIPIENTS,
	 STATE_FAILED},
	{REPORTS "\n  limits: { recipients: 2/1h }", RECIPIENTS_UNKNOWN, CRITERION_LIMIT_RECIPIENTS,
	 STATE_UNKNOWN},
	{REPORTS "\n  limits: { bytes: 999/1h }", NO_CHANGE, CRITERION_LIMIT_BYTES, STATE_FAILED},
	{REPORTS "\n  limits: { bytes: 1000/1h }", BYTES_UNKNOWN, CRITERION_LIMIT_BYTES,
	 STATE_UNKNOWN},
};

static void test_criteria(void **state)
{
	size_t wrong = 0;
	struct criteria seen = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct config *config = asking(cases[i].asks);
		const struct exclusion *exclusion = &config->policy.exclusions[0];
		struct surroundings surroundings = {.steps = 100000};
		struct facts facts = message();
		enum state found;

		change(&facts, cases[i].change);
		found = exclusion_state(exclusion, cases[i].criterion, &facts, &surroundings);
		if (found != cases[i].state ||
		    !criteria_have(exclusion_asks(exclusion), cases[i].criterion)) {
			print_message("%s, case %zu: %s: %d, not %d\n", cases[i].asks, i,
				      criterion_name(cases[i].criterion), (int)found,
				      (int)cases[i].state);
			wrong++;
		}
		criteria_add(&seen, cases[i].criterion);
		config_free(config);
	}
	assert_int_equal(wrong, 0);
	assert_int_equal(seen.bits, CRITERION_BIT(CRITERION_COUNT) - 1);
}

/* A pattern that names a symbolic link also means what the link leads to. */
static void test_links(void **state)
{
	char folder[] = "/tmp/smtpsnoop-links-XXXXXX", link[64], file[64], asks[512];
	struct surroundings surroundings = {.steps = 100000};
	struct facts facts = message();
	struct config *config;
	const struct exclusion *exclusion;

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(link, sizeof(link), "%s/link", folder);
	snprintf(file, sizeof(file), "%s/file", folder);
	fclose(fopen(file, "w"));
	assert_int_equal(symlink("file", link), 0);
	snprintf(asks, sizeof(asks),
		 "process: { script: %s, executable: %s, ancestor: [/x, %s], working_directory: "
		 "'%s*' }",
		 link, file, link, link);
	config = asking(asks);
	exclusion = config->policy.exclusions;
	unlink(link);
	facts.processes[0].script = span_of(file);
	facts.processes[0].ancestors[1] = span_of(file);
	assert_int_equal(exclusion_state(exclusion, CRITERION_SCRIPT, &facts, &surroundings),
			 STATE_MET);
	assert_int_equal(exclusion_state(exclusion, CRITERION_ANCESTOR, &facts, &surroundings),
			 STATE_MET);
	facts.processes[0].script = span_of(link);
	assert_int_equal(exclusion_state(exclusion, CRITERION_SCRIPT, &facts, &surroundings),
			 STATE_MET);
	assert_string_equal(exclusion->process.script.items[0].target, file);
	assert_null(exclusion->process.executable.items[0].target);
	assert_null(exclusion->process.ancestor.items[0].target);
	assert_null(exclusion->process.working_directory.items[0].target);
	config_free(config);
	unlink(file);
	rmdir(folder);
}

/* ---- Deciding -------------------------------------------------------------------------------- */

static const char several[] =
	"exclusions:\n"
	"- name: far\n  process: { user: other, unit: x.service, executable: /x }\n  relay: "
	"11.0.0.1\n"
	"- name: near\n  process: { user: reports, executable: /usr/bin/curl }\n  relay: "
	"10.0.0.25\n"
	"  mail: { sender: reports@corp.example, contains: all is well }\n"
	"- name: content\n  process: { user: reports }\n  mail: { contains: [nothing] }\n"
	"- name: right\n  process: { user: reports, executable: /usr/bin/msmtp }\n"
	"  mail: { recipients: '*@corp.example', contains: all is well }\n  limits: { messages: "
	"2/1h }\n"
	"- name: behind\n  process: { user: reports }\n";

static void test_first_met_decides(void **state)
{
	struct decider *decider = config_decider(configure(several));
	struct decision decision;
	struct facts facts = message();

	(void)state;
	decide(decider, &facts, NULL, true, &decision);
	assert_string_equal(decision.excluded->name, "right");
	assert_null(decision.nearest);
	decide(decider, &facts, NULL, false, &decision); /* not before its end */
	assert_null(decision.excluded);
	decide(decider, &facts, NULL, true, &decision);
	decide(decider, &facts, NULL, true,
	       &decision); /* its limit is used up: the next one applies */
	assert_string_equal(decision.excluded->name, "behind");
	assert_int_equal(decider_passed(decider, 3)->messages, 2);
	assert_int_equal(decider_passed(decider, 3)->recipients, 4);
	assert_int_equal(decider_passed(decider, 4)->bytes, 1000);
	decider_free(decider);
}

static void test_nearest(void **state)
{
	struct config *config = configure(several);
	struct decider *decider;
	struct decision decision;
	struct facts facts = message();

	(void)state;
	config->policy.exclusion_count = 4; /* without the last one, which has one criterion only */
	decider = config_decider(config);
	change(&facts, ONE_RECIPIENT_MORE);
	decide(decider, &facts, NULL, true, &decision);
	assert_null(decision.excluded);
	assert_string_equal(decision.nearest->name,
			    "near"); /* misses one of five, like "right", and is first */
	assert_int_equal(decision.failed.bits, CRITERION_BIT(CRITERION_EXECUTABLE));
	assert_int_equal(decision.unknown.bits, 0);
	facts.processes[0].executable = (struct span){NULL, 0};
	facts.processes[0].user = span_of("mallory");
	decide(decider, &facts, NULL, true, &decision);
	assert_string_equal(decision.nearest->name, "near");
	assert_int_equal(decision.failed.bits,
			 CRITERION_BIT(CRITERION_EXECUTABLE) | CRITERION_BIT(CRITERION_USER));
	assert_int_equal(decision.unknown.bits, CRITERION_BIT(CRITERION_EXECUTABLE));
	config->policy.exclusion_count = 5;
	decider_free(decider);
}

/*
 * Without an origin, no mail of an MTA passes. What can be borrowed is an origin only where the
 * exclusion accepts that, and a process that is not known meets no criterion.
 */
static void test_origins(void **state)
{
	static const struct {
		const char *asks;
		enum change change;
		const char *failed; /* the first criterion that is not met; NULL: excluded */
	} rows[] = {
		{"relay: 10.0.0.25", HANDED_IN, "origin"},
		{"process: { user: Debian-exim }", HANDED_IN, "origin"},
		{"origin: { user: reports }", HANDED_IN, NULL},
		{"origin: { unit: report.service }", HANDED_IN, NULL},
		{"origin: { executable: /usr/bin/msmtp }", HANDED_IN, NULL},
		{"origin: { user: mallory }", HANDED_IN, "origin.user"},
		{"origin: { user: reports, executable: /usr/bin/msmtp, script: '/opt/**', unit: "
		 "'*', "
		 "scheduled_by: cron }",
		 HANDED_IN, NULL},
		{"origin: { user: reports, executable: '/**' }", BY_MTA_OF_REPORTS,
		 "origin.real_user"},
		{"origin: { user: reports }", HANDED_IN_SETUID, NULL},
		{"origin: { user: reports, unit: '*' }", HANDED_IN_SETUID, "origin.real_user"},
		{"origin: { user: reports, unit: '*' }", HANDED_IN_IN_CONTAINER,
		 "origin.container"},
		{"origin: { user: reports, unit: '*', container: '0*' }", HANDED_IN_IN_CONTAINER,
		 NULL},
		{"process: { user: Debian-exim }\n  origin: { user: reports, script: /opt/x.py }",
		 HANDED_IN, "origin.script"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct decider *decider = config_decider(asking(rows[i].asks));
		struct facts facts = message();
		struct decision decision;
		const char *failed;

		change(&facts, rows[i].change);
		decide(decider, &facts, NULL, true, &decision);
		failed = decision.excluded ? NULL : criterion_name(criteria_first(decision.failed));
		if (failed != rows[i].failed &&
		    (!failed || !rows[i].failed || strcmp(failed, rows[i].failed) != 0)) {
			print_message("%s: %s\n", rows[i].asks, failed ? failed : "excluded");
			fail();
		}
		decider_free(decider);
	}
}

static void test_limits_over_a_reload(void **state)
{
	struct decider *decider = config_decider(asking(REPORTS "\n  limits: { messages: 2/1h }"));
	struct decider *fresh = config_decider(asking(REPORTS "\n  limits: { messages: 3/2h }"));
	struct decision decision;
	struct facts facts = message();

	(void)state;
	for (int i = 0; i < 3; i++) {
		decide(decider, &facts, NULL, true, &decision);
		assert_true((decision.excluded != NULL) == (i < 2));
	}
	assert_int_equal(decision.failed.bits, CRITERION_BIT(CRITERION_LIMIT_MESSAGES));
	decider_replace(decider, fresh);
	decider_free(fresh);
	decide(decider, &facts, NULL, true, &decision);
	assert_non_null(decision.excluded);
	decide(decider, &facts, NULL, true, &decision);
	assert_null(decision.excluded);
	assert_int_equal(decider_passed(decider, 0)->messages, 3);
	facts.clock_ns += HOUR_NS; /* the window is two hours now */
	decide(decider, &facts, NULL, true, &decision);
	assert_null(decision.excluded);
	facts.clock_ns += HOUR_NS + HOUR_NS / 30; /* the window and a slice */
	decide(decider, &facts, NULL, true, &decision);
	assert_non_null(decision.excluded);
	decider_free(decider);
}

/* No window exceeds the limit, whatever the times; it is free again one slice after the window. */
static void test_limit_is_never_exceeded(void **state)
{
	const struct limit limit = {.amount = 10, .window_s = 600};
	uint64_t used[400], count = 0, now_ns = 0;
	struct usage usage = {0};

	(void)state;
	srand(1);
	for (int i = 0; i < 2000 && count < 400; i++) {
		uint64_t within = 0;

		now_ns += (uint64_t)(rand() % 60) * 1000000000ULL;
		if (!limit_allows(&limit, &usage, now_ns, 1))
			continue;
		limit_use(&limit, &usage, now_ns, 1);
		used[count++] = now_ns;
		for (uint64_t j = 0; j < count; j++)
			within += used[j] + 600000000000ULL > now_ns;
		assert_true(within <= 10);
	}
	assert_true(count > 100);
	assert_true(limit_allows(&limit, &usage, now_ns + 611000000000ULL, 10));
	assert_false(limit_allows(&limit, &usage, now_ns + 611000000000ULL, 11));
	assert_false(limit_allows(&limit, &usage, 0, UINT64_MAX));
}

/* ---- Searching, names ------------------------------------------------------------------------ */

static void test_backtracking_ends(void **state)
{
	char error[REGEX_ERROR_MAX], text[65536];
	uint64_t steps = 2000000;
	size_t at;
	struct regex *regex = regex_new(span_of("(a+)+\\d(b|c+)*$"), REGEX_EXPRESSION, error, &at);

	(void)state;
	assert_non_null(regex);
	memset(text, 'a', sizeof(text));
	assert_int_equal(regex_find(regex, (struct span){text, sizeof(text)}, &steps),
			 REGEX_GAVE_UP);
	steps = 2000000;
	assert_int_equal(regex_find(regex, span_of("xaa1bcc"), &steps), REGEX_FOUND);
	assert_int_equal(regex_find(regex, (struct span){NULL, 0}, &steps), REGEX_NOT_FOUND);
	regex_free(regex);
	assert_null(regex_new(span_of("(a"), REGEX_EXPRESSION, error, &at));
	assert_int_equal(at, 2);
	regex = regex_new(span_of("GR\xc3\x9cSSE (a"), REGEX_WORDS, error, &at);
	assert_non_null(regex);
	assert_int_equal(regex_find(regex, span_of("\xff gr\xc3\xbcsse (A"), &steps), REGEX_FOUND);
	regex_free(regex);
}

static void test_relay_names(void **state)
{
	struct {
		struct relay_record record;
		uint8_t data[16 + 12];
	} told = {.record = {.h = {.type = RECORD_RELAY, .time_ns = HOUR_NS},
			     .name_len = 12,
			     .count = 1}};
	struct config *config = asking("relay: mail.example");
	struct relay_names *names = relay_names_new();
	struct surroundings surroundings = {.names = names, .steps = 1};
	struct facts facts = message();

	(void)state;
	told.record.h.len = sizeof(told.record) + sizeof(told.data);
	facts.clock_ns = HOUR_NS + 1;
	memcpy(told.data, facts.relay, 16);
	memcpy(told.data + 16, "MAIL.example", 12);
	assert_true(relay_names_due(names, "mail.example", HOUR_NS));
	assert_false(relay_names_due(names, "mail.example", HOUR_NS + 1));
	assert_int_equal(exclusion_state(config->policy.exclusions, CRITERION_RELAY, &facts,
					 &surroundings),
			 STATE_UNKNOWN);
	relay_names_record(names, &told.record);
	assert_int_equal(exclusion_state(config->policy.exclusions, CRITERION_RELAY, &facts,
					 &surroundings),
			 STATE_MET);
	change(&facts, OTHER_ADDRESS);
	assert_int_equal(exclusion_state(config->policy.exclusions, CRITERION_RELAY, &facts,
					 &surroundings),
			 STATE_FAILED);
	facts.clock_ns = 3 * HOUR_NS; /* no lookup has succeeded since */
	assert_int_equal(exclusion_state(config->policy.exclusions, CRITERION_RELAY, &facts,
					 &surroundings),
			 STATE_UNKNOWN);
	relay_names_free(names);
	config_free(config);
}

/* ---- Shadows --------------------------------------------------------------------------------- */

static const struct {
	const char *wide, *narrow;
	bool covers;
} shadows[] = {
	/* Lists. */
	{REPORTS, REPORTS "\n  tls: none", true},
	{REPORTS "\n  tls: none", REPORTS, false},
	{"process: { user: [a, b] }", "process: { user: b }", true},
	{"process: { user: b }", "process: { user: [a, b] }", false},
	{"process: { executable: '/opt/*' }", "process: { executable: /opt/x }", true},
	{"process: { executable: /opt/x }", "process: { executable: '/opt/*' }", false},
	{"relay: 10.0.0.0/8", "relay: 10.1.2.3:25", true},
	{"relay: 10.0.0.0/8", "relay: 11.1.2.3", false},
	{"relay: 10.1.2.3:25", "relay: 10.1.2.3", false},
	{"relay: Mail.example", "relay: mail.example:25", true},
	{"mail: { contains: [a, b] }", "mail: { contains: a }", true},
	{"mail: { contains: a }", "mail: { matches: a }", false},

	/* Single values. */
	{"process: { scheduled_by: any }", "process: { scheduled_by: cron }", true},
	{"process: { scheduled_by: cron }", "process: { scheduled_by: at }", false},
	{REPORTS "\n  expires: 2030-01-02", REPORTS "\n  expires: 2030-01-01", true},
	{REPORTS "\n  expires: 2030-01-02", REPORTS, false},
	{REPORTS "\n  encrypted: allow", REPORTS, true},
	{REPORTS, REPORTS "\n  encrypted: allow", false},
	{REPORTS "\n  limits: { messages: 2/1h }", REPORTS "\n  limits: { messages: 2/1h }", false},
	{REPORTS "\n  schedule: { at: '0 8 * * *', for: 1h }",
	 REPORTS "\n  schedule: { at: '0 8 * * *', for: 1h }", false},

	/* Implied criteria: the watch's own namespaces, and mail that no MTA has relayed. */
	{REPORTS, "process: { user: reports, container: c }", false},
	{"process: { container: 'c*' }", "process: { container: c1 }", true},
	{"process: { container: c }", REPORTS, false},
	{"relay: 10.0.0.1", "relay: 10.0.0.1\n  process: { container: c }", true},
	{REPORTS, "relay: 10.0.0.1", false},
	{"relay: 10.0.0.1", "relay: 10.0.0.1\n  origin: { user: u }", false},
	{"origin: { user: u }", "origin: { user: u }\n  relay: 10.0.0.1", true},
	{"origin: { user: u }", "relay: 10.0.0.1", false},
	{"origin: { unit: u }", "origin: { unit: u, script: /x }", true},
	{"origin: { unit: u }", "origin: { unit: u, container: c }", false},
	{"origin: { unit: u, container: c }", "origin: { unit: u }", false},
	{"origin: { user: u }", "origin: { user: u, executable: /x, container: c }", true},
	{"origin: { user: u, executable: /x }", "origin: { user: u }", false},
	{"origin: { user: u }", "origin: { user: u }\n  process: { container: c }", false},
	{"relay: 10.0.0.1", "relay: 10.0.0.1\n  origin: { executable: /x }", false},
};

static void test_shadows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(shadows) / sizeof(shadows[0]); i++) {
		struct config *wide = asking(shadows[i].wide), *narrow = asking(shadows[i].narrow);

		if (exclusion_covers(wide->policy.exclusions, narrow->policy.exclusions) !=
		    shadows[i].covers) {
			print_message("%s | %s\n", shadows[i].wide, shadows[i].narrow);
			fail();
		}
		config_free(wide);
		config_free(narrow);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_criteria),
		cmocka_unit_test(test_links),
		cmocka_unit_test(test_first_met_decides),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_origins),
		cmocka_unit_test(test_limits_over_a_reload),
		cmocka_unit_test(test_limit_is_never_exceeded),
		cmocka_unit_test(test_backtracking_ends),
		cmocka_unit_test(test_relay_names),
		cmocka_unit_test(test_shadows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
