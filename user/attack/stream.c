/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ways in which the peer reads something else than each send shows: urgent data, junk, lines that
 * look like TLS, pages that change on the way, segments that leave in another form than TCP, dozens
 * of calls that do not end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack/scenarios.h"

#define PAGE		4096U
#define JUNK_PIECES	60
#define URGENT_PAUSE_MS 30
#define BLOCKED_MAX	600U /* calls that run at once */
#define STACK_SIZE	65536U

extern char **environ;

/* ---- Lines that are more than one command ---------------------------------------------------- */

static int greeted(const struct attack_target *target)
{
	int fd = attack_connect(target->server.port), yes = 1;

	if (fd < 0 || attack_reply(fd) != 220)
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	return fd;
}

/* The server must read in between: it would read some of several urgent bytes in a row. */
static int line_urgent(int fd, int number, const char *line)
{
	(void)number;
	if (attack_send(fd, line, 2))
		return -1;
	poll(NULL, 0, URGENT_PAUSE_MS);
	if (send(fd, "X", 1, MSG_OOB) != 1)
		return -1;
	poll(NULL, 0, URGENT_PAUSE_MS);
	return attack_send(fd, line + 2, strlen(line) - 2);
}

/* Each verb contains an X that the server does not read, because it is urgent data. */
enum attack_status run_urgent(const struct attack_target *target)
{
	int fd = greeted(target);

	return fd < 0 ? attack_failed(target, "cannot connect")
		      : attack_lines(target, fd, line_urgent, 0);
}

/* A line in many sends, and after that no send begins with a verb. */
enum attack_status run_pieces(const struct attack_target *target)
{
	int fd = greeted(target);

	for (int i = 0; fd >= 0 && i < JUNK_PIECES; i++) {
		if (attack_send(fd, "X", 1))
			return attack_failed(target, "cannot send");
	}
	if (fd < 0 || attack_send(fd, "\r\n", 2) || attack_reply(fd) != 500)
		return attack_failed(target, "the server did not answer a junk line as expected");
	return attack_lines(target, fd, attack_line_after_junk, 1);
}

/*
 * A line that begins like a TLS record, before the server's first bytes, and again after its
 * greeting.
 */
enum attack_status run_fake_tls(const struct attack_target *target)
{
	static const char hello[] = "\x16\x03\x01\x01\x10\x01\x01\x0c\x03\x03 not a handshake\r\n";
	int fd = attack_connect(target->server.port);

	if (fd < 0 || attack_send(fd, hello, sizeof(hello) - 1) || attack_reply(fd) != 220 ||
	    attack_reply(fd) != 500 || attack_send(fd, hello, sizeof(hello) - 1) ||
	    attack_reply(fd) != 500)
		return attack_failed(target,
				     "the server did not answer the line like TLS as expected");
	return attack_lines(target, fd, attack_line_after_junk, 1);
}

/* 8 KB in commands, and no mail. */
enum attack_status run_channel(const struct attack_target *target)
{
	int fd = attack_connect(target->server.port);
	char line[128];

	if (fd < 0 || attack_reply(fd) != 220)
		return attack_failed(target, "the server sent no greeting");
	for (int i = 0; i < 80; i++) {
		int len = snprintf(line, sizeof(line), "VRFY %0100d\r\n", i);

		if (attack_send(fd, line, (size_t)len) || attack_reply(fd) != 500)
			return attack_failed(target, "the server did not answer VRFY");
	}
	close(fd);
	return ATTACK_DONE;
}

/* ---- Pages that change on the way ------------------------------------------------------------ */

/* Both ends of a connection of our own. */
static bool own_connection(int *client, int *server)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool good;

	good = bind(listener, (struct sockaddr *)&addr, len) == 0 && listen(listener, 8) == 0 &&
	       getsockname(listener, (struct sockaddr *)&addr, &len) == 0;
	*client = good ? attack_connect(ntohs(addr.sin_port)) : -1;
	*server = *client < 0 ? -1 : accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	close(listener);
	return *server >= 0;
}

/*
 * vmsplice() passes a page with harmless text; the text changes after it left and before the peer
 * reads it. Both ends are here, to keep that order.
 */
enum attack_status run_changed_later(const struct attack_target *target)
{
	static const char greeting[] = "220 here\r\n",
			  replies[] = "250 ok\r\n250 ok\r\n250 ok\r\n354 go on\r\n250 ok\r\n";
	char *text = attack_text(target, 0), *page, read_back[ATTACK_LINE_MAX * 2] = "";
	int client, server, pipe_fds[2];
	struct iovec piece;
	size_t len = text ? strlen(text) : 0;

	page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!text || len >= sizeof(read_back) || page == MAP_FAILED ||
	    !own_connection(&client, &server) || pipe2(pipe_fds, O_CLOEXEC))
		return attack_failed(target, "cannot connect");
	if (attack_send(server, greeting, strlen(greeting)) || attack_reply(client) != 220)
		return attack_failed(target, "the server sent no greeting");
	for (size_t i = 0; i < len; i++)
		page[i] = "NOOP\r\n"[i % 6];
	piece = (struct iovec){page, len};
	if (vmsplice(pipe_fds[1], &piece, 1, 0) != (ssize_t)len ||
	    splice(pipe_fds[0], NULL, client, NULL, len, 0) != (ssize_t)len)
		return attack_refused(target, "cannot splice");
	poll(NULL, 0, 100);
	snprintf(page, PAGE, "%s", text);
	if (recv(server, read_back, sizeof(read_back) - 1, MSG_WAITALL | MSG_DONTWAIT) !=
		    (ssize_t)len ||
	    strcmp(read_back, text) != 0) {
		errno = ENOTSUP;
		return attack_unavailable(target, "this kernel copies the pages");
	}
	attack_send(server, replies, strlen(replies));
	poll(NULL, 0, 100);
	close(client);
	close(server);
	free(text);
	return ATTACK_DONE;
}

/* ---- Calls that do not end ------------------------------------------------------------------- */

static void *blocks(void *context)
{
	static char bulk[8U << 20];
	int client, server, size = 4608;

	(void)context;
	if (!own_connection(&client, &server))
		return NULL;
	setsockopt(client, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	send(client, bulk, sizeof(bulk),
	     MSG_NOSIGNAL); /* nobody reads, and the process is ended while it waits */
	return NULL;
}

/* More calls than a kernel with kretprobes has room for: twice its CPUs, at least ten. */
static size_t blocked_wanted(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_CONF);
	size_t wanted = 16 + (cpus > 0 ? 4 * (size_t)cpus : 0);

	return wanted < BLOCKED_MAX ? wanted : BLOCKED_MAX;
}

enum attack_status run_blocked(const struct attack_target *target)
{
	size_t wanted = blocked_wanted();
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_SIZE);
	for (size_t i = 0; i < wanted; i++) {
		if (pthread_create(&thread, &attributes, blocks, NULL))
			return attack_unavailable(target, "cannot start enough threads");
	}
	poll(NULL, 0, 500);
	return attack_dialogue(target, attack_connect(target->server.port), attack_send);
}

/* ---- Addresses and routes -------------------------------------------------------------------- */

/*
 * Runs shell lines quietly, in which $ip is ip(8) itself and not a shell's own; true if all
 * succeeded.
 */
static bool shell(const char *line)
{
	static const char find_ip[] = "for ip in /usr/sbin/ip /sbin/ip /usr/bin/ip /bin/ip; do [ "
				      "-x $ip ] && break; done;";
	char text[ATTACK_LINE_MAX * 4];
	char *const argv[] = {(char *)"sh", (char *)"-ec", text, NULL};
	posix_spawn_file_actions_t actions;
	int status = -1;
	pid_t child;

	snprintf(text, sizeof(text), "%s %s", find_ip, line);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
	if (posix_spawnp(&child, "sh", &actions, NULL, argv, environ) == 0)
		waitpid(child, &status, 0);
	posix_spawn_file_actions_destroy(&actions);
	return status == 0;
}

static enum attack_status at_once_to(const struct attack_target *inside, const char *address,
				     uint32_t scope)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6,
				    .sin6_port = htons(inside->server.ipv6_port),
				    .sin6_scope_id = scope};
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);

	inet_pton(AF_INET6, address, &addr.sin6_addr);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return attack_failed(inside, "cannot connect");
	return attack_at_once(inside, fd, attack_send, 0);
}

/* A link-local address, which is valid only with an interface. */
enum attack_status run_scoped(const struct attack_target *target)
{
	struct attack_target inside = *target;

	if (unshare(CLONE_NEWNET) ||
	    !shell("$ip link set lo up; $ip addr add fe80::7/64 dev lo nodad"))
		return attack_unavailable(target, "cannot make a network namespace, or no ip(8)");
	if (attack_serve_anywhere(&inside.server) || !inside.server.ipv6_port)
		return attack_unavailable(target, "cannot start a server in the namespace");
	return at_once_to(&inside, "fe80::7", 1);
}

/*
 * The route wraps each packet into another one (segment routing over IPv6) before the wire hook
 * sees it. As with IPsec, the packet is no longer TCP there. Two namespaces with a link between
 * them; the server is in the other one.
 */
enum attack_status run_encapsulated(const struct attack_target *target)
{
	static const char here[] =
		"$ip link set lo up; $ip link add a1 type veth peer name b1; $ip link set b1 "
		"netns %d; $ip link set a1 up;"
		"$ip addr add fd01::1/64 dev a1 nodad;"
		"$ip -6 route add fd99::1/128 encap seg6 mode encap segs fd01::2 dev a1";
	static const char there[] =
		"$ip link set lo up; $ip link set b1 up; $ip addr add fd01::2/64 dev b1 nodad;"
		"$ip addr add fd99::1/128 dev lo nodad; $ip -6 route add fd01::/64 dev b1 "
		"2>/dev/null || "
		"true;"
		"for each in all default lo b1; do echo 1 "
		">/proc/sys/net/ipv6/conf/$each/seg6_enabled; done;"
		"echo 1 >/proc/sys/net/ipv6/conf/all/forwarding";
	struct attack_target inside = *target;
	int up[2], down[2];
	char line[ATTACK_LINE_MAX * 2];
	pid_t other;

	if (pipe2(up, O_CLOEXEC) || pipe2(down, O_CLOEXEC) || unshare(CLONE_NEWNET))
		return attack_unavailable(target, "cannot make a network namespace");
	other = fork();
	if (other == 0) { /* the server's side: ready, then informed about the link, then serving */
		struct attack_server server = {};
		char go = !unshare(CLONE_NEWNET);

		if (write(up[1], &go, 1) != 1 || read(down[0], &go, 1) != 1 || !shell(there) ||
		    attack_serve_anywhere(&server) ||
		    write(up[1], &server, sizeof(server)) != sizeof(server))
			_exit(1);
		pause();
		_exit(0);
	}
	snprintf(line, sizeof(line), here, other);
	close(up[1]);
	if (read(up[0], line + sizeof(line) - 1, 1) != 1 || !shell(line) ||
	    write(down[1], "", 1) != 1 ||
	    read(up[0], &inside.server, sizeof(inside.server)) != sizeof(inside.server))
		return attack_unavailable(target, "no segment routing, or no ip(8)");
	return at_once_to(&inside, "fd99::1", 0);
}
