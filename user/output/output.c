/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "output/output.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "output/queue.h"
#include "base/report.h"
#include "output/output_thread.h"

#define FREE_WAIT_NS 500000000ULL /* beyond the time that output_stop() allowed */

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

/* Signals are for the main thread. */
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

/* Whether the path itself is wrong, so that waiting does not help. */
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

/* Opens a file at once, because its path may be wrong. */
static int open_file(struct output *output)
{
	int error =
		output->config.type == OUTPUT_FILE ? output->transport->open(output->transport) : 0;

	if (is_lasting(error))
		return error;
	if (error)
		output_failed(output, error);
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
		output_destroy(output);
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
	/* the thread looks at this by itself: from here on the output may be gone at any time */
	output->stop_ns = clock_ns(CLOCK_MONOTONIC) + limit_ns;
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
		output->abandoned = true; /* its memory is left to it */
		report(output->config.name, "%s: hangs; %llu events could not be written in time",
		       output->place, (unsigned long long)output_unwritten(output));
		pthread_detach(output->thread);
		return false;
	}
	return true;
}

void output_free(struct output *output)
{
	if (!output || !output_wait(output))
		return;
	output_report_unwritten(output);
	output_destroy(output);
}

struct output_stats output_stats(const struct output *output)
{
	struct output_stats stats = {
		.written = output->written,
		.repeated = output->repeated,
		.lost = output->lost,
		.failures = output->failures,
		.waiting = output_unwritten(output),
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
