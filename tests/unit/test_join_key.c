/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which events are alike. */
#include "join_events.h"

#include "event/join_key.h"

/* Compares the event with mail(), and frees it. */
static uint32_t differ_and_free(struct event *event)
{
	struct event *plain = mail();
	struct join_key a, b;
	uint32_t differ;

	join_key(&a, plain, 42);
	join_key(&b, event, 42);
	differ = join_key_differ(&a, &b);
	assert_int_equal(differ == 0 && plain->verdict == event->verdict &&
				 plain->action == event->action &&
				 plain->provisional == event->provisional,
			 a.whole == b.whole);
	event_free(plain);
	event_free(event);
	return differ;
}

static void test_alike(void **state)
{
	struct event *event = mail_of("/usr/bin/msmtp", "other@CORP.example", "else@Corp.Example");

	(void)state;
	event->transaction->bytes = 7;
	event->transaction->number = 9;
	event->source.port = 4321;
	event->senders[0]->task.pid = 8;
	add_recipient(event, "third@corp.example");
	assert_int_equal(differ_and_free(event), 0);
}

static void test_sets_of_domains(void **state)
{
	struct event *one = mail(), *two = mail();
	struct join_key a, b;

	(void)state;
	add_recipient(one, "a@one.example");
	add_recipient(one, "b@two.example");
	add_recipient(two, "c@two.example");
	add_recipient(two, "d@one.example");
	add_recipient(two, "e@two.example");
	join_key(&a, one, 1);
	join_key(&b, two, 1);
	assert_int_equal(join_key_differ(&a, &b), 0);
	add_recipient(two, "f@three.example");
	join_key(&b, two, 1);
	assert_int_equal(join_key_differ(&a, &b), 1U << JOINED_RECIPIENTS);
	event_free(one);
	event_free(two);
}

static void test_each_part_counts(void **state)
{
	struct event *event = mail();

	(void)state;
	event->senders[0]->task.euid = 0;
	assert_int_equal(differ_and_free(event), 1U << JOINED_USER);
	event = mail();
	event->senders[0]->unit[0] = 'x';
	assert_int_equal(differ_and_free(event), 1U << JOINED_UNIT);
	event = mail();
	event->senders[0]->image->script[0] = 'x';
	assert_int_equal(differ_and_free(event), 1U << JOINED_SCRIPT);
	event = mail();
	event->destination.port = 587;
	assert_int_equal(differ_and_free(event), 1U << JOINED_RELAY);
	event = mail();
	event->transaction->result = SMTP_RESULT_DEFERRED;
	assert_int_equal(differ_and_free(event), 1U << JOINED_OUTCOME);
	event = mail();
	event_reason(event, "odd_address");
	assert_int_equal(differ_and_free(event), 1U << JOINED_REASONS);
	event = mail();
	event->verdict = VERDICT_EXCLUDED;
	event->exclusion = copy_of("reports");
	assert_int_equal(differ_and_free(event), 1U << JOINED_EXCLUSION);
	event = mail();
	event->provisional = true;
	assert_int_equal(differ_and_free(event), 0);
	assert_int_equal(differ_and_free(mail_of("/tmp/x", "a@corp.example", "b@corp.example")),
			 1U << JOINED_EXECUTABLE);
	assert_int_equal(differ_and_free(mail_of("/usr/bin/msmtp", "", "b@corp.example")),
			 1U << JOINED_SENDER);
	assert_int_equal(differ_and_free(mail_of("/usr/bin/msmtp", "a@corp.example", "b")),
			 1U << JOINED_RECIPIENTS);
}

/* Two scripts behind one mail program are not alike. */
static void test_cause_counts(void **state)
{
	struct event *events[2];
	struct join_key keys[2];

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct sender *sender, *cause = sender_new("/usr/bin/php8.2");

		events[i] = mail();
		sender = events[i]->senders[0];
		sender->image->script[0] = '\0';
		cause->image->script[5] = (char)('a' + i);
		sender->ancestors[0] =
			(struct ancestor){.pid = 5, .image = image_ref(cause->image)};
		sender->ancestor_count = 1;
		sender_unref(cause);
		join_key(&keys[i], events[i], 42);
	}
	assert_int_equal(join_key_differ(&keys[0], &keys[1]), 1U << JOINED_SCRIPT);
	event_free(events[0]);
	event_free(events[1]);
}

/* Eight bytes are hashed at a time: no length is a special one. */
static void test_domains_of_all_lengths(void **state)
{
	char long_one[40], other[40];

	(void)state;
	for (size_t len = 1; len < 30; len++) {
		snprintf(long_one, sizeof(long_one), "a@%.*s", (int)len,
			 "abcdefghijklmnopqrstuvwxyzabcdefgh");
		for (size_t at = 2; at < len + 2; at++) {
			struct event *one = mail_of("/x", long_one, NULL), *two;
			struct join_key a, b;

			memcpy(other, long_one, sizeof(other));
			other[at] = '-';
			two = mail_of("/x", other, NULL);
			join_key(&a, one, 1);
			join_key(&b, two, 1);
			assert_int_equal(join_key_differ(&a, &b), 1U << JOINED_SENDER);
			event_free(one);
			event_free(two);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alike),
		cmocka_unit_test(test_sets_of_domains),
		cmocka_unit_test(test_each_part_counts),
		cmocka_unit_test(test_cause_counts),
		cmocka_unit_test(test_domains_of_all_lengths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
