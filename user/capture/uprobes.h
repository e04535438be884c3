/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Programs at places in a file, in every process that maps it: attached, and detached again. */
#ifndef SMTPSNOOP_UPROBES_H
#define SMTPSNOOP_UPROBES_H

#include <stdint.h>

#include "capture/closer.h"
#include "probe/plan.h"

enum uprobes_kind {
	UPROBES_NONE,  /* this kernel, or what the process may do, allows no probes */
	UPROBES_PERF,  /* a perf event for each probe */
	UPROBES_MULTI, /* a link for all probes with the same program */
};

/*
 * How probes are attached here, found by trying. Costs two system calls. Programs must be loaded
 * with uprobes_attach_type() of it.
 */
enum uprobes_kind uprobes_kind(void);

const char *uprobes_kind_name(enum uprobes_kind kind); /* static: "perf events", ... */

/* The expected_attach_type with which programs are loaded for that kind. */
uint32_t uprobes_attach_type(enum uprobes_kind kind);

/* Where the programs come from: descriptors, which stay the giver's, or a negative errno. */
struct uprobes_programs {
	int (*program)(void *context, enum tls_probe probe);
	int (*return_program)(void *context);
	void *context;
};

/* A descriptor for each link; or two for each site: of its entry, and of its return. */
#define UPROBES_FDS_MAX (2U * PLAN_SITES_MAX)

/* What is attached to one file. Zero-filled: nothing is. */
struct uprobes {
	int fds[UPROBES_FDS_MAX];
	uint32_t count;
};

/*
 * Attaches the plan's sites to the file that `fd` is open for (reading), in present and future
 * processes. Returns are attached before entries: whoever is seen to enter is seen to return. While
 * something is attached, the kernel holds the file and its mount. On success uprobes_detach() must
 * be called. On failure returns a negative errno, and nothing is attached; what has been attached
 * until then is detached by `closer`. `fd` stays the caller's.
 */
int uprobes_attach(struct uprobes *uprobes, enum uprobes_kind kind, int fd, const struct plan *plan,
		   const struct uprobes_programs *programs, struct closer *closer);

/* Detaches all; `closer` does it, so this returns at once. */
void uprobes_detach(struct uprobes *uprobes, struct closer *closer);

#endif
