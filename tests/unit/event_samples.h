/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Events for the tests of the formats: bare ones, and some with hostile bytes in every field that
 * somebody else chooses.
 */
#ifndef SMTPSNOOP_TESTS_EVENT_SAMPLES_H
#define SMTPSNOOP_TESTS_EVENT_SAMPLES_H

#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "event/event.h"
#include "format/format.h"
#include "smtp/transaction.h"

#define HOSTILE                                                                                    \
	"\"'\\ \\x41 \x1b[31m\x1b]0;t\x07 \x7f\x9b\x85 \xff\xfe\xc3( \xed\xa0\x80 "                \
	"\xe2\x80\xae\xe2\x80\xa8 "                                                                \
	"\x01\r\n\t%s%n"

static const struct span hostile = {HOSTILE, sizeof(HOSTILE) - 1};

static char *copy_of(const char *string)
{
	char *copy = strdup(string);

	assert_non_null(copy);
	return copy;
}

static struct image *hostile_image(void)
{
	static const char args[] = HOSTILE "\0\0second\0" HOSTILE;
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->refs = 1;
	image->flags = EXEC_MEMFD | EXEC_DELETED | EXEC_ARGS_TRUNCATED;
	image->executable = copy_of("/usr/" HOSTILE "/" HOSTILE);
	image->script = copy_of("/srv/" HOSTILE);
	image->directory = copy_of("/" HOSTILE);
	image->args = malloc(sizeof(args));
	assert_non_null(image->args);
	memcpy(image->args, args, sizeof(args));
	image->args_len = sizeof(args);
	image->args_count = 4;
	return image;
}

static struct sender *hostile_sender(void)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->full = true;
	sender->task = (struct task_id){
		.pid = 4294967295U, .tid = 7, .start_ns = 123456789, .uid = 1, .euid = 2};
	memcpy(sender->task.comm, HOSTILE, COMM_LEN);
	sender->tty_major = 136;
	sender->image = hostile_image();
	sender->ancestor_count = ANCESTORS_MAX;
	for (uint32_t i = 0; i < ANCESTORS_MAX; i++)
		sender->ancestors[i] =
			(struct ancestor){.pid = i,
					  .image = i % 2 ? image_ref(sender->image) : NULL};
	sender->directory = copy_of("/srv/" HOSTILE);
	sender->cgroup = copy_of("/" HOSTILE);
	sender->user = copy_of(HOSTILE);
	sender->audit_user = copy_of(HOSTILE);
	sender->group = copy_of(HOSTILE);
	sender->unit = copy_of(HOSTILE);
	sender->user_unit = copy_of(HOSTILE);
	sender->container = copy_of(HOSTILE);
	sender->container_name = copy_of(HOSTILE);
	sender->container_runtime = "docker";
	sender->root_user = copy_of(HOSTILE);
	sender->root_group = copy_of(HOSTILE);
	memset(sender->sha256, 'a', SHA256_HEX_LEN);
	return sender;
}

static struct smtp_transaction *transaction_of(struct span text, uint32_t recipients)
{
	struct smtp_transaction *transaction = smtp_transaction_new(1, 0, 1);
	struct smtp_command command = {.argument = text, .parameters = text};

	assert_non_null(transaction);
	assert_true(smtp_transaction_set_from(transaction, &command));
	for (uint32_t i = 0; i < recipients; i++)
		smtp_transaction_add(transaction, &command);
	for (uint32_t i = 0; i < transaction->recipient_count; i += 2)
		transaction->recipients[i].code = 550;
	transaction->number = 1;
	transaction->bytes = UINT32_MAX;
	transaction->reply_code = 250;
	transaction->reply_len =
		(uint16_t)(text.len < SMTP_REPLY_TEXT_MAX ? text.len : SMTP_REPLY_TEXT_MAX);
	memcpy(transaction->reply_text, text.data, transaction->reply_len);
	return transaction;
}

static struct event *bare_event(enum event_action action)
{
	struct event *event = event_new(action);

	assert_non_null(event);
	memset(event->id, 'a', EVENT_ID_LEN);
	memset(event->session_id, 'b', EVENT_ID_LEN);
	event->time_ns = 1700000000123456789;
	event->capture.hook = "tracepoint";
	event->has_flow =
		action == EVENT_MESSAGE || action == EVENT_ENCRYPTED || action == EVENT_SESSION;
	event->tls = action == EVENT_ENCRYPTED;
	if (action == EVENT_ENCRYPTED)
		event->verdict = VERDICT_ALERT;
	if (action == EVENT_MESSAGE) {
		event->verdict = VERDICT_ALERT;
		event->transaction = transaction_of((struct span){"", 0}, 1);
		event->transaction->reply_code = 0;
	}
	if (event->has_flow)
		event->session = calloc(1, sizeof(*event->session));
	if (action == EVENT_SUBMISSION) {
		event->verdict = VERDICT_OBSERVED;
		event->origin = calloc(1, sizeof(*event->origin));
		assert_non_null(event->origin);
		event->origin->mta = "postfix";
	} else if (action != EVENT_MESSAGE && action != EVENT_ENCRYPTED &&
		   action != EVENT_STARTED) {
		event->stats = calloc(1, sizeof(*event->stats));
	}
	if (action == EVENT_STOPPED)
		event->detail = "signal";
	event->sequence = action == EVENT_STATUS;
	return event;
}

/* Adds to the text of a mail, and returns where it is. */
static struct mail_string mail_add(struct mail *mail, struct span text)
{
	struct mail_string string = {(uint32_t)mail->text.len, (uint32_t)text.len};

	text_add(&mail->text, text);
	return string;
}

static struct mail *mail_of(struct span text)
{
	struct mail *mail = calloc(1, sizeof(*mail));

	assert_non_null(mail);
	mail->addresses = calloc(4, sizeof(*mail->addresses));
	mail->attachments = calloc(1, sizeof(*mail->attachments));
	assert_true(mail->addresses && mail->attachments);
	for (int kind = MAIL_FROM; kind <= MAIL_REPLY_TO; kind++)
		mail->addresses[mail->address_count++] =
			(struct mail_address){.kind = (enum mail_address_kind)kind,
					      .address = mail_add(mail, text)};
	mail->attachments[mail->attachment_count++] =
		(struct mail_attachment){.name = mail_add(mail, text),
					 .type = mail_add(mail, text),
					 .size = 7};
	mail->subject = mail_add(mail, text);
	mail->message_id = mail_add(mail, text);
	mail->x_mailer = mail_add(mail, text);
	for (int i = 0; i < MAIL_CLAIM_COUNT; i++)
		mail->claims[i] = mail_add(mail, text);
	mail->headers_end = true;
	mail->has_date = true;
	mail->date_s = 1700000000;
	return mail;
}

/* Names that the configuration chose, and what an MTA wrote. */
static void hostile_decision(struct event *event)
{
	event->nearest = copy_of(HOSTILE);
	event->failed.bits = 0x15;
	event->unknown.bits = 0x4;
	event->rules = calloc(1, sizeof(*event->rules));
	event->origin = calloc(1, sizeof(*event->origin));
	assert_true(event->rules && event->origin);
	event->rules[0] = (struct rule){copy_of(HOSTILE), copy_of(HOSTILE), copy_of(HOSTILE),
					copy_of(HOSTILE)};
	event->rule_count = 1;
	event->origin->mta = "postfix";
	event->origin->has_uid = true;
	event->origin->how = ORIGIN_TIME;
	event->origin->submitter = event->sender_count ? sender_ref(event->senders[0]) : NULL;
	memcpy(event->origin->user, HOSTILE,
	       ORIGIN_USER_MAX < sizeof(HOSTILE) ? ORIGIN_USER_MAX : sizeof(HOSTILE));
}

/* Of an event that stands for others: everything at its largest. */
static void hostile_joined(struct event *event)
{
	event->joined = calloc(1, sizeof(*event->joined));
	assert_non_null(event->joined);
	*event->joined = (struct event_joined){.count = UINT32_MAX,
					       .recipients = UINT32_MAX,
					       .bytes = UINT32_MAX,
					       .first_ns = event->time_ns,
					       .last_ns = event->time_ns,
					       .differ = (1U << JOINED_PART_COUNT) - 1,
					       .id_count = JOINED_IDS_MAX};
	for (uint32_t i = 0; i < JOINED_IDS_MAX; i++)
		memset(event->joined->ids[i], 'c', EVENT_ID_LEN);
}

static inline struct event *hostile_event(enum event_action action)
{
	static const char *const blind[] = {"one", "two", NULL};
	struct event *event = bare_event(action);

	event->host = "host-" HOSTILE;
	event->blind = action == EVENT_STARTED ? blind : NULL;
	if (action == EVENT_LOSS) {
		event->dropped = calloc(1, sizeof(*event->dropped));
		assert_non_null(event->dropped);
		event->dropped_count = 1;
		*event->dropped =
			(struct event_dropped){.uid = 65534, .name = "nobody", .bytes = 4452732273};
	}
	if (action == EVENT_STARTED) {
		event->previous = calloc(1, sizeof(*event->previous));
		assert_non_null(event->previous);
		*event->previous = (struct previous_run){.end = RUN_KILLED,
							 .rebooted = true,
							 .ended_ns = event->time_ns - 2000000000,
							 .unwatched_ns = 2000000000};
	}
	event->capture.checked_ns = action == EVENT_STATUS ? 1800000000123456789 : 0;
	if (event->stats)
		memset(event->stats, 0x7f, sizeof(*event->stats));
	if (event->stats && !event->has_flow) {
		event->outputs = calloc(1, sizeof(*event->outputs));
		assert_non_null(event->outputs);
		event->outputs[event->output_count++] =
			(struct event_output){.name = copy_of(HOSTILE), .lost = 1};
	}
	if (!event->has_flow)
		return event;
	event->verdict = VERDICT_ALERT;
	event->session->protocol = SMTP_PROTOCOL_LMTP;
	event->session->helo_len = (uint16_t)hostile.len;
	memcpy(event->session->helo, hostile.data, hostile.len);
	event->session->auth_mechanism_len = (uint16_t)hostile.len;
	memcpy(event->session->auth_mechanism, hostile.data, hostile.len);
	event->session->auth_user_len = (uint16_t)hostile.len;
	memcpy(event->session->auth_user, hostile.data, hostile.len);
	event->session->proxy.hops = 1;
	event->session->proxy.protocols[0] = PREAMBLE_SOCKS5;
	event->session->proxy.target_len = (uint16_t)hostile.len;
	memcpy(event->session->proxy.target, hostile.data, hostile.len);
	event->session->mail_from_seen = event->session->rcpt_to_seen = true;
	event->senders[0] = hostile_sender();
	event->senders[1] = hostile_sender();
	event->sender_count = 2;
	event->server_name = event->tls ? copy_of(HOSTILE) : NULL;
	event->source_bytes = event->destination_bytes = event->tls ? 1ULL << 40 : 0;
	if (event->tls)
		event->tls_server = (struct server_hello){.version = 0x0303, .cipher = 0xcca9};
	event->reasons[0] = "several_senders";
	event->reason_count = 1;
	hostile_decision(event);
	hostile_joined(event);
	event->capture.witness = WITNESS_DIFFER;
	event->capture.missing_bytes = UINT32_MAX;
	if (event->transaction) {
		smtp_transaction_free(event->transaction);
		event->transaction = transaction_of(hostile, SMTP_RECIPIENTS_MAX + 1);
		event->transaction->mail = mail_of(hostile);
	}
	return event;
}

/* Appends a line to $SMTPSNOOP_EVENTS_OUT, which is checked against the schema. */
static inline void keep(const char *line)
{
	const char *path = getenv("SMTPSNOOP_EVENTS_OUT");
	FILE *file = path ? fopen(path, "a") : NULL;

	if (!file)
		return;
	fputs(line, file);
	fclose(file);
}

#endif
