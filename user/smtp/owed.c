/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The replies that the server owes: a queue, because replies come in the order of the commands
 * (RFC 5321, 4.5.3.2.7).
 *
 * Recipients beyond SMTP_RECIPIENTS_MAX share an entry, so a client can pipeline any number of
 * them. Any other reply has an entry of its own. When the queue is full (SMTP_EXPECTED_MAX), what
 * comes behind it is only counted (owed_uncounted), until the server has sent all of it. So no
 * reply is taken for the reply to another command. What was open in that time is marked
 * (replies_missing), and the outcomes that only those replies could tell are unknown.
 */
#include <stdlib.h>

#include "smtp/session.h"

/* True for the replies to commands that may end a transaction. They do not count in open->owed. */
bool owed_is_end(enum owed_kind kind)
{
	return kind >= OWED_GREETING;
}

bool owed_any(const struct smtp_session *session)
{
	return session->owed_count || session->owed_uncounted;
}

void session_lose_step(struct smtp_session *session)
{
	session->out_of_step = owed_any(session);
	for (struct open *open = session->first; open; open = open->next)
		open->transaction->replies_missing = true;
}

struct owed *owed_at(struct smtp_session *session, uint32_t index)
{
	return &session->owed[(session->owed_at + index) & (session->owed_size - 1)];
}

/* One reply fewer is owed to the oldest entry. */
static void take_first(struct smtp_session *session)
{
	if (--owed_at(session, 0)->count)
		return;
	session->owed_at = (session->owed_at + 1) & (session->owed_size - 1);
	session->owed_count--;
}

bool owed_take(struct smtp_session *session, struct owed *owed)
{
	if (session->owed_count) {
		*owed = *owed_at(session, 0);
		take_first(session);
		return true;
	}
	session->owed_uncounted--;
	return false;
}

static bool owed_grow(struct smtp_session *session)
{
	uint32_t size = session->owed_size ? session->owed_size * 2 : EXPECTED_FIRST;
	struct owed *bigger;

	if (size > SMTP_EXPECTED_MAX)
		return false;
	bigger = malloc(size * sizeof(*bigger));
	if (!bigger)
		return false;
	for (uint32_t i = 0; i < session->owed_count; i++)
		bigger[i] = session->owed[(session->owed_at + i) & (session->owed_size - 1)];
	free(session->owed);
	session->owed = bigger;
	session->owed_size = size;
	session->owed_at = 0;
	return true;
}

/* True if the newest entry can stand for one more reply. */
static bool is_repeated(struct smtp_session *session, enum owed_kind kind, const struct open *open,
			uint32_t recipient)
{
	const struct owed *last;

	if (!open || recipient != RECIPIENT_DROPPED || !session->owed_count)
		return false;
	last = owed_at(session, session->owed_count - 1);
	return last->kind == kind && last->open == open && last->recipient == recipient &&
	       last->count < UINT32_MAX;
}

bool owed_add(struct smtp_session *session, enum owed_kind kind, struct open *open,
	      uint32_t recipient)
{
	bool repeated = is_repeated(session, kind, open, recipient);

	if (session->owed_uncounted ||
	    (!repeated && session->owed_count == session->owed_size && !owed_grow(session))) {
		session->facts.expected_dropped++;
		session->owed_uncounted++;
		session_lose_step(session);
		return false;
	}
	if (repeated)
		owed_at(session, session->owed_count - 1)->count++;
	else
		session->owed[(session->owed_at + session->owed_count++) &
			      (session->owed_size - 1)] = (struct owed){.kind = kind,
									.open = open,
									.recipient = recipient,
									.count = 1};
	if (open && !owed_is_end(kind))
		open->owed++;
	return true;
}

bool owed_message(struct smtp_session *session)
{
	for (uint32_t i = 0; i < session->owed_count; i++) {
		if (owed_at(session, i)->kind == OWED_MESSAGE)
			return true;
	}
	return false;
}

/* LMTP: a reply for each recipient that was not refused, in the order of the RCPTs (RFC 2033). */
static uint32_t add_for_recipients(struct smtp_session *session, struct open *open)
{
	const struct smtp_transaction *transaction = open->transaction;
	uint32_t replies = 0, dropped = transaction->recipients_dropped - open->dropped_refused;

	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (smtp_recipient_refused(transaction, i))
			continue;
		owed_add(session, OWED_MESSAGE, open, i);
		replies++;
	}
	for (uint32_t i = 0; i < dropped; i++, replies++)
		owed_add(session, OWED_MESSAGE, open, RECIPIENT_DROPPED);
	return replies;
}

void owed_add_message(struct smtp_session *session, struct open *open)
{
	/* Without an accepted recipient, the server replies once. */
	if (!open || !session->lmtp || !add_for_recipients(session, open))
		owed_add(session, OWED_MESSAGE, open, RECIPIENT_DROPPED);
}

/* Takes an entry out of the middle of the queue. */
static void take_out(struct smtp_session *session, uint32_t index)
{
	for (uint32_t i = index; i + 1 < session->owed_count; i++)
		*owed_at(session, i) = *owed_at(session, i + 1);
	session->owed_count--;
}

void owed_drop_message(struct smtp_session *session, struct open *open, uint32_t recipient)
{
	uint32_t count = 0, found = UINT32_MAX;

	for (uint32_t i = 0; i < session->owed_count; i++) {
		const struct owed *owed = owed_at(session, i);

		if (owed->open != open || owed->kind != OWED_MESSAGE)
			continue;
		count += owed->count;
		if (owed->recipient == recipient)
			found = i;
	}
	if (count < 2 || found == UINT32_MAX)
		return;
	if (!--owed_at(session, found)->count)
		take_out(session, found);
	open->owed--;
}
