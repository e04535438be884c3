/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a Go program cannot unwind its stacks without .gopclntab, so no tool strips
 * it. It has, in this order (runtime/symtab.go, pcHeader and _func):
 *
 *     a header: which of the formats it is, how many functions there are, and where the parts begin
 *     names, each with a NUL
 *     parts that are not needed here
 *     for each function where it begins and where its description is, and behind the last one
 *         where that ends; then the descriptions, of which the name is read
 *
 * From Go 1.18 on a function begins at an offset from the beginning of Go's code. The header has
 * its address; in a program that is loaded anywhere (PIE) a relocation has it. Later versions of Go
 * leave it out: then Go's code is what .text has from its beginning.
 *
 * The section is read once, into memory. Each offset in it is checked where it is used.
 */
#include "probe/golang.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>

#if defined(__x86_64__)
#define RELATIVE R_X86_64_RELATIVE
#else
#define RELATIVE R_AARCH64_RELATIVE
#endif

#define POINTER_SIZE	    8U
#define HEADER_SIZE	    72U	     /* of the largest format: 8 bytes and 8 words */
#define TEXT_START	    24U	     /* where a header has the address of Go's code */
#define RELOCATIONS_MAX	    1000000U /* in .rela.dyn */
#define RELOCATIONS_AT_ONCE 512U
#define BUILD_MAGIC	    "\xff Go buildinf:"
#define BUILD_HEADER	    32U
#define BUILD_BIG_ENDIAN    1U
#define BUILD_INLINE	    2U /* the version is behind the header (Go 1.18) */

/* .gopclntab. All offsets are in bytes from its beginning. */
struct table {
	char *data; /* `size` bytes, with a NUL behind them */
	size_t size;
	uint64_t address; /* where the program has it */
	bool wide;	  /* Go 1.16: addresses and offsets have 8 bytes */
	uint64_t text;	  /* what the beginnings of functions are counted from */
	uint64_t count, names, functions;
};

struct wanted {
	const struct elf *elf;
	const char *const *names;
	size_t count;
	struct elf_symbol *found;
};

/* ---- The table ------------------------------------------------------------------------------- */

static uint32_t get32(const char *data)
{
	uint32_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static uint64_t get64(const char *data)
{
	uint64_t value;

	memcpy(&value, data, sizeof(value));
	return value;
}

static int find_section(const struct elf *elf, struct elf_section *section)
{
	return elf_section(elf, ".gopclntab", section) == 0
		       ? 0
		       : elf_section(elf, ".data.rel.ro.gopclntab", section);
}

/* On success the caller frees table->data. */
static int load(const struct elf *elf, struct table *table)
{
	struct elf_section section;
	int got = find_section(elf, &section);

	if (got)
		return got;
	if (section.size > GOLANG_TABLE_MAX)
		return -EFBIG;
	table->data = malloc(section.size + 1);
	if (!table->data)
		return -ENOMEM;
	got = elf_read_offset(elf, section.offset, table->data, section.size);
	if (got < 0 || (uint64_t)got < section.size) {
		free(table->data);
		return got < 0 ? got : -EIO;
	}
	table->data[section.size] = '\0';
	table->size = section.size;
	table->address = section.address;
	return 0;
}

/* The value that the loader writes to an address. False: none. */
static bool relocated(const struct elf *elf, uint64_t address, uint64_t *value)
{
	Elf64_Rela relocations[RELOCATIONS_AT_ONCE];
	struct elf_section section;
	uint64_t count;

	if (elf_section(elf, ".rela.dyn", &section) && elf_section(elf, ".rela", &section))
		return false;
	count = MIN(section.size / sizeof(relocations[0]), RELOCATIONS_MAX);
	for (uint64_t at = 0; at < count; at += RELOCATIONS_AT_ONCE) {
		const size_t part = MIN(RELOCATIONS_AT_ONCE, count - at);
		const size_t size = part * sizeof(relocations[0]);

		if (elf_read_offset(elf, section.offset + at * sizeof(relocations[0]), relocations,
				    size) != (int)size)
			return false;
		for (size_t i = 0; i < part; i++) {
			if (relocations[i].r_offset != address ||
			    ELF64_R_TYPE(relocations[i].r_info) != RELATIVE)
				continue;
			*value = (uint64_t)relocations[i].r_addend;
			return true;
		}
	}
	return false;
}

static uint64_t text_of(const struct elf *elf, const struct table *table)
{
	uint64_t text = get64(table->data + TEXT_START);
	struct elf_section section;

	if (text || relocated(elf, table->address + TEXT_START, &text))
		return text;
	return elf_section(elf, ".text", &section) ? 0 : section.address;
}

/* Reads the header. False: not one that is known, or it contradicts itself. */
static bool parse(const struct elf *elf, struct table *table)
{
	const char *words = table->data + 8;
	uint32_t magic;

	if (table->size < HEADER_SIZE || table->data[4] || table->data[5] ||
	    table->data[7] != POINTER_SIZE)
		return false;
	magic = get32(table->data);
	table->wide = magic == 0xfffffffa;				/* Go 1.16 */
	if (!table->wide && magic != 0xfffffff0 && magic != 0xfffffff1) /* Go 1.18, 1.20 */
		return false;
	if (!table->wide) {
		table->text = text_of(elf, table);
		words += POINTER_SIZE;
	}
	table->count = get64(table->data + 8);
	table->names = get64(words + 2 * POINTER_SIZE);
	table->functions = get64(words + 6 * POINTER_SIZE);
	return table->names < table->size && table->functions < table->size;
}

/* ---- Functions ------------------------------------------------------------------------------- */

static uint64_t word_at(const struct table *table, uint64_t at)
{
	return table->wide ? get64(table->data + at) : get32(table->data + at);
}

/* The name of the function whose description is at an offset from the functions; NULL: none. */
static const char *name_at(const struct table *table, uint64_t description)
{
	const uint64_t begin = table->wide ? 8 : 4, room = table->size - table->functions;
	uint64_t name;

	if (room < begin + 4 || description > room - begin - 4)
		return NULL;
	name = get32(table->data + table->functions + description + begin);
	return name < table->size - table->names ? table->data + table->names + name : NULL;
}

static void offer(const struct wanted *wanted, const char *name, uint64_t address, uint64_t size)
{
	uint64_t offset;

	for (size_t i = 0; i < wanted->count; i++) {
		if (wanted->found[i].address || strcmp(wanted->names[i], name) != 0 ||
		    !elf_offset(wanted->elf, address, &offset))
			continue;
		wanted->found[i] = (struct elf_symbol){address, size};
	}
}

/* Each function has two words, and behind the last one there is one more: where that ends. */
static int walk(const struct wanted *wanted, const struct table *table)
{
	const uint64_t word = table->wide ? 8 : 4, room = table->size - table->functions;

	if (room < word || table->count > (room - word) / (2 * word))
		return -ENOEXEC;
	for (uint64_t i = 0; i < table->count; i++) {
		const uint64_t at = table->functions + i * 2 * word;
		const uint64_t begin = word_at(table, at), end = word_at(table, at + 2 * word);
		const char *name = name_at(table, word_at(table, at + word));

		if (name)
			offer(wanted, name, table->text + begin, end > begin ? end - begin : 0);
	}
	return 0;
}

static int find_in_table(const struct wanted *wanted)
{
	struct table table = {0};
	int error = load(wanted->elf, &table);

	if (error)
		return error == -ENOENT ? 0 : error;
	error = parse(wanted->elf, &table) ? walk(wanted, &table) : -ENOEXEC;
	free(table.data);
	return error;
}

static size_t found_count(const struct wanted *wanted)
{
	size_t count = 0;

	for (size_t i = 0; i < wanted->count; i++)
		count += wanted->found[i].address > 0;
	return count;
}

int golang_find(const struct elf *elf, const char *const *names, size_t count,
		struct elf_symbol *found)
{
	const struct wanted wanted = {elf, names, count, found};
	int error, later = 0;

	if (count > ELF_NAMES_MAX)
		return -EINVAL;
	memset(found, 0, count * sizeof(found[0]));
	error = elf_find(elf, names, count, found);
	if (found_count(&wanted) < count)
		later = find_in_table(&wanted);
	if (found_count(&wanted))
		return (int)found_count(&wanted);
	return later ? later : MIN(error, 0);
}

/* ---- The version ----------------------------------------------------------------------------- */

/* The text may lie anywhere, with any bytes: only its printable beginning is taken. */
static int take(char *version, size_t size, const char *text, uint64_t len)
{
	size_t at = 0;

	while (at + 1 < size && at < len && text[at] > ' ' && text[at] < 0x7f) {
		version[at] = text[at];
		at++;
	}
	version[at] = '\0';
	return at ? 0 : -ENOENT;
}

/* Behind the header: the length, in the form of a varint, and the text. A length has one byte. */
static int take_inline(const char *data, size_t len, char *version, size_t size)
{
	const unsigned char text_len = (unsigned char)data[BUILD_HEADER];

	if (len <= BUILD_HEADER || text_len & 0x80)
		return -ENOENT;
	return take(version, size, data + BUILD_HEADER + 1, MIN(text_len, len - BUILD_HEADER - 1));
}

/* The header has the address of an address and a length. In PIE these are not in the file. */
static int take_pointed(const struct elf *elf, const char *data, char *version, size_t size)
{
	uint64_t string[2];
	char text[64];
	int got;

	if (data[14] != POINTER_SIZE || data[15] & BUILD_BIG_ENDIAN)
		return -ENOENT;
	got = elf_read(elf, get64(data + 16), string, sizeof(string));
	if (got != (int)sizeof(string))
		return -ENOENT;
	got = elf_read(elf, string[0], text, sizeof(text));
	return got < 0 ? -ENOENT : take(version, size, text, MIN(string[1], (uint64_t)got));
}

int golang_version(const struct elf *elf, char *version, size_t size)
{
	struct elf_section section;
	char data[BUILD_HEADER + 128] = {0};
	int got;

	version[0] = '\0';
	if (elf_section(elf, ".go.buildinfo", &section))
		return -ENOENT;
	got = elf_read_offset(elf, section.offset, data, MIN(sizeof(data), section.size));
	if (got < 0)
		return got;
	if (got < (int)BUILD_HEADER || memcmp(data, BUILD_MAGIC, sizeof(BUILD_MAGIC) - 1) != 0)
		return -ENOENT;
	return data[15] & BUILD_INLINE ? take_inline(data, (size_t)got, version, size)
				       : take_pointed(elf, data, version, size);
}
