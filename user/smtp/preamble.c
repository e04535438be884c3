/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: two state machines, one per direction, that consume a byte at a time. A
 * request shows where it ends, so SMTP may follow in the same send, before the proxy answers.
 * Another request may follow too: to the next proxy through the first, or again after a refusal
 * (407).
 *
 * The client's bytes alone do not show whether there is a proxy. A mail server reads bytes that
 * look like a request as lines that it does not understand, and there may be commands among them.
 * So client.c parses these bytes as lines in any case; only the response of a proxy, which no mail
 * server gives, makes the request count.
 */
#include "smtp/preamble.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum client_state {
	CLIENT_START,
	CLIENT_HTTP_METHOD,
	CLIENT_HTTP_TARGET,
	CLIENT_HTTP_NAME, /* at the start of a header line, or in its name */
	CLIENT_HTTP_REST, /* of the line, up to its LF */
	CLIENT_SOCKS4_HEAD,
	CLIENT_SOCKS4_USER,
	CLIENT_SOCKS4_NAME,
	CLIENT_SOCKS5_COUNT,
	CLIENT_SOCKS5_METHODS,
	CLIENT_SOCKS5_NEXT, /* the sub-negotiation of a password, or the request */
	CLIENT_SOCKS5_USER_LEN,
	CLIENT_SOCKS5_USER,
	CLIENT_SOCKS5_PASSWORD_LEN,
	CLIENT_SOCKS5_PASSWORD,
	CLIENT_SOCKS5_REQUEST, /* command, reserved, address type */
	CLIENT_SOCKS5_NAME_LEN,
	CLIENT_SOCKS5_ADDRESS, /* an address or a name */
	CLIENT_SOCKS5_PORT,
	CLIENT_END,
	CLIENT_NONE, /* not a request */
};

enum server_state {
	SERVER_START,
	SERVER_HTTP_STATUS,
	SERVER_HTTP_LINES,
	SERVER_SOCKS4,
	SERVER_SOCKS5_METHOD,
	SERVER_SOCKS5_NEXT,
	SERVER_SOCKS5_PASSWORD,
	SERVER_SOCKS5_REPLY, /* code, reserved, address type */
	SERVER_SOCKS5_NAME_LEN,
	SERVER_SOCKS5_ADDRESS, /* an address or a name, and the port */
	SERVER_END,
	SERVER_NONE, /* not a response */
};

enum { SOCKS5_IPV4 = 1, SOCKS5_NAME = 3, SOCKS5_IPV6 = 4 };

static const char http_method[] = "CONNECT ";
static const char *const credentials[] = {"Proxy-Authorization", "Authorization", "Cookie"};

static bool target_add(struct preamble *preamble, uint8_t c)
{
	if (preamble->target_len == PREAMBLE_TARGET_MAX)
		return false;
	preamble->target[preamble->target_len++] = (char)c;
	return true;
}

/* Adds the target of a SOCKS request: the address (not if family is 0), and the port. */
static void target_add_address(struct preamble *preamble, int family)
{
	char host[INET6_ADDRSTRLEN] = "", text[INET6_ADDRSTRLEN + sizeof("[]:65535")];
	unsigned int port = preamble->client.port[0] * 256U + preamble->client.port[1];

	if (family)
		inet_ntop(family, preamble->client.address, host, sizeof(host));
	snprintf(text, sizeof(text), family == AF_INET6 ? "[%s]:%u" : "%s:%u", host, port);
	for (const char *c = text; *c; c++)
		target_add(preamble, (uint8_t)*c);
}

/* ---- HTTP ------------------------------------------------------------------------------------ */

static bool is_credentials(struct span name)
{
	for (size_t i = 0; i < sizeof(credentials) / sizeof(credentials[0]); i++) {
		if (name.len == strlen(credentials[i]) &&
		    strncasecmp(name.data, credentials[i], name.len) == 0)
			return true;
	}
	return false;
}

/* At the start of a header line, or in its name. */
static uint8_t http_name(struct preamble *preamble, uint8_t c)
{
	uint16_t *place = &preamble->client.place;

	if (c == '\n' && *place) { /* not a header field, but some proxies ignore that */
		*place = 0;
		return CLIENT_HTTP_NAME;
	}
	if (c == '\n')
		return CLIENT_END;
	if (c == '\r' && !*place)
		return CLIENT_HTTP_NAME;
	if ((c == ' ' || c == '\t') && !*place)
		/* the previous line continues (RFC 9112, 5.2); it is just as secret */
		return CLIENT_HTTP_REST;
	preamble->client.secret = false;
	if (c == ':') {
		preamble->client.secret =
			is_credentials((struct span){preamble->client.name, *place});
		return CLIENT_HTTP_REST;
	}
	if (*place == sizeof(preamble->client.name))
		return CLIENT_HTTP_REST;
	preamble->client.name[(*place)++] = (char)c;
	return CLIENT_HTTP_NAME;
}

static uint8_t http_client(struct preamble *preamble, uint8_t c)
{
	if (++preamble->client.total > PREAMBLE_HTTP_MAX)
		return CLIENT_NONE;
	switch (preamble->client.state) {
	case CLIENT_HTTP_METHOD:
		if (toupper(c) != http_method[preamble->client.place])
			return CLIENT_NONE;
		if (http_method[++preamble->client.place])
			return CLIENT_HTTP_METHOD;
		preamble->target_len = 0;
		return CLIENT_HTTP_TARGET;
	case CLIENT_HTTP_TARGET:
		preamble->client.secret = false;
		if (c == ' ' && preamble->target_len)
			return CLIENT_HTTP_REST;
		return iscntrl(c) || c == ' ' || !target_add(preamble, c) ? CLIENT_NONE
									  : CLIENT_HTTP_TARGET;
	case CLIENT_HTTP_REST:
		preamble->client.place = 0;
		return c == '\n' ? CLIENT_HTTP_NAME : CLIENT_HTTP_REST;
	default: return http_name(preamble, c);
	}
}

/* "HTTP/1.1 200 Connection established": only the code matters. */
static uint8_t http_status(struct preamble *preamble, uint8_t c)
{
	static const char pattern[] = "HTTP/1.* ***";
	char expected = pattern[preamble->server.place++];

	if (preamble->server.place == sizeof("HTTP/1.* *") - 1) {
		preamble->server.good = c == '2';
		preamble->server.interim = c == '1';
	}
	if (expected == '*' ? !isdigit(c) : c != (uint8_t)expected)
		return SERVER_NONE;
	preamble->server.blank = false;
	return pattern[preamble->server.place] ? SERVER_HTTP_STATUS : SERVER_HTTP_LINES;
}

static uint8_t http_server(struct preamble *preamble, uint8_t c)
{
	if (++preamble->server.total > PREAMBLE_HTTP_MAX)
		return SERVER_NONE;
	if (preamble->server.state == SERVER_HTTP_STATUS)
		return http_status(preamble, c);
	if (c == '\n' && preamble->server.blank)
		return SERVER_END;
	preamble->server.blank = c == '\n' || (c == '\r' && preamble->server.blank);
	return SERVER_HTTP_LINES;
}

/* ---- SOCKS 4 --------------------------------------------------------------------------------- */

/* After the version: command, port, address. */
static uint8_t socks4_head(struct preamble *preamble, uint8_t c)
{
	const uint8_t *address = preamble->client.address;
	uint16_t place = preamble->client.place++;

	if (place == 0)
		return c == 1 ? CLIENT_SOCKS4_HEAD : CLIENT_NONE; /* CONNECT */
	if (place <= 2) {
		preamble->client.port[place - 1] = c;
		return CLIENT_SOCKS4_HEAD;
	}
	preamble->client.address[place - 3] = c;
	if (place < 6)
		return CLIENT_SOCKS4_HEAD;
	preamble->client.name_follows = !address[0] && !address[1] && !address[2] && address[3];
	preamble->client.left = 255;
	return CLIENT_SOCKS4_USER;
}

static uint8_t socks4_client(struct preamble *preamble, uint8_t c)
{
	uint8_t state = preamble->client.state;

	if (state == CLIENT_SOCKS4_HEAD)
		return socks4_head(preamble, c);
	if (c) {
		if (state == CLIENT_SOCKS4_NAME)
			target_add(preamble, c);
		return preamble->client.left-- ? state : CLIENT_NONE;
	}
	if (state == CLIENT_SOCKS4_USER && preamble->client.name_follows) {
		preamble->client.left = 255;
		return CLIENT_SOCKS4_NAME;
	}
	target_add_address(preamble, state == CLIENT_SOCKS4_NAME ? 0 : AF_INET);
	return CLIENT_END;
}

/* A zero, the code, the port and the address. */
static uint8_t socks4_server(struct preamble *preamble, uint8_t c)
{
	if (++preamble->server.place == 2)
		preamble->server.good = c == 90;
	return preamble->server.place == 8 ? SERVER_END : SERVER_SOCKS4;
}

/* ---- SOCKS 5 --------------------------------------------------------------------------------- */

/* Begins a field of `len` bytes. An empty one is skipped: the state is `behind`. */
static uint8_t field_begin(struct preamble *preamble, uint8_t len, uint8_t field, uint8_t behind)
{
	preamble->client.left = len;
	preamble->client.place = 0;
	return len ? field : behind;
}

static uint8_t field_next(struct preamble *preamble, uint8_t behind)
{
	return --preamble->client.left ? preamble->client.state : behind;
}

/* After the version: command, reserved, address type. */
static uint8_t socks5_request(struct preamble *preamble, uint8_t c)
{
	switch (preamble->client.place++) {
	case 0: return c == 1 ? CLIENT_SOCKS5_REQUEST : CLIENT_NONE; /* CONNECT */
	case 1: return CLIENT_SOCKS5_REQUEST;
	default: break;
	}
	preamble->client.address_type = c;
	switch (c) {
	case SOCKS5_IPV4: return field_begin(preamble, 4, CLIENT_SOCKS5_ADDRESS, CLIENT_NONE);
	case SOCKS5_IPV6: return field_begin(preamble, 16, CLIENT_SOCKS5_ADDRESS, CLIENT_NONE);
	case SOCKS5_NAME: return CLIENT_SOCKS5_NAME_LEN;
	default: return CLIENT_NONE;
	}
}

/* The address or name, and the port. */
static uint8_t socks5_address(struct preamble *preamble, uint8_t c)
{
	uint8_t type = preamble->client.address_type;

	if (preamble->client.state == CLIENT_SOCKS5_PORT) {
		preamble->client.port[preamble->client.place++] = c;
		if (--preamble->client.left)
			return CLIENT_SOCKS5_PORT;
		target_add_address(preamble, type == SOCKS5_IPV4   ? AF_INET
					     : type == SOCKS5_IPV6 ? AF_INET6
								   : 0);
		return CLIENT_END;
	}
	if (type == SOCKS5_NAME)
		target_add(preamble, c);
	else
		preamble->client.address[preamble->client.place++] = c;
	if (--preamble->client.left)
		return CLIENT_SOCKS5_ADDRESS;
	return field_begin(preamble, 2, CLIENT_SOCKS5_PORT, CLIENT_NONE);
}

static uint8_t socks5_client(struct preamble *preamble, uint8_t c)
{
	switch (preamble->client.state) {
	case CLIENT_SOCKS5_COUNT:
		return field_begin(preamble, c, CLIENT_SOCKS5_METHODS, CLIENT_NONE);
	case CLIENT_SOCKS5_METHODS: return field_next(preamble, CLIENT_SOCKS5_NEXT);
	case CLIENT_SOCKS5_NEXT:
		preamble->client.place = 0;
		return c == 1	? CLIENT_SOCKS5_USER_LEN
		       : c == 5 ? CLIENT_SOCKS5_REQUEST
				: CLIENT_NONE;
	case CLIENT_SOCKS5_USER_LEN:
		return field_begin(preamble, c, CLIENT_SOCKS5_USER, CLIENT_SOCKS5_PASSWORD_LEN);
	case CLIENT_SOCKS5_USER: return field_next(preamble, CLIENT_SOCKS5_PASSWORD_LEN);
	case CLIENT_SOCKS5_PASSWORD_LEN:
		return field_begin(preamble, c, CLIENT_SOCKS5_PASSWORD, CLIENT_SOCKS5_NEXT);
	case CLIENT_SOCKS5_PASSWORD: return field_next(preamble, CLIENT_SOCKS5_NEXT);
	case CLIENT_SOCKS5_REQUEST: return socks5_request(preamble, c);
	case CLIENT_SOCKS5_NAME_LEN:
		return field_begin(preamble, c, CLIENT_SOCKS5_ADDRESS, CLIENT_NONE);
	default: return socks5_address(preamble, c);
	}
}

/* After the version: code, reserved, address type. */
static uint8_t socks5_reply(struct preamble *preamble, uint8_t c)
{
	switch (preamble->server.place++) {
	case 0: preamble->server.good = c == 0; return SERVER_SOCKS5_REPLY;
	case 1: return SERVER_SOCKS5_REPLY;
	default: break;
	}
	preamble->server.left = c == SOCKS5_IPV4 ? 4 + 2 : 16 + 2;
	return c == SOCKS5_NAME			      ? SERVER_SOCKS5_NAME_LEN
	       : c == SOCKS5_IPV4 || c == SOCKS5_IPV6 ? SERVER_SOCKS5_ADDRESS
						      : SERVER_NONE;
}

static uint8_t socks5_server(struct preamble *preamble, uint8_t c)
{
	switch (preamble->server.state) {
	case SERVER_SOCKS5_METHOD: return c == 0xff ? SERVER_END : SERVER_SOCKS5_NEXT;
	case SERVER_SOCKS5_NEXT:
		preamble->server.place = 0;
		return c == 1 ? SERVER_SOCKS5_PASSWORD : c == 5 ? SERVER_SOCKS5_REPLY : SERVER_NONE;
	case SERVER_SOCKS5_PASSWORD: return c == 0 ? SERVER_SOCKS5_NEXT : SERVER_END;
	case SERVER_SOCKS5_REPLY: return socks5_reply(preamble, c);
	case SERVER_SOCKS5_NAME_LEN:
		preamble->server.left = c;
		preamble->server.total = 2; /* the port */
		return SERVER_SOCKS5_ADDRESS;
	default: break;
	}
	if (preamble->server.left)
		preamble->server.left--;
	else
		preamble->server.total--;
	return preamble->server.left || preamble->server.total ? SERVER_SOCKS5_ADDRESS : SERVER_END;
}

/* ---- The client ------------------------------------------------------------------------------ */

static uint8_t client_start(struct preamble *preamble, uint8_t c)
{
	uint8_t *protocol = &preamble->protocols[preamble->hops];

	preamble->client.place = preamble->client.total = 1;
	if (toupper(c) == http_method[0]) {
		*protocol = PREAMBLE_HTTP;
		return CLIENT_HTTP_METHOD;
	}
	if (c != 4 && c != 5)
		return CLIENT_NONE;
	preamble->client.place = 0;
	preamble->target_len = 0;
	*protocol = c == 4 ? PREAMBLE_SOCKS4 : PREAMBLE_SOCKS5;
	return c == 4 ? CLIENT_SOCKS4_HEAD : CLIENT_SOCKS5_COUNT;
}

static uint8_t client_next(struct preamble *preamble, uint8_t c)
{
	if (preamble->client.state == CLIENT_START)
		return client_start(preamble, c);
	switch (preamble->protocols[preamble->hops]) {
	case PREAMBLE_HTTP: return http_client(preamble, c);
	case PREAMBLE_SOCKS4: return socks4_client(preamble, c);
	default: return socks5_client(preamble, c);
	}
}

/* Line ends are kept: they reveal little, and without them a replay would see other lines. */
static bool is_secret(const struct preamble *preamble, uint8_t c)
{
	return c != '\r' && c != '\n' &&
	       (preamble->client.state == CLIENT_SOCKS5_PASSWORD ||
		(preamble->client.state == CLIENT_HTTP_REST && preamble->client.secret));
}

size_t preamble_client(struct preamble *preamble, struct span data, char *secrets, bool *ended)
{
	*ended = false;
	if (preamble->client.off)
		return 0;
	for (size_t i = 0; i < data.len; i++) {
		uint8_t c = (uint8_t)data.data[i];

		if (secrets && is_secret(preamble, c))
			secrets[i] = '*';
		preamble->client.state = client_next(preamble, c);
		if (preamble->client.state == CLIENT_NONE) {
			preamble->protocols[preamble->hops] = PREAMBLE_NONE;
			preamble->client.off = true;
			return 0;
		}
		if (preamble->client.state == CLIENT_END) {
			preamble->client.state = CLIENT_START;
			preamble->client.off = ++preamble->hops == PREAMBLE_HOPS_MAX;
			*ended = true;
			return i + 1;
		}
	}
	return data.len;
}

void preamble_gap(struct preamble *preamble)
{
	preamble->client.off = true;
	preamble->refused = false;
	preamble->answers = preamble->hops;
	preamble->protocols[preamble->hops] = PREAMBLE_NONE;
}

/* ---- The server ------------------------------------------------------------------------------ */

static uint8_t server_start(struct preamble *preamble, uint8_t c)
{
	uint8_t protocol = preamble->protocols[preamble->answers];

	preamble->server.place = preamble->server.total = 1;
	preamble->server.good = false;
	if (protocol == PREAMBLE_HTTP && c == 'H')
		return SERVER_HTTP_STATUS;
	if (protocol == PREAMBLE_SOCKS4 && c == 0)
		return SERVER_SOCKS4;
	preamble->server.total = 0;
	if (protocol == PREAMBLE_SOCKS5 && c == 5)
		return SERVER_SOCKS5_METHOD;
	return SERVER_NONE;
}

static uint8_t server_next(struct preamble *preamble, uint8_t c)
{
	if (preamble->server.state == SERVER_START)
		return server_start(preamble, c);
	switch (preamble->protocols[preamble->answers]) {
	case PREAMBLE_HTTP: return http_server(preamble, c);
	case PREAMBLE_SOCKS4: return socks4_server(preamble, c);
	default: return socks5_server(preamble, c);
	}
}

size_t preamble_server(struct preamble *preamble, struct span data, bool *answered)
{
	*answered = false;
	for (size_t i = 0; i < data.len; i++) {
		bool waits = preamble->protocols[preamble->answers] != PREAMBLE_NONE;

		if (preamble->refuted)
			return i;
		if (!waits && preamble->refused)
			return data.len; /* the text of the refusal */
		if (!waits) {
			preamble->client.off = true; /* the server speaks: no more requests */
			return i;
		}
		preamble->server.state = server_next(preamble, (uint8_t)data.data[i]);
		if (preamble->server.state == SERVER_NONE) {
			preamble->refuted = preamble->client.off = true;
			preamble->hops = 0;
			return i;
		}
		if (preamble->server.state == SERVER_END) {
			preamble->server.state = SERVER_START;
			if (preamble->server.interim) {
				preamble->server.interim = false;
				continue;
			}
			preamble->refused = !preamble->server.good;
			preamble->answers++;
			*answered = true;
			return i + 1;
		}
	}
	return data.len;
}
