/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Evasions that are more than another system call: other transports, or a sender that is not the
 * process that connected. The process that must be named is left in shared->sender_pid.
 */
#include "attack/scenarios.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "attack/ways.h"

#ifndef SYS_pidfd_getfd /* glibc 2.32 */
#define SYS_pidfd_getfd 438
#endif

#ifndef TCP_FASTOPEN_CONNECT
#define TCP_FASTOPEN_CONNECT 30
#endif
#define NOBODY	  65534
#define BODY_LONG 300000U
#define PAGE	  4096U

/* ---- Transports ------------------------------------------------------------------------------ */

static int connect_of(int family, int protocol, const void *addr, socklen_t len)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, protocol);

	if (fd >= 0 && connect(fd, addr, len) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct sockaddr_in loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET,
				    .sin_port = htons(port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

enum attack_status run_inet6(const struct attack_target *target)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6,
				    .sin6_port = htons(target->server.ipv6_port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	errno = EAFNOSUPPORT;
	if (!target->server.ipv6_port)
		return attack_unavailable(target, "cannot listen on ::1");
	return attack_at_once(target, connect_of(AF_INET6, 0, &addr, sizeof(addr)), attack_send, 0);
}

enum attack_status run_mapped(const struct attack_target *target)
{
	struct sockaddr_in6 addr = {.sin6_family = AF_INET6,
				    .sin6_port = htons(target->server.port)};
	int fd;

	inet_pton(AF_INET6, "::ffff:127.0.0.1", &addr.sin6_addr);
	fd = connect_of(AF_INET6, 0, &addr, sizeof(addr));
	return fd < 0 ? attack_unavailable(target, "cannot connect an IPv6 socket")
		      : attack_at_once(target, fd, attack_send, 0);
}

enum attack_status run_mptcp(const struct attack_target *target)
{
	struct sockaddr_in addr = loopback(target->server.mptcp_port);

	errno = EPROTONOSUPPORT;
	if (!target->server.mptcp_port)
		return attack_unavailable(target, "no Multipath TCP sockets");
	return attack_at_once(target,
			      connect_of(AF_INET, ATTACK_IPPROTO_MPTCP, &addr, sizeof(addr)),
			      attack_send, 0);
}

/* Both ends are SMC sockets without a device for it: the connection falls back to TCP. */
enum attack_status run_smc(const struct attack_target *target)
{
	struct sockaddr_in addr = loopback(target->server.smc_port);

	errno = EAFNOSUPPORT;
	if (!target->server.smc_port)
		return attack_unavailable(target, "no SMC sockets");
	return attack_at_once(target, connect_of(ATTACK_AF_SMC, 0, &addr, sizeof(addr)),
			      attack_send, 0);
}

enum attack_status run_ktls(const struct attack_target *target)
{
	int fd = attack_connect(target->server.ktls_port);

	if (fd < 0)
		return attack_failed(target, "cannot connect");
	if (attack_ktls(fd, ATTACK_TLS_TX))
		return attack_unavailable(target, "no TLS in the kernel");
	return attack_dialogue(target, fd, attack_send);
}

/* Pages of a file become TLS records: no memory of the process has the text. */
enum attack_status run_ktls_sendfile(const struct attack_target *target)
{
	int fd = attack_connect(target->server.ktls_port);

	if (fd < 0)
		return attack_failed(target, "cannot connect");
	if (attack_ktls(fd, ATTACK_TLS_TX))
		return attack_unavailable(target, "no TLS in the kernel");
	return attack_dialogue(target, fd, way_sendfile);
}

/* Data in the SYN needs a cookie, which the first connection obtains. */
enum attack_status run_fastopen(const struct attack_target *target)
{
	struct sockaddr_in addr = loopback(target->server.port);
	char *text = attack_text(target, 0);
	enum attack_status status;

	for (int i = 0; i < 2; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		const char *data = i ? text : "NOOP\r\n";

		if (sendto(fd, data, strlen(data), MSG_FASTOPEN, (struct sockaddr *)&addr,
			   sizeof(addr)) < 0)
			return attack_unavailable(target, "no MSG_FASTOPEN");
		if (attack_reply(fd) != 220)
			return attack_failed(target, "the server sent no greeting");
		status = i ? attack_taken(target, fd) : ATTACK_DONE;
		close(fd);
	}
	free(text);
	return status;
}

enum attack_status run_fastopen_connect(const struct attack_target *target)
{
	struct sockaddr_in addr = loopback(target->server.port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), yes = 1;
	char *text = attack_text(target, 0);
	enum attack_status status;

	if (setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &yes, sizeof(yes)))
		return attack_unavailable(target, "no TCP_FASTOPEN_CONNECT");
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    attack_send(fd, text, strlen(text)) || attack_reply(fd) != 220)
		return attack_failed(target, "cannot connect and send");
	status = attack_taken(target, fd);
	free(text);
	return status;
}

/* ---- Namespaces ------------------------------------------------------------------------------ */

bool attack_loopback_up(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0;

	close(fd);
	return up;
}

enum attack_status run_netns(const struct attack_target *target)
{
	struct attack_target inside = *target;

	if (unshare(CLONE_NEWNET))
		return attack_unavailable(target, "cannot make a network namespace");
	if (!attack_loopback_up() || attack_serve(&inside.server))
		return attack_failed(target, "cannot start a server in the namespace");
	return attack_at_once(&inside, attack_connect(inside.server.port), attack_send, 0);
}

/*
 * As in a container: its own user, pid, mount and network namespaces. Its pid is known only
 * outside.
 */
enum attack_status run_container(const struct attack_target *target)
{
	enum attack_status status;
	int state = 0;
	pid_t child;

	if (unshare(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET))
		return attack_unavailable(target, "cannot make namespaces");
	child = fork();
	if (child == 0) {
		struct attack_target inside = *target;

		status = !attack_loopback_up() || attack_serve(&inside.server)
				 ? attack_failed(target, "cannot start a server in the namespace")
				 : attack_at_once(&inside, attack_connect(inside.server.port),
						  attack_send, 0);
		_exit((int)status);
	}
	target->shared->sender_pid = child;
	waitpid(child, &state, 0);
	return WIFEXITED(state) ? (enum attack_status)WEXITSTATUS(state) : ATTACK_FAILED;
}

/* ---- Who sends ------------------------------------------------------------------------------- */

/* Sends the whole session on a connection that has been greeted. */
static bool send_text(const struct attack_target *target, int fd)
{
	char *text = attack_text(target, 0);
	bool sent = text && attack_send(fd, text, strlen(text)) == 0;

	free(text);
	return sent;
}

/* A greeted connection, or -1. */
static int greeted(const struct attack_target *target)
{
	int fd = attack_connect(target->server.port);

	if (fd >= 0 && attack_reply(fd) == 220)
		return fd;
	return -1;
}

/* Runs `sends` in a child, which must be named as the sender, and reads the replies here. */
static enum attack_status by_child(const struct attack_target *target, int fd,
				   void (*sends)(const struct attack_target *target, int fd))
{
	enum attack_status status;
	pid_t child;

	if (fd < 0)
		return attack_failed(target, "cannot connect");
	child = fork();
	if (child == 0) {
		target->shared->sender_pid = getpid();
		sends(target, fd);
		_exit(0);
	}
	status = attack_taken(target, fd);
	waitpid(child, NULL, 0);
	return status;
}

static void just_send(const struct attack_target *target, int fd)
{
	if (!send_text(target, fd))
		_exit(1);
}

/* It ends at once: the process is gone when the watch looks. */
enum attack_status run_inherited(const struct attack_target *target)
{
	return by_child(target, greeted(target), just_send);
}

static void send_as_nobody(const struct attack_target *target, int fd)
{
	if (syscall(SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0)
		just_send(target, fd);
}

enum attack_status run_setuid(const struct attack_target *target)
{
	return by_child(target, greeted(target), send_as_nobody);
}

/* The pages then hold another process's image: a shell that prints into the socket. */
static void exec_and_send(const struct attack_target *target, int fd)
{
	char *text = attack_text(target, 0);

	dup2(fd, STDOUT_FILENO);
	execl("/bin/sh", "sh", "-c", "printf %s \"$1\"", "sh", text, (char *)NULL);
}

enum attack_status run_exec(const struct attack_target *target)
{
	return by_child(target, greeted(target), exec_and_send);
}

static int pass_socket(int over, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte = 0;
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	return sendmsg(over, &message, 0) == 1 ? 0 : -1;
}

static int take_socket(int over)
{
	char control[CMSG_SPACE(sizeof(int))] = "", byte;
	struct iovec piece = {&byte, 1};
	struct msghdr message = {.msg_iov = &piece,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	int fd = -1;

	if (recvmsg(over, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* One process connects, passes the socket on and ends; another sends. */
enum attack_status run_passed(const struct attack_target *target)
{
	int pair[2], fd;
	pid_t connector;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return attack_failed(target, "cannot make a socket pair");
	connector = fork();
	if (connector == 0)
		_exit(pass_socket(pair[1], greeted(target)) ? 1 : 0);
	waitpid(connector, NULL, 0);
	fd = take_socket(pair[0]);
	if (fd < 0 || !send_text(target, fd))
		return attack_failed(target, "cannot use the passed socket");
	return attack_taken(target, fd);
}

/* It takes the socket from the process that connected, which did nothing to pass it on. */
enum attack_status run_fetched(const struct attack_target *target)
{
	int pipe_fds[2], theirs = -1, pidfd, fd;
	pid_t connector;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return attack_failed(target, "cannot make a pipe");
	connector = fork();
	if (connector == 0) {
		theirs = greeted(target);
		if (write(pipe_fds[1], &theirs, sizeof(theirs)) != sizeof(theirs))
			_exit(1);
		pause();
		_exit(0);
	}
	if (read(pipe_fds[0], &theirs, sizeof(theirs)) != sizeof(theirs) || theirs < 0)
		return attack_failed(target, "cannot connect");
	pidfd = (int)syscall(SYS_pidfd_open, connector, 0);
	fd = pidfd < 0 ? -1 : (int)syscall(SYS_pidfd_getfd, pidfd, theirs, 0);
	if (fd < 0)
		return attack_unavailable(target, "cannot use pidfd_getfd");
	if (!send_text(target, fd))
		return attack_failed(target, "cannot send");
	return attack_taken(target, fd);
}

/* Two processes take turns on one connection; the second one sends the message. */
enum attack_status run_turns(const struct attack_target *target)
{
	char *text = attack_text(target, 0), *rest = text ? strstr(text, "RCPT") : NULL;
	int fd = greeted(target), state;
	enum attack_status status;
	pid_t first;

	if (fd < 0 || !rest)
		return attack_failed(target, "cannot connect");
	first = fork();
	if (first == 0)
		_exit(attack_send(fd, text, (size_t)(rest - text)) ? 1 : 0);
	waitpid(first, &state, 0);
	status = attack_send(fd, rest, strlen(rest)) ? attack_failed(target, "cannot send")
						     : attack_taken(target, fd);
	free(text);
	return status;
}

struct threaded {
	const struct attack_target *target;
	int fd;
	bool sent;
};

static void *thread_sends(void *context)
{
	struct threaded *threaded = context;

	prctl(PR_SET_NAME, "not-a-mailer");
	threaded->sent = send_text(threaded->target, threaded->fd);
	return NULL;
}

enum attack_status run_thread(const struct attack_target *target)
{
	struct threaded threaded = {.target = target, .fd = greeted(target)};
	pthread_t thread;

	if (threaded.fd < 0 || pthread_create(&thread, NULL, thread_sends, &threaded))
		return attack_failed(target, "cannot connect");
	pthread_join(thread, NULL);
	return threaded.sent ? attack_taken(target, threaded.fd)
			     : attack_failed(target, "cannot send");
}

/* The connection was made, and the greeting read, before the watch. */
enum attack_status run_older(const struct attack_target *target)
{
	if (target->older_fd < 0)
		return attack_failed(target, "cannot connect");
	return send_text(target, target->older_fd) ? attack_taken(target, target->older_fd)
						   : attack_failed(target, "cannot send");
}

/* The server calls back, and is then the peer of a client on an accepted connection. */
enum attack_status run_accepted(const struct attack_target *target)
{
	struct sockaddr_in addr = loopback(0);
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), call;
	char port[16];

	if (bind(listener, (struct sockaddr *)&addr, len) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		return attack_failed(target, "cannot listen");
	call = attack_connect(target->server.call_port);
	snprintf(port, sizeof(port), "%u\n", ntohs(addr.sin_port));
	if (call < 0 || attack_send(call, port, strlen(port)))
		return attack_failed(target, "cannot connect");
	return attack_dialogue(target, accept(listener, NULL, NULL), attack_send);
}

/* Every send begins with junk before the verb; the server answers the junk too. */
enum attack_status run_junk(const struct attack_target *target)
{
	static const int codes[] = {250, 250, 250, 354};
	const char *const verbs[] = {"EHLO attack", "MAIL FROM:<", "RCPT TO:<", "DATA"};
	const char *const words[] = {"", target->sender, target->recipient, ""};
	int fd = greeted(target);
	char text[512];

	for (size_t i = 0; fd >= 0 && i < 4; i++) {
		snprintf(text, sizeof(text), "XJUNK %zu\r\n%s%s%s\r\n", i, verbs[i], words[i],
			 *words[i] ? ">" : "");
		if (attack_send(fd, text, strlen(text)) || attack_reply(fd) != 500 ||
		    attack_reply(fd) != codes[i])
			return attack_failed(target,
					     "the server did not answer a junk line as expected");
	}
	if (fd < 0 || attack_send(fd, "Subject: x\r\n\r\nhello\r\n.\r\n", 25) ||
	    attack_reply(fd) != 250)
		return attack_failed(target, "the server did not accept the message");
	close(fd);
	return ATTACK_DONE;
}

/* ---- Memory that another thread works on ----------------------------------------------------- */

struct meddler {
	char *area;
	size_t len;
	int fd; /* of userfaultfd */
	volatile bool stop;
	const char *text;
};

static void *rewrites(void *context)
{
	struct meddler *meddler = context;

	for (char letter = 'a'; !meddler->stop; letter = letter == 'z' ? 'a' : (char)(letter + 1))
		memset(meddler->area, letter, meddler->len);
	return NULL;
}

/* The subject changes all the time; the report must have what the server received. */
enum attack_status run_rewritten(const struct attack_target *target)
{
	char *text = attack_text(target, 0);
	struct meddler meddler = {.area = text ? strstr(text, "a test") : NULL, .len = 6};
	enum attack_status status;
	pthread_t thread;
	int fd = greeted(target);

	if (fd < 0 || !meddler.area || pthread_create(&thread, NULL, rewrites, &meddler))
		return attack_failed(target, "cannot connect");
	status = attack_send(fd, text, strlen(text)) ? attack_failed(target, "cannot send")
						     : attack_taken(target, fd);
	meddler.stop = true;
	pthread_join(thread, NULL);
	free(text);
	return status;
}

static void *unmaps(void *context)
{
	struct meddler *meddler = context;

	usleep(100000);
	munmap(meddler->area, PAGE);
	return NULL;
}

/*
 * The call blocks because the server reads slowly; its first page, with the envelope, is gone when
 * it ends.
 */
enum attack_status run_unmapped(const struct attack_target *target)
{
	char *text = attack_text(target, BODY_LONG), *area;
	struct meddler meddler = {};
	int fd = greeted(target), size = 4608;
	enum attack_status status;
	pthread_t thread;

	area = mmap(NULL, 2U << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (fd < 0 || !text || area == MAP_FAILED)
		return attack_failed(target, "cannot connect");
	snprintf(area, 2U << 20, "%s", text);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	meddler.area = area;
	if (pthread_create(&thread, NULL, unmaps, &meddler))
		return attack_failed(target, "cannot start a thread");
	status = attack_send(fd, area, strlen(text)) ? attack_failed(target, "cannot send")
						     : attack_taken(target, fd);
	pthread_join(thread, NULL);
	free(text);
	return status;
}

static void *resolves(void *context)
{
	struct meddler *meddler = context;
	struct uffd_msg message;
	struct uffdio_copy copy = {.dst = (unsigned long)meddler->area,
				   .src = (unsigned long)meddler->text,
				   .len = PAGE};

	if (read(meddler->fd, &message, sizeof(message)) == sizeof(message))
		ioctl(meddler->fd, UFFDIO_COPY, &copy);
	return NULL;
}

/* The page does not exist until the kernel reads it; user space decides then what it contains. */
enum attack_status run_userfault(const struct attack_target *target)
{
	struct uffdio_api api = {.api = UFFD_API};
	char *text = attack_text(target, 0), *page = aligned_alloc(PAGE, PAGE);
	struct meddler meddler = {.fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC), .text = page};
	struct uffdio_register range = {.mode = UFFDIO_REGISTER_MODE_MISSING};
	enum attack_status status;
	pthread_t thread;
	int fd = greeted(target);

	if (meddler.fd < 0)
		return attack_unavailable(target, "cannot use userfaultfd");
	meddler.area = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	range.range.start = (unsigned long)meddler.area;
	range.range.len = PAGE;
	if (ioctl(meddler.fd, UFFDIO_API, &api) || ioctl(meddler.fd, UFFDIO_REGISTER, &range))
		return attack_unavailable(target, "cannot use userfaultfd");
	if (fd < 0 || !text || !page)
		return attack_failed(target, "cannot connect");
	snprintf(page, PAGE, "%s", text);
	if (pthread_create(&thread, NULL, resolves, &meddler))
		return attack_failed(target, "cannot start a thread");
	status = attack_send(fd, meddler.area, strlen(text)) ? attack_failed(target, "cannot send")
							     : attack_taken(target, fd);
	pthread_join(thread, NULL);
	return status;
}
