/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/library.h"

#ifdef HAVE_LIBSYSTEMD
#define HAS_SYSTEMD true
#else
#define HAS_SYSTEMD false
#endif

#ifdef HAVE_LIBYARA
#define HAS_YARA true
#else
#define HAS_YARA false
#endif

#ifdef HAVE_LIBMICROHTTPD
#define HAS_MICROHTTPD true
#else
#define HAS_MICROHTTPD false
#endif

static const struct {
	const char *name, *package;
	bool built;
} libraries[LIBRARY_COUNT] = {
	[LIBRARY_SYSTEMD] = {"libsystemd", "libsystemd-dev", HAS_SYSTEMD},
	[LIBRARY_YARA] = {"libyara", "libyara-dev", HAS_YARA},
	[LIBRARY_MICROHTTPD] = {"libmicrohttpd", "libmicrohttpd-dev", HAS_MICROHTTPD},
};

const char *library_name(enum library library)
{
	return libraries[library].name;
}

const char *library_package(enum library library)
{
	return libraries[library].package;
}

bool library_built(enum library library)
{
	return libraries[library].built;
}
