/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Connections that do not look like SMTP when they begin: the greeting is not where it is expected,
 * or the connection was begun by another socket. Then many sends that are no mail follow, so that a
 * watch gives the connection up. After that no send begins with a verb.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attack/scenarios.h"

#define IDLE_LINES  40
#define JUNK_PIECES 60

/* Sends that are no mail, without waiting for the replies. 0, or -1. */
static int send_idle(int fd)
{
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	for (int i = 0; i < IDLE_LINES; i++) {
		if (attack_send(fd, "NOOP\r\n", 6))
			return -1;
	}
	for (int i = 0; i < JUNK_PIECES; i++) {
		if (attack_send(fd, "X", 1))
			return -1;
	}
	return attack_send(fd, "\r\n", 2);
}

/* Reads the replies to them. 0, or -1. */
static int read_idle(int fd)
{
	for (int i = 0; i < IDLE_LINES; i++) {
		if (attack_reply(fd) != 250)
			return -1;
	}
	return attack_reply(fd) == 500 ? 0 : -1;
}

/* On a connection whose greeting was read. */
static enum attack_status idle_and_mail(const struct attack_target *target, int fd)
{
	errno = 0;
	if (send_idle(fd) || read_idle(fd))
		return attack_failed(target, "the server did not answer NOOP as expected");
	return attack_lines(target, fd, attack_line_after_junk, 1);
}

enum attack_status run_proxy_answer(const struct attack_target *target)
{
	static const char request[] = "CONNECT mail.attack.localhost:25 HTTP/1.1\r\n\r\n";
	int fd = attack_connect(target->server.odd_ports[ATTACK_ODD_PROXY]);

	/* the answer's first line, a blank line, and the greeting */
	if (fd < 0 || attack_send(fd, request, sizeof(request) - 1) || attack_reply(fd) < 0 ||
	    attack_reply(fd) != 0 || attack_reply(fd) != 220)
		return attack_failed(target, "the proxy did not answer");
	return idle_and_mail(target, fd);
}

enum attack_status run_greeting_pieces(const struct attack_target *target)
{
	int fd = attack_connect(target->server.odd_ports[ATTACK_ODD_PIECES]);

	if (fd < 0 || attack_reply(fd) != 220)
		return attack_failed(target, "the server sent no greeting");
	return idle_and_mail(target, fd);
}

enum attack_status run_greeting_blank(const struct attack_target *target)
{
	int fd = attack_connect(target->server.odd_ports[ATTACK_ODD_BLANK]);

	if (fd < 0 || attack_reply(fd) != 0 || attack_reply(fd) != 220)
		return attack_failed(target, "the server sent no greeting");
	return idle_and_mail(target, fd);
}

enum attack_status run_echo(const struct attack_target *target)
{
	int fd = attack_connect(target->server.odd_ports[ATTACK_ODD_ECHO]);

	if (fd < 0 || attack_reply(fd) != 220)
		return attack_failed(target, "the server sent no greeting");
	return attack_lines(target, fd, attack_line_after_junk, 1);
}

/* Everything is sent before the server has said a word. */
enum attack_status run_early(const struct attack_target *target)
{
	static const int codes[] = {500, 250, 500, 250, 500, 250, 500, 354, 250};
	static const char *const verbs[] = {"EHLO attack", "MAIL FROM:<", "RCPT TO:<", "DATA"};
	const char *const words[] = {"", target->sender, target->recipient, ""};
	int fd = attack_connect(target->server.odd_ports[ATTACK_ODD_LATE]);
	char line[ATTACK_LINE_MAX];

	if (fd < 0 || send_idle(fd))
		return attack_failed(target, "cannot connect and send");
	for (int i = 0; i < 4; i++) {
		snprintf(line, sizeof(line), "%s%s%s\r\n", verbs[i], words[i],
			 *words[i] ? ">" : "");
		if (attack_line_after_junk(fd, i, line))
			return attack_failed(target, "cannot send");
	}
	if (attack_send(fd, "Subject: x\r\n\r\nhello\r\n.\r\n", 25) || attack_reply(fd) != 220 ||
	    read_idle(fd))
		return attack_failed(target, "the server did not answer NOOP as expected");
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (attack_reply(fd) != codes[i])
			return attack_failed(target, "the server refused a command");
	}
	close(fd);
	return ATTACK_DONE;
}

/* ---- A connection that changes its socket ---------------------------------------------------- */

/* What makes a connection, as TCP_REPAIR shows it. */
struct connection {
	struct sockaddr_in local, remote;
	uint32_t sent, received; /* the next sequence numbers */
	struct tcp_info info;
};

static int get_seq(int fd, int queue, uint32_t *seq)
{
	socklen_t len = sizeof(*seq);

	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
	       getsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, seq, &len);
}

static int set_seq(int fd, int queue, uint32_t seq)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_QUEUE, &queue, sizeof(queue)) ||
	       setsockopt(fd, IPPROTO_TCP, TCP_QUEUE_SEQ, &seq, sizeof(seq));
}

static int repair(int fd, int on)
{
	return setsockopt(fd, IPPROTO_TCP, TCP_REPAIR, &on, sizeof(on));
}

/* Takes the connection out of its socket, which is closed without a word to the peer. */
static int take_out(int fd, struct connection *connection)
{
	socklen_t len = sizeof(connection->local), info_len = sizeof(connection->info);
	int error;

	error = repair(fd, 1) || get_seq(fd, TCP_SEND_QUEUE, &connection->sent) ||
		get_seq(fd, TCP_RECV_QUEUE, &connection->received) ||
		getsockname(fd, (struct sockaddr *)&connection->local, &len) ||
		getpeername(fd, (struct sockaddr *)&connection->remote, &len) ||
		getsockopt(fd, IPPROTO_TCP, TCP_INFO, &connection->info, &info_len);
	if (!error)
		close(fd);
	return error ? -1 : 0;
}

/* Puts it into a new socket; -1: it cannot be. */
static int put_in(const struct connection *connection)
{
	uint32_t window =
		connection->info.tcpi_snd_wscale | (uint32_t)connection->info.tcpi_rcv_wscale << 16;
	struct tcp_repair_opt options[] = {{TCPOPT_WINDOW, window}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	if (repair(fd, 1) ||
	    bind(fd, (const struct sockaddr *)&connection->local, sizeof(connection->local)) ||
	    set_seq(fd, TCP_SEND_QUEUE, connection->sent) ||
	    set_seq(fd, TCP_RECV_QUEUE, connection->received) ||
	    connect(fd, (const struct sockaddr *)&connection->remote, sizeof(connection->remote)) ||
	    setsockopt(fd, IPPROTO_TCP, TCP_REPAIR_OPTIONS, options, sizeof(options)) ||
	    repair(fd, 0))
		return -1;
	return fd;
}

/*
 * The privilege is needed only in the network namespace, so any user has it in a namespace of his
 * own.
 */
enum attack_status run_repair(const struct attack_target *target)
{
	struct attack_target inside = *target;
	struct connection connection = {};
	int fd;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return attack_unavailable(target, "cannot make namespaces");
	if (!attack_loopback_up() || attack_serve(&inside.server))
		return attack_failed(target, "cannot start a server in the namespace");
	fd = attack_connect_greeted(&inside.server);
	if (fd < 0)
		return attack_failed(target, "cannot connect");
	if (take_out(fd, &connection))
		return attack_unavailable(target, "no TCP_REPAIR");
	fd = put_in(&connection);
	if (fd < 0)
		return attack_unavailable(target, "cannot restore a connection by TCP_REPAIR");
	return idle_and_mail(&inside, fd);
}
