/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation (RFC 5321, with LMTP RFC 2033, pipelining RFC 2920, BDAT RFC 3030, STARTTLS
 * RFC 3207, AUTH RFC 4954).
 *
 * The client's stream is in one of five modes: command lines, the lines of a message, the octets of a
 * BDAT chunk, one answer to a 334, or opaque (TLS). Lines end with LF; CRs before it are cut off, for
 * servers take CRLF, LF alone and CRCRLF. The end of data is a line of one dot after any LF, with CRLF
 * or LF behind it: to take an end that the server does not take shows commands that were text, to miss
 * one that it takes hides a mail, and the second is the worse.
 *
 * Every command line makes the server owe one reply (the message, and each BDAT, one more). What is
 * owed waits in a queue, and each reply takes the first (RFC 5321, 4.5.3.2.7: replies come in order). So
 * a reply is known to be to this MAIL, that RCPT, that message, however they were pipelined. A reply
 * that nothing is owed for, or a hole in either stream, means that the two no longer match: from there
 * the open transactions say so (replies_missing) and their outcome is unknown, until nothing is owed.
 *
 * A transaction is open from MAIL until the end of its data, RSET, a greeting command, or QUIT. It is
 * handed out when it has ended and is owed nothing more; if the server's side cannot be seen, with the
 * client's next command. A second MAIL within a transaction (503) becomes one of its own only when
 * it was accepted, or when nothing is known of replies.
 *
 * DATA: until its reply is known, what follows is taken for the message, as a server that accepts it
 * does. If it is then refused, the client's lines are commands again.
 */
#include "smtp.h"

#include <ctype.h>
#include <stdlib.h>
#include <strings.h>

#include "smtp_command.h"
#include "smtp_session.h"
#include "smtp_transaction.h"

struct smtp_session *smtp_session_new(bool replies, smtp_transaction_fn on_transaction, void *context)
{
	struct smtp_session *session = calloc(1, sizeof(*session));

	if (session) {
		session->replies = replies;
		session->on_transaction = on_transaction;
		session->context = context;
	}
	return session;
}

static void open_free(struct open *open)
{
	if (open)
		smtp_transaction_free(open->transaction);
	free(open);
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
	open_free(session->nested);
	free(session->line);
	free(session->owed);
	free(session);
}

const struct smtp_facts *smtp_session_facts(const struct smtp_session *session)
{
	return &session->facts;
}

uint64_t smtp_client_position(const struct smtp_session *session)
{
	return session->position;
}

uint64_t smtp_oldest_open_position(const struct smtp_session *session)
{
	return session->first ? session->first->transaction->start_pos : UINT64_MAX;
}

/* ---- Transactions --------------------------------------------------------------------------- */

static bool every_recipient_refused(const struct smtp_transaction *transaction)
{
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (!smtp_recipient_refused(transaction, i))
			return false;
	}
	return transaction->recipient_count > 0;
}

/* Success and failure are what the server said; where it said neither, it is unknown. */
static enum smtp_outcome outcome_of(const struct open *open)
{
	if (open->final_code)
		return open->final_code < 300 ? SMTP_OUTCOME_SUCCESS : SMTP_OUTCOME_FAILURE;
	if (open->transaction->replies_missing)
		return SMTP_OUTCOME_UNKNOWN;
	if (open->mail_code >= 400 || open->data_refused || every_recipient_refused(open->transaction))
		return SMTP_OUTCOME_FAILURE;
	return SMTP_OUTCOME_UNKNOWN;
}

/* Takes a transaction off the list and hands it out; one without recipients is none. */
static void hand_out(struct smtp_session *session, struct open *open)
{
	struct open **link = &session->first, *before = NULL;

	while (*link && *link != open) {
		before = *link;
		link = &before->next;
	}
	if (*link == open) {
		*link = open->next;
		if (session->last == open)
			session->last = before;
		session->open_count--;
	}
	for (uint32_t i = 0; i < session->owed_count; i++) {
		struct owed *owed = &session->owed[(session->owed_at + i) & (session->owed_size - 1)];

		if (owed->open == open)
			owed->open = NULL;
	}
	if (session->current == open)
		session->current = NULL;
	open->transaction->outcome = outcome_of(open);
	if (open->transaction->recipient_count || open->transaction->recipients_dropped) {
		session->facts.transactions++;
		open->transaction->number = session->facts.transactions;
		session->on_transaction(session->context, open->transaction);
		open->transaction = NULL;
	}
	open_free(open);
}

/* Nothing more comes: once it is owed nothing, it goes out. */
static void end_transaction(struct smtp_session *session, struct open *open, enum smtp_end end,
			    uint64_t end_pos, uint64_t time_ns)
{
	if (!open)
		return;
	open->ended = true;
	open->transaction->end = end;
	open->transaction->end_pos = end_pos;
	open->transaction->end_ns = time_ns;
	if (session->current == open)
		session->current = NULL;
	if (!open->owed)
		hand_out(session, open);
}

static struct open *make_open(struct smtp_session *session, const struct smtp_command *command,
			      uint64_t time_ns)
{
	struct open *open = calloc(1, sizeof(*open));

	if (!open)
		return NULL;
	open->transaction = smtp_transaction_new(0, session->line_start, time_ns);
	if (!open->transaction ||
	    !smtp_transaction_set_from(open->transaction, command->argument, command->parameters)) {
		open_free(open);
		return NULL;
	}
	open->transaction->replies_missing = session->out_of_step;
	return open;
}

static void begin_transaction(struct smtp_session *session, struct open *open)
{
	if (session->open_count >= SMTP_OPEN_MAX) {
		session->first->transaction->replies_missing = true;
		hand_out(session, session->first);
	}
	*(session->last ? &session->last->next : &session->first) = open;
	session->last = open;
	session->open_count++;
	session->current = open;
}

/* Replies and commands no longer match. */
static void lose_step(struct smtp_session *session)
{
	session->out_of_step = session->owed_count > 0;
	for (struct open *open = session->first; open; open = open->next)
		open->transaction->replies_missing = true;
}

/* ---- What the server owes ------------------------------------------------------------------- */

static struct owed *owed_at(struct smtp_session *session, uint32_t index)
{
	return &session->owed[(session->owed_at + index) & (session->owed_size - 1)];
}

/* Forgets the first: its reply was lost. What it was owed for stays open for what else it is owed. */
static void drop_owed(struct smtp_session *session)
{
	struct open *open = owed_at(session, 0)->open;

	if (owed_at(session, 0)->kind == OWED_NESTED) { /* most likely refused */
		open_free(session->nested);
		session->nested = NULL;
	}
	session->owed_at = (session->owed_at + 1) & (session->owed_size - 1);
	session->owed_count--;
	if (open && --open->owed == 0 && open->ended)
		hand_out(session, open);
}

static bool owed_grow(struct smtp_session *session)
{
	uint32_t size = session->owed_size ? session->owed_size * 2 : EXPECTED_FIRST;
	struct owed *bigger;

	if (size > SMTP_EXPECTED_MAX)
		return false;
	bigger = malloc(size * sizeof(*bigger));
	if (!bigger)
		return false;
	for (uint32_t i = 0; i < session->owed_count; i++)
		bigger[i] = session->owed[(session->owed_at + i) & (session->owed_size - 1)];
	free(session->owed);
	session->owed = bigger;
	session->owed_size = size;
	session->owed_at = 0;
	return true;
}

static void owe(struct smtp_session *session, enum owed_kind kind, struct open *open, uint32_t recipient)
{
	if (session->owed_count == session->owed_size && !owed_grow(session)) {
		session->facts.expected_dropped++;
		lose_step(session);
		return;
	}
	session->owed[(session->owed_at + session->owed_count++) & (session->owed_size - 1)] =
		(struct owed){.kind = kind, .open = open, .recipient = recipient};
	if (open)
		open->owed++;
}

/* The end of data, by DATA or BDAT: one reply, or with LMTP one for each recipient that was not refused. */
static void owe_message(struct smtp_session *session, struct open *open)
{
	uint32_t replies = 1;

	if (open && session->facts.protocol == SMTP_PROTOCOL_LMTP) {
		replies = 0;
		for (uint32_t i = 0; i < open->transaction->recipient_count; i++)
			replies += !smtp_recipient_refused(open->transaction, i);
	}
	while (replies--)
		owe(session, OWED_MESSAGE, open, 0);
}

/* ---- The client's commands ------------------------------------------------------------------ */

static void keep_word(char *out, uint16_t *len, struct span word, bool upper)
{
	*len = (uint16_t)(word.len < SMTP_WORD_MAX ? word.len : SMTP_WORD_MAX);
	for (uint16_t i = 0; i < *len; i++)
		out[i] = upper ? (char)toupper((unsigned char)word.data[i]) : word.data[i];
}

static void on_greeting_command(struct smtp_session *session, const struct smtp_command *command,
				uint64_t time_ns)
{
	/* Without a name it is mostly refused, and a refused one resets nothing (RFC 5321, 4.1.4). */
	if (!command->argument.len && session->replies && session->facts.protocol != SMTP_PROTOCOL_UNKNOWN) {
		owe(session, OWED_GREETING, NULL, 0);
		return;
	}
	session->facts.protocol = command->verb == SMTP_VERB_HELO   ? SMTP_PROTOCOL_SMTP
				  : command->verb == SMTP_VERB_EHLO ? SMTP_PROTOCOL_ESMTP
								    : SMTP_PROTOCOL_LMTP;
	keep_word(session->facts.helo, &session->facts.helo_len, command->argument, false);
	end_transaction(session, session->current, SMTP_END_RESET, session->line_start, time_ns);
	owe(session, OWED_OTHER, NULL, 0);
}

static void on_mail(struct smtp_session *session, const struct smtp_command *command, uint64_t time_ns)
{
	struct open *current = session->current, *open = make_open(session, command, time_ns);

	if (!open) {
		owe(session, OWED_OTHER, NULL, 0);
		return;
	}
	if (current && current->mail_code < 400 && session->replies && !session->out_of_step) {
		open_free(session->nested);
		session->nested = open; /* 503, most likely: its reply will tell */
		owe(session, OWED_NESTED, NULL, 0);
		return;
	}
	end_transaction(session, current, SMTP_END_RESET, session->line_start, time_ns);
	begin_transaction(session, open);
	owe(session, OWED_MAIL, open, 0);
}

static void on_rcpt(struct smtp_session *session, const struct smtp_command *command)
{
	struct open *current = session->current;

	if (current && smtp_transaction_add(current->transaction, command->argument))
		owe(session, OWED_RCPT, current, current->transaction->recipient_count - 1);
	else
		owe(session, OWED_OTHER, NULL, 0);
}

static void on_data(struct smtp_session *session)
{
	owe(session, OWED_DATA, session->current, 0);
	session->data_waits = true;
	session->mode = MODE_MESSAGE;
	session->place = (struct message_place){.dot = DOT_LINE_START};
	if (session->current)
		session->current->transaction->data_started = true;
}

static void end_message(struct smtp_session *session, uint64_t time_ns)
{
	struct open *open = session->current;

	session->mode = MODE_COMMAND;
	session->data_waits = false;
	owe_message(session, open);
	end_transaction(session, open, SMTP_END_DATA, session->position, time_ns);
}

static void end_chunk(struct smtp_session *session, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	if (session->chunk_last)
		end_transaction(session, session->current, SMTP_END_DATA, session->position, time_ns);
}

static void on_bdat(struct smtp_session *session, const struct smtp_command *command, uint64_t time_ns)
{
	struct open *open = session->current;

	if (open)
		open->transaction->data_started = true;
	if (command->last)
		owe_message(session, open);
	else
		owe(session, OWED_CHUNK, open, 0);
	session->chunk_left = command->size;
	session->chunk_last = command->last;
	session->mode = MODE_CHUNK;
	if (!command->size)
		end_chunk(session, time_ns);
}

/* How many lines a mechanism takes, where no replies are there to tell (RFC 4616, 7628, 2195). */
static uint32_t answers_of(const struct smtp_command *command)
{
	uint32_t answers =
		command->argument.len == 5 && strncasecmp(command->argument.data, "LOGIN", 5) == 0 ? 2 : 1;

	return command->parameters.len ? answers - 1 : answers;
}

static void on_auth(struct smtp_session *session, const struct smtp_command *command)
{
	keep_word(session->facts.auth_mechanism, &session->facts.auth_mechanism_len, command->argument, true);
	owe(session, OWED_AUTH, NULL, 0);
	session->auth_open = true;
	if (session->replies)
		return;
	session->answers_left = answers_of(command);
	if (session->answers_left)
		session->mode = MODE_ANSWER;
}

static void on_starttls(struct smtp_session *session, uint64_t time_ns)
{
	owe(session, OWED_STARTTLS, NULL, 0);
	session->tls_next = true;
	if (!session->replies)
		session->facts.starttls = true;
	end_transaction(session, session->current, SMTP_END_RESET, session->line_start, time_ns);
}

static void do_command(struct smtp_session *session, const struct smtp_command *command, uint64_t time_ns)
{
	switch (command->verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO: on_greeting_command(session, command, time_ns); break;
	case SMTP_VERB_MAIL: on_mail(session, command, time_ns); break;
	case SMTP_VERB_RCPT: on_rcpt(session, command); break;
	case SMTP_VERB_DATA: on_data(session); break;
	case SMTP_VERB_BDAT: on_bdat(session, command, time_ns); break;
	case SMTP_VERB_AUTH: on_auth(session, command); break;
	case SMTP_VERB_STARTTLS: on_starttls(session, time_ns); break;
	case SMTP_VERB_RSET:
	case SMTP_VERB_QUIT:
		end_transaction(session, session->current,
				command->verb == SMTP_VERB_QUIT ? SMTP_END_CLOSE : SMTP_END_RESET,
				session->line_start, time_ns);
		owe(session, OWED_OTHER, NULL, 0);
		break;
	case SMTP_VERB_OTHER:
	case SMTP_VERB_NONE: owe(session, OWED_OTHER, NULL, 0); break;
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

static void on_command_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	struct smtp_command command = smtp_command_parse(line);

	/* Nobody answers here: what has ended goes out with the next command. */
	for (struct open *open = session->first, *next; open && !session->replies; open = next) {
		next = open->next;
		if (open->ended)
			hand_out(session, open);
	}
	session->facts.commands++;
	if (command.verb != SMTP_VERB_NONE)
		session->facts.commands_seen = true;
	if (smtp_command_certain(line, true) && command.verb != SMTP_VERB_AUTH &&
	    command.verb != SMTP_VERB_QUIT && command.verb != SMTP_VERB_RSET)
		session->auth_open = false; /* the client is past it; a 334 opens it again */
	if (contains(line, "MAIL FROM:"))
		session->facts.mail_from_seen = true;
	if (contains(line, "RCPT TO:"))
		session->facts.rcpt_to_seen = true;
	do_command(session, &command, time_ns);
	if (session->current)
		session->current->transaction->end_pos = session->position;
}

/* A line that answers a 334. It is forgotten here. */
static void on_answer_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	session->mode = MODE_COMMAND;
	session->line_skip = false; /* the end of an answer is one too */
	if (session->replies) {
		owe(session, OWED_AUTH, NULL, 0);
		return;
	}
	if (smtp_command_certain(line, true)) {
		session->answers_left = 0;
		session->auth_open = false;
		on_command_line(session, line, time_ns);
		return;
	}
	owe(session, OWED_AUTH, NULL, 0);
	if (--session->answers_left)
		session->mode = MODE_ANSWER;
	else
		session->auth_open = false;
}

/* ---- The client's stream -------------------------------------------------------------------- */

static bool line_keep(struct smtp_session *session, struct span part)
{
	size_t room = SMTP_LINE_MAX - session->line_len;

	if (!session->line)
		session->line = malloc(SMTP_LINE_MAX);
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

/* Whether TLS begins with these bytes at the start of a line: a handshake record, which no command resembles. */
static bool is_tls(const struct smtp_session *session, struct span data)
{
	return session->tls_next && session->position == session->line_start && data.len &&
	       data.data[0] == 0x16;
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
		line = (struct span){session->line ? session->line : "", session->line_len};
	}
	if (!end)
		return taken;
	if (line.len > SMTP_LINE_MAX) {
		line.len = SMTP_LINE_MAX;
		session->line_truncated = true;
	}
	if (session->line_truncated)
		session->facts.lines_truncated++;
	if (session->line_skip && session->mode == MODE_COMMAND)
		session->line_skip = false;
	else if (session->mode == MODE_ANSWER)
		on_answer_line(session, without_cr(line), time_ns);
	else
		on_command_line(session, without_cr(line), time_ns);
	if (kept && session->line)
		explicit_bzero(session->line, session->line_len);
	session->line_len = 0;
	session->line_truncated = false;
	session->line_start = session->position;
	return taken;
}

/* Counts bytes of the message. */
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
	place->dot = end ? DOT_LINE_START : DOT_NO;
	*bytes += taken;
	return taken;
}

static size_t take_message(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	uint64_t bytes;
	size_t taken = smtp_message_next(&session->place, data, &bytes);

	session->position += taken;
	message_add(session, bytes);
	if (session->place.dot == DOT_END) {
		session->line_start = session->position;
		end_message(session, time_ns);
	}
	return taken;
}

static size_t take_chunk(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	size_t taken = data.len < session->chunk_left ? data.len : (size_t)session->chunk_left;

	session->position += taken;
	session->chunk_left -= taken;
	message_add(session, taken);
	if (!session->chunk_left) {
		session->line_start = session->position;
		end_chunk(session, time_ns);
	}
	return taken;
}

void smtp_client_data(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	session->facts.client_bytes += data.len;
	while (data.len) {
		size_t taken = data.len;

		switch (session->mode) {
		case MODE_COMMAND:
		case MODE_ANSWER: taken = take_line(session, data, time_ns); break;
		case MODE_MESSAGE: taken = take_message(session, data, time_ns); break;
		case MODE_CHUNK: taken = take_chunk(session, data, time_ns); break;
		case MODE_OPAQUE: session->position += data.len; break;
		}
		data.data += taken;
		data.len -= taken;
	}
}

void smtp_client_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns)
{
	session->position += len;
	session->facts.client_missing += len ? len : 1;
	if (session->current)
		session->current->transaction->missing_bytes += len ? len : 1;
	switch (session->mode) {
	case MODE_COMMAND:
	case MODE_ANSWER:
		session->line_len = 0;
		session->line_truncated = false;
		session->line_skip = true;
		session->line_start = session->position;
		lose_step(session);
		break;
	case MODE_MESSAGE:
		if (session->place.dot == DOT_SEEN || session->place.dot == DOT_CR)
			message_add(session, session->place.held);
		session->place.dot = DOT_AFTER_GAP;
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
		end_chunk(session, time_ns);
		lose_step(session);
		break;
	case MODE_OPAQUE: break;
	}
}

/* ---- The server's replies ------------------------------------------------------------------- */

static void keep_reply(struct smtp_session *session, struct open *open, uint16_t code, uint64_t time_ns)
{
	struct smtp_transaction *transaction = open->transaction;

	transaction->reply_code = code;
	transaction->reply_len = (uint16_t)session->reply_text_len;
	memcpy(transaction->reply_text, session->reply_text, session->reply_text_len);
	if (open->ended)
		transaction->end_ns = time_ns;
}

/* The reply to a MAIL within a transaction: an accepted one ends what was before. */
static void on_nested_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct open *nested = session->nested;

	session->nested = NULL;
	if (!nested)
		return;
	if (code >= 300) {
		open_free(nested);
		return;
	}
	end_transaction(session, session->current, SMTP_END_RESET, nested->transaction->start_pos, time_ns);
	nested->mail_code = code;
	begin_transaction(session, nested);
	keep_reply(session, nested, code, time_ns);
}

/* The reply to DATA: 354, and the message follows; anything else, and it does not. */
static void on_data_reply(struct smtp_session *session, struct open *open, uint16_t code)
{
	bool accepted = code >= 300 && code < 400;

	if (open && !accepted)
		open->data_refused = true;
	if (accepted || !session->data_waits) {
		session->data_waits = false;
		return;
	}
	session->data_waits = false;
	if (session->mode != MODE_MESSAGE)
		return;
	session->mode = MODE_COMMAND;
	session->line_start = session->position;
	if (open && open->transaction->bytes) { /* what was taken for the message was commands */
		session->line_skip = session->place.dot != DOT_LINE_START;
		lose_step(session);
	}
}

static void on_auth_reply(struct smtp_session *session, uint16_t code)
{
	if (code == 334) {
		if (session->mode == MODE_COMMAND)
			session->mode = MODE_ANSWER;
		session->auth_open = true;
		return;
	}
	session->auth_open = false;
	if (session->mode == MODE_ANSWER)
		session->mode = MODE_COMMAND;
}

static void on_message_reply(struct open *open, uint16_t code)
{
	if (open && (!open->final_code || code < 300))
		open->final_code = code;
}

static void on_owed_reply(struct smtp_session *session, const struct owed *owed, uint16_t code,
			  uint64_t time_ns)
{
	struct open *open = owed->open;

	switch (owed->kind) {
	case OWED_MAIL:
		if (open)
			open->mail_code = code;
		break;
	case OWED_NESTED: on_nested_reply(session, code, time_ns); return;
	case OWED_GREETING:
		if (code < 300)
			end_transaction(session, session->current, SMTP_END_RESET, session->line_start,
					time_ns);
		break;
	case OWED_RCPT:
		if (open)
			open->transaction->recipients[owed->recipient].code = code;
		break;
	case OWED_DATA: on_data_reply(session, open, code); break;
	case OWED_CHUNK:
		if (open && code >= 400)
			open->data_refused = true;
		break;
	case OWED_MESSAGE: on_message_reply(open, code); break;
	case OWED_AUTH: on_auth_reply(session, code); break;
	case OWED_STARTTLS:
		session->facts.starttls = session->facts.starttls || code == 220;
		session->tls_next = session->tls_next && code == 220;
		break;
	case OWED_OTHER:
		if (code == 354 &&
		    session->mode == MODE_COMMAND) { /* it was a DATA, in a form unknown here */
			session->mode = MODE_MESSAGE;
			session->place = (struct message_place){.dot = DOT_LINE_START};
			if (session->current)
				session->current->transaction->data_started = true;
		}
		break;
	}
	if (!open)
		return;
	keep_reply(session, open, code, time_ns);
	if (--open->owed == 0 && open->ended)
		hand_out(session, open);
}

/* A reply for which nothing is owed: something was hidden from us, or the server says goodbye (421). */
static void on_surplus_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct open *open = session->current;

	if (code == 421)
		return;
	lose_step(session);
	/* It answers what a hole hid: nothing came since, so a line ended there. */
	if (session->line_skip && session->position == session->line_start)
		session->line_skip = false;
	if (code == 334 || session->mode == MODE_ANSWER)
		on_auth_reply(session, code); /* the AUTH, or an answer, is what was hidden */
	/* After a gap, the end of data itself may be what is missing. */
	if (session->mode == MODE_MESSAGE && open && open->transaction->missing_bytes) {
		open->final_code = code;
		keep_reply(session, open, code, time_ns);
		session->mode = MODE_COMMAND;
		session->line_start = session->position;
		session->line_skip =
			session->place.dot != DOT_LINE_START && session->place.dot != DOT_AFTER_GAP;
		end_transaction(session, open, SMTP_END_DATA, session->position, time_ns);
	}
}

/*
 * 354 answers a DATA and nothing else. Where one is owed further back, what is owed before it was answered
 * by replies that were never seen.
 */
static void step_to_data(struct smtp_session *session)
{
	uint32_t skip = 0;

	while (skip < session->owed_count && owed_at(session, skip)->kind != OWED_DATA &&
	       owed_at(session, skip)->kind != OWED_OTHER)
		skip++;
	if (!skip || skip == session->owed_count || owed_at(session, skip)->kind != OWED_DATA)
		return;
	lose_step(session);
	while (skip--)
		drop_owed(session);
}

static void on_reply(struct smtp_session *session, uint16_t code, uint64_t time_ns)
{
	struct owed owed;

	session->facts.replies++;
	if (!session->greeted) {
		session->greeted = true;
		if (code == 220 && session->facts.replies == 1) {
			session->facts.greeting_seen = true;
			return;
		}
		if (!session->owed_count && code != 334)
			return; /* a refusal to greet, or the answer to what came before the watch */
	}
	if (!session->owed_count) {
		on_surplus_reply(session, code, time_ns);
		return;
	}
	if (code == 354)
		step_to_data(session);
	owed = *owed_at(session, 0);
	session->owed_at = (session->owed_at + 1) & (session->owed_size - 1);
	session->owed_count--;
	on_owed_reply(session, &owed, code, time_ns);
	if (!session->owed_count)
		session->out_of_step = false;
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

/* RFC 5321, 4.2: three digits; a hyphen behind them means that more lines follow. */
static void on_reply_line(struct smtp_session *session, struct span line, uint64_t time_ns)
{
	uint16_t code;

	if (line.len < 3 || line.data[0] < '2' || line.data[0] > '5' ||
	    !isdigit((unsigned char)line.data[1]) || !isdigit((unsigned char)line.data[2]))
		return;
	code = (uint16_t)((line.data[0] - '0') * 100 + (line.data[1] - '0') * 10 + (line.data[2] - '0'));
	if (line.len > 4)
		reply_text_add(session, (struct span){line.data + 4, line.len - 4});
	if (line.len > 3 && line.data[3] == '-')
		return;
	on_reply(session, code, time_ns);
	session->reply_text_len = 0;
}

static bool is_opaque(const struct smtp_session *session)
{
	return session->mode == MODE_OPAQUE;
}

void smtp_server_data(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	session->facts.server_bytes += data.len;
	session->server_seen = true;
	while (data.len && !is_opaque(session)) {
		const char *end = memchr(data.data, '\n', data.len);
		size_t len = end ? (size_t)(end - data.data) : data.len;
		size_t room = REPLY_LINE_MAX - session->reply_line_len;

		if (room > len)
			room = len;
		memcpy(session->reply_line + session->reply_line_len, data.data, room);
		session->reply_line_len += (uint32_t)room;
		if (end && !session->reply_skip)
			on_reply_line(session,
				      without_cr((struct span){session->reply_line, session->reply_line_len}),
				      time_ns);
		if (end) {
			session->reply_line_len = 0;
			session->reply_skip = false;
		}
		data.data += len + (end ? 1 : 0);
		data.len -= len + (end ? 1 : 0);
	}
}

void smtp_server_gap(struct smtp_session *session, uint64_t len, uint64_t time_ns)
{
	(void)time_ns;
	session->server_seen = true;
	session->facts.server_missing += len ? len : 1;
	session->reply_line_len = 0;
	session->reply_text_len = 0;
	session->reply_skip = true;
	session->greeted = true;
	lose_step(session);
}

void smtp_session_close(struct smtp_session *session, uint64_t time_ns)
{
	if (session->current)
		end_transaction(session, session->current, SMTP_END_CLOSE, session->position, time_ns);
	while (session->first)
		hand_out(session, session->first);
}
