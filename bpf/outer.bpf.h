/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sends whose bytes TCP does not get as the process wrote them: TLS in the kernel, and Multipath
 * TCP where there is no wire hook.
 *
 * inet_sendmsg() is the common entry of every protocol's send, and it runs before kernel TLS
 * encrypts. Multipath TCP is read there only without the wire hook: its subflows have no sends of
 * their own. Each such socket is a flow of its own, and only the send side has its bytes.
 */
#ifndef SMTPSNOOP_OUTER_BPF_H
#define SMTPSNOOP_OUTER_BPF_H

#include "send.bpf.h"

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
	/* with keys for this direction, the socket has another sendmsg() */
	return (__u64)BPF_CORE_READ(sk, __sk_common.skc_prot, sendmsg) != plain_sendmsg;
}

/* The key of the flow of a socket whose sends are seen here; 0 if TCP gets them unchanged. */
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
	if (!state || state->tls_layer) /* a probe in the library has the plaintext */
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
			state_tried(state, ret, false);
		} else {
			state->id.flags |= FLOW_SKIPPED;
		}
	}
	bpf_map_delete_elem(&sends, &id);
}

#endif
