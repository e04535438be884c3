/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Records that wait for an output: one thread adds, another one takes. Bounded in bytes.
 *
 * The last quarter is kept for what is urgent, so that who makes many unremarkable events cannot
 * keep an alert out. And of either part, a sender who has more than a quarter of the whole leaves
 * an eighth of the whole to the others: who makes many alerts does not keep out another's.
 */
#ifndef SMTPSNOOP_QUEUE_H
#define SMTPSNOOP_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

struct entry {
	struct entry *next;
	uint64_t sent_ns; /* the taker's */
	unsigned int share;
	size_t len;
	char data[];
};

struct queue;

/* What decides how much room a record has. */
struct queue_class {
	bool urgent;
	/* the same number for the same sender; QUEUE_OWN: what is told by ourselves */
	uint64_t sender;
};

#define QUEUE_OWN UINT64_MAX

/* `limit`: bytes. NULL if there is no memory. */
struct queue *queue_new(uint64_t limit);

/* Another bound; what is in it stays. */
void queue_bound(struct queue *queue, uint64_t limit);
uint64_t queue_limit(const struct queue *queue);

/* Frees what is in it; entries that were taken are the taker's. NULL is allowed. */
void queue_free(struct queue *queue);

/*
 * Adds one record, head and body behind each other. False: there is no room, or no memory. The
 * taker is not woken.
 */
bool queue_add(struct queue *queue, struct span head, struct span body, struct queue_class class);

/* Wakes the taker. */
void queue_wake(struct queue *queue);

/*
 * All that waits, in order, NULL: nothing. Waits until there is something, queue_wake() is called,
 * or the time is over. What is taken still counts, until it is released.
 */
struct entry *queue_take(struct queue *queue, uint64_t timeout_ns);

/* Frees a taken entry. */
void queue_release(struct queue *queue, struct entry *entry);

/* Bytes and records that were added and not released. */
uint64_t queue_bytes(const struct queue *queue);
uint64_t queue_records(const struct queue *queue);

#endif
