/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Parses one command line of SMTP (RFC 5321, section 4.1.1). Pure. */
#ifndef SMTPSNOOP_SMTP_COMMAND_H
#define SMTPSNOOP_SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum smtp_verb {
	SMTP_VERB_NONE, /* an empty line, or not a known command */
	SMTP_VERB_HELO,
	SMTP_VERB_EHLO,
	SMTP_VERB_LHLO,
	SMTP_VERB_MAIL,
	SMTP_VERB_RCPT,
	SMTP_VERB_DATA,
	SMTP_VERB_BDAT,
	SMTP_VERB_RSET,
	SMTP_VERB_AUTH,
	SMTP_VERB_STARTTLS,
	SMTP_VERB_QUIT,
	SMTP_VERB_OTHER, /* NOOP, HELP, VRFY, EXPN: no effect on a transaction */
};

struct smtp_command {
	enum smtp_verb verb;
	struct span argument;	/* HELO: name; AUTH: mechanism; MAIL, RCPT: bare address */
	struct span parameters; /* MAIL, RCPT: what follows the path; AUTH: initial response */
	uint64_t size;		/* BDAT: octets that follow */
	bool last;		/* BDAT: LAST */
	bool odd_address;	/* MAIL, RCPT: a path that servers may read differently */
};

/*
 * Parses a line, without its line end, as real servers do: any case, blanks before and between the
 * words, no brackets, a source route (dropped), quoted local parts. A line that is not a
 * well-formed command is SMTP_VERB_NONE: a server answers it, and it has no effect. The spans point
 * into the line.
 */
struct smtp_command smtp_command_parse(struct span line);

/*
 * Writes the address of a MAIL or RCPT as a server most likely reads it: an odd one without its
 * comments. `address` has room for argument.len bytes. Returns the length.
 */
size_t smtp_command_address(const struct smtp_command *command, char *address);

/*
 * Where the secret of an AUTH line begins (after "AUTH mechanism "); the line's length if there is
 * none.
 */
size_t smtp_command_secret(struct span line);

/*
 * True if the line can only be a command, not an answer to a 334, which is base64 (RFC 4954).
 * `whole`: false if more of the line may follow.
 */
bool smtp_command_certain(struct span line, bool whole);

/*
 * True if the line, of which more may follow, may still become a command: its first word is a verb
 * or the beginning of one.
 */
bool smtp_command_begins(struct span line);

#endif
