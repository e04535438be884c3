/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The open transactions of a session, and the replies that the server owes. */
#include <stdlib.h>

#include "smtp_session.h"
#include "smtp_transaction.h"

void open_free(struct open *open)
{
	if (open) {
		mail_parser_free(open->mail);
		smtp_transaction_free(open->transaction);
	}
	free(open);
}

static bool every_recipient_refused(const struct smtp_transaction *transaction)
{
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (!smtp_recipient_refused(transaction, i))
			return false;
	}
	return transaction->recipient_count > 0;
}

/* Success and failure are what the server said; where it said neither, it is unknown. */
static enum smtp_outcome outcome_of(const struct open *open)
{
	if (open->final_code)
		return open->final_code < 300 ? SMTP_OUTCOME_SUCCESS : SMTP_OUTCOME_FAILURE;
	if (open->transaction->replies_missing)
		return SMTP_OUTCOME_UNKNOWN;
	if (open->mail_code >= 400 || open->data_refused || every_recipient_refused(open->transaction))
		return SMTP_OUTCOME_FAILURE;
	return SMTP_OUTCOME_UNKNOWN;
}

/* The message is not parsed any further. */
static void end_mail(struct open *open)
{
	if (open->mail)
		open->transaction->mail = mail_parser_finish(open->mail);
	mail_parser_free(open->mail);
	open->mail = NULL;
}

/* One without recipients is none. */
void open_hand_out(struct smtp_session *session, struct open *open)
{
	struct open **link = &session->first, *before = NULL;

	while (*link && *link != open) {
		before = *link;
		link = &before->next;
	}
	if (*link == open) {
		*link = open->next;
		if (session->last == open)
			session->last = before;
		session->open_count--;
	}
	for (uint32_t i = 0; i < session->owed_count; i++) {
		struct owed *owed = &session->owed[(session->owed_at + i) & (session->owed_size - 1)];

		if (owed->open == open)
			owed->open = NULL;
	}
	if (session->current == open)
		session->current = NULL;
	end_mail(open);
	open->transaction->outcome = outcome_of(open);
	if (!smtp_session_is_smtp(session)) {
		session->facts.quoted++;
	} else if (open->transaction->recipient_count || open->transaction->recipients_dropped) {
		session->facts.transactions++;
		open->transaction->number = session->facts.transactions;
		session->on_transaction(session->context, open->transaction);
		open->transaction = NULL;
	}
	open_free(open);
}

void open_end(struct smtp_session *session, struct open *open, enum smtp_end end, uint64_t end_pos,
	      uint64_t time_ns)
{
	if (!open)
		return;
	open->ended = true;
	end_mail(open);
	open->transaction->end = end;
	open->transaction->end_pos = end_pos;
	open->transaction->end_ns = time_ns;
	if (session->current == open)
		session->current = NULL;
	if (!open->owed)
		open_hand_out(session, open);
}

struct open *open_new(struct smtp_session *session, const struct smtp_command *command, uint64_t time_ns)
{
	struct open *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	open->transaction = smtp_transaction_new(0, session->line_start, time_ns);
	if (!open->transaction || !smtp_transaction_set_from(open->transaction, command)) {
		open_free(open);
		return NULL;
	}
	/* More replies than commands: something is hidden in this session, and may be again. */
	open->transaction->replies_missing = session->out_of_step || session->facts.replies_surplus;
	return open;
}

void open_begin(struct smtp_session *session, struct open *open)
{
	if (session->open_count >= SMTP_OPEN_MAX) {
		session->first->transaction->replies_missing = true;
		open_hand_out(session, session->first);
	}
	*(session->last ? &session->last->next : &session->first) = open;
	session->last = open;
	session->open_count++;
	session->current = open;
}

void session_lose_step(struct smtp_session *session)
{
	session->out_of_step = session->owed_count > 0;
	for (struct open *open = session->first; open; open = open->next)
		open->transaction->replies_missing = true;
}

/* ---- What the server owes ------------------------------------------------------------------- */

struct owed *owed_at(struct smtp_session *session, uint32_t index)
{
	return &session->owed[(session->owed_at + index) & (session->owed_size - 1)];
}

void owed_drop_first(struct smtp_session *session)
{
	struct open *open = owed_at(session, 0)->open;

	if (owed_at(session, 0)->kind == OWED_NESTED) { /* most likely refused */
		open_free(session->nested);
		session->nested = NULL;
	}
	session->owed_at = (session->owed_at + 1) & (session->owed_size - 1);
	session->owed_count--;
	if (open && --open->owed == 0 && open->ended)
		open_hand_out(session, open);
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

void owed_add(struct smtp_session *session, enum owed_kind kind, struct open *open, uint32_t recipient)
{
	if (session->owed_count == session->owed_size && !owed_grow(session)) {
		session->facts.expected_dropped++;
		session_lose_step(session);
		return;
	}
	session->owed[(session->owed_at + session->owed_count++) & (session->owed_size - 1)] =
		(struct owed){.kind = kind, .open = open, .recipient = recipient};
	if (open)
		open->owed++;
}

void owed_add_message(struct smtp_session *session, struct open *open)
{
	uint32_t replies = 1;

	if (open && session->facts.protocol == SMTP_PROTOCOL_LMTP) {
		replies = 0;
		for (uint32_t i = 0; i < open->transaction->recipient_count; i++)
			replies += !smtp_recipient_refused(open->transaction, i);
	}
	if (!replies) /* with no recipient left, the server says once that there is none */
		replies = 1;
	while (replies--)
		owed_add(session, OWED_MESSAGE, open, 0);
}

void owed_drop_message(struct smtp_session *session, struct open *open)
{
	uint32_t last = 0, count = 0;

	for (uint32_t i = 0; i < session->owed_count; i++) {
		const struct owed *owed = owed_at(session, i);

		if (owed->open == open && owed->kind == OWED_MESSAGE) {
			last = i;
			count++;
		}
	}
	if (count < 2)
		return;
	for (uint32_t i = last; i + 1 < session->owed_count; i++)
		*owed_at(session, i) = *owed_at(session, i + 1);
	session->owed_count--;
	open->owed--;
}

/* It gets its number when it goes out, as the next one. */
struct smtp_transaction *smtp_session_open_transaction(const struct smtp_session *session, uint32_t after,
						       uint64_t before_ns)
{
	uint32_t number = session->facts.transactions + 1;
	const struct open *open = session->first;
	struct smtp_transaction *copy;

	while (open && !open->transaction->recipient_count)
		open = open->next;
	if (!open || number <= after || open->transaction->start_ns >= before_ns)
		return NULL;
	copy = smtp_transaction_copy(open->transaction);
	if (copy)
		copy->number = number;
	return copy;
}
