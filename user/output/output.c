/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the capture loop adds records to the queue and never waits; a thread of the
 *output's own takes them and hands them to its transport, which may block, fail, or be slow.
 *
 *	queue ──take──▶ waiting ──send──▶ in doubt ──unsure──▶ released
 *			   ▲                  │
 *			   └──────rewind──────┘  the other end went away
 *
 * `waiting` and `in doubt` are the thread's alone; all three count against the queue's bound. After
 *a failure the transport is opened anew after RETRY_NS, again and again. A failure is told when it
 *begins and when it is over, with what it cost.
 */
#include "output/output.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "output/queue.h"
#include "base/report.h"
#include "output/transport.h"

#define RETRY_NS     1000000000ULL
#define IDLE_NS	     1000000000ULL /* looks this often at its file, and at what is in doubt */
#define STOP_LOOK_NS 20000000ULL   /* likewise while it ends */
#define ROOM_WAIT_MS 100
/* Kept to be sent again: more than a receive buffer holds by default */
#define DOUBT_BYTES   (8U << 20)
#define DOUBT_RECORDS 100000U
#define FREE_WAIT_NS  500000000ULL
#define PLACE_MAX     300U

struct output {
	/* of it, the thread knows the name and the place alone: they never change */
	struct output_config config;
	char place[PLACE_MAX]; /* for people */
	struct transport *transport;
	struct queue *queue;
	pthread_t thread;
	bool started;
	uint64_t news; /* bytes that were added since it was last woken; the adder's */
	_Atomic uint64_t written, repeated, lost, failures;
	_Atomic uint64_t doubt_count; /* changed by the thread alone */
	/* when something was written last, or nothing waited (CLOCK_MONOTONIC) */
	_Atomic uint64_t progress_ns;
	_Atomic bool up, reopen, abandoned;
	_Atomic uint64_t stop_ns; /* CLOCK_MONOTONIC; 0: it is not to end */

	/* Set before stop_ns; NULL: somebody waits for the end. */
	struct output_leavers *leavers;
	uint64_t lost_told; /* of `lost`, as it left */

	/* The thread's. */
	struct entry *waiting, **waiting_end;
	struct entry *doubt, **doubt_end;
	uint64_t doubt_bytes;
	uint64_t again; /* of `waiting`, the first ones: were sent before */
	uint64_t retry_ns, reopen_ns, failed_ns;
	uint64_t lost_before, repeated_before; /* the failure under way */
	bool open;
	bool reopen_due; /* it is open, and is to be opened anew */
};

static struct transport *transport_of(const struct output_config *config)
{
	switch (config->type) {
	case OUTPUT_FILE: return transport_file_new(config->path);
	case OUTPUT_STDOUT: return transport_stdout_new();
	case OUTPUT_JOURNALD: return transport_local_new(config->path);
	case OUTPUT_SYSLOG: break;
	}
	return config->transport == SYSLOG_SOCKET ? transport_local_new(config->path)
	       : config->transport == SYSLOG_UDP  ? transport_udp_new(config->host, config->service)
						 : transport_tcp_new(config->host, config->service);
}

/* ---- Telling --------------------------------------------------------------------------------- */

static void name_place(struct output *output)
{
	const struct output_config *config = &output->config;

	if (config->path)
		snprintf(output->place, PLACE_MAX, "%.250s", config->path);
	else if (config->host)
		snprintf(output->place, PLACE_MAX, "%s://%.250s port %s",
			 config->transport == SYSLOG_UDP ? "udp" : "tcp", config->host,
			 config->service);
	else
		snprintf(output->place, PLACE_MAX, "standard output");
}

static const char *why(int error)
{
	return error == -EINVAL	   ? "no regular file"
	       : error == -ENODATA ? "the name cannot be resolved"
				   : strerror(-error);
}

/* True at the beginning of a failure: it is told once. */
static bool failed(struct output *output)
{
	output->failures++;
	output->failed_ns = clock_ns(CLOCK_MONOTONIC);
	if (!output->up || output->abandoned)
		return false;
	output->up = false;
	output->lost_before = output->lost;
	output->repeated_before = output->repeated;
	return true;
}

static void failed_to_write(struct output *output, int error)
{
	if (failed(output))
		report(output->config.name,
		       "%s: %s: events wait in memory, up to the queue's bound", output->place,
		       why(error));
}

static void failed_to_reopen(struct output *output, int error)
{
	if (failed(output))
		report(output->config.name,
		       "%s: %s: it cannot be opened anew, and events go on into what was opened "
		       "before",
		       output->place, why(error));
}

static void worked(struct output *output)
{
	uint64_t lost = output->lost - output->lost_before,
		 repeated = output->repeated + output->again - output->repeated_before;

	if (output->up || output->reopen_due ||
	    clock_ns(CLOCK_MONOTONIC) - output->failed_ns < output->transport->quiet_ns)
		return;
	output->up = true;
	report(output->config.name,
	       "%s: it is written to again; %llu events were dropped, %llu sent again",
	       output->place, (unsigned long long)lost, (unsigned long long)repeated);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Takes the first off a list. */
static struct entry *first_off(struct entry **list, struct entry ***end)
{
	struct entry *first = *list;

	*list = first->next;
	if (!*list)
		*end = list;
	return first;
}

static void append(struct entry ***end, struct entry *entries)
{
	**end = entries;
	while (**end)
		*end = &(**end)->next;
}

static void doubt_release(struct output *output)
{
	struct entry *entry = first_off(&output->doubt, &output->doubt_end);

	output->doubt_count--;
	output->doubt_bytes -= entry->len;
	queue_release(output->queue, entry);
}

/* A small queue is there for what waits. */
static uint64_t doubt_max(const struct output *output)
{
	uint64_t share = queue_limit(output->queue) / 4;

	return share < DOUBT_BYTES ? share : DOUBT_BYTES;
}

/* The first `count` that wait were sent. */
static void sent(struct output *output, int count)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC);

	if (count)
		output->progress_ns = time_ns;
	for (int i = 0; i < count && output->waiting; i++) {
		struct entry *entry = first_off(&output->waiting, &output->waiting_end);

		if (output->again) {
			output->again--;
			output->repeated++;
		} else {
			output->written++;
		}
		if (!output->transport->unsure) {
			queue_release(output->queue, entry);
			continue;
		}
		entry->next = NULL;
		entry->sent_ns = time_ns;
		append(&output->doubt_end, entry);
		output->doubt_count++;
		output->doubt_bytes += entry->len;
		while (output->doubt && (output->doubt_bytes > doubt_max(output) ||
					 output->doubt_count > DOUBT_RECORDS))
			doubt_release(output);
	}
}

/* What is in doubt is to be sent again, before all else. */
static void rewind_doubt(struct output *output)
{
	if (!output->doubt)
		return;
	*output->doubt_end = output->waiting;
	if (!output->waiting)
		output->waiting_end = output->doubt_end;
	output->waiting = output->doubt;
	output->again += output->doubt_count;
	output->doubt = NULL;
	output->doubt_end = &output->doubt;
	output->doubt_count = 0;
	output->doubt_bytes = 0;
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void broken(struct output *output, int error)
{
	failed_to_write(output, error);
	output->retry_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	if (!output->transport->is_broken(output->transport, error))
		return;
	output->open = false;
	rewind_doubt(output);
}

/* What is open stays so until the new one is. */
static void try_open(struct output *output)
{
	int error = output->transport->open(output->transport);

	if (!error) {
		output->open = true;
		output->reopen_due = false;
		return;
	}
	if (output->reopen_due) {
		failed_to_reopen(output, error);
		output->reopen_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	} else {
		failed_to_write(output, error);
		output->retry_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	}
}

/* No transport takes a record of this size: it would stand in the way for ever. */
static void drop_first(struct output *output)
{
	if (output->again)
		output->again--;
	queue_release(output->queue, first_off(&output->waiting, &output->waiting_end));
	output->lost++;
}

static void send_waiting(struct output *output)
{
	struct iovec records[TRANSPORT_BATCH];
	int count = 0, taken;

	for (struct entry *entry = output->waiting; entry && count < TRANSPORT_BATCH;
	     entry = entry->next)
		records[count++] = (struct iovec){.iov_base = entry->data, .iov_len = entry->len};
	taken = output->transport->send(output->transport, records, count);
	output->lost += output->transport->lost;
	output->transport->lost = 0;
	if (taken == -EMSGSIZE) {
		drop_first(output);
	} else if (taken < 0) {
		broken(output, taken);
	} else {
		sent(output, taken);
		if (taken)
			worked(output);
		if (taken < count && output->transport->wait)
			output->transport->wait(output->transport, ROOM_WAIT_MS);
	}
}

static void look_at_doubt(struct output *output)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC);
	int unsure;

	if (!output->open || !output->doubt)
		return;
	unsure = output->transport->unsure(output->transport, output->doubt_count);
	if (unsure < 0) {
		broken(output, unsure);
		return;
	}
	while (output->doubt && output->doubt_count > (uint64_t)unsure &&
	       time_ns - output->doubt->sent_ns >= output->transport->doubt_ns)
		doubt_release(output);
}

static void look_at_place(struct output *output)
{
	const struct transport *transport = output->transport;
	bool asked = atomic_exchange(&output->reopen, false);

	if (!output->open)
		return;
	if (transport->is_gone && transport->is_gone(transport)) {
		output->open = output->reopen_due = false;
		output->retry_ns = 0;
		try_open(output);
		return;
	}
	if (asked || (transport->is_stale && transport->is_stale(transport)))
		output->reopen_due = true;
	if (output->reopen_due && (asked || clock_ns(CLOCK_MONOTONIC) >= output->reopen_ns))
		try_open(output);
}

/* Whether there is something to be sent or connected. */
static bool has_to_try(const struct output *output)
{
	return output->waiting || (!output->open && !output->up);
}

/* How long nothing needs to be done if nothing is added. */
static uint64_t rest_ns(const struct output *output)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC),
		 rest = output->stop_ns ? STOP_LOOK_NS : IDLE_NS;

	if (!has_to_try(output))
		return rest;
	if (output->retry_ns <= time_ns)
		return 0;
	return output->retry_ns - time_ns < rest ? output->retry_ns - time_ns : rest;
}

/* Everything is written, or there is no more time. */
static bool is_over(const struct output *output)
{
	const struct transport *transport = output->transport;

	if (!output->stop_ns || clock_ns(CLOCK_MONOTONIC) >= output->stop_ns)
		return output->stop_ns;
	return !output->waiting && queue_records(output->queue) == output->doubt_count &&
	       (!output->doubt || (output->open && transport->is_settled(transport)));
}

static void try_to_send(struct output *output)
{
	if (!output->open)
		try_open(output);
	if (output->open && output->waiting)
		send_waiting(output);
}

static void destroy(struct output *output)
{
	struct entry **lists[] = {&output->waiting, &output->doubt};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && output->queue; i++) {
		while (*lists[i]) {
			struct entry *next = (*lists[i])->next;

			queue_release(output->queue, *lists[i]);
			*lists[i] = next;
		}
	}
	if (output->transport)
		output->transport->free(output->transport);
	queue_free(output->queue);
	output_config_free(&output->config);
	free(output);
}

/* What was added, and neither written nor sent. */
static uint64_t unwritten(const struct output *output)
{
	uint64_t records = queue_records(output->queue), doubt = output->doubt_count;

	return records > doubt ? records - doubt : 0;
}

static void tell_unwritten(const struct output *output)
{
	uint64_t left = unwritten(output);

	if (left)
		report(output->config.name, "%s: %llu event%s could not be written before the end",
		       output->place, (unsigned long long)left, left == 1 ? "" : "s");
}

static void *output_run(void *context)
{
	struct output *output = context;
	struct output_leavers *leavers;

	while (!is_over(output)) {
		struct entry *taken = queue_take(output->queue, rest_ns(output));

		if (taken)
			append(&output->waiting_end, taken);
		if (!output->waiting)
			output->progress_ns = clock_ns(CLOCK_MONOTONIC);
		look_at_place(output);
		look_at_doubt(output);
		if (has_to_try(output) && clock_ns(CLOCK_MONOTONIC) >= output->retry_ns)
			try_to_send(output);
		if (output->open && !output->waiting)
			worked(output);
	}
	leavers = output->leavers;
	if (!leavers)
		return NULL;
	tell_unwritten(output);
	leavers->lost += output->lost - output->lost_told + unwritten(output);
	destroy(output);
	leavers->count--;
	return NULL;
}

/* ---- The other threads' ---------------------------------------------------------------------- */

/* Signals are the main thread's. */
static int start(struct output *output)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&output->thread, NULL, output_run, output);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	output->started = !error;
	return -error;
}

/* What is wrong with the path itself: waiting does not help. */
static bool is_lasting(int error)
{
	static const int lasting[] = {ENOENT, ENOTDIR,	    EISDIR, EINVAL, EACCES,
				      EPERM,  ENAMETOOLONG, ENXIO,  ELOOP,  ENOMEM};

	for (size_t i = 0; i < sizeof(lasting) / sizeof(lasting[0]); i++) {
		if (error == -lasting[i])
			return true;
	}
	return false;
}

/* A file is opened at once: its path may be wrong. */
static int open_file(struct output *output)
{
	int error =
		output->config.type == OUTPUT_FILE ? output->transport->open(output->transport) : 0;

	if (is_lasting(error))
		return error;
	if (error)
		failed_to_write(output, error);
	output->open = output->config.type == OUTPUT_FILE && !error;
	return 0;
}

int output_new(struct output **result, const struct output_config *config)
{
	struct output *output = calloc(1, sizeof(*output));
	int error = -ENOMEM;

	if (!output)
		return -ENOMEM;
	output->waiting_end = &output->waiting;
	output->doubt_end = &output->doubt;
	output->up = true;
	output->progress_ns = clock_ns(CLOCK_MONOTONIC);
	output->queue = queue_new(config->queue_bytes);
	output->transport = transport_of(config);
	if (output->queue && output->transport && output_config_copy(&output->config, config)) {
		name_place(output);
		error = open_file(output);
	}
	if (!error)
		error = start(output);
	if (error) {
		destroy(output);
		return error;
	}
	*result = output;
	return 0;
}

const struct output_config *output_config_of(const struct output *output)
{
	return &output->config;
}

void output_change(struct output *output, const struct output_config *config)
{
	output->config.format = config->format;
	output->config.protocol = config->protocol;
	output->config.facility = config->facility;
	output->config.alerts_only = config->alerts_only;
	output->config.queue_bytes = config->queue_bytes;
	queue_bound(output->queue, config->queue_bytes);
}

bool output_add(struct output *output, struct span head, struct span body, struct queue_class class,
		bool counted)
{
	if (!queue_add(output->queue, head, body, class)) {
		output->lost += counted;
		return false;
	}
	output->news += head.len + body.len;
	if (output->news > output->config.queue_bytes / 8) /* do not wait for the end of the turn */
		output_wake(output);
	return true;
}

void output_lose(struct output *output)
{
	output->lost++;
}

bool output_has_news(const struct output *output)
{
	return output->news > 0;
}

void output_wake(struct output *output)
{
	output->news = 0;
	queue_wake(output->queue);
}

void output_reopen(struct output *output)
{
	if (output->config.type != OUTPUT_FILE && output->config.transport != SYSLOG_UDP)
		return;
	output->reopen = true;
	queue_wake(output->queue);
}

void output_leave(struct output *output, uint64_t limit_ns, struct output_leavers *leavers)
{
	leavers->count++;
	output->lost_told = output->lost;
	output->leavers = leavers;
	pthread_detach(output->thread);
	output->stop_ns =
		clock_ns(CLOCK_MONOTONIC) +
		limit_ns; /* from here on it may be gone at any time: it looks by itself */
}

void output_stop(struct output *output, uint64_t limit_ns)
{
	output->stop_ns = clock_ns(CLOCK_MONOTONIC) + limit_ns;
	queue_wake(output->queue);
}

bool output_wait(struct output *output)
{
	struct timespec until;
	uint64_t until_ns;

	if (!output->started)
		return !output->abandoned;
	until_ns = output->stop_ns + FREE_WAIT_NS;
	until.tv_sec = (time_t)(until_ns / 1000000000ULL);
	until.tv_nsec = (long)(until_ns % 1000000000ULL);
	output->started = false;
	if (pthread_clockjoin_np(output->thread, NULL, CLOCK_MONOTONIC, &until)) {
		output->abandoned = true; /* what it uses stays */
		report(output->config.name,
		       "%s: it hangs: %llu events could not be written before the end",
		       output->place, (unsigned long long)unwritten(output));
		pthread_detach(output->thread);
		return false;
	}
	return true;
}

void output_free(struct output *output)
{
	if (!output || !output_wait(output))
		return;
	tell_unwritten(output);
	destroy(output);
}

struct output_stats output_stats(const struct output *output)
{
	struct output_stats stats = {
		.written = output->written,
		.repeated = output->repeated,
		.lost = output->lost,
		.failures = output->failures,
		.waiting = unwritten(output),
		.doubt = output->doubt_count,
		.bytes = queue_bytes(output->queue),
		.up = output->up,
	};

	stats.stalled =
		stats.up && stats.waiting &&
		clock_ns(CLOCK_MONOTONIC) - output->progress_ns > OUTPUT_STALL_S * 1000000000ULL;
	stats.up = stats.up && !stats.stalled;
	return stats;
}
