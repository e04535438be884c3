/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What `privacy` leaves of an event: every field of it as the formats write it, and what others
 * share with it.
 */
#include <locale.h>

#include "privacy_samples.h"

static char *written(const struct event *event, bool wide)
{
	struct table_options options = {.wide = true};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct sink *sink = wide ? sink_table_new(out, &options) : sink_lines_new(out, event_json);

	assert_non_null(sink);
	assert_int_equal(sink->write(sink, event), 0);
	sink->free(sink);
	fclose(out);
	return text;
}

static void expect_nothing(const char *text)
{
	const char *leak = strcasestr(text, "secret");

	if (leak)
		fail_msg("a local part is told: %.60s", leak);
	leak = strstr(text, "Hidden");
	if (leak)
		fail_msg("the subject is told: %.60s", leak);
}

static void test_every_field(void **state)
{
	const struct privacy *const modes[] = {&domains, &hashes};

	(void)state;
	for (size_t mode = 0; mode < 2; mode++) {
		struct event *event = planted_event(planted_sender());

		for (int wide = 0; wide < 2; wide++) {
			char *text = written(event, wide);

			assert_non_null(strstr(text, "secret")); /* else nothing would be proven */
			assert_non_null(strstr(text, SUBJECT));
			free(text);
		}
		assert_true(privacy_apply(modes[mode], event));
		for (int wide = 0; wide < 2; wide++) {
			char *text = written(event, wide);

			expect_nothing(text);
			assert_non_null(strstr(text, mode ? "hmac-sha256:" : "@corp.example"));
			assert_non_null(strstr(text, "[subject]"));
			assert_non_null(strstr(text, "550"));
			if (!wide)
				keep(text);
			free(text);
		}
		event_free(event);
	}
}

static void test_values(void **state)
{
	struct event *event = planted_event(planted_sender());
	struct smtp_transaction *transaction = event->transaction;

	(void)state;
	assert_true(privacy_apply(&domains, event));
	assert_true(span_equal(smtp_transaction_from(transaction), BYTES("@corp.example")));
	assert_true(span_equal(smtp_transaction_parameters(transaction),
			       BYTES("SIZE=1 AUTH=@corp.example ORCPT=rfc822;@ @corp.example")));
	assert_true(span_equal(smtp_transaction_recipient(transaction, 0), BYTES("@corp.example")));
	assert_true(span_equal(smtp_transaction_recipient(transaction, 1), BYTES("@")));
	assert_true(smtp_recipient_refused(transaction, 1));
	assert_true(span_equal((struct span){transaction->reply_text, transaction->reply_len},
			       BYTES("5.1.1 <@corp.example>: no @corp.example here")));
	assert_int_equal(transaction->mail->subject.len, 0);
	assert_true(span_equal(mail_span(transaction->mail,
					 transaction->mail->claims[MAIL_CLAIM_PHP_SCRIPT]),
			       BYTES("x for @corp.example")));
	assert_int_equal(transaction->mail->claims[MAIL_CLAIM_SOURCE_ARGS].len, 0);
	assert_true(span_equal(mail_span(transaction->mail, transaction->mail->message_id),
			       BYTES("number@corp.example")));
	assert_string_equal(event->server_name, "@corp.example");
	assert_string_equal(event->senders[0]->image->directory, "/home/@corp.example");
	assert_string_equal(event->senders[0]->directory, "/srv/@corp.example/www");
	assert_string_equal(event->senders[0]->image->args + 8, "[subject]");
	event_free(event);
}

static void test_full(void **state)
{
	const struct privacy full = {.addresses = PRIVACY_FULL},
			     subject = {.addresses = PRIVACY_FULL, .subject_hidden = true};
	struct event *event = planted_event(planted_sender());
	char *before = written(event, false), *after;

	(void)state;
	assert_true(privacy_apply(&full, event));
	after = written(event, false);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_true(privacy_apply(&subject, event));
	after = written(event, false);
	assert_null(strstr(after, "Hidden"));
	assert_non_null(strstr(after, PLANT("rcpt")));
	assert_non_null(strstr(after, "--to=" PLANT("arg1")));
	assert_non_null(strstr(after, PLANT("cwd")));
	free(after);
	event_free(event);
}

/* ---- The same hash everywhere ---------------------------------------------------------------- */

static void test_same_hash(void **state)
{
	static const char args[] = "x\0--to=Bob@corp.example\0-fbob@corp.example\0bob%40corp."
				   "example\0<bob@corp.example>";
	struct event *event = bare_event(EVENT_MESSAGE);
	struct smtp_command command = {.argument = BYTES("BOB@corp.example"),
				       .parameters =
					       BYTES("AUTH=bob+40corp.example X=bob@corp.example")};
	struct privacy told = hashes;
	char hash[64], *text;
	size_t found = 0;

	(void)state;
	told.subject_hidden = false;
	hash_of("bob@corp.example", hash);
	smtp_transaction_free(event->transaction);
	event->transaction = smtp_transaction_new(1, 0, 1);
	assert_true(smtp_transaction_set_from(event->transaction, &command));
	assert_true(smtp_transaction_add(event->transaction, &command));
	event->transaction->reply_code = 250;
	set_field(event->transaction->reply_text, &event->transaction->reply_len,
		  "bob@corp.example. <bob@corp.example> bob@corp.example: ok");
	set_field(event->session->auth_mechanism, &event->session->auth_mechanism_len, "PLAIN");
	set_field(event->session->auth_user, &event->session->auth_user_len, "Bob@corp.example");
	event->transaction->mail = mail_of(BYTES("bob@corp.example"));
	event->senders[0] = planted_sender();
	event->sender_count = 1;
	memcpy(event->senders[0]->image->args, args, sizeof(args));
	event->senders[0]->image->args_len = sizeof(args);
	assert_true(privacy_apply(&told, event));
	text = written(event, false);
	for (const char *at = text; (at = strstr(at, hash)); at++)
		found++;
	/*
	 * from, rcpt, 1 parameter, 3 in the reply, user; 4 addresses, file's name and type,
	 * subject, mailer, 4 claims; 2 arguments, three times. A word with more in it than an
	 * address
	 * ("--to=...") has a hash of its own.
	 */
	assert_int_equal(found, 7 + 12 + 6);
	free(text);
	event_free(event);
}

/* ---- What others share ----------------------------------------------------------------------- */

static void test_others_untouched(void **state)
{
	struct sender *sender = planted_sender();
	struct event *first = planted_event(sender), *second = planted_event(sender_ref(sender));
	char *before = written(second, false), *after;

	(void)state;
	assert_int_equal(sender->refs, 4);
	sender_ref(sender); /* the flow's */
	assert_true(privacy_apply(&domains, first));
	after = written(second, false);
	assert_string_equal(before, after);
	assert_ptr_not_equal(first->senders[0], sender);
	assert_ptr_equal(second->senders[0], sender);
	/* An image that stands twice in an event is copied once. */
	assert_ptr_equal(first->senders[0]->image, first->senders[1]->image);
	assert_ptr_equal(first->senders[0]->image, first->senders[0]->ancestors[1].image);
	free(after);
	event_free(first);
	after = written(second, false);
	assert_string_equal(before, after);
	free(before);
	free(after);
	assert_int_equal(sender->refs, 3);
	sender_unref(sender);
	event_free(second);
}

/* The arguments of ancestors are hidden like a sender's; an image that is both is copied once. */
static void test_ancestors(void **state)
{
	struct sender *sender = planted_sender(), *second = planted_sender();
	struct event *event = planted_event(sender);
	struct image *parent = sender->ancestors[0].image, *both = image_ref(second->image);

	(void)state;
	sender->ancestors[2].image = both; /* the first sender's ancestor is the last one */
	event->senders[event->sender_count++] = second;
	image_ref(parent);
	assert_true(privacy_apply(&domains, event));
	sender = event->senders[0];
	assert_ptr_not_equal(sender->ancestors[0].image, parent);
	assert_memory_equal(sender->ancestors[0].image->args, "mail\0-s\0[subject]\0@corp.example",
			    31);
	assert_string_equal(sender->ancestors[0].image->executable, "/opt/@corp.example/x");
	assert_memory_equal(parent->args, "mail\0-s\0" SUBJECT, 20);
	assert_ptr_equal(sender->ancestors[1].image, sender->image);
	second = event->senders[2];
	assert_ptr_equal(sender->ancestors[2].image, second->image);
	assert_memory_equal(second->image->args, "mail\0-s\0[subject]\0@corp.example", 31);
	image_unref(parent);
	event_free(event);
}

/* Nothing to change: it stays the one that others share. */
static void test_ancestor_kept(void **state)
{
	static const char args[] = "sh\0-c\0exec msmtp -t";
	struct event *event = planted_event(planted_sender());
	struct image *parent = event->senders[0]->ancestors[0].image;

	(void)state;
	free(parent->executable);
	free(parent->script);
	free(parent->directory);
	parent->executable = copy_of("/bin/sh");
	parent->script = copy_of("");
	parent->directory = copy_of("/");
	memcpy(parent->args, args, sizeof(args));
	parent->args_len = sizeof(args);
	image_ref(parent);
	assert_true(privacy_apply(&domains, event));
	assert_ptr_equal(event->senders[0]->ancestors[0].image, parent);
	image_unref(parent);
	event_free(event);
}

/* Where nothing is to be changed, nothing is copied. */
static void test_kept(void **state)
{
	struct event *event = bare_event(EVENT_MESSAGE);
	struct sender *sender = calloc(1, sizeof(*sender));

	(void)state;
	assert_non_null(sender);
	sender->refs = 1;
	sender->image = calloc(1, sizeof(*sender->image));
	assert_non_null(sender->image);
	sender->image->refs = 1;
	sender->image->executable = copy_of("/usr/bin/mail");
	sender->image->script = copy_of("");
	sender->image->directory = copy_of("/");
	sender->image->args = copy_of("mail");
	sender->image->args_len = 5;
	event->senders[0] = sender;
	event->sender_count = 1;
	assert_true(privacy_apply(&hashes, event));
	assert_ptr_equal(event->senders[0], sender);
	assert_string_equal(sender->image->args, "mail");
	event_free(event);
}

/* ---- Hostile and long ------------------------------------------------------------------------ */

static void test_hostile(void **state)
{
	const struct privacy *const modes[] = {&domains, &hashes};

	(void)state;
	for (int action = EVENT_STARTED; action < (int)EVENT_ACTIONS; action++) {
		for (size_t mode = 0; mode < 2; mode++) {
			struct event *event = hostile_event((enum event_action)action);
			char *text;

			assert_true(privacy_apply(modes[mode], event));
			text = written(event, false);
			assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
			keep(text);
			free(text);
			event_free(event);
		}
	}
}

static void test_long(void **state)
{
	struct event *event = bare_event(EVENT_MESSAGE);
	struct smtp_facts *session = event->session;
	char reply[SMTP_REPLY_TEXT_MAX + 1] = "";
	struct text address = {0};
	struct smtp_transaction *transaction;

	(void)state;
	for (int i = 0; i < 60; i++)
		text_add_string(&address, "secret-secret.");
	text_add_string(&address, "@corp.example");
	smtp_transaction_free(event->transaction);
	event->transaction = transaction = transaction_of(taken(&address), 300);
	for (size_t i = 0; i < SMTP_REPLY_TEXT_MAX / 4; i++)
		memcpy(reply + i * 4, "s@x ", 4);
	memcpy(reply + SMTP_REPLY_TEXT_MAX - 8, " secret-", 8);
	set_field(transaction->reply_text, &transaction->reply_len, reply);
	session->protocol = SMTP_PROTOCOL_SMTP;
	session->helo_len = SMTP_WORD_MAX;
	for (size_t i = 0; i < SMTP_WORD_MAX; i++)
		session->helo[i] = i % 2 ? '@' : i % 4 ? 's' : ' ';
	session->auth_mechanism_len = 1;
	session->auth_mechanism[0] = 'X';
	memset(session->auth_user, 's', SMTP_WORD_MAX);
	memcpy(session->auth_user, "s@", 2);
	session->auth_user_len = SMTP_WORD_MAX;
	assert_true(privacy_apply(&hashes, event));
	assert_int_equal(transaction->recipient_count, 300 - transaction->recipients_dropped);
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		assert_int_equal(smtp_transaction_recipient(transaction, i).len, 44);
	assert_int_equal(transaction->reply_len % 45, 0);
	assert_true(transaction->reply_len <= SMTP_REPLY_TEXT_MAX &&
		    session->helo_len <= SMTP_WORD_MAX);
	assert_int_equal(session->auth_user_len, 44);
	assert_null(memmem(transaction->reply_text, transaction->reply_len, "secret", 6));
	text_free(&address);
	event_free(event);
}

static void test_null_sender(void **state)
{
	struct event *event = bare_event(EVENT_MESSAGE);

	(void)state;
	assert_true(privacy_apply(&hashes, event));
	assert_int_equal(smtp_transaction_from(event->transaction).len, 0);
	event_free(event);
	event = bare_event(EVENT_MESSAGE);
	set_field(event->session->auth_user, &event->session->auth_user_len, "secret");
	assert_true(privacy_apply(&domains, event));
	assert_int_equal(event->session->auth_user_len, 0);
	event_free(event);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_field),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_same_hash),
		cmocka_unit_test(test_others_untouched),
		cmocka_unit_test(test_ancestors),
		cmocka_unit_test(test_ancestor_kept),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_null_sender),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, end_telling);
}
