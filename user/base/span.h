/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Bytes as a pointer and a length. A span borrows: it is valid only during the call it was passed
 * to.
 */
#ifndef SMTPSNOOP_SPAN_H
#define SMTPSNOOP_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *data;
	size_t len;
};

static inline struct span span_of(const char *string)
{
	return (struct span){string, string ? strlen(string) : 0};
}

static inline bool span_equal(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* The bytes from offset `from` up to `to`, which is not included. */
static inline struct span span_part(struct span span, size_t from, size_t to)
{
	return (struct span){span.data + from, to - from};
}

#endif
