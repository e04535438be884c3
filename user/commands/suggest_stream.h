/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Mail of one process with one sender, seen on several days: what a draft is made from.
 *
 * Everything in a stream is bounded, because whoever mails chooses it. Relays, and domains of
 * recipients, have their days counted as the mail as a whole has: what came on one day alone does
 * not get into a draft.
 */
#ifndef SMTPSNOOP_SUGGEST_STREAM_H
#define SMTPSNOOP_SUGGEST_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "commands/suggest_kinds.h"
#include "policy/facts.h"

#define STREAM_RELAYS_MAX    8U
#define STREAM_DOMAINS_MAX   16U
#define STREAM_ADDRESSES_MAX 8U	   /* of a domain; more become a pattern */
#define STREAM_MESSAGES_MAX  8192U /* whose times and sizes are kept */
#define STREAM_TEXT_MAX	     512U  /* bytes of a value that gets into a draft */

/* The first ones are the process; all together are the kind. */
enum part {
	PART_EXECUTABLE,
	PART_USER,
	PART_UNIT,
	PART_ORIGIN, /* the user who handed it to an MTA; below, the process */
	PART_ORIGIN_EXECUTABLE,
	PART_ORIGIN_UNIT,
	PART_OF_PROCESS, /* their number */
	PART_SCHEDULED_BY = PART_OF_PROCESS,
	PART_SCRIPT,
	PART_ORIGIN_SCRIPT,
	PART_SENDER,
	PART_COUNT,
};

struct seen {
	int64_t time_s;
	uint64_t recipients;
	uint64_t bytes;
};

struct relay_seen {
	uint8_t address[16];
	uint16_t port;
	struct days days;
};

struct domain_seen {
	char *name;			       /* owned; "@corp.example", or "" */
	char *addresses[STREAM_ADDRESSES_MAX]; /* owned */
	size_t count;
	bool many; /* there were more */
	struct days days;
};

struct stream {
	uint64_t hash, process;
	char *parts[PART_COUNT]; /* owned; "": not known; NULL: no message yet */
	struct days days;
	int64_t first_s, last_s;
	unsigned long count; /* of messages */
	struct relay_seen relays[STREAM_RELAYS_MAX];
	size_t relay_count;
	struct domain_seen domains[STREAM_DOMAINS_MAX];
	size_t domain_count;
	struct seen *messages; /* owned */
	size_t message_count;
	char *subject; /* owned: the common beginning; NULL: one had none */
	bool subject_varies;
	bool encrypted;
	bool too_many; /* messages, relays or domains that were left out */
	bool failed;   /* no memory */
};

/* Adds a message of this kind. `room`: messages of all streams that may still be kept. */
void stream_add(struct stream *stream, const struct span *parts, const struct facts *facts,
		size_t *room);

/* Frees what it owns. */
void stream_free(struct stream *stream);

/* Whether a text can get into a draft: short, and of characters that can be seen. */
bool stream_text_is_plain(struct span text);

/* "@corp.example"; empty if the address has no domain. */
struct span address_domain(struct span address);

#endif
