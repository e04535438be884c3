/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of flows: a hash by socket cookie, and lists by the time of the last record, one of all
 * flows and one for each owner. A full table evicts a flow of the owner who has most flows, so that
 * who opens thousands of connections loses his own: the one that was idle longest, and has no open
 * transaction if one of the first few has none.
 *
 * Owners share a list if their numbers have the same hash. There are few owners: the kernel side
 * counts all users of a user namespace as the one who made it.
 */
#include "flow/flow_table.h"

#include <stdlib.h>
#include <string.h>

#include "flow/pace.h"

#define HASH_SIZE 4096U /* a power of two */
#define OWNERS	  256U	/* likewise */

struct owner {
	struct flow *oldest, *newest;
	size_t count;
};

struct flow_table {
	struct flow *buckets[HASH_SIZE];
	struct flow *oldest, *newest;
	struct owner owners[OWNERS];
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

static struct owner *owner_of(struct flow_table *table, const struct flow *flow)
{
	return &table->owners[(flow->id.owner * 0x9e3779b1U) >> 24 & (OWNERS - 1)];
}

static void unlink_owner(struct flow_table *table, struct flow *flow)
{
	struct owner *owner = owner_of(table, flow);

	*(flow->owner_older ? &flow->owner_older->owner_newer : &owner->oldest) = flow->owner_newer;
	*(flow->owner_newer ? &flow->owner_newer->owner_older : &owner->newest) = flow->owner_older;
	flow->owner_older = flow->owner_newer = NULL;
	owner->count--;
}

static void link_owner(struct flow_table *table, struct flow *flow)
{
	struct owner *owner = owner_of(table, flow);

	flow->owner_older = owner->newest;
	flow->owner_newer = NULL;
	*(owner->newest ? &owner->newest->owner_newer : &owner->oldest) = flow;
	owner->newest = flow;
	owner->count++;
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
	pace_unref(flow->pace);
	free(flow->server_name);
	free(flow->queued);
	free(flow->directory);
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
	unlink_owner(table, flow);
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
 * The flow that leaves a full table. Flows with an open transaction move to the end of the list, so
 * that they are not tried again each time.
 */
static struct flow *flow_to_evict(struct flow_table *table)
{
	struct owner *most = &table->owners[0];
	struct flow *first;

	for (size_t i = 1; i < OWNERS; i++) {
		if (table->owners[i].count > most->count)
			most = &table->owners[i];
	}
	first = most->oldest;
	for (uint32_t i = 0; i < FLOWS_EVICT_TRIES; i++) {
		struct flow *flow = most->oldest;

		if (!flow->smtp || smtp_oldest_open_position(flow->smtp) == UINT64_MAX)
			return flow;
		unlink_owner(table, flow);
		link_owner(table, flow);
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
	link_owner(table, flow);
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
	if (time_ns < flow->start_ns) /* a recording may have the sender before the greeting */
		flow->start_ns = time_ns;
	if (table->newest != flow) {
		unlink_age(table, flow);
		link_newest(table, flow);
	}
	if (owner_of(table, flow)->newest != flow) {
		unlink_owner(table, flow);
		link_owner(table, flow);
	}
	return flow;
}

void flow_identify(struct flow_table *table, struct flow *flow, const struct flow_id *id)
{
	if (flow->id.owner == id->owner) {
		flow->id = *id;
		return;
	}
	unlink_owner(table, flow);
	flow->id = *id;
	link_owner(table, flow);
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
