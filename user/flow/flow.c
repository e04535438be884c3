/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * Sequence numbers wrap, so the streams are addressed by position: the number of bytes since the
 * flow was first seen, gaps included. smtp.h counts the same for the client's side, which is what
 * ties a transaction to its senders. A stream starts at the first byte that was told of it.
 *
 * What leaves is told in order (the socket's lock orders its segments, the ring keeps the order),
 * so outbound bytes that are missing were lost on the way to user space: a gap, at once. What
 * arrives may be out of order on a real network: a bounded number of segments waits for the hole
 * before them to be filled, at most STREAM_HOLD_NS. Repeated bytes are cut off.
 *
 * Of a flow that does not look like mail the kernel side lets bytes pass uncopied, as many as there
 * are. Behind 2 GiB of them the next ones look older than the last ones, and are not: nothing is
 * repeated that is older than a window. There the stream goes on, behind a gap of unknown length,
 * which counts no positions.
 *
 * Senders. Each send claims a range of positions. Sends of one socket follow each other, so claims
 * are kept as a run-length list: from here on, this sender. A claim costs nothing while the same
 * task goes on sending. Prefixes of the sends wait in a short queue until the same positions pass
 * on the wire, and are compared there; where they differ, the bytes on the wire are what counts,
 * and the position is kept.
 */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

#define HASH_SIZE 4096U /* a power of two */

struct flow_table {
	struct flow *buckets[HASH_SIZE];
	struct flow *oldest, *newest;
	size_t count;
	uint64_t evicted;
	flow_evict_fn on_evict;
	void *context;
};

/* ---- The table ------------------------------------------------------------------------------- */

static struct flow **bucket(struct flow_table *table, uint64_t cookie)
{
	return &table->buckets[(cookie * 0x9e3779b97f4a7c15ULL) >> 52 & (HASH_SIZE - 1)];
}

struct flow_table *flow_table_new(flow_evict_fn on_evict, void *context)
{
	struct flow_table *table = calloc(1, sizeof(*table));

	if (table) {
		table->on_evict = on_evict;
		table->context = context;
	}
	return table;
}

static void unlink_age(struct flow_table *table, struct flow *flow)
{
	*(flow->older ? &flow->older->newer : &table->oldest) = flow->newer;
	*(flow->newer ? &flow->newer->older : &table->newest) = flow->older;
	flow->older = flow->newer = NULL;
}

static void link_newest(struct flow_table *table, struct flow *flow)
{
	flow->older = table->newest;
	flow->newer = NULL;
	*(table->newest ? &table->newest->newer : &table->oldest) = flow;
	table->newest = flow;
}

static void stream_drop(struct stream *stream)
{
	for (uint32_t i = 0; i < stream->held_count; i++)
		free(stream->held[i].data);
	stream->held_count = stream->held_bytes = 0;
}

static void unkeep(struct flow *flow)
{
	if (!flow->said.data)
		return;
	flow->budget->left += flow->said.len;
	explicit_bzero(flow->said.data, flow->said.len);
	text_free(&flow->said);
}

static void flow_free(struct flow *flow)
{
	stream_drop(&flow->tx);
	stream_drop(&flow->rx);
	for (uint32_t i = 0; i < flow->prefix_count; i++)
		free(flow->prefixes[i].data);
	for (uint32_t i = 0; i < flow->sender_count; i++)
		sender_unref(flow->senders[i]);
	smtp_session_free(flow->smtp);
	smtp_session_free(flow->sends);
	smtp_session_free(flow->peer);
	free(flow->server_name);
	unkeep(flow);
	free(flow);
}

void flow_remove(struct flow_table *table, struct flow *flow)
{
	struct flow **link = bucket(table, flow->id.cookie);

	while (*link && *link != flow)
		link = &(*link)->hash_next;
	if (*link)
		*link = flow->hash_next;
	unlink_age(table, flow);
	table->count--;
	flow_free(flow);
}

void flow_table_free(struct flow_table *table)
{
	if (!table)
		return;
	while (table->oldest)
		flow_remove(table, table->oldest);
	free(table);
}

struct flow *flow_find(struct flow_table *table, uint64_t cookie)
{
	struct flow *flow = *bucket(table, cookie);

	while (flow && flow->id.cookie != cookie)
		flow = flow->hash_next;
	return flow;
}

/*
 * The flow that leaves a full table. Those with an open transaction go behind the others, so that
 * they are not looked at again each time.
 */
static struct flow *flow_to_evict(struct flow_table *table)
{
	struct flow *first = table->oldest;

	for (uint32_t i = 0; i < FLOWS_LOOKED_AT; i++) {
		struct flow *flow = table->oldest;

		if (!flow->smtp || smtp_oldest_open_position(flow->smtp) == UINT64_MAX)
			return flow;
		unlink_age(table, flow);
		link_newest(table, flow);
	}
	return first;
}

static struct flow *flow_new(struct flow_table *table, uint64_t cookie, uint64_t time_ns)
{
	struct flow **head = bucket(table, cookie), *flow;

	if (table->count >= FLOWS_MAX) {
		struct flow *evicted = flow_to_evict(table);

		table->evicted++;
		table->on_evict(table->context, evicted);
		flow_remove(table, evicted);
	}
	flow = calloc(1, sizeof(*flow));
	if (!flow)
		return NULL;
	flow->id.cookie = cookie;
	flow->start_ns = time_ns;
	flow->compared.first = flow->differed.first = flow->unclaimed.first = UINT64_MAX;
	flow->hash_next = *head;
	*head = flow;
	link_newest(table, flow);
	table->count++;
	return flow;
}

struct flow *flow_get(struct flow_table *table, uint64_t cookie, uint64_t time_ns)
{
	struct flow *flow = flow_find(table, cookie);

	if (!flow)
		flow = flow_new(table, cookie, time_ns);
	if (!flow)
		return NULL;
	flow->last_ns = time_ns;
	if (table->newest != flow) {
		unlink_age(table, flow);
		link_newest(table, flow);
	}
	return flow;
}

struct flow *flow_oldest(struct flow_table *table)
{
	return table->oldest;
}

size_t flow_count(const struct flow_table *table)
{
	return table->count;
}

uint64_t flow_evicted(const struct flow_table *table)
{
	return table->evicted;
}

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

/* Wire bytes at `position` pass: the prefixes that cover them are compared. */
static void prefix_compare(struct flow *flow, uint64_t position, struct span data)
{
	uint64_t end = position + data.len;

	while (flow->prefix_count) {
		struct prefix *prefix = &flow->prefixes[0];
		uint64_t from = prefix->position + prefix->done,
			 to = prefix->position + prefix->len;

		if (from >= end)
			return;
		if (from < position) /* the wire skipped these */
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

/* ---- Streams --------------------------------------------------------------------------------- */

void flow_keep(struct flow *flow, struct mail_budget *budget, size_t max)
{
	flow->budget = budget;
	flow->said_max = max;
}

static void keep(struct flow *flow, struct span data)
{
	size_t room = flow->said_max - flow->said.len;

	if (data.len > room)
		data.len = room;
	if (data.len > flow->budget->left) {
		flow->budget->refused++;
		return;
	}
	text_add(&flow->said, data);
	if (!flow->said.failed)
		flow->budget->left -= data.len;
}

static int32_t ahead_of(const struct stream *stream, uint32_t seq)
{
	return (int32_t)(seq - stream->next_seq);
}

/*
 * Whether bytes this far ahead are neither repeated nor forged: more was let pass than sequence
 * numbers tell.
 */
static bool has_jumped(const struct flow *flow, bool outbound, int32_t ahead)
{
	bool skipped = flow->id.flags & FLOW_SKIPPED;

	if (ahead > (int32_t)STREAM_AHEAD_MAX)
		return skipped && !outbound;
	if (skipped)
		return ahead < -(int32_t)STREAM_OLD_MAX;
	return outbound && ahead < -(int32_t)STREAM_WINDOW_MAX;
}

void flow_urgent(struct flow *flow, uint32_t seq)
{
	int32_t ahead = ahead_of(&flow->tx, seq);

	if (flow->tx.started && ahead < 0 && !has_jumped(flow, true, ahead))
		return;
	for (uint32_t i = 0; i < flow->urgent_count; i++) {
		if (flow->urgent[i] == seq)
			return;
	}
	if (flow->urgent_count == FLOW_URGENT_MAX) /* the oldest: it has not come for long */
		memmove(&flow->urgent[0], &flow->urgent[1],
			--flow->urgent_count * sizeof(flow->urgent[0]));
	flow->urgent[flow->urgent_count++] = seq;
}

/* Bytes from `seq` on up to the next urgent one; drops those that have passed. */
static size_t urgent_distance(struct flow *flow, uint32_t seq, size_t len)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < flow->urgent_count; i++) {
		int32_t distance = (int32_t)(flow->urgent[i] - seq);

		if (distance < 0)
			continue;
		flow->urgent[kept++] = flow->urgent[i];
		if ((size_t)distance < len)
			len = (size_t)distance;
	}
	flow->urgent_count = kept;
	return len;
}

static void deliver_client(struct flow *flow, struct span data, uint64_t time_ns)
{
	uint32_t seq = flow->tx.next_seq;

	while (data.len) {
		size_t plain = flow->urgent_count ? urgent_distance(flow, seq, data.len) : data.len;

		if (plain) {
			smtp_client_data(flow->smtp, (struct span){data.data, plain}, time_ns);
		} else {
			smtp_client_urgent(flow->smtp, data.data[0], time_ns);
			plain = 1;
		}
		seq += (uint32_t)plain;
		data.data += plain;
		data.len -= plain;
		if (flow->urgent_count)
			urgent_distance(flow, seq, 0);
	}
}

static void deliver(struct flow *flow, bool outbound, struct span data, uint32_t missing,
		    uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	if (outbound && flow->prefix_count && data.len)
		prefix_compare(flow, smtp_client_position(flow->smtp), data);
	if (outbound && flow->said.len < flow->said_max)
		keep(flow, data);
	if (outbound)
		deliver_client(flow, data, time_ns);
	else if (data.len)
		smtp_server_data(flow->smtp, data, time_ns);
	if (missing)
		(outbound ? smtp_client_gap : smtp_server_gap)(flow->smtp, missing, time_ns);
	stream->next_seq += (uint32_t)data.len + missing;
}

/* Delivers [seq, seq + len) as far as it is new, given that nothing is missing before it. */
static void deliver_new(struct flow *flow, bool outbound, uint32_t seq, struct span data,
			uint32_t len, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;
	uint32_t old = stream->next_seq - seq; /* bytes of it that were there before */

	if (old >= len)
		return;
	len -= old;
	if (old >= data.len) {
		data.len = 0;
	} else {
		data.data += old;
		data.len -= old;
	}
	deliver(flow, outbound, data, len - (uint32_t)data.len, time_ns);
}

/* Delivers what was held and is in order now. */
static void held_deliver(struct flow *flow, bool outbound, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	while (stream->held_count && ahead_of(stream, stream->held[0].seq) <= 0) {
		struct held first = stream->held[0];

		stream->held_count--;
		stream->held_bytes -= first.data_len;
		memmove(&stream->held[0], &stream->held[1], stream->held_count * sizeof(first));
		stream->held_since_ns = time_ns;
		deliver_new(flow, outbound, first.seq, (struct span){first.data, first.data_len},
			    first.len, time_ns);
		free(first.data);
	}
}

/* Gives the hole before the first held segment up. */
static void held_skip(struct flow *flow, bool outbound, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	if (!stream->held_count)
		return;
	deliver(flow, outbound, (struct span){NULL, 0},
		(uint32_t)ahead_of(stream, stream->held[0].seq), time_ns);
	held_deliver(flow, outbound, time_ns);
}

/* The stream goes on at `seq`, nobody knows how much further on. */
static void stream_resume(struct flow *flow, bool outbound, uint32_t seq, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	while (stream->held_count)
		held_skip(flow, outbound, time_ns);
	(outbound ? smtp_client_gap : smtp_server_gap)(flow->smtp, 0, time_ns);
	stream->next_seq = seq;
}

static void hold(struct flow *flow, bool outbound, uint32_t seq, struct span data, uint32_t len,
		 uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;
	uint32_t at = stream->held_count;
	char *copy;

	while (at && (int32_t)(seq - stream->held[at - 1].seq) < 0)
		at--;
	if (at && stream->held[at - 1].seq == seq && stream->held[at - 1].len >= len)
		return; /* repeated */
	copy = malloc(data.len ? data.len : 1);
	if (!copy)
		return; /* it stays a hole */
	memcpy(copy, data.data, data.len);
	if (!stream->held_count)
		stream->held_since_ns = time_ns;
	memmove(&stream->held[at + 1], &stream->held[at],
		(stream->held_count - at) * sizeof(stream->held[0]));
	stream->held[at] =
		(struct held){.seq = seq, .data_len = (uint32_t)data.len, .len = len, .data = copy};
	stream->held_count++;
	stream->held_bytes += (uint32_t)data.len;
}

void flow_bytes(struct flow *flow, bool outbound, uint32_t seq, struct span data, uint32_t len,
		uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;
	int32_t ahead;

	if (!flow->smtp)
		return;
	if (!stream->started) {
		stream->started = true;
		stream->next_seq = seq;
	}
	ahead = ahead_of(stream, seq);
	if (has_jumped(flow, outbound, ahead)) {
		stream_resume(flow, outbound, seq, time_ns);
		ahead = 0;
	}
	if (ahead > (int32_t)STREAM_AHEAD_MAX && !outbound)
		return; /* forged or from another connection: TCP would not take it either */
	if (ahead > 0 && outbound) {
		deliver(flow, outbound, (struct span){NULL, 0}, (uint32_t)ahead, time_ns);
		ahead = 0;
	}
	if (ahead > 0) {
		while (stream->held_count == STREAM_HELD_MAX ||
		       (stream->held_count && stream->held_bytes + data.len > STREAM_HELD_BYTES))
			held_skip(flow, outbound, time_ns);
		ahead = ahead_of(stream, seq);
	}
	if (ahead > 0) {
		hold(flow, outbound, seq, data, len, time_ns);
		return;
	}
	deliver_new(flow, outbound, seq, data, len, time_ns);
	held_deliver(flow, outbound, time_ns);
}

void flow_tick(struct flow *flow, uint64_t time_ns)
{
	if (flow->rx.held_count && time_ns - flow->rx.held_since_ns > STREAM_HOLD_NS)
		held_skip(flow, false, time_ns);
}

void flow_finish(struct flow *flow, uint64_t time_ns)
{
	while (flow->rx.held_count)
		held_skip(flow, false, time_ns);
}

/* ---- Senders --------------------------------------------------------------------------------- */

/* The same process with the same rights. */
static bool same_task(const struct task_id *a, const struct task_id *b)
{
	return a->pid == b->pid && a->start_ns == b->start_ns && a->uid == b->uid &&
	       a->euid == b->euid && a->gid == b->gid && a->egid == b->egid &&
	       a->loginuid == b->loginuid;
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

/*
 * Drops the oldest sender that has no claim in an open transaction, nor behind it. False: there is
 * none.
 */
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

int flow_sender(struct flow *flow, struct sender *sender)
{
	for (uint32_t i = 0; i < flow->sender_count; i++) {
		struct sender *known = flow->senders[i];

		if (!same_task(&known->task, &sender->task) || known->image != sender->image)
			continue;
		if (sender->full && !known->full) { /* the opener in short, now in full */
			flow->senders[i] = sender_ref(sender);
			sender_unref(known);
		}
		return (int)i;
	}
	if (flow->sender_count == FLOW_SENDERS_MAX && !sender_drop(flow)) {
		flow->senders_dropped++;
		return -1;
	}
	flow->senders[flow->sender_count] = sender_ref(sender);
	return (int)flow->sender_count++;
}

/* The position of a sequence number of the outbound stream, which starts here if it has not yet. */
static uint64_t position_of(struct flow *flow, uint32_t seq)
{
	uint64_t now = flow->smtp ? smtp_client_position(flow->smtp) : 0;
	int32_t ahead;

	if (!flow->tx.started) {
		flow->tx.started = true;
		flow->tx.next_seq = seq;
	}
	ahead = ahead_of(&flow->tx, seq);
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

void flow_send_begins(struct flow *flow, uint32_t seq, bool fresh, uint64_t time_ns)
{
	int32_t ahead = ahead_of(&flow->tx, seq);

	if (!flow->smtp || !flow->tx.started)
		return;
	/* What is new is never behind what was on the wire. */
	if (has_jumped(flow, true, ahead) || (fresh && ahead < 0 && flow->id.flags & FLOW_SKIPPED))
		stream_resume(flow, true, seq, time_ns);
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

static uint32_t add_once(struct sender **list, uint32_t count, uint32_t max, struct sender *sender)
{
	for (uint32_t i = 0; i < count; i++) {
		if (list[i] == sender)
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
	/*
	 * Nothing is known of these bytes, or not everything: whoever had a part in the flow is
	 * named.
	 */
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

enum event_witness flow_witness(const struct flow *flow, uint64_t start, uint64_t end, bool wire)
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
