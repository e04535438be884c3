/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The flows of this host by socket cookie, bounded. */
#ifndef SMTPSNOOP_FLOW_TABLE_H
#define SMTPSNOOP_FLOW_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "flow/flow_state.h"

#define FLOWS_MAX 16384U /* beyond that, a new flow evicts another one, which is counted */
/* Flows tried for an eviction, idle longest first, until one has no open transaction. */
#define FLOWS_EVICT_TRIES 16U

struct flow_table;

/*
 * Called for a flow that is evicted; it is freed after the call. Of the owner who has most flows,
 * it is the flow that was idle longest and has no open transaction; if none of FLOWS_EVICT_TRIES
 * qualifies, the one that was idle longest.
 */
typedef void (*flow_evict_fn)(void *context, struct flow *flow);

/* NULL if there is no memory. */
struct flow_table *flow_table_new(flow_evict_fn on_evict, void *context);
void flow_table_free(struct flow_table *table); /* frees the flows as well; NULL is allowed */

/* The flow of a socket, created if it is not in the table; NULL if there is no memory. */
struct flow *flow_get(struct flow_table *table, uint64_t cookie, uint64_t time_ns);

/*
 * Takes over what a record says of the flow's socket: the cookie is the same, the rest may have
 * changed.
 */
void flow_identify(struct flow_table *table, struct flow *flow, const struct flow_id *id);

/* NULL if the socket has no flow. */
struct flow *flow_find(struct flow_table *table, uint64_t cookie);

/* Takes the flow out of the table and frees it. */
void flow_remove(struct flow_table *table, struct flow *flow);

/* The flow that was idle longest; NULL: the table is empty. flow->newer leads to the next one. */
struct flow *flow_oldest(struct flow_table *table);

size_t flow_count(const struct flow_table *table);
uint64_t flow_evicted(const struct flow_table *table); /* since the start */

#endif
