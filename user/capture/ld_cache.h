/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The libraries that the dynamic linker's cache names. Pure code. */
#ifndef SMTPSNOOP_LD_CACHE_H
#define SMTPSNOOP_LD_CACHE_H

#include "base/span.h"

#define LD_CACHE	 "/etc/ld.so.cache"
#define LD_CACHE_MAX	 (8U << 20) /* bytes of the file that are read */
#define LD_CACHE_NAMES	 65536U	    /* entries that are looked at */
#define LD_CACHE_MATCHES 256U	    /* libraries that are given */

/*
 * Gives the path of each library in the cache that may have TLS, by its name. The path is
 * NUL-terminated and absolute. Returns how many were given; 0 also if `cache` is no cache (format:
 * glibc's sysdeps/generic/dl-cache.h, since 2.2).
 */
size_t ld_cache_each(struct span cache, void (*give)(void *context, const char *path),
		     void *context);

#endif
