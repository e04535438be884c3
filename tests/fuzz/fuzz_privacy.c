/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Builds an event from the input: each line fills one field, and some bytes stand for an address
 * with a marker as its local part. After privacy_apply() the written event must not contain the
 * marker, and an event that shares its senders must be unchanged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "format/format.h"
#include "policy/privacy.h"
#include "smtp/transaction.h"
#include "base/text.h"

#define LOCAL	"zqmarkerqz"
#define ADDRESS LOCAL "@corp.example"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The next line. Its bytes 1 and 3 to 8 stand for the address in one of its forms. */
static struct text next_field(struct span *rest)
{
	static const char *const forms[] = {[1] = " " ADDRESS " ",
					    [3] = " <" ADDRESS "> ",
					    [4] = " \"" LOCAL " x\"@corp.example ",
					    [5] = " " LOCAL "%40corp.example ",
					    [6] = " " LOCAL "\\ x@corp.example ",
					    [7] = " " LOCAL "(a b)@corp.example ",
					    [8] = " <" LOCAL " x@corp.example> "};
	const char *end = memchr(rest->data, '\n', rest->len);
	size_t len = end ? (size_t)(end - rest->data) : rest->len;
	struct text field = {0};

	text_add_string(&field, "");
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)rest->data[i];

		if (c < sizeof(forms) / sizeof(forms[0]) && forms[c])
			text_add_string(&field, forms[c]);
		else
			text_add(&field, (struct span){rest->data + i, 1});
	}
	rest->data += len + (end != NULL);
	rest->len -= len + (end != NULL);
	return field;
}

static uint16_t fill(char *field, size_t size, struct span *rest)
{
	struct text text = next_field(rest);
	size_t len = text.len < size ? text.len : size;

	memcpy(field, text.data, len);
	text_free(&text);
	return (uint16_t)len;
}

static struct image *image_of(struct span *rest)
{
	struct image *image = calloc(1, sizeof(*image));
	struct text args = next_field(rest), path = next_field(rest);

	image->refs = 1;
	image->flags = rest->len % 2 ? EXEC_ARGS_TRUNCATED : 0;
	image->executable = strdup(path.data);
	image->script = strdup(path.data);
	image->directory = strdup(path.data);
	text_add(&args, (struct span){"", 1});
	for (size_t i = 0; i < args.len; i++) {
		if (args.data[i] == 2)
			args.data[i] = 0;
	}
	image->args = args.data;
	image->args_len = args.len;
	text_free(&path);
	return image;
}

static struct mail_string add(struct mail *mail, struct span *rest)
{
	struct text text = next_field(rest);
	struct mail_string string = {(uint32_t)mail->text.len, (uint32_t)text.len};

	text_add(&mail->text, (struct span){text.data, text.len});
	text_free(&text);
	return string;
}

static void fill_transaction(struct smtp_transaction *transaction, struct span *rest)
{
	struct text from = next_field(rest), parameters = next_field(rest);
	struct smtp_command command = {.argument = {from.data, from.len},
				       .parameters = {parameters.data, parameters.len}};
	struct mail *mail = transaction->mail = calloc(1, sizeof(*transaction->mail));

	smtp_transaction_set_from(transaction, &command);
	for (int i = 0; i < 3; i++) {
		struct text address = next_field(rest);

		command.argument = (struct span){address.data, address.len};
		smtp_transaction_add(transaction, &command);
		text_free(&address);
	}
	transaction->reply_code = 250;
	transaction->reply_len =
		fill(transaction->reply_text, sizeof(transaction->reply_text), rest);
	mail->addresses = calloc(1, sizeof(*mail->addresses));
	mail->addresses[mail->address_count++].address = add(mail, rest);
	mail->attachments = calloc(1, sizeof(*mail->attachments));
	mail->attachments[mail->attachment_count++].name = add(mail, rest);
	mail->subject = add(mail, rest);
	mail->x_mailer = add(mail, rest);
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		mail->claims[i] = add(mail, rest);
	text_free(&from);
	text_free(&parameters);
}

static struct event *event_of(struct span rest)
{
	struct event *event = event_new(EVENT_MESSAGE);
	struct sender *sender = calloc(1, sizeof(*sender));

	event->has_flow = true;
	event->session = calloc(1, sizeof(*event->session));
	event->session->protocol = SMTP_PROTOCOL_ESMTP;
	event->transaction = smtp_transaction_new(1, 0, 1);
	fill_transaction(event->transaction, &rest);
	event->session->helo_len = fill(event->session->helo, sizeof(event->session->helo), &rest);
	event->session->auth_mechanism_len =
		fill(event->session->auth_mechanism, sizeof(event->session->auth_mechanism), &rest);
	event->session->auth_user_len =
		fill(event->session->auth_user, sizeof(event->session->auth_user), &rest);
	sender->refs = 1;
	sender->image = image_of(&rest);
	sender->ancestors[0].image = image_ref(sender->image);
	sender->ancestors[1].image = image_of(&rest);
	sender->ancestor_count = 2;
	event->senders[event->sender_count++] = sender;
	return event;
}

static void expect_no_marker(const struct event *event)
{
	struct text out = {0};

	event_json(&out, event);
	if (out.failed || memmem(out.data, out.len, LOCAL, strlen(LOCAL)))
		abort();
	text_free(&out);
}

static void expect_args(const struct image *image, struct span args)
{
	if (!span_equal((struct span){image->args, image->args_len}, args))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct privacy privacy = {.key = "key"};
	struct event *event;
	struct sender *shared;
	struct text args = {0};

	if (size < 2 ||
	    memmem(data, size, LOCAL, strlen(LOCAL))) /* a marker outside of an address */
		return 0;
	privacy.addresses = data[0] % 2 ? PRIVACY_HASH : PRIVACY_DOMAIN;
	privacy.subject_hidden = data[0] & 2;
	event = event_of((struct span){(const char *)data + 1, size - 1});
	shared = sender_ref(event->senders[0]);
	text_add(&args, (struct span){shared->image->args, shared->image->args_len});
	if (!privacy_apply(&privacy, event))
		abort();
	expect_no_marker(event);
	expect_args(shared->image, (struct span){args.data, args.len});
	text_free(&args);
	sender_unref(shared);
	event_free(event);
	return 0;
}
