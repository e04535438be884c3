/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Relays: the servers that an exclusion allows, by address, network or name. */
#ifndef SMTPSNOOP_RELAY_H
#define SMTPSNOOP_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/values.h"

/* The addresses that names stand for (relay_names.h). */
struct relay_names;

/* An address with a prefix, or a name. */
struct relay {
	char *text;	     /* as written; owned */
	char *name;	     /* owned; NULL: an address */
	uint8_t addr[16];    /* IPv4 is v4-mapped */
	unsigned int prefix; /* bits of addr that count, of 128 */
	uint16_t port;	     /* 0: any */
};

struct relays {
	struct relay *items; /* owned */
	size_t count;	     /* 0: the exclusion does not have the criterion */
};

void relays_free(struct relays *relays);

/*
 * Parses ADDRESS, ADDRESS/PREFIX, [ADDRESS]:PORT, NAME or NAME:PORT into everything but `text`.
 * Cuts the text. False: it is none of these, or there is no memory.
 */
bool relay_parse(char *text, struct relay *relay);

/* Parses ADDRESS or ADDRESS/PREFIX: sets addr and prefix. Cuts the text at the slash. */
bool network_parse(char *text, struct relay *relay);

/* Whether the first `prefix` bits of both are the same. */
bool address_in_network(const uint8_t *addr, const uint8_t *network, unsigned int prefix);

/*
 * Whether one of the relays is this server. `names` NULL: no name can be resolved, so a relay with
 * a name is unknown.
 */
enum state relays_match(const struct relays *relays, const uint8_t *addr, uint16_t port,
			const struct relay_names *names, uint64_t now_ns);

/* Whether one of the relays is this target of a proxy: "NAME:PORT" or "ADDRESS:PORT". */
enum state relays_match_target(const struct relays *relays, struct span target);

#endif
