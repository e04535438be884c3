/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Data in the commands of a session that brings no mail: each channel is counted. */
#include "smtp_talk.h"

/* ---- Channels -------------------------------------------------------------------------------- */

/* Every byte of the secret counts, and at most the words around it besides. */
static void expect_channel(struct talk *talk, uint64_t overhead)
{
	uint64_t bytes;

	assert_int_equal(talk->told, 0);
	bytes = end(talk);
	assert_true(bytes >= SECRET);
	assert_true(bytes <= SECRET + overhead * CHUNKS);
	assert_true(bytes >= SMTP_CARRIED_MAX);
	assert_int_equal(talk->told, 0);
}

static const struct channel {
	const char *command, *answer;
} channels[] = {
	{"VRFY %\r\n", "252 maybe\r\n"},	{"EXPN %\r\n", "502 no\r\n"},
	{"NOOP %\r\n", "250 ok\r\n"},		{"HELP %\r\n", "214 no help\r\n"},
	{"XDATA %\r\n", "500 what\r\n"},	{"%\r\n", "500 what\r\n"},
	{"RSET %\r\n", "501 no arguments\r\n"}, {"QUIT %\r\n", "501 no arguments\r\n"},
	{"DATA %\r\n", "501 no arguments\r\n"}, {"STARTTLS %\r\n", "501 no arguments\r\n"},
	{"BDAT 0 %\r\n", "501 no\r\n"},		{"EHLO %\r\n", "250 ok\r\n"},
	{"HELO %\r\n", "501 no\r\n"},		{"RCPT TO:<%@x>\r\n", "503 MAIL first\r\n"},
	{"MAIL FROM:<%@x>\r\n", "550 no\r\n"},	{"MAIL FROM:<a@x> XDATA=%\r\n", "555 no\r\n"},
	{"ETRN %\r\n", "458 no\r\n"},		{"HELP\t%   \r\r\r\n", "214 no help\r\n"},
	{" NOOP %\r\n", "250 ok\r\n"},
};

static void test_channels(void **state)
{
	struct talk talk;

	(void)state;
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
		greet(&talk);
		for (unsigned int n = 0; n < CHUNKS; n++)
			ask_with(&talk, channels[i].command, n, channels[i].answer);
		expect_channel(&talk, 24);
	}
}

/* Before a HELO, and without one: the server's 220 and the commands make it a session. */
static void test_without_helo(void **state)
{
	struct talk talk;

	(void)state;
	for (size_t i = 0; i < sizeof(channels) / sizeof(channels[0]); i++) {
		begin(&talk, true);
		server(&talk, "220 mx ESMTP\r\n");
		for (unsigned int n = 0; n < CHUNKS; n++)
			ask_with(&talk, channels[i].command, n, channels[i].answer);
		/* The first name of a greeting is in the event, and is not counted. */
		if (strstr(channels[i].command, "HELO") || strstr(channels[i].command, "EHLO"))
			assert_true(end(&talk) >= SECRET - 2 * CHUNK);
		else
			expect_channel(&talk, 24);
	}
}

/* Nothing is gained by sending all at once, before any reply. */
static void test_at_once(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		char command[CHUNK + 16];

		snprintf(command, sizeof(command), "VRFY %s\r\n", data(n));
		client(&talk, command);
	}
	for (unsigned int n = 0; n < CHUNKS; n++)
		server(&talk, "252 maybe\r\n");
	expect_channel(&talk, 24);
}

static void test_envelopes_given_up(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		ask_with(&talk, "MAIL FROM:<%@x>\r\n", n, "250 ok\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	expect_channel(&talk, 24);
	greet(&talk);
	for (unsigned int n = 0; n + 1 < CHUNKS; n++)
		ask_with(&talk, "MAIL FROM:<%@x>\r\n", n, "250 ok\r\n");
	ask_with(&talk, "MAIL FROM:<%@x>\r\nQUIT\r\n", CHUNKS, "250 ok\r\n221 bye\r\n");
	expect_channel(&talk, 24);
}

/* Failed logins in every form; each line is too long for a password. */
static void test_logins(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "AUTH PLAIN %\r\n", n, "535 no\r\n");
	assert_true(end(&talk) >= SECRET - 1024);
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		ask(&talk, "AUTH LOGIN\r\n", "334 VXNlcm5hbWU6\r\n");
		ask_with(&talk, "%\r\n", n, "535 no\r\n");
	}
	assert_true(end(&talk) >= SECRET - 1024);
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "AUTH XOAUTH2 %\r\n", n, "535 no\r\n");
	assert_true(end(&talk) >= SECRET - 12288);
	greet(&talk); /* a server that asks for ever */
	ask(&talk, "AUTH LOGIN\r\n", "334 \r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "%\r\n", n, "334 \r\n");
	assert_true(end(&talk) >= SECRET - 1024);
}

/* The lines that follow a refused DATA are commands; so are the octets of a refused BDAT. */
static void test_after_refused_data(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	ask(&talk, "DATA\r\n", "503 MAIL first\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "%\r\n", n, "500 what\r\n");
	expect_channel(&talk, 24);
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		ask(&talk, "BDAT 200\r\n", "503 MAIL first\r\n");
		client(&talk, data(n));
	}
	expect_channel(&talk, 24);
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "BDAT 200\r\n%", n, "503 MAIL first\r\n");
	expect_channel(&talk, 24);
	greet(&talk); /* refused as malformed; Exim discards the octets */
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "BDAT 200 x\r\n%", n, "501 no\r\n");
	expect_channel(&talk, 24);
	greet(&talk); /* never answered */
	client(&talk, "DATA\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		client(&talk, data(n));
	expect_channel(&talk, 24);
}

static void test_after_quit(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		client(&talk, data(n)); /* without a line end */
	expect_channel(&talk, 24);
	greet(&talk);
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "%\r\n", n, "");
	expect_channel(&talk, 24);
}

/* A line is kept up to SMTP_LINE_MAX; all of it counts. */
static void test_long_line(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	client(&talk, "VRFY ");
	for (unsigned int n = 0; n < CHUNKS; n++)
		client(&talk, data(n));
	ask(&talk, "\r\n", "500 too long\r\n");
	expect_channel(&talk, 24);
}

/* Plaintext behind a line like TLS, to a server that took STARTTLS, is not lost. */
static void test_opaque(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	ask(&talk, "STARTTLS\r\n", "220 go\r\n");
	client(&talk, "\x16");
	for (unsigned int n = 0; n < CHUNKS; n++)
		client(&talk, data(n));
	assert_int_equal(smtp_session_facts(talk.session)->opaque_bytes, SECRET + 1);
	end(&talk);
}

/* In a reported transaction: oversize lines, and recipients that do not fit. */
static void test_in_a_mail(void **state)
{
	char line[3000];
	struct talk talk;

	(void)state;
	greet(&talk);
	memset(line, 'x', sizeof(line));
	memcpy(line, "MAIL FROM:<a@x> XDATA=", 22);
	memcpy(line + sizeof(line) - 3, "\r\n", 3);
	ask(&talk, line, "555 no\r\n");
	ask(&talk, "RCPT TO:<b@y>\r\n", "250 ok\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_int_equal(talk.told, 1);
	assert_true(end(&talk) >= 3000 - 1024 - 512 - 8);
	greet(&talk);
	ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < SMTP_RECIPIENTS_MAX; n++)
		ask(&talk, "RCPT TO:<b@y>\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, "452 too many\r\n");
	ask(&talk, "RSET\r\n", "250 ok\r\n");
	assert_true(end(&talk) >= SECRET - 512);
	assert_int_equal(talk.told, 1);
}

/* Envelopes that were only asked about are told, but they are no alert, so their bytes count. */
static void test_asked(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, "250 ok\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	assert_int_equal(talk.told, CHUNKS);
	assert_true(end(&talk) >= SECRET);
	/* In one envelope. */
	greet(&talk);
	ask(&talk, "MAIL FROM:<>\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, "250 ok\r\n");
	ask(&talk, "RSET\r\n", "250 ok\r\n");
	assert_true(end(&talk) >= SECRET);
	/* Address verification stays far below. */
	greet(&talk);
	ask(&talk, "MAIL FROM:<>\r\n", "250 ok\r\n");
	ask(&talk, "RCPT TO:<b@y>\r\n", "250 ok\r\n");
	ask(&talk, "QUIT\r\n", "221 bye\r\n");
	assert_true(end(&talk) < SMTP_CARRIED_MAX / 32);
	/* Refused envelopes between them, which are told, account for themselves alone. */
	greet(&talk);
	for (unsigned int n = 0; n < 2 * CHUNKS; n++) {
		ask(&talk, "MAIL FROM:<>\r\n", "250 ok\r\n");
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, n % 2 ? "250 ok\r\n" : "550 no\r\n");
		ask(&talk, "RSET\r\n", "250 ok\r\n");
	}
	assert_true(end(&talk) >= SECRET);
	/* A mail that follows likewise. */
	greet(&talk);
	for (unsigned int n = 0; n < CHUNKS; n++) {
		ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
		ask_with(&talk, "RCPT TO:<%@y>\r\n", n, "250 ok\r\n");
	}
	ask(&talk, "DATA\r\n", "354 go\r\n");
	ask(&talk, "x\r\n.\r\n", "250 queued\r\n");
	assert_true(end(&talk) >= SECRET - CHUNK - 512 - 16);
}

/* Mail does not buy room for a channel beside it. */
static void test_beside_mail(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	for (unsigned int n = 0; n < 10; n++) {
		ask(&talk, "MAIL FROM:<a@x>\r\n", "250 ok\r\n");
		ask(&talk, "RCPT TO:<b@y>\r\n", "250 ok\r\n");
		ask(&talk, "DATA\r\n", "354 go\r\n");
		ask(&talk, "Subject: x\r\n\r\nHi\r\n.\r\n", "250 queued\r\n");
	}
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "NOOP %\r\n", n, "250 ok\r\n");
	assert_int_equal(talk.told, 10);
	assert_true(end(&talk) >= SECRET);
}

/* No replies are seen, but HELO says that it is SMTP. */
static void test_without_replies(void **state)
{
	struct talk talk;

	(void)state;
	begin(&talk, false);
	client(&talk, "EHLO me.example\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "VRFY %\r\n", n, "");
	expect_channel(&talk, 24);
}

/* After a gap counting resumes as soon as no reply is owed. */
static void test_after_a_gap(void **state)
{
	struct talk talk;

	(void)state;
	greet(&talk);
	smtp_client_gap(talk.session, 100, talk.time_ns);
	ask(&talk, "\r\nNOOP\r\n", "250 ok\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++)
		ask_with(&talk, "VRFY %\r\n", n, "252 maybe\r\n");
	expect_channel(&talk, 24);
}

/* What the server sends is counted as well. */
static void test_replies(void **state)
{
	const struct smtp_facts *facts;
	struct talk talk;
	bool speaks;

	(void)state;
	begin(&talk, true);
	server(&talk, "220 mx\r\n");
	for (unsigned int n = 0; n < CHUNKS; n++) {
		char answer[CHUNK + 16];

		snprintf(answer, sizeof(answer), "252 %s\r\n", data(n));
		ask(&talk, "VRFY a\r\n", answer);
	}
	facts = smtp_session_facts(talk.session);
	assert_int_equal(facts->reply_bytes, 8 + CHUNKS * (CHUNK + 6));
	assert_int_equal(facts->command_bytes, 2); /* the same question each time */
	end_as(&talk, &speaks);
	assert_true(speaks);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_channels),	cmocka_unit_test(test_without_helo),
		cmocka_unit_test(test_at_once),		cmocka_unit_test(test_envelopes_given_up),
		cmocka_unit_test(test_logins),		cmocka_unit_test(test_after_refused_data),
		cmocka_unit_test(test_after_quit),	cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_opaque),		cmocka_unit_test(test_in_a_mail),
		cmocka_unit_test(test_asked),		cmocka_unit_test(test_beside_mail),
		cmocka_unit_test(test_without_replies), cmocka_unit_test(test_after_a_gap),
		cmocka_unit_test(test_replies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
