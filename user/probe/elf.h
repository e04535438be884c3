/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Symbols, sections and bytes of an ELF file of this machine, which may be hostile and may change
 * or shrink while it is read. The format: System V ABI, chapters 4 and 5; elf(5).
 */
#ifndef SMTPSNOOP_ELF_H
#define SMTPSNOOP_ELF_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_SEGMENTS_MAX 16U	      /* LOAD segments; programs have 2 to 6 */
#define ELF_SECTIONS_MAX 512U	      /* programs have about 40 */
#define ELF_SYMBOLS_MAX	 1000000U     /* in one table; node has 184,833 */
#define ELF_STRINGS_MAX	 (32U << 20)  /* bytes, of the names of one table; node has 7.5 MB */
#define ELF_SEARCH_MAX	 (128U << 20) /* bytes that elf_search() looks through; node has 86 MB */
#define ELF_NAMES_MAX	 64U	      /* that are looked up at once */

/* A part of the file that is loaded. Cut at the file's end as it was at elf_open(). */
struct elf_segment {
	uint64_t address, offset, size; /* size: of the part that the file has */
	uint32_t flags;			/* PF_R, PF_W, PF_X */
};

/* An open file. The members are the implementation's own. */
struct elf {
	int fd;
	uint64_t size; /* of the file, in bytes, at elf_open() */
	struct elf_segment segments[ELF_SEGMENTS_MAX];
	uint32_t segment_count;
	uint32_t section_count;
	Elf64_Shdr *sections; /* their headers; NULL: none */
	char *section_names;  /* each ends with a NUL */
	uint32_t section_names_len;
};

/* A function. Addresses are as the file has them: a library is loaded at another place. */
struct elf_symbol {
	uint64_t address; /* 0: not found */
	uint64_t size;	  /* in bytes, as the file claims; 0: not known */
};

struct elf_section {
	uint64_t address; /* 0: it is not loaded */
	uint64_t offset;  /* in the file */
	uint64_t size;	  /* in bytes, all of them in the file as it was at elf_open() */
};

/*
 * Reads the headers with pread(). `fd` stays the caller's and must stay open until elf_close().
 * Returns 0; -ENOEXEC: no regular file, or no 64-bit little-endian program or library for this
 * machine, or its segments overlap; -EFBIG: more segments or sections than are read; -ENOMEM;
 * another negative errno of reading it. On failure `elf` needs no elf_close(). A file without
 * section headers is opened: it has no symbols.
 */
int elf_open(struct elf *elf, int fd);

/* Frees what elf_open() allocated. Does not close the descriptor. */
void elf_close(struct elf *elf);

/*
 * Looks up functions by their names, in .dynsym and, if some are missing there, in .symtab; each
 * table is read once. The names differ and have 2 to 255 bytes. Of several functions of one name
 * that of the default version wins, then a global one, then the first. Only what is defined and in
 * an executable segment is found. Writes all `count` elements of `found`. Returns the number found,
 * also if a table could not be read but names were found; 0: none, or the file has no table. If
 * none was found: -EFBIG: a table is larger than is read; -EIO: the file has shrunk; another
 * negative errno of reading it. -EINVAL: more than ELF_NAMES_MAX names, or not such names; then
 * nothing is written.
 */
int elf_find(const struct elf *elf, const char *const *names, size_t count,
	     struct elf_symbol *found);

/*
 * Reads the bytes that the file has for a virtual address, up to the end of its segment. In a
 * writable segment they are those before relocation. Returns the number of bytes, at most `len`, 0
 * if the file has shrunk; -EFAULT: the address is in no segment or has no byte in the file; another
 * negative errno of reading it.
 */
int elf_read(const struct elf *elf, uint64_t address, void *data, size_t len);

/*
 * The same by the offset in the file. Returns the number of bytes, fewer than `len` only at the end
 * of the file, or a negative errno. `len` is at most INT_MAX.
 */
int elf_read_offset(const struct elf *elf, uint64_t offset, void *data, size_t len);

/*
 * The place in the file of a virtual address in an executable segment: what a uprobe needs. False:
 * it is in none.
 */
bool elf_offset(const struct elf *elf, uint64_t address, uint64_t *offset);

/*
 * The header of a section that has bytes in the file, all of them in the file as it was at
 * elf_open(); else NULL. It is valid until elf_close().
 */
const Elf64_Shdr *elf_section_at(const struct elf *elf, uint32_t index);

/* The section of a name that has bytes in the file. 0; -ENOENT: there is none. */
int elf_section(const struct elf *elf, const char *name, struct elf_section *section);

/*
 * Searches the segments that are not writable, those that are not executable first, for a text in
 * which '#' stands for one decimal digit ("OpenSSL #.#"); it does not begin with one, and has at
 * most 64 bytes. Writes the address of the first one. At most ELF_SEARCH_MAX bytes are looked
 * through. Returns 0; -ENOENT: not found; another negative errno of reading it.
 */
int elf_search(const struct elf *elf, const char *text, uint64_t *address);

#endif
