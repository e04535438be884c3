/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The attach points of the send hook: thin wrappers around send.bpf.h and outer.bpf.h, one family
 * for each attach type. User space loads one family:
 *
 *   tp_btf   tcp_sendmsg_locked (at each turn of its loop) and sock_send_length
 *   fentry   fentry and fexit of tcp_sendmsg_locked, do_tcp_sendpages (before 6.5), mptcp_sendmsg
 *   kprobe   kprobe and kretprobe of the same functions
 */
#ifndef SMTPSNOOP_ATTACH_BPF_H
#define SMTPSNOOP_ATTACH_BPF_H

#include "outer.bpf.h"

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

/* The socket of a call in progress: a kretprobe does not get the arguments. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* pid and tid, and CALL_OUTER */
	__type(value, __u64);
} calls SEC(".maps");

static __always_inline void call_begin(const struct sock *sk, __u64 kind)
{
	__u64 id = bpf_get_current_pid_tgid() | kind, address = (__u64)sk;

	if (bpf_map_lookup_elem(&calls, &id)) /* the end of the last call was not seen */
		count(COUNTER_MISSED, 1);
	bpf_map_update_elem(&calls, &id, &address, BPF_ANY);
}

/* The socket of the call that ends; NULL if its beginning was of no interest. */
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
 * A kretprobe does not run if more calls are in progress than the kernel has room for (twice the
 * number of CPUs, at least ten). Such a missed end is counted when the task's next call begins, or
 * here.
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
