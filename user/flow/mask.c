/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: whether a line is a secret depends on the lines before it. Segments arrive
 * in the order in which the flow's session reads them, so that session knows. Sends may run ahead
 * of the wire (Nagle, a full window), so a second session reads the sends and the replies.
 *
 * The server may repeat a secret. So what it says is masked too, by the session that knows what the
 * client said; for an accepted connection, that is the third session, and the server is a process
 * of this host, whose sends are recorded as well.
 */
#include "flow/mask.h"

static void forget(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	smtp_transaction_free(transaction);
}

void mask_send(struct flow *flow, struct send_record *record)
{
	struct span plain = {NULL, record->data_len};
	char copy[SEND_PIECE_MAX];
	int32_t ahead;

	if (flow->peer) /* a server: its sends run ahead of the replies on the wire */
		smtp_mask_replies(flow->peer, record->data, record->data_len, false);
	if (!flow->sends)
		flow->sends = smtp_session_new(true, forget, NULL);
	if (!flow->sends || record->data_len > sizeof(copy)) {
		memset(record->data, '*', record->data_len);
		return;
	}
	if (!flow->sends_started)
		flow->sends_next = record->seq;
	flow->sends_started = true;
	ahead = (int32_t)(record->seq - flow->sends_next);
	if (ahead > 0) {
		smtp_client_gap(flow->sends, (uint64_t)ahead, record->h.time_ns);
		flow->sends_next = record->seq;
	}
	memcpy(copy, record->data, record->data_len);
	smtp_mask_secrets(flow->sends, record->data, record->data_len, ahead == 0);
	if (ahead < 0)
		return;
	plain.data = copy;
	smtp_client_data(flow->sends, plain, record->h.time_ns);
	if (record->len > record->data_len)
		smtp_client_gap(flow->sends, record->len - record->data_len, record->h.time_ns);
	flow->sends_next += record->len;
	explicit_bzero(copy, sizeof(copy));
}

/*
 * What the peer of an accepted connection sends: here it is the client, and may log in to a server
 * of this host.
 */
static void mask_peer(struct flow *flow, struct segment_record *record)
{
	int32_t ahead = flow->rx.started ? (int32_t)(record->seq - flow->rx.next_seq) : 0;
	char copy[SEGMENT_DATA_MAX];

	if (!flow->peer)
		flow->peer = smtp_session_new(true, forget, NULL);
	if (!flow->peer || record->data_len > sizeof(copy)) {
		memset(record->data, '*', record->data_len);
		return;
	}
	memcpy(copy, record->data, record->data_len);
	smtp_mask_secrets(flow->peer, record->data, record->data_len, ahead == 0);
	if (ahead < 0)
		return;
	if (ahead > 0)
		smtp_client_gap(flow->peer, (uint64_t)ahead, record->h.time_ns);
	smtp_client_data(flow->peer, (struct span){copy, record->data_len}, record->h.time_ns);
	explicit_bzero(copy, sizeof(copy));
}

void mask_segment(struct flow *flow, struct segment_record *record)
{
	bool outbound = record->flags & SEGMENT_OUTBOUND;
	const struct stream *stream = outbound ? &flow->tx : &flow->rx;
	bool in_order = !stream->started || stream->next_seq == record->seq;
	struct span data = {record->data, record->data_len};

	if (outbound) {
		if (flow->peer) {
			smtp_mask_replies(flow->peer, record->data, record->data_len, in_order);
			smtp_server_data(flow->peer, data, record->h.time_ns);
		}
		smtp_mask_secrets(flow->smtp, record->data, record->data_len, in_order);
		return;
	}
	if (record->flow.flags & FLOW_ACCEPTED)
		mask_peer(flow, record);
	else
		smtp_mask_replies(flow->smtp, record->data, record->data_len, in_order);
	if (flow->sends) /* reads the codes, which are not masked */
		smtp_server_data(flow->sends, data, record->h.time_ns);
}
