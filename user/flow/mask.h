/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* AUTH secrets out of records that are kept (RFC 4954). */
#ifndef SMTPSNOOP_MASK_H
#define SMTPSNOOP_MASK_H

#include "flow/flow.h"

/* Overwrites what is secret in a record of this flow, which has not taken it in yet. */
void mask_send(struct flow *flow, struct send_record *record);
void mask_segment(struct flow *flow, struct segment_record *record);

#endif
