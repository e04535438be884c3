/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events in CEF, decoded again (cef_decoder.h): what comes out is what went in, nothing that
 * somebody else chose can end a field or begin one, and no record exceeds its bound.
 */
#include <locale.h>
#include <stdlib.h>

#include "cef_decoder.h"
#include "event_samples.h"

#include "event/criterion.h"
#include "process/image.h"
#include "base/text.h"

#define CEF_MAX 7500U

/* ---- Records --------------------------------------------------------------------------------- */

/*
 * Appends the line, and the same event as JSON, to the files that the environment names:
 * tests/formats compares them with what another parser reads.
 */
static void keep_both(const char *line, const struct event *event)
{
	const char *path = getenv("SMTPSNOOP_CEF_OUT");
	FILE *file = path ? fopen(path, "a") : NULL;
	struct text json = {0};

	if (!file)
		return;
	fprintf(file, "%s\n", line);
	fclose(file);
	event_json(&json, event);
	text_add_string(&json, "\n");
	keep(json.data);
	text_free(&json);
}

static char *written(const struct event *event)
{
	struct text out = {0};

	event_cef(&out, event);
	assert_false(out.failed);
	assert_int_equal(out.len, strlen(out.data));
	assert_true(out.len < CEF_MAX);
	assert_clean_line((struct span){out.data, out.len});
	keep_both(out.data, event);
	return out.data;
}

/* The event is freed. */
static struct decoded record_of(struct event *event)
{
	char *line = written(event);
	struct decoded record = decode(line);

	free(line);
	event_free(event);
	return record;
}

static void test_bare(void **state)
{
	static const char *const severities[] = {"0", "0", "5", "5", "1", "5", "3", "1"};

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		struct decoded record = record_of(bare_event((enum event_action)action));

		assert_string_equal(record.header[1], "smtpsnoop");
		assert_string_equal(record.header[2], "smtpsnoop");
		assert_string_equal(record.header[3], VERSION);
		assert_string_equal(record.header[4], event_action_name((enum event_action)action));
		assert_string_equal(record.header[6], severities[action]);
		expect(&record, "rt", "1700000000123");
		expect(&record, "externalId", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
		assert_true(strlen(get(&record, "msg")) > 10);
		expect(&record, "suser", NULL);
		expect(&record, "sproc", NULL);
		expect(&record, "dvchost", NULL);
		expect(&record, "flexString1", NULL);
		expect(&record, "flexString1Label", NULL);
		for (size_t i = 0; i < record.count; i++) /* an empty value is left out */
			assert_true(record.fields[i].value.len > 0);
		record_free(&record);
	}
}

static void test_hostile(void **state)
{
	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		struct decoded record = record_of(hostile_event((enum event_action)action));

		expect_bytes(&record, "dvchost",
			     (struct span){"host-" HOSTILE, sizeof("host-" HOSTILE) - 1});
		if (action != EVENT_MESSAGE && action != EVENT_ENCRYPTED &&
		    action != EVENT_SESSION) {
			record_free(&record);
			continue;
		}
		expect_bytes(&record, "suser", hostile);
		expect_bytes(&record, "cs3", hostile);
		expect_bytes(&record, "cs4", hostile);
		expect(&record, "cs4Label", "nearest exclusion");
		expect_bytes(&record, "cs6", hostile);
		expect(&record, "cs6Label", "container");
		expect_bytes(&record, "sourceServiceName", hostile);
		expect_bytes(&record, "sproc", span_of("/usr/" HOSTILE "/" HOSTILE));
		expect_bytes(&record, "filePath", span_of("/srv/" HOSTILE));
		expect(&record, "reason", "several_senders");
		expect(&record, "cn3", "4294967295");
		assert_string_equal(record.header[6], "8");
		record_free(&record);
	}
}

static void test_message(void **state)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct text command = {0};
	struct decoded record;

	(void)state;
	image_command_line(event->senders[0]->image, &command);
	record = record_of(event);
	expect_bytes(&record, "cs1", hostile);
	expect(&record, "cs1Label", "sender");
	expect_bytes(&record, "duser", hostile);
	expect_bytes(&record, "flexString1", hostile);
	expect(&record, "flexString1Label", "subject");
	expect_bytes(&record, "flexString2", (struct span){command.data, command.len});
	expect(&record, "flexString2Label", "command line");
	expect(&record, "cn1", "2001");
	expect(&record, "cn1Label", "recipients");
	expect(&record, "cn2", "250");
	expect(&record, "out", "4294967295");
	expect(&record, "spid", "4294967295");
	expect(&record, "suid", "2");
	expect(&record, "act", "alert");
	expect(&record, "cat", "alert");
	expect(&record, "outcome", "unknown");
	expect(&record, "app", "SMTP");
	expect(&record, "proto", "TCP");
	expect(&record, "fileHash",
	       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	expect_bytes(&record, "dhost", hostile); /* the target of a proxy, without a port */
	text_free(&command);
	record_free(&record);
}

/* ---- Plain mail, and what may be left out ---------------------------------------------------- */

static struct event *plain_event(void)
{
	struct event *event = bare_event(EVENT_MESSAGE);
	static const uint8_t source[16] = {[10] = 0xff, 0xff, 10, 0, 0, 1},
			     destination[16] = {[10] = 0xff, 0xff, 10, 0, 0, 25};

	event->host = "web-1";
	event->start_ns = 1700000000000000000;
	event->end_ns = 1700000000100000000;
	memcpy(event->source.addr, source, 16);
	memcpy(event->destination.addr, destination, 16);
	event->source.port = 40000;
	event->destination.port = 25;
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(span_of("a@x"), 3);
	event->transaction->outcome = SMTP_OUTCOME_SUCCESS;
	event->senders[0] = hostile_sender();
	event->sender_count = 1;
	free(event->senders[0]->user);
	event->senders[0]->user = copy_of("joe");
	free(event->senders[0]->image->script);
	event->senders[0]->image->script = copy_of("");
	free(event->senders[0]->container);
	event->senders[0]->container = NULL;
	free(event->senders[0]->container_name);
	event->senders[0]->container_name = NULL;
	return event;
}

static void test_plain(void **state)
{
	struct decoded record = record_of(plain_event());

	(void)state;
	expect(&record, "start", "1700000000000");
	expect(&record, "end", "1700000000100");
	expect(&record, "src", "10.0.0.1");
	expect(&record, "dst", "10.0.0.25");
	expect(&record, "spt", "40000");
	expect(&record, "dpt", "25");
	expect(&record, "c6a2", NULL);
	expect(&record, "c6a3", NULL);
	expect(&record, "cs1", "a@x");
	expect(&record, "cs2", "a@x,a@x,a@x");
	expect(&record, "outcome", "success");
	expect(&record, "cs6Label", "unit");
	expect(&record, "dvchost", "web-1");
	expect_bytes(&record, "filePath", span_of("/usr/" HOSTILE "/" HOSTILE));
	assert_string_equal(record.header[5], "Mail that no exclusion covers");
	assert_int_equal(strncmp(get(&record, "msg"),
				 "joe (pid 4294967295) sent mail to 10.0.0.25:25 (250, 4294967295 "
				 "bytes) with \"",
				 77),
			 0);
	assert_non_null(strstr(get(&record, "msg"), "\" from <a@x> to <a@x> and 2 more"));
	record_free(&record);
}

static void test_ipv6(void **state)
{
	struct event *event = plain_event();
	struct decoded record;

	(void)state;
	memset(event->source.addr, 0x20, 16);
	memset(event->destination.addr, 0, 16);
	event->destination.addr[15] = 1;
	record = record_of(event);
	expect(&record, "c6a2", "2020:2020:2020:2020:2020:2020:2020:2020");
	expect(&record, "c6a2Label", "Source IPv6 Address");
	expect(&record, "c6a3", "::1");
	expect(&record, "c6a3Label", "Destination IPv6 Address");
	expect(&record, "src", NULL);
	expect(&record, "dst", NULL);
	expect(&record, "dpt", "25");
	record_free(&record);
}

static void test_severity(void **state)
{
	static const struct {
		enum event_verdict verdict;
		enum smtp_outcome outcome;
		enum witness witness;
		const char *severity;
	} cases[] = {
		{VERDICT_ALERT, SMTP_OUTCOME_FAILURE, WITNESS_AGREE, "3"},
		{VERDICT_ALERT, SMTP_OUTCOME_SUCCESS, WITNESS_AGREE, "5"},
		{VERDICT_ALERT, SMTP_OUTCOME_UNKNOWN, WITNESS_DIFFER, "8"},
		{VERDICT_EXCLUDED, SMTP_OUTCOME_SUCCESS, WITNESS_AGREE, "1"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event *event = plain_event();
		struct decoded record;

		event->verdict = cases[i].verdict;
		event->transaction->outcome = cases[i].outcome;
		event->capture.witness = cases[i].witness;
		if (cases[i].verdict == VERDICT_EXCLUDED)
			event->exclusion = copy_of("daily");
		record = record_of(event);
		assert_string_equal(record.header[6], cases[i].severity);
		expect(&record, "cs4Label",
		       cases[i].verdict == VERDICT_EXCLUDED ? "exclusion" : NULL);
		record_free(&record);
	}
}

/*
 * The reasons, else the criteria that the nearest exclusion does not meet; of a loss, its detail.
 */
static void test_reason(void **state)
{
	struct event *event = plain_event();
	struct decoded record;

	(void)state;
	event->nearest = copy_of("daily");
	event->failed.bits = CRITERION_BIT(CRITERION_USER) | CRITERION_BIT(CRITERION_SCHEDULE);
	record = record_of(event);
	expect(&record, "reason", "process.user,schedule");
	record_free(&record);
	event = plain_event();
	event->nearest = copy_of("daily");
	event->failed.bits = CRITERION_BIT(CRITERION_USER);
	event_reason(event, "bytes_missing");
	event_reason(event, "odd_address");
	record = record_of(event);
	expect(&record, "reason", "bytes_missing,odd_address");
	record_free(&record);
	record = record_of(bare_event(EVENT_STOPPED));
	expect(&record, "reason", "signal");
	record_free(&record);
}

static void test_host(void **state)
{
	struct event *event = plain_event();
	struct preamble *proxy = &event->session->proxy;
	struct decoded record;

	(void)state;
	event->server_name = copy_of("mx.example");
	record = record_of(event);
	expect(&record, "dhost", "mx.example");
	record_free(&record);
	event = plain_event();
	proxy = &event->session->proxy;
	proxy->hops = 1;
	proxy->protocols[0] = PREAMBLE_HTTP;
	memcpy(proxy->target, "[2001:db8::1]:25", 16);
	proxy->target_len = 16;
	record = record_of(event);
	expect(&record, "dhost", "[2001:db8::1]");
	record_free(&record);
}

static void test_totals(void **state)
{
	struct event *event = bare_event(EVENT_LOSS);
	struct decoded record;

	(void)state;
	event->stats->counters[COUNTER_SEGMENT_LOST] = 5;
	event->stats->flows_dropped = 2;
	event->stats->counters[COUNTER_SEGMENT_BYTES] = 1000;
	record = record_of(event);
	expect(&record, "cn1", "7");
	expect(&record, "cn1Label", "lost");
	expect(&record, "cn3", "1000");
	assert_non_null(strstr(get(&record, "msg"), " segments=5"));
	record_free(&record);
	event = bare_event(EVENT_STATUS);
	event->stats->messages = UINT64_MAX;
	event->stats->alerts = 3;
	record = record_of(event);
	expect(&record, "cn1", "9223372036854775807");
	expect(&record, "cn2", "3");
	record_free(&record);
}

/* ---- Forging --------------------------------------------------------------------------------- */

/*
 * Every field that somebody else chooses contains what could be a new key, a new record, or a new
 * header.
 */
#define FORGED                                                                                     \
	"x| act=excluded act\\=excluded\\\\= severity=0|0|act=excluded \n"                         \
	"CEF:0|a|b|c|d|e|0|act=excluded suser=root spid=1\\"

static void fill(char **string, const char *with)
{
	free(*string);
	*string = copy_of(with);
}

static struct event *event_with(struct span text, uint32_t recipients)
{
	struct event *event = hostile_event(EVENT_MESSAGE);
	struct sender *sender = event->senders[0];
	char *copy = strndup(text.data, text.len);

	event->host = NULL;
	fill(&sender->user, copy);
	fill(&sender->unit, copy);
	fill(&sender->container, copy);
	fill(&sender->container_name, copy);
	fill(&sender->image->executable, copy);
	fill(&sender->image->script, copy);
	free(sender->image->args);
	sender->image->args = copy_of(copy);
	sender->image->args_len = text.len + 1;
	sender->image->flags &= ~(uint32_t)EXEC_ARGS_TRUNCATED;
	fill(&event->nearest, copy);
	fill(&event->rules[0].name, copy);
	fill(&event->server_name, copy);
	event->session->proxy.hops = 0;
	event->session->helo_len = (uint16_t)(text.len < SMTP_WORD_MAX ? text.len : SMTP_WORD_MAX);
	memcpy(event->session->helo, text.data, event->session->helo_len);
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(text, recipients);
	event->transaction->mail = mail_of(text);
	free(copy);
	return event;
}

static void test_forged(void **state)
{
	static const char *const keys[] = {"suser",    "sourceServiceName",
					   "cs6",      "sproc",
					   "filePath", "flexString2",
					   "cs4",      "dhost",
					   "cs3",      "cs1",
					   "duser",    "flexString1"};
	struct event *event = event_with(span_of(FORGED), 2),
		     *innocent = event_with(span_of("innocent"), 2);
	struct decoded record = record_of(event), other = record_of(innocent);

	(void)state;
	assert_int_equal(record.count, other.count);
	for (size_t i = 0; i < record.count; i++)
		assert_string_equal(record.fields[i].key, other.fields[i].key);
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		expect_bytes(&record, keys[i], span_of(FORGED));
	expect(&record, "act", "alert");
	expect(&record, "spid", "4294967295");
	assert_string_equal(record.header[6], "8");
	/* Of the header, only the name of the rule can come from somebody else. */
	assert_int_equal(strncmp(record.header[5],
				 "Mail that no exclusion covers: x| act=excluded act\\=", 52),
			 0);
	record_free(&record);
	record_free(&other);
}

/* ---- Bounds ---------------------------------------------------------------------------------- */

static void expect_bounded(struct span unit, uint32_t recipients)
{
	struct text text = {0};
	struct event *event;
	struct decoded record;

	while (text.len < 4000)
		text_add(&text, unit);
	event = event_with((struct span){text.data, text.len}, recipients);
	event->host = text.data;
	memset(event->source.addr, 0x22, 16);
	memset(event->destination.addr, 0x22, 16);
	memset(event->id, 'f', EVENT_ID_LEN);
	event->failed.bits = UINT64_MAX;
	event->time_ns = event->start_ns = event->end_ns = INT64_MIN;
	event->capture.missing_bytes = UINT64_MAX;
	event->transaction->bytes = UINT64_MAX;
	event->transaction->recipients_dropped = 100000;
	event->reason_count = 0;
	event->stats = calloc(1, sizeof(*event->stats));
	memset(event->stats, 0xff, sizeof(*event->stats));
	record = record_of(event);
	expect_bytes(&record, "cs1", (struct span){text.data, text.len});
	expect_bytes(&record, "sproc", (struct span){text.data, text.len});
	/* A row of backslashes stays whole or is removed, because its length has a meaning. */
	assert_true(strlen(get(&record, "sproc")) > 100 || unit.data[0] == '\\');
	assert_non_null(strstr(get(&record, "reason"),
			       ",limits.bytes")); /* there was room for the last one */
	record_free(&record);
	text_free(&text);
}

static void test_bounds(void **state)
{
	static const char *const units[] = {
		"a",	    "=",
		"\\",	    "\\x",
		"\\\\\xff", "\xff",
		"\xc3\xbc", "\xf0\x9f\x98\x80",
		"\r\n",	    "\x1b",
		",",	    "\"",
		"ab\\x41",  "\xe2\x80\xa8",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		expect_bounded(span_of(units[i]), 1);
		expect_bounded(span_of(units[i]), SMTP_RECIPIENTS_MAX);
	}
}

/* As many recipients as fit, and the number of the others. */
static void test_recipients(void **state)
{
	struct event *event = plain_event();
	struct decoded record;
	const char *list, *plus;
	unsigned int shown = 1;

	(void)state;
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(span_of("someone@example.org"), SMTP_RECIPIENTS_MAX);
	record = record_of(event);
	list = get(&record, "cs2");
	plus = strstr(list, ",+");
	assert_non_null(plus);
	for (const char *c = list; c < plus; c++)
		shown += *c == ',';
	assert_true(shown > 40);
	assert_int_equal(atoi(plus + 2), SMTP_RECIPIENTS_MAX - shown);
	record_free(&record);
	/* A comma in an address does not separate two. */
	event = plain_event();
	smtp_transaction_free(event->transaction);
	event->transaction = transaction_of(span_of("\"a,b\"@x"), 2);
	record = record_of(event);
	expect(&record, "cs2", "\"a\\x2cb\"@x,\"a\\x2cb\"@x");
	record_free(&record);
}

/* A blank at the end of a value is escaped, because readers drop it. */
static void test_blanks(void **state)
{
	struct event *event = event_with(span_of("  a b  "), 1);
	struct decoded record = record_of(event);

	(void)state;
	expect(&record, "cs1", "\\x20 a b \\x20");
	expect_bytes(&record, "cs1", span_of("  a b  "));
	record_free(&record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bare),	cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_message), cmocka_unit_test(test_plain),
		cmocka_unit_test(test_ipv6),	cmocka_unit_test(test_severity),
		cmocka_unit_test(test_reason),	cmocka_unit_test(test_host),
		cmocka_unit_test(test_totals),	cmocka_unit_test(test_forged),
		cmocka_unit_test(test_bounds),	cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_blanks),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
