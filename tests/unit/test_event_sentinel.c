/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for Microsoft Sentinel, checked against the schema of the table. Every line is a flat
 * object of the table's columns with values of their types, shorter than the service's limit. Every
 * column is in some event.
 */
#include "event_samples.h"

#include <jansson.h>

#define TABLE	   "deploy/sentinel/table.json"
#define LINE_LIMIT 60000U
#define HUGE_LEN   100000U
#define CELL_MAX   32768U /* bytes of a column of type string */

static json_t *table, *columns; /* columns: name to type */
static json_t *seen;		/* columns that some event had */

static int read_table(void **state)
{
	json_error_t error;
	size_t i;
	json_t *column, *list;

	(void)state;
	table = json_load_file(TABLE, 0, &error);
	columns = json_object();
	seen = json_object();
	if (!table) {
		print_error("%s: %s; the tests run in the top folder\n", TABLE, error.text);
		return -1;
	}
	list = json_object_get(json_object_get(json_object_get(table, "properties"), "schema"),
			       "columns");
	json_array_foreach(list, i, column)
	{
		json_object_set(columns, json_string_value(json_object_get(column, "name")),
				json_object_get(column, "type"));
	}
	return json_object_size(columns) > 100 ? 0 : -1;
}

static int forget_table(void **state)
{
	(void)state;
	json_decref(table);
	json_decref(columns);
	json_decref(seen);
	return 0;
}

/* ---- What the table accepts ------------------------------------------------------------------ */

static bool is_time(const char *text)
{
	int n = 0;

	return text && strlen(text) == 27 &&
	       sscanf(text, "%*4d-%*2d-%*2dT%*2d:%*2d:%*2d.%*6dZ%n", &n) == 0 && n == 27;
}

static bool has_type(const json_t *value, const char *type)
{
	if (strcmp(type, "string") == 0)
		return json_is_string(value) && json_string_length(value) < CELL_MAX;
	if (strcmp(type, "long") == 0)
		return json_is_integer(value);
	if (strcmp(type, "int") == 0)
		return json_is_integer(value) && json_integer_value(value) >= 0 &&
		       json_integer_value(value) <= INT32_MAX;
	if (strcmp(type, "boolean") == 0)
		return json_is_boolean(value);
	if (strcmp(type, "dateTime") == 0)
		return is_time(json_string_value(value));
	return strcmp(type, "dynamic") == 0 && (json_is_array(value) || json_is_object(value));
}

/* Writes the event, frees it, and checks the line. The caller drops the object. */
static json_t *checked(struct event *event)
{
	struct text line = {0};
	json_error_t error;
	const char *name;
	json_t *row, *value;

	event_sentinel(&line, event);
	assert_false(line.failed);
	assert_true(line.len < LINE_LIMIT);
	for (const char *c = line.data; *c; c++)
		assert_true((unsigned char)*c >= ' ' && *c != 0x7f);
	assert_int_equal(strncmp(line.data, "{\"TimeGenerated\":", 17), 0);
	row = json_loads(line.data, JSON_REJECT_DUPLICATES, &error);
	if (!row)
		fail_msg("%s at %d in %.300s", error.text, error.position, line.data);
	json_object_foreach(row, name, value)
	{
		const char *type = json_string_value(json_object_get(columns, name));

		if (!type)
			fail_msg("%s is no column of %s", name, TABLE);
		else if (!has_type(value, type))
			fail_msg("%s is no %s", name, type);
		json_object_set(seen, name, json_true());
	}
	text_add_string(&line, "\n");
	keep(line.data);
	text_free(&line);
	event_free(event);
	return row;
}

static const char *string_of(const json_t *row, const char *name)
{
	return json_string_value(json_object_get(row, name));
}

/* ---- Events ---------------------------------------------------------------------------------- */

/* An event that has what the shared samples lack. */
static struct event *full_event(enum event_action action, bool excluded)
{
	struct event *event = hostile_event(action);
	struct sender *sender = event->senders[0];

	if (action == EVENT_STATUS || action == EVENT_STARTED)
		memset(event->config_hash, 'c', EVENT_HASH_LEN);
	event->sequence = UINT64_MAX;
	if (action == EVENT_STATUS || action == EVENT_STOPPED) {
		event->let_pass = calloc(1, sizeof(*event->let_pass));
		assert_non_null(event->let_pass);
		event->let_pass[event->let_pass_count++].name = copy_of(HOSTILE);
	}
	if (!event->has_flow)
		return event;
	event->provisional = action == EVENT_MESSAGE && excluded;
	if (excluded) {
		event->origin->candidates[0] = event->origin->submitter;
		event->origin->submitter = NULL;
		event->origin->candidate_count = 2;
		event->verdict = VERDICT_EXCLUDED;
		event->exclusion = copy_of(HOSTILE);
	}
	sender->scheduler = SCHEDULER_CRON;
	sender->own_namespaces = IS_SO;
	sender->task.loginuid = 1000;
	memset(event->origin->queue_id, 'q', ORIGIN_QUEUE_ID_MAX);
	memset(event->origin->submission, 'd', ORIGIN_EVENT_LEN);
	if (event->transaction) {
		static const char reply[] = "2.0.0 Ok: queued as 4F2B1C0042";

		memcpy(event->transaction->reply_text, reply, sizeof(reply) - 1);
		event->transaction->reply_len = sizeof(reply) - 1;
		event->transaction->outcome = SMTP_OUTCOME_SUCCESS;
	}
	sender->ancestors[0].image = image_ref(sender->image);
	return event;
}

static void test_bare(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		json_t *row = checked(bare_event((enum event_action)action));

		assert_string_equal(string_of(row, "EventAction"),
				    event_action_name((enum event_action)action));
		assert_null(json_object_get(row, "ProcessId"));
		assert_null(json_object_get(row, "HostName"));
		assert_true(json_is_false(json_object_get(row, "Truncated")));
		json_decref(row);
	}
}

static void test_hostile(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++)
		json_decref(checked(hostile_event((enum event_action)action)));
}

static void test_values(void **state)
{
	json_t *row = checked(full_event(EVENT_MESSAGE, false)), *other, *rcpt;

	(void)state;
	assert_string_equal(string_of(row, "EventKind"), "alert");
	assert_string_equal(string_of(row, "Verdict"), "alert");
	assert_true(json_is_true(json_object_get(row, "Final")));
	assert_int_equal(json_integer_value(json_object_get(row, "ProcessId")), 4294967295LL);
	assert_int_equal(json_integer_value(json_object_get(row, "RecipientCount")),
			 SMTP_RECIPIENTS_MAX + 1);
	assert_string_equal(string_of(row, "UserId"), "2");
	assert_string_equal(string_of(row, "RealUserId"), "1");
	assert_string_equal(string_of(row, "ScheduledBy"), "cron");
	assert_string_equal(string_of(row, "QueueId"), "4F2B1C0042");
	assert_non_null(strstr(string_of(row, "MailFrom"), "\\\\x41"));
	assert_non_null(strstr(string_of(row, "MailFrom"), " \\xff\\xfe"));
	other = json_array_get(json_object_get(row, "OtherSenders"), 0);
	assert_int_equal(json_integer_value(json_object_get(other, "ProcessId")), 4294967295LL);
	/* 2,000 hostile addresses do not fit: the row has the first of them, and says so. */
	rcpt = json_object_get(row, "RcptTo");
	assert_in_range(json_array_size(rcpt), 100, SMTP_RECIPIENTS_MAX - 1);
	assert_string_equal(json_string_value(json_array_get(rcpt, 0)), string_of(row, "MailFrom"));
	assert_true(json_is_true(json_object_get(row, "Truncated")));
	json_decref(row);
}

/* Two thousand addresses of a usual length fit. */
static void test_recipients(void **state)
{
	struct event *event = bare_event(EVENT_MESSAGE);
	json_t *row;

	(void)state;
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(BYTES("someone@partner.example"), SMTP_RECIPIENTS_MAX);
	for (uint32_t i = 0; i < SMTP_RECIPIENTS_MAX; i++)
		event->transaction->recipients[i].code = 250;
	row = checked(event);
	assert_int_equal(json_array_size(json_object_get(row, "RcptTo")), SMTP_RECIPIENTS_MAX);
	assert_true(json_is_false(json_object_get(row, "Truncated")));
	json_decref(row);
}

static void test_lost(void **state)
{
	struct event *event = bare_event(EVENT_STATUS);
	json_t *row = checked(event), *lost, *user;

	(void)state;
	assert_int_equal(json_object_size(json_object_get(row, "Lost")), 0);
	json_decref(row);
	event = bare_event(EVENT_LOSS);
	event->stats->counters[COUNTER_SEGMENT_LOST] = UINT64_MAX;
	event->dropped = calloc(1, sizeof(*event->dropped));
	event->dropped_count = 1;
	*event->dropped =
		(struct event_dropped){.uid = 65534, .name = "nobody", .bytes = 4452732273};
	row = checked(event);
	user = json_array_get(json_object_get(row, "DroppedUsers"), 0);
	assert_string_equal(json_string_value(json_object_get(user, "UserName")), "nobody");
	assert_true(json_integer_value(json_object_get(user, "Bytes")) == 4452732273);
	lost = json_object_get(row, "Lost");
	assert_int_equal(json_object_size(lost), 1);
	assert_true(json_integer_value(json_object_get(lost, "segments")) == INT64_MAX);
	json_decref(row);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static char *huge(const char *pattern)
{
	char *string = malloc(HUGE_LEN + 1);
	size_t len = strlen(pattern);

	assert_non_null(string);
	for (size_t i = 0; i < HUGE_LEN; i++)
		string[i] = pattern[i % len];
	string[HUGE_LEN] = '\0';
	return string;
}

static void replace(char **string, const char *pattern)
{
	free(*string);
	*string = huge(pattern);
}

static void fill(char *field, uint16_t *len, size_t size, const char *pattern)
{
	for (size_t i = 0; i < size; i++)
		field[i] = pattern[i % strlen(pattern)];
	*len = (uint16_t)size;
}

static void huge_sender(struct sender *sender, const char *pattern)
{
	replace(&sender->image->executable, pattern);
	replace(&sender->image->script, pattern);
	replace(&sender->image->directory, pattern);
	replace(&sender->image->args, pattern);
	sender->image->args_len = HUGE_LEN + 1;
	replace(&sender->cgroup, pattern);
	replace(&sender->user, pattern);
	replace(&sender->audit_user, pattern);
	replace(&sender->group, pattern);
	replace(&sender->unit, pattern);
	replace(&sender->user_unit, pattern);
	replace(&sender->container, pattern);
	replace(&sender->container_name, pattern);
}

static void huge_mail(struct mail *mail, const char *pattern)
{
	char *text = huge(pattern);
	struct mail_string all;

	free(mail->addresses);
	free(mail->attachments);
	mail->addresses = calloc(MAIL_ADDRESSES_MAX, sizeof(*mail->addresses));
	mail->attachments = calloc(MAIL_ATTACHMENTS_MAX, sizeof(*mail->attachments));
	assert_true(mail->addresses && mail->attachments);
	all = mail_add(mail, span_of(text));
	for (uint32_t i = 0; i < MAIL_ADDRESSES_MAX; i++)
		mail->addresses[i] = (struct mail_address){.kind = (enum mail_address_kind)(i % 4),
							   .address = all};
	for (uint32_t i = 0; i < MAIL_ATTACHMENTS_MAX; i++)
		mail->attachments[i] =
			(struct mail_attachment){.name = all, .type = all, .size = UINT64_MAX};
	mail->address_count = MAIL_ADDRESSES_MAX;
	mail->attachment_count = MAIL_ATTACHMENTS_MAX;
	mail->subject = mail->message_id = mail->x_mailer = all;
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		mail->claims[i] = all;
	free(text);
}

static void huge_decision(struct event *event, const char *pattern)
{
	static const char *const reason = "commands_after_starttls";

	replace(&event->nearest, pattern);
	replace(&event->exclusion, pattern);
	replace(&event->server_name, pattern);
	event->failed.bits = event->unknown.bits = UINT64_MAX;
	for (event->reason_count = 0; event->reason_count < EVENT_REASONS_MAX;
	     event->reason_count++)
		event->reasons[event->reason_count] = reason;
	free(event->rules[0].name);
	free(event->rules[0].author);
	free(event->rules[0].description);
	free(event->rules[0].version);
	free(event->rules);
	event->rules = calloc(100, sizeof(*event->rules));
	assert_non_null(event->rules);
	for (event->rule_count = 0; event->rule_count < 100; event->rule_count++)
		event->rules[event->rule_count].name = huge(pattern);
}

/* Everything that others chose is as long as it can be, or longer. */
static struct event *huge_event(const char *pattern)
{
	struct event *event = full_event(EVENT_MESSAGE, false);
	struct smtp_facts *facts = event->session;
	char *address = huge(pattern);

	huge_sender(event->senders[0], pattern);
	huge_sender(event->senders[1], pattern);
	while (event->sender_count < EVENT_SENDERS_MAX)
		event->senders[event->sender_count++] = sender_ref(event->senders[1]);
	for (uint32_t i = 0; i < ANCESTORS_MAX; i++) {
		if (!event->senders[0]->ancestors[i].image)
			event->senders[0]->ancestors[i].image = image_ref(event->senders[0]->image);
	}
	huge_decision(event, pattern);
	smtp_transaction_free(event->transaction);
	event->transaction =
		transaction_of((struct span){address, SMTP_ENVELOPE_MAX / SMTP_RECIPIENTS_MAX},
			       SMTP_RECIPIENTS_MAX);
	event->transaction->mail = mail_of(hostile);
	huge_mail(event->transaction->mail, pattern);
	fill(event->transaction->reply_text, &event->transaction->reply_len, SMTP_REPLY_TEXT_MAX,
	     pattern);
	fill(facts->helo, &facts->helo_len, SMTP_WORD_MAX, pattern);
	fill(facts->auth_mechanism, &facts->auth_mechanism_len, SMTP_WORD_MAX, pattern);
	fill(facts->auth_user, &facts->auth_user_len, SMTP_WORD_MAX, pattern);
	fill(facts->proxy.target, &facts->proxy.target_len, PREAMBLE_TARGET_MAX, pattern);
	event->host = address;
	event->detail = address;
	return event;
}

/*
 * With plain bytes, with escapes of each length, and with characters of each length, so that cuts
 * fall at every place in one.
 */
static void test_bounds(void **state)
{
	static const char *const patterns[] = {"a",	   "\xff",	   "\x01",
					       "\"",	   "\\x",	   "\\",
					       "\xc3\xa9", "\xe2\x82\xac", "a\xf0\x9f\x93\xa7",
					       "\n/",	   HOSTILE,	   "a@b.example,\t"};

	(void)state;
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
		struct event *event = huge_event(patterns[i]);
		char *host = (char *)event->host;
		json_t *row = checked(event);

		assert_true(json_is_true(json_object_get(row, "Truncated")));
		assert_true(json_string_length(json_object_get(row, "ProcessExecutable")) > 300);
		assert_true(json_array_size(json_object_get(row, "RcptTo")) > 0);
		json_decref(row);
		free(host);
	}
}

/* A cut is between characters, and as late as possible. */
static void test_cut(void **state)
{
	struct event *event = huge_event("\xe2\x82\xac");
	char *host = (char *)event->host;
	json_t *row = checked(event);
	size_t len = json_string_length(json_object_get(row, "ProcessExecutable"));

	(void)state;
	assert_int_equal(len % 3, 0);
	assert_in_range(len, 2046, 2048);
	json_decref(row);
	free(host);
}

static void test_many_exclusions(void **state)
{
	struct event *event = bare_event(EVENT_STATUS);
	json_t *row;

	(void)state;
	event->let_pass = calloc(10000, sizeof(*event->let_pass));
	assert_non_null(event->let_pass);
	for (event->let_pass_count = 0; event->let_pass_count < 10000; event->let_pass_count++)
		event->let_pass[event->let_pass_count].name =
			copy_of(HOSTILE HOSTILE HOSTILE HOSTILE);
	row = checked(event);
	assert_true(json_array_size(json_object_get(row, "ExclusionTotals")) > 10);
	assert_true(json_is_true(json_object_get(row, "Truncated")));
	json_decref(row);
}

/* ---- Every column is in use ------------------------------------------------------------------ */

static void test_every_column(void **state)
{
	const char *name;
	json_t *type;

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		json_decref(checked(full_event((enum event_action)action, false)));
		json_decref(checked(full_event((enum event_action)action, true)));
	}
	json_object_foreach(columns, name, type)
	{
		if (!json_object_get(seen, name))
			fail_msg("no event has the column %s of %s", name, TABLE);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),	     cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_values),	     cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_lost),	     cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_cut),	     cmocka_unit_test(test_many_exclusions),
		cmocka_unit_test(test_every_column),
	};

	return cmocka_run_group_tests(tests, read_table, forget_table);
}
