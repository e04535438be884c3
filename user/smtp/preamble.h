/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a client says to a proxy before the connection that it asks for begins: HTTP CONNECT (RFC
 * 9110, 9.3.6), SOCKS 4 and 4a, SOCKS 5 (RFC 1928, passwords RFC 1929); also one through the other.
 * Pure.
 */
#ifndef SMTPSNOOP_PREAMBLE_H
#define SMTPSNOOP_PREAMBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define PREAMBLE_TARGET_MAX 264U /* "[name]:port", the name of 255 bytes; a longer one is none */
/* Bytes of a CONNECT request, or of its response; a longer one is none */
#define PREAMBLE_HTTP_MAX 16384U
#define PREAMBLE_HOPS_MAX 8U /* requests on a connection; what follows is not looked at */

enum preamble_protocol {
	PREAMBLE_NONE,
	PREAMBLE_HTTP,
	PREAMBLE_SOCKS4,
	PREAMBLE_SOCKS5,
};

/* Zero it to begin. The fields of a machine are its own business. */
struct preamble {
	bool refuted;	 /* the server did not answer as a proxy does: there was no request */
	bool refused;	 /* the last request was */
	uint8_t hops;	 /* requests that are complete */
	uint8_t answers; /* requests that were answered */
	uint8_t protocols[PREAMBLE_HOPS_MAX + 1]; /* enum preamble_protocol, of each request */
	char target[PREAMBLE_TARGET_MAX];	  /* of the last: "host:port" */
	uint16_t target_len;

	struct {
		bool off; /* what comes is no request */
		bool secret;
		bool name_follows;
		uint8_t state;
		uint8_t left;	/* bytes of the field under way */
		uint16_t place; /* in a field or a keyword */
		uint16_t total;
		uint8_t address_type;
		uint8_t address[16];
		uint8_t port[2];
		char name[24]; /* of a header */
	} client;

	struct {
		uint8_t state;
		uint8_t left;
		uint16_t place;
		uint16_t total;
		bool good;    /* the request is granted */
		bool interim; /* HTTP's 1yz: the response is still to come */
		bool blank;   /* the header line under way is, so far */
	} server;
};

/*
 * Takes the client's next bytes, up to the end of a request (`*ended`) or of the data, and returns
 * how many: 0 once they are something else. `secrets`: NULL, or the same bytes to write to:
 * credentials are overwritten with '*'.
 */
size_t preamble_client(struct preamble *preamble, struct span data, char *secrets, bool *ended);

/*
 * Takes the server's next bytes, as far as they are a proxy's, and returns how many. `*answered`:
 * the last of them ended the response to a request.
 */
size_t preamble_server(struct preamble *preamble, struct span data, bool *answered);

/* Bytes are missing: no request is looked for any more. */
void preamble_gap(struct preamble *preamble);

#endif
