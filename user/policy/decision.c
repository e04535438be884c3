/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: exclusions are tried in order. The distance of a message from an exclusion
 * is the share of its written criteria that are not met. As soon as that distance cannot beat the
 * best one found so far, the remaining criteria are skipped. The index (exclusion_index.h) tells
 * beforehand how many criteria each exclusion misses, except for the dearest ones. So an exclusion
 * that cannot beat the best one costs a comparison. Which criteria they are is found out for the
 * nearest one alone. The index never decides that a mail passes: where it counts none, every
 * criterion is evaluated. The content
 * is searched at once for exclusions that are met in everything else. For the others it is searched
 * only for the NEAR_MAX nearest, and only while it can change which one is the nearest.
 *
 * STEPS_MAX bounds what the author of a message can make the expressions of all exclusions cost.
 */
#include "policy/decision.h"

#include <stdlib.h>
#include <string.h>

#include "policy/exclusion_index.h"

#define STEPS_MAX 2000000U
#define NEVER	  UINT32_MAX
#define NEAR_MAX  4U
#define CONTENT	  (CRITERION_BIT(CRITERION_CONTAINS) | CRITERION_BIT(CRITERION_MATCHES))

struct standing {
	struct criteria asks;
	uint32_t written;    /* number of them that are written */
	struct usage *usage; /* of the three limits; owned; NULL: nothing was used */
	struct passed passed;
};

struct decider {
	const struct policy *policy; /* the owner's */
	void *owner;
	void (*release)(void *owner);
	struct standing *standings; /* one for each of policy->exclusions */
	struct named *by_name;	    /* the same number, in the order of the names */
	struct exclusion_index *index;
	bool plain; /* without the index */
};

/* An exclusion's index by its name, which is the policy's. */
struct named {
	const char *name;
	size_t index;
};

static struct standing *standings_new(const struct policy *policy)
{
	struct standing *standings = calloc(policy->exclusion_count + 1, sizeof(*standings));

	for (size_t i = 0; standings && i < policy->exclusion_count; i++) {
		unsigned int written = criteria_count(exclusion_written(&policy->exclusions[i]));

		standings[i].asks = exclusion_asks(&policy->exclusions[i]);
		standings[i].written = written ? written : 1;
	}
	return standings;
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct named *)a)->name, ((const struct named *)b)->name);
}

static struct named *by_name_new(const struct policy *policy)
{
	struct named *by_name = calloc(policy->exclusion_count + 1, sizeof(*by_name));

	for (size_t i = 0; by_name && i < policy->exclusion_count; i++)
		by_name[i] = (struct named){.name = policy->exclusions[i].name, .index = i};
	if (by_name)
		qsort(by_name, policy->exclusion_count, sizeof(*by_name), compare);
	return by_name;
}

struct decider *decider_new(const struct policy *policy, void *owner, void (*release)(void *owner))
{
	struct decider *decider = calloc(1, sizeof(*decider));

	if (!decider)
		return NULL;
	decider->standings = standings_new(policy);
	decider->by_name = by_name_new(policy);
	decider->index = exclusion_index_new(policy->exclusions, policy->exclusion_count);
	if (!decider->standings || !decider->by_name || !decider->index) {
		exclusion_index_free(decider->index);
		free(decider->standings);
		free(decider->by_name);
		free(decider);
		return NULL;
	}
	decider->policy = policy;
	decider->owner = owner;
	decider->release = release;
	return decider;
}

void decider_free(struct decider *decider)
{
	if (!decider)
		return;
	for (size_t i = 0; i < decider->policy->exclusion_count; i++)
		free(decider->standings[i].usage);
	exclusion_index_free(decider->index);
	free(decider->standings);
	free(decider->by_name);
	decider->release(decider->owner);
	free(decider);
}

static void take_over(struct standing *to, const struct exclusion *exclusion, struct standing *from)
{
	const struct limit *limits[] = {&exclusion->limits.messages, &exclusion->limits.recipients,
					&exclusion->limits.bytes};

	to->passed = from->passed;
	to->usage = from->usage;
	from->usage = NULL;
	for (int i = 0; to->usage && i < 3; i++)
		limit_change(limits[i], &to->usage[i]);
}

void decider_replace(struct decider *decider, struct decider *with)
{
	size_t count = with->policy->exclusion_count, old_count = decider->policy->exclusion_count;
	struct decider old = *decider;

	for (size_t i = 0, j = 0; i < count && j < old_count;) {
		const struct named *named = &with->by_name[i];
		int order = strcmp(named->name, decider->by_name[j].name);

		if (!order)
			take_over(&with->standings[named->index],
				  &with->policy->exclusions[named->index],
				  &decider->standings[decider->by_name[j].index]);
		i += order <= 0;
		j += order >= 0;
	}
	*decider = *with;
	*with = old;
}

const struct policy *decider_policy(const struct decider *decider)
{
	return decider->policy;
}

void *decider_owner(const struct decider *decider)
{
	return decider->owner;
}

bool decider_wants_content(const struct decider *decider)
{
	for (size_t i = 0; i < decider->policy->exclusion_count; i++) {
		if (decider->standings[i].asks.bits & CONTENT)
			return true;
	}
	return false;
}

const struct passed *decider_passed(const struct decider *decider, size_t index)
{
	return &decider->standings[index].passed;
}

void decider_try_all(struct decider *decider)
{
	decider->plain = true;
}

/* ---- Deciding -------------------------------------------------------------------------------- */

static uint32_t distance(const struct standing *standing, uint32_t missed)
{
	return decision_distance(missed, standing->written);
}

/* An exclusion, and the message's distance from it as far as it was evaluated. */
struct candidate {
	size_t index;
	uint32_t missed;
	uint32_t distance;
	struct criteria failed, unknown;
	bool counted; /* of those that the index knows, only the number is known */
};

struct trial {
	struct decider *decider;
	const struct facts *facts;
	struct surroundings surroundings;
	const uint8_t *missed;		 /* as the index counts; NULL: without the index */
	struct candidate near[NEAR_MAX]; /* without the content; the nearest first */
	size_t near_count;
	struct candidate best; /* evaluated completely; its distance is NEVER while there is none */
};

/* Evaluates these criteria. False: the distance reached `limit`, and the rest was skipped. */
static bool look(struct trial *trial, struct candidate *candidate, uint64_t criteria,
		 uint32_t limit)
{
	const struct exclusion *exclusion = &trial->decider->policy->exclusions[candidate->index];
	const struct standing *standing = &trial->decider->standings[candidate->index];

	trial->surroundings.usage = standing->usage;
	for (struct criteria left = {standing->asks.bits & criteria}; left.bits;
	     left.bits &= left.bits - 1) {
		enum criterion criterion = criteria_first(left);
		enum state state =
			exclusion_state(exclusion, criterion, trial->facts, &trial->surroundings);

		if (state == STATE_MET || state == STATE_NOT_ASKED)
			continue;
		candidate->distance = distance(standing, ++candidate->missed);
		if (candidate->distance >= limit)
			return false;
		criteria_add(&candidate->failed, criterion);
		if (state == STATE_UNKNOWN)
			criteria_add(&candidate->unknown, criterion);
	}
	return true;
}

/* A candidate at this distance or beyond is of no use. */
static uint32_t limit_of(const struct trial *trial)
{
	uint32_t worst = trial->near_count == NEAR_MAX ? trial->near[NEAR_MAX - 1].distance : NEVER;

	return worst < trial->best.distance ? worst : trial->best.distance;
}

static void keep_near(struct trial *trial, const struct candidate *candidate)
{
	size_t at = trial->near_count < NEAR_MAX ? trial->near_count++ : NEAR_MAX - 1;

	for (; at && trial->near[at - 1].distance > candidate->distance; at--)
		trial->near[at] = trial->near[at - 1];
	trial->near[at] = *candidate;
}

/* Evaluates the content as well. True: everything is met. */
static bool complete(struct trial *trial, struct candidate candidate)
{
	if (look(trial, &candidate, CONTENT, trial->best.distance))
		trial->best = candidate;
	return trial->best.index == candidate.index && !trial->best.missed &&
	       trial->best.distance == 0;
}

/* Whether an exclusion that misses so many criteria, or more, is of no use. */
static bool is_out_of_reach(const struct trial *trial, size_t index, uint64_t limit)
{
	uint64_t missed = trial->missed ? trial->missed[index] : 0;

	return missed && missed * 1000 >= limit * trial->decider->standings[index].written;
}

/* Whether this exclusion applies to the message. */
static bool try_one(struct trial *trial, size_t index)
{
	const struct standing *standing = &trial->decider->standings[index];
	struct candidate candidate = {.index = index};

	if (trial->missed && trial->missed[index]) {
		candidate.missed = trial->missed[index];
		candidate.distance = distance(standing, candidate.missed);
		candidate.counted = true;
	}
	if (!look(trial, &candidate, candidate.counted ? INDEX_LEAVES_OUT & ~CONTENT : ~CONTENT,
		  limit_of(trial)))
		return false;
	if (!candidate.missed || !(standing->asks.bits & CONTENT))
		return complete(trial, candidate);
	keep_near(trial, &candidate);
	return false;
}

/* Which criteria of the nearest exclusion are not met. */
static void name_failed(struct trial *trial)
{
	struct candidate rest = {.index = trial->best.index};

	if (!trial->best.counted)
		return;
	look(trial, &rest, ~INDEX_LEAVES_OUT, NEVER);
	trial->best.failed.bits |= rest.failed.bits;
	trial->best.unknown.bits |= rest.unknown.bits;
}

/* Counts the message for the limits. False: there is no memory. */
static bool use(const struct exclusion *exclusion, struct standing *standing,
		const struct facts *facts)
{
	const struct limit *limits[] = {&exclusion->limits.messages, &exclusion->limits.recipients,
					&exclusion->limits.bytes};
	uint64_t amounts[] = {1, facts->recipient_count, facts->bytes};

	if (!standing->usage)
		standing->usage = calloc(3, sizeof(*standing->usage));
	if (!standing->usage)
		return false;
	for (int i = 0; i < 3; i++)
		limit_use(limits[i], &standing->usage[i], facts->clock_ns, amounts[i]);
	standing->passed.messages++;
	standing->passed.recipients += facts->recipient_count;
	standing->passed.bytes += facts->bytes;
	return true;
}

void decide(struct decider *decider, const struct facts *facts, const struct relay_names *names,
	    bool final, struct decision *decision)
{
	struct trial trial = {.decider = decider,
			      .facts = facts,
			      .surroundings = {.names = names, .steps = STEPS_MAX},
			      .best = {.distance = NEVER}};
	const struct exclusion *exclusions = decider->policy->exclusions;
	uint32_t limit = NEVER;

	*decision = (struct decision){.excluded = NULL};
	if (!decider->plain)
		trial.missed = exclusion_index_missed(decider->index, facts, &trial.surroundings);
	for (size_t i = 0; i < decider->policy->exclusion_count; i++) {
		if (is_out_of_reach(&trial, i, limit))
			continue;
		if (try_one(&trial, i) && final &&
		    use(&exclusions[i], &decider->standings[i], facts)) {
			decision->excluded = &exclusions[i];
			return;
		}
		limit = limit_of(&trial);
	}
	for (size_t i = 0; i < trial.near_count && trial.near[i].distance < trial.best.distance;
	     i++)
		complete(&trial, trial.near[i]);
	if (trial.best.distance == NEVER)
		return;
	name_failed(&trial);
	decision->nearest = &exclusions[trial.best.index];
	decision->failed = trial.best.failed;
	decision->unknown = trial.best.unknown;
}
