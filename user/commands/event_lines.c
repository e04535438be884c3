/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/event_lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"

bool event_lines_read(FILE *file, const char *name, event_line_fn on_event, void *context)
{
	unsigned long number = 0;
	bool good = true;
	char *line = NULL;
	size_t size = 0;
	ssize_t len;

	while ((len = getline(&line, &size, file)) > 0) {
		json_error_t error;
		json_t *event;

		number++;
		if (strspn(line, " \t\r\n") == (size_t)len)
			continue;
		event = json_loadb(line, (size_t)len, JSON_ALLOW_NUL, &error);
		if (event) {
			on_event(context, event);
		} else {
			fprintf(stderr,
				"smtpsnoop: %s:%lu:%d: not an event: %s; expected a line of "
				"smtpsnoop -o json\n",
				name, number, error.column, error.text);
			good = false;
		}
		json_decref(event);
	}
	if (ferror(file)) {
		report(name, "cannot read: %s", strerror(errno));
		good = false;
	}
	free(line);
	return good;
}
