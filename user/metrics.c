/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the capture loop writes a page once a second, if anybody may read it; libmicrohttpd's thread and the
 * file's thread give out the last one. So a reader costs the loop nothing, and a page is never half of two moments.
 */
#include "metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "report.h"

#ifdef HAVE_LIBMICROHTTPD
#include <microhttpd.h>
#else
struct MHD_Daemon;
#endif

#define FILE_S		15 /* the text file is written this often */
#define CONNECTIONS_MAX 16U
#define TIMEOUT_S	10U

struct metrics {
	pthread_mutex_t lock; /* of the page */
	struct text page;
	struct metrics_config config; /* in force; textfile is owned */
	struct MHD_Daemon *listener;  /* NULL: none */

	/* The text file's thread. */
	pthread_t writer;
	bool writing;
	pthread_mutex_t rest_lock;
	pthread_cond_t rest;
	bool stop;
	bool failed; /* that was told */
	_Atomic uint64_t failures;
};

/* A copy of the page, which the caller frees. */
static struct text page_copy(struct metrics *metrics)
{
	struct text copy = {0};

	pthread_mutex_lock(&metrics->lock);
	text_add(&copy, (struct span){metrics->page.data ? metrics->page.data : "", metrics->page.len});
	pthread_mutex_unlock(&metrics->lock);
	return copy;
}

/* ---- HTTP ------------------------------------------------------------------------------------------- */

#ifdef HAVE_LIBMICROHTTPD

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status, struct text *body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result = MHD_NO;

	if (response) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					status == MHD_HTTP_OK ? "text/plain; version=0.0.4; charset=utf-8"
							      : "text/plain; charset=utf-8");
		result = MHD_queue_response(connection, status, response);
		MHD_destroy_response(response);
	}
	text_free(body);
	return result;
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *connection, const char *url,
				  const char *method, const char *version, const char *upload,
				  size_t *upload_len, void **request)
{
	static int begun;
	struct text body = {0};

	(void)version;
	(void)upload;
	if (!*request) { /* the first call is for the header alone */
		*request = &begun;
		return MHD_YES;
	}
	*upload_len = 0;
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		text_add_string(&body, "GET is wanted\n");
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &body);
	}
	if (strcmp(url, "/metrics") == 0) {
		body = page_copy(context);
		return answer(connection, MHD_HTTP_OK, &body);
	}
	text_add_string(&body, "smtpsnoop: see /metrics\n");
	return answer(connection, MHD_HTTP_NOT_FOUND, &body);
}

static int listen_on(struct metrics *metrics, const struct metrics_config *config,
		     struct MHD_Daemon **listener)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(config->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(config->port)};
	const struct sockaddr *address = config->ipv6 ? (const void *)&v6 : (const void *)&v4;
	sigset_t all, before;

	inet_pton(AF_INET, config->address, &v4.sin_addr);
	inet_pton(AF_INET6, config->address, &v6.sin6_addr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* its thread inherits this */
	errno = 0;
	*listener = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | (config->ipv6 ? MHD_USE_IPv6 : 0),
				     config->port, NULL, NULL, on_request, metrics, MHD_OPTION_SOCK_ADDR,
				     address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				     MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (*listener)
		return 0;
	return errno ? -errno : -EADDRINUSE;
}

static void stop_listening(struct MHD_Daemon *listener)
{
	if (listener)
		MHD_stop_daemon(listener);
}

#else

static int listen_on(struct metrics *metrics, const struct metrics_config *config,
		     struct MHD_Daemon **listener)
{
	(void)metrics;
	(void)config;
	(void)listener;
	return -ENOSYS;
}

static void stop_listening(struct MHD_Daemon *listener)
{
	(void)listener;
}

#endif

/* ---- The text file ---------------------------------------------------------------------------------- */

/* Beside the file first, and then in its place: the node exporter never reads half of one. */
static int write_file(const char *path, struct span page)
{
	char beside[4096];
	int fd, error = 0;

	if (snprintf(beside, sizeof(beside), "%s.tmp", path) >= (int)sizeof(beside))
		return -ENAMETOOLONG;
	if (unlink(beside) && errno != ENOENT)
		return -errno;
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, page.data, page.len) != (ssize_t)page.len)
		error = errno ? -errno : -ENOSPC;
	if (close(fd) && !error)
		error = -errno;
	if (!error && rename(beside, path))
		error = -errno;
	if (error)
		unlink(beside);
	return error;
}

static void write_page(struct metrics *metrics)
{
	struct text page = page_copy(metrics);
	int error = page.len ? write_file(metrics->config.textfile, (struct span){page.data, page.len}) : 0;

	text_free(&page);
	if (error)
		metrics->failures++;
	if (error && !metrics->failed)
		report("metrics.textfile", "%s: %s", metrics->config.textfile, strerror(-error));
	metrics->failed = error;
}

static void *write_pages(void *context)
{
	struct metrics *metrics = context;
	struct timespec until;
	bool stop = false;

	while (!stop) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += FILE_S;
		pthread_mutex_lock(&metrics->rest_lock);
		while (!metrics->stop &&
		       pthread_cond_timedwait(&metrics->rest, &metrics->rest_lock, &until) == 0)
			;
		stop = metrics->stop;
		pthread_mutex_unlock(&metrics->rest_lock);
		write_page(metrics);
	}
	return NULL;
}

static void stop_writing(struct metrics *metrics)
{
	if (!metrics->writing)
		return;
	pthread_mutex_lock(&metrics->rest_lock);
	metrics->stop = true;
	pthread_cond_signal(&metrics->rest);
	pthread_mutex_unlock(&metrics->rest_lock);
	pthread_join(metrics->writer, NULL);
	metrics->writing = metrics->stop = false;
}

static int start_writing(struct metrics *metrics)
{
	sigset_t all, before;
	int error;

	if (!metrics->config.textfile)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&metrics->writer, NULL, write_pages, metrics);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	metrics->writing = !error;
	return -error;
}

/* ---- The whole -------------------------------------------------------------------------------------- */

struct metrics *metrics_new(void)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));
	pthread_condattr_t clock;

	if (!metrics)
		return NULL;
	pthread_mutex_init(&metrics->lock, NULL);
	pthread_mutex_init(&metrics->rest_lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&metrics->rest, &clock);
	pthread_condattr_destroy(&clock);
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	stop_listening(metrics->listener);
	stop_writing(metrics);
	free(metrics->config.textfile);
	text_free(&metrics->page);
	free(metrics);
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int metrics_configure(struct metrics *metrics, const struct metrics_config *config, char why[METRICS_WHY_MAX])
{
	bool same_file = same_text(config->textfile, metrics->config.textfile),
	     same_place = config->port == metrics->config.port &&
			  strcmp(config->address, metrics->config.address) == 0;
	char *textfile = config->textfile ? strdup(config->textfile) : NULL;
	struct MHD_Daemon *listener = NULL;
	int error = config->textfile && !textfile ? -ENOMEM : 0;

	if (!error && !same_place && config->port)
		error = listen_on(metrics, config, &listener);
	if (error) {
		snprintf(why, METRICS_WHY_MAX, "metrics.listen: %s port %u: %s", config->address,
			 config->port,
			 error == -ENOSYS ? "this build has no libmicrohttpd: use metrics.textfile"
					  : strerror(-error));
		free(textfile);
		return error;
	}
	if (!same_place) {
		stop_listening(metrics->listener);
		metrics->listener = listener;
	}
	if (!same_file)
		stop_writing(metrics);
	if (same_file) {
		free(textfile);
		textfile = metrics->config.textfile; /* its thread reads it */
	} else {
		free(metrics->config.textfile);
	}
	metrics->config = *config;
	metrics->config.textfile = textfile;
	if (!same_file && start_writing(metrics))
		report("metrics.textfile", "%s: no thread for it", config->textfile);
	return 0;
}

bool metrics_wanted(const struct metrics *metrics)
{
	return metrics->listener || metrics->writing;
}

void metrics_publish(struct metrics *metrics, struct span page)
{
	pthread_mutex_lock(&metrics->lock);
	text_clear(&metrics->page);
	text_add(&metrics->page, page);
	pthread_mutex_unlock(&metrics->lock);
}

uint64_t metrics_file_failures(const struct metrics *metrics)
{
	return metrics->failures;
}
