/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A mail that the watch sends to itself over loopback, to see whether its hooks see it. */
#ifndef SMTPSNOOP_CANARY_H
#define SMTPSNOOP_CANARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "record.h"

/* Hex digits, new each time: the local part of sender and recipient, and the subject. */
#define CANARY_TOKEN_LEN 32U
#define CANARY_HOST	 "localhost"		      /* the domain of both, and the name in EHLO */
#define CANARY_BYTES	 (9U + CANARY_TOKEN_LEN + 4U) /* of the message */

#define CANARY_SIDE_MAX	  512U /* bytes of one side of the conversation */
#define CANARY_LINES	  13U
#define CANARY_SOCKETS	  3U
#define CANARY_FOREIGN	  16U		/* strangers' connections that one step turns away */
#define CANARY_SENDING_NS 5000000000ULL /* the whole conversation takes at most this long */

enum canary_state {
	CANARY_NONE,	/* none was begun */
	CANARY_SENDING, /* the conversation goes on */
	CANARY_SENT,	/* it has ended as planned; its records may be on their way */
	CANARY_FAILED,	/* it could not be held; `error` says why */
};

/* Who has seen a byte. */
enum canary_seen {
	CANARY_SEEN_SEND = 1 << 0,
	CANARY_SEEN_WIRE = 1 << 1,
};

/* What one side says: the client's or the server's. */
struct canary_side {
	char text[CANARY_SIDE_MAX];
	uint8_t seen[CANARY_SIDE_MAX]; /* of each byte: enum canary_seen */
	size_t len;
	size_t written, read; /* so far, by our own sockets */
	bool based;
	uint32_t base; /* the sequence number of the first byte; known from the first record */
};

enum canary_socket { CANARY_CLIENT, CANARY_SERVER, CANARY_LISTENER };

struct canary {
	enum canary_state state;
	int error; /* of CANARY_FAILED: a negative errno */
	uint64_t begun_ns;
	int sockets[CANARY_SOCKETS]; /* -1: not open */
	uint16_t client_port;	     /* network order */
	/* Cookies stay until the next canary: records may come after the end. 0: none yet. */
	uint64_t cookies[2];
	struct canary_side client, server;
	size_t line;			/* the next of the conversation */
	size_t line_ends[CANARY_LINES]; /* where each ends in its side's text */
	uint32_t pid;			/* the task that sends, as its first record named it; */
	uint64_t start_ns;		/* pid 0: no record yet */
	bool foreign; /* a record of our sockets was not of the canary: the pipeline has it */
};

/* Ready for canary_begin(). */
void canary_init(struct canary *canary);

/* Opens the sockets and begins a new conversation. The state is SENDING or FAILED. */
void canary_begin(struct canary *canary, uint64_t now_ns);

/* Goes on with the conversation as far as that is possible without waiting. */
void canary_step(struct canary *canary, uint64_t now_ns);

/* Closes the sockets. The records of the last canary are still recognized. */
void canary_close(struct canary *canary);

/*
 * Whether a record is of the canary, and of nothing else: then the caller drops it. The record may
 * be malformed, with the length that it names.
 */
bool canary_take(struct canary *canary, const struct record *record);

/* Whether every byte of what was said has this mark. */
bool canary_client_seen(const struct canary *canary, enum canary_seen seen);
bool canary_server_seen(const struct canary *canary, enum canary_seen seen);

#endif
