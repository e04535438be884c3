/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A fast hash of 64 bits for tables and ids. It is not for secrets. */
#ifndef SMTPSNOOP_HASH_H
#define SMTPSNOOP_HASH_H

#include <stdint.h>
#include <string.h>

#include "base/span.h"

/*
 * One step of a multiplicative hash that spreads a word over all bits (the finalizer of
 * splitmix64).
 */
static inline uint64_t hash_mix(uint64_t sum, uint64_t word)
{
	sum = (sum ^ word) + 0x9e3779b97f4a7c15ULL;
	sum = (sum ^ sum >> 30) * 0xbf58476d1ce4e5b9ULL;
	sum = (sum ^ sum >> 27) * 0x94d049bb133111ebULL;
	return sum ^ sum >> 31;
}

/* Adds bytes and their number. Start with a number that others do not know. */
static inline uint64_t hash_bytes(uint64_t sum, struct span bytes)
{
	sum = hash_mix(sum, bytes.len);
	for (size_t at = 0; at < bytes.len; at += 8) {
		uint64_t word = 0;

		memcpy(&word, bytes.data + at, bytes.len - at < 8 ? bytes.len - at : 8);
		sum = hash_mix(sum, word);
	}
	return sum;
}

#endif
