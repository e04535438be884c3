/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a message ends with CRLF.CRLF (RFC 5321, 4.1.1.4). A server that accepts a
 * bare CR or LF as a line end sees an end of data where others see text, and executes the commands
 * after it: a second mail under the name of the first. This parser accepts LF, dot, LF as an end of
 * data too (smtp.c), so the second mail is reported. It does not accept an end made with a bare CR,
 * because hardly any server does. But a MAIL command after such an end, in the text of a message,
 * has only one purpose, and is reported as smuggling.
 */
#include <ctype.h>

#include "smtp/session.h"

static const char mail_command[] = "MAIL FROM:";

static bool is_line_end(char c)
{
	return c == '\r' || c == '\n';
}

static bool next_byte(struct message_place *place, char c)
{
	if (is_line_end(place->tail[0]) && place->tail[1] == '.' && is_line_end(c))
		place->odd_end = true;
	place->tail[0] = place->tail[1];
	place->tail[1] = c;
	if (!place->odd_end)
		return false;
	if (is_line_end(c))
		place->mail_len = 0;
	else if (place->mail_len < sizeof(mail_command) &&
		 toupper((unsigned char)c) == mail_command[place->mail_len])
		place->mail_len++;
	else
		place->mail_len = sizeof(mail_command); /* this line is not a MAIL command */
	return place->mail_len == sizeof(mail_command) - 1;
}

bool smuggling_in_message(struct message_place *place, struct span piece)
{
	bool found = false;
	size_t looked_at = piece.len;

	/*
	 * The only LF of a piece is its last byte. Without a bare CR in the piece, only its first
	 * bytes can complete an end of data.
	 */
	if (!place->odd_end && piece.len > 4 && !memchr(piece.data, '\r', piece.len - 2))
		looked_at = 2;
	for (size_t i = 0; i < looked_at; i++)
		found = next_byte(place, piece.data[i]) || found;
	if (looked_at < piece.len) {
		place->tail[0] = piece.data[piece.len - 2];
		place->tail[1] = piece.data[piece.len - 1];
	}
	return found;
}
