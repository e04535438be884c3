/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "capture/libraries.h"
#include "commands/doctor.h"

#define SETTLE_NS 5000000000ULL

static const char *layer_name(enum tls_layer layer)
{
	static const char *const names[TLS_LAYER_MAX] = {[TLS_OPENSSL] = "OpenSSL",
							 [TLS_GNUTLS] = "GnuTLS",
							 [TLS_GO] = "Go",
							 [TLS_NSS] = "NSS"};

	return names[layer] ? names[layer] : "TLS";
}

/* What a call costs there: a probe takes 0.5 us at a cheap place and 10 us at another. */
static const char *price(const struct library_state *state)
{
	if (!state->attached)
		return "dark";
	return !state->dear ? "cheap" : state->cheap ? "partly dear" : "dear";
}

static void print_library(const struct library_state *state, bool first)
{
	const char *why = state->error ? strerror(-state->error) : state->dark;

	printf("%-12s%-12s%-20s%s%s%s\n", first ? "libraries" : "", price(state),
	       state->version[0] ? state->version : layer_name(state->layer), state->path,
	       why ? ": " : "", why ? why : "");
}

/* What "cheap" and "dear" mean. */
static void print_prices(const struct library_state *states, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (!states[i].attached || !states[i].dear)
			continue;
		printf("%-12sa probe costs a call about 0.5 us where it is cheap, 10 us where it "
		       "is dear\n",
		       "");
		return;
	}
}

static void print_counts(struct libraries *libraries)
{
	struct libraries_counts counts;

	if (!libraries_counts(libraries, &counts))
		return;
	if (counts.refused)
		printf("%-12s%llu libraries beyond the limit are dark\n", "",
		       (unsigned long long)counts.refused);
	if (counts.not_examined)
		printf("%-12sfiles of users with many files were not examined, %llu times\n", "",
		       (unsigned long long)counts.not_examined);
	if (counts.layouts_full)
		printf("%-12s%llu places of the random in a session had no room\n", "",
		       (unsigned long long)counts.layouts_full);
}

void doctor_libraries(struct libraries *libraries)
{
	struct library_state *states;
	size_t count = 0;
	bool settled;

	if (!libraries)
		return;
	settled = libraries_settle(libraries, SETTLE_NS);
	states = calloc(LIBRARIES_MAX, sizeof(*states));
	if (states)
		count = libraries_list(libraries, states, LIBRARIES_MAX);
	for (size_t i = 0; i < count; i++)
		print_library(&states[i], i == 0);
	print_prices(states, count);
	if (!count)
		printf("%-12snone was found\n", "libraries");
	if (!settled)
		printf("%-12snot all processes were looked at in time\n", "");
	print_counts(libraries);
	free(states);
}
