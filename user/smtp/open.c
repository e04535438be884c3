/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The open transactions of a session. The theory is in smtp.c. */
#include <stdlib.h>

#include "smtp/session.h"
#include "smtp/smuggled.h"
#include "smtp/transaction.h"

void open_free(struct open *open)
{
	if (open) {
		mail_parser_free(open->mail);
		smtp_transaction_free(open->transaction);
	}
	free(open);
}

/* Ends the parsing of the message. */
static void end_mail(struct open *open)
{
	if (open->mail)
		open->transaction->mail = mail_parser_finish(open->mail);
	mail_parser_free(open->mail);
	open->mail = NULL;
}

bool open_is_refused(const struct open *open)
{
	if (!open->transaction->from_unknown)
		return open->mail_code >= 300;
	return !open->data_taken && !open->hidden &&
	       (result_all_refused(open) ||
		!(open->transaction->recipient_count || open->transaction->recipients_dropped));
}

/*
 * A transaction without recipients is reported only if the server accepted its data; one without
 * MAIL only if the server accepted some part of it.
 */
bool open_is_told(const struct open *open)
{
	if (open->transaction->under_way && open->transaction->data_started && !open->confirmed)
		return false;
	if (open->transaction->from_unknown)
		return !open_is_refused(open);
	return open->transaction->recipient_count || open->transaction->recipients_dropped ||
	       open->data_taken || open->hidden;
}

static void unlink_open(struct smtp_session *session, struct open *open)
{
	struct open **link = &session->first, *before = NULL;

	while (*link && *link != open) {
		before = *link;
		link = &before->next;
	}
	if (*link != open)
		return;
	*link = open->next;
	if (session->last == open)
		session->last = before;
	session->open_count--;
}

void open_hand_out(struct smtp_session *session, struct open *open)
{
	struct smtp_transaction *transaction = open->transaction;

	unlink_open(session, open);
	for (uint32_t i = 0; i < session->owed_count; i++) {
		if (owed_at(session, i)->open == open)
			owed_at(session, i)->open = NULL;
	}
	end_mail(open);
	if (!transaction->recipient_count && !transaction->recipients_dropped)
		transaction->replies_missing = true;
	result_decide(session, open);
	if (session->current == open)
		session->current = NULL;
	if (session->ghost == open)
		session->ghost = NULL;
	if (session->smuggled && session->smuggled->of == open)
		session->smuggled->of = NULL;
	carried_transaction(session, open, open_is_told(open));
	if (!open_is_told(open)) {
		open_free(open);
		return;
	}
	if (!smtp_session_is_smtp(session)) {
		session->facts.quoted++;
	} else {
		session->facts.transactions++;
		transaction->number = session->facts.transactions;
		session->on_transaction(session->context, transaction);
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

void open_keep_reply(struct smtp_session *session, struct open *open, enum owed_kind kind,
		     uint16_t code, uint64_t time_ns)
{
	struct smtp_transaction *transaction = open->transaction;

	if (result_is_decided_by(open, kind, code)) {
		open->kept = kind;
		transaction->reply_code = code;
		transaction->reply_len = (uint16_t)session->reply_text_len;
		memcpy(transaction->reply_text, session->reply_text, session->reply_text_len);
	}
	if (open->ended)
		transaction->end_ns = time_ns;
}

struct open *open_new(struct smtp_session *session, const struct smtp_command *command,
		      uint64_t time_ns)
{
	struct open *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	open->transaction = smtp_transaction_new(0, session->line_start, time_ns);
	if (!open->transaction || !smtp_transaction_set_from(open->transaction, command)) {
		open_free(open);
		return NULL;
	}
	/* After more replies than commands: something was missed, and may be missed again. */
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

struct open *open_begin_unknown(struct smtp_session *session, uint64_t time_ns)
{
	static const struct smtp_command none = {.argument = {"", 0}, .parameters = {"", 0}};
	struct open *open = open_new(session, &none, time_ns);

	if (!open)
		return NULL;
	open->transaction->from_unknown = open->transaction->replies_missing = true;
	if (session->under == UNDER_ENVELOPE) {
		open->transaction->under_way = open->confirmed = true;
		session->under = UNDER_OVER;
	}
	open_begin(session, open);
	return open;
}

/* ---- Commands that may end a transaction ----------------------------------------------------- */

/* The transaction that continues if the command that began `open` is refused. */
static struct open *open_before(const struct smtp_session *session, const struct open *open)
{
	struct open *before = NULL;

	for (struct open *each = session->first; each && each != open; each = each->next)
		before = each;
	return before && !before->ended ? before : NULL;
}

/* Recipients that do not fit count as dropped. Returns how many fit. */
static uint32_t join_recipients(struct smtp_transaction *transaction,
				const struct smtp_transaction *part)
{
	uint32_t kept = 0;

	while (kept < part->recipient_count) {
		struct smtp_command command = {.argument = smtp_transaction_recipient(part, kept),
					       .odd_address = part->odd_address};

		if (!smtp_transaction_add(transaction, &command))
			break;
		transaction->recipients[transaction->recipient_count - 1].code =
			part->recipients[kept].code;
		kept++;
	}
	if (kept < part->recipient_count) /* smtp_transaction_add() counted one of them */
		transaction->recipients_dropped += part->recipient_count - kept - 1;
	transaction->recipients_dropped += part->recipients_dropped;
	return kept;
}

static void join_message(struct open *into, struct open *part)
{
	struct smtp_transaction *to = into->transaction, *from = part->transaction;

	to->bytes += from->bytes;
	to->missing_bytes += from->missing_bytes;
	to->replies_missing = to->replies_missing || (from->replies_missing && !from->from_unknown);
	to->data_started = to->data_started || from->data_started;
	to->smuggling = to->smuggling || from->smuggling;
	to->end_pos = from->end_pos;
	into->carried += part->carried;
	into->data_asked = into->data_asked || part->data_asked;
	into->rcpt_taken = into->rcpt_taken || part->rcpt_taken;
	into->shut_down = into->shut_down || part->shut_down;
	into->chunk_refused = into->chunk_refused || part->chunk_refused;
	into->data_refused = into->data_refused || part->data_refused;
	into->data_taken = into->data_taken || part->data_taken;
	into->hidden = into->hidden || part->hidden;
	if (!into->final_code)
		into->final_code = part->final_code;
	if (into->mail || to->mail) {
		to->replies_missing = to->replies_missing || part->mail || from->mail;
		return;
	}
	into->mail = part->mail;
	to->mail = from->mail;
	part->mail = NULL;
	from->mail = NULL;
}

/* What is known of recipients that were dropped, and of those of `part` that did not fit. */
static void join_dropped(struct open *into, const struct open *part, uint32_t kept)
{
	into->dropped_taken += part->dropped_taken;
	into->dropped_refused += part->dropped_refused;
	for (uint32_t i = kept; i < part->transaction->recipient_count; i++) {
		uint16_t code = part->transaction->recipients[i].code;

		into->dropped_taken += code && code < 400;
		into->dropped_refused += code >= 400;
	}
}

/* `part` was not a transaction: what it holds belongs to `into`, the one before it. */
static void open_join(struct smtp_session *session, struct open *into, struct open *part)
{
	uint32_t base = into->transaction->recipient_count,
		 kept = join_recipients(into->transaction, part->transaction);

	for (uint32_t i = 0; i < session->owed_count; i++) {
		struct owed *owed = owed_at(session, i);

		if (owed->open != part)
			continue;
		owed->open = into;
		into->owed += owed_is_end(owed->kind) ? 0 : owed->count;
		if (owed->recipient == RECIPIENT_DROPPED)
			continue;
		owed->recipient =
			owed->recipient < kept ? owed->recipient + base : RECIPIENT_DROPPED;
	}
	join_message(into, part);
	join_dropped(into, part, kept);
	into->ends_owed += part->ends_owed;
	into->ended = part->ended;
	into->transaction->end = part->transaction->end;
	into->transaction->end_ns = part->transaction->end_ns;
	unlink_open(session, part);
	if (session->current == part)
		session->current = into;
	if (session->ghost == part)
		session->ghost = into;
	open_free(part);
	if (into->ended && !into->owed)
		open_hand_out(session, into);
}

void open_interrupt(struct smtp_session *session, enum owed_kind kind, uint64_t time_ns)
{
	enum smtp_end end = kind == OWED_QUIT ? SMTP_END_CLOSE : SMTP_END_RESET;
	struct open *open = session->current;

	if (!session->replies || session->out_of_step) {
		open_end(session, open, end, session->line_start, time_ns);
		owed_add(session, kind, NULL, 0);
		return;
	}
	if (!open && session->last && !session->last->ended)
		open = session->last; /* already interrupted */
	if (!owed_add(session, kind, open, 0)) {
		open_end(session, open, end, session->line_start, time_ns);
		return;
	}
	if (open && open == session->current) {
		open->transaction->end = end;
		open->transaction->end_pos = session->line_start;
	}
	if (open)
		open->ends_owed++;
	session->current = NULL;
}

void open_interrupted(struct smtp_session *session, struct open *open, enum owed_kind kind,
		      bool ends, uint64_t time_ns)
{
	if (!open || open->ended)
		return;
	if (open->ends_owed)
		open->ends_owed--;
	if (ends)
		open_end(session, open, kind == OWED_QUIT ? SMTP_END_CLOSE : SMTP_END_RESET,
			 open->transaction->end_pos, time_ns);
	else if (open->ends_owed)
		return; /* a later one is not answered yet */
	else if (!open->next)
		session->current = open;
	else if (open->next->transaction->from_unknown)
		open_join(session, open, open->next);
	/* Otherwise the reply to the MAIL after it decides. */
}

void open_end_before(struct smtp_session *session, const struct open *open, uint64_t time_ns)
{
	open_end(session, open_before(session, open), SMTP_END_RESET, open->transaction->start_pos,
		 time_ns);
}

bool open_mail_replied(struct smtp_session *session, struct open *open, uint16_t code,
		       uint64_t time_ns)
{
	struct open *before = open_before(session, open);

	open->mail_code = code;
	if (!before)
		return true;
	if (code >= 300 && !open_is_refused(before)) {
		open_join(session, before, open);
		return false;
	}
	open_end_before(session, open, time_ns);
	return true;
}

void open_drop_reply(struct smtp_session *session, uint64_t time_ns)
{
	struct owed owed;
	struct open *open;

	if (!owed_take(session, &owed))
		return;
	open = owed.open;
	if (owed.kind == OWED_GREETING)
		session->greetings_owed--;
	/* Unknown whether the command was accepted: what follows is a transaction of its own. */
	if (owed_is_end(owed.kind)) {
		open_interrupted(session, open, owed.kind, true, time_ns);
		return;
	}
	if (owed.kind == OWED_MAIL && open)
		open_end_before(session, open, time_ns);
	if (open && --open->owed == 0 && open->ended)
		open_hand_out(session, open);
}

/* The number of the copy is the one that the transaction gets if it is the next one reported. */
struct smtp_transaction *smtp_session_open_transaction(const struct smtp_session *session,
						       uint32_t after, uint64_t before_ns)
{
	uint32_t number = session->facts.transactions + 1;
	const struct open *open = session->first;
	struct smtp_transaction *copy;

	while (open && (!(open->transaction->recipient_count || open->transaction->under_way) ||
			!open_is_told(open)))
		open = open->next;
	if (!open || number <= after ||
	    (open->transaction->start_ns >= before_ns && !open->transaction->under_way))
		return NULL;
	copy = smtp_transaction_copy(open->transaction);
	if (copy)
		copy->number = number;
	return copy;
}
