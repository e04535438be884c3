/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The libraries that a build may lack (LIBRARIES_OPTIONAL in the Makefile), and what needs them. */
#ifndef SMTPSNOOP_LIBRARY_H
#define SMTPSNOOP_LIBRARY_H

#include <stdbool.h>

enum library {
	LIBRARY_SYSTEMD,    /* process.scheduled_by: systemd-timer */
	LIBRARY_YARA,	    /* rules */
	LIBRARY_MICROHTTPD, /* metrics.listen */
	LIBRARY_COUNT,
};

/* "libmicrohttpd"; a static string. */
const char *library_name(enum library library);

/* The package that a build needs, as Debian names it; a static string. */
const char *library_package(enum library library);

/* Whether this program was built with it. */
bool library_built(enum library library);

#endif
