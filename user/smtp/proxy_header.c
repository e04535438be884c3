/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a server that expects the header takes it without an answer. Any other
 * server reads it as lines. So the session parses it as lines too, and a reply is owed for each;
 * the server's first reply behind its greeting shows which server it is (server.c). Version 1 is a
 * line that no server knows. The signature of version 2 contains two blank lines and a QUIT, so no
 * server reads lines behind it.
 */
#include "smtp/proxy_header.h"

#include <string.h>

#define LINE_MAX_V1 107U /* bytes of version 1, with CRLF */
#define FIXED_V2    16U	 /* signature, version and command, family, length */

static const char start_v1[] = "PROXY ";
static const char start_v2[] = "\r\n\r\n\0\r\nQUIT\n";

enum step { STEP_NO, STEP_MORE, STEP_END };

static enum step next_v1(struct proxy_header *header, char c)
{
	uint16_t place = header->place++;

	if (place < sizeof(start_v1) - 1)
		return c == start_v1[place] ? STEP_MORE : STEP_NO;
	if (c == '\n')
		return STEP_END;
	return header->place < LINE_MAX_V1 ? STEP_MORE : STEP_NO;
}

static enum step next_v2(struct proxy_header *header, char c)
{
	uint16_t place = header->place;

	if (place == FIXED_V2)
		return --header->left ? STEP_MORE : STEP_END;
	header->place++;
	if (place < sizeof(start_v2) - 1)
		return c == start_v2[place] ? STEP_MORE : STEP_NO;
	if (place == 12) /* version 2, LOCAL or PROXY */
		return (c & 0xfe) == 0x20 ? STEP_MORE : STEP_NO;
	if (place >= 14)
		header->left = (uint16_t)(header->left << 8 | (uint8_t)c);
	return header->place == FIXED_V2 && !header->left ? STEP_END : STEP_MORE;
}

static enum step next(struct proxy_header *header, char c)
{
	if (!header->version)
		header->version = c == start_v1[0] ? 1 : 2;
	return header->version == 1 ? next_v1(header, c) : next_v2(header, c);
}

size_t proxy_header_client(struct proxy_header *header, struct span data, size_t *lines,
			   bool *ended)
{
	size_t taken = 0;

	*ended = false;
	*lines = 0;
	while (taken < data.len && !header->over) {
		enum step step = next(header, data.data[taken]);

		header->over = step != STEP_MORE;
		if (step == STEP_NO)
			break;
		*ended = step == STEP_END;
		taken++;
		if (header->version == 1 || header->place < sizeof(start_v2))
			*lines = taken;
	}
	return taken;
}
