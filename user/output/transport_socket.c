/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: syslog has no acknowledgements, so records that the receiver had not read
 * when it went away are lost unless they are sent again. What the kernel knows limits how many
 * these can be.
 *
 * A datagram to a socket of this host is charged to its sender until it is read, or discarded with
 * the socket that it waits at. If nothing is charged to us, and a later datagram still finds the
 * receiver alive, all earlier ones were read: the kernel marks a socket dead before it discards its
 * queue.
 *
 * Over TCP only the kernel of the receiving host acknowledges. Records are in doubt while some of
 * their bytes are unacknowledged or the window is closed, and for DOUBT_NS after: a receiver that
 * reads at all has read them by then. The output keeps no more in doubt than fits into a receive
 * buffer, and our own send buffer is kept small.
 *
 * Over UDP the only news is that nobody listened to an earlier datagram: records then wait until
 * somebody does.
 */
#include "output/transport.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <linux/sockios.h>

#include "base/clock.h"

#define CONNECT_MS  5000
#define DOUBT_NS    60000000000ULL
#define SEND_BUFFER 262144
/* Data that stays unacknowledged for this long ends the connection */
#define USER_TIMEOUT_MS 120000
#define KEEPALIVE_S	60
#define UDP_BATCH	32
#define UDP_PAUSE_NS	2000000L /* pause after a batch: at most 16,000 datagrams a second */
#define ROOM_MS		100	 /* how long a datagram to this host may wait for room */
#define QUIET_NS	3000000000ULL
#define UDP_STALE_NS	600000000000ULL /* a name may have another address after this time */

struct channel {
	struct transport transport;
	char *path, *host, *service;
	int fd;		/* -1: not open */
	size_t written; /* TCP: bytes of the next record that were sent */
	bool stalled;	/* TCP: the last attempt found no room */
	uint64_t sent;	/* datagrams sent to a socket of this host since it was opened */
	uint64_t read;	/* so many of the first of them have surely been read */
	size_t turn;	/* UDP: which of the name's addresses to use */
	/* UDP: the negative errno of an earlier datagram, for the next call to return */
	int refusal;
	uint64_t opened_ns;
};

static void channel_close(struct channel *channel)
{
	if (channel->fd >= 0)
		close(channel->fd);
	channel->fd = -1;
	channel->written = 0;
	channel->stalled = false;
	channel->refusal = 0;
	channel->sent = channel->read = 0;
}

static void channel_wait(struct transport *transport, int timeout_ms)
{
	struct pollfd fd = {.fd = ((struct channel *)transport)->fd, .events = POLLOUT};

	poll(&fd, 1, timeout_ms);
}

static bool always_broken(const struct transport *transport, int error)
{
	(void)transport;
	return error != -ENOBUFS && error != -ENOMEM;
}

static void channel_free(struct transport *transport)
{
	struct channel *channel = (struct channel *)transport;

	channel_close(channel);
	free(channel->path);
	free(channel->host);
	free(channel->service);
	free(channel);
}

static bool is_full(int error)
{
	return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

/* Bytes that were sent and not yet read (a socket of this host) or acknowledged (TCP). */
static int outstanding(const struct channel *channel)
{
	int bytes = 0;

	return ioctl(channel->fd, SIOCOUTQ, &bytes) ? 0 : bytes;
}

static bool channel_is_settled(const struct transport *transport)
{
	return outstanding((const struct channel *)transport) == 0;
}

/* ---- A socket of this host ------------------------------------------------------------------- */

static int local_open(struct transport *transport)
{
	struct channel *channel = (struct channel *)transport;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct timeval room = {.tv_usec = ROOM_MS * 1000L};
	int size = SEND_BUFFER * 4, error;

	channel_close(channel);
	memcpy(address.sun_path, channel->path,
	       strnlen(channel->path, sizeof(address.sun_path) - 1));
	channel->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (channel->fd < 0)
		return -errno;
	setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(channel->fd, SOL_SOCKET, SO_SNDTIMEO, &room, sizeof(room));
	if (connect(channel->fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return 0;
	error = -errno;
	channel_close(channel);
	return error;
}

/*
 * The first datagram waits for room in the kernel. A sleeper there gets its turn; a sender that
 * only polls for room finds that others took it.
 */
static int local_send(struct transport *transport, const struct iovec *records, int count)
{
	struct channel *channel = (struct channel *)transport;
	int i;

	for (i = 0; i < count; i++) {
		uint64_t read = outstanding(channel) ? channel->read : channel->sent;

		if (send(channel->fd, records[i].iov_base, records[i].iov_len,
			 MSG_NOSIGNAL | (i ? MSG_DONTWAIT : 0)) < 0)
			break;
		channel->read = read; /* the receiver was still there */
		channel->sent++;
	}
	return i || is_full(errno) ? i : -errno;
}

static int local_unsure(struct transport *transport, size_t sent)
{
	const struct channel *channel = (const struct channel *)transport;
	uint64_t unsure = channel->sent - channel->read;

	(void)sent;
	return unsure < INT32_MAX ? (int)unsure : INT32_MAX;
}

struct transport *transport_local_new(const char *path)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->transport = (struct transport){.open = local_open,
						.send = local_send,
						.is_broken = always_broken,
						.unsure = local_unsure,
						.is_settled = channel_is_settled,
						.free = channel_free};
	channel->fd = -1;
	channel->path = strdup(path);
	if (channel->path)
		return &channel->transport;
	free(channel);
	return NULL;
}

/* ---- UDP, TCP -------------------------------------------------------------------------------- */

/* Connects within CONNECT_MS. */
static int connect_to(const struct addrinfo *address)
{
	int fd = socket(address->ai_family, address->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, 0),
	    error = 0;
	socklen_t len = sizeof(error);
	struct pollfd ready = {.fd = fd, .events = POLLOUT};

	if (fd < 0)
		return -errno;
	if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
		return fd;
	error = errno;
	if (error == EINPROGRESS) {
		error = ETIMEDOUT;
		if (poll(&ready, 1, CONNECT_MS) > 0 &&
		    getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len))
			error = errno;
	}
	if (!error)
		return fd;
	close(fd);
	return -error;
}

static int lookup_error(int error)
{
	return error == EAI_SYSTEM ? -errno : error == EAI_MEMORY ? -ENOMEM : -ENODATA;
}

/*
 * The address to try now. UDP shows only later whether an address is reachable, so they take turns.
 */
static const struct addrinfo *by_turn(const struct addrinfo *addresses, size_t turn)
{
	size_t count = 0;

	for (const struct addrinfo *address = addresses; address; address = address->ai_next)
		count++;
	for (turn = count ? turn % count : 0; turn; turn--)
		addresses = addresses->ai_next;
	return addresses;
}

static int net_open(struct channel *channel, int type)
{
	const struct addrinfo hints = {.ai_socktype = type,
				       .ai_family = AF_UNSPEC,
				       .ai_flags = AI_NUMERICSERV};
	struct addrinfo *addresses = NULL;
	int error = getaddrinfo(channel->host, channel->service, &hints, &addresses),
	    fd = -EHOSTUNREACH;

	if (error)
		return lookup_error(error);
	for (const struct addrinfo *address = by_turn(addresses, channel->turn); address && fd < 0;
	     address = address->ai_next)
		fd = connect_to(address);
	freeaddrinfo(addresses);
	if (fd < 0)
		return fd;
	channel_close(channel);
	channel->fd = fd;
	channel->opened_ns = clock_ns(CLOCK_MONOTONIC);
	return 0;
}

static struct transport *net_new(const char *host, const char *service, struct transport transport)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel)
		return NULL;
	channel->transport = transport;
	channel->fd = -1;
	channel->host = strdup(host);
	channel->service = strdup(service);
	if (channel->host && channel->service)
		return &channel->transport;
	channel_free(&channel->transport);
	return NULL;
}

static int udp_open(struct transport *transport)
{
	return net_open((struct channel *)transport, SOCK_DGRAM);
}

/*
 * Pauses after each batch: a receive buffer has room for a few hundred datagrams only, and a long
 * queue must not overrun it.
 */
static void udp_wait(struct transport *transport, int timeout_ms)
{
	channel_wait(transport, timeout_ms);
	nanosleep(&(struct timespec){.tv_nsec = UDP_PAUSE_NS}, NULL);
}

/*
 * Sends one record; *sent says whether it went out. 0, or a negative errno, which may belong to an
 * earlier datagram that an ICMP message reported: send() returns it once, and a second send() goes
 * out. ECONNREFUSED always belongs to an earlier datagram, so there is no second send(), and the
 * record waits.
 */
static int udp_send_one(struct channel *channel, const struct iovec *record, bool *sent)
{
	int error;

	*sent = send(channel->fd, record->iov_base, record->iov_len, MSG_NOSIGNAL) >= 0;
	if (*sent || is_full(errno))
		return *sent ? 0 : -errno;
	error = -errno;
	if (error != -ECONNREFUSED) {
		*sent = send(channel->fd, record->iov_base, record->iov_len, MSG_NOSIGNAL) >= 0;
		if (!*sent)
			return -errno;
	}
	channel->transport.lost++;
	return error == -EMSGSIZE
		       ? 0
		       : error; /* the path has a smaller limit now; no need to reconnect */
}

/*
 * Returns the number of records sent; the error of the one after them is returned by the next call.
 */
static int udp_send(struct transport *transport, const struct iovec *records, int count)
{
	struct channel *channel = (struct channel *)transport;
	int error = channel->refusal, i = 0;

	channel->refusal = 0;
	while (!error && i < count && i < UDP_BATCH) {
		bool sent;

		error = udp_send_one(channel, &records[i], &sent);
		i += sent;
	}
	if (!error || is_full(-error))
		return i;
	if (!i) {
		channel->turn += error == -ECONNREFUSED;
		return error;
	}
	channel->refusal = error;
	return i;
}

static bool udp_is_stale(const struct transport *transport)
{
	return clock_ns(CLOCK_MONOTONIC) - ((const struct channel *)transport)->opened_ns >
	       UDP_STALE_NS;
}

struct transport *transport_udp_new(const char *host, const char *service)
{
	return net_new(host, service,
		       (struct transport){.open = udp_open,
					  .send = udp_send,
					  .is_broken = always_broken,
					  .wait = udp_wait,
					  .quiet_ns = QUIET_NS,
					  .is_stale = udp_is_stale,
					  .free = channel_free});
}

static int tcp_open(struct transport *transport)
{
	struct channel *channel = (struct channel *)transport;
	int error = net_open(channel, SOCK_STREAM), buffer = SEND_BUFFER, on = 1,
	    timeout = USER_TIMEOUT_MS, idle = KEEPALIVE_S;

	if (error)
		return error;
	setsockopt(channel->fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof(buffer));
	setsockopt(channel->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(channel->fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof(idle));
	setsockopt(channel->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout, sizeof(timeout));
	return 0;
}

/*
 * Whether the receiver is still there: it sends nothing, and once it closes its side, it does not
 * read either. 0 or a negative errno.
 */
static int tcp_look(const struct channel *channel)
{
	char nothing[512];
	ssize_t len = recv(channel->fd, nothing, sizeof(nothing), MSG_DONTWAIT);

	if (len == 0)
		return -ECONNRESET;
	return len > 0 || is_full(errno) ? 0 : -errno;
}

static int tcp_send(struct transport *transport, const struct iovec *records, int count)
{
	struct channel *channel = (struct channel *)transport;
	struct iovec rest[TRANSPORT_BATCH];
	struct msghdr message = {.msg_iov = rest, .msg_iovlen = (size_t)count};
	int error = tcp_look(channel), whole = 0;
	ssize_t len;

	if (error)
		return error;
	memcpy(rest, records, (size_t)count * sizeof(rest[0]));
	rest[0].iov_base = (char *)rest[0].iov_base + channel->written;
	rest[0].iov_len -= channel->written;
	len = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
	channel->stalled = len < 0;
	if (len < 0)
		return is_full(errno) ? 0 : -errno;
	channel->written += (size_t)len;
	while (whole < count && channel->written >= records[whole].iov_len)
		channel->written -= records[whole++].iov_len;
	return whole;
}

static int tcp_unsure(struct transport *transport, size_t sent)
{
	const struct channel *channel = (const struct channel *)transport;
	int error = tcp_look(channel);

	if (error)
		return error;
	return channel->stalled || outstanding(channel) ? (int)sent : 0;
}

struct transport *transport_tcp_new(const char *host, const char *service)
{
	return net_new(host, service,
		       (struct transport){.open = tcp_open,
					  .send = tcp_send,
					  .is_broken = always_broken,
					  .wait = channel_wait,
					  .unsure = tcp_unsure,
					  .is_settled = channel_is_settled,
					  .doubt_ns = DOUBT_NS,
					  .quiet_ns = QUIET_NS,
					  .free = channel_free});
}
