/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The time of one small send over loopback: rounds of 64-byte sends on one connection to a child
 * that reads them. Prints the nanoseconds per send, one line per round.
 *
 * sendcost ROUNDS SENDS
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void drain(int listener)
{
	static char buffer[1 << 16];
	int connection = accept(listener, NULL, NULL);

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (read(connection, buffer, sizeof(buffer)) > 0)
		;
	_exit(0);
}

static int connected(void)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0),
	    one = 1;

	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) || listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len))
		return -1;
	if (fork() == 0)
		drain(listener);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return -1;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 5, sends = argc > 2 ? atoi(argv[2]) : 200000,
	    fd = connected();
	char data[64];

	if (fd < 0) {
		perror("sendcost: loopback");
		return 1;
	}
	memset(data, 0xa5, sizeof(data));
	for (int round = 0; round < rounds; round++) {
		double start = now_ns();

		for (int i = 0; i < sends; i++) {
			if (send(fd, data, sizeof(data), 0) != sizeof(data))
				return 1;
		}
		printf("%.1f\n", (now_ns() - start) / sends);
		fflush(stdout);
	}
	return 0;
}
