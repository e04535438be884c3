/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The symbol tables of an ELF file: elf_find().
 *
 * Theory of operation: a table of 200,000 symbols has names of 8 MB. They are read first, once, to
 * learn where the names that are sought begin (probe/places.h); then each symbol is asked where its
 * name begins. Nothing is allocated.
 */
#include "probe/elf.h"

#include <errno.h>
#include <sys/param.h>

#include "probe/places.h"

#define AT_ONCE	       1024U   /* symbols */
#define VERSION_HIDDEN 0x8000U /* in .gnu.version: not the default version of its name */

/* Which of several functions of one name is better: the sum. Anything is better than none. */
enum {
	RANK_FOUND = 1,
	RANK_GLOBAL = 2,
	RANK_DEFAULT = 4,
	RANK_DYNAMIC = 8,
};

struct lookup {
	const struct elf *elf;
	const char *const *names;
	size_t count;
	struct elf_symbol *found;
	uint8_t ranks[ELF_NAMES_MAX]; /* 0: not found */
};

/* One symbol table. */
struct table {
	const Elf64_Shdr *symbols;
	const Elf64_Shdr *versions; /* of 2 bytes for each symbol; NULL: all are the default ones */
	uint32_t count;
	int rank;
	struct places places;
};

static bool is_function(const struct elf *elf, const Elf64_Sym *symbol)
{
	uint64_t offset;

	return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && symbol->st_shndx != SHN_UNDEF &&
	       symbol->st_value && elf_offset(elf, symbol->st_value, &offset);
}

static void offer(struct lookup *lookup, const struct table *table, const Elf64_Sym *symbol,
		  uint16_t version)
{
	const int name = places_name(&table->places, symbol->st_name);
	int rank = table->rank + RANK_FOUND;

	if (name < 0 || !is_function(lookup->elf, symbol))
		return;
	if (ELF64_ST_BIND(symbol->st_info) != STB_LOCAL)
		rank += RANK_GLOBAL;
	if (!(version & VERSION_HIDDEN))
		rank += RANK_DEFAULT;
	if (rank <= lookup->ranks[name])
		return;
	lookup->ranks[name] = (uint8_t)rank;
	lookup->found[name] = (struct elf_symbol){symbol->st_value, symbol->st_size};
}

/* Reads some elements of a section. 0, -EIO if the file has shrunk, or another negative errno. */
static int read_part(const struct elf *elf, const Elf64_Shdr *section, uint32_t first,
		     uint32_t count, void *data, size_t size)
{
	const int got = elf_read_offset(elf, section->sh_offset + first * size, data, count * size);

	if (got < 0)
		return got;
	return (size_t)got == count * size ? 0 : -EIO;
}

static int offer_all(struct lookup *lookup, const struct table *table)
{
	Elf64_Sym symbols[AT_ONCE];
	uint16_t versions[AT_ONCE] = {0};

	for (uint32_t at = 0; at < table->count; at += AT_ONCE) {
		const uint32_t part = MIN(AT_ONCE, table->count - at);
		int error = read_part(lookup->elf, table->symbols, at, part, symbols,
				      sizeof(symbols[0]));

		if (!error && table->versions)
			error = read_part(lookup->elf, table->versions, at, part, versions,
					  sizeof(versions[0]));
		if (error)
			return error;
		for (uint32_t i = 0; i < part; i++)
			offer(lookup, table, &symbols[i], versions[i]);
	}
	return 0;
}

static const Elf64_Shdr *section_of_type(const struct elf *elf, uint32_t type, uint32_t *index)
{
	for (uint32_t i = 0; i < elf->section_count; i++) {
		const Elf64_Shdr *section = elf_section_at(elf, i);

		if (section && section->sh_type == type) {
			*index = i;
			return section;
		}
	}
	return NULL;
}

/* Without versions all symbols are alike, so a section that does not fit is left out. */
static const Elf64_Shdr *versions_of(const struct elf *elf, uint32_t table_index, uint32_t count)
{
	uint32_t index;
	const Elf64_Shdr *section = section_of_type(elf, SHT_GNU_versym, &index);

	if (!section || section->sh_link != table_index ||
	    section->sh_size != count * sizeof(uint16_t))
		return NULL;
	return section;
}

/* A file without such a table, or without its names, has no symbols in it. */
static int find_in(struct lookup *lookup, uint32_t type)
{
	uint32_t index;
	struct table table = {.symbols = section_of_type(lookup->elf, type, &index),
			      .rank = type == SHT_DYNSYM ? RANK_DYNAMIC : 0};
	const Elf64_Shdr *names =
		table.symbols ? elf_section_at(lookup->elf, table.symbols->sh_link) : NULL;
	int error;

	if (!names || names->sh_type != SHT_STRTAB ||
	    table.symbols->sh_entsize != sizeof(Elf64_Sym))
		return 0;
	if (table.symbols->sh_size / sizeof(Elf64_Sym) > ELF_SYMBOLS_MAX)
		return -EFBIG;
	table.count = (uint32_t)(table.symbols->sh_size / sizeof(Elf64_Sym));
	table.versions = versions_of(lookup->elf, index, table.count);
	error = places_find(lookup->elf, names->sh_offset, names->sh_size, lookup->names,
			    lookup->count, &table.places);
	return error || !table.places.count ? error : offer_all(lookup, &table);
}

static size_t found_count(const struct lookup *lookup)
{
	size_t count = 0;

	for (size_t i = 0; i < lookup->count; i++)
		count += lookup->ranks[i] > 0;
	return count;
}

int elf_find(const struct elf *elf, const char *const *names, size_t count,
	     struct elf_symbol *found)
{
	struct lookup lookup = {.elf = elf, .names = names, .count = count, .found = found};
	int error, later = 0;

	if (!places_can_find(names, count))
		return -EINVAL;
	for (size_t i = 0; i < count; i++)
		found[i] = (struct elf_symbol){0};
	error = find_in(&lookup, SHT_DYNSYM);
	if (found_count(&lookup) < count)
		later = find_in(&lookup, SHT_SYMTAB);
	if (found_count(&lookup))
		return (int)found_count(&lookup);
	return error ? error : later;
}
