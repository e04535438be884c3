/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The words and colours of the table: alerts, results, the notes below a row, and the summary. */
#include <locale.h>

#include "table_samples.h"

#include "format/table_notes.h"
#include "format/table_summary.h"

/* ---- Alerts ---------------------------------------------------------------------------------- */

/* The words and the mark, on one line of their own at every width, with and without colours. */
static void test_alert(void **state)
{
	static const char words[] = "ALERT: closest exclusion 'nightly' failed on process.user";

	(void)state;
	for (unsigned int width = 0; width <= WIDTH_MAX; width += width ? 1 : WIDTH_MIN)
		for (int color = 0; color < 2; color++) {
			struct event *event = mail_event(&plain);
			char *row, *found;

			nearest(event, "nightly", CRITERION_BIT(CRITERION_USER), 0);
			row = row_of(event,
				     &(struct table_options){.width = width, .color = color});
			found = strstr(row, words);
			assert_non_null(found);
			assert_non_null(strchr("\n\033;", found[sizeof(words) - 1]));
			assert_int_equal(row[color ? strlen(ALERT) : 0], '!');
			assert_null(strstr(row, GREEN));
			assert_int_equal(count_of(row, ALERT) > 1, color);
			free(row);
		}
}

/* What the notes of an alert say, for each kind. */
static void test_alert_words(void **state)
{
	static const struct {
		const char *nearest, *reason;
		uint64_t failed, unknown;
		const char *words;
	} cases[] = {
		{NULL, NULL, 0, 0, ""},
		{NULL, "executable_deleted", 0, 0, "ALERT: executable_deleted"},
		{NULL, "sender_unknown", 0, 0, ""},
		{"weekly", NULL, CRITERION_BIT(CRITERION_RELAY), 0,
		 "ALERT: closest exclusion 'weekly' failed on relay"},
		{"backup", "odd_address",
		 CRITERION_BIT(CRITERION_USER) | CRITERION_BIT(CRITERION_SUBJECT), 0,
		 "ALERT: closest exclusion 'backup' failed on process.user, mail.subject; "
		 "odd_address"},
		{"backup", NULL, CRITERION_BIT(CRITERION_USER) | CRITERION_BIT(CRITERION_SUBJECT),
		 CRITERION_BIT(CRITERION_SUBJECT),
		 "ALERT: closest exclusion 'backup' failed on process.user; not known: "
		 "mail.subject"},
		{"backup", NULL, CRITERION_BIT(CRITERION_SUBJECT), CRITERION_BIT(CRITERION_SUBJECT),
		 "ALERT: closest exclusion 'backup'; not known: mail.subject"},
		{"e\x1b[31m", NULL, CRITERION_BIT(CRITERION_TLS), 0,
		 "ALERT: closest exclusion 'e\\x1b[31m' failed on tls"},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct event *event = mail_event(&plain);
		struct text text = {0};

		if (cases[i].nearest)
			nearest(event, cases[i].nearest, cases[i].failed, cases[i].unknown);
		if (cases[i].reason)
			event_reason(event, cases[i].reason);
		notes_add_alert(&text, event, 0);
		assert_string_equal(text.data ? text.data : "", cases[i].words);
		text_clear(&text);
		event->verdict = VERDICT_EXCLUDED;
		notes_add_alert(&text, event, 0);
		assert_int_equal(text.len, 0);
		text_free(&text);
		event_free(event);
	}
}

/* Further recipients elsewhere are named, whatever the first one is. */
static void test_other_domains(void **state)
{
	static const char *const more[] = {"b@CORP.example", "c@evil.example",	"d@corp.example",
					   "e@two.example",  "f@three.example", "g@four.example"};
	struct event *event = mail_event(&plain);
	struct table_layout layout = table_layout(0, true);
	struct text text = {0};

	(void)state;
	smtp_transaction_free(event->transaction);
	event->transaction =
		envelope(&(struct sample){.from = "", .to = "a@corp.example", .recipients = 1});
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		struct smtp_command to = {.argument = span_of(more[i])};

		smtp_transaction_add(event->transaction, &to);
		event->transaction->recipients[i + 1].code = 250;
		text_clear(&text);
		notes_add_details(&text, event, &layout, false);
		if (i == 0)
			assert_int_equal(text.len, 0);
		if (i == 1 || i == 2)
			assert_string_equal(text.data, "also to evil.example");
	}
	assert_string_equal(text.data,
			    "also to evil.example, two.example, three.example and others");
	text_free(&text);
	event_free(event);
}

/* What has no column at 80 stands below an alert; the reply below what was refused. */
static void test_details(void **state)
{
	struct event *event = mail_event(&plain);
	char *row;

	(void)state;
	answered(event, SMTP_OUTCOME_FAILURE, 554);
	event->transaction->reply_len = 6;
	memcpy(event->transaction->reply_text, "no \x1b[m", 6);
	nearest(event, "nightly", CRITERION_BIT(CRITERION_USER), 0);
	row = row_of(event, &(struct table_options){.width = 80});
	assert_non_null(strstr(row, "! "));
	assert_non_null(strstr(row, "refused"));
	assert_non_null(strstr(row, "\n  reply: 554 no \\x1b[m; to ops@partner.example; from "));
	free(row);
	/* What the row has whole is not repeated: here the recipient with the port. */
	event = mail_event(&(struct sample){.script = "/x",
					    .user = "u",
					    .from = "a@b.example",
					    .to = "ops@corp.example",
					    .recipients = 1});
	event->destination.port = 2525;
	nearest(event, "nightly", CRITERION_BIT(CRITERION_USER), 0);
	row = row_of(event, &(struct table_options){.width = 80});
	assert_non_null(strstr(row, "\n  from a@b.example; server "));
	free(row);
	row = row_of(mail_event(&plain), &(struct table_options){.width = 80});
	assert_int_equal(count_of(row, "\n"), 1);
	free(row);
}

/* ---- Results --------------------------------------------------------------------------------- */

static void assert_result(struct event *event, const char *result, const char *color)
{
	char *row, *words = malloc(100);

	assert_non_null(words);
	snprintf(words, 100, "%s%-8s%s", color, result, PLAIN);
	row = row_of(event, &(struct table_options){.width = 100, .color = true, .all = true});
	if (!strstr(row, words))
		fail_msg("no '%s' in its colour in %s", result, row);
	free(words);
	free(row);
}

/* What is no alert has the colour of its result; an alert, whatever its result, that of alerts. */
static void test_results(void **state)
{
	struct event *event;

	(void)state;
	for (int alert = 0; alert < 2; alert++) {
		enum event_verdict verdict = alert ? VERDICT_ALERT : VERDICT_EXCLUDED;

		event = mail_event(&plain);
		event->verdict = verdict;
		assert_result(event, "sent", alert ? ALERT : GREEN);
		event = mail_event(&plain);
		event->verdict = verdict;
		answered(event, SMTP_OUTCOME_FAILURE, 550);
		assert_result(event, "refused", alert ? ALERT : MAGENTA);
		event = mail_event(&plain);
		event->verdict = verdict;
		answered(event, SMTP_OUTCOME_FAILURE, 451);
		assert_result(event, "deferred", alert ? ALERT : YELLOW);
		event = mail_event(&plain);
		event->verdict = verdict;
		event->transaction->result = SMTP_RESULT_ASKED;
		assert_result(event, "asked", alert ? ALERT : CYAN);
		event = mail_event(&plain);
		event->verdict = verdict;
		event->provisional = true;
		assert_result(event, "open", alert ? ALERT : BLUE);
		event = mail_event(&plain);
		event->verdict = verdict;
		answered(event, SMTP_OUTCOME_UNKNOWN, 0);
		assert_result(event, "unknown", alert ? ALERT : BOLD);
		event = kind_of(&plain, 5);
		event->verdict = verdict;
		assert_result(event, "tls", alert ? ALERT : CYAN);
		event = kind_of(&plain, 6);
		event->verdict = verdict;
		assert_result(event, "channel", alert ? ALERT : YELLOW);
	}
	assert_result(kind_of(&plain, 7), "session", DIM);
}

/* Every result has a colour, and none that of alerts; only what was sent is green. */
static void test_colours_of_results(void **state)
{
	static const char *const results[] = {"sent",	 "deferred", "refused", "asked",  "open",
					      "unknown", "tls",	     "channel", "session"};

	(void)state;
	for (size_t i = 0; i < sizeof(results) / sizeof(results[0]); i++) {
		const char *color = words_result_color(results[i]);

		assert_string_not_equal(color, ALERT);
		assert_int_equal(strcmp(color, GREEN) == 0, i == 0);
	}
	assert_string_not_equal(words_result_color("deferred"), words_result_color("refused"));
}

/* The ends of sessions are shown on request; one that is an alert always is. */
static void test_sessions(void **state)
{
	static const enum event_verdict verdicts[] = {VERDICT_NONE, VERDICT_OBSERVED,
						      VERDICT_EXCLUDED, VERDICT_ALERT};

	(void)state;
	for (size_t i = 0; i < sizeof(verdicts) / sizeof(verdicts[0]); i++)
		for (int all = 0; all < 2; all++)
			for (int wide = 0; wide < 2; wide++) {
				struct paper *paper =
					paper_of(&(struct table_options){.all = all, .wide = wide});
				struct event *event = kind_of(&plain, 7);

				event->verdict = verdicts[i];
				put(paper, event);
				assert_int_equal(!strstr(paper->text, "session"),
						 !all && verdicts[i] != VERDICT_ALERT);
				paper_free(paper);
			}
}

/* ---- The summary ----------------------------------------------------------------------------- */

static void put_from(struct paper *paper, const char *script, uint32_t uid,
		     enum event_verdict verdict, const char *reason)
{
	struct sample sample = plain;
	struct event *event;
	char user[20];

	snprintf(user, sizeof(user), "user%u", uid);
	sample.script = script;
	sample.user = user;
	event = mail_event(&sample);
	event->senders[0]->task.euid = uid;
	event->verdict = verdict;
	if (reason)
		event_reason(event, reason);
	put(paper, event);
}

/* The summary alone. The caller frees it. */
static char *summary_of(struct paper *paper)
{
	struct event_stats stats = {.messages = 9, .alerts = 3, .excluded = 2};
	size_t before = paper->size;

	assert_int_equal(paper->table->finish(paper->table, &stats), 0);
	fflush(paper->out);
	return copy_of(paper->text + before);
}

static void test_summary_order(void **state)
{
	struct paper *paper = paper_of(&(struct table_options){.width = 0});
	char *summary;

	(void)state;
	for (int i = 0; i < 100; i++)
		put_from(paper, "/srv/busy", 1, VERDICT_EXCLUDED, NULL);
	for (int i = 0; i < 5; i++)
		put_from(paper, "/srv/known", 2, VERDICT_ALERT, NULL);
	put_from(paper, "/srv/known", 2, VERDICT_EXCLUDED, NULL);
	put_from(paper, "/srv/odd", 3, VERDICT_ALERT, "executable_deleted");
	put_from(paper, "/srv/odd", 3, VERDICT_ALERT, "odd_address");
	put_from(paper, "/srv/once", 4, VERDICT_ALERT, NULL);
	summary = summary_of(paper);
	assert_string_equal(summary, "9 messages to 0 recipients, 0 bytes; 3 alerts; 2 excluded\n"
				     "!       2  odd (user3): executable_deleted, odd_address\n"
				     "!       6  known (user2): 5 alerts\n"
				     "!       1  once (user4)\n"
				     "      100  busy (user1)\n"
				     "nothing was lost\n");
	free(summary);
	paper_free(paper);
}

/* Everyone is named up to the limit; then it says how many more there are. */
static void test_summary_limit(void **state)
{
	char script[40], more[60];

	(void)state;
	for (unsigned int senders = SUMMARY_SHOWN - 1; senders <= SUMMARY_SHOWN + 2; senders++) {
		struct paper *paper = paper_of(&(struct table_options){.width = 0});
		unsigned int rest = senders > SUMMARY_SHOWN ? senders - SUMMARY_SHOWN : 0;
		char *summary;

		for (unsigned int i = 0; i < senders; i++) {
			snprintf(script, sizeof(script), "/srv/mailer-%u", i);
			put_from(paper, script, i, VERDICT_ALERT, NULL);
		}
		summary = summary_of(paper);
		assert_int_equal(count_of(summary, "mailer-"), senders - rest);
		snprintf(more, sizeof(more), "!%8u  by %u more sender%s\n", rest, rest,
			 rest == 1 ? "" : "s");
		assert_int_equal(!strstr(summary, more), !rest);
		free(summary);
		paper_free(paper);
	}
}

/* A user with any number of names cannot push another one out of the summary. */
static void test_summary_flood(void **state)
{
	struct paper *paper = paper_of(&(struct table_options){.width = 0});
	char script[40], *summary;

	(void)state;
	for (unsigned int i = 0; i < 2000; i++) {
		snprintf(script, sizeof(script), "/tmp/name-%u", i);
		put_from(paper, script, 33, VERDICT_ALERT, NULL);
	}
	put_from(paper, "/srv/other", 34, VERDICT_ALERT, "executable_in_memory");
	summary = summary_of(paper);
	assert_non_null(strstr(summary, "!       1  other (user34): executable_in_memory\n"));
	assert_non_null(strstr(summary, "!    1937  others (user33)\n"));
	assert_int_equal(count_of(summary, "\n"), SUMMARY_SHOWN + 3);
	free(summary);
	/* Nor can very many users make it grow; what finds no room is counted. */
	for (unsigned int i = 0; i < SUMMARY_SENDERS_MAX + 9; i++)
		put_from(paper, "/srv/x", 1000 + i, VERDICT_EXCLUDED, NULL);
	summary = summary_of(paper);
	assert_non_null(strstr(summary, "  by senders that were not counted apart\n"));
	free(summary);
	paper_free(paper);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alert),	      cmocka_unit_test(test_alert_words),
		cmocka_unit_test(test_other_domains), cmocka_unit_test(test_details),
		cmocka_unit_test(test_results),	      cmocka_unit_test(test_colours_of_results),
		cmocka_unit_test(test_sessions),      cmocka_unit_test(test_summary_order),
		cmocka_unit_test(test_summary_limit), cmocka_unit_test(test_summary_flood),
	};

	setlocale(LC_CTYPE, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
