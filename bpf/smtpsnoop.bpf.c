/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel side: who sends (send.bpf.h, outer.bpf.h; attached by attach.bpf.h), what left and
 * what came back (wire.bpf.h), what TLS libraries encrypt (tls.bpf.h), the life of sockets
 * (flow.bpf.h) and of processes (process.bpf.h), who hands a mail to a local MTA (submit.bpf.h),
 * and the verdict that spares traffic that is not mail (look.bpf.h). User space loads one family of
 * send hooks.
 */
#include "process.bpf.h"
#include "submit.bpf.h"
#include "flow.bpf.h"
#include "attach.bpf.h"
#include "wire.bpf.h"
#include "tls.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";
