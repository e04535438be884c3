/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Probe plans for forged files: small functions, for both machines. */
#include "forged_symbols.h"

#include "probe/examine.h"

/* A function at a place in the code. No name: it has no symbol. A name with a dot: a section. */
struct part {
	const char *name;
	uint32_t at;
	struct span code;
};

#define PARTS_MAX 10U

/* An entry of the symbol table: its name is added to `names`. */
static Elf64_Sym symbol_of(const struct part *part, struct text *names)
{
	Elf64_Sym symbol =
		forged_function((uint32_t)names->len, STB_GLOBAL, FORGED_CODE + part->at);

	symbol.st_size = part->code.len;
	text_add(names, (struct span){part->name, strlen(part->name) + 1});
	return symbol;
}

static void plan_of(enum machine machine, const struct part *parts, struct plan *plan)
{
	Elf64_Sym symbols[PARTS_MAX + 1] = {{0}};
	struct forged forged;
	struct text names = {0};
	size_t count = 1;
	struct elf elf;
	int fd;

	forged_begin(&forged);
	memset(forged.bytes, 0, FORGED_SEGMENT);
	text_add(&names, BYTES("\0"));
	for (; parts->code.len; parts++) {
		if (parts->name && parts->name[0] == '.') {
			forged_section(&forged, parts->name, SHT_PROGBITS, parts->code);
			continue;
		}
		if (parts->at + parts->code.len <= 2 * FORGED_SEGMENT) /* else a symbol in data */
			memcpy(forged.bytes + parts->at, parts->code.data, parts->code.len);
		if (parts->name)
			symbols[count++] = symbol_of(parts, &names);
	}
	forged_symbols(&forged, SHT_DYNSYM, symbols, count, (struct span){names.data, names.len});
	forged_end(&forged);
	fd = forged_open(&forged);
	assert_int_equal(elf_open(&elf, fd), 0);
	assert_int_equal(examine_file(&elf, machine, plan), 0);
	elf_close(&elf);
	close(fd);
	text_free(&names);
	forged_free(&forged);
}

#define X86(...) plan_of(MACHINE_X86_64, (const struct part[]){__VA_ARGS__, {0}}, &plan)
#define ARM(...) plan_of(MACHINE_AARCH64, (const struct part[]){__VA_ARGS__, {0}}, &plan)

static void check_site(const struct plan *plan, uint32_t i, enum tls_probe probe, uint32_t at,
		       enum price price)
{
	assert_true(i < plan->site_count);
	assert_int_equal(plan->sites[i].probe, probe);
	assert_int_equal(plan->sites[i].offset, offsetof(struct forged, bytes) + at);
	assert_int_equal(plan->sites[i].price, price);
	assert_int_equal(plan->sites[i].returns, probe < TLS_PROBE_GO_WRITE);
}

static void check_layout(const struct plan *plan, uint32_t i, unsigned random, unsigned random_in,
			 unsigned role)
{
	assert_true(i < plan->layout_count);
	assert_int_equal(plan->layouts[i].random, random);
	assert_int_equal(plan->layouts[i].random_in, random_in);
	assert_int_equal(plan->layouts[i].role, role);
	assert_int_equal(plan->layouts[i].server, 1);
}

/* ---- OpenSSL, x86-64 ------------------------------------------------------------------------- */

/* sub $0x18,%rsp; movslq %edx,%rdx; mov %rsp,%rcx; call; add $0x18,%rsp; ret */
#define CALLS(low)                                                                                 \
	BYTES("\x48\x83\xec\x18\x48\x63\xd2\x48\x89\xe1\xe8" low "\0\0\0\x48\x83\xc4\x18\xc3")
/* sub $8,%rsp; call; add $8,%rsp; ret */
#define CALLS_EX(low) BYTES("\x48\x83\xec\x08\xe8" low "\0\0\0\x48\x83\xc4\x08\xc3")
#define PUSHES	      BYTES("\x41\x56\x41\x5e\xc3") /* push %r14; pop %r14; ret */

#define WRITE                                                                                      \
	{                                                                                          \
		"SSL_write", 0, CALLS("\x71")                                                      \
	}
#define WRITE_EX                                                                                   \
	{                                                                                          \
		"SSL_write_ex", 0x20, CALLS_EX("\x57")                                             \
	}
#define READ                                                                                       \
	{                                                                                          \
		"SSL_read", 0x40, CALLS("\x51")                                                    \
	}
#define READ_EX                                                                                    \
	{                                                                                          \
		"SSL_read_ex", 0x60, CALLS_EX("\x37")                                              \
	}
#define INTERNAL_WRITE                                                                             \
	{                                                                                          \
		NULL, 0x80, PUSHES                                                                 \
	}
#define INTERNAL_READ                                                                              \
	{                                                                                          \
		NULL, 0xa0, PUSHES                                                                 \
	}
#define READS READ, READ_EX, INTERNAL_READ

static void test_internal(void **state)
{
	struct plan plan;

	(void)state;
	X86(WRITE, WRITE_EX, INTERNAL_WRITE, READS);
	assert_int_equal(plan.layer, TLS_OPENSSL);
	assert_int_equal(plan.site_count, 2);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE_EX, 0x80, PRICE_CHEAP);
	check_site(&plan, 1, TLS_PROBE_OPENSSL_READ_EX, 0xa0, PRICE_CHEAP);
	assert_null(plan.dark);
	assert_string_equal(plan.version, "");
	/* the internal function begins with endbr64: return probes work behind it, too */
	X86(WRITE, WRITE_EX, {NULL, 0x80, BYTES("\xf3\x0f\x1e\xfa\x55\x5d\xc3")}, READS);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE_EX, 0x84, PRICE_CHEAP);
	/* and with a test: test %rdi,%rdi; je */
	X86(WRITE, WRITE_EX, {NULL, 0x80, BYTES("\x48\x85\xff\x74\x01\x55\xc3")}, READS);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE_EX, 0x83, PRICE_CHEAP);
}

/* Whatever is wrong with the internal function, the exported ones are probed. */
static void check_exported(const struct plan *plan)
{
	assert_int_equal(plan->site_count, 3);
	check_site(plan, 0, TLS_PROBE_OPENSSL_WRITE, 0, PRICE_DEAR);
	check_site(plan, 1, TLS_PROBE_OPENSSL_WRITE_EX, 0x20, PRICE_DEAR);
	check_site(plan, 2, TLS_PROBE_OPENSSL_READ_EX, 0xa0, PRICE_CHEAP);
	assert_null(plan->dark);
}

static void test_internal_refused(void **state)
{
	struct plan plan;

	(void)state;
	/* two callers that disagree */
	X86(WRITE, {"SSL_write_ex", 0x20, CALLS_EX("\x77")}, INTERNAL_WRITE, READS);
	check_exported(&plan);
	/* both call behind the end of the segment */
	X86({"SSL_write", 0, BYTES("\x48\x83\xec\x18\x48\x89\xe1\xe8\xf4\x1f\0\0\xc3")},
	    {"SSL_write_ex", 0x20, BYTES("\x48\x83\xec\x08\xe8\xd7\x1f\0\0\xc3")}, READS);
	check_exported(&plan);
	/* no push at the target: sub $8,%rsp */
	X86(WRITE, WRITE_EX, {NULL, 0x80, BYTES("\x48\x83\xec\x08\xc3")}, READS);
	check_exported(&plan);
	/* bytes at the target that are no instruction */
	X86(WRITE, WRITE_EX, {NULL, 0x80, BYTES("\x06\x06")}, READS);
	check_exported(&plan);
	/* another argument: mov $1,%esi, as in Node.js, whose first call is not ssl_write_internal
	 */
	X86({"SSL_write", 0, BYTES("\x48\x83\xec\x18\x48\x89\xe1\xbe\1\0\0\0\xe8\x6f\0\0\0\xc3")},
	    {"SSL_write_ex", 0x20, BYTES("\x48\x83\xec\x08\xbe\1\0\0\0\xe8\x52\0\0\0\xc3")},
	    INTERNAL_WRITE, READS);
	check_exported(&plan);
	/* no variable for the number of bytes: mov %rsi,%rcx in place of mov %rsp,%rcx */
	X86({"SSL_write", 0, BYTES("\x48\x83\xec\x18\x48\x89\xf1\xe8\x74\0\0\0\xc3")}, WRITE_EX,
	    INTERNAL_WRITE, READS);
	check_exported(&plan);
}

/* OpenSSL 3.3 and later: SSL_write_ex jumps to SSL_write_ex2, and flags stand before the result. */
static void test_write_ex2(void **state)
{
	struct plan plan;
	/* xor %ecx,%ecx; mov %rsp,%r8; call; ret */
	static const struct part write = {
		"SSL_write", 0, {"\x48\x83\xec\x18\x31\xc9\x49\x89\xe0\xe8\x72\0\0\0\xc3", 15}};
	/* mov %rcx,%r8; xor %ecx,%ecx; jmp 0xd0 */
	static const struct part write_ex = {"SSL_write_ex",
					     0x20,
					     {"\x49\x89\xc8\x31\xc9\xe9\xa6\0\0\0", 10}};
	static const struct part imports = {NULL, 0xd0, {"\xff\x25\0\0\0\0", 6}};

	(void)state;
	X86(write, write_ex, {"SSL_write_ex2", 0x30, CALLS_EX("\x47")}, imports, INTERNAL_WRITE,
	    READS);
	assert_int_equal(plan.site_count, 2);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE_EX, 0x80, PRICE_CHEAP);
	/* they disagree: then SSL_write_ex is seen in SSL_write_ex2, once */
	X86(write, write_ex, {"SSL_write_ex2", 0x30, CALLS_EX("\x67")}, imports, INTERNAL_WRITE,
	    READS);
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE, 0, PRICE_DEAR);
	check_site(&plan, 1, TLS_PROBE_OPENSSL_WRITE_EX, 0x30, PRICE_DEAR);
}

/* BoringSSL, old versions of OpenSSL, and what lacks a part. */
static void test_exported_alone(void **state)
{
	struct plan plan;

	(void)state;
	X86({"SSL_write", 0, PUSHES}, {"SSL_read", 0x40, BYTES("\x48\x83\xec\x18\xc3")});
	assert_int_equal(plan.site_count, 2);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE, 0, PRICE_CHEAP);
	check_site(&plan, 1, TLS_PROBE_OPENSSL_READ, 0x40, PRICE_DEAR);
	assert_null(plan.dark);
	X86({"SSL_write", 0, PUSHES});
	assert_int_equal(plan.site_count, 1);
	assert_non_null(strstr(plan.dark, "SSL_read"));
	X86({"SSL_write", 0, BYTES("\x06\x06")}, READS);
	assert_non_null(strstr(plan.dark, "SSL_write"));
	/* a symbol in data is no function, and this file has no TLS library */
	X86({"SSL_write", FORGED_DATA - FORGED_CODE, PUSHES}, READ);
	assert_int_equal(plan.layer, TLS_NONE);
	assert_int_equal(plan.site_count, 0);
}

/* libgnutls-openssl passes on to GnuTLS, which is probed itself. */
static void test_wraps_gnutls(void **state)
{
	struct plan plan;

	(void)state;
	X86(WRITE, READS, {".dynstr", 0, BYTES("\0SSL_write\0gnutls_record_send\0")});
	assert_int_equal(plan.layer, TLS_NONE);
	assert_int_equal(plan.site_count, 0);
	assert_null(plan.dark);
	/* another function; and a program that has both libraries */
	X86(WRITE, READS, {".dynstr", 0, BYTES("\0SSL_write\0gnutls_record_send2\0")});
	assert_int_equal(plan.layer, TLS_OPENSSL);
	X86(WRITE, READS, {"SSL_get_client_random", 0xd0, BYTES("\x48\x8d\x87\x60\1\0\0\xc3")},
	    {".dynstr", 0, BYTES("\0SSL_write\0gnutls_record_send\0")});
	assert_int_equal(plan.layer, TLS_OPENSSL);
}

/* Stripped: texts of a library, in the read-only segment. */
#define TLS_TEXT "TLS 1.3, client CertificateVerify"
#define TEXT(text)                                                                                 \
	{                                                                                          \
		NULL, FORGED_SEGMENT, BYTES(text)                                                  \
	}

static void check_version(struct span text, const char *version)
{
	struct plan plan;

	X86({NULL, FORGED_SEGMENT, text});
	assert_int_equal(plan.layer, TLS_OPENSSL);
	assert_string_equal(plan.version, version);
	assert_int_equal(plan.site_count, 0);
	assert_non_null(strstr(plan.dark, "OpenSSL"));
}

static void test_stripped(void **state)
{
	struct plan plan;

	(void)state;
	check_version(BYTES(TLS_TEXT "OPENSSL_ia32cap\0OpenSSL 3.0.19 27 Jan"), "OpenSSL 3.0.19");
	check_version(BYTES(TLS_TEXT "OPENSSL_ia32cap"), "");
	/* it is cut, and ends before what is not printable */
	check_version(BYTES(TLS_TEXT "OPENSSL_OpenSSL 1.1.1-abcdefghijklmnopqrstuvwxyz"),
		      "OpenSSL 1.1.1-abcdefghijklmnopq");
	check_version(BYTES(TLS_TEXT "OPENSSL_OpenSSL 1.1.1w\x1b[31m"), "OpenSSL 1.1.1w");
	X86(TEXT(TLS_TEXT));
	assert_int_equal(plan.layer, TLS_NONE);
	assert_non_null(strstr(plan.dark, "no symbols"));
	X86(TEXT("OPENSSL_ia32cap\0OpenSSL 3.0.19"));
	assert_null(plan.dark);
}

/* Programs that are linked dynamically, and libraries, are not searched. */
static void test_not_static(void **state)
{
	struct plan plan;

	(void)state;
	X86(TEXT(TLS_TEXT), {".interp", 0, BYTES("/lib64/ld-linux-x86-64.so.2")});
	assert_null(plan.dark);
	X86(TEXT(TLS_TEXT), {"one", 0, PUSHES}, {"two", 0x10, PUSHES});
	assert_null(plan.dark);
}

/* ---- Layouts --------------------------------------------------------------------------------- */

#define SERVER(code)                                                                               \
	{                                                                                          \
		"SSL_is_server", 0xc0, BYTES(code)                                                 \
	}
#define RANDOM(code)                                                                               \
	{                                                                                          \
		"SSL_get_client_random", 0xd0, BYTES(code)                                         \
	}

static void test_layouts(void **state)
{
	struct plan plan;

	(void)state;
	/* lea 0x160(%rdi),%rax; ret. mov 0x38(%rdi),%eax; ret */
	X86(WRITE, RANDOM("\x48\x8d\x87\x60\1\0\0\xc3"), SERVER("\x8b\x47\x38\xc3"));
	assert_int_equal(plan.layout_count, 1);
	check_layout(&plan, 0, 0x160, TLS_DIRECT, 0x38);
	/* 1.1.1: mov 0xa8(%rdi),%rdi; lea 0xb8(%rdi),%rcx */
	X86(WRITE, RANDOM("\x48\x8b\xbf\xa8\0\0\0\x48\x8d\x8f\xb8\0\0\0\xc3"),
	    SERVER("\x8b\x47\x38\xc3"));
	check_layout(&plan, 0, 0xa8, 0xb8, 0x38);
	/* mov %rdi,%rbx; call; add $0x150,%rbx: a register that a call keeps. No SSL_is_server. */
	X86(WRITE, RANDOM("\x48\x89\xfb\xe8\0\2\0\0\x48\x81\xc3\x50\1\0\0\xc3"));
	check_layout(&plan, 0, 0x150, TLS_DIRECT, TLS_NO_ROLE);
	/* SSL_is_server of BoringSSL: movzbl 0x38(%rdi),%eax; shr %eax; ret */
	X86(WRITE, RANDOM("\x48\x8d\x87\x60\1\0\0\xc3"), SERVER("\x0f\xb6\x47\x38\xd1\xe8\xc3"));
	check_layout(&plan, 0, 0x160, TLS_DIRECT, TLS_NO_ROLE);
}

/*
 * OpenSSL 3.2 and later: the object may be of another type, and then a call gives the connection.
 * mov (%rdi),%eax; test %eax,%eax; je L; call; mov %rax,%rdi; L: lea 0x188(%rdi),%rcx; ret, and
 * mov (%rdi),%eax; test %eax,%eax; je L; xor %eax,%eax; ret; L: mov 0x78(%rdi),%eax; ret
 */
static void test_layout_typed(void **state)
{
	struct plan plan;

	(void)state;
	X86(WRITE,
	    RANDOM("\x8b\x07\x85\xc0\x74\x08\xe8\0\2\0\0\x48\x89\xc7\x48\x8d\x8f\x88\1\0\0\xc3"),
	    SERVER("\x8b\x07\x85\xc0\x74\x03\x31\xc0\xc3\x8b\x47\x78\xc3"));
	assert_int_equal(plan.layout_count, 1);
	check_layout(&plan, 0, 0x188, TLS_DIRECT, 0x78);
}

/* What cannot be right leaves the usual places; a loop ends. */
static void check_usual(const struct plan *plan)
{
	assert_int_equal(plan->layout_count, 3);
	check_layout(plan, 0, 0x160, TLS_DIRECT, 0x38);
	check_layout(plan, 1, 0x188, TLS_DIRECT, 0x78);
	check_layout(plan, 2, 0xa8, 0xb8, 0x38);
}

static void test_layout_refused(void **state)
{
	struct plan plan;

	(void)state;
	X86(WRITE, READS);
	check_usual(&plan);
	/* lea 0x2000(%rdi),%rax; lea -8(%rdi),%rax */
	X86(WRITE, RANDOM("\x48\x8d\x87\0\x20\0\0\x48\x8d\x47\xf8\xc3"));
	check_usual(&plan);
	/* lea 8(%rdi),%rdi over and over, and a lea of another argument */
	X86(WRITE, RANDOM("\x48\x8d\x77\0\x48\x8d\x46\x10\xeb\xfe"));
	check_layout(&plan, 0, 0x10, TLS_DIRECT, TLS_NO_ROLE);
	X86(WRITE, RANDOM("\x48\x8d\x46\x10\xeb\xfe"));
	check_usual(&plan);
	/* no sum is too large: mov $INT64_MAX,%rsi; lea 0x7f(%rsi),%rax; mov 0x7f(%rsi),%rax */
	X86(WRITE, RANDOM("\x48\xbe\xff\xff\xff\xff\xff\xff\xff\x7f\x48\x8d\x46\x7f\x48\x8b\x46"
			  "\x7f\xc3"));
	check_usual(&plan);
	/* the pointer was cut to 4 bytes: mov %edi,%eax; lea 0x160(%rax),%rax */
	X86(WRITE, RANDOM("\x89\xf8\x48\x8d\x80\x60\1\0\0\xc3"));
	check_usual(&plan);
}

/* ---- GnuTLS ---------------------------------------------------------------------------------- */

/* mov %rdx,%rcx; mov %rsi,%rdx; mov $0x17,%esi; jmp */
#define RECEIVES(type, low) BYTES("\x48\x89\xd1\x48\x89\xf2\xbe" type "\0\0\0\xe9" low "\0\0\0")
#define SEND                                                                                       \
	{                                                                                          \
		"gnutls_record_send", 0, BYTES("\x31\xc9\xc3")                                     \
	}
#define SEND2                                                                                      \
	{                                                                                          \
		"gnutls_record_send2", 0x10, PUSHES                                                \
	}

static void test_gnutls(void **state)
{
	struct plan plan;

	(void)state;
	X86(SEND, SEND2, {"gnutls_record_recv", 0x20, RECEIVES("\x17", "\x50")},
	    {"gnutls_record_recv_seq", 0x40, RECEIVES("\x17", "\x30")}, INTERNAL_WRITE,
	    {"gnutls_record_uncork", 0xa0, PUSHES});
	assert_int_equal(plan.layer, TLS_GNUTLS);
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_GNUTLS_WRITE, 0x10, PRICE_CHEAP);
	check_site(&plan, 1, TLS_PROBE_GNUTLS_READ_TYPED, 0x80, PRICE_CHEAP);
	check_site(&plan, 2, TLS_PROBE_GNUTLS_UNCORK, 0xa0, PRICE_CHEAP);
	check_layout(&plan, 0, 0x50, TLS_DIRECT, 0);
	assert_null(plan.dark);
	/* an older version: no send2, and another type in one of the two */
	X86(SEND, {"gnutls_record_recv", 0x20, RECEIVES("\x16", "\x50")},
	    {"gnutls_record_recv_seq", 0x40, RECEIVES("\x17", "\x30")}, INTERNAL_WRITE);
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_GNUTLS_WRITE, 0, PRICE_DEAR);
	check_site(&plan, 1, TLS_PROBE_GNUTLS_READ, 0x20, PRICE_DEAR);
	check_site(&plan, 2, TLS_PROBE_GNUTLS_READ, 0x40, PRICE_DEAR);
	X86(SEND);
	assert_non_null(strstr(plan.dark, "gnutls_record_recv"));
}

/* ---- NSS ------------------------------------------------------------------------------------- */

/* mov (%rdi),%rax; jmp *0x90(%rax) */
#define LAYER BYTES("\x48\x8b\x07\xff\xa0\x90\0\0\0")
#define NSPR_WRITES                                                                                \
	{"PR_Send", 0, LAYER},                                                                     \
	{                                                                                          \
		"PR_Write", 0x10, LAYER                                                            \
	}

static void test_nss(void **state)
{
	struct plan plan;

	(void)state;
	X86(NSPR_WRITES, {"PR_Recv", 0x20, LAYER}, {"PR_Read", 0x30, LAYER});
	assert_int_equal(plan.layer, TLS_NSS);
	assert_int_equal(plan.site_count, 4);
	check_site(&plan, 0, TLS_PROBE_NSS_WRITE, 0, PRICE_DEAR);
	check_site(&plan, 1, TLS_PROBE_NSS_WRITE, 0x10, PRICE_DEAR);
	check_site(&plan, 2, TLS_PROBE_NSS_READ, 0x20, PRICE_DEAR);
	check_site(&plan, 3, TLS_PROBE_NSS_READ, 0x30, PRICE_DEAR);
	check_layout(&plan, 0, 8, 0x620, TLS_NO_ROLE);
	assert_non_null(strstr(plan.dark, "NSS 3.87"));
	X86(NSPR_WRITES, {"PR_Recv", 0x20, LAYER});
	assert_int_equal(plan.layer, TLS_NONE);
	X86(NSPR_WRITES, {"PR_Recv", 0x20, LAYER}, {"PR_Read", 0x30, BYTES("\x06")});
	assert_non_null(strstr(plan.dark, "cannot be read"));
}

/* ---- Go -------------------------------------------------------------------------------------- */

#define GO(version)                                                                                \
	{                                                                                          \
		".go.buildinfo", 0,                                                                \
			BYTES("\xff Go buildinf:\10\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x8" version) \
	}
/* cmp 0x10(%r14),%rsp; jbe */
#define GO_CHECK "\x49\x3b\x66\x10\x76\x10"
#define GO_WRITE                                                                                   \
	{                                                                                          \
		"crypto/tls.(*Conn).writeRecordLocked", 0, BYTES(GO_CHECK "\x48\x83\xec\x10\xc3")  \
	}
#define GO_READ(code)                                                                              \
	{                                                                                          \
		"crypto/tls.(*Conn).Read", 0x40, BYTES(GO_CHECK code)                              \
	}
#define GO_READER                                                                                  \
	{                                                                                          \
		"bytes.(*Reader).Read", 0xa0, BYTES("\xc3")                                        \
	}

static void test_go(void **state)
{
	struct plan plan;

	(void)state;
	/* Read: call 0xa0; mov %rbx,%rcx; test %rax,%rax; je; ret. Of Go 1.24: push %rbp */
	X86({"crypto/tls.(*Conn).writeRecordLocked", 0, BYTES(GO_CHECK "\x55\xc3")},
	    GO_READ("\xe8\x55\0\0\0\x48\x89\xd9\x48\x85\xc0\x74\0\xc3"), GO_READER, GO("go1.24.1"));
	assert_int_equal(plan.layer, TLS_GO);
	assert_string_equal(plan.version, "go1.24.1");
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_GO_WRITE, 6, PRICE_CHEAP);
	check_site(&plan, 1, TLS_PROBE_GO_READ, 0x44, PRICE_CHEAP);
	check_site(&plan, 2, TLS_PROBE_GO_READ_END, 0x51, PRICE_CHEAP);
	assert_int_equal(plan.layout_count, 0);
	assert_null(plan.dark);
	/* the result is gone before the branch: mov %rbx,%rax. Another call is no better. */
	X86(GO_WRITE, GO_READ("\xe8\x55\0\0\0\x48\x89\xd8\x74\0\xc3"), GO_READER, GO("go1.19.8"));
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_GO_WRITE, 4, PRICE_CHEAP);
	check_site(&plan, 2, TLS_PROBE_GO_READ_END, 0x50, PRICE_DEAR);
	X86(GO_WRITE, GO_READ("\xe8\x56\0\0\0\x74\0\xc3\x90\xc3\xcc"), GO_READER, GO("go1.19.8"));
	assert_int_equal(plan.site_count, 4);
	check_site(&plan, 2, TLS_PROBE_GO_READ_END, 0x4d, PRICE_DEAR);
	check_site(&plan, 3, TLS_PROBE_GO_READ_END, 0x4f, PRICE_DEAR);
}

#define RETURNS_7 "\xc3\xc3\xc3\xc3\xc3\xc3\xc3"

static void test_go_dark(void **state)
{
	struct plan plan;

	(void)state;
	X86(GO_WRITE, GO_READ("\xc3"), GO("go1.16.9"));
	assert_int_equal(plan.layer, TLS_GO);
	assert_int_equal(plan.site_count, 0);
	assert_non_null(strstr(plan.dark, "on the stack"));
	/* bytes that are not known, before and behind a return; more returns than sites */
	X86(GO_WRITE, GO_READ("\xc3\x06\xc3"), GO("go1.19.8"));
	assert_int_equal(plan.site_count, 1);
	assert_non_null(strstr(plan.dark, "length of a read"));
	X86(GO_WRITE, GO_READ(RETURNS_7 RETURNS_7), GO("go1.19.8"));
	assert_int_equal(plan.site_count, PLAN_SITES_MAX);
	assert_null(plan.dark);
	X86(GO_WRITE, GO_READ(RETURNS_7 RETURNS_7 "\xc3"), GO("go1.19.8"));
	assert_int_equal(plan.site_count, 1);
	assert_non_null(strstr(plan.dark, "length of a read"));
	X86(GO_WRITE, GO("go1.19.8"));
	assert_int_equal(plan.site_count, 1);
	assert_non_null(plan.dark);
	/* no check of the stack: nothing tells where the function begins again */
	X86({"crypto/tls.(*Conn).writeRecordLocked", 0, BYTES("\x48\x83\xec\x10\xc3")},
	    GO_READ("\xc3"), GO("go1.19.8"));
	assert_int_equal(plan.site_count, 0);
	assert_non_null(plan.dark);
	/* of another language, or without crypto/tls */
	X86(GO_WRITE);
	assert_int_equal(plan.layer, TLS_NONE);
	X86(GO_READER, GO("go1.19.8"));
	assert_int_equal(plan.layer, TLS_NONE);
}

/* ---- aarch64 --------------------------------------------------------------------------------- */

/* sub sp,sp,#32; sxtw x2,w2; mov x3,sp; bl; ret */
#define ARM_CALLS(low)                                                                             \
	BYTES("\xff\x83\0\xd1\x42\x7c\x40\x93\xe3\3\0\x91" low "\0\0\x94\xc0\3\x5f\xd6")
/* stp x29,x30,[sp,#-16]!; bl; ret */
#define ARM_CALLS_EX(low) BYTES("\xfd\x7b\xbf\xa9" low "\0\0\x94\xc0\3\x5f\xd6")
#define ARM_RETURN	  "\xc0\3\x5f\xd6"

static void test_arm(void **state)
{
	struct plan plan;

	(void)state;
	/* paciasp; stp: the probe is on paciasp, before it signs the return address */
	ARM({"SSL_write", 0, ARM_CALLS("\x1d")}, {"SSL_write_ex", 0x20, ARM_CALLS_EX("\x17")},
	    {NULL, 0x80, BYTES("\x3f\x23\3\xd5\xfd\x7b\xbf\xa9")},
	    {"SSL_read", 0x40, ARM_CALLS("\x15")}, {"SSL_read_ex", 0x60, ARM_CALLS_EX("\x0f")},
	    /* bti c; cbz x0: the branch is simulated */
	    {NULL, 0xa0, BYTES("\x5f\x24\3\xd5\x40\0\0\xb4" ARM_RETURN)},
	    /* ldr w0,[x0,#56]; ret. add x1,x0,#352; ret */
	    SERVER("\0\x38\x40\xb9" ARM_RETURN), RANDOM("\1\x80\5\x91" ARM_RETURN));
	assert_int_equal(plan.site_count, 2);
	check_site(&plan, 0, TLS_PROBE_OPENSSL_WRITE_EX, 0x80, PRICE_DEAR);
	check_site(&plan, 1, TLS_PROBE_OPENSSL_READ_EX, 0xa4, PRICE_CHEAP);
	check_layout(&plan, 0, 0x160, TLS_DIRECT, 0x38);
	assert_int_equal(plan.layout_count, 1);
}

/* ldr x16,[x28,#16]; cmp sp,x16; b.ls; ... ret; and zeros behind it */
static void test_arm_go(void **state)
{
	static const char code[] =
		"\x90\x0b\x40\xf9\xff\x63\x30\xeb\x49\0\0\x54" ARM_RETURN "\0\0\0\0\0\0\0";
	struct plan plan;

	(void)state;
	ARM({"crypto/tls.(*Conn).writeRecordLocked", 0, {code, sizeof(code)}},
	    {"crypto/tls.(*Conn).Read", 0x40, {code, sizeof(code)}}, GO("go1.19.8"));
	assert_int_equal(plan.site_count, 3);
	check_site(&plan, 0, TLS_PROBE_GO_WRITE, 8, PRICE_CHEAP);
	check_site(&plan, 1, TLS_PROBE_GO_READ, 0x48, PRICE_CHEAP);
	check_site(&plan, 2, TLS_PROBE_GO_READ_END, 0x4c, PRICE_CHEAP);
	assert_null(plan.dark);
	ARM({"crypto/tls.(*Conn).writeRecordLocked", 0, {code, sizeof(code)}}, GO("go1.17.8"));
	assert_non_null(strstr(plan.dark, "on the stack"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_internal),     cmocka_unit_test(test_internal_refused),
		cmocka_unit_test(test_write_ex2),    cmocka_unit_test(test_exported_alone),
		cmocka_unit_test(test_wraps_gnutls), cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_not_static),   cmocka_unit_test(test_layouts),
		cmocka_unit_test(test_layout_typed), cmocka_unit_test(test_layout_refused),
		cmocka_unit_test(test_gnutls),	     cmocka_unit_test(test_nss),
		cmocka_unit_test(test_go),	     cmocka_unit_test(test_go_dark),
		cmocka_unit_test(test_arm),	     cmocka_unit_test(test_arm_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
