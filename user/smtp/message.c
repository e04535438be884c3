/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The octets of messages and of BDAT chunks. The theory is in smtp.c. */
#include "smtp/session.h"
#include "smtp/smuggled.h"

void message_parse(struct smtp_session *session, struct open *open, struct span data)
{
	if (!open->mail && !open->ended) {
		open->mail = mail_parser_new();
		if (open->mail && session->budget)
			mail_parser_keep(open->mail, session->budget, session->content_max);
	}
	if (open->mail)
		mail_parser_data(open->mail, data);
}

/* Parses octets of the current message. */
static void message_octets(struct smtp_session *session, struct span data)
{
	if (session->current)
		message_parse(session, session->current, data);
}

/*
 * The text of a line. A leading dot is not part of it (RFC 5321, 4.5.2); the CRs held back with the
 * dot are.
 */
static void message_line(struct smtp_session *session, struct span piece, uint64_t bytes)
{
	for (uint64_t held = bytes - piece.len; held > 1; held--)
		message_octets(session, (struct span){"\r", 1});
	message_octets(session, piece);
}

/* Adds bytes to the size of the current message. */
static void message_count(struct smtp_session *session, uint64_t bytes)
{
	if (session->current)
		session->current->transaction->bytes += bytes;
}

void message_lost(struct smtp_session *session, uint64_t len)
{
	struct open *open = session->current;

	if (!open)
		return;
	open->transaction->missing_bytes += len ? len : 1;
	if (open->mail)
		mail_parser_gap(open->mail, len);
}

/* ---- Up to the end of data ------------------------------------------------------------------- */

size_t smtp_message_next(struct message_place *place, struct span data, uint64_t *bytes)
{
	char c = data.data[0];
	const char *end;
	size_t taken;

	*bytes = 0;
	if ((place->dot == DOT_LINE_START && c == '.') ||
	    ((place->dot == DOT_SEEN || place->dot == DOT_CR) && c == '\r')) {
		place->held = c == '.' ? 1 : place->held + 1;
		place->dot = c == '.' ? DOT_SEEN : DOT_CR;
		place->last = c;
		return 1;
	}
	if (place->dot == DOT_SEEN || place->dot == DOT_CR) {
		if (c == '\n') {
			place->dot = DOT_END;
			return 1;
		}
		*bytes = place->held;
	}
	end = memchr(data.data, '\n', data.len);
	taken = end ? (size_t)(end - data.data) + 1 : data.len;
	if (end)
		place->crlf = (taken > 1 ? data.data[taken - 2] : place->last) == '\r';
	place->last = data.data[taken - 1];
	place->dot = end ? DOT_LINE_START : DOT_NO;
	*bytes += taken;
	return taken;
}

static void end_message(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open = session->current;

	session->mode = MODE_COMMAND;
	session->data_waits = false;
	if (session->smuggled)
		session->smuggled->reads = false;
	owed_add_message(session, open);
	open_end(session, open, SMTP_END_DATA, session->position, time_ns);
}

static void message_ended(struct smtp_session *session, uint64_t time_ns)
{
	/* Only CRLF.CRLF ends the data (RFC 5321, 4.1.1.4). */
	session->doubt = !session->place.crlf || session->place.held != 2;
	session->soft_end = session->doubt && !session->soft_allowed;
	session->line_start = session->position;
	end_message(session, time_ns);
}

void message_urgent(struct smtp_session *session, char c, bool urgent, uint64_t time_ns)
{
	session->position++;
	message_count(session, 1);
	message_octets(session, (struct span){&c, 1});
	if (urgent_in_message(&session->place, c, urgent) && session->place.dot == DOT_END)
		message_ended(session, time_ns);
}

/*
 * Looks for an end of data that is none for this parser. Returns how many bytes of the piece belong
 * to the message: in a second reading (smuggled.c), such an end ends it.
 */
static size_t look_for_odd_end(struct smtp_session *session, struct span piece, uint64_t *bytes,
			       uint64_t time_ns)
{
	bool mail;
	int64_t end = smuggling_in_message(&session->place, piece, &mail);
	size_t behind = end < 0 ? 0 : piece.len - (size_t)end;

	if (session->place.dot == DOT_END)
		end = -1; /* it is an end for this parser too */
	if (mail && session->current)
		session->current->transaction->smuggling = true;
	if (!session->inner) {
		smuggling_keep(session, piece, end, mail, time_ns);
	} else if (end >= 0) {
		session->position -= behind;
		*bytes -= *bytes < behind ? *bytes : behind;
		session->place.dot = DOT_END;
		session->place.crlf = true;
		session->place.held = 2;
		return (size_t)end;
	}
	return piece.len;
}

size_t message_take(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	uint64_t bytes;
	size_t taken;

	if (session->place.ways) {
		message_urgent(session, data.data[0], false, time_ns);
		return 1;
	}
	taken = smtp_message_next(&session->place, data, &bytes);
	session->position += taken;
	taken = look_for_odd_end(session, (struct span){data.data, taken}, &bytes, time_ns);
	message_count(session, bytes);
	if (bytes)
		message_line(session, (struct span){data.data, taken}, bytes);
	if (session->place.dot == DOT_END)
		message_ended(session, time_ns);
	return taken;
}

void message_gap(struct smtp_session *session, uint64_t len)
{
	if (session->place.dot == DOT_SEEN || session->place.dot == DOT_CR)
		message_count(session, session->place.held);
	session->place.dot = DOT_AFTER_GAP;
	session->place.ways = 0;
	message_count(session, len);
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

void chunk_end(struct smtp_session *session, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	if (session->chunk_last)
		open_end(session, session->current, SMTP_END_DATA, session->position, time_ns);
}

size_t chunk_take(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = data.len < session->chunk_left ? data.len : (size_t)session->chunk_left;

	session->position += taken;
	session->chunk_left -= taken;
	message_count(session, taken);
	message_octets(session, (struct span){data.data, taken});
	if (!session->chunk_left) {
		session->line_start = session->position;
		chunk_end(session, time_ns);
	}
	return taken;
}

void chunk_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns)
{
	if (len < session->chunk_left) {
		session->chunk_left -= len;
		message_count(session, len);
		return;
	}
	message_count(session, session->chunk_left);
	session->chunk_left = 0;
	session->line_start = session->position;
	session->line_skip = true;
	chunk_end(session, time_ns);
	session_lose_step(session);
}

void ghost_over(struct smtp_session *session, bool ended, uint64_t time_ns)
{
	struct open *open = session->ghost;

	session->ghost_left = 0;
	session->ghost = NULL;
	if (!ended)
		return;
	/* What follows is a line of its own, or the rest of the line that the octets began. */
	session->line_break = session->line_len;
	session->carried.cut = 0;
	session->line_start = session->position;
	if (open && !open->ended && session->chunk_last)
		open_end(session, open, SMTP_END_DATA, session->position, time_ns);
}
