/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/join.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "event/join_key.h"

#define BUCKETS	  512U		       /* a power of two */
#define OTHERS	  UINT64_MAX	       /* the users that have no place */
#define MAIL_TEXT 4096U		       /* bytes of a header that an example keeps */
#define CLASSES	  (EVENT_ACTIONS * 8U) /* of each action: four verdicts, final or not */

/* Events that are joined with one another. */
struct slot {
	uint32_t seen;	   /* events that were written by themselves in this interval */
	uint32_t joined;   /* events in the example */
	struct event *one; /* the example; owned; NULL: nothing waits */
};

struct kind {
	uint64_t key;
	struct slot slot;
};

/* The events of an action and verdict that have no kind. */
struct rest {
	struct slot slot;
	struct join_key first; /* of the first event in the example */
};

struct user {
	struct user *next_in_bucket;
	struct user *earlier, *later; /* in the order in which their intervals began */
	uint64_t id;
	uint64_t start_ns;
	uint64_t bytes;		 /* of events written by themselves in this interval */
	uint64_t excluded_bytes; /* the same of excluded messages */
	uint32_t kind_count;
	uint32_t apart; /* kinds that have an example */
	struct kind kinds[JOIN_KINDS_MAX];
	struct rest *rest[CLASSES]; /* NULL: none yet */
};

struct join {
	uint64_t seed;
	uint64_t interval_ns; /* 0: off */
	uint32_t after;
	uint32_t user_count;
	struct user *buckets[BUCKETS];
	struct user *first, *last;    /* whose interval ends first, and last */
	uint64_t open[JOIN_OPEN_MAX]; /* provisional events that were written; 0: a free place */
	uint32_t open_at;
	uint32_t open_count;
};

struct join *join_new(uint64_t seed)
{
	struct join *join = calloc(1, sizeof(*join));

	if (join)
		join->seed = seed;
	return join;
}

void join_configure(struct join *join, uint64_t interval_ns, uint32_t after)
{
	join->interval_ns = interval_ns;
	join->after = after;
}

/* ---- Users ----------------------------------------------------------------------------------- */

static struct user **bucket_of(struct join *join, uint64_t id)
{
	return &join->buckets[hash_mix(join->seed, id) & (BUCKETS - 1)];
}

static struct user *user_find(struct join *join, uint64_t id)
{
	struct user *user = *bucket_of(join, id);

	while (user && user->id != id)
		user = user->next_in_bucket;
	return user;
}

/* Puts a user at the end of the order, where an interval begins. */
static void user_begin(struct join *join, struct user *user, uint64_t now_ns)
{
	user->start_ns = now_ns;
	user->later = NULL;
	user->earlier = join->last;
	*(join->last ? &join->last->later : &join->first) = user;
	join->last = user;
}

static void user_unlink(struct join *join, struct user *user)
{
	*(user->earlier ? &user->earlier->later : &join->first) = user->later;
	*(user->later ? &user->later->earlier : &join->last) = user->earlier;
}

static void user_free(struct join *join, struct user *user)
{
	struct user **at = bucket_of(join, user->id);

	while (*at != user)
		at = &(*at)->next_in_bucket;
	*at = user->next_in_bucket;
	user_unlink(join, user);
	for (uint32_t i = 0; i < user->kind_count; i++)
		event_free(user->kinds[i].slot.one);
	for (uint32_t i = 0; i < CLASSES; i++) {
		if (user->rest[i])
			event_free(user->rest[i]->slot.one);
		free(user->rest[i]);
	}
	free(user);
	join->user_count--;
}

/* NULL: no memory. */
static struct user *user_of(struct join *join, uint64_t id, uint64_t now_ns)
{
	struct user *user = user_find(join, id), **bucket;

	if (!user && join->user_count >= JOIN_USERS_MAX) {
		id = OTHERS;
		user = user_find(join, id);
	}
	if (user || !(user = calloc(1, sizeof(*user))))
		return user;
	user->id = id;
	bucket = bucket_of(join, id);
	user->next_in_bucket = *bucket;
	*bucket = user;
	user_begin(join, user, now_ns);
	join->user_count++;
	return user;
}

void join_free(struct join *join)
{
	if (!join)
		return;
	while (join->first)
		user_free(join, join->first);
	free(join);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static uint64_t *bytes_of(struct user *user, bool excluded)
{
	return excluded ? &user->excluded_bytes : &user->bytes;
}

void join_charge(struct join *join, uint64_t id, bool excluded, uint64_t bytes)
{
	struct user *user = user_find(join, id);

	if (!user)
		user = user_find(join, OTHERS);
	if (user)
		*bytes_of(user, excluded) += bytes;
}

/*
 * Whether the user's bytes suffice for one more event. The first one is always written, however
 * long it is. After it, those count whose addresses alone do not fit.
 */
static bool has_bytes(struct user *user, const struct event *event)
{
	bool excluded = event->verdict == VERDICT_EXCLUDED;
	uint64_t used = *bytes_of(user, excluded),
		 more = event->transaction ? event->transaction->envelope_len : 0;

	return !used || used + more < (excluded ? JOIN_EXCLUDED_MAX : JOIN_BYTES_MAX);
}

/* ---- Provisional events ---------------------------------------------------------------------- */

static uint64_t number_of(const struct join *join, const struct event *event)
{
	return hash_bytes(join->seed, span_of(event->id)) | 1;
}

static void open_add(struct join *join, const struct event *event)
{
	join->open_count += !join->open[join->open_at];
	join->open[join->open_at] = number_of(join, event);
	join->open_at = (join->open_at + 1) % JOIN_OPEN_MAX;
}

/* Whether the event ends a provisional one that was written by itself. Forgets it then. */
static bool open_take(struct join *join, const struct event *event)
{
	uint64_t number;

	if (!join->open_count || event->action != EVENT_MESSAGE || event->provisional)
		return false;
	number = number_of(join, event);
	for (uint32_t i = 0; i < JOIN_OPEN_MAX; i++) {
		if (join->open[i] != number)
			continue;
		join->open[i] = 0;
		join->open_count--;
		return true;
	}
	return false;
}

/* ---- Examples -------------------------------------------------------------------------------- */

/*
 * Makes an event small enough to be kept, and to be written beside others: one sender, few
 * recipients, no content.
 */
static void shorten(struct event *event)
{
	struct mail *mail = event->transaction ? event->transaction->mail : NULL;

	while (event->sender_count > 1) {
		sender_unref(event->senders[--event->sender_count]);
		event->senders_incomplete = true;
	}
	if (!event->transaction)
		return;
	smtp_transaction_shorten(event->transaction);
	if (mail)
		mail_content_free(&mail->content);
	if (mail && mail->text.len > MAIL_TEXT) {
		mail_free(mail);
		event->transaction->mail = NULL;
	}
}

static void add_counts(struct event_joined *joined, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;

	joined->count++;
	joined->last_ns = event->end_ns;
	if (transaction) {
		joined->recipients +=
			(uint64_t)transaction->recipient_count + transaction->recipients_dropped;
		joined->bytes += transaction->bytes;
	}
	if (event->action == EVENT_SESSION && event->session)
		joined->bytes += event->session->command_bytes;
	if (joined->id_count < JOINED_IDS_MAX)
		memcpy(joined->ids[joined->id_count++], event->id, sizeof(event->id));
}

/* Makes the event the example. False: no memory. */
static bool slot_begin(struct slot *slot, struct event *event)
{
	event->joined = calloc(1, sizeof(*event->joined));
	if (!event->joined)
		return false;
	event->joined->first_ns = event->end_ns;
	add_counts(event->joined, event);
	shorten(event);
	slot->one = event;
	slot->joined = 1;
	return true;
}

/* Adds an event to the example that there is. */
static void slot_add(struct slot *slot, struct event *event)
{
	add_counts(slot->one->joined, event);
	if (slot->joined < UINT32_MAX)
		slot->joined++;
	event_free(event);
}

/*
 * The same for events that may differ. The example has the reasons of all of them; and one with a
 * higher risk takes its place, so that nobody can hide it behind a harmless first one.
 */
static void rest_add(struct rest *rest, struct event *event, const struct join_key *key)
{
	struct event *one = rest->slot.one, *keep = one;

	one->joined->differ |= join_key_differ(&rest->first, key);
	if (event_risk(event) > event_risk(one)) {
		keep = event;
		add_counts(one->joined, event);
		rest->slot.joined++;
		event->joined = one->joined;
		event->start_ns = one->start_ns;
		one->joined = NULL;
		shorten(event);
		rest->slot.one = event;
		event = one;
	}
	for (uint32_t i = 0; i < event->reason_count; i++)
		event_reason(keep, event->reasons[i]);
	if (keep == one)
		slot_add(&rest->slot, event);
	else
		event_free(event);
}

/* ---- Taking ---------------------------------------------------------------------------------- */

/* NULL: the user has too many kinds, or the event is of none. */
static struct slot *kind_of(struct user *user, const struct event *event, uint64_t key)
{
	if (event->verdict == VERDICT_EXCLUDED)
		return NULL;
	for (uint32_t i = 0; i < user->kind_count; i++) {
		if (user->kinds[i].key == key)
			return &user->kinds[i].slot;
	}
	if (user->kind_count == JOIN_KINDS_MAX)
		return NULL;
	user->kinds[user->kind_count] = (struct kind){.key = key};
	return &user->kinds[user->kind_count++].slot;
}

/* NULL: no memory. */
static struct rest *rest_of(struct user *user, const struct event *event)
{
	size_t class = event->action * 8U + event->verdict * 2U + event->provisional;

	if (!user->rest[class])
		user->rest[class] = calloc(1, sizeof(*user->rest[class]));
	return user->rest[class];
}

/* Whether the event is to be written by itself. */
static bool is_single(struct join *join, struct user *user, struct slot *slot,
		      const struct event *event)
{
	if (!has_bytes(user, event))
		return false;
	if (slot->seen >= join->after && event->verdict != VERDICT_EXCLUDED &&
	    !open_take(join, event))
		return false;
	if (slot->seen < UINT32_MAX)
		slot->seen++;
	if (event->action == EVENT_MESSAGE && event->provisional)
		open_add(join, event);
	return true;
}

static enum join_result add(struct user *user, struct slot *kind, struct rest *rest,
			    struct event *event, const struct join_key *key)
{
	bool apart = kind && (kind->one || user->apart < JOIN_APART_MAX);
	struct slot *slot = apart ? kind : &rest->slot;

	if (slot->one) {
		if (apart)
			slot_add(slot, event);
		else
			rest_add(rest, event, key);
		return JOIN_JOINED;
	}
	if (!slot_begin(slot, event)) {
		event_free(event);
		return JOIN_LOST;
	}
	if (apart)
		user->apart++;
	else
		rest->first = *key;
	return JOIN_JOINED;
}

enum join_result join_take(struct join *join, struct event *event, uint64_t id, uint64_t now_ns)
{
	struct join_key key;
	struct user *user;
	struct slot *kind;
	struct rest *rest;

	if (!join->interval_ns || !(user = user_of(join, id, now_ns)))
		return JOIN_WRITE;
	rest = rest_of(user, event);
	if (!rest)
		return JOIN_WRITE;
	join_key(&key, event, join->seed);
	kind = kind_of(user, event, key.whole);
	if (is_single(join, user, kind ? kind : &rest->slot, event))
		return JOIN_WRITE;
	return add(user, kind, rest, event, &key);
}

/* ---- Ends of intervals ----------------------------------------------------------------------- */

/* The example with its counts; NULL: there is none. The caller owns it. */
static struct event *slot_take(struct slot *slot)
{
	struct event *one = slot->one;

	slot->one = NULL;
	if (one)
		one->time_ns = one->end_ns = one->joined->last_ns;
	return one;
}

static struct event *user_take(struct user *user)
{
	struct event *one = NULL;

	for (uint32_t i = 0; i < user->kind_count && !one; i++)
		one = slot_take(&user->kinds[i].slot);
	for (uint32_t i = 0; i < CLASSES && !one; i++) {
		if (user->rest[i])
			one = slot_take(&user->rest[i]->slot);
	}
	return one;
}

/* Whether a slot continues to be joined; it is prepared for the next interval. */
static bool slot_continues(const struct join *join, struct slot *slot)
{
	bool continues = slot->joined > join->after;

	*slot = (struct slot){.seen = continues ? UINT32_MAX : 0};
	return continues;
}

/* All examples have been taken. Forgets the user, if nothing of him continues. */
static void user_end(struct join *join, struct user *user, uint64_t now_ns)
{
	uint32_t kept = 0;
	bool rest = false;

	for (uint32_t i = 0; i < user->kind_count; i++) {
		if (slot_continues(join, &user->kinds[i].slot))
			user->kinds[kept++] = user->kinds[i];
	}
	for (uint32_t i = 0; i < CLASSES; i++) {
		if (user->rest[i] && slot_continues(join, &user->rest[i]->slot))
			rest = true;
	}
	user->kind_count = kept;
	user->apart = 0;
	user->bytes = user->excluded_bytes = 0;
	if (!join->interval_ns || (!kept && !rest)) {
		user_free(join, user);
		return;
	}
	user_unlink(join, user);
	user_begin(join, user, now_ns);
}

struct event *join_next(struct join *join, uint64_t now_ns)
{
	struct event *event = NULL;
	struct user *user;

	while (!event && (user = join->first) && now_ns - user->start_ns >= join->interval_ns) {
		event = user_take(user);
		if (!event)
			user_end(join, user, now_ns);
	}
	return event;
}
