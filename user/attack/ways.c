/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The calls that bring bytes to a connected TCP socket: each function sends everything it is given.
 */
#include "attack/ways.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECES_MAX 1000U

/* Repeats a call that sends a part, until everything is sent. */
#define SEND_ALL(call)                                                                             \
	do {                                                                                       \
		while (len) {                                                                      \
			ssize_t n_ = (call);                                                       \
			if (n_ < 0)                                                                \
				return -1;                                                         \
			data += n_;                                                                \
			len -= (size_t)n_;                                                         \
		}                                                                                  \
		return 0;                                                                          \
	} while (0)

int way_write(int fd, const char *data, size_t len)
{
	SEND_ALL(write(fd, data, len));
}

int way_sendto(int fd, const char *data, size_t len)
{
	SEND_ALL(sendto(fd, data, len, 0, NULL, 0));
}

int way_sendmsg(int fd, const char *data, size_t len)
{
	struct iovec pieces[3] = {{(char *)data, 3},
				  {(char *)data + 3, 0},
				  {(char *)data + 3, len - 3}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 3};

	return sendmsg(fd, &message, 0) == (ssize_t)len ? 0 : -1;
}

int way_sendmmsg(int fd, const char *data, size_t len)
{
	struct mmsghdr messages[PIECES_MAX] = {};
	struct iovec pieces[PIECES_MAX];
	unsigned count = 0;

	for (; len && count < PIECES_MAX; count++) {
		size_t part = len < 11 ? len : 11;

		pieces[count] = (struct iovec){(char *)data, part};
		messages[count].msg_hdr.msg_iov = &pieces[count];
		messages[count].msg_hdr.msg_iovlen = 1;
		data += part;
		len -= part;
	}
	return sendmmsg(fd, messages, count, 0) == (int)count && !len ? 0 : -1;
}

/* Up to a thousand pieces of one to three bytes, each after an empty one. */
int way_writev_tiny(int fd, const char *data, size_t len)
{
	while (len) {
		struct iovec pieces[PIECES_MAX];
		int count = 0;
		ssize_t n;

		for (size_t at = 0; at < len && count + 2 <= (int)PIECES_MAX; count += 2) {
			size_t part = 1 + at % 3 < len - at ? 1 + at % 3 : len - at;

			pieces[count] = (struct iovec){NULL, 0};
			pieces[count + 1] = (struct iovec){(char *)data + at, part};
			at += part;
		}
		n = writev(fd, pieces, count);
		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int way_writev_empty(int fd, const char *data, size_t len)
{
	struct iovec pieces[900] = {};

	pieces[899] = (struct iovec){(char *)data, len};
	return writev(fd, pieces, 900) == (ssize_t)len ? 0 : -1;
}

int way_bytes(int fd, const char *data, size_t len)
{
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	SEND_ALL(send(fd, data, 1, 0));
}

/* At odd offsets, so that no send begins with a complete verb. */
int way_split(int fd, const char *data, size_t len)
{
	int yes = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	SEND_ALL(send(fd, data, len < 3 ? len : 3, 0));
}

int way_partial(int fd, const char *data, size_t len)
{
	int size = 4608;

	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	while (len) {
		ssize_t n = send(fd, data, len, MSG_DONTWAIT);
		struct pollfd room = {.fd = fd, .events = POLLOUT};

		if (n < 0 && (errno != EAGAIN || poll(&room, 1, 5000) != 1))
			return -1;
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int way_more(int fd, const char *data, size_t len)
{
	SEND_ALL(send(fd, data, len < 6 ? len : 5, len < 6 ? 0 : MSG_MORE));
}

int way_cork(int fd, const char *data, size_t len)
{
	int yes = 1, no = 0;

	setsockopt(fd, IPPROTO_TCP, TCP_CORK, &yes, sizeof(yes));
	for (; len > 6; data += 6, len -= 6) {
		if (send(fd, data, 6, 0) != 6)
			return -1;
	}
	if (attack_send(fd, data, len))
		return -1;
	return setsockopt(fd, IPPROTO_TCP, TCP_CORK, &no, sizeof(no));
}

int way_zerocopy(int fd, const char *data, size_t len)
{
	int yes = 1;

	if (setsockopt(fd, SOL_SOCKET, SO_ZEROCOPY, &yes, sizeof(yes)))
		return -1;
	SEND_ALL(send(fd, data, len, MSG_ZEROCOPY));
}

/* ---- By pages -------------------------------------------------------------------------------- */

/* A file in memory with these bytes; -1: none. */
static int file_of(const char *data, size_t len)
{
	int file = memfd_create("attack", MFD_CLOEXEC);

	if (file >= 0 && pwrite(file, data, len, 0) == (ssize_t)len)
		return file;
	if (file >= 0)
		close(file);
	return -1;
}

int way_sendfile(int fd, const char *data, size_t len)
{
	int file = file_of(data, len);
	off_t at = 0;

	while (file >= 0 && (size_t)at < len) {
		if (sendfile(fd, file, &at, len - (size_t)at) <= 0)
			break;
	}
	if (file >= 0)
		close(file);
	return (size_t)at == len ? 0 : -1;
}

/* Moves everything in the pipe to the socket, and closes the pipe. */
static int drain_pipe(int pipe_fds[2], int fd, size_t len)
{
	ssize_t n = 1;

	while (len && n > 0) {
		n = splice(pipe_fds[0], NULL, fd, NULL, len, 0);
		len -= n > 0 ? (size_t)n : 0;
	}
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return len ? -1 : 0;
}

int way_splice_pipe(int fd, const char *data, size_t len)
{
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	if (write(pipe_fds[1], data, len) != (ssize_t)len)
		return -1;
	return drain_pipe(pipe_fds, fd, len);
}

int way_splice_file(int fd, const char *data, size_t len)
{
	int pipe_fds[2], file = file_of(data, len);
	off_t at = 0;

	if (file < 0 || pipe2(pipe_fds, O_CLOEXEC))
		return -1;
	if (splice(file, &at, pipe_fds[1], NULL, len, 0) != (ssize_t)len)
		return -1;
	close(file);
	return drain_pipe(pipe_fds, fd, len);
}

int way_vmsplice(int fd, const char *data, size_t len)
{
	struct iovec piece = {(char *)data, len};
	int pipe_fds[2];

	if (pipe2(pipe_fds, O_CLOEXEC) || vmsplice(pipe_fds[1], &piece, 1, 0) != (ssize_t)len)
		return -1;
	return drain_pipe(pipe_fds, fd, len);
}

int way_tee(int fd, const char *data, size_t len)
{
	int from[2], to[2];

	if (pipe2(from, O_CLOEXEC) || pipe2(to, O_CLOEXEC) ||
	    write(from[1], data, len) != (ssize_t)len ||
	    tee(from[0], to[1], len, 0) != (ssize_t)len)
		return -1;
	close(from[0]);
	close(from[1]);
	return drain_pipe(to, fd, len);
}

/* ---- From memory of all kinds ---------------------------------------------------------------- */

#define PAGE 4096U

static int send_mapped(int fd, char *area, size_t offset, size_t len, size_t area_len)
{
	int error = area == MAP_FAILED ? -1 : attack_send(fd, area + offset, len);

	if (area != MAP_FAILED)
		munmap(area, area_len);
	return error;
}

/* Pages of a file that no process has touched. */
int way_cold(int fd, const char *data, size_t len)
{
	int file = file_of(data, len);
	char *area = mmap(NULL, len, PROT_READ, MAP_SHARED, file, 0);

	close(file);
	return send_mapped(fd, area, 0, len, len);
}

/* The text begins five bytes before the end of a page that was never written to before. */
int way_hole(int fd, const char *data, size_t len)
{
	int file = memfd_create("attack", MFD_CLOEXEC);
	size_t at = 2 * PAGE - 5;
	char *area;

	if (file < 0 || pwrite(file, data, len, (off_t)at) != (ssize_t)len)
		return -1;
	area = mmap(NULL, at + len, PROT_READ, MAP_PRIVATE, file, 0);
	close(file);
	return send_mapped(fd, area, at, len, at + len);
}

int way_huge(int fd, const char *data, size_t len)
{
	size_t size = 4U << 20;
	char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED || madvise(area, size, MADV_HUGEPAGE))
		return -1;
	memset(area, 0, size);
	memcpy(area + (2U << 20) + 1, data, len);
	return send_mapped(fd, area, (2U << 20) + 1, len, size);
}
