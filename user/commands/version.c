/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The command version: what this program was built from, and what it can do. */
#include <stdbool.h>
#include <stdio.h>

#include "base/library.h"
#include "commands/commands.h"

#include "commit.h" /* made by the Makefile: COMMIT */

/* The keys that need a library. */
static const char *const needed_by[LIBRARY_COUNT] = {
	[LIBRARY_SYSTEMD] = "process.scheduled_by: systemd-timer",
	[LIBRARY_YARA] = "rules",
	[LIBRARY_MICROHTTPD] = "metrics.listen",
};

static void list(const char *title, bool built)
{
	unsigned int count = 0;

	printf("%s", title);
	for (int i = 0; i < LIBRARY_COUNT; i++) {
		if (library_built((enum library)i) == built)
			printf("%s%s (%s)", count++ ? ", " : "", library_name((enum library)i),
			       needed_by[i]);
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
