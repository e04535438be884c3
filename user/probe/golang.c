/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/golang.h"

#include <errno.h>

int golang_find(const struct elf *elf, const char *const *names, size_t count,
		struct elf_symbol *found)
{
	return elf_find(elf, names, count, found);
}

int golang_version(const struct elf *elf, char *version, size_t size)
{
	(void)elf;
	if (size)
		version[0] = '\0';
	return -ENOENT;
}
