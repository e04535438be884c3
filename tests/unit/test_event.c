/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events as they are written: each action, bare and with hostile bytes in every field that somebody else
 * chooses. JSON stays one valid line; the table passes no control character on and keeps its width.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <locale.h>

#include <cmocka.h>
#include <jansson.h>

#include "event.h"
#include "smtp_transaction.h"
#include "text.h"

#define HOSTILE                                                                                              \
	"\"'\\ \\x41 \x1b[31m\x1b]0;t\x07 \x7f\x9b\x85 \xff\xfe\xc3( \xed\xa0\x80 \xe2\x80\xae\xe2\x80\xa8 " \
	"\x01\r\n\t%s%n"

static const struct span hostile = {HOSTILE, sizeof(HOSTILE) - 1};

static char *copy_of(const char *string)
{
	char *copy = strdup(string);

	assert_non_null(copy);
	return copy;
}

static struct image *hostile_image(void)
{
	static const char args[] = HOSTILE "\0\0second\0" HOSTILE;
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->refs = 1;
	image->flags = EXEC_MEMFD | EXEC_DELETED;
	image->executable = copy_of("/usr/" HOSTILE "/" HOSTILE);
	image->script = copy_of("/srv/" HOSTILE);
	image->directory = copy_of("/" HOSTILE);
	image->args = malloc(sizeof(args));
	assert_non_null(image->args);
	memcpy(image->args, args, sizeof(args));
	image->args_len = sizeof(args);
	return image;
}

static struct sender *hostile_sender(void)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->full = true;
	sender->task =
		(struct task_id){.pid = 4294967295U, .tid = 7, .start_ns = 123456789, .uid = 1, .euid = 2};
	memcpy(sender->task.comm, HOSTILE, COMM_LEN);
	sender->tty_major = 136;
	sender->image = hostile_image();
	sender->ancestor_count = ANCESTORS_MAX;
	for (uint32_t i = 0; i < ANCESTORS_MAX; i++)
		sender->ancestors[i] =
			(struct ancestor){.pid = i, .image = i % 2 ? image_ref(sender->image) : NULL};
	sender->cgroup = copy_of("/" HOSTILE);
	sender->user = copy_of(HOSTILE);
	sender->audit_user = copy_of(HOSTILE);
	sender->unit = copy_of(HOSTILE);
	sender->user_unit = copy_of(HOSTILE);
	sender->container = copy_of(HOSTILE);
	memset(sender->sha256, 'a', SHA256_HEX_LEN);
	return sender;
}

static struct smtp_transaction *transaction_of(struct span text, uint32_t recipients)
{
	struct smtp_transaction *transaction = smtp_transaction_new(1, 0, 1);
	struct smtp_command command = {.argument = text, .parameters = text};

	assert_non_null(transaction);
	assert_true(smtp_transaction_set_from(transaction, &command));
	for (uint32_t i = 0; i < recipients; i++)
		smtp_transaction_add(transaction, &command);
	for (uint32_t i = 0; i < transaction->recipient_count; i += 2)
		transaction->recipients[i].code = 550;
	transaction->number = 1;
	transaction->bytes = UINT32_MAX;
	transaction->reply_code = 250;
	transaction->reply_len = (uint16_t)(text.len < SMTP_REPLY_TEXT_MAX ? text.len : SMTP_REPLY_TEXT_MAX);
	memcpy(transaction->reply_text, text.data, transaction->reply_len);
	return transaction;
}

static struct event *bare_event(enum event_action action)
{
	struct event *event = event_new(action);

	assert_non_null(event);
	memset(event->id, 'a', EVENT_ID_LEN);
	memset(event->session_id, 'b', EVENT_ID_LEN);
	event->time_ns = 1700000000123456789;
	event->capture.hook = "tracepoint";
	event->has_flow = action == EVENT_MESSAGE || action == EVENT_ENCRYPTED || action == EVENT_SESSION;
	event->tls = action == EVENT_ENCRYPTED;
	if (action == EVENT_ENCRYPTED)
		event->verdict = VERDICT_ALERT;
	if (action == EVENT_MESSAGE) {
		event->verdict = VERDICT_ALERT;
		event->transaction = transaction_of((struct span){"", 0}, 1);
		event->transaction->reply_code = 0;
	}
	if (event->has_flow)
		event->session = calloc(1, sizeof(*event->session));
	event->stats = action == EVENT_MESSAGE || action == EVENT_ENCRYPTED || action == EVENT_STARTED
			       ? NULL
			       : calloc(1, sizeof(*event->stats));
	if (action == EVENT_STOPPED)
		event->detail = "signal";
	return event;
}

static struct event *hostile_event(enum event_action action)
{
	static const char *const blind[] = {"one", "two", NULL};
	struct event *event = bare_event(action);

	event->host = "host-" HOSTILE;
	event->blind = action == EVENT_STARTED ? blind : NULL;
	if (event->stats)
		memset(event->stats, 0x7f, sizeof(*event->stats));
	if (!event->has_flow)
		return event;
	event->verdict = VERDICT_ALERT;
	event->session->protocol = SMTP_PROTOCOL_LMTP;
	event->session->helo_len = (uint16_t)hostile.len;
	memcpy(event->session->helo, hostile.data, hostile.len);
	event->session->auth_mechanism_len = (uint16_t)hostile.len;
	memcpy(event->session->auth_mechanism, hostile.data, hostile.len);
	event->session->mail_from_seen = event->session->rcpt_to_seen = true;
	event->senders[0] = hostile_sender();
	event->senders[1] = hostile_sender();
	event->sender_count = 2;
	event->server_name = event->tls ? copy_of(HOSTILE) : NULL;
	event->reasons[0] = "several_senders";
	event->reason_count = 1;
	event->capture.witness = WITNESS_DIFFER;
	event->capture.missing_bytes = UINT32_MAX;
	if (event->transaction) {
		smtp_transaction_free(event->transaction);
		event->transaction = transaction_of(hostile, SMTP_RECIPIENTS_MAX + 1);
	}
	return event;
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

static void keep(const char *line)
{
	const char *path = getenv("SMTPSNOOP_EVENTS_OUT");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fputs(line, file);
	fclose(file);
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
	for (int action = EVENT_STARTED; action <= EVENT_STOPPED; action++) {
		char *line = written(sink_json_new, bare_event((enum event_action)action));
		json_t *root = parsed(line);

		assert_string_equal(json_string_value(
					    json_object_get(json_object_get(root, "event"), "action")),
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
	for (int action = EVENT_STARTED; action <= EVENT_STOPPED; action++) {
		char *line = written(sink_json_new, hostile_event((enum event_action)action));

		json_decref(parsed(line));
		keep(line);
		free(line);
	}
}

static void test_json_values(void **state)
{
	char *line = written(sink_json_new, hostile_event(EVENT_MESSAGE));
	json_t *root = parsed(line), *smtp = json_object_get(root, "smtp");
	json_t *process = json_object_get(root, "process");

	(void)state;
	assert_int_equal(json_array_size(json_object_get(smtp, "rcpt_to")), SMTP_RECIPIENTS_MAX);
	assert_int_equal(json_array_size(json_object_get(smtp, "rcpt_refused")), SMTP_RECIPIENTS_MAX / 2);
	assert_int_equal(json_integer_value(json_object_get(smtp, "rcpt_dropped")), 1);
	assert_int_equal(json_array_size(json_object_get(process, "args")), 4);
	assert_int_equal(json_integer_value(json_object_get(process, "pid")), 4294967295LL);
	assert_string_equal(json_string_value(json_object_get(json_object_get(process, "real_user"), "id")),
			    "1");
	/* A backslash and an x that were there are told apart from an escaped byte. */
	assert_non_null(strstr(json_string_value(json_object_get(smtp, "mail_from")), "\\\\x41"));
	assert_non_null(strstr(json_string_value(json_object_get(smtp, "mail_from")), " \\xff\\xfe"));
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
	line = written(sink_json_new, event);
	json_decref(parsed(line));
	free(line);
}

/* ---- The table ------------------------------------------------------------------------------ */

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
		for (int action = EVENT_STARTED; action <= EVENT_STOPPED; action++) {
			for (int wide = 0; wide < 2; wide++) {
				char *text;

				options =
					(struct table_options){.width = widths[i], .wide = wide, .all = true};
				text = written(make_table, hostile_event((enum event_action)action));
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

static void test_failing_output(void **state)
{
	FILE *out = fopen("/dev/full", "w");
	struct sink *sink = sink_json_new(out);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_json_bare),      cmocka_unit_test(test_json_hostile),
		cmocka_unit_test(test_json_values),    cmocka_unit_test(test_json_long),
		cmocka_unit_test(test_table_hostile),  cmocka_unit_test(test_table_width),
		cmocka_unit_test(test_table_colour),   cmocka_unit_test(test_table_summary),
		cmocka_unit_test(test_failing_output),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
