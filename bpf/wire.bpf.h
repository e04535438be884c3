/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The wire hook: what really left a socket and what came back, by TCP sequence number, as cgroup
 * programs on the root of the cgroup v2 hierarchy see it, including fragments. It never stops a
 * packet: every path returns 1.
 */
#ifndef SMTPSNOOP_WIRE_BPF_H
#define SMTPSNOOP_WIRE_BPF_H

#include "flow.bpf.h"

#define ETH_P_IP	    0x0800
#define ETH_P_IPV6	    0x86dd
#define IPV6_EXTENSIONS_MAX 6
/* chunks of SEGMENT_DATA_MAX bytes: together more than the largest segment (BIG TCP, 512 KiB) */
#define CHUNKS_MAX	 40U
#define TAIL_SEGMENT_MAX 512U  /* bytes of a received segment whose end is examined too */
#define BACK_LEN	 64U   /* bytes kept of the end of a segment that is cut short */
#define HELLO_DATA_MAX	 2048U /* bytes kept of the segment in which TLS begins */

/* Where the payload of a segment is. */
struct segment {
	__u32 offset; /* from the start of the packet */
	__u32 len;
	__u32 seq;
	__u16 source;
	__u16 dest;
	/* offset of the byte after the urgent one, as Linux counts; 0: no urgent byte */
	__u16 urgent;
	bool syn;
};

struct ipv4_header {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__u8 rest[5];
	__u8 protocol;
	__be16 check;
	__be32 saddr;
	__be32 daddr;
};

struct ipv6_header {
	__u32 flow;
	__be16 payload_len;
	__u8 nexthdr;
	__u8 hop_limit;
	__u8 saddr[16];
	__u8 daddr[16];
};

struct tcp_header {
	__be16 source;
	__be16 dest;
	__be32 seq;
	__be32 ack;
	__u8 doff;
	__u8 flags;
	__be16 window;
	__be16 check;
	__be16 urgent;
};

#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_URG 0x20

/*
 * The offset of the TCP header after an IPv6 header and its extensions (RFC 8200); 0 if there is
 * none.
 */
static __always_inline __u32 ipv6_tcp_offset(struct __sk_buff *skb)
{
	__u8 next, extension[2];
	__u32 offset = sizeof(struct ipv6_header);
	int i;

	if (bpf_skb_load_bytes(skb, offsetof(struct ipv6_header, nexthdr), &next, 1))
		return 0;
	for (i = 0; i < IPV6_EXTENSIONS_MAX; i++) {
		if (next == IPPROTO_TCP)
			return offset;
		/* hop by hop, routing, destination options */
		if (next != 0 && next != 43 && next != 60)
			return 0;
		if (bpf_skb_load_bytes(skb, offset, extension, sizeof(extension)))
			return 0;
		next = extension[0];
		offset += (extension[1] + 1) * 8;
	}
	return 0;
}

static __always_inline __u32 tcp_offset(struct __sk_buff *skb)
{
	struct ipv4_header ip;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		return ipv6_tcp_offset(skb);
	if (skb->protocol != bpf_htons(ETH_P_IP) || bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return 0;
	return ip.protocol == IPPROTO_TCP ? (ip.version_ihl & 15) * 4 : 0;
}

/* Finds the payload. False if the packet is not TCP or has no payload. */
static __always_inline bool segment_parse(struct __sk_buff *skb, struct segment *segment)
{
	__u32 offset = tcp_offset(skb);
	struct tcp_header tcp;

	if (!offset || bpf_skb_load_bytes(skb, offset, &tcp, sizeof(tcp)))
		return false;
	segment->offset = offset + (tcp.doff >> 4) * 4;
	if (skb->len <= segment->offset)
		return false;
	segment->len = skb->len - segment->offset;
	segment->syn = tcp.flags & TCP_FLAG_SYN;
	segment->seq = bpf_ntohl(tcp.seq) + segment->syn;
	segment->source = bpf_ntohs(tcp.source);
	segment->dest = bpf_ntohs(tcp.dest);
	segment->urgent = tcp.flags & TCP_FLAG_URG ? bpf_ntohs(tcp.urgent) : 0;
	return true;
}

/* Takes the addresses from the packet, for a flow whose socket was never read. */
static __always_inline void segment_address(struct __sk_buff *skb, const struct segment *segment,
					    struct flow_id *id, bool outbound)
{
	__u8 *source = outbound ? id->local_addr : id->remote_addr,
	     *dest = outbound ? id->remote_addr : id->local_addr;

	id->local_port = outbound ? segment->source : segment->dest;
	id->remote_port = outbound ? segment->dest : segment->source;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		__be32 addr = 0;

		bpf_skb_load_bytes(skb, offsetof(struct ipv4_header, saddr), &addr, 4);
		addr_v4(source, addr);
		bpf_skb_load_bytes(skb, offsetof(struct ipv4_header, daddr), &addr, 4);
		addr_v4(dest, addr);
		return;
	}
	bpf_skb_load_bytes(skb, offsetof(struct ipv6_header, saddr), source, 16);
	bpf_skb_load_bytes(skb, offsetof(struct ipv6_header, daddr), dest, 16);
}

/* Delivers `len` bytes at `offset`. `max` is a constant, as the reservation in the ring needs. */
static __always_inline bool emit_segment(struct __sk_buff *skb, struct flow_state *state,
					 __u32 offset, __u32 seq, __u32 len, __u32 flags,
					 const __u32 max)
{
	struct segment_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + max, 0);
	__u32 n = bounded(len, max);

	if (!record)
		return false;
	if (bpf_skb_load_bytes(skb, offset, record->data, n)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return false;
	}
	record_header(&record->h, RECORD_SEGMENT, sizeof(*record) + n);
	record->flow = state->id;
	record->seq = seq;
	record->len = n;
	record->data_len = n;
	record->flags = flags;
	ring_submit(record);
	return true;
}

/* Delivers the last, or only, chunk of a segment in the smallest slot that has room for it. */
static __always_inline bool emit_tail(struct __sk_buff *skb, struct flow_state *state, __u32 offset,
				      __u32 seq, __u32 len, __u32 flags)
{
	if (len <= 64)
		return emit_segment(skb, state, offset, seq, len, flags, 64);
	if (len <= 256)
		return emit_segment(skb, state, offset, seq, len, flags, 256);
	if (len <= 2048)
		return emit_segment(skb, state, offset, seq, len, flags, 2048);
	return emit_segment(skb, state, offset, seq, len, flags, SEGMENT_DATA_MAX);
}

/*
 * How much of a segment is worth copying: all of it, unless the flow is on trial or the rest is
 * unreadable anyway (TLS).
 */
static __always_inline __u32 segment_worth(const struct flow_state *state, __u32 len)
{
	if (state->tx == LOOK_TLS)
		return len < HELLO_DATA_MAX ? len : HELLO_DATA_MAX;
	return state_worth(state, len);
}

/*
 * Delivers the first `kept` bytes of a segment: full chunks, then the tail. All full chunks have
 * the same size and need no decision each; otherwise the verifier would walk every combination.
 */
static __always_inline void emit_front(struct __sk_buff *skb, struct flow_state *state,
				       const struct segment *segment, __u32 kept, __u32 flags)
{
	__u32 offset = segment->offset, seq = segment->seq, i;

	for (i = 0; i < CHUNKS_MAX && kept > SEGMENT_DATA_MAX; i++) {
		if (!emit_segment(skb, state, offset, seq, SEGMENT_DATA_MAX, flags,
				  SEGMENT_DATA_MAX))
			goto lost;
		offset += SEGMENT_DATA_MAX;
		seq += SEGMENT_DATA_MAX;
		kept -= SEGMENT_DATA_MAX;
	}
	if (!kept || emit_tail(skb, state, offset, seq, kept, flags))
		return;
lost:
	count(COUNTER_SEGMENT_LOST, 1);
	count(COUNTER_SEGMENT_BYTES, kept);
}

/*
 * Delivers a segment; if the flow's share of the ring is almost used up, only its front and its
 * last bytes, because the end of a message and the commands after it are there. What is left out
 * shows as a hole in the sequence.
 */
static __always_inline void emit_segments(struct __sk_buff *skb, struct flow_state *state,
					  const struct segment *segment, __u32 flags)
{
	__u32 worth = segment_worth(state, segment->len), kept = ring_allowed(state, worth),
	      left_out = worth - kept;

	emit_front(skb, state, segment, kept, flags);
	if (worth < segment->len && state->tx == LOOK_UNKNOWN)
		state->id.flags |= FLOW_SKIPPED;
	if (!left_out)
		return;
	if (kept && left_out > BACK_LEN) {
		left_out -= BACK_LEN;
		emit_segment(skb, state, segment->offset + worth - BACK_LEN,
			     segment->seq + worth - BACK_LEN, BACK_LEN, flags, BACK_LEN);
	}
	ring_dropped(state, left_out);
}

/* Adds a sent segment to the verdict. True if TLS begins in it. */
static __always_inline bool look_sent(struct flow_state *state, const struct segment *segment,
				      __u64 lo, __u64 hi)
{
	__u64 line;

	if (segment->len < 8) {
		line = line_trickle(&state->sent, segment->seq, lo, segment->len, false);
		state_tx(state, look_trickle(line));
	} else {
		line = line_of(lo, hi);
		state_tx(state, look_tx(lo, line));
		line_end(&state->sent);
	}
	if ((state->tx == LOOK_TLS || state->tls_asked) && !state->hello && is_client_hello(lo))
		state->hello = HELLO_SEEN;
	state->idle = is_idle(line);
	line_next(&state->sent, segment->seq + segment->len);
	if (state->tx != LOOK_TLS || state->tls_told)
		return false;
	state->tls_told = 1; /* the send hook may have seen it before */
	return true;
}

/*
 * Gathers the line that begins near the end of a received piece of at least eight bytes. Pieces
 * whose size a small window decided are short; in the bulk of other protocols it would cost more
 * than it shows.
 */
static __always_inline void look_tail(struct __sk_buff *skb, struct flow_state *state,
				      const struct segment *segment)
{
	__u64 tail;

	line_end(&state->received);
	if (segment->len > TAIL_SEGMENT_MAX || !state_copied(state) ||
	    bpf_skb_load_bytes(skb, segment->offset + segment->len - 8, &tail, 8))
		return;
	state->received.len = 8; /* inside a line, until it ends */
	state->received.head = ~0ULL;
	state_reply(state, line_add(&state->received, tail, 8, true));
}

/* Adds a received segment to the verdict. True if TLS begins in it. */
static __always_inline bool look_received(struct __sk_buff *skb, struct flow_state *state,
					  const struct segment *segment, __u64 lo, __u64 hi)
{
	bool fresh = !state->received.len || segment->seq != state->received.next, tls_begins;
	__u64 line;

	state->arrived += segment->len;
	if (segment->len < 8) {
		line = line_trickle(&state->received, segment->seq, lo, segment->len, true);
		tls_begins = state_rx(state, lo, line, fresh);
	} else {
		tls_begins = state_rx(state, lo, line_of(lo, hi), fresh);
		look_tail(skb, state, segment);
	}
	line_next(&state->received, segment->seq + segment->len);
	return tls_begins;
}

/* Adds a segment to the verdict. True if TLS begins in it. */
static __always_inline bool segment_look(struct __sk_buff *skb, struct flow_state *state,
					 const struct segment *segment, bool outbound)
{
	__u64 first[2] = {};
	__u32 len = segment->len;

	if (len >= LOOK_LEN) {
		if (bpf_skb_load_bytes(skb, segment->offset, first, LOOK_LEN))
			return false;
	} else if (bpf_skb_load_bytes(skb, segment->offset, first, bounded(len, LOOK_LEN))) {
		return false;
	}
	return outbound ? look_sent(state, segment, first[0], first[1])
			: look_received(skb, state, segment, first[0], first[1]);
}

static __always_inline bool is_mail_port(__u16 port)
{
	return port == 25 || port == 465 || port == 587 || port == 2525;
}

/* Whether it is a TCP socket that has been closed. (A raw socket is always in this state.) */
static __always_inline bool is_closed(struct bpf_sock *sk)
{
	barrier();
	return sk->protocol == IPPROTO_TCP && sk->state == TCP_CLOSE;
}

/* Completes what the records of a flow say of it. */
static __always_inline void segment_identify(struct __sk_buff *skb, struct flow_state *state,
					     const struct segment *segment, bool outbound)
{
	if (!state->id.cookie)
		state->id.cookie = bpf_get_socket_cookie(skb);
	if (!state->id.local_port)
		segment_address(skb, segment, &state->id, outbound);
}

/* Notes the hellos of TLS on a socket. */
static __always_inline void segment_hello(struct __sk_buff *skb, struct flow_state *state,
					  const struct segment *segment, bool outbound)
{
	if (outbound && state->hello == HELLO_SEEN) {
		segment_identify(skb, state, segment, outbound);
		hello_note(skb, state, segment->offset, segment->len);
		count_begin(&state->walk, segment->seq);
	} else if (!outbound && state->hello == HELLO_NOTED) {
		hello_answer(skb, state, segment->offset, segment->len);
	}
}

/* Delivers a segment of a flow that is copied. */
static __always_inline void deliver(struct __sk_buff *skb, struct flow_state *state,
				    const struct segment *segment, bool outbound)
{
	segment_identify(skb, state, segment, outbound);
	if (!state->emitted) {
		state->emitted = 1;
		emit_opener(state);
	}
	if (state->id.flags & FLOW_MPTCP) {
		__u8 one = 1;

		bpf_map_update_elem(&mptcp_copied, &state->id.cookie, &one, BPF_ANY);
	}
	if (segment->urgent && outbound)
		emit_urgent(state, segment->seq + segment->urgent - 1);
	emit_segments(skb, state, segment, outbound ? SEGMENT_OUTBOUND : 0);
	state_tried(state, segment->len, outbound);
}

static __always_inline int wire(struct __sk_buff *skb, bool outbound)
{
	struct segment segment;
	struct flow_state *state;
	struct bpf_sock *sk;
	bool tls_begins;

	if (!socket_cookies)
		/* made at the SYN: from then on every program can read it */
		bpf_get_socket_cookie(skb);
	if (!segment_parse(skb, &segment))
		return 1;
	sk = skb->sk;
	if (!sk)
		return 1;
	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->state == TCP_LISTEN)
		return 1;
	if (is_closed(sk))
		return 1;
	state = FLOW_STATE(sk, true, flow_hash_get(bpf_get_socket_cookie(skb), true));
	if (!state)
		return 1;
	/* a received segment holds no lock: the socket may have been closed meanwhile */
	if (!state->id.local_port && is_closed(sk)) {
		__u64 cookie = bpf_get_socket_cookie(skb);

		bpf_map_delete_elem(&flow_hash, &cookie);
		return 1;
	}
	if (segment.syn) /* Fast Open, on a kernel where the socket had no cookie until now */
		state->id.flags |= FLOW_FROM_START;
	tls_begins = segment_look(skb, state, &segment, outbound);
	if (segment.urgent && outbound)
		state_urgent(state);
	if (tls_probes)
		segment_hello(skb, state, &segment, outbound);
	if (outbound && !state->on_wire)
		state->on_wire = 1;
	if (state_copied(state) || (tls_begins && (state->emitted || is_mail_port(segment.dest))))
		deliver(skb, state, &segment, outbound);
	else if (outbound && !(state->id.flags & FLOW_SKIPPED))
		state->id.flags |= FLOW_SKIPPED;
	/* last, so that the verifier need not follow two ways from here on */
	if (outbound && state->walk.step == COUNT_ON)
		count_segment(skb, segment.offset, segment.seq, segment.len);
	return 1;
}

SEC("cgroup_skb/egress")
int wire_egress(struct __sk_buff *skb)
{
	return wire(skb, true);
}

SEC("cgroup_skb/ingress")
int wire_ingress(struct __sk_buff *skb)
{
	return wire(skb, false);
}

#endif
