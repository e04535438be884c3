/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a Go program cannot unwind its stacks without .gopclntab, so no tool strips
 * it. It has, in this order (runtime/symtab.go, pcHeader and _func):
 *
 *     a header: which of the formats it is, how many functions there are, and where the parts begin
 *     names, each with a NUL
 *     parts that are not needed here
 *     for each function where it begins and where its description is, and behind the last one
 *         where that ends; then the descriptions, in the same order, of which the name is read
 *
 * From Go 1.18 on a function begins at an offset from the beginning of Go's code. The header has
 * its address; in a program that is loaded anywhere (PIE) a relocation has it. Later versions of Go
 * leave it out: then Go's code is taken to be all of .text.
 *
 * Each part passes through a small buffer, from its beginning to its end. A description before one
 * that was read is passed over: Go writes none, but for places that are no function.
 */
#include "probe/golang.h"

#include <errno.h>
#include <string.h>
#include <sys/param.h>

#include "probe/places.h"

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
#define FUNCTIONS_AT_ONCE   512U
#define WINDOW_SIZE	    (64U << 10)

#define BUILD_MAGIC	 "\xff Go buildinf:"
#define BUILD_HEADER	 32U
#define BUILD_BIG_ENDIAN 1U
#define BUILD_INLINE	 2U /* the version is behind the header (Go 1.18) */

/* .gopclntab. All offsets are in bytes from its beginning. */
struct table {
	const struct elf *elf;
	struct elf_section section;
	size_t word;   /* of functions: 8 bytes in Go 1.16, then 4 */
	uint64_t text; /* what the beginnings of functions are counted from */
	uint64_t count, names, names_end, functions;
	struct places places; /* of the names that are sought */
};

/* What was read of the descriptions. */
struct window {
	uint64_t at;
	size_t len;
	char data[WINDOW_SIZE];
};

/* ---- The header ------------------------------------------------------------------------------ */

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

/* Bytes of a section, all of them: 0, -EIO if the file has shrunk, or another negative errno. */
static int read_part(const struct elf *elf, const struct elf_section *section, uint64_t at,
		     void *data, size_t len)
{
	const int got = elf_read_offset(elf, section->offset + at, data, len);

	if (got < 0)
		return got;
	return (size_t)got == len ? 0 : -EIO;
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

		if (read_part(elf, &section, at * sizeof(relocations[0]), relocations,
			      part * sizeof(relocations[0])))
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

static uint64_t text_of(const struct table *table, uint64_t text)
{
	struct elf_section section;

	if (text || relocated(table->elf, table->section.address + TEXT_START, &text))
		return text;
	return elf_section(table->elf, ".text", &section) ? 0 : section.address;
}

/* False: it is not a header that is known, or contradicts itself. */
static bool parse(struct table *table, const char *header)
{
	const uint32_t magic = get32(header);
	const bool wide = magic == 0xfffffffa; /* Go 1.16 */
	const char *words = header + 8;

	if (!wide && magic != 0xfffffff0 && magic != 0xfffffff1) /* Go 1.18, Go 1.20 */
		return false;
	if (header[4] || header[5] || header[7] != POINTER_SIZE)
		return false;
	table->word = wide ? 8 : 4;
	if (!wide) {
		table->text = text_of(table, get64(header + TEXT_START));
		words += POINTER_SIZE;
	}
	/* Words of 8 bytes: functions, files, names, compilation units, files, lines, functions. */
	table->count = get64(header + 8);
	table->names = get64(words + 16);
	table->names_end = get64(words + 24);
	table->functions = get64(words + 48);
	return table->names <= table->names_end && table->names_end <= table->section.size &&
	       table->functions + table->word <= table->section.size &&
	       table->functions < table->section.size &&
	       table->count <=
		       (table->section.size - table->functions - table->word) / (2 * table->word);
}

static int find_section(const struct elf *elf, struct elf_section *section)
{
	return elf_section(elf, ".gopclntab", section) == 0
		       ? 0
		       : elf_section(elf, ".data.rel.ro.gopclntab", section);
}

static int open_table(struct table *table)
{
	char header[HEADER_SIZE];
	int error;

	if (table->section.size > GOLANG_TABLE_MAX)
		return -EFBIG;
	if (table->section.size < HEADER_SIZE)
		return -ENOEXEC;
	error = read_part(table->elf, &table->section, 0, header, sizeof(header));
	if (error)
		return error;
	return parse(table, header) ? 0 : -ENOEXEC;
}

/* ---- Functions ------------------------------------------------------------------------------- */

static uint64_t word_at(const struct table *table, const char *words, size_t index)
{
	return table->word == 8 ? get64(words + index * 8) : get32(words + index * 4);
}

/*
 * Where the name of the function is whose description is at an offset from the functions. 0;
 * -ENOENT: there is no such description, or it was passed; another negative errno of reading it.
 */
static int name_of(const struct table *table, struct window *window, uint64_t description,
		   uint64_t *name)
{
	const uint64_t room = table->section.size - table->functions;
	const uint64_t at = description + table->word; /* behind the function's beginning */

	if (description > room || room - description < table->word + 4 || at < window->at)
		return -ENOENT;
	if (at + 4 > window->at + window->len) {
		const size_t len = MIN(sizeof(window->data), room - at);
		const int error = read_part(table->elf, &table->section, table->functions + at,
					    window->data, len);

		if (error)
			return error;
		window->at = at;
		window->len = len;
	}
	*name = get32(window->data + (at - window->at));
	return 0;
}

static void offer(const struct table *table, uint64_t name, uint64_t begin, uint64_t end,
		  struct elf_symbol *found)
{
	const int index = places_name(&table->places, name);
	const uint64_t address = table->text + begin;
	uint64_t offset;

	if (index < 0 || found[index].address || !elf_offset(table->elf, address, &offset))
		return;
	found[index] = (struct elf_symbol){address, end > begin ? end - begin : 0};
}

/* `words`: those of `count` functions, and the next one's first. */
static int offer_some(const struct table *table, struct window *window, const char *words,
		      size_t count, struct elf_symbol *found)
{
	for (size_t i = 0; i < count; i++) {
		uint64_t name;
		const int error = name_of(table, window, word_at(table, words, 2 * i + 1), &name);

		if (!error)
			offer(table, name, word_at(table, words, 2 * i),
			      word_at(table, words, 2 * i + 2), found);
		else if (error != -ENOENT)
			return error;
	}
	return 0;
}

static int offer_all(const struct table *table, struct elf_symbol *found)
{
	char words[(2 * FUNCTIONS_AT_ONCE + 1) * 8];
	struct window window = {.len = 0};

	for (uint64_t at = 0; at < table->count; at += FUNCTIONS_AT_ONCE) {
		const size_t part = MIN(FUNCTIONS_AT_ONCE, table->count - at);
		int error = read_part(table->elf, &table->section,
				      table->functions + at * 2 * table->word, words,
				      (2 * part + 1) * table->word);

		error = error ? error : offer_some(table, &window, words, part, found);
		if (error)
			return error;
	}
	return 0;
}

static int find_in_table(const struct elf *elf, const char *const *names, size_t count,
			 struct elf_symbol *found)
{
	struct table table = {.elf = elf};
	int error;

	if (find_section(elf, &table.section))
		return 0;
	error = open_table(&table);
	if (!error)
		error = places_find(elf, table.section.offset + table.names,
				    table.names_end - table.names, names, count, &table.places);
	return error || !table.places.count ? error : offer_all(&table, found);
}

static size_t found_count(const struct elf_symbol *found, size_t count)
{
	size_t sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += found[i].address > 0;
	return sum;
}

int golang_find(const struct elf *elf, const char *const *names, size_t count,
		struct elf_symbol *found)
{
	const int got = elf_find(elf, names, count, found);
	int error;

	if (got == (int)count || got == -EINVAL)
		return got;
	error = find_in_table(elf, names, count, found);
	if (found_count(found, count))
		return (int)found_count(found, count);
	return error ? error : MIN(got, 0);
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
