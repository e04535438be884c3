/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict on a socket: is its traffic worth copying?
 *
 * Each direction is judged by the first bytes of each piece that is sent or received, in registers.
 * What this socket sends: a line that begins with an SMTP command that no other protocol uses makes
 * the flow SMTP, at any time, whatever it looked like before. TLS, binary data or a server's
 * greeting makes it something else. Other text may be a preamble (a proxy's CONNECT, junk) and is
 * copied on trial; of a flow that begins with another HTTP request, only that piece is copied. What
 * this socket receives: an opening 220 makes the flow a candidate, anything else does not.
 *
 *   copied whole       tx is SMTP
 *   copied on trial    tx is unknown, and the allowed tries are not used up (no limit after a 220)
 *   not copied         tx is other or TLS; the first bytes of each piece are still examined
 *
 * Bytes that trickle (a verb split over sends) are gathered in flow_state.head, up to eight of a
 * line.
 */
#ifndef SMTPSNOOP_LOOK_BPF_H
#define SMTPSNOOP_LOOK_BPF_H

#include "maps.bpf.h"

#define LOOK_LEN  16U /* bytes that are examined */
#define TRIES_MAX 24U /* records delivered of a flow in which neither side looks like SMTP yet */
/* Of these, for a flow that begins with an HTTP request: the send and its segment */
#define TRIES_REQUEST 2U

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

static __always_inline bool is_command(__u64 line)
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

/* Judges the first bytes of a piece that is sent, in load order; bytes beyond its end are zero. */
static __always_inline enum look look_tx(__u64 lo, __u64 hi)
{
	__u64 line = lo;
	int i;

	for (i = 0; i < 8 && is_lead((__u8)line); i++) {
		line = line >> 8 | hi << 56;
		hi >>= 8;
	}
	if (is_command(line))
		return LOOK_SMTP;
	if (is_tls(lo))
		return LOOK_TLS;
	if (is_request((__u32)lo))
		return LOOK_REQUEST;
	if (is_other((__u32)lo) || is_binary((__u8)lo) || is_greeting(lo))
		return LOOK_OTHER;
	return LOOK_UNKNOWN;
}

/* Adds a piece of fewer than eight bytes to the gathered line, and judges that line. */
static __always_inline enum look look_trickle(struct flow_state *state, __u64 lo, __u32 len)
{
	__u64 head = state->head;
	__u32 head_len = state->head_len & 15, i;

	/* Keeps clang from dropping the loop's bound because the callers already have one */
	barrier_var(len);
	for (i = 0; i < 7 && i < len; i++) {
		__u8 c = lo >> (8 * i);

		if (c == '\n') {
			head = 0;
			head_len = 0;
		} else if (head_len < 8) {
			head |= (__u64)c << (8 * head_len);
			head_len++;
		}
	}
	state->head = head;
	state->head_len = head_len;
	return is_command(head) ? LOOK_SMTP : LOOK_UNKNOWN;
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
	} else if (look == LOOK_REQUEST && state->rx != LOOK_SMTP) {
		if (state->tries < TRIES_MAX - TRIES_REQUEST)
			state->tries = TRIES_MAX - TRIES_REQUEST;
	} else if (look == LOOK_OTHER && state->tx == LOOK_UNKNOWN && state->rx != LOOK_SMTP) {
		state->tx = LOOK_OTHER;
	}
}

static __always_inline bool is_digit(__u8 c)
{
	return c >= '0' && c <= '9';
}

/* A plaintext reply: three digits, then a blank, a hyphen or an end of line. */
static __always_inline bool is_reply(__u64 lo)
{
	__u8 first = lo, second = lo >> 8, third = lo >> 16, fourth = lo >> 24;

	return first >= '2' && first <= '5' && is_digit(second) && is_digit(third) &&
	       (fourth == ' ' || fourth == '-' || fourth == '\r' || fourth == '\n');
}

/*
 * Adds the first bytes of a received piece to the state. Received commands make this the server's
 * side. A plaintext reply shows that what looked like TLS was not TLS. True if TLS begins with this
 * piece.
 */
static __always_inline bool state_rx(struct flow_state *state, __u64 lo)
{
	bool tls_begins = state->tls_asked && is_tls(lo);

	if (tls_begins) {
		state->tx = LOOK_TLS;
		state->id.flags |= FLOW_TLS;
	} else if (state->tx == LOOK_TLS && is_reply(lo)) {
		state->tx = LOOK_UNKNOWN;
		state->tries = state->tls_told = 0;
		state->id.flags &= ~FLOW_TLS;
	}
	state->tls_asked = 0;
	state->go_ahead = is_greeting(lo);
	if (!state->go_ahead && !(state->id.flags & FLOW_FROM_START) && is_reply(lo)) {
		/*
		 * the greeting of a connection older than the watch was not seen: each reply gives
		 * the flow a new trial
		 */
		if (state->tx == LOOK_OTHER)
			state->tx = LOOK_UNKNOWN;
		state->tries = 0;
		return tls_begins;
	}
	if (!state->go_ahead) {
		if (state->rx == LOOK_UNKNOWN)
			state->rx = LOOK_OTHER;
		if (state->tx == LOOK_UNKNOWN && is_command(lo))
			state->tx = LOOK_OTHER;
		return tls_begins;
	}
	state->rx = LOOK_SMTP;
	if (state->tx == LOOK_OTHER)
		state->tx = LOOK_UNKNOWN;
	return tls_begins;
}

/* Whether the flow's bytes are copied to user space. */
static __always_inline bool state_copied(const struct flow_state *state)
{
	if (state->tx == LOOK_SMTP)
		return true;
	if (state->tx != LOOK_UNKNOWN)
		return false;
	return state->rx == LOOK_SMTP || state->tries < TRIES_MAX;
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

/* Counts a delivery on trial; a flow that has used up its tries is something else. */
static __always_inline void state_tried(struct flow_state *state)
{
	if (state->tx != LOOK_UNKNOWN)
		return;
	state->tries++;
	if (!state_copied(state))
		state->tx = LOOK_OTHER;
}

#endif
