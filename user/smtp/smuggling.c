/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a message ends with CRLF.CRLF (RFC 5321, 4.1.1.4). A server that accepts
 * something else sees an end of data where others see text, and executes the commands after it: a
 * second mail under the name of the first. This parser accepts LF, dot, LF as an end of data too
 * (smtp.c), so the second mail is reported. It does not accept other ends, because few servers do:
 *
 *   a bare CR as a line end       CR.CR, CR.CRLF, CRLF.CR, ...
 *   bytes that a server ignores   NUL or blanks around the dot: CRLF NUL.CRLF, CRLF . NUL CRLF, ...
 *
 * But an honest client sends no line that begins with a single dot, and a MAIL command after such
 * an end, in the text of a message, has only one purpose. It is reported as smuggling. What follows
 * the end is kept: the replies show whether the server took a second mail (smuggled.c).
 */
#include <ctype.h>
#include <stdlib.h>

#include "smtp/session.h"
#include "smtp/smuggled.h"

static const char mail_command[] = "MAIL FROM:";

static bool is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

/* Servers drop such bytes, or cut them off the ends of a line. */
static bool is_ignored(char c)
{
	return c == '\0' || c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* True if a MAIL command is complete with this byte. */
static bool match_mail(struct message_place *place, char c)
{
	if (is_line_end(c))
		place->mail_len = 0;
	else if (place->mail_len < sizeof(mail_command) &&
		 toupper((unsigned char)c) == mail_command[place->mail_len])
		place->mail_len++;
	else
		place->mail_len = sizeof(mail_command); /* this line is not a MAIL command */
	return place->mail_len == sizeof(mail_command) - 1;
}

static enum odd odd_next(enum odd before, char c)
{
	if (is_line_end(c))
		return before == ODD_DOT && c == '\r' ? ODD_DOT_CR : ODD_LINE_START;
	if (before == ODD_NO || before == ODD_DOT_CR)
		return before == ODD_DOT_CR && c == '.' ? ODD_DOT : ODD_NO;
	if (is_ignored(c))
		return before;
	return before == ODD_LINE_START && c == '.' ? ODD_DOT : ODD_NO;
}

/* The end is complete before this byte (0), or with it (1); -1: it is not. */
static int next_byte(struct message_place *place, char c)
{
	enum odd before = place->odd;

	place->odd = odd_next(before, c);
	if (before == ODD_DOT_CR)
		return c == '\n' ? 1 : 0;
	return before == ODD_DOT && c == '\n' ? 1 : -1;
}

/*
 * The next byte that can matter. The only LF of a piece is its last byte; without a bare CR, only
 * the first bytes of a line can complete an end of data.
 */
static size_t skip(const struct message_place *place, struct span piece, size_t at)
{
	const char *cr;

	if (place->odd != ODD_NO || place->odd_end)
		return at;
	cr = memchr(piece.data + at, '\r', piece.len - at);
	return cr ? (size_t)(cr - piece.data) : piece.len - 1;
}

int64_t smuggling_in_message(struct message_place *place, struct span piece, bool *mail)
{
	int64_t end = -1;

	*mail = false;
	for (size_t at = 0; at < piece.len; at++) {
		int complete;

		at = skip(place, piece, at);
		complete = next_byte(place, piece.data[at]);
		if (complete >= 0) {
			end = (int64_t)at + complete;
			place->odd_end = true;
			place->mail_len = 0;
		}
		if (place->odd_end && complete != 1)
			*mail = match_mail(place, piece.data[at]) || *mail;
	}
	return end;
}

/* ---- What follows ---------------------------------------------------------------------------- */

static void keep(struct smuggled *smuggled, struct span piece, uint64_t time_ns)
{
	size_t room = smuggled->lost ? 0 : SMTP_SMUGGLED_BYTES - smuggled->len;

	if (!smuggled->bytes)
		smuggled->bytes = malloc(SMTP_SMUGGLED_BYTES);
	if (!smuggled->bytes)
		room = 0;
	if (room > piece.len)
		room = piece.len;
	if (room)
		memcpy(smuggled->bytes + smuggled->len, piece.data, room);
	smuggled->len += (uint32_t)room;
	smuggled->lost += piece.len - room;
	smuggled->time_ns = time_ns;
}

/* Begins anew at the last such end before a MAIL command. False: no memory, or nothing to do. */
static bool begin(struct smtp_session *session, struct span *piece, int64_t end)
{
	struct smuggled *smuggled = session->smuggled;

	if (end < 0 || (smuggled && smuggled->reads && smuggled->has_mail))
		return smuggled && smuggled->reads;
	smuggled_free(session);
	smuggled = session->smuggled = calloc(1, sizeof(*smuggled));
	if (!smuggled)
		return false;
	smuggled->reads = true;
	smuggled->of = session->current;
	smuggled->position = session->position - piece->len + (uint64_t)end;
	piece->data += end;
	piece->len -= (size_t)end;
	return true;
}

void smuggling_keep(struct smtp_session *session, struct span piece, int64_t end, bool mail,
		    uint64_t time_ns)
{
	if (!session->current || !begin(session, &piece, end))
		return;
	session->smuggled->has_mail = session->smuggled->has_mail || mail;
	keep(session->smuggled, piece, time_ns);
}

void smuggled_free(struct smtp_session *session)
{
	struct smuggled *smuggled = session->smuggled;

	if (!smuggled)
		return;
	session->smuggled = NULL;
	for (uint32_t i = 0; i < smuggled->held_count; i++)
		smtp_transaction_free(smuggled->held[i]);
	if (smuggled->bytes)
		explicit_bzero(smuggled->bytes, smuggled->len);
	free(smuggled->bytes);
	if (smuggled->inner)
		smuggled->inner_free(smuggled->inner);
	free(smuggled);
}
