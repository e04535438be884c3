/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Conversations for the tests of the SMTP session: how to write them, play them in pieces, and sum
 * up the result as text.
 */
#ifndef SMTPSNOOP_TESTS_CONVERSATION_H
#define SMTPSNOOP_TESTS_CONVERSATION_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "smtp/smtp.h"
#include "base/text.h"

#define CUTS_MAX 400U /* longer conversations are cut at so many positions, evenly spread */

enum step_kind { STEP_END, STEP_CLIENT, STEP_SERVER, STEP_CLIENT_GAP, STEP_SERVER_GAP };

struct step {
	enum step_kind kind;
	struct span bytes;
	uint64_t gap;
};

#define C(literal)                                                                                 \
	{                                                                                          \
		.kind = STEP_CLIENT, .bytes = {(literal), sizeof(literal) - 1 }                    \
	}
#define S(literal)                                                                                 \
	{                                                                                          \
		.kind = STEP_SERVER, .bytes = {(literal), sizeof(literal) - 1 }                    \
	}
#define C_GAP(n)                                                                                   \
	{                                                                                          \
		.kind = STEP_CLIENT_GAP, .gap = (n)                                                \
	}
#define S_GAP(n)                                                                                   \
	{                                                                                          \
		.kind = STEP_SERVER_GAP, .gap = (n)                                                \
	}
#define END                                                                                        \
	{                                                                                          \
		.kind = STEP_END                                                                   \
	}

/* The result of a conversation: one line per transaction, and everything else that could differ. */
struct played {
	struct text lines;
	struct text details;
	struct smtp_facts facts;
	uint32_t count;
};

static inline void played_free(struct played *played)
{
	text_free(&played->lines);
	text_free(&played->details);
	played->count = 0;
}

static inline void played_take(void *context, struct smtp_transaction *transaction)
{
	static const char *const ends[] = {"data", "reset", "close"};
	static const char *const outcomes[] = {"unknown", "success", "failure"};
	struct played *played = context;
	struct text *lines = &played->lines;

	played->count++;
	text_add_format(lines, "%u %s %s <", transaction->number, ends[transaction->end],
			outcomes[transaction->outcome]);
	text_add(lines,
		 transaction->from_unknown ? span_of("?") : smtp_transaction_from(transaction));
	text_add_string(lines, ">");
	if (transaction->parameters_len) {
		text_add_string(lines, " [");
		text_add(lines, smtp_transaction_parameters(transaction));
		text_add_string(lines, "]");
	}
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		text_add_string(lines, " <");
		text_add(lines, smtp_transaction_recipient(transaction, i));
		text_add_format(lines, ">%u%s", transaction->recipients[i].code,
				smtp_recipient_refused(transaction, i) ? "!" : "");
	}
	text_add_format(lines, " %llu bytes", (unsigned long long)transaction->bytes);
	if (transaction->recipients_dropped)
		text_add_format(lines, " %u dropped", transaction->recipients_dropped);
	if (transaction->missing_bytes)
		text_add_format(lines, " %llu missing",
				(unsigned long long)transaction->missing_bytes);
	if (transaction->replies_missing)
		text_add_string(lines, " replies missing");
	text_add_format(lines, " %u ", transaction->reply_code);
	text_add(lines, (struct span){transaction->reply_text, transaction->reply_len});
	text_add_string(lines, "\n");
	text_add_format(&played->details, "%llu-%llu at %llu-%llu data %d\n",
			(unsigned long long)transaction->start_pos,
			(unsigned long long)transaction->end_pos,
			(unsigned long long)transaction->start_ns,
			(unsigned long long)transaction->end_ns, transaction->data_started);
	smtp_transaction_free(transaction);
}

/* The bytes are in memory of exactly their size, so that ASan sees a read behind them. */
static inline void feed_exact(struct smtp_session *session, const struct step *step,
			      struct span piece, uint64_t time_ns)
{
	char *copy = malloc(piece.len ? piece.len : 1);

	assert_non_null(copy);
	if (piece.len)
		memcpy(copy, piece.data, piece.len);
	if (step->kind == STEP_CLIENT)
		smtp_client_data(session, (struct span){copy, piece.len}, time_ns);
	else
		smtp_server_data(session, (struct span){copy, piece.len}, time_ns);
	free(copy);
}

/*
 * Plays in pieces of `size` bytes (0: whole steps), with one more cut at `cut` bytes from the
 * start.
 */
static inline void play(const struct step *steps, bool replies, size_t size, size_t cut,
			struct played *played)
{
	struct smtp_session *session = smtp_session_new(replies, played_take, played);
	size_t at = 0;
	uint64_t time_ns = 1000;

	assert_non_null(session);
	for (const struct step *step = steps; step->kind != STEP_END; step++, time_ns += 1000) {
		struct span rest = step->bytes;

		if (step->kind == STEP_CLIENT_GAP)
			smtp_client_gap(session, step->gap, time_ns);
		if (step->kind == STEP_SERVER_GAP)
			smtp_server_gap(session, step->gap, time_ns);
		while (rest.len) {
			size_t len = size && size < rest.len ? size : rest.len;

			if (at < cut && cut < at + len)
				len = cut - at;
			feed_exact(session, step, (struct span){rest.data, len}, time_ns);
			at += len;
			rest.data += len;
			rest.len -= len;
		}
	}
	smtp_session_close(session, time_ns);
	played->facts = *smtp_session_facts(session);
	smtp_session_free(session);
}

static inline void same(const struct played *expected, const struct played *played)
{
	assert_int_equal(expected->count, played->count);
	assert_string_equal(expected->lines.data ? expected->lines.data : "",
			    played->lines.data ? played->lines.data : "");
	assert_string_equal(expected->details.data ? expected->details.data : "",
			    played->details.data ? played->details.data : "");
	assert_memory_equal(&expected->facts, &played->facts, sizeof(played->facts));
}

static inline void play_and_compare(const struct step *steps, bool replies, size_t size, size_t cut,
				    const struct played *expected)
{
	struct played played = {0};

	play(steps, replies, size, cut, &played);
	same(expected, &played);
	played_free(&played);
}

/* Plays in every segmentation, requires the same result each time, and returns its facts. */
static inline struct smtp_facts expect_with(const struct step *steps, bool replies,
					    const char *lines)
{
	struct played whole = {0};
	struct smtp_facts facts;
	size_t len = 0;

	for (const struct step *step = steps; step->kind != STEP_END; step++)
		len += step->bytes.len;
	play(steps, replies, 0, 0, &whole);
	assert_string_equal(whole.lines.data ? whole.lines.data : "", lines);
	play_and_compare(steps, replies, 1, 0, &whole);
	play_and_compare(steps, replies, 7, 0, &whole);
	for (size_t cut = 1; cut < len; cut += len / CUTS_MAX + 1)
		play_and_compare(steps, replies, 0, cut, &whole);
	facts = whole.facts;
	played_free(&whole);
	return facts;
}

#endif
