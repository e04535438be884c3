/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the examination of a file shares: its functions, and the plan that is being made. */
#ifndef SMTPSNOOP_EXAMINE_H
#define SMTPSNOOP_EXAMINE_H

#include "probe/code.h"
#include "probe/elf.h"
#include "probe/plan.h"

/* The functions of C libraries, looked up together: each look-up reads the symbol tables. */
enum function {
	SSL_WRITE,
	SSL_WRITE_EX,
	SSL_WRITE_EX2, /* OpenSSL 3.3: with flags before the last argument */
	SSL_READ,
	SSL_READ_EX,
	SSL_GET_CLIENT_RANDOM,
	SSL_IS_SERVER,
	GNUTLS_RECORD_SEND,
	GNUTLS_RECORD_SEND2,
	GNUTLS_RECORD_RECV,
	GNUTLS_RECORD_RECV_SEQ,
	GNUTLS_RECORD_UNCORK,
	GNUTLS_SESSION_GET_RANDOM,
	PR_SEND,
	PR_WRITE,
	PR_RECV,
	PR_READ,
	FUNCTION_MAX,
};

struct examination {
	const struct elf *elf;
	enum machine machine;
	struct elf_symbol found[FUNCTION_MAX];
	struct plan *plan;
};

/* Whether the file defines a function. */
bool examine_has(const struct examination *ex, enum function function);

/* Reads the code of a function. False: it is not defined or cannot be read. */
bool examine_code(const struct examination *ex, enum function function, struct code *code);

/*
 * Adds the entry of a function as a site, with a return probe. False: it is not in an executable
 * segment, cannot be decoded, or the plan is full.
 */
bool examine_site(const struct examination *ex, enum tls_probe probe,
		  const struct elf_symbol *function);

/* The same for a function by its name; nothing happens if the file does not define it. */
bool examine_function(const struct examination *ex, enum tls_probe probe, enum function function);

/* Whether a function without a symbol seems to begin at an address; see code_begins(). */
bool examine_begins(const struct examination *ex, uint64_t address);

void examine_layout(const struct examination *ex, struct tls_layout layout);

/*
 * Searches the file for a text, see elf_search(), and takes it with the letters, digits, '.', '-'
 * and '+' that follow as the version. False: not found.
 */
bool examine_version(const struct examination *ex, const char *text);

/* The parts, in a file each: they fill the plan if the file has such a library. */
void openssl_plan(const struct examination *ex);
void gnutls_plan(const struct examination *ex);
void go_plan(const struct examination *ex);
void nss_plan(const struct examination *ex);

/* For the tests, which have libraries of other machines: plan_make() of an open file. */
int examine_file(const struct elf *elf, enum machine machine, struct plan *plan);

#endif
