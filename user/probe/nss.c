/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Where NSS is probed: in NSPR (libnspr4), by whose functions programs write to a connection with
 * TLS as to any other file. PR_Write() and its like jump to the function of the topmost layer, and
 * begin with neither push nor branch, so that probes are dear.
 *
 * A PRFileDesc has at 8 its layer's own data, here the sslSocket of libssl3.so. Where that has the
 * random, this file cannot tell; what is given was measured. Other descriptors have no random there
 * and join nothing.
 */
#include "probe/examine.h"

/* NSS 3.87 for x86-64 */
static const struct tls_layout measured = {0x8, 0x620, TLS_NO_ROLE, 1};

static const struct {
	enum tls_probe probe;
	enum function function;
} calls[] = {
	{TLS_PROBE_NSS_WRITE, PR_SEND},
	{TLS_PROBE_NSS_WRITE, PR_WRITE},
	{TLS_PROBE_NSS_READ, PR_RECV},
	{TLS_PROBE_NSS_READ, PR_READ},
};

void nss_plan(const struct examination *ex)
{
	struct plan *plan = ex->plan;

	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!examine_has(ex, calls[i].function))
			return;
	plan->layer = TLS_NSS;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
		if (!examine_function(ex, calls[i].probe, calls[i].function))
			plan->dark = "the code of PR_Send, PR_Write, PR_Recv or PR_Read cannot be "
				     "read";
	examine_layout(ex, measured);
	if (!plan->dark)
		plan->dark = "where a session has its random was measured for NSS 3.87 alone: "
			     "sessions of other versions may not be seen";
}
