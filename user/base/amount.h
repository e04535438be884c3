/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Numbers with a unit, as people write them: 30s, 64KiB. */
#ifndef SMTPSNOOP_AMOUNT_H
#define SMTPSNOOP_AMOUNT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

struct unit {
	const char *name; /* NULL: end of the list */
	uint64_t factor;
};

extern const struct unit amount_time_units[], amount_byte_units[], amount_no_units[];

/*
 * Parses a number, at most UINT32_MAX, and its unit, and removes both from the text. False: it has
 * no such form.
 */
bool amount_parse(struct span *text, const struct unit *units, uint64_t *amount);

#endif
