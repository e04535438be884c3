/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration: every key is read, a mistake is reported with its place, and refuses all. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"

static char folder[] = "/tmp/smtpsnoop-config-XXXXXX";
static char path[100];

static void write_file(const char *name, const char *text)
{
	char full[200];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static struct config *load(const char *text)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;

	write_file("smtpsnoop.yaml", text);
	config = config_load(path, NULL, error);
	if (!config)
		print_message("%s\n", error);
	assert_non_null(config);
	return config;
}

#define WHOLE                                                                                      \
	"decision: { deadline: 90s }\n"                                                            \
	"exclusions:\n"                                                                            \
	"  - name: daily-sales-report\n"                                                           \
	"    note: \"OPS-1423, owner: BI team\"\n"                                                 \
	"    process:\n"                                                                           \
	"      executable: /usr/bin/msmtp\n"                                                       \
	"      sha256: []\n"                                                                       \
	"      user: [reports, backup]\n"                                                          \
	"      unit: sales-report*.service\n"                                                      \
	"      scheduled_by: systemd-timer\n"                                                      \
	"      tty: none\n"                                                                        \
	"    relay: [\"10.0.0.25:587\", mail.corp.example, 10.1.0.0/16, \"[2001:db8::1]:25\", "    \
	"\"2001:db8::/32\", "                                                                      \
	"\"mail2.corp.example:2525\"]\n"                                                           \
	"    mail:\n"                                                                              \
	"      sender: reports@corp.example\n"                                                     \
	"      recipients: [\"*@corp.example\"]\n"                                                 \
	"      subject: [\"Daily sales report *\"]\n"                                              \
	"      contains: [System Down]\n"                                                          \
	"    schedule: { at: \"0 8 * * *\", for: 15m, early: 5m, timezone: Europe/Berlin }\n"      \
	"    limits: { messages: 20/1h, recipients: 50/1d, bytes: 10MiB/30m }\n"                   \
	"    origin: { user: [reports] }\n"                                                        \
	"    tls: any\n"                                                                           \
	"    encrypted: deny\n"                                                                    \
	"    expires: 2027-06-30\n"

static void test_whole(void **state)
{
	struct config *config = load(WHOLE);
	const struct exclusion *exclusion = config->policy.exclusions;

	(void)state;
	assert_int_equal(config->policy.exclusion_count, 1);
	assert_int_equal(config->policy.deadline_s, 90);
	assert_string_equal(exclusion->name, "daily-sales-report");
	assert_int_equal(exclusion->line, 3);
	assert_int_equal(exclusion->process.executable.count, 1);
	assert_true(wildcard_match(exclusion->process.executable.items[0].wildcard,
				   span_of("/usr/bin/msmtp")));
	assert_int_equal(exclusion->process.sha256.count, 0);
	assert_int_equal(exclusion->process.user.count, 2);
	assert_string_equal(exclusion->process.user.items[1], "backup");
	assert_int_equal(exclusion->process.scheduled_by, SCHEDULED_SYSTEMD_TIMER);
	assert_int_equal(exclusion->process.tty, DEMAND_NONE);
	assert_int_equal(exclusion->relay.count, 6);
	assert_int_equal(exclusion->relay.items[0].port, 587);
	assert_int_equal(exclusion->relay.items[0].prefix, 128);
	assert_string_equal(exclusion->relay.items[1].name, "mail.corp.example");
	assert_int_equal(exclusion->relay.items[2].prefix, 112);
	assert_int_equal(exclusion->relay.items[3].addr[15], 1);
	assert_int_equal(exclusion->relay.items[3].port, 25);
	assert_int_equal(exclusion->relay.items[4].prefix, 32);
	assert_int_equal(exclusion->relay.items[5].port, 2525);
	assert_int_equal(exclusion->schedule.for_s, 900);
	assert_int_equal(exclusion->schedule.early_s, 300);
	assert_int_equal(schedule_next(exclusion->schedule.at, 1704067200),
			 1704092400); /* 2024-01-01: 07:00 UTC */
	assert_int_equal(exclusion->limits.messages.amount, 20);
	assert_int_equal(exclusion->limits.recipients.window_s, 86400);
	assert_int_equal(exclusion->limits.bytes.amount, 10485760);
	assert_int_equal(exclusion->expires.time_s, 1814400000); /* 2027-07-01 00:00 UTC */
	assert_string_equal(exclusion->origin.user.items[0], "reports");
	config_free(config);
}

static void test_empty(void **state)
{
	static const char *const texts[] = {"", "# nothing\n", "---\n", "exclusions: []\n", "{}\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct config *config = load(texts[i]);

		assert_int_equal(config->policy.exclusion_count, 0);
		assert_int_equal(config->policy.deadline_s, 60);
		assert_int_equal(config->join_s, 60);
		assert_int_equal(config->join_after, 5);
		config_free(config);
	}
}

#define ONE(name) "exclusions: [ { name: " name ", relay: 10.0.0.1, accept_forgeable: true } ]\n"

/* conf.d is read in the order of names; hidden files and other suffixes are not read. */
static void test_folder(void **state)
{
	struct config *config;
	char sub[200], error[CONFIG_ERROR_MAX];

	(void)state;
	snprintf(sub, sizeof(sub), "%s/conf.d", folder);
	assert_int_equal(mkdir(sub, 0755), 0);
	write_file("conf.d/20-b.yaml", ONE("b"));
	write_file("conf.d/10-c.yaml", ONE("c"));
	write_file("conf.d/30-d.yaml.bak", "broken: [");
	write_file("conf.d/.40-e.yaml", "broken: [");
	config = load(ONE("a"));
	assert_int_equal(config->policy.exclusion_count, 3);
	assert_string_equal(config->policy.exclusions[1].name, "c");
	assert_string_equal(config->policy.exclusions[2].name, "b");
	config_free(config);
	write_file("conf.d/20-b.yaml", ONE("a"));
	assert_null(config_load(path, NULL, error));
	assert_non_null(
		strstr(error, "/conf.d/20-b.yaml:1:15: a: another exclusion has this name: "));
	write_file("conf.d/20-b.yaml", "exclusions: [\n  nothing");
	assert_null(config_load(path, NULL, error));
	assert_non_null(strstr(error, "/conf.d/20-b.yaml:"));
	snprintf(sub, sizeof(sub), "rm -r %s/conf.d", folder);
	assert_int_equal(system(sub), 0);
}

#define EXCLUSION(text) "exclusions:\n- name: a\n  relay: 10.0.0.1\n  " text "\n"

#define KEYS	    "capture, decision, rules, privacy, outputs, metrics, alerts, heartbeat, exclusions"
#define OUTPUT_KEYS "type, name, path, format, address, facility, protocol, framing, events, queue"
#define EXCLUSION_KEYS                                                                             \
	"name, note, process, mail, limits, origin, accept_forgeable, expires, encrypted, relay, " \
	"tls, auth_user, schedule"
#define LISTEN                                                                                     \
	"expected a loopback address with a port, such as 127.0.0.1:9099 or [::1]:9099, because "  \
	"anyone who can connect can read the metrics"
#define ADDRESS                                                                                    \
	"not an address; expected one such as /dev/log, udp://10.0.0.5:514 or "                    \
	"tcp://[2001:db8::5]:601"

/* A mistake, and its message after the file's name. */
static const char *const mistakes[][2] = {
	{"exclusion: []", "1:1: exclusion: unknown key; expected one of " KEYS},
	{"[]", "1:1: expected a mapping with " KEYS},
	{"hello", "1:1: expected a mapping with " KEYS},
	{"exclusions: {}", "1:13: expected a list of exclusions"},
	{"exclusions: [ a ]", "1:15: expected a mapping with " EXCLUSION_KEYS},
	{"exclusions:\n- {}", "2:3: the exclusion needs a name, by which events report it"},
	{"exclusions:\n- name: a",
	 "2:3: a: no criterion of process, relay or mail; it would exclude every mail"},
	{"exclusions:\n- name: a\n  tls: required",
	 "2:3: a: no criterion of process, relay or mail; it would exclude every mail"},
	{"exclusions:\n- name: [a]", "2:9: expected a text, not a list"},
	{"exclusions:\n- name: ''", "2:9: empty; expected a text"},
	{"exclusions:\n- name: a\n  name: b", "3:3: name: set twice; allowed only once"},
	{"decision: {}\ndecision: {}", "2:1: decision: set twice; allowed only once"},
	{"decision: { deadline: 60 }",
	 "1:23: expected a duration such as 30s, 15m, 1h or 7d, at most a year"},
	{"decision: { deadline: 0s }",
	 "1:23: expected a duration such as 30s, 15m, 1h or 7d, at most a year"},
	{"decision: { deadline: 99999999999999999999s }",
	 "1:23: expected a duration such as 30s, 15m, 1h or 7d, at most a year"},
	{"decision: { deadline: 1m30s }",
	 "1:23: expected a duration such as 30s, 15m, 1h or 7d, at most a year"},
	{"decision: { dead: 1m }", "1:13: dead: unknown key; expected one of deadline"},
	{EXCLUSION("process: { executable: msmtp }"),
	 "4:26: msmtp: not an absolute path; it must begin with '/'"},
	{EXCLUSION("process: { executable: ['/usr/bin/[a'] }"),
	 "4:27: /usr/bin/[a: not a pattern: the set has no closing ']', at character 10"},
	{EXCLUSION("process: { executable: '/usr/bin/[z-a]' }"),
	 "4:26: /usr/bin/[z-a]: not a pattern: the range ends before it begins, at character "
	 "10"},
	{EXCLUSION("process: { sha256: abc }"),
	 "4:22: expected a SHA-256: 64 hexadecimal digits in lower case"},
	{EXCLUSION("process: { sha256: [[]] }"),
	 "4:23: expected a SHA-256: 64 hexadecimal digits in lower case"},
	{EXCLUSION("process: { user: { name: x } }"), "4:20: expected a text, not a mapping"},
	{EXCLUSION("process: { scheduled_by: crond }"),
	 "4:28: crond: expected one of systemd-timer, cron, at, any"},
	{EXCLUSION("process: { tty: maybe }"), "4:19: maybe: expected one of any, required, none"},
	{EXCLUSION("process: { exe: /x }"),
	 "4:14: exe: unknown key; expected one of user, group, login, tty, container, "
	 "scheduled_by, sha256, unit, executable, ancestor, script, working_directory, arguments"},
	{EXCLUSION("tls: yes"), "4:8: yes: expected one of any, required, none"},
	{EXCLUSION("encrypted: maybe"), "4:14: maybe: expected one of deny, allow"},
	{EXCLUSION("accept_forgeable: yes"), "4:21: expected true or false"},
	{EXCLUSION("expires: 2027-02-30"),
	 "4:12: 2027-02-30: not a date; expected one such as 2027-06-30"},
	{EXCLUSION("expires: soon"), "4:12: soon: not a date; expected one such as 2027-06-30"},
	{EXCLUSION("limits: { messages: 20 }"), "4:23: expected a limit such as 20/1h"},
	{EXCLUSION("limits: { messages: 20/0h }"), "4:23: expected a limit such as 20/1h"},
	{EXCLUSION("limits: { bytes: 10MB/1h }"), "4:20: expected a limit such as 10MiB/1h"},
	{EXCLUSION("limits: { mails: 1/1h }"),
	 "4:13: mails: unknown key; expected one of messages, recipients, bytes"},
	{EXCLUSION("schedule: { at: '0 8 * * *' }"),
	 "4:13: a schedule needs `at` and `for`, such as { at: \"0 8 * * *\", for: 15m }"},
	{EXCLUSION("schedule: { at: '0 25 * * *', for: 1m }"),
	 "4:13: 0 25 * * *: not a schedule: an hour is a number from 0 to 23, at character 3"},
	{EXCLUSION("schedule: { at: daily, for: 1m, timezone: Europe/Nowhere }"),
	 "4:45: Europe/Nowhere: unknown time zone; expected an IANA name such as Europe/Berlin"},
	{EXCLUSION("mail: { recipient: x }"),
	 "4:11: recipient: unknown key; expected one of sender, header_from, recipients, subject, "
	 "contains, matches"},
	{EXCLUSION("claims: { php_script: x }"),
	 "4:3: claims: unknown key; expected one of " EXCLUSION_KEYS},
	{EXCLUSION("mail: { subject: \"a\\0b\" }"),
	 "4:20: contains a NUL byte; expected a pattern"},
	{EXCLUSION("origin: { uid: 1 }"), "4:13: uid: unknown key; expected one of user, "},
	{EXCLUSION("process: { user: exim }\n  origin: { executable: /x, script: /y }"),
	 "2:3: a: needs origin.user or origin.unit, "},
	{EXCLUSION("? [x]\n  : 1"), "4:5: ?: unknown key; expected one of " EXCLUSION_KEYS},
	{"exclusions:\n- name: a\n  relay: 10.0.0.256", "3:10: 10.0.0.256: not a relay; "},
	{"exclusions:\n- name: a\n  relay: 10.0.0.0/33", "3:10: 10.0.0.0/33: not a relay; "},
	{"exclusions:\n- name: a\n  relay: 10.0.0.1:0", "3:10: 10.0.0.1:0: not a relay; "},
	{"exclusions:\n- name: a\n  relay: '[::1]25'", "3:10: [::1]25: not a relay; "},
	{"exclusions:\n- name: a\n  relay: nowhere/", "3:10: nowhere/: not a relay; "},
	{"exclusions:\n- name: a\n  relay: 'a b'", "3:10: a b: not a relay; "},
	{"exclusions:\n- name: a\n  relay: mail.example:smtp",
	 "3:10: mail.example:smtp: not a relay; "},
	{"exclusions:\n- name: a\n relay: x", "3:2: not YAML: did not find expected key"},
	{"exclusions: [", "2:1: not YAML: did not find expected node content"},
	{"a: \"\\q\"", "1:5: not YAML: found unknown escape character"},
	{"\x01", "1:1: not YAML: control characters are not allowed"},
	{"decision: {}\n---\ndecision: {}", "3:1: second YAML document; only one is allowed"},
	{"capture: { hook: ebpf }", "1:18: ebpf: expected one of auto, fentry, kprobe, tracepoint"},
	{"capture: { tls: yes }", "1:17: expected true or false"},
	{"privacy: { addresses: none }", "1:23: none: expected one of full, domain, hash"},
	{"privacy: { addresses: hash }", "1:10: addresses: hash needs a key_file; create one with: "
					 "head -c 32 /dev/urandom > FILE; chmod 600 FILE"},
	{"privacy: { key_file: a }", "1:22: a: not an absolute path; it must begin with '/'"},
	{"privacy: { key_file: /dev/null }", "1:22: /dev/null: "},
	{"privacy: { subject: no }", "1:21: no: expected one of true, false"},
	{"heartbeat: never",
	 "1:12: expected a duration such as 30s, 15m, 1h or 7d, at most a year"},
	{"alerts: { join: never }", "1:17: expected a duration such as 1m, at most 1d, or false"},
	{"alerts: { join: 2d }", "1:17: expected a duration such as 1m, at most 1d, or false"},
	{"alerts: { join: '' }", "1:17: expected a duration such as 1m, at most 1d, or false"},
	{"alerts: { after: 0 }", "1:18: expected a number from 1 to 1000000"},
	{"alerts: { after: 1000001 }", "1:18: expected a number from 1 to 1000000"},
	{"alerts: { after: -1 }", "1:18: expected a number from 1 to 1000000"},
	{"alerts: { after: 5s }", "1:18: expected a number from 1 to 1000000"},
	{"alerts: false", "1:9: expected a mapping with join, after"},
	{"outputs: [ {} ]", "1:12: an output needs a type: json, stdout, syslog or journald"},
	{"outputs: [ json ]", "1:12: expected a mapping with " OUTPUT_KEYS},
	{"outputs: [ { type: kafka } ]",
	 "1:20: kafka: expected one of json, stdout, syslog, journald"},
	{"outputs: [ { type: json } ]", "1:12: an output of type json needs a path"},
	{"outputs: [ { type: json, path: events.json } ]",
	 "1:32: events.json: not an absolute path; it must begin with '/'"},
	{"outputs: [ { type: json, path: /a, facility: local4 } ]",
	 "1:12: facility: not used by an output of type json"},
	{"outputs: [ { type: stdout, address: /dev/log } ]",
	 "1:12: address: not used by an output of type stdout"},
	{"outputs: [ { type: syslog, path: /dev/log } ]",
	 "1:12: path: not used by an output of type syslog"},
	{"outputs: [ { type: syslog, framing: newline } ]",
	 "1:12: framing: not used by an output of type syslog"},
	{"outputs: [ { type: journald, format: json } ]",
	 "1:12: format: not used by an output of type journald"},
	{"outputs: [ { type: journald, address: 'udp://a:1' } ]",
	 "1:12: address: not used by an output of type journald"},
	{"outputs: [ { type: syslog, address: 'tls://a:1' } ]", "1:37: " ADDRESS},
	{"outputs: [ { type: syslog, address: 'tcp://a:0' } ]", "1:37: " ADDRESS},
	{"outputs: [ { type: syslog, address: 'tcp://a:65536' } ]", "1:37: " ADDRESS},
	{"outputs: [ { type: syslog, address: 'tcp://[::1' } ]", "1:37: " ADDRESS},
	{"outputs: [ { type: syslog, address: 'udp://' } ]", "1:37: " ADDRESS},
	{"outputs: [ { type: syslog, facility: local8 } ]", "1:38: local8: expected one of "},
	{"outputs: [ { type: syslog, format: xml } ]",
	 "1:36: xml: expected one of json, cef, sentinel"},
	{"outputs: [ { type: syslog, format: sentinel } ]",
	 "1:12: sentinel: not a format for syslog; use json or cef"},
	{"outputs: [ { type: stdout, queue: 1KiB } ]",
	 "1:35: expected a number of bytes such as 64MiB, from 1MiB to 4GiB"},
	{"outputs: [ { type: stdout, name: 'a b' } ]",
	 "1:34: a b: not a name; expected at most 63 letters, digits, '-', '_' and '.'"},
	{"outputs: [ { type: stdout }, { type: stdout } ]",
	 "1:30: another output writes to standard output"},
	{"outputs: [ { type: json, path: /a }, { type: json, path: /a } ]",
	 "1:38: /a: another output writes to this file"},
	{"outputs: [ { type: syslog, name: a }, { type: journald, name: a } ]",
	 "1:39: a: another output has this name"},
	{"metrics: { listen: '0.0.0.0:9099' }", "1:20: " LISTEN},
	{"metrics: { listen: '127.0.0.1' }", "1:20: " LISTEN},
	{"metrics: { listen: '[::]:9099' }", "1:20: " LISTEN},
	{"metrics: { listen: 'localhost:9099' }", "1:20: " LISTEN},
	{"metrics: { textfile: a.prom }",
	 "1:22: a.prom: not an absolute path; it must begin with '/'"},
	{"exclusions: *x", "1:13: not YAML: found undefined alias"},
};

static void test_mistakes(void **state)
{
	char error[CONFIG_ERROR_MAX];
	size_t skip = strlen(path) + 1, wrong = 0;

	(void)state;
	assert_true(sizeof(mistakes) / sizeof(mistakes[0]) >= 40);
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		size_t len = strlen(mistakes[i][1]);
		bool open = mistakes[i][1][len - 1] == ' ';

		write_file("smtpsnoop.yaml", mistakes[i][0]);
		assert_null(config_load(path, NULL, error));
		assert_memory_equal(error, path, skip - 1);
		if (open ? strncmp(error + skip, mistakes[i][1], len) != 0
			 : strcmp(error + skip, mistakes[i][1]) != 0) {
			print_message("%s\n  expected %s\n  saw      %s\n", mistakes[i][0],
				      mistakes[i][1], error + skip);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void test_outputs(void **state)
{
	char error[CONFIG_ERROR_MAX];
	struct config *config;
	const struct output_config *output;

	(void)state;
	write_file(
		"smtpsnoop.yaml",
		"heartbeat: 1m\n"
		"alerts: { join: 30s, after: 7 }\n"
		"metrics: { listen: '[::1]:9099', textfile: /a.prom }\n"
		"outputs:\n"
		"- { type: json, path: /var/log/a.json }\n"
		"- { type: json, path: /var/log/b.json, format: sentinel, events: alerts }\n"
		"- { type: syslog, format: cef, facility: local4 }\n"
		"- { type: syslog, address: 'tcp://[2001:db8::5]:601', framing: newline }\n"
		"- { type: syslog, address: 'udp://log.example', protocol: rfc3164, queue: 2MiB }\n"
		"- { type: journald }\n"
		"- { type: stdout, name: out }\n");
	config = config_load(path, NULL, error);
	if (!config)
		fail_msg("%s", error);
	assert_int_equal(config->output_count, 7);
	assert_int_equal(config->heartbeat_s, 60);
	assert_true(config->tls);
	assert_int_equal(config->join_s, 30);
	assert_int_equal(config->join_after, 7);
	assert_true(config->metrics.ipv6);
	assert_int_equal(config->metrics.port, 9099);
	assert_string_equal(config->metrics.address, "::1");
	assert_string_equal(config->metrics.textfile, "/a.prom");
	output = config->outputs;
	assert_string_equal(output[0].name, "json");
	assert_int_equal(output[0].format, FORMAT_JSON);
	assert_int_equal(output[0].queue_bytes, 64 << 20);
	assert_string_equal(output[1].name, "json-2");
	assert_int_equal(output[1].format, FORMAT_SENTINEL);
	assert_true(output[1].alerts_only && !output[0].alerts_only);
	assert_string_equal(output[2].path, "/dev/log");
	assert_int_equal(output[2].facility, 20);
	assert_int_equal(output[2].protocol, SYSLOG_LOCAL);
	assert_string_equal(output[3].host, "2001:db8::5");
	assert_string_equal(output[3].service, "601");
	assert_int_equal(output[3].transport, SYSLOG_TCP);
	assert_int_equal(output[3].protocol, SYSLOG_RFC5424);
	assert_int_equal(output[3].framing, SYSLOG_NEWLINE);
	assert_int_equal(output[3].facility, 3);
	assert_string_equal(output[4].service, "514");
	assert_int_equal(output[4].protocol, SYSLOG_RFC3164);
	assert_int_equal(output[4].queue_bytes, 2 << 20);
	assert_int_equal(output[5].format, FORMAT_JOURNAL);
	assert_string_equal(output[5].path, "/run/systemd/journal/socket");
	assert_string_equal(output[6].name, "out");
	assert_true(output_config_same_place(&output[0], &output[0]));
	for (size_t i = 1; i < config->output_count; i++)
		assert_false(output_config_same_place(&output[0], &output[i]));
	config_free(config);
}

static void test_files(void **state)
{
	char error[CONFIG_ERROR_MAX], missing[200];

	(void)state;
	snprintf(missing, sizeof(missing), "%s/missing.yaml", folder);
	assert_null(config_load(missing, NULL, error));
	assert_non_null(strstr(error, "missing.yaml: No such file or directory"));
	assert_null(config_load(folder, NULL, error));
	assert_non_null(strstr(error, ": is a directory; name the file in it, such as /tmp/"));
	assert_null(config_load("/dev/zero", NULL, error));
	assert_string_equal(error, "/dev/zero: not a regular file; name one that is");
}

/* With any byte changed, or cut there, it is read or refused; nothing crashes or leaks. */
static void test_damaged(void **state)
{
	char text[] = WHOLE, error[CONFIG_ERROR_MAX];

	(void)state;
	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		char byte = text[i];

		for (size_t n = 0; n < 3; n++) {
			text[i] = "\0{x"[n];
			write_file("smtpsnoop.yaml", text);
			config_free(config_load(path, NULL, error));
		}
		text[i] = byte;
	}
}

static void write_fifo(const char *name)
{
	char full[200];

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	assert_int_equal(mkfifo(full, 0600), 0);
}

static void drop_file(const char *name)
{
	char full[200];

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	assert_int_equal(remove(full), 0);
}

static void assert_refused(const char *text, const char *why)
{
	char error[CONFIG_ERROR_MAX];

	write_file("smtpsnoop.yaml", text);
	alarm(10); /* ends the test if it hangs */
	assert_null(config_load(path, NULL, error));
	alarm(0);
	if (!strstr(error, why))
		fail_msg("%s: not in: %s", why, error);
}

static void make_folder(void)
{
	char full[200];

	snprintf(full, sizeof(full), "%s/conf.d", folder);
	assert_int_equal(mkdir(full, 0755), 0);
}

/* A FIFO that nobody writes to is reported, not waited for. */
static void test_fifo(void **state)
{
	(void)state;
	make_folder();
	write_fifo("conf.d/x.yaml");
	assert_refused("", "x.yaml: not a regular file; name one that is");
	drop_file("conf.d/x.yaml");
	drop_file("conf.d");
	drop_file("smtpsnoop.yaml");
	write_fifo("smtpsnoop.yaml");
	alarm(10);
	assert_null(config_load(path, NULL, (char[CONFIG_ERROR_MAX]){""}));
	alarm(0);
	drop_file("smtpsnoop.yaml");
}

/* The lists of all files are joined; any other key may be set in one file only. */
static void test_once(void **state)
{
	static const char *const texts[] = {"capture: { body_bytes: 1KiB }",
					    "decision: { deadline: 5s }",
					    "privacy: { subject: false }", "heartbeat: 5s",
					    "metrics: { textfile: /run/a.prom }"};
	char why[200];
	struct config *config;

	(void)state;
	make_folder();
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		snprintf(why, sizeof(why),
			 "%s/conf.d/b.yaml:1:1: %.*s: already set in %s; allowed only once", folder,
			 (int)strcspn(texts[i], ":"), texts[i], path);
		write_file("conf.d/b.yaml", texts[i]);
		assert_refused(texts[i], why);
		config_free(load("exclusions: []\n"));
	}
	snprintf(why, sizeof(why), "b.yaml:1:1: metrics: already set in %s/conf.d/a.yaml", folder);
	write_file("conf.d/a.yaml", "metrics: { listen: 127.0.0.1:9099 }");
	assert_refused("", why);
	write_file("conf.d/a.yaml", ONE("a") "outputs: { type: json, path: /run/a }\n");
	write_file("conf.d/b.yaml", ONE("b") "outputs: { type: json, path: /run/b }\n");
	config = load("heartbeat: 5s\ncapture: { tls: false }\n");
	assert_int_equal(config->policy.exclusion_count, 2);
	assert_int_equal(config->output_count, 2);
	assert_false(config->tls);
	config_free(config);
	assert_refused("heartbeat: 5s\nheartbeat: 5s\n", "2:1: heartbeat: set twice");
	drop_file("conf.d/a.yaml");
	drop_file("conf.d/b.yaml");
	drop_file("conf.d");
}

#ifdef HAVE_LIBYARA

#define RULE(name) "rule " name " { condition: true }\n"

static void test_rules_fifo(void **state)
{
	char text[200];

	(void)state;
	snprintf(text, sizeof(text), "rules: %s/x.yar\n", folder);
	write_fifo("x.yar");
	assert_refused(text, "x.yar: not a regular file");
	drop_file("x.yar");
	write_file("x.yar", "include \"y.yar\"\n" RULE("x"));
	write_fifo("y.yar");
	assert_refused(text, "x.yar: it includes y.yar: not a regular file");
	drop_file("y.yar");
	assert_refused(text, "x.yar: it includes y.yar: No such file");
	drop_file("x.yar");
}

static void test_rules_include(void **state)
{
	struct rule_match matches[4];
	char text[200], include[200];
	struct config *config;

	(void)state;
	assert_int_equal(chdir("/"), 0);
	snprintf(text, sizeof(text), "rules: %s/x.yar\n", folder);
	snprintf(include, sizeof(include), "include \"y.yar\"\ninclude \"%s/z.yar\"\n" RULE("x"),
		 folder);
	write_file("x.yar", include);
	write_file("y.yar", RULE("y"));
	write_file("z.yar", RULE("z"));
	config = load(text);
	assert_int_equal(rules_scan(config->policy.rules, (struct span){"a", 1}, matches, 4), 3);
	assert_string_equal(matches[0].name, "y");
	assert_string_equal(matches[1].name, "z");
	assert_string_equal(matches[2].name, "x");
	config_free(config);
	write_file("z.yar", "");
	config = load(text);
	assert_int_equal(rules_scan(config->policy.rules, (struct span){"a", 1}, matches, 4), 2);
	config_free(config);
	drop_file("x.yar");
	drop_file("y.yar");
	drop_file("z.yar");
}

#endif

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),	   cmocka_unit_test(test_empty),
		cmocka_unit_test(test_folder),	   cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_outputs),	   cmocka_unit_test(test_files),
		cmocka_unit_test(test_damaged),	   cmocka_unit_test(test_fifo),
		cmocka_unit_test(test_once),
#ifdef HAVE_LIBYARA
		cmocka_unit_test(test_rules_fifo), cmocka_unit_test(test_rules_include),
#endif
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/smtpsnoop.yaml", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return failed;
}
