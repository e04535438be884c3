/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "flow/flow_tls.h"

#include <stdlib.h>

void flow_hello(struct flow *flow, bool outbound, struct span bytes)
{
	struct client_hello client;

	if (!outbound) {
		hello_server(bytes, &flow->tls_server);
		return;
	}
	if (!hello_client(bytes, &client))
		return;
	free(flow->server_name);
	flow->server_name = client.server_name[0] ? strdup(client.server_name) : NULL;
}

void flow_joined(struct flow *flow, const struct tls_record *record)
{
	flow_hello(flow, true, (struct span){record->data, record->client_len});
	flow_hello(flow, false,
		   (struct span){record->data + record->client_len, record->server_len});
	flow->plain = true;
	flow->layer = record->layer;
	flow->tls_late = record->flags & TLS_LATE;
	if (flow->tls)
		return;
	flow->tls = true;
	flow->tls_since_ns = record->h.time_ns;
}
