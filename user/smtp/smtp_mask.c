/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the bytes are walked as the session would parse them, on a copy of the few
 * fields that decide what a line is (the mode, the line in progress, whether an AUTH is open).
 * While an AUTH is open, a line that is not certainly a command is masked as a secret: a masked
 * command impairs a replay, but a recorded secret cannot be taken back. A response that
 * is seen whole, where it is expected, keeps the user's name, so that a replay finds it.
 *
 * After a refused AUTH some clients send their answers all the same. Until the client moves on, a
 * line that is no command is masked; of a line that is not complete, what may become a command is
 * kept, because the mail follows here. So of a secret that comes byte by byte, the bytes that look
 * like the beginning of a verb remain.
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

/* The state of masking: that of the session, had it parsed the bytes before. */
struct masking {
	enum mode mode;
	struct message_place place;
	uint64_t chunk_left;
	const char *head; /* the line in progress, seen earlier */
	size_t head_len;
	const struct smtp_session *session;
	bool exact; /* the next line is exactly the answer that the session waits for */
	bool in_order;
	bool confirmed;	 /* the server accepted the DATA: what follows is a message */
	bool waits;	 /* the DATA is unanswered: what follows is masked as commands */
	bool recipients; /* there are recipients: a BDAT is most likely accepted */
	bool secret;	 /* an AUTH is open: a line that is not a command may be an answer */
	bool refused;	 /* it may have been refused: a line that is no command may be an answer */
	bool answer;   /* the next line is an answer, or the rest of a line with an unseen start */
	bool doubtful; /* the next line may be the rest of a line with an unseen start */
};

/* What follows an unanswered DATA or BDAT. */
static void masking_behind(struct masking *masking)
{
	const struct smtp_session *session = masking->session;
	uint64_t chunk = behind_chunk(session), kept = session->behind.len;
	struct span line = behind_line(session);

	masking->waits = session->mode == MODE_MESSAGE;
	/* The server will probably not accept the octets: a line may begin after any of them. */
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
				  .refused = session->auth_doubt,
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

/* The effect of a whole line that is not a secret. */
static void mask_command(struct masking *masking, const struct smtp_command *command, bool certain)
{
	if (certain && command->verb != SMTP_VERB_QUIT && command->verb != SMTP_VERB_RSET)
		masking->secret = masking->refused = false;
	if (!masking->secret && secrecy_ends(command->verb))
		masking->refused = false;
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

/* True if a line that is not an AUTH may be an answer to a 334. */
static bool may_be_answer(const struct masking *masking, bool doubtful,
			  const struct smtp_command *command, bool certain, struct span text,
			  bool whole)
{
	bool unknown = command->verb == SMTP_VERB_NONE && !certain &&
		       (whole || !smtp_command_begins(text));

	if (is_dot(text))
		return false;
	return (masking->refused && unknown) || (masking->secret && !certain) ||
	       (doubtful && command->verb == SMTP_VERB_NONE);
}

/*
 * Masks a response. `data`: a line or a part of it, `len` bytes with the LF if it is there; the
 * response begins at `from`.
 */
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
		masking->secret = masking->refused = true;
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
	} else if (answer || may_be_answer(masking, doubtful, &command, certain, text, whole)) {
		mask(data, 0, len);
	} else if (whole) {
		mask_command(masking, &command, certain);
	}
	explicit_bzero(line, before + kept);
}

/*
 * A message follows a DATA, and nothing in a message is secret. But until the server accepts the
 * DATA, it may refuse it and read commands. So anything in it that looks like an AUTH is masked;
 * this costs nothing.
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
	while (len && in_order && ended) { /* requests to proxies: a line begins after each */
		size_t taken = preamble_client(&preamble, (struct span){data, len}, data, &ended);

		mask_lines(&masking, data, taken);
		if (ended)
			masking.head_len = 0;
		data += taken;
		len -= taken;
	}
	mask_lines(&masking, data, len);
}
