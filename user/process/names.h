/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Facts that user space found (names of ids, hashes of executables, cgroups of processes), from the
 * records that carry them. A bounded cache: a fact that was replaced is asked for again.
 */
#ifndef SMTPSNOOP_NAMES_H
#define SMTPSNOOP_NAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "process/identity.h"

#define NAMES_MAX      2048U	       /* facts kept */
#define NAMES_FRESH_NS 300000000000ULL /* a name is asked for again when it is older than this */

enum name_state {
	NAME_MISSING, /* not known, and not asked for */
	NAME_ASKED,   /* asked for, no answer yet */
	NAME_KNOWN,   /* `text` is valid; "" says that there is none */
};

struct names;

/* NULL if there is no memory. */
struct names *names_new(void);
void names_free(struct names *names);

/* Processes RECORD_NAME, _HASH, _CGROUP, _ACCOUNTS or _ACTIVATION. Returns 0 or -ENOMEM. */
int names_record(struct names *names, const struct record *record);

/*
 * Looks a fact up. *text is borrowed until the next names_record(). NAME_MISSING is returned once;
 * from then on the fact counts as asked for.
 */
enum name_state names_user(struct names *names, uint32_t uid, uint64_t now_ns, const char **text);
enum name_state names_group(struct names *names, uint32_t gid, uint64_t now_ns, const char **text);
enum name_state names_hash(struct names *names, const struct image *image, uint64_t now_ns,
			   const char **text);
enum name_state names_cgroup(struct names *names, uint32_t pid, uint64_t start_ns, uint64_t now_ns,
			     const char **text);

/* The text of an accounts_record. */
enum name_state names_accounts(struct names *names, const struct task_id *task, uint64_t now_ns,
			       const char **text);

/*
 * "timer": systemd started the process's unit because of its timer; "other": it did not; "": not
 * known.
 */
enum name_state names_activation(struct names *names, uint32_t pid, uint64_t start_ns,
				 uint64_t now_ns, const char **text);

#endif
