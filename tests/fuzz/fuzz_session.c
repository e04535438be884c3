/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Both streams of a session, and the matching of replies. The input is a list of steps: one byte
 * with the side and the length, then the bytes. The first byte of the input says what the session
 * is: with replies, older than the watch, on a port for mail. Each transaction must be reported
 * once, within its bounds, and commands carry no more than the client sent; octets of a refused
 * chunk may count as a line too.
 */
#include <stdint.h>
#include <stdlib.h>

#include "smtp/smtp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(void *context, struct smtp_transaction *transaction)
{
	uint32_t *last = context;

	if (transaction->number != *last + 1 || transaction->start_pos > transaction->end_pos ||
	    transaction->recipient_count > SMTP_RECIPIENTS_MAX)
		abort();
	*last = transaction->number;
	smtp_transaction_from(transaction);
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		smtp_transaction_recipient(transaction, i);
	smtp_transaction_free(transaction);
}

/*
 * Client bytes are masked before the session reads them, as in a recording: no line end may move.
 */
static void client(struct smtp_session *session, struct span piece, uint64_t now)
{
	char *copy = malloc(piece.len + 1);

	if (!copy)
		return;
	memcpy(copy, piece.data, piece.len);
	smtp_mask_secrets(session, copy, piece.len, true);
	for (size_t i = 0; i < piece.len; i++) {
		if ((copy[i] == '\n') != (piece.data[i] == '\n'))
			abort();
	}
	memcpy(copy, piece.data, piece.len);
	smtp_client_data(session, (struct span){copy, piece.len}, now);
	free(copy);
}

static void check_end(const struct smtp_session *session, uint32_t last)
{
	const struct smtp_facts *facts = smtp_session_facts(session);

	if (facts->transactions != last ||
	    facts->command_bytes > 2 * (facts->client_bytes + facts->client_missing))
		abort();
}

/* The same for the server's: also, no digit that may be part of a code becomes another one. */
static void server(struct smtp_session *session, struct span piece, uint64_t now)
{
	char *copy = malloc(piece.len + 1);

	if (!copy)
		return;
	memcpy(copy, piece.data, piece.len);
	smtp_mask_replies(session, copy, piece.len, piece.len & 1);
	for (size_t i = 0; i < piece.len; i++) {
		if (copy[i] != piece.data[i] && (copy[i] != '*' || piece.data[i] == '\n'))
			abort();
	}
	memcpy(copy, piece.data, piece.len);
	smtp_server_data(session, (struct span){copy, piece.len}, now);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t last = 0;
	struct smtp_session *session;

	if (!size)
		return 0;
	session = smtp_session_new(data[0] & 1, take, &last);
	if (!session)
		return 0;
	if (data[0] & 2) {
		smtp_session_mid_stream(session);
		smtp_session_under_way(session, data[0] & 4);
	}
	if (data[0] & 8)
		smtp_session_assume_under_way(session, 1);
	for (size_t at = 1; at < size;) {
		uint8_t op = data[at++];
		size_t len = (op >> 2) + 1U;
		struct span piece = {(const char *)data + at, len < size - at ? len : size - at};

		at += piece.len;
		switch (op & 3) {
		case 0:
		case 1: client(session, piece, at); break;
		case 2: server(session, piece, at); break;
		default:
			at -= piece.len;
			if (len == 64)
				smtp_session_skipped(session);
			if (len & 1)
				smtp_client_gap(session, len / 2, at);
			else
				smtp_server_gap(session, len / 2, at);
		}
	}
	smtp_session_close(session, size);
	check_end(session, last);
	smtp_session_free(session);
	return 0;
}
