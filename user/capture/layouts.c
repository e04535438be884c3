/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the programs try a handful of places, so there is little room. Whoever makes
 * files that claim strange places must not take it from the libraries of the host. So places are
 * counted by who owns the file: root or somebody else.
 */
#include "capture/layouts.h"

#include <stdlib.h>
#include <string.h>

static struct layout_use *find(struct layouts *layouts, enum tls_layer layer,
			       const struct tls_layout *layout)
{
	for (uint32_t i = 0; i < layouts->count[layer]; i++) {
		struct layout_use *use = &layouts->uses[layer][i];

		if (memcmp(&use->layout, layout, sizeof(*layout)) == 0)
			return use;
	}
	return NULL;
}

/* The place that only others use, fewest of them; NULL if there is none. */
static struct layout_use *least_trusted(struct layouts *layouts, enum tls_layer layer)
{
	struct layout_use *least = NULL;

	for (uint32_t i = 0; i < layouts->count[layer]; i++) {
		struct layout_use *use = &layouts->uses[layer][i];

		if (!use->trusted && (!least || use->other < least->other))
			least = use;
	}
	return least;
}

static uint32_t untrusted_count(const struct layouts *layouts, enum tls_layer layer)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < layouts->count[layer]; i++)
		count += !layouts->uses[layer][i].trusted;
	return count;
}

/* Room for a new place; NULL if there is none. */
static struct layout_use *make_room(struct layouts *layouts, enum tls_layer layer, bool trusted)
{
	if (!trusted && untrusted_count(layouts, layer) >= LAYOUTS_UNTRUSTED_MAX)
		return NULL;
	if (layouts->count[layer] < TLS_LAYOUTS_MAX)
		return &layouts->uses[layer][layouts->count[layer]++];
	return trusted ? least_trusted(layouts, layer) : NULL;
}

uint32_t layouts_add(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *added,
		     uint32_t count, bool trusted, bool *changed)
{
	uint32_t missing = 0;

	*changed = false;
	for (uint32_t i = 0; i < count; i++) {
		struct layout_use *use = find(layouts, layer, &added[i]);

		if (!use) {
			use = make_room(layouts, layer, trusted);
			if (!use) {
				missing++;
				continue;
			}
			*use = (struct layout_use){.layout = added[i]};
			*changed = true;
		}
		use->trusted += trusted;
		use->other += !trusted;
	}
	return missing;
}

void layouts_remove(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *removed,
		    uint32_t count, bool trusted, bool *changed)
{
	*changed = false;
	for (uint32_t i = 0; i < count; i++) {
		struct layout_use *use = find(layouts, layer, &removed[i]);

		if (!use)
			continue;
		use->trusted -= trusted && use->trusted;
		use->other -= !trusted && use->other;
		if (use->trusted || use->other)
			continue;
		*use = layouts->uses[layer][--layouts->count[layer]];
		*changed = true;
	}
}

static int by_trust(const void *left, const void *right)
{
	const struct layout_use *a = left, *b = right;

	if (a->trusted != b->trusted)
		return a->trusted < b->trusted ? 1 : -1;
	return (a->other < b->other) - (a->other > b->other);
}

uint32_t layouts_list(const struct layouts *layouts, enum tls_layer layer,
		      struct tls_layout list[TLS_LAYOUTS_MAX])
{
	struct layout_use sorted[TLS_LAYOUTS_MAX];
	uint32_t count = layouts->count[layer];

	memcpy(sorted, layouts->uses[layer], sizeof(sorted));
	qsort(sorted, count, sizeof(sorted[0]), by_trust);
	for (uint32_t i = 0; i < count; i++)
		list[i] = sorted[i].layout;
	return count;
}
