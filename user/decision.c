/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: exclusions are tried in their order. The share of an exclusion's written criteria that a message
 * does not meet says how near it is; once that cannot be better than the best so far, the rest of its criteria are left
 * out. So an exclusion costs one or two comparisons, and the content is searched for those alone that fit the
 * process, the relay and the envelope.
 *
 * STEPS_MAX bounds what the author of a message can make the expressions of all exclusions cost.
 */
#include "decision.h"

#include <stdlib.h>
#include <string.h>

#define STEPS_MAX 2000000U
#define NEVER	  UINT32_MAX

struct standing {
	uint32_t asks;
	uint32_t written;    /* number of them that are written */
	struct usage *usage; /* of the three limits; owned, NULL: nothing was used */
	struct passed passed;
};

struct decider {
	struct config *config;
	struct standing *standings; /* of config->exclusions */
};

static struct standing *standings_new(const struct config *config)
{
	struct standing *standings = calloc(config->exclusion_count + 1, sizeof(*standings));

	for (size_t i = 0; standings && i < config->exclusion_count; i++) {
		uint32_t written = exclusion_written(&config->exclusions[i]);

		standings[i].asks = exclusion_asks(&config->exclusions[i]);
		standings[i].written = written ? (uint32_t)__builtin_popcount(written) : 1;
	}
	return standings;
}

struct decider *decider_new(struct config *config)
{
	struct decider *decider = calloc(1, sizeof(*decider));

	if (!decider)
		return NULL;
	decider->standings = standings_new(config);
	if (!decider->standings) {
		free(decider);
		return NULL;
	}
	decider->config = config;
	return decider;
}

static void drop(struct decider *decider)
{
	for (size_t i = 0; i < decider->config->exclusion_count; i++)
		free(decider->standings[i].usage);
	free(decider->standings);
	config_free(decider->config);
}

void decider_free(struct decider *decider)
{
	if (!decider)
		return;
	drop(decider);
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

bool decider_replace(struct decider *decider, struct config *config)
{
	struct decider made = {.config = config, .standings = standings_new(config)};

	if (!made.standings)
		return false;
	for (size_t i = 0; i < config->exclusion_count; i++) {
		for (size_t j = 0; j < decider->config->exclusion_count; j++) {
			if (strcmp(config->exclusions[i].name, decider->config->exclusions[j].name) == 0)
				take_over(&made.standings[i], &config->exclusions[i], &decider->standings[j]);
		}
	}
	drop(decider);
	*decider = made;
	return true;
}

const struct config *decider_config(const struct decider *decider)
{
	return decider->config;
}

const struct passed *decider_passed(const struct decider *decider, size_t index)
{
	return &decider->standings[index].passed;
}

/* ---- Deciding --------------------------------------------------------------------------------------- */

/* Parts in a thousand of the written criteria. */
static uint32_t distance(const struct standing *standing, uint32_t missed)
{
	return missed * 1000 / standing->written;
}

/*
 * How far the message is from the exclusion; NEVER if it is not nearer than `best`, with what is asked not looked
 * through to the end.
 */
static uint32_t look(const struct exclusion *exclusion, const struct standing *standing,
		     const struct facts *facts, struct surroundings *surroundings, uint32_t best,
		     struct decision *decision)
{
	uint32_t missed = 0;

	decision->failed = decision->unknown = 0;
	for (uint32_t left = standing->asks; left; left &= left - 1) {
		enum criterion criterion = (enum criterion)__builtin_ctz(left);
		enum state state = exclusion_state(exclusion, criterion, facts, surroundings);

		if (state == STATE_MET || state == STATE_NOT_ASKED)
			continue;
		if (distance(standing, ++missed) >= best)
			return NEVER;
		decision->failed |= 1U << criterion;
		decision->unknown |= (uint32_t)(state == STATE_UNKNOWN) << criterion;
	}
	return distance(standing, missed);
}

/* False: there is no memory to count it. */
static bool use(const struct exclusion *exclusion, struct standing *standing, const struct facts *facts)
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

void decide(struct decider *decider, const struct facts *facts, const struct relay_names *names, bool final,
	    struct decision *decision)
{
	struct surroundings surroundings = {.names = names, .steps = STEPS_MAX};
	uint32_t best = NEVER;

	*decision = (struct decision){.excluded = NULL};
	for (size_t i = 0; i < decider->config->exclusion_count; i++) {
		const struct exclusion *exclusion = &decider->config->exclusions[i];
		struct standing *standing = &decider->standings[i];
		struct decision made = {.nearest = exclusion};
		uint32_t found;

		surroundings.usage = standing->usage;
		found = look(exclusion, standing, facts, &surroundings, best, &made);
		if (found == NEVER)
			continue;
		if (!made.failed && final && use(exclusion, standing, facts)) {
			*decision = (struct decision){.excluded = exclusion};
			return;
		}
		best = found;
		*decision = made;
	}
}
