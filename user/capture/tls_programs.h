/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The programs that run at calls of TLS libraries, and the table that they read. */
#ifndef SMTPSNOOP_TLS_PROGRAMS_H
#define SMTPSNOOP_TLS_PROGRAMS_H

#include "capture/uprobes.h"

#define TLS_PROGRAMS "tls_" /* their names begin with it */

struct bpf_object;

/* Before the object is loaded: makes its programs fit for that kind of probe. */
void tls_programs_prepare(struct bpf_object *object, enum uprobes_kind kind);

/* As capture_tls_program() and so on. */
int tls_program(const struct bpf_object *object, enum tls_probe probe);
int tls_return_program(const struct bpf_object *object);
int tls_layout_write(const struct bpf_object *object, enum tls_layer layer,
		     const struct tls_layout *layouts, uint32_t count);

#endif
