/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a decision costs: 100,000 messages against 1,000 exclusions with most of the criteria. A
 * third of the messages is excluded, a third fails a single criterion, a third matches nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "policy/decision.h"

#define EXCLUSIONS 1000
#ifndef MESSAGES
#define MESSAGES 100000
#endif

static struct config *configuration(void)
{
	char path[] = "/tmp/smtpsnoop-bench-XXXXXX.yaml", error[CONFIG_ERROR_MAX];
	int fd = mkstemps(path, 5);
	FILE *file = fd >= 0 ? fdopen(fd, "w") : NULL;
	struct config *config;

	if (!file)
		return NULL;
	fprintf(file, "exclusions:\n");
	for (int i = 0; i < EXCLUSIONS; i++)
		fprintf(file,
			"- name: exclusion-%d\n"
			"  process: { executable: '/opt/app%d/bin/*', user: user%d, unit: "
			"app%d.service, "
			"tty: none }\n"
			"  relay: ['10.%d.0.0/16', '10.200.0.25:587']\n"
			"  mail: { sender: report%d@corp.example, recipients: ['*@corp.example', "
			"'*@partner.example'], subject: "
			"'Report * of app %d', contains: ['all is well with app %d', 'nothing to "
			"report'], "
			"matches: "
			"'https://corp\\.example/app%d\\?t=[\\w-]{20,}' }\n"
			"  schedule: { at: '*/5 * * * *', for: 5m, timezone: Europe/Berlin }\n"
			"  limits: { messages: 1000000/1h, bytes: 100GiB/1d }\n",
			i, i, i % 50, i, i % 100, i, i, i, i);
	fclose(file);
	config = config_load(path, NULL, error);
	if (!config)
		fprintf(stderr, "%s\n", error);
	unlink(path);
	return config;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

struct message {
	struct facts facts;
	struct span recipients[3];
	char executable[64], user[16], unit[32], sender[48], subject[48], content[4096];
};

static void make(struct message *message, int number)
{
	int app = number * 7919 % EXCLUSIONS, kind = number % 3;
	struct facts *facts = &message->facts;
	size_t len;

	snprintf(message->executable, sizeof(message->executable),
		 kind == 2 ? "/tmp/app%d/x" : "/opt/app%d/bin/mail", app);
	snprintf(message->user, sizeof(message->user), "user%d", kind == 2 ? 99 : app % 50);
	snprintf(message->unit, sizeof(message->unit), "app%d.service", app);
	snprintf(message->sender, sizeof(message->sender), "report%d@corp.example", app);
	snprintf(message->subject, sizeof(message->subject), "Report %d of app %d", number, app);
	len = 0;
	while (len + 300 < sizeof(message->content))
		len += (size_t)snprintf(message->content + len, 100,
					"A line of a report, with numbers: %d\n", number);
	len += (size_t)snprintf(message->content + len, 250,
				"All is well with app %d. "
				"https://corp.example/app%d?t=abcdefghijklmnopqrstuvwxyz\n",
				app, app);
	message->recipients[0] = span_of("a@corp.example");
	message->recipients[1] = span_of("b@partner.example");
	message->recipients[2] = span_of(kind == 1 ? "box@evil.example" : "c@corp.example");
	*facts = (struct facts){
		.start_s = 1795500000 + number,
		.end_s = 1795500001 + number,
		.clock_ns = 1000000000ULL * (uint64_t)number,
		.processes[0] = {.executable = span_of(message->executable),
				 .user = span_of(message->user),
				 .unit = span_of(message->unit),
				 .container = span_of(""),
				 .same_user = IS_SO,
				 .tty = NOT_SO,
				 .own_namespaces = IS_SO,
				 .scheduler = SCHEDULER_NONE,
				 .mta = NOT_SO},
		.process_count = 1,
		.processes_complete = IS_SO,
		.whole = IS_SO,
		.tls = NOT_SO,
		.relay = {[10] = 0xff,
			  [11] = 0xff,
			  [12] = 10,
			  [13] = (uint8_t)(app % 100),
			  [15] = 1},
		.relay_port = 25,
		.auth_user = span_of(""),
		.sender = span_of(message->sender),
		.recipients = message->recipients,
		.recipient_count = 3,
		.recipients_known = true,
		.header_known = true,
		.subject = span_of(message->subject),
		.content = {message->content, len},
		.content_complete = true,
		.bytes = 5000,
		.bytes_known = true,
	};
}

int main(void)
{
	struct config *config = configuration();
	struct decider *decider = config ? config_decider(config) : NULL;
	uint64_t spent_ns[3] = {0}, counts[3] = {0}, excluded = 0, nearest = 0;
	static struct message message;

	if (!decider)
		return 1;
	for (int i = 0; i < MESSAGES; i++) {
		struct decision decision;
		uint64_t start_ns;

		make(&message, i);
		start_ns = cpu_ns();
		decide(decider, &message.facts, NULL, true, &decision);
		spent_ns[i % 3] += cpu_ns() - start_ns;
		counts[i % 3]++;
		excluded += decision.excluded != NULL;
		nearest += decision.nearest &&
			   decision.failed.bits == CRITERION_BIT(CRITERION_RECIPIENTS);
	}
	printf("%d messages, %d exclusions: %llu excluded, %llu with one recipient too many\n",
	       MESSAGES, EXCLUSIONS, (unsigned long long)excluded, (unsigned long long)nearest);
	for (int i = 0; i < 3; i++)
		printf("%-28s %8.1f microseconds of CPU a message\n",
		       i == 0	? "excluded"
		       : i == 1 ? "all but one criterion met"
				: "no exclusion matches",
		       (double)spent_ns[i] / 1000.0 / (double)counts[i]);
	decider_free(decider);
	return excluded == (MESSAGES + 2) / 3 && nearest == (MESSAGES + 1) / 3 ? 0 : 1;
}
