/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What every unit test needs: cmocka with what it wants included before it, and bytes in exact
 * memory.
 */
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
 * A copy in memory of just its size, so that ASan sees a read beyond it. The caller frees `data`.
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
