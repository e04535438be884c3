/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Whose plaintext it is: which socket a session of a TLS library belongs to.
 *
 * A library's calls take and return plaintext, but do not say for which socket. The proof is the
 * client's random: the wire hook has noted it with the socket that sent it (hello.bpf.h), and the
 * library keeps it in its session object, at a place that user space has read from the library's
 * code (struct tls_layout). If the object has the random of a socket of the same process, and is
 * not a server's, it is that socket's session. The random is compared at every call: an object that
 * is used again for another connection has another one. Go's objects have no random; they lead to
 * the descriptor of their socket, and so to the socket.
 *
 * A connection that is older than the watch has sent its hello unseen. Its session is joined by
 * what is sent within a call: one record, of the call's length. That takes a library that writes to
 * the socket itself.
 *
 * An object without a proof is a server's, or of a connection that is older than the watch, or has
 * not sent its hello yet. So it is looked at again in the next few calls.
 */
#ifndef SMTPSNOOP_PROOF_BPF_H
#define SMTPSNOOP_PROOF_BPF_H

#include "flow.bpf.h"

#define TLS_TRIES 8U /* calls in which a session without a proof is looked at again */

#define S_IFMT	 0170000
#define S_IFSOCK 0140000

/* ---- Where libraries keep what is needed ----------------------------------------------------- */

struct tls_layouts {
	__u32 count;
	__u32 pad;
	struct tls_layout items[TLS_LAYOUTS_MAX];
};

/* By enum tls_layer. User space writes it as it finds libraries. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, TLS_LAYER_MAX);
	__type(key, __u32);
	__type(value, struct tls_layouts);
} tls_layouts SEC(".maps");

/* The address of the client's random in an object; 0: it cannot be read. */
static __always_inline __u64 layout_random(const struct tls_layout *layout, __u64 object)
{
	__u64 address = object + layout->random;

	if (layout->random_in == TLS_DIRECT)
		return address;
	if (bpf_probe_read_user(&address, sizeof(address), (void *)address) || !address)
		return 0;
	return address + layout->random_in;
}

static __always_inline bool layout_is_server(const struct tls_layout *layout, __u64 object)
{
	__u32 role = 0;

	if (layout->role == TLS_NO_ROLE)
		return false;
	bpf_probe_read_user(&role, sizeof(role), (void *)(object + layout->role));
	return role == layout->server;
}

/* ---- Sessions -------------------------------------------------------------------------------- */

enum tls_verdict {
	TLS_UNPROVED, /* no socket */
	TLS_JOINED,   /* `cookie` is its socket */
	TLS_OTHER,    /* it has one, but it is not mail */
};

struct tls_session {
	__u64 cookie;
	__u64 print;   /* of the random, or Go's socket: another one is another session */
	__u32 verdict; /* enum tls_verdict */
	__u32 tries;
	__u64 reader; /* of Go: the key in go_calls of its last read; 0: none */
};

struct tls_key {
	__u64 object;
	__u32 pid;
	__u32 layer;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_key);
	__type(value, struct tls_session);
} tls_sessions SEC(".maps");

/*
 * Those that are joined. Anyone can make any number of objects, and push others out of
 * tls_sessions; a socket that is a client's is what a place here costs.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct tls_key);
	__type(value, struct tls_session);
} tls_joined SEC(".maps");

/* Notes that the session is joined to a socket. NULL: there is no room. */
static __always_inline struct tls_session *tls_join(const struct tls_key *key, __u64 cookie,
						    __u64 print)
{
	struct tls_session joined = {.cookie = cookie, .print = print, .verdict = TLS_JOINED};

	bpf_map_update_elem(&tls_joined, key, &joined, BPF_ANY);
	return bpf_map_lookup_elem(&tls_joined, key);
}

/*
 * What tells a session from an earlier one of the same object: the beginning of what is at each
 * place where the random may be.
 */
static __always_inline __u64 layouts_print(__u32 layer, __u64 object)
{
	struct tls_layouts *layouts = bpf_map_lookup_elem(&tls_layouts, &layer);
	__u64 print = 0, value, address;
	__u32 i;

	for (i = 0; layouts && i < TLS_LAYOUTS_MAX && i < layouts->count; i++) {
		value = 0;
		address = layout_random(&layouts->items[i], object);
		if (address)
			bpf_probe_read_user(&value, sizeof(value), (void *)address);
		print = (print << 7 | print >> 57) ^ value;
	}
	return print;
}

/* The cookie of the socket that a descriptor of this process names; 0: it is none. */
static __always_inline __u64 descriptor_socket(__u32 fd)
{
	struct fdtable *table = BPF_CORE_READ(current_task(), files, fdt);
	struct file **files = BPF_CORE_READ(table, fd), *file = NULL;
	struct socket *socket;

	if (fd >= BPF_CORE_READ(table, max_fds))
		return 0;
	bpf_probe_read_kernel(&file, sizeof(file), &files[fd]);
	if (!file || (BPF_CORE_READ(file, f_inode, i_mode) & S_IFMT) != S_IFSOCK)
		return 0;
	socket = BPF_CORE_READ(file, private_data);
	return cookie_read(BPF_CORE_READ(socket, sk));
}

/*
 * The socket of a *tls.Conn of Go: it begins with an interface, whose second word names a
 * *net.TCPConn, whose first word names a netFD, which has the descriptor behind a lock of 16 bytes.
 */
static __always_inline __u64 go_socket(__u64 object)
{
	__u64 connection = 0, netfd = 0;
	__u32 fd = 0;

	if (bpf_probe_read_user(&connection, 8, (void *)(object + 8)) ||
	    bpf_probe_read_user(&netfd, 8, (void *)connection) ||
	    bpf_probe_read_user(&fd, 4, (void *)(netfd + 16)))
		return 0;
	return descriptor_socket(fd);
}

/*
 * Makes the plaintext flow of a socket for an object of this process, unless it is another's.
 * Returns the socket's cookie; 0: it is not proved.
 */
static __always_inline __u64 tls_claim(__u64 cookie, __u64 object, __u32 layer)
{
	struct hello *hello = bpf_map_lookup_elem(&hellos, &cookie);
	__u32 pid = bpf_get_current_pid_tgid() >> 32;
	struct flow_state *state;

	if (!hello || (hello->sender != pid && hello->opener != pid))
		return 0;
	if (hello->object && hello->object != object)
		return 0;
	state = flow_hash_get(cookie ^ FLOW_KEY_PLAINTEXT, true);
	if (!state || (!state->tls_layer && state->plain_seq)) /* the kernel encrypts it */
		return 0;
	hello->object = object;
	if (state->tls_layer)
		return cookie;
	state->id = hello->id;
	state->id.cookie = cookie ^ FLOW_KEY_PLAINTEXT;
	state->id.flags &= FLOW_FROM_START | FLOW_ACCEPTED;
	state->tls_layer = layer;
	state->rx = hello->mail ? LOOK_SMTP : LOOK_UNKNOWN;
	state_own(state);
	return cookie;
}

/*
 * The socket whose session an object is; 0: it is not proved. `socket`: what Go's object leads to.
 *
 * A function of its own with scalar arguments: the verifier examines it once.
 */
__noinline __u64 tls_prove(__u32 layer, __u64 object, __u64 socket)
{
	struct tls_layouts *layouts = bpf_map_lookup_elem(&tls_layouts, &layer);
	struct hello_random random;
	__u64 address, *cookie;
	__u32 i;

	if (layer == TLS_GO)
		return tls_claim(socket, object, layer);
	for (i = 0; layouts && i < TLS_LAYOUTS_MAX && i < layouts->count; i++) {
		address = layout_random(&layouts->items[i], object);
		if (!address || bpf_probe_read_user(&random, sizeof(random), (void *)address))
			continue;
		cookie = bpf_map_lookup_elem(&hello_randoms, &random);
		if (!cookie)
			continue;
		if (layout_is_server(&layouts->items[i], object))
			return 0;
		return tls_claim(*cookie, object, layer);
	}
	return 0;
}

/* The session of an object, with a proof if there is one. NULL: there is no room. */
static __always_inline struct tls_session *tls_session_of(__u32 layer, __u64 object)
{
	struct tls_key key = {.object = object, .layer = layer};
	struct tls_session *session, fresh = {};
	__u64 cookie, print = layer == TLS_GO ? go_socket(object) : layouts_print(layer, object);

	key.pid = bpf_get_current_pid_tgid() >> 32;
	session = bpf_map_lookup_elem(&tls_joined, &key);
	if (session && session->print == print)
		return session;
	session = bpf_map_lookup_elem(&tls_sessions, &key);
	if (session && session->print == print &&
	    (session->verdict != TLS_UNPROVED || session->tries >= TLS_TRIES))
		return session;
	if (!session || session->print != print) {
		fresh.print = print;
		bpf_map_update_elem(&tls_sessions, &key, &fresh, BPF_ANY);
		session = bpf_map_lookup_elem(&tls_sessions, &key);
		if (!session)
			return NULL;
	}
	session->tries++;
	cookie = tls_prove(layer, object, print);
	return cookie ? tls_join(&key, cookie, print) : session;
}

/* ---- Calls in progress ----------------------------------------------------------------------- */

/* A call of a library in progress, by task. */
struct tls_call {
	__u64 object;
	__u64 data;
	__u64 len;
	__u64 taken; /* address at which the number of bytes will be; 0: it is what is returned */
	__u32 layer;
	__u16 written;
	__u16 uncork; /* the library passes on what was corked */
	__u32 depth;  /* calls within that are not noted */
	__u32 pad;
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* pid and tid */
	__type(value, struct tls_call);
} tls_calls SEC(".maps");

/*
 * Go's calls have a table of their own: a goroutine does not end with a thread, so its call may
 * stay here, and must not take the place of a call of a C library. Whoever makes
 * the program also chooses the keys. So a joined session has one call here, the last one: a place
 * costs as much as one in tls_joined.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, __u64); /* go_call() */
	__type(value, struct tls_call);
} go_calls SEC(".maps");

/* The header of a TLS record with data (RFC 8446, 5.1). */
struct tls_header {
	__u8 type;
	__u8 version[2];
	__u8 len[2];
};

#define TLS_RECORD_MAX	 16384U
#define TLS_OVERHEAD_MIN 16U
#define TLS_OVERHEAD_MAX 256U

/* Whether `len` bytes of a record can be the ciphertext of a call that was given `plain` bytes. */
static __always_inline bool tls_len_fits(__u32 len, __u64 plain)
{
	if (plain > TLS_RECORD_MAX)
		plain = TLS_RECORD_MAX;
	return len >= plain + TLS_OVERHEAD_MIN && len <= plain + TLS_OVERHEAD_MAX;
}

/*
 * Whether an object without a proof may be a server's: what a server reads is not this host's mail,
 * and may be a secret. Which layout is the object's is not known, so one that says so will do.
 */
__noinline int tls_may_be_server(__u32 layer, __u64 object)
{
	struct tls_layouts *layouts = bpf_map_lookup_elem(&tls_layouts, &layer);
	__u32 i;

	for (i = 0; layouts && i < TLS_LAYOUTS_MAX && i < layouts->count; i++) {
		if (layout_is_server(&layouts->items[i], object))
			return 1;
	}
	return 0;
}

/*
 * Joins the session of a connection that is older than the watch: its hello was not seen. What is
 * sent within a call of the library, as one record of the call's length, is that call's. `len`: of
 * the record, without its header; `seq`: where it begins.
 */
static __always_inline void tls_join_nested(struct flow_state *state, const struct sock *sk,
					    __u32 seq, __u32 len)
{
	__u64 id = bpf_get_current_pid_tgid(), key = state->id.cookie ^ FLOW_KEY_PLAINTEXT;
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &id);
	struct tls_session *session;
	struct tls_key of_call = {};
	struct flow_state *plain;

	if (!call || !call->written || !state->id.cookie || !tls_len_fits(len, call->len) ||
	    state->id.flags & FLOW_ACCEPTED || tls_may_be_server(call->layer, call->object))
		return;
	of_call.object = call->object;
	of_call.layer = call->layer;
	of_call.pid = id >> 32;
	session = bpf_map_lookup_elem(&tls_sessions, &of_call);
	if (!session || session->verdict != TLS_UNPROVED)
		return;
	plain = flow_hash_get(key, true);
	if (!plain || plain->tls_layer || plain->plain_seq)
		return;
	state->hello = HELLO_DONE;
	count_begin(&state->walk, seq);
	plain->tls_layer = call->layer;
	plain->plain_offered = call->len;
	flow_address(&plain->id, sk);
	state_own(plain);
	tls_join(&of_call, state->id.cookie, session->print);
}

#endif
