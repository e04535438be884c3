/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/mapping.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Reads a number and the character that must follow it; *at is moved behind both. */
static bool number(const char **at, int base, char follows, uint64_t *value)
{
	char *end;

	if (!isxdigit((unsigned char)**at))
		return false;
	errno = 0;
	*value = strtoull(*at, &end, base);
	if (errno || *end != follows)
		return false;
	*at = end + 1;
	return true;
}

/* proc(5): "7f00-7f80 r-xp 00001000 08:01 1234      /path" */
bool mapping_parse(const char *line, struct mapping *mapping)
{
	uint64_t offset, major, minor;
	const char *at = line;

	*mapping = (struct mapping){};
	if (!number(&at, 16, '-', &mapping->start) || !number(&at, 16, ' ', &mapping->end))
		return false;
	if (strlen(at) < 5 || at[4] != ' ')
		return false;
	mapping->executable = at[2] == 'x';
	at += 5;
	if (!number(&at, 16, ' ', &offset) || !number(&at, 16, ':', &major) ||
	    !number(&at, 16, ' ', &minor) || !number(&at, 10, ' ', &mapping->inode))
		return false;
	if (mapping->start >= mapping->end || !mapping->inode || major > UINT32_MAX ||
	    minor > UINT32_MAX)
		return false;
	mapping->major = (uint32_t)major;
	mapping->minor = (uint32_t)minor;
	mapping->path = at + strspn(at, " ");
	return true;
}

size_t mapping_each(char *text, size_t len, void (*give)(void *context, const struct mapping *),
		    void *context)
{
	struct mapping mapping;
	size_t used = 0;
	char *end;

	while ((end = memchr(text + used, '\n', len - used))) {
		*end = '\0';
		if (mapping_parse(text + used, &mapping) && mapping.executable)
			give(context, &mapping);
		used = (size_t)(end - text) + 1;
	}
	return used;
}
