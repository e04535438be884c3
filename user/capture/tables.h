/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The tables of the kernel side: made read-only, and listed. */
#ifndef SMTPSNOOP_TABLES_H
#define SMTPSNOOP_TABLES_H

#include "capture/capture.h"

struct bpf_object;

/*
 * Makes the tables read-only for user space. Only programs write to them: whoever else does, even
 * with root's rights, wants to hide a socket from the programs or to reset a counter. Values that
 * the skeleton has mapped, and the ring, cannot be protected like this. capture_dropped() empties
 * user_dropped, and tls_layout_write() writes tls_layouts.
 */
void tables_freeze(const struct bpf_object *object);

/* As capture_maps(). */
size_t tables_list(const struct bpf_object *object, struct capture_map maps[CAPTURE_MAPS_MAX]);

#endif
