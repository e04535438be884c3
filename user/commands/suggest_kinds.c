/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/suggest_kinds.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define WAYS 8U /* places in which a kind may be */

void days_add(struct days *days, int32_t day)
{
	int64_t back = days->bits ? (int64_t)days->last - day : 0;

	if (!days->bits || back < 0) {
		days->bits = back > -(int64_t)DAYS_WINDOW ? days->bits << -back : 0;
		days->last = day;
		back = 0;
	}
	if (back < (int64_t)DAYS_WINDOW)
		days->bits |= 1ULL << back;
}

unsigned int days_count(const struct days *days)
{
	return (unsigned int)__builtin_popcountll(days->bits);
}

static struct kind *places_of(const struct kinds *kinds, uint64_t hash)
{
	return kinds->table + hash % (KINDS_MAX / WAYS) * WAYS;
}

const struct kind *kinds_find(const struct kinds *kinds, uint64_t hash)
{
	const struct kind *places = places_of(kinds, hash);

	for (unsigned int i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
	}
	return NULL;
}

static unsigned int of_same_user(const struct kind *places, uint64_t user)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < WAYS; i++)
		count += places[i].user == user;
	return count;
}

/* Whether `a` is forgotten before `b`. */
static bool is_weaker(const struct kind *places, const struct kind *a, const struct kind *b)
{
	unsigned int a_user = of_same_user(places, a->user), b_user = of_same_user(places, b->user);

	if (a_user != b_user)
		return a_user > b_user;
	if (days_count(&a->days) != days_count(&b->days))
		return days_count(&a->days) < days_count(&b->days);
	return a->days.last < b->days.last;
}

static struct kind *weakest_of(struct kind *places)
{
	struct kind *weakest = places;

	for (unsigned int i = 1; i < WAYS; i++) {
		if (is_weaker(places, &places[i], weakest))
			weakest = &places[i];
	}
	return weakest;
}

/* The kind's place: its own, an empty one, or that of the weakest. */
static struct kind *place_of(struct kinds *kinds, uint64_t hash)
{
	struct kind *places = places_of(kinds, hash), *empty = NULL;

	for (unsigned int i = 0; i < WAYS; i++) {
		if (places[i].hash == hash)
			return &places[i];
		if (!places[i].hash && !empty)
			empty = &places[i];
	}
	if (empty)
		return empty;
	kinds->forgotten++;
	empty = weakest_of(places);
	*empty = (struct kind){.hash = 0};
	return empty;
}

void kinds_add(struct kinds *kinds, uint64_t hash, uint64_t process, uint64_t user, int32_t day)
{
	struct kind *kind = place_of(kinds, hash);

	kind->hash = hash;
	kind->process = process;
	kind->user = user;
	days_add(&kind->days, day);
	kind->messages += kind->messages < UINT32_MAX;
}

/* ---- Selecting ------------------------------------------------------------------------------- */

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Those of more days, then of more messages, first. */
static int by_weight(const struct kind *a, const struct kind *b)
{
	int order = compare(days_count(&b->days), days_count(&a->days));

	return order ? order : compare(b->messages, a->messages);
}

static int by_process(const void *first, const void *second)
{
	const struct kind *a = *(const struct kind *const *)first;
	const struct kind *b = *(const struct kind *const *)second;
	int order = compare(a->process, b->process);

	return order ? order : by_weight(a, b);
}

static int by_user(const void *first, const void *second)
{
	const struct kind *a = *(const struct kind *const *)first;
	const struct kind *b = *(const struct kind *const *)second;
	int order = compare(a->user, b->user);

	return order ? order : by_weight(a, b);
}

static int by_days(const void *first, const void *second)
{
	return by_weight(*(const struct kind *const *)first, *(const struct kind *const *)second);
}

/* Keeps the first `most` of each process (`user`: of each user) of a sorted array. */
static size_t thin_out(const struct kind **all, size_t count, bool user, size_t most)
{
	size_t kept = 0, same = 0;
	uint64_t last = 0;

	for (size_t i = 0; i < count; i++) {
		uint64_t group = user ? all[i]->user : all[i]->process;

		same = i && group == last ? same + 1 : 1;
		last = group;
		if (same <= most)
			all[kept++] = all[i];
	}
	return kept;
}

size_t kinds_select(const struct kinds *kinds, unsigned int days, size_t of_process, size_t of_user,
		    const struct kind **selected, size_t max)
{
	const struct kind **all = malloc(KINDS_MAX * sizeof(const struct kind *));
	size_t count = 0;

	if (!all)
		return SIZE_MAX;
	for (size_t i = 0; i < KINDS_MAX; i++) {
		const struct kind *kind = &kinds->table[i];

		if (kind->hash && kind->hash != kind->process && days_count(&kind->days) >= days)
			all[count++] = kind;
	}
	qsort(all, count, sizeof(*all), by_process);
	count = thin_out(all, count, false, of_process);
	qsort(all, count, sizeof(*all), by_user);
	count = thin_out(all, count, true, of_user);
	qsort(all, count, sizeof(*all), by_days);
	count = count < max ? count : max;
	memcpy(selected, all, count * sizeof(*all));
	free(all);
	return count;
}
