/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the bytes are walked as the session would take them, on a copy of the little
 * that decides what a line is (the mode, the beginning of the line, whether an AUTH is open). Where
 * it is not certain that a line is a command, an AUTH being open, it is taken for a secret: a
 * command too many that is hidden costs a replay something, a secret that is kept cannot be taken
 * back. Of a response that is seen whole, in its place, the user's name is left, for a replay to
 * find.
 */
#include "smtp/smtp.h"

#include <strings.h>

#include "smtp/auth.h"
#include "smtp/command.h"
#include "smtp/session.h"

static bool is_dot(struct span line)
{
	return line.len == 1 && line.data[0] == '.';
}

static void mask(char *data, size_t from, size_t to)
{
	for (size_t i = from; i < to; i++) {
		if (data[i] != '\r' && data[i] != '\n')
			data[i] = '*';
	}
}

/* Where masking is: what the session would be in, had it taken the bytes before. */
struct masking {
	enum mode mode;
	struct message_place place;
	uint64_t chunk_left;
	const char *head; /* the beginning of a line, seen earlier */
	size_t head_len;
	const struct smtp_session *session;
	/* the next line is, from its first byte, the answer that the session waits for */
	bool exact;
	bool in_order;
	bool confirmed; /* the server took the DATA: what follows is a message */
	/* the DATA is not answered: what follows may be commands, and is masked as such */
	bool waits;
	bool recipients; /* there are some: a BDAT is most likely taken */
	bool secret;	 /* an AUTH is open: what is no command may be an answer */
	bool answer;	 /* the next line is one, or the end of a line that nobody saw begin */
	bool doubtful;	 /* the next line may be the end of one that nobody saw begin */
};

/* Behind a DATA or BDAT that is not answered. */
static void masking_behind(struct masking *masking)
{
	const struct smtp_session *session = masking->session;
	uint64_t chunk = behind_chunk(session), kept = session->behind.len;
	struct span line = behind_line(session);

	masking->waits = session->mode == MODE_MESSAGE;
	/* Octets that are likely not to be taken: a line may begin wherever they end. */
	if (session->mode == MODE_CHUNK && !chunk)
		masking->secret = true;
	masking->mode = MODE_COMMAND;
	masking->secret = masking->secret || session->behind.secret;
	if (kept && session->behind.line > kept)
		masking->chunk_left = session->behind.line - kept;
	else
		masking->chunk_left = kept ? 0 : chunk;
	if (masking->chunk_left)
		masking->mode = MODE_CHUNK;
	masking->head = line.data;
	masking->head_len = line.len < SMTP_LINE_MAX ? line.len : SMTP_LINE_MAX - 1;
}

static struct masking masking_begin(const struct smtp_session *session, bool in_order)
{
	bool lines = session->mode == MODE_COMMAND || session->mode == MODE_ANSWER ||
		     session->mode == MODE_OPAQUE;
	struct masking masking = {.mode = MODE_COMMAND,
				  .session = session,
				  .in_order = in_order,
				  .secret = session->auth_open,
				  .doubtful = !in_order && lines};

	if (!in_order)
		return masking;
	masking.mode = session->mode;
	masking.place = session->place;
	masking.chunk_left = session->chunk_left;
	masking.confirmed = !session->data_waits;
	masking.secret = masking.secret || session->ghost_left;
	masking.recipients = session->current && session->current->transaction->recipient_count;
	if (session->waits)
		masking_behind(&masking);
	masking.answer =
		lines && (session->line_skip || (session->mode == MODE_ANSWER && session->replies));
	masking.exact = masking.answer && !session->line_skip && !session->line_len &&
			!session->line_truncated;
	if (lines) {
		masking.mode = MODE_COMMAND;
		masking.head = session->line;
		masking.head_len =
			session->line_len < SMTP_LINE_MAX ? session->line_len : SMTP_LINE_MAX - 1;
		if (session->line_break < masking.head_len) {
			masking.head += session->line_break;
			masking.head_len -= session->line_break;
		}
	}
	return masking;
}

/* A whole line that is no secret: where it leads to. */
static void mask_command(struct masking *masking, const struct smtp_command *command, bool certain)
{
	if (certain && command->verb != SMTP_VERB_QUIT && command->verb != SMTP_VERB_RSET)
		masking->secret = false;
	masking->recipients = masking->recipients || command->verb == SMTP_VERB_RCPT;
	if (!masking->in_order || masking->waits)
		return;
	if (command->verb == SMTP_VERB_DATA && masking->session->replies) {
		masking->waits = true;
	} else if (command->verb == SMTP_VERB_DATA) {
		masking->mode = MODE_MESSAGE;
		masking->place = (struct message_place){.dot = DOT_LINE_START};
		masking->confirmed = false;
	} else if (command->verb == SMTP_VERB_BDAT && command->size && !masking->recipients) {
		masking->secret = true;
	} else if (command->verb == SMTP_VERB_BDAT && command->size) {
		masking->mode = MODE_CHUNK;
		masking->chunk_left = command->size;
	}
}

/* Whether a line that opens no AUTH is, or may be, an answer to a 334. */
static bool may_be_answer(const struct masking *masking, bool doubtful,
			  const struct smtp_command *command, bool certain, struct span text)
{
	if (is_dot(text))
		return false;
	return (masking->secret && !certain) || (doubtful && command->verb == SMTP_VERB_NONE);
}

/* One line or a piece of one: `len` bytes, with its LF if that is there. */
static void mask_response(const struct masking *masking, struct span mechanism, uint32_t step,
			  char *data, size_t from, size_t len)
{
	size_t end = len;

	while (end > from &&
	       (data[end - 1] == '\n' || data[end - 1] == '\r' || data[end - 1] == ' '))
		end--;
	if (masking->in_order)
		smtp_auth_redact(mechanism, step, data + from, end - from);
	else
		mask(data, from, len);
}

static void mask_line(struct masking *masking, char *data, size_t len)
{
	char line[SMTP_LINE_MAX];
	bool whole = data[len - 1] == '\n', answer = masking->answer, doubtful = masking->doubtful,
	     certain;
	bool exact = masking->exact, skipped = masking->session->line_skip;
	size_t before = masking->head_len, from;
	size_t kept = len - whole < sizeof(line) - before ? len - whole : sizeof(line) - before;
	struct span text = {line, before + kept};
	struct smtp_command command;

	if (before)
		memcpy(line, masking->head, before);
	memcpy(line + before, data, kept);
	text = without_cr(text);
	masking->head_len = 0;
	masking->answer = masking->doubtful = masking->exact = false;
	command = smtp_command_parse(text);
	certain = smtp_command_certain(text, whole);
	from = smtp_command_secret(text);
	if (!answer && command.verb == SMTP_VERB_AUTH) {
		masking->secret = true;
		if (from < text.len && whole && !before)
			mask_response(masking, command.argument, 0, data, from, len);
		else if (from < text.len)
			mask(data, from > before ? from - before : 0, len);
	} else if (answer && whole && !skipped && is_certain_command(text, false)) {
		mask_command(masking, &command, true);
	} else if (answer && exact && whole) {
		const struct smtp_facts *facts = &masking->session->facts;

		mask_response(masking,
			      (struct span){facts->auth_mechanism, facts->auth_mechanism_len},
			      masking->session->auth_step, data, 0, len);
	} else if (answer || may_be_answer(masking, doubtful, &command, certain, text)) {
		mask(data, 0, len);
	} else if (whole) {
		mask_command(masking, &command, certain);
	}
	explicit_bzero(line, before + kept);
}

/*
 * What follows a DATA is a message, and none of it is secret. As long as the server has not taken
 * that DATA it may refuse it, and read commands: then what looks like an AUTH is masked, at no
 * cost.
 */
static size_t mask_message(struct masking *masking, char *data, size_t len)
{
	bool line_start = masking->place.dot == DOT_LINE_START;
	uint64_t bytes;
	size_t taken = smtp_message_next(&masking->place, (struct span){data, len}, &bytes);
	size_t from = smtp_command_secret((struct span){data, taken});

	if (line_start && !masking->confirmed && from < taken)
		mask(data, from, taken);
	if (masking->place.dot == DOT_END)
		masking->mode = MODE_COMMAND;
	return taken;
}

static void mask_lines(struct masking *masking, char *data, size_t len)
{
	while (len) {
		const char *end = memchr(data, '\n', len);
		size_t taken = end ? (size_t)(end - data) + 1 : len;

		if (masking->mode == MODE_MESSAGE) {
			taken = mask_message(masking, data, len);
		} else if (masking->mode == MODE_CHUNK) {
			taken = len < masking->chunk_left ? len : (size_t)masking->chunk_left;
			masking->chunk_left -= taken;
			if (!masking->chunk_left)
				masking->mode = MODE_COMMAND;
		} else {
			mask_line(masking, data, taken);
		}
		data += taken;
		len -= taken;
	}
}

void smtp_mask_secrets(const struct smtp_session *session, char *data, size_t len, bool in_order)
{
	struct masking masking = masking_begin(session, in_order);
	struct preamble preamble = session->facts.proxy;
	bool ended = true;

	if (is_opaque(session))
		return;
	while (len && in_order && ended) { /* requests to proxies: behind each, a line begins */
		size_t taken = preamble_client(&preamble, (struct span){data, len}, data, &ended);

		mask_lines(&masking, data, taken);
		if (ended)
			masking.head_len = 0;
		data += taken;
		len -= taken;
	}
	mask_lines(&masking, data, len);
}
