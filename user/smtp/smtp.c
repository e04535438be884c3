/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation (RFC 5321, with LMTP RFC 2033, pipelining RFC 2920, BDAT RFC 3030, STARTTLS
 * RFC 3207, AUTH RFC 4954).
 *
 * The client's stream is in one of five modes: command lines, the lines of a message, the octets of
 * a BDAT chunk, the answer to a 334, or opaque (TLS). Lines end with LF; CRs before the LF are cut
 * off, because servers accept CRLF, a bare LF, and CRCRLF. The end of data is a line with a single
 * dot, after any LF and ended by CRLF or LF. Not every server accepts every such end. An end that
 * is seen here but not by the server turns text into commands; an end that only the server sees
 * hides a mail. The second is worse, so every form counts.
 *
 * For every command line the server owes one reply (for the message, and for each BDAT, one more).
 * The replies owed form a queue, and each reply answers the oldest entry (RFC 5321, 4.5.3.2.7:
 * replies come in order). So each reply is matched to its MAIL, its RCPT, or its message, even if
 * the client pipelines. A reply when none is owed, or a gap in either stream, means that the two
 * streams no longer match. Open transactions are then marked (replies_missing) and their outcome is
 * unknown, until no reply is owed any more.
 *
 * A transaction is open from MAIL until the end of its data, or until the server accepts a RSET, a
 * greeting command, STARTTLS, QUIT or another MAIL. The server may refuse such a command, in ways
 * that differ between servers. So what follows it is a transaction of its own until the reply is
 * there; after a refusal it is joined to the transaction before it. A RCPT, or data, outside of any
 * transaction opens one whose reverse-path is unknown. It is reported unless the server refuses all
 * of it, and it is never complete (replies_missing). So everything that a server accepts is
 * reported.
 *
 * A transaction is reported when it has ended and no reply is owed for it. If the server's stream
 * cannot be seen, the client's next command reports it. Commands that may end a transaction are
 * then assumed to end it, if they have a form that every server accepts.
 *
 * What the client sends after DATA or BDAT, before the reply, is kept (behind.c). It is parsed when
 * the reply shows whether it is a message or commands. The octets of a refused BDAT are parsed as
 * both, because some servers discard them and others read them as commands.
 *
 * A proxy may be in front of the server (preamble.c). What the client says to it is also parsed as
 * lines, because the peer may be a mail server after all. Once a proxy answers, no reply is owed
 * for these lines. The header of the PROXY protocol is treated likewise (proxy_header.c).
 */
#include "smtp/smtp.h"

#include <stdlib.h>

#include "smtp/session.h"
#include "smtp/smuggled.h"

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
	session->mid_stream = session->greeted = session->carried.paused = true;
	session->header.over = true;
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
	smuggled_free(session);
	explicit_bzero(&session->carried, sizeof(session->carried));
	secrets_free(session->secrets);
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
	uint64_t first = session->first ? session->first->transaction->start_pos : UINT64_MAX;
	const struct smuggled *smuggled = session->smuggled;

	return smuggled && smuggled->has_mail && smuggled->position < first ? smuggled->position
									    : first;
}

void smtp_session_cut(struct smtp_session *session)
{
	for (struct open *open = session ? session->first : NULL; open; open = open->next)
		open->cut = true;
}

void smtp_session_close(struct smtp_session *session, uint64_t time_ns)
{
	if (session->waits)
		client_assume(session);
	if (session->current)
		open_end(session, session->current, SMTP_END_CLOSE, session->position, time_ns);
	/*
	 * No reply showed whether a transaction ended before the next one began: what followed may
	 * belong to either.
	 */
	for (struct open *open = session->first; open; open = open->next) {
		if (!open->ended && open->next)
			open->transaction->replies_missing =
				open->next->transaction->replies_missing = true;
	}
	while (session->first)
		open_hand_out(session, session->first);
	carried_line_ends(session);
}

uint64_t smtp_command_bytes(const struct smtp_session *session)
{
	uint64_t bytes = session->facts.command_bytes + carried_in_progress(session);

	if (session->carried.paused)
		return bytes;
	for (const struct open *open = session->first; open; open = open->next) {
		if (!open_is_told(open))
			bytes += open->carried + open->transaction->bytes;
	}
	if (session->current && !open_is_told(session->current))
		bytes += behind_len(session);
	return bytes;
}

bool smtp_client_speaks_smtp(const struct smtp_session *session)
{
	const struct smtp_facts *facts = &session->facts;

	if (facts->protocol != SMTP_PROTOCOL_UNKNOWN || facts->mail_from_seen)
		return true;
	if (!facts->greeting_seen)
		return false;
	return facts->smtp_verb_seen ||
	       (!facts->other_verb_seen && smtp_command_bytes(session) >= SMTP_CARRIED_MAX);
}
