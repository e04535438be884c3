/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The server's stream: replies, each matched to what it answers. The theory is in smtp.c. */
#include <ctype.h>

#include "smtp/session.h"
#include "smtp/smuggled.h"

/* The reply to a greeting command. A refused greeting changes nothing. */
static void on_greeting_reply(struct smtp_session *session, uint16_t code)
{
	struct smtp_facts *facts = &session->facts;
	struct greeting *greeting = &session->greeting;

	if (--session->greetings_owed) /* a later one is not answered yet */
		return;
	if (code < 300) {
		greeting->protocol = facts->protocol;
		greeting->len = facts->helo_len;
		memcpy(greeting->name, facts->helo, facts->helo_len);
	} else if (greeting->protocol != SMTP_PROTOCOL_UNKNOWN) {
		facts->protocol = greeting->protocol;
		facts->helo_len = greeting->len;
		memcpy(facts->helo, greeting->name, greeting->len);
	}
	session->lmtp = greeting->protocol == SMTP_PROTOCOL_LMTP;
}

/* True if the server accepted a command that ends a transaction. */
static bool is_end_taken(enum owed_kind kind, uint16_t code)
{
	return kind == OWED_STARTTLS ? code == 220 : code < 300;
}

/* The server read commands where a message, or a chunk, was assumed. */
static void on_hidden(struct smtp_session *session, struct open *open)
{
	if (!session->out_of_step)
		session->facts.replies_surplus++;
	session_lose_step(session);
	if (open)
		open->hidden = open->transaction->replies_missing = true;
}

/* The server refused a DATA whose reply was not waited for. */
static void on_late_refusal(struct smtp_session *session, struct open *open, bool message)
{
	if (!message || (open && open->transaction->bytes))
		on_hidden(session, open);
	if (!message || session->mode != MODE_MESSAGE)
		return;
	session->mode = MODE_COMMAND;
	session->line_start = session->position;
	/* What was parsed as the message was commands: the next line may have begun in it. */
	if (open && open->transaction->bytes)
		session->line_skip = session->place.dot != DOT_LINE_START;
}

/* The reply to DATA. Only after 354 does a message follow. */
static void on_data_reply(struct smtp_session *session, struct open *open, uint16_t code)
{
	bool accepted = code >= 300 && code < 400, message = session->data_waits,
	     waits = session->waits;

	session->data_waits = session->waits = false;
	if (open && accepted)
		open->data_taken = true;
	if (open && accepted && open->mail_code >= 300)
		open->transaction->replies_missing = true;
	if (open && code < 300) /* no server says this to DATA: a reply was missed */
		open->transaction->replies_missing = true;
	if (open)
		open->data_refused = code >= 400;
	if (accepted)
		return;
	if (waits) {
		session->mode = MODE_COMMAND;
		session->line_start = session->position;
	} else if (code >= 400 || message) {
		on_late_refusal(session, open, message);
	}
}

/*
 * The answer was sent before this 334 and is the next line owed. It was not kept, so the user is
 * unknown.
 */
static void on_answer_ahead(struct smtp_session *session)
{
	struct owed *owed = owed_at(session, 0);

	session->facts.auth_user_len = 0;
	if (owed->kind == OWED_OTHER && !owed->open)
		owed->kind = OWED_AUTH;
}

static void on_auth_reply(struct smtp_session *session, uint16_t code)
{
	if (code == 334) {
		session->auth_open = true;
		if (session->owed_count && !session->out_of_step)
			on_answer_ahead(session);
		else if (session->mode == MODE_COMMAND)
			session->mode = MODE_ANSWER;
		return;
	}
	session->auth_open = false;
	/* After a refusal the client may go on, or begin again with the user's name. */
	session->auth_doubt = session->auth_doubt && code >= 300;
	session->auth_step = 0;
	session->facts.auth_code = code;
	if (session->mode == MODE_ANSWER)
		session->mode = MODE_COMMAND;
}

/* True if no reply is owed except to this chunk's message: then it is the chunk in progress. */
static bool is_last_chunk(struct smtp_session *session, const struct open *open)
{
	for (uint32_t i = 0; i < session->owed_count; i++) {
		if (owed_at(session, i)->kind != OWED_MESSAGE || owed_at(session, i)->open != open)
			return false;
	}
	return true;
}

/*
 * A chunk was refused, or answered before its octets were seen. A server that does not know BDAT or
 * does not understand it reads the octets as commands (500, 501, 502: RFC 5321, 4.2.4). Of the
 * other servers some discard the octets.
 */
static void on_chunk_over(struct smtp_session *session, struct open *open, uint16_t code, bool kept,
			  uint64_t time_ns)
{
	bool started = !kept && session->chunk_left != session->chunk_size;

	if (started)
		on_hidden(session, open);
	session->mode = MODE_COMMAND;
	session->line_start = session->position;
	if (code >= 500 && code <= 502)
		return;
	session->ghost_left = session->chunk_left;
	session->ghost = open;
	if (code >= 300)
		return;
	if (open)
		open->transaction->replies_missing = true;
	if (session->ghost_left > behind_len(session))
		session->ghost_left = behind_len(session);
	if (!session->ghost_left)
		ghost_over(session, true, time_ns);
}

/* The reply to BDAT, while its octets are still expected, or kept. */
static void on_chunk_reply(struct smtp_session *session, struct open *open, uint16_t code,
			   uint64_t time_ns)
{
	bool kept = session->waits;

	if (session->mode != MODE_CHUNK || !is_last_chunk(session, open))
		return;
	if (session->chunk_odd && code < 300) {
		open = session->current ? session->current : open_begin_unknown(session, time_ns);
		if (open)
			open->data_taken = open->data_asked = open->transaction->data_started =
				open->transaction->replies_missing = true;
	}
	session->waits = false;
	if (code >= 300 || behind_len(session) < session->chunk_left)
		on_chunk_over(session, open, code, kept, time_ns);
	else if (!session->chunk_left)
		chunk_end(session, time_ns);
}

/* With LMTP, the message is sent if it is sent to one recipient, and 4yz goes before 5yz. */
static void on_message_reply(struct open *open, uint32_t recipient, uint16_t code)
{
	if (!open)
		return;
	open->confirmed = true;
	if (code < 300)
		open->data_taken = true;
	if (!open->final_code || code / 100 < open->final_code / 100)
		open->final_code = code;
	if (code >= 400 && recipient < open->transaction->recipient_count &&
	    !smtp_recipient_refused(open->transaction, recipient))
		open->transaction->recipients[recipient].code = code;
}

static void on_rcpt_reply(struct smtp_session *session, struct open *open, uint32_t recipient,
			  uint16_t code)
{
	if (!open)
		return;
	open->rcpt_taken = open->rcpt_taken || code < 300;
	if (recipient != RECIPIENT_DROPPED)
		open->transaction->recipients[recipient].code = code;
	else if (code >= 400)
		open->dropped_refused++;
	if (code >= 400 && session->lmtp && open->owed > 2)
		owed_drop_message(session, open, recipient);
	if (code < 300 && open->mail_code >= 300) /* an accepted MAIL was missed */
		open->transaction->replies_missing = true;
}

static void on_end_reply(struct smtp_session *session, const struct owed *owed, uint16_t code,
			 uint64_t time_ns)
{
	if (owed->kind == OWED_GREETING)
		on_greeting_reply(session, code);
	if (owed->kind == OWED_STARTTLS) {
		session->facts.starttls = session->facts.starttls || code == 220;
		session->tls_next = session->tls_next && code == 220;
		session->tls_taken = session->tls_taken || code == 220;
	}
	open_interrupted(session, owed->open, owed->kind, is_end_taken(owed->kind, code), time_ns);
}

static void on_owed_reply(struct smtp_session *session, const struct owed *owed, uint16_t code,
			  uint64_t time_ns)
{
	struct open *open = owed->open;

	switch (owed->kind) {
	case OWED_MAIL:
		if (open && !open_mail_replied(session, open, code, time_ns))
			return;
		break;
	case OWED_RCPT: on_rcpt_reply(session, open, owed->recipient, code); break;
	case OWED_DATA: on_data_reply(session, open, code); break;
	case OWED_CHUNK:
		if (open)
			open->chunk_refused = code >= 400;
		if (open && code >= 400)
			open->data_refused = true;
		if (open && code < 300)
			open->data_taken = true;
		on_chunk_reply(session, open, code, time_ns);
		break;
	case OWED_MESSAGE:
		if (session->mode != MODE_CHUNK || (code < 500 || code > 502))
			on_message_reply(open, owed->recipient, code);
		else if (open)
			open->data_refused = true;
		on_chunk_reply(session, open, code, time_ns);
		session->doubt = session->doubt && owed_message(session);
		break;
	case OWED_AUTH: on_auth_reply(session, code); break;
	case OWED_GREETING:
	case OWED_STARTTLS:
	case OWED_RESET:
	case OWED_QUIT: on_end_reply(session, owed, code, time_ns); return;
	case OWED_OTHER:
		if (code == 334) /* it was an AUTH in an unknown form */
			on_auth_reply(session, code);
		if (code == 354 && session->mode == MODE_COMMAND) {
			/* It was a DATA in an unknown form. */
			struct open *data = session->current ? session->current
							     : open_begin_unknown(session, time_ns);

			session->mode = MODE_MESSAGE;
			session->place = (struct message_place){.dot = DOT_LINE_START};
			if (data)
				data->transaction->data_started = data->data_taken =
					data->data_asked = true;
		}
		break;
	}
	if (!open)
		return;
	open->shut_down = open->shut_down || code == 421;
	open_keep_reply(session, open, owed->kind, code, time_ns);
	if (--open->owed == 0 && open->ended)
		open_hand_out(session, open);
}

/* A reply when none is owed: a command was missed, or the server closes the connection (421). */
static void on_surplus_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct open *open = session->current;

	if (code == 421 && open) {
		open->shut_down = true;
		open_keep_reply(session, open, OWED_OTHER, code, time_ns);
	}
	if (code == 421 || (session->mid_stream && !session->facts.commands_seen))
		return;
	/* Unless a gap explains it. */
	if (!session->facts.client_missing && !session->facts.server_missing) {
		session->facts.replies_surplus++;
		session->surplus_latest++;
	}
	session_lose_step(session);
	/* The gap hid a DATA: what follows is text. */
	if (code == 354 && session->facts.client_missing)
		session->carried.paused = true;
	/* It answers what a gap hid. Nothing followed the gap, so a line ended there. */
	if (session->line_skip && session->position == session->line_start)
		session->line_skip = false;
	if (code == 334 || session->mode == MODE_ANSWER)
		on_auth_reply(session, code); /* the gap hid the AUTH, or an answer */
	/* The gap may have hidden the end of data. */
	if (session->mode == MODE_MESSAGE && open && open->transaction->missing_bytes) {
		open->final_code = code;
		open_keep_reply(session, open, OWED_MESSAGE, code, time_ns);
		session->mode = MODE_COMMAND;
		session->line_start = session->position;
		session->line_skip =
			session->place.dot != DOT_LINE_START && session->place.dot != DOT_AFTER_GAP;
		open_end(session, open, SMTP_END_DATA, session->position, time_ns);
	}
}

/*
 * Only DATA is answered with 354. If the DATA is not the oldest entry, the replies to the entries
 * before it were missed.
 */
static void step_to_data(struct smtp_session *session, uint64_t time_ns)
{
	uint32_t skip = 0;

	while (skip < session->owed_count && owed_at(session, skip)->kind != OWED_DATA &&
	       owed_at(session, skip)->kind != OWED_OTHER)
		skip++;
	if (!skip || skip == session->owed_count || owed_at(session, skip)->kind != OWED_DATA)
		return;
	session_lose_step(session);
	while (owed_at(session, 0)->kind != OWED_DATA)
		open_drop_reply(session, time_ns);
}

/*
 * The first reply behind the greeting of a server that was sent the header of the PROXY protocol. A
 * server that reads it as lines does not know the first of them, or obeys the QUIT. Otherwise it
 * took the header, and nothing is owed for it.
 */
static void on_header_answer(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	bool taken = code < 400 && code != 221;

	while (taken && session->header_lines && session->owed_count) {
		open_drop_reply(session, time_ns);
		session->header_lines--;
	}
	session->header_lines = 0;
}

static void match_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct owed owed;
	bool known, ghost;

	session->facts.replies++;
	side_of_reply(session, code);
	if (!session->greeted) {
		session->greeted = true;
		if (code == 220 && (session->facts.replies == 1 || session->tunnel_replies)) {
			session->facts.greeting_seen = true;
			return;
		}
		/* A refusal to greet, or the reply to a command from before the watch. */
		if (!owed_any(session) && code != 334)
			return;
	}
	if (session->header_lines)
		on_header_answer(session, code, time_ns);
	if (!owed_any(session) && session->under != UNDER_OVER &&
	    under_way_reply(session, code, time_ns))
		return;
	if (!owed_any(session)) {
		on_surplus_reply(session, code, time_ns);
		return;
	}
	if (code == 354)
		step_to_data(session, time_ns);
	known = owed_take(session, &owed);
	if (known && session->server_side == SIDE_OTHER)
		side_tunnel_reply(session, owed.kind, code);
	ghost = session->ghost_left > 0;
	if (known)
		on_owed_reply(session, &owed, code, time_ns);
	/* It answers a command among the octets of the refused chunk, or after them. */
	if (ghost && session->ghost_left)
		ghost_over(session, false, time_ns);
	if (!owed_any(session))
		session->out_of_step = session->unkept = session->carried.paused = false;
	client_resume(session, UINT64_MAX);
}

static void on_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct smuggled_reply smuggled = smuggled_before(session, code);

	match_reply(session, code, time_ns);
	smuggled_after(session, smuggled, code, on_reply, time_ns);
}

static void reply_text_add(struct smtp_session *session, struct span text)
{
	size_t room = SMTP_REPLY_TEXT_MAX - session->reply_text_len;

	if (session->reply_text_len && room) {
		session->reply_text[session->reply_text_len++] = '\n';
		room--;
	}
	if (text.len < room)
		room = text.len;
	memcpy(session->reply_text + session->reply_text_len, text.data, room);
	session->reply_text_len += (uint32_t)room;
}

/* RFC 5321, 4.2: three digits; a hyphen after them means that more lines follow. */
static void on_reply_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	uint16_t code;

	if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' ||
	    !isdigit((unsigned char)line.data[1]) || !isdigit((unsigned char)line.data[2]))
		return;
	code = (uint16_t)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 +
			  (line.data[2] - '0'));
	if (line.len > 4)
		reply_text_add(session, (struct span){line.data + 4, line.len - 4});
	if (line.len > 3 && line.data[3] == '-')
		return;
	on_reply(session, code, time_ns);
	session->reply_text_len = 0;
}

/* A proxy answered: what was said to it was not SMTP, so no reply is owed for it. */
static void on_request_answered(struct smtp_session *session, uint64_t time_ns)
{
	uint32_t *lines = &session->request_lines[session->facts.proxy.answers - 1];
	struct open *open = session->current;
	bool inside = open && open->transaction->start_pos < session->request_end;

	if (inside && (smtp_client_position(session) == session->request_end || session->waits)) {
		uint32_t owed = session->owed_count;

		session->mode = MODE_COMMAND;
		session->waits = false;
		client_resume(session, session->request_end);
		*lines += session->owed_count - owed;
		open = session->current;
	}
	for (; *lines && session->owed_count; --*lines)
		open_drop_reply(session, time_ns);
	if (inside && session->current == open)
		open_end(session, open, SMTP_END_RESET, session->request_end, time_ns);
	carried_request_answered(session);
	client_resume(session, UINT64_MAX);
}

/* Consumes what a proxy says. Returns how many bytes. */
static size_t take_response(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	bool answered;
	size_t taken = preamble_server(&session->facts.proxy, data, &answered);

	if (answered)
		on_request_answered(session, time_ns);
	return taken;
}

/* SMTP begins after another protocol: no reply is owed for the lines before it. */
static void on_tunnel(struct smtp_session *session, uint64_t time_ns)
{
	session->greeted = false;
	while (session->owed_count && owed_at(session, 0)->kind == OWED_OTHER)
		open_drop_reply(session, time_ns);
}

static void take_replies(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	while (data.len && !is_opaque(session)) {
		const char *end = memchr(data.data, '\n', data.len);
		size_t len = end ? (size_t)(end - data.data) : data.len;
		size_t room = REPLY_LINE_MAX - session->reply_line_len, taken = len + (end ? 1 : 0);
		struct span line = {session->reply_line, 0};

		if (room > len)
			room = len;
		memcpy(session->reply_line + session->reply_line_len, data.data, room);
		session->reply_line_len += (uint32_t)room;
		line.len = session->reply_line_len;
		if (end && !session->reply_skip && session->server_side == SIDE_SILENT)
			session->server_side = side_of_server(without_cr(line));
		if (end && !session->reply_skip && session->server_side == SIDE_OTHER &&
		    side_tunnel_line(session, without_cr(line)))
			on_tunnel(session, time_ns);
		if (end && !session->reply_skip) {
			secrets_mask(session->secrets, (struct span){"", 0}, session->reply_line,
				     line.len);
			on_reply_line(session, without_cr(line), time_ns);
		}
		if (end) {
			session->reply_line_len = 0;
			session->reply_skip = false;
		}
		session->facts.reply_bytes += taken;
		data.data += taken;
		data.len -= taken;
	}
}

void smtp_server_data(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = 1;

	session->facts.server_bytes += data.len;
	session->server_seen = true;
	while (data.len && taken) {
		taken = take_response(session, data, time_ns);
		data.data += taken;
		data.len -= taken;
	}
	take_replies(session, data, time_ns);
}

void smtp_server_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns)
{
	(void)time_ns;
	preamble_gap(&session->facts.proxy);
	session->server_seen = true;
	session->facts.server_missing += len ? len : 1;
	session->reply_line_len = 0;
	session->reply_text_len = 0;
	session->reply_skip = true;
	session->greeted = true;
	smuggled_free(session);
	session_lose_step(session);
	client_assume(session);
}
