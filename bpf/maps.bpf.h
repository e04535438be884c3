/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs share: the ring buffer, the counters, the state of each socket, and the
 * settings that user space fixes before it loads them.
 *
 * The state of a socket is in its socket storage: it dies with the socket, cannot be evicted by
 * opening other sockets, and costs one lookup. If not every program can reach that storage
 * (kprobes; before 5.12, any tracing program), or if the kernel will not grow a socket's storage
 * (its owner may have used up the option memory on purpose), the state is in an LRU hash keyed by
 * socket cookie instead.
 *
 * The kernel makes a cookie when it is first asked for, and not every program can ask. A socket
 * without a cookie is known by its address until it is connected; for good if there is no wire hook
 * to make cookies.
 */
#ifndef SMTPSNOOP_MAPS_BPF_H
#define SMTPSNOOP_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "older.bpf.h"
#include "record.h"
#include "tls.h"

/* ---- Settings, constant once loaded ---------------------------------------------------------- */

const volatile bool wire_hook = true;	   /* the wire hook is attached and has the bytes */
const volatile bool socket_storage = true; /* every program can use socket storage */
/* tracing programs can make a socket's cookie (since 5.12) */
const volatile bool socket_cookies = true;
const volatile bool tls_probes = true;	  /* calls of TLS libraries are probed (tls.bpf.h) */
const volatile __u32 ring_size = 8 << 20; /* bytes of the ring buffer */
/* addresses of the variables page_offset_base and vmemmap_base; 0: unknown */
const volatile __u64 page_offset_at = 0;
const volatile __u64 vmemmap_at = 0;

/*
 * The root directory of the watch itself (its dentry, which all mounts of that directory share);
 * 0: not known. once_own_root() sets it.
 */
__u64 own_root = 0;

/* ---- Shared with user space ------------------------------------------------------------------ */

/* Set by the reader before it sleeps; cleared by the program that wakes it. */
__u32 reader_asleep = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* user space sets it to ring_size */
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, COUNTER_MAX);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

static __always_inline void count(__u32 counter, __u64 n)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &counter);

	if (value)
		/* each CPU has a slot; an interrupt between load and store may cost one count */
		*value += n;
}

/* ---- The ring -------------------------------------------------------------------------------- */

/*
 * Submits a record. The reader drains on its own timer and is not woken, unless the ring fills
 * faster than the timer runs: then once, by the program that first sees a sixteenth of it in use.
 */
static __always_inline void ring_submit(void *record)
{
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (reader_asleep && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > ring_size / 16) {
		reader_asleep = 0;
		flags = BPF_RB_FORCE_WAKEUP;
	}
	bpf_ringbuf_submit(record, flags);
}

static __always_inline void record_header(struct record *h, __u32 type, __u32 len)
{
	h->type = type;
	h->len = len;
	h->time_ns = bpf_ktime_get_boot_ns();
}

/*
 * Limits a length of at least 1 to `max`, a power of two, in a form in which every verifier sees
 * both bounds.
 */
static __always_inline __u32 bounded(__u32 len, const __u32 max)
{
	len = len < max ? len : max;
	barrier_var(len);
	return ((len - 1) & (max - 1)) + 1;
}

/* ---- Shares of the ring ---------------------------------------------------------------------- */

/*
 * Whoever floods loses his own records. What is written to the ring is charged to the user who
 * causes it, and payload also to its socket. A share depends on what is free, and the last eighth
 * does not count as free. A user may have half as much payload waiting in the ring as is free in
 * it, and a socket twice as much as its user has left. So the first user to flood fills a third of
 * the ring, the second one a quarter, and what is free remains for those who have little waiting.
 * Records of processes and senders are few and large, and payload says little without them: for
 * these, a user may have twice as much waiting as is free.
 *
 * How much of a user or socket waits in the ring is known from positions: what was written before
 * the mark is no longer there once the reader has passed the mark.
 */
struct share {
	__u64 mark;   /* position in the ring */
	__u32 before; /* bytes written before the mark, unless the reader has passed it */
	__u32 after;  /* bytes written after it */
};

/* By user, as user_key() in flow.bpf.h makes it. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct share);
} user_shares SEC(".maps");

/* Bytes of payload that were left out, by user. User space takes the entries out. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DROPPED_USERS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} user_dropped SEC(".maps");

/* The bytes that wait in the ring, or a little more. */
static __always_inline __u64 share_waiting(struct share *share)
{
	if (bpf_ringbuf_query(&ring, BPF_RB_CONS_POS) >= share->mark) {
		share->before = share->after;
		share->after = 0;
		share->mark = bpf_ringbuf_query(&ring, BPF_RB_PROD_POS);
	}
	return (__u64)share->before + share->after;
}

static __always_inline __u64 left_of(__u64 whole, __u64 used)
{
	return used < whole ? whole - used : 0;
}

/* The share of a user; NULL: there is no room to count it. */
static __always_inline struct share *user_share(__u64 user)
{
	struct share *share = bpf_map_lookup_elem(&user_shares, &user), none = {};

	if (share)
		return share;
	bpf_map_update_elem(&user_shares, &user, &none, BPF_NOEXIST);
	return bpf_map_lookup_elem(&user_shares, &user);
}

static __always_inline bool ring_has_plenty(__u64 used)
{
	return used < ring_size / 8;
}

/*
 * Whether a record of `len` bytes about a process or a sender may be written for this user. If not,
 * it is to be counted as lost.
 */
static __always_inline bool ring_allowed_user(__u64 user, __u32 len)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	struct share *share;

	if (ring_has_plenty(used))
		return true;
	share = user_share(user);
	if (!share || share_waiting(share) >= 2 * left_of(ring_size / 8 * 7, used))
		return false;
	__sync_fetch_and_add(&share->after, len);
	return true;
}

/* ---- The state of a socket ------------------------------------------------------------------- */

/* What one direction of a flow looks like so far. */
enum look {
	LOOK_UNKNOWN, /* nothing seen yet, or text that may be a preamble */
	LOOK_SMTP,    /* commands (sent) or a 220 greeting (received) */
	LOOK_OTHER,   /* not SMTP */
	LOOK_TLS,     /* a TLS record: what follows is unreadable */
	LOOK_TUNNEL,  /* (received) a proxy was asked for a tunnel; (a piece) a request for one */
	/*
	 * a piece that begins with an HTTP request line; tx and rx of a state never have this value
	 */
	LOOK_REQUEST,
};

/* The line that one direction has begun, as far as its pieces show it. */
struct line {
	__u64 head; /* its first bytes, leading blanks not counted */
	__u32 next; /* the sequence number after the last piece; 0: unknown */
	__u32 len;  /* bytes in `head`, at most 8 */
};

/* The TLS records that a socket has sent (count.bpf.h). */
struct tls_count {
	__u64 bytes;	/* of the records of data, without their headers */
	__u64 head;	/* the first bytes of a header that is split over segments */
	__u32 records;	/* how many records of data */
	__u32 next;	/* sequence number of the next header */
	__u32 head_len; /* bytes in `head` */
	__u32 step;	/* enum count_step; 0: not counted */
};

struct flow_state {
	struct flow_id id;
	__u8 tx;       /* enum look: what this socket sends */
	__u8 rx;       /* enum look: what it receives */
	__u8 emitted;  /* user space knows the flow and must get its close */
	__u8 tls_told; /* the segment in which TLS begins was passed on, or was not needed */
	/* the last received segment began with 220: a greeting, or the reply to STARTTLS */
	__u8 go_ahead;
	__u8 tls_asked; /* a TLS record was sent after a 220, and has no answer yet */
	__u8 on_wire;	/* the wire hook has seen what this socket sends */
	__u8 kept; /* the current call is in `sends`, although the wire most likely has its bytes */
	__u8 idle; /* the last line sent carries no mail and may be repeated (NOOP) */
	__u8 hello;	/* enum hello_step (hello.bpf.h) */
	__u8 tls_layer; /* enum tls_layer: the plaintext of a session in a library (tls.bpf.h) */
	__u32 tls_pid;	/* process that sent the ClientHello; 0: no hook saw that */
	__u32 trial;	/* what was delivered on trial, as state_tried() charges it */
	__u32 arrived;	/* bytes received */
	/* the socket was closed during the current call: its close is reported after its bytes */
	__u32 ended;
	__u32 plain_seq; /* plaintext flows (outer.bpf.h, tls.bpf.h): bytes sent so far */
	__u32 plain_got; /* likewise, bytes received so far (tls.bpf.h) */
	/* likewise, what was last reported of `walk` and of the text, and `walk` is being written
	 */
	__u32 told_records;
	__u32 told_plain;
	__u32 told;
	__u32 counting;
	/* likewise, what the library took; and with what calls that have not ended offer it */
	__u64 plain_total;
	__u64 plain_offered;
	struct tls_count walk; /* of a plaintext flow: a copy of its socket's */

	struct line sent, received;

	__u64 user; /* who pays for its bytes in the ring (user_key()); 0: unknown, or root */
	struct share share;

	/* The current send, for the exit hook to compare with what was accepted. */
	__u32 entry_tid; /* 0: no send */
	__u32 entry_seq;
	__u32 entry_len;

	/* The last sender that was reported; it is not reported again until it changes. */
	__u32 sender_pid;
	__u32 sender_loginuid;
	__u32 opener_root; /* enum sender_flag: the opener's root directory */
	__u64 sender_start_ns;
	__u64 sender_cred;
	__u64 sender_directory;

	struct task_id opener; /* the task at the first state change; pid 0: unknown */
};

#define KEPT_HALF_USED	 512U
#define KEPT_ALMOST_USED 128U
#define RECORD_COST	 160U /* what a record takes besides its payload, roughly */

/*
 * How much of `len` bytes of payload may be written to the ring: all of it, as long as the flow
 * has used less than half of its share. Then bulk is given up, because commands and replies are
 * short and matter most. What is not written is to be counted by ring_dropped().
 */
static __always_inline __u32 ring_allowed(struct flow_state *state, __u32 len)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA), limit, waiting;
	__u32 allowed = len;
	struct share *user;

	if (ring_has_plenty(used))
		return len;
	user = user_share(state->user);
	if (!user)
		return 0;
	limit = 2 * left_of(left_of(ring_size / 8 * 7, used) / 2, share_waiting(user));
	waiting = share_waiting(&state->share);
	if (waiting >= limit)
		allowed = 0;
	else if (waiting >= limit / 4 * 3)
		allowed = KEPT_ALMOST_USED;
	else if (waiting >= limit / 2)
		allowed = KEPT_HALF_USED;
	if (allowed > len)
		allowed = len;
	__sync_fetch_and_add(&user->after, allowed + RECORD_COST);
	state->share.after += allowed + RECORD_COST;
	return allowed;
}

/* Counts payload that was left out, and whose it was. */
static __always_inline void ring_dropped(const struct flow_state *state, __u32 len)
{
	__u64 *dropped = bpf_map_lookup_elem(&user_dropped, &state->user), bytes = len;

	count(COUNTER_PRESSURE_BYTES, len);
	if (dropped)
		__sync_fetch_and_add(dropped, bytes);
	else
		bpf_map_update_elem(&user_dropped, &state->user, &bytes, BPF_NOEXIST);
}

struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct flow_state);
} flow_storage SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 32768);
	__type(key, __u64); /* socket cookie, or address */
	__type(value, struct flow_state);
} flow_hash SEC(".maps");

/*
 * Subflows of Multipath TCP that are being copied. Their sends are seen at the master socket only.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* cookie of the subflow's socket */
	__type(value, __u8);
} mptcp_copied SEC(".maps");

/*
 * A blank state to start from: together with what else a program keeps on its stack, it would be
 * too large for the stack.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct flow_state);
} flow_blank SEC(".maps");

static __always_inline struct flow_state *flow_hash_get(__u64 cookie, bool create)
{
	struct flow_state *state;
	__u32 zero = 0;

	if (!cookie)
		return NULL;
	state = bpf_map_lookup_elem(&flow_hash, &cookie);
	if (state || !create)
		return state;
	state = bpf_map_lookup_elem(&flow_blank, &zero);
	if (!state)
		return NULL;
	bpf_map_update_elem(&flow_hash, &cookie, state, BPF_NOEXIST);
	state = bpf_map_lookup_elem(&flow_hash, &cookie);
	if (state)
		state->id.cookie = cookie;
	else
		count(COUNTER_STATE_FAILED, 1);
	return state;
}

/* An address as a number: the verifier forbids arithmetic on a typed pointer. */
static __always_inline __u64 address_of(const void *object)
{
	const void *pointer = object;
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* A socket's cookie; 0 if the kernel has not made one yet. */
static __always_inline __u64 cookie_read(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/*
 * The hash's state of a socket that a tracing program was given. With the wire hook, no state is
 * made for a connected socket without a cookie: the wire hook makes the cookie with the first
 * segment, and would not find that state.
 */
static __always_inline struct flow_state *flow_hash_of(const struct sock *sk, bool create)
{
	__u64 cookie = cookie_read(sk);
	struct flow_state *state = flow_hash_get(cookie, false);

	if (!state)
		state = flow_hash_get((__u64)sk, false);
	if (state || !create)
		return state;
	if (cookie)
		return flow_hash_get(cookie, true);
	return wire_hook ? NULL : flow_hash_get((__u64)sk, true);
}

/*
 * The state of a socket, made if it has none and `create` is set: in its storage, or else in the
 * hash by the expression `hashed`. A macro, because the verifier must see the helper called with
 * the program's own kind of socket pointer: sk is a struct sock of a BTF-typed program or a struct
 * bpf_sock.
 */
#define FLOW_STATE(sk, create, hashed)                                                             \
	({                                                                                         \
		struct flow_state *flow_state_ = NULL;                                             \
		if (socket_storage)                                                                \
			flow_state_ =                                                              \
				bpf_sk_storage_get(&flow_storage, (sk), NULL,                      \
						   (create) ? BPF_SK_STORAGE_GET_F_CREATE : 0);    \
		flow_state_ ? flow_state_ : (hashed);                                              \
	})

/* The same for a tracing program's struct sock. */
#define FLOW_STATE_OF(sk, create)                                                                  \
	({                                                                                         \
		struct flow_state *state_of_;                                                      \
		if (socket_cookies) {                                                              \
			__u64 cookie_ = bpf_get_socket_cookie(sk);                                 \
			state_of_ = FLOW_STATE(sk, create, flow_hash_get(cookie_, (create)));      \
			if (state_of_ && !state_of_->id.cookie)                                    \
				state_of_->id.cookie = cookie_;                                    \
		} else {                                                                           \
			state_of_ = flow_hash_of(sk, (create));                                    \
		}                                                                                  \
		state_of_;                                                                         \
	})

#endif
