/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The life of a socket: its state is created when it connects (or is accepted) and removed when it
 * closes. The task that connects is noted as the opener: for flows whose sends no hook sees (TCP
 * Fast Open, Multipath TCP), the opener is the sender.
 */
#ifndef SMTPSNOOP_FLOW_BPF_H
#define SMTPSNOOP_FLOW_BPF_H

#include "count.bpf.h"
#include "hello.bpf.h"
#include "look.bpf.h"
#include "task.bpf.h"

#define AF_INET	      2
#define AF_INET6      10
#define IPPROTO_TCP   6
#define IPPROTO_MPTCP 262

#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT	2
#define TCP_FIN_WAIT1	4
#define TCP_FIN_WAIT2	5
#define TCP_CLOSE	7
#define TCP_CLOSE_WAIT	8
#define TCP_LAST_ACK	9
#define TCP_LISTEN	10
#define TCP_CLOSING	11

#define SOCK_DONE (1U << 1) /* of skc_flags: a FIN was received */

static __always_inline void addr_v4(__u8 *addr, __be32 v4)
{
	__builtin_memset(addr, 0, 10);
	addr[10] = addr[11] = 0xff;
	__builtin_memcpy(addr + 12, &v4, 4);
}

/* Fills in the addresses of a socket, which are not all known before it is connected. */
static __always_inline void flow_address(struct flow_id *id, const struct sock *sk)
{
	id->local_port = BPF_CORE_READ(sk, __sk_common.skc_num);
	id->remote_port = bpf_ntohs(BPF_CORE_READ(sk, __sk_common.skc_dport));
	id->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
	if (BPF_CORE_READ(sk, __sk_common.skc_family) == AF_INET) {
		addr_v4(id->local_addr, BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr));
		addr_v4(id->remote_addr, BPF_CORE_READ(sk, __sk_common.skc_daddr));
		return;
	}
	BPF_CORE_READ_INTO(&id->local_addr, sk, __sk_common.skc_v6_rcv_saddr);
	BPF_CORE_READ_INTO(&id->remote_addr, sk, __sk_common.skc_v6_daddr);
}

/*
 * The state, in the hash, of a socket that a tracepoint was given and that may not have a cookie
 * yet.
 */
static __always_inline struct flow_state *flow_hash_begin(const struct sock *sk, bool create)
{
	__u64 cookie = cookie_read(sk), address = (__u64)sk;
	struct flow_state *state, *before;

	if (!cookie)
		return flow_hash_get(address, create);
	state = flow_hash_get(cookie, create);
	before = bpf_map_lookup_elem(&flow_hash, &address);
	/* it got its cookie meanwhile; with Fast Open the wire has seen its first bytes by then */
	if (state && before) {
		state->id.flags |= before->id.flags;
		state->opener = before->opener;
		state->opener_root = before->opener_root;
		if (!state->user) {
			state->user = before->user;
			state->id.owner = before->id.owner;
		}
	}
	if (before)
		bpf_map_delete_elem(&flow_hash, &address);
	return state;
}

/* Notes the current task's user as the owner of the flow. */
static __always_inline void state_own(struct flow_state *state)
{
	state->user = user_key();
	state->id.owner = state->user >> 32 ^ state->user;
}

/* Resets the state of a socket, so that nothing of an earlier connection remains. */
static __always_inline void state_begin(struct flow_state *state, __u64 cookie, __u32 flags)
{
	__builtin_memset(state, 0, sizeof(*state));
	state->id.cookie = cookie;
	state->id.flags = flags;
}

/*
 * The bytes of a connection, without SYN and FIN, which TCP counts too. `old`: its state until now.
 */
static __always_inline void close_bytes(struct close_record *record, const struct sock *sk, int old)
{
	const struct tcp_sock *tp = (const struct tcp_sock *)sk;
	__u32 next = BPF_CORE_READ(tp, snd_nxt);
	__u32 unacked = next - BPF_CORE_READ(tp, snd_una);
	__u64 sent = BPF_CORE_READ(tp, bytes_acked) + unacked,
	      received = BPF_CORE_READ(tp, bytes_received);

	if (sent && !(record->flow.flags & FLOW_ACCEPTED))
		sent--;
	if (sent && next == BPF_CORE_READ(tp, write_seq) &&
	    (old == TCP_FIN_WAIT1 || old == TCP_FIN_WAIT2 || old == TCP_LAST_ACK ||
	     old == TCP_CLOSING))
		sent--;
	if (received && BPF_CORE_READ(sk, __sk_common.skc_flags) & SOCK_DONE)
		received--;
	record->sent = sent;
	record->received = received;
}

/* Reports that a flow ends. `sk`: its socket, whose state was `old` until now; or NULL. */
static __always_inline void emit_close(const struct flow_state *state, const struct sock *sk,
				       int old)
{
	struct close_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_CLOSE_LOST, 1);
		return;
	}
	record_header(&record->h, RECORD_CLOSE, sizeof(*record));
	record->flow = state->id;
	record->sent = record->received = 0;
	if (sk)
		close_bytes(record, sk, old);
	ring_submit(record);
}

/* Reports that the sent byte at `seq` is urgent data. */
static __always_inline void emit_urgent(const struct flow_state *state, __u32 seq)
{
	struct urgent_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);

	if (!record) {
		count(COUNTER_SEGMENT_LOST, 1);
		return;
	}
	record_header(&record->h, RECORD_URGENT, sizeof(*record));
	record->flow = state->id;
	record->seq = seq;
	record->pad = 0;
	ring_submit(record);
}

/*
 * Reports the working directory of the current task, for the sender record that follows, at the
 * cost of `user`. 0 if there is no room for both: then it is counted.
 *
 * This and report_sender() are functions of their own with scalar arguments: the verifier examines
 * them once, not for each caller. Neither calls the other, so that their stacks do not add up.
 */
__noinline int emit_directory(__u64 flow, __u64 user)
{
	struct task_struct *task = current_task();
	struct directory_record *record;
	struct walk walk;

	if (!ring_allowed_user(user, sizeof(*record) + DIRECTORY_DATA_MAX +
					     sizeof(struct sender_record) + CGROUP_DATA_MAX)) {
		count(COUNTER_SENDER_LOST, 1);
		return 0;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + DIRECTORY_DATA_MAX, 0);
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return 1;
	}
	record->flow = flow;
	record->start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	record->pid = BPF_CORE_READ(task, tgid);
	record->tid = BPF_CORE_READ(task, pid);
	record->path_len = path_write((void *)BPF_CORE_READ(task, fs) +
					      bpf_core_field_offset(struct fs_struct, pwd),
				      record->path, DIRECTORY_DATA_MAX - PATH_COMPONENT_MAX, &walk);
	record->flags = !walk.root || walk.root != BPF_CORE_READ(task, nsproxy, mnt_ns)
				? DIRECTORY_TRUNCATED
				: 0;
	record_header(&record->h, RECORD_DIRECTORY, sizeof(*record) + record->path_len);
	ring_submit(record);
	return 1;
}

/* Reports the current task as a sender of the flow. 0 if there is no room: then it is counted. */
__noinline int report_sender(__u64 flow, __u32 flags)
{
	struct task_struct *task = current_task();
	struct sender_record *record;

	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + CGROUP_DATA_MAX, 0);
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return 0;
	}
	record->flow = flow;
	task_describe(task, record);
	record->flags |= flags;
	record_header(&record->h, RECORD_SENDER, sizeof(*record) + record->cgroup_len);
	ring_submit(record);
	return 1;
}

/*
 * Reports the current task as a sender of the flow, with its working directory, unless it was the
 * last one reported.
 */
static __always_inline void emit_sender(struct flow_state *state, __u32 flags)
{
	struct task_struct *task = current_task();
	__u64 cred = (__u64)BPF_CORE_READ(task, cred),
	      directory = (__u64)BPF_CORE_READ(task, fs, pwd.dentry),
	      start_ns = BPF_CORE_READ(task, group_leader, start_boottime);
	__u32 pid = bpf_get_current_pid_tgid() >> 32, loginuid = task_loginuid(task);

	if (state->sender_pid == pid && state->sender_start_ns == start_ns &&
	    state->sender_cred == cred && state->sender_loginuid == loginuid &&
	    state->sender_directory == directory)
		return;
	if (!emit_directory(state->id.cookie, state->user) ||
	    !report_sender(state->id.cookie, flags))
		return; /* not noted as reported, so the next send tries again */
	state->sender_pid = pid;
	state->sender_start_ns = start_ns;
	state->sender_cred = cred;
	state->sender_loginuid = loginuid;
	state->sender_directory = directory;
	state->emitted = 1;
}

/*
 * Reports the opener, with less detail, if the wire shows bytes before (or without) a send that a
 * hook saw.
 */
static __always_inline void emit_opener(struct flow_state *state)
{
	struct sender_record *record;

	if (!state->opener.pid)
		return;
	if (!ring_allowed_user(state->user, sizeof(*record))) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	record = bpf_ringbuf_reserve(&ring, sizeof(*record), 0);
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	__builtin_memset(record, 0, sizeof(*record));
	record->flow = state->id.cookie;
	record->task = state->opener;
	record->flags = SENDER_OPENER | state->opener_root;
	record_header(&record->h, RECORD_SENDER, sizeof(*record));
	ring_submit(record);
}

/*
 * The sendmsg() of a TCP socket without TLS, learned from the first socket that connects; 0 until
 * then.
 */
__u64 plain_sendmsg = 0;

/* Whether the wire hook has the bytes of this socket. */
static __always_inline bool is_wired(const struct flow_state *state)
{
	return wire_hook && !(state->id.flags & FLOW_UNWIRED);
}

/*
 * Ends and removes the state under a key of the hash, if there is one. The socket as emit_close()
 * takes it.
 */
static __always_inline void flow_hash_end(__u64 key, const struct sock *sk, int old)
{
	struct flow_state *state = bpf_map_lookup_elem(&flow_hash, &key);

	if (!state)
		return;
	if (state->emitted)
		emit_close(state, sk, old);
	if (state->hello)
		hello_forget(key);
	bpf_map_delete_elem(&flow_hash, &key);
}

/*
 * Removes a socket from the tables, both under its cookie and its address. `old`: its state until
 * now; TCP_CLOSE: not known.
 */
static __always_inline void tables_forget(const struct sock *sk, int old)
{
	__u64 address = address_of(sk), cookie = cookie_read(sk);
	const struct sock *counted = old == TCP_CLOSE ? NULL : sk;

	flow_hash_end((cookie ? cookie : address) ^ FLOW_KEY_PLAINTEXT, counted, old);
	flow_hash_end(address, counted, old);
	if (!cookie)
		return;
	flow_hash_end(cookie, counted, old);
	bpf_map_delete_elem(&mptcp_copied, &cookie);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(socket_state, struct sock *sk, int old, int new)
{
	struct tcp_sock *tp = (struct tcp_sock *)sk;
	struct flow_state *state;
	__u64 key;

	if (new != TCP_SYN_SENT &&new != TCP_ESTABLISHED &&new != TCP_CLOSE)
		return 0;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP) {
		if (!wire_hook && new == TCP_CLOSE) /* a Multipath TCP socket */
			tables_forget(sk, TCP_CLOSE);
		return 0;
	}
	if (socket_cookies)
		state = FLOW_STATE_OF(sk, new != TCP_CLOSE);
	else
		state = flow_hash_begin(sk, new != TCP_CLOSE);
	if (!state)
		return 0;
	key = state->id.cookie;
	if (new == TCP_CLOSE) {
		if (!is_wired(state) && state->entry_tid) {
			state->ended = 1; /* its bytes are read when the call ends */
			return 0;
		}
		emit_count_end(state);
		if (state->emitted)
			emit_close(state, sk, old);
		state->emitted = 0; /* the close was reported */
		if (state->hello)
			hello_forget(key);
		tables_forget(sk, old);
		if (socket_storage)
			bpf_sk_storage_delete(&flow_storage, sk);
		return 0;
	}
	if (new == TCP_SYN_SENT) {
		if (!plain_sendmsg)
			plain_sendmsg = (__u64)BPF_CORE_READ(sk, __sk_common.skc_prot, sendmsg);
		/* TCP_REPAIR: a connection that another socket began */
		state_begin(state, key,
			    BPF_CORE_READ_BITFIELD_PROBED(tp, repair) ? 0 : FLOW_FROM_START);
		task_identify(current_task(), &state->opener);
		state->opener_root = task_root_flag(current_task());
		state_own(state);
		if (BPF_CORE_READ(tp, fastopen_req)) {
			state->id.flags |= FLOW_FASTOPEN;
			/* otherwise the wire hook will know it by another key */
			if (socket_cookies || !wire_hook)
				emit_sender(state, SENDER_OPENER);
		}
		if (bpf_core_field_exists(tp->is_mptcp) && BPF_CORE_READ(tp, is_mptcp)) {
			state->id.flags |= FLOW_MPTCP;
			emit_sender(state, SENDER_OPENER);
		}
	} else {
		if (old != TCP_SYN_SENT)
			state_begin(state, key, FLOW_FROM_START | FLOW_ACCEPTED);
		flow_address(&state->id, sk);
	}
	return 0;
}

/*
 * The last hook of a socket's life. A state may have been made after its close: by a send on a
 * socket that was never connected or no longer is, or by a segment that arrived on another CPU at
 * that moment. (The wire hook takes that state back, except between the close and the storing of
 * the state.)
 */
SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(socket_destroy, struct sock *sk)
{
	struct flow_state *state = NULL;

	if (socket_storage)
		state = bpf_sk_storage_get(&flow_storage, sk, NULL, 0);
	if (state && state->emitted)
		emit_close(state, NULL, 0);
	if (state && state->hello)
		hello_forget(state->id.cookie);
	tables_forget(sk, TCP_CLOSE);
	return 0;
}

#endif
