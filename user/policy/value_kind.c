/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/value_kind.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/limits.h"
#include "policy/relay.h"
#include "policy/values.h"

/* ---- Lists ----------------------------------------------------------------------------------- */

/* Whether there are items in `narrow` and each is covered by one in `wide`. Items have `size`
 * bytes. */
static bool items_cover(const void *wide, size_t wide_count, const void *narrow,
			size_t narrow_count, size_t size,
			bool (*covers)(const void *, const void *))
{
	for (size_t i = 0; i < narrow_count; i++) {
		size_t j = 0;

		while (j < wide_count &&
		       !covers((const char *)wide + j * size, (const char *)narrow + i * size))
			j++;
		if (j == wide_count)
			return false;
	}
	return narrow_count;
}

static bool patterns_set(const void *value)
{
	return ((const struct patterns *)value)->count;
}

static void patterns_release(void *value)
{
	patterns_free(value);
}

static bool pattern_covers(const void *a, const void *b)
{
	const struct pattern *wide = a, *narrow = b;

	if (strcmp(wide->text, narrow->text) == 0)
		return true;
	return wildcard_is_literal(narrow->wildcard) &&
	       wildcard_match(wide->wildcard, span_of(narrow->text)) &&
	       (!narrow->target || wildcard_match(wide->wildcard, span_of(narrow->target)));
}

static bool patterns_cover(const void *a, const void *b)
{
	const struct patterns *wide = a, *narrow = b;

	return items_cover(wide->items, wide->count, narrow->items, narrow->count,
			   sizeof(*wide->items), pattern_covers);
}

static bool strings_set(const void *value)
{
	return ((const struct strings *)value)->count;
}

static void strings_release(void *value)
{
	strings_free(value);
}

static bool string_covers(const void *a, const void *b)
{
	const char *const *wide = a, *const *narrow = b;

	return strcmp(*wide, *narrow) == 0;
}

static bool strings_cover(const void *a, const void *b)
{
	const struct strings *wide = a, *narrow = b;

	return items_cover(wide->items, wide->count, narrow->items, narrow->count,
			   sizeof(*wide->items), string_covers);
}

static bool searches_set(const void *value)
{
	return ((const struct searches *)value)->count;
}

static void searches_release(void *value)
{
	searches_free(value);
}

static bool search_covers(const void *a, const void *b)
{
	const struct search *wide = a, *narrow = b;

	return strcmp(wide->text, narrow->text) == 0;
}

static bool searches_cover(const void *a, const void *b)
{
	const struct searches *wide = a, *narrow = b;

	return items_cover(wide->items, wide->count, narrow->items, narrow->count,
			   sizeof(*wide->items), search_covers);
}

static bool relays_set(const void *value)
{
	return ((const struct relays *)value)->count;
}

static void relays_release(void *value)
{
	relays_free(value);
}

static bool relay_covers(const void *a, const void *b)
{
	const struct relay *wide = a, *narrow = b;

	if (wide->port && wide->port != narrow->port)
		return false;
	if (wide->name || narrow->name)
		return wide->name && narrow->name && strcasecmp(wide->name, narrow->name) == 0;
	return wide->prefix <= narrow->prefix &&
	       address_in_network(narrow->addr, wide->addr, wide->prefix);
}

static bool relays_cover(const void *a, const void *b)
{
	const struct relays *wide = a, *narrow = b;

	return items_cover(wide->items, wide->count, narrow->items, narrow->count,
			   sizeof(*wide->items), relay_covers);
}

/* ---- Single values --------------------------------------------------------------------------- */

static bool never_set(const void *value)
{
	(void)value;
	return false;
}

static void nothing_owned(void *value)
{
	(void)value;
}

static bool never_covers(const void *wide, const void *narrow)
{
	(void)wide;
	(void)narrow;
	return false;
}

static bool scheduled_by_set(const void *value)
{
	return *(const enum scheduled_by *)value != SCHEDULED_NOT_ASKED;
}

static bool scheduled_by_covers(const void *a, const void *b)
{
	const enum scheduled_by wide = *(const enum scheduled_by *)a;
	const enum scheduled_by narrow = *(const enum scheduled_by *)b;

	return wide == narrow || (wide == SCHEDULED_ANY && narrow != SCHEDULED_NOT_ASKED);
}

static bool demand_set(const void *value)
{
	return *(const enum demand *)value != DEMAND_ANY;
}

static bool demand_covers(const void *wide, const void *narrow)
{
	return *(const enum demand *)wide == *(const enum demand *)narrow;
}

static bool encrypted_set(const void *value)
{
	return *(const bool *)value;
}

/* `encrypted: allow` lets encrypted sessions pass as well, so it covers everything. */
static bool encrypted_covers(const void *wide, const void *narrow)
{
	return *(const bool *)wide || !*(const bool *)narrow;
}

static bool due_set(const void *value)
{
	return ((const struct due *)value)->at;
}

static void due_release(void *value)
{
	struct due *due = value;

	schedule_free(due->at);
	zone_free(due->zone);
	free(due->text);
}

static bool limit_set(const void *value)
{
	return ((const struct limit *)value)->window_s;
}

static bool expiry_set(const void *value)
{
	return ((const struct expiry *)value)->set;
}

static bool expiry_covers(const void *a, const void *b)
{
	const struct expiry *wide = a, *narrow = b;

	return narrow->set && wide->time_s >= narrow->time_s;
}

/* ---- The table ------------------------------------------------------------------------------- */

static const struct {
	bool (*is_set)(const void *value);
	void (*release)(void *value);
	bool (*covers)(const void *wide, const void *narrow);
} kinds[VALUE_COUNT] = {
	[VALUE_IMPLIED] = {never_set, nothing_owned, never_covers},
	[VALUE_PATHS] = {patterns_set, patterns_release, patterns_cover},
	[VALUE_SCRIPTS] = {patterns_set, patterns_release, patterns_cover},
	[VALUE_NAMES] = {patterns_set, patterns_release, patterns_cover},
	[VALUE_ADDRESSES] = {patterns_set, patterns_release, patterns_cover},
	[VALUE_TEXTS] = {patterns_set, patterns_release, patterns_cover},
	[VALUE_STRINGS] = {strings_set, strings_release, strings_cover},
	[VALUE_SHA256] = {strings_set, strings_release, strings_cover},
	[VALUE_WORDS] = {searches_set, searches_release, searches_cover},
	[VALUE_EXPRESSIONS] = {searches_set, searches_release, searches_cover},
	[VALUE_RELAYS] = {relays_set, relays_release, relays_cover},
	[VALUE_SCHEDULED_BY] = {scheduled_by_set, nothing_owned, scheduled_by_covers},
	[VALUE_DEMAND] = {demand_set, nothing_owned, demand_covers},
	[VALUE_ENCRYPTED] = {encrypted_set, nothing_owned, encrypted_covers},
	[VALUE_SCHEDULE] = {due_set, due_release, never_covers},
	[VALUE_RATE] = {limit_set, nothing_owned, never_covers},
	[VALUE_BYTE_RATE] = {limit_set, nothing_owned, never_covers},
	[VALUE_EXPIRES] = {expiry_set, nothing_owned, expiry_covers},
};

bool value_is_set(enum value_kind kind, const void *value)
{
	return kinds[kind].is_set(value);
}

void value_free(enum value_kind kind, void *value)
{
	kinds[kind].release(value);
}

bool value_covers(enum value_kind kind, const void *wide, const void *narrow)
{
	return kinds[kind].covers(wide, narrow);
}
