/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a client says to a proxy to be connected: HTTP CONNECT (RFC 9110, 9.3.6), SOCKS 4 and 4a,
 * SOCKS 5 (RFC 1928, passwords RFC 1929). Proxies may be chained. Pure.
 */
#ifndef SMTPSNOOP_PREAMBLE_H
#define SMTPSNOOP_PREAMBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

#define PREAMBLE_TARGET_MAX 264U   /* "[name]:port"; a longer target is not a request */
#define PREAMBLE_HTTP_MAX   16384U /* bytes of a CONNECT request or response */
#define PREAMBLE_HOPS_MAX   8U	   /* requests on a connection; further ones are not looked for */

enum preamble_protocol {
	PREAMBLE_NONE,
	PREAMBLE_HTTP,
	PREAMBLE_SOCKS4,
	PREAMBLE_SOCKS5,
};

/* Zero it to begin. `client` and `server` are private to preamble.c. */
struct preamble {
	bool refuted;	 /* the server did not answer like a proxy: there was no request */
	bool refused;	 /* the last request was refused */
	uint8_t hops;	 /* complete requests */
	uint8_t answers; /* answered requests */
	uint8_t protocols[PREAMBLE_HOPS_MAX + 1]; /* of each request: enum preamble_protocol */
	char target[PREAMBLE_TARGET_MAX];	  /* of the last request: "host:port" */
	uint16_t target_len;

	struct {
		bool off; /* no further request is looked for */
		bool secret;
		bool name_follows;
		uint8_t state;
		uint8_t left;	/* bytes left of the field in progress */
		uint16_t place; /* position in a field or a keyword */
		uint16_t total;
		uint8_t address_type;
		uint8_t address[16];
		uint8_t port[2];
		char name[24]; /* of a header field */
	} client;

	struct {
		uint8_t state;
		uint8_t left;
		uint16_t place;
		uint16_t total;
		bool good;    /* the request was granted */
		bool interim; /* HTTP's 1yz: the response is still to come */
		bool blank;   /* the header line in progress is empty so far */
	} server;
};

/*
 * Consumes the client's next bytes, up to the end of a request (`*ended`) or of the data. Returns
 * how many; 0 if they are not a request. `secrets`: NULL, or the same bytes, writable: credentials
 * in them are overwritten with '*'.
 */
size_t preamble_client(struct preamble *preamble, struct span data, char *secrets, bool *ended);

/*
 * Consumes the server's next bytes, as far as they come from a proxy. Returns how many.
 * `*answered`: they end with the end of a response.
 */
size_t preamble_server(struct preamble *preamble, struct span data, bool *answered);

/* Bytes are missing: no further request is looked for. */
void preamble_gap(struct preamble *preamble);

#endif
