/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Requests over HTTPS, one after the other: each on a new connection with a full handshake, or all
 * on one. The server's processor time is what counts; this program's does not.
 *
 * https PORT new|keep REQUESTS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>
#include <openssl/ssl.h>

#define BODY_LEN 1024 /* of the page */

static void fail(const char *what)
{
	fprintf(stderr, "https: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

static SSL *session_open(SSL_CTX *context, int port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
				   .sin_port = htons((in_port_t)port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;
	SSL *session = SSL_new(context);

	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		fail("cannot connect");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (!session || !SSL_set_fd(session, fd) || SSL_connect(session) != 1)
		fail("the handshake failed");
	return session;
}

static void session_close(SSL *session)
{
	int fd = SSL_get_fd(session);

	SSL_shutdown(session);
	SSL_free(session);
	close(fd);
}

static bool is_whole(char *answer, int len)
{
	const char *end;

	answer[len] = 0;
	end = strstr(answer, "\r\n\r\n");
	return end && answer + len - (end + 4) >= BODY_LEN;
}

static void request(SSL *session)
{
	static const char words[] = "GET /page HTTP/1.1\r\nHost: localhost\r\n\r\n";
	char answer[8192];
	int len = 0, got;

	if (SSL_write(session, words, sizeof(words) - 1) <= 0)
		fail("a request failed");
	do {
		got = SSL_read(session, answer + len, (int)sizeof(answer) - 1 - len);
		if (got <= 0)
			fail("an answer did not come");
		len += got;
	} while (!is_whole(answer, len));
	if (strncmp(answer, "HTTP/1.1 200 ", 13))
		fail(answer);
}

int main(int argc, char **argv)
{
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	int port, requests;
	SSL *session;
	bool keep;

	if (argc != 4 || !context)
		fail("usage: https PORT new|keep REQUESTS");
	port = atoi(argv[1]);
	keep = !strcmp(argv[2], "keep");
	requests = atoi(argv[3]);
	session = session_open(context, port);
	for (int i = 0; i < requests; i++) {
		if (i && !keep) {
			session_close(session);
			session = session_open(context, port);
		}
		request(session);
	}
	session_close(session);
	return 0;
}
