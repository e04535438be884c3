/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in the journal's native protocol, decoded again by a decoder that follows the protocol's
 * description: no value can end itself or begin a field, and a datagram stays within its bound.
 */
#include <endian.h>
#include <stdlib.h>

#include "event_samples.h"
#include "format/fields.h"

#include "base/text.h"

#define JOURNAL_MAX 49152U
#define FIELDS_MAX  4096U

struct pair {
	char name[65];
	struct span value; /* into the datagram */
};

struct datagram {
	struct text text;
	struct pair fields[FIELDS_MAX];
	size_t count;
};

/* ---- The decoder ----------------------------------------------------------------------------- */

static void decode(struct datagram *datagram)
{
	struct span rest = {datagram->text.data, datagram->text.len};

	datagram->count = 0;
	while (rest.len) {
		struct pair *field = &datagram->fields[datagram->count++];
		size_t name = strcspn(rest.data, "=\n"), len;
		uint64_t given;

		assert_true(datagram->count < FIELDS_MAX);
		assert_true(name > 0 && name < 65 && name < rest.len);
		for (size_t i = 0; i < name; i++)
			assert_true((rest.data[i] >= 'A' && rest.data[i] <= 'Z') ||
				    (i && rest.data[i] == '_') ||
				    (i && rest.data[i] >= '0' && rest.data[i] <= '9'));
		memcpy(field->name, rest.data, name);
		field->name[name] = '\0';
		if (rest.data[name] == '=') {
			const char *end = memchr(rest.data, '\n', rest.len);

			assert_non_null(end);
			field->value = (struct span){rest.data + name + 1,
						     (size_t)(end - rest.data) - name - 1};
			len = (size_t)(end - rest.data) + 1;
		} else {
			assert_true(rest.len > name + 1 + 8);
			memcpy(&given, rest.data + name + 1, 8);
			given = le64toh(given);
			assert_true(given < rest.len - name - 1 - 8);
			field->value = (struct span){rest.data + name + 1 + 8, given};
			len = name + 1 + 8 + given + 1;
			assert_int_equal(rest.data[len - 1], '\n');
		}
		rest.data += len;
		rest.len -= len;
	}
}

/* The value of the n-th field with this name; its data is NULL if there is none. */
static struct span get(const struct datagram *datagram, const char *name, size_t n)
{
	for (size_t i = 0; i < datagram->count; i++) {
		if (strcmp(datagram->fields[i].name, name) == 0 && !n--)
			return datagram->fields[i].value;
	}
	return (struct span){NULL, 0};
}

static void expect_bytes(const struct datagram *datagram, const char *name, size_t n,
			 struct span wanted)
{
	struct span value = get(datagram, name, n);

	if (!value.data)
		fail_msg("there is no %s", name);
	if (!span_equal(value, wanted))
		fail_msg("%s is %.*s", name, (int)value.len, value.data);
}

static void expect(const struct datagram *datagram, const char *name, const char *wanted)
{
	if (wanted)
		expect_bytes(datagram, name, 0, span_of(wanted));
	else if (get(datagram, name, 0).data)
		fail_msg("%s is not expected", name);
}

static void expect_clean(const struct datagram *datagram, const char *name, struct span wanted)
{
	struct text clean = {0};

	text_add_utf8(&clean, wanted);
	expect_bytes(datagram, name, 0, (struct span){clean.data, clean.len});
	text_free(&clean);
}

/* ---- Datagrams ------------------------------------------------------------------------------- */

/* Appends the length (32 bits, little-endian) and the datagram to $SMTPSNOOP_JOURNAL_OUT. */
static void keep_datagram(const struct text *text)
{
	const char *path = getenv("SMTPSNOOP_JOURNAL_OUT");
	FILE *file = path ? fopen(path, "a") : NULL;
	uint32_t len = htole32((uint32_t)text->len);

	if (!file)
		return;
	fwrite(&len, sizeof(len), 1, file);
	fwrite(text->data, 1, text->len, file);
	fclose(file);
}

/* The event is freed. */
static void written(struct datagram *datagram, struct event *event)
{
	struct text again = {0};

	text_clear(&datagram->text);
	event_journal(&datagram->text, event);
	event_free(event);
	assert_false(datagram->text.failed);
	assert_true(datagram->text.len < JOURNAL_MAX);
	keep_datagram(&datagram->text);
	decode(datagram);
	for (size_t i = 0; i < datagram->count; i++) {
		struct span value = datagram->fields[i].value;
		size_t doubled = 0;

		assert_true(value.len > 0);
		text_clear(&again); /* valid UTF-8: nothing is escaped again */
		text_add_utf8(&again, value);
		for (size_t at = 0, row = 0; at < value.len; at++) {
			if (value.data[at] == 'x')
				doubled += row;
			row = value.data[at] == '\\' ? row + 1 : 0;
		}
		assert_int_equal(again.len, value.len + doubled);
	}
	text_free(&again);
}

static struct datagram *datagram_new(void)
{
	struct datagram *datagram = calloc(1, sizeof(*datagram));

	assert_non_null(datagram);
	return datagram;
}

static void datagram_free(struct datagram *datagram)
{
	text_free(&datagram->text);
	free(datagram);
}

static void test_bare(void **state)
{
	static const char *const priorities[] = {"6", "6", "4", "4", "6", "4", "6", "6"};
	static const char *const ids[] = {JOURNAL_ID_STARTED, JOURNAL_ID_STATUS,
					  JOURNAL_ID_MESSAGE, JOURNAL_ID_ENCRYPTED,
					  JOURNAL_ID_SESSION, JOURNAL_ID_LOSS,
					  JOURNAL_ID_STOPPED, JOURNAL_ID_SUBMISSION};
	struct datagram *datagram = datagram_new();

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		written(datagram, bare_event((enum event_action)action));
		expect(datagram, "PRIORITY", priorities[action]);
		expect(datagram, "MESSAGE_ID", ids[action]);
		expect(datagram, "SYSLOG_IDENTIFIER", "smtpsnoop");
		expect(datagram, "SYSLOG_FACILITY", NULL);
		expect(datagram, "SMTPSNOOP_ACTION", event_action_name((enum event_action)action));
		expect(datagram, "SMTPSNOOP_EVENT_ID", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		expect(datagram, "OBJECT_PID", NULL);
		expect(datagram, "SMTPSNOOP_USER", NULL);
		assert_true(get(datagram, "MESSAGE", 0).len > 10);
	}
	datagram_free(datagram);
}

static void test_hostile(void **state)
{
	struct datagram *datagram = datagram_new();

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		written(datagram, hostile_event((enum event_action)action));
		assert_null(memchr(get(datagram, "MESSAGE", 0).data, '\x1b',
				   get(datagram, "MESSAGE", 0).len));
		expect_clean(datagram, "SMTPSNOOP_HOST", span_of("host-" HOSTILE));
		if (action != EVENT_MESSAGE && action != EVENT_ENCRYPTED && action != EVENT_SESSION)
			continue;
		expect(datagram, "PRIORITY", "3");
		expect(datagram, "OBJECT_PID", "4294967295");
		expect_clean(datagram, "SMTPSNOOP_USER", hostile);
		expect_clean(datagram, "SMTPSNOOP_UNIT", hostile);
		expect_clean(datagram, "SMTPSNOOP_CONTAINER", hostile);
		expect_clean(datagram, "SMTPSNOOP_HELO", hostile);
		expect_clean(datagram, "SMTPSNOOP_NEAREST", hostile);
		expect_clean(datagram, "SMTPSNOOP_EXECUTABLE",
			     span_of("/usr/" HOSTILE "/" HOSTILE));
		expect_clean(datagram, "SMTPSNOOP_SCRIPT", span_of("/srv/" HOSTILE));
		expect_bytes(datagram, "SMTPSNOOP_NEAREST_FAILED", 0, span_of("expires"));
		expect_bytes(datagram, "SMTPSNOOP_NEAREST_FAILED", 1, span_of("encrypted"));
		expect_bytes(datagram, "SMTPSNOOP_TECHNIQUE", 1, span_of("T1071.003"));
	}
	datagram_free(datagram);
}

static void test_message(void **state)
{
	struct datagram *datagram = datagram_new();
	struct event *event = hostile_event(EVENT_MESSAGE);

	(void)state;
	event_reason(event, "bytes_missing");
	written(datagram, event);
	expect_clean(datagram, "SMTPSNOOP_MAIL_FROM", hostile);
	expect_clean(datagram, "SMTPSNOOP_RCPT_TO", hostile);
	expect_clean(datagram, "SMTPSNOOP_SUBJECT", hostile);
	expect_clean(datagram, "SMTPSNOOP_REPLY", hostile);
	expect(datagram, "SMTPSNOOP_REPLY_CODE", "250");
	expect(datagram, "SMTPSNOOP_RCPT_COUNT", "2001");
	expect(datagram, "SMTPSNOOP_BYTES", "4294967295");
	expect(datagram, "SMTPSNOOP_OUTCOME", "unknown");
	expect(datagram, "SMTPSNOOP_VERDICT", "alert");
	expect(datagram, "SMTPSNOOP_FINAL", "1");
	expect_bytes(datagram, "SMTPSNOOP_REASON", 0, span_of("several_senders"));
	expect_bytes(datagram, "SMTPSNOOP_REASON", 1, span_of("bytes_missing"));
	assert_non_null(get(datagram, "SMTPSNOOP_RCPT_TO", 50).data);
	datagram_free(datagram);
}

static void test_priority(void **state)
{
	struct datagram *datagram = datagram_new();
	struct event *event = bare_event(EVENT_MESSAGE);

	(void)state;
	event->verdict = VERDICT_EXCLUDED;
	event->exclusion = copy_of("daily");
	written(datagram, event);
	expect(datagram, "PRIORITY", "6");
	expect(datagram, "SMTPSNOOP_EXCLUSION", "daily");
	expect(datagram, "SMTPSNOOP_MAIL_FROM", "<>");
	event = bare_event(EVENT_ENCRYPTED);
	event->verdict = VERDICT_OBSERVED;
	written(datagram, event);
	expect(datagram, "PRIORITY", "6");
	expect(datagram, "SMTPSNOOP_RISK", NULL);
	event = bare_event(EVENT_LOSS);
	event->stats->counters[COUNTER_SEGMENT_LOST] = 3;
	written(datagram, event);
	expect(datagram, "PRIORITY", "4");
	expect(datagram, "SMTPSNOOP_LOST", "3");
	datagram_free(datagram);
}

/* A value that contains what could be its end, and further fields. */
static void test_forged(void **state)
{
	static const char forged[] =
		"x\nPRIORITY=7\nSMTPSNOOP_VERDICT=excluded\nSMTPSNOOP_USER\n\1\1\1\1\1\1\1\1root\n";
	struct datagram *datagram = datagram_new();
	struct event *event = hostile_event(EVENT_MESSAGE);

	(void)state;
	free(event->senders[0]->image->executable);
	event->senders[0]->image->executable = copy_of(forged);
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(span_of(forged), 3);
	written(datagram, event);
	expect(datagram, "SMTPSNOOP_EXECUTABLE", forged);
	expect(datagram, "SMTPSNOOP_MAIL_FROM", forged);
	expect_bytes(datagram, "SMTPSNOOP_RCPT_TO", 2, span_of(forged));
	assert_null(get(datagram, "SMTPSNOOP_RCPT_TO", 3).data);
	expect(datagram, "PRIORITY", "3");
	expect(datagram, "SMTPSNOOP_VERDICT", "alert");
	assert_null(get(datagram, "PRIORITY", 1).data);
	assert_null(get(datagram, "SMTPSNOOP_USER", 1).data);
	datagram_free(datagram);
}

static void fill(char **string, const char *with)
{
	free(*string);
	*string = copy_of(with);
}

static void expect_bounded(const char *unit)
{
	struct datagram *datagram = datagram_new();
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct sender *sender = event->senders[0];
	struct text text = {0};

	while (text.len < 20000)
		text_add_string(&text, unit);
	event->host = text.data;
	fill(&sender->user, text.data);
	fill(&sender->unit, text.data);
	fill(&sender->user_unit, text.data);
	fill(&sender->container, text.data);
	fill(&sender->container_name, text.data);
	fill(&sender->image->executable, text.data);
	fill(&sender->image->script, text.data);
	free(sender->image->args);
	sender->image->args = copy_of(text.data);
	sender->image->args_len = text.len + 1;
	fill(&event->nearest, text.data);
	event->exclusion = copy_of(text.data);
	event->server_name = copy_of(text.data);
	fill(&event->rules[0].name, text.data);
	event->failed.bits = UINT64_MAX;
	for (event->reason_count = 0; event->reason_count < EVENT_REASONS_MAX;
	     event->reason_count++)
		event->reasons[event->reason_count] = "executable_link_changed";
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of((struct span){text.data, 4000}, SMTP_RECIPIENTS_MAX);
	event->transaction->mail = mail_of((struct span){text.data, text.len});
	written(datagram, event);
	assert_true(get(datagram, "SMTPSNOOP_EXECUTABLE", 0).len <= 4096);
	/* There was room for the last field. */
	assert_non_null(get(datagram, "SMTPSNOOP_ORIGIN_USER", 0).data);
	text_free(&text);
	datagram_free(datagram);
}

static void test_bounds(void **state)
{
	static const char *const units[] = {
		"a", "\n", "\\", "\\x", "\xff", "\xc3\xbc", "\xf0\x9f\x98\x80", "\x1b", "="};

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		expect_bounded(units[i]);
}

/* A message that has what the shared samples lack. */
static struct event *full_message(void)
{
	static const char reply[] = "2.0.0 Ok: queued as 4F2B1C0042";
	struct event *event = hostile_event(EVENT_MESSAGE);

	event->exclusion = copy_of("daily");
	event->server_name = copy_of("mx.example.org");
	event->senders[0]->scheduler = SCHEDULER_CRON;
	event->transaction->outcome = SMTP_OUTCOME_SUCCESS;
	event->transaction->reply_len = sizeof(reply) - 1;
	memcpy(event->transaction->reply_text, reply, sizeof(reply) - 1);
	return event;
}

/* Each field of format/fields.def that has a name in the journal is in some event. */
static void test_every_field(void **state)
{
	struct datagram *datagram = datagram_new();
	bool seen[FIELD_COUNT] = {false};

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		struct event *event = action == EVENT_MESSAGE
					      ? full_message()
					      : hostile_event((enum event_action)action);

		event->provisional = action == EVENT_ENCRYPTED;
		if (!event->has_flow)
			memset(event->config_hash, 'c', EVENT_HASH_LEN);
		written(datagram, event);
		for (size_t i = 0; i < FIELD_COUNT; i++) {
			const char *name = field_rows[i].journal;

			seen[i] = seen[i] || !name || get(datagram, name, 0).data;
		}
	}
	for (size_t i = 0; i < FIELD_COUNT; i++) {
		if (!seen[i])
			fail_msg("no event has %s", field_rows[i].journal);
	}
	datagram_free(datagram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),	    cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_message),	    cmocka_unit_test(test_priority),
		cmocka_unit_test(test_forged),	    cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_every_field),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
