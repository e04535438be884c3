/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The plaintext of TLS: probes in the libraries that encrypt.
 *
 * Whose it is, proof.bpf.h tells.
 *
 * What is proved is a flow of its own, next to the flow of the socket: its state is in flow_hash
 * under the socket's key with bit 62 inverted, and dies with the socket. Its first bytes in each
 * direction decide whether it is mail; after that, a session that is not costs a lookup.
 *
 * A call is noted when it begins and passed on when it returns, because only then is it known how
 * many bytes the library took (a call that would block is repeated with the same bytes), and which
 * it returned. Bytes that are corked are taken once: what the library itself passes to its own
 * function later is not counted again.
 */
#ifndef SMTPSNOOP_TLS_BPF_H
#define SMTPSNOOP_TLS_BPF_H

#include "proof.bpf.h"
#include "send.bpf.h"

/* A bit that no pid has, for struct pending of a call of a library */
#define CALL_TLS (1ULL << 62)

/* ---- Passing plaintext on -------------------------------------------------------------------- */

/*
 * Whether the session is, or may be, mail. If it was seen from its start, the first bytes of both
 * sides decide.
 */
static __always_inline bool plain_wanted(const struct flow_state *state)
{
	if (state->tx == LOOK_SMTP || state->rx == LOOK_SMTP || state->rx == LOOK_TUNNEL)
		return state_copied(state);
	return (state->rx == LOOK_UNKNOWN || !(state->id.flags & FLOW_FROM_START)) &&
	       state_copied(state);
}

/* Reports what is known of a session, before its first bytes. */
static __always_inline void emit_tls(struct flow_state *state)
{
	__u64 cookie = state->id.cookie ^ FLOW_KEY_PLAINTEXT;
	struct tls_record *record;
	struct hello *hello;

	if (state->emitted)
		return;
	hello = bpf_map_lookup_elem(&hellos, &cookie);
	record = bpf_ringbuf_reserve(&ring, sizeof(*record) + TLS_CLIENT_MAX + TLS_SERVER_MAX, 0);
	if (!record) {
		count(COUNTER_SENDER_LOST, 1);
		return;
	}
	record->flow = state->id;
	record->layer = state->tls_layer;
	record->flags = state->id.flags & FLOW_FROM_START ? 0 : TLS_LATE;
	record->client_len = record->server_len = 0;
	if (hello) {
		record->client_len = hello->client_len;
		record->server_len = hello->server_len;
		bpf_probe_read_kernel(record->data, TLS_CLIENT_MAX, hello->client);
		bpf_probe_read_kernel(bounded_at(record->data, hello->client_len, TLS_CLIENT_MAX),
				      TLS_SERVER_MAX, hello->server);
	}
	record_header(&record->h, RECORD_TLS,
		      sizeof(*record) + record->client_len + record->server_len);
	ring_submit(record);
	state->emitted = 1;
}

/* Passes on `len` bytes at `data`, which the library took from this task. */
static __always_inline void plain_sent(struct flow_state *state, __u64 data, __u32 len)
{
	__u64 id = bpf_get_current_pid_tgid() | CALL_TLS;
	struct pending pending = {}, *kept;

	pending.vector.base = data;
	pending.vector.count = len;
	pending.vector.memory = MEMORY_USER;
	pending.seq = state->plain_seq;
	state->plain_seq += len;
	state->plain_total += len;
	state->plain_offered = state->plain_total;
	if (state->tx != LOOK_SMTP)
		send_look(state, &pending.vector, false);
	if (!plain_wanted(state))
		return;
	bpf_map_update_elem(&sends, &id, &pending, BPF_ANY);
	kept = bpf_map_lookup_elem(&sends, &id);
	if (!kept)
		return;
	emit_tls(state);
	emit_sender(state, 0);
	emit_pieces(state, id, kept, len);
	state_tried(state, len, false);
	bpf_map_delete_elem(&sends, &id);
}

/* Delivers `len` bytes, at most `max` (a constant), that the library returned. */
static __always_inline bool emit_got(struct flow_state *state, __u64 data, __u32 seq, __u32 len,
				     const __u32 max)
{
	struct segment_record *record = bpf_ringbuf_reserve(&ring, sizeof(*record) + max, 0);
	__u32 n = bounded(len, max);

	if (!record)
		return false;
	if (bpf_probe_read_user(record->data, n, (void *)data)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return false;
	}
	record_header(&record->h, RECORD_SEGMENT, sizeof(*record) + n);
	record->flow = state->id;
	record->seq = seq;
	record->len = n;
	record->data_len = n;
	record->flags = 0;
	ring_submit(record);
	return true;
}

/* Adds what the library returned to the verdict. */
static __always_inline void plain_look(struct flow_state *state, __u64 data, __u32 seq, __u32 len)
{
	bool fresh = !state->received.len || seq != state->received.next;
	__u64 first[2] = {}, line;

	state->arrived += len;
	if (len >= LOOK_LEN)
		bpf_probe_read_user(first, LOOK_LEN, (void *)data);
	else
		bpf_probe_read_user(first, bounded(len, LOOK_LEN), (void *)data);
	if (len < 8) {
		line = line_trickle(&state->received, seq, first[0], len, true);
	} else {
		line = line_of(first[0], first[1]);
		line_end(&state->received);
	}
	state_rx(state, first[0], line, fresh);
	line_next(&state->received, seq + len);
}

/* Passes on `len` bytes at `data`, which the library returned to this task. */
static __always_inline void plain_got(struct flow_state *state, __u64 data, __u32 len)
{
	__u32 seq = state->plain_got, allowed;
	bool passed;

	state->plain_got += len;
	plain_look(state, data, seq, len);
	if (!plain_wanted(state))
		return;
	emit_tls(state);
	emit_count(state);
	allowed = ring_allowed(state, len);
	if (!allowed) {
		ring_dropped(state, len);
		return;
	}
	if (allowed <= 64)
		passed = emit_got(state, data, seq, allowed, 64);
	else if (allowed <= 512)
		passed = emit_got(state, data, seq, allowed, 512);
	else
		passed = emit_got(state, data, seq, allowed, SEGMENT_DATA_MAX);
	if (!passed) {
		count(COUNTER_SEGMENT_LOST, 1);
		count(COUNTER_SEGMENT_BYTES, allowed);
	}
	if (allowed < len)
		ring_dropped(state, len - allowed);
	state_tried(state, len, false);
}

/*
 * Passes on plaintext of a session. Returns 0; `written`: the library took it, otherwise it
 * returned it.
 */
__noinline int tls_pass(__u64 cookie, __u64 data, __u32 len, __u32 written)
{
	__u64 key = cookie ^ FLOW_KEY_PLAINTEXT;
	struct flow_state *state = flow_hash_get(key, false);

	if (!state || !len) /* the socket was closed */
		return 0;
	if (written)
		plain_sent(state, data, len);
	else
		plain_got(state, data, len);
	return 0;
}

/* Whether a session is still of interest. If not, nothing is kept of it. */
static __always_inline bool tls_goes_on(__u64 cookie)
{
	__u64 key = cookie ^ FLOW_KEY_PLAINTEXT;
	struct flow_state *state = flow_hash_get(key, false);

	if (state && plain_wanted(state))
		return true;
	if (state)
		flow_hash_end(key, NULL, 0);
	hello_forget(cookie);
	return false;
}

/* ---- Calls ----------------------------------------------------------------------------------- */

static __always_inline bool tls_worth_noting(const struct tls_session *session)
{
	return session && (session->verdict == TLS_JOINED ||
			   (session->verdict == TLS_UNPROVED && session->tries < TLS_TRIES));
}

/* Notes that a session may send `len` more bytes of text before a call returns. */
static __always_inline void tls_offer(const struct tls_session *session, __u64 len)
{
	struct flow_state *plain = flow_hash_get(session->cookie ^ FLOW_KEY_PLAINTEXT, false);

	if (plain && plain->plain_total + len > plain->plain_offered)
		plain->plain_offered = plain->plain_total + len;
}

/* Notes a call that begins. Layer and direction are constants. */
static __always_inline int tls_enter(__u32 layer, __u32 written, __u64 object, __u64 data,
				     __u64 len, __u64 taken)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_call *outer = NULL, call = {};
	struct tls_session *session;

	if (layer == TLS_GNUTLS)
		outer = bpf_map_lookup_elem(&tls_calls, &id);
	if (outer && outer->uncork) {
		outer->depth++;
		return 0;
	}
	session = tls_session_of(layer, object);
	if (!session || !tls_worth_noting(session))
		return 0;
	if (written && session->verdict == TLS_JOINED)
		tls_offer(session, len);
	call.object = object;
	call.data = data;
	call.len = len;
	call.taken = taken;
	call.layer = layer;
	call.written = written;
	bpf_map_update_elem(&tls_calls, &id, &call, BPF_ANY);
	return 0;
}

/* How many bytes a call that returned `ret` took or returned; 0: none. */
static __always_inline __u32 call_bytes(const struct tls_call *call, __u64 ret)
{
	__u64 bytes = ret;

	if (call->layer != TLS_GNUTLS) /* the others return an int */
		bytes = (__s64)(__s32)ret;
	if ((__s64)bytes <= 0)
		return 0;
	if (call->taken && bpf_probe_read_user(&bytes, sizeof(bytes), (void *)call->taken))
		return 0;
	return bytes <= call->len && bytes <= 0x7fffffff ? bytes : 0;
}

/* Passes on what a call took or returned. */
static __always_inline void call_pass(const struct tls_call *call, __u32 bytes)
{
	struct tls_session *session = tls_session_of(call->layer, call->object);
	__u64 cookie;

	if (!session || session->verdict != TLS_JOINED)
		return;
	cookie = session->cookie;
	tls_pass(cookie, call->data, bytes, call->written);
	if (!tls_goes_on(cookie))
		session->verdict = TLS_OTHER;
}

SEC("uretprobe")
int BPF_KRETPROBE(tls_return, __u64 ret)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_call *call = bpf_map_lookup_elem(&tls_calls, &id);
	__u32 bytes;

	if (!call)
		return 0;
	if (call->depth) {
		call->depth--;
		return 0;
	}
	bytes = call->uncork ? 0 : call_bytes(call, ret);
	if (bytes)
		call_pass(call, bytes);
	bpf_map_delete_elem(&tls_calls, &id);
	return 0;
}

/* ---- The programs, one for each shape of call (enum tls_probe) ------------------------------- */

/* Where the number of bytes will be: OpenSSL 3.2 has flags before it. */
static __always_inline __u64 taken_at(__u64 fourth, __u64 fifth)
{
	return fourth > 0xffff ? fourth : fifth;
}

SEC("uprobe")
int BPF_KPROBE(tls_openssl_write, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_OPENSSL, 1, object, data, (__u32)len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_openssl_write_ex, __u64 object, __u64 data, __u64 len, __u64 fourth, __u64 fifth)
{
	return tls_enter(TLS_OPENSSL, 1, object, data, len, taken_at(fourth, fifth));
}

SEC("uprobe")
int BPF_KPROBE(tls_openssl_read, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_OPENSSL, 0, object, data, (__u32)len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_openssl_read_ex, __u64 object, __u64 data, __u64 len, __u64 fourth, __u64 fifth)
{
	return tls_enter(TLS_OPENSSL, 0, object, data, len, taken_at(fourth, fifth));
}

SEC("uprobe")
int BPF_KPROBE(tls_gnutls_write, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_GNUTLS, 1, object, data, len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_gnutls_read, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_GNUTLS, 0, object, data, len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_gnutls_read_typed, __u64 object, __u64 type, __u64 data, __u64 len)
{
	if ((__u32)type != 23)
		return 0;
	return tls_enter(TLS_GNUTLS, 0, object, data, len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_gnutls_uncork, __u64 object)
{
	__u64 id = bpf_get_current_pid_tgid();
	struct tls_call call = {.uncork = 1};

	bpf_map_update_elem(&tls_calls, &id, &call, BPF_ANY);
	return 0;
}

SEC("uprobe")
int BPF_KPROBE(tls_nss_write, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_NSS, 1, object, data, (__u32)len, 0);
}

SEC("uprobe")
int BPF_KPROBE(tls_nss_read, __u64 object, __u64 data, __u64 len)
{
	return tls_enter(TLS_NSS, 0, object, data, (__u32)len, 0);
}

/* Go's arguments and results in registers, and the goroutine. */
#if defined(__TARGET_ARCH_x86)
#define GO_1(ctx)     ((ctx)->ax)
#define GO_2(ctx)     ((ctx)->bx)
#define GO_3(ctx)     ((ctx)->cx)
#define GO_4(ctx)     ((ctx)->di)
#define GO_G(ctx)     ((ctx)->r14)
#define GO_GROWS(ctx) ((ctx)->flags & 0x41) /* jbe: carry or zero */
#elif defined(__TARGET_ARCH_arm64)
#define GO_1(ctx)     ((ctx)->user_regs.regs[0])
#define GO_2(ctx)     ((ctx)->user_regs.regs[1])
#define GO_3(ctx)     ((ctx)->user_regs.regs[2])
#define GO_4(ctx)     ((ctx)->user_regs.regs[3])
#define GO_G(ctx)     ((ctx)->user_regs.regs[28])
#define GO_GROWS(ctx) (((ctx)->user_regs.pstate >> 29 & 3) != 1) /* b.ls: no carry, or zero */
#endif

/*
 * (*Conn).writeRecordLocked(type, data): behind the handshake, and it takes all or fails. The probe
 * is on the branch of the stack check, or on a push behind it. If the branch is taken, the stack
 * grows and the function begins again.
 */
SEC("uprobe")
int tls_go_write(struct pt_regs *ctx)
{
	struct tls_call call = {.layer = TLS_GO, .written = 1};

	if ((__u8)GO_2(ctx) != 23 || GO_GROWS(ctx))
		return 0;
	call.object = GO_1(ctx);
	call.data = GO_3(ctx);
	call.len = GO_4(ctx);
	if (call.len <= 0x7fffffff)
		call_pass(&call, call.len);
	return 0;
}

/*
 * A goroutine may go on in another thread, so it is the key. Its address means something in its
 * process only: Go gives the same addresses in every process. Goroutines are aligned.
 */
static __always_inline __u64 go_call(__u64 goroutine)
{
	__u64 pid = bpf_get_current_pid_tgid() >> 32;

	return pid << 32 | (__u32)(goroutine >> 4);
}

/* Notes the read of a session in place of its last one, which may never end. */
static __always_inline void go_call_note(struct tls_session *session, __u64 id,
					 const struct tls_call *call)
{
	__u64 last = session->reader;
	struct tls_call *older = NULL;

	if (last && last != id)
		older = bpf_map_lookup_elem(&go_calls, &last);
	if (older && older->object == call->object)
		bpf_map_delete_elem(&go_calls, &last);
	session->reader = id;
	bpf_map_update_elem(&go_calls, &id, call, BPF_ANY);
}

SEC("uprobe")
int tls_go_read(struct pt_regs *ctx)
{
	struct tls_call call = {.layer = TLS_GO};
	__u64 id = go_call(GO_G(ctx));
	struct tls_session *session;

	call.object = GO_1(ctx);
	call.data = GO_2(ctx);
	call.len = GO_3(ctx);
	session = tls_session_of(TLS_GO, call.object);
	if (!session || session->verdict != TLS_JOINED)
		return 0;
	go_call_note(session, id, &call);
	return 0;
}

SEC("uprobe")
int tls_go_read_end(struct pt_regs *ctx)
{
	__u64 id = go_call(GO_G(ctx)), bytes = GO_1(ctx);
	struct tls_call *call = bpf_map_lookup_elem(&go_calls, &id);

	if (!call)
		return 0;
	if ((__s64)bytes > 0 && bytes <= call->len && bytes <= 0x7fffffff)
		call_pass(call, bytes);
	bpf_map_delete_elem(&go_calls, &id);
	return 0;
}

#endif
