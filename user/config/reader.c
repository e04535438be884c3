/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "config/reader.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4))) bool
reader_fail(struct reader *reader, const yaml_node_t *node, const char *format, ...)
{
	int len = reader->config
			  ? snprintf(reader->error, CONFIG_ERROR_MAX, "%s:%zu:%zu: ", reader->file,
				     node ? node->start_mark.line + 1 : 1,
				     node ? node->start_mark.column + 1 : 1)
			  : snprintf(reader->error, CONFIG_ERROR_MAX, "%s: ", reader->file);
	va_list args;

	va_start(args, format);
	if (len > 0 && len < (int)CONFIG_ERROR_MAX)
		vsnprintf(reader->error + len, CONFIG_ERROR_MAX - (size_t)len, format, args);
	va_end(args);
	return reader_refused(reader);
}

bool reader_refused(struct reader *reader)
{
	for (char *c = reader->error; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	return false;
}

bool reader_needs(struct reader *reader, const yaml_node_t *node, enum library library,
		  const char *what, const char *instead)
{
	if (library_built(library) && !(reader->without & 1U << library))
		return true;
	return reader_fail(reader, node,
			   "%s needs %s, and this smtpsnoop was built without it; install %s and "
			   "run make again%s%s",
			   what, library_name(library), library_package(library),
			   instead ? ", or " : "", instead ? instead : "");
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

yaml_node_t *reader_node(struct reader *reader, int index)
{
	return yaml_document_get_node(&reader->document, index);
}

bool reader_stopped(struct reader *reader)
{
	if (!reader->stop || !atomic_load(reader->stop))
		return false;
	reader_fail(reader, NULL, "not read to its end, because the program ends");
	return true;
}

bool reader_counts(struct reader *reader, const yaml_node_t *node)
{
	if (reader_stopped(reader))
		return false;
	if (++reader->values <= CONFIG_VALUES_MAX)
		return true;
	return reader_fail(reader, node,
			   "more than %u values in all files together; an alias counts as what it "
			   "stands for",
			   CONFIG_VALUES_MAX);
}

struct span reader_scalar(const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE)
		return (struct span){"", 0};
	return (struct span){(const char *)node->data.scalar.value, node->data.scalar.length};
}

char *reader_text(struct reader *reader, const yaml_node_t *node, const char *what)
{
	char *text;

	if (node->type != YAML_SCALAR_NODE) {
		reader_fail(reader, node, "expected %s, not a %s", what,
			    node->type == YAML_MAPPING_NODE ? "mapping" : "list");
		return NULL;
	}
	if (memchr(node->data.scalar.value, '\0', node->data.scalar.length)) {
		reader_fail(reader, node, "contains a NUL byte; expected %s", what);
		return NULL;
	}
	if (!node->data.scalar.length) {
		reader_fail(reader, node, "empty; expected %s", what);
		return NULL;
	}
	text = strndup((const char *)node->data.scalar.value, node->data.scalar.length);
	if (!text)
		reader_fail(reader, node, "no memory");
	return text;
}

/* The bytes of a word that are shown in a message. */
static int shown(struct span word)
{
	return word.len < 100 ? (int)word.len : 100;
}

/* Writes "a, b, c", as far as it fits. */
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

bool reader_keys(struct reader *reader, const yaml_node_t *node, const struct key *keys,
		 void *target)
{
	char names[300];
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return reader_fail(reader, node, "expected a mapping with %s",
				   names_of(keys, names, sizeof(names)));
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = reader_node(reader, pair->key),
				  *value = reader_node(reader, pair->value);
		bool is_scalar = name->type == YAML_SCALAR_NODE;
		struct span text = is_scalar ? reader_scalar(name) : span_of("?");
		const struct key *key = is_scalar ? key_of(keys, text) : NULL;

		if (!key)
			return reader_fail(reader, name, "%.*s: unknown key; expected one of %s",
					   shown(text), text.data,
					   names_of(keys, names, sizeof(names)));
		if (seen & 1ULL << (key - keys))
			return reader_fail(reader, name, "%s: set twice; allowed only once",
					   key->name);
		seen |= 1ULL << (key - keys);
		if (!reader_counts(reader, value) ||
		    !key->read(reader, value, key, (char *)target + key->offset))
			return false;
	}
	return true;
}

bool reader_mapping(struct reader *reader, const yaml_node_t *node, const struct key *key,
		    void *target)
{
	return reader_keys(reader, node, key->keys, target);
}

bool reader_list(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 read_fn read, void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return read(reader, node, key, target);
	if (node->data.sequence.items.top - node->data.sequence.items.start >
	    (ptrdiff_t)CONFIG_LIST_MAX)
		return reader_fail(reader, node, "a list of more than %u values", CONFIG_LIST_MAX);
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *value = reader_node(reader, *item);

		if (!reader_counts(reader, value) || !read(reader, value, key, target))
			return false;
	}
	return true;
}

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

char *reader_path(struct reader *reader, const yaml_node_t *node, const char *what)
{
	char *path = reader_text(reader, node, what);

	if (!path || path[0] == '/')
		return path;
	reader_fail(reader, node, "%.200s: not an absolute path; it must begin with '/'", path);
	free(path);
	return NULL;
}

bool reader_string(struct reader *reader, const yaml_node_t *node, const struct key *key,
		   void *target)
{
	char **string = target;

	(void)key;
	*string = reader_text(reader, node, "a text");
	return *string;
}

bool reader_bool(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target)
{
	struct span text = reader_scalar(node);

	(void)key;
	if (span_equal(text, span_of("true")))
		*(bool *)target = true;
	else if (span_equal(text, span_of("false")))
		*(bool *)target = false;
	else
		return reader_fail(reader, node, "expected true or false");
	return true;
}

bool reader_add_string(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct strings *strings = target;
	char *text = reader_text(reader, node, "a text"), **item;

	(void)key;
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

bool reader_strings(struct reader *reader, const yaml_node_t *node, const struct key *key,
		    void *target)
{
	return reader_list(reader, node, key, reader_add_string, target);
}

bool reader_word(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target)
{
	struct span text = reader_scalar(node);
	const struct word *words = key->words;
	char names[300];
	size_t len = 0;

	for (const struct word *word = words; word->name; word++) {
		if (span_equal(text, span_of(word->name))) {
			*(int *)target = word->value;
			return true;
		}
	}
	for (names[0] = '\0'; words->name && len < sizeof(names); words++)
		len += (size_t)snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
					words->name);
	return reader_fail(reader, node, "%.*s: expected one of %s", shown(text), text.data, names);
}

bool reader_flag(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target)
{
	int value = 0;

	if (!reader_word(reader, node, key, &value))
		return false;
	*(bool *)target = value;
	return true;
}

bool reader_duration(struct reader *reader, const yaml_node_t *node, const struct key *key,
		     void *target)
{
	struct span text = reader_scalar(node);
	uint64_t *seconds = target;

	(void)key;
	if (!amount_parse(&text, amount_time_units, seconds) || text.len || !*seconds ||
	    *seconds > 366ULL * 86400)
		return reader_fail(
			reader, node,
			"expected a duration such as 30s, 15m, 1h or 7d, at most a year");
	return true;
}
