/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "probe/elf.h"

#include <errno.h>

int elf_open(struct elf *elf, int fd)
{
	elf->fd = fd;
	return -ENOEXEC;
}

void elf_close(struct elf *elf)
{
	elf->fd = -1;
}

int elf_find(const struct elf *elf, const char *const *names, size_t count,
	     struct elf_symbol *found)
{
	(void)elf, (void)names;
	for (size_t i = 0; i < count; i++)
		found[i] = (struct elf_symbol){0};
	return 0;
}

int elf_read(const struct elf *elf, uint64_t address, void *data, size_t len)
{
	(void)elf, (void)address, (void)data, (void)len;
	return -EFAULT;
}

int elf_read_offset(const struct elf *elf, uint64_t offset, void *data, size_t len)
{
	(void)elf, (void)offset, (void)data, (void)len;
	return 0;
}

bool elf_offset(const struct elf *elf, uint64_t address, uint64_t *offset)
{
	(void)elf, (void)address, (void)offset;
	return false;
}

int elf_section(const struct elf *elf, const char *name, struct elf_section *section)
{
	(void)elf, (void)name, (void)section;
	return -ENOENT;
}

int elf_search(const struct elf *elf, const char *text, uint64_t *address)
{
	(void)elf, (void)text, (void)address;
	return -ENOENT;
}
