/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What became of a transaction, and which reply decided it.
 *
 * Theory of operation: a transaction has one result, but the server may refuse several commands of
 * it. A client that pipelines sends DATA before it knows that no recipient was taken, and the 503
 * to DATA is only a consequence of the 450 to RCPT. So the reply that counts is:
 *
 *   the reply to MAIL       if it is a refusal: all later ones follow from it.
 *   the replies to RCPT     if all of them are refusals. A 4yz goes before a 5yz: the mail will be
 *                           tried again.
 *   the reply to DATA       if it is a refusal; likewise to the first BDAT that was refused.
 *   the reply to the data   otherwise. With LMTP there is one per recipient: a 2yz goes before a
 *                           4yz, and a 4yz before a 5yz.
 *   421                     at any time before: the server closes the connection (RFC 5321, 3.8).
 *
 * A DATA that the server refused never began, and neither did one that got no reply because the
 * transaction was refused before. What the client sent behind it were commands (behind.c).
 */
#include "smtp/session.h"

bool result_all_refused(const struct open *open)
{
	const struct smtp_transaction *transaction = open->transaction;

	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (!smtp_recipient_refused(transaction, i))
			return false;
	}
	return (transaction->recipient_count || transaction->recipients_dropped) &&
	       open->dropped_refused >= transaction->recipients_dropped;
}

/* The server has refused every RCPT. With LMTP, recipients can also be refused after the data. */
static bool is_without_recipients(const struct open *open)
{
	return !open->rcpt_taken && result_all_refused(open);
}

/* ---- The reply that decides ------------------------------------------------------------------ */

/* True if a refusal of a command of this kind follows from an earlier one, or a 354 is in vain. */
static bool is_consequence(const struct open *open, enum owed_kind kind)
{
	bool data = kind == OWED_DATA || kind == OWED_CHUNK || kind == OWED_MESSAGE,
	     chunk_refused = open->kept == OWED_CHUNK && open->transaction->reply_code >= 400;

	if (open->mail_code >= 400)
		return kind != OWED_MAIL;
	return data && (is_without_recipients(open) || chunk_refused);
}

bool result_is_decided_by(const struct open *open, enum owed_kind kind, uint16_t code)
{
	bool deferred = open->transaction->reply_code >= 400 && open->transaction->reply_code < 500;

	if (code >= 300 && is_consequence(open, kind))
		return false;
	if (kind == OWED_MESSAGE && open->final_code)
		return code / 100 == open->final_code / 100;
	return kind != OWED_RCPT || code < 500 || open->kept != OWED_RCPT || !deferred;
}

/* ---- The result ------------------------------------------------------------------------------ */

/* The server's replies decide between success and failure. Without them the outcome is unknown. */
static enum smtp_outcome outcome_of(const struct open *open)
{
	if (open->final_code)
		return open->final_code < 300 ? SMTP_OUTCOME_SUCCESS : SMTP_OUTCOME_FAILURE;
	if (open->transaction->replies_missing)
		return SMTP_OUTCOME_UNKNOWN;
	if (open->mail_code >= 400 || open->data_refused || open->shut_down ||
	    result_all_refused(open))
		return SMTP_OUTCOME_FAILURE;
	return SMTP_OUTCOME_UNKNOWN;
}

bool result_is_asked(const struct open *open)
{
	const struct smtp_transaction *transaction = open->transaction;

	return open->ended && !open->cut && !open->owed && !open->data_asked && !open->data_taken &&
	       !open->hidden && !open->shut_down && open->rcpt_taken && open->mail_code &&
	       open->mail_code < 300 && !transaction->bytes && !transaction->under_way &&
	       !transaction->from_unknown && !transaction->missing_bytes &&
	       !transaction->replies_missing;
}

static enum smtp_result result_of(const struct open *open)
{
	uint16_t code = open->transaction->reply_code;

	switch (open->transaction->outcome) {
	case SMTP_OUTCOME_SUCCESS: return SMTP_RESULT_SENT;
	case SMTP_OUTCOME_FAILURE:
		return code >= 400 && code < 500 ? SMTP_RESULT_DEFERRED : SMTP_RESULT_REFUSED;
	case SMTP_OUTCOME_UNKNOWN: break;
	}
	return result_is_asked(open) ? SMTP_RESULT_ASKED : SMTP_RESULT_UNKNOWN;
}

/* True if octets of a chunk are still to come. */
static bool is_in_chunk(const struct smtp_session *session, const struct open *open)
{
	return session->ghost == open || (session->mode == MODE_CHUNK && session->current == open);
}

/* True if the server refused the data before any of it followed, or all that followed. */
static bool is_data_refused(const struct smtp_session *session, const struct open *open)
{
	bool refused = open->data_refused || open->shut_down || open->mail_code >= 400 ||
		       is_without_recipients(open);

	if (open->hidden)
		return false;
	if (open->chunk_refused)
		return !is_in_chunk(session, open);
	return refused && !open->data_taken && !open->transaction->bytes;
}

void result_decide(const struct smtp_session *session, struct open *open)
{
	struct smtp_transaction *transaction = open->transaction;

	transaction->outcome = outcome_of(open);
	transaction->result = result_of(open);
	if (is_data_refused(session, open))
		transaction->data_started = false;
}
