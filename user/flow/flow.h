/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TCP flow of this host: its two byte streams, put in order from segments and sends, and passed
 * to the SMTP session of the flow.
 */
#ifndef SMTPSNOOP_FLOW_H
#define SMTPSNOOP_FLOW_H

#include "base/span.h"
#include "flow/flow_state.h"

#define STREAM_HELD_BYTES 65536U
#define STREAM_HOLD_NS	  1000000000ULL /* a hole that is older than this is a gap */
#define STREAM_AHEAD_MAX  (1U << 24)	/* a segment further ahead belongs to another stream */
/* With FLOW_SKIPPED, bytes that look older than this are new: nothing is repeated so late. */
#define STREAM_OLD_MAX (1U << 24)
/* The same for any flow: the largest window (RFC 7323, 2.3). */
#define STREAM_WINDOW_MAX (1U << 30)

/*
 * Bytes of one direction, from the wire or from a send: [seq, seq + len), of which data.len were
 * captured. Bytes that are in order go to the SMTP session at once. Bytes that are early wait.
 * Bytes that never arrive become a gap.
 */
void flow_bytes(struct flow *flow, bool outbound, uint32_t seq, struct span data, uint32_t len,
		uint64_t time_ns);

/*
 * Keeps the first `max` bytes that the client sends, in flow->said. Call it before any data.
 * `budget` is borrowed and outlives the flow.
 */
void flow_keep(struct flow *flow, struct mail_budget *budget, size_t max);

/* The outbound byte at `seq` is urgent data. Call it before flow_bytes() for that byte. */
void flow_urgent(struct flow *flow, uint32_t seq);

/*
 * A send begins at `seq`. `fresh`: no byte of it has been on the wire yet. Call it before
 * flow_claim(): if the kernel let more bytes pass than sequence numbers can count, the stream
 * resumes here.
 */
void flow_send_begins(struct flow *flow, uint32_t seq, bool fresh, uint64_t time_ns);

/*
 * The streams begin anew: sequence numbers say nothing about the bytes so far. Positions go on.
 * What waits for an earlier segment is dropped, and so are the sessions of mask.c.
 */
void flow_restart(struct flow *flow);

/* Drops the session, without a word, and what refers to its positions. Senders are kept. */
void flow_forget_session(struct flow *flow);

/* Turns holes that are older than STREAM_HOLD_NS into gaps. */
void flow_tick(struct flow *flow, uint64_t time_ns);

/* The flow ends: turns every hole into a gap. */
void flow_finish(struct flow *flow, uint64_t time_ns);

#endif
