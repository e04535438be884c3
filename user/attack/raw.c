/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * TCP in user space, for one short session: the kernel has no TCP socket for the client's end.
 * Everything happens in its own network namespace, where loopback also routes the client's made-up
 * address. So the kernel neither answers for that address nor drops packets to it before a packet
 * socket has seen them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/route.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "attack/scenarios.h"

#define CLIENT_ADDR 0x0a4d0002U /* 10.77.0.2 */
#define CLIENT_PORT 40077
#define HEADERS_LEN (sizeof(struct iphdr) + sizeof(struct tcphdr))
#define WINDOW	    64000

struct stack {
	int out, in; /* packets are sent by `out` and read from `in` */
	bool packet; /* `out` is a packet socket */
	uint16_t port;
	uint32_t seq, ack;
};

static uint16_t checksum(const void *data, size_t len, uint32_t sum)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < len; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static int put_segment(struct stack *stack, bool syn, const char *data, size_t len)
{
	char packet[HEADERS_LEN + 1024] = "";
	struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP};
	struct tcphdr tcp = {.source = htons(CLIENT_PORT), .dest = htons(stack->port), .doff = 5};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_ll link = {.sll_family = AF_PACKET,
				   .sll_protocol = htons(ETH_P_IP),
				   .sll_ifindex = (int)if_nametoindex("lo"),
				   .sll_halen = ETH_ALEN};
	size_t total = HEADERS_LEN + len;
	uint32_t pseudo;

	if (len > 1024)
		return -1;
	ip.tot_len = htons((uint16_t)total);
	ip.saddr = htonl(CLIENT_ADDR);
	ip.daddr = htonl(INADDR_LOOPBACK);
	memcpy(packet, &ip, sizeof(ip));
	ip.check = htons(checksum(packet, sizeof(ip), 0));
	tcp.seq = htonl(stack->seq);
	tcp.ack_seq = htonl(stack->ack);
	tcp.syn = syn;
	tcp.ack = !syn;
	tcp.psh = len > 0;
	tcp.window = htons(WINDOW);
	memcpy(packet + sizeof(ip), &tcp, sizeof(tcp));
	memcpy(packet + HEADERS_LEN, data, len);
	pseudo = (CLIENT_ADDR >> 16) + (CLIENT_ADDR & 0xffff) + (INADDR_LOOPBACK >> 16) +
		 (INADDR_LOOPBACK & 0xffff) + IPPROTO_TCP + (uint32_t)(sizeof(tcp) + len);
	tcp.check = htons(checksum(packet + sizeof(ip), sizeof(tcp) + len, pseudo));
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), &tcp, sizeof(tcp));
	stack->seq += (uint32_t)len + syn;
	if (stack->packet)
		return sendto(stack->out, packet, total, 0, (struct sockaddr *)&link,
			      sizeof(link)) < 0;
	return sendto(stack->out, packet, total, 0, (struct sockaddr *)&to, sizeof(to)) < 0;
}

/* The payload of the next segment to the client, acknowledged; -1: none arrived in time. */
static ssize_t take_segment(struct stack *stack, char *data, size_t size)
{
	char packet[4096] = "";

	for (;;) {
		ssize_t n = recv(stack->in, packet, sizeof(packet), 0);
		struct iphdr ip;
		struct tcphdr tcp;
		size_t headers, len;

		if (n < 0)
			return -1;
		if ((size_t)n < HEADERS_LEN)
			continue;
		memcpy(&ip, packet, sizeof(ip));
		memcpy(&tcp, packet + (size_t)ip.ihl * 4, sizeof(tcp));
		headers = (size_t)ip.ihl * 4 + (size_t)tcp.doff * 4;
		if (ip.daddr != htonl(CLIENT_ADDR) || tcp.dest != htons(CLIENT_PORT) ||
		    headers > (size_t)n)
			continue;
		len = ntohs(ip.tot_len) - headers;
		if (!tcp.syn && (!len || ntohl(tcp.seq) != stack->ack))
			/* an acknowledgement, or the second copy of a packet on loopback */
			continue;
		stack->ack = ntohl(tcp.seq) + (uint32_t)len + tcp.syn;
		if (len >= size)
			len = size - 1;
		memcpy(data, packet + headers, len);
		data[len] = '\0';
		return put_segment(stack, false, "", 0) ? -1 : (ssize_t)len;
	}
}

static enum attack_status converse(const struct attack_target *target, struct stack *stack)
{
	char data[4096], *text = attack_text(target, 0);
	bool sent = false;

	if (!text || put_segment(stack, true, "", 0))
		return attack_failed(target, "cannot send");
	while (take_segment(stack, data, sizeof(data)) >= 0) {
		if (strstr(data, "2.0.0 taken")) {
			free(text);
			return ATTACK_DONE;
		}
		if (!sent && strncmp(data, "220", 3) == 0) {
			sent = true;
			put_segment(stack, false, text, strlen(text));
		}
	}
	free(text);
	return attack_failed(target, sent ? "the server did not answer the session"
					  : "the server sent no greeting");
}

/* A setting of this network namespace. */
static bool set(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, "1", 1) == 1;

	if (fd >= 0)
		close(fd);
	return good;
}

/* Sets loopback up, and makes it accept packets to the client's address. */
static bool routed(void)
{
	struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(CLIENT_ADDR)},
			   mask = {.sin_family = AF_INET, .sin_addr.s_addr = 0xffffffff};
	struct rtentry route = {.rt_flags = RTF_UP | RTF_HOST, .rt_dev = (char *)"lo"};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool good;

	memcpy(&route.rt_dst, &to, sizeof(to));
	memcpy(&route.rt_genmask, &mask, sizeof(mask));
	good = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &request) == 0 &&
	       ioctl(fd, SIOCADDRT, &route) == 0 &&
	       set("/proc/sys/net/ipv4/conf/all/route_localnet");
	close(fd);
	return good;
}

static enum attack_status in_user_space(const struct attack_target *target, bool packet)
{
	struct timeval limit = {.tv_sec = 3};
	struct attack_target inside = *target;
	struct stack stack = {.packet = packet, .seq = 1000};

	if (unshare(CLONE_NEWNET))
		return attack_unavailable(target, "cannot make a network namespace");
	if (!routed() || attack_serve(&inside.server))
		return attack_failed(target, "cannot start a server in the namespace");
	stack.in = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_IP));
	stack.out = packet ? socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0)
			   : socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (stack.in < 0 || stack.out < 0)
		return attack_unavailable(target, "cannot make a raw socket");
	setsockopt(stack.in, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	stack.port = inside.server.port;
	return converse(&inside, &stack);
}

enum attack_status run_raw_socket(const struct attack_target *target)
{
	return in_user_space(target, false);
}

enum attack_status run_packet_socket(const struct attack_target *target)
{
	return in_user_space(target, true);
}
