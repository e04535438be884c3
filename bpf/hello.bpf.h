/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The hellos of TLS: what proves later that a session of a TLS library belongs to a socket.
 *
 * The wire hook notes each ClientHello that leaves a socket of this host: its random, the socket,
 * who sent it, and the first bytes of the hello and of the server's answer. A library keeps the
 * same random in its session, where tls.bpf.h finds it. Nobody else can know the random before the
 * hello is on its way; so the first socket that sends it has it.
 *
 * A hello is forgotten when its socket closes, or when the session turns out not to be mail. Until
 * then it takes a place in a table, and a user has a quarter of the places: who opens thousands of
 * TLS connections loses the proofs of his own only.
 */
#ifndef SMTPSNOOP_HELLO_BPF_H
#define SMTPSNOOP_HELLO_BPF_H

#include "look.bpf.h"

#define HELLOS_MAX	4096U
#define HELLOS_OF_USER	(HELLOS_MAX / 4)
#define HELLO_EXTRA_NS	1000000000ULL
#define RANDOM_LEN	32U
#define HELLO_RANDOM_AT 11U /* TLS record header (5), handshake header (4), version (2) */
#define HELLO_LEN_MIN	(HELLO_RANDOM_AT + RANDOM_LEN)

/* How far a socket has come; flow_state.hello. */
enum hello_step {
	HELLO_NONE,
	HELLO_SEEN,    /* the segment being looked at begins with a ClientHello */
	HELLO_NOTED,   /* the server has not answered yet */
	HELLO_DONE,    /* the server's answer was seen */
	HELLO_REFUSED, /* no place for it, or its random is elsewhere, or nobody pays for it */
};

struct hello {
	struct flow_id id; /* of the socket */
	__u64 user;	   /* who pays for the place */
	__u64 object;	   /* the session of a library that it was proved to belong to; 0: none */
	__u32 sender;	   /* process that sent it; 0: no hook saw that */
	__u32 opener;	   /* process that connected; 0: unknown */
	__u32 mail;	   /* SMTP came before it (STARTTLS) */
	__u32 client_len;
	__u32 server_len;
	__u32 pad;
	__u8 random[RANDOM_LEN];
	char client[TLS_CLIENT_MAX];
	char server[TLS_SERVER_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HELLOS_MAX);
	__type(key, __u64); /* socket cookie */
	__type(value, struct hello);
} hellos SEC(".maps");

struct hello_random {
	__u8 bytes[RANDOM_LEN];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, HELLOS_MAX);
	__type(key, struct hello_random);
	__type(value, __u64); /* socket cookie */
} hello_randoms SEC(".maps");

/*
 * How many places a user has. It may be too many: if the table is full, a place is taken away and
 * nobody counts it. So a user at his limit still gets a place now and then (HELLO_EXTRA_NS), which
 * is not counted when he takes it, but when he gives it back.
 */
struct hello_user {
	__s64 count;
	__u64 extra_ns; /* when he got a place beyond his limit */
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64); /* user_key() */
	__type(value, struct hello_user);
} hello_users SEC(".maps");

/* A blank hello to start from: it would be too large for the stack. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct hello);
} hello_blank SEC(".maps");

/* A TLS record of type handshake that begins with a ClientHello. */
static __always_inline bool is_client_hello(__u64 lo)
{
	return (__u8)lo == 0x16 && (__u8)(lo >> 8) == 3 && (__u8)(lo >> 40) == 1;
}

/* Takes a place for a user. False if he has as many as he may. */
static __always_inline bool hello_user_takes(__u64 user)
{
	struct hello_user *has = bpf_map_lookup_elem(&hello_users, &user), first = {.count = 1};
	__u64 now_ns;

	if (!has) {
		bpf_map_update_elem(&hello_users, &user, &first, BPF_NOEXIST);
		return true;
	}
	if (has->count < (__s64)HELLOS_OF_USER) {
		__sync_fetch_and_add(&has->count, 1);
		return true;
	}
	now_ns = bpf_ktime_get_boot_ns();
	if (now_ns - has->extra_ns < HELLO_EXTRA_NS)
		return false;
	has->extra_ns = now_ns;
	return true;
}

static __always_inline void hello_user_gives(__u64 user)
{
	struct hello_user *has = bpf_map_lookup_elem(&hello_users, &user);

	if (has && has->count > 0)
		__sync_fetch_and_add(&has->count, -1LL);
}

/* Forgets the hello of a socket, if it has one. */
static __always_inline void hello_forget(__u64 cookie)
{
	struct hello *hello = bpf_map_lookup_elem(&hellos, &cookie);
	__u64 *of_random;

	if (!hello)
		return;
	hello_user_gives(hello->user);
	of_random = bpf_map_lookup_elem(&hello_randoms, hello->random);
	if (of_random && *of_random == cookie)
		bpf_map_delete_elem(&hello_randoms, hello->random);
	bpf_map_delete_elem(&hellos, &cookie);
}

/* Notes the ClientHello that begins at `offset` of a packet and has `len` bytes in it. */
static __always_inline void hello_note(struct __sk_buff *skb, struct flow_state *state,
				       __u32 offset, __u32 len)
{
	__u64 cookie = state->id.cookie;
	struct hello *hello;
	__u32 zero = 0;

	state->hello = HELLO_REFUSED;
	hello = bpf_map_lookup_elem(&hello_blank, &zero);
	if (len < HELLO_LEN_MIN || !hello || !state->user || !hello_user_takes(state->user))
		return;
	hello_forget(cookie);
	bpf_map_update_elem(&hellos, &cookie, hello, BPF_NOEXIST);
	hello = bpf_map_lookup_elem(&hellos, &cookie);
	if (!hello) {
		hello_user_gives(state->user);
		return;
	}
	hello->id = state->id;
	hello->user = state->user;
	hello->sender = state->tls_pid ?: state->sender_pid;
	hello->opener = state->opener.pid;
	hello->mail = state->tx == LOOK_SMTP || state->rx == LOOK_SMTP;
	bpf_skb_load_bytes(skb, offset + HELLO_RANDOM_AT, hello->random, RANDOM_LEN);
	len = bounded(len, TLS_CLIENT_MAX);
	if (!bpf_skb_load_bytes(skb, offset, hello->client, len))
		hello->client_len = len;
	if (!bpf_map_update_elem(&hello_randoms, hello->random, &cookie, BPF_NOEXIST))
		state->hello = HELLO_NOTED;
}

/* Notes the server's answer to the ClientHello. */
static __always_inline void hello_answer(struct __sk_buff *skb, struct flow_state *state,
					 __u32 offset, __u32 len)
{
	struct hello *hello = bpf_map_lookup_elem(&hellos, &state->id.cookie);

	state->hello = HELLO_DONE;
	if (!hello)
		return;
	len = bounded(len, TLS_SERVER_MAX);
	if (!bpf_skb_load_bytes(skb, offset, hello->server, len))
		hello->server_len = len;
}

#endif
