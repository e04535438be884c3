/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Who sent which bytes of a flow, and whether the send hook and the wire agree on them. */
#ifndef SMTPSNOOP_CLAIMS_H
#define SMTPSNOOP_CLAIMS_H

#include "base/span.h"
#include "flow/flow_state.h"
#include "flow/witness.h"

/*
 * Adds a sender, or finds it again, and returns its index. Returns -1 if there is no room, because
 * every other sender has bytes in what is still open. Takes its own reference. Indexes returned
 * earlier are no longer valid.
 */
int flow_sender(struct flow *flow, struct sender *sender);

/* The index of the sender that was last added for this task; -1: none. */
int flow_sender_of_task(const struct flow *flow, const struct task_id *task);

/*
 * The bytes [seq, seq + len) are the sender's (an index, or -1 for an unknown one). `data` is what
 * the sender meant to send, to be compared with the wire; it may be empty.
 */
void flow_claim(struct flow *flow, int sender, uint32_t seq, uint32_t len, struct span data);

/* The last claim was too long: the kernel accepted bytes only up to seq + len. */
void flow_claim_cut(struct flow *flow, uint32_t seq, uint32_t len);

/* A claim without a sequence number: the next bytes are the sender's. */
void flow_claim_next(struct flow *flow, int sender);

/* Bytes pass on the wire at `position`: compares them with the sends that claimed them. */
void flow_compare(struct flow *flow, uint64_t position, struct span data);

/*
 * The senders of [start, end), at most `max`; returns how many. The caller gets no references. If
 * the claims do not say who sent these bytes, all senders of the flow are returned.
 */
uint32_t flow_senders_of(const struct flow *flow, uint64_t start, uint64_t end,
			 struct sender **senders, uint32_t max);

/* Whether some bytes of [start, end) may come from a sender whose send was not seen. */
bool flow_unclaimed(const struct flow *flow, uint64_t start, uint64_t end);

/* `wire`: the wire hook sees this flow. */
enum witness flow_witness(const struct flow *flow, uint64_t start, uint64_t end, bool wire);

/* The first byte whose sender still matters: of the oldest open transaction, or of an open line. */
uint64_t flow_open_position(const struct flow *flow);

/* Drops the claims that only concern bytes before `position`. */
void flow_forget(struct flow *flow, uint64_t position);

#endif
