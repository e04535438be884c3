/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a table of strings may have many megabytes, so it passes through a small
 * buffer. Each NUL ends a string; if the last two bytes before it are those of a name, the names
 * are compared with what stands before the NUL. In front of the buffer are the last bytes of the
 * previous part, so that a name may begin there.
 */
#include "probe/places.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>

#define AT_ONCE (64U << 10)

struct search {
	const char *const *names;
	size_t count;
	uint8_t lens[ELF_NAMES_MAX];
	bool ends[256]; /* end_mark() of a name */
	struct places *places;
};

/* Of what ends before `end`. */
static uint8_t end_mark(const char *end)
{
	return (uint8_t)((unsigned char)end[-1] * 31U + (unsigned char)end[-2]);
}

bool places_can_find(const char *const *names, size_t count)
{
	for (size_t i = 0; i < count && count <= ELF_NAMES_MAX; i++) {
		const size_t len = strlen(names[i]);

		if (len < PLACES_NAME_MIN || len > PLACES_NAME_MAX)
			return false;
	}
	return count <= ELF_NAMES_MAX;
}

static void prepare(struct search *search)
{
	for (size_t i = 0; i < search->count; i++) {
		const size_t len = strlen(search->names[i]);

		search->lens[i] = (uint8_t)len;
		search->ends[end_mark(search->names[i] + len)] = true;
	}
}

/* `end`: a NUL, which is `at` bytes behind the beginning of the table. */
static void note(struct search *search, const char *end, uint64_t at)
{
	struct places *places = search->places;

	for (size_t i = 0; i < search->count; i++) {
		const size_t len = search->lens[i];

		if (memcmp(end - len, search->names[i], len) != 0 || places->count == PLACES_MAX)
			continue;
		places->list[places->count++] = (struct place){at - len, i};
		places->marks[(at - len) & 0xff] = true;
	}
}

static void look_through(struct search *search, const char *data, size_t len, uint64_t at)
{
	const char *end = data;

	while ((end = memchr(end, '\0', (size_t)(data + len - end)))) {
		if (search->ends[end_mark(end)])
			note(search, end, at + (uint64_t)(end - data));
		end++;
	}
}

int places_find(const struct elf *elf, uint64_t offset, uint64_t size, const char *const *names,
		size_t count, struct places *places)
{
	struct search search = {.names = names, .count = count, .places = places};
	char data[PLACES_NAME_MAX + AT_ONCE];

	if (size > ELF_STRINGS_MAX)
		return -EFBIG;
	*places = (struct places){.count = 0};
	prepare(&search);
	memset(data, 0, PLACES_NAME_MAX); /* no name has a NUL, so none begins before the table */
	for (uint64_t at = 0; at < size; at += AT_ONCE) {
		const size_t part = MIN(AT_ONCE, size - at);
		const int got = elf_read_offset(elf, offset + at, data + PLACES_NAME_MAX, part);

		if (got != (int)part)
			return got < 0 ? got : -EIO;
		look_through(&search, data + PLACES_NAME_MAX, part, at);
		memmove(data, data + part, PLACES_NAME_MAX);
	}
	return 0;
}

int places_name(const struct places *places, uint64_t at)
{
	if (!places->marks[at & 0xff])
		return -1;
	for (uint32_t i = 0; i < places->count; i++) {
		if (places->list[i].at == at)
			return (int)places->list[i].name;
	}
	return -1;
}
