/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The receiving side of the attacks: one process with a child for each connection, and a few words
 * of SMTP.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attack/attack_session.h"
#include "attack/tls_session.h"

/* One connection waits during the start of the watch and many attacks. */
#define SERVE_LIMIT_S  300
#define FASTOPEN_QUEUE 16
#define BACKLOG	       64
#define LATE_MS	       300
#define ORDINARY       ATTACK_ODD_COUNT /* a server that is not odd */

/* ---- One connection -------------------------------------------------------------------------- */

struct peer {
	int fd;
	enum attack_odd odd;
	bool body;     /* the next lines are of a message */
	bool reversed; /* with STARTTLS, the server becomes TLS's client */
	bool encrypted;
	struct tls_session tls;
	struct libssl library;
};

static void answer_part(struct peer *peer, const char *text, size_t len)
{
	if (peer->encrypted ? tls_send(&peer->tls, text, len)
			    : send(peer->fd, text, len, MSG_NOSIGNAL) < 0)
		_exit(1);
}

static void answer(struct peer *peer, const char *text)
{
	size_t len = strlen(text);

	for (; peer->odd == ATTACK_ODD_PIECES && len > 2; len -= 2, text += 2)
		answer_part(peer, text, 2);
	answer_part(peer, text, len);
}

static void greet(struct peer *peer)
{
	static const char greeting[] = "220 attack.localhost ESMTP\r\n";
	static const char *const before[ATTACK_ODD_COUNT + 1] = {
		[ATTACK_ODD_PROXY] = "HTTP/1.1 200 Connection established\r\n\r\n",
		[ATTACK_ODD_BLANK] = "\r\n",
	};
	char text[128], request[512];
	int yes = 1;

	setsockopt(peer->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	if (peer->odd == ATTACK_ODD_PROXY && recv(peer->fd, request, sizeof(request), 0) <= 0)
		_exit(0);
	if (peer->odd == ATTACK_ODD_LATE)
		poll(NULL, 0, LATE_MS);
	snprintf(text, sizeof(text), "%s%s", before[peer->odd] ? before[peer->odd] : "", greeting);
	answer(peer, text);
}

/* A reply that repeats the client's name, which is a command, at the beginning of a segment. */
static void answer_echo(struct peer *peer)
{
	answer_part(peer, "250 attack.localhost ", 21);
	answer_part(peer, "EHLO attack\r\n", 13);
}

/* TLS begins; see tls_session.h. */
static void encrypt(struct peer *peer)
{
	enum tls_role role = peer->reversed ? TLS_ROLE_CLIENT : TLS_ROLE_SERVER;

	if (!libssl_open(&peer->library, NULL) ||
	    !tls_open(&peer->tls, &peer->library, peer->fd, role, TLS_BY_SOCKET))
		_exit(1);
	peer->encrypted = true;
}

/* The server's reply to a line; NULL: none, because it is a line of the message. */
static const char *reply_to(const char *line, bool *body)
{
	if (*body) {
		if (strcmp(line, ".") != 0)
			return NULL;
		*body = false;
		return "250 2.0.0 taken\r\n";
	}
	if (strncasecmp(line, "DATA", 4) == 0) {
		*body = true;
		return "354 go on\r\n";
	}
	if (strncasecmp(line, "QUIT", 4) == 0)
		return "221 bye\r\n";
	if (strncasecmp(line, "EHLO", 4) == 0 || strncasecmp(line, "MAIL", 4) == 0 ||
	    strncasecmp(line, "RCPT", 4) == 0 || strncasecmp(line, "NOOP", 4) == 0)
		return "250 ok\r\n";
	return "500 what\r\n";
}

static void take_line(struct peer *peer, const char *line)
{
	const char *reply;

	if (!peer->body && !peer->encrypted && strcasecmp(line, "STARTTLS") == 0) {
		answer(peer, "220 go on\r\n");
		encrypt(peer);
		return;
	}
	reply = reply_to(line, &peer->body);
	if (peer->odd == ATTACK_ODD_ECHO && strncasecmp(line, "EHLO", 4) == 0)
		answer_echo(peer);
	else if (reply)
		answer(peer, reply);
}

/* Speaks SMTP as a server until the client leaves. Ends the process. */
_Noreturn static void serve_connection(struct peer *peer)
{
	char buffer[65536], line[1024];
	size_t len = 0;

	alarm(SERVE_LIMIT_S);
	greet(peer);
	for (;;) {
		ssize_t n = peer->encrypted ? tls_recv(&peer->tls, buffer, sizeof(buffer))
					    : recv(peer->fd, buffer, sizeof(buffer), 0);

		if (n <= 0)
			_exit(0);
		for (ssize_t i = 0; i < n; i++) {
			if (buffer[i] != '\n') {
				if (len < sizeof(line) - 1)
					line[len++] = buffer[i];
				continue;
			}
			if (len && line[len - 1] == '\r')
				len--;
			line[len] = '\0';
			len = 0;
			take_line(peer, line);
		}
	}
}

/* The client asks to be called back: "PORT\n". */
_Noreturn static void serve_call(struct peer *peer)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	char text[16] = "";
	int back = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (recv(peer->fd, text, sizeof(text) - 1, 0) <= 0)
		_exit(1);
	addr.sin_port = htons((uint16_t)atoi(text));
	if (back < 0 || connect(back, (struct sockaddr *)&addr, sizeof(addr)))
		_exit(1);
	peer->fd = back;
	serve_connection(peer);
}

/* ---- Listening ------------------------------------------------------------------------------- */

enum {
	LISTEN_TCP,
	LISTEN_IPV6,
	LISTEN_MPTCP,
	LISTEN_SMC,
	LISTEN_KTLS,
	LISTEN_CALL,
	LISTEN_SMTPS,
	LISTEN_ROLES,
	LISTEN_ODD,
	LISTEN_COUNT = LISTEN_ODD + ATTACK_ODD_COUNT
};

/*
 * A listener on a free port of loopback, or of any IPv6 address. -1: the kernel has no such
 * sockets.
 */
static int listen_on(int family, int protocol, uint16_t *port, bool anywhere)
{
	struct sockaddr_in6 loopback6 = {.sin6_family = AF_INET6,
					 .sin6_addr = anywhere ? in6addr_any : in6addr_loopback};
	struct sockaddr_in loopback = {.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	bool ipv6 = family == AF_INET6;
	const void *addr = ipv6 ? (const void *)&loopback6 : (const void *)&loopback;
	socklen_t len = ipv6 ? sizeof(loopback6) : sizeof(loopback);
	struct sockaddr_in6 bound = {};
	socklen_t bound_len = sizeof(bound);
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol), queue = FASTOPEN_QUEUE;

	if (fd < 0)
		return -1;
	if (bind(fd, addr, len) || getsockname(fd, (struct sockaddr *)&bound, &bound_len)) {
		close(fd);
		return -1;
	}
	if (protocol == 0 && family != ATTACK_AF_SMC)
		setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	if (listen(fd, BACKLOG)) {
		close(fd);
		return -1;
	}
	*port = ntohs(bound.sin6_port); /* at the same offset in both families */
	return fd;
}

/* Serves a connection to one of the listeners. */
_Noreturn static void serve_one(int listener, int fd)
{
	struct peer peer = {.fd = fd, .odd = ORDINARY, .reversed = listener == LISTEN_ROLES};

	if (listener >= LISTEN_ODD)
		peer.odd = (enum attack_odd)(listener - LISTEN_ODD);
	if (listener == LISTEN_KTLS && attack_ktls(fd, ATTACK_TLS_RX))
		_exit(1);
	if (listener == LISTEN_CALL)
		serve_call(&peer);
	if (listener == LISTEN_SMTPS)
		encrypt(&peer);
	serve_connection(&peer);
}

_Noreturn static void serve(const int listeners[LISTEN_COUNT])
{
	struct pollfd polls[LISTEN_COUNT];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGCHLD, SIG_IGN);
	for (int i = 0; i < LISTEN_COUNT; i++)
		polls[i] = (struct pollfd){.fd = listeners[i], .events = POLLIN};
	for (;;) {
		if (poll(polls, LISTEN_COUNT, -1) < 0 && errno != EINTR)
			_exit(1);
		for (int i = 0; i < LISTEN_COUNT; i++) {
			int fd = polls[i].revents ? accept4(listeners[i], NULL, NULL, SOCK_CLOEXEC)
						  : -1;

			if (fd < 0)
				continue;
			if (fork() == 0) {
				prctl(PR_SET_PDEATHSIG, SIGKILL);
				serve_one(i, fd);
			}
			close(fd);
		}
	}
}

static int start(struct attack_server *server, bool anywhere)
{
	int listeners[LISTEN_COUNT] = {};

	memset(server, 0, sizeof(*server));
	listeners[LISTEN_TCP] = listen_on(AF_INET, 0, &server->port, false);
	if (listeners[LISTEN_TCP] < 0)
		return -errno;
	listeners[LISTEN_IPV6] = listen_on(AF_INET6, 0, &server->ipv6_port, anywhere);
	listeners[LISTEN_MPTCP] =
		listen_on(AF_INET, ATTACK_IPPROTO_MPTCP, &server->mptcp_port, false);
	listeners[LISTEN_SMC] = listen_on(ATTACK_AF_SMC, 0, &server->smc_port, false);
	listeners[LISTEN_KTLS] = listen_on(AF_INET, 0, &server->ktls_port, false);
	listeners[LISTEN_CALL] = listen_on(AF_INET, 0, &server->call_port, false);
	listeners[LISTEN_SMTPS] = listen_on(AF_INET, 0, &server->smtps_port, false);
	listeners[LISTEN_ROLES] = listen_on(AF_INET, 0, &server->roles_port, false);
	for (int i = 0; i < ATTACK_ODD_COUNT; i++)
		listeners[LISTEN_ODD + i] = listen_on(AF_INET, 0, &server->odd_ports[i], false);
	server->pid = fork();
	if (server->pid == 0)
		serve(listeners);
	for (int i = 0; i < LISTEN_COUNT; i++) {
		if (listeners[i] >= 0)
			close(listeners[i]);
	}
	return server->pid < 0 ? -errno : 0;
}

int attack_serve(struct attack_server *server)
{
	return start(server, false);
}

int attack_serve_anywhere(struct attack_server *server)
{
	return start(server, true);
}

int attack_connect_greeted(const struct attack_server *server)
{
	int fd = attack_connect(server->port);

	if (fd >= 0 && attack_reply(fd) == 220)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}
