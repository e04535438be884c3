/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: any user of the host may connect. A connection serves one request and may
 * last 10 s in all; sending a byte now and then does not prolong it. When all connections are in
 * use, the oldest is ended: a scraper needs milliseconds, so it finds a place among many users who
 * hold theirs.
 */
#include "daemon/metrics_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

#ifdef HAVE_LIBMICROHTTPD

#include <microhttpd.h>

#define NS_PER_S	1000000000ULL
#define CONNECTIONS_MAX 64U
#define SLOTS		128 /* connections of two listeners, while one replaces the other */
#define CONNECTION_S	10  /* the whole life of a connection */

struct connection {
	bool used, ended;
	int fd; /* owned by libmicrohttpd; valid while the connection is in use */
	uint64_t since_ns;
};

struct http {
	struct board *board;
	pthread_mutex_t lock; /* protects connections */
	struct connection connections[SLOTS];
};

struct http *http_new(struct board *board)
{
	struct http *http = calloc(1, sizeof(*http));

	if (!http)
		return NULL;
	http->board = board;
	pthread_mutex_init(&http->lock, NULL);
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	pthread_mutex_destroy(&http->lock);
	free(http);
}

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
	if (!*request) { /* the first call announces the header only */
		*request = &begun;
		return MHD_YES;
	}
	if (*upload_len) { /* an answer is possible only after the whole upload */
		*upload_len = 0;
		return MHD_YES;
	}
	if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
		text_add_string(&body, "only GET and HEAD are allowed\n");
		return answer(connection, MHD_HTTP_METHOD_NOT_ALLOWED, &body);
	}
	if (strcmp(url, "/metrics") == 0) {
		body = board_page(((struct http *)context)->board);
		if (body.len)
			return answer(connection, MHD_HTTP_OK, &body);
		text_add_string(&body, "no metrics yet; try again in a second\n");
		return answer(connection, MHD_HTTP_SERVICE_UNAVAILABLE, &body);
	}
	text_add_string(&body, "not found; see /metrics\n");
	return answer(connection, MHD_HTTP_NOT_FOUND, &body);
}

/* libmicrohttpd owns the socket: it sees the shutdown and closes it. */
static void end_connection(struct connection *connection)
{
	connection->ended = true;
	shutdown(connection->fd, SHUT_RDWR);
}

/* Ends the oldest connection if CONNECTIONS_MAX are in use. */
static void make_room(struct http *http)
{
	struct connection *oldest = NULL;
	size_t used = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		struct connection *connection = &http->connections[i];

		used += connection->used;
		if (connection->used && !connection->ended &&
		    (!oldest || connection->since_ns < oldest->since_ns))
			oldest = connection;
	}
	if (used >= CONNECTIONS_MAX && oldest)
		end_connection(oldest);
}

static void begin_connection(struct http *http, int fd, void **slot)
{
	struct connection *connection = NULL;

	for (size_t i = 0; i < SLOTS && !connection; i++) {
		if (!http->connections[i].used)
			connection = &http->connections[i];
	}
	*slot = connection;
	if (connection)
		*connection = (struct connection){.used = true,
						  .fd = fd,
						  .since_ns = clock_ns(CLOCK_MONOTONIC)};
	else
		shutdown(fd, SHUT_RDWR);
	make_room(http);
}

/* libmicrohttpd closes the socket after it has notified the end of the connection. */
static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
			  enum MHD_ConnectionNotificationCode what)
{
	const union MHD_ConnectionInfo *info =
		MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	struct http *http = context;

	pthread_mutex_lock(&http->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED && info)
		begin_connection(http, info->connect_fd, slot);
	else if (what == MHD_CONNECTION_NOTIFY_CLOSED && *slot)
		((struct connection *)*slot)->used = false;
	pthread_mutex_unlock(&http->lock);
}

void http_end_old(struct http *http)
{
	uint64_t now_ns;

	pthread_mutex_lock(&http->lock);
	now_ns = clock_ns(CLOCK_MONOTONIC); /* taken under the lock: no connection began later */
	for (size_t i = 0; i < SLOTS; i++) {
		struct connection *connection = &http->connections[i];

		if (connection->used && !connection->ended &&
		    now_ns - connection->since_ns > CONNECTION_S * NS_PER_S)
			end_connection(connection);
	}
	pthread_mutex_unlock(&http->lock);
}

int http_listen(struct http *http, const struct metrics_config *config,
		struct MHD_Daemon **listener)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(config->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(config->port)};
	const struct sockaddr *address = config->ipv6 ? (const void *)&v6 : (const void *)&v4;
	sigset_t all, before;

	inet_pton(AF_INET, config->address, &v4.sin_addr);
	inet_pton(AF_INET6, config->address, &v6.sin6_addr);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* the new thread inherits the mask */
	errno = 0;
	*listener =
		MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD | (config->ipv6 ? MHD_USE_IPv6 : 0),
				 config->port, NULL, NULL, on_request, http, MHD_OPTION_SOCK_ADDR,
				 address, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
				 MHD_OPTION_CONNECTION_TIMEOUT, (unsigned int)CONNECTION_S,
				 MHD_OPTION_NOTIFY_CONNECTION, on_connection, http, MHD_OPTION_END);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (*listener)
		return 0;
	return errno ? -errno : -EADDRINUSE;
}

void http_stop(struct MHD_Daemon *listener)
{
	if (listener)
		MHD_stop_daemon(listener);
}

#else

struct http {
	struct board *board;
};

struct http *http_new(struct board *board)
{
	struct http *http = calloc(1, sizeof(*http));

	if (http)
		http->board = board;
	return http;
}

void http_free(struct http *http)
{
	free(http);
}

void http_end_old(struct http *http)
{
	(void)http;
}

int http_listen(struct http *http, const struct metrics_config *config,
		struct MHD_Daemon **listener)
{
	(void)http;
	(void)config;
	(void)listener;
	return -ENOSYS;
}

void http_stop(struct MHD_Daemon *listener)
{
	(void)listener;
}

#endif
