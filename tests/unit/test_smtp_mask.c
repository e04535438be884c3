/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AUTH secrets are masked in recorded bytes, in every segmentation. */
#include "smtp_steps.h"

/* ---- Masking --------------------------------------------------------------------------------- */

/*
 * Plays as the recorder does: masks a copy of each piece, then feeds the original. Returns the
 * masked bytes; the caller frees them.
 */
static struct text play_masked(const struct step *steps, size_t size, size_t cut)
{
	struct played played = {0};
	struct smtp_session *session = smtp_session_new(true, played_take, &played);
	struct text recorded = {0};
	size_t at = 0;

	for (const struct step *step = steps; step->kind != STEP_END; step++) {
		struct span rest = step->bytes;

		if (step->kind == STEP_CLIENT_GAP)
			smtp_client_gap(session, step->gap, 1);
		while (rest.len) {
			size_t len = size && size < rest.len ? size : rest.len,
			       before = recorded.len;

			if (at < cut && cut < at + len)
				len = cut - at;
			if (step->kind == STEP_CLIENT) {
				text_add(&recorded, (struct span){rest.data, len});
				smtp_mask_secrets(session, recorded.data + before, len, true);
			}
			feed_exact(session, step, (struct span){rest.data, len}, 1);
			at += len;
			rest.data += len;
			rest.len -= len;
		}
	}
	smtp_session_free(session);
	played_free(&played);
	return recorded;
}

static void expect_masked_once(const struct step *steps, size_t size, size_t cut,
			       const char *expected)
{
	struct text recorded = play_masked(steps, size, cut);

	assert_string_equal(recorded.data, expected);
	text_free(&recorded);
}

/*
 * If an AUTH line comes in one piece, its user name is kept (`with_user`); if it is split, all of
 * it is masked.
 */
static void expect_masked_user(const struct step *steps, const char *with_user,
			       const char *expected)
{
	expect_masked_once(steps, 0, 0, with_user);
	expect_masked_once(steps, 1, 0, expected);
	for (size_t cut = 1; cut < 400; cut++) {
		struct text recorded = play_masked(steps, 0, cut);
		size_t as_kept = 0, masked = 0;

		assert_int_equal(recorded.len, strlen(with_user));
		for (size_t i = 0; i < recorded.len; i++) {
			as_kept += recorded.data[i] == with_user[i];
			masked += recorded.data[i] == with_user[i] || recorded.data[i] == '*';
		}
		assert_int_equal(masked, recorded.len);
		assert_true(as_kept == recorded.len || strstr(recorded.data, "**"));
		text_free(&recorded);
	}
}

static void expect_masked(const struct step *steps, const char *expected)
{
	expect_masked_user(steps, expected, expected);
}

/* Here, lower-case letters are the secret: no such letter may be kept, in any segmentation. */
static void expect_no_secret(const struct step *steps, size_t size, size_t cut)
{
	struct text recorded = play_masked(steps, size, cut);

	for (size_t i = 0; i < recorded.len; i++)
		assert_false(recorded.data[i] >= 'a' && recorded.data[i] <= 'z');
	text_free(&recorded);
}

#define HEAD "EHLO me.example\r\n"
#define TAIL                                                                                       \
	"MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nSubject: AUTH PLAIN "                         \
	"c2VjcmV0\r\n\r\nc2VjcmV0\r\n.\r\nQUIT\r\n"
#define MAIL_TAIL                                                                                  \
	MAIL_A, RCPT_B, DATA, C("Subject: AUTH PLAIN c2VjcmV0\r\n\r\nc2VjcmV0\r\n.\r\n"),          \
		S("250 Queued\r\n"), QUIT

static void test_mask(void **state)
{
	static const struct step plain[] = {HELLO, C("AUTH PLAIN AGFAeABzZWNyZXQ=\r\n"),
					    S("235 Ok\r\n"), MAIL_TAIL, END};
	static const struct step blanks[] = {HELLO, C(" auth\tPLAIN  AGFAeABzZWNyZXQ=\r\n"),
					     S("235 Ok\r\n"), MAIL_TAIL, END};
	static const struct step login[] = {HELLO,
					    C("AUTH LOGIN\r\n"),
					    S("334 VXNlcm5hbWU6\r\n"),
					    C("dXNlcg==\r\n"),
					    S("334 UGFzc3dvcmQ6\r\n"),
					    C("c2VjcmV0\r\n"),
					    S("235 Ok\r\n"),
					    MAIL_TAIL,
					    END};
	static const struct step command_like[] = {HELLO,
						   C("AUTH LOGIN\r\n"),
						   S("334 VXNlcm5hbWU6\r\n"),
						   C("QUITQUIT\r\n"),
						   S("334 UGFzc3dvcmQ6\r\n"),
						   C("rset\n"),
						   S("235 Ok\r\n"),
						   MAIL_TAIL,
						   END};
	static const struct step none[] = {HELLO, C("AUTHOR x\r\n"), S("500 No\r\n"), MAIL_TAIL,
					   END};

	(void)state;
	/* "\0a@x\0******" */
	expect_masked_user(plain, HEAD "AUTH PLAIN AGFAeAAqKioqKio=\r\n" TAIL,
			   HEAD "AUTH PLAIN ****************\r\n" TAIL);
	expect_masked_user(blanks, HEAD " auth\tPLAIN  AGFAeAAqKioqKio=\r\n" TAIL,
			   HEAD " auth\tPLAIN  ****************\r\n" TAIL);
	expect_masked_user(login, HEAD "AUTH LOGIN\r\ndXNlcg==\r\n********\r\n" TAIL,
			   HEAD "AUTH LOGIN\r\n********\r\n********\r\n" TAIL);
	expect_masked_user(command_like, HEAD "AUTH LOGIN\r\nQUITQUIT\r\n****\n" TAIL,
			   HEAD "AUTH LOGIN\r\n********\r\n****\n" TAIL);
	expect_masked(none, HEAD "AUTHOR x\r\n" TAIL);
}

static void test_mask_pipelined(void **state)
{
	static const char *const auths[] = {"AUTH LOGIN\r\nsecret\r\nsecret\r\n",
					    " AUTH LOGIN\r\nsecret\r\nsecret\r\n",
					    "AUTH\tLOGIN\nsecret\nsecret\n",
					    "AUTH PLAIN secret\r\nMAIL FROM:<A@X>\r\n",
					    "AUTH XOAUTH2\r\nsecret",
					    "AUTH\r\nsecret\r\n",
					    "AUTH PLAIN\r\nquitrset\r\n",
					    "AUTH PLAIN secret\r\nQUIT\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(auths) / sizeof(auths[0]); i++) {
		struct step steps[] = {C("EHLO ME\r\n"),
				       S("220 mx\r\n250 mx\r\n"),
				       {.kind = STEP_CLIENT, .bytes = span_of(auths[i])},
				       END};

		expect_no_secret(steps, 0, 0);
		expect_no_secret(steps, 1, 0);
		for (size_t cut = 1; cut < 80; cut++)
			expect_no_secret(steps, 0, cut);
	}
}

/* A message is not masked, whatever it looks like, once the server has accepted its DATA. */
static void test_mask_message(void **state)
{
	static const struct step steps[] = {HELLO,
					    MAIL_A,
					    RCPT_B,
					    DATA,
					    C("AUTH PLAIN x\r\nsecret\r\n.\r\n"),
					    S("250 Ok\r\n"),
					    MAIL_A,
					    RCPT_B,
					    C("BDAT 19 LAST\r\nAUTH LOGIN\r\nsecret\nQUIT\r\n"),
					    END};

	(void)state;
	expect_masked(steps, HEAD
		      "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\nDATA\r\nAUTH PLAIN x\r\nsecret\r\n.\r\n"
		      "MAIL FROM:<a@x>\r\nRCPT TO:<b@y>\r\n"
		      "BDAT 19 LAST\r\nAUTH LOGIN\r\nsecret\nQUIT\r\n");
}

static void test_mask_whole_session(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);
	char text[] = "EHLO me\r\nAUTH PLAIN secret\r\nMAIL FROM:<a@x>\r\nQUIT\r\n";

	(void)state;
	smtp_mask_secrets(session, text, sizeof(text) - 1, true);
	assert_string_equal(text, "EHLO me\r\nAUTH PLAIN ******\r\nMAIL FROM:<a@x>\r\nQUIT\r\n");
	smtp_mask_secrets(session, text, 0, true);
	smtp_session_free(session);
}

static void test_mask_after_gap(void **state)
{
	static const struct step initial[] = {C("EHLO ME\r\n"), C("AUTH PLAIN sec"), C_GAP(3),
					      C("secret\r\n"), END};
	static const struct step answer[] = {
		S("220 mx\r\n"), C("AUTH LOGIN\r\n"), S("334 x\r\n"),  C("sec"), C_GAP(3),
		C("secret\r\n"), S("334 x\r\n"),      C("secret\r\n"), END};
	static const struct step lost[] = {S("220 mx\r\n"), C("AUTH LOGIN\r\n"),
					   C_GAP(3),	    S("334 x\r\n"),
					   C("ret\r\n"),    S("334 x\r\n"),
					   C("secret\r\n"), END};

	(void)state;
	for (size_t size = 0; size < 3; size++) {
		expect_no_secret(initial, size, 0);
		expect_no_secret(answer, size, 0);
		expect_no_secret(lost, size, 0);
	}
}

static void test_mask_long_line(void **state)
{
	char *line = long_line("AUTH PLAIN ", "\r\n", 3 * SMTP_LINE_MAX);
	struct step steps[] = {{.kind = STEP_CLIENT, .bytes = {line, 3 * SMTP_LINE_MAX}}, END};

	(void)state;
	expect_no_secret(steps, 0, 0);
	expect_no_secret(steps, 1000, 0);
	expect_no_secret(steps, SMTP_LINE_MAX, 0);
	expect_no_secret(steps, 1, 0);
	free(line);
}

/* Bytes that are not the next ones in the stream are masked by what they could be. */
static void test_mask_out_of_order(void **state)
{
	struct smtp_session *session = smtp_session_new(true, keep_it, NULL);
	char answer[] = "c2VjcmV0\r\n", initial[] = "NOOP\r\nAUTH PLAIN c2VjcmV0\r\n",
	     tail[] = "LAIN c2VjcmV0\r\n";
	char first[] = "LAIN c2VjcmV0\r\nunknown\r\n", commands[] = "DATA\r\n.\r\nQUIT\r\n";
	char after[] = "LAIN c2VjcmV0\r\nunknown\r\n";

	(void)state;
	smtp_server_data(session, span_of("220 mx\r\n"), 1);
	smtp_mask_secrets(session, initial, sizeof(initial) - 1, false);
	assert_string_equal(initial, "NOOP\r\nAUTH PLAIN ********\r\n");
	smtp_client_data(session, span_of("AUTH LOGIN\r\n"), 1);
	smtp_mask_secrets(session, answer, sizeof(answer) - 1, false);
	assert_string_equal(answer, "********\r\n");
	smtp_mask_secrets(session, tail, sizeof(tail) - 1, false);
	assert_string_equal(tail, "*************\r\n");
	smtp_server_data(session, span_of("504 No\r\n"), 1);
	smtp_mask_secrets(session, first, sizeof(first) - 1, false);
	assert_string_equal(first, "*************\r\n*******\r\n"); /* it was refused */
	smtp_client_data(session, span_of("MAIL FROM:<a@x>\r\n"), 1);
	smtp_mask_secrets(session, after, sizeof(after) - 1, false);
	assert_string_equal(after, "*************\r\nunknown\r\n"); /* the client moved on */
	smtp_mask_secrets(session, commands, sizeof(commands) - 1, false);
	assert_string_equal(commands, "DATA\r\n.\r\nQUIT\r\n");
	smtp_session_free(session);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mask),
		cmocka_unit_test(test_mask_pipelined),
		cmocka_unit_test(test_mask_message),
		cmocka_unit_test(test_mask_whole_session),
		cmocka_unit_test(test_mask_after_gap),
		cmocka_unit_test(test_mask_long_line),
		cmocka_unit_test(test_mask_out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
