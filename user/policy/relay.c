/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/relay.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "policy/relay_names.h"

/* ---- Reading --------------------------------------------------------------------------------- */

static bool parse_port(const char *text, uint16_t *port)
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

static bool parse_prefix(const char *text, unsigned int max, unsigned int *prefix)
{
	uint16_t number = 0;

	if (strcmp(text, "0") != 0 && !parse_port(text, &number))
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
		if (slash && !parse_prefix(slash + 1, 32, &prefix))
			return false;
		relay->prefix = slash ? 96 + prefix : 128;
		return true;
	}
	if (inet_pton(AF_INET6, text, relay->addr) != 1 ||
	    (slash && !parse_prefix(slash + 1, 128, &prefix)))
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

bool relay_parse(char *text, struct relay *relay)
{
	char *port = strrchr(text, ':'), *slash;

	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && (end[1] != ':' || !parse_port(end + 2, &relay->port))))
			return false;
		*end = '\0';
		return network_parse(text + 1, relay);
	}
	if (port && strchr(text, ':') == port) { /* one colon: no IPv6 */
		if (!parse_port(port + 1, &relay->port))
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

void relays_free(struct relays *relays)
{
	for (size_t i = 0; i < relays->count; i++) {
		free(relays->items[i].text);
		free(relays->items[i].name);
	}
	free(relays->items);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static enum state relay_state(const struct relay *relay, const uint8_t *addr, uint16_t port,
			      const struct relay_names *names, uint64_t now_ns)
{
	if (relay->port && relay->port != port)
		return STATE_FAILED;
	if (!relay->name)
		return address_in_network(addr, relay->addr, relay->prefix) ? STATE_MET
									    : STATE_FAILED;
	if (!names)
		return STATE_UNKNOWN;
	switch (relay_names_have(names, relay->name, addr, now_ns)) {
	case RELAY_SAME: return STATE_MET;
	case RELAY_OTHER: return STATE_FAILED;
	default: return STATE_UNKNOWN;
	}
}

/* Whether a proxy's target is this relay: names compare as text, addresses as numbers. */
static bool target_is(const struct relay *relay, struct span host, uint16_t port)
{
	char text[64];
	struct relay target = {0};

	if (relay->port && relay->port != port)
		return false;
	if (relay->name)
		return host.len == strlen(relay->name) &&
		       strncasecmp(host.data, relay->name, host.len) == 0;
	if (host.len > 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
		host = (struct span){host.data + 1, host.len - 2};
	if (host.len >= sizeof(text))
		return false;
	memcpy(text, host.data, host.len);
	text[host.len] = '\0';
	return !memchr(text, '/', host.len) && network_parse(text, &target) &&
	       address_in_network(target.addr, relay->addr, relay->prefix);
}

enum state relays_match_target(const struct relays *relays, struct span target)
{
	struct span host = target;
	unsigned long port = 0;

	while (host.len && target.data[host.len - 1] != ':')
		host.len--;
	if (!host.len)
		return STATE_FAILED;
	for (size_t i = host.len; i < target.len && port < 65536; i++) {
		if (!isdigit((unsigned char)target.data[i]))
			return STATE_FAILED;
		port = 10 * port + (unsigned long)(target.data[i] - '0');
	}
	host.len--;
	for (size_t i = 0; i < relays->count; i++) {
		if (port && port < 65536 && target_is(&relays->items[i], host, (uint16_t)port))
			return STATE_MET;
	}
	return STATE_FAILED;
}

enum state relays_match(const struct relays *relays, const uint8_t *addr, uint16_t port,
			const struct relay_names *names, uint64_t now_ns)
{
	enum state result = STATE_FAILED;

	for (size_t i = 0; i < relays->count && result != STATE_MET; i++) {
		enum state state = relay_state(&relays->items[i], addr, port, names, now_ns);

		if (state != STATE_FAILED)
			result = state;
	}
	return result;
}
