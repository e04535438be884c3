/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Forged ELF files with functions. */
#ifndef SMTPSNOOP_TESTS_FORGED_SYMBOLS_H
#define SMTPSNOOP_TESTS_FORGED_SYMBOLS_H

#include "forged_elf.h"

#include "probe/elf.h"

#define FORGED_NAMES "\0SSL_write\0my_SSL_read\0SSL_peek\0SSL_last"
enum { AT_WRITE = 1, AT_READ = 14, AT_PEEK = 23, AT_LAST = 32 };

static inline Elf64_Sym forged_function(uint32_t name, uint8_t binding, uint64_t address)
{
	return (Elf64_Sym){.st_name = name,
			   .st_info = ELF64_ST_INFO(binding, STT_FUNC),
			   .st_shndx = 1,
			   .st_value = address,
			   .st_size = 7};
}

/* The address of a function; 0: not found. */
static inline uint64_t forged_find(const struct forged *forged, const char *name)
{
	const int fd = forged_open(forged);
	struct elf elf;
	struct elf_symbol found;
	int count;

	assert_int_equal(elf_open(&elf, fd), 0);
	count = elf_find(&elf, &name, 1, &found);
	assert_int_equal(count, found.address != 0);
	elf_close(&elf);
	close(fd);
	return found.address;
}

/* A .dynsym with versions, and a .symtab. */
static inline void forged_versions(struct forged *forged)
{
	const Elf64_Sym dynamic[] = {{0},
				     forged_function(AT_WRITE, STB_GLOBAL, FORGED_CODE + 1),
				     forged_function(AT_WRITE, STB_GLOBAL, FORGED_CODE + 2),
				     forged_function(AT_PEEK, STB_GLOBAL, FORGED_CODE + 3)};
	const Elf64_Sym others[] = {forged_function(AT_WRITE, STB_GLOBAL, FORGED_CODE + 4),
				    forged_function(AT_READ, STB_LOCAL, FORGED_CODE + 5)};
	static const uint16_t versions[] = {0, 0x8002, 3, 0x8002};
	uint32_t table, index;

	forged_begin(forged);
	table = forged_symbols(forged, SHT_DYNSYM, dynamic, 4, BYTES(FORGED_NAMES));
	index = forged_section(forged, ".gnu.version", SHT_GNU_versym,
			       (struct span){(const char *)versions, sizeof(versions)});
	forged->sections[index].sh_link = table;
	forged_symbols(forged, SHT_SYMTAB, others, 2, BYTES(FORGED_NAMES));
	forged_end(forged);
}

#endif
