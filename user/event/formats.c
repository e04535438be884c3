/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/formats.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	unsigned int places;
} rows[FORMAT_COUNT] = {
#define FORMAT_ROW(constant, name, writer, places) [constant] = {name, places},
	FORMATS(FORMAT_ROW)
#undef FORMAT_ROW
};

const char *format_name(enum output_format format)
{
	return rows[format].name;
}

bool format_fits(enum output_format format, unsigned int places)
{
	return rows[format].places & places;
}

bool format_find(const char *name, unsigned int places, enum output_format *format)
{
	for (size_t i = 0; i < FORMAT_COUNT; i++) {
		if (rows[i].name && rows[i].places & places && strcmp(rows[i].name, name) == 0) {
			*format = (enum output_format)i;
			return true;
		}
	}
	return false;
}

void format_list(char *list, size_t size, unsigned int places)
{
	size_t len = 0, left = 0;

	for (size_t i = 0; i < FORMAT_COUNT; i++)
		left += rows[i].name && rows[i].places & places;
	list[0] = '\0';
	for (size_t i = 0; i < FORMAT_COUNT && len < size; i++) {
		if (!rows[i].name || !(rows[i].places & places))
			continue;
		left--;
		len += (size_t)snprintf(list + len, size - len, "%s%s", rows[i].name,
					left > 1 ? ", "
					: left	 ? " or "
						 : "");
	}
}
