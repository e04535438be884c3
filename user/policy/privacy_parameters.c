/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/privacy_parameters.h"

#include <string.h>
#include <strings.h>

#include "policy/privacy_text.h"

static bool begins_with(struct span text, const char *keyword)
{
	size_t len = strlen(keyword);

	return text.len >= len && strncasecmp(text.data, keyword, len) == 0;
}

/* The length of what is before a value that is an address as a whole; 0: it is none. */
static size_t value_start(struct span word)
{
	const char *type;

	if (begins_with(word, "AUTH="))
		return 5;
	if (!begins_with(word, "ORCPT="))
		return 0;
	type = memchr(word.data, ';', word.len);
	return type ? (size_t)(type - word.data) + 1 : 6;
}

/* "AUTH=<>" names nobody, and stays. */
static void add_value(struct text *out, struct teller *teller, struct span value)
{
	if (span_equal(value, span_of("<>")))
		text_add(out, value);
	else
		privacy_encoded_address(out, teller, value, '+');
}

/* The parameter at the front: up to a blank that is not within quotes. */
static struct span parameter(struct span text)
{
	bool quoted = false;
	size_t len = 0;

	while (len < text.len && (quoted || (unsigned char)text.data[len] > ' ')) {
		if (text.data[len] == '"')
			quoted = !quoted;
		else if (quoted && text.data[len] == '\\' && len + 1 < text.len)
			len++;
		len++;
	}
	return span_part(text, 0, len);
}

void privacy_parameters(struct text *out, struct teller *teller, struct span parameters)
{
	size_t told = 0, at = 0;

	while (at < parameters.len && teller->privacy->addresses != PRIVACY_FULL) {
		struct span word = parameter(span_part(parameters, at, parameters.len));
		size_t start = value_start(word);

		if (start) {
			privacy_text(out, teller, span_part(parameters, told, at + start),
				     PRIVACY_TEXT, SIZE_MAX);
			add_value(out, teller, span_part(word, start, word.len));
			told = at + word.len;
		}
		at += word.len ? word.len : 1;
	}
	privacy_text(out, teller, span_part(parameters, told, parameters.len), PRIVACY_TEXT,
		     SIZE_MAX);
}
