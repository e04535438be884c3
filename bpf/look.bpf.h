/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict on a socket: is its traffic worth copying?
 *
 * Each direction is judged by the first bytes of each piece that is sent or received, in registers.
 *
 * What this socket sends: a line that begins with an SMTP command that no other protocol uses makes
 * the flow SMTP, at any time, whatever it looked like before. TLS, binary data or a server's
 * greeting makes it something else. Other text may be a preamble (junk) and is copied on trial; of
 * a flow that begins with another HTTP request, only that piece is copied. A request to a proxy
 * (CONNECT, SOCKS) makes the flow a tunnel, because the answer of the proxy may hide the greeting.
 *
 * What this socket receives: a line that begins with 220 makes the flow a candidate. If this host
 * opened the connection, any other reply (three digits) gives the flow a new trial, because its
 * greeting may have passed unseen. Commands that arrive show the server's side, but only on a
 * socket that was accepted: a server may also echo what it got. A side that has spoken SMTP remains
 * SMTP.
 *
 *   copied whole       tx is SMTP; or tx is unknown, and rx is SMTP or a tunnel
 *   copied on trial    tx is unknown, and the trial is not used up
 *   not copied         tx is other or TLS; the first bytes of each piece are still examined
 *
 * A trial is paid in bytes: TRIAL_MAX for each flow. Each record costs at least TRIAL_RECORD. What
 * is sent before the server has said anything costs less, and so do commands that carry no mail but
 * may come in any number (NOOP), because a client could use them to end the trial.
 *
 * A line need not begin where a piece begins. Lines that trickle (pieces of fewer than eight bytes)
 * are gathered in struct line, up to eight bytes of a line. Of what is received and copied, the
 * last eight bytes of each piece are gathered too.
 */
#ifndef SMTPSNOOP_LOOK_BPF_H
#define SMTPSNOOP_LOOK_BPF_H

#include "maps.bpf.h"

#define LOOK_LEN     16U /* bytes that are examined */
#define TRIAL_MAX    65536U
#define TRIAL_RECORD (TRIAL_MAX / 24)
#define TRIAL_EARLY  256U /* of a record that is sent before the server has said anything */
/* What is left of the trial after an HTTP request: the send and its segment */
#define TRIAL_SHORT (2 * TRIAL_RECORD)
/* After this many received bytes, what looks like a reply is most likely a download of numbers */
#define BULK (1U << 20)

/* Four letters as one little-endian load reads them. `| LOWER` folds letters to lower case. */
#define WORD(a, b, c, d) ((__u32)(a) | (__u32)(b) << 8 | (__u32)(c) << 16 | (__u32)(d) << 24)
#define LOWER		 0x20202020U

/* What may precede a command: servers skip blanks, and a CRLF may be left from before. */
static __always_inline bool is_lead(__u8 c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Between the words, Postfix accepts whatever isspace() accepts. */
static __always_inline bool is_blank(__u8 c)
{
	return c == ' ' || c == '\t' || c == '\v' || c == '\f' || c == '\r';
}

static __always_inline bool begins_command(__u64 line)
{
	__u32 word = (__u32)line | LOWER;
	__u8 next = line >> 32, after = line >> 40;

	if (word == WORD('e', 'h', 'l', 'o') || word == WORD('h', 'e', 'l', 'o') ||
	    word == WORD('l', 'h', 'l', 'o'))
		return is_lead(next);
	if (word == WORD('m', 'a', 'i', 'l'))
		return is_blank(next) && ((after | 0x20) == 'f' || is_blank(after));
	if (word == WORD('r', 'c', 'p', 't'))
		return is_blank(next) && ((after | 0x20) == 't' || is_blank(after));
	return false;
}

/*
 * This and the other functions of numbers alone are not inlined: the verifier examines them once,
 * not for each caller.
 */
__noinline int is_command(__u64 line)
{
	return begins_command(line);
}

static __always_inline bool is_request(__u32 word)
{
	return word == WORD('G', 'E', 'T', ' ') || word == WORD('P', 'O', 'S', 'T') ||
	       word == WORD('P', 'U', 'T', ' ') || word == WORD('H', 'E', 'A', 'D') ||
	       word == WORD('O', 'P', 'T', 'I') || word == WORD('D', 'E', 'L', 'E') ||
	       word == WORD('P', 'A', 'T', 'C');
}

/* HTTP responses, HTTP/2, and SSH. */
static __always_inline bool is_other(__u32 word)
{
	return word == WORD('P', 'R', 'I', ' ') || word == WORD('H', 'T', 'T', 'P') ||
	       word == WORD('S', 'S', 'H', '-');
}

/* The header of a TLS record: alert, handshake, change of cipher or data, then version 3.x. */
static __always_inline bool is_tls(__u64 lo)
{
	__u8 type = lo, major = lo >> 8, minor = lo >> 16;

	return type >= 0x14 && type <= 0x17 && major == 3 && minor <= 4;
}

/* Neither text nor the first byte that a SOCKS proxy gets: a request (4, 5) or a password (1). */
static __always_inline bool is_binary(__u8 c)
{
	return (c < ' ' && !is_lead(c) && c != 1 && c != 4 && c != 5) || c == 0x7f ||
	       (c >= 0x80 && c < 0xc2) || c > 0xf4;
}

/* The greeting of a server: "220 " or "220-". */
static __always_inline bool is_greeting(__u64 lo)
{
	__u8 fourth = lo >> 24;

	return ((__u32)lo & 0xffffff) == WORD('2', '2', '0', 0) &&
	       (fourth == ' ' || fourth == '-' || fourth == '\r' || fourth == '\n' || !fourth);
}

/*
 * A request to a proxy: HTTP's CONNECT, or SOCKS, whose first byte is the version (4 or 5).
 */
static __always_inline bool is_tunnel(__u64 line)
{
	return (__u8)line == 4 || (__u8)line == 5 ||
	       ((__u32)line == WORD('C', 'O', 'N', 'N') &&
		(__u32)(line >> 32) == WORD('E', 'C', 'T', ' '));
}

/* A command that carries no mail and may be repeated. */
static __always_inline bool is_idle(__u64 line)
{
	__u32 word = (__u32)line | LOWER;
	__u8 next = line >> 32;

	return (word == WORD('n', 'o', 'o', 'p') || word == WORD('r', 's', 'e', 't') ||
		word == WORD('v', 'r', 'f', 'y') || word == WORD('e', 'x', 'p', 'n') ||
		word == WORD('h', 'e', 'l', 'p')) &&
	       (is_lead(next) || !next);
}

/* The first eight bytes of a piece (in load order) behind leading blanks. */
__noinline __u64 line_of(__u64 lo, __u64 hi)
{
	int i;

	for (i = 0; i < 8 && is_lead((__u8)lo); i++) {
		lo = lo >> 8 | hi << 56;
		hi >>= 8;
	}
	return lo;
}

/*
 * Judges what is sent: the line that a piece begins with or, of a small piece, the line that it
 * continues; and `lo`, the first bytes of the piece. Bytes beyond their end are zero.
 */
__noinline int look_tx(__u64 lo, __u64 line)
{
	if (begins_command(line))
		return LOOK_SMTP;
	if (is_tls(lo))
		return LOOK_TLS;
	if (is_tunnel(line))
		return LOOK_TUNNEL;
	if (is_request((__u32)lo))
		return LOOK_REQUEST;
	if (is_other((__u32)lo) || is_binary((__u8)lo) || is_greeting(lo))
		return LOOK_OTHER;
	return LOOK_UNKNOWN;
}

/* The same for a piece of fewer than eight bytes, too short to show anything else. */
static __always_inline enum look look_trickle(__u64 line)
{
	if (is_command(line))
		return LOOK_SMTP;
	return is_tunnel(line) ? LOOK_TUNNEL : LOOK_UNKNOWN;
}

static __always_inline bool is_digit(__u8 c)
{
	return c >= '0' && c <= '9';
}

/* A plaintext reply: three digits, then a blank, a hyphen or an end of line. */
__noinline int is_reply(__u64 lo)
{
	__u8 first = lo, second = lo >> 8, third = lo >> 16, fourth = lo >> 24;

	return first >= '2' && first <= '5' && is_digit(second) && is_digit(third) &&
	       (fourth == ' ' || fourth == '-' || fourth == '\r' || fourth == '\n');
}

/*
 * Whether a line begins as one that decides: a command that is sent, or a reply that is received.
 */
static __always_inline bool line_decides(__u64 line, const bool received)
{
	return received ? is_reply(line) : is_command(line);
}

/* A new line begins with the next piece, as far as is known. */
static __always_inline void line_end(struct line *line)
{
	line->head = 0;
	line->len = 0;
}

#define EACH_BYTE 0x0101010101010101ULL

/* The newlines among eight bytes: 0x80 in each byte that is one. */
static __always_inline __u64 newlines_of(__u64 bytes)
{
	const __u64 low = 0x7f * EACH_BYTE;

	bytes ^= '\n' * EACH_BYTE;
	return ~(((bytes & low) + low) | bytes | low);
}

/* The number of bytes up to the first newline, included. */
static __always_inline __u32 first_newline(__u64 newlines)
{
	return (((newlines & -newlines) - 1) & EACH_BYTE) * EACH_BYTE >> 56;
}

/* The number of bytes up to the last newline, included. */
static __always_inline __u32 last_newline(__u64 newlines)
{
	newlines |= newlines >> 8;
	newlines |= newlines >> 16;
	newlines |= newlines >> 32;
	return ((newlines >> 7) & EACH_BYTE) * EACH_BYTE >> 56;
}

/* What is left of eight bytes without the first `count`, 1 to 8. */
static __always_inline __u64 without_first(__u64 bytes, __u32 count)
{
	return bytes >> (8 * (count - 1)) >> 8;
}

/* How many of eight bytes are leading blanks. */
__noinline __u32 leads_of(__u64 bytes)
{
	__u32 i;

	for (i = 0; i < 8 && is_lead((__u8)bytes); i++)
		bytes >>= 8;
	return i;
}

/*
 * Adds the next bytes of a direction, at most 8 (in load order; bytes beyond their end are zero),
 * to the line that it has begun. Returns that line, or one that ended among these bytes and
 * decides. Without loops over the bytes, which the verifier would walk.
 */
static __always_inline __u64 line_add(struct line *line, __u64 bytes, __u32 len,
				      const bool received)
{
	__u64 newlines = newlines_of(bytes), ended = 0;
	__u32 at = line->len, last, leads;

	if (newlines) {
		ended = at < 8 ? line->head | bytes << (8 * at) : line->head;
		if (!line_decides(ended, received))
			ended = line_of(without_first(bytes, first_newline(newlines)), 0);
		last = last_newline(newlines);
		bytes = without_first(bytes, last);
		len -= last;
		line_end(line);
		at = 0;
	}
	if (!at) {
		leads = leads_of(bytes); /* bytes beyond the end are none */
		bytes = leads ? without_first(bytes, leads) : bytes;
		len -= leads;
	}
	if (at < 8) {
		line->head |= bytes << (8 * at);
		line->len = at + len < 8 ? at + len : 8;
	}
	return line_decides(ended, received) ? ended : line->head;
}

/*
 * Adds a piece of fewer than eight bytes at `seq`: what was not seen before. Returns the line as
 * line_add() does; 0 if nothing is new. What lies before a gap is forgotten.
 */
static __always_inline __u64 line_trickle(struct line *line, __u32 seq, __u64 bytes, __u32 len,
					  const bool received)
{
	__s32 ahead = line->next ? (__s32)(seq - line->next) : 0;

	if (ahead > 0)
		line_end(line);
	if (ahead < 0) { /* repeated, at least in part */
		__u32 old = -ahead;

		if (old >= len)
			return 0;
		bytes >>= (8 * old) & 63;
		len -= old;
	}
	return line_add(line, bytes, len, received);
}

/* Notes the position after a piece. */
static __always_inline void line_next(struct line *line, __u32 next)
{
	if (!line->next || (__s32)(next - line->next) > 0)
		line->next = next;
}

/*
 * Adds a reply to the state. One that is received on a connection which this host opened, or which
 * is older than the watch, gives the flow a new trial: its greeting may not have been seen. True if
 * it is one.
 */
static __always_inline bool state_reply(struct flow_state *state, __u64 line)
{
	if (is_greeting(line)) {
		state->rx = LOOK_SMTP;
	} else if (is_reply(line) && !(state->id.flags & FLOW_ACCEPTED)) {
		state->trial = state->arrived < BULK ? 0 : TRIAL_MAX - TRIAL_SHORT;
		if (state->rx == LOOK_UNKNOWN)
			state->rx = LOOK_OTHER;
	} else {
		return false;
	}
	if (state->tx == LOOK_OTHER)
		state->tx = LOOK_UNKNOWN;
	return true;
}

/*
 * Adds what is received to the state: `lo`, the first bytes of a piece, and the line that it begins
 * with or, of a small piece, continues. `fresh`: the piece begins a line, as far as is known. A
 * plaintext reply shows that what looked like TLS was not TLS. True if TLS begins with this piece:
 * it answers a TLS record, or follows a 220 at once, because the server may be TLS's client.
 */
static __always_inline bool state_rx(struct flow_state *state, __u64 lo, __u64 line, bool fresh)
{
	bool asked = state->tls_asked || (state->go_ahead && !state->tls_layer),
	     tls_begins = asked && fresh && is_tls(lo);

	if (tls_begins) {
		state->tx = LOOK_TLS;
		state->id.flags |= FLOW_TLS;
	} else if (state->tx == LOOK_TLS && is_reply(line)) {
		state->tx = LOOK_UNKNOWN;
		state->trial = state->tls_told = 0;
		state->id.flags &= ~FLOW_TLS;
	}
	state->tls_asked = 0;
	state->go_ahead = is_greeting(line);
	if (state_reply(state, line))
		return tls_begins;
	if (state->rx == LOOK_UNKNOWN && line)
		state->rx = LOOK_OTHER;
	if (state->tx == LOOK_UNKNOWN && state->rx != LOOK_SMTP && is_command(line) &&
	    (state->id.flags & FLOW_ACCEPTED || !(state->id.flags & FLOW_FROM_START)))
		state->tx = LOOK_OTHER;
	return tls_begins;
}

/*
 * Adds the look of a sent piece to the state. Once commands or a greeting have passed, a TLS record
 * counts only right after a 220, because bytes of a message may look like one; and only if the
 * server answers with a TLS record, because a line of junk may look like one too.
 */
static __always_inline void state_tx(struct flow_state *state, enum look look)
{
	if (look == LOOK_SMTP) {
		if (state->tx == LOOK_TLS) {
			state->id.flags &= ~FLOW_TLS;
			state->tls_told = 0;
		}
		if (state->tx != LOOK_SMTP)
			state->tx = LOOK_SMTP;
	} else if (look == LOOK_TLS) {
		if (wire_hook && (state->tx == LOOK_SMTP || state->rx == LOOK_SMTP)) {
			state->tls_asked = state->go_ahead;
		} else if (state->tx != LOOK_TLS) {
			state->tx = LOOK_TLS;
			state->id.flags |= FLOW_TLS;
		}
	} else if (look == LOOK_TUNNEL) {
		if (state->tx == LOOK_UNKNOWN && state->rx != LOOK_SMTP)
			state->rx = LOOK_TUNNEL;
	} else if (look == LOOK_REQUEST && state->rx != LOOK_SMTP) {
		state->rx = LOOK_OTHER;
		if (state->trial < TRIAL_MAX - TRIAL_SHORT)
			state->trial = TRIAL_MAX - TRIAL_SHORT;
	} else if (look == LOOK_OTHER && state->tx == LOOK_UNKNOWN && state->rx != LOOK_SMTP) {
		state->tx = LOOK_OTHER;
	}
}

/* Whether the flow's bytes are copied to user space. */
static __always_inline bool state_copied(const struct flow_state *state)
{
	if (state->tx == LOOK_SMTP)
		return true;
	if (state->tx != LOOK_UNKNOWN)
		return false;
	return state->rx == LOOK_SMTP || state->rx == LOOK_TUNNEL || state->trial < TRIAL_MAX;
}

/* How much of a piece of a flow that is copied is worth copying: on trial, what the trial allows.
 */
static __always_inline __u32 state_worth(const struct flow_state *state, __u32 len)
{
	__u32 left = TRIAL_MAX - state->trial;

	if (state->tx != LOOK_UNKNOWN || state->rx == LOOK_SMTP || state->rx == LOOK_TUNNEL)
		return len;
	return len < left ? len : left;
}

/*
 * Urgent data to a server that began with 220, as far as that is known, makes the flow SMTP: with
 * urgent bytes among its letters, no verb need look like one.
 */
static __always_inline void state_urgent(struct flow_state *state)
{
	if ((state->rx == LOOK_SMTP || !wire_hook) && state->tx != LOOK_TLS)
		state->tx = LOOK_SMTP;
}

/*
 * Charges a delivery of `len` bytes on trial. A flow that has used up its trial is something else.
 * `sent`: the wire hook saw it leave.
 */
static __always_inline void state_tried(struct flow_state *state, __u32 len, bool sent)
{
	__u32 least = TRIAL_RECORD;

	if (state->tx != LOOK_UNKNOWN)
		return;
	if (sent && state->rx == LOOK_UNKNOWN)
		least = TRIAL_EARLY;
	if (sent && state->idle)
		least = 1;
	state->trial += len > least ? len : least;
	if (!state_copied(state))
		state->tx = LOOK_OTHER;
}

#endif
