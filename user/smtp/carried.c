/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: data can leave in the commands of a session that brings no mail, as in
 * "VRFY c2VjcmV0...". facts.command_bytes counts the bytes that commands carried and that no
 * reported mail accounts for:
 *
 *   any command      what follows its verb on the line; of a line without a known verb, all of it.
 *                    A bare verb carries nothing: a client may send NOOP for days.
 *   the same again   nothing. A line that is equal to the last counted one brings no new data.
 *   HELO, EHLO       nothing if the name is the same as before; of the first name, what is longer
 *                    than the event can show.
 *   AUTH             what is longer than a login needs, over the whole session: LOGIN_NEEDS, or
 *                    TOKEN_NEEDS once a mechanism with long tokens was used (Kerberos, OAuth).
 *   MAIL, RCPT       nothing if the transaction is reported, because its event has the addresses.
 *                    But what a line has beyond LINE_NEEDS counts, and recipients that were dropped
 *                    count. A transaction that is not reported (given up without a RCPT, or refused
 *                    as a whole) counts with all lines and the text sent in it. So does an envelope
 *                    that was only asked about (result.c), because its event is no alert.
 *   other text       lines after a refused DATA, after QUIT, or without an end: as any command.
 *
 * Mail comes with commands of its own, such as XFORWARD for each mail of a content filter. So each
 * reported transaction accounts for up to MAIL_NEEDS bytes counted since the one before it.
 *
 * A gap may have hidden a DATA. The text of that message would then look like commands. After a
 * gap, and where the start of the stream was not seen, nothing counts until no reply is owed any
 * more, because a server replies to commands and not to text. Without replies, nothing counts until
 * the next HELO, EHLO, LHLO or MAIL.
 *
 * What was said to a proxy is not for a mail server and is taken off the count when a proxy
 * answers.
 */
#include <strings.h>

#include "smtp/session.h"

#define MAIL_NEEDS  512U   /* bytes of other commands that belong to a reported mail */
#define LINE_NEEDS  1024U  /* of a MAIL or RCPT: 512, and what RFC 3461 and 4954 add to it */
#define LOGIN_NEEDS 1024U  /* of all logins with a password */
#define TOKEN_NEEDS 12288U /* likewise, with a token: one line of the longest (RFC 4954, 4) */

/* ---- Logins ---------------------------------------------------------------------------------- */

static bool has_tokens(struct span mechanism)
{
	static const char *const names[] = {"GSSAPI",  "GSS-SPNEGO",  "NTLM",
					    "XOAUTH2", "OAUTHBEARER", "KERBEROS_V4"};

	if (mechanism.len > 4 && strncasecmp(mechanism.data, "GS2-", 4) == 0)
		return true;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (mechanism.len == strlen(names[i]) &&
		    strncasecmp(mechanism.data, names[i], mechanism.len) == 0)
			return true;
	}
	return false;
}

/* The part of `bytes`, of a login, that exceeds what all logins of the session need. */
static uint64_t beyond_login(struct carried *carried, uint64_t bytes)
{
	uint64_t need = carried->tokens ? TOKEN_NEEDS : LOGIN_NEEDS,
		 left = carried->login < need ? need - carried->login : 0;

	carried->login += bytes;
	return bytes > left ? bytes - left : 0;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

/* The line without its verb. */
static uint64_t argument_len(const struct smtp_command *command, struct span line)
{
	size_t verb = command->verb == SMTP_VERB_NONE	    ? 0
		      : command->verb == SMTP_VERB_STARTTLS ? 8
							    : 4;

	return line.len > verb ? line.len - verb : 0;
}

/* True if the line is the last counted one again. Otherwise it is the last one from now on. */
static bool is_repeated(struct carried *carried, struct span line)
{
	bool fits = line.len <= CARRIED_REPEATED_MAX && !carried->cut;

	if (fits && line.len == carried->last_len &&
	    memcmp(line.data, carried->last, line.len) == 0)
		return true;
	carried->last_len = fits ? (uint32_t)line.len : 0;
	if (fits)
		memcpy(carried->last, line.data, line.len);
	return false;
}

static uint64_t of_greeting(const struct smtp_session *session, const struct smtp_command *command,
			    uint64_t bytes)
{
	const struct smtp_facts *facts = &session->facts;
	struct span name = {facts->helo, facts->helo_len};

	if (facts->protocol == SMTP_PROTOCOL_UNKNOWN)
		return bytes > SMTP_WORD_MAX + 1 ? bytes - SMTP_WORD_MAX - 1 : 0;
	return bytes == name.len + 1 && span_equal(name, command->argument) ? 0 : bytes;
}

static bool is_greeting(enum smtp_verb verb)
{
	return verb == SMTP_VERB_HELO || verb == SMTP_VERB_EHLO || verb == SMTP_VERB_LHLO;
}

/* True if the line may be the text of a message, or octets that are counted as such. */
static bool may_be_text(const struct smtp_session *session, const struct smtp_command *command)
{
	bool odd_end = session->doubt && (session->soft_end || command->verb == SMTP_VERB_BDAT);

	return session->ghost_left || session->carried.paused ||
	       (odd_end && (command->verb == SMTP_VERB_NONE || command->verb == SMTP_VERB_BDAT));
}

uint64_t carried_by(struct smtp_session *session, const struct smtp_command *command,
		    struct span line)
{
	struct carried *carried = &session->carried;
	uint64_t bytes = argument_len(command, line) + carried->cut;

	if (!session->replies && (is_greeting(command->verb) || command->verb == SMTP_VERB_MAIL))
		carried->paused = false;
	if (!bytes || may_be_text(session, command))
		return 0;
	if (command->verb == SMTP_VERB_AUTH)
		carried->tokens = carried->tokens || has_tokens(command->argument);
	if (command->verb == SMTP_VERB_AUTH || secrecy_of_line(session, line) ||
	    (command->verb == SMTP_VERB_NONE && session->auth_open))
		return beyond_login(carried, bytes); /* a secret: it is not kept for comparison */
	if (is_repeated(carried, line))
		return 0;
	return is_greeting(command->verb) ? of_greeting(session, command, bytes) : bytes;
}

void carried_command(struct smtp_session *session, const struct smtp_command *command,
		     uint64_t bytes)
{
	struct open *open = session->current;
	bool envelope = command->verb == SMTP_VERB_MAIL || command->verb == SMTP_VERB_RCPT;
	uint64_t own = bytes < LINE_NEEDS ? bytes : LINE_NEEDS;

	session->carried.cut = 0;
	if (envelope && open && !open->transaction->recipients_dropped) {
		open->carried += own;
		bytes -= own;
	}
	session->facts.command_bytes += bytes;
}

void carried_answer(struct smtp_session *session, struct span line)
{
	struct carried *carried = &session->carried;

	if (!carried->paused)
		session->facts.command_bytes += beyond_login(carried, line.len + carried->cut);
}

void carried_octets(struct smtp_session *session, uint64_t bytes)
{
	if (!session->carried.paused)
		session->facts.command_bytes += bytes;
}

/* ---- Transactions and proxies ---------------------------------------------------------------- */

void carried_transaction(struct smtp_session *session, const struct open *open, bool told)
{
	struct carried *carried = &session->carried;
	uint64_t *bytes = &session->facts.command_bytes, since = *bytes - carried->at_mail;

	if (told && !result_is_asked(open)) {
		*bytes -= since < MAIL_NEEDS ? since : MAIL_NEEDS;
		carried->at_mail = *bytes;
	} else if (told) {
		*bytes += open->carried;
		carried->at_mail += open->carried; /* no later mail accounts for it */
	} else if (!carried->paused) {
		*bytes += open->carried + open->transaction->bytes;
	}
}

void carried_request(struct smtp_session *session)
{
	session->carried.at_request = session->facts.command_bytes;
	session->carried.cut = 0;
}

void carried_request_answered(struct smtp_session *session)
{
	struct carried *carried = &session->carried;
	uint64_t *bytes = &session->facts.command_bytes;

	*bytes -= carried->at_request < *bytes ? carried->at_request : *bytes;
	carried->at_request = 0;
	if (carried->at_mail > *bytes)
		carried->at_mail = *bytes;
}

uint64_t carried_in_progress(const struct smtp_session *session)
{
	bool lines = session->mode == MODE_COMMAND || session->mode == MODE_ANSWER;

	if (!lines || session->ghost_left || session->line_skip || session->carried.paused)
		return 0;
	return session->line_len + session->carried.cut - session->line_break;
}

void carried_line_ends(struct smtp_session *session)
{
	session->facts.command_bytes += carried_in_progress(session);
	session->line_len = session->line_break = 0;
	session->carried.cut = 0;
}
