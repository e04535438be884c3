/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Addresses, networks and names of relays. */
#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"

static bool read_port(const char *text, uint16_t *port)
{
	unsigned long number = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		number = number * 10 + (unsigned long)(*text - '0');
	}
	*port = (uint16_t)number;
	return number > 0 && number < 65536;
}

static bool read_prefix(const char *text, unsigned int max, unsigned int *prefix)
{
	uint16_t number = 0;

	if (strcmp(text, "0") != 0 && !read_port(text, &number))
		return false;
	*prefix = number;
	return number <= max;
}

bool network_parse(char *text, struct relay *relay)
{
	char *slash = strchr(text, '/');
	unsigned int prefix = 0;

	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, relay->addr + 12) == 1) {
		relay->addr[10] = relay->addr[11] = 0xff;
		if (slash && !read_prefix(slash + 1, 32, &prefix))
			return false;
		relay->prefix = slash ? 96 + prefix : 128;
		return true;
	}
	if (inet_pton(AF_INET6, text, relay->addr) != 1 ||
	    (slash && !read_prefix(slash + 1, 128, &prefix)))
		return false;
	relay->prefix = slash ? prefix : 128;
	return true;
}

bool address_in_network(const uint8_t *addr, const uint8_t *network, unsigned int prefix)
{
	unsigned int bytes = prefix / 8, rest = prefix % 8;

	if (memcmp(addr, network, bytes) != 0)
		return false;
	return !rest || (addr[bytes] ^ network[bytes]) >> (8 - rest) == 0;
}

static bool is_host_name(const char *text)
{
	bool letter = false;

	if (!*text || strlen(text) > 253 || text[0] == '-' || text[0] == '.')
		return false;
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr("-._", *text))
			return false;
		letter = letter || isalpha((unsigned char)*text);
	}
	return letter;
}

/* ADDRESS, ADDRESS/PREFIX, [ADDRESS]:PORT, NAME, NAME:PORT. */
static bool parse_relay(char *text, struct relay *relay)
{
	char *port = strrchr(text, ':'), *slash;

	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && (end[1] != ':' || !read_port(end + 2, &relay->port))))
			return false;
		*end = '\0';
		return network_parse(text + 1, relay);
	}
	if (port && strchr(text, ':') == port) { /* one colon: no IPv6 */
		if (!read_port(port + 1, &relay->port))
			return false;
		*port = '\0';
	}
	slash = strchr(text, '/');
	if (network_parse(text, relay))
		return true;
	if (slash || !is_host_name(text))
		return false;
	relay->name = strdup(text);
	return relay->name;
}

static bool add_relay(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct relays *relays = target;
	char *text = reader_text(reader, node, "a relay"), *copy = text ? strdup(text) : NULL;
	struct relay *relay =
		copy ? reader_append(&relays->items, &relays->count, sizeof(*relay)) : NULL;
	bool good = false;

	if (relay) {
		relay->text = text;
		good = parse_relay(copy, relay) ||
		       reader_fail(reader, node,
				   "%s: no relay: an address, a network or a name is "
				   "wanted, as 10.0.0.25:587, 10.1.0.0/16, "
				   "[2001:db8::1]:25 or mail.example",
				   text);
	} else {
		free(text);
	}
	free(copy);
	return good;
}

bool config_read_relays(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_relay, target);
}
