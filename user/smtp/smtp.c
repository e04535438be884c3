/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation (RFC 5321, with LMTP RFC 2033, pipelining RFC 2920, BDAT RFC 3030, STARTTLS
 * RFC 3207, AUTH RFC 4954).
 *
 * The client's stream is in one of five modes: command lines, the lines of a message, the octets of
 * a BDAT chunk, one answer to a 334, or opaque (TLS). Lines end with LF; CRs before it are cut off,
 * for servers take CRLF, LF alone and CRCRLF. The end of data is a line of one dot after any LF,
 * with CRLF or LF behind it: to take an end that the server does not take shows commands that were
 * text, to miss one that it takes hides a mail, and the second is the worse.
 *
 * Every command line makes the server owe one reply (the message, and each BDAT, one more). What is
 * owed waits in a queue, and each reply takes the first (RFC 5321, 4.5.3.2.7: replies come in
 * order). So a reply is known to be to this MAIL, that RCPT, that message, however they were
 * pipelined. A reply that nothing is owed for, or a hole in either stream, means that the two no
 * longer match: from there the open transactions say so (replies_missing) and their outcome is
 * unknown, until nothing is owed.
 *
 * A transaction is open from MAIL until the end of its data, or until the server took a RSET, a
 * greeting command, STARTTLS, QUIT or another MAIL. Such a command may be refused, and in ways that
 * differ between servers, so what follows it stands by itself until it is answered: if it was
 * refused, that is joined to the transaction before it. A RCPT, or data, that nothing is open for
 * opens a transaction whose reverse-path is not known: it is told unless the server refused all of
 * it, and is never complete (replies_missing). So whatever a server takes is told.
 *
 * A transaction is handed out when it has ended and is owed nothing more; if the server's side
 * cannot be seen, with the client's next command. Then the commands that may end it are taken to,
 * in the forms that every server takes.
 *
 * DATA and BDAT: what is sent behind them before their reply is kept (behind.c), and read once it
 * is known whether that is a message or commands. The octets of a BDAT that was refused are read as
 * both, for some servers take them off the stream all the same, and some do not.
 *
 * A proxy may stand in front (preamble.c). What the client says to it is read as lines all the
 * same, for it may be said to a mail server. Once a proxy answered, nothing is owed for these
 * lines.
 */
#include "smtp/smtp.h"

#include <stdlib.h>

#include "smtp/session.h"

struct smtp_session *smtp_session_new(bool replies, smtp_transaction_fn on_transaction,
				      void *context)
{
	struct smtp_session *session = calloc(1, sizeof(*session));

	if (session) {
		session->replies = replies;
		session->on_transaction = on_transaction;
		session->context = context;
	}
	return session;
}

void smtp_session_keep(struct smtp_session *session, struct mail_budget *budget, size_t limit)
{
	session->budget = budget;
	session->content_max = limit;
}

void smtp_session_mid_stream(struct smtp_session *session)
{
	session->mid_stream = session->greeted = true;
	preamble_gap(&session->facts.proxy);
}

void smtp_session_free(struct smtp_session *session)
{
	if (!session)
		return;
	while (session->first) {
		struct open *next = session->first->next;

		open_free(session->first);
		session->first = next;
	}
	behind_free(session);
	free(session->line);
	free(session->owed);
	free(session);
}

const struct smtp_facts *smtp_session_facts(const struct smtp_session *session)
{
	return &session->facts;
}

uint64_t smtp_oldest_open_position(const struct smtp_session *session)
{
	return session->first ? session->first->transaction->start_pos : UINT64_MAX;
}

void smtp_session_close(struct smtp_session *session, uint64_t time_ns)
{
	if (session->waits)
		client_assume(session);
	if (session->current)
		open_end(session, session->current, SMTP_END_CLOSE, session->position, time_ns);
	/*
	 * Whether one had ended before the next began was never said: what followed may belong to
	 * either.
	 */
	for (struct open *open = session->first; open; open = open->next) {
		if (!open->ended && open->next)
			open->transaction->replies_missing =
				open->next->transaction->replies_missing = true;
	}
	while (session->first)
		open_hand_out(session, session->first);
}
