/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A TCP flow of this host: its two byte streams put in order from segments and sends, its senders,
 * and the SMTP session found in it.
 */
#ifndef SMTPSNOOP_FLOW_H
#define SMTPSNOOP_FLOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/event.h"
#include "process/identity.h"
#include "smtp/smtp.h"

#define FLOWS_MAX 16384U /* flows kept; beyond, one is ended and counted */
/* Idle longest, of which it is the first without an open transaction */
#define FLOWS_LOOKED_AT 1024U
/* Different senders kept of one flow; beyond, the oldest without a claim goes */
#define FLOW_SENDERS_MAX  16U
#define FLOW_CLAIMS_MAX	  64U /* changes of sender kept of one flow */
#define FLOW_PREFIXES_MAX 16U /* sends that wait to be compared with the wire */
#define FLOW_URGENT_MAX	  16U /* urgent bytes that were told and have not passed yet */
#define STREAM_HELD_MAX	  16U /* segments that wait for one before them */
#define STREAM_HELD_BYTES 65536U
#define STREAM_HOLD_NS	  1000000000ULL /* a hole older than this is a gap */
#define STREAM_AHEAD_MAX  (1U << 24) /* a segment further ahead than this is not of this stream */
/* Of a flow with FLOW_SKIPPED: bytes older than this are not repeated */
#define STREAM_OLD_MAX (1U << 24)
/* The largest window (RFC 7323, 2.3): of no flow are they older */
#define STREAM_WINDOW_MAX (1U << 30)

/* A segment that came before its turn. */
struct held {
	uint32_t seq;
	uint32_t data_len;
	uint32_t len;
	char *data; /* owned */
};

/* One direction. `next_seq` is the sequence number of the next byte, once `started`. */
struct stream {
	bool started;
	uint32_t next_seq;
	struct held held[STREAM_HELD_MAX]; /* by seq */
	uint32_t held_count;
	uint32_t held_bytes;
	uint64_t held_since_ns;
};

/*
 * Bytes from `start` on, up to the next claim's start, are this sender's. Positions as in smtp.h.
 */
struct claim {
	uint64_t start;
	uint32_t sender; /* index into flow.senders */
};

/* The first bytes of a send, to be compared when they pass on the wire. */
struct prefix {
	uint64_t position;
	uint32_t len;
	uint32_t done; /* bytes compared */
	char *data;    /* owned */
};

/* Positions at which something happened: the first and the last. Empty if first > last. */
struct extent {
	uint64_t first;
	uint64_t last;
};

struct flow {
	void *owner; /* the pipeline's, for the session's callback */
	struct flow *hash_next;
	struct flow *newer, *older; /* by last record */
	struct flow_id id;
	uint64_t start_ns;
	uint64_t last_ns;
	struct smtp_session *smtp;
	struct stream tx, rx;
	/* sequence numbers of urgent bytes that are still to come, as told */
	uint32_t urgent[FLOW_URGENT_MAX];
	uint32_t urgent_count;
	struct text said;	    /* by the client, as far as captured and kept */
	size_t said_max;	    /* 0: nothing is kept */
	struct mail_budget *budget; /* of what all flows keep; borrowed */

	/* For mask.c alone: the session as the sends show it, ahead of the wire. */
	struct smtp_session *sends;
	bool sends_started;
	uint32_t sends_next;
	struct smtp_session *peer; /* of an accepted connection, with the roles changed */

	struct sender *senders[FLOW_SENDERS_MAX]; /* oldest first */
	uint32_t sender_count;
	uint32_t senders_dropped;   /* that were not kept: every other one had a claim */
	uint64_t senders_forgotten; /* of bytes before this position, not every sender is kept */
	struct claim claims[FLOW_CLAIMS_MAX];
	uint32_t claim_count;
	uint32_t claims_dropped;
	uint64_t claimed_end;	 /* position behind the last byte that a send claimed */
	struct extent unclaimed; /* bytes that went out without a send that a hook saw */
	uint32_t provisional; /* number of the last transaction that was told while it was open */

	struct prefix prefixes[FLOW_PREFIXES_MAX];
	uint32_t prefix_count;
	struct extent compared;
	struct extent differed;

	bool tls;	   /* the client's side went over to TLS */
	char *server_name; /* owned; from a ClientHello */
	uint64_t messages; /* told of this flow */
	uint64_t recipients;
	uint64_t bytes;
};

struct flow_table;

/*
 * Called for a flow that must leave a full table; it is freed after the call. It is the one that
 * was idle longest of those without an open transaction, unless too many stand before it.
 */
typedef void (*flow_evict_fn)(void *context, struct flow *flow);

/* NULL if there is no memory. */
struct flow_table *flow_table_new(flow_evict_fn on_evict, void *context);
void flow_table_free(struct flow_table *table);

/* The flow of a socket, made if it is not there; NULL if there is no memory. */
struct flow *flow_get(struct flow_table *table, uint64_t cookie, uint64_t time_ns);
struct flow *flow_find(struct flow_table *table, uint64_t cookie);
void flow_remove(struct flow_table *table, struct flow *flow);

/* The flow without a record for the longest time; NULL: none. Then on with ->newer. */
struct flow *flow_oldest(struct flow_table *table);
size_t flow_count(const struct flow_table *table);
uint64_t flow_evicted(const struct flow_table *table);

/*
 * Bytes of one direction, from the wire or from a send: [seq, seq + len), of which data_len are
 * there. What is in order goes to the SMTP session at once, what comes too early waits, what never
 * came is told as a gap.
 */
void flow_bytes(struct flow *flow, bool outbound, uint32_t seq, struct span data, uint32_t len,
		uint64_t time_ns);

/*
 * Keeps the first `max` bytes of what the client says. To be called before any data; `budget`
 * outlives the flow.
 */
void flow_keep(struct flow *flow, struct mail_budget *budget, size_t max);

/* The byte at `seq` of what leaves is urgent data. To be called before flow_bytes() for it. */
void flow_urgent(struct flow *flow, uint32_t seq);

/* Gives up on holes older than STREAM_HOLD_NS. */
void flow_tick(struct flow *flow, uint64_t time_ns);

/* Gives up on every hole: the flow ends. */
void flow_finish(struct flow *flow, uint64_t time_ns);

/*
 * Adds a sender, or finds it again; its index, or -1 if every other one sent bytes of what is open.
 * Takes its own reference. Indexes from before are void.
 */
int flow_sender(struct flow *flow, struct sender *sender);

/* The sender that this task was last told as; -1: none. */
int flow_sender_of_task(const struct flow *flow, const struct task_id *task);

/*
 * A send is about to begin at `seq`; nothing of it was on the wire yet (`fresh`), or that is not
 * known. To be called before flow_claim(): where so much was let pass that the sequence numbers
 * went round, the stream goes on here.
 */
void flow_send_begins(struct flow *flow, uint32_t seq, bool fresh, uint64_t time_ns);

/*
 * The bytes [seq, seq + len) are the sender's; `data` is what it meant to send, to be compared (may
 * be empty).
 */
void flow_claim(struct flow *flow, int sender, uint32_t seq, uint32_t len, struct span data);

/* The last claim was for more than was accepted: what lies behind seq + len was not sent. */
void flow_claim_cut(struct flow *flow, uint32_t seq, uint32_t len);

/* A claim without a stream position: whatever comes next is the sender's. */
void flow_claim_next(struct flow *flow, int sender);

/* The senders of [start, end): references are not taken. Returns their number, at most `max`. */
uint32_t flow_senders_of(const struct flow *flow, uint64_t start, uint64_t end,
			 struct sender **senders, uint32_t max);

/* Whether bytes of [start, end) may be somebody's whose send was not seen. */
bool flow_unclaimed(const struct flow *flow, uint64_t start, uint64_t end);

enum event_witness flow_witness(const struct flow *flow, uint64_t start, uint64_t end, bool wire);

/*
 * From here on it matters who sent: the first byte of the oldest open transaction, or of a line
 * that has not ended.
 */
uint64_t flow_open_position(const struct flow *flow);

/* Forgets what only concerned bytes before `position`. */
void flow_forget(struct flow *flow, uint64_t position);

#endif
