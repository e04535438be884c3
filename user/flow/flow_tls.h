/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What a flow's TLS session says about itself. */
#ifndef SMTPSNOOP_FLOW_TLS_H
#define SMTPSNOOP_FLOW_TLS_H

#include "base/span.h"
#include "flow/flow_state.h"

/* Keeps what bytes of one direction say if they begin with a hello. */
void flow_hello(struct flow *flow, bool outbound, struct span bytes);

/*
 * The plaintext of the flow's TLS session follows: a library was joined with its socket. Call it
 * before any of that plaintext.
 */
void flow_joined(struct flow *flow, const struct tls_record *record);

#endif
