/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events as JSON and as a table: each action, bare and with hostile bytes in every field that
 * somebody else chooses. JSON is one valid line; the table has no control characters and keeps its
 * width.
 */
#include <locale.h>
#include <stdlib.h>

#include "event_samples.h"

#include <jansson.h>

#include "base/text.h"

static struct sink *json_lines(FILE *out)
{
	return sink_lines_new(out, event_json);
}

/* What a sink writes for one event; the caller frees it. */
static char *written(struct sink *(*make)(FILE *), struct event *event)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct sink *sink = make(out);

	assert_non_null(sink);
	assert_int_equal(sink->write(sink, event), 0);
	sink->free(sink);
	fclose(out);
	event_free(event);
	return text;
}

static json_t *parsed(const char *line)
{
	json_error_t error;
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, &error);

	if (!root)
		fail_msg("%s at %d in %.200s", error.text, error.position, line);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
	for (const char *c = line; c[1]; c++)
		assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
	return root;
}

static void test_json_bare(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		char *line = written(json_lines, bare_event((enum event_action)action));
		json_t *root = parsed(line);

		assert_string_equal(json_string_value(
					    json_object_get(json_object_get(root, "event"),
							    "action")),
				    event_action_name((enum event_action)action));
		assert_null(json_object_get(root, "process"));
		assert_null(json_object_get(root, "host"));
		json_decref(root);
		keep(line);
		free(line);
	}
}

static void test_json_hostile(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		char *line = written(json_lines, hostile_event((enum event_action)action));

		json_decref(parsed(line));
		keep(line);
		free(line);
	}
}

static void test_json_values(void **state)
{
	char *line = written(json_lines, hostile_event(EVENT_MESSAGE));
	json_t *root = parsed(line), *smtp = json_object_get(root, "smtp");
	json_t *process = json_object_get(root, "process");

	(void)state;
	assert_int_equal(json_array_size(json_object_get(smtp, "rcpt_to")), SMTP_RECIPIENTS_MAX);
	assert_int_equal(json_array_size(json_object_get(smtp, "rcpt_refused")),
			 SMTP_RECIPIENTS_MAX / 2);
	assert_int_equal(json_integer_value(json_object_get(smtp, "rcpt_dropped")), 1);
	assert_int_equal(json_array_size(json_object_get(process, "args")), 4);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4294967295LL);
	assert_string_equal(json_string_value(
				    json_object_get(json_object_get(process, "real_user"), "id")),
			    "1");
	/* A backslash and an x in the value differ from an escaped byte. */
	assert_non_null(strstr(json_string_value(json_object_get(smtp, "mail_from")), "\\\\x41"));
	assert_non_null(
		strstr(json_string_value(json_object_get(smtp, "mail_from")), " \\xff\\xfe"));
	json_decref(root);
	free(line);
}

static void test_json_long(void **state)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct image *image = event->senders[0]->image;
	char *line;

	(void)state;
	free(image->executable);
	image->executable = malloc(100001);
	assert_non_null(image->executable);
	memset(image->executable, '\xff', 100000);
	image->executable[100000] = '\0';
	line = written(json_lines, event);
	json_decref(parsed(line));
	free(line);
}

/* Of more arguments than fit the line, complete ones are written. */
static void test_json_many_args(void **state)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct image *image = event->senders[0]->image;
	const size_t count = 1000, len = strlen("\xff argument") + 1;
	json_t *root, *args;
	char *line;

	(void)state;
	image->args = realloc(image->args, count * len);
	assert_non_null(image->args);
	for (size_t i = 0; i < count; i++)
		memcpy(image->args + i * len, "\xff argument", len);
	image->args_len = count * len;
	image->args_count = 3004;
	line = written(json_lines, event);
	root = parsed(line);
	args = json_object_get(json_object_get(root, "process"), "args");
	assert_in_range(json_array_size(args), 100, count - 1);
	for (size_t i = 0; i < json_array_size(args); i++)
		assert_string_equal(json_string_value(json_array_get(args, i)), "\\xff argument");
	assert_int_equal(json_integer_value(
				 json_object_get(json_object_get(root, "process"), "args_count")),
			 3004);
	assert_non_null(strstr(line, "\"args_truncated\":true"));
	assert_non_null(strstr(line, "\"truncated\":true"));
	json_decref(root);
	free(line);
}

/* An argument that is longer than the line allows for all is cut, not left out. */
static void test_json_long_arg(void **state)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct image *image = event->senders[0]->image;
	char *line;
	json_t *root, *args;

	(void)state;
	image->args = realloc(image->args, 20000);
	assert_non_null(image->args);
	memset(image->args, 'x', 20000);
	image->args[1] = image->args[19999] = '\0';
	image->args_len = 20000;
	line = written(json_lines, event);
	root = parsed(line);
	args = json_object_get(json_object_get(root, "process"), "args");
	assert_int_equal(json_array_size(args), 2);
	assert_in_range(json_string_length(json_array_get(args, 1)), 2000, 8192);
	json_decref(root);
	free(line);
}

/* ---- The table ------------------------------------------------------------------------------- */

static struct table_options options;

static struct sink *make_table(FILE *out)
{
	return sink_table_new(out, &options);
}

static void assert_clean(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if ((*c < ' ' && *c != '\n') || *c == 0x7f)
			fail_msg("control character %02x in %.300s", *c, text);
		if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0)
			fail_msg("C1 control character in %.300s", text);
		if (c[0] == 0xe2 && c[1] == 0x80 && c[2] >= 0xa8 && c[2] <= 0xae)
			fail_msg("bidi control or separator in %.300s", text);
	}
}

static void test_table_hostile(void **state)
{
	static const unsigned int widths[] = {0, 40, 60, 80, 120, 200, 1000};

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
			for (int wide = 0; wide < 2; wide++) {
				char *text;

				options = (struct table_options){.width = widths[i],
								 .wide = wide,
								 .all = true};
				text = written(make_table,
					       hostile_event((enum event_action)action));
				assert_clean(text);
				free(text);
			}
		}
	}
}

static void test_table_width(void **state)
{
	static const unsigned int widths[] = {80, 100, 120, 160, 200};

	(void)state;
	for (size_t i = 0; i < sizeof(widths) / sizeof(widths[0]); i++) {
		struct event *event = hostile_event(EVENT_MESSAGE);
		char *text, *line;

		event->capture.missing_bytes = 0;
		event->capture.witness = WITNESS_AGREE;
		event->sender_count = 1;
		sender_unref(event->senders[1]);
		free(event->nearest); /* the note would be longer than the row */
		event->nearest = NULL;
		for (uint32_t r = 0; r < event->transaction->recipient_count; r++)
			event->transaction->recipients[r].code = 250;
		options = (struct table_options){.width = widths[i]};
		text = written(make_table, event);
		for (line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
			assert_true(text_width(span_of(line)) <= widths[i]);
		free(text);
	}
}

static void test_table_colour(void **state)
{
	char *text;

	(void)state;
	options = (struct table_options){.width = 120, .color = true};
	text = written(make_table, hostile_event(EVENT_MESSAGE));
	assert_non_null(strstr(text, "\033[1m"));
	assert_null(strstr(text, "\033]0"));
	free(text);
}

static void test_table_summary(void **state)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct event_stats stats = {.messages = 2, .recipients = 3, .bytes = 4096};
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct sink *sink;

	(void)state;
	options = (struct table_options){.width = 120};
	sink = make_table(out);
	assert_int_equal(sink->write(sink, event), 0);
	assert_int_equal(sink->write(sink, event), 0);
	assert_int_equal(sink->finish(sink, &stats), 0);
	stats.counters[COUNTER_SEGMENT_LOST] = 5;
	assert_int_equal(sink->finish(sink, &stats), 0);
	sink->free(sink);
	fclose(out);
	event_free(event);
	assert_clean(text);
	assert_non_null(strstr(text, "2 messages to 3 recipients"));
	assert_non_null(strstr(text, "nothing was lost"));
	assert_non_null(strstr(text, "not captured: 5 segments"));
	free(text);
}

/* What the summary says of these totals. The caller frees it. */
static char *summary_of(const struct event_stats *stats)
{
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct sink *sink;

	options = (struct table_options){.width = 120};
	sink = make_table(out);
	assert_int_equal(sink->finish(sink, stats), 0);
	sink->free(sink);
	fclose(out);
	return text;
}

/* Whatever may have been lost, the summary says it instead. */
static void test_table_nothing_was_lost(void **state)
{
	static const struct {
		struct event_stats stats;
		const char *says;
	} cases[] = {
		{{.mid_stream = 1}, "1 connection began before the watch"},
		{{.mid_stream = 2, .incomplete = 1}, "2 connections began before the watch"},
		{{.incomplete = 1}, "1 message was not seen completely"},
		{{.unwatched_ns = 2500000000},
		 "not captured: what passed in 2.5 s before the start"},
		{{.records_malformed = 1}, "not captured: 1 malformed records"},
		{{.flows_dropped = 1}, "not captured: 1 connections"},
		{{.content_refused = 1}, "not captured: 1 contents of messages"},
		{{.events_lost = 1}, "not captured: 1 events"},
	};
	struct event_stats stats;
	char *text;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]) + COUNTER_MAX; i++) {
		bool counted = i >= sizeof(cases) / sizeof(cases[0]);

		memset(&stats, 0, sizeof(stats));
		if (counted)
			stats.counters[i - sizeof(cases) / sizeof(cases[0])] = 1;
		text = summary_of(counted ? &stats : &cases[i].stats);
		assert_null(strstr(text, "nothing was lost"));
		assert_non_null(strstr(text, counted ? "not captured: 1 " : cases[i].says));
		assert_null(strstr(text, "(null)"));
		free(text);
	}
	memset(&stats, 0, sizeof(stats));
	stats.messages = stats.sessions = stats.quoted = stats.unattributed = 7;
	text = summary_of(&stats);
	assert_non_null(strstr(text, "nothing was lost"));
	free(text);
}

static void test_failing_output(void **state)
{
	FILE *out = fopen("/dev/full", "w");
	struct sink *sink = sink_lines_new(out, event_json);
	struct event *event = hostile_event(EVENT_MESSAGE);
	int error;

	(void)state;
	error = sink->write(sink, event);
	if (!error)
		error = sink->flush(sink);
	assert_true(error < 0);
	sink->free(sink);
	event_free(event);
	fclose(out);
}

/* Each format has a writer, except those of the terminal; names are found where they fit. */
static void test_formats(void **state)
{
	enum output_format format;
	char list[100];

	(void)state;
	for (int i = 0; i < FORMAT_COUNT; i++) {
		format = (enum output_format)i;
		assert_int_equal(format_writer(format) == NULL,
				 !format_fits(format, ~0U ^ FORMAT_ON_TERMINAL));
	}
	assert_true(format_find("wide", FORMAT_ON_TERMINAL, &format));
	assert_int_equal(format, FORMAT_WIDE);
	assert_false(format_find("wide", FORMAT_IN_FILES | FORMAT_BY_SYSLOG, &format));
	assert_false(format_find("", ~0U, &format));
	format_list(list, sizeof(list), FORMAT_ON_TERMINAL);
	assert_string_equal(list, "json, cef, sentinel, table or wide");
	format_list(list, sizeof(list), FORMAT_BY_SYSLOG);
	assert_string_equal(list, "json or cef");
	format_list(list, 8, FORMAT_ON_TERMINAL);
	assert_string_equal(list, "json, c");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_bare),
		cmocka_unit_test(test_json_hostile),
		cmocka_unit_test(test_json_values),
		cmocka_unit_test(test_json_long),
		cmocka_unit_test(test_json_many_args),
		cmocka_unit_test(test_json_long_arg),
		cmocka_unit_test(test_table_hostile),
		cmocka_unit_test(test_table_width),
		cmocka_unit_test(test_table_colour),
		cmocka_unit_test(test_table_summary),
		cmocka_unit_test(test_table_nothing_was_lost),
		cmocka_unit_test(test_failing_output),
		cmocka_unit_test(test_formats),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
