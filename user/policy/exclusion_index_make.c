/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Making the index of exclusions; exclusion_index.c has the theory. */
#include "policy/exclusion_index_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define FEW_GROUPS  8U	/* of so few, all are evaluated */
#define DENSE_SHARE 16U /* a group is a row of bytes from this part of the exclusions on */

static const void *value_at(const struct exclusion *exclusion, enum criterion criterion)
{
	return (const char *)exclusion + criterion_rows[criterion].offset;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static uint64_t hash_key(enum side side, const char *bytes, size_t len)
{
	uint64_t hash = (uint64_t)side;

	for (size_t i = 0; i < len; i++)
		hash = hash_byte(hash, bytes[side == SIDE_LEAD ? i : len - 1 - i]);
	return hash;
}

static bool add_key(struct part *part, uint64_t hash, uint32_t group)
{
	if (part->key_count == part->key_room) {
		uint32_t room = part->key_room ? part->key_room * 2 : 64;
		struct key *keys = realloc(part->keys, room * sizeof(*keys));

		if (!keys)
			return false;
		part->keys = keys;
		part->key_room = room;
	}
	part->keys[part->key_count++] = (struct key){.hash = hash, .group = group};
	return true;
}

static bool add_text_key(struct part *part, enum side side, const char *bytes, size_t len,
			 uint32_t group)
{
	uint64_t *lengths = side == SIDE_LEAD ? &part->leads : &part->tails;

	*lengths |= 1ULL << (len - 1);
	return add_key(part, hash_key(side, bytes, len), group);
}

/* Whether the keys find every text that matches. `enough` false: there is no memory. */
static bool pattern_keys(struct part *part, const struct pattern *pattern, uint32_t group,
			 bool *enough)
{
	char lead[KEY_MAX], tail[KEY_MAX];
	size_t lead_len = wildcard_lead(pattern->wildcard, lead, sizeof(lead)),
	       tail_len = wildcard_tail(pattern->wildcard, tail, sizeof(tail));

	if (!lead_len && !tail_len)
		return false;
	*enough = *enough &&
		  (lead_len >= tail_len ? add_text_key(part, SIDE_LEAD, lead, lead_len, group)
					: add_text_key(part, SIDE_TAIL, tail, tail_len, group));
	if (pattern->target)
		*enough = *enough && add_text_key(part, SIDE_LEAD, pattern->target,
						  strnlen(pattern->target, KEY_MAX), group);
	return true;
}

/* A number may be written in several ways. */
static bool string_keys(struct part *part, const char *string, uint32_t group, bool *enough)
{
	if (!string[0] || isdigit((unsigned char)string[0]))
		return false;
	*enough = *enough && add_text_key(part, SIDE_LEAD, string, strnlen(string, KEY_MAX), group);
	return true;
}

static bool relay_keys(struct part *part, const struct relay *relay, uint32_t group, bool *enough)
{
	if (relay->name)
		return false;
	part->networks[relay->prefix] = true;
	*enough = *enough && add_key(part, hash_network(relay->addr, relay->prefix), group);
	return true;
}

/* Whether the keys find every message that meets the criterion. */
static bool value_keys(struct part *part, enum value_kind kind, const void *value, uint32_t group,
		       bool *enough)
{
	const struct patterns *patterns = value;
	const struct strings *strings = value;
	const struct relays *relays = value;
	bool all = true;

	switch (kind) {
	case VALUE_PATHS:
	case VALUE_SCRIPTS:
	case VALUE_NAMES:
	case VALUE_ADDRESSES:
	case VALUE_TEXTS:
		for (size_t i = 0; i < patterns->count; i++)
			all = pattern_keys(part, &patterns->items[i], group, enough) && all;
		return all && patterns->count;
	case VALUE_STRINGS:
		for (size_t i = 0; i < strings->count; i++)
			all = string_keys(part, strings->items[i], group, enough) && all;
		return all && strings->count;
	case VALUE_RELAYS:
		for (size_t i = 0; i < relays->count; i++)
			all = relay_keys(part, &relays->items[i], group, enough) && all;
		return all && relays->count;
	default: return false;
	}
}

/* Whether a text, or the address, of a message must match. For what else it compares: no keys. */
static bool has_keys(enum criterion criterion)
{
	switch (criterion) {
	case CRITERION_USER:
	case CRITERION_GROUP:
	case CRITERION_UNIT:
	case CRITERION_EXECUTABLE:
	case CRITERION_SCRIPT:
	case CRITERION_WORKING_DIRECTORY:
	case CRITERION_ARGUMENTS:
	case CRITERION_RELAY:
	case CRITERION_ORIGIN_USER:
	case CRITERION_ORIGIN_UNIT:
	case CRITERION_ORIGIN_EXECUTABLE:
	case CRITERION_ORIGIN_SCRIPT:
	case CRITERION_AUTH_USER:
	case CRITERION_SENDER:
	case CRITERION_HEADER_FROM:
	case CRITERION_RECIPIENTS:
	case CRITERION_SUBJECT: return true;
	default: return false;
	}
}

static bool make_buckets(struct part *part)
{
	uint32_t size = 16;

	while (size < part->key_count * 2)
		size *= 2;
	part->bucket_mask = size - 1;
	part->buckets = malloc(size * sizeof(*part->buckets));
	if (!part->buckets)
		return false;
	memset(part->buckets, 0xff, size * sizeof(*part->buckets)); /* NONE */
	for (uint32_t i = 0; i < part->key_count; i++) {
		uint32_t *bucket = &part->buckets[part->keys[i].hash & part->bucket_mask];

		part->keys[i].next = *bucket;
		*bucket = i;
	}
	return true;
}

static bool make_keys(const struct exclusion_index *index, enum criterion criterion,
		      struct part *part)
{
	bool keys = has_keys(criterion) && part->group_count > FEW_GROUPS, enough = true;

	part->keyless = malloc((part->group_count + 1UL) * sizeof(*part->keyless));
	for (uint32_t i = 0; part->keyless && i < part->group_count; i++) {
		const struct exclusion *exclusion = &index->exclusions[part->groups[i].first];

		if (!keys || !value_keys(part, criterion_rows[criterion].kind,
					 value_at(exclusion, criterion), i, &enough))
			part->keyless[part->keyless_count++] = i;
	}
	return part->keyless && enough && make_buckets(part);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

/* A value in bytes: equal ones have the same, and different ones never. */
static void write_value(struct text *out, enum value_kind kind, const void *value)
{
	const struct patterns *patterns = value;
	const struct strings *strings = value;
	const struct relays *relays = value;
	const struct span end = {"", 1};

	switch (kind) {
	case VALUE_IMPLIED: break;
	case VALUE_STRINGS:
	case VALUE_SHA256:
		for (size_t i = 0; i < strings->count; i++) {
			text_add_string(out, strings->items[i]);
			text_add(out, end);
		}
		break;
	case VALUE_RELAYS:
		for (size_t i = 0; i < relays->count; i++) {
			text_add_string(out, relays->items[i].text);
			text_add(out, end);
		}
		break;
	case VALUE_SCHEDULED_BY:
		text_add_format(out, "%d", (int)*(const enum scheduled_by *)value);
		break;
	case VALUE_DEMAND: text_add_format(out, "%d", (int)*(const enum demand *)value); break;
	case VALUE_ENCRYPTED: text_add_format(out, "%d", *(const bool *)value); break;
	case VALUE_EXPIRES:
		text_add_format(out, "%lld", (long long)((const struct expiry *)value)->time_s);
		break;
	default:
		for (size_t i = 0; i < patterns->count; i++) {
			text_add_string(out, patterns->items[i].text);
			text_add(out, end);
			text_add_string(out,
					patterns->items[i].target ? patterns->items[i].target : "");
			text_add(out, end);
		}
		break;
	}
}

/* The value of an exclusion, while the groups are made. */
struct valued {
	struct text value;
	uint32_t exclusion;
};

static bool is_same(const struct valued *a, const struct valued *b)
{
	return a->value.len == b->value.len &&
	       (!a->value.len || memcmp(a->value.data, b->value.data, a->value.len) == 0);
}

static int by_value(const void *first, const void *second)
{
	const struct valued *a = first, *b = second;
	int order;

	if (a->value.len != b->value.len)
		return a->value.len < b->value.len ? -1 : 1;
	order = a->value.len ? memcmp(a->value.data, b->value.data, a->value.len) : 0;
	if (order)
		return order;
	return a->exclusion < b->exclusion ? -1 : a->exclusion > b->exclusion;
}

static bool make_row(const struct exclusion_index *index, struct group *group)
{
	if ((size_t)group->count * DENSE_SHARE < index->count)
		return true;
	group->row = calloc(1, INDEX_ROW((size_t)index->count));
	for (uint32_t i = 0; group->row && i < group->count; i++)
		group->row[group->members[i]] = 1;
	return group->row;
}

static bool make_groups(const struct exclusion_index *index, struct part *part,
			const struct valued *values, uint32_t count)
{
	bool enough = true;

	part->members = malloc(count * sizeof(*part->members));
	part->groups = calloc(count, sizeof(*part->groups));
	if (!part->members || !part->groups)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		if (!i || !is_same(&values[i - 1], &values[i]))
			part->groups[part->group_count++] =
				(struct group){.first = values[i].exclusion,
					       .members = &part->members[i]};
		part->members[i] = values[i].exclusion;
		part->groups[part->group_count - 1].count++;
	}
	for (uint32_t i = 0; i < part->group_count; i++)
		enough = make_row(index, &part->groups[i]) && enough;
	return enough;
}

static bool make_part(struct exclusion_index *index, enum criterion criterion,
		      const struct criteria *asks, struct valued *values)
{
	struct part *part = &index->parts[criterion];
	uint32_t count = 0;
	bool enough = true;

	for (size_t i = 0; i < index->count; i++) {
		if (!criteria_have(asks[i], criterion))
			continue;
		values[count] = (struct valued){.exclusion = (uint32_t)i};
		write_value(&values[count].value, criterion_rows[criterion].kind,
			    value_at(&index->exclusions[i], criterion));
		enough = enough && !values[count++].value.failed;
		index->asked[i]++;
	}
	if (count) {
		qsort(values, count, sizeof(*values), by_value);
		enough = enough && make_groups(index, part, values, count) &&
			 make_keys(index, criterion, part);
	}
	for (uint32_t i = 0; i < count; i++)
		text_free(&values[i].value);
	return enough;
}

bool exclusion_index_make(struct exclusion_index *index)
{
	struct criteria *asks = malloc((index->count + 1) * sizeof(*asks));
	struct valued *values = malloc((index->count + 1) * sizeof(*values));
	bool enough = asks && values;

	for (size_t i = 0; enough && i < index->count; i++)
		asks[i] = exclusion_asks(&index->exclusions[i]);
	for (int i = 0; enough && i < CRITERION_COUNT; i++) {
		if (!(INDEX_LEAVES_OUT & CRITERION_BIT(i)))
			enough = make_part(index, (enum criterion)i, asks, values);
	}
	free(asks);
	free(values);
	return enough;
}
