/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a ring of the mails that were seen on their way into an MTA of this host, by
 * the queue id that the MTA gave in its reply. Each keeps its sender. The images of a sender may be
 * large, and its process chooses how large; so the oldest senders are let go when all together
 * exceed SUBMISSIONS_BYTES_MAX. Who they were stays known.
 */
#include <stdlib.h>
#include <string.h>

#include "event/origin.h"
#include "process/image.h"

struct submission {
	char queue_id[ORIGIN_QUEUE_ID_MAX + 1];
	char event_id[ORIGIN_EVENT_LEN + 1];
	struct sender *sender; /* a reference; NULL: not known any more */
	size_t bytes;	       /* of the sender */
	uint32_t uid;
	bool named;
	bool disputed;
};

struct submissions {
	uint32_t hashes[SUBMISSIONS_MAX]; /* of the queue ids: a search reads these first */
	struct submission ring[SUBMISSIONS_MAX];
	uint32_t next;
	uint32_t oldest; /* with a sender, or next */
	size_t bytes;
};

struct submissions *submissions_new(void)
{
	return calloc(1, sizeof(struct submissions));
}

static void let_go(struct submissions *submissions, struct submission *one)
{
	submissions->bytes -= one->bytes;
	one->bytes = 0;
	sender_unref(one->sender);
	one->sender = NULL;
}

void submissions_free(struct submissions *submissions)
{
	for (uint32_t i = 0; submissions && i < SUBMISSIONS_MAX; i++)
		let_go(submissions, &submissions->ring[i]);
	free(submissions);
}

/* FNV-1a */
static uint32_t hash_of(const char *queue_id)
{
	uint32_t hash = 2166136261U;

	for (; *queue_id; queue_id++)
		hash = (hash ^ (unsigned char)*queue_id) * 16777619U;
	return hash;
}

/* The place in the ring; SUBMISSIONS_MAX: it is not there. */
static uint32_t find(const struct submissions *submissions, const char *queue_id)
{
	uint32_t hash = hash_of(queue_id);

	for (uint32_t i = 0; i < SUBMISSIONS_MAX; i++) {
		if (submissions->hashes[i] == hash &&
		    strcmp(submissions->ring[i].queue_id, queue_id) == 0)
			return i;
	}
	return SUBMISSIONS_MAX;
}

/* Lets senders go, the oldest first, until `bytes` more fit. */
static void make_room(struct submissions *submissions, size_t bytes)
{
	if (submissions->next - submissions->oldest > SUBMISSIONS_MAX)
		submissions->oldest = submissions->next - SUBMISSIONS_MAX;
	while (submissions->oldest != submissions->next &&
	       submissions->bytes + bytes > SUBMISSIONS_BYTES_MAX)
		let_go(submissions, &submissions->ring[submissions->oldest++ % SUBMISSIONS_MAX]);
}

void submissions_add(struct submissions *submissions, struct span queue_id,
		     const struct sender *sender, struct sender *submitter, bool named,
		     const char *event_id)
{
	struct submission made = {.uid = sender->task.euid, .named = named};
	struct span id = span_of(event_id);
	uint32_t place;

	if (!queue_id.len || queue_id.len > ORIGIN_QUEUE_ID_MAX)
		return;
	memcpy(made.queue_id, queue_id.data, queue_id.len);
	if (id.len <= ORIGIN_EVENT_LEN)
		memcpy(made.event_id, id.data, id.len);
	made.bytes = submitter ? sender_bytes(submitter) : 0;
	make_room(submissions, made.bytes);
	if (submissions->bytes + made.bytes <= SUBMISSIONS_BYTES_MAX)
		made.sender = sender_ref(submitter);
	else
		made.bytes = 0;
	place = find(submissions, made.queue_id);
	if (place < SUBMISSIONS_MAX) {
		const struct submission *before = &submissions->ring[place];

		made.disputed = before->disputed || before->uid != made.uid;
	} else {
		place = submissions->next++ % SUBMISSIONS_MAX;
	}
	let_go(submissions, &submissions->ring[place]);
	submissions->ring[place] = made;
	submissions->bytes += made.bytes;
	submissions->hashes[place] = hash_of(made.queue_id);
}

bool submissions_find(const struct submissions *submissions, struct origin *origin)
{
	uint32_t place =
		origin->queue_id[0] ? find(submissions, origin->queue_id) : SUBMISSIONS_MAX;
	const struct submission *one = &submissions->ring[place % SUBMISSIONS_MAX];

	if (place == SUBMISSIONS_MAX || one->disputed)
		return false;
	origin->has_uid = true;
	origin->uid = one->uid;
	origin->named = one->named;
	memcpy(origin->submission, one->event_id, sizeof(origin->submission));
	if (one->sender) {
		origin->submitter = sender_ref(one->sender);
		origin->how = ORIGIN_CONNECTION;
	}
	return true;
}
