/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The user that a Received field names, for each MTA; that nobody can forge it; the table of
 * submissions.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "event/origin.h"

/* Expects "uid UID user USER id QUEUE_ID" (the known parts), or "none". */
static void expect(const char *mta, const char *received, const char *expected)
{
	struct origin origin;
	char text[300] = "", *copy = strdup(received);
	size_t len = 0;

	assert_non_null(copy);
	if (origin_parse(mta, (struct span){copy, strlen(copy)}, &origin)) {
		if (origin.has_uid)
			len += (size_t)snprintf(text + len, sizeof(text) - len, " uid %u",
						origin.uid);
		if (origin.user[0])
			len += (size_t)snprintf(text + len, sizeof(text) - len, " user %s",
						origin.user);
		if (origin.queue_id[0])
			snprintf(text + len, sizeof(text) - len, " id %s", origin.queue_id);
		assert_string_equal(origin.mta, mta);
	} else {
		strcpy(text, " none");
	}
	assert_string_equal(text + 1, expected);
	free(copy);
}

static void test_local(void **state)
{
	(void)state;
	expect("postfix",
	       "by mx.x (Postfix, from userid 1000)\r\n\tid 4XyZ12; Mon,  1 Jan 2024 00:00:00 "
	       "+0100 (CET)",
	       "uid 1000 id 4XyZ12");
	expect("exim",
	       " from joe by mx.x with local (Exim 4.96)\r\n\t(envelope-from <joe@x>)\r\n\tid "
	       "1rK-00A-2x\r\n\tfor "
	       "a@x; Mon, 01 Jan 2024 00:00:00 +0100",
	       "user joe id 1rK-00A-2x");
	expect("sendmail",
	       "(from joe@localhost)\r\n\tby mx.x (8.17.1/8.17.1/Submit) id 4011abcd; Mon, 1 Jan "
	       "2024 "
	       "00:00:00 GMT",
	       "user joe id 4011abcd");
	expect("opensmtpd",
	       "from localhost (mx.x [local])\r\n\tby mx.x (OpenSMTPD) with ESMTPA id "
	       "0c4e0adf\r\n\tfor "
	       "<r@y>;",
	       "id 0c4e0adf");
}

/* The pid and the time of a submission, as each MTA's field has them. */
static void expect_time(const char *mta, const char *received, uint32_t pid, int64_t time_s)
{
	struct origin origin;

	origin_parse(mta, span_of(received), &origin);
	assert_int_equal(origin.pid, pid);
	assert_int_equal(origin.has_time, time_s != 0);
	if (time_s)
		assert_int_equal(origin.time_s, time_s);
}

#define EXIM(id) "from joe by mx.x with local (Exim 4.96) (envelope-from <joe@x>) id " id " for a@x"

static void test_times(void **state)
{
	(void)state;
	expect_time("exim", EXIM("1xY8rF-0006hQ-0j"), 25756, 1796073861);
	expect_time("exim", EXIM("1xY8rF-000000006hQ-0j00"), 25756, 1796073861);
	expect_time("exim", EXIM("1xY8rF-000000-0j"), 0, 0);
	expect_time("exim", EXIM("1xY8rF-zzzzzz-0j"), 0, 0);
	expect_time("exim", EXIM("1xY8rF-zzzzzzzzzzz-0j00"), 0, 0);
	expect_time("exim", EXIM("1xY8rF0-006hQ-0j"), 0, 0);
	expect_time("exim", EXIM("1xY8rF-0006hQ-0j0"), 0, 0);
	expect_time("exim",
		    "from [127.0.0.1] (helo=c) by mx.x with esmtp (Exim 4.96) id 1xY8rF-0006hQ-0j",
		    0, 0);
	expect_time("nullmailer",
		    "(nullmailer pid 4711 invoked by uid 33);\r\n\tMon, 30 Nov 2026 21:24:21 -0000",
		    4711, 1796073861);
	expect_time("nullmailer", "(nullmailer pid 0 invoked by uid 33); x", 0, 0);
	expect_time(
		"postfix",
		"by mx.x (Postfix, from userid 33) id 4X; Mon, 30 Nov 2026 22:24:21 +0100 (CET)", 0,
		1796073861);
	expect_time("postfix", "by mx.x (Postfix, from userid 33) id 4X; soon", 0, 0);
	expect_time("postfix",
		    "from c (l [127.0.0.1]) by mx.x (Postfix) id 4X; "
		    "Mon, 30 Nov 2026 22:24:21 +0100 (CET)",
		    0, 0);
	expect_time("opensmtpd",
		    "from localhost (mx.x [local]) by mx.x (OpenSMTPD) with ESMTPA id 0c4e0adf "
		    "for <r@y>; Mon, 30 Nov 2026 21:24:21 +0000 (UTC)",
		    0, 1796073861);
}

static void test_by_smtp(void **state)
{
	(void)state;
	expect("postfix",
	       "from c (localhost [127.0.0.1])\r\n\tby mx.x (Postfix) with ESMTP id 4X\r\n\tfor "
	       "<b@y>; now",
	       "id 4X");
	expect("exim",
	       "from [127.0.0.1] (helo=c)\r\n\tby mx.x with esmtp (Exim 4.96)\r\n\tid 1rK-00A; now",
	       "id 1rK-00A");
}

static void test_lies(void **state)
{
	char longest[3000];

	(void)state;
	/* The form of one MTA has no meaning in the mail of another. */
	expect("exim", "by mx.x (Postfix, from userid 0) id 4X; now", "id 4X");
	expect("postfix", "from root by mx.x with local (Exim 4.96) id 4X; now", "id 4X");
	/* Text that a HELO or an address can contain. */
	expect("postfix",
	       "from by mx.x (Postfix, from userid 0) (localhost [127.0.0.1]) by mx.x (Postfix) "
	       "with SMTP id "
	       "4X; now",
	       "id 4X");
	expect("postfix",
	       "from x id 4A (localhost [127.0.0.1]) by mx.x (Postfix) with SMTP id 4X; now",
	       "none");
	expect("postfix",
	       "from x\tid\r\n\t4A (l [127.0.0.1]) by mx.x (Postfix) with SMTP id 4X; now", "none");
	expect("postfix",
	       "from x (l [127.0.0.1]) by mx.x (Postfix) with SMTP id 4X for <\" id 4A\"@y>; now",
	       "none");
	expect("postfix", "by (Postfix, from userid 0) id 4X", "id 4X");
	expect("postfix", "by mx.x (Postfix, from userid 4294967295) id 4X", "id 4X");
	expect("postfix", "by mx.x (Postfix, from userid 99999999999999999999) id 4X", "id 4X");
	expect("postfix", "by mx.x (Postfix, from userid -1) id 4X", "id 4X");
	expect("postfix", "by mx.x (Postfix, from userid ) id 4X", "id 4X");
	expect("postfix", "by mx.x (Postfix, from userid 0", "none");
	expect("postfix", "by mx.x (Postfix, from userid 0) id <4X>", "uid 0");
	expect("postfix", "by mx.x (Postfix, from userid 0) id 4\x01X;", "uid 0 id 4");
	expect("postfix", "", "none");
	expect("exim", "from [127.0.0.1] by mx.x with local (Exim 4.96) id 4X", "id 4X");
	expect("exim", "from x (helo=y) by mx.x with local (Exim 4.96) id 4X", "id 4X");
	expect("exim", "from a b by mx.x with local (Exim 4.96) id 4X", "id 4X");
	expect("exim", "from \"root\" by mx.x with local (Exim 4.96) id 4X", "id 4X");
	expect("exim", "from root by mx.x with local-esmtp (Exim 4.96) id 4X", "id 4X");
	expect("exim",
	       "from aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa by m "
	       "with local "
	       "(Exim 4) id 4",
	       "id 4");
	expect("sendmail", "(from root) by mx.x (8.17.1) id 4X", "id 4X");
	expect("sendmail", "(from @localhost) by mx.x (8.17.1) id 4X", "id 4X");
	/*
	 * A field that is too long to be kept whole may have a second id in the part that is
	 * missing.
	 */
	memset(longest, 'a', sizeof(longest));
	memcpy(longest, "from x id 4A ", 13);
	longest[sizeof(longest) - 1] = '\0';
	expect("postfix", longest, "none");
}

/* No byte string does harm or names a user. */
static void test_any(void **state)
{
	static const char alphabet[] =
		"by from id ()<>;.@[]x0\t\r\n\"Exim Postfix userid with local ";
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char text[80];
		size_t len = 0;
		struct origin origin;

		for (size_t n = (size_t)(i % 80); len < n; len++) {
			seed = seed * 1103515245 + 12345;
			text[len] = alphabet[(seed >> 16) % (sizeof(alphabet) - 1)];
		}
		origin_parse(i & 1 ? "exim" : "postfix", (struct span){text, len}, &origin);
		assert_false(origin.has_uid);
		assert_int_equal(origin.user[0], 0);
	}
}

static struct span queue_id_of(const char *reply, enum smtp_outcome outcome)
{
	static struct smtp_transaction transaction;

	transaction.outcome = outcome;
	transaction.reply_len = (uint16_t)strlen(reply);
	memcpy(transaction.reply_text, reply, transaction.reply_len);
	return origin_queue_id(&transaction);
}

static void test_replies(void **state)
{
	static const char *const replies[][2] = {
		{"2.0.0 Ok: queued as 4XyZ", "4XyZ"},
		{"OK id=1rK-00A-2x", "1rK-00A-2x"},
		{"2.0.0 4011ab Message accepted for delivery", "4011ab"},
		{"2.0.0 Ok: queued as ", ""},
		{"2.0.0 Ok: queued as <x>", ""},
		{"2.0.0 4011ab Thanks", ""},
		{"2.0.0 queued", ""},
		{"", ""},
		{"OK id=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", ""},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
		struct span id = queue_id_of(replies[i][0], SMTP_OUTCOME_SUCCESS);

		assert_int_equal(id.len, strlen(replies[i][1]));
		assert_memory_equal(id.data, replies[i][1], id.len);
	}
	assert_int_equal(queue_id_of("OK id=1rK", SMTP_OUTCOME_FAILURE).len, 0);
}

static bool find(const struct submissions *table, const char *queue_id, struct origin *origin)
{
	*origin = (struct origin){.mta = "exim"};
	strcpy(origin->queue_id, queue_id);
	if (!submissions_find(table, origin))
		return false;
	assert_int_equal(origin->how, ORIGIN_CONNECTION);
	assert_int_equal(origin->submitter->task.euid, origin->uid);
	sender_unref(origin->submitter);
	return true;
}

static void add(struct submissions *table, const char *queue_id, uint32_t uid, bool named,
		const char *event_id)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->task.uid = sender->task.euid = uid;
	submissions_add(table, span_of(queue_id), sender, sender, named, event_id);
	sender_unref(sender);
}

static void test_submissions(void **state)
{
	struct submissions *table = submissions_new();
	struct origin origin;
	char id[20];

	(void)state;
	assert_non_null(table);
	assert_false(find(table, "", &origin));
	assert_false(find(table, "4X", &origin));
	add(table, "4X", 1000, true, "0123456789abcdef0123456789abcdef");
	assert_true(find(table, "4X", &origin));
	assert_true(origin.has_uid && origin.named);
	assert_int_equal(origin.uid, 1000);
	assert_string_equal(origin.submission, "0123456789abcdef0123456789abcdef");
	/*
	 * A second submission of the same user replaces the first. A second one of another user
	 * makes the id ambiguous for good.
	 */
	add(table, "4X", 1000, true, "b");
	assert_true(find(table, "4X", &origin));
	assert_string_equal(origin.submission, "b");
	add(table, "4X", 1001, true, "c");
	assert_false(find(table, "4X", &origin));
	add(table, "4X", 1001, true, "d");
	assert_false(find(table, "4X", &origin));
	/* The oldest are forgotten. */
	for (uint32_t i = 0; i < SUBMISSIONS_MAX; i++) {
		snprintf(id, sizeof(id), "%u", i);
		add(table, id, i, false, "e");
	}
	assert_false(find(table, "4X", &origin));
	assert_true(find(table, "0", &origin));
	assert_false(origin.named);
	add(table, "one-more", 7, false, "f");
	assert_false(find(table, "0", &origin));
	assert_true(find(table, "1", &origin));
	assert_int_equal(origin.uid, 1);
	submissions_free(table);
}

/* Only known executables under their own users are MTAs. */
static void test_mta(void **state)
{
	struct image image = {.executable = (char *)"/usr/sbin/exim4"};
	struct sender sender = {.image = &image, .user = (char *)"Debian-exim"};

	(void)state;
	assert_string_equal(origin_mta(&sender), "exim");
	sender.user = (char *)"joe";
	assert_null(origin_mta(&sender));
	sender.user = (char *)"postfix";
	assert_null(origin_mta(&sender));
	image.executable = (char *)"/usr/lib/postfix/sbin/smtp";
	assert_string_equal(origin_mta(&sender), "postfix");
	sender.exe_swapped = true;
	assert_null(origin_mta(&sender));
	sender.exe_swapped = false;
	image.flags = EXEC_MEMFD;
	assert_null(origin_mta(&sender));
	image.flags = 0;
	image.executable = (char *)"/home/joe/usr/lib/postfix/sbin/smtp";
	assert_null(origin_mta(&sender));
	sender.user = NULL;
	assert_null(origin_mta(&sender));
	sender.image = NULL;
	assert_null(origin_mta(&sender));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),	    cmocka_unit_test(test_local),
		cmocka_unit_test(test_by_smtp),	    cmocka_unit_test(test_lies),
		cmocka_unit_test(test_any),	    cmocka_unit_test(test_replies),
		cmocka_unit_test(test_submissions), cmocka_unit_test(test_mta),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
