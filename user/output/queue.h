/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records that wait for an output: one thread adds them, another takes them. Bounded in bytes.
 *
 * The last quarter is reserved for urgent records, so that many unremarkable events cannot keep an
 * alert out. In either part, a sender that holds more than a quarter of the whole must leave an
 * eighth of the whole to the others, so that one sender's alerts cannot keep out another's.
 */
#ifndef SMTPSNOOP_QUEUE_H
#define SMTPSNOOP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct entry {
	struct entry *next;
	uint64_t sent_ns; /* for the taker: when it was sent */
	unsigned int share;
	size_t len;
	char data[];
};

struct queue;

/* What decides how much of the queue a record may use. */
struct queue_class {
	bool urgent;
	/* the same number for the same sender; QUEUE_OWN: our own reports */
	uint64_t sender;
};

#define QUEUE_OWN UINT64_MAX

/* `limit`: bytes. NULL if there is no memory. */
struct queue *queue_new(uint64_t limit);

/* Changes the bound; queued records stay. */
void queue_bound(struct queue *queue, uint64_t limit);
uint64_t queue_limit(const struct queue *queue);

/*
 * Frees the queue and what is in it; entries that were taken belong to the taker. NULL is allowed.
 */
void queue_free(struct queue *queue);

/*
 * Adds one record: head, then body. False if there is no room or no memory. Does not wake the
 * taker.
 */
bool queue_add(struct queue *queue, struct span head, struct span body, struct queue_class class);

/* Wakes the taker. */
void queue_wake(struct queue *queue);

/*
 * Takes all entries, in order; NULL if there are none. Waits until there is one, until queue_wake()
 * is called, or until the time is over. Taken entries count against the bound until they are
 * released.
 */
struct entry *queue_take(struct queue *queue, uint64_t timeout_ns);

/* Frees a taken entry. */
void queue_release(struct queue *queue, struct entry *entry);

/* Bytes and records that were added and not yet released. */
uint64_t queue_bytes(const struct queue *queue);
uint64_t queue_records(const struct queue *queue);

#endif
