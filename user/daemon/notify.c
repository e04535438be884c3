/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The protocol is one datagram to the socket that NOTIFY_SOCKET names (sd_notify(3)). This file
 * implements it itself, because libsystemd's call waits until the manager has read: any user may
 * fill that queue, and the capturing thread must not wait for long. A sender that sleeps in send()
 * gets its turn; one that only polls for room finds that others took it.
 */
#include "daemon/notify.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define WAIT_MS	      1000 /* for messages that the manager must get */
#define WAIT_ALIVE_MS 20   /* for messages that are repeated a second later */

static atomic_bool ready_owed; /* the manager has not got READY=1 yet */

/*
 * A socket to the manager with this limit for send(); -1 if there is no manager. The caller closes
 * it.
 */
static int manager(int wait_ms)
{
	struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000L};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	const char *name = getenv("NOTIFY_SOCKET");
	size_t len = name ? strlen(name) : 0;
	int fd;

	if (len < 2 || len > sizeof(address.sun_path) || (name[0] != '/' && name[0] != '@'))
		return -1;
	memcpy(address.sun_path, name, len);
	if (name[0] == '@') /* an abstract socket, without a file */
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) ||
			connect(fd, (const struct sockaddr *)&address,
				(socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)))) {
		close(fd);
		return -1;
	}
	return fd;
}

/* Sends one message. False if it could not be sent in time. */
static bool tell(const char *state, int wait_ms)
{
	int fd = manager(wait_ms);
	bool heard;

	if (fd < 0)
		return false;
	heard = send(fd, state, strlen(state), MSG_NOSIGNAL) >= 0;
	close(fd);
	return heard;
}

void notify_ready(void)
{
	ready_owed = !tell("READY=1", WAIT_MS);
}

/* The time tells the manager which reload this is (Type=notify-reload). */
void notify_reloading(void)
{
	struct timespec now;
	char state[64];

	clock_gettime(CLOCK_MONOTONIC, &now);
	snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%llu",
		 (unsigned long long)now.tv_sec * 1000000ULL +
			 (unsigned long long)now.tv_nsec / 1000ULL);
	tell(state, WAIT_MS);
}

void notify_stopping(void)
{
	tell("STOPPING=1", WAIT_MS);
}

void notify_alive(const char *format, ...)
{
	char state[256];
	int len = snprintf(state, sizeof(state),
			   "%sWATCHDOG=1\nSTATUS=", ready_owed ? "READY=1\n" : "");
	va_list args;

	va_start(args, format);
	vsnprintf(state + len, sizeof(state) - (size_t)len, format, args);
	va_end(args);
	if (tell(state, WAIT_ALIVE_MS))
		ready_owed = false;
}
