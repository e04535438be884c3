/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a client may send its password although the server refused the AUTH, or the
 * user's name. (Printers do.) The server reads these lines as unknown commands, and its 500 may
 * repeat them. So from an AUTH on, until the server accepts it or the client moves on, a line that
 * is no command counts as a secret. Its reply is marked: the text of such a reply is never recorded
 * (smtp_mask_reply.c). The secret is remembered as it was sent and decoded, for replies to other
 * commands, whose text is in events.
 */
#include "smtp/auth.h"
#include "smtp/session.h"

bool secrecy_of_line(const struct smtp_session *session, struct span line)
{
	if (!session->auth_open && !session->auth_doubt)
		return false;
	return smtp_command_parse(line).verb == SMTP_VERB_NONE && !smtp_command_certain(line, true);
}

void secrecy_keep(struct smtp_session *session, struct span response, bool answer)
{
	const struct smtp_facts *facts = &session->facts;
	struct span mechanism = {facts->auth_mechanism, facts->auth_mechanism_len};
	char secret[SECRET_LEN_MAX], user[1];
	size_t len =
		smtp_auth_secret(mechanism, session->auth_step, response, secret, sizeof(secret));

	secrets_keep(&session->secrets, (struct span){secret, len});
	explicit_bzero(secret, sizeof(secret));
	if (len || !answer ||
	    !smtp_auth_user(mechanism, session->auth_step, response, user, sizeof(user)))
		secrets_keep(&session->secrets, response);
}

bool secrecy_ends(enum smtp_verb verb)
{
	switch (verb) {
	case SMTP_VERB_HELO:
	case SMTP_VERB_EHLO:
	case SMTP_VERB_LHLO:
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT:
	case SMTP_VERB_DATA:
	case SMTP_VERB_BDAT:
	case SMTP_VERB_STARTTLS: return true;
	default: return false;
	}
}
