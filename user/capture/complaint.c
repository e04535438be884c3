/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/complaint.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>

#include "capture/capture.h"

/* The first warning of the current attempt; later ones follow from it. */
static char warning[CAPTURE_WHY_MAX];

__attribute__((format(printf, 2, 0))) static int libbpf_print(enum libbpf_print_level level,
							      const char *format, va_list args)
{
	if (level != LIBBPF_WARN || warning[0])
		return 0;
	vsnprintf(warning, sizeof(warning), format, args);
	warning[strcspn(warning, "\n")] = '\0';
	return 0;
}

void complaint_explain(char *why, int error, const char *what)
{
	const char *complaint = warning;

	if (strncmp(complaint, "libbpf: ", 8) == 0)
		complaint += 8;
	if (error == -EPERM)
		snprintf(why, CAPTURE_WHY_MAX,
			 "%s: %s, although root has the capabilities; in a container? its seccomp "
			 "filter may forbid bpf(); or the kernel's lockdown does (%.70s)",
			 what, strerror(EPERM), complaint);
	else if (complaint[0])
		snprintf(why, CAPTURE_WHY_MAX, "%s: %s (%.180s)", what, strerror(-error),
			 complaint);
	else
		snprintf(why, CAPTURE_WHY_MAX, "%s: %s", what, strerror(-error));
}

void complaint_listen(void)
{
	libbpf_set_print(libbpf_print);
}

void complaint_clear(void)
{
	warning[0] = '\0';
}

void complaint_suggest(const char *text)
{
	if (!warning[0])
		snprintf(warning, sizeof(warning), "%s", text);
}
