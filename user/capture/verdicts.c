/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a table with chains, and an account for each user. Who makes files by the
 * thousand fills the table; then his own verdicts make room, because he has most. Who has many
 * files examined uses up his account, and his files wait. A table that is full of users gives the
 * account of one who has neither verdicts nor debts to the next one; if there is none, further
 * users share the account VERDICT_OTHER_USER. Root always has its own.
 *
 * The clock behind ctime advances with the tick, some file systems keep whole seconds. A file that
 * was examined within that time of its ctime could be written again and look the same. Its verdict
 * is not settled: the file is examined again when it is mapped later.
 */
#include "capture/verdicts.h"

#include <stdlib.h>
#include <sys/random.h>

#include "base/hash.h"

#define BUCKETS	     4096U
#define NONE	     UINT32_MAX
#define NS_PER_S     1000000000ULL
#define TICK_NS	     100000000ULL  /* longer than any tick, and than two clocks are apart */
#define TICK_LONG_NS 3000000000ULL /* of file systems whose times have no fraction of a second */

struct user {
	uint32_t id;
	uint32_t verdicts;
	uint32_t libraries;
	uint64_t credit_ns;
	uint64_t time_ns; /* of credit_ns */
	bool in_use;
};

struct verdicts {
	uint64_t seed; /* unknown to those who choose inodes */
	uint32_t count;
	uint32_t free; /* the first of the free items */
	uint32_t buckets[BUCKETS];
	struct file_verdict items[VERDICTS_MAX];
	struct user users[VERDICT_USERS_MAX + 1]; /* the last one: VERDICT_OTHER_USER */
};

/* ---- Users ----------------------------------------------------------------------------------- */

static void refill(struct user *user, uint64_t now_ns)
{
	if (now_ns <= user->time_ns)
		return;
	user->credit_ns += (now_ns - user->time_ns) / EXAMINE_SHARE;
	if (user->credit_ns > EXAMINE_BURST_NS)
		user->credit_ns = EXAMINE_BURST_NS;
	user->time_ns = now_ns;
}

/* Whether nobody would notice if this account were new. */
static bool is_idle(struct user *user, uint64_t now_ns)
{
	if (!user->in_use || user->id == 0)
		return !user->in_use;
	refill(user, now_ns);
	return !user->verdicts && !user->libraries && user->credit_ns == EXAMINE_BURST_NS;
}

static struct user *user_existing(struct verdicts *verdicts, uint32_t id)
{
	for (size_t i = 0; i < VERDICT_USERS_MAX; i++) {
		if (verdicts->users[i].in_use && verdicts->users[i].id == id)
			return &verdicts->users[i];
	}
	return &verdicts->users[VERDICT_USERS_MAX];
}

static struct user *user_of(struct verdicts *verdicts, uint32_t id, uint64_t now_ns)
{
	struct user *user = user_existing(verdicts, id);

	if (user->id == id)
		return user;
	for (size_t i = 0; i < VERDICT_USERS_MAX; i++) {
		if (!is_idle(&verdicts->users[i], now_ns))
			continue;
		verdicts->users[i] = (struct user){.id = id,
						   .credit_ns = EXAMINE_BURST_NS,
						   .time_ns = now_ns,
						   .in_use = true};
		return &verdicts->users[i];
	}
	return user;
}

bool verdicts_may_examine(struct verdicts *verdicts, uint32_t id, uint64_t now_ns)
{
	struct user *user = user_of(verdicts, id, now_ns);

	refill(user, now_ns);
	return user->credit_ns >= EXAMINE_MIN_NS;
}

void verdicts_charge(struct verdicts *verdicts, uint32_t id, uint64_t took_ns)
{
	struct user *user = user_existing(verdicts, id);
	uint64_t cost_ns = took_ns > EXAMINE_MIN_NS ? took_ns : EXAMINE_MIN_NS;

	user->credit_ns -= cost_ns < user->credit_ns ? cost_ns : user->credit_ns;
}

uint32_t verdicts_libraries(struct verdicts *verdicts, uint32_t id)
{
	return user_existing(verdicts, id)->libraries;
}

void verdicts_count_library(struct verdicts *verdicts, uint32_t id, int change)
{
	struct user *user = user_existing(verdicts, id);

	user->libraries = (uint32_t)((int)user->libraries + change);
}

/* ---- Files ----------------------------------------------------------------------------------- */

bool file_same(const struct file_identity *a, const struct file_identity *b)
{
	return a->device == b->device && a->inode == b->inode && a->ctime_ns == b->ctime_ns &&
	       a->size == b->size;
}

bool file_same_below(const struct file_identity *a, const struct file_identity *b)
{
	return (a->overlay || b->overlay) && a->inode == b->inode && a->ctime_ns == b->ctime_ns &&
	       a->mtime_ns == b->mtime_ns && a->size == b->size;
}

static uint32_t *bucket(struct verdicts *verdicts, uint64_t device, uint64_t inode)
{
	return &verdicts->buckets[hash_mix(hash_mix(verdicts->seed, device), inode) % BUCKETS];
}

struct file_verdict *verdicts_find(struct verdicts *verdicts, uint64_t device, uint64_t inode,
				   uint64_t now_ns)
{
	uint32_t at = *bucket(verdicts, device, inode);

	for (; at != NONE; at = verdicts->items[at].next) {
		struct file_verdict *item = &verdicts->items[at];

		if (item->identity.device != device || item->identity.inode != inode)
			continue;
		item->used_ns = now_ns;
		return item;
	}
	return NULL;
}

void verdicts_remove(struct verdicts *verdicts, struct file_verdict *verdict)
{
	uint32_t at = (uint32_t)(verdict - verdicts->items);
	uint32_t *link = bucket(verdicts, verdict->identity.device, verdict->identity.inode);

	while (*link != at)
		link = &verdicts->items[*link].next;
	*link = verdict->next;
	user_existing(verdicts, verdict->user)->verdicts--;
	*verdict = (struct file_verdict){.next = verdicts->free};
	verdicts->free = at;
	verdicts->count--;
}

/* The user who has most verdicts. */
static uint32_t greediest(const struct verdicts *verdicts)
{
	const struct user *most = &verdicts->users[VERDICT_USERS_MAX];

	for (size_t i = 0; i < VERDICT_USERS_MAX; i++) {
		if (verdicts->users[i].verdicts > most->verdicts)
			most = &verdicts->users[i];
	}
	return most->id;
}

/* Drops a verdict. False: all have libraries, which cannot be (LIBRARIES_MAX). */
static bool make_room(struct verdicts *verdicts)
{
	uint32_t user = greediest(verdicts);
	struct file_verdict *oldest = NULL;

	for (uint32_t i = 0; i < VERDICTS_MAX; i++) {
		struct file_verdict *item = &verdicts->items[i];

		if (item->in_use && item->user == user && !item->library &&
		    (!oldest || item->used_ns < oldest->used_ns))
			oldest = item;
	}
	if (oldest)
		verdicts_remove(verdicts, oldest);
	return oldest != NULL;
}

static bool is_settled(const struct file_identity *identity, uint64_t real_ns)
{
	uint64_t window_ns = identity->ctime_ns % NS_PER_S ? TICK_NS : TICK_LONG_NS;

	return real_ns >= identity->ctime_ns + window_ns;
}

struct file_verdict *verdicts_put(struct verdicts *verdicts, const struct file_identity *identity,
				  enum verdict verdict, uint32_t user, uint64_t now_ns,
				  uint64_t real_ns)
{
	struct file_verdict *item =
		verdicts_find(verdicts, identity->device, identity->inode, now_ns);
	struct user *account = user_of(verdicts, user, now_ns);
	uint32_t *head = bucket(verdicts, identity->device, identity->inode);

	if (item)
		verdicts_remove(verdicts, item);
	if (verdicts->free == NONE && !make_room(verdicts))
		return NULL;
	item = &verdicts->items[verdicts->free];
	verdicts->free = item->next;
	*item = (struct file_verdict){.identity = *identity,
				      .verdict = verdict,
				      .user = account->id,
				      .checked_ns = now_ns,
				      .examined_ns = now_ns,
				      .used_ns = now_ns,
				      .settled = is_settled(identity, real_ns),
				      .in_use = true,
				      .next = *head};
	*head = (uint32_t)(item - verdicts->items);
	account->verdicts++;
	verdicts->count++;
	return item;
}

uint32_t verdicts_count(const struct verdicts *verdicts)
{
	return verdicts->count;
}

struct verdicts *verdicts_new(void)
{
	struct verdicts *verdicts = calloc(1, sizeof(*verdicts));

	if (!verdicts)
		return NULL;
	if (getrandom(&verdicts->seed, sizeof(verdicts->seed), GRND_NONBLOCK) < 0)
		verdicts->seed = (uintptr_t)verdicts;
	for (size_t i = 0; i < BUCKETS; i++)
		verdicts->buckets[i] = NONE;
	for (uint32_t i = 0; i < VERDICTS_MAX; i++)
		verdicts->items[i].next = i + 1 < VERDICTS_MAX ? i + 1 : NONE;
	verdicts->users[VERDICT_USERS_MAX] = (struct user){.id = VERDICT_OTHER_USER,
							   .credit_ns = EXAMINE_BURST_NS,
							   .in_use = true};
	user_of(verdicts, 0, 0); /* root's account */
	return verdicts;
}

void verdicts_free(struct verdicts *verdicts)
{
	free(verdicts);
}
