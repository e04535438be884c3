/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the capture loop writes a page once a second, if anybody may read it;
 * libmicrohttpd's thread and the file's thread give out the last one. So a reader costs the loop
 * nothing, and a page is never half of two moments.
 *
 * Any user of the host may connect. A connection is for one request, and has 10 s in all: a byte
 * now and then keeps it no longer. Where all are in use, the oldest goes, so that a reader, who
 * needs milliseconds, finds a place among many who hold theirs.
 *
 * The file's thread can hang in the disk. It has an object of its own, and the page is shared:
 * whoever leaves last frees. To stop it is to tell it; the end waits a second, for the file to be
 * gone.
 */
#include "daemon/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/report.h"

#ifdef HAVE_LIBMICROHTTPD
#include <microhttpd.h>
#else
struct MHD_Daemon;
#endif

#define FILE_S		15 /* the text file is written this often */
#define NS_PER_S	1000000000ULL
#define FIRST_S		1 /* as long as there is no page */
#define CONNECTIONS_MAX 64U
#define SLOTS		128 /* connections of two listeners, while one takes over */
#define CONNECTION_S	10  /* of a connection, from its beginning to its end */
#define RETRY_S		10  /* a listener that there is none of is tried again this often */
#define END_WAIT_S	1   /* for a file's thread that hangs */

/* What the threads give out, and count. */
struct board {
	pthread_mutex_t lock;
	pthread_cond_t left; /* somebody has */
	unsigned int users;
	struct text page;
	uint64_t failures; /* to write a file */
};

/* A text file and its thread; both the thread and who started it hold it. */
struct writer {
	pthread_mutex_t lock;
	pthread_cond_t rest;
	unsigned int users;
	bool stop;
	bool failed; /* that was told */
	struct board *board;
	char path[];
};

struct connection {
	bool used, ended;
	int fd; /* libmicrohttpd's: as long as the connection is in use */
	uint64_t since_ns;
};

struct metrics {
	struct board *board;
	struct metrics_config place; /* to listen at; textfile is not used */
	struct MHD_Daemon *listener; /* NULL: none */
	struct writer *writer;	     /* NULL: none */
	uint64_t retry_ns;
	bool told; /* that there is no listener, or no file */

	pthread_mutex_t connections_lock;
	struct connection connections[SLOTS];
};

static void init_condition(pthread_cond_t *condition)
{
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &clock);
	pthread_condattr_destroy(&clock);
}

/* ---- The board ------------------------------------------------------------------------------- */

static struct board *board_new(void)
{
	struct board *board = calloc(1, sizeof(*board));

	if (!board)
		return NULL;
	pthread_mutex_init(&board->lock, NULL);
	init_condition(&board->left);
	board->users = 1;
	return board;
}

static struct board *board_use(struct board *board)
{
	pthread_mutex_lock(&board->lock);
	board->users++;
	pthread_mutex_unlock(&board->lock);
	return board;
}

static void board_leave(struct board *board)
{
	bool last;

	pthread_mutex_lock(&board->lock);
	last = --board->users == 0;
	pthread_cond_signal(&board->left);
	pthread_mutex_unlock(&board->lock);
	if (!last)
		return;
	pthread_cond_destroy(&board->left);
	pthread_mutex_destroy(&board->lock);
	text_free(&board->page);
	free(board);
}

/* Until the others have left, or a second has passed. */
static void board_wait(struct board *board)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += END_WAIT_S;
	pthread_mutex_lock(&board->lock);
	while (board->users > 1 && pthread_cond_timedwait(&board->left, &board->lock, &until) == 0)
		;
	pthread_mutex_unlock(&board->lock);
}

/* A copy of the page, which the caller frees. */
static struct text page_copy(struct board *board)
{
	struct text copy = {0};

	pthread_mutex_lock(&board->lock);
	text_add(&copy, (struct span){board->page.data ? board->page.data : "", board->page.len});
	pthread_mutex_unlock(&board->lock);
	return copy;
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

#ifdef HAVE_LIBMICROHTTPD

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned int status,
			      struct text *body)
{
	struct MHD_Response *response =
		MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
	enum MHD_Result result = MHD_NO;

	if (response) {
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
		MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
					status == MHD_HTTP_OK
						? "text/plain; version=0.0.4; charset=utf-8"
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
	if (*upload_len) { /* an answer is heard once all was said */
		*upload_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		text_add_string(&body, "GET is wanted\n");
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &body);
	}
	if (strcmp(url, "/metrics") == 0) {
		body = page_copy(((struct metrics *)context)->board);
		if (body.len)
			return answer(connection, MHD_HTTP_OK, &body);
		text_add_string(&body, "not yet: try again in a second\n");
		return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, &body);
	}
	text_add_string(&body, "smtpsnoop: see /metrics\n");
	return answer(connection, MHD_HTTP_NOT_FOUND, &body);
}

/* The socket stays libmicrohttpd's, which sees its end and closes it. */
static void end_connection(struct connection *connection)
{
	connection->ended = true;
	shutdown(connection->fd, SHUT_RDWR);
}

/* Ends the oldest if no more are taken. */
static void make_room(struct metrics *metrics)
{
	struct connection *oldest = NULL;
	size_t used = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		struct connection *connection = &metrics->connections[i];

		used += connection->used;
		if (connection->used && !connection->ended &&
		    (!oldest || connection->since_ns < oldest->since_ns))
			oldest = connection;
	}
	if (used >= CONNECTIONS_MAX && oldest)
		end_connection(oldest);
}

static void begin_connection(struct metrics *metrics, int fd, void **slot)
{
	struct connection *connection = NULL;

	for (size_t i = 0; i < SLOTS && !connection; i++) {
		if (!metrics->connections[i].used)
			connection = &metrics->connections[i];
	}
	*slot = connection;
	if (connection)
		*connection = (struct connection){.used = true,
						  .fd = fd,
						  .since_ns = clock_ns(CLOCK_MONOTONIC)};
	else
		shutdown(fd, SHUT_RDWR);
	make_room(metrics);
}

/* libmicrohttpd closes the socket when it has told that the connection ends. */
static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
			  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct metrics *metrics = context;

	pthread_mutex_lock(&metrics->connections_lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED && info)
		begin_connection(metrics, info->connect_fd, slot);
	else if (what == MHD_CONNECTION_NOTIFY_CLOSED && *slot)
		((struct connection *)*slot)->used = false;
	pthread_mutex_unlock(&metrics->connections_lock);
}

static void end_old_connections(struct metrics *metrics)
{
	uint64_t now_ns;

	pthread_mutex_lock(&metrics->connections_lock);
	now_ns = clock_ns(CLOCK_MONOTONIC); /* not before the beginning of any of them */
	for (size_t i = 0; i < SLOTS; i++) {
		struct connection *connection = &metrics->connections[i];

		if (connection->used && !connection->ended &&
		    now_ns - connection->since_ns > CONNECTION_S * NS_PER_S)
			end_connection(connection);
	}
	pthread_mutex_unlock(&metrics->connections_lock);
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
	*listener =
		MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | (config->ipv6 ? MHD_USE_IPv6 : 0),
				 config->port, NULL, NULL, on_request, metrics,
				 MHD_OPTION_SOCK_ADDR, address, MHD_OPTION_CONNECTION_LIMIT,
				 CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
				 (unsigned int)CONNECTION_S, MHD_OPTION_NOTIFY_CONNECTION,
				 on_connection, metrics, MHD_OPTION_END);
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

static void end_old_connections(struct metrics *metrics)
{
	(void)metrics;
}

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

/* ---- The text file --------------------------------------------------------------------------- */

static bool is_stopped(struct writer *writer)
{
	bool stop;

	pthread_mutex_lock(&writer->lock);
	stop = writer->stop;
	pthread_mutex_unlock(&writer->lock);
	return stop;
}

/* Beside the file first, and then in its place: the node exporter never reads half of one. */
static int write_file(struct writer *writer, struct span page)
{
	const char *path = writer->path;
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
	if (!error && !is_stopped(writer) && rename(beside, path))
		error = -errno;
	if (error || is_stopped(writer))
		unlink(beside);
	return error;
}

/* Whether there was one. */
static bool write_page(struct writer *writer)
{
	struct text page = page_copy(writer->board);
	bool any = page.len;
	int error = any ? write_file(writer, (struct span){page.data, page.len}) : 0;

	text_free(&page);
	if (error) {
		pthread_mutex_lock(&writer->board->lock);
		writer->board->failures++;
		pthread_mutex_unlock(&writer->board->lock);
	}
	if (error && !writer->failed)
		report("metrics.textfile", "%s: %s", writer->path, strerror(-error));
	writer->failed = error;
	return any;
}

/* False: it is to stop. */
static bool rest(struct writer *writer, int seconds)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&writer->lock);
	while (!writer->stop && pthread_cond_timedwait(&writer->rest, &writer->lock, &until) == 0)
		;
	stop = writer->stop;
	pthread_mutex_unlock(&writer->lock);
	return !stop;
}

static void writer_leave(struct writer *writer)
{
	bool last;

	pthread_mutex_lock(&writer->lock);
	last = --writer->users == 0;
	pthread_mutex_unlock(&writer->lock);
	if (!last)
		return;
	pthread_cond_destroy(&writer->rest);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

/* Numbers that no longer hold do not stay behind. */
static void *write_pages(void *context)
{
	struct writer *writer = context;
	struct board *board = writer->board;
	bool any = false;

	while (rest(writer, any ? FILE_S : FIRST_S))
		any = write_page(writer);
	unlink(writer->path);
	writer_leave(writer);
	board_leave(board);
	return NULL;
}

/* Tells it to stop, and waits for nothing: it frees itself. NULL is allowed. */
static void writer_stop(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->rest);
	pthread_mutex_unlock(&writer->lock);
	writer_leave(writer);
}

static int start_thread(struct writer *writer)
{
	pthread_attr_t detached;
	sigset_t all, before;
	pthread_t thread;
	int error;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &detached, write_pages, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&detached);
	return -error;
}

static int writer_start(struct writer **started, struct board *board, const char *path)
{
	struct writer *writer = calloc(1, sizeof(*writer) + strlen(path) + 1);
	int error;

	if (!writer)
		return -ENOMEM;
	pthread_mutex_init(&writer->lock, NULL);
	init_condition(&writer->rest);
	memcpy(writer->path, path, strlen(path) + 1);
	writer->users = 2;
	writer->board = board_use(board);
	error = start_thread(writer);
	if (error) {
		board_leave(board);
		writer->users = 1;
		writer_leave(writer);
		return error;
	}
	*started = writer;
	return 0;
}

/* ---- The whole ------------------------------------------------------------------------------- */

struct metrics *metrics_new(void)
{
	struct metrics *metrics = calloc(1, sizeof(*metrics));

	if (!metrics)
		return NULL;
	metrics->board = board_new();
	if (!metrics->board) {
		free(metrics);
		return NULL;
	}
	pthread_mutex_init(&metrics->connections_lock, NULL);
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (!metrics)
		return;
	writer_stop(metrics->writer);
	stop_listening(metrics->listener);
	board_wait(metrics->board);
	board_leave(metrics->board);
	pthread_mutex_destroy(&metrics->connections_lock);
	free(metrics);
}

static bool same_place(const struct metrics *metrics, const struct metrics_config *config)
{
	return config->port == metrics->place.port &&
	       strcmp(config->address, metrics->place.address) == 0;
}

static bool same_file(const struct metrics *metrics, const struct metrics_config *config)
{
	const char *path = metrics->writer ? metrics->writer->path : NULL;

	return config->textfile && path ? strcmp(config->textfile, path) == 0
					: config->textfile == path;
}

/* `listener` may be NULL. */
static void take_place(struct metrics *metrics, const struct metrics_config *config,
		       struct MHD_Daemon *listener)
{
	stop_listening(metrics->listener);
	metrics->listener = listener;
	metrics->place = *config;
	metrics->place.textfile = NULL;
	metrics->retry_ns = 0;
	metrics->told = false;
}

/* `writer` may be NULL. */
static void take_file(struct metrics *metrics, struct writer *writer)
{
	writer_stop(metrics->writer);
	metrics->writer = writer;
}

static const char *listen_why(int error)
{
	return error == -ENOSYS ? "this build has no libmicrohttpd: use metrics.textfile"
				: strerror(-error);
}

int metrics_configure(struct metrics *metrics, const struct metrics_config *config,
		      char why[METRICS_WHY_MAX])
{
	bool file_stays = same_file(metrics, config), place_stays = same_place(metrics, config);
	struct MHD_Daemon *listener = NULL;
	struct writer *writer = NULL;
	int error = 0;

	if (!place_stays && config->port)
		error = listen_on(metrics, config, &listener);
	if (error) {
		snprintf(why, METRICS_WHY_MAX, "metrics.listen: %s port %u: %s", config->address,
			 config->port, listen_why(error));
		return error;
	}
	if (!file_stays && config->textfile)
		error = writer_start(&writer, metrics->board, config->textfile);
	if (error) {
		snprintf(why, METRICS_WHY_MAX, "metrics.textfile: no thread for it: %s",
			 strerror(-error));
		stop_listening(listener);
		return error;
	}
	if (!place_stays)
		take_place(metrics, config, listener);
	if (!file_stays)
		take_file(metrics, writer);
	return 0;
}

/* The file, if it is another one. */
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
		report("metrics.textfile", "%s: no thread for it: %s", config->textfile,
		       strerror(-error));
	return error;
}

static int retry_listener(struct metrics *metrics, const struct metrics_config *config)
{
	int error = 0;

	if (!config->port || metrics->listener)
		return 0;
	error = listen_on(metrics, config, &metrics->listener);
	if (error && !metrics->told)
		report("metrics.listen", "%s port %u: %s; it is tried again every %d s",
		       config->address, config->port, listen_why(error), RETRY_S);
	else if (!error && metrics->told)
		report("metrics.listen", "%s port %u: served now", config->address, config->port);
	return error;
}

bool metrics_retry(struct metrics *metrics, const struct metrics_config *config)
{
	int file_error, listen_error;

	if (!same_place(metrics, config))
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
	pthread_mutex_lock(&metrics->board->lock);
	text_clear(&metrics->board->page);
	text_add(&metrics->board->page, page);
	pthread_mutex_unlock(&metrics->board->lock);
	end_old_connections(metrics);
}

uint64_t metrics_file_failures(const struct metrics *metrics)
{
	uint64_t failures;

	pthread_mutex_lock(&metrics->board->lock);
	failures = metrics->board->failures;
	pthread_mutex_unlock(&metrics->board->lock);
	return failures;
}
