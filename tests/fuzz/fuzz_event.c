/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An event with pieces of the input in its fields, in every format. Each format must stay within
 * its limit. CEF must be one clean line, with no more keys than the same event with harmless words.
 * A JSON line is shortened or stays unchanged.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "format/format.h"
#include "format/json_shrink.h"
#include "smtp/transaction.h"

#define CEF_MAX	    7500U
#define KEYS_MAX    46U /* of an event with harmless words in every field */
#define JOURNAL_MAX 49152U
#define REPEAT_MAX  32U

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The next piece of the input: one byte gives its length and whether it is repeated. The caller
 * frees it.
 */
static char *piece(struct span *rest)
{
	size_t len = 0, times = 1;
	struct text text = {0};

	if (rest->len) {
		len = (unsigned char)rest->data[0] & 0x3f;
		times = (unsigned char)rest->data[0] >> 6 ? REPEAT_MAX : 1;
		rest->data++;
		rest->len--;
	}
	len = len < rest->len ? len : rest->len;
	text_add(&text, (struct span){"", 0});
	while (len && times--)
		text_add(&text, (struct span){rest->data, strnlen(rest->data, len)});
	rest->data += len;
	rest->len -= len;
	return text.data;
}

static struct image *image_of(struct span *rest)
{
	struct image *image = calloc(1, sizeof(*image));

	image->refs = 1;
	image->executable = piece(rest);
	image->script = piece(rest);
	image->directory = piece(rest);
	image->args = piece(rest);
	image->args_len = strlen(image->args) + 1;
	return image;
}

static struct sender *sender_of(struct span *rest)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	sender->refs = 1;
	sender->image = image_of(rest);
	sender->ancestors[0] = (struct ancestor){.pid = 2, .image = image_of(rest)};
	sender->ancestor_count = 1;
	sender->directory = piece(rest);
	sender->user = piece(rest);
	sender->unit = piece(rest);
	sender->container = piece(rest);
	return sender;
}

static void add_transaction(struct event *event, struct span *rest)
{
	char *from = piece(rest), *to = piece(rest), *subject = piece(rest), *claim = piece(rest);
	struct smtp_command command = {.argument = span_of(from)};
	struct mail *mail = calloc(1, sizeof(*mail));

	event->transaction = smtp_transaction_new(1, 0, 1);
	smtp_transaction_set_from(event->transaction, &command);
	command.argument = span_of(to);
	for (size_t i = strlen(from) % 300; i < 300; i += 50)
		smtp_transaction_add(event->transaction, &command);
	text_add(&mail->text, span_of(subject));
	mail->subject.len = (uint32_t)mail->text.len;
	mail->claims[MAIL_CLAIM_PHP_SCRIPT].offset = (uint32_t)mail->text.len;
	text_add(&mail->text, span_of(claim));
	mail->claims[MAIL_CLAIM_PHP_SCRIPT].len = (uint32_t)strlen(claim);
	event->transaction->mail = mail;
	free(claim);
	free(from);
	free(to);
	free(subject);
}

static struct event *event_of(struct span rest)
{
	struct event *event =
		event_new(rest.len && rest.data[0] & 1 ? EVENT_ENCRYPTED : EVENT_MESSAGE);
	char *helo;

	event->has_flow = true;
	event->verdict = VERDICT_ALERT;
	event->senders[event->sender_count++] = sender_of(&rest);
	event->session = calloc(1, sizeof(*event->session));
	event->session->protocol = SMTP_PROTOCOL_ESMTP;
	helo = piece(&rest);
	event->session->helo_len = (uint16_t)strnlen(helo, SMTP_WORD_MAX);
	memcpy(event->session->helo, helo, event->session->helo_len);
	free(helo);
	event->nearest = piece(&rest);
	event->server_name = piece(&rest);
	event->rules = calloc(1, sizeof(*event->rules));
	event->rules[0] = (struct rule){piece(&rest), piece(&rest), piece(&rest), piece(&rest)};
	event->rule_count = 1;
	event->failed.bits = UINT64_MAX;
	if (event->action == EVENT_MESSAGE)
		add_transaction(event, &rest);
	return event;
}

/* The number of keys behind the seven fields of the header: each ends with an unescaped '='. */
static size_t keys(const struct text *line)
{
	size_t count = 0, header = 7;

	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->data[i];

		if (c < ' ' || c == 0x7f)
			abort();
		if (c == '\\')
			i++;
		if (header)
			header -= c == '|';
		else
			count += c == '=';
	}
	return count;
}

static void check_cef(const struct event *event)
{
	struct text line = {0};

	event_cef(&line, event);
	if (line.len >= CEF_MAX || keys(&line) > KEYS_MAX)
		abort();
	text_free(&line);
}

static void check_journal(const struct event *event)
{
	struct text datagram = {0};

	event_journal(&datagram, event);
	if (datagram.len >= JOURNAL_MAX || datagram.data[datagram.len - 1] != '\n')
		abort();
	text_free(&datagram);
}

/* A string may contain NUL bytes; jansson needs a flag for that. */
static void check_parses(const struct text *line)
{
	json_t *object = json_loadb(line->data, line->len, JSON_ALLOW_NUL, NULL);

	if (!object)
		abort();
	json_decref(object);
}

static void check_shrink(const struct event *event, size_t max)
{
	struct text line = {0};
	size_t before;

	event_json(&line, event);
	check_parses(&line);
	before = line.len;
	if (json_shrink(&line, max) ? line.len > max : line.len != before)
		abort();
	check_parses(&line);
	text_free(&line);
}

static void check_sentinel(const struct event *event)
{
	struct text line = {0};

	event_sentinel(&line, event);
	check_parses(&line);
	text_free(&line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct event *event = event_of((struct span){(const char *)data, size});

	check_cef(event);
	check_journal(event);
	check_sentinel(event);
	check_shrink(event, 1000 + size % 16 * 400);
	event_free(event);
	return 0;
}
