/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hellos of a TLS handshake. What the front of the bytes says, all of them say too: a name is
 * never cut, and a server's choice never changes.
 */
#include <stdint.h>
#include <stdlib.h>

#include "flow/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct span exact(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, data, size);
	return (struct span){copy, size};
}

static void client(const uint8_t *data, size_t size, size_t front)
{
	struct span whole = exact(data, size), cut = exact(data, front);
	struct client_hello hello, early;
	bool found = hello_client(whole, &hello);

	if (hello_client(cut, &early) && early.server_name[0] &&
	    (!found || strcmp(hello.server_name, early.server_name) != 0))
		abort();
	for (const char *at = found ? hello.server_name : ""; *at; at++) {
		if (*at <= ' ' || *at > '~')
			abort();
	}
	free((char *)whole.data);
	free((char *)cut.data);
}

static void server(const uint8_t *data, size_t size, size_t front)
{
	struct span whole = exact(data, size), cut = exact(data, front);
	struct server_hello hello, early;
	bool found = hello_server(whole, &hello);

	if (hello_server(cut, &early) && (!found || hello.cipher != early.cipher))
		abort();
	free((char *)whole.data);
	free((char *)cut.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t front;

	if (size < 2)
		return 0;
	front = (data[0] | (size_t)data[1] << 8) % (size - 1);
	client(data + 2, size - 2, front);
	server(data + 2, size - 2, front);
	return 0;
}
