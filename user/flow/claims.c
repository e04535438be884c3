/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * Each send claims a range of positions in the client's stream. Sends on one socket follow each
 * other, so claims are a run-length list: from this position on, this sender. While one task keeps
 * sending, its claims add nothing to the list.
 *
 * The prefixes of the sends wait in a short queue until the same positions pass on the wire. There
 * they are compared. Where they differ, the bytes on the wire count, and the position is kept.
 */
#include "flow/claims.h"

#include <stdlib.h>
#include <string.h>

/* ---- Comparing sends with the wire ----------------------------------------------------------- */

static void extent_add(struct extent *extent, uint64_t position)
{
	if (position < extent->first)
		extent->first = position;
	if (position > extent->last)
		extent->last = position;
}

static bool extent_touches(const struct extent *extent, uint64_t start, uint64_t end)
{
	return extent->first < end && extent->last >= start && extent->first <= extent->last;
}

static void prefix_drop_first(struct flow *flow)
{
	free(flow->prefixes[0].data);
	flow->prefix_count--;
	memmove(&flow->prefixes[0], &flow->prefixes[1],
		flow->prefix_count * sizeof(flow->prefixes[0]));
}

static void prefix_keep(struct flow *flow, uint64_t position, struct span data)
{
	struct prefix *prefix;
	char *copy;

	if (!data.len || !flow->smtp || position < smtp_client_position(flow->smtp))
		return;
	if (flow->prefix_count == FLOW_PREFIXES_MAX)
		prefix_drop_first(flow);
	copy = malloc(data.len);
	if (!copy)
		return;
	memcpy(copy, data.data, data.len);
	prefix = &flow->prefixes[flow->prefix_count++];
	*prefix = (struct prefix){.position = position, .len = (uint32_t)data.len, .data = copy};
}

void flow_compare(struct flow *flow, uint64_t position, struct span data)
{
	uint64_t end = position + data.len;

	while (flow->prefix_count) {
		struct prefix *prefix = &flow->prefixes[0];
		uint64_t from = prefix->position + prefix->done,
			 to = prefix->position + prefix->len;

		if (from >= end)
			return;
		if (from < position) /* these were not on the wire */
			from = position;
		if (to > end)
			to = end;
		for (uint64_t at = from; at < to; at++) {
			extent_add(&flow->compared, at);
			if (data.data[at - position] != prefix->data[at - prefix->position])
				extent_add(&flow->differed, at);
		}
		if (to < prefix->position + prefix->len) {
			prefix->done = (uint32_t)(to - prefix->position);
			return;
		}
		prefix_drop_first(flow);
	}
}

/* ---- Senders --------------------------------------------------------------------------------- */

/* The same process with the same credentials. */
static bool same_task(const struct task_id *a, const struct task_id *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns && a->uid == b->uid &&
	       a->euid == b->euid && a->gid == b->gid && a->egid == b->egid &&
	       a->loginuid == b->loginuid;
}

static bool same_string(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

int flow_sender_of_task(const struct flow *flow, const struct task_id *task)
{
	for (uint32_t i = flow->sender_count; i-- > 0;) {
		if (same_task(&flow->senders[i]->task, task))
			return (int)i;
	}
	return -1;
}

static bool sender_claims(const struct flow *flow, uint32_t sender)
{
	for (uint32_t i = 0; i < flow->claim_count; i++) {
		if (flow->claims[i].sender == sender)
			return true;
	}
	return false;
}

/* Drops the oldest sender without a claim from the open transaction on. False: there is none. */
static bool sender_drop(struct flow *flow)
{
	uint64_t open = flow_open_position(flow);
	uint32_t gone = 0;

	flow_forget(flow, open);
	while (gone < flow->sender_count && sender_claims(flow, gone))
		gone++;
	if (gone == flow->sender_count)
		return false;
	sender_unref(flow->senders[gone]);
	flow->senders_forgotten = open;
	flow->sender_count--;
	memmove(&flow->senders[gone], &flow->senders[gone + 1],
		(flow->sender_count - gone) * sizeof(flow->senders[0]));
	for (uint32_t i = 0; i < flow->claim_count; i++)
		flow->claims[i].sender -= flow->claims[i].sender > gone;
	return true;
}

static bool same_process(const struct sender *a, const struct sender *b)
{
	return same_task(&a->task, &b->task) && a->image == b->image;
}

int flow_sender(struct flow *flow, struct sender *sender)
{
	for (uint32_t i = flow->sender_count; i-- > 0;) {
		struct sender *known = flow->senders[i];

		if (!same_process(known, sender))
			continue;
		if (sender->full &&
		    !known->full) { /* the short record of the opener is replaced by the full one */
			flow->senders[i] = sender_ref(sender);
			sender_unref(known);
			return (int)i;
		}
		if (!sender->full || same_string(known->directory, sender->directory))
			return (int)i;
		/*
		 * From another directory it is another sender, so that each mail has its own. The
		 * last one of a task is where it stands now.
		 */
		break;
	}
	if (flow->sender_count == FLOW_SENDERS_MAX && !sender_drop(flow)) {
		flow->senders_dropped++;
		return -1;
	}
	flow->senders[flow->sender_count] = sender_ref(sender);
	return (int)flow->sender_count++;
}

/* The position of an outbound sequence number. The stream starts here if it has not started yet. */
static uint64_t position_of(struct flow *flow, uint32_t seq)
{
	uint64_t now = flow->smtp ? smtp_client_position(flow->smtp) : 0;
	int32_t ahead;

	if (!flow->tx.started) {
		flow->tx.started = true;
		flow->tx.next_seq = seq;
	}
	ahead = stream_ahead(&flow->tx, seq);
	return ahead < 0 && (uint64_t) - (int64_t)ahead > now ? 0 : now + (uint64_t)(int64_t)ahead;
}

static void claim_from(struct flow *flow, uint64_t start, uint32_t sender)
{
	uint32_t at = flow->claim_count;

	while (at && flow->claims[at - 1].start > start)
		at--;
	if (at && flow->claims[at - 1].sender == sender)
		return;
	if (flow->claim_count == FLOW_CLAIMS_MAX) {
		flow->claims_dropped++;
		return;
	}
	memmove(&flow->claims[at + 1], &flow->claims[at],
		(flow->claim_count - at) * sizeof(flow->claims[0]));
	flow->claims[at] = (struct claim){.start = start, .sender = sender};
	flow->claim_count++;
}

void flow_claim(struct flow *flow, int sender, uint32_t seq, uint32_t len, struct span data)
{
	uint64_t position = position_of(flow, seq);

	if (position > flow->claimed_end) {
		extent_add(&flow->unclaimed, flow->claimed_end);
		extent_add(&flow->unclaimed, position - 1);
	}
	if (position + len > flow->claimed_end)
		flow->claimed_end = position + len;
	prefix_keep(flow, position, data);
	if (sender >= 0)
		claim_from(flow, position, (uint32_t)sender);
	else
		flow->claims_dropped++;
}

void flow_claim_cut(struct flow *flow, uint32_t seq, uint32_t len)
{
	uint64_t end = position_of(flow, seq) + len;

	flow->claimed_end = end;
	while (flow->prefix_count) {
		struct prefix *last = &flow->prefixes[flow->prefix_count - 1];

		if (last->position < end) {
			if (last->position + last->len > end)
				last->len = (uint32_t)(end - last->position);
			return;
		}
		free(last->data);
		flow->prefix_count--;
	}
}

void flow_claim_next(struct flow *flow, int sender)
{
	uint64_t now = flow->smtp ? smtp_client_position(flow->smtp) : 0;
	uint64_t start = flow->claimed_end < now ? flow->claimed_end : now;

	if (sender >= 0)
		claim_from(flow, start, (uint32_t)sender);
	if (now > flow->claimed_end)
		flow->claimed_end = now;
}

/* A process that sent from two directories is one sender: the first one counts. */
static uint32_t add_once(struct sender **list, uint32_t count, uint32_t max, struct sender *sender)
{
	for (uint32_t i = 0; i < count; i++) {
		if (same_process(list[i], sender))
			return count;
	}
	if (count < max)
		list[count++] = sender;
	return count;
}

uint32_t flow_senders_of(const struct flow *flow, uint64_t start, uint64_t end,
			 struct sender **senders, uint32_t max)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < flow->claim_count; i++) {
		uint64_t until = i + 1 < flow->claim_count ? flow->claims[i + 1].start : UINT64_MAX;

		if (flow->claims[i].start < end && until > start)
			count = add_once(senders, count, max,
					 flow->senders[flow->claims[i].sender]);
	}
	/* The claims do not cover these bytes: return every sender of the flow. */
	if (!count || flow->claims_dropped) {
		for (uint32_t i = 0; i < flow->sender_count; i++)
			count = add_once(senders, count, max, flow->senders[i]);
	}
	return count;
}

bool flow_unclaimed(const struct flow *flow, uint64_t start, uint64_t end)
{
	if (end > smtp_client_position(flow->smtp))
		end = smtp_client_position(flow->smtp);
	return flow->claims_dropped || flow->senders_dropped || start < flow->senders_forgotten ||
	       flow->claimed_end < end || extent_touches(&flow->unclaimed, start, end);
}

enum witness flow_witness(const struct flow *flow, uint64_t start, uint64_t end, bool wire)
{
	if (!wire)
		return WITNESS_SEND_ONLY;
	if (extent_touches(&flow->differed, start, end))
		return WITNESS_DIFFER;
	return extent_touches(&flow->compared, start, end) ? WITNESS_AGREE : WITNESS_WIRE_ONLY;
}

uint64_t flow_open_position(const struct flow *flow)
{
	uint64_t open = flow->smtp ? smtp_oldest_open_position(flow->smtp) : 0,
		 line = flow->smtp ? smtp_client_line_position(flow->smtp) : 0;

	return open < line ? open : line;
}

void flow_forget(struct flow *flow, uint64_t position)
{
	uint32_t gone = 0;

	while (gone + 1 < flow->claim_count && flow->claims[gone + 1].start <= position)
		gone++;
	if (!gone)
		return;
	flow->claim_count -= gone;
	memmove(&flow->claims[0], &flow->claims[gone], flow->claim_count * sizeof(flow->claims[0]));
}
