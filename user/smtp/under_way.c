/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A transaction that was under way when the watch began.
 *
 * Theory of operation. Of a connection that is older than the watch, the first thing that is seen
 * tells where it is:
 *
 *   client: a command          between two commands. If it is RCPT, DATA or BDAT, the MAIL before
 *                              it was not seen, and the transaction is under way.
 *   server: 354                DATA was sent before the start; the message begins now.
 *   client: lines of text      a message is on its way, or something else that is no mail.
 *   client: binary             TLS, or another protocol: nothing can be told.
 *   nothing                    an idle connection: nothing is under way.
 *
 * Lines of text are taken for a message once there are UNDER_TEXT_MIN bytes of them. Ciphertext
 * never has that many bytes without a control character, and the answer to a 334 is a single line
 * of base64. On a port for mail that is enough to report the transaction at once; on any other port
 * the server must confirm it first: by a reply behind the end of data.
 *
 * The message ends with a line that is a single dot. If bytes of it were not captured, the dot may
 * be among them, and then the server's next reply ends it: it has nothing else to say during a
 * message. A reply with neither a dot nor a gap before it shows that the lines were no message. So
 * does a command of a new transaction; that command is then parsed as usual.
 *
 * Lines stay in the mode of commands until the transaction ends: its header was sent before the
 * start, so there is nothing to parse, and no command is missed if the lines were no message.
 */
#include "smtp/session.h"

#define UNDER_TEXT_MIN 16U

void smtp_session_under_way(struct smtp_session *session, bool mail_port)
{
	session->under = UNDER_SILENT;
	session->under_mail_port = mail_port;
}

bool smtp_session_is_unsettled(const struct smtp_session *session)
{
	return session->under == UNDER_TEXT || session->under == UNDER_MESSAGE;
}

/* ---- What lines look like -------------------------------------------------------------------- */

static bool is_base64(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		char c = line.data[i];

		if (!(c >= 'a' && c <= 'z') && !(c >= 'A' && c <= 'Z') && !(c >= '0' && c <= '9') &&
		    c != '+' && c != '/' && c != '=')
			return false;
	}
	return true;
}

/* A control character that no text has (ESC begins a shift of ISO 2022). */
static bool is_binary(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		unsigned char c = (unsigned char)line.data[i];

		if ((c < ' ' && c != '\t' && c != '\r' && c != '\f' && c != 0x1b) || c == 0x7f)
			return true;
	}
	return false;
}

static bool is_ascii(struct span line)
{
	for (size_t i = 0; i < line.len; i++) {
		if ((unsigned char)line.data[i] >= 0x80)
			return false;
	}
	return true;
}

/* A command, unless its first word is one that begins sentences too. */
static bool is_first_command(struct span line)
{
	struct smtp_command command = smtp_command_parse(line);

	if (command.verb == SMTP_VERB_OTHER)
		return !memchr(line.data, ' ', line.len) || strncasecmp(line.data, "NOOP", 4) == 0;
	return command.verb != SMTP_VERB_NONE;
}

/* A command that a message hardly quotes and that a new transaction cannot do without. */
static bool is_new_transaction(struct span line)
{
	struct smtp_command command = smtp_command_parse(line);

	switch (command.verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO: return command.argument.len > 0;
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT: return true;
	default: return false;
	}
}

/* ---- The transaction ------------------------------------------------------------------------- */

/* Begins it at `start_pos`. False: no memory. */
static bool begin(struct smtp_session *session, uint64_t start_pos, uint64_t time_ns)
{
	struct open *open = open_begin_unknown(session, time_ns);

	session->under = UNDER_OVER;
	if (!open)
		return false;
	open->transaction->start_pos = start_pos;
	open->transaction->under_way = open->transaction->data_started = true;
	open->data_taken = true;
	open->confirmed = session->under_mail_port;
	return true;
}

/* It ends with this reply, which is not owed to any command that was seen. */
static void end_with(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct open *open = session->current;

	session->under = UNDER_OVER;
	session->under_reply = true;
	session->line_skip = false;
	if (!open)
		return;
	open->confirmed = true;
	open->final_code = code;
	open_keep_reply(session, open, OWED_MESSAGE, code, time_ns);
	open_end(session, open, SMTP_END_DATA, session->position, time_ns);
}

/* Its end was not seen. `doubtful`: most likely it was no message. */
static void give_up(struct smtp_session *session, uint64_t end_pos, bool doubtful, uint64_t time_ns)
{
	struct open *open = session->current;

	session->under = UNDER_OVER;
	if (!open)
		return;
	open->transaction->doubtful = doubtful;
	open_end(session, open, SMTP_END_CLOSE, end_pos, time_ns);
}

void smtp_session_assume_under_way(struct smtp_session *session, uint64_t time_ns)
{
	if (session->under == UNDER_SILENT && begin(session, session->position, time_ns))
		session->under = UNDER_MESSAGE;
}

/* ---- The client ------------------------------------------------------------------------------ */

static void message_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	struct open *open = session->current;

	if (!session->line_skip && line.len == 1 && line.data[0] == '.') {
		session->under = UNDER_OVER;
		owed_add_message(session, open);
		open_end(session, open, SMTP_END_DATA, session->position, time_ns);
		return;
	}
	open->transaction->bytes += session->position - session->line_start;
	open->transaction->end_pos = session->position;
}

/* Counts a line of text. True: there is enough of it for a message. */
static bool is_enough(struct smtp_session *session, struct span line)
{
	if (session->under == UNDER_SILENT) {
		session->under_start = session->line_start;
		session->under_lines = session->under_text = 0;
	}
	session->under = UNDER_TEXT;
	session->under_lines++;
	if (line.len == 1 && line.data[0] == '.' && !session->line_skip)
		return true;
	if (is_ascii(line))
		session->under_text += (uint32_t)line.len;
	return session->under_text >= UNDER_TEXT_MIN &&
	       (session->under_lines > 1 || !is_base64(line));
}

/* The first lines: true if the line belongs to a message, as far as is known. */
static bool first_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	enum smtp_verb verb = smtp_command_parse(line).verb;

	if (!session->line_skip && is_first_command(line)) {
		session->under =
			verb == SMTP_VERB_RCPT || verb == SMTP_VERB_DATA || verb == SMTP_VERB_BDAT
				? UNDER_ENVELOPE
				: UNDER_OVER;
		return false;
	}
	if (is_binary(line) || (!session->line_skip && side_of_server(line) == SIDE_SMTP) ||
	    session->client_side == SIDE_OTHER) {
		session->under = UNDER_OVER;
		return false;
	}
	if (!is_enough(session, line))
		return true;
	if (!begin(session, session->under_start, time_ns))
		return false;
	session->under = UNDER_MESSAGE;
	/* the lines before this one, which message_line() counts unless it is the end */
	session->current->transaction->bytes = session->line_start - session->under_start;
	message_line(session, line, time_ns);
	return true;
}

bool under_way_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	bool taken;

	if (session->under == UNDER_MESSAGE && session->current && is_new_transaction(line)) {
		give_up(session, session->line_start, false, time_ns);
		return false;
	}
	if (session->under == UNDER_MESSAGE && session->current) {
		message_line(session, line, time_ns);
		taken = true;
	} else {
		taken = first_line(session, line, time_ns);
	}
	session->line_skip = session->line_skip && !taken;
	return taken;
}

void under_way_gap(struct smtp_session *session, uint64_t len)
{
	session->under_gap = true;
	if (session->under == UNDER_MESSAGE && session->current)
		session->current->transaction->bytes += len;
}

void smtp_session_skipped(struct smtp_session *session)
{
	struct open *open = session->current;

	if (session->under == UNDER_OVER)
		return;
	session->under_gap = true;
	if (session->under == UNDER_MESSAGE && open && !open->transaction->missing_bytes)
		open->transaction->missing_bytes = 1;
}

/* ---- The server ------------------------------------------------------------------------------ */

/* 354 to a DATA from before the start: the whole message is still to come. */
static void message_begins(struct smtp_session *session, uint64_t time_ns)
{
	if (!begin(session, session->position, time_ns))
		return;
	session->current->confirmed = true;
	session->mode = MODE_MESSAGE;
	session->place = (struct message_place){.dot = DOT_LINE_START, .crlf = true};
}

/* A reply before the client's lines were taken for a message. True: it is about one. */
static bool first_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	bool silent = session->under == UNDER_SILENT;

	if (silent && code == 354 && session->position == session->line_start &&
	    !session->line_len) {
		message_begins(session, time_ns);
		return true;
	}
	/* bytes passed that were not copied: they did not look like a command */
	if (session->under_gap && session->under_mail_port && code != 334) {
		if (!begin(session, silent ? session->position : session->under_start, time_ns))
			return false;
		session->current->transaction->missing_bytes = 1;
		end_with(session, code, time_ns);
		return true;
	}
	/* Silence may go on: this is the reply to what was sent before the start. */
	if (!silent || code == 334)
		session->under = UNDER_OVER;
	return false;
}

bool under_way_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	if (code == 421)
		return false;
	if (session->under == UNDER_SILENT || session->under == UNDER_TEXT)
		return first_reply(session, code, time_ns);
	if (session->under != UNDER_MESSAGE)
		return false;
	if (session->under_gap)
		end_with(session, code, time_ns);
	else
		give_up(session, session->position, true, time_ns);
	return true;
}
