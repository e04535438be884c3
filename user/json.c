/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "json.h"

#include <string.h>

/* A comma where something stands before, and the name. */
static void begin(struct text *out, const char *name)
{
	if (out->len && !strchr("{[:", out->data[out->len - 1]))
		text_add(out, (struct span){",", 1});
	if (!name)
		return;
	text_add(out, (struct span){"\"", 1});
	text_add_string(out, name);
	text_add(out, (struct span){"\":", 2});
}

void json_open(struct text *out, const char *name)
{
	begin(out, name);
	text_add(out, (struct span){"{", 1});
}

void json_close(struct text *out)
{
	text_add(out, (struct span){"}", 1});
}

void json_open_list(struct text *out, const char *name)
{
	begin(out, name);
	text_add(out, (struct span){"[", 1});
}

void json_close_list(struct text *out)
{
	text_add(out, (struct span){"]", 1});
}

void json_string(struct text *out, const char *name, const char *string)
{
	begin(out, name);
	text_add(out, (struct span){"\"", 1});
	text_add_string(out, string);
	text_add(out, (struct span){"\"", 1});
}

void json_bytes(struct text *out, const char *name, struct span bytes)
{
	begin(out, name);
	text_add(out, (struct span){"\"", 1});
	text_add_json(out, bytes);
	text_add(out, (struct span){"\"", 1});
}

void json_number(struct text *out, const char *name, uint64_t number)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + number % 10);
		number /= 10;
	} while (number);
	begin(out, name);
	text_add(out, (struct span){digits + at, sizeof(digits) - at});
}

void json_bool(struct text *out, const char *name, bool value)
{
	begin(out, name);
	text_add_string(out, value ? "true" : "false");
}
