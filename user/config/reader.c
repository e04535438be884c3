/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "config/reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is wrong with a node, and what would be right. Always false. */
__attribute__((format(printf, 3, 4))) bool
reader_fail(struct reader *reader, const yaml_node_t *node, const char *format, ...)
{
	int len = snprintf(reader->error, CONFIG_ERROR_MAX, "%s:%zu:%zu: ", reader->file,
			   node ? node->start_mark.line + 1 : 1,
			   node ? node->start_mark.column + 1 : 1);
	va_list args;

	va_start(args, format);
	if (len > 0 && len < (int)CONFIG_ERROR_MAX)
		vsnprintf(reader->error + len, CONFIG_ERROR_MAX - (size_t)len, format, args);
	va_end(args);
	for (char *c = reader->error; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	return false;
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

yaml_node_t *reader_node(struct reader *reader, int index)
{
	return yaml_document_get_node(&reader->document, index);
}

struct span reader_scalar(const yaml_node_t *node)
{
	return (struct span){(const char *)node->data.scalar.value, node->data.scalar.length};
}

/* A scalar, as a string that the caller owns. `what` is told if it is none. */
char *reader_text(struct reader *reader, const yaml_node_t *node, const char *what)
{
	char *text;

	if (node->type != YAML_SCALAR_NODE) {
		reader_fail(reader, node, "%s is wanted here, not a %s", what,
			    node->type == YAML_MAPPING_NODE ? "mapping" : "list");
		return NULL;
	}
	if (memchr(node->data.scalar.value, '\0', node->data.scalar.length)) {
		reader_fail(reader, node, "a NUL is in it: %s without one is wanted", what);
		return NULL;
	}
	if (!node->data.scalar.length) {
		reader_fail(reader, node, "nothing is there: %s is wanted", what);
		return NULL;
	}
	text = strndup((const char *)node->data.scalar.value, node->data.scalar.length);
	if (!text)
		reader_fail(reader, node, "no memory");
	return text;
}

/* Bytes of a word that a message has room for. */
static int shown(struct span word)
{
	return word.len < 100 ? (int)word.len : 100;
}

/* "a, b, c", as far as it fits. */
static const char *names_of(const struct key *keys, char *out, size_t size)
{
	size_t len = 0;

	for (out[0] = '\0'; keys->name && len < size; keys++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", keys->name);
	return out;
}

static const struct key *key_of(const struct key *keys, struct span name)
{
	for (; keys->name; keys++) {
		if (name.len == strlen(keys->name) && memcmp(name.data, keys->name, name.len) == 0)
			return keys;
	}
	return NULL;
}

bool reader_mapping(struct reader *reader, const yaml_node_t *node, const struct key *keys,
		    void *target)
{
	char names[300];
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(reader, node, "a mapping is wanted here, with %s",
				   names_of(keys, names, sizeof(names)));
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = reader_node(reader, pair->key),
				  *value = reader_node(reader, pair->value);
		const struct key *key =
			name->type == YAML_SCALAR_NODE ? key_of(keys, reader_scalar(name)) : NULL;

		if (!key)
			return reader_fail(
				reader, name, "%.*s: no such key: known here are %s",
				name->type == YAML_SCALAR_NODE ? shown(reader_scalar(name)) : 1,
				name->type == YAML_SCALAR_NODE ? reader_scalar(name).data : "?",
				names_of(keys, names, sizeof(names)));
		if (seen & 1ULL << (key - keys))
			return reader_fail(reader, name, "%s stands twice: once is allowed",
					   key->name);
		seen |= 1ULL << (key - keys);
		if (!key->read(reader, value, (char *)target + key->offset))
			return false;
	}
	return true;
}

/* A list, or one value in place of a list of one. */
bool reader_list(struct reader *reader, const yaml_node_t *node, read_fn read, void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return read(reader, node, target);
	if (node->data.sequence.items.top - node->data.sequence.items.start >
	    (ptrdiff_t)CONFIG_LIST_MAX)
		return reader_fail(reader, node, "a list of more than %u values", CONFIG_LIST_MAX);
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		if (!read(reader, reader_node(reader, *item), target))
			return false;
	}
	return true;
}

/* Room for one more of `size` bytes, zeroed; NULL if there is no memory. */
void *reader_append(void *items, size_t *count, size_t size)
{
	void **array = items;
	char *grown = *array;

	if ((*count & (*count - 1)) == 0) {
		grown = realloc(*array, (*count ? 2 * *count : 1) * size);
		if (!grown)
			return NULL;
		*array = grown;
	}
	memset(grown + *count * size, 0, size);
	return grown + (*count)++ * size;
}

/* ---- Values ---------------------------------------------------------------------------------- */

bool reader_string(struct reader *reader, const yaml_node_t *node, void *target)
{
	char **string = target;

	*string = reader_text(reader, node, "a text");
	return *string;
}

bool reader_bool(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};

	if (text.len == 4 && memcmp(text.data, "true", 4) == 0)
		*(bool *)target = true;
	else if (text.len == 5 && memcmp(text.data, "false", 5) == 0)
		*(bool *)target = false;
	else
		return reader_fail(reader, node, "true or false is wanted here");
	return true;
}

bool reader_add_string(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct strings *strings = target;
	char *text = reader_text(reader, node, "a text"), **item;

	if (!text)
		return false;
	item = reader_append(&strings->items, &strings->count, sizeof(*item));
	if (!item) {
		free(text);
		return reader_fail(reader, node, "no memory");
	}
	*item = text;
	return true;
}

bool reader_strings(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, reader_add_string, target);
}

bool reader_word(struct reader *reader, const yaml_node_t *node, const struct word *words,
		 void *value)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};
	char names[300];
	size_t len = 0;

	for (const struct word *word = words; word->name; word++) {
		if (span_equal(text, span_of(word->name))) {
			*(int *)value = word->value;
			return true;
		}
	}
	for (names[0] = '\0'; words->name && len < sizeof(names); words++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
					words->name);
	return reader_fail(reader, node, "%.*s: one of these is wanted: %s", shown(text), text.data,
			   names);
}

bool reader_amount(struct span *text, const struct unit *units, uint64_t *amount)
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

const struct unit reader_time_units[] = {{"s", 1},     {"m", 60},     {"h", 3600},
					 {"d", 86400}, {"w", 604800}, {NULL, 0}};
const struct unit reader_byte_units[] = {
	{"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"", 1}, {NULL, 0}};
const struct unit reader_no_units[] = {{"", 1}, {NULL, 0}};

bool reader_duration(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};
	uint64_t *seconds = target;

	if (!reader_amount(&text, reader_time_units, seconds) || text.len || !*seconds ||
	    *seconds > 366ULL * 86400)
		return reader_fail(
			reader, node,
			"a duration is wanted here, as 30s, 15m, 1h or 7d, of a year at most");
	return true;
}
