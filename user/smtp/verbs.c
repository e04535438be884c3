/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What each command of the client does to the session. The theory is in smtp.c. */
#include <ctype.h>
#include <strings.h>

#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/session.h"
#include "smtp/transaction.h"

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

	/* Servers mostly refuse a greeting without a name. */
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

static void on_starttls(struct smtp_session *session, uint64_t time_ns)
{
	session->tls_next = session->replies || !session->doubt;
	if (!session->replies)
		session->facts.starttls = true;
	open_interrupt(session, OWED_STARTTLS, time_ns);
}

/* ---- The envelope ---------------------------------------------------------------------------- */

/*
 * SMTP smuggling: a message contains an end of data that only some servers accept, and a second
 * mail after it. A client that ends its data that way in earnest waits for the reply before the
 * next MAIL.
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
	 * If this MAIL is refused, the current transaction continues. Without recipients it would
	 * not be reported, so the new one is marked.
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

	if (!open)
		owed_add(session, OWED_OTHER, NULL, 0);
	else if (smtp_transaction_add(open->transaction, command))
		owed_add(session, OWED_RCPT, open, open->transaction->recipient_count - 1);
	else
		owed_add(session, OWED_RCPT, open, RECIPIENT_DROPPED);
}

/* ---- DATA and BDAT --------------------------------------------------------------------------- */

/* True if what follows a DATA or BDAT is to be kept until the reply. */
static bool is_waited_for(const struct smtp_session *session)
{
	return session->replies && !session->out_of_step && !session->unkept;
}

/*
 * Without replies: the server refuses data for no recipient, so commands follow. The exception is a
 * stream with gaps, or without its beginning: there the recipients may have been missed.
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

/* The transaction that the data belongs to; NULL: no memory. */
static struct open *on_data_begin(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open =
		session->current ? session->current : open_begin_unknown(session, time_ns);

	if (open)
		open->transaction->data_started = open->data_asked = true;
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
	session->place = (struct message_place){.dot = DOT_LINE_START, .crlf = session->line_crlf};
	session->soft_allowed = !session->line_crlf;
	session->soft_end = false;
}

/* A server may misread the size of a larger chunk: Exim stores it in 32 bits. */
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
	/* Either octets or commands follow: they are parsed as both. */
	if (open)
		open->transaction->replies_missing = true;
	session->mode = MODE_COMMAND;
	session->ghost_left = size;
	session->ghost = open;
}

/*
 * The last end of data may not be one and is not answered yet, so the message may continue. A line
 * that is not a command is then most likely text, and no reply is owed for it. A BDAT is ignored,
 * because commands hidden in its octets could not be recovered.
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
 * "BDAT 18 x" is malformed (501), but Exim reads the number and consumes 18 octets. The number is
 * read as Exim reads it; one that exceeds 32 bits has no known value.
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

/* ---- AUTH ------------------------------------------------------------------------------------ */

/* Without replies: the number of client responses that a mechanism needs (RFC 4616, 7628, 2195). */
static uint32_t answers_of(const struct smtp_command *command)
{
	uint32_t answers =
		command->argument.len == 5 && strncasecmp(command->argument.data, "LOGIN", 5) == 0
			? 2
			: 1;

	return command->parameters.len ? answers - 1 : answers;
}

/* Keeps the user that a response names, but not the response. */
static void on_auth_response(struct smtp_session *session, struct span response)
{
	struct smtp_facts *facts = &session->facts;
	struct span mechanism = {facts->auth_mechanism, facts->auth_mechanism_len};
	size_t len;

	secrecy_keep(session, response, true);
	len = smtp_auth_user(mechanism, session->auth_step++, response, facts->auth_user,
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
	session->auth_open = session->auth_doubt = true;
	if (session->replies)
		return;
	session->answers_left = answers_of(command);
	if (session->answers_left)
		session->mode = MODE_ANSWER;
}

/* ---- Command lines --------------------------------------------------------------------------- */

/* True if the line is its verb alone. A server may refuse RSET and QUIT with an argument. */
static bool is_bare(struct span line)
{
	size_t words = 0;

	for (size_t i = 0; i < line.len; i++) {
		bool blank = line.data[i] == ' ' || line.data[i] == '\t';

		words += !blank && (!i || line.data[i - 1] == ' ' || line.data[i - 1] == '\t');
	}
	return words == 1;
}

/* A line that is not a command. Among the octets of a refused chunk, servers rarely answer it. */
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

/* True if a transaction that has ended is reported without waiting for a reply. */
static bool goes_out(const struct smtp_session *session)
{
	return !session->replies && !(session->doubt && session->soft_end);
}

/* An AUTH is over, or the client gave it up, if this is certainly a command. */
static void look_for_auth_end(struct smtp_session *session, const struct smtp_command *command,
			      struct span line)
{
	bool certain = is_certain_command(line, true) && command->verb != SMTP_VERB_AUTH &&
		       command->verb != SMTP_VERB_QUIT && command->verb != SMTP_VERB_RSET;

	if (certain)
		session->auth_open = false; /* the client moved on; a 334 opens it again */
	if (certain || (!session->auth_open && secrecy_ends(command->verb)))
		session->auth_doubt = false;
}

/* A line that may be a secret: so may be what the server replies to it. */
static void on_secret(struct smtp_session *session, struct span line, uint32_t owed_before)
{
	secrecy_keep(session, line, false);
	session->auth_step++;
	if (session->owed_count > owed_before)
		owed_at(session, session->owed_count - 1)->secret = true;
}

void verbs_command_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	struct smtp_command command = smtp_command_parse(line);
	bool secret = secrecy_of_line(session, line);
	uint32_t owed = session->owed_count;
	uint64_t carried;

	/* Without replies, the next command reports what has ended. */
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
	carried = carried_by(session, &command, line);
	side_of_command(session, &command, line);
	look_for_auth_end(session, &command, line);
	if (!session->facts.mail_from_seen && contains(line, "MAIL FROM:"))
		session->facts.mail_from_seen = true;
	if (!session->facts.rcpt_to_seen && contains(line, "RCPT TO:"))
		session->facts.rcpt_to_seen = true;
	if (session->mid_stream && !session->facts.commands_seen)
		return;
	do_command(session, &command, line, time_ns);
	carried_command(session, &command, carried);
	if (secret)
		on_secret(session, line, owed);
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

void verbs_answer_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	session->line_skip = false; /* the end of an answer cut by a gap counts as an answer */
	if (is_certain_command(line, !session->replies)) {
		session->facts.auth_user_len =
			0; /* the exchange was given up: the name is not confirmed */
		session->answers_left = 0;
		session->auth_open = false;
		verbs_command_line(session, line, time_ns);
		return;
	}
	carried_answer(session, line);
	on_auth_response(session, line);
	owed_add(session, OWED_AUTH, NULL, 0);
	if (session->replies)
		return;
	if (--session->answers_left)
		session->mode = MODE_ANSWER;
	else
		session->auth_open = false;
}
