/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. Two sockets of the watch hold a short SMTP conversation with each other over
 * 127.0.0.1, and the records of it say which hooks have seen it: the send hook the client's bytes,
 * the wire hook the bytes of both sides, with the reply to the data. Nothing of it becomes an event
 * or is counted, so the records are taken out before the pipeline. That must not become a place to
 * hide a mail in:
 *
 *  - A record is taken only if its socket has the cookie of one of our own two sockets. The kernel
 *    gives each cookie once, and nobody chooses his own.
 *  - Its bytes must be those that this conversation has at that position, and a send must be by the
 *    task that sent first on this socket: us. A token makes the bytes new each time.
 *  - Everything else on these sockets goes to the pipeline as it would without a canary: also what
 *    somebody with root's rights writes to a descriptor that he took from us.
 *
 * The sockets never block, and each turn of the capture loop goes as far as it can. Who else
 * connects to the listener is turned away; it is closed as soon as our own connection was accepted,
 * which is usually within the same turn. What comes of a firewall on loopback, a missing loopback
 * interface or a lack of descriptors is an error of its own: then nothing is known about the hooks.
 *
 * Another watch on the same host sees it as an ordinary mail, and excludes it by what it says and
 * who sends it (watch/other_canary.c).
 *
 * Closing resets the connection, so that no port stays occupied.
 */
#include "capture/canary.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture/records.h"

/* ---- What is said ---------------------------------------------------------------------------- */

/* Each begins in its own way, so that a line's bytes tell its position. */
static const struct {
	bool client;
	const char *text; /* %s: the token */
} lines[CANARY_LINES] = {
	{false, "220 localhost self-check\r\n"},
	{true, "EHLO " CANARY_HOST "\r\n"},
	{false, "250 self-check\r\n"},
	{true, "MAIL FROM:<%s@" CANARY_HOST ">\r\n"},
	{false, "250 sender\r\n"},
	{true, "RCPT TO:<%s@" CANARY_HOST ">\r\n"},
	{false, "250 recipient\r\n"},
	{true, "DATA\r\n"},
	{false, "354 go on\r\n"},
	{true, "Subject: %s\r\n\r\n.\r\n"},
	{false, "250 taken\r\n"},
	{true, "QUIT\r\n"},
	{false, "221 bye\r\n"},
};

static struct canary_side *side_of(struct canary *canary, bool client)
{
	return client ? &canary->client : &canary->server;
}

static int write_script(struct canary *canary)
{
	unsigned char random[CANARY_TOKEN_LEN / 2];
	char token[CANARY_TOKEN_LEN + 1];

	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != sizeof(random))
		return -EAGAIN;
	for (size_t i = 0; i < sizeof(random); i++)
		snprintf(token + 2 * i, 3, "%02x", random[i]);
	memset(&canary->client, 0, sizeof(canary->client));
	memset(&canary->server, 0, sizeof(canary->server));
	for (size_t i = 0; i < CANARY_LINES; i++) {
		struct canary_side *side = side_of(canary, lines[i].client);
		const char *text = lines[i].text, *gap = strstr(text, "%s");

		side->len += (size_t)snprintf(side->text + side->len, CANARY_SIDE_MAX - side->len,
					      "%.*s%s%s", gap ? (int)(gap - text) : 0, text,
					      gap ? token : "", gap ? gap + 2 : text);
		canary->line_ends[i] = side->len;
	}
	return 0;
}

/* ---- Sockets --------------------------------------------------------------------------------- */

void canary_init(struct canary *canary)
{
	*canary = (struct canary){.sockets = {-1, -1, -1}};
}

void canary_close(struct canary *canary)
{
	const struct linger reset = {.l_onoff = 1};

	for (size_t i = 0; i < CANARY_SOCKETS; i++) {
		if (canary->sockets[i] < 0)
			continue;
		setsockopt(canary->sockets[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
		close(canary->sockets[i]);
		canary->sockets[i] = -1;
	}
}

static void fail(struct canary *canary, int error)
{
	canary_close(canary);
	canary->state = CANARY_FAILED;
	canary->error = error;
}

/* A TCP socket on a free port of 127.0.0.1, and its address. A negative errno: it failed. */
static int loopback_socket(struct sockaddr_in *addr)
{
	socklen_t len = sizeof(*addr), protocol_len = sizeof(int);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
	int protocol = 0, error;

	if (fd < 0)
		return -errno;
	*addr = (struct sockaddr_in){.sin_family = AF_INET,
				     .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	if (!bind(fd, (struct sockaddr *)addr, sizeof(*addr)) &&
	    !getsockname(fd, (struct sockaddr *)addr, &len) &&
	    !getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &protocol_len)) {
		if (protocol == IPPROTO_TCP)
			return fd;
		errno = EPROTONOSUPPORT; /* a BPF program made it Multipath TCP */
	}
	error = -errno;
	close(fd);
	return error;
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t len = sizeof(cookie);

	return getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &len) ? 0 : cookie;
}

/* 0, or a negative errno. */
static int open_sockets(struct canary *canary)
{
	struct sockaddr_in listener = {0}, client = {0};
	int *sockets = canary->sockets;

	sockets[CANARY_LISTENER] = loopback_socket(&listener);
	if (sockets[CANARY_LISTENER] < 0)
		return sockets[CANARY_LISTENER];
	sockets[CANARY_CLIENT] = loopback_socket(&client);
	if (sockets[CANARY_CLIENT] < 0)
		return sockets[CANARY_CLIENT];
	canary->client_port = client.sin_port;
	/* Asking makes the cookie: from here on every hook knows the socket by it. */
	canary->cookies[CANARY_CLIENT] = cookie_of(sockets[CANARY_CLIENT]);
	if (!canary->cookies[CANARY_CLIENT] || listen(sockets[CANARY_LISTENER], CANARY_FOREIGN) ||
	    (connect(sockets[CANARY_CLIENT], (struct sockaddr *)&listener, sizeof(listener)) &&
	     errno != EINPROGRESS))
		return -errno;
	return 0;
}

void canary_begin(struct canary *canary, uint64_t now_ns)
{
	int error;

	canary_close(canary);
	canary_init(canary);
	canary->state = CANARY_SENDING;
	canary->begun_ns = now_ns;
	error = write_script(canary);
	if (!error)
		error = open_sockets(canary);
	if (error)
		fail(canary, error);
}

/* Accepts our own connection, and turns others away. False: it is not there yet, or has failed. */
static bool accept_own(struct canary *canary)
{
	int *sockets = canary->sockets, error = 0;
	socklen_t len = sizeof(error);

	for (uint32_t i = 0; i < CANARY_FOREIGN && sockets[CANARY_SERVER] < 0; i++) {
		struct sockaddr_in peer = {0};
		socklen_t peer_len = sizeof(peer);
		int fd = accept4(sockets[CANARY_LISTENER], (struct sockaddr *)&peer, &peer_len,
				 SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			break;
		if (peer.sin_port == canary->client_port &&
		    peer.sin_addr.s_addr == htonl(INADDR_LOOPBACK))
			sockets[CANARY_SERVER] = fd;
		else
			close(fd);
	}
	if (sockets[CANARY_SERVER] < 0) {
		if (!getsockopt(sockets[CANARY_CLIENT], SOL_SOCKET, SO_ERROR, &error, &len) &&
		    error)
			fail(canary, -error);
		return false;
	}
	canary->cookies[CANARY_SERVER] = cookie_of(sockets[CANARY_SERVER]);
	close(sockets[CANARY_LISTENER]);
	sockets[CANARY_LISTENER] = -1;
	return true;
}

/* Writes and reads the next line. 1: it is done; 0: it must wait; or a negative errno. */
static int say_line(struct canary *canary)
{
	bool client = lines[canary->line].client;
	struct canary_side *side = side_of(canary, client);
	size_t end = canary->line_ends[canary->line];
	char read[CANARY_SIDE_MAX];
	ssize_t n;

	if (side->written < end) {
		n = send(canary->sockets[client ? CANARY_CLIENT : CANARY_SERVER],
			 side->text + side->written, end - side->written, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		side->written += (size_t)n;
	}
	n = recv(canary->sockets[client ? CANARY_SERVER : CANARY_CLIENT], read, end - side->read,
		 0);
	if (n < 0)
		return errno == EAGAIN ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	if (memcmp(read, side->text + side->read, (size_t)n) != 0)
		return -EBADMSG; /* somebody else writes on our connection */
	side->read += (size_t)n;
	return side->read == end;
}

void canary_step(struct canary *canary, uint64_t now_ns)
{
	int said = 1;

	if (canary->state != CANARY_SENDING)
		return;
	if (canary->sockets[CANARY_SERVER] < 0 && !accept_own(canary))
		said = 0;
	while (canary->state == CANARY_SENDING && said > 0 && canary->line < CANARY_LINES) {
		said = say_line(canary);
		canary->line += said > 0;
	}
	if (canary->state == CANARY_FAILED)
		return;
	if (canary->line == CANARY_LINES) {
		canary_close(canary);
		canary->state = CANARY_SENT;
	} else if (said < 0) {
		fail(canary, said);
	} else if (now_ns - canary->begun_ns > CANARY_SENDING_NS) {
		fail(canary, -ETIMEDOUT);
	}
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Whether a task is the one that sends the canary. The first one is: only we have the socket. */
static bool is_own(struct canary *canary, uint32_t pid, uint64_t start_ns)
{
	if (!canary->pid) {
		canary->pid = pid;
		canary->start_ns = start_ns;
	}
	return pid == canary->pid && start_ns == canary->start_ns;
}

/*
 * Finds the position of the first bytes that are seen of a side. Every line begins in its own way,
 * and a record begins where a line does.
 */
static bool find_base(struct canary_side *side, uint32_t seq, const char *data, size_t len)
{
	const char *at = len ? memmem(side->text, side->len, data, len) : NULL;

	if (!at)
		return false;
	side->base = seq - (uint32_t)(at - side->text);
	side->based = true;
	return true;
}

/* Whether these are the bytes that the side says at this position; then marks them as seen. */
static bool take_bytes(struct canary_side *side, uint32_t seq, const char *data, uint32_t len,
		       enum canary_seen seen)
{
	uint32_t at;

	if (!side->based && !find_base(side, seq, data, len))
		return false;
	at = seq - side->base;
	if (at > side->len || len > side->len - at || memcmp(side->text + at, data, len) != 0)
		return false;
	for (uint32_t i = 0; i < len; i++)
		side->seen[at + i] |= (uint8_t)seen;
	return true;
}

static bool take_send(struct canary *canary, const struct send_record *send)
{
	bool client = send->flow.cookie == canary->cookies[CANARY_CLIENT];

	if (!is_own(canary, send->task.pid, send->task.start_ns))
		return false;
	if (!send->data_len) /* a claim: it tells who sent, and that is us */
		return true;
	return send->data_len == send->len && take_bytes(side_of(canary, client), send->seq,
							 send->data, send->len, CANARY_SEEN_SEND);
}

static bool take_segment(struct canary *canary, const struct segment_record *segment)
{
	bool client = segment->flow.cookie == canary->cookies[CANARY_CLIENT],
	     outbound = segment->flags & SEGMENT_OUTBOUND;

	return segment->data_len == segment->len &&
	       take_bytes(side_of(canary, client == outbound), segment->seq, segment->data,
			  segment->len, client ? CANARY_SEEN_WIRE : 0);
}

/* The cookie of a record's socket; 0: it is of no socket, or too short. */
static uint64_t socket_of(const struct record *record)
{
#define COOKIE(type, field)                                                                        \
	(record->len < sizeof(struct type) ? 0 : ((const struct type *)(const void *)record)->field)
	switch (record->type) {
	case RECORD_SENDER: return COOKIE(sender_record, flow);
	case RECORD_DIRECTORY: return COOKIE(directory_record, flow);
	case RECORD_SEND: return COOKIE(send_record, flow.cookie);
	case RECORD_SEGMENT: return COOKIE(segment_record, flow.cookie);
	case RECORD_URGENT: return COOKIE(urgent_record, flow.cookie);
	case RECORD_CLOSE: return COOKIE(close_record, flow.cookie);
	default: return 0;
	}
#undef COOKIE
}

static bool is_of_canary(struct canary *canary, const struct record *record)
{
	const struct sender_record *sender = (const void *)record;
	const struct directory_record *directory = (const void *)record;

	switch (record->type) {
	case RECORD_SENDER: return is_own(canary, sender->task.pid, sender->task.start_ns);
	case RECORD_DIRECTORY: return is_own(canary, directory->pid, directory->start_ns);
	case RECORD_SEND: return take_send(canary, (const void *)record);
	case RECORD_SEGMENT: return take_segment(canary, (const void *)record);
	case RECORD_CLOSE: return !canary->foreign;
	default: return false;
	}
}

bool canary_take(struct canary *canary, const struct record *record)
{
	uint64_t cookie = socket_of(record);

	if (!cookie ||
	    (cookie != canary->cookies[CANARY_CLIENT] && cookie != canary->cookies[CANARY_SERVER]))
		return false;
	if (record_valid(record, record->len) && is_of_canary(canary, record))
		return true;
	canary->foreign = true;
	return false;
}

static bool is_seen(const struct canary_side *side, enum canary_seen seen)
{
	for (size_t i = 0; i < side->len; i++) {
		if (!(side->seen[i] & seen))
			return false;
	}
	return true;
}

bool canary_client_seen(const struct canary *canary, enum canary_seen seen)
{
	return is_seen(&canary->client, seen);
}

bool canary_server_seen(const struct canary *canary, enum canary_seen seen)
{
	return is_seen(&canary->server, seen);
}
