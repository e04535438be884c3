/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Long conversations for the tests of what commands carry: command by command, with data in them.
 */
#ifndef SMTPSNOOP_TEST_SMTP_TALK_H
#define SMTPSNOOP_TEST_SMTP_TALK_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smtp/smtp.h"

#define CHUNK  200U /* bytes of data in one command */
#define CHUNKS 100U
#define SECRET (CHUNK * CHUNKS)

/* A conversation in progress. */
struct talk {
	struct smtp_session *session;
	uint64_t time_ns;
	uint32_t told; /* transactions */
};

static inline void take(void *context, struct smtp_transaction *transaction)
{
	((struct talk *)context)->told++;
	smtp_transaction_free(transaction);
}

static inline void begin(struct talk *talk, bool replies)
{
	*talk = (struct talk){.time_ns = 1};
	talk->session = smtp_session_new(replies, take, talk);
	assert_non_null(talk->session);
}

static inline void client(struct talk *talk, const char *text)
{
	smtp_client_data(talk->session, span_of(text), talk->time_ns++);
}

static inline void server(struct talk *talk, const char *text)
{
	smtp_server_data(talk->session, span_of(text), talk->time_ns++);
}

/* A command of the client, and the answer. */
static inline void ask(struct talk *talk, const char *command, const char *answer)
{
	client(talk, command);
	server(talk, answer);
}

static inline void greet(struct talk *talk)
{
	begin(talk, true);
	server(talk, "220 mx ESMTP\r\n");
	ask(talk, "EHLO me.example\r\n", "250 mx\r\n");
}

/* The next piece of the data: CHUNK bytes, different each time. */
static inline const char *data(unsigned int number)
{
	static char piece[CHUNK + 1];

	memset(piece, 'x', CHUNK);
	snprintf(piece, sizeof(piece), "%08u", number);
	piece[8] = 'x';
	return piece;
}

/* A command with the next piece of the data in place of its '%'. */
static inline void ask_with(struct talk *talk, const char *command, unsigned int number,
			    const char *answer)
{
	const char *place = strchr(command, '%');
	char text[CHUNK + 256];

	assert_non_null(place);
	snprintf(text, sizeof(text), "%.*s%s%s", (int)(place - command), command, data(number),
		 place + 1);
	ask(talk, text, answer);
}

/* Ends the conversation. Returns what its commands carried; `speaks`: it is a session of SMTP. */
static inline uint64_t end_as(struct talk *talk, bool *speaks)
{
	uint64_t live = smtp_command_bytes(talk->session), bytes;

	smtp_session_close(talk->session, talk->time_ns);
	bytes = smtp_session_facts(talk->session)->command_bytes;
	*speaks = smtp_session_is_smtp(talk->session) && smtp_client_speaks_smtp(talk->session);
	/* While the session was open, no less was known. */
	assert_true(live >= bytes);
	smtp_session_free(talk->session);
	return bytes;
}

static inline uint64_t end(struct talk *talk)
{
	bool speaks;
	uint64_t bytes = end_as(talk, &speaks);

	assert_true(speaks);
	return bytes;
}

#endif
