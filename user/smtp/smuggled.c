/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: what follows an odd end of data in a message (smuggling.c) is text, or the
 * commands of a second mail. The replies tell. To text the server says nothing; of commands it
 * answers each. So a second session reads the bytes as commands, and gets the replies that come
 * behind the one to the message.
 *
 * Those replies may as well belong to commands that the client sent later. They prove the second
 * reading only if the first one cannot explain them: in the end there are more replies than
 * commands, or a 354 comes to no DATA. Until then, a mail that the server took according to the
 * second reading is held. Then it is reported as an event of its own. It is never excluded, because
 * it is marked as smuggling.
 *
 * In the second reading, every odd end ends the data: the server has shown that it accepts one. So
 * further mails behind the second one are found too.
 */
#include <stdlib.h>

#include "smtp/session.h"
#include "smtp/smuggled.h"

static void tell(struct smtp_session *session, struct smtp_transaction *transaction)
{
	session->facts.transactions++;
	transaction->number = session->facts.transactions;
	session->on_transaction(session->context, transaction);
}

/* A transaction of the second reading has ended. */
static void hold(void *context, struct smtp_transaction *transaction)
{
	struct smuggled *smuggled = context;

	transaction->smuggling = true;
	if (transaction->result != SMTP_RESULT_SENT || smuggled->held_count == SMTP_SMUGGLED_MAX) {
		if (transaction->result == SMTP_RESULT_SENT)
			smuggled->held[0]->replies_missing = true;
		smtp_transaction_free(transaction);
		return;
	}
	smuggled->held[smuggled->held_count++] = transaction;
}

static struct smtp_session *inner_new(const struct smtp_session *session, struct smuggled *smuggled)
{
	struct smtp_session *inner = smtp_session_new(true, hold, smuggled);

	if (!inner)
		return NULL;
	smtp_session_keep(inner, session->budget, session->content_max);
	inner->inner = inner->greeted = inner->server_seen = inner->header.over = true;
	preamble_gap(&inner->facts.proxy);
	inner->client_side = inner->server_side = SIDE_SMTP;
	inner->facts.protocol = session->facts.protocol;
	inner->facts.greeting_seen = inner->facts.commands_seen = true;
	inner->greeting = session->greeting;
	inner->lmtp = session->lmtp;
	inner->position = inner->line_start = smuggled->position;
	return inner;
}

/* Lets the second reading read what the client has sent so far. */
static void read_on(struct smuggled *smuggled)
{
	if (smuggled->len)
		smtp_client_data(smuggled->inner, (struct span){smuggled->bytes, smuggled->len},
				 smuggled->time_ns);
	if (smuggled->lost)
		smtp_client_gap(smuggled->inner, smuggled->lost, smuggled->time_ns);
	smuggled->len = 0;
	smuggled->lost = 0;
}

/* True if this reply is the last one to the message. With LMTP there are several. */
static bool is_last_answer(struct smtp_session *session, const struct open *of)
{
	const struct owed *first = owed_at(session, 0);

	if (first->kind != OWED_MESSAGE || first->open != of || first->count > 1)
		return false;
	return session->owed_count < 2 || owed_at(session, 1)->kind != OWED_MESSAGE ||
	       owed_at(session, 1)->open != of;
}

struct smuggled_reply smuggled_before(struct smtp_session *session, uint16_t code)
{
	struct smuggled *smuggled = session->smuggled;
	bool known = session->owed_count > 0, data;

	if (!smuggled || !smuggled->has_mail)
		return (struct smuggled_reply){.answer = false};
	data = known && (owed_at(session, 0)->kind == OWED_DATA || session->out_of_step);
	return (struct smuggled_reply){
		.inner = smuggled->inner,
		.proof = code == 354 && !data,
		/* If the message goes on, a reply to nothing is the answer to its first part. */
		.answer = !smuggled->inner && smuggled->of &&
			  (known ? is_last_answer(session, smuggled->of)
				 : smuggled->reads && !owed_any(session)),
	};
}

/* True if the second reading has to do with the next reply. A gap can hide an end of data. */
static bool is_owed(const struct smtp_session *inner)
{
	return owed_any(inner) || (inner->current && inner->current->transaction->missing_bytes);
}

static void tell_all(struct smtp_session *session, struct smuggled *smuggled)
{
	for (uint32_t i = 0; i < smuggled->held_count; i++)
		tell(session, smuggled->held[i]);
	smuggled->held_count = 0;
}

void smuggled_after(struct smtp_session *session, struct smuggled_reply what, uint16_t code,
		    void (*reply)(struct smtp_session *session, uint16_t code, uint64_t time_ns),
		    uint64_t time_ns)
{
	struct smuggled *smuggled = session->smuggled;

	if (!smuggled || !(what.answer || what.inner))
		return;
	if (what.answer) {
		smuggled->of = NULL;
		smuggled->inner_free = smtp_session_free;
		smuggled->inner = inner_new(session, smuggled);
		smuggled->surplus = session->facts.replies_surplus;
		return;
	}
	read_on(smuggled);
	memcpy(smuggled->inner->reply_text, session->reply_text, session->reply_text_len);
	smuggled->inner->reply_text_len = session->reply_text_len;
	if (is_owed(smuggled->inner))
		reply(smuggled->inner, code, time_ns);
	smuggled->proved = smuggled->proved || what.proof ||
			   session->facts.replies_surplus > smuggled->surplus;
	if (smuggled->proved)
		tell_all(session, smuggled);
	if (!smuggled->reads && !smuggled->held_count && !is_owed(smuggled->inner))
		smuggled_free(session);
}
