/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the text behind '=' becomes a scalar node, as the parser of YAML would make
 * it. From there on, the value is read by the same function as in a file.
 */
#include "config/where.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/reader.h"

/* What says something about one message by itself, and fits into one word. */
static bool is_searchable(enum criterion criterion)
{
	switch (criterion_rows[criterion].kind) {
	case VALUE_IMPLIED:
	case VALUE_ENCRYPTED:
	case VALUE_SCHEDULE:
	case VALUE_RATE:
	case VALUE_BYTE_RATE:
	case VALUE_EXPIRES: return false;
	default: return true;
	}
}

static void list_keys(struct text *list)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (is_searchable((enum criterion)i))
			text_add_format(list, "%s%s", list->len ? ", " : "",
					criterion_name((enum criterion)i));
	}
}

static bool find_key(struct span key, enum criterion *criterion)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (is_searchable((enum criterion)i) &&
		    span_equal(key, span_of(criterion_name((enum criterion)i)))) {
			*criterion = (enum criterion)i;
			return true;
		}
	}
	return false;
}

static bool fail_key(struct span key, char error[CONFIG_ERROR_MAX])
{
	struct text list = {.data = NULL};

	list_keys(&list);
	snprintf(error, CONFIG_ERROR_MAX, "'%.*s': unknown key; expected one of %s",
		 (int)(key.len < 64 ? key.len : 64), key.data, list.data ? list.data : "");
	text_free(&list);
	return false;
}

bool config_read_where(struct exclusion *exclusion, const char *text, char error[CONFIG_ERROR_MAX])
{
	const char *equals = strchr(text, '=');
	struct reader reader = {.error = error};
	yaml_node_t node = {.type = YAML_SCALAR_NODE};
	enum criterion criterion;
	struct span key;

	if (!equals) {
		snprintf(error, CONFIG_ERROR_MAX,
			 "'%.64s': expected KEY=PATTERN, such as mail.recipients=*@evil.example",
			 text);
		return false;
	}
	key = (struct span){text, (size_t)(equals - text)};
	if (!find_key(key, &criterion))
		return fail_key(key, error);
	node.data.scalar.value = (yaml_char_t *)equals + 1;
	node.data.scalar.length = strlen(equals + 1);
	reader.file = criterion_name(criterion);
	return config_read_criterion(&reader, &node, criterion, exclusion);
}
