/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The canary of another watch, as of `watch` beside the daemon, is a message like any other here.
 * It would be an alert each minute. So a message is excluded if it is by root, in the namespace of
 * the watch, from 127.0.0.1 to 127.0.0.1, and a canary in every byte that is not its token. Whoever
 * is root and not smtpsnoop can write such a mail too. It tells nothing but 32 digits to a server
 * of this host, and it is written as every excluded message is.
 */
#include <string.h>

#include "base/text.h"
#include "capture/canary.h"
#include "watch/pipeline_state.h"

static bool is_loopback(const struct endpoint *end)
{
	static const uint8_t loopback[16] = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1};

	return memcmp(end->addr, loopback, sizeof(loopback)) == 0;
}

static bool is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (hex_value(text.data[i]) < 0)
			return false;
	}
	return text.len == CANARY_TOKEN_LEN;
}

/* One mail in a plain session: nothing but what the canary has can be in it. */
static bool is_plain(const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	const struct smtp_facts *session = event->session;

	return event->capture.complete && !event->reason_count && transaction->number == 1 &&
	       transaction->recipient_count == 1 && !transaction->recipients_dropped &&
	       !transaction->parameters_len && transaction->bytes == CANARY_BYTES &&
	       session->transactions == 1 && !session->auth_mechanism_len && !session->proxy.hops &&
	       !session->urgent_bytes && !session->replies_surplus &&
	       span_equal((struct span){session->helo, session->helo_len}, span_of(CANARY_HOST));
}

/* Sender and recipient are the token at the host, and the token is the subject. */
static bool says_token(const struct smtp_transaction *transaction)
{
	const struct mail *mail = transaction->mail;
	struct span from = smtp_transaction_from(transaction),
		    token = {from.data, CANARY_TOKEN_LEN}, at;

	if (!mail || from.len != CANARY_TOKEN_LEN + sizeof(CANARY_HOST))
		return false;
	at = (struct span){from.data + CANARY_TOKEN_LEN, sizeof(CANARY_HOST)};
	return is_token(token) && span_equal(at, span_of("@" CANARY_HOST)) &&
	       span_equal(from, smtp_transaction_recipient(transaction, 0)) &&
	       span_equal(token, mail_span(mail, mail->subject));
}

bool other_canary(const struct pipeline *pipeline, const struct event *event)
{
	const struct task_id *task;

	if (event->action != EVENT_MESSAGE || event->sender_count != 1 ||
	    event->senders_incomplete || !event->session)
		return false;
	task = &event->senders[0]->task;
	return !task->uid && !task->euid && task->ns_user == pipeline->own.user &&
	       is_loopback(&event->source) && is_loopback(&event->destination) && is_plain(event) &&
	       says_token(event->transaction);
}
