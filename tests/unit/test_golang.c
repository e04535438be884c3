/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions and versions of forged Go programs: each format of .gopclntab, and what contradicts
 * itself. */
#include "forged_symbols.h"

#include <errno.h>
#include <stdio.h>

#include "probe/golang.h"

#define GO_1_16 0xfffffffaU
#define GO_1_18 0xfffffff0U
#define GO_1_20 0xfffffff1U

#define WRITE	"crypto/tls.(*Conn).Write"
#define READ	"crypto/tls.(*Conn).Read"
#define SECTION ".gopclntab"

#define DESCRIPTION_SIZE 44U

struct function {
	const char *name;
	uint64_t begin; /* from the beginning of the code */
};

static const struct function functions[] = {{"internal/cpu.Initialize", 0},
					    {WRITE, 16},
					    {"main.main", 48},
					    {READ, 80}};

#define FUNCTIONS 4U
#define CODE_END  100U

/* ---- A table --------------------------------------------------------------------------------- */

static void add_word(struct text *table, uint64_t value, size_t size)
{
	text_add(table, (struct span){(const char *)&value, size});
}

/* Begins a table: the header; then come the names, the functions and their descriptions. */
static void add_header(struct text *table, uint32_t magic, uint64_t text, uint64_t count,
		       uint64_t names_len)
{
	const uint64_t names = magic == GO_1_16 ? 64 : 72;
	const uint64_t offsets[] = {names, names + names_len, names + names_len, names + names_len,
				    names + names_len};

	add_word(table, magic, 4);
	text_add(table, BYTES("\0\0\1\10"));
	add_word(table, count, 8);
	add_word(table, 1, 8);
	if (magic != GO_1_16)
		add_word(table, text, 8);
	for (size_t i = 0; i < 5; i++)
		add_word(table, offsets[i], 8);
}

static uint64_t names_len(const struct function *list, size_t count)
{
	uint64_t len = 0;

	for (size_t i = 0; i < count; i++)
		len += strlen(list[i].name) + 1;
	return len;
}

/* .gopclntab as Go writes it; without data about lines. Free with text_free(). */
static struct text table_of(uint32_t magic, uint64_t text, const struct function *list,
			    size_t count)
{
	const size_t word = magic == GO_1_16 ? 8 : 4;
	const uint64_t base = magic == GO_1_16 ? text : 0;
	struct text table = {0};
	uint64_t name = 0;

	add_header(&table, magic, text, count, names_len(list, count));
	for (size_t i = 0; i < count; i++)
		text_add(&table, (struct span){list[i].name, strlen(list[i].name) + 1});
	for (size_t i = 0; i < count; i++) {
		add_word(&table, base + list[i].begin, word);
		add_word(&table, (2 * count + 1) * word + i * DESCRIPTION_SIZE, word);
	}
	add_word(&table, base + CODE_END, word);
	for (size_t i = 0; i < count; i++) {
		const size_t end = table.len + DESCRIPTION_SIZE;

		add_word(&table, base + list[i].begin, word);
		add_word(&table, name, 4);
		memset(text_extend(&table, end - table.len), 0xff, end - table.len);
		name += strlen(list[i].name) + 1;
	}
	assert_false(table.failed);
	return table;
}

/* ---- A program ------------------------------------------------------------------------------- */

struct program {
	struct forged forged;
	uint32_t table; /* the section */
};

static void program_begin(struct program *program, const char *section, const struct text *table)
{
	forged_begin(&program->forged);
	program->table = forged_section(&program->forged, section, SHT_PROGBITS,
					(struct span){table->data, table->len});
	program->forged.sections[program->table].sh_addr = FORGED_DATA;
}

/* Looks up Write and Read. Ends and frees the program. */
static int program_find(struct program *program, struct elf_symbol found[2])
{
	static const char *const names[] = {WRITE, READ};
	struct elf elf;
	int fd, result;

	forged_end(&program->forged);
	fd = forged_open(&program->forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	result = golang_find(&elf, names, 2, found);
	elf_close(&elf);
	close(fd);
	forged_free(&program->forged);
	return result;
}

/* The result of a look-up in a program that has this table alone, which is freed. */
static int find_in(struct text table, struct elf_symbol found[2])
{
	struct program program;

	program_begin(&program, SECTION, &table);
	text_free(&table);
	return program_find(&program, found);
}

static void check_both(const struct elf_symbol found[2])
{
	assert_int_equal(found[0].address, FORGED_CODE + 16);
	assert_int_equal(found[0].size, 32);
	assert_int_equal(found[1].address, FORGED_CODE + 80);
	assert_int_equal(found[1].size, 20);
}

static void test_formats(void **state)
{
	static const uint32_t formats[] = {GO_1_16, GO_1_18, GO_1_20};
	struct elf_symbol found[2];

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(find_in(table_of(formats[i], FORGED_CODE, functions, FUNCTIONS),
					 found),
				 2);
		check_both(found);
	}
	assert_int_equal(find_in(table_of(0xfffffffb, FORGED_CODE, functions, FUNCTIONS), found),
			 -ENOEXEC); /* Go 1.2 */
	assert_int_equal(found[0].address, 0);
}

/* A program that is loaded anywhere (PIE). */
static void test_relocated(void **state)
{
	Elf64_Rela relocations[1000] = {0};
	struct elf_symbol found[2];
	struct text table = table_of(GO_1_18, 0, functions, FUNCTIONS);
	struct program program;

	(void)state;
	for (size_t i = 0; i < 1000; i++)
		relocations[i] = (Elf64_Rela){.r_offset = FORGED_DATA + 8 * i, .r_addend = 1};
	relocations[3].r_offset++; /* FORGED_DATA + 24 is the last one */
	relocations[999] = (Elf64_Rela){.r_offset = FORGED_DATA + 24,
					.r_info = ELF64_R_INFO(0, FORGED_MACHINE == EM_X86_64
									  ? R_X86_64_RELATIVE
									  : R_AARCH64_RELATIVE),
					.r_addend = FORGED_CODE};
	program_begin(&program, ".data.rel.ro.gopclntab", &table);
	forged_section(&program.forged, ".rela.dyn", SHT_RELA,
		       (struct span){(const char *)relocations, sizeof(relocations)});
	assert_int_equal(program_find(&program, found), 2);
	check_both(found);
	text_free(&table);
}

static void test_no_text_start(void **state)
{
	struct elf_symbol found[2];
	struct text table = table_of(GO_1_20, 0, functions, FUNCTIONS);
	struct program program;
	uint32_t text;

	(void)state;
	program_begin(&program, SECTION, &table);
	assert_int_equal(program_find(&program, found), 0); /* without .text */
	program_begin(&program, SECTION, &table);
	text = forged_section(&program.forged, ".text", SHT_PROGBITS, BYTES("x"));
	program.forged.sections[text].sh_addr = FORGED_CODE;
	assert_int_equal(program_find(&program, found), 2);
	check_both(found);
	text_free(&table);
}

/* What the symbol table has is not sought in .gopclntab. */
static void test_symbols_first(void **state)
{
	const Elf64_Sym one = forged_function(1, STB_GLOBAL, FORGED_CODE + 3);
	struct elf_symbol found[2];
	struct text table = table_of(GO_1_18, FORGED_CODE, functions, FUNCTIONS);
	struct program program;

	(void)state;
	program_begin(&program, SECTION, &table);
	forged_symbols(&program.forged, SHT_SYMTAB, &one, 1, BYTES("\0" WRITE "\0"));
	assert_int_equal(program_find(&program, found), 2);
	assert_int_equal(found[0].address, FORGED_CODE + 3);
	assert_int_equal(found[1].address, FORGED_CODE + 80);
	table.data[0] = 0;
	program_begin(&program, SECTION, &table);
	forged_symbols(&program.forged, SHT_SYMTAB, &one, 1, BYTES("\0" WRITE "\0"));
	assert_int_equal(program_find(&program, found), 1);
	text_free(&table);
}

/* More functions and names than are read at once. */
static void test_many_functions(void **state)
{
	enum { COUNT = 10000 };
	static struct function list[COUNT];
	static char names[COUNT][16];
	static const uint32_t formats[] = {GO_1_16, GO_1_18};
	struct elf_symbol found[2];

	(void)state;
	for (size_t i = 0; i < COUNT; i++) {
		snprintf(names[i], sizeof(names[i]), "main.f%zu", i);
		list[i] = (struct function){names[i], 1};
	}
	list[511] = (struct function){WRITE, 16};
	list[512].begin = 48;
	list[COUNT - 1] = (struct function){READ, 80};
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(find_in(table_of(formats[i], FORGED_CODE, list, COUNT), found), 2);
		check_both(found);
	}
}

static void test_not_executable(void **state)
{
	struct elf_symbol found[2];

	(void)state;
	assert_int_equal(find_in(table_of(GO_1_18, FORGED_DATA, functions, FUNCTIONS), found), 0);
	assert_int_equal(find_in(table_of(GO_1_18, UINT64_MAX, functions, FUNCTIONS), found), 0);
}

/* ---- Tables that contradict themselves ------------------------------------------------------- */

/* The result of a look-up when some bytes of the table of Go 1.18 have another value. */
static int find_changed(size_t at, uint64_t value, size_t size)
{
	struct text table = table_of(GO_1_18, FORGED_CODE, functions, FUNCTIONS);
	struct elf_symbol found[2];

	assert_true(at + size <= table.len);
	memcpy(table.data + at, &value, size);
	return find_in(table, found);
}

enum { AT_POINTER = 7, AT_COUNT = 8, AT_NAMES = 32, AT_NAMES_END = 40, AT_FUNCTIONS = 64 };

static void test_headers(void **state)
{
	static const uint64_t large[] = {1ULL << 31, 1ULL << 32,     1ULL << 62,
					 1ULL << 63, UINT64_MAX - 3, UINT64_MAX};

	(void)state;
	assert_int_equal(find_changed(AT_COUNT, FUNCTIONS, 8), 2);
	assert_int_equal(find_changed(AT_COUNT, 0, 8), 0);
	assert_int_equal(find_changed(AT_POINTER, 4, 1), -ENOEXEC);
	assert_int_equal(find_changed(AT_NAMES_END, 0, 8), -ENOEXEC);
	for (size_t i = 0; i < sizeof(large) / sizeof(large[0]); i++) {
		assert_int_equal(find_changed(AT_COUNT, large[i], 8), -ENOEXEC);
		assert_int_equal(find_changed(AT_NAMES, large[i], 8), -ENOEXEC);
		assert_int_equal(find_changed(AT_NAMES_END, large[i], 8), -ENOEXEC);
		assert_int_equal(find_changed(AT_FUNCTIONS, large[i], 8), -ENOEXEC);
	}
}

/* A description out of the table, before one that was read, or with a name out of the names. */
static void test_descriptions(void **state)
{
	const size_t list = 72 + names_len(functions, FUNCTIONS), second = list + 8 + 4;
	const size_t name = list + (2 * FUNCTIONS + 1) * 4 + DESCRIPTION_SIZE + 4;

	(void)state;
	assert_int_equal(find_changed(second, UINT32_MAX, 4), 1);
	assert_int_equal(find_changed(second, 1U << 31, 4), 1);
	assert_int_equal(find_changed(second + 8, 0, 4), 2); /* of main.main, which is not sought */
	assert_int_equal(find_changed(second, 0, 4), 1);
	assert_int_equal(find_changed(name, UINT32_MAX, 4), 1);
	assert_int_equal(find_changed(name, 0, 4), 1);
}

static void ask(int fd)
{
	static const char *const names[] = {WRITE, READ};
	struct elf elf;
	struct elf_symbol found[2];
	char version[8];
	uint64_t offset;

	if (elf_open(&elf, fd))
		return;
	golang_find(&elf, names, 2, found);
	for (size_t i = 0; i < 2; i++)
		assert_true(!found[i].address || elf_offset(&elf, found[i].address, &offset));
	golang_version(&elf, version, sizeof(version));
	assert_true(strlen(version) < sizeof(version));
	elf_close(&elf);
}

/* Each byte of the table has other values, and the table is cut at each length. */
static void test_changed(void **state)
{
	static const char values[] = {0, 1, 0x7f, '\xff'};
	struct text table = table_of(GO_1_18, FORGED_CODE, functions, FUNCTIONS);
	struct program program;
	uint64_t begin;
	int fd;

	(void)state;
	program_begin(&program, SECTION, &table);
	forged_end(&program.forged);
	begin = program.forged.sections[program.table].sh_offset;
	fd = forged_open(&program.forged);
	for (size_t at = 0; at < table.len; at++) {
		for (size_t i = 0; i < sizeof(values); i++) {
			assert_int_equal(pwrite(fd, values + i, 1, (off_t)(begin + at)), 1);
			ask(fd);
		}
		assert_int_equal(pwrite(fd, table.data + at, 1, (off_t)(begin + at)), 1);
	}
	close(fd);
	for (size_t len = 0; len < table.len; len++) {
		program.forged.sections[program.table].sh_size = len;
		fd = forged_open(&program.forged);
		ask(fd);
		close(fd);
	}
	forged_free(&program.forged);
	text_free(&table);
}

static void test_too_large(void **state)
{
	static const char *const names[] = {WRITE};
	struct text table = table_of(GO_1_18, FORGED_CODE, functions, FUNCTIONS);
	struct elf_symbol found;
	struct program program;
	struct elf elf;
	int fd;

	(void)state;
	program_begin(&program, SECTION, &table);
	forged_end(&program.forged);
	for (uint64_t size = GOLANG_TABLE_MAX; size <= GOLANG_TABLE_MAX + 1; size++) {
		program.forged.sections[program.table].sh_size = size;
		fd = forged_open(&program.forged);
		assert_int_equal(ftruncate(fd, (off_t)size * 2), 0);
		assert_int_equal(elf_open(&elf, fd), 0);
		assert_int_equal(golang_find(&elf, names, 1, &found),
				 size == GOLANG_TABLE_MAX ? 1 : -EFBIG);
		elf_close(&elf);
		close(fd);
	}
	forged_free(&program.forged);
	text_free(&table);
}

/* ---- The version ----------------------------------------------------------------------------- */

/* Of a program with this section; "" if there is none. */
static void check_version(struct span section, const char *expected)
{
	struct forged forged;
	struct elf elf;
	char version[16];
	int fd;

	forged_begin(&forged);
	memcpy(forged.bytes + FORGED_SEGMENT, "go1.17.3 and more", 17);
	memcpy(forged.bytes + 2 * FORGED_SEGMENT,
	       &(uint64_t[]){FORGED_RODATA, 8, FORGED_RODATA, UINT64_MAX, 1, 8}, 48);
	forged_section(&forged, ".go.buildinfo", SHT_PROGBITS, section);
	forged_end(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	memset(version, 'x', sizeof(version));
	assert_int_equal(golang_version(&elf, version, sizeof(version)), *expected ? 0 : -ENOENT);
	assert_string_equal(version, expected);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

#define INLINE "\xff Go buildinf:\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"

static void test_version(void **state)
{
	(void)state;
	check_version(BYTES(INLINE "\x8go1.19.8\x30w"), "go1.19.8");
	check_version(BYTES(INLINE "\x8go1.19.8"), "go1.19.8");
	check_version(BYTES(INLINE "\x9go1.19.8"), "go1.19.8"); /* the section ends before */
	check_version(BYTES(INLINE "\x19go1.21.0 X:boringcrypto"), "go1.21.0");
	check_version(BYTES(INLINE "\x14go1.1234567890123456789"), "go1.12345678901");
	check_version(BYTES(INLINE "\x8go1\x1b[31m"), "go1");
	check_version(BYTES(INLINE "\x4go1\xc3\xa4"), "go1");
	check_version(BYTES(INLINE), "");
	check_version(BYTES(INLINE "\0"), "");
	check_version(BYTES(INLINE "\x88go1.19.8"), "");
	check_version(BYTES("\xff Go buildinf:\10\2"), "");
	check_version(BYTES("\xff Go buildinF:\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x8go1.19.8"),
		      "");
}

/* Before Go 1.18 the section has the address of an address and a length. */
static void check_pointed(char pointer_size, char flags, uint64_t address, const char *expected)
{
	struct text section = {0};
	const char sizes[] = {pointer_size, flags};

	text_add(&section, BYTES("\xff Go buildinf:"));
	text_add(&section, (struct span){sizes, 2});
	add_word(&section, address, 8);
	add_word(&section, 0, 8);
	check_version((struct span){section.data, section.len}, expected);
	text_free(&section);
}

static void test_pointed_version(void **state)
{
	(void)state;
	check_pointed(8, 0, FORGED_DATA, "go1.17.3");
	check_pointed(8, 0, FORGED_DATA + 16, "go1.17.3"); /* a length without end */
	check_pointed(8, 0, FORGED_DATA + 32, "");
	check_pointed(8, 0, FORGED_DATA + FORGED_SEGMENT - 8, "");
	check_pointed(8, 0, UINT64_MAX, "");
	check_pointed(8, 1, FORGED_DATA, ""); /* big-endian */
	check_pointed(4, 0, FORGED_DATA, "");
}

static void test_no_go(void **state)
{
	struct forged forged;
	struct elf elf;
	char version[16];
	int fd;

	(void)state;
	forged_versions(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(golang_version(&elf, version, sizeof(version)), -ENOENT);
	assert_string_equal(version, "");
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_formats),	       cmocka_unit_test(test_relocated),
		cmocka_unit_test(test_no_text_start),  cmocka_unit_test(test_symbols_first),
		cmocka_unit_test(test_many_functions), cmocka_unit_test(test_not_executable),
		cmocka_unit_test(test_headers),	       cmocka_unit_test(test_descriptions),
		cmocka_unit_test(test_changed),	       cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_version),	       cmocka_unit_test(test_pointed_version),
		cmocka_unit_test(test_no_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
