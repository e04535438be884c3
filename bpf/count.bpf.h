/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * How much a client sends under TLS: the records of data on the wire, counted.
 *
 * A library says which text it was given. What left the socket is encrypted, but each TLS record
 * has its type and length in the clear. So the wire hook walks from header to header, from the
 * ClientHello on, and counts the records of type 23 and their bytes. User space compares that with
 * the text (flow/flow_tls.c): who sends with code of his own on a socket whose session a library
 * has, or gives the library text that never leaves, is found by it.
 *
 * The walk is in the state of the socket. What it has counted is copied to the state of the
 * plaintext, which the probes can reach, after each segment in which a record began.
 */
#ifndef SMTPSNOOP_COUNT_BPF_H
#define SMTPSNOOP_COUNT_BPF_H

#include "maps.bpf.h"

/*
 * Headers in one segment that are walked. The largest segment has 64 KiB (IPv4 and IPv6 without
 * jumbograms): records of 64 bytes on average.
 */
#define WALK_MAX 1024U
/* Of them at a time: two short loops are verified sooner than a long one. */
#define WALK_TURN 32U

#define TLS_HEADER_LEN 5U
#define TLS_TYPE_FIRST 20U /* change of cipher; then alert, handshake, data, heartbeat */
#define TLS_TYPE_DATA  23U
#define TLS_TYPE_LAST  24U

/* The walk begins at `next`, where a record begins. */
static __always_inline void count_begin(struct tls_count *walk, __u32 next)
{
	__builtin_memset(walk, 0, sizeof(*walk));
	walk->next = next;
	walk->step = COUNT_ON;
}

/* Takes a header, as one little-endian load reads it. False: that is no TLS. */
static __always_inline bool count_header(struct tls_count *walk, __u64 header)
{
	__u8 type = header, major = header >> 8;
	__u32 len = (__u32)(header >> 24 & 0xff) << 8 | (__u32)(header >> 32 & 0xff);

	if (type < TLS_TYPE_FIRST || type > TLS_TYPE_LAST || major != 3) {
		walk->step = COUNT_ODD;
		return false;
	}
	if (type == TLS_TYPE_DATA) {
		walk->records++;
		walk->bytes += len;
	}
	walk->next += TLS_HEADER_LEN + len;
	return true;
}

/*
 * Adds the bytes from `at` on, of `len` in a segment, to a header that is split over segments. True
 * if it is complete now, and was taken.
 */
static __always_inline bool count_split(struct __sk_buff *skb, struct tls_count *walk, __u32 offset,
					__u32 at, __u32 len)
{
	__u32 i;
	__u8 byte;

	for (i = 0; i < TLS_HEADER_LEN && walk->head_len < TLS_HEADER_LEN && at < len; i++) {
		if (bpf_skb_load_bytes(skb, offset + at, &byte, 1))
			return false;
		walk->head |= (__u64)byte << (8 * (walk->head_len & 7));
		walk->head_len++;
		at++;
	}
	if (walk->head_len < TLS_HEADER_LEN || !count_header(walk, walk->head))
		return false;
	walk->head = 0;
	walk->head_len = 0;
	return true;
}

/*
 * Walks the next headers in a segment of `len` bytes at `offset` of the packet. A repeated segment
 * lies before the next header. True if there may be more of them.
 */
static __always_inline bool count_walk(struct __sk_buff *skb, struct tls_count *walk, __u32 offset,
				       __u32 seq, __u32 len)
{
	__u32 i, at = walk->next + walk->head_len - seq;
	__u64 header;

	if ((__s32)at >= (__s32)len)
		return false;
	if ((__s32)at < 0) { /* bytes before this segment were not seen */
		walk->step = COUNT_LOST;
		return false;
	}
	if (walk->head_len && !count_split(skb, walk, offset, at, len))
		return false;
	for (i = 0; i < WALK_TURN; i++) {
		at = walk->next - seq;
		if (at >= len)
			return false;
		if (len - at < TLS_HEADER_LEN) {
			count_split(skb, walk, offset, at, len);
			return false;
		}
		header = 0;
		if (bpf_skb_load_bytes(skb, offset + at, &header, TLS_HEADER_LEN) ||
		    !count_header(walk, header))
			return false;
	}
	return true;
}

/* ---- For user space -------------------------------------------------------------------------- */

/* Copies what was counted on the wire to the state of the plaintext. */
static __always_inline void count_publish(struct flow_state *plain, const struct tls_count *walk)
{
	plain->counting = 1;
	barrier();
	plain->walk.records = walk->records;
	plain->walk.bytes = walk->bytes;
	plain->walk.step = walk->step;
	barrier();
	plain->counting = 0;
}

/*
 * Walks a part of a segment of `len` bytes at `offset` of the packet that a socket has sent. 0:
 * that was the last one.
 *
 * A function of its own that looks the state up again: the verifier walks its loop once, not for
 * each way that leads here.
 */
__noinline int count_part(struct __sk_buff *skb, __u32 offset, __u32 seq, __u32 len, int last)
{
	struct bpf_sock *sk = skb->sk;
	struct flow_state *state, *plain;
	__u32 before;
	int more;

	if (!sk)
		return 0;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return 0;
	state = FLOW_STATE(sk, false, flow_hash_get(bpf_get_socket_cookie(skb), false));
	if (!state || state->walk.step != COUNT_ON)
		return 0;
	before = state->walk.records;
	more = count_walk(skb, &state->walk, offset, seq, len);
	if (more && last)
		state->walk.step = COUNT_LOST;
	if (state->walk.records == before && state->walk.step == COUNT_ON)
		return more;
	plain = flow_hash_get(state->id.cookie ^ FLOW_KEY_PLAINTEXT, false);
	if (plain)
		count_publish(plain, &state->walk);
	return more;
}

/* Walks a segment as count_part() does. Returns 0. */
__noinline int count_segment(struct __sk_buff *skb, __u32 offset, __u32 seq, __u32 len)
{
	__u32 i;

	for (i = 1; i <= WALK_MAX / WALK_TURN; i++) {
		if (!count_part(skb, offset, seq, len, i == WALK_MAX / WALK_TURN))
			break;
	}
	return 0;
}

/*
 * Reports what was counted, unless that was reported before. `plain`: the state of the plaintext;
 * no plaintext was passed on before its TLS record.
 */
static __always_inline void emit_count(struct flow_state *plain)
{
	struct tls_count walk = {.bytes = plain->walk.bytes};
	struct count_record *record;

	walk.records = plain->walk.records;
	walk.step = plain->walk.step;
	barrier();
	if (!plain->emitted || !walk.step || plain->counting || walk.bytes != plain->walk.bytes ||
	    (plain->told && plain->told_records == walk.records &&
	     plain->told_plain == plain->plain_seq))
		return;
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	record_header(&record->h, RECORD_COUNT, sizeof(*record));
	record->flow = plain->id;
	record->plain = plain->plain_total;
	record->offered = plain->plain_offered;
	record->bytes = walk.bytes;
	record->records = walk.records;
	record->step = walk.step;
	ring_submit(record);
	plain->told = 1;
	plain->told_records = walk.records;
	plain->told_plain = plain->plain_seq;
}

/* The socket ends: reports what it has sent in all. */
static __always_inline void emit_count_end(const struct flow_state *state)
{
	struct flow_state *plain;

	if (!state->walk.step)
		return;
	plain = flow_hash_get(state->id.cookie ^ FLOW_KEY_PLAINTEXT, false);
	if (!plain)
		return;
	count_publish(plain, &state->walk);
	plain->told = 0;
	emit_count(plain);
}

#endif
