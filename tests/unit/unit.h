/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For every unit test: cmocka with the headers that it needs, and copies of bytes of exact size. */
#ifndef SMTPSNOOP_TESTS_UNIT_H
#define SMTPSNOOP_TESTS_UNIT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/span.h"

#define BYTES(literal) ((struct span){(literal), sizeof(literal) - 1})

/*
 * A copy in memory of exactly its size, so that ASan sees a read behind it. Free with exact_free().
 */
static inline struct span exact(struct span bytes)
{
	char *copy = malloc(bytes.len ? bytes.len : 1);

	assert_non_null(copy);
	if (bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	return (struct span){copy, bytes.len};
}

static inline void exact_free(struct span bytes)
{
	free((char *)bytes.data);
}

#endif
