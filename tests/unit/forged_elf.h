/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * ELF files made by a test, as small as possible: a header, three segments, what the test adds as
 * sections, and their headers. The segments overlap no section.
 */
#ifndef SMTPSNOOP_TESTS_FORGED_ELF_H
#define SMTPSNOOP_TESTS_FORGED_ELF_H

#include "unit.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/text.h"

#if defined(__x86_64__)
#define FORGED_MACHINE EM_X86_64
#else
#define FORGED_MACHINE EM_AARCH64
#endif

#define FORGED_SEGMENT	256U /* bytes of each segment */
#define FORGED_CODE	0x401000U
#define FORGED_RODATA	0x402000U
#define FORGED_DATA	0x403000U
#define FORGED_SECTIONS 12U

struct forged {
	Elf64_Ehdr header;
	Elf64_Phdr segments[3]; /* executable, read-only, writable */
	unsigned char bytes[3 * FORGED_SEGMENT];
	Elf64_Shdr sections[FORGED_SECTIONS];
	uint32_t section_count;
	struct text names, content; /* of the sections */
};

static inline void forged_begin(struct forged *forged)
{
	static const uint32_t flags[] = {PF_R | PF_X, PF_R, PF_R | PF_W},
			      addresses[] = {FORGED_CODE, FORGED_RODATA, FORGED_DATA};

	*forged = (struct forged){
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT},
			   .e_type = ET_EXEC,
			   .e_machine = FORGED_MACHINE,
			   .e_version = EV_CURRENT,
			   .e_phoff = sizeof(Elf64_Ehdr),
			   .e_ehsize = sizeof(Elf64_Ehdr),
			   .e_phentsize = sizeof(Elf64_Phdr),
			   .e_phnum = 3,
			   .e_shentsize = sizeof(Elf64_Shdr)},
		.section_count = 1,
	};
	for (uint32_t i = 0; i < 3; i++)
		forged->segments[i] = (Elf64_Phdr){.p_type = PT_LOAD,
						   .p_flags = flags[i],
						   .p_vaddr = addresses[i],
						   .p_offset = offsetof(struct forged, bytes) +
							       (uint64_t)i * FORGED_SEGMENT,
						   .p_filesz = FORGED_SEGMENT,
						   .p_memsz = FORGED_SEGMENT};
	memset(forged->bytes, 0x90, sizeof(forged->bytes));
	text_add(&forged->names, BYTES("\0"));
}

/* Adds a section with content; the test may change its header afterwards. Returns its index. */
static inline uint32_t forged_section(struct forged *forged, const char *name, uint32_t type,
				      struct span content)
{
	Elf64_Shdr *section = &forged->sections[forged->section_count];

	assert_true(forged->section_count < FORGED_SECTIONS);
	*section =
		(Elf64_Shdr){.sh_name = (uint32_t)forged->names.len,
			     .sh_type = type,
			     .sh_offset = offsetof(struct forged, sections) + forged->content.len,
			     .sh_size = content.len};
	text_add(&forged->names, (struct span){name, strlen(name) + 1});
	text_add(&forged->content, content);
	return forged->section_count++;
}

/* A symbol table with its names: .dynsym and .dynstr, or .symtab and .strtab. */
static inline uint32_t forged_symbols(struct forged *forged, uint32_t type,
				      const Elf64_Sym *symbols, size_t count, struct span names)
{
	const bool dynamic = type == SHT_DYNSYM;
	const uint32_t strings =
		forged_section(forged, dynamic ? ".dynstr" : ".strtab", SHT_STRTAB, names);
	const uint32_t table =
		forged_section(forged, dynamic ? ".dynsym" : ".symtab", type,
			       (struct span){(const char *)symbols, count * sizeof(symbols[0])});

	forged->sections[table].sh_link = strings;
	forged->sections[table].sh_entsize = sizeof(Elf64_Sym);
	return table;
}

/* Adds the names of the sections. The headers may be changed afterwards. */
static inline void forged_end(struct forged *forged)
{
	const uint32_t index = forged_section(forged, ".shstrtab", SHT_STRTAB, BYTES(""));

	forged->sections[index].sh_size = forged->names.len;
	text_add(&forged->content, (struct span){forged->names.data, forged->names.len});
	forged->header.e_shstrndx = (uint16_t)index;
	forged->header.e_shnum = (uint16_t)forged->section_count;
	forged->header.e_shoff = offsetof(struct forged, sections) + forged->content.len;
	assert_false(forged->content.failed || forged->names.failed);
}

/* The file's bytes; free with text_free(). */
static inline struct text forged_text(const struct forged *forged)
{
	struct text text = {0};

	text_add(&text, (struct span){(const char *)forged, offsetof(struct forged, sections)});
	text_add(&text, (struct span){forged->content.data, forged->content.len});
	text_add(&text, (struct span){(const char *)forged->sections,
				      forged->section_count * sizeof(forged->sections[0])});
	assert_false(text.failed);
	return text;
}

/* A file with these bytes, without a name. The caller closes it. */
static inline int forged_file(struct span bytes)
{
	const int fd = memfd_create("forged", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes.data, bytes.len, 0), bytes.len);
	return fd;
}

/* The file. */
static inline int forged_open(const struct forged *forged)
{
	struct text text = forged_text(forged);
	const int fd = forged_file((struct span){text.data, text.len});

	text_free(&text);
	return fd;
}

static inline void forged_free(struct forged *forged)
{
	text_free(&forged->names);
	text_free(&forged->content);
}

#endif
