/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Urgent data (RFC 9293, 3.8.5; RFC 6093): what is sent with MSG_OOB.
 *
 * Theory of operation. One byte at a time is urgent, and Linux takes it out of the stream that an
 * ordinary server reads. With an urgent X, "MA" "X" "IL FROM:<a>" is MAXIL on the wire, but the
 * server reads MAIL. If a second urgent byte arrives before the server has read up to the first
 * one, the first one stays in the stream. So of several urgent bytes the server may read any, and
 * the sender decides by timing. No honest SMTP client sends urgent data.
 *
 * A command line with urgent bytes is therefore read in several ways, with and without each of
 * them. The way that yields the most important commands counts: a MAIL that the server did not
 * accept costs a false alert, but one that it accepted must not be missed. In a message only the
 * end matters: it is accepted as soon as one way of reading it yields an end. In BDAT chunks,
 * urgent bytes do not count as octets. Everything in such a session is reported with the reason
 * urgent_data, and no exclusion applies to it.
 */
#include "smtp/session.h"

#include <stdlib.h>
#include <string.h>

/* urgent bytes of a line whose combinations are all tried; the verb is among the first bytes */
#define WAYS_BYTES 6U

/* How the urgent bytes after those are read. */
enum rest {
	REST_GONE,
	REST_LAST_GONE, /* as when all arrive before the server reads the first */
	REST_THERE,
	REST_WAYS,
};

/* What it costs to miss a command. */
static unsigned weight(enum smtp_verb verb)
{
	switch (verb) {
	case SMTP_VERB_NONE: return 0;
	case SMTP_VERB_MAIL:
	case SMTP_VERB_RCPT: return 8;
	case SMTP_VERB_DATA:
	case SMTP_VERB_BDAT: return 4;
	default: return 1;
	}
}

/* True if this way of reading includes urgent byte number `index` of `count`. */
static bool way_has(unsigned way, uint32_t index, uint32_t count)
{
	enum rest rest = way & 3;

	if (index < WAYS_BYTES)
		return way >> (2 + index) & 1;
	return rest == REST_THERE || (rest == REST_LAST_GONE && index + 1 < count);
}

/* Reads the line in one way. Returns the length. */
static size_t read_way(const struct smtp_session *session, struct span line, unsigned way,
		       char *out)
{
	uint32_t next = 0;
	size_t len = 0;

	for (size_t i = 0; i < line.len; i++) {
		if (next < session->urgent_count && session->urgent[next] == i &&
		    !way_has(way, next++, session->urgent_count))
			continue;
		out[len++] = line.data[i];
	}
	return len;
}

/* Takes a line off the text: an urgent line feed, if read, ends a line. */
static struct span next_line(struct span *text)
{
	const char *end = memchr(text->data, '\n', text->len);
	struct span line = {text->data, end ? (size_t)(end - text->data) : text->len};

	text->data += line.len + (end ? 1 : 0);
	text->len -= line.len + (end ? 1 : 0);
	return line;
}

static unsigned weight_of(struct span text)
{
	unsigned sum = 0;

	do {
		struct span line = next_line(&text);

		sum += weight(smtp_command_parse(without_cr(line)).verb);
	} while (text.len);
	return sum;
}

void urgent_line(struct smtp_session *session, struct span line, urgent_line_fn on_line,
		 uint64_t time_ns)
{
	uint32_t tried = session->urgent_count < WAYS_BYTES ? session->urgent_count : WAYS_BYTES;
	bool command = session->mode == MODE_COMMAND;
	char *text = malloc(line.len + 1);
	unsigned best = 0, best_weight = 0;
	struct span left;

	if (!text) {
		on_line(session, line, time_ns);
		return;
	}
	for (unsigned bits = 0; command && bits < 1U << tried; bits++) {
		unsigned rests = session->urgent_count > tried ? REST_WAYS : 1;

		for (unsigned way = bits << 2; way < (bits << 2) + rests; way++) {
			unsigned sum =
				weight_of((struct span){text, read_way(session, line, way, text)});

			if (sum > best_weight) {
				best = way;
				best_weight = sum;
			}
		}
	}
	left = (struct span){text, read_way(session, line, best, text)};
	session->urgent_count = 0;
	do
		on_line(session, next_line(&left), time_ns);
	while (left.len);
	explicit_bzero(text, line.len);
	free(text);
}

/* ---- In a message ---------------------------------------------------------------------------- */

#define PLACE(dot) (1U << (dot))

static enum dot dot_after(enum dot dot, char c)
{
	if (c == '\n')
		return dot == DOT_SEEN || dot == DOT_CR ? DOT_END : DOT_LINE_START;
	if (c == '.' && dot == DOT_LINE_START)
		return DOT_SEEN;
	return c == '\r' && (dot == DOT_SEEN || dot == DOT_CR) ? DOT_CR : DOT_NO;
}

bool urgent_in_message(struct message_place *place, char c, bool urgent)
{
	uint8_t after = 0;

	if (!place->ways)
		place->ways = PLACE(place->dot);
	for (enum dot dot = DOT_NO; dot < DOT_END; dot++) {
		if (place->ways & PLACE(dot))
			after |= PLACE(dot_after(dot, c));
	}
	if (urgent)
		after |= place->ways;
	place->ways = after;
	place->last = c;
	if (!(after & PLACE(DOT_END)) && (urgent || c != '\n'))
		return false;
	place->dot = after & PLACE(DOT_END) ? DOT_END : DOT_LINE_START;
	place->crlf = true;
	place->held = 2;
	place->ways = 0;
	return true;
}
