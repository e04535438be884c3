/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the attacks share: a connection, and a session on it whose bytes are sent by any function.
 */
#ifndef SMTPSNOOP_ATTACK_SESSION_H
#define SMTPSNOOP_ATTACK_SESSION_H

#include <stdbool.h>

#include "attack/attack.h"

#define ATTACK_LIMIT_S	     10U
#define ATTACK_IPPROTO_MPTCP 262
#define ATTACK_AF_SMC	     43
#define ATTACK_TLS_TX	     1
#define ATTACK_TLS_RX	     2

/* Sends all of the bytes to the peer: 0, or -1 with errno. */
typedef int (*attack_way)(int fd, const char *data, size_t len);

/* Keeps the reason, with errno if it is not 0, and returns the status. */
enum attack_status attack_unavailable(const struct attack_target *target, const char *what);
enum attack_status attack_failed(const struct attack_target *target, const char *what);

/* By errno: unavailable if the kernel refuses the feature itself, otherwise failed. */
enum attack_status attack_refused(const struct attack_target *target, const char *what);

/* A connection to a port of IPv4's loopback, or -1. */
int attack_connect(uint16_t port);

/* The local port of a connection. */
uint16_t attack_source_port(int fd);

/* Brings up the loopback interface of a network namespace of one's own. */
bool attack_loopback_up(void);

/* The code of the next reply, or -1. */
int attack_reply(int fd);

/* The whole session in one piece, with a message of about `size` bytes; owned by the caller. */
char *attack_text(const struct attack_target *target, size_t size);

/* A dialogue, command by command, each in one call of `way`; then closes the connection. */
enum attack_status attack_dialogue(const struct attack_target *target, int fd, attack_way way);

/* The whole session in one call of `way`, after the greeting. */
enum attack_status attack_at_once(const struct attack_target *target, int fd, attack_way way,
				  size_t size);

/*
 * Reads the replies to a session that was sent at once, and checks whether the mail was accepted.
 */
enum attack_status attack_taken(const struct attack_target *target, int fd);

#define ATTACK_LINE_MAX 512U

/* Sends a line of a session, which is command `number` of it; 0, or -1. */
typedef int (*attack_send_line)(int fd, int number, const char *line);

/*
 * A session on a greeted connection, whose commands are sent by `send`; `refused` replies of 500
 * precede the reply to each. Closes the connection.
 */
enum attack_status attack_lines(const struct attack_target *target, int fd, attack_send_line send,
				int refused);

/* An attack_send_line: junk and the line in one send, so that no send begins with a verb. */
int attack_line_after_junk(int fd, int number, const char *line);

/* send(), repeated until everything is sent. */
int attack_send(int fd, const char *data, size_t len);

/*
 * Switches a socket to TLS in the kernel, in one direction, with a fixed key. 0, or -1 with errno.
 */
int attack_ktls(int fd, int direction);

#endif
