/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An AUTH that is refused, and a client that sends its secret all the same; a server that repeats
 * it. In what is recorded of both sides, and in what events are made of, no secret remains, in any
 * segmentation; and what was recorded replays to the same transactions.
 *
 * Here secrets begin with z and are of lower-case letters, and so are their traces. All else that
 * the server says is in upper case.
 */
#include "smtp_steps.h"
#include "smtp/secrets.h"

/* One conversation, as it was recorded. */
struct recorded {
	struct text client;
	struct text server;
	struct played played; /* what events are made of, as it was live */
	uint64_t command_bytes;
};

static void recorded_free(struct recorded *recorded)
{
	text_free(&recorded->client);
	text_free(&recorded->server);
	played_free(&recorded->played);
}

static void record_piece(struct smtp_session *session, struct recorded *recorded,
			 const struct step *step, struct span piece)
{
	bool client = step->kind == STEP_CLIENT;
	struct text *text = client ? &recorded->client : &recorded->server;
	size_t before = text->len;

	text_add(text, piece);
	(client ? smtp_mask_secrets : smtp_mask_replies)(session, text->data + before, piece.len,
							 true);
	feed_exact(session, step, piece, 1);
}

/* Pieces of `size` bytes (0: whole steps), with one more cut at `cut` bytes from the start. */
static void record_steps(const struct step *steps, size_t size, size_t cut,
			 struct recorded *recorded)
{
	struct smtp_session *session = smtp_session_new(true, played_take, &recorded->played);
	size_t at = 0;

	for (const struct step *step = steps; step->kind != STEP_END; step++) {
		struct span rest = step->bytes;

		while (rest.len) {
			size_t len = size && size < rest.len ? size : rest.len;

			if (at < cut && cut < at + len)
				len = cut - at;
			record_piece(session, recorded, step, (struct span){rest.data, len});
			at += len;
			rest.data += len;
			rest.len -= len;
		}
	}
	smtp_session_close(session, 1);
	recorded->command_bytes = smtp_command_bytes(session);
	smtp_session_free(session);
}

/* No `run` secret bytes in a row remain. */
static void expect_clean(const char *what, const struct text *text, size_t run)
{
	size_t found = 0;

	for (size_t i = 0; i < text->len; i++) {
		found = text->data[i] >= 'a' && text->data[i] <= 'z' ? found + 1 : 0;
		if (found >= run)
			fail_msg("%s: %s", what, text->data);
	}
}

/* The steps again, with the bytes that were recorded. */
static void replay(const struct step *steps, const struct recorded *recorded)
{
	struct played again = {0};
	struct smtp_session *session = smtp_session_new(true, played_take, &again);
	size_t at[2] = {0, 0};

	for (const struct step *step = steps; step->kind != STEP_END; step++) {
		bool client = step->kind == STEP_CLIENT;
		const struct text *text = client ? &recorded->client : &recorded->server;

		feed_exact(session, step, (struct span){text->data + at[client], step->bytes.len},
			   1);
		at[client] += step->bytes.len;
	}
	smtp_session_close(session, 1);
	assert_int_equal(smtp_command_bytes(session), recorded->command_bytes);
	smtp_session_free(session);
	assert_string_equal(again.lines.data ? again.lines.data : "",
			    recorded->played.lines.data ? recorded->played.lines.data : "");
	played_free(&again);
}

#define HEAD "EHLO ME\r\n"
#define HI   S("220 MX\r\n"), C(HEAD), S("250-MX\r\n250 PIPELINING\r\n")
#define REST                                                                                       \
	C("MAIL FROM:<A@X>\r\n"), S("250 OK\r\n"), C("RCPT TO:<B@Y>\r\n"), S("250 OK\r\n"),        \
		C("DATA\r\n"), S("354 GO\r\n"), C("SUBJECT: X\r\n\r\nHI\r\n.\r\n"),                \
		S("250 QUEUED AS 4711\r\n"), C("QUIT\r\n"), S("221 BYE\r\n"), END
#define TAIL  "MAIL FROM:<A@X>\r\nRCPT TO:<B@Y>\r\nDATA\r\nSUBJECT: X\r\n\r\nHI\r\n.\r\nQUIT\r\n"
#define LINES "1 data success <A@X> <B@Y>250 18 bytes 250 QUEUED AS 4711\n"

/*
 * `client`: what is recorded of the client, or NULL. `run`: so many bytes of a secret in a row must
 * not remain, however small the pieces; of whole steps, not one.
 */
static void expect_refused(const struct step *steps, const char *client, const char *lines,
			   size_t run)
{
	static const size_t sizes[] = {0, 1, 2, 3, 5, 7, 11};

	for (size_t cut = 0; cut < 500; cut++) {
		struct recorded recorded = {0};
		size_t size = cut < sizeof(sizes) / sizeof(sizes[0]) ? sizes[cut] : 0;

		record_steps(steps, size, size ? 0 : cut, &recorded);
		expect_clean("client", &recorded.client, cut ? run : 1);
		expect_clean("server", &recorded.server, cut ? run : 1);
		if (client)
			assert_string_equal(recorded.client.data, client);
		else
			assert_non_null(strstr(recorded.client.data, TAIL));
		assert_string_equal(recorded.played.lines.data, lines);
		replay(steps, &recorded);
		recorded_free(&recorded);
	}
}

#define MASKED_10 "**********\r\n"

/* A printer's: the AUTH is refused, and the server repeats what it does not know. */
static void test_refused(void **state)
{
	static const struct step steps[] = {HI,
					    C("AUTH LOGIN\r\n"),
					    S("502 5.5.1 UNSUPPORTED\r\n"),
					    C("zuserzuser\r\n"),
					    S("500 5.5.1 UNRECOGNIZED: zuserzuser\r\n"),
					    C("zsecretzse\r\n"),
					    S("500 5.5.1 UNRECOGNIZED: zsecretzse\r\n"),
					    REST};

	(void)state;
	expect_refused(steps, HEAD "AUTH LOGIN\r\n" MASKED_10 MASKED_10 TAIL, LINES, 1);
}

/* All in one: the answers leave before the server says 334, or refuses. */
static void test_pipelined(void **state)
{
	static const struct step steps[] = {
		HI,
		C("AUTH LOGIN\r\nzuserzuser\r\nzsecretzse\r\nMAIL FROM:<A@X>\r\nRCPT "
		  "TO:<B@Y>\r\nDATA\r\n"),
		S("504 NO\r\n500 WHAT IS zuserzuser\r\n500 WHAT IS zsecretzse\r\n250 OK\r\n250 "
		  "OK\r\n354 GO\r\n"),
		C("SUBJECT: X\r\n\r\nHI\r\n.\r\n"),
		S("250 QUEUED AS 4711\r\n"),
		C("QUIT\r\n"),
		S("221 BYE\r\n"),
		END};
	static const struct step plain[] = {
		HI,
		C("AUTH PLAIN\r\nzsecretzse\r\nMAIL FROM:<A@X>\r\nRCPT TO:<B@Y>\r\n"),
		S("535 NO\r\n500 5.5.2 zsecretzse?\r\n250 OK\r\n250 OK\r\n"),
		C("DATA\r\n"),
		S("354 GO\r\n"),
		C("SUBJECT: X\r\n\r\nHI\r\n.\r\n"),
		S("250 QUEUED AS 4711\r\n"),
		C("QUIT\r\n"),
		S("221 BYE\r\n"),
		END};

	(void)state;
	/* A MAIL that is cut while the AUTH is open is masked with it: see below. */
	for (size_t i = 0; i < 2; i++) {
		struct recorded recorded = {0};

		record_steps(i ? plain : steps, 0, 0, &recorded);
		expect_clean("client", &recorded.client, 1);
		expect_clean("server", &recorded.server, 1);
		assert_string_equal(recorded.played.lines.data, LINES);
		assert_non_null(strstr(recorded.client.data, "\r\nMAIL FROM:<A@X>\r\nRCPT TO:"));
		replay(i ? plain : steps, &recorded);
		recorded_free(&recorded);
		for (size_t cut = 1; cut < 150; cut++) {
			record_steps(i ? plain : steps, cut < 8 ? cut : 0, cut, &recorded);
			expect_clean("client", &recorded.client, 1);
			expect_clean("server", &recorded.server, 1);
			recorded_free(&recorded);
		}
	}
}

/* After a 535, and after the client gave up with "*", it sends the lines once more. */
static void test_again(void **state)
{
	static const struct step failed[] = {
		HI,
		C("AUTH LOGIN\r\n"),
		S("334 VXNLCM5HBWU6\r\n"),
		C("VVNF\r\n"), /* USE: a name is kept, where it is expected */
		S("334 UGFZC3DVCMQ6\r\n"),
		C("zsecretzse\r\n"),
		S("535 5.7.8 NO\r\n"),
		C("zuserzuser\r\n"),
		S("500 zuserzuser\r\n"),
		C("zsecretzse\r\n"),
		S("500 zsecretzse\r\n"),
		REST};
	static const struct step given_up[] = {HI,
					       C("AUTH PLAIN\r\n"),
					       S("334\r\n"),
					       C("*\r\n"),
					       S("501 5.7.0 CANCELLED\r\n"),
					       C("zsecretzse\r\n"),
					       S("500 zsecretzse\r\n"),
					       C("RSET\r\n"),
					       S("250 OK\r\n"),
					       C("zsecretzse\r\n"),
					       S("502 zsecretzse\r\n"),
					       REST};

	(void)state;
	expect_refused(failed, NULL, LINES, 1);
	expect_refused(given_up, HEAD "AUTH PLAIN\r\n*\r\n" MASKED_10 "RSET\r\n" MASKED_10 TAIL,
		       LINES, 1);
}

/*
 * The server repeats the secret decoded, in parts, in several lines, without a code. The client's
 * line is base64 of "popensesamez".
 */
static void test_echo_in_parts(void **state)
{
	static const struct step steps[] = {
		HI,
		C("AUTH PLAIN\r\n"),
		S("502 NO\r\n"),
		C("cG9wZW5zZXNhbWV6\r\n"),
		S("500-UNKNOWN: popen\r\n500-psesamez\r\npopensesamez\r\n500 zemasesnepop\r\n"),
		REST};

	(void)state;
	/* In whole steps the client's line is masked throughout. */
	for (size_t size = 0; size < 12; size++) {
		struct recorded recorded = {0};

		record_steps(steps, size, 0, &recorded);
		expect_clean("server", &recorded.server, 1);
		assert_string_equal(recorded.client.data,
				    HEAD "AUTH PLAIN\r\n****************\r\n" TAIL);
		assert_string_equal(recorded.played.lines.data, LINES);
		replay(steps, &recorded);
		recorded_free(&recorded);
	}
}

/* A later reply, whose text is in an event, repeats it as it was sent, or decoded. */
static void test_echo_later(void **state)
{
	static const struct step steps[] = {
		HI,
		C("AUTH LOGIN\r\n"),
		S("334 X\r\n"),
		C("em9wZW4=\r\n"), /* zopen: the user's name */
		S("334 Y\r\n"),
		C("em9wZW5zZXNhbWV6\r\n"),
		S("535 NO\r\n"),
		C("MAIL FROM:<A@X>\r\n"),
		S("250 OK\r\n"),
		C("RCPT TO:<B@Y>\r\n"),
		S("550 YOU SAID em9wZW5zZXNhbWV6 OR zopensesamez, NO MORE\r\n"),
		C("QUIT\r\n"),
		S("221 BYE\r\n"),
		END};
	struct recorded recorded = {0};

	(void)state;
	record_steps(steps, 0, 0, &recorded);
	assert_string_equal(
		recorded.played.lines.data,
		"1 close failure <A@X> <B@Y>550! 0 bytes 550 YOU SAID **************** OR "
		"************, NO MORE\n");
	expect_clean("server", &recorded.server, 1);
	replay(steps, &recorded);
	recorded_free(&recorded);
	/* In small pieces the first bytes are written before the secret is recognised. */
	for (size_t size = 1; size < 30; size++) {
		record_steps(steps, size, 0, &recorded);
		expect_clean("server", &recorded.server, 4);
		assert_null(strstr(recorded.played.lines.data, "open"));
		recorded_free(&recorded);
	}
}

/* What is no secret stays readable: other commands after a refusal, and lines after the mail. */
static void test_kept(void **state)
{
	static const struct step tls[] = {HI,
					  C("AUTH PLAIN zsecretzse\r\n"),
					  S("530 MUST ISSUE STARTTLS\r\n"),
					  C("NOOP\r\n"),
					  S("250 FINE\r\n"),
					  C("STARTTLS\r\n"),
					  S("454 NOT NOW\r\n"),
					  C("XUNKNOWN A\r\n"),
					  S("500 WHAT IS XUNKNOWN\r\n"),
					  REST};
	struct recorded recorded = {0};

	(void)state;
	expect_refused(tls, HEAD "AUTH PLAIN **********\r\nNOOP\r\nSTARTTLS\r\nXUNKNOWN A\r\n" TAIL,
		       LINES, 1);
	record_steps(tls, 0, 0, &recorded);
	assert_string_equal(
		recorded.server.data,
		"220 MX\r\n250-MX\r\n250 PIPELINING\r\n530 *******************\r\n250 "
		"FINE\r\n454 NOT NOW\r\n500 WHAT IS XUNKNOWN\r\n250 OK\r\n250 OK\r\n354 "
		"GO\r\n250 QUEUED AS 4711\r\n221 BYE\r\n");
	recorded_free(&recorded);
}

/* Data in such lines is counted alike live and in a replay, where masked lines look alike. */
static void test_data_in_answers(void **state)
{
	struct text lines = {0}, replies = {0};
	struct recorded recorded = {0};

	(void)state;
	for (int i = 0; i < 400; i++) {
		text_add_format(&lines, "zdata%055d\r\n", i);
		text_add_string(&replies, "500 WHAT\r\n");
	}
	struct step steps[] = {HI,
			       C("AUTH LOGIN\r\n"),
			       S("502 NO\r\n"),
			       {.kind = STEP_CLIENT, .bytes = {lines.data, lines.len}},
			       {.kind = STEP_SERVER, .bytes = {replies.data, replies.len}},
			       REST};
	record_steps(steps, 0, 0, &recorded);
	assert_true(recorded.command_bytes > 1000);
	expect_clean("client", &recorded.client, 1);
	replay(steps, &recorded);
	recorded_free(&recorded);
	text_free(&lines);
	text_free(&replies);
}

/* A secret that looks like a verb: byte by byte, no more of it remains than the verb. */
static void test_like_a_verb(void **state)
{
	static const struct step steps[] = {HI,
					    C("AUTH LOGIN\r\n"),
					    S("502 NO\r\n"),
					    C("mailzsecret\r\n"),
					    S("500 mailzsecret\r\n"),
					    C("data\r\n"),
					    S("503 NO\r\n"),
					    REST};

	(void)state;
	for (size_t size = 1; size < 12; size++) {
		struct recorded recorded = {0};

		record_steps(steps, size, 0, &recorded);
		assert_null(strstr(recorded.client.data, "mailz"));
		expect_clean("client", &recorded.client, 5);
		expect_clean("server", &recorded.server, 1);
		replay(steps, &recorded);
		recorded_free(&recorded);
	}
}

/* With a 334 behind pipelined answers, the password is not taken for the user's name. */
static void test_password_is_no_user(void **state)
{
	static const struct step steps[] = {HI,
					    C("AUTH LOGIN\r\nenVzZXI=\r\n"),
					    S("334 A\r\n"),
					    S("334 B\r\n"),
					    C("em9wZW5zZXNhbWV6\r\n"),
					    S("235 OK\r\n"),
					    REST};

	(void)state;
	for (size_t size = 0; size < 5; size++) {
		struct played played = {0};

		play(steps, true, size, 0, &played);
		assert_null(memmem(played.facts.auth_user, played.facts.auth_user_len, "zopen", 5));
		assert_string_equal(played.lines.data, LINES);
		played_free(&played);
	}
}

/* What the session remembers is bounded, and what it does not know stays. */
static void test_secrets(void **state)
{
	struct secrets *secrets = NULL;
	char text[] = "one two2 three four", big[2 * SECRET_LEN_MAX], line[4 * SECRET_LEN_MAX];

	(void)state;
	secrets_mask(secrets, (struct span){"", 0}, text, strlen(text));
	assert_string_equal(text, "one two2 three four");
	secrets_keep(&secrets, span_of("one")); /* too short */
	secrets_keep(&secrets, span_of("two2"));
	secrets_keep(&secrets, span_of("three"));
	secrets_mask(secrets, (struct span){"", 0}, text, strlen(text));
	assert_string_equal(text, "one **** ***** four");
	/* The head is what came before; a beginning at the end is
	 * masked as well. */
	strcpy(text, "ree twothre");
	secrets_mask(secrets, span_of("x th"), text, 11);
	assert_string_equal(text, "*** two****");
	strcpy(text, "ree thre\r\n");
	secrets_mask(secrets, (struct span){"", 0}, text, 10);
	assert_string_equal(text, "ree thre\r\n");
	memset(big, 'z', sizeof(big));
	memset(line, 'z', sizeof(line));
	secrets_keep(&secrets, (struct span){big, sizeof(big)});
	secrets_mask(secrets, (struct span){"", 0}, line, sizeof(line));
	for (size_t i = 0; i < sizeof(line); i++)
		assert_int_equal(line[i], '*');
	for (int i = 0; i < 100; i++) {
		snprintf(text, sizeof(text), "secret-%d", i);
		secrets_keep(&secrets, span_of(text));
		secrets_mask(secrets, (struct span){"", 0}, text, strlen(text));
		assert_null(strchr(text, 's'));
	}
	strcpy(text, "secret-92 secret-91"); /* of more than SECRETS_MAX, the newest are kept */
	secrets_mask(secrets, (struct span){"", 0}, text, 19);
	assert_string_equal(text, "********* secret-91");
	strcpy(text, "two2");
	secrets_mask(secrets, (struct span){"", 0}, text, 4);
	assert_string_equal(text, "two2"); /* forgotten */
	secrets_free(secrets);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pipelined),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_echo_in_parts),
		cmocka_unit_test(test_echo_later),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_data_in_answers),
		cmocka_unit_test(test_like_a_verb),
		cmocka_unit_test(test_password_is_no_user),
		cmocka_unit_test(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
