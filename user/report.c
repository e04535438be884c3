/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "report.h"

#include <stdarg.h>
#include <stdio.h>

#define REPORT_MAX 1024

static void put(const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c < ' ' || c == 0x7f)
			fprintf(stderr, "\\x%02x", c);
		else
			fputc(c, stderr);
	}
}

void report(const char *what, const char *format, ...)
{
	char why[REPORT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof(why), format, args);
	va_end(args);
	fputs("smtpsnoop: ", stderr);
	put(what);
	fputs(": ", stderr);
	put(why);
	fputc('\n', stderr);
}
