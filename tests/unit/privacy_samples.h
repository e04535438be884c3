/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * For the tests of privacy: two modes, and an event with a local part in every field that may hold
 * an address.
 */
#ifndef SMTPSNOOP_TESTS_PRIVACY_SAMPLES_H
#define SMTPSNOOP_TESTS_PRIVACY_SAMPLES_H

#include <stdlib.h>

#include "event_samples.h"

#include "policy/privacy.h"

static const struct privacy domains = {.addresses = PRIVACY_DOMAIN, .subject_hidden = true};
static const struct privacy hashes = {.addresses = PRIVACY_HASH,
				      .subject_hidden = true,
				      .key = "a key"};

static struct teller told_domains = {.privacy = &domains}, told_hashes = {.privacy = &hashes};

static inline int end_telling(void **state)
{
	(void)state;
	teller_end(&told_domains);
	teller_end(&told_hashes);
	return 0;
}

static inline struct span taken(const struct text *text)
{
	return (struct span){text->data ? text->data : "", text->len};
}

static inline void hash_of(const char *address, char hash[64])
{
	struct text out = {0};

	privacy_address(&out, &told_hashes, span_of(address));
	assert_int_equal(out.len, sizeof("hmac-sha256:") - 1 + 32);
	memcpy(hash, out.data, out.len + 1);
	text_free(&out);
}

/*
 * The local parts are planted in every field under a name of its field, so that what leaks says
 * where from.
 */
#define PLANT(field) "secret-" field "@corp.example"
#define SUBJECT	     "Hidden thing"

static inline void set_field(char *field, uint16_t *len, const char *text)
{
	*len = (uint16_t)strlen(text);
	memcpy(field, text, *len);
}

static inline struct image *planted_image(const char *name)
{
	static const char args[] =
		"mail\0-s\0" SUBJECT
		"\0--to=" PLANT("arg1") "\0-f" PLANT("arg2") "\0swaks\0" PLANT("arg3") "," PLANT(
			"arg4") "\0secret-arg5%40corp.example\0echo\0Hidden\0thing\0root";
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->refs = 1;
	assert_true(asprintf(&image->executable, "/opt/secret-%s@corp.example/x", name) > 0);
	image->script = copy_of("/srv/" PLANT("script"));
	image->directory = copy_of("/home/" PLANT("cwd"));
	image->args = malloc(sizeof(args));
	assert_non_null(image->args);
	memcpy(image->args, args, sizeof(args));
	image->args_len = sizeof(args);
	return image;
}

static inline struct sender *planted_sender(void)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->full = true;
	sender->image = planted_image("exe");
	sender->ancestors[0] = (struct ancestor){.pid = 1, .image = planted_image("parent")};
	sender->ancestors[1] = (struct ancestor){.pid = 2, .image = image_ref(sender->image)};
	sender->ancestors[2] = (struct ancestor){.pid = 3};
	sender->ancestor_count = 3;
	memcpy(sender->task.comm, "secret@corp.ex", 14);
	sender->directory = copy_of("/srv/" PLANT("cwd-at-send") "/www");
	sender->user = copy_of("reports");
	return sender;
}

static inline void add_mail(struct smtp_transaction *transaction)
{
	static const char *const addresses[] = {PLANT("from"), "\"Secret-to, x\"@corp.example",
						PLANT("cc"), PLANT("reply-to"), "secret-alone"};
	struct mail *mail = mail_of(span_of(""));

	free(mail->addresses);
	mail->addresses = calloc(5, sizeof(*mail->addresses));
	assert_non_null(mail->addresses);
	for (uint32_t i = 0; i < 5; i++)
		mail->addresses[i] = (struct mail_address){(enum mail_address_kind)(i % 4),
							   mail_add(mail, span_of(addresses[i]))};
	mail->address_count = 5;
	mail->attachments[0].name = mail_add(mail, span_of("for " PLANT("file") ".pdf"));
	mail->attachments[0].type = mail_add(mail, span_of("x/" PLANT("type")));
	mail->subject = mail_add(mail, span_of(SUBJECT));
	mail->x_mailer = mail_add(mail, span_of("mailer of " PLANT("mailer")));
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		mail->claims[i] = mail_add(mail, span_of("x for " PLANT("claim")));
	mail->claims[MAIL_CLAIM_SOURCE_ARGS] = mail_add(mail, span_of("mail -s " SUBJECT));
	mail->message_id = mail_add(mail, span_of("number@corp.example"));
	mail->received = mail_add(mail, span_of("from secret-received"));
	transaction->mail = mail;
}

static inline struct event *planted_event(struct sender *sender)
{
	static const char parameters[] =
		"SIZE=1 AUTH=secret-auth+40corp.example ORCPT=rfc822;secret-orcpt ENVID=" PLANT(
			"envid");
	struct smtp_command from = {.argument = BYTES(PLANT("mail")),
				    .parameters = BYTES(parameters)};
	struct smtp_command rcpt = {.argument = BYTES(PLANT("rcpt"))},
			    local = {.argument = BYTES("secret-local")};
	struct event *event = bare_event(EVENT_MESSAGE);
	struct smtp_transaction *transaction = smtp_transaction_new(1, 0, 1);

	smtp_transaction_free(event->transaction);
	event->transaction = transaction;
	assert_true(smtp_transaction_set_from(transaction, &from));
	assert_true(smtp_transaction_add(transaction, &rcpt));
	assert_true(smtp_transaction_add(transaction, &local));
	transaction->recipients[1].code = 550;
	transaction->reply_code = 550;
	set_field(transaction->reply_text, &transaction->reply_len,
		  "5.1.1 <" PLANT("reply1") ">: no " PLANT("reply2") " here");
	event->session->protocol = SMTP_PROTOCOL_ESMTP;
	set_field(event->session->helo, &event->session->helo_len, PLANT("helo"));
	set_field(event->session->auth_user, &event->session->auth_user_len, PLANT("auth-user"));
	set_field(event->session->auth_mechanism, &event->session->auth_mechanism_len,
		  "SECRET-M@CORP.EXAMPLE");
	event->server_name = copy_of(PLANT("sni"));
	event->senders[0] = sender;
	event->senders[1] = sender_ref(sender);
	event->sender_count = 2;
	add_mail(transaction);
	return event;
}

#endif
