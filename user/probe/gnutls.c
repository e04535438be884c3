/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where GnuTLS is probed.
 *
 * gnutls_record_send() jumps to gnutls_record_send2() (GnuTLS 3.6.3), which begins with a push: one
 * probe sees both. gnutls_record_recv() and gnutls_record_recv_seq() pass their arguments on to an
 * internal function without a symbol, _gnutls_recv_int(session, type, data, size, ...).
 */
#include "probe/examine.h"

#include "probe/callee.h"
#include "probe/layout.h"

#define APPLICATION_DATA 23 /* RFC 8446, section 5.1 */

static bool accepts_typed(const struct value arguments[TRACK_ARGUMENTS])
{
	return value_is_argument(arguments[0], 0) &&
	       value_is_constant(arguments[1], APPLICATION_DATA) &&
	       value_is_argument(arguments[2], 1) && value_is_argument(arguments[3], 2);
}

/* gnutls_record_recv() has a second call of that kind, for TLS in the kernel. */
static bool internal_read(const struct examination *ex)
{
	struct code code;
	uint64_t target;

	if (!examine_code(ex, GNUTLS_RECORD_RECV_SEQ, &code))
		return false;
	target = callee_of(&code, accepts_typed, 0);
	return target && examine_code(ex, GNUTLS_RECORD_RECV, &code) &&
	       callee_of(&code, accepts_typed, target) == target && examine_begins(ex, target) &&
	       examine_site(ex, TLS_PROBE_GNUTLS_READ_TYPED,
			    &(struct elf_symbol){.address = target});
}

static bool exported_reads(const struct examination *ex)
{
	bool found = examine_function(ex, TLS_PROBE_GNUTLS_READ, GNUTLS_RECORD_RECV);

	examine_function(ex, TLS_PROBE_GNUTLS_READ, GNUTLS_RECORD_RECV_SEQ);
	return found;
}

/* The object begins with its role: 1 is a server, 2 a client. */
static void layouts(const struct examination *ex)
{
	struct tls_layout layout = {0x50, TLS_DIRECT, 0, 1};
	struct code code;

	if (examine_code(ex, GNUTLS_SESSION_GET_RANDOM, &code))
		layout_random(&code, &layout);
	examine_layout(ex, layout);
}

void gnutls_plan(const struct examination *ex)
{
	struct plan *plan = ex->plan;
	bool writes, reads;

	if (!examine_has(ex, GNUTLS_RECORD_SEND))
		return;
	plan->layer = TLS_GNUTLS;
	examine_version(ex, "GnuTLS #.#.#");
	layouts(ex);
	writes = examine_function(ex, TLS_PROBE_GNUTLS_WRITE, GNUTLS_RECORD_SEND2) ||
		 examine_function(ex, TLS_PROBE_GNUTLS_WRITE, GNUTLS_RECORD_SEND);
	reads = internal_read(ex) || exported_reads(ex);
	examine_function(ex, TLS_PROBE_GNUTLS_UNCORK, GNUTLS_RECORD_UNCORK);
	if (!writes)
		plan->dark = "the code of gnutls_record_send cannot be read";
	else if (!reads)
		plan->dark = "no gnutls_record_recv that can be read: no replies of the server are "
			     "seen";
}
