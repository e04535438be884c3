/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What attaches the programs to the kernel, and whether it still does. */
#ifndef SMTPSNOOP_LINKS_H
#define SMTPSNOOP_LINKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <bpf/libbpf.h>

#define LINKS_MAX 32U

/* What a link is, as the kernel tells it. All 0: this kernel cannot tell (kprobes before 5.15). */
struct link_identity {
	uint64_t cgroup; /* of a cgroup link: the cgroup's id; 0 once it is detached */
	uint32_t id;
	uint32_t program;
};

struct attached {
	struct bpf_program *program; /* borrowed from the object */
	struct bpf_link *link; /* owned; NULL: it is detached and could not be attached again */
	struct link_identity identity; /* when it was attached */
	bool wire;
};

struct links {
	struct attached items[LINKS_MAX];
	size_t count;
};

/*
 * Attaches every loaded hook of the object; the wire hook to the root of the cgroup v2 hierarchy.
 * 0, or a negative errno; then *wire_failed says whether the wire hook failed, -ENOENT of the wire
 * hook that no such hierarchy is mounted. links_close() frees what was attached until then.
 */
int links_attach(struct links *links, struct bpf_object *object, bool *wire_failed);

/*
 * Compares each link with what was attached, and attaches again what was removed or replaced.
 * Returns bits of enum health_flag: what was found (HEALTH_*_REMOVED, HEALTH_*_REPLACED), and what
 * is not attached now (HEALTH_*_DETACHED). Costs one system call for each link.
 */
uint32_t links_check(struct links *links);

void links_close(struct links *links);

#endif
