/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client's stream: its lines, modes and gaps. The theory is in smtp.c. */
#include <stdlib.h>

#include "smtp/command.h"
#include "smtp/session.h"
#include "smtp/smuggled.h"

/* ---- Lines ----------------------------------------------------------------------------------- */

/* Keeps a part of the line in progress. */
static void line_keep(struct smtp_session *session, struct span part)
{
	size_t room = SMTP_LINE_MAX - session->line_len;

	if (!session->line)
		session->line = calloc(1, SMTP_LINE_MAX);
	if (!session->line)
		room = 0;
	if (part.len > room)
		session->line_truncated = true;
	if (part.len < room)
		room = part.len;
	session->carried.cut += part.len - room;
	if (room)
		memcpy(session->line + session->line_len, part.data, room);
	session->line_len += (uint32_t)room;
}

/*
 * True if TLS begins here: a handshake record at the start of a line, which resembles no command.
 * If the server can be seen, its 220 comes first (RFC 3207): a server that refused STARTTLS reads
 * lines, whatever they contain.
 */
static bool is_tls(const struct smtp_session *session, struct span data)
{
	bool taken = session->tls_taken || !session->replies || session->facts.server_missing;

	return session->tls_next && taken && session->mode != MODE_OPAQUE &&
	       session->position == session->line_start && data.len && data.data[0] == 0x16;
}

static bool is_command(struct span line)
{
	return smtp_command_parse(line).verb != SMTP_VERB_NONE;
}

/* True if what looked like TLS is plaintext after all: ciphertext contains none of these lines. */
static bool is_plain(struct span line)
{
	switch (smtp_command_parse(without_cr(line)).verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO:
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT:
		return memchr(line.data, ' ', line.len) || memchr(line.data, ':', line.len);
	default: return false;
	}
}

static void leave_opaque(struct smtp_session *session)
{
	session->mode = MODE_COMMAND;
	session->line_skip = session->tls_next = false;
	session_lose_step(session);
}

/* A whole line, without its LF. */
static void on_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	session->under_reply = false;
	if (session->mode == MODE_OPAQUE && !is_plain(line))
		return;
	if (session->mode == MODE_OPAQUE)
		leave_opaque(session);
	session->line_crlf = line.len && line.data[line.len - 1] == '\r';
	if (session->client_side == SIDE_SILENT && !session->line_skip && without_cr(line).len)
		session->client_side = side_of_client(without_cr(line));
	if (session->under != UNDER_OVER && session->mode == MODE_COMMAND &&
	    under_way_line(session, without_cr(line), time_ns))
		return;
	if (session->line_skip && session->mode == MODE_COMMAND)
		session->line_skip = false;
	else if (session->mode == MODE_ANSWER)
		verbs_answer_line(session, without_cr(line), time_ns);
	else
		verbs_command_line(session, without_cr(line), time_ns);
}

/* Consumes one line, or the part of it that is there. Returns how many bytes. */
static size_t take_line(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	const char *end = memchr(data.data, '\n', data.len);
	struct span line = {data.data, end ? (size_t)(end - data.data) : data.len};
	size_t taken = line.len + (end ? 1 : 0);
	bool kept = session->line_len > 0 || session->line_truncated;

	if (is_tls(session, data)) {
		session->mode = MODE_OPAQUE;
		return 0;
	}
	session->position += taken;
	if (session->mode == MODE_OPAQUE)
		session->facts.opaque_bytes += taken;
	if (!end || kept) {
		line_keep(session, line);
		line = session->line ? (struct span){session->line, session->line_len}
				     : (struct span){"", 0};
	}
	if (!end)
		return taken;
	if (line.len > SMTP_LINE_MAX) {
		session->carried.cut += line.len - SMTP_LINE_MAX;
		line.len = SMTP_LINE_MAX;
		session->line_truncated = true;
	}
	/*
	 * After a proxy request or a refused chunk that ends within the line, the whole line counts
	 * if it is a command; otherwise what follows that end counts.
	 */
	if (session->line_break && session->line_break <= line.len &&
	    !is_command(without_cr(line))) {
		line.data += session->line_break;
		line.len -= session->line_break;
	}
	if (line.len > without_cr(line).len + 1)
		session->carried.cut += line.len - without_cr(line).len - 1;
	session->line_break = 0;
	if (session->line_truncated && session->mode != MODE_OPAQUE)
		session->facts.lines_truncated++;
	if (session->urgent_count)
		urgent_line(session, line, on_line, time_ns);
	else
		on_line(session, line, time_ns);
	if (kept && session->line)
		explicit_bzero(session->line, session->line_len);
	session->line_len = 0;
	session->line_truncated = false;
	session->carried.cut = 0;
	session->line_start = session->position;
	return taken;
}

/* ---- Modes ----------------------------------------------------------------------------------- */

/* Octets of a refused chunk, which may be commands: parsed as both. Returns how many. */
static size_t take_ghost(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken;

	if (data.len > session->ghost_left)
		data.len = (size_t)session->ghost_left;
	taken = take_line(session, data, time_ns);
	if (!session->ghost)
		carried_octets(session, taken);
	if (session->ghost) {
		session->ghost->transaction->bytes += taken;
		message_parse(session, session->ghost, (struct span){data.data, taken});
	}
	if (session->ghost_left <= taken)
		ghost_over(session, true, time_ns);
	else
		session->ghost_left -= taken;
	return taken;
}

static size_t take_command(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	return session->ghost_left ? take_ghost(session, data, time_ns)
				   : take_line(session, data, time_ns);
}

static void take_opaque(struct smtp_session *session, size_t len)
{
	session->position += len;
	session->facts.opaque_bytes += len;
}

/* Parses up to a DATA or BDAT that waits for its reply. Returns how many bytes. */
static size_t take_bytes(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t all = data.len;

	while (data.len && !session->waits) {
		size_t taken = data.len;

		switch (session->mode) {
		case MODE_COMMAND:
		case MODE_ANSWER: taken = take_command(session, data, time_ns); break;
		case MODE_MESSAGE: taken = message_take(session, data, time_ns); break;
		case MODE_CHUNK: taken = chunk_take(session, data, time_ns); break;
		case MODE_OPAQUE:
			if (is_opaque(session))
				take_opaque(session, data.len);
			else
				taken = take_line(session, data, time_ns);
			break;
		}
		data.data += taken;
		data.len -= taken;
	}
	return all - data.len;
}

void client_resume(struct smtp_session *session, uint64_t end_pos)
{
	struct behind *behind = &session->behind;

	while (behind->at < behind->len && session->position < end_pos && !session->waits) {
		struct span data = {behind->bytes + behind->at, behind->len - behind->at};
		size_t at = behind->at;

		if (data.len > end_pos - session->position)
			data.len = (size_t)(end_pos - session->position);
		behind->at += data.len; /* behind_len() does not count what is being parsed */
		behind->at = at + take_bytes(session, data, behind->time_ns);
	}
	if (behind->bytes && behind->at == behind->len)
		behind_free(session);
	else if (behind->bytes && session->waits)
		behind_begins(session);
}

void client_assume(struct smtp_session *session)
{
	bool empty = session->mode == MODE_CHUNK && !session->chunk_left;

	if (!session->waits)
		return;
	session->waits = false;
	session->unkept = true;
	if (session->mode == MODE_CHUNK && session->chunk_odd) {
		/* A malformed BDAT is most likely refused. */
		session->mode = MODE_COMMAND;
		session->ghost_left = session->chunk_left;
	} else if (empty) {
		chunk_end(session, session->behind.time_ns);
	}
	client_resume(session, UINT64_MAX);
}

/* ---- The stream ------------------------------------------------------------------------------ */

uint64_t smtp_client_position(const struct smtp_session *session)
{
	return session->position + behind_len(session);
}

uint64_t smtp_client_line_position(const struct smtp_session *session)
{
	bool lines = session->mode == MODE_COMMAND || session->mode == MODE_ANSWER;

	return lines ? session->line_start : session->position;
}

/*
 * Parses what the client sent. What follows an unanswered DATA or BDAT is kept; if it does not fit,
 * the reply is no longer waited for.
 */
static void feed(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = take_bytes(session, data, time_ns);

	data.data += taken;
	data.len -= taken;
	if (!data.len || behind_keep(session, data, time_ns))
		return;
	client_assume(session);
	take_bytes(session, data, time_ns);
}

/* An SMTP session may begin after a request to a proxy. */
static void on_request_end(struct smtp_session *session)
{
	session->request_end = smtp_client_position(session);
	carried_request(session);
	session->client_side = SIDE_SILENT;
	if (!session->current || session->current->transaction->from_unknown) {
		session->mode = MODE_COMMAND;
		session->waits = false;
		client_resume(session, UINT64_MAX);
	}
	session->line_break = session->line_len;
}

/* Consumes what may be part of a request to a proxy. Returns how many bytes; 0: nothing more is. */
static size_t take_request(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	uint32_t owed = session->owed_count;
	uint8_t hop = session->facts.proxy.hops;
	bool ended;
	size_t taken = preamble_client(&session->facts.proxy, data, NULL, &ended);

	feed(session, (struct span){data.data, taken}, time_ns);
	if (ended)
		on_request_end(session);
	if (session->owed_count > owed)
		session->request_lines[hop] += session->owed_count - owed;
	return taken;
}

/*
 * Consumes what may be the header of the PROXY protocol. Returns how many bytes. No line is read
 * behind the QUIT of version 2, but what is there counts as data.
 */
static size_t take_header(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	uint32_t owed = session->owed_count;
	bool ended;
	size_t lines, taken = proxy_header_client(&session->header, data, &lines, &ended);

	feed(session, (struct span){data.data, lines}, time_ns);
	session->header_lines += session->owed_count - owed;
	if (taken > lines) {
		session->position += taken - lines;
		session->line_start = session->position;
		session->facts.command_bytes += taken - lines;
	}
	if (ended)
		session->client_side = SIDE_SILENT;
	if (session->header.over && !ended) { /* a blank line may begin a request to a proxy */
		session->request_lines[session->facts.proxy.hops] += session->header_lines;
		session->header_lines = 0;
	}
	return taken;
}

void smtp_client_data(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = 1;

	session->facts.client_bytes += data.len;
	session->surplus_latest = 0;
	if (!session->header.over) {
		taken = take_header(session, data, time_ns);
		data.data += taken;
		data.len -= taken;
		taken = 1;
	}
	while (data.len && taken) {
		taken = take_request(session, data, time_ns);
		data.data += taken;
		data.len -= taken;
	}
	feed(session, data, time_ns);
}

void smtp_session_tls_begins(struct smtp_session *session)
{
	if (session->mode == MODE_OPAQUE)
		session->mode = MODE_COMMAND;
	if (session->mode != MODE_COMMAND)
		return;
	session->line_len = session->urgent_count = session->reply_line_len = 0;
	session->line_truncated = session->line_skip = session->reply_skip = false;
	session->tls_next = session->tls_taken = false;
	session->line_start = session->position;
}

void smtp_client_urgent(struct smtp_session *session, char byte, uint64_t time_ns)
{
	struct span data = {&byte, 1};

	session->facts.urgent_bytes++;
	session->facts.client_bytes++;
	session->surplus_latest = 0;
	session->header.over = true;
	preamble_gap(&session->facts.proxy);
	client_assume(session);
	switch (session->mode) {
	case MODE_COMMAND:
	case MODE_ANSWER:
		if (session->urgent_count < URGENT_MAX && session->line_len < SMTP_LINE_MAX)
			session->urgent[session->urgent_count++] = (uint16_t)session->line_len;
		line_keep(session, data);
		session->position++;
		break;
	case MODE_MESSAGE: message_urgent(session, byte, true, time_ns); break;
	case MODE_CHUNK:
	case MODE_OPAQUE: session->position++; break;
	}
}

void smtp_client_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns)
{
	preamble_gap(&session->facts.proxy);
	session->header.over = true;
	if (session->smuggled && session->smuggled->reads)
		smuggled_free(session);
	session->line_break = 0;
	client_assume(session);
	ghost_over(session, false, time_ns);
	session->position += len;
	session->facts.client_missing += len ? len : 1;
	/* The replies to what the gap hid came before the gap was noticed. */
	session->facts.replies_surplus -= session->surplus_latest;
	session->surplus_latest = 0;
	session->carried.paused = true;
	session->carried.cut = 0;
	message_lost(session, len);
	if (session->under != UNDER_OVER)
		under_way_gap(session, len);
	switch (session->mode) {
	case MODE_COMMAND:
	case MODE_ANSWER:
		session->line_len = session->urgent_count = 0;
		session->line_truncated = false;
		session->line_skip = !session->under_reply;
		session->under_reply = false;
		session->line_start = session->position;
		session_lose_step(session);
		break;
	case MODE_MESSAGE: message_gap(session, len); break;
	case MODE_CHUNK: chunk_gap(session, len, time_ns); break;
	case MODE_OPAQUE:
		session->line_len = session->urgent_count = 0;
		session->line_truncated = false;
		session->line_start = session->position;
		break;
	}
}
