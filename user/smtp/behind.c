/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the client sent after a DATA or BDAT that is not answered yet. If the server accepts the
 * command, this is a message or a chunk; if it refuses, these are commands, and among them may be a
 * whole mail. So the bytes are kept and parsed when the reply is there. Most clients wait for the
 * reply, and nothing is kept.
 *
 * At most SMTP_BEHIND_MAX bytes are kept. If a client sends more before the reply, the bytes are
 * parsed as the message or chunk that it announced. If the server refuses after all, the session
 * says that something was hidden.
 */
#include "smtp/session.h"

#include <stdlib.h>

size_t behind_len(const struct smtp_session *session)
{
	return session->behind.len - session->behind.at;
}

/* Looks for an AUTH: what follows it may be its answers, which are secret (smtp_mask.c). */
static void look_for_secret(struct behind *behind, size_t from)
{
	const char *end;

	if (from < behind->line)
		from = behind->line;
	while (from < behind->len &&
	       (end = memchr(behind->bytes + from, '\n', behind->len - from))) {
		struct span line = {behind->bytes + behind->line,
				    (size_t)(end - behind->bytes) - behind->line};

		behind->secret = behind->secret ||
				 smtp_command_parse(without_cr(line)).verb == SMTP_VERB_AUTH;
		behind->line = from = (size_t)(end + 1 - behind->bytes);
	}
}

uint64_t behind_chunk(const struct smtp_session *session)
{
	const struct open *open = session->current;

	if (session->mode != MODE_CHUNK || !open || !open->transaction->recipient_count)
		return 0;
	return session->chunk_left;
}

void behind_begins(struct smtp_session *session)
{
	struct behind *behind = &session->behind;
	uint64_t chunk = behind_chunk(session), line = behind->at + chunk;

	if (chunk && behind->line < line)
		behind->line = line;
}

static void make_room(struct behind *behind)
{
	memmove(behind->bytes, behind->bytes + behind->at, behind->len - behind->at);
	behind->line -= behind->line < behind->at ? behind->line : behind->at;
	behind->len -= behind->at;
	behind->at = 0;
}

bool behind_keep(struct smtp_session *session, struct span data, uint64_t time_ns)
{
	struct behind *behind = &session->behind;
	size_t from;

	if (data.len > SMTP_BEHIND_MAX - behind_len(session))
		return false;
	if (!behind->bytes)
		behind->bytes = malloc(SMTP_BEHIND_MAX);
	if (!behind->bytes)
		return false;
	if (data.len > SMTP_BEHIND_MAX - behind->len)
		make_room(behind);
	from = behind->len;
	if (!from)
		behind_begins(session);
	memcpy(behind->bytes + from, data.data, data.len);
	behind->len += data.len;
	behind->time_ns = time_ns;
	look_for_secret(behind, from);
	return true;
}

struct span behind_line(const struct smtp_session *session)
{
	const struct behind *behind = &session->behind;
	size_t from = behind->line > behind->at ? behind->line : behind->at;

	return from < behind->len ? (struct span){behind->bytes + from, behind->len - from}
				  : (struct span){"", 0};
}

void behind_free(struct smtp_session *session)
{
	struct behind *behind = &session->behind;

	if (behind->bytes)
		explicit_bzero(behind->bytes, behind->len);
	free(behind->bytes);
	*behind = (struct behind){.bytes = NULL};
}
