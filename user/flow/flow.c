/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * Sequence numbers wrap, so a stream is addressed by position: the number of bytes since the flow
 * was first seen, gaps included. smtp.h counts the client's side in the same way; so a transaction
 * can be matched with its senders (claims.c). A stream starts at the first byte that is reported of
 * it.
 *
 * Outbound bytes are reported in order: the socket's lock orders the segments, and the ring keeps
 * that order. If outbound bytes are missing, they were lost on the way to user space; they are a
 * gap at once. Inbound segments may arrive out of order on a real network. A bounded number of them
 * waits, for at most STREAM_HOLD_NS, until the hole before them is filled. Repeated bytes are
 * dropped.
 *
 * In a flow that does not look like mail, the kernel side lets any number of bytes pass without
 * copying them. After 2 GiB of such bytes the next ones look older than the last ones, although
 * they are new: nothing is repeated that is older than a window. There the stream resumes behind a
 * gap of unknown length, which does not change the position.
 */
#include "flow/flow.h"

#include <stdlib.h>
#include <string.h>

#include "flow/claims.h"

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

/*
 * Whether bytes this far ahead are new, although they look repeated or forged: more bytes passed
 * uncopied than sequence numbers can count.
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
	int32_t ahead = stream_ahead(&flow->tx, seq);

	if (flow->tx.started && ahead < 0 && !has_jumped(flow, true, ahead))
		return;
	for (uint32_t i = 0; i < flow->urgent_count; i++) {
		if (flow->urgent[i] == seq)
			return;
	}
	if (flow->urgent_count == FLOW_URGENT_MAX) /* drop the oldest: it is overdue */
		memmove(&flow->urgent[0], &flow->urgent[1],
			--flow->urgent_count * sizeof(flow->urgent[0]));
	flow->urgent[flow->urgent_count++] = seq;
}

/* The number of bytes from `seq` to the next urgent one, at most `len`. Drops urgent bytes that
 * passed. */
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
		flow_compare(flow, smtp_client_position(flow->smtp), data);
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

/* Delivers the new part of [seq, seq + len). Nothing is missing before it. */
static void deliver_new(struct flow *flow, bool outbound, uint32_t seq, struct span data,
			uint32_t len, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;
	uint32_t old = stream->next_seq - seq; /* bytes of it that were delivered before */

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

/* Delivers the held segments that are in order now. */
static void held_deliver(struct flow *flow, bool outbound, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	while (stream->held_count && stream_ahead(stream, stream->held[0].seq) <= 0) {
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

/* Turns the hole before the first held segment into a gap. */
static void held_skip(struct flow *flow, bool outbound, uint64_t time_ns)
{
	struct stream *stream = outbound ? &flow->tx : &flow->rx;

	if (!stream->held_count)
		return;
	deliver(flow, outbound, (struct span){NULL, 0},
		(uint32_t)stream_ahead(stream, stream->held[0].seq), time_ns);
	held_deliver(flow, outbound, time_ns);
}

/* The stream resumes at `seq`, after an unknown number of bytes. */
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
		return; /* it remains a hole */
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
	ahead = stream_ahead(stream, seq);
	if (has_jumped(flow, outbound, ahead)) {
		stream_resume(flow, outbound, seq, time_ns);
		ahead = 0;
	}
	if (ahead > (int32_t)STREAM_AHEAD_MAX && !outbound)
		return; /* forged or from another connection: TCP would not accept it either */
	if (ahead > 0 && outbound) {
		deliver(flow, outbound, (struct span){NULL, 0}, (uint32_t)ahead, time_ns);
		ahead = 0;
	}
	if (ahead > 0) {
		while (stream->held_count == STREAM_HELD_MAX ||
		       (stream->held_count && stream->held_bytes + data.len > STREAM_HELD_BYTES))
			held_skip(flow, outbound, time_ns);
		ahead = stream_ahead(stream, seq);
	}
	if (ahead > 0) {
		hold(flow, outbound, seq, data, len, time_ns);
		return;
	}
	deliver_new(flow, outbound, seq, data, len, time_ns);
	held_deliver(flow, outbound, time_ns);
}

static void stream_restart(struct stream *stream)
{
	for (uint32_t i = 0; i < stream->held_count; i++)
		free(stream->held[i].data);
	*stream = (struct stream){.started = false};
}

void flow_restart(struct flow *flow)
{
	stream_restart(&flow->tx);
	stream_restart(&flow->rx);
	while (flow->prefix_count)
		free(flow->prefixes[--flow->prefix_count].data);
	flow->urgent_count = 0;
	smtp_session_free(flow->sends);
	smtp_session_free(flow->peer);
	flow->sends = flow->peer = NULL;
	flow->sends_started = false;
}

void flow_forget_session(struct flow *flow)
{
	const struct extent none = {.first = UINT64_MAX};

	smtp_session_free(flow->smtp);
	flow->smtp = NULL;
	flow->claim_count = flow->claims_dropped = 0;
	flow->claimed_end = flow->senders_forgotten = 0;
	flow->unclaimed = flow->compared = flow->differed = none;
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

void flow_send_begins(struct flow *flow, uint32_t seq, bool fresh, uint64_t time_ns)
{
	int32_t ahead = stream_ahead(&flow->tx, seq);

	if (!flow->smtp || !flow->tx.started)
		return;
	/* New bytes are never older than those already on the wire. */
	if (has_jumped(flow, true, ahead) || (fresh && ahead < 0 && flow->id.flags & FLOW_SKIPPED))
		stream_resume(flow, true, seq, time_ns);
}
