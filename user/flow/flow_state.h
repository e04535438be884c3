/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a flow is made of, for the files that work on it: flow.c (its streams), claims.c (who sent
 * which bytes), flow_table.c and mask.c. Positions count as in smtp.h.
 */
#ifndef SMTPSNOOP_FLOW_STATE_H
#define SMTPSNOOP_FLOW_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/text.h"
#include "flow/hello.h"
#include "process/identity.h"
#include "smtp/smtp.h"

/* Senders kept of one flow; beyond that, the oldest one without a claim is dropped. */
#define FLOW_SENDERS_MAX  16U
#define FLOW_CLAIMS_MAX	  64U /* changes of sender kept of one flow */
#define FLOW_PREFIXES_MAX 16U /* sends that wait to be compared with the wire */
#define FLOW_URGENT_MAX	  16U /* urgent bytes that were announced and have not passed yet */
#define STREAM_HELD_MAX	  16U /* segments that wait for an earlier one */

/* A segment that arrived before its turn. */
struct held {
	uint32_t seq;
	uint32_t data_len; /* bytes captured */
	uint32_t len;	   /* bytes sent */
	char *data;	   /* owned; data_len bytes */
};

/* One direction. Once `started`, `next_seq` is the sequence number of the next byte. */
struct stream {
	bool started;
	uint32_t next_seq;
	struct held held[STREAM_HELD_MAX]; /* in order of seq */
	uint32_t held_count;
	uint32_t held_bytes;
	uint64_t held_since_ns;
};

/* The bytes from `start` up to the start of the next claim are this sender's. */
struct claim {
	uint64_t start;
	uint32_t sender; /* index into flow.senders */
};

/* The first bytes of a send, to be compared with the wire when they pass there. */
struct prefix {
	uint64_t position;
	uint32_t len;
	uint32_t done; /* bytes compared so far */
	char *data;    /* owned; len bytes */
};

/* The first and the last position at which something happened. Empty if first > last. */
struct extent {
	uint64_t first;
	uint64_t last;
};

/* What left under TLS, as the last count_record has it. */
struct sealed {
	uint32_t step; /* enum count_step; 0: none came */
	uint32_t records;
	uint64_t bytes;
	uint64_t plain;
	uint64_t offered;
	uint64_t flight; /* bytes of the client's handshake that look like data */
};

struct flow {
	void *owner; /* for the session's callback: the pipeline; borrowed */
	struct flow *hash_next;
	struct flow *newer, *older;		/* by the time of the last record */
	struct flow *owner_newer, *owner_older; /* likewise, among the flows of its owner */
	struct flow_id id;
	uint64_t start_ns;
	uint64_t last_ns;
	struct smtp_session *smtp; /* owned; NULL until the first record of the flow */
	struct stream tx, rx;
	uint32_t urgent[FLOW_URGENT_MAX]; /* sequence numbers of urgent bytes still to come */
	uint32_t urgent_count;
	struct text said;	    /* the client's bytes as captured; at most said_max */
	size_t said_max;	    /* 0: nothing is kept */
	struct mail_budget *budget; /* bounds what all flows keep together; borrowed */

	/* For mask.c alone: the session as the sends show it, ahead of the wire. */
	struct smtp_session *sends;
	bool sends_started;
	uint32_t sends_next;
	struct smtp_session *peer; /* of an accepted connection, with the roles swapped */

	/* Where the sender of the next record stands. Owned; NULL: not known. */
	struct directory_record *directory;

	struct pace *pace; /* a reference; what its events may write (pace.h). Or NULL */
	struct kept *kept; /* for watch/keep.c alone: whether the flow is recorded */

	struct sender *senders[FLOW_SENDERS_MAX]; /* oldest first; references */
	uint32_t sender_count;
	uint32_t senders_dropped;   /* not kept, because every other sender had a claim */
	uint64_t senders_forgotten; /* not every sender of bytes before this position is kept */
	struct claim claims[FLOW_CLAIMS_MAX];
	uint32_t claim_count;
	uint32_t claims_dropped;
	uint64_t claimed_end;	 /* position behind the last claimed byte */
	struct extent unclaimed; /* bytes that left without a send that a hook saw */
	struct flow_id *queued;	 /* owned; much was on its way when the watch began. Or NULL */
	uint32_t provisional;	 /* number of the last transaction reported while it was open */

	struct prefix prefixes[FLOW_PREFIXES_MAX];
	uint32_t prefix_count;
	struct extent compared;
	struct extent differed;

	uint64_t carrying_ns;  /* when the commands were first seen to carry data; 0: not yet */
	bool carrying_told;    /* that was reported while the session was open */
	bool tls;	       /* the client has switched to TLS */
	bool plain;	       /* and the plaintext of that was read: a record of it came */
	bool tls_late;	       /* that plaintext did not begin with the session's first byte */
	bool encrypted_due;    /* smtp-encrypted is still to be reported, unless plaintext comes */
	uint32_t layer;	       /* then enum tls_layer: where it was read */
	uint64_t tls_since_ns; /* when `tls` was set */
	struct sealed sealed;
	struct server_hello tls_server; /* version 0: not seen */
	char *server_name;   /* owned; of the last ClientHello that was seen. NULL: none */
	uint64_t bytes_sent; /* of the connection, known when it closes; both 0: not known */
	uint64_t bytes_received;
	uint64_t messages; /* reported so far */
	uint64_t recipients;
	uint64_t bytes;
};

/* How far `seq` lies ahead of the stream's next byte; negative: behind it. */
static inline int32_t stream_ahead(const struct stream *stream, uint32_t seq)
{
	return (int32_t)(seq - stream->next_seq);
}

#endif
