/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/relay_names.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct relay_name {
	char *name;	   /* owned */
	uint64_t asked_ns; /* 0: never */
	uint64_t told_ns;  /* of the addresses; 0: never */
	uint8_t addresses[RELAY_ADDRESSES_MAX][16];
	uint32_t count;
};

struct relay_names {
	struct relay_name *names;
	size_t count;
};

struct relay_names *relay_names_new(void)
{
	return calloc(1, sizeof(struct relay_names));
}

void relay_names_free(struct relay_names *names)
{
	if (!names)
		return;
	for (size_t i = 0; i < names->count; i++)
		free(names->names[i].name);
	free(names->names);
	free(names);
}

static struct relay_name *find(const struct relay_names *names, struct span name)
{
	for (size_t i = 0; i < names->count; i++) {
		struct relay_name *known = &names->names[i];

		if (strlen(known->name) == name.len &&
		    strncasecmp(known->name, name.data, name.len) == 0)
			return known;
	}
	return NULL;
}

/* Created if needed. NULL: there is no room. */
static struct relay_name *get(struct relay_names *names, struct span name)
{
	struct relay_name *known = find(names, name), *grown;
	char *copy;

	if (known || names->count == RELAY_NAMES_MAX)
		return known;
	grown = realloc(names->names, (names->count + 1) * sizeof(*grown));
	if (!grown)
		return NULL;
	names->names = grown;
	copy = strndup(name.data, name.len);
	if (!copy)
		return NULL;
	grown[names->count] = (struct relay_name){.name = copy};
	return &grown[names->count++];
}

void relay_names_record(struct relay_names *names, const struct relay_record *record)
{
	const char *text = (const char *)record->data + 16ULL * record->count;
	struct relay_name *name = get(names, (struct span){text, record->name_len});

	if (!name || !record->count) /* the lookup failed: keep what was known until it is stale */
		return;
	name->count = record->count < RELAY_ADDRESSES_MAX ? record->count : RELAY_ADDRESSES_MAX;
	memcpy(name->addresses, record->data, 16ULL * name->count);
	name->told_ns = record->h.time_ns;
}

enum relay_answer relay_names_have(const struct relay_names *names, const char *text,
				   const uint8_t *addr, uint64_t now_ns)
{
	const struct relay_name *name = find(names, span_of(text));

	if (!name || !name->count ||
	    (now_ns > name->told_ns && now_ns - name->told_ns > RELAY_STALE_NS))
		return RELAY_UNKNOWN;
	for (uint32_t i = 0; i < name->count; i++) {
		if (memcmp(name->addresses[i], addr, 16) == 0)
			return RELAY_SAME;
	}
	return RELAY_OTHER;
}

bool relay_names_due(struct relay_names *names, const char *text, uint64_t now_ns)
{
	struct relay_name *name = get(names, span_of(text));
	uint64_t fresh_ns = name && name->count ? RELAY_FRESH_NS : RELAY_RETRY_NS;

	if (!name || (name->asked_ns && now_ns - name->asked_ns < fresh_ns))
		return false;
	name->asked_ns = now_ns ? now_ns : 1;
	return true;
}
