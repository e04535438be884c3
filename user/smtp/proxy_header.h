/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The header of the PROXY protocol, version 1 or 2, in front of a session: a load balancer, or a
 * client that stands behind one, tells the server whose connection it is. Pure.
 * (https://www.haproxy.org/download/2.9/doc/proxy-protocol.txt)
 */
#ifndef SMTPSNOOP_PROXY_HEADER_H
#define SMTPSNOOP_PROXY_HEADER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Zero it to begin. Private to proxy_header.c, but for `over`. */
struct proxy_header {
	bool over; /* it has ended, or there is none: no further byte belongs to it */
	uint8_t version;
	uint16_t place; /* bytes of the fixed part that were seen */
	uint16_t left;	/* version 2: bytes of addresses and options that are to come */
};

/*
 * Consumes the client's next bytes, as far as they may belong to the header. Returns how many.
 * `*ended`: they end with the end of a header. What is consumed may turn out to be none. `*lines`:
 * how many of them another server reads as lines.
 */
size_t proxy_header_client(struct proxy_header *header, struct span data, size_t *lines,
			   bool *ended);

#endif
