/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the programs try a handful of places, so there is little room. Whoever makes
 * files that claim strange places must not take it from the libraries of the host, nor from those
 * of other users. So more places are known than are tried, each with the user who made it known,
 * and what is tried is chosen anew at each change: root's places, then those of the others in turn.
 */
#include "capture/layouts.h"

#include <string.h>

/* What is to be tried, as it is chosen. */
struct choice {
	struct tls_layout *list;
	uint32_t count;
	uint32_t untrusted; /* of them */
};

static bool same(const struct tls_layout *a, const struct tls_layout *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static bool is_in(const struct tls_layout *list, uint32_t count, const struct tls_layout *layout)
{
	for (uint32_t i = 0; i < count; i++) {
		if (same(&list[i], layout))
			return true;
	}
	return false;
}

/* ---- Choosing -------------------------------------------------------------------------------- */

/* The most used place of root that is not chosen yet; NULL: there is none. */
static const struct layout_use *next_trusted(const struct layout_use *uses, uint32_t count,
					     const struct choice *choice)
{
	const struct layout_use *most = NULL;

	for (uint32_t i = 0; i < count; i++) {
		if (uses[i].user == LAYOUTS_TRUSTED && (!most || uses[i].count > most->count) &&
		    !is_in(choice->list, choice->count, &uses[i].layout))
			most = &uses[i];
	}
	return most;
}

/* How many places of the same user come before this one. */
static uint32_t turn_of(const struct layout_use *uses, uint32_t index)
{
	uint32_t turn = 0;

	for (uint32_t i = 0; i < index; i++)
		turn += uses[i].user == uses[index].user;
	return turn;
}

static void choose(struct choice *choice, const struct tls_layout *layout)
{
	choice->list[choice->count++] = *layout;
}

static void choose_untrusted(struct choice *choice, const struct layout_use *uses, uint32_t count,
			     uint32_t turn)
{
	for (uint32_t i = 0; i < count; i++) {
		if (choice->count == TLS_LAYOUTS_MAX || choice->untrusted == LAYOUTS_UNTRUSTED_MAX)
			return;
		if (uses[i].user == LAYOUTS_TRUSTED || turn_of(uses, i) != turn ||
		    is_in(choice->list, choice->count, &uses[i].layout))
			continue;
		choose(choice, &uses[i].layout);
		choice->untrusted++;
	}
}

uint32_t layouts_list(const struct layouts *layouts, enum tls_layer layer,
		      struct tls_layout list[TLS_LAYOUTS_MAX])
{
	const struct layout_use *uses = layouts->uses[layer], *use;
	uint32_t count = layouts->count[layer];
	struct choice choice = {.list = list};

	while (choice.count < TLS_LAYOUTS_MAX && (use = next_trusted(uses, count, &choice)))
		choose(&choice, &use->layout);
	for (uint32_t turn = 0; turn < LAYOUTS_USER_MAX; turn++)
		choose_untrusted(&choice, uses, count, turn);
	return choice.count;
}

/* ---- Changes --------------------------------------------------------------------------------- */

static struct layout_use *find(struct layouts *layouts, enum tls_layer layer,
			       const struct tls_layout *layout, uint32_t user)
{
	for (uint32_t i = 0; i < layouts->count[layer]; i++) {
		struct layout_use *use = &layouts->uses[layer][i];

		if (use->user == user && same(&use->layout, layout))
			return use;
	}
	return NULL;
}

/* The others keep their order: who came first comes first. */
static void forget(struct layouts *layouts, enum tls_layer layer, struct layout_use *use)
{
	struct layout_use *end = layouts->uses[layer] + layouts->count[layer];

	memmove(use, use + 1, (size_t)(end - use - 1) * sizeof(*use));
	layouts->count[layer]--;
}

/* Whether another place of a user can be known. For one of root, the last one of others goes. */
static bool make_room(struct layouts *layouts, enum tls_layer layer, uint32_t user)
{
	struct layout_use *uses = layouts->uses[layer], *last = NULL;
	uint32_t of_user = 0;

	for (uint32_t i = 0; i < layouts->count[layer]; i++) {
		of_user += uses[i].user == user;
		if (uses[i].user != LAYOUTS_TRUSTED)
			last = &uses[i];
	}
	if (of_user >= LAYOUTS_USER_MAX)
		return false;
	if (layouts->count[layer] == LAYOUTS_KNOWN_MAX && user == LAYOUTS_TRUSTED && last)
		forget(layouts, layer, last);
	return layouts->count[layer] < LAYOUTS_KNOWN_MAX;
}

static void add_one(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *layout,
		    uint32_t user)
{
	struct layout_use *use = find(layouts, layer, layout, user);

	if (!use && make_room(layouts, layer, user)) {
		use = &layouts->uses[layer][layouts->count[layer]++];
		*use = (struct layout_use){.layout = *layout, .user = user};
	}
	if (use)
		use->count++;
}

/* How many of some places are not in a list. */
static uint32_t missing(const struct tls_layout *places, uint32_t place_count,
			const struct tls_layout *list, uint32_t count)
{
	uint32_t some = 0;

	for (uint32_t i = 0; i < place_count; i++)
		some += !is_in(list, count, &places[i]);
	return some;
}

static bool differ(const struct tls_layout *a, uint32_t a_count, const struct tls_layout *b,
		   uint32_t b_count)
{
	return a_count != b_count || memcmp(a, b, a_count * sizeof(*a)) != 0;
}

uint32_t layouts_add(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *added,
		     uint32_t count, uint32_t user, bool *changed)
{
	struct tls_layout before[TLS_LAYOUTS_MAX], list[TLS_LAYOUTS_MAX];
	uint32_t before_count = layouts_list(layouts, layer, before), list_count;

	for (uint32_t i = 0; i < count; i++)
		add_one(layouts, layer, &added[i], user);
	list_count = layouts_list(layouts, layer, list);
	*changed = differ(before, before_count, list, list_count);
	return missing(added, count, list, list_count) +
	       missing(before, before_count, list, list_count);
}

void layouts_remove(struct layouts *layouts, enum tls_layer layer, const struct tls_layout *removed,
		    uint32_t count, uint32_t user, bool *changed)
{
	struct tls_layout before[TLS_LAYOUTS_MAX], list[TLS_LAYOUTS_MAX];
	uint32_t before_count = layouts_list(layouts, layer, before), list_count;

	for (uint32_t i = 0; i < count; i++) {
		struct layout_use *use = find(layouts, layer, &removed[i], user);

		if (use && --use->count == 0)
			forget(layouts, layer, use);
	}
	list_count = layouts_list(layouts, layer, list);
	*changed = differ(before, before_count, list, list_count);
}
