/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/ld_cache.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define MAGIC	     "glibc-ld.so.cache1.1"
#define MAGIC_LEN    20U
#define HEADER_LEN   48U /* magic, the number of entries, the length of the strings, and others */
#define ENTRY_LEN    24U
#define ENTRY_PATH   8U /* in an entry: the path's place, counted from the magic */
#define PATH_LEN_MAX 4096U

static uint32_t word(struct span cache, size_t at)
{
	uint32_t value;

	memcpy(&value, cache.data + at, sizeof(value));
	return value;
}

/* The NUL-terminated path at this place; NULL if there is none. */
static const char *path_at(struct span cache, size_t at)
{
	const char *path = cache.data + at;

	if (at >= cache.len || *path != '/')
		return NULL;
	return memchr(path, '\0', cache.len - at < PATH_LEN_MAX ? cache.len - at : PATH_LEN_MAX)
		       ? path
		       : NULL;
}

/* OpenSSL and its relatives, GnuTLS, and NSS, whose calls are in NSPR. */
static bool may_have_tls(const char *path)
{
	static const char *const names[] = {"libssl", "libgnutls", "libnspr4"};
	const char *name = strrchr(path, '/') + 1;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strncmp(name, names[i], strlen(names[i])) == 0)
			return true;
	}
	return false;
}

/* An older cache may stand in front of this one. */
static bool find_cache(struct span *cache)
{
	const char *found = memmem(cache->data, cache->len, MAGIC, MAGIC_LEN);

	if (!found || cache->len - (size_t)(found - cache->data) < HEADER_LEN)
		return false;
	cache->len -= (size_t)(found - cache->data);
	cache->data = found;
	return true;
}

size_t ld_cache_each(struct span cache, void (*give)(void *context, const char *path),
		     void *context)
{
	size_t count, given = 0;

	if (!cache.len || !find_cache(&cache))
		return 0;
	count = word(cache, MAGIC_LEN);
	if (count > (cache.len - HEADER_LEN) / ENTRY_LEN)
		count = (cache.len - HEADER_LEN) / ENTRY_LEN;
	if (count > LD_CACHE_NAMES)
		count = LD_CACHE_NAMES;
	for (size_t i = 0; i < count && given < LD_CACHE_MATCHES; i++) {
		const char *path =
			path_at(cache, word(cache, HEADER_LEN + i * ENTRY_LEN + ENTRY_PATH));

		if (!path || !may_have_tls(path))
			continue;
		give(context, path);
		given++;
	}
	return given;
}
