/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: exclusions that have the same value for a criterion are a group: the message
 * meets the criterion in all of them, or in none. So one of them is evaluated for all.
 *
 * Most values differ from exclusion to exclusion: users, executables, units, addresses. There a
 * group has keys: what a text must begin or end with to match, or a network for an address. The
 * beginnings and ends of the message's own text, and its networks, are looked up. That finds every
 * group that can be met, and some others, which are evaluated like the rest. The groups that are
 * not found are not met.
 *
 * Each exclusion begins with the number of criteria that it asks for. Each group that is met takes
 * one from its members. What remains is what is missed. A large group is a row of bytes that are
 * subtracted from all exclusions at once.
 *
 * Not in the index: the content, because expressions are dear and their steps are counted; limits,
 * which differ in what was used; and schedules.
 */
#include "policy/exclusion_index_parts.h"

#include <stdlib.h>
#include <string.h>

struct exclusion_index *exclusion_index_new(const struct exclusion *exclusions, size_t count)
{
	struct exclusion_index *index = calloc(1, sizeof(*index));

	if (!index)
		return NULL;
	index->exclusions = exclusions;
	index->count = count;
	index->asked = calloc(INDEX_ROW(count), 1);
	index->missed = calloc(INDEX_ROW(count), 1);
	if (index->asked && index->missed && exclusion_index_make(index))
		return index;
	exclusion_index_free(index);
	return NULL;
}

void exclusion_index_free(struct exclusion_index *index)
{
	for (int i = 0; index && i < CRITERION_COUNT; i++) {
		struct part *part = &index->parts[i];

		for (uint32_t j = 0; j < part->group_count; j++)
			free(part->groups[j].row);
		free(part->groups);
		free(part->members);
		free(part->keyless);
		free(part->keys);
		free(part->buckets);
	}
	if (index) {
		free(index->asked);
		free(index->missed);
	}
	free(index);
}

/* ---- A message ------------------------------------------------------------------------------- */

struct lookup {
	struct exclusion_index *index;
	enum criterion criterion;
	const struct facts *facts;
	struct surroundings *surroundings;
};

/* Eight bytes at a time. None of them becomes less than 0, so none borrows from the next one. */
static void subtract_row(uint8_t *from, const uint8_t *row, size_t count)
{
	for (size_t i = 0; i < count; i += 8) {
		uint64_t left, right;

		memcpy(&left, from + i, sizeof(left));
		memcpy(&right, row + i, sizeof(right));
		left -= right;
		memcpy(from + i, &left, sizeof(left));
	}
}

/* The members of a group meet the criterion, or it does not count. */
static void is_met(struct exclusion_index *index, const struct group *group)
{
	if (group->row) {
		subtract_row(index->missed, group->row, index->count);
		return;
	}
	for (uint32_t i = 0; i < group->count; i++)
		index->missed[group->members[i]]--;
}

static void evaluate(const struct lookup *lookup, uint32_t number)
{
	struct exclusion_index *index = lookup->index;
	struct group *group = &index->parts[lookup->criterion].groups[number];
	enum state state;

	if (group->message == index->message)
		return;
	group->message = index->message;
	state = exclusion_state(&index->exclusions[group->first], lookup->criterion, lookup->facts,
				lookup->surroundings);
	if (state == STATE_MET || state == STATE_NOT_ASKED)
		is_met(index, group);
}

static void look_up(const struct lookup *lookup, uint64_t hash)
{
	const struct part *part = &lookup->index->parts[lookup->criterion];

	for (uint32_t at = part->buckets[hash & part->bucket_mask]; at != NONE;
	     at = part->keys[at].next) {
		if (part->keys[at].hash == hash)
			evaluate(lookup, part->keys[at].group);
	}
}

static void look_up_text(const struct lookup *lookup, struct span text)
{
	const struct part *part = &lookup->index->parts[lookup->criterion];
	uint64_t lead = SIDE_LEAD, tail = SIDE_TAIL;

	for (size_t i = 0; i < text.len && i < KEY_MAX && part->leads >> i; i++) {
		lead = hash_byte(lead, text.data[i]);
		if (part->leads >> i & 1)
			look_up(lookup, lead);
	}
	for (size_t i = 0; i < text.len && i < KEY_MAX && part->tails >> i; i++) {
		tail = hash_byte(tail, text.data[text.len - 1 - i]);
		if (part->tails >> i & 1)
			look_up(lookup, tail);
	}
}

static void look_up_networks(const struct lookup *lookup)
{
	const struct part *part = &lookup->index->parts[lookup->criterion];

	for (unsigned int i = 0; i < NETWORKS_MAX; i++) {
		if (part->networks[i])
			look_up(lookup, hash_network(lookup->facts->relay, i));
	}
}

/*
 * A text that must match if the criterion is met: of several processes or addresses, each must.
 * Unknown: nothing with keys is met.
 */
static struct span text_of(const struct facts *facts, enum criterion criterion)
{
	const struct facts_process *process = &facts->processes[0];

	switch (criterion) {
	case CRITERION_USER: return process->user;
	case CRITERION_GROUP: return process->group;
	case CRITERION_UNIT: return process->unit;
	case CRITERION_EXECUTABLE: return process->executable;
	case CRITERION_SCRIPT: return process->script;
	case CRITERION_WORKING_DIRECTORY: return process->directory;
	case CRITERION_ARGUMENTS: return process->command_line;
	case CRITERION_ORIGIN_USER: return facts->origin_user;
	case CRITERION_ORIGIN_UNIT: return facts->submitter.unit;
	case CRITERION_ORIGIN_EXECUTABLE: return facts->submitter.executable;
	case CRITERION_ORIGIN_SCRIPT: return facts->submitter.script;
	case CRITERION_AUTH_USER: return facts->auth_user;
	case CRITERION_SENDER: return facts->sender;
	case CRITERION_SUBJECT: return facts->subject;
	case CRITERION_HEADER_FROM:
		return facts->header_from_count ? facts->header_from[0] : (struct span){NULL, 0};
	case CRITERION_RECIPIENTS:
		return facts->recipient_count ? facts->recipients[0] : (struct span){NULL, 0};
	default: return (struct span){NULL, 0};
	}
}

/* Of an address that is not known, no key says whether it must match. */
static bool is_address_unknown(const struct facts *facts, enum criterion criterion)
{
	return (criterion == CRITERION_RECIPIENTS && facts->recipient_count &&
		!facts->recipients[0].data) ||
	       (criterion == CRITERION_HEADER_FROM && facts->header_from_count &&
		!facts->header_from[0].data);
}

/* Whether the criterion does not count for this message, whatever its value. */
static bool is_not_asked(const struct facts *facts, enum criterion criterion)
{
	const struct criterion_row *row = &criterion_rows[criterion];

	return (facts->encrypted && row->of_mail) || (facts->no_content && row->of_content);
}

static void count_met(const struct lookup *lookup)
{
	struct part *part = &lookup->index->parts[lookup->criterion];

	if (is_not_asked(lookup->facts, lookup->criterion)) {
		for (uint32_t i = 0; i < part->group_count; i++)
			is_met(lookup->index, &part->groups[i]);
		return;
	}
	for (uint32_t i = 0; i < part->keyless_count; i++)
		evaluate(lookup, part->keyless[i]);
	if (is_address_unknown(lookup->facts, lookup->criterion)) {
		for (uint32_t i = 0; i < part->group_count; i++)
			evaluate(lookup, i);
	} else if (lookup->criterion == CRITERION_RELAY) {
		look_up_networks(lookup);
	} else {
		look_up_text(lookup, text_of(lookup->facts, lookup->criterion));
	}
}

const uint8_t *exclusion_index_missed(struct exclusion_index *index, const struct facts *facts,
				      struct surroundings *surroundings)
{
	index->message++;
	memcpy(index->missed, index->asked, index->count);
	for (int i = 0; i < CRITERION_COUNT; i++) {
		const struct lookup lookup = {.index = index,
					      .criterion = (enum criterion)i,
					      .facts = facts,
					      .surroundings = surroundings};

		if (index->parts[i].group_count)
			count_met(&lookup);
	}
	return index->missed;
}
