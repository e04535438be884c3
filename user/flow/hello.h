/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the first bytes of a TLS connection say: server name, version, cipher suite. */
#ifndef SMTPSNOOP_HELLO_H
#define SMTPSNOOP_HELLO_H

#include <stdint.h>

#include "base/span.h"

#define HELLO_NAME_MAX	 255U /* bytes of a server name: the longest name in DNS is shorter */
#define HELLO_CIPHER_MAX 48U  /* bytes of the name of a cipher suite, with its NUL */

struct client_hello {
	char server_name[HELLO_NAME_MAX +
			 1]; /* "": the client names none, or it was not captured */
};

struct server_hello {
	uint16_t version; /* as negotiated: 0x0303 is TLS 1.2 */
	uint16_t cipher;  /* IANA's number of the cipher suite */
};

/*
 * Reads what a client or a server sent, from its first TLS record on. `bytes` may be cut anywhere,
 * and may be hostile. False, and the hello is untouched: they do not begin with such a message, or
 * it is cut before what it always has (RFC 8446, 4.1).
 *
 * A server name must be complete, and printable ASCII without blanks; otherwise it is left out
 * (RFC 6066, 3).
 */
bool hello_client(struct span bytes, struct client_hello *hello);
bool hello_server(struct span bytes, struct server_hello *hello);

/* "1.3"; a static string. NULL: no such version is known. */
const char *hello_version(uint16_t version);

/* "tls", or "ssl" for what came before TLS 1.0; a static string. */
const char *hello_protocol(uint16_t version);

/* IANA's name of a cipher suite, such as TLS_AES_256_GCM_SHA384; "0xNNNN" if it is not in the
 * table. */
void hello_cipher(char name[HELLO_CIPHER_MAX], uint16_t cipher);

#endif
