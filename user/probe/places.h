/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where names begin in a table of strings of an ELF file. */
#ifndef SMTPSNOOP_PLACES_H
#define SMTPSNOOP_PLACES_H

#include "probe/elf.h"

#define PLACES_MAX	256U
#define PLACES_NAME_MIN 2U
#define PLACES_NAME_MAX 255U

struct place {
	uint64_t at; /* in the table */
	size_t name; /* index */
};

struct places {
	struct place list[PLACES_MAX];
	uint32_t count;
	bool marks[256]; /* the last byte of a place */
};

/*
 * Reads a table of `size` bytes at an offset in the file once, and finds each place where one of
 * the names begins and a NUL follows it. A name may have several places, also at the end of a
 * longer string. Places behind the first PLACES_MAX are left out: linkers write a name once or
 * twice. Returns 0; -EFBIG: more than ELF_STRINGS_MAX bytes; -EIO: the file has shrunk; another
 * negative errno of reading it. The names are such as places_can_find() approves.
 */
int places_find(const struct elf *elf, uint64_t offset, uint64_t size, const char *const *names,
		size_t count, struct places *places);

/* Whether these are at most ELF_NAMES_MAX names of a length that can be found. */
bool places_can_find(const char *const *names, size_t count);

/* The index of the name that begins at a place; -1: none. */
int places_name(const struct places *places, uint64_t at);

#endif
