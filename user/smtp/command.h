/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One command line of SMTP (RFC 5321, section 4.1.1), taken apart. Pure. */
#ifndef SMTPSNOOP_SMTP_COMMAND_H
#define SMTPSNOOP_SMTP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum smtp_verb {
	SMTP_VERB_NONE, /* an empty line, or no command that is known */
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
	SMTP_VERB_OTHER, /* NOOP, HELP, VRFY, EXPN: known, and without effect on a transaction */
};

struct smtp_command {
	enum smtp_verb verb;
	/* HELO: the name; AUTH: the mechanism; MAIL, RCPT: the address, without brackets */
	struct span argument;
	struct span parameters; /* MAIL, RCPT: what follows the path; AUTH: the initial response */
	uint64_t size;		/* BDAT: octets that follow */
	bool last;		/* BDAT: LAST */
	/*
	 * MAIL, RCPT: no plain path of RFC 5321 (4.1.2): servers may take another address from it
	 */
	bool odd_address;
};

/*
 * Takes a line, without its line end, as real servers do: any case, blanks before and between the
 * words, no brackets, a source route (dropped), quoted local parts. A line that is no well-formed
 * command is SMTP_VERB_NONE: a server answers it, and it does nothing. The spans are the line's.
 */
struct smtp_command smtp_command_parse(struct span line);

/*
 * Writes the address of a MAIL or RCPT as a server most likely takes it: of an odd one, the
 * argument without comments. `address` has room for argument.len bytes. Returns its length.
 */
size_t smtp_command_address(const struct smtp_command *command, char *address);

/*
 * Where the secret of an AUTH line begins (behind "AUTH mechanism "); the line's length if there is
 * none.
 */
size_t smtp_command_secret(struct span line);

/*
 * Whether the line can only be a command, and no answer to a 334: those are base64 (RFC 4954).
 * `whole` false: more of the line may follow.
 */
bool smtp_command_certain(struct span line, bool whole);

#endif
