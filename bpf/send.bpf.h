/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The send hook: who sends, and what they meant to send. One body, send_begin() and send_end();
 * attach.bpf.h wraps it for each attach type.
 *
 * With the wire hook, the wire has the bytes. The send hook then reports the sender when the call
 * begins (so that a call which blocks for an hour is attributed at once), with a prefix of the data
 * to compare. When the call ends, it reports only what was not known at the beginning: that fewer
 * bytes were accepted, or a send that the beginning did not see.
 *
 * Without the wire hook, the bytes are copied when the call ends: by then the kernel has faulted in
 * every page it read, and the accepted length is known.
 *
 * IPsec and segment routing change a segment before the wire hook sees it: there it is not TCP.
 * Once a socket has transmitted bytes and the wire hook has seen none of them, the flow continues
 * as if there were no wire hook (FLOW_UNWIRED). Received segments are still seen.
 */
#ifndef SMTPSNOOP_SEND_BPF_H
#define SMTPSNOOP_SEND_BPF_H

#include "iter.bpf.h"
#include "proof.bpf.h"

/* Pieces reported of one send if there is no wire hook; the rest is a gap. */
#define PIECES_MAX 1280 /* UIO_MAXIOV, plus some for pieces longer than SEND_PIECE_MAX */
/* Of them at a time: two short loops are verified sooner than a long one. */
#define PIECES_TURN 4

/* A call in progress, by task. */
struct pending {
	struct flow_id flow; /* set while its pieces are reported */
	__u64 sk;
	struct vector vector;
	__u32 seq;
	__u32 left; /* accepted bytes not reported yet */
	__u32 look; /* its first bytes could not be read when it began */
	/* the call itself makes the connection: its stream position is known when it ends */
	__u32 late;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* pid and tid, and CALL_OUTER */
	__type(value, struct pending);
} sends SEC(".maps");

/* A bit that no pid has: a call that contains other calls, on TCP itself */
#define CALL_OUTER (1ULL << 63)

static __always_inline __u32 write_seq(const struct sock *sk)
{
	return BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
}

/* Fills in what all send records share. */
static __always_inline void send_record(struct send_record *record, const struct flow_id *flow,
					__u32 seq, __u32 len, __u32 data_len, __u32 flags)
{
	record_header(&record->h, RECORD_SEND, sizeof(*record) + data_len);
	record->flow = *flow;
	task_identify(current_task(), &record->task);
	record->seq = seq;
	record->len = len;
	record->data_len = data_len;
	record->flags = flags | (data_len < len ? SEND_PARTIAL : 0);
}

/* Reports a send without its bytes. */
static __always_inline void emit_claim(struct flow_state *state, __u32 seq, __u32 len, __u32 flags)
{
	struct send_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	/* checked once: before 6.2 the verifier forgets the result of a first check */
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	send_record(record, &state->id, seq, len, 0, flags);
	state->emitted = 1;
	ring_submit(record);
}

/* Reports a send with its first bytes, at most `max` (a constant power of two). */
static __always_inline void emit_prefix_in(struct flow_state *state, const struct vector *vector,
					   __u32 seq, __u64 address, __u32 len, const __u32 max)
{
	struct send_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + max, 0);
	__u32 n = bounded(len, max), flags = SEND_ENTRY;

	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	if (memory_read(vector->memory, record->data, n, address)) {
		n = 0;
		flags |= SEND_UNREADABLE;
	}
	send_record(record, &state->id, seq, vector->count, n, flags);
	state->emitted = 1;
	ring_submit(record);
}

/*
 * Reports a send with the first bytes of its first piece, in the smallest slot that has room for
 * them.
 */
static __always_inline void emit_prefix(struct flow_state *state, const struct vector *vector,
					__u32 seq)
{
	__u64 address, len;

	if (!vector_front(vector, &address, &len) || !len)
		emit_claim(state, seq, vector->count, SEND_ENTRY | SEND_UNREADABLE);
	else if (len <= 64)
		emit_prefix_in(state, vector, seq, address, len, 64);
	else
		emit_prefix_in(state, vector, seq, address,
			       len < SEND_PREFIX_MAX ? len : SEND_PREFIX_MAX, SEND_PREFIX_MAX);
}

/*
 * Reports the next `len` bytes, at `address`. `len` is 1 to `max`; `max` is a constant, as the
 * reservation in the ring needs.
 */
static __always_inline bool emit_piece(const struct pending *pending, __u64 address, __u32 len,
				       const __u32 max)
{
	struct send_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + max, 0);

	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return false;
	}
	len = bounded(len, max);
	if (memory_read(pending->vector.memory, record->data, len, address)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return false;
	}
	send_record(record, &pending->flow, pending->seq, len, len, SEND_EXIT);
	ring_submit(record);
	return true;
}

/* Removes the front piece of a call and reports it. 0 if there is none, or it cannot be reported.
 */
static __always_inline int emit_next(struct pending *pending)
{
	__u64 address, piece_len;
	__u32 len;

	if (!pending->left || !vector_front(&pending->vector, &address, &piece_len))
		return 0;
	len = pending->left < SEND_PIECE_MAX ? pending->left : SEND_PIECE_MAX;
	if (piece_len < len)
		len = piece_len;
	if (len && len <= SEND_PREFIX_MAX && !emit_piece(pending, address, len, SEND_PREFIX_MAX))
		return 0;
	if (len > SEND_PREFIX_MAX && !emit_piece(pending, address, len, SEND_PIECE_MAX))
		return 0;
	pending->seq += len;
	pending->left -= len;
	vector_advance(&pending->vector, len, piece_len);
	return 1;
}

/*
 * Does so with the next pieces of a task's call, PIECES_TURN at most. 0: that was the last one.
 *
 * This is a function of its own with a number as its one argument, so that the verifier examines it
 * once, whatever it is called with. What changes from piece to piece is in the map. A third
 * function, for one piece, would make the frames larger than old kernels allow.
 */
__noinline int emit_turn(__u64 id)
{
	struct pending *pending = bpf_map_lookup_elem(&sends, &id);
	int i;

	if (!pending)
		return 0;
	for (i = 0; i < PIECES_TURN; i++) {
		if (!emit_next(pending))
			return 0;
	}
	return 1;
}

/*
 * Reports all accepted bytes of a call, piece by piece. Bytes that cannot be read, or for which the
 * flow has no share of the ring left, are reported as a claim.
 */
static __always_inline void emit_pieces(struct flow_state *state, __u64 id, struct pending *pending,
					__u32 accepted)
{
	__u32 allowed = ring_allowed(state, accepted), left_out = accepted - allowed;
	int i;

	pending->flow = state->id;
	pending->left = allowed;
	state->emitted = 1;
	if (pending->vector.urgent)
		emit_urgent(state, pending->seq + accepted - 1);
	for (i = 0; i < PIECES_MAX / PIECES_TURN && emit_turn(id); i++)
		;
	if (pending->left)
		count(COUNTER_SEND_UNREADABLE, 1);
	if (left_out)
		ring_dropped(state, left_out);
	if (pending->left || left_out)
		emit_claim(state, pending->seq, pending->left + left_out,
			   SEND_EXIT | SEND_UNREADABLE);
}

/*
 * Adds the first bytes of a send to the verdict. False if they could not be read. `wire`: the wire
 * hook sees them too and gathers what trickles; here it would be counted twice.
 */
static __always_inline bool send_look(struct flow_state *state, const struct vector *vector,
				      const bool wire)
{
	__u64 first[2] = {}, address, len;

	if (!vector_front(vector, &address, &len))
		return false;
	if (len >= LOOK_LEN) {
		if (memory_read(vector->memory, first, LOOK_LEN, address))
			return false;
	} else if (len >= 8) {
		if (memory_read(vector->memory, first, 8, address))
			return false;
	} else {
		if (wire)
			return true;
		if (memory_read(vector->memory, first, len & 7, address))
			return false;
		state_tx(state, look_trickle(line_add(&state->sent, first[0], len, false)));
		return true;
	}
	state_tx(state, look_tx(first[0], line_of(first[0], first[1])));
	return true;
}

/*
 * Whether this is another turn of a call that was reported already: the tracepoint fires at each
 * turn.
 */
static __always_inline bool send_goes_on(const struct flow_state *state, __u32 tid, __u32 seq,
					 __u64 left)
{
	return state->entry_tid == tid && seq != state->entry_seq &&
	       state->entry_len - (seq - state->entry_seq) == left;
}

/* A connection that is older than the watch sends TLS. */
static __always_inline bool send_is_old_tls(const struct flow_state *state)
{
	return tls_probes && state->tx == LOOK_TLS && !state->hello &&
	       !(state->id.flags & FLOW_FROM_START);
}

static __always_inline void send_join(struct flow_state *state, const struct sock *sk,
				      const struct vector *vector)
{
	struct tls_header header = {};
	__u64 address, len;

	if (vector_front(vector, &address, &len) && len > sizeof(header) &&
	    !memory_read(vector->memory, &header, sizeof(header), address) &&
	    header.type == TLS_TYPE_DATA && header.version[0] == 3)
		tls_join_nested(state, sk, write_seq(sk),
				(__u32)header.len[0] << 8 | header.len[1]);
}

/*
 * The same at the end of a call that took `ret` bytes. Before 5.12 the socket has no cookie, and so
 * no state, until the wire hook sees its first segment, which is within the call.
 */
static __always_inline void send_join_late(struct flow_state *state, const struct sock *sk, int ret)
{
	if (socket_cookies || ret <= (int)sizeof(struct tls_header) || !send_is_old_tls(state))
		return;
	if (!state->id.cookie)
		state->id.cookie = cookie_read(sk);
	if (!state->id.local_port)
		flow_address(&state->id, sk);
	tls_join_nested(state, sk, write_seq(sk) - ret, ret - sizeof(struct tls_header));
	state->walk.step = 0; /* the wire hook has seen this record before */
}

static __always_inline void send_begin_vector(const struct sock *sk, const struct vector *vector,
					      struct flow_state *state)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct pending pending = {};
	bool wire = is_wired(state);
	__u8 socket_state;

	/* With the wire hook, a flow that is not mail is watched there. */
	if (wire && !state_copied(state)) {
		if (send_is_old_tls(state))
			send_join(state, sk, vector);
		return;
	}
	socket_state = BPF_CORE_READ(sk, __sk_common.skc_state);
	if (socket_state != TCP_ESTABLISHED && socket_state != TCP_CLOSE_WAIT) {
		if (wire)
			return;
		pending.late = 1; /* Fast Open */
	}
	pending.seq = write_seq(sk);
	pending.vector = *vector;
	if (send_goes_on(state, id, pending.seq, pending.vector.count))
		return;
	if (pending.late)
		pending.look = 1;
	else if (state->tx != LOOK_SMTP && !(wire && state->rx == LOOK_SMTP))
		pending.look = !send_look(state, &pending.vector, wire);
	if (state->tx == LOOK_TLS && !state->tls_pid) {
		state->tls_pid = id >> 32;
		if (!state->user) /* an accepted socket: who sends the hello pays for its place */
			state_own(state);
	}
	if (send_is_old_tls(state))
		send_join(state, sk, vector);
	if (!state_copied(state) && (wire || !(pending.look || vector->urgent)))
		return;
	if (!state->id.local_port)
		flow_address(&state->id, sk);
	if (!state->user)
		state_own(state);
	state->entry_tid = id;
	state->entry_seq = pending.seq;
	state->entry_len = pending.vector.count;
	if (!wire || !state->on_wire) {
		pending.sk = (__u64)sk;
		bpf_map_update_elem(&sends, &id, &pending, BPF_ANY);
		state->kept = wire;
	}
	if (!wire)
		return;
	emit_sender(state, 0);
	if (ring_allowed(state, SEND_PREFIX_MAX))
		emit_prefix(state, &pending.vector, pending.seq);
	else
		count(COUNTER_SENDER_LOST, 1);
}

static __always_inline void send_begin(const struct sock *sk, const struct msghdr *msg,
				       struct flow_state *state)
{
	struct vector vector;

	vector_of(msg, &vector);
	send_begin_vector(sk, &vector, state);
}

/* The beginning of a call in which sendfile or splice passes a page (before 6.5). */
static __always_inline void send_begin_page(const struct sock *sk, const struct page *page,
					    int offset, size_t size, struct flow_state *state)
{
	struct vector vector = {};

	vector_of_page(page, offset, size, &vector);
	send_begin_vector(sk, &vector, state);
}

/* The end of a call whose bytes the wire hook has. */
static __always_inline void send_end_wire(const struct sock *sk, struct flow_state *state, int ret)
{
	__u32 tid = bpf_get_current_pid_tgid(), accepted = ret > 0 ? ret : 0;

	if (state->entry_tid == tid) {
		state->entry_tid = 0;
		if (accepted != state->entry_len)
			emit_claim(state, state->entry_seq, accepted, SEND_EXIT);
		return;
	}
	if (!accepted || !state_copied(state))
		return;
	if (!state->id.local_port)
		flow_address(&state->id, sk);
	emit_sender(state, 0);
	emit_claim(state, write_seq(sk) - accepted, accepted, SEND_EXIT | SEND_UNREADABLE);
}

/* The end of a call whose bytes no wire hook has. */
static __always_inline void send_end_alone(const struct sock *sk, struct flow_state *state, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct pending *pending = bpf_map_lookup_elem(&sends, &id);

	state->entry_tid = 0;
	if (!pending || pending->sk != (__u64)sk) {
		if (ret > 0 && state_copied(state) && state->id.flags & FLOW_FASTOPEN)
			emit_claim(state, write_seq(sk) - ret, ret, SEND_EXIT | SEND_UNREADABLE);
		if (pending) /* left by a call whose end was not seen */
			bpf_map_delete_elem(&sends, &id);
		return;
	}
	if (ret > 0 && pending->late)
		pending->seq = write_seq(sk) - ret;
	if (ret > 0 && pending->look)
		send_look(state, &pending->vector, false);
	if (ret > 0 && pending->vector.urgent)
		state_urgent(state);
	if (ret > 0 && state_copied(state)) {
		emit_sender(state, 0);
		emit_pieces(state, id, pending, ret);
		state_tried(state, ret, false);
	}
	if (state->ended && state->emitted) {
		emit_close(state, NULL, 0);
		state->emitted = 0; /* the rest of the state dies with the socket */
	}
	bpf_map_delete_elem(&sends, &id);
}

/*
 * The end of a call that began before the wire hook had seen anything of its socket. The kernel
 * advances the number of the next byte to transmit after the hook has run, and under the socket's
 * lock: if it has advanced by now, the hook has seen the segment, or never will.
 */
static __always_inline void send_end_kept(const struct sock *sk, struct flow_state *state, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	__u32 next = BPF_CORE_READ((struct tcp_sock *)sk, snd_nxt);

	state->kept = 0;
	if (!state->on_wire && state->entry_tid == (__u32)id &&
	    (__s32)(next - state->entry_seq) > 0) {
		state->id.flags |= FLOW_UNWIRED;
		send_end_alone(sk, state, ret);
		return;
	}
	bpf_map_delete_elem(&sends, &id);
	send_end_wire(sk, state, ret);
}

/* `state` is NULL if the socket was closed during the call. */
static __always_inline void send_end(const struct sock *sk, struct flow_state *state, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();

	if (state)
		send_join_late(state, sk, ret);
	if (!state)
		bpf_map_delete_elem(&sends, &id);
	else if (!is_wired(state))
		send_end_alone(sk, state, ret);
	else if (state->kept)
		send_end_kept(sk, state, ret);
	else
		send_end_wire(sk, state, ret);
}

/*
 * The end of a send on a Multipath TCP socket, which is not the socket whose segments are on the
 * wire: the claim goes to its first subflow, without a stream position.
 */
static __always_inline void send_end_mptcp(const struct sock *sk, int ret)
{
	const struct sock *subflow;
	struct flow_state *state;
	__u64 cookie;

	if (ret <= 0 || !wire_hook || !bpf_core_type_exists(struct mptcp_sock))
		return;
	subflow = BPF_CORE_READ((struct mptcp_sock *)sk, first);
	if (!subflow)
		return;
	cookie = BPF_CORE_READ(subflow, __sk_common.skc_cookie.counter);
	if (!bpf_map_lookup_elem(&mptcp_copied, &cookie))
		return;
	state = flow_hash_get(cookie, true);
	if (!state)
		return;
	if (!state->id.local_port) {
		state->id.flags = FLOW_MPTCP;
		flow_address(&state->id, subflow);
	}
	emit_sender(state, 0);
	emit_claim(state, 0, ret, SEND_EXIT | SEND_SEQ_UNKNOWN | SEND_UNREADABLE);
}

#endif
