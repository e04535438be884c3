/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/values.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>

void patterns_free(struct patterns *patterns)
{
	for (size_t i = 0; i < patterns->count; i++) {
		free(patterns->items[i].text);
		wildcard_free(patterns->items[i].wildcard);
		free(patterns->items[i].target);
	}
	free(patterns->items);
}

void searches_free(struct searches *searches)
{
	for (size_t i = 0; i < searches->count; i++) {
		free(searches->items[i].text);
		regex_free(searches->items[i].regex);
	}
	free(searches->items);
}

void strings_free(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

enum state patterns_match(const struct patterns *patterns, struct span text)
{
	if (!text.data)
		return STATE_UNKNOWN;
	for (size_t i = 0; i < patterns->count; i++) {
		const struct pattern *pattern = &patterns->items[i];

		if (wildcard_match(pattern->wildcard, text) ||
		    (pattern->target && span_equal(span_of(pattern->target), text)))
			return STATE_MET;
	}
	return STATE_FAILED;
}

enum state strings_match(const struct strings *strings, struct span text)
{
	if (!text.data)
		return STATE_UNKNOWN;
	for (size_t i = 0; i < strings->count; i++) {
		if (span_equal(span_of(strings->items[i]), text))
			return STATE_MET;
	}
	return STATE_FAILED;
}

enum state ids_match(const struct strings *strings, struct span name, uint32_t number)
{
	bool names = false;

	for (size_t i = 0; i < strings->count; i++) {
		const char *item = strings->items[i];
		char *end;

		if (!isdigit((unsigned char)item[0]))
			names = true;
		else if (strtoul(item, &end, 10) == number && !*end)
			return STATE_MET;
	}
	return names ? strings_match(strings, name) : STATE_FAILED;
}
