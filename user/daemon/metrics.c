/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: once a second the capture loop publishes a page to the board, if there is a
 * listener or a text file. The threads of libmicrohttpd (metrics_http.c) and of the text file
 * (metrics_file.c) give out the last page. So a reader costs the loop nothing, and a page never
 * mixes two moments.
 */
#include "daemon/metrics.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/report.h"
#include "daemon/metrics_board.h"
#include "daemon/metrics_file.h"
#include "daemon/metrics_http.h"

#define NS_PER_S 1000000000ULL
#define RETRY_S	 10 /* interval between attempts to start what is missing */

struct metrics {
	struct board *board;
	struct http *http;
	struct metrics_config place; /* the address and port to listen at; textfile is unused */
	struct MHD_Daemon *listener; /* NULL if nothing listens */
	struct writer *writer;	     /* NULL if there is no text file */
	uint64_t retry_ns;	     /* CLOCK_MONOTONIC: no attempt before */
	bool told;		     /* a missing listener or file was reported */
};

struct metrics *metrics_new(void)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->board = board_new();
	metrics->http = metrics->board ? http_new(metrics->board) : NULL;
	if (metrics->http)
		return metrics;
	if (metrics->board)
		board_leave(metrics->board);
	free(metrics);
	return NULL;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	writer_stop(metrics->writer);
	http_stop(metrics->listener);
	http_free(metrics->http);
	board_wait(metrics->board);
	board_leave(metrics->board);
	free(metrics);
}

static bool same_place(const struct metrics_config *a, const struct metrics_config *b)
{
	return a->port == b->port && strcmp(a->address, b->address) == 0;
}

static bool same_path(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_file(const struct metrics *metrics, const struct metrics_config *config)
{
	return same_path(config->textfile, metrics->writer ? writer_path(metrics->writer) : NULL);
}

/* Replaces the listener. `listener` may be NULL. */
static void take_place(struct metrics *metrics, const struct metrics_config *config,
		       struct MHD_Daemon *listener)
{
	http_stop(metrics->listener);
	metrics->listener = listener;
	metrics->place = *config;
	metrics->place.textfile = NULL;
	metrics->retry_ns = 0;
	metrics->told = false;
}

/* Replaces the file's thread. `writer` may be NULL. */
static void take_file(struct metrics *metrics, struct writer *writer)
{
	writer_stop(metrics->writer);
	metrics->writer = writer;
}

static const char *listen_why(int error)
{
	return error == -ENOSYS ? "this build has no libmicrohttpd; use metrics.textfile"
				: strerror(-error);
}

int metrics_prepare(struct metrics *metrics, const struct metrics_config *old,
		    const struct metrics_config *config, struct metrics_started *started,
		    char why[METRICS_WHY_MAX])
{
	int error = 0;

	*started = (struct metrics_started){.listener = NULL};
	if (!same_place(old, config) && config->port)
		error = http_listen(metrics->http, config, &started->listener);
	if (error) {
		snprintf(why, METRICS_WHY_MAX, "metrics.listen: %s port %u: %s", config->address,
			 config->port, listen_why(error));
		return error;
	}
	if (!same_path(old->textfile, config->textfile) && config->textfile)
		error = writer_start(&started->writer, metrics->board, config->textfile);
	if (error) {
		snprintf(why, METRICS_WHY_MAX, "metrics.textfile: cannot start its thread: %s",
			 strerror(-error));
		metrics_drop(started);
	}
	return error;
}

void metrics_drop(const struct metrics_started *started)
{
	writer_stop(started->writer);
	http_stop(started->listener);
}

void metrics_take(struct metrics *metrics, const struct metrics_config *config,
		  const struct metrics_started *started)
{
	if (started->listener || !same_place(&metrics->place, config))
		take_place(metrics, config, started->listener);
	if (started->writer || !same_file(metrics, config))
		take_file(metrics, started->writer);
}

/* Starts the file's thread if the configuration names another file. */
static int retry_file(struct metrics *metrics, const struct metrics_config *config)
{
	struct writer *writer = NULL;
	int error = 0;

	if (same_file(metrics, config))
		return 0;
	if (config->textfile)
		error = writer_start(&writer, metrics->board, config->textfile);
	if (!error)
		take_file(metrics, writer);
	else if (!metrics->told)
		report("metrics.textfile", "%s: cannot start its thread: %s", config->textfile,
		       strerror(-error));
	return error;
}

static int retry_listener(struct metrics *metrics, const struct metrics_config *config)
{
	int error = 0;

	if (!config->port || metrics->listener)
		return 0;
	error = http_listen(metrics->http, config, &metrics->listener);
	if (error && !metrics->told)
		report("metrics.listen", "%s port %u: %s; retrying every %d s", config->address,
		       config->port, listen_why(error), RETRY_S);
	else if (!error && metrics->told)
		report("metrics.listen", "%s port %u: listening now", config->address,
		       config->port);
	return error;
}

bool metrics_retry(struct metrics *metrics, const struct metrics_config *config)
{
	int file_error, listen_error;

	if (!same_place(&metrics->place, config))
		take_place(metrics, config, NULL);
	if (same_file(metrics, config) && (metrics->listener || !config->port))
		return true;
	if (clock_ns(CLOCK_MONOTONIC) < metrics->retry_ns)
		return false;
	file_error = retry_file(metrics, config);
	listen_error = retry_listener(metrics, config);
	metrics->told = file_error || listen_error;
	metrics->retry_ns = metrics->told ? clock_ns(CLOCK_MONOTONIC) + RETRY_S * NS_PER_S : 0;
	return !metrics->told;
}

bool metrics_wanted(const struct metrics *metrics)
{
	return metrics->listener || metrics->writer;
}

void metrics_publish(struct metrics *metrics, struct span page)
{
	board_publish(metrics->board, page);
	http_end_old(metrics->http);
}

uint64_t metrics_file_failures(const struct metrics *metrics)
{
	return board_failures(metrics->board);
}
