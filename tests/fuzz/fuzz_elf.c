/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ELF files that anyone may have made: what is found lies in the file's code. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "probe/golang.h"

#define NAMES 4U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const names[NAMES] = {"SSL_write", "SSL_read", "crypto/tls.(*Conn).Write",
					 "crypto/tls.(*Conn).Read"};

static void check_found(const struct elf *elf, const struct elf_symbol *found, int count)
{
	uint64_t offset;
	char code[16];

	for (size_t i = 0; i < NAMES; i++) {
		if (!found[i].address)
			continue;
		count--;
		if (!elf_offset(elf, found[i].address, &offset) ||
		    elf_read(elf, found[i].address, code, sizeof(code)) < 1 ||
		    elf_read_offset(elf, offset, code, 1) != 1)
			abort();
	}
	if (count > 0)
		abort();
}

static void check(const struct elf *elf)
{
	struct elf_symbol found[NAMES];
	struct elf_section section;
	char version[16], text[4];
	uint64_t address;

	check_found(elf, found, elf_find(elf, names, NAMES, found));
	check_found(elf, found, golang_find(elf, names, NAMES, found));
	golang_version(elf, version, sizeof(version));
	if (!memchr(version, '\0', sizeof(version)))
		abort();
	if (elf_search(elf, "L #.", &address) == 0 &&
	    (elf_read(elf, address, text, sizeof(text)) != (int)sizeof(text) || text[0] != 'L' ||
	     text[3] != '.'))
		abort();
	if (elf_section(elf, ".text", &section) == 0 && section.offset + section.size > elf->size)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int file = -1;
	struct elf elf;

	if (file < 0)
		file = memfd_create("elf", MFD_CLOEXEC);
	if (file < 0 || ftruncate(file, 0) || pwrite(file, data, size, 0) != (ssize_t)size)
		abort();
	if (elf_open(&elf, file))
		return 0;
	check(&elf);
	elf_close(&elf);
	return 0;
}
