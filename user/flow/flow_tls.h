/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a flow's TLS session says about itself. */
#ifndef SMTPSNOOP_FLOW_TLS_H
#define SMTPSNOOP_FLOW_TLS_H

#include "base/span.h"
#include "flow/flow_state.h"
#include "flow/witness.h"

/* What a client's certificates may add to its handshake under TLS 1.3. */
#define TLS_FLIGHT_MAX 8192U

/* Keeps what bytes of one direction say if they begin with a hello. */
void flow_hello(struct flow *flow, bool outbound, struct span bytes);

/*
 * The plaintext of the flow's TLS session follows: a library was joined with its socket. Call it
 * before any of that plaintext.
 */
void flow_joined(struct flow *flow, const struct tls_record *record);

/* How much of the plaintext, and of what was encrypted, has passed so far. */
void flow_counted(struct flow *flow, const struct count_record *record);

/*
 * Whether as much left under TLS as the library was given, as far as that is known now. `end`: up
 * to this position all of it has left, because the server has replied to it; 0: no such reply.
 */
enum witness flow_tls_witness(const struct flow *flow, uint64_t end);

#endif
