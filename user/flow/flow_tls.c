/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * A library says which text it was given; the wire shows how many records of data left, and how
 * long they are. Encryption makes each record longer by a number of bytes that the cipher suite
 * decides: always the same one, or one within narrow bounds. So the records tell how much text is
 * in them, and that is compared with the text. Libraries can also pad records, but none does unless
 * the program asks for it; such a session differs.
 *
 * TLS 1.3 also encrypts the client's handshake, and it looks like data. It is sent before any text.
 * So what exceeds the text at the first count is the handshake, up to TLS_FLIGHT_MAX bytes. Later,
 * only messages of a few bytes may follow (a new key, the end of the session).
 *
 * A call that has not ended, or has failed, may have sent a part of its text. As long as that
 * explains what exceeds the text, nothing is known.
 */
#include "flow/flow_tls.h"

#include <stdlib.h>
#include <string.h>

#include "flow/claims.h"

#define TLS_1_2	     0x0303U
#define TLS_1_3	     0x0304U
#define TLS_SLACK    64U     /* bytes of such messages in a session */
#define TLS_13_CCM_8 0x1305U /* the only suite of TLS 1.3 with a tag of 8 bytes */

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

/* ---- What left ------------------------------------------------------------------------------- */

/* The bytes by which encryption makes a record longer. */
struct overhead {
	uint32_t min;
	uint32_t max;
};

/* With TLS 1.3 the type of the record and a tag (RFC 8446, 5.2; RFC 6655 for a tag of 8 bytes). */
static struct overhead overhead_1_3(uint16_t cipher)
{
	if (cipher == TLS_13_CCM_8)
		return (struct overhead){9, 9};
	return (struct overhead){17, 17};
}

/*
 * Before TLS 1.3 with an AEAD: 8 bytes of the nonce and a tag (RFC 5288, RFC 6655), or the tag
 * alone (RFC 7905). With others a MAC of 16 to 48 bytes, up to 16 bytes of an IV, and up to 16 of
 * padding, of which libraries add no more than they must.
 */
static struct overhead overhead_1_2(uint16_t cipher)
{
	char name[HELLO_CIPHER_MAX];

	hello_cipher(name, cipher);
	if (strstr(name, "POLY1305") || strstr(name, "_CCM_8"))
		return (struct overhead){16, 16};
	if (strstr(name, "_GCM_") || strstr(name, "_CCM"))
		return (struct overhead){24, 24};
	return (struct overhead){16, 96};
}

static struct overhead overhead_of(const struct server_hello *hello)
{
	if (hello->version == TLS_1_3)
		return overhead_1_3(hello->cipher);
	if (hello->version)
		return overhead_1_2(hello->cipher);
	return (struct overhead){8, 96}; /* the server's hello was not seen */
}

/* The bytes in all records, if encryption has added that many to each. */
static uint64_t content(const struct sealed *sealed, uint32_t overhead)
{
	uint64_t added = (uint64_t)overhead * sealed->records;

	return sealed->bytes > added ? sealed->bytes - added : 0;
}

static bool has_flight(const struct flow *flow)
{
	return !flow->tls_late && (!flow->tls_server.version || flow->tls_server.version > TLS_1_2);
}

void flow_counted(struct flow *flow, const struct count_record *record)
{
	struct sealed *sealed = &flow->sealed;
	bool first = !sealed->step;
	uint64_t least;

	sealed->step = record->step;
	sealed->records = record->records;
	sealed->bytes = record->bytes;
	sealed->plain = record->plain;
	sealed->offered = record->offered;
	least = content(sealed, overhead_of(&flow->tls_server).max);
	if (!first || !has_flight(flow) || least <= sealed->offered)
		return;
	sealed->flight = least - sealed->offered;
	if (sealed->flight > TLS_FLIGHT_MAX)
		sealed->flight = TLS_FLIGHT_MAX;
}

/* How much text the library was given up to a position; 0: not known. */
static uint64_t plain_until(const struct flow *flow, uint64_t position)
{
	uint64_t now = smtp_client_position(flow->smtp), plain = flow->sealed.plain;

	plain += (uint64_t)(int64_t)(int32_t)(flow->tx.next_seq - (uint32_t)plain);
	return flow->tx.started && position <= now && now - position <= plain
		       ? plain - (now - position)
		       : 0;
}

enum witness flow_tls_witness(const struct flow *flow, uint64_t end)
{
	const struct sealed *sealed = &flow->sealed;
	struct overhead overhead = overhead_of(&flow->tls_server);
	uint64_t least = content(sealed, overhead.max), most = content(sealed, overhead.min),
		 allowed = has_flight(flow) ? sealed->flight + TLS_SLACK : 0;

	if (flow_witness(flow, 0, UINT64_MAX, true) == WITNESS_DIFFER)
		return WITNESS_DIFFER;
	if (!sealed->step || sealed->step == COUNT_LOST || flow->id.flags & FLOW_MPTCP)
		return WITNESS_SEND_ONLY;
	if (sealed->step == COUNT_ODD || least > sealed->offered + allowed)
		return WITNESS_DIFFER;
	if (end && most < plain_until(flow, end))
		return WITNESS_DIFFER;
	return least > sealed->plain + allowed ? WITNESS_SEND_ONLY : WITNESS_AGREE;
}
