/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the programs share: the ring buffer, the counters, the state of each socket, and the
 * settings that user space fixes before loading.
 *
 * The state of a socket lives in its socket storage: it dies with the socket, cannot be evicted by
 * opening other sockets, and costs one lookup. Where not every program can reach it (kprobes;
 * before 5.12, any tracing program), and for sockets whose storage the kernel will not grow (its
 * owner may have used up the option memory on purpose), it lives in an LRU hash keyed by socket
 * cookie instead.
 *
 * A cookie is made when it is first asked for, and not every program can ask. A socket that has
 * none yet is known by its address until it is connected; for good, where no wire hook makes
 * cookies.
 */
#ifndef SMTPSNOOP_MAPS_BPF_H
#define SMTPSNOOP_MAPS_BPF_H

#include "vmlinux.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_tracing.h>

#include "record.h"

/* ---- Settings, constant once loaded ---------------------------------------------------------- */

const volatile bool wire_hook = true;	   /* the wire hook is attached: it has the bytes */
const volatile bool socket_storage = true; /* every program can use socket storage */
const volatile bool socket_cookies = true; /* tracing programs can make a socket's cookie (5.12) */
const volatile __u32 ring_size = 8 << 20;  /* bytes of the ring buffer */
const volatile __u32 own_tgid = 0;	   /* the watch itself */
const volatile __u64 page_offset_at =
	0;			     /* address of the variable page_offset_base; 0: not known */
const volatile __u64 vmemmap_at = 0; /* address of the variable vmemmap_base */

/* ---- Shared with user space ------------------------------------------------------------------ */

/* Set by the reader before it sleeps; cleared by whoever wakes it. */
__u32 reader_asleep = 0;

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20); /* set by user space, as ring_size */
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
		/* a slot a CPU; an interrupt between load and store may cost one count */
		*value += n;
}

/* ---- The ring -------------------------------------------------------------------------------- */

/*
 * How much payload of one segment goes into the ring, by how full it is. Bulk is given up first:
 * commands and replies are short, and what is said in them is what counts. The last eighth is left
 * to records of processes and sockets.
 */
#define KEPT_HALF_FULL	 512U
#define KEPT_ALMOST_FULL 128U

static __always_inline __u32 ring_kept(__u32 len)
{
	__u64 used = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u32 kept = len;

	if (used > ring_size / 8 * 7)
		kept = 0;
	else if (used > ring_size / 4 * 3)
		kept = KEPT_ALMOST_FULL;
	else if (used > ring_size / 2)
		kept = KEPT_HALF_FULL;
	return kept < len ? kept : len;
}

/*
 * Hands a record over. The reader drains on its own timer and is not woken, but for a ring that
 * fills faster than the timer runs: then once, by whoever first sees a quarter of it used.
 */
static __always_inline void ring_submit(void *record)
{
	__u64 flags = BPF_RB_NO_WAKEUP;

	if (reader_asleep && bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) > ring_size / 4) {
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
 * Limits a length of at least 1 to a power of two, in a form that shows every verifier both bounds.
 */
static __always_inline __u32 bounded(__u32 len, const __u32 max)
{
	len = len < max ? len : max;
	barrier_var(len);
	return ((len - 1) & (max - 1)) + 1;
}

/* ---- The state of a socket ------------------------------------------------------------------- */

/* What one direction of a flow looks like so far. */
enum look {
	LOOK_UNKNOWN, /* nothing seen, or text that may be a preamble */
	LOOK_SMTP,    /* commands (from here) or a 220 greeting (to here) */
	LOOK_OTHER,   /* not SMTP */
	LOOK_TLS,     /* a TLS record: what follows cannot be read */
	/* a piece that opens with a request line of HTTP; a state's tx and rx never are */
	LOOK_REQUEST,
};

struct flow_state {
	struct flow_id id;
	__u8 tx;       /* enum look: what this socket sends */
	__u8 rx;       /* enum look: what it receives */
	__u8 emitted;  /* user space has heard of the flow, and is owed its close */
	__u8 tls_told; /* the segment in which TLS begins was passed on, or was not wanted */
	/* the last segment to here opened with 220: a greeting, or the answer to STARTTLS */
	__u8 go_ahead;
	__u8 tls_asked; /* a TLS record was sent behind a 220, and its answer is not there yet */
	__u8 on_wire;	/* the wire hook has seen what this socket sends */
	__u8 kept; /* the call under way is in `sends`, though the wire has its bytes most likely */
	__u32 tries; /* records delivered without a verdict */
	/* the socket was closed during the call under way: the close is told behind its bytes */
	__u32 ended;
	__u64 head; /* the last up to eight bytes of a line that was sent in small pieces */
	__u32 head_len;
	__u32 plain_seq; /* of a flow of plaintext: bytes sent so far */

	/* The send under way, for the exit hook to compare with what was accepted. */
	__u32 entry_tid; /* 0: none */
	__u32 entry_seq;
	__u32 entry_len;

	/* The last sender told: not told again until it changes. */
	__u32 sender_pid;
	__u32 sender_loginuid;
	__u64 sender_start_ns;
	__u64 sender_cred;

	struct task_id opener; /* the task at the first state change; pid 0: not known */
};

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
 * Subflows of Multipath TCP that are being copied: the sends are seen at their master socket only.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* cookie of the subflow's socket */
	__type(value, __u8);
} mptcp_copied SEC(".maps");

/* A blank state to start from: too large for a program's stack beside what else it keeps there. */
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

/* An address as a number: the verifier lets nothing be reckoned with a pointer that it knows. */
static __always_inline __u64 address_of(const void *object)
{
	const void *pointer = object;
	__u64 address = 0;

	bpf_probe_read_kernel(&address, sizeof(address), &pointer);
	return address;
}

/* A socket's cookie as it stands; 0: none was made yet. */
static __always_inline __u64 cookie_read(const struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_cookie.counter);
}

/*
 * The state in the hash of a socket that a tracing program was given. With the wire hook, a
 * connected socket without a cookie gets none made: the wire does that with the first segment, and
 * would not find it.
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
 * The state of a socket, made if it has none and `create` is set; in its storage, else in the hash
 * by the expression `hashed`. A macro, because the verifier wants to see the helper called with the
 * program's own kind of socket pointer: sk is a struct sock of a BTF-typed program or a struct
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
