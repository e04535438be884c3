/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "base/amount.h"

#include <ctype.h>
#include <string.h>

const struct unit amount_time_units[] = {{"s", 1},     {"m", 60},     {"h", 3600},
					 {"d", 86400}, {"w", 604800}, {NULL, 0}};
const struct unit amount_byte_units[] = {
	{"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"", 1}, {NULL, 0}};
const struct unit amount_no_units[] = {{"", 1}, {NULL, 0}};

bool amount_parse(struct span *text, const struct unit *units, uint64_t *amount)
{
	uint64_t number = 0;
	size_t digits = 0;

	while (digits < text->len && isdigit((unsigned char)text->data[digits])) {
		if (number > UINT32_MAX)
			return false;
		number = number * 10 + (uint64_t)(text->data[digits++] - '0');
	}
	if (!digits || number > UINT32_MAX)
		return false;
	text->data += digits;
	text->len -= digits;
	for (; units->name; units++) {
		size_t len = strlen(units->name);

		if (text->len >= len && memcmp(text->data, units->name, len) == 0) {
			text->data += len;
			text->len -= len;
			*amount = number * units->factor;
			return true;
		}
	}
	return false;
}
