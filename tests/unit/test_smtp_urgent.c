/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Urgent data in a session. A caret marks the next byte as urgent data. Tried with servers on
 * Linux: in a dialogue the server does not read these bytes; in a burst, only the last one is
 * missing.
 */
#include "conversation.h"

#include <stdio.h>

#define URGENT '^'

/* Number, end and envelope of each transaction. The size depends on the server and is left out. */
static void take(void *context, struct smtp_transaction *transaction)
{
	static const char *const ends[] = {"data", "reset", "close"};
	struct text *lines = context;

	text_add_format(lines, "%u %s <", transaction->number, ends[transaction->end]);
	text_add(lines, smtp_transaction_from(transaction));
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		text_add_string(lines, "> <");
		text_add(lines, smtp_transaction_recipient(transaction, i));
	}
	text_add_string(lines, ">\n");
	smtp_transaction_free(transaction);
}

static void say(struct smtp_session *session, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] == URGENT && ++i < len)
			smtp_client_urgent(session, text[i], 1);
		else
			smtp_client_data(session, (struct span){text + i, 1}, 1);
	}
}

/* Expects these transactions from a client's text, with a server that accepts each line. */
static void expect(const char *text, bool replies, const char *lines)
{
	static const char greeting[] = "220 mx\r\n", taken[] = "250 Ok\r\n";
	struct text told = {0};
	struct smtp_session *session = smtp_session_new(replies, take, &told);

	assert_non_null(session);
	if (replies)
		smtp_server_data(session, (struct span){greeting, sizeof(greeting) - 1}, 1);
	while (*text) {
		const char *end = strchr(text, '\n');
		size_t len = end ? (size_t)(end - text) + 1 : strlen(text);

		say(session, text, len);
		if (replies)
			smtp_server_data(session, (struct span){taken, sizeof(taken) - 1}, 1);
		text += len;
	}
	smtp_session_close(session, 1);
	assert_string_equal(told.data ? told.data : "", lines);
	assert_true(smtp_session_facts(session)->urgent_bytes > 0);
	smtp_session_free(session);
	text_free(&told);
}

#define SEEN "1 close <a@x> <b@y>\n"

static void test_read_without(void **state)
{
	(void)state;
	expect("EH^XLO me\r\nMA^XIL FROM:<a@x>\r\nRC^XPT TO:<b@y>\r\n", false, SEEN);
	expect("^MEHLO me\r\n^MMAIL FROM:<a@x>\r\n^MRCPT TO:<b@y>\r\n", false, SEEN);
	expect("EHLO me\r\nMAIL FROM:<a@x>^A\r\nRCPT TO:<b@^yy>\r\n", false, SEEN);
	expect("M^1A^2I^3L^4 ^5F^6R^7O^8M^9:<a@x>\r\nR^1C^2P^3T^4 ^5T^6O^7:<b@y>\r\n", false, SEEN);
}

static void test_read_with(void **state)
{
	(void)state;
	expect("EH^LO me\r\nMA^IL FROM:<a@x>\r\nRC^PT TO:<b@y>\r\n", false, SEEN);
	expect("^M^A^I^L^ ^F^R^O^M^:<a@x>\r\n^R^C^P^T^ ^T^O^:<b@y>\r\n", false, SEEN);
}

static void test_read_with_all_but_the_last(void **state)
{
	(void)state;
	expect("M^A^I^XL FROM:<a@x>\r\nR^C^P^XT TO:<b@y>\r\n", false, SEEN);
	expect("^M^A^I^L^ ^F^R^O^MX^:<a@x>\r\nMAIL FROM^X:<a@x>\r\nRCPT TO^X:<b@y>\r\n", false,
	       SEEN);
}

static void test_line_feeds(void **state)
{
	(void)state;
	expect("NOOP^\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n", false, SEEN);
	expect("MA^\nIL FROM:<a@x>\r\nRC^\nPT TO:<b@y>\r\n", false, SEEN);
}

static void test_end_of_message(void **state)
{
	static const char *const ends[] = {"^.\r\n", ".^X\r\n", "^X.\r\n",
					   ".\r^\n", ".^\r\n",	"^.^\r^\n"};
	char text[256];

	(void)state;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(text, sizeof(text),
			 "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\ntext\r\n%s"
			 "MAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\n",
			 ends[i]);
		expect(text, false, "1 data <a@x> <b@y>\n2 close <c@x> <d@y>\n");
	}
}

static void test_text_goes_on(void **state)
{
	(void)state;
	expect("MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\na^.\r\n.b^.\r\nMAIL FROM:<c@x>\r\nRCPT "
	       "TO:<d@y>\r\n.\r\n",
	       false, "1 data <a@x> <b@y>\n");
}

static void test_bounds(void **state)
{
	char line[8200];
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < 2000; i++) {
		line[len++] = '^';
		line[len++] = 'x';
	}
	snprintf(line + len, sizeof(line) - len, "\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n");
	expect(line, false, SEEN);
}

static void test_gap_forgets(void **state)
{
	struct text told = {0};
	struct smtp_session *session = smtp_session_new(false, take, &told);

	(void)state;
	assert_non_null(session);
	say(session, "MA^X", 4);
	smtp_client_gap(session, 5, 1);
	say(session, "\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n", 34);
	smtp_session_close(session, 1);
	assert_string_equal(told.data, SEEN);
	smtp_session_free(session);
	text_free(&told);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_end_of_message),
		cmocka_unit_test(test_gap_forgets),
		cmocka_unit_test(test_line_feeds),
		cmocka_unit_test(test_read_with),
		cmocka_unit_test(test_read_with_all_but_the_last),
		cmocka_unit_test(test_read_without),
		cmocka_unit_test(test_text_goes_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
