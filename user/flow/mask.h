/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Overwrites AUTH secrets (RFC 4954) in records that are kept. */
#ifndef SMTPSNOOP_MASK_H
#define SMTPSNOOP_MASK_H

#include "flow/flow_state.h"
#include "record.h"

/*
 * Overwrites the secrets in a record of this flow. Call it before the flow has processed the
 * record.
 */
void mask_send(struct flow *flow, struct send_record *record);
void mask_segment(struct flow *flow, struct segment_record *record);

#endif
