/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool address_of(const struct addrinfo *info, uint8_t *address)
{
	memset(address, 0, 16);
	if (info->ai_family == AF_INET) {
		address[10] = address[11] = 0xff;
		memcpy(address + 12,
		       &((const struct sockaddr_in *)(const void *)info->ai_addr)->sin_addr, 4);
	} else if (info->ai_family == AF_INET6) {
		memcpy(address,
		       &((const struct sockaddr_in6 *)(const void *)info->ai_addr)->sin6_addr, 16);
	}
	return info->ai_family == AF_INET || info->ai_family == AF_INET6;
}

struct relay_record *relay_resolve(const char *name)
{
	const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
	uint8_t addresses[(RELAY_ADDRESSES_MAX + 1) * 16];
	size_t name_len = strlen(name);
	struct addrinfo *found = NULL;
	struct relay_record *record;
	uint32_t count = 0;

	if (getaddrinfo(name, NULL, &hints, &found))
		found = NULL;
	for (const struct addrinfo *info = found; info && count < RELAY_ADDRESSES_MAX;
	     info = info->ai_next)
		count += address_of(info, addresses + 16ULL * count);
	if (found)
		freeaddrinfo(found);
	record = calloc(1, sizeof(*record) + 16ULL * count + name_len);
	if (!record)
		return NULL;
	record->h.type = RECORD_RELAY;
	record->h.len = (uint32_t)(sizeof(*record) + 16ULL * count + name_len);
	record->name_len = (uint32_t)name_len;
	record->count = count;
	memcpy(record->data, addresses, 16ULL * count);
	memcpy(record->data + 16ULL * count, name, name_len);
	return record;
}
