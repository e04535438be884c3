/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The decoder of instructions: all functions of real libraries, and single encodings. */
#include "unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <string.h>
#include <unistd.h>

#include "probe/instruction.h"

#if defined(__x86_64__)
#define OWN MACHINE_X86_64
#else
#define OWN MACHINE_AARCH64
#endif

/* ---- Functions of this host -------------------------------------------------------------------
 */

struct walked {
	size_t functions, instructions, calls, returns;
};

/* The compiler's own sizes of functions tell where a walk must end. */
static void walk(const uint8_t *code, size_t size, const char *name, struct walked *walked)
{
	struct instruction in;
	size_t at = 0;

	for (; at < size; at += in.length) {
		if (instruction_decode(OWN, code + at, size - at, &in))
			fail_msg("%s+0x%zx: %02x %02x %02x %02x is not known", name, at, code[at],
				 at + 1 < size ? code[at + 1] : 0, at + 2 < size ? code[at + 2] : 0,
				 at + 3 < size ? code[at + 3] : 0);
		walked->instructions++;
		walked->calls += in.kind == INSTRUCTION_CALL;
		walked->returns += in.kind == INSTRUCTION_RETURN;
	}
	assert_int_equal(at, size);
	walked->functions++;
}

static Elf_Scn *section_of_type(Elf *elf, GElf_Word type, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == type)
			return section;
	fail_msg("no symbols");
	return NULL;
}

static void walk_functions(Elf *elf, const uint8_t *base, struct walked *walked)
{
	GElf_Shdr header;
	Elf_Data *data = elf_getdata(section_of_type(elf, SHT_DYNSYM, &header), NULL);
	GElf_Sym symbol;

	assert_non_null(data);
	for (int i = 0; gelf_getsym(data, i, &symbol); i++)
		if (GELF_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_size)
			walk(base + symbol.st_value, symbol.st_size,
			     elf_strptr(elf, header.sh_link, symbol.st_name), walked);
}

static struct walked walk_library(const char *library)
{
	struct walked walked = {0};
	void *handle = dlopen(library, RTLD_LAZY);
	struct link_map *map;
	Elf *elf;
	int fd;

	assert_non_null(handle);
	assert_int_equal(dlinfo(handle, RTLD_DI_LINKMAP, &map), 0);
	fd = open(map->l_name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	assert_non_null(elf);
	walk_functions(elf, (const uint8_t *)map->l_addr, &walked);
	elf_end(elf);
	close(fd);
	dlclose(handle);
	return walked;
}

static void check_library(const char *library, size_t functions)
{
	struct walked walked = walk_library(library);

	assert_true(walked.functions >= functions);
	assert_true(walked.instructions > 10 * walked.functions);
	assert_true(walked.calls > walked.functions / 2);
	assert_true(walked.returns > walked.functions / 2);
}

/* libc.so.6 has the vector instructions of each generation of processors. */
static void test_libraries(void **state)
{
	void *handle = dlopen("libssl.so.3", RTLD_LAZY);

	(void)state;
	check_library(handle ? "libssl.so.3" : "libssl.so.1.1", 400);
	if (handle)
		dlclose(handle);
	check_library("libc.so.6", 1500);
	check_library("libelf.so.1", 100);
	check_library("libz.so.1", 60);
}

/* ---- Single encodings --------------------------------------------------------------------------
 */

struct encoding {
	struct span bytes;
	enum instruction_kind kind;
	uint8_t to, from, width;
	int64_t value;
	uint32_t writes;
	bool emulated;
};

/* Decodes as many bytes as there are, then with others behind it, then each beginning of it. */
static void check_encoding(enum machine machine, const struct encoding *wanted)
{
	struct instruction in;
	struct span bytes = exact(wanted->bytes);
	uint8_t padded[2 * INSTRUCTION_LENGTH_MAX];

	assert_int_equal(instruction_decode(machine, (const void *)bytes.data, bytes.len, &in), 0);
	assert_int_equal(in.length, bytes.len);
	assert_int_equal(in.kind, wanted->kind);
	assert_int_equal(in.to, wanted->to);
	assert_int_equal(in.from, wanted->from);
	assert_int_equal(in.width, wanted->width);
	assert_int_equal(in.value, wanted->value);
	assert_int_equal(in.writes, wanted->writes);
	assert_int_equal(in.emulated, wanted->emulated);
	memset(padded, 0xff, sizeof(padded));
	memcpy(padded, bytes.data, bytes.len);
	assert_int_equal(instruction_decode(machine, padded, sizeof(padded), &in), 0);
	assert_int_equal(in.length, bytes.len);
	exact_free(bytes);
	for (size_t len = 0; len < wanted->bytes.len; len++) {
		bytes = exact((struct span){wanted->bytes.data, len});
		in.length = 77;
		assert_int_equal(instruction_decode(machine, (const void *)bytes.data, len, &in),
				 -EILSEQ);
		assert_int_equal(in.length, 77);
		exact_free(bytes);
	}
}

#define CHECK(machine, literal, ...)                                                               \
	check_encoding(machine, &(struct encoding){.bytes = BYTES(literal), __VA_ARGS__})
#define X86(...) CHECK(MACHINE_X86_64, __VA_ARGS__)
#define ARM(...) CHECK(MACHINE_AARCH64, __VA_ARGS__)
#define BIT(n)	 (1U << (n))
#define ANY	 .writes = INSTRUCTION_ANY
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R14 = 14 };

static void test_x86_control(void **state)
{
	(void)state;
	X86("\x55", INSTRUCTION_PUSH, .writes = BIT(RSP), .emulated = true);
	X86("\x41\x56", INSTRUCTION_PUSH, .writes = BIT(RSP), .emulated = true);
	X86("\x48\x55", INSTRUCTION_PUSH, .writes = BIT(RSP)); /* the kernel takes no REX.W */
	X86("\x66\x55", INSTRUCTION_PUSH, .writes = BIT(RSP));
	X86("\x90", INSTRUCTION_NOP, .emulated = true);
	X86("\xf3\x90", INSTRUCTION_NOP); /* pause */
	X86("\x0f\x1f\x44\0\0", INSTRUCTION_NOP);
	X86("\x66\x2e\x0f\x1f\x84\0\0\0\0\0", INSTRUCTION_NOP);
	X86("\xf3\x0f\x1e\xfa", INSTRUCTION_MARK);
	X86("\xe8\x10\0\0\0", INSTRUCTION_CALL, .value = 0x15, ANY, .emulated = true);
	X86("\xe8\xf0\xff\xff\xff", INSTRUCTION_CALL, .value = -11, ANY, .emulated = true);
	X86("\xe9\0\1\0\0", INSTRUCTION_JUMP, .value = 0x105, .emulated = true);
	X86("\xeb\xfe", INSTRUCTION_JUMP, .value = 0, .emulated = true);
	X86("\x76\x10", INSTRUCTION_BRANCH, .value = 0x12, .emulated = true);
	X86("\x0f\x86\0\0\0\x80", INSTRUCTION_BRANCH, .value = INT32_MIN + 6, .emulated = true);
	X86("\xe3\x10", INSTRUCTION_BRANCH, .value = 0x12, ANY); /* jrcxz */
	X86("\xc3", INSTRUCTION_RETURN, ANY);
	X86("\xf3\xc3", INSTRUCTION_RETURN, ANY);
	X86("\xc2\x08\0", INSTRUCTION_RETURN, ANY);
	X86("\xff\x60\x48", INSTRUCTION_END, .writes = BIT(RSP));
	X86("\x3e\xff\xe0", INSTRUCTION_END, .writes = BIT(RSP));
	X86("\xff\x15\0\0\0\0", INSTRUCTION_CALL_ANY, .writes = BIT(RSP));
	X86("\x0f\x0b", INSTRUCTION_END);
	X86("\xcc", INSTRUCTION_END);
}

static void test_x86_data(void **state)
{
	(void)state;
	X86("\x48\x89\xe1", INSTRUCTION_MOVE, RCX, RSP, 8, .writes = BIT(RCX));
	X86("\x49\x89\xfe", INSTRUCTION_MOVE, R14, RDI, 8, .writes = BIT(R14));
	X86("\x4c\x8b\xf7", INSTRUCTION_MOVE, R14, RDI, 8, .writes = BIT(R14));
	X86("\x89\xd2", INSTRUCTION_MOVE, RDX, RDX, 4, .writes = BIT(RDX));
	X86("\x48\x63\xd2", INSTRUCTION_MOVE, RDX, RDX, 4, .writes = BIT(RDX));
	X86("\x48\x8d\xb7\x60\1\0\0", INSTRUCTION_ADDRESS, RSI, RDI, 8, 0x160, BIT(RSI));
	X86("\x48\x8d\x4d\xa8", INSTRUCTION_ADDRESS, RCX, RBP, 8, -0x58, BIT(RCX));
	X86("\x49\x8d\x44\x24\x08", INSTRUCTION_ADDRESS, RAX, 12, 8, 8, BIT(RAX));
	X86("\x48\x8d\x05\0\1\0\0", .writes = BIT(RAX));     /* relative to rip */
	X86("\x48\x8d\x44\x37\x08", .writes = BIT(RAX));     /* with an index */
	X86("\x48\x8d\x04\x25\0\0\0\0", .writes = BIT(RAX)); /* no base */
	X86("\x48\x81\xc7\x88\1\0\0", INSTRUCTION_ADDRESS, RDI, RDI, .value = 0x188,
	    .writes = BIT(RDI));
	X86("\x48\x83\xec\x18", INSTRUCTION_ADDRESS, RSP, RSP, .value = -0x18, .writes = BIT(RSP));
	X86("\x48\x83\xff\x18"); /* cmp */
	X86("\x83\xc7\x18", .writes = BIT(RDI));
	X86("\x8b\x47\x38", INSTRUCTION_LOAD, RAX, RDI, 4, 0x38, BIT(RAX));
	X86("\x48\x8b\xbf\xa8\0\0\0", INSTRUCTION_LOAD, RDI, RDI, 8, 0xa8, BIT(RDI));
	X86("\x48\x8b\x07", INSTRUCTION_LOAD, RAX, RDI, 8, 0, BIT(RAX));
	X86("\x64\x48\x8b\x04\x25\x28\0\0\0", .writes = BIT(RAX)); /* in a segment */
	X86("\x31\xc9", INSTRUCTION_IMMEDIATE, RCX, .writes = BIT(RCX));
	X86("\x45\x31\xc0", INSTRUCTION_IMMEDIATE, R8, .writes = BIT(R8));
	X86("\x31\xc8", .writes = BIT(RAX));
	X86("\xbe\x17\0\0\0", INSTRUCTION_IMMEDIATE, RSI, .value = 0x17, .writes = BIT(RSI));
	X86("\x48\xb8\1\2\3\4\5\6\7\x08", INSTRUCTION_IMMEDIATE, RAX, .value = 0x0807060504030201,
	    .writes = BIT(RAX));
	X86("\x48\xc7\xc0\xff\xff\xff\xff", INSTRUCTION_IMMEDIATE, RAX, .value = -1,
	    .writes = BIT(RAX));
}

/* What changes no register, what changes others than it names first, and what is not looked at. */
static void test_x86_writes(void **state)
{
	(void)state;
	X86("\x48\x85\xd2");				/* test */
	X86("\x80\xbf\xb8\6\0\0\0");			/* cmpb $0,0x6b8(%rdi) */
	X86("\x48\x89\x44\x24\x08");			/* a store */
	X86("\xc7\x46\x08\x20\0\0\0");			/* mov $0x20,8(%rsi) */
	X86("\x40\xf6\xc7\1");				/* test $1,%dil */
	X86("\x66\xf7\xc7\1\2");			/* test $0x201,%di */
	X86("\xf7\xd7", .writes = BIT(RDI));		/* not */
	X86("\xf7\xe7", .writes = BIT(RAX) | BIT(RDX)); /* mul */
	X86("\xb7\1", .writes = BIT(RDI) | BIT(RBX));	/* mov $1,%bh, which is numbered as dil */
	X86("\x40\xb7\1", .writes = BIT(RDI));
	X86("\x0f\xb6\x47\x38", .writes = BIT(RAX));	/* movzbl */
	X86("\x0f\x46\xc2", .writes = BIT(RAX));	/* cmovbe */
	X86("\x87\xf7", .writes = BIT(RDI) | BIT(RSI)); /* xchg */
	X86("\x0f\x11\x06");				/* movups to memory */
	X86("\xf3\xa4", ANY);				/* rep movsb */
	X86("\x0f\xa2", ANY);				/* cpuid */
	X86("\x0f\x05", ANY);
}

static void test_x86_length(void **state)
{
	(void)state;
	X86("\x66\x0f\x3a\x0f\xc1\x08", ANY);	  /* palignr */
	X86("\x66\x0f\x38\0\xc1", ANY);		  /* pshufb */
	X86("\xc5\xf8\x77", ANY);		  /* vzeroupper */
	X86("\xc5\xf9\x70\xc0\x4e", ANY);	  /* vpshufd */
	X86("\xc4\xe3\x7d\x39\xc1\1", ANY);	  /* vextracti128 */
	X86("\xc4\xe2\xf9\xf7\x47\x08", ANY);	  /* shlx */
	X86("\x62\xf1\xfe\x48\x6f\x46\1", ANY);	  /* vmovdqu64 */
	X86("\x62\xf3\x7d\x48\x3f\x46\1\4", ANY); /* vpcmpb */
	X86("\x66\x81\xff\1\2");		  /* cmp $0x201,%di */
	X86("\x66\x48\x0f\x6e\xc7");		  /* movq */
	X86("\xa1\1\2\3\4\5\6\7\x08", ANY);	  /* movabs */
	X86("\x67\xa1\1\2\3\4", ANY);
	X86("\x0f\xa4\xd8\x08", .writes = BIT(RAX)); /* shld */
	X86("\x0f\xba\xe0\x08", .writes = BIT(RAX)); /* bt */
	X86("\xc8\1\2\3", ANY);			     /* enter */
	X86("\x66\x66\x48\xe8\1\0\0\0", INSTRUCTION_CALL, .value = 9, ANY);
	X86("\x66\x66\x2e\x0f\x1f\x84\0\0\0\0\0", INSTRUCTION_NOP);
}

static void check_unknown(enum machine machine, struct span bytes)
{
	struct instruction in;

	assert_int_equal(instruction_decode(machine, (const void *)bytes.data, bytes.len, &in),
			 -EILSEQ);
}

/* Invalid in 64-bit mode, undefined, or longer than 15 bytes. */
static void test_unknown(void **state)
{
	static const char *const bytes[] = {
		"\x06",
		"\x27",
		"\x60",
		"\x82\xc0\1",
		"\x9a",
		"\xce",
		"\xd5\x10",
		"\xea",
		"\x0f\x04",
		"\x0f\x0c",
		"\x0f\x0f\xc0\x9e",
		"\x0f\x24\xc0",
		"\x0f\xa6\xc0",
		"\x0f\xff\xc0",
		"\x48\x48\x89\xc0",
		"\x48\x66\x89\xc0",
		"\x66\xe8\1\2\3\4",
		"\x8f\xe8\x78\xa2\xc1",
		"\xc4\xe0\x78\x10\xc0",
		"\xc4\xe4\x78\x10\xc0",
		"\x62\xf1\xfa\x48\x6f\x46",
		"\x62\xf9\xfe\x48\x6f\x46",
		"\x62\xf4\xfe\x48\x6f\x46",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bytes) / sizeof(bytes[0]); i++) {
		uint8_t padded[16] = {0};

		memcpy(padded, bytes[i], strlen(bytes[i]));
		check_unknown(MACHINE_X86_64, (struct span){(const char *)padded, sizeof(padded)});
	}
	check_unknown(MACHINE_X86_64,
		      BYTES("\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x90"));
	check_unknown(MACHINE_AARCH64, BYTES("\0\0\0\0"));
	check_unknown(MACHINE_AARCH64, BYTES("\0\0\0\x04")); /* SVE */
}

static void test_arm64(void **state)
{
	(void)state;
	ARM("\x10\0\0\x94", INSTRUCTION_CALL, .value = 0x40, .emulated = true);
	ARM("\xff\xff\xff\x17", INSTRUCTION_JUMP, .value = -4, .emulated = true);
	ARM("\x41\0\0\x54", INSTRUCTION_BRANCH, .value = 8, .emulated = true); /* b.ne */
	ARM("\xe1\xff\xff\x54", INSTRUCTION_BRANCH, .value = -4, .emulated = true);
	ARM("\x40\0\0\xb4", INSTRUCTION_BRANCH, .value = 8, .emulated = true);	 /* cbz x0 */
	ARM("\x41\0\x38\x36", INSTRUCTION_BRANCH, .value = 8, .emulated = true); /* tbz w1,#7 */
	ARM("\xc0\3\x5f\xd6", INSTRUCTION_RETURN, .emulated = true);
	ARM("\xff\x0b\x5f\xd6", INSTRUCTION_RETURN); /* retaa */
	ARM("\x20\0\x1f\xd6", INSTRUCTION_END);
	ARM("\x20\0\x3f\xd6", INSTRUCTION_CALL_ANY);
	ARM("\1\0\0\xd4", ANY);		      /* svc */
	ARM("\0\0\x20\xd4", INSTRUCTION_END); /* brk */
	ARM("\x1f\x20\3\xd5", INSTRUCTION_NOP);
	ARM("\x5f\x24\3\xd5", INSTRUCTION_MARK);		    /* bti c */
	ARM("\x3f\x23\3\xd5", INSTRUCTION_MARK, .writes = BIT(30)); /* paciasp */
	ARM("\xfd\x7b\xbf\xa9", INSTRUCTION_PUSH);		    /* stp x29,x30,[sp,#-16]! */
	ARM("\xf3\x53\1\xa9");					    /* stp x19,x20,[sp,#16] */
	ARM("\xfd\x7b\xc2\xa8", .writes = BIT(29) | BIT(30));	    /* ldp x29,x30,[sp],#32 */
	ARM("\xff\x83\0\xd1", INSTRUCTION_ADDRESS, 31, 31, 8, -32);
	ARM("\xe3\3\0\x91", INSTRUCTION_ADDRESS, 3, 31, 8, 0, BIT(3)); /* mov x3,sp */
	ARM("\1\x80\5\x91", INSTRUCTION_ADDRESS, 1, 0, 8, 0x160, BIT(1));
	ARM("\1\4\x40\x91", INSTRUCTION_ADDRESS, 1, 0, 8, 0x1000, BIT(1));
	ARM("\0\x38\x40\xb9", INSTRUCTION_LOAD, 0, 0, 4, 56, BIT(0));
	ARM("\1\x54\x40\xf9", INSTRUCTION_LOAD, 1, 0, 8, 168, BIT(1));
	ARM("\1\x80\x5f\xf8", INSTRUCTION_LOAD, 1, 0, 8, -8, BIT(1)); /* ldur */
	ARM("\xe3\3\2\xaa", INSTRUCTION_MOVE, 3, 2, 8, 0, BIT(3));
	ARM("\xe3\3\x1f\xaa", INSTRUCTION_IMMEDIATE, 3, 0, 8, 0,
	    BIT(3));						       /* from the zero register */
	ARM("\x42\x7c\x40\x93", INSTRUCTION_MOVE, 2, 2, 4, 0, BIT(2)); /* sxtw */
	ARM("\xe1\2\x80\x52", INSTRUCTION_IMMEDIATE, 1, 0, 8, 23, BIT(1));
	ARM("\x20\4\0\xf9");			 /* str x0,[x1,#8] */
	ARM("\x20\x84\0\xf8", .writes = BIT(1)); /* str x0,[x1],#8 */
	ARM("\x1f\4\0\x71");			 /* cmp w0,#1 */
	ARM("\x48\0\0\x90", .writes = BIT(8));	 /* adrp */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libraries),  cmocka_unit_test(test_x86_control),
		cmocka_unit_test(test_x86_data),   cmocka_unit_test(test_x86_writes),
		cmocka_unit_test(test_x86_length), cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_arm64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
