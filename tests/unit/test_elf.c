/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Functions, sections and texts of real files, as the dynamic linker sees them, and of forged ones.
 */
#include "forged_symbols.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>

/* ---- Real files ------------------------------------------------------------------------------ */

/* Whether code in memory is that of the file, but for a probe that a watch has put there (int3). */
static bool same_code(const unsigned char *memory, const unsigned char *code, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (memory[i] != code[i] && memory[i] != 0xcc)
			return false;
	}
	return true;
}

/* Compares what is found with where the dynamic linker has put it. */
static void check_loaded(int fd, const char *name, const void *function, const char *base)
{
	struct elf elf;
	struct elf_symbol found;
	unsigned char code[16], same[16];
	uint64_t offset = 0;

	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(elf_find(&elf, &name, 1, &found), 1);
	assert_int_equal(found.address, (const char *)function - base);
	assert_true(found.size > 0);
	assert_int_equal(elf_read(&elf, found.address, code, sizeof(code)), sizeof(code));
	assert_true(same_code(function, code, sizeof(code)));
	assert_true(elf_offset(&elf, found.address, &offset));
	assert_int_equal(pread(fd, same, sizeof(same), (off_t)offset), sizeof(same));
	assert_memory_equal(same, code, sizeof(code));
	elf_close(&elf);
}

static void check_library(const char *library, const char *name)
{
	void *handle = dlopen(library, RTLD_LAZY), *function;
	Dl_info info;
	int fd;

	assert_non_null(handle);
	function = dlsym(handle, name);
	assert_non_null(function);
	assert_true(dladdr(function, &info) != 0);
	fd = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	check_loaded(fd, name, function, info.dli_fbase);
	close(fd);
	dlclose(handle);
}

static const char *openssl_library(void)
{
	void *handle = dlopen("libssl.so.3", RTLD_LAZY);

	if (!handle)
		return "libssl.so.1.1";
	dlclose(handle);
	return "libssl.so.3";
}

static void test_openssl(void **state)
{
	(void)state;
	check_library(openssl_library(), "SSL_write");
	check_library(openssl_library(), "SSL_write_ex");
	check_library(openssl_library(), "SSL_get_client_random");
}

static void test_gnutls(void **state)
{
	void *handle = dlopen("libgnutls.so.30", RTLD_LAZY);

	(void)state;
	if (!handle)
		skip(); /* not on this host */
	dlclose(handle);
	check_library("libgnutls.so.30", "gnutls_record_send2");
	check_library("libgnutls.so.30", "gnutls_record_recv");
}

/* The C library has some functions twice; programs that are built today get the default version. */
static void test_default_version(void **state)
{
	(void)state;
	check_library("libc.so.6", "realpath");
	check_library("libc.so.6", "pthread_cond_wait");
}

static __attribute__((noinline)) int local_function(int value)
{
	__asm__ volatile("" : "+r"(value));
	return value;
}

/* This program's own functions are in .symtab alone. */
static void test_own_program(void **state)
{
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int (*function)(int) = local_function;
	const void *address;
	Dl_info info;

	(void)state;
	memcpy(&address, &function, sizeof(address));
	assert_true(fd >= 0 && function(1) == 1);
	assert_true(dladdr(address, &info) != 0);
	check_loaded(fd, "local_function", address, info.dli_fbase);
	close(fd);
}

static void test_sections(void **state)
{
	const int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	const char *name = "local_function";
	struct elf elf;
	struct elf_section text;
	struct elf_symbol found;
	uint64_t offset;

	(void)state;
	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(elf_section(&elf, ".text", &text), 0);
	assert_int_equal(elf_find(&elf, &name, 1, &found), 1);
	assert_true(elf_offset(&elf, found.address, &offset));
	assert_true(offset - text.offset < text.size);
	assert_int_equal(offset - text.offset, found.address - text.address);
	assert_int_equal(elf_section(&elf, ".bss", &text), -ENOENT); /* no bytes in the file */
	assert_int_equal(elf_section(&elf, ".tex", &text), -ENOENT);
	elf_close(&elf);
	close(fd);
}

/* ---- Which symbol is found ------------------------------------------------------------------- */

/* What is found of a table of two symbols. */
static uint64_t find_of_two(Elf64_Sym first, Elf64_Sym second, const char *name)
{
	const Elf64_Sym symbols[] = {first, second};
	struct forged forged;
	uint64_t address;

	forged_begin(&forged);
	forged_symbols(&forged, SHT_SYMTAB, symbols, 2, BYTES(FORGED_NAMES));
	forged_end(&forged);
	address = forged_find(&forged, name);
	forged_free(&forged);
	return address;
}

static void test_usable(void **state)
{
	const uint64_t code = FORGED_CODE;
	const Elf64_Sym none = {0}, good = forged_function(AT_WRITE, STB_LOCAL, code + 9);
	Elf64_Sym other = good;

	(void)state;
	assert_int_equal(find_of_two(none, good, "SSL_write"), code + 9);
	assert_int_equal(find_of_two(none, good, "SSL_writ"), 0);
	assert_int_equal(find_of_two(none, good, "SL_write"), 0);
	other.st_shndx = SHN_UNDEF;
	assert_int_equal(find_of_two(none, other, "SSL_write"), 0);
	other = good;
	other.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
	assert_int_equal(find_of_two(other, good, "SSL_write"), code + 9);
	other = forged_function(AT_WRITE, STB_GLOBAL, FORGED_DATA); /* not executable */
	assert_int_equal(find_of_two(other, good, "SSL_write"), code + 9);
	other = forged_function(AT_WRITE, STB_GLOBAL, code + FORGED_SEGMENT);
	assert_int_equal(find_of_two(none, other, "SSL_write"), 0);
	other = forged_function(AT_WRITE, STB_GLOBAL, code + FORGED_SEGMENT - 1);
	assert_int_equal(find_of_two(none, other, "SSL_write"), code + FORGED_SEGMENT - 1);
	other = forged_function(AT_WRITE, STB_GLOBAL, code - 1);
	assert_int_equal(find_of_two(none, other, "SSL_write"), 0);
}

static void test_names_of_symbols(void **state)
{
	const uint64_t code = FORGED_CODE;
	const Elf64_Sym none = {0}, good = forged_function(AT_PEEK, STB_LOCAL, code);

	(void)state;
	/* A linker lets a name be the end of another one. */
	assert_int_equal(find_of_two(good, forged_function(AT_READ, STB_LOCAL, code + 1),
				     "SSL_read"),
			 code + 1);
	assert_int_equal(find_of_two(good, forged_function(AT_READ, STB_LOCAL, code + 1),
				     "my_SSL_read"),
			 0);
	assert_int_equal(find_of_two(forged_function(UINT32_MAX, STB_LOCAL, code + 1), good,
				     "SSL_peek"),
			 code);
	assert_int_equal(find_of_two(none, forged_function(AT_LAST, STB_LOCAL, code), "SSL_last"),
			 0);
	assert_int_equal(find_of_two(none, forged_function(AT_LAST, STB_LOCAL, code), "SSL_las"),
			 0);
}

static void test_better(void **state)
{
	const uint64_t code = FORGED_CODE;

	(void)state;
	assert_int_equal(find_of_two(forged_function(AT_WRITE, STB_LOCAL, code),
				     forged_function(AT_WRITE, STB_GLOBAL, code + 1), "SSL_write"),
			 code + 1);
	assert_int_equal(find_of_two(forged_function(AT_WRITE, STB_WEAK, code),
				     forged_function(AT_WRITE, STB_LOCAL, code + 1), "SSL_write"),
			 code);
	assert_int_equal(find_of_two(forged_function(AT_WRITE, STB_GLOBAL, code),
				     forged_function(AT_WRITE, STB_GLOBAL, code + 1), "SSL_write"),
			 code);
}

static void test_versions(void **state)
{
	static const char *const names[] = {"SSL_write", "SSL_peek", "SSL_read", "SSL_none"};
	struct forged forged;
	struct elf elf;
	struct elf_symbol found[4];
	int fd;

	(void)state;
	forged_versions(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	memset(found, 0xff, sizeof(found));
	assert_int_equal(elf_find(&elf, names, 4, found), 3);
	assert_int_equal(found[0].address, FORGED_CODE + 2);
	assert_int_equal(found[1].address, FORGED_CODE + 3);
	assert_int_equal(found[2].address, FORGED_CODE + 5);
	assert_int_equal(found[3].address, 0);
	assert_int_equal(found[0].size, 7);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

static void test_too_many_names(void **state)
{
	static const char *names[ELF_NAMES_MAX + 1];
	static struct elf_symbol found[ELF_NAMES_MAX + 1];
	static char longest[258];
	const char *name = longest;
	struct elf elf = {.fd = -1};

	(void)state;
	for (size_t i = 0; i <= ELF_NAMES_MAX; i++)
		names[i] = "SSL_write";
	assert_int_equal(elf_find(&elf, names, ELF_NAMES_MAX + 1, found), -EINVAL);
	assert_int_equal(elf_find(&elf, names, ELF_NAMES_MAX, found), 0);
	memset(longest, 'x', 256);
	assert_int_equal(elf_find(&elf, &name, 1, found), -EINVAL);
	name++;
	assert_int_equal(elf_find(&elf, &name, 1, found), 0);
	name = "x";
	assert_int_equal(elf_find(&elf, &name, 1, found), -EINVAL);
}

/* ---- Search ---------------------------------------------------------------------------------- */

/* The address of a text, when `content` stands at `at` in a segment of these flags; 0: not found.
 */
static uint64_t search(uint32_t flags, size_t size, size_t at, const char *content,
		       const char *text)
{
	struct forged forged;
	struct elf elf;
	uint64_t address = 0;
	int fd, got;

	forged_begin(&forged);
	forged_end(&forged);
	forged.header.e_phnum = 1;
	forged.segments[0].p_flags = flags;
	forged.segments[0].p_filesz = size;
	fd = forged_open(&forged);
	assert_int_equal(pwrite(fd, content, strlen(content),
				(off_t)(forged.segments[0].p_offset + at)),
			 strlen(content));
	assert_int_equal(elf_open(&elf, fd), 0);
	got = elf_search(&elf, text, &address);
	assert_true(got == 0 || (got == -ENOENT && !address));
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
	return address;
}

static void test_search(void **state)
{
	const char *text = "OpenSSL 3.0 legacy OpenSSL 3.0.19", *sought = "OpenSSL #.#.#";

	(void)state;
	for (size_t at = 65500; at < 65560; at++) /* over the end of the part that is read */
		assert_int_equal(search(PF_R, 1 << 20, at, text, sought), FORGED_CODE + at + 19);
	assert_int_equal(search(PF_R | PF_X, 1 << 20, 5, text, sought), FORGED_CODE + 24);
	assert_int_equal(search(PF_R | PF_W, 1 << 20, 5, text, sought), 0);
	assert_int_equal(search(PF_R, 35, 5, text, sought), 0); /* it ends in the text */
	assert_int_equal(search(PF_R, 37, 5, text, sought), FORGED_CODE + 24);
	assert_int_equal(search(PF_R, 1 << 20, 5, "OpenSSL x.0.1", sought), 0);
	assert_int_equal(search(PF_R, 1 << 20, 5, "OpenSSL 1.1.1", "OpenSSL 1.1"), FORGED_CODE + 5);
}

/* In the segment that is not executable first, wherever it stands. */
static void test_search_order(void **state)
{
	struct forged forged;
	struct elf elf;
	uint64_t address = 0;
	int fd;

	(void)state;
	forged_begin(&forged);
	memcpy(forged.bytes, "v1.1", 4);
	memcpy(forged.bytes + FORGED_SEGMENT, "v2.2", 4);
	forged_end(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(elf_search(&elf, "v#.#", &address), 0);
	assert_int_equal(address, FORGED_RODATA);
	assert_int_equal(elf_search(&elf, "", &address), -EINVAL);
	assert_int_equal(elf_search(&elf, "#.#", &address), -EINVAL);
	elf_close(&elf);
	close(fd);
	forged_free(&forged);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_openssl),		 cmocka_unit_test(test_gnutls),
		cmocka_unit_test(test_default_version),	 cmocka_unit_test(test_own_program),
		cmocka_unit_test(test_sections),	 cmocka_unit_test(test_usable),
		cmocka_unit_test(test_names_of_symbols), cmocka_unit_test(test_better),
		cmocka_unit_test(test_versions),	 cmocka_unit_test(test_too_many_names),
		cmocka_unit_test(test_search),		 cmocka_unit_test(test_search_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
