/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Whether this process may load and attach BPF programs. */
#ifndef SMTPSNOOP_PRIVILEGE_H
#define SMTPSNOOP_PRIVILEGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define PRIVILEGE_WHY_MAX 256U

/* What decides it. */
struct privilege {
	uid_t euid;
	uint64_t effective; /* capabilities, a bit each */
	unsigned int last;  /* the last capability that the kernel has; CAP_BPF came with 5.8 */
	bool host_users;    /* in the first user namespace: elsewhere root has no rights to BPF */
};

/*
 * 0; or -EPERM with one clause in `why`: what is missing, and what to do. Pure.
 */
int privilege_of(const struct privilege *privilege, char why[PRIVILEGE_WHY_MAX]);

/* The same for this process. */
int privilege_check(char why[PRIVILEGE_WHY_MAX]);

/*
 * Kernels before 5.11 count programs and maps as locked memory, which is limited. libbpf 1.0 raises
 * the limit itself; for an older one this does.
 */
void privilege_raise_limit(void);

#endif
