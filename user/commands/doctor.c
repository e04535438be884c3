/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command doctor: tries each family of hooks by itself, says which one a watch would use and
 * what it cannot see, then watches for real while one child sends a mail to another over loopback.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/doctor.h"
#include "watch/live.h"
#include "base/report.h"

#define SELF_TEST_NS 5000000000ULL

struct self_test {
	int listener;
	uint16_t port;
	char sender[64]; /* the reverse-path to look for */
	pid_t server, client;
	bool caught;
	bool right; /* with the right process and outcome */
};

/* ---- A mail over loopback -------------------------------------------------------------------- */

/* Answers each line as an SMTP server would, until QUIT. */
static void serve(int listener)
{
	char line[512];
	FILE *in, *out;
	int connection = accept(listener, NULL, NULL);
	bool body = false;

	in = connection < 0 ? NULL : fdopen(connection, "r");
	out = connection < 0 ? NULL : fdopen(dup(connection), "w");
	if (!in || !out)
		_exit(1);
	fprintf(out, "220 localhost ESMTP\r\n");
	fflush(out);
	while (fgets(line, sizeof(line), in)) {
		if (body && strcmp(line, ".\r\n") != 0)
			continue;
		body = !body && strncmp(line, "DATA", 4) == 0;
		fputs(body ? "354 go on\r\n" : "250 ok\r\n", out);
		fflush(out);
		if (strncmp(line, "QUIT", 4) == 0)
			break;
	}
	_exit(0);
}

static void expect_reply(FILE *in)
{
	char line[512];

	if (!fgets(line, sizeof(line), in))
		_exit(1);
}

static void send_mail(const struct self_test *test)
{
	const char *const commands[] = {"EHLO doctor",
					"MAIL FROM:<%s>",
					"RCPT TO:<nobody@localhost>",
					"DATA",
					"Subject: self-test\r\n\r\nNothing to see here.\r\n.",
					"QUIT"};
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons(test->port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	FILE *in, *out;

	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		_exit(1);
	in = fdopen(fd, "r");
	out = fdopen(dup(fd), "w");
	if (!in || !out)
		_exit(1);
	expect_reply(in);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (i == 1)
			fprintf(out, "MAIL FROM:<%s>", test->sender);
		else
			fputs(commands[i], out);
		fputs("\r\n", out);
		fflush(out);
		expect_reply(in);
	}
	_exit(0);
}

/* Capture is on: send the mail. */
static void on_ready(void *context, const struct capture *capture)
{
	struct self_test *test = context;

	(void)capture;
	fflush(stdout);
	test->server = fork();
	if (test->server == 0)
		serve(test->listener);
	test->client = fork();
	if (test->client == 0)
		send_mail(test);
}

static void on_event(void *context, const struct event *event)
{
	struct self_test *test = context;
	struct span from;

	if (event->action != EVENT_MESSAGE)
		return;
	from = smtp_transaction_from(event->transaction);
	if (!span_equal(from, span_of(test->sender)))
		return;
	test->caught = true;
	test->right = event->sender_count == 1 &&
		      event->senders[0]->task.pid == (uint32_t)test->client &&
		      (!event->capture.wire || event->transaction->outcome == SMTP_OUTCOME_SUCCESS);
	live_stop();
}

static int listen_on_loopback(struct self_test *test)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);

	test->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (test->listener < 0 || bind(test->listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(test->listener, 1) ||
	    getsockname(test->listener, (struct sockaddr *)&addr, &len))
		return -errno;
	test->port = ntohs(addr.sin_port);
	return 0;
}

static void on_libraries(void *context, struct libraries *libraries)
{
	(void)context;
	doctor_libraries(libraries);
}

/* ---- A sink that writes nothing -------------------------------------------------------------- */

static int ignore_event(struct sink *sink, const struct event *event)
{
	(void)sink;
	(void)event;
	return 0;
}

static int self_test(const struct options *options)
{
	struct self_test test = {.listener = -1};
	struct sink sink = {.write = ignore_event};
	struct live_options live = {
		.capture = {.hook = options->hook, .wire = options->wire, .tls = options->tls},
		.duration_ns = SELF_TEST_NS,
		.on_event = on_event,
		.on_ready = on_ready,
		.on_libraries = on_libraries,
		.context = &test,
	};
	enum live_end end;
	int error = listen_on_loopback(&test);

	if (error) {
		printf("self-test   not run: cannot listen on loopback: %s\n", strerror(-error));
		return STATUS_FAILED;
	}
	snprintf(test.sender, sizeof(test.sender), "self-test-%d@localhost", getpid());
	if (live_run(&live, &sink, &end, &error))
		return STATUS_FAILED;
	close(test.listener);
	waitpid(test.client, NULL, 0);
	waitpid(test.server, NULL, 0);
	printf("self-test   a mail over loopback: %s\n",
	       !test.caught ? "MISSED"
	       : test.right ? "caught, with the right process and outcome"
			    : "caught, but with the WRONG process or outcome");
	return test.caught && test.right ? STATUS_DONE : STATUS_FAILED;
}

/* ---- What this kernel allows ----------------------------------------------------------------- */

static void print_kernel(void)
{
	struct utsname name;

	if (!uname(&name))
		printf("kernel      %s %s %s\n", name.sysname, name.release, name.machine);
}

/* Tries one family by itself. Returns 0 if it works. */
static int try_hook(enum hook hook, const struct options *given, struct capture_trial *trial)
{
	struct capture_options options = {.hook = hook, .wire = given->wire, .tls = given->tls};
	struct capture *capture = NULL;
	int error = capture_open(&capture, &options, trial->why, NULL, 0, NULL);

	if (!error)
		trial->wire = capture_wire(capture);
	trial->pages = !error && capture_pages(capture);
	trial->tls = !error && capture_tls(capture);
	if (!error && !trial->wire)
		snprintf(trial->why, sizeof(trial->why), "%s", capture_wire_why(capture));
	capture_close(capture);
	trial->error = error;
	return error;
}

/* Prints a line for each family. `chosen` becomes the first that works; its hook is HOOK_COUNT if
 * none does. */
static void print_hooks(const struct options *options, struct capture_trial *chosen)
{
	chosen->hook = HOOK_COUNT;
	for (enum hook hook = HOOK_FENTRY; hook <= HOOK_TRACEPOINT; hook++) {
		struct capture_trial trial = {.hook = hook};

		if (options->hook != HOOK_AUTO && options->hook != hook)
			continue;
		try_hook(hook, options, &trial);
		if (!trial.error && chosen->hook == HOOK_COUNT)
			*chosen = trial;
		printf("%-12s%-12s%-5s%s\n",
		       hook == HOOK_FENTRY || options->hook == hook ? "send hooks" : "",
		       hook_name(hook), trial.error ? "no" : "yes",
		       trial.error	      ? trial.why
		       : chosen->hook == hook ? "chosen"
					      : "");
	}
}

static const char *tls_state(const struct options *options, const struct capture_trial *chosen)
{
	if (chosen->tls)
		return "yes";
	if (!options->tls)
		return "turned off by --no-tls";
	return chosen->wire ? "no: this kernel cannot probe them" : "no: they need the wire hook";
}

int command_doctor(const struct options *options)
{
	const char *blind[HOOK_BLIND_MAX];
	struct capture_trial chosen = {0};
	int status;

	if (!command_privileged("doctor"))
		return STATUS_FAILED;
	print_kernel();
	print_hooks(options, &chosen);
	if (chosen.hook == HOOK_COUNT && options->hook == HOOK_AUTO && options->wire) {
		struct capture_trial trial = {.hook = HOOK_NONE};

		if (!try_hook(HOOK_NONE, options, &trial))
			chosen = trial;
	}
	if (chosen.hook == HOOK_COUNT) {
		report("doctor",
		       "no family of hooks works on this kernel; the reasons are listed above");
		return STATUS_FAILED;
	}
	printf("wire hook   %s\n", chosen.wire	   ? "yes"
				   : options->wire ? chosen.why
						   : "turned off by --no-wire");
	printf("TLS probes  %s\n", tls_state(options, &chosen));
	hook_blind(blind, chosen.hook, chosen.wire, chosen.pages, chosen.tls);
	for (int i = 0; blind[i]; i++)
		printf("%-12s%s\n", i ? "" : "cannot see", blind[i]);
	status = self_test(options);
	return options->attack && status == STATUS_DONE ? doctor_attack(options, &chosen) : status;
}
