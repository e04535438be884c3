/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends through io_uring, with its system calls only: one ring per call of a way, one request at a
 * time. The kernel may execute a request in the process, in one of its worker threads, or (polled)
 * in a thread that reads the ring without any system call of the process.
 */
#include <errno.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "attack/ways.h"

#define ENTRIES	     4U
#define WAIT_STEPS   5000U
#define OP_SEND_ZC   47 /* IORING_OP_SEND_ZC, 6.0 */
#define FIXED_BUF    4	/* IORING_RECVSEND_FIXED_BUF, 6.0 */
#define POLL_IDLE_MS 100U

struct uring {
	int fd;
	bool polled;
	void *rings, *entries;
	size_t rings_len;
	struct io_uring_sqe *sqes;
	struct io_uring_cqe *cqes;
	unsigned *sq_tail, *sq_mask, *sq_array, *sq_flags, *cq_head, *cq_tail, *cq_mask;
};

static int uring_open(struct uring *ring, bool polled)
{
	struct io_uring_params params = {};
	char *base;

	memset(ring, 0, sizeof(*ring));
	if (polled) {
		params.flags = IORING_SETUP_SQPOLL;
		params.sq_thread_idle = POLL_IDLE_MS;
	}
	ring->polled = polled;
	ring->fd = (int)syscall(SYS_io_uring_setup, ENTRIES, &params);
	if (ring->fd < 0)
		return -1;
	ring->rings_len = params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe);
	if (ring->rings_len < params.sq_off.array + params.sq_entries * sizeof(unsigned))
		ring->rings_len = params.sq_off.array + params.sq_entries * sizeof(unsigned);
	ring->rings = mmap(NULL, ring->rings_len, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   ring->fd, IORING_OFF_SQ_RING);
	ring->entries =
		mmap(NULL, params.sq_entries * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_POPULATE, ring->fd, IORING_OFF_SQES);
	if (ring->rings == MAP_FAILED || ring->entries == MAP_FAILED) {
		close(ring->fd);
		return -1;
	}
	base = ring->rings;
	ring->sqes = ring->entries;
	ring->sq_tail = (unsigned *)(base + params.sq_off.tail);
	ring->sq_mask = (unsigned *)(base + params.sq_off.ring_mask);
	ring->sq_array = (unsigned *)(base + params.sq_off.array);
	ring->sq_flags = (unsigned *)(base + params.sq_off.flags);
	ring->cq_head = (unsigned *)(base + params.cq_off.head);
	ring->cq_tail = (unsigned *)(base + params.cq_off.tail);
	ring->cq_mask = (unsigned *)(base + params.cq_off.ring_mask);
	ring->cqes = (struct io_uring_cqe *)(base + params.cq_off.cqes);
	return 0;
}

static void uring_close(struct uring *ring)
{
	munmap(ring->rings, ring->rings_len);
	munmap(ring->entries, ENTRIES * sizeof(struct io_uring_sqe));
	close(ring->fd);
}

static int uring_submit(struct uring *ring)
{
	if (!ring->polled)
		return (int)syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS,
				    NULL, 0);
	if (__atomic_load_n(ring->sq_flags, __ATOMIC_SEQ_CST) & IORING_SQ_NEED_WAKEUP)
		return (int)syscall(SYS_io_uring_enter, ring->fd, 1, 0, IORING_ENTER_SQ_WAKEUP,
				    NULL, 0);
	return 0;
}

/* Executes one request. Returns its result, or -1 with errno. */
static int uring_do(struct uring *ring, const struct io_uring_sqe *request)
{
	unsigned tail = *ring->sq_tail, index = tail & *ring->sq_mask;
	int result = 0;

	ring->sqes[index] = *request;
	ring->sq_array[index] = index;
	__atomic_store_n(ring->sq_tail, tail + 1, __ATOMIC_RELEASE);
	if (uring_submit(ring) < 0)
		return -1;
	for (unsigned i = 0; i < WAIT_STEPS; i++) {
		unsigned head = *ring->cq_head;

		if (head == __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE)) {
			poll(NULL, 0, 1);
			continue;
		}
		result = ring->cqes[head & *ring->cq_mask].res;
		__atomic_store_n(ring->cq_head, head + 1, __ATOMIC_RELEASE);
		if (result >= 0)
			return result;
		errno = -result;
		return -1;
	}
	errno = ETIMEDOUT;
	return -1;
}

/* Sends all of the bytes by requests of one kind; `area` is the buffer they refer to. */
static int uring_all(struct uring *ring, struct io_uring_sqe *request, const char *data, size_t len)
{
	while (len) {
		int n;

		request->addr = (unsigned long)data;
		request->len = (unsigned)len;
		n = uring_do(ring, request);
		if (n <= 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

static int uring_one_way(int fd, const char *data, size_t len, int opcode, bool polled)
{
	struct io_uring_sqe request = {.opcode = (unsigned char)opcode, .fd = fd};
	struct uring ring;
	int error;

	if (uring_open(&ring, polled))
		return -1;
	if (polled && syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &fd, 1) == 0) {
		request.fd = 0; /* before 5.11 a polled ring accepts only registered files */
		request.flags = IOSQE_FIXED_FILE;
	}
	error = uring_all(&ring, &request, data, len);
	uring_close(&ring);
	return error;
}

int way_uring_send(int fd, const char *data, size_t len)
{
	return uring_one_way(fd, data, len, IORING_OP_SEND, false);
}

int way_uring_polled(int fd, const char *data, size_t len)
{
	return uring_one_way(fd, data, len, IORING_OP_SEND, true);
}

int way_uring_zerocopy(int fd, const char *data, size_t len)
{
	return uring_one_way(fd, data, len, OP_SEND_ZC, false);
}

int way_uring_sendmsg(int fd, const char *data, size_t len)
{
	struct iovec pieces[2] = {{(char *)data, 2}, {(char *)data + 2, len - 2}};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 2};
	struct io_uring_sqe request = {.opcode = IORING_OP_SENDMSG,
				       .fd = fd,
				       .addr = (unsigned long)&message,
				       .len = 1};
	struct uring ring;
	int n;

	if (uring_open(&ring, false))
		return -1;
	n = uring_do(&ring, &request);
	uring_close(&ring);
	return n == (int)len ? 0 : -1;
}

/* Sends all of the bytes from a buffer that is registered with the ring. */
static int uring_registered(int fd, const char *data, size_t len, int opcode, unsigned short how)
{
	struct iovec buffer = {(char *)data, len};
	struct io_uring_sqe request = {.opcode = (unsigned char)opcode, .fd = fd, .ioprio = how};
	struct uring ring;
	int error;

	if (uring_open(&ring, false))
		return -1;
	error = (int)syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffer, 1);
	if (!error)
		error = uring_all(&ring, &request, data, len);
	uring_close(&ring);
	return error;
}

int way_uring_fixed(int fd, const char *data, size_t len)
{
	return uring_registered(fd, data, len, IORING_OP_WRITE_FIXED, 0);
}

int way_uring_zerocopy_fixed(int fd, const char *data, size_t len)
{
	return uring_registered(fd, data, len, OP_SEND_ZC, FIXED_BUF);
}

int way_uring_splice(int fd, const char *data, size_t len)
{
	struct io_uring_sqe request = {.opcode = IORING_OP_SPLICE,
				       .fd = fd,
				       .off = (unsigned long long)-1,
				       .splice_off_in = (unsigned long long)-1};
	struct uring ring;
	int pipe_fds[2], n;

	if (pipe(pipe_fds) || write(pipe_fds[1], data, len) != (ssize_t)len ||
	    uring_open(&ring, false))
		return -1;
	request.splice_fd_in = pipe_fds[0];
	request.len = (unsigned)len;
	n = uring_do(&ring, &request);
	uring_close(&ring);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return n == (int)len ? 0 : -1;
}

int way_device(int fd, const char *data, size_t len)
{
	struct uring ring;
	int error = -1;

	if (uring_open(&ring, false))
		return -1;
	if (len <= ENTRIES * sizeof(struct io_uring_sqe)) {
		memcpy(ring.entries, data, len);
		error = send(fd, ring.entries, len, MSG_NOSIGNAL) == (ssize_t)len ? 0 : -1;
	}
	uring_close(&ring);
	return error;
}
