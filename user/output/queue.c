/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "output/queue.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SHARES 1024U /* a power of two; senders whose hashes collide share a slot */
#define OWN    SHARES

struct queue {
	_Atomic uint64_t limit; /* bytes */
	_Atomic uint64_t bytes;
	_Atomic uint64_t records;
	_Atomic uint64_t shares[SHARES + 1]; /* bytes of each sender */
	pthread_mutex_t lock;		     /* protects what follows */
	pthread_cond_t more;
	struct entry *first;
	struct entry **end;
	bool woken;
};

struct queue *queue_new(uint64_t limit)
{
	struct queue *queue = calloc(1, sizeof(*queue));
	pthread_condattr_t clock;

	if (!queue)
		return NULL;
	queue->limit = limit;
	queue->end = &queue->first;
	pthread_mutex_init(&queue->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&queue->more, &clock);
	pthread_condattr_destroy(&clock);
	return queue;
}

void queue_bound(struct queue *queue, uint64_t limit)
{
	queue->limit = limit;
}

uint64_t queue_limit(const struct queue *queue)
{
	return queue->limit;
}

void queue_free(struct queue *queue)
{
	if (!queue)
		return;
	while (queue->first) {
		struct entry *next = queue->first->next;

		free(queue->first);
		queue->first = next;
	}
	pthread_cond_destroy(&queue->more);
	pthread_mutex_destroy(&queue->lock);
	free(queue);
}

/* Mixes in the queue's address, so that nobody can choose a number that collides with another's. */
static unsigned int share_of(const struct queue *queue, uint64_t sender)
{
	uint64_t mixed = (sender ^ (uintptr_t)queue) * 0x9e3779b97f4a7c15ULL;

	return sender == QUEUE_OWN ? OWN : (unsigned int)(mixed >> 32) & (SHARES - 1);
}

bool queue_add(struct queue *queue, struct span head, struct span body, struct queue_class class)
{
	size_t size = sizeof(struct entry) + head.len + body.len;
	unsigned int share = share_of(queue, class.sender), eighths = class.urgent ? 8 : 6;
	struct entry *entry;

	if (share != OWN && queue->shares[share] + size > queue->limit / 4)
		eighths--;
	if (queue->bytes + size > queue->limit / 8 * eighths)
		return false;
	entry = malloc(size);
	if (!entry)
		return false;
	entry->next = NULL;
	entry->sent_ns = 0;
	entry->share = share;
	entry->len = head.len + body.len;
	if (head.len)
		memcpy(entry->data, head.data, head.len);
	if (body.len)
		memcpy(entry->data + head.len, body.data, body.len);
	queue->bytes += size;
	queue->shares[share] += size;
	queue->records++;
	pthread_mutex_lock(&queue->lock);
	*queue->end = entry;
	queue->end = &entry->next;
	pthread_mutex_unlock(&queue->lock);
	return true;
}

void queue_wake(struct queue *queue)
{
	pthread_mutex_lock(&queue->lock);
	queue->woken = true;
	pthread_cond_signal(&queue->more);
	pthread_mutex_unlock(&queue->lock);
}

struct entry *queue_take(struct queue *queue, uint64_t timeout_ns)
{
	struct entry *taken;
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	timeout_ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(timeout_ns / 1000000000ULL);
	until.tv_nsec = (long)(timeout_ns % 1000000000ULL);
	pthread_mutex_lock(&queue->lock);
	while (!queue->first && !queue->woken &&
	       pthread_cond_timedwait(&queue->more, &queue->lock, &until) == 0)
		;
	queue->woken = false;
	taken = queue->first;
	queue->first = NULL;
	queue->end = &queue->first;
	pthread_mutex_unlock(&queue->lock);
	return taken;
}

void queue_release(struct queue *queue, struct entry *entry)
{
	queue->bytes -= sizeof(*entry) + entry->len;
	queue->shares[entry->share] -= sizeof(*entry) + entry->len;
	queue->records--;
	free(entry);
}

uint64_t queue_bytes(const struct queue *queue)
{
	return queue->bytes;
}

uint64_t queue_records(const struct queue *queue)
{
	return queue->records;
}
