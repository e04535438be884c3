/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The client's side of a session: command lines, messages, chunks. The theory is in smtp.c. */
#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/session.h"
#include "smtp/transaction.h"

/* ---- The client's commands ------------------------------------------------------------------- */

static void keep_word(char *out, uint16_t *len, struct span word, bool upper)
{
	*len = (uint16_t)(word.len < SMTP_WORD_MAX ? word.len : SMTP_WORD_MAX);
	for (uint16_t i = 0; i < *len; i++)
		out[i] = upper ? (char)toupper((unsigned char)word.data[i]) : word.data[i];
}

static void on_greeting_command(struct smtp_session *session, const struct smtp_command *command,
				uint64_t time_ns)
{
	struct smtp_facts *facts = &session->facts;
	uint32_t owed = session->owed_count;

	/* Without a name it is mostly refused. */
	if (command->argument.len || !session->replies ||
	    facts->protocol == SMTP_PROTOCOL_UNKNOWN) {
		facts->protocol = command->verb == SMTP_VERB_HELO   ? SMTP_PROTOCOL_SMTP
				  : command->verb == SMTP_VERB_EHLO ? SMTP_PROTOCOL_ESMTP
								    : SMTP_PROTOCOL_LMTP;
		session->lmtp = facts->protocol == SMTP_PROTOCOL_LMTP;
		keep_word(facts->helo, &facts->helo_len, command->argument, false);
	}
	open_interrupt(session, OWED_GREETING, time_ns);
	session->greetings_owed += session->owed_count - owed;
}

/*
 * SMTP smuggling: a message holds what only some servers take for its end, and a second mail behind
 * it. A client whose end of data this is in earnest waits for the reply.
 */
static void look_for_smuggling(struct smtp_session *session, struct open *open)
{
	if (!session->soft_end || (session->replies && !owed_message(session)))
		return;
	open->transaction->smuggling = true;
	for (struct open *before = session->first; before; before = before->next)
		before->transaction->smuggling = true;
}

static void on_mail(struct smtp_session *session, const struct smtp_command *command,
		    uint64_t time_ns)
{
	struct open *current = session->current, *open = open_new(session, command, time_ns);

	if (!open) {
		owed_add(session, OWED_OTHER, NULL, 0);
		return;
	}
	look_for_smuggling(session, open);
	if (current) {
		current->transaction->end = SMTP_END_RESET;
		current->transaction->end_pos = session->line_start;
	}
	/*
	 * If this one is refused, the other one goes on. Without recipients so far, it is not told.
	 */
	if (current && !session->replies && !current->transaction->recipient_count)
		open->transaction->replies_missing = true;
	if (current && (!session->replies || session->out_of_step || open_is_refused(current)))
		open_end(session, current, SMTP_END_RESET, session->line_start, time_ns);
	open_begin(session, open);
	if (!owed_add(session, OWED_MAIL, open, 0))
		open_end_before(session, open, time_ns);
}

static void on_rcpt(struct smtp_session *session, const struct smtp_command *command,
		    uint64_t time_ns)
{
	struct open *open =
		session->current ? session->current : open_begin_unknown(session, time_ns);

	if (open && smtp_transaction_add(open->transaction, command))
		owed_add(session, OWED_RCPT, open, open->transaction->recipient_count - 1);
	else
		owed_add(session, OWED_OTHER, NULL, 0);
}

/* Whether what follows a DATA or BDAT is to be kept until that is answered. */
static bool is_waited_for(const struct smtp_session *session)
{
	return session->replies && !session->out_of_step && !session->unkept;
}

/*
 * Without replies: data for no recipient is refused, and commands follow. Unless the recipients are
 * what is missing.
 */
static bool is_bound_to_fail(struct smtp_session *session, struct open *open)
{
	if (session->replies || session->mid_stream || session->facts.client_missing)
		return false;
	if (open && (open->transaction->recipient_count || open->transaction->recipients_dropped))
		return false;
	if (open && (session->facts.protocol != SMTP_PROTOCOL_UNKNOWN ||
		     session->facts.mail_from_seen || session->facts.rcpt_to_seen))
		open->hidden = true;
	return true;
}

static struct open *on_data_begin(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open =
		session->current ? session->current : open_begin_unknown(session, time_ns);

	if (open)
		open->transaction->data_started = true;
	return open;
}

static void on_data(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open = on_data_begin(session, time_ns);

	if (!owed_add(session, OWED_DATA, open, 0))
		session->unkept = true;
	if (is_bound_to_fail(session, open))
		return;
	session->data_waits = true;
	session->waits = is_waited_for(session);
	session->mode = MODE_MESSAGE;
	session->place = (struct message_place){.dot = DOT_LINE_START,
						.crlf = session->line_crlf,
						.tail = {'\r', '\n'}};
	session->soft_allowed = !session->line_crlf;
	session->soft_end = false;
}

static void end_message(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open = session->current;

	session->mode = MODE_COMMAND;
	session->data_waits = false;
	owed_add_message(session, open);
	open_end(session, open, SMTP_END_DATA, session->position, time_ns);
}

void chunk_end(struct smtp_session *session, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	if (session->chunk_last)
		open_end(session, session->current, SMTP_END_DATA, session->position, time_ns);
}

void ghost_over(struct smtp_session *session, bool ended, uint64_t time_ns)
{
	struct open *open = session->ghost;

	session->ghost_left = 0;
	session->ghost = NULL;
	if (!ended)
		return;
	/* What follows is a line of its own, or the end of the one that the octets began. */
	session->line_break = session->line_len;
	session->line_start = session->position;
	if (open && !open->ended && session->chunk_last)
		open_end(session, open, SMTP_END_DATA, session->position, time_ns);
}

/* Of a longer chunk, a server may take the number for another one (Exim has 32 bits for it). */
#define CHUNK_CERTAIN (1ULL << 32)

static void chunk_begin(struct smtp_session *session, struct open *open, uint64_t size, bool last)
{
	session->chunk_last = last;
	session->chunk_size = session->chunk_left = size % CHUNK_CERTAIN;
	session->mode = MODE_CHUNK;
	session->waits = is_waited_for(session);
	if (session->waits)
		return;
	if (size < CHUNK_CERTAIN && !session->ghost_left && !is_bound_to_fail(session, open))
		return;
	/* Octets or commands: they are read as both. */
	if (open)
		open->transaction->replies_missing = true;
	session->mode = MODE_COMMAND;
	session->ghost_left = size;
	session->ghost = open;
}

/*
 * Behind an end of data that may be none, and is not answered yet, the text may go on. What no
 * command is, is most likely text, and nothing is owed for it; a BDAT changes nothing, for what it
 * hides cannot be found again.
 */
static void on_text(struct smtp_session *session)
{
	for (struct open *open = session->first; open; open = open->next)
		open->transaction->replies_missing = true;
}

static void on_bdat(struct smtp_session *session, const struct smtp_command *command,
		    uint64_t time_ns)
{
	struct open *open;

	if (session->doubt) {
		on_text(session);
		return;
	}
	open = on_data_begin(session, time_ns);

	if (open && command->size >= CHUNK_CERTAIN)
		open->transaction->replies_missing = true;
	session->chunk_odd = false;
	if (command->last)
		owed_add_message(session, open);
	else if (!owed_add(session, OWED_CHUNK, open, 0))
		session->unkept = true;
	chunk_begin(session, open, command->size, command->last);
	if (session->mode == MODE_CHUNK && !session->waits && !session->chunk_left)
		chunk_end(session, time_ns);
}

/*
 * "BDAT 18 x" is malformed (501), but Exim reads what it can of it, and takes 18 octets. The number
 * is read as it does: one that is too large for 32 bits is none that can be known.
 */
static bool is_odd_bdat(struct span line, uint64_t *size)
{
	size_t at = 0;

	while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t'))
		at++;
	if (line.len - at < 6 || strncasecmp(line.data + at, "BDAT", 4) != 0 ||
	    (line.data[at + 4] != ' ' && line.data[at + 4] != '\t'))
		return false;
	at += 5;
	while (at < line.len && (line.data[at] == ' ' || line.data[at] == '\t'))
		at++;
	if (at < line.len && line.data[at] == '+')
		at++;
	if (at == line.len || !isdigit((unsigned char)line.data[at]))
		return false;
	for (*size = 0; at < line.len && isdigit((unsigned char)line.data[at]); at++) {
		*size = *size * 10 + (uint64_t)(line.data[at] - '0');
		if (*size > UINT64_MAX / 100)
			*size = CHUNK_CERTAIN - 1;
	}
	return true;
}

static void on_odd_bdat(struct smtp_session *session, uint64_t size)
{
	owed_add(session, OWED_CHUNK, NULL, 0);
	if (!is_waited_for(session) && session->current)
		session->current->transaction->replies_missing = true;
	if (!is_waited_for(session)) {
		session->ghost_left = size;
		session->ghost = NULL;
		return;
	}
	session->chunk_odd = true;
	chunk_begin(session, NULL, size, false);
}

/* How many lines a mechanism takes, where no replies are there to tell (RFC 4616, 7628, 2195). */
static uint32_t answers_of(const struct smtp_command *command)
{
	uint32_t answers =
		command->argument.len == 5 && strncasecmp(command->argument.data, "LOGIN", 5) == 0
			? 2
			: 1;

	return command->parameters.len ? answers - 1 : answers;
}

/* The user that a response names is kept; the response is not. */
static void on_auth_response(struct smtp_session *session, struct span response)
{
	struct smtp_facts *facts = &session->facts;
	struct span mechanism = {facts->auth_mechanism, facts->auth_mechanism_len};
	size_t len = smtp_auth_user(mechanism, session->auth_step++, response, facts->auth_user,
				    sizeof(facts->auth_user));

	if (len)
		facts->auth_user_len = (uint16_t)len;
}

static void on_auth(struct smtp_session *session, const struct smtp_command *command)
{
	keep_word(session->facts.auth_mechanism, &session->facts.auth_mechanism_len,
		  command->argument, true);
	session->facts.auth_user_len = session->facts.auth_code = 0;
	session->auth_step = 0;
	if (command->parameters.len)
		on_auth_response(session, command->parameters);
	owed_add(session, OWED_AUTH, NULL, 0);
	session->auth_open = true;
	if (session->replies)
		return;
	session->answers_left = answers_of(command);
	if (session->answers_left)
		session->mode = MODE_ANSWER;
}

static void on_starttls(struct smtp_session *session, uint64_t time_ns)
{
	session->tls_next = session->replies || !session->doubt;
	if (!session->replies)
		session->facts.starttls = true;
	open_interrupt(session, OWED_STARTTLS, time_ns);
}

/* Whether the line is its verb alone: with an argument, a server may refuse RSET and QUIT. */
static bool is_bare(struct span line)
{
	size_t words = 0;

	for (size_t i = 0; i < line.len; i++) {
		bool blank = line.data[i] == ' ' || line.data[i] == '\t';

		words += !blank && (!i || line.data[i - 1] == ' ' || line.data[i - 1] == '\t');
	}
	return words == 1;
}

/*
 * A line that is no command. Of octets that may have been taken as such, it is most likely not
 * answered.
 */
static void on_unknown(struct smtp_session *session, struct span line)
{
	uint64_t size;

	if (session->ghost_left)
		return;
	if (session->doubt && session->soft_end) {
		on_text(session);
		session->doubt = line.len != 1 || line.data[0] != '.' || session->replies;
		return;
	}
	if (is_odd_bdat(line, &size) && !session->doubt)
		on_odd_bdat(session, size);
	else
		owed_add(session, OWED_OTHER, NULL, 0);
}

static void do_command(struct smtp_session *session, const struct smtp_command *command,
		       struct span line, uint64_t time_ns)
{
	switch (command->verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO: on_greeting_command(session, command, time_ns); break;
	case SMTP_VERB_MAIL: on_mail(session, command, time_ns); break;
	case SMTP_VERB_RCPT: on_rcpt(session, command, time_ns); break;
	case SMTP_VERB_DATA: on_data(session, time_ns); break;
	case SMTP_VERB_BDAT: on_bdat(session, command, time_ns); break;
	case SMTP_VERB_AUTH: on_auth(session, command); break;
	case SMTP_VERB_STARTTLS: on_starttls(session, time_ns); break;
	case SMTP_VERB_RSET:
	case SMTP_VERB_QUIT:
		if (session->replies || is_bare(line))
			open_interrupt(session,
				       command->verb == SMTP_VERB_QUIT ? OWED_QUIT : OWED_RESET,
				       time_ns);
		break;
	case SMTP_VERB_OTHER: owed_add(session, OWED_OTHER, NULL, 0); break;
	case SMTP_VERB_NONE: on_unknown(session, line); break;
	}
}

static bool contains(struct span line, const char *word)
{
	size_t len = strlen(word);

	for (size_t i = 0; i + len <= line.len; i++) {
		if (strncasecmp(line.data + i, word, len) == 0)
			return true;
	}
	return false;
}

/* Whether what has ended is told without waiting for a reply. */
static bool goes_out(const struct smtp_session *session)
{
	return !session->replies && !(session->doubt && session->soft_end);
}

static void on_command_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	struct smtp_command command = smtp_command_parse(line);

	/* Nobody answers here: what has ended goes out with the next command. */
	for (struct open *open = session->first, *next; open && goes_out(session); open = next) {
		next = open->next;
		if (open->ended)
			open_hand_out(session, open);
	}
	command.odd_address = command.odd_address || session->line_truncated;
	session->facts.commands++;
	if (session->replies && session->tls_next)
		session->facts.commands_after_starttls = true;
	if (command.verb != SMTP_VERB_NONE)
		session->facts.commands_seen = true;
	if (is_certain_command(line, true) && command.verb != SMTP_VERB_AUTH &&
	    command.verb != SMTP_VERB_QUIT && command.verb != SMTP_VERB_RSET)
		session->auth_open = false; /* the client is past it; a 334 opens it again */
	if (!session->facts.mail_from_seen && contains(line, "MAIL FROM:"))
		session->facts.mail_from_seen = true;
	if (!session->facts.rcpt_to_seen && contains(line, "RCPT TO:"))
		session->facts.rcpt_to_seen = true;
	if (session->mid_stream && !session->facts.commands_seen)
		return;
	do_command(session, &command, line, time_ns);
	if (session->current)
		session->current->transaction->end_pos = session->position;
}

bool is_certain_command(struct span line, bool bare)
{
	static const char base64[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	if (smtp_command_certain(line, bare))
		return true;
	for (size_t i = 0; i < line.len; i++) {
		if (!memchr(base64, line.data[i], sizeof(base64) - 1))
			return smtp_command_parse(line).verb != SMTP_VERB_NONE;
	}
	return false;
}

/* A line that answers a 334. It is forgotten here. */
static void on_answer_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	session->line_skip = false; /* the end of an answer is one too */
	if (is_certain_command(line, !session->replies)) {
		session->facts.auth_user_len = 0; /* whoever it was did not say the rest */
		session->answers_left = 0;
		session->auth_open = false;
		on_command_line(session, line, time_ns);
		return;
	}
	on_auth_response(session, line);
	owed_add(session, OWED_AUTH, NULL, 0);
	if (session->replies)
		return;
	if (--session->answers_left)
		session->mode = MODE_ANSWER;
	else
		session->auth_open = false;
}

/* ---- The client's stream --------------------------------------------------------------------- */

static bool line_keep(struct smtp_session *session, struct span part)
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
	if (room)
		memcpy(session->line + session->line_len, part.data, room);
	session->line_len += (uint32_t)room;
	return room > 0;
}

/*
 * Whether TLS begins with these bytes at the start of a line: a handshake record, which no command
 * resembles. Where the 220 can be seen it comes first (RFC 3207): a server that has refused
 * STARTTLS reads lines, whatever is in them.
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

/* What looked like TLS was none, if one of these follows: no ciphertext has them. */
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
	if (session->mode == MODE_OPAQUE && !is_plain(line))
		return;
	if (session->mode == MODE_OPAQUE)
		leave_opaque(session);
	session->line_crlf = line.len && line.data[line.len - 1] == '\r';
	if (session->client_side == SIDE_SILENT && !session->line_skip && without_cr(line).len)
		session->client_side = side_of_client(without_cr(line));
	if (session->line_skip && session->mode == MODE_COMMAND)
		session->line_skip = false;
	else if (session->mode == MODE_ANSWER)
		on_answer_line(session, without_cr(line), time_ns);
	else
		on_command_line(session, without_cr(line), time_ns);
}

/* Takes one line, or what there is of one, off the data. */
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
	if (!end || kept) {
		line_keep(session, line);
		line = session->line ? (struct span){session->line, session->line_len}
				     : (struct span){"", 0};
	}
	if (!end)
		return taken;
	if (line.len > SMTP_LINE_MAX) {
		line.len = SMTP_LINE_MAX;
		session->line_truncated = true;
	}
	/* The line as a mail server sees it, or what a proxy lets through of it. */
	if (session->line_break && session->line_break <= line.len &&
	    !is_command(without_cr(line))) {
		line.data += session->line_break;
		line.len -= session->line_break;
	}
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
	session->line_start = session->position;
	return taken;
}

/* Counts bytes of the message. */
static void message_add_to(struct smtp_session *session, struct open *open, struct span data)
{
	if (!open->mail && !open->ended) {
		open->mail = mail_parser_new();
		if (open->mail && session->budget)
			mail_parser_keep(open->mail, session->budget, session->content_max);
	}
	if (open->mail)
		mail_parser_data(open->mail, data);
}

static void message_parse(struct smtp_session *session, struct span data)
{
	if (session->current)
		message_add_to(session, session->current, data);
}

static void message_gap(struct smtp_session *session, uint64_t len)
{
	if (session->current && session->current->mail)
		mail_parser_gap(session->current->mail, len);
}

/*
 * A line's text: the dot in front of it is not part of it (RFC 5321, 4.5.2), the CRs that were held
 * back with it are.
 */
static void message_line(struct smtp_session *session, struct span piece, uint64_t bytes)
{
	for (uint64_t held = bytes - piece.len; held > 1; held--)
		message_parse(session, (struct span){"\r", 1});
	message_parse(session, piece);
}

static void message_add(struct smtp_session *session, uint64_t bytes)
{
	if (session->current)
		session->current->transaction->bytes += bytes;
}

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

static void message_ended(struct smtp_session *session, uint64_t time_ns)
{
	/* CRLF.CRLF and nothing else ends the data (RFC 5321, 4.1.1.4). */
	session->doubt = !session->place.crlf || session->place.held != 2;
	session->soft_end = session->doubt && !session->soft_allowed;
	session->line_start = session->position;
	end_message(session, time_ns);
}

/* A byte of a line in which one is urgent: it counts as text, whatever the server makes of it. */
static void message_urgent(struct smtp_session *session, char c, bool urgent, uint64_t time_ns)
{
	session->position++;
	message_add(session, 1);
	message_parse(session, (struct span){&c, 1});
	if (urgent_in_message(&session->place, c, urgent) && session->place.dot == DOT_END)
		message_ended(session, time_ns);
}

static size_t take_message(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	uint64_t bytes;
	size_t taken;

	if (session->place.ways) {
		message_urgent(session, data.data[0], false, time_ns);
		return 1;
	}
	taken = smtp_message_next(&session->place, data, &bytes);
	session->position += taken;
	message_add(session, bytes);
	if (smuggling_in_message(&session->place, (struct span){data.data, taken}) &&
	    session->current)
		session->current->transaction->smuggling = true;
	if (bytes)
		message_line(session, (struct span){data.data, taken}, bytes);
	if (session->place.dot == DOT_END)
		message_ended(session, time_ns);
	return taken;
}

static size_t take_chunk(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = data.len < session->chunk_left ? data.len : (size_t)session->chunk_left;

	session->position += taken;
	session->chunk_left -= taken;
	message_add(session, taken);
	message_parse(session, (struct span){data.data, taken});
	if (!session->chunk_left) {
		session->line_start = session->position;
		chunk_end(session, time_ns);
	}
	return taken;
}

/* Octets of a chunk, or commands: as both. */
static size_t take_ghost(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken;

	if (data.len > session->ghost_left)
		data.len = (size_t)session->ghost_left;
	taken = take_line(session, data, time_ns);
	if (session->ghost) {
		session->ghost->transaction->bytes += taken;
		message_add_to(session, session->ghost, (struct span){data.data, taken});
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

/* Up to a DATA or BDAT whose reply is waited for. Returns how much that is. */
static size_t take_bytes(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t all = data.len;

	while (data.len && !session->waits) {
		size_t taken = data.len;

		switch (session->mode) {
		case MODE_COMMAND:
		case MODE_ANSWER: taken = take_command(session, data, time_ns); break;
		case MODE_MESSAGE: taken = take_message(session, data, time_ns); break;
		case MODE_CHUNK: taken = take_chunk(session, data, time_ns); break;
		case MODE_OPAQUE:
			if (is_opaque(session))
				session->position += data.len;
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
		behind->at += data.len; /* these are being read */
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
	if (session->mode == MODE_CHUNK && session->chunk_odd) { /* most likely refused */
		session->mode = MODE_COMMAND;
		session->ghost_left = session->chunk_left;
	} else if (empty) {
		chunk_end(session, session->behind.time_ns);
	}
	client_resume(session, UINT64_MAX);
}

uint64_t smtp_client_position(const struct smtp_session *session)
{
	return session->position + behind_len(session);
}

uint64_t smtp_client_line_position(const struct smtp_session *session)
{
	bool lines = session->mode == MODE_COMMAND || session->mode == MODE_ANSWER;

	return lines ? session->line_start : session->position;
}

/* Reads it, and keeps what is behind a DATA that waits for its reply. */
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

/* Behind a request to a proxy, a session begins. */
static void on_request_end(struct smtp_session *session)
{
	session->request_end = smtp_client_position(session);
	session->client_side = SIDE_SILENT;
	if (!session->current || session->current->transaction->from_unknown) {
		session->mode = MODE_COMMAND;
		session->waits = false;
		client_resume(session, UINT64_MAX);
	}
	session->line_break = session->line_len;
}

/* Takes what may be said to a proxy. Returns how much that is. */
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

void smtp_client_data(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = 1;

	session->facts.client_bytes += data.len;
	while (data.len && taken) {
		taken = take_request(session, data, time_ns);
		data.data += taken;
		data.len -= taken;
	}
	feed(session, data, time_ns);
}

void smtp_client_urgent(struct smtp_session *session, char byte, uint64_t time_ns)
{
	struct span data = {&byte, 1};

	session->facts.urgent_bytes++;
	session->facts.client_bytes++;
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
	session->line_break = 0;
	client_assume(session);
	ghost_over(session, false, time_ns);
	session->position += len;
	session->facts.client_missing += len ? len : 1;
	if (session->current)
		session->current->transaction->missing_bytes += len ? len : 1;
	message_gap(session, len);
	switch (session->mode) {
	case MODE_COMMAND:
	case MODE_ANSWER:
		session->line_len = session->urgent_count = 0;
		session->line_truncated = false;
		session->line_skip = true;
		session->line_start = session->position;
		session_lose_step(session);
		break;
	case MODE_MESSAGE:
		if (session->place.dot == DOT_SEEN || session->place.dot == DOT_CR)
			message_add(session, session->place.held);
		session->place.dot = DOT_AFTER_GAP;
		session->place.ways = 0;
		message_add(session, len);
		break;
	case MODE_CHUNK:
		if (len < session->chunk_left) {
			session->chunk_left -= len;
			message_add(session, len);
			break;
		}
		message_add(session, session->chunk_left);
		session->chunk_left = 0;
		session->line_start = session->position;
		session->line_skip = true;
		chunk_end(session, time_ns);
		session_lose_step(session);
		break;
	case MODE_OPAQUE:
		session->line_len = session->urgent_count = 0;
		session->line_truncated = false;
		session->line_start = session->position;
		break;
	}
}
