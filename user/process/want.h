/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What is asked of the outside about processes and users. The answers come back as records. */
#ifndef SMTPSNOOP_WANT_H
#define SMTPSNOOP_WANT_H

#include <stdint.h>

struct image;

/* Each function may be NULL: then nobody can answer, as in a replay. */
struct want {
	void *context;
	void (*user)(void *context, uint32_t uid);
	void (*group)(void *context, uint32_t gid);
	/* The names of these ids in the process's own root directory. */
	void (*accounts)(void *context, uint32_t pid, uint64_t start_ns, uint32_t uid,
			 uint32_t gid);
	void (*hash)(void *context, struct image *image, uint32_t pid);
	void (*cgroup)(void *context, uint32_t pid, uint64_t start_ns);
	/* Whether a timer started the unit's job that the process belongs to. */
	void (*activation)(void *context, uint32_t pid, uint64_t start_ns, const char *unit);
	/* The executable of a running process; this one answers before it returns. */
	void (*process)(void *context, uint32_t pid, uint64_t start_ns);
};

#endif
