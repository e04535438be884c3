/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the index of exclusions is made of (exclusion_index.c). */
#ifndef SMTPSNOOP_EXCLUSION_INDEX_PARTS_H
#define SMTPSNOOP_EXCLUSION_INDEX_PARTS_H

#include <ctype.h>

#include "policy/exclusion_index.h"

#define KEY_MAX	     64U /* bytes of a beginning or an end */
#define NETWORKS_MAX 129U
#define NONE	     UINT32_MAX

/* Bytes of a row for so many exclusions: whole words, the rest of which is 0 */
#define INDEX_ROW(count) (((count) + 8) / 8 * 8)

_Static_assert(CRITERION_COUNT <= UINT8_MAX, "a byte counts the criteria of an exclusion");

struct group {
	uint64_t message; /* the last one for which it was evaluated */
	uint32_t first;	  /* the exclusion that stands for all */
	uint32_t count;
	uint32_t *members; /* in the index of its criterion */
	uint8_t *row;	   /* 1 for each member; owned; NULL: it is small */
};

struct key {
	uint64_t hash;
	uint32_t group;
	uint32_t next; /* in the same bucket; NONE: no other */
};

/* The index of one criterion. `group_count` 0: no exclusion asks for it. Owns what it has. */
struct part {
	struct group *groups;
	uint32_t group_count;
	uint32_t *members; /* of all groups */
	uint32_t *keyless; /* groups that no key finds */
	uint32_t keyless_count;
	struct key *keys;
	uint32_t key_count, key_room;
	uint32_t *buckets;
	uint32_t bucket_mask;
	uint64_t leads, tails; /* the lengths of keys: bit 0 is length 1 */
	bool networks[NETWORKS_MAX];
};

struct exclusion_index {
	const struct exclusion *exclusions;
	size_t count;
	struct part parts[CRITERION_COUNT];
	uint8_t *asked;	 /* by each exclusion: criteria that are in the index */
	uint8_t *missed; /* of the message at hand */
	uint64_t message;
};

enum side { SIDE_LEAD = 1, SIDE_TAIL, SIDE_NETWORK };

/* One byte more. Case never counts here: what differs in case alone is evaluated. */
static inline uint64_t hash_byte(uint64_t hash, char byte)
{
	return (hash ^ (uint64_t)tolower((unsigned char)byte)) * 0x100000001b3ULL;
}

static inline uint64_t hash_network(const uint8_t *address, unsigned int prefix)
{
	uint64_t hash = hash_byte(SIDE_NETWORK, (char)prefix);

	for (unsigned int i = 0; i < prefix / 8; i++)
		hash = (hash ^ address[i]) * 0x100000001b3ULL;
	if (prefix % 8)
		hash = (hash ^ address[prefix / 8] >> (8 - prefix % 8)) * 0x100000001b3ULL;
	return hash;
}

/* Makes the parts of an index that has its exclusions, and fills `asked`. False: no memory. */
bool exclusion_index_make(struct exclusion_index *index);

#endif
