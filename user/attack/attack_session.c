/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "attack/attack_session.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#ifndef SOL_TLS
#define SOL_TLS 282
#endif
#ifndef TCP_ULP
#define TCP_ULP 31
#endif

/* ---- What came of it ------------------------------------------------------------------------- */

static enum attack_status said(const struct attack_target *target, const char *what,
			       enum attack_status status)
{
	if (errno)
		snprintf(target->shared->why, sizeof(target->shared->why), "%s: %s", what,
			 strerror(errno));
	else
		snprintf(target->shared->why, sizeof(target->shared->why), "%s", what);
	return status;
}

enum attack_status attack_unavailable(const struct attack_target *target, const char *what)
{
	return said(target, what, ATTACK_UNAVAILABLE);
}

enum attack_status attack_failed(const struct attack_target *target, const char *what)
{
	return said(target, what, ATTACK_FAILED);
}

enum attack_status attack_refused(const struct attack_target *target, const char *what)
{
	switch (errno) {
	case ENOSYS:
	case EPERM:
	case EACCES:
	case EINVAL:
	case EOPNOTSUPP:
	case ENOPROTOOPT:
	case EPROTONOSUPPORT:
	case EAFNOSUPPORT:
	case ESOCKTNOSUPPORT:
	case ENOENT:
	case ENOMEM:
	case ENODEV: return attack_unavailable(target, what);
	default: return attack_failed(target, what);
	}
}

/* ---- A session ------------------------------------------------------------------------------- */

int attack_connect(uint16_t port)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_port = htons(port),
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

uint16_t attack_source_port(int fd)
{
	struct sockaddr_in addr = {};
	socklen_t len = sizeof(addr);

	getsockname(fd, (struct sockaddr *)&addr, &len);
	return ntohs(addr.sin_port);
}

int attack_reply(int fd)
{
	char line[256];
	size_t len = 0;

	while (len < sizeof(line) - 1) {
		if (recv(fd, line + len, 1, 0) != 1)
			return -1;
		if (line[len++] == '\n')
			break;
	}
	line[len] = '\0';
	return atoi(line);
}

int attack_send(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return -1;
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

char *attack_text(const struct attack_target *target, size_t size)
{
	char *text = malloc(size + 1024), *end;

	if (!text)
		return NULL;
	end = text + sprintf(text,
			     "EHLO attack\r\nMAIL FROM:<%s>\r\nRCPT TO:<%s>\r\nDATA\r\nSubject: a "
			     "test\r\n\r\n",
			     target->sender, target->recipient);
	for (size_t i = 0; i < size / 72; i++)
		end += sprintf(end, "%070d\r\n", 0);
	sprintf(end, "hello\r\n.\r\nQUIT\r\n");
	return text;
}

enum attack_status attack_taken(const struct attack_target *target, int fd)
{
	static const int codes[] = {250, 250, 250, 354, 250, 221};

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		int code = attack_reply(fd);

		if (code != codes[i]) {
			errno = 0;
			return attack_failed(target, code < 0 ? "the connection ended early"
							      : "the server refused a command");
		}
	}
	return ATTACK_DONE;
}

enum attack_status attack_at_once(const struct attack_target *target, int fd, attack_way way,
				  size_t size)
{
	enum attack_status status;
	char *text = attack_text(target, size);

	if (fd < 0 || !text) {
		free(text);
		return attack_refused(target, "cannot connect");
	}
	if (attack_reply(fd) != 220)
		status = attack_failed(target, "the server sent no greeting");
	else if (way(fd, text, strlen(text)))
		status = attack_refused(target, "cannot send");
	else
		status = attack_taken(target, fd);
	free(text);
	close(fd);
	return status;
}

enum attack_status attack_dialogue(const struct attack_target *target, int fd, attack_way way)
{
	const int codes[] = {250, 250, 250, 354, 250, 221};
	char lines[6][256];

	if (fd < 0)
		return attack_refused(target, "cannot connect");
	snprintf(lines[0], sizeof(lines[0]), "EHLO attack\r\n");
	snprintf(lines[1], sizeof(lines[1]), "MAIL FROM:<%s>\r\n", target->sender);
	snprintf(lines[2], sizeof(lines[2]), "RCPT TO:<%s>\r\n", target->recipient);
	snprintf(lines[3], sizeof(lines[3]), "DATA\r\n");
	snprintf(lines[4], sizeof(lines[4]), "Subject: a test\r\n\r\nhello\r\n.\r\n");
	snprintf(lines[5], sizeof(lines[5]), "QUIT\r\n");
	if (attack_reply(fd) != 220)
		return attack_failed(target, "the server sent no greeting");
	for (size_t i = 0; i < 6; i++) {
		if (way(fd, lines[i], strlen(lines[i])))
			return attack_refused(target, "cannot send");
		if (attack_reply(fd) != codes[i]) {
			errno = 0;
			return attack_failed(target, "the server refused a command");
		}
	}
	close(fd);
	return ATTACK_DONE;
}

/* ---- Lines that are more than one command ---------------------------------------------------- */

enum { LINE_EHLO, LINE_MAIL, LINE_RCPT, LINE_DATA, LINES };

static const int line_codes[LINES] = {250, 250, 250, 354};

static void session_line(const struct attack_target *target, int number, char *line)
{
	switch (number) {
	case LINE_EHLO: snprintf(line, ATTACK_LINE_MAX, "EHLO attack\r\n"); break;
	case LINE_MAIL:
		snprintf(line, ATTACK_LINE_MAX, "MAIL FROM:<%s>\r\n", target->sender);
		break;
	case LINE_RCPT:
		snprintf(line, ATTACK_LINE_MAX, "RCPT TO:<%s>\r\n", target->recipient);
		break;
	default: snprintf(line, ATTACK_LINE_MAX, "DATA\r\n"); break;
	}
}

enum attack_status attack_lines(const struct attack_target *target, int fd, attack_send_line send,
				int refused)
{
	static const char message[] = "Subject: a test\r\n\r\nhello\r\n.\r\n";
	char line[ATTACK_LINE_MAX];

	for (int number = 0; number < LINES; number++) {
		session_line(target, number, line);
		if (send(fd, number, line))
			return attack_refused(target, "cannot send");
		for (int i = 0; i < refused; i++) {
			if (attack_reply(fd) != 500)
				return attack_failed(
					target,
					"the server did not answer a junk line as expected");
		}
		if (attack_reply(fd) != line_codes[number])
			return attack_failed(target, "the server refused a command");
	}
	if (attack_send(fd, message, strlen(message)) || attack_reply(fd) != 250)
		return attack_failed(target, "the server did not accept the message");
	close(fd);
	return ATTACK_DONE;
}

int attack_line_after_junk(int fd, int number, const char *line)
{
	char text[ATTACK_LINE_MAX + 16];

	snprintf(text, sizeof(text), "XJUNK %d\r\n%s", number, line);
	return attack_send(fd, text, strlen(text));
}

/* ---- TLS in the kernel ----------------------------------------------------------------------- */

int attack_ktls(int fd, int direction)
{
	struct tls12_crypto_info_aes_gcm_128 info = {
		.info = {.version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128},
		.iv = "attack!",
		.key = "not a secret, 1",
		.salt = "abc",
		.rec_seq = "",
	};

	if (setsockopt(fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")))
		return -1;
	return setsockopt(fd, SOL_TLS, direction, &info, sizeof(info));
}
