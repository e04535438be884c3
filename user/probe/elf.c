/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: whoever may run a program can make us read it, so no number in the file is
 * believed. Everything is read with pread(): a mapping would fault when the file shrinks. Each
 * table is bounded by a constant and by the size that the file had when it was opened, and is read
 * once, from its beginning to its end, so that no table can make the reading loop. What is read
 * twice may differ the second time: each copy is checked by itself.
 *
 * The segments decide what is code, because the kernel maps them. The sections only say where the
 * tables are.
 */
#include "probe/elf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

#define HEADERS_MAX	  64U	      /* program headers; programs have about 13 */
#define SECTION_NAMES_MAX (64U << 10) /* bytes; programs have about 400 */
#define SEARCH_AT_ONCE	  (64U << 10)
#define SEARCH_TEXT_MAX	  64U

/* ---- Reading --------------------------------------------------------------------------------- */

int elf_read_offset(const struct elf *elf, uint64_t offset, void *data, size_t len)
{
	size_t done = 0;

	if (offset > INT64_MAX - len)
		return 0;
	while (done < len) {
		const ssize_t got =
			pread(elf->fd, (char *)data + done, len - done, (off_t)(offset + done));

		if (got < 0)
			return -errno;
		if (!got)
			break;
		done += (size_t)got;
	}
	return (int)done;
}

/* All of it: 0, -EIO if the file ends before, or another negative errno. */
static int read_all(const struct elf *elf, uint64_t offset, void *data, size_t len)
{
	const int got = elf_read_offset(elf, offset, data, len);

	if (got < 0)
		return got;
	return (size_t)got == len ? 0 : -EIO;
}

/* ---- Headers --------------------------------------------------------------------------------- */

static bool is_for_this_machine(const Elf64_Ehdr *header)
{
	return memcmp(header->e_ident, ELFMAG, SELFMAG) == 0 &&
	       header->e_ident[EI_CLASS] == ELFCLASS64 && header->e_ident[EI_DATA] == ELFDATA2LSB &&
	       (header->e_type == ET_EXEC || header->e_type == ET_DYN) &&
	       header->e_machine == MACHINE && header->e_phentsize == sizeof(Elf64_Phdr);
}

/* The segments ascend, so that each address has one place in the file. */
static int add_segment(struct elf *elf, const Elf64_Phdr *header)
{
	const struct elf_segment *last =
		elf->segment_count ? &elf->segments[elf->segment_count - 1] : NULL;

	if (header->p_type != PT_LOAD || header->p_offset >= elf->size || !header->p_filesz)
		return 0;
	if (header->p_filesz > UINT64_MAX - header->p_vaddr ||
	    (last && header->p_vaddr < last->address + last->size))
		return -ENOEXEC;
	if (elf->segment_count == ELF_SEGMENTS_MAX)
		return -EFBIG;
	elf->segments[elf->segment_count++] = (struct elf_segment){
		.address = header->p_vaddr,
		.offset = header->p_offset,
		.size = MIN(header->p_filesz, elf->size - header->p_offset),
		.flags = header->p_flags,
	};
	return 0;
}

static int read_segments(struct elf *elf, const Elf64_Ehdr *header)
{
	Elf64_Phdr headers[HEADERS_MAX];
	int error;

	if (header->e_phnum > HEADERS_MAX)
		return -EFBIG;
	error = read_all(elf, header->e_phoff, headers, header->e_phnum * sizeof(headers[0]));
	for (uint32_t i = 0; !error && i < header->e_phnum; i++)
		error = add_segment(elf, &headers[i]);
	return error == -EIO ? -ENOEXEC : error;
}

const Elf64_Shdr *elf_section_at(const struct elf *elf, uint32_t index)
{
	const Elf64_Shdr *section = elf->sections + index;

	if (index >= elf->section_count || section->sh_type == SHT_NULL ||
	    section->sh_type == SHT_NOBITS || section->sh_flags & SHF_COMPRESSED ||
	    section->sh_offset > elf->size || section->sh_size > elf->size - section->sh_offset)
		return NULL;
	return section;
}

/* Without names, no section is found by its name. */
static int read_section_names(struct elf *elf, uint32_t index)
{
	const Elf64_Shdr *section = elf_section_at(elf, index);

	if (!section)
		return 0;
	if (section->sh_size > SECTION_NAMES_MAX)
		return -EFBIG;
	elf->section_names = calloc(1, section->sh_size + 1); /* a NUL is behind the last one */
	if (!elf->section_names)
		return -ENOMEM;
	elf->section_names_len = (uint32_t)section->sh_size;
	return read_all(elf, section->sh_offset, elf->section_names, section->sh_size);
}

/* A file whose headers are said to be behind its end has none: it runs without them. */
static int read_sections(struct elf *elf, const Elf64_Ehdr *header)
{
	const uint64_t size = (uint64_t)header->e_shnum * sizeof(Elf64_Shdr);
	int error;

	if (header->e_shentsize != sizeof(Elf64_Shdr) || header->e_shoff > elf->size ||
	    size > elf->size - header->e_shoff || !size)
		return 0;
	if (header->e_shnum > ELF_SECTIONS_MAX)
		return -EFBIG;
	elf->sections = malloc(size);
	if (!elf->sections)
		return -ENOMEM;
	elf->section_count = header->e_shnum;
	error = read_all(elf, header->e_shoff, elf->sections, size);
	return error ? error : read_section_names(elf, header->e_shstrndx);
}

int elf_open(struct elf *elf, int fd)
{
	Elf64_Ehdr header;
	struct stat status;
	int error;

	*elf = (struct elf){.fd = fd};
	if (fstat(fd, &status))
		return -errno;
	if (!S_ISREG(status.st_mode))
		return -ENOEXEC;
	elf->size = (uint64_t)status.st_size;
	error = read_all(elf, 0, &header, sizeof(header));
	if (error)
		return error == -EIO ? -ENOEXEC : error;
	if (!is_for_this_machine(&header))
		return -ENOEXEC;
	error = read_segments(elf, &header);
	error = error ? error : read_sections(elf, &header);
	if (error)
		elf_close(elf);
	return error;
}

void elf_close(struct elf *elf)
{
	free(elf->sections);
	free(elf->section_names);
	elf->sections = NULL;
	elf->section_names = NULL;
	elf->section_count = elf->section_names_len = 0;
}

/* ---- Addresses and sections ------------------------------------------------------------------ */

/* The segment that has an address and all of these flags; NULL: none. */
static const struct elf_segment *segment_of(const struct elf *elf, uint64_t address, uint32_t flags)
{
	for (uint32_t i = 0; i < elf->segment_count; i++) {
		const struct elf_segment *segment = &elf->segments[i];

		if ((segment->flags & flags) == flags && address >= segment->address &&
		    address - segment->address < segment->size)
			return segment;
	}
	return NULL;
}

int elf_read(const struct elf *elf, uint64_t address, void *data, size_t len)
{
	const struct elf_segment *segment = segment_of(elf, address, 0);
	uint64_t at;

	if (!segment)
		return -EFAULT;
	at = address - segment->address;
	return elf_read_offset(elf, segment->offset + at, data, MIN(len, segment->size - at));
}

bool elf_offset(const struct elf *elf, uint64_t address, uint64_t *offset)
{
	const struct elf_segment *segment = segment_of(elf, address, PF_X);

	if (segment)
		*offset = segment->offset + (address - segment->address);
	return segment;
}

int elf_section(const struct elf *elf, const char *name, struct elf_section *section)
{
	for (uint32_t i = 0; i < elf->section_count; i++) {
		const Elf64_Shdr *header = elf_section_at(elf, i);

		if (!header || header->sh_name >= elf->section_names_len ||
		    strcmp(elf->section_names + header->sh_name, name) != 0)
			continue;
		*section =
			(struct elf_section){header->sh_addr, header->sh_offset, header->sh_size};
		return 0;
	}
	return -ENOENT;
}

/* ---- Search ---------------------------------------------------------------------------------- */

static bool matches(const char *text, size_t len, const char *at)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '#' ? at[i] < '0' || at[i] > '9' : at[i] != text[i])
			return false;
	}
	return true;
}

/* Where the text is in `data`; `len` if it is not. */
static size_t search_in(const char *text, const char *data, size_t len)
{
	const size_t text_len = strlen(text), fixed = strcspn(text, "#");

	for (size_t at = 0; len - at >= text_len;) {
		const char *next = memmem(data + at, len - at, text, fixed);

		if (!next || (at = (size_t)(next - data), len - at < text_len))
			break;
		if (matches(text, text_len, next))
			return at;
		at++;
	}
	return len;
}

/* Parts overlap by one byte less than the text has. */
static int search_segment(const struct elf *elf, const struct elf_segment *segment,
			  const char *text, uint64_t *left, uint64_t *address)
{
	char data[SEARCH_AT_ONCE];
	const uint64_t end = MIN(segment->size, *left), step = sizeof(data) - strlen(text) + 1;

	*left -= end;
	for (uint64_t at = 0; at < end; at += step) {
		const int got = elf_read_offset(elf, segment->offset + at, data,
						MIN(sizeof(data), end - at));
		size_t hit;

		if (got <= 0)
			return got < 0 ? got : -ENOENT;
		hit = search_in(text, data, (size_t)got);
		if (hit < (size_t)got) {
			*address = segment->address + at + hit;
			return 0;
		}
	}
	return -ENOENT;
}

static int search_segments(const struct elf *elf, uint32_t flags, const char *text, uint64_t *left,
			   uint64_t *address)
{
	int error = -ENOENT;

	for (uint32_t i = 0; error == -ENOENT && i < elf->segment_count; i++) {
		if ((elf->segments[i].flags & (PF_W | PF_X)) == flags)
			error = search_segment(elf, &elf->segments[i], text, left, address);
	}
	return error;
}

int elf_search(const struct elf *elf, const char *text, uint64_t *address)
{
	uint64_t left = ELF_SEARCH_MAX;
	int error;

	if (!text[0] || text[0] == '#' || strlen(text) > SEARCH_TEXT_MAX)
		return -EINVAL;
	error = search_segments(elf, 0, text, &left, address);
	return error == -ENOENT ? search_segments(elf, PF_X, text, &left, address) : error;
}
