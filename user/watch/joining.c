/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Between the decision and the outputs: alike events are joined (event/join.h). Here is who is
 * charged for an event. It has to be somebody that a sender cannot choose: who could be many users
 * would have as many times the output, and who could be another user would hide his events.
 */
#include <errno.h>
#include <sys/random.h>

#include "base/hash.h"
#include "event/join.h"
#include "watch/pipeline_state.h"

#define UNKNOWN (1ULL << 32) /* not a uid: all that have neither an account nor a container */
#define NAMED	(1ULL << 63) /* in numbers of what has a name and no uid */

enum named { NAMED_USER, NAMED_CONTAINER };

static uint64_t number_of(enum named named, const char *name)
{
	return hash_bytes(named, span_of(name)) | NAMED;
}

/*
 * Whether a uid is an account of this host. A user with subordinate ids, for user namespaces, has
 * thousands of uids that are none.
 */
static bool is_account(struct pipeline *pipeline, const struct sender *sender)
{
	const struct want *want = &pipeline->hooks.want;
	const char *name = NULL;
	enum name_state state;

	if (sender->task.uid == sender->task.euid && is_known(sender->user))
		return true;
	state = names_user(pipeline->names, sender->task.uid, pipeline->now_ns, &name);
	if (state == NAME_MISSING && want->user)
		want->user(want->context, sender->task.uid);
	return state == NAME_KNOWN && name[0];
}

/*
 * Of relayed mail, whoever submitted it. A container is one user: its uids are not the host's. For
 * others, it is the real uid: a program with set-user-id must not use up its owner's share.
 */
uint64_t joining_user(struct pipeline *pipeline, const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;
	const struct origin *origin = event->origin;

	if (origin && origin->user[0])
		return origin->has_uid ? origin->uid : number_of(NAMED_USER, origin->user);
	if (!sender || (origin && origin->has_uid))
		return UNKNOWN;
	if (is_known(sender_container(sender)))
		return number_of(NAMED_CONTAINER, sender_container(sender));
	return is_account(pipeline, sender) ? sender->task.uid : UNKNOWN;
}

void joining_take(struct pipeline *pipeline, struct event *event)
{
	uint64_t user, before = pipeline->sink->bytes;
	bool excluded = event->verdict == VERDICT_EXCLUDED;

	if (!event->has_flow) {
		tell_event(pipeline, event);
		return;
	}
	user = joining_user(pipeline, event);
	switch (join_take(pipeline->join, event, user, pipeline->now_ns)) {
	case JOIN_JOINED: pipeline->stats.joined++; return;
	case JOIN_LOST: pipeline->outputs_lost++; return;
	case JOIN_WRITE: break;
	}
	tell_event(pipeline, event);
	join_charge(pipeline->join, user, excluded, pipeline->sink->bytes - before);
}

void joining_flush(struct pipeline *pipeline, bool all)
{
	struct event *event;

	if (!pipeline->join)
		return;
	if (all)
		join_configure(pipeline->join, 0, 0);
	while ((event = join_next(pipeline->join, pipeline->now_ns))) {
		event->host = pipeline->host; /* the one it was made with may be gone */
		tell_event(pipeline, event);
	}
}

int pipeline_join(struct pipeline *pipeline, uint64_t interval_ns, uint32_t after)
{
	uint64_t seed = 0;

	if (!pipeline->join && !interval_ns)
		return 0;
	if (!pipeline->join) {
		if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
			seed = pipeline->boot ^ (uintptr_t)pipeline;
		pipeline->join = join_new(seed);
	}
	if (!pipeline->join)
		return -ENOMEM;
	join_configure(pipeline->join, interval_ns, after);
	joining_flush(pipeline, false);
	return 0;
}
