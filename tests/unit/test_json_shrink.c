/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events made shorter: they fit, say that they were shortened, are valid events, and only strings
 * and lists have changed.
 */
#include <stdlib.h>

#include "event_samples.h"

#include <jansson.h>

#include "format/json_shrink.h"

static struct text line_of(const char *string)
{
	struct text line = {0};

	text_add_string(&line, string);
	return line;
}

static struct text hostile_line(void)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct text line = {0};

	event_json(&line, event);
	event_free(event);
	return line;
}

static json_t *parsed(const struct text *line)
{
	json_error_t error;
	json_t *root =
		json_loadb(line->data, line->len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);

	if (!root)
		fail_msg("%s at %d in %.200s", error.text, error.position, line->data);
	assert_null(memchr(line->data, '\n', line->len));
	return root;
}

/* The same keys in the same order, the same numbers, and the beginnings of strings and lists. */
static void expect_shorter(json_t *before, json_t *after, size_t string_max, size_t list_max)
{
	assert_int_equal(json_typeof(before), json_typeof(after));
	if (json_is_integer(before))
		assert_int_equal(json_integer_value(before), json_integer_value(after));
	if (json_is_string(before)) {
		const char *a = json_string_value(before), *b = json_string_value(after);
		size_t len = json_string_length(after);

		assert_true(len <= string_max);
		if (strcmp(a, b) == 0)
			return;
		assert_string_equal(b + len - 3, "...");
		assert_int_equal(strncmp(a, b, len - 3), 0);
	}
	if (json_is_array(before)) {
		assert_true(json_array_size(after) <= list_max);
		assert_true(json_array_size(after) == list_max ||
			    json_array_size(after) == json_array_size(before));
		for (size_t i = 0; i < json_array_size(after); i++)
			expect_shorter(json_array_get(before, i), json_array_get(after, i),
				       string_max, list_max);
	}
	if (json_is_object(before)) {
		void *b = json_object_iter(after);

		for (void *a = json_object_iter(before); a; a = json_object_iter_next(before, a)) {
			assert_non_null(b);
			assert_string_equal(json_object_iter_key(a), json_object_iter_key(b));
			expect_shorter(json_object_iter_value(a), json_object_iter_value(b),
				       string_max, list_max);
			b = json_object_iter_next(after, b);
		}
		assert_true(!b || strcmp(json_object_iter_key(b), "truncated") == 0);
	}
}

struct bound {
	size_t string_max, list_max;
};

/* `smtp` is the bound below that key. */
static void expect_step(size_t max, struct bound rest, struct bound smtp)
{
	struct text before = hostile_line(), after = hostile_line();
	json_t *a, *b, *item;
	const char *key;

	assert_true(json_shrink(&after, max));
	assert_true(after.len <= max);
	assert_int_equal(after.len, strlen(after.data));
	a = parsed(&before);
	b = parsed(&after);
	assert_int_equal(json_object_size(a), json_object_size(b));
	json_object_foreach(a, key, item)
	{
		struct bound bound = strcmp(key, "smtp") == 0 ? smtp : rest;

		expect_shorter(item, json_object_get(b, key), bound.string_max, bound.list_max);
	}
	assert_true(json_is_true(json_object_get(json_object_get(b, "smtpsnoop"), "truncated")));
	json_decref(a);
	json_decref(b);
	text_free(&before);
	text_free(&after);
}

/* No more steps than needed. */
static void test_steps(void **state)
{
	size_t lens[8], count = 0, whole;
	struct text line = hostile_line();

	(void)state;
	whole = line.len;
	for (size_t max = whole - 1; json_shrink(&line, max); max = lens[count++] - 1) {
		json_t *root = parsed(&line);

		lens[count] = line.len;
		assert_true(line.len <= max);
		/* The count and the first recipients are always there. */
		assert_int_equal(json_integer_value(json_object_get(json_object_get(root, "smtp"),
								    "rcpt_count")),
				 SMTP_RECIPIENTS_MAX + 1);
		assert_true(json_array_size(json_object_get(json_object_get(root, "smtp"),
							    "rcpt_to")) >= 4);
		json_decref(root);
		text_add_string(&line, "\n");
		keep(line.data);
		text_free(&line);
		line = hostile_line();
	}
	assert_int_equal(count, 5);
	assert_int_equal(line.len, whole); /* unchanged */
	text_free(&line);
	expect_step(whole - 1, (struct bound){1024, 64}, (struct bound){1024, 256});
	expect_step(lens[0], (struct bound){1024, 64}, (struct bound){1024, 256});
	expect_step(lens[0] - 1, (struct bound){256, 16}, (struct bound){1024, 128});
	expect_step(lens[1], (struct bound){256, 16}, (struct bound){1024, 128});
}

static char *row(const char *before, const char *unit, size_t count, const char *after)
{
	struct text text = {0};

	text_add_string(&text, before);
	while (count--)
		text_add_string(&text, unit);
	text_add_string(&text, after);
	return text.data;
}

/* The worst: as many senders as possible, all of control characters. It fits a syslog message. */
static void test_worst(void **state)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct image *image = event->senders[0]->image;
	char *controls = row("", "\001", 4000, "");
	struct text line = {0};

	(void)state;
	free(image->args);
	image->args = row("", "\001", 4000, "");
	image->args_len = 4001;
	free(image->executable);
	free(image->script);
	free(image->directory);
	image->executable = row("/", "\001", 4000, "");
	image->script = row("/", "\001", 4000, "");
	image->directory = row("/", "\001", 4000, "");
	while (event->sender_count < EVENT_SENDERS_MAX)
		event->senders[event->sender_count++] = sender_ref(event->senders[0]);
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of((struct span){controls, 250}, SMTP_RECIPIENTS_MAX);
	event->transaction->mail = mail_of((struct span){controls, 4000});
	while (event->reason_count < EVENT_REASONS_MAX)
		event->reasons[event->reason_count++] = "executable_link_changed";
	event_json(&line, event);
	assert_true(json_shrink(&line, 7500));
	json_decref(parsed(&line));
	free(controls);
	text_free(&line);
	event_free(event);
}

static void test_fits(void **state)
{
	struct text line = hostile_line(), before = hostile_line();

	(void)state;
	assert_true(json_shrink(&line, line.len));
	assert_int_equal(line.len, before.len);
	assert_memory_equal(line.data, before.data, line.len);
	text_free(&line);
	text_free(&before);
}

/* Every action with every bound: the result is as json_shrink() promises. */
static void test_bounds(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		for (size_t max = 0; max < 20000; max += 997) {
			struct event *event = hostile_event((enum event_action)action);
			struct text line = {0};
			size_t before;
			json_t *root;

			event_json(&line, event);
			event_free(event);
			before = line.len;
			if (json_shrink(&line, max))
				assert_true(line.len <= max);
			else
				assert_int_equal(line.len, before);
			root = parsed(&line);
			assert_int_equal(json_object_get(json_object_get(root, "smtpsnoop"),
							 "truncated") != NULL,
					 line.len != before);
			json_decref(root);
			text_free(&line);
		}
	}
}

static void expect(const char *before, size_t max, const char *after)
{
	struct text line = line_of(before);

	assert_int_equal(json_shrink(&line, max), after != NULL);
	assert_string_equal(line.data, after ? after : before);
	text_free(&line);
}

/* Strings are cut between characters, and not within an escape. */
static void test_cuts(void **state)
{
	static const struct {
		const char *unit, *cut;
		size_t kept;
	} cases[] = {
		{"a", "a", 61},
		{"\xc3\xbc", "\xc3\xbc", 30},
		{"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", 15},
		{"\\\\xff", "\\\\xff", 15},
		{"\\u0000", "\\u0000", 61},
		{"\\n", "\\n", 61},
		{"\\\"", "\\\"", 61},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char *before = row("{\"a\":\"", cases[i].unit, 700, "\",\"smtpsnoop\":{\"n\":1}}");
		char *after = row("{\"a\":\"", cases[i].cut, cases[i].kept,
				  "...\",\"smtpsnoop\":{\"n\":1,\"truncated\":true}}");

		expect(before, strlen(after), after);
		free(before);
		free(after);
	}
}

/* What is not an event, or has what a tree cannot represent, stays unchanged. */
static void test_refused(void **state)
{
	char *deep = row("{\"a\":", "[", 1000, ""), *deeper = row(deep, "]", 1000, "}");

	(void)state;
	expect("[1,2,3,4,5,6,7,8,9]", 5, NULL);
	expect("{\"a\":\"not closed", 5, NULL);
	expect("{\"smtpsnoop\":1,\"a\":\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"}", 30, NULL);
	expect("{\"smtpsnoop\":{\"n\":18446744073709551615}}", 30, NULL);
	expect(deeper, 100, NULL);
	free(deep);
	free(deeper);
}

/* jansson alone would write these characters unescaped. */
static void test_separators_stay_escaped(void **state)
{
	static const char value[] =
		"a\xe2\x80\xa8\xe2\x80\xae\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xaf\xe2\x82\xac";
	struct text line = {0};
	json_t *object;

	(void)state;
	text_add_string(&line, "{\"rest\":\"");
	for (int i = 0; i < 3000; i++)
		text_add_string(&line, "x");
	text_add_string(&line, "\",\"value\":\"");
	text_add_json(&line, (struct span){value, sizeof(value) - 1});
	text_add_string(&line, "\"}");
	assert_true(json_shrink(&line, 2000));
	assert_non_null(strstr(line.data, "a\\u2028\\u202e\\u2066\\u2069\xe2\x80\xaf\xe2\x82\xac"));
	object = json_loadb(line.data, line.len, 0, NULL);
	assert_string_equal(json_string_value(json_object_get(object, "value")), value);
	json_decref(object);
	text_free(&line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_separators_stay_escaped),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_worst),
		cmocka_unit_test(test_fits),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cuts),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
