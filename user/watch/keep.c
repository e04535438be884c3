/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: which records go into a recording.
 *
 * Records about the host and its processes are written as they come: a replay needs them to say who
 * sent, and which of them it will need is known only when a mail follows. Records with bytes of a
 * flow are written if the filter selects the flow. Without a filter, it selects all.
 *
 * A flow is selected if its port is the filter's, and one of its senders is. The first bytes are
 * there before that is known: the server's greeting comes before the first send, and the name of a
 * user up to EVENT_HOLD_NS later. So a flow's records wait in memory, already masked, until one of
 * its senders is selected; then they are written, and all later ones at once. They also wait in a
 * flow of senders that are not selected, because another process may go on with it. The record of a
 * sender itself contains no bytes and is written at once, so that a replay knows what the process
 * was running then, even if the flow's bytes follow later.
 *
 * What waits is bounded: of one flow (KEPT_FLOW_BYTES) and of all (KEPT_BYTES; the flows that wait
 * longest give up theirs). A flow beyond that is passed over. If it is selected later, it is
 * recorded from there on. Its records then say that its beginning was not seen, so that a replay
 * does not take the middle of a message for commands; and it is counted.
 */
#include <stdlib.h>

#include "policy/filter.h"
#include "flow/claims.h"
#include "process/sender.h"
#include "watch/pipeline_state.h"

#define KEPT_FLOW_BYTES 65536U
#define KEPT_BYTES	(16U << 20)
#define KEPT_CLOSED_MAX 4096U	     /* flows that have ended and wait for a name */
#define KEPT_LOOK_NS	100000000ULL /* interval of the checks whether names have arrived */

struct waiting {
	struct waiting *next;
	struct record *record; /* owned */
};

/* What is known of a flow. */
struct kept {
	struct kept *older, *newer;
	struct flow *flow; /* NULL: it has ended, and `senders` are its senders */
	struct sender *senders[FLOW_SENDERS_MAX]; /* references */
	uint32_t sender_count;
	uint64_t until_ns; /* of an ended flow: it is decided by then */
	struct waiting *first, *last;
	size_t bytes;	  /* that wait */
	bool selected;	  /* it is recorded */
	bool passed_over; /* some of its bytes were dropped, and none waits */
};

struct keep {
	struct kept *oldest, *newest; /* flows of which something waits */
	size_t bytes;		      /* that wait, of all flows */
	size_t closed;
	uint64_t late; /* flows recorded without their beginning */
	uint64_t look_ns;
};

struct keep *keep_new(void)
{
	return calloc(1, sizeof(struct keep));
}

/* ---- Flows ----------------------------------------------------------------------------------- */

static void link_newest(struct keep *keep, struct kept *kept)
{
	kept->older = keep->newest;
	kept->newer = NULL;
	*(keep->newest ? &keep->newest->newer : &keep->oldest) = kept;
	keep->newest = kept;
}

static void take_off(struct keep *keep, struct kept *kept)
{
	*(kept->older ? &kept->older->newer : &keep->oldest) = kept->newer;
	*(kept->newer ? &kept->newer->older : &keep->newest) = kept->older;
	kept->older = kept->newer = NULL;
}

static struct kept *kept_of(struct keep *keep, struct flow *flow)
{
	if (flow->kept)
		return flow->kept;
	flow->kept = calloc(1, sizeof(*flow->kept));
	if (flow->kept) {
		flow->kept->flow = flow;
		link_newest(keep, flow->kept);
	}
	return flow->kept;
}

/* The oldest record that waits, which is the caller's then. */
static struct record *take_first(struct keep *keep, struct kept *kept)
{
	struct waiting *first = kept->first;
	struct record *record = first->record;

	kept->first = first->next;
	kept->bytes -= record->len;
	keep->bytes -= record->len;
	free(first);
	return record;
}

static void drop_waiting(struct keep *keep, struct kept *kept)
{
	while (kept->first)
		free(take_first(keep, kept));
}

static void pass_over(struct keep *keep, struct kept *kept)
{
	drop_waiting(keep, kept);
	if (!kept->passed_over)
		take_off(keep, kept);
	kept->passed_over = true;
}

static void kept_free(struct keep *keep, struct kept *kept)
{
	drop_waiting(keep, kept);
	if (!kept->selected && !kept->passed_over)
		take_off(keep, kept);
	if (!kept->flow)
		keep->closed--;
	for (uint32_t i = 0; i < kept->sender_count; i++)
		sender_unref(kept->senders[i]);
	if (kept->flow)
		kept->flow->kept = NULL;
	free(kept);
}

void keep_free(struct keep *keep)
{
	while (keep && keep->oldest)
		kept_free(keep, keep->oldest);
	free(keep);
}

uint64_t pipeline_recorded_late(const struct pipeline *pipeline)
{
	return pipeline->keep ? pipeline->keep->late : 0;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static struct flow_id *id_of(struct record *record)
{
	switch (record->type) {
	case RECORD_SEND: return &((struct send_record *)record)->flow;
	case RECORD_SEGMENT: return &((struct segment_record *)record)->flow;
	case RECORD_URGENT: return &((struct urgent_record *)record)->flow;
	case RECORD_CONNECTION: return &((struct connection_record *)record)->flow;
	case RECORD_CLOSE: return &((struct close_record *)record)->flow;
	default: return NULL;
	}
}

static void write_record(struct pipeline *pipeline, const struct kept *kept, struct record *record)
{
	struct flow_id *id = id_of(record);

	if (kept && kept->passed_over && id)
		id->flags &= ~(__u32)FLOW_FROM_START;
	pipeline->hooks.on_record(pipeline->hooks.context, record);
	free(record);
}

static void write_waiting(struct pipeline *pipeline, struct kept *kept)
{
	while (kept->first)
		write_record(pipeline, kept, take_first(pipeline->keep, kept));
}

static void wait_for_sender(struct keep *keep, struct kept *kept, struct record *record)
{
	struct waiting *waiting = NULL;

	if (kept->bytes + record->len > KEPT_FLOW_BYTES)
		pass_over(keep, kept);
	if (!kept->passed_over)
		waiting = calloc(1, sizeof(*waiting));
	if (!waiting) {
		pass_over(keep, kept);
		free(record);
		return;
	}
	waiting->record = record;
	*(kept->first ? &kept->last->next : &kept->first) = waiting;
	kept->last = waiting;
	kept->bytes += record->len;
	keep->bytes += record->len;
	while (keep->bytes > KEPT_BYTES)
		pass_over(keep, keep->oldest);
}

void keep_record(struct pipeline *pipeline, struct flow *flow, struct record *record)
{
	const struct filter *filter = &pipeline->filter;
	const struct flow_id *id = id_of(record);
	struct keep *keep = pipeline->keep;
	struct kept *kept;

	if (!flow || !filter_selects(filter)) {
		write_record(pipeline, NULL, record);
		return;
	}
	if (record->type != RECORD_CLOSE && id && !filter_passes_port(filter, id->remote_port)) {
		free(record); /* the flow is never selected */
		return;
	}
	kept = record->type == RECORD_CLOSE ? flow->kept : kept_of(keep, flow);
	if (!kept || kept->selected || (record->type == RECORD_CLOSE && !kept->first))
		write_record(pipeline, kept, record);
	else
		wait_for_sender(keep, kept, record);
}

/* ---- Deciding -------------------------------------------------------------------------------- */

/*
 * The senders of a flow, as an event of all of it would name them. 0 while no send was seen, except
 * of a connection on which much was being sent when the watch began: its event comes at once.
 */
static uint32_t senders_of(const struct flow *flow, struct sender *senders[FLOW_SENDERS_MAX],
			   bool last)
{
	if (!flow->claim_count && !flow->queued && !last)
		return 0;
	return flow_senders_of(flow, 0, UINT64_MAX, senders, FLOW_SENDERS_MAX);
}

/* Whether one of the senders is selected. *filled: nothing more will be known of them. */
static bool is_selected(struct pipeline *pipeline, struct sender *const *senders, uint32_t count,
			bool *filled)
{
	if (!filter_wants_sender(&pipeline->filter))
		return true;
	*filled = true;
	for (uint32_t i = 0; i < count; i++) {
		*filled = sender_fill(senders[i], pipeline->names, &pipeline->own, pipeline->now_ns,
				      &pipeline->hooks.want) &&
			  *filled;
		if (filter_passes_sender(&pipeline->filter, senders[i]))
			return true;
	}
	return false;
}

static void select_flow(struct pipeline *pipeline, struct kept *kept)
{
	if (!kept->passed_over)
		take_off(pipeline->keep, kept);
	kept->selected = true;
	pipeline->keep->late += kept->passed_over;
	write_waiting(pipeline, kept);
}

void keep_look(struct pipeline *pipeline, struct flow *flow)
{
	struct sender *senders[FLOW_SENDERS_MAX];
	struct kept *kept = flow ? flow->kept : NULL;
	uint32_t count;
	bool filled;

	if (!kept || kept->selected)
		return;
	count = senders_of(flow, senders, false);
	if (is_selected(pipeline, senders, count, &filled))
		select_flow(pipeline, kept);
}

/* What waits of a flow that is not selected. The end of the flow is no secret. */
static void leave_out(struct pipeline *pipeline, struct kept *kept)
{
	while (kept->first) {
		struct record *record = take_first(pipeline->keep, kept);

		if (record->type == RECORD_CLOSE)
			write_record(pipeline, kept, record);
		else
			free(record);
	}
	kept_free(pipeline->keep, kept);
}

/* The flow ends, and the names of its senders are not known yet: they may come. */
static void outlive(struct pipeline *pipeline, struct kept *kept, struct sender *const *senders,
		    uint32_t count)
{
	for (uint32_t i = 0; i < count; i++)
		kept->senders[i] = sender_ref(senders[i]);
	kept->sender_count = count;
	kept->flow->kept = NULL;
	kept->flow = NULL;
	kept->until_ns = pipeline->now_ns + EVENT_HOLD_NS;
	pipeline->keep->closed++;
}

void keep_flow_end(struct pipeline *pipeline, struct flow *flow)
{
	struct sender *senders[FLOW_SENDERS_MAX];
	struct kept *kept = flow->kept;
	bool filled = true;
	uint32_t count;

	if (!kept)
		return;
	count = senders_of(flow, senders, true);
	if (!kept->selected && is_selected(pipeline, senders, count, &filled))
		select_flow(pipeline, kept);
	if (kept->selected)
		kept_free(pipeline->keep, kept);
	else if (kept->first && !filled && pipeline->keep->closed < KEPT_CLOSED_MAX)
		outlive(pipeline, kept, senders, count);
	else
		leave_out(pipeline, kept);
}

/* A flow that has ended. True: it is decided, and gone. */
static bool decide_ended(struct pipeline *pipeline, struct kept *kept, bool last)
{
	bool filled;

	if (is_selected(pipeline, kept->senders, kept->sender_count, &filled)) {
		select_flow(pipeline, kept);
		kept_free(pipeline->keep, kept);
		return true;
	}
	if (!filled && !last && pipeline->now_ns < kept->until_ns)
		return false;
	leave_out(pipeline, kept);
	return true;
}

static void look_at_all(struct pipeline *pipeline, bool last)
{
	for (struct kept *kept = pipeline->keep->oldest, *next; kept; kept = next) {
		next = kept->newer;
		if (kept->flow)
			keep_look(pipeline, kept->flow);
		else
			decide_ended(pipeline, kept, last);
	}
}

void keep_tick(struct pipeline *pipeline)
{
	if (pipeline->now_ns - pipeline->keep->look_ns < KEPT_LOOK_NS)
		return;
	pipeline->keep->look_ns = pipeline->now_ns;
	look_at_all(pipeline, false);
}

void keep_finish(struct pipeline *pipeline)
{
	look_at_all(pipeline, true);
}
