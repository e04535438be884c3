/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The protocol is one datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)). It is spoken here, not by libsystemd,
 * whose call waits until the manager has read: any user may fill that queue, and the thread that captures must not wait.
 */
#include "notify.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS 1000 /* for what the manager has to hear */

/* A socket to the manager; -1: there is none. The caller closes it. */
static int manager(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = getenv("NOTIFY_SOCKET");
	size_t len = name ? strlen(name) : 0;
	int fd;

	if (len < 2 || len > sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@'))
		return -1;
	memcpy(address.sun_path, name, len);
	if (name[0] == '@') /* abstract: without a file */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Waits for room up to `wait_ms`; without any, the manager does not hear it. */
static void tell(const char *state, int wait_ms)
{
	struct pollfd room = {.fd = manager(), .events = POLLOUT};

	if (room.fd < 0)
		return;
	if (send(room.fd, state, strlen(state), MSG_NOSIGNAL) < 0 && errno == EAGAIN && wait_ms &&
	    poll(&room, 1, wait_ms) > 0)
		send(room.fd, state, strlen(state), MSG_NOSIGNAL);
	close(room.fd);
}

void notify_ready(void)
{
	tell("READY=1", WAIT_MS);
}

/* The time tells which reload this is, where the manager waits for one (Type=notify-reload). */
void notify_reloading(void)
{
	struct timespec now;
	char state[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000ULL + (unsigned long long)now.tv_nsec / 1000ULL);
	tell(state, WAIT_MS);
}

void notify_stopping(void)
{
	tell("STOPPING=1", WAIT_MS);
}

void notify_alive(const char *format, ...)
{
	char state[256] = "WATCHDOG=1\nSTATUS=";
	size_t len = strlen(state);
	va_list args;

	va_start(args, format);
	vsnprintf(state + len, sizeof(state) - len, format, args);
	va_end(args);
	tell(state, 0);
}
