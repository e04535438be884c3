/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* ELF files that are cut, forged or too large: reading them is bounded and stays within them. */
#include "forged_symbols.h"

#include <errno.h>
#include <fcntl.h>

/* ---- Hostile files --------------------------------------------------------------------------- */

static int open_result(const struct forged *forged)
{
	const int fd = forged_open(forged);
	struct elf elf;
	const int result = elf_open(&elf, fd);

	if (!result)
		elf_close(&elf);
	close(fd);
	return result;
}

#define CHECK_OPEN(result, ...)                                                                    \
	do {                                                                                       \
		struct forged forged_;                                                             \
                                                                                                   \
		forged_versions(&forged_);                                                         \
		__VA_ARGS__;                                                                       \
		assert_int_equal(open_result(&forged_), result);                                   \
		forged_free(&forged_);                                                             \
	} while (0)

static void test_headers(void **state)
{
	(void)state;
	CHECK_OPEN(0, );
	CHECK_OPEN(-ENOEXEC, forged_.header.e_ident[EI_MAG0] = 0);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_ident[EI_CLASS] = ELFCLASS32);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_ident[EI_DATA] = ELFDATA2MSB);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_machine = EM_386);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_type = ET_REL);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_phentsize = 1);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_phoff = UINT64_MAX);
	CHECK_OPEN(-ENOEXEC, forged_.header.e_phoff = INT64_MAX);
	CHECK_OPEN(-EFBIG, forged_.header.e_phnum = UINT16_MAX);
	CHECK_OPEN(0, forged_.header.e_shoff = UINT64_MAX);
	CHECK_OPEN(0, forged_.header.e_shnum = UINT16_MAX); /* they end behind the file */
	CHECK_OPEN(0, forged_.header.e_shentsize = 0);
	CHECK_OPEN(0, forged_.header.e_shstrndx = UINT16_MAX);
	CHECK_OPEN(-EFBIG, forged_.header.e_shnum = ELF_SECTIONS_MAX + 1,
		   forged_.header.e_shoff = 0,
		   text_extend(&forged_.content, (ELF_SECTIONS_MAX + 1) * sizeof(Elf64_Shdr)));
}

static void test_no_regular_file(void **state)
{
	struct elf elf;
	int pipes[2], folder = open("/", O_RDONLY | O_CLOEXEC);

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(elf_open(&elf, pipes[0]), -ENOEXEC);
	assert_int_equal(elf_open(&elf, folder), -ENOEXEC);
	assert_int_equal(elf_open(&elf, -1), -EBADF);
	close(pipes[0]);
	close(pipes[1]);
	close(folder);
}

static void test_too_many_segments(void **state)
{
	Elf64_Phdr headers[ELF_SEGMENTS_MAX + 1];
	struct forged forged;
	uint32_t index;

	(void)state;
	for (uint32_t i = 0; i <= ELF_SEGMENTS_MAX; i++)
		headers[i] = (Elf64_Phdr){.p_type = PT_LOAD, .p_vaddr = i, .p_filesz = 1};
	forged_begin(&forged);
	index = forged_section(&forged, "headers", SHT_PROGBITS,
			       (struct span){(const char *)headers, sizeof(headers)});
	forged_end(&forged);
	forged.header.e_phoff = forged.sections[index].sh_offset;
	forged.header.e_phnum = ELF_SEGMENTS_MAX;
	assert_int_equal(open_result(&forged), 0);
	forged.header.e_phnum++;
	assert_int_equal(open_result(&forged), -EFBIG);
	forged_free(&forged);
}

/* An address has one place in the file. */
static void test_overlapping_segments(void **state)
{
	(void)state;
	CHECK_OPEN(0, forged_.segments[0].p_vaddr = FORGED_RODATA - FORGED_SEGMENT);
	CHECK_OPEN(-ENOEXEC, forged_.segments[0].p_vaddr = FORGED_RODATA - FORGED_SEGMENT + 1);
	CHECK_OPEN(-ENOEXEC, forged_.segments[0].p_vaddr = FORGED_RODATA);
	CHECK_OPEN(-ENOEXEC, forged_.segments[1].p_vaddr = FORGED_DATA);
	CHECK_OPEN(-ENOEXEC, forged_.segments[2].p_vaddr = FORGED_CODE);
	CHECK_OPEN(0, forged_.segments[2].p_vaddr = UINT64_MAX - FORGED_SEGMENT);
	CHECK_OPEN(-ENOEXEC, forged_.segments[2].p_vaddr = UINT64_MAX - FORGED_SEGMENT + 1);
	CHECK_OPEN(-ENOEXEC, forged_.segments[2].p_filesz = UINT64_MAX);
}

/* Segments that are said to be larger than the file, or behind its end. */
static void test_segments(void **state)
{
	struct forged forged;
	struct elf elf;
	unsigned char data[8];
	uint64_t offset = 0, rest;
	int fd;

	(void)state;
	forged_begin(&forged);
	forged_end(&forged);
	forged.segments[1].p_offset = UINT64_MAX - 8;
	forged.segments[2].p_flags = PF_X;
	forged.segments[2].p_filesz = 1ULL << 62;
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	rest = elf.size - forged.segments[2].p_offset;
	assert_true(elf_offset(&elf, FORGED_DATA + rest - 1, &offset));
	assert_int_equal(offset, elf.size - 1);
	assert_false(elf_offset(&elf, FORGED_DATA + rest, &offset));
	assert_false(elf_offset(&elf, 0, &offset));
	assert_false(elf_offset(&elf, FORGED_RODATA, &offset));
	assert_int_equal(elf_read(&elf, FORGED_RODATA, data, sizeof(data)), -EFAULT);
	assert_int_equal(elf_read(&elf, FORGED_DATA + rest - 3, data, sizeof(data)), 3);
	assert_int_equal(elf_read(&elf, FORGED_DATA + rest, data, sizeof(data)), -EFAULT);
	assert_int_equal(elf_read_offset(&elf, UINT64_MAX, data, sizeof(data)), 0);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

/* The result of a look-up after one field of the section headers was changed. */
static int find_result(void (*change)(struct forged *forged))
{
	static const char *const names[] = {"SSL_write", "SSL_read"};
	struct forged forged;
	struct elf elf;
	struct elf_symbol found[2];
	int fd, result;

	forged_versions(&forged);
	change(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	result = elf_find(&elf, names, 2, found);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
	return result;
}

enum { DYNSTR = 1, DYNSYM, VERSYM, STRTAB, SYMTAB }; /* of forged_versions() */

static void change_nothing(struct forged *forged)
{
	(void)forged;
}

static void change_size(struct forged *forged)
{
	forged->sections[SYMTAB].sh_size = 1ULL << 32;
}

static void change_offset(struct forged *forged)
{
	forged->sections[SYMTAB].sh_offset = UINT64_MAX - 8;
}

static void change_link(struct forged *forged)
{
	forged->sections[SYMTAB].sh_link = UINT32_MAX;
	forged->sections[DYNSYM].sh_link = DYNSYM;
}

static void change_element(struct forged *forged)
{
	forged->sections[SYMTAB].sh_entsize = forged->sections[DYNSYM].sh_entsize = 0;
}

static void change_type(struct forged *forged)
{
	forged->sections[SYMTAB].sh_type = SHT_NOBITS;
	forged->sections[DYNSTR].sh_flags = SHF_COMPRESSED;
}

static void change_versions(struct forged *forged)
{
	forged->sections[VERSYM].sh_size--;
}

static void test_tables(void **state)
{
	(void)state;
	assert_int_equal(find_result(change_nothing), 2);
	assert_int_equal(find_result(change_size), 1);
	assert_int_equal(find_result(change_offset), 1);
	assert_int_equal(find_result(change_link), 0);
	assert_int_equal(find_result(change_element), 0);
	assert_int_equal(find_result(change_type), 0);
	assert_int_equal(find_result(change_versions), 2);
}

/* All that is asked of a file, whatever it is. */
static void ask(int fd)
{
	static const char *const names[] = {"SSL_write", "SSL_read", "SSL_peek"};
	struct elf elf;
	struct elf_symbol found[3];
	struct elf_section section;
	char data[300];
	uint64_t address;

	if (elf_open(&elf, fd))
		return;
	if (elf_find(&elf, names, 3, found) > 0) {
		for (size_t i = 0; i < 3; i++) {
			if (found[i].address)
				assert_true(elf_offset(&elf, found[i].address, &address));
		}
	}
	elf_section(&elf, ".gnu.version", &section);
	elf_search(&elf, "v#.#", &address);
	assert_true(elf_read(&elf, FORGED_CODE, data, sizeof(data)) <= (int)sizeof(data));
	elf_close(&elf);
}

static void test_truncated(void **state)
{
	struct forged forged;
	struct text text;
	int fd;

	(void)state;
	forged_versions(&forged);
	text = forged_text(&forged);
	fd = forged_file((struct span){text.data, text.len});
	for (size_t len = text.len; len; len--) {
		assert_int_equal(ftruncate(fd, (off_t)len), 0);
		ask(fd);
	}
	close(fd);
	text_free(&text);
	forged_free(&forged);
}

/* Each byte of the headers, of the tables and of their headers is changed. */
static void test_changed_bytes(void **state)
{
	static const char values[] = {0, 1, 0x7f, '\xff'};
	struct forged forged;
	struct text text;
	int fd;

	(void)state;
	forged_versions(&forged);
	text = forged_text(&forged);
	fd = forged_file((struct span){text.data, text.len});
	for (size_t at = 0; at < text.len; at++) {
		if (at >= offsetof(struct forged, bytes) && at < offsetof(struct forged, sections))
			continue;
		for (size_t i = 0; i < sizeof(values); i++) {
			assert_int_equal(pwrite(fd, values + i, 1, (off_t)at), 1);
			ask(fd);
		}
		assert_int_equal(pwrite(fd, text.data + at, 1, (off_t)at), 1);
	}
	close(fd);
	text_free(&text);
	forged_free(&forged);
}

static void test_shrinks(void **state)
{
	static const char *const names[] = {"SSL_write"};
	struct forged forged;
	struct elf elf;
	struct elf_symbol found;
	char data[8];
	uint64_t address;
	int fd;

	(void)state;
	forged_versions(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(ftruncate(fd, offsetof(struct forged, bytes) + 4), 0);
	assert_int_equal(elf_find(&elf, names, 1, &found), -EIO);
	assert_int_equal(found.address, 0);
	assert_int_equal(elf_read(&elf, FORGED_CODE, data, sizeof(data)), 4);
	assert_int_equal(elf_read(&elf, FORGED_CODE + 4, data, sizeof(data)), 0);
	assert_int_equal(elf_search(&elf, "v#.#", &address), -ENOENT);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

/*
 * A table of many symbols, of which the last one is sought: the others have no name, or this one.
 * The table lies behind the rest of the file, with holes.
 */
static int find_in_many(uint64_t count, uint64_t strings, uint32_t other_name)
{
	const char *name = "SSL_write";
	const Elf64_Sym last = forged_function(AT_WRITE, STB_GLOBAL, FORGED_CODE),
			other = forged_function(other_name, STB_GLOBAL, FORGED_DATA);
	const off_t table = 1 << 20;
	struct forged forged;
	struct elf elf;
	struct elf_symbol found;
	int fd, result;

	forged_begin(&forged);
	forged_symbols(&forged, SHT_SYMTAB, NULL, 0, BYTES(FORGED_NAMES));
	forged_end(&forged);
	forged.sections[1].sh_size = strings;
	forged.sections[2].sh_offset = (uint64_t)table;
	forged.sections[2].sh_size = count * sizeof(last);
	fd = forged_open(&forged);
	for (uint64_t i = 0; other_name && i < count; i++)
		assert_int_equal(pwrite(fd, &other, sizeof(other),
					table + (off_t)(i * sizeof(other))),
				 sizeof(other));
	assert_int_equal(pwrite(fd, &last, sizeof(last),
				table + (off_t)((count - 1) * sizeof(last))),
			 sizeof(last));
	if (strings > count * sizeof(last))
		assert_int_equal(ftruncate(fd, (off_t)(strings + (1 << 20))), 0);
	assert_int_equal(elf_open(&elf, fd), 0);
	result = elf_find(&elf, &name, 1, &found);
	assert_int_equal(found.address, result == 1 ? FORGED_CODE : 0);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
	return result;
}

static void test_many_symbols(void **state)
{
	(void)state;
	assert_int_equal(find_in_many(1, sizeof(FORGED_NAMES), 0), 1);
	assert_int_equal(find_in_many(ELF_SYMBOLS_MAX, sizeof(FORGED_NAMES), 0), 1);
	assert_int_equal(find_in_many(ELF_SYMBOLS_MAX + 1, sizeof(FORGED_NAMES), 0), -EFBIG);
	assert_int_equal(find_in_many(5000, sizeof(FORGED_NAMES), AT_WRITE), 1);
	assert_int_equal(find_in_many(1, ELF_STRINGS_MAX, 0), 1);
	assert_int_equal(find_in_many(1, ELF_STRINGS_MAX + 1, 0), -EFBIG);
}

/* Names that stand in the table very often: the first ones count. */
static void test_many_names(void **state)
{
	enum { COUNT = 20000 };
	const Elf64_Sym symbols[] = {forged_function(10, STB_LOCAL, FORGED_CODE),
				     forged_function(10 * (COUNT - 1), STB_GLOBAL,
						     FORGED_CODE + 1)};
	struct forged forged;
	struct text names = {0};

	(void)state;
	for (size_t i = 0; i < COUNT; i++)
		text_add(&names, BYTES("SSL_write\0"));
	forged_begin(&forged);
	forged_symbols(&forged, SHT_SYMTAB, symbols, 2, (struct span){names.data, names.len});
	forged_end(&forged);
	assert_int_equal(forged_find(&forged, "SSL_write"), FORGED_CODE);
	text_free(&names);
	forged_free(&forged);
}

/* A name over the end of the part that is read at once. */
static void test_names_in_parts(void **state)
{
	struct forged forged;
	struct text names = {0};

	(void)state;
	text_extend(&names, 65500);
	memset(names.data, 'x', names.len);
	for (uint32_t at = 65500; at < 65560; at++) {
		const Elf64_Sym one = forged_function(at, STB_LOCAL, FORGED_CODE);

		text_add(&names, BYTES("SSL_write\0"));
		forged_begin(&forged);
		forged_symbols(&forged, SHT_SYMTAB, &one, 1, (struct span){names.data, names.len});
		forged_end(&forged);
		assert_int_equal(forged_find(&forged, "SSL_write"), FORGED_CODE);
		assert_int_equal(forged_find(&forged, "SSL_writ"), 0);
		forged_free(&forged);
		names.len = at;
		text_add(&names, BYTES("x"));
	}
	text_free(&names);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_no_regular_file),
		cmocka_unit_test(test_too_many_segments),
		cmocka_unit_test(test_overlapping_segments),
		cmocka_unit_test(test_segments),
		cmocka_unit_test(test_tables),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_changed_bytes),
		cmocka_unit_test(test_shrinks),
		cmocka_unit_test(test_many_symbols),
		cmocka_unit_test(test_many_names),
		cmocka_unit_test(test_names_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
