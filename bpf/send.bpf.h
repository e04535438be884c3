/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The send hook: who sends, and what it meant to send. One body, send_begin() and send_end(); below
 * it thin wrappers for each family of hooks:
 *
 *   fentry	  fentry and fexit of tcp_sendmsg_locked, do_tcp_sendpages (before 6.5) and
 * mptcp_sendmsg kprobe	  kprobe and kretprobe of the same tracepoint	  tp_btf tcp_sendmsg_locked
 * (at each turn of its loop) and sock_send_length
 *
 * With the wire hook, the wire has the bytes. The send hook then tells the sender as the call
 * begins (so that a call which blocks for an hour is attributed at once), with a prefix to compare;
 * at its end only what the beginning could not know: fewer bytes accepted, or a send that the
 * beginning did not see. Without the wire hook, the bytes are copied at the end: the kernel has by
 * then faulted in every page it read, and the accepted length is known.
 *
 * IPsec and segment routing change a segment before the wire hook sees it: it is no TCP there. Once
 * bytes of a socket were transmitted, and none of them seen, the flow goes on as where there is no
 * wire hook (FLOW_UNWIRED); what comes in is seen all the same.
 */
#ifndef SMTPSNOOP_SEND_BPF_H
#define SMTPSNOOP_SEND_BPF_H

#include "flow.bpf.h"
#include "iter.bpf.h"

/* Pieces told of one send where there is no wire hook; the rest is a gap. */
#define PIECES_MAX 1280 /* UIO_MAXIOV, and some pieces of more than SEND_PIECE_MAX */

/* A call under way, by task. */
struct pending {
	struct flow_id flow; /* while its pieces are told */
	__u64 sk;
	struct vector vector;
	__u32 seq;
	__u32 left; /* accepted bytes not told yet */
	__u32 look; /* its first bytes could not be read at the entry */
	/* the connection is made by the call itself: its stream position is known at its end */
	__u32 late;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* pid and tid, and CALL_OUTER */
	__type(value, struct pending);
} sends SEC(".maps");

/* No pid has that bit: a call that has others, on TCP itself, inside it */
#define CALL_OUTER (1ULL << 63)

static __always_inline __u32 write_seq(const struct sock *sk)
{
	return BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
}

/* Fills what all send records share. */
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

/* Tells a send without its bytes. */
static __always_inline void emit_claim(struct flow_state *state, __u32 seq, __u32 len, __u32 flags)
{
	struct send_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	/* looked at once: before 6.2 the verifier forgets what the first look said */
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	send_record(record, &state->id, seq, len, 0, flags);
	state->emitted = 1;
	ring_submit(record);
}

/* Tells a send with its first bytes, at most `max` (a power of two, constant). */
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

/* Tells a send with the first bytes of its first piece, in the smallest slot that takes them. */
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
 * Tells the next `len` bytes (1 to `max`, a constant, so that the ring can be reserved), which lie
 * at `address`.
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

/*
 * Takes the next piece of a task's call off its front and tells it. 0: there is none, or it cannot
 * be told.
 *
 * A function of its own, whose one argument is a number: the verifier looks at it once, whatever it
 * is called with, and not once for each piece. What changes from piece to piece is kept in the map.
 */
__noinline int emit_next(__u64 id)
{
	struct pending *pending = bpf_map_lookup_elem(&sends, &id);
	__u64 address, piece_len;
	__u32 len;

	if (!pending || !pending->left || !vector_front(&pending->vector, &address, &piece_len))
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
 * Tells the accepted bytes of a call, whole, piece by piece; those that cannot be told as a claim.
 */
static __always_inline void emit_pieces(struct flow_state *state, __u64 id, struct pending *pending,
					__u32 accepted)
{
	int i;

	pending->flow = state->id;
	pending->left = accepted;
	state->emitted = 1;
	if (pending->vector.urgent)
		emit_urgent(state, pending->seq + accepted - 1);
	for (i = 0; i < PIECES_MAX && emit_next(id); i++)
		;
	if (pending->left) {
		count(COUNTER_SEND_UNREADABLE, 1);
		emit_claim(state, pending->seq, pending->left, SEND_EXIT | SEND_UNREADABLE);
	}
}

/*
 * Looks at the first bytes of a send. False if they could not be read. `wire`: the wire sees them
 * too, and gathers what trickles; here it would be taken in twice.
 */
static __always_inline bool send_look(struct flow_state *state, const struct vector *vector,
				      const bool wire)
{
	__u64 first[2] = {}, address, len;
	enum look look;

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
		state_tx(state, look_trickle(state, first[0], len));
		return true;
	}
	look = look_tx(first[0], first[1]);
	state_tx(state, look);
	return true;
}

/* Whether this is one more turn of a call that was told already: the tracepoint fires at each. */
static __always_inline bool send_goes_on(const struct flow_state *state, __u32 tid, __u32 seq,
					 __u64 left)
{
	return state->entry_tid == tid && seq != state->entry_seq &&
	       state->entry_len - (seq - state->entry_seq) == left;
}

static __always_inline void send_begin_vector(const struct sock *sk, const struct vector *vector,
					      struct flow_state *state)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct pending pending = {};
	bool wire = is_wired(state);
	__u8 socket_state;

	/* With the wire hook, a flow that is something else is watched there. */
	if (wire && !state_copied(state))
		return;
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
	if (!state_copied(state) && (wire || !(pending.look || vector->urgent)))
		return;
	if (!state->id.local_port)
		flow_address(&state->id, sk);
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
	emit_prefix(state, &pending.vector, pending.seq);
}

static __always_inline void send_begin(const struct sock *sk, const struct msghdr *msg,
				       struct flow_state *state)
{
	struct vector vector;

	vector_of(msg, &vector);
	send_begin_vector(sk, &vector, state);
}

/* A page that sendfile or splice hands over (before 6.5). */
static __always_inline void send_begin_page(const struct sock *sk, const struct page *page,
					    int offset, size_t size, struct flow_state *state)
{
	struct vector vector = {};

	vector_of_page(page, offset, size, &vector);
	send_begin_vector(sk, &vector, state);
}

/* The end of a call whose bytes the wire has. */
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

/* The end of a call where there is no wire hook. */
static __always_inline void send_end_alone(const struct sock *sk, struct flow_state *state, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct pending *pending = bpf_map_lookup_elem(&sends, &id);

	state->entry_tid = 0;
	if (!pending || pending->sk != (__u64)sk) {
		if (ret > 0 && state_copied(state) && state->id.flags & FLOW_FASTOPEN)
			emit_claim(state, write_seq(sk) - ret, ret, SEND_EXIT | SEND_UNREADABLE);
		if (pending) /* of a call whose end was not seen */
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
		state_tried(state);
	}
	if (state->ended && state->emitted) {
		emit_close(state);
		state->emitted = 0; /* what is left of the state goes with the socket */
	}
	bpf_map_delete_elem(&sends, &id);
}

/*
 * The end of a call that began before the wire hook had seen anything of its socket. The number of
 * the next byte to be transmitted is set behind the hook's run, and under the socket's lock: if it
 * has moved on by now, the hook saw the segment, or never will.
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

/* `state` NULL: the socket was closed while the call was under way. */
static __always_inline void send_end(const struct sock *sk, struct flow_state *state, int ret)
{
	__u64 id = bpf_get_current_pid_tgid();

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
 * The end of a send on a Multipath TCP socket, which is not the one whose segments are on the wire:
 * the claim goes to its first subflow, without a stream position.
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

/* ---- What TCP does not get as it was sent ---------------------------------------------------- */

/*
 * What is handed to TLS in the kernel is seen where every protocol's sends begin, inet_sendmsg(),
 * before it is encrypted; and so is, where there is no wire hook, what is sent by Multipath TCP,
 * whose subflows have no sends. Either is a flow of its own, whose bytes are the send side's alone.
 */
static __always_inline bool is_ktls(const struct sock *sk)
{
	const struct tcp_ulp_ops *ulp;
	__u32 name = 0;

	if (!sk || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return false;
	ulp = BPF_CORE_READ((const struct inet_connection_sock *)sk, icsk_ulp_ops);
	if (!ulp)
		return false;
	bpf_probe_read_kernel(&name, sizeof(name), ulp->name);
	if (name != WORD('t', 'l', 's', 0))
		return false;
	/* with keys for this direction it has a sendmsg() of its own */
	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_prot, sendmsg) != plain_sendmsg;
}

/* The flow's key of a socket whose sends are seen here; 0: TCP gets them as they are. */
static __always_inline __u64 outer_key(const struct sock *sk, __u32 *flags)
{
	__u64 key = cookie_read(sk) ?: (__u64)sk;

	if (is_ktls(sk))
		return key ^ FLOW_KEY_PLAINTEXT;
	if (wire_hook || BPF_CORE_READ(sk, sk_protocol) != IPPROTO_MPTCP)
		return 0;
	*flags = FLOW_MPTCP;
	return key;
}

static __always_inline void outer_begin(const struct sock *sk, const struct vector *vector)
{
	__u64 id = bpf_get_current_pid_tgid() | CALL_OUTER, key;
	struct pending pending = {};
	struct flow_state *state;
	__u32 flags = 0;

	key = sk ? outer_key(sk, &flags) : 0;
	state = key ? flow_hash_get(key, true) : NULL;
	if (!state)
		return;
	if (!state->id.local_port) {
		state->id.flags |= flags;
		flow_address(&state->id, sk);
	}
	pending.vector = *vector;
	pending.sk = state->id.cookie;
	if (state->tx != LOOK_SMTP)
		pending.look = !send_look(state, &pending.vector, false);
	bpf_map_update_elem(&sends, &id, &pending, BPF_ANY);
}

static __always_inline void outer_begin_message(const struct socket *socket,
						const struct msghdr *msg)
{
	struct vector vector;

	vector_of(msg, &vector);
	outer_begin(BPF_CORE_READ(socket, sk), &vector);
}

static __always_inline void outer_begin_page(const struct socket *socket, const struct page *page,
					     int offset, size_t size)
{
	struct vector vector = {};

	vector_of_page(page, offset, size, &vector);
	outer_begin(BPF_CORE_READ(socket, sk), &vector);
}

static __always_inline void outer_end(int ret)
{
	__u64 id = bpf_get_current_pid_tgid() | CALL_OUTER;
	struct pending *pending = bpf_map_lookup_elem(&sends, &id);
	struct flow_state *state;

	if (!pending)
		return;
	state = flow_hash_get(pending->sk, false);
	if (state && ret > 0) {
		pending->seq = state->plain_seq;
		state->plain_seq += ret;
		if (pending->look)
			send_look(state, &pending->vector, false);
		if (state_copied(state)) {
			emit_sender(state, 0);
			emit_pieces(state, id, pending, ret);
			state_tried(state);
		} else {
			state->id.flags |= FLOW_SKIPPED;
		}
	}
	bpf_map_delete_elem(&sends, &id);
}

/* ---- Tracepoints ----------------------------------------------------------------------------- */

SEC("tp_btf/tcp_sendmsg_locked")
int BPF_PROG(tracepoint_begin, struct sock *sk, struct msghdr *msg)
{
	struct flow_state *state = FLOW_STATE_OF(sk, true);

	if (state)
		send_begin(sk, msg, state);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(tracepoint_end, struct sock *sk, int ret)
{
	struct flow_state *state;
	__u16 protocol = sk->sk_protocol;

	if (protocol == IPPROTO_TCP) {
		state = FLOW_STATE_OF(sk, false);
		send_end(sk, state, ret);
	} else if (protocol == IPPROTO_MPTCP) {
		send_end_mptcp(sk, ret);
	}
	return 0;
}

/* ---- fentry, fexit --------------------------------------------------------------------------- */

SEC("fentry/tcp_sendmsg_locked")
int BPF_PROG(fentry_begin, struct sock *sk, struct msghdr *msg)
{
	struct flow_state *state = FLOW_STATE_OF(sk, true);

	if (state)
		send_begin(sk, msg, state);
	return 0;
}

SEC("fexit/tcp_sendmsg_locked")
int BPF_PROG(fexit_end, struct sock *sk, struct msghdr *msg, size_t size, int ret)
{
	struct flow_state *state = FLOW_STATE_OF(sk, false);

	send_end(sk, state, ret);
	return 0;
}

SEC("fentry/do_tcp_sendpages")
int BPF_PROG(fentry_page_begin, struct sock *sk, struct page *page, int offset, size_t size)
{
	struct flow_state *state = FLOW_STATE_OF(sk, true);

	if (state)
		send_begin_page(sk, page, offset, size, state);
	return 0;
}

SEC("fexit/do_tcp_sendpages")
int BPF_PROG(fexit_page_end, struct sock *sk, struct page *page, int offset, size_t size, int flags,
	     int ret)
{
	struct flow_state *state = FLOW_STATE_OF(sk, false);

	send_end(sk, state, ret);
	return 0;
}

SEC("fexit/mptcp_sendmsg")
int BPF_PROG(fexit_mptcp_end, struct sock *sk, struct msghdr *msg, size_t size, int ret)
{
	send_end_mptcp(sk, ret);
	return 0;
}

SEC("fentry/inet_sendmsg")
int BPF_PROG(fentry_inet_begin, struct socket *sock, struct msghdr *msg)
{
	outer_begin_message(sock, msg);
	return 0;
}

SEC("fexit/inet_sendmsg")
int BPF_PROG(fexit_inet_end, struct socket *sock, struct msghdr *msg, size_t size, int ret)
{
	outer_end(ret);
	return 0;
}

SEC("fentry/inet6_sendmsg")
int BPF_PROG(fentry_inet6_begin, struct socket *sock, struct msghdr *msg)
{
	outer_begin_message(sock, msg);
	return 0;
}

SEC("fexit/inet6_sendmsg")
int BPF_PROG(fexit_inet6_end, struct socket *sock, struct msghdr *msg, size_t size, int ret)
{
	outer_end(ret);
	return 0;
}

SEC("fentry/inet_sendpage")
int BPF_PROG(fentry_inet_page_begin, struct socket *sock, struct page *page, int offset,
	     size_t size)
{
	outer_begin_page(sock, page, offset, size);
	return 0;
}

SEC("fexit/inet_sendpage")
int BPF_PROG(fexit_inet_page_end, struct socket *sock, struct page *page, int offset, size_t size,
	     int flags, int ret)
{
	outer_end(ret);
	return 0;
}

/* ---- kprobe, kretprobe ----------------------------------------------------------------------- */

/* The socket of a call under way: a kretprobe is not given the arguments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* pid and tid, and CALL_OUTER */
	__type(value, __u64);
} calls SEC(".maps");

static __always_inline void call_begin(const struct sock *sk, __u64 kind)
{
	__u64 id = bpf_get_current_pid_tgid() | kind, address = (__u64)sk;

	if (bpf_map_lookup_elem(&calls, &id)) /* the end of the last one was not seen */
		count(COUNTER_MISSED, 1);
	bpf_map_update_elem(&calls, &id, &address, BPF_ANY);
}

/* The socket of the call that ends; NULL: its beginning was not of interest. */
static __always_inline const struct sock *call_end(__u64 kind)
{
	__u64 id = bpf_get_current_pid_tgid() | kind, *address = bpf_map_lookup_elem(&calls, &id);
	const struct sock *sk;

	if (!address)
		return NULL;
	sk = (const struct sock *)*address;
	bpf_map_delete_elem(&calls, &id);
	return sk;
}

/*
 * A kretprobe does not run where more calls are under way than the kernel keeps room for (twice the
 * CPUs, at least ten): such an end is counted as the task's next call begins, or here.
 */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(kprobe_task_exit, struct task_struct *task)
{
	__u64 id = bpf_get_current_pid_tgid(), outer = id | CALL_OUTER;

	if (bpf_map_lookup_elem(&calls, &id) || bpf_map_lookup_elem(&calls, &outer))
		count(COUNTER_MISSED, 1);
	bpf_map_delete_elem(&calls, &id);
	bpf_map_delete_elem(&calls, &outer);
	bpf_map_delete_elem(&sends, &id);
	bpf_map_delete_elem(&sends, &outer);
	return 0;
}

static __always_inline void kretprobe_send_end(int ret)
{
	const struct sock *sk = call_end(0);
	struct flow_state *state = sk ? flow_hash_of(sk, false) : NULL;

	if (sk)
		send_end(sk, state, ret);
}

SEC("kprobe/tcp_sendmsg_locked")
int BPF_KPROBE(kprobe_begin, struct sock *sk, struct msghdr *msg)
{
	struct flow_state *state = flow_hash_of(sk, true);

	if (state)
		send_begin(sk, msg, state);
	if (!state || state_copied(state))
		call_begin(sk, 0);
	return 0;
}

SEC("kretprobe/tcp_sendmsg_locked")
int BPF_KRETPROBE(kretprobe_end, int ret)
{
	kretprobe_send_end(ret);
	return 0;
}

SEC("kprobe/do_tcp_sendpages")
int BPF_KPROBE(kprobe_page_begin, struct sock *sk, struct page *page, int offset, size_t size)
{
	struct flow_state *state = flow_hash_of(sk, true);

	if (state)
		send_begin_page(sk, page, offset, size, state);
	if (!state || state_copied(state))
		call_begin(sk, 0);
	return 0;
}

SEC("kretprobe/do_tcp_sendpages")
int BPF_KRETPROBE(kretprobe_page_end, int ret)
{
	kretprobe_send_end(ret);
	return 0;
}

SEC("kprobe/mptcp_sendmsg")
int BPF_KPROBE(kprobe_mptcp_begin, struct sock *sk)
{
	call_begin(sk, CALL_OUTER);
	return 0;
}

SEC("kretprobe/mptcp_sendmsg")
int BPF_KRETPROBE(kretprobe_mptcp_end, int ret)
{
	const struct sock *sk = call_end(CALL_OUTER);

	if (sk)
		send_end_mptcp(sk, ret);
	return 0;
}

SEC("kprobe/inet_sendmsg")
int BPF_KPROBE(kprobe_inet_begin, struct socket *sock, struct msghdr *msg)
{
	outer_begin_message(sock, msg);
	return 0;
}

SEC("kretprobe/inet_sendmsg")
int BPF_KRETPROBE(kretprobe_inet_end, int ret)
{
	outer_end(ret);
	return 0;
}

SEC("kprobe/inet6_sendmsg")
int BPF_KPROBE(kprobe_inet6_begin, struct socket *sock, struct msghdr *msg)
{
	outer_begin_message(sock, msg);
	return 0;
}

SEC("kretprobe/inet6_sendmsg")
int BPF_KRETPROBE(kretprobe_inet6_end, int ret)
{
	outer_end(ret);
	return 0;
}

SEC("kprobe/inet_sendpage")
int BPF_KPROBE(kprobe_inet_page_begin, struct socket *sock, struct page *page, int offset,
	       size_t size)
{
	outer_begin_page(sock, page, offset, size);
	return 0;
}

SEC("kretprobe/inet_sendpage")
int BPF_KRETPROBE(kretprobe_inet_page_end, int ret)
{
	outer_end(ret);
	return 0;
}

#endif
