/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A second mail in the text of a message, behind an end of data that only some servers accept: it
 * is reported if the replies prove that the server took it, and only then.
 */
#include "smtp_steps.h"

#define TEXT_1	 "Subject: one\r\n\r\nhello"
#define COMMANDS "MAIL FROM:<smug@x>\r\nRCPT TO:<v@y>\r\nDATA\r\n"
#define SECOND	 COMMANDS "Subject: two\r\n\r\nx\r\n.\r\n"
#define TOOK	 "250 First\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n250 Second\r\n"

static const struct span ends[] = {
	{"\r.\r", 3},	    {"\r.\r\n", 4},	{"\r.\n", 3},		{"\r\n.\r", 4},
	{"\n.\r", 3},	    {"\r\n\0.\r\n", 6}, {"\r\n.\0\r\n", 6},	{"\r\n. \r\n", 6},
	{"\r\n\t.\r\n", 6}, {"\r\0.\r", 4},	{"\n\0.\n", 4},		{"\r\n.\0\n", 5},
	{"\r\r.\r\r", 5},   {"\r\n.\v\r\n", 6}, {"\r\n \0.\0 \r\n", 9},
};

#define ENDS (sizeof(ends) / sizeof(ends[0]))

struct told {
	struct text lines; /* "<from> result smuggling" of each */
	struct smtp_session *session;
};

static void take(void *context, struct smtp_transaction *transaction)
{
	struct told *told = context;

	text_add(&told->lines, smtp_transaction_from(transaction));
	text_add_format(&told->lines, " %s%s%s%s\n",
			transaction->result == SMTP_RESULT_SENT ? "sent" : "other",
			transaction->smuggling ? " smuggling" : "",
			transaction->missing_bytes ? " missing" : "",
			transaction->recipient_count == 1 ? "" : " recipients");
	smtp_transaction_free(transaction);
}

static void begin(struct told *told)
{
	static const struct step open[] = {HELLO, MAIL_A, RCPT_B, DATA, END};

	*told = (struct told){.session = smtp_session_new(true, take, told)};
	for (const struct step *step = open; step->kind != STEP_END; step++)
		feed_exact(told->session, step, step->bytes, 1);
}

/* In pieces of `size` bytes; 0: whole. */
static void say(struct told *told, struct span bytes, size_t size)
{
	static const struct step client = {.kind = STEP_CLIENT};

	for (size_t at = 0; at < bytes.len; at += size ? size : bytes.len) {
		size_t left = bytes.len - at;

		feed_exact(told->session, &client,
			   (struct span){bytes.data + at, size && size < left ? size : left}, 2);
	}
}

static void say_text(struct told *told, const char *text, size_t size)
{
	say(told, span_of(text), size);
}

static void hear(struct told *told, const char *text)
{
	smtp_server_data(told->session, span_of(text), 3);
}

static void expect_told(struct told *told, const char *lines)
{
	smtp_session_close(told->session, 4);
	smtp_session_free(told->session);
	assert_string_equal(told->lines.data ? told->lines.data : "", lines);
	text_free(&told->lines);
}

static void test_taken(void **state)
{
	static const size_t sizes[] = {0, 1, 2, 3, 5};

	(void)state;
	for (size_t i = 0; i < ENDS * 5; i++) {
		struct told told;

		begin(&told);
		say_text(&told, TEXT_1, sizes[i % 5]);
		say(&told, ends[i / 5], sizes[i % 5]);
		say_text(&told, SECOND, sizes[i % 5]);
		hear(&told, TOOK);
		say_text(&told, "QUIT\r\n", sizes[i % 5]);
		hear(&told, "221 Bye\r\n");
		expect_told(&told, "a@x sent smuggling\nsmug@x sent smuggling\n");
	}
}

/* The client waits for each reply, and goes on in the same text. */
static void test_waited(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENDS; i++) {
		struct told told;

		begin(&told);
		say_text(&told, TEXT_1, 0);
		say(&told, ends[i], 0);
		say_text(&told, "NOOP\r\nMAIL FROM:<smug@x>\r\n", 0);
		hear(&told, "250 First\r\n250 Ok\r\n250 Ok\r\n");
		say_text(&told, "RCPT TO:<v@y>\r\n", 0);
		hear(&told, "250 Ok\r\n");
		say_text(&told, "DATA\r\n", 0);
		hear(&told, "354 Go\r\n");
		say_text(&told, "Subject: two\r\n\r\nx\r\n.\r\n", 0);
		hear(&told, "250 Second\r\n");
		smtp_session_close(told.session, 4);
		assert_non_null(strstr(told.lines.data, "smug@x sent smuggling\n"));
		smtp_session_free(told.session);
		text_free(&told.lines);
	}
}

/* The server takes the second mail for text: what follows are the client's own mails. */
static void test_not_taken(void **state)
{
	(void)state;
	for (size_t i = 0; i < ENDS; i++) {
		struct told told;

		begin(&told);
		say_text(&told, TEXT_1, 0);
		say(&told, ends[i], 0);
		say_text(&told, SECOND, 0);
		hear(&told, "250 First\r\n");
		for (int mails = 0; mails < 3; mails++) {
			say_text(&told, "MAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\nDATA\r\n", 0);
			hear(&told, "250 Ok\r\n250 Ok\r\n354 Go\r\n");
			say_text(&told, "x\r\n.\r\n", 0);
			hear(&told, "250 Queued\r\n");
		}
		say_text(&told, "QUIT\r\n", 0);
		hear(&told, "221 Bye\r\n");
		expect_told(&told, "a@x sent smuggling\nc@x sent\nc@x sent\nc@x sent\n");
	}
}

/* The server ended the data there, and refused the second mail. */
static void test_refused(void **state)
{
	static const char *const replies[] = {
		"250 First\r\n550 No\r\n503 No\r\n503 No\r\n500 a\r\n500 b\r\n500 c\r\n500 d\r\n",
		"250 First\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n554 Spam\r\n",
		"250 First\r\n250 Ok\r\n550 No\r\n554 No\r\n500 a\r\n500 b\r\n500 c\r\n500 d\r\n",
	};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		struct told told;

		begin(&told);
		say_text(&told, TEXT_1 "\r.\r" SECOND, 0);
		hear(&told, replies[i]);
		assert_true(smtp_session_facts(told.session)->replies_surplus > 0);
		expect_told(&told, "a@x sent smuggling\n");
	}
}

/* The proof comes late, because commands that follow explain the first replies. */
static void test_late_proof(void **state)
{
	struct told told;

	(void)state;
	begin(&told);
	say_text(&told, TEXT_1 "\r.\r" SECOND "MAIL FROM:<c@x>\r\nRCPT TO:<d@y>\r\nDATA\r\n", 0);
	hear(&told, "250 First\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n");
	assert_null(strstr(told.lines.data, "smug@x"));
	hear(&told, "250 Second\r\n");
	assert_non_null(strstr(told.lines.data, "smug@x sent smuggling\n"));
	smtp_session_close(told.session, 4);
	smtp_session_free(told.session);
	text_free(&told.lines);
}

/* Behind a decoy that no server takes; a third mail; and one that is larger than what is kept. */
static void test_several(void **state)
{
	struct told told;
	struct text large = {0};

	(void)state;
	begin(&told);
	say_text(&told, TEXT_1 "\r.\rdecoy\r\n. \r\nanother\r.\r" SECOND, 0);
	hear(&told, TOOK);
	expect_told(&told, "a@x sent smuggling\nsmug@x sent smuggling\n");
	begin(&told);
	say_text(&told,
		 TEXT_1 "\r.\r" COMMANDS "x\r.\rMAIL FROM:<third@x>\r\nRCPT TO:<v@y>\r\n"
			"DATA\r\nx\r\n.\r\n",
		 0);
	hear(&told, TOOK "250 Ok\r\n250 Ok\r\n354 Go\r\n250 Third\r\n");
	expect_told(&told, "a@x sent smuggling\nsmug@x sent smuggling\nthird@x sent smuggling\n");
	begin(&told);
	text_add_string(&large, TEXT_1 "\r.\r" COMMANDS "Subject: two\r\n\r\n");
	for (int i = 0; i < 4000; i++)
		text_add_string(&large, "forty bytes of text, and a line end.....\r\n");
	text_add_string(&large, ".\r\n");
	say(&told, (struct span){large.data, large.len}, 1000);
	hear(&told, TOOK);
	expect_told(&told, "a@x sent smuggling\nsmug@x sent smuggling missing\n");
	text_free(&large);
}

/* With LMTP there is a reply for each recipient of the first mail. */
static void test_lmtp(void **state)
{
	struct told told = {.session = NULL};

	(void)state;
	told.session = smtp_session_new(true, take, &told);
	hear(&told, "220 mx\r\n");
	say_text(&told, "LHLO me\r\n", 0);
	hear(&told, "250 mx\r\n");
	say_text(&told, "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nRCPT TO:<c@y>\r\nDATA\r\n", 0);
	hear(&told, "250 Ok\r\n250 Ok\r\n250 Ok\r\n354 Go\r\n");
	say_text(&told, TEXT_1 "\r.\r" SECOND, 0);
	hear(&told, "250 First for b\r\n" TOOK);
	expect_told(&told, "a@x sent smuggling recipients\nsmug@x sent smuggling\n");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_taken),	   cmocka_unit_test(test_waited),
		cmocka_unit_test(test_not_taken),  cmocka_unit_test(test_refused),
		cmocka_unit_test(test_late_proof), cmocka_unit_test(test_several),
		cmocka_unit_test(test_lmtp),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
