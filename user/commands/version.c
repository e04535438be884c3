/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command version: what this program was built from, and what it can do. An optional feature
 * depends on a library that the build host may lack.
 */
#include <stdbool.h>
#include <stdio.h>

#include "commands/commands.h"

#include "commit.h" /* made by the Makefile: COMMIT */

#ifdef HAVE_LIBSYSTEMD
#define LIBSYSTEMD true
#else
#define LIBSYSTEMD false
#endif
#ifdef HAVE_LIBYARA
#define LIBYARA true
#else
#define LIBYARA false
#endif
#ifdef HAVE_LIBMICROHTTPD
#define LIBMICROHTTPD true
#else
#define LIBMICROHTTPD false
#endif

static const struct {
	const char *name, *what;
	bool built_in;
} features[] = {
	{"libsystemd", "process.scheduled_by: systemd-timer", LIBSYSTEMD},
	{"libyara", "rules", LIBYARA},
	{"libmicrohttpd", "metrics.listen", LIBMICROHTTPD},
};

static void list(const char *title, bool built_in)
{
	unsigned int count = 0;

	printf("%s", title);
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		if (features[i].built_in == built_in)
			printf("%s%s (%s)", count++ ? ", " : "", features[i].name,
			       features[i].what);
	}
	puts(count ? "" : "none");
}

void command_version(void)
{
	printf("smtpsnoop %s\n", VERSION);
	printf("commit:       %s\n", COMMIT);
	list("built in:     ", true);
	list("not built in: ", false);
}
