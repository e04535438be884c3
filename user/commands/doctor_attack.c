/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * doctor --attack: tries every known way in which bytes of a process can reach a TCP peer, on this
 * host, while a watch runs.
 *
 * A child runs them one after the other (attack.h), over loopback and in its own namespaces. Each
 * brings one mail, with an address of its own, to a server that belongs to the test. Then the
 * watch's report about that address is compared with what was done: one message, with its complete
 * envelope, from the process that sent it.
 *
 * docs/coverage.md is the table of expected results, class by class and family by family. A class
 * that is expected to be missed is reported as such; only an unexpected result fails the command.
 */
#include "attack/attack.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "commands/commands.h"
#include "commands/doctor.h"
#include "watch/live.h"
#include "base/report.h"

/* From the last mail to the end of the watch: longer than any event takes. */
#define SETTLE_NS   2500000000L
#define DURATION_NS 240000000000ULL
#define ATTACKS_MAX 96U
#define DOMAIN	    "attack.localhost"

/* The result of one attack, in memory shared with the child that runs it. */
struct trial {
	struct attack_shared shared;
	enum attack_status status;
	bool made;
	bool again; /* the result was not expected; it is tried a second time */
	/* what the watch saw */
	uint32_t messages;
	bool encrypted; /* as a session under TLS whose text was not read */
	bool whole, has_process, by_right_process, on_right_connection, complete;
};

struct attacks_run {
	struct trial *trials; /* shared */
	struct attack_server server;
	int older_fd; /* a connection that existed before the watch */
	pid_t conductor;
	const struct capture_trial *chosen;
};

/* ---- Making them ----------------------------------------------------------------------------- */

/*
 * Runs in a child, and ends it. The addresses contain the parent's pid, so that two of these can
 * run at once.
 */
static void conduct(const struct attacks_run *run, const char *sender_suffix)
{
	const struct timespec settle = {SETTLE_NS / 1000000000L, SETTLE_NS % 1000000000L};
	struct attack_target target = {.server = run->server, .older_fd = run->older_fd};
	struct trial *trials = run->trials;
	pid_t parent = getppid();

	for (size_t i = 0; i < attack_count; i++) {
		if (trials[i].made && !trials[i].again)
			continue;
		target.shared = &trials[i].shared;
		snprintf(target.sender, sizeof(target.sender), "s%zu-%s", i, sender_suffix);
		snprintf(target.recipient, sizeof(target.recipient), "r%zu-%s", i, sender_suffix);
		trials[i].status = attack_run(&attacks[i], &target);
		trials[i].made = true;
	}
	nanosleep(&settle, NULL);
	kill(parent, SIGTERM);
	_exit(0);
}

static void on_ready(void *context, const struct capture *capture)
{
	struct attacks_run *run = context;
	char suffix[32];

	(void)capture;
	fflush(stdout);
	snprintf(suffix, sizeof(suffix), "%d@" DOMAIN, getpid());
	run->conductor = fork();
	if (run->conductor == 0)
		conduct(run, suffix);
	close(run->older_fd); /* now it belongs to the attack alone */
	run->older_fd = -1;
}

/* ---- What the watch saw ---------------------------------------------------------------------- */

/* The attack that an address belongs to; attack_count: none of ours. */
static size_t attack_of(struct span from, char kind)
{
	char text[64], *end;
	size_t number;

	if (from.len == 0 || from.len >= sizeof(text) || from.data[0] != kind)
		return attack_count;
	memcpy(text, from.data, from.len);
	text[from.len] = '\0';
	number = strtoul(text + 1, &end, 10);
	if (*end != '-' || strtol(end + 1, &end, 10) != getpid() || strcmp(end, "@" DOMAIN) != 0)
		return attack_count;
	return number < attack_count ? number : attack_count;
}

static bool sent_by(const struct event *event, pid_t pid)
{
	for (uint32_t i = 0; i < event->sender_count; i++) {
		if (event->senders[i]->task.pid == (uint32_t)pid)
			return true;
	}
	return false;
}

/* The attack that an event reports; attack_count: none. */
static size_t attack_of_event(const struct attacks_run *run, const struct event *event)
{
	size_t number = 0;

	if (event->transaction)
		return attack_of(smtp_transaction_from(event->transaction), 's');
	if (event->action == EVENT_ENCRYPTED) {
		while (number < attack_count &&
		       !sent_by(event, run->trials[number].shared.sender_pid))
			number++;
		return number;
	}
	if (!event_commands_carry_data(event))
		return attack_count;
	while (number < attack_count && strcmp(attacks[number].name, ATTACK_CHANNEL) != 0)
		number++;
	return number;
}

static void on_event(void *context, const struct event *event)
{
	const struct attacks_run *run = context;
	const struct smtp_transaction *transaction = event->transaction;
	struct trial *trial;
	size_t number;

	number = event->provisional ? attack_count : attack_of_event(run, event);
	if (number == attack_count)
		return;
	trial = &run->trials[number];
	if (event->action == EVENT_ENCRYPTED) {
		trial->encrypted = true;
		return;
	}
	trial->messages++;
	trial->whole = !transaction ||
		       (transaction->recipient_count == 1 &&
			attack_of(smtp_transaction_recipient(transaction, 0), 'r') == number);
	trial->complete = event->capture.complete || event->capture.witness == WITNESS_DIFFER;
	trial->has_process = event->sender_count;
	trial->by_right_process = sent_by(event, trial->shared.sender_pid);
	trial->on_right_connection =
		!trial->shared.source_port || event->source.port == trial->shared.source_port;
}

static int ignore_event(struct sink *sink, const struct event *event)
{
	(void)sink;
	(void)event;
	return 0;
}

/* ---- What is expected, and what is said ------------------------------------------------------ */

enum seen { SEEN, PARTLY, MISSED, WRONG };

static const char *const seen_names[] = {"caught", "partly", "MISSED", "WRONG"};

/* The result, and in `why` what was wrong with it. */
static enum seen trial_seen(const struct trial *trial, const char **why)
{
	*why = "";
	if (!trial->messages) {
		*why = trial->encrypted ? "a session under TLS, without its text" : "";
		return trial->encrypted ? PARTLY : MISSED;
	}
	if (trial->has_process && !trial->by_right_process)
		*why = "another process is named";
	else if (!trial->on_right_connection)
		*why = "another connection is named";
	if (**why)
		return WRONG;
	if (trial->messages > 1)
		*why = "reported more than once";
	else if (!trial->whole)
		*why = "its envelope is incomplete";
	else if (!trial->by_right_process)
		*why = "no process is named";
	else if (!trial->complete)
		*why = "some bytes were not seen, as the event says";
	return **why ? PARTLY : SEEN;
}

/*
 * The classes that are not seen completely, as in docs/coverage.md; all others are seen by every
 * family. `alone`: without the wire hook. `pages`: at the send they can be read only if this kernel
 * reveals where its pages are.
 */
static const struct gap {
	const char *name;
	enum seen with_wire, alone;
	bool pages;
} gaps[] = {
	{"sendfile", SEEN, MISSED, true},
	{"splice-pipe", SEEN, MISSED, true},
	{"splice-file", SEEN, MISSED, true},
	{"vmsplice", SEEN, MISSED, true},
	{"tee", SEEN, MISSED, true},
	{"uring-fixed", SEEN, MISSED, true},
	{"uring-zerocopy-fixed", SEEN, MISSED, true},
	{"uring-splice", SEEN, MISSED, true},
	{"ktls-sendfile", MISSED, MISSED, true},
	{"unmapped", SEEN, PARTLY, false},
	{"encapsulated", PARTLY, SEEN, false},
	{"pieces", SEEN, MISSED, false},
	{"fake-tls", SEEN, MISSED, false},
	{"greeting-pieces", SEEN, MISSED, false},
	{"greeting-blank", SEEN, MISSED, false},
	{"early", SEEN, MISSED, false},
	{"repair", SEEN, MISSED, false},
	{"changed-later", MISSED, MISSED, false},
	{"raw-socket", PARTLY, MISSED, false},
	{"packet-socket", MISSED, MISSED, false},
	{ATTACK_CHANNEL, SEEN, MISSED, false},
	{"tls-server-object", PARTLY, MISSED, false},
	{"tls-forged-object", PARTLY, MISSED, false},
	{"tls-forged-symbols", MISSED, MISSED, false},
};

/* Under TLS, without the probes in TLS libraries: what began in clear is known to be mail. */
static enum seen expected_unprobed(const char *name, const struct capture_trial *chosen)
{
	return chosen->wire && strcmp(name, "tls-smtps") != 0 ? PARTLY : MISSED;
}

static enum seen trial_expected(const char *name, const struct attacks_run *run)
{
	const struct capture_trial *chosen = run->chosen;
	bool tracepoint = chosen->hook == HOOK_TRACEPOINT;

	if (strncmp(name, "tls-", 4) == 0 && !chosen->tls)
		return expected_unprobed(name, chosen);

	if (tracepoint && (strcmp(name, "ktls") == 0 || strcmp(name, "ktls-sendfile") == 0))
		return MISSED;
	if (tracepoint && !chosen->wire && strcmp(name, "mptcp") == 0)
		return MISSED;
	if (!chosen->wire && chosen->hook == HOOK_KPROBE && strcmp(name, "blocked") == 0)
		return MISSED;
	for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
		if (strcmp(gaps[i].name, name) == 0 && !(gaps[i].pages && chosen->pages))
			return chosen->wire ? gaps[i].with_wire : gaps[i].alone;
	}
	return SEEN;
}

static bool trial_could_be_tried(const struct trial *trial)
{
	return trial->made && trial->status != ATTACK_UNAVAILABLE;
}

/* Whether the result is expected, or the attack cannot be tried here. */
static bool trial_good(const struct attack *attack, const struct trial *trial,
		       const struct attacks_run *run)
{
	const char *why;

	if (!trial_could_be_tried(trial))
		return trial->made;
	return trial_seen(trial, &why) <= trial_expected(attack->name, run);
}

static void trial_print(const struct attack *attack, const struct trial *trial,
			const struct attacks_run *run)
{
	enum seen seen;
	const char *why;

	printf("%-22s %-52.52s ", attack->name, attack->title);
	seen = trial_seen(trial, &why);
	if (!trial_could_be_tried(trial))
		printf("not possible here: %.128s",
		       trial->made ? trial->shared.why : "the test ended before it was tried");
	else if (trial->status == ATTACK_FAILED && seen == MISSED)
		printf("FAILED: %.128s", trial->shared.why);
	else
		printf("%s%s%s%s", seen_names[seen], *why ? ": " : "", why,
		       seen != SEEN && seen <= trial_expected(attack->name, run)
			       ? " (expected: docs/coverage.md)"
			       : "");
	printf("%s\n", trial->again ? ", at the second attempt" : "");
}

/*
 * One watch, in which every new attack, and every one to be repeated, is tried. Returns 0, or a
 * negative errno (reported).
 */
static int attacks_round(struct attacks_run *run, const struct options *options)
{
	struct sink sink = {.write = ignore_event};
	struct live_options live = {
		.capture = {.hook = options->hook, .wire = options->wire, .tls = options->tls},
		.duration_ns = DURATION_NS,
		.on_event = on_event,
		.on_ready = on_ready,
		.context = run,
	};
	enum live_end end;
	int output_error = 0, error;

	run->conductor = 0;
	error = attack_serve(&run->server);
	if (error) {
		report("doctor --attack", "cannot start a server on loopback: %s",
		       strerror(-error));
		return error;
	}
	run->older_fd = attack_connect_greeted(&run->server);
	error = live_run(&live, &sink, &end, &output_error);
	if (run->older_fd >= 0)
		close(run->older_fd);
	if (run->conductor > 0) {
		kill(run->conductor, SIGKILL);
		waitpid(run->conductor, NULL, 0);
	}
	kill(run->server.pid, SIGKILL);
	waitpid(run->server.pid, NULL, 0);
	return error;
}

/*
 * Marks unexpected results. A kernel under load may skip a run of a program (counted as
 * missed_runs), and with it one send: such a loss does not happen twice.
 */
static bool mark_again(struct attacks_run *run)
{
	bool any = false;

	for (size_t i = 0; i < attack_count; i++) {
		struct trial *trial = &run->trials[i];

		if (!trial->made || trial_good(&attacks[i], trial, run))
			continue;
		*trial = (struct trial){.made = true, .again = true};
		any = true;
	}
	return any;
}

int doctor_attack(const struct options *options, const struct capture_trial *chosen)
{
	struct attacks_run run = {.chosen = chosen};
	const size_t size = ATTACKS_MAX * sizeof(*run.trials);
	size_t tried = 0, good = 0;
	int error;

	run.trials = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (run.trials == MAP_FAILED || attack_count > ATTACKS_MAX) {
		report("doctor --attack", "cannot start: %s", strerror(ENOMEM));
		return STATUS_FAILED;
	}
	error = attacks_round(&run, options);
	if (!error && mark_again(&run))
		error = attacks_round(&run, options);
	for (size_t i = 0; !error && i < attack_count; i++) {
		trial_print(&attacks[i], &run.trials[i], &run);
		tried += trial_could_be_tried(&run.trials[i]) || !run.trials[i].made;
		good += trial_could_be_tried(&run.trials[i]) &&
			trial_good(&attacks[i], &run.trials[i], &run);
	}
	printf("%zu of %zu as docs/coverage.md lists them", good, tried);
	if (tried < attack_count && !error)
		printf("; %zu not possible here", attack_count - tried);
	printf("\n");
	munmap(run.trials, size);
	return !error && good == tried ? STATUS_DONE : STATUS_FAILED;
}
