/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where OpenSSL is probed, and what has its interface: LibreSSL, BoringSSL, programs that are
 * linked with one of them and have symbols.
 *
 * SSL_write() and SSL_write_ex() are short: both call ssl_write_internal(), ditto for the reads.
 * The internal function begins with a push, which makes a probe there cheap, and has no symbol in a
 * shared library. It is taken from the code of its callers. They must pass their own arguments on
 * to the same function, and the last one must be right too: SSL_write() gives the address of a
 * variable of its own, SSL_write_ex() the one that it was given. A compiler may have put the
 * internal function into each caller (Node.js), and then the call that comes first is another one.
 *
 * In OpenSSL 3.3 the internal write takes flags before the last argument.
 */
#include "probe/examine.h"

#include <stdlib.h>
#include <string.h>

#include "probe/callee.h"
#include "probe/layout.h"

#define NAMES_MAX                                                                                  \
	(1U << 20) /* bytes of .dynstr that are searched for versions; libssl has 20 KB            \
		    */

static bool same_arguments(const struct value arguments[TRACK_ARGUMENTS])
{
	return value_is_argument(arguments[0], 0) && value_is_argument(arguments[1], 1) &&
	       value_is_argument(arguments[2], 2);
}

/* SSL_write(object, data, len), SSL_read() */
static bool accepts_plain(const struct value arguments[TRACK_ARGUMENTS])
{
	return same_arguments(arguments) &&
	       (arguments[3].kind == VALUE_STACK ||
		(value_is_constant(arguments[3], 0) && arguments[4].kind == VALUE_STACK));
}

/* SSL_write_ex(object, data, len, taken), SSL_read_ex() */
static bool accepts_ex(const struct value arguments[TRACK_ARGUMENTS])
{
	return same_arguments(arguments) &&
	       (value_is_argument(arguments[3], 3) ||
		(value_is_constant(arguments[3], 0) && value_is_argument(arguments[4], 3)));
}

/* SSL_write_ex2(object, data, len, flags, taken) */
static bool accepts_ex2(const struct value arguments[TRACK_ARGUMENTS])
{
	return same_arguments(arguments) && value_is_argument(arguments[3], 3) &&
	       value_is_argument(arguments[4], 4);
}

static uint64_t passes_to(const struct examination *ex, enum function function,
			  callee_accepts accepts)
{
	struct code code;

	return examine_code(ex, function, &code) ? callee_of(&code, accepts, 0) : 0;
}

static bool site_at(const struct examination *ex, enum tls_probe probe, uint64_t address)
{
	return address && examine_begins(ex, address) &&
	       examine_site(ex, probe, &(struct elf_symbol){.address = address});
}

static bool internal_write(const struct examination *ex)
{
	uint64_t target = passes_to(ex, SSL_WRITE, accepts_plain);
	uint64_t ex_target = passes_to(ex, SSL_WRITE_EX, accepts_ex);

	/* SSL_write_ex() may go by SSL_write_ex2(), through the table of imports. */
	if (examine_has(ex, SSL_WRITE_EX2) &&
	    (!ex_target || passes_to(ex, SSL_WRITE_EX2, accepts_ex2) != target))
		return false;
	if (!examine_has(ex, SSL_WRITE_EX2) && ex_target != target)
		return false;
	return site_at(ex, TLS_PROBE_OPENSSL_WRITE_EX, target);
}

static bool internal_read(const struct examination *ex)
{
	uint64_t target = passes_to(ex, SSL_READ, accepts_plain);

	return passes_to(ex, SSL_READ_EX, accepts_ex) == target &&
	       site_at(ex, TLS_PROBE_OPENSSL_READ_EX, target);
}

/* If SSL_write_ex() goes by SSL_write_ex2(), one of them is probed: each byte counts once. */
static bool exported_writes(const struct examination *ex)
{
	bool found = examine_function(ex, TLS_PROBE_OPENSSL_WRITE, SSL_WRITE);

	if (!examine_has(ex, SSL_WRITE_EX2) || !passes_to(ex, SSL_WRITE_EX, accepts_ex))
		examine_function(ex, TLS_PROBE_OPENSSL_WRITE_EX, SSL_WRITE_EX);
	examine_function(ex, TLS_PROBE_OPENSSL_WRITE_EX, SSL_WRITE_EX2);
	return found;
}

static bool exported_reads(const struct examination *ex)
{
	bool found = examine_function(ex, TLS_PROBE_OPENSSL_READ, SSL_READ);

	examine_function(ex, TLS_PROBE_OPENSSL_READ_EX, SSL_READ_EX);
	return found;
}

/* ---- The session object -------------------------------------------------------------------------
 */

/* OpenSSL 3.0 and 3.1; 3.2 to 3.5; 1.1.1. What is wrong finds no random, and no session joins. */
static const struct tls_layout usual[] = {
	{0x160, TLS_DIRECT, 0x38, 1},
	{0x188, TLS_DIRECT, 0x78, 1},
	{0xa8, 0xb8, 0x38, 1},
};

static void layouts(const struct examination *ex)
{
	struct tls_layout layout = {.role = TLS_NO_ROLE, .server = 1};
	struct code code;

	if (!examine_code(ex, SSL_GET_CLIENT_RANDOM, &code) || !layout_random(&code, &layout)) {
		for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
			examine_layout(ex, usual[i]);
		return;
	}
	if (examine_code(ex, SSL_IS_SERVER, &code))
		layout_role(&code, &layout);
	examine_layout(ex, layout);
}

/* ---- The names of its symbols -------------------------------------------------------------------
 */

/* Those of .dynstr, each with a NUL; to be freed by the caller. NULL: they cannot be read. */
static char *symbol_names(const struct examination *ex, size_t *len)
{
	struct elf_section section;
	char *names;
	int got;

	if (elf_section(ex->elf, ".dynstr", &section) != 0 || section.size > NAMES_MAX)
		return NULL;
	names = malloc(section.size + 1);
	got = names ? elf_read_offset(ex->elf, section.offset, names, section.size) : -1;
	if (got > 0) {
		*len = (size_t)got;
		return names;
	}
	free(names);
	return NULL;
}

/*
 * GnuTLS's own interface of OpenSSL (libgnutls-openssl), which passes everything on to GnuTLS: that
 * is probed. Its objects are no OpenSSL's, and the part of the interface that gives out the random
 * is missing.
 */
static bool wraps_gnutls(const struct examination *ex)
{
	static const char import[] = "\0gnutls_record_send"; /* with the NUL at its end */
	size_t len = 0;
	char *names;
	bool wraps;

	if (examine_has(ex, SSL_GET_CLIENT_RANDOM))
		return false;
	names = symbol_names(ex, &len);
	wraps = names && memmem(names, len, import, sizeof(import));
	free(names);
	return wraps;
}

/*
 * The shared library of OpenSSL 3 does not tell its version, but its symbols have versions, and
 * each release adds some ("OPENSSL_3.5.0"). The highest one gives the release.
 */
static void version_of_names(const struct examination *ex, const char *names, size_t len)
{
	static const char prefix[] = "OPENSSL_3.";
	const char *at = names, *end = names + len;
	char highest = 0;

	while ((at = memmem(at, (size_t)(end - at), prefix, sizeof(prefix) - 1))) {
		at += sizeof(prefix) - 1;
		if (end - at >= 2 && at[0] >= '0' && at[0] <= '9' && at[1] == '.' &&
		    at[0] > highest)
			highest = at[0];
	}
	if (highest) {
		memcpy(ex->plan->version, "OpenSSL 3.", sizeof("OpenSSL 3."));
		ex->plan->version[sizeof("OpenSSL 3.") - 1] = highest;
	}
}

static void version_of_symbols(const struct examination *ex)
{
	size_t len = 0;
	char *names = symbol_names(ex, &len);

	if (names)
		version_of_names(ex, names, len);
	free(names);
}

void openssl_plan(const struct examination *ex)
{
	struct plan *plan = ex->plan;
	bool writes, reads;

	if (!examine_has(ex, SSL_WRITE) || wraps_gnutls(ex))
		return;
	plan->layer = TLS_OPENSSL;
	if (!examine_version(ex, "OpenSSL #.#.#"))
		version_of_symbols(ex);
	layouts(ex);
	writes = internal_write(ex) || exported_writes(ex);
	reads = internal_read(ex) || exported_reads(ex);
	if (!writes)
		plan->dark = "the code of SSL_write cannot be read";
	else if (!reads)
		plan->dark = "no SSL_read that can be read: no replies of the server are seen";
}
