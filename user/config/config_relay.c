/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the relays of an exclusion: addresses, networks and names. */
#include <stdlib.h>
#include <string.h>

#include "config/reader.h"
#include "policy/relay.h"

static bool add_relay(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	struct relays *relays = target;
	char *text = reader_text(reader, node, "a relay"), *copy = text ? strdup(text) : NULL;
	struct relay *relay =
		copy ? reader_append(&relays->items, &relays->count, sizeof(*relay)) : NULL;
	bool good = false;

	(void)key;
	if (relay) {
		relay->text = text;
		good = relay_parse(copy, relay) ||
		       reader_fail(
			       reader, node,
			       "%s: not a relay; expected an address, a network or a name, such as "
			       "10.0.0.25:587, 10.1.0.0/16, [2001:db8::1]:25 or mail.example",
			       text);
	} else {
		free(text);
	}
	free(copy);
	return good;
}

bool config_read_relays(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target)
{
	return reader_list(reader, node, key, add_relay, target);
}
