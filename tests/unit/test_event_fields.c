/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The table of names (format/fields.def) against the files that repeat its columns: the table of
 * Sentinel and its data collection rule have the same columns with the same types. A column that is
 * added, renamed or removed in one of the three places fails here.
 */
#include "unit.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "format/fields.h"

#define TABLE "deploy/sentinel/table.json"
#define RULE  "deploy/sentinel/dcr-json.json"

/* The name within a key: without quotes and colon. The caller frees it. */
static char *name_of(const struct json_key *key)
{
	char *name = strndup(key->text + 1, key->len - 3);

	assert_non_null(name);
	return name;
}

static bool is_column(const struct field_row *row)
{
	return row->column.text && !row->is_column_element;
}

/* The type of a column, as the table spells it. */
static const char *type_of(enum field_kind kind)
{
	switch (kind) {
	case KIND_WORD:
	case KIND_BYTES:
	case KIND_PATH:
	case KIND_ID:
	case KIND_IP: return "string";
	case KIND_INT: return "int";
	case KIND_LONG: return "long";
	case KIND_BOOL:
	case KIND_ARGS_CUT:
	case KIND_CUT: return "boolean";
	case KIND_TIME: return "dateTime";
	case KIND_WORDS:
	case KIND_LIST:
	case KIND_RECORDS:
	case KIND_COUNTS: return "dynamic";
	case KIND_ARGS:
	case KIND_OBJECT: break;
	}
	return "no column";
}

static json_t *load(const char *path)
{
	json_error_t error;
	json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		fail_msg("%s: %s; the tests run in the top folder", path, error.text);
	return root;
}

/* Takes the column out of `found`, which maps names to types. */
static void check_column(json_t *found, const char *path, const struct field_row *row)
{
	char *name = name_of(&row->column);
	const char *type = json_string_value(json_object_get(found, name));

	if (!type)
		fail_msg("%s: no column %s, which format/fields.def has", path, name);
	else if (strcasecmp(type, type_of(row->kind)) != 0)
		fail_msg("%s: column %s has type %s, format/fields.def has %s", path, name, type,
			 type_of(row->kind));
	json_object_del(found, name);
	free(name);
}

static void check_columns(const char *path, const json_t *columns)
{
	json_t *found = json_object(), *column;
	const char *name;
	void *next;
	size_t i;

	json_array_foreach(columns, i, column)
	{
		json_object_set(found, json_string_value(json_object_get(column, "name")),
				json_object_get(column, "type"));
	}
	assert_int_equal(json_object_size(found), json_array_size(columns));
	for (i = 0; i < FIELD_COUNT; i++) {
		if (is_column(&field_rows[i]))
			check_column(found, path, &field_rows[i]);
	}
	json_object_foreach_safe(found, next, name, column)
	{
		fail_msg("%s: column %s is not in format/fields.def", path, name);
	}
	json_decref(found);
}

static void test_table(void **state)
{
	json_t *root = load(TABLE);

	(void)state;
	check_columns(TABLE, json_object_get(json_object_get(json_object_get(root, "properties"),
							     "schema"),
					     "columns"));
	json_decref(root);
}

static void test_rule(void **state)
{
	json_t *root = load(RULE), *resource, *streams = NULL;
	size_t i;

	(void)state;
	json_array_foreach(json_object_get(root, "resources"), i, resource)
	{
		json_t *declared = json_object_get(json_object_get(resource, "properties"),
						   "streamDeclarations");

		streams = declared ? declared : streams;
	}
	check_columns(RULE,
		      json_object_get(json_object_get(streams, "Custom-Smtpsnoop"), "columns"));
	json_decref(root);
}

/* A name is there once, where one row cannot replace another in a line. */
static void test_names(void **state)
{
	(void)state;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct field_row *a = &field_rows[i], *b = &field_rows[j];

			if (is_column(a) && is_column(b))
				assert_string_not_equal(a->column.text, b->column.text);
			if (a->show && b->show && a->object == b->object &&
			    a->object != OBJECT_ROOT && a->object != OBJECT_USER)
				assert_string_not_equal(a->json.text, b->json.text);
		}
	}
}

/* What others chose has a bound in Sentinel and in the journal. */
static void test_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		const struct field_row *row = &field_rows[i];
		bool text = row->kind == KIND_BYTES || row->kind == KIND_PATH;

		if (row->column.text &&
		    (text || row->kind == KIND_LIST || row->kind == KIND_RECORDS))
			assert_true(row->column_max > 0);
		if (row->journal && (text || row->kind == KIND_LIST))
			assert_true(row->journal_max > 0);
		assert_true(row->show || row->column.text || row->journal);
	}
}

/* An object's mask names it and each object that it is in. */
static void test_objects(void **state)
{
	(void)state;
	for (size_t i = 0; i < OBJECT_COUNT; i++) {
		uint64_t within = 1ULL << i;

		if (i != OBJECT_ROOT) {
			assert_true(json_objects[i].parent < i);
			within |= json_objects[json_objects[i].parent].within;
		}
		assert_true(json_objects[i].within == within);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	cmocka_unit_test(test_rule),
		cmocka_unit_test(test_names),	cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
