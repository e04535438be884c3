/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between the decision and the output of a watch: one connection, or one user, that makes more
 * events than anybody can read must not bury the others' (flow/pace.h has the numbers). The daemon
 * joins alike events instead (joining.c), and a replay writes all.
 *
 * Theory of operation. An event was decided and counted when it comes here, so every total is
 * whole. It is written if its connection and its user have credit left. A session's event needs
 * only the user's, and it may use what is reserved for it: it has the totals, and says how many of
 * the session's events were left out. At the first one that is left out, and every 10 s while it
 * goes on, a capture-loss event says how many and whose.
 *
 * The credit of a connection is shared by its flow and its events, because these may wait longer
 * than the flow lives. Who the user is must not be for a sender to choose (joining_user()). Users
 * share a place if their numbers have the same hash, which nobody can foresee.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"
#include "base/text.h"
#include "flow/pace.h"
#include "watch/pipeline_state.h"

#define USERS	   1024U
#define REPORT_NS  10000000000ULL
#define RESERVE_NS (PACE_BURST_S * 1000000000ULL / 8) /* of a user, for events of sessions */

/* The last event that was left out. */
struct left_out {
	uint32_t pid, uid;
	bool known; /* the process */
	struct endpoint source, destination;
};

struct pacing {
	uint64_t seed;
	struct pace users[USERS];
	uint64_t first_ns;    /* the first one that was left out since the last report */
	uint64_t reported_ns; /* when the last report was; 0: there was none */
	uint64_t reported;    /* how many were left out by then */
	struct left_out last;
};

int pipeline_pace(struct pipeline *pipeline)
{
	pipeline->pacing = calloc(1, sizeof(*pipeline->pacing));
	if (!pipeline->pacing)
		return -ENOMEM;
	if (getrandom(&pipeline->pacing->seed, sizeof(pipeline->pacing->seed), 0) < 0)
		pipeline->pacing->seed = pipeline->boot ^ (uintptr_t)pipeline;
	return 0;
}

void pacing_free(struct pacing *pacing)
{
	free(pacing);
}

static void leave_out(struct pipeline *pipeline, const struct event *event)
{
	struct pacing *pacing = pipeline->pacing;
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	if (pipeline->stats.events_left_out++ == pacing->reported)
		pacing->first_ns = pipeline->now_ns;
	if (event->pace)
		event->pace->left_out++;
	pacing->last = (struct left_out){.pid = sender ? sender->task.pid : 0,
					 .uid = sender ? sender->task.uid : 0,
					 .known = sender,
					 .source = event->source,
					 .destination = event->destination};
}

static bool is_allowed(struct pipeline *pipeline, const struct event *event, struct pace *user,
		       enum pace_kind kind)
{
	if (event->action == EVENT_SESSION)
		return pace_allows(user, kind, 0, pipeline->now_ns);
	return pace_allows(event->pace, kind, 0, pipeline->now_ns) &&
	       pace_allows(user, kind, RESERVE_NS, pipeline->now_ns);
}

void pacing_take(struct pipeline *pipeline, struct event *event)
{
	struct pacing *pacing = pipeline->pacing;
	enum pace_kind kind = event->verdict == VERDICT_ALERT ? PACE_ALERT : PACE_OTHER;
	uint64_t before = pipeline->sink->bytes;
	struct pace *flow, *user;

	if (!event->has_flow) {
		tell_event(pipeline, event);
		return;
	}
	if (event->action == EVENT_SESSION && event->stats && event->pace)
		event->stats->events_left_out = event->pace->left_out;
	user = &pacing->users[hash_mix(pacing->seed, joining_user(pipeline, event)) % USERS];
	if (!is_allowed(pipeline, event, user, kind)) {
		leave_out(pipeline, event);
		event_free(event);
		return;
	}
	flow = pace_ref(event->pace);
	tell_event(pipeline, event);
	pace_charge(user, kind, PACE_USER, pipeline->sink->bytes - before);
	pace_charge(flow, kind, 1, pipeline->sink->bytes - before);
	pace_unref(flow);
}

static void add_endpoint(struct text *text, const struct endpoint *endpoint)
{
	char address[ADDRESS_LEN];
	bool ipv4 = address_is_ipv4(endpoint->addr);

	text_address(address, endpoint->addr);
	text_add_format(text, ipv4 ? "%s:%u" : "[%s]:%u", address, endpoint->port);
}

/* The caller frees it; NULL: no memory. */
static char *sentence(const struct left_out *last, uint64_t count)
{
	struct text text = {0};

	text_add_format(&text, "%llu events were counted but not written, the last one of ",
			(unsigned long long)count);
	if (last->known)
		text_add_format(&text, "process %u (uid %u), ", last->pid, last->uid);
	text_add_string(&text, "connection ");
	add_endpoint(&text, &last->source);
	text_add_string(&text, " to ");
	add_endpoint(&text, &last->destination);
	text_add_format(&text, ": one connection may write %u events a second, one user %u",
			PACE_EVENTS_PER_S, PACE_EVENTS_PER_S * PACE_USER);
	if (!text.failed)
		return text.data;
	text_free(&text);
	return NULL;
}

void pacing_report(struct pipeline *pipeline, bool end)
{
	struct pacing *pacing = pipeline->pacing;
	uint64_t now_ns = pipeline->now_ns, count;
	struct event *event;

	count = pacing ? pipeline->stats.events_left_out - pacing->reported : 0;
	if (!count || (!end && pacing->reported_ns && now_ns - pacing->reported_ns < REPORT_NS))
		return;
	pacing->reported_ns = now_ns;
	pacing->reported = pipeline->stats.events_left_out;
	event = compose_event(pipeline, EVENT_LOSS, now_ns);
	if (!event)
		return;
	compose_id(pipeline, event->id, now_ns, EVENT_LOSS, 2);
	event->start_ns -= (int64_t)(now_ns - pacing->first_ns);
	event->detail = event->composed = sentence(&pacing->last, count);
	event->stats = calloc(1, sizeof(*event->stats));
	if (event->stats)
		event->stats->events_left_out = count;
	tell_event(pipeline, event);
}
