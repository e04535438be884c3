/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* One file with a TLS library, as library_set.c keeps it. */
#ifndef SMTPSNOOP_TLS_LIBRARY_H
#define SMTPSNOOP_TLS_LIBRARY_H

#include "capture/libraries.h"
#include "capture/uprobes.h"
#include "capture/verdicts.h"

struct library {
	struct library *next;
	struct file_identity identity;
	struct plan plan;
	struct uprobes uprobes;
	const struct library *same; /* the same file, which is attached instead; borrowed */
	char *path;		    /* as it was mapped */
	uint64_t start, end;	    /* where `pid` maps it */
	uint32_t pid;		    /* 0: no process is known to map it */
	uint32_t user;
	uint32_t missed; /* by so many scans in a row: no process was seen to map it */
	int error;	 /* of attaching */
	bool changed;	 /* found by a check: to be examined again */
	bool named;	 /* ld.so.cache names it: it stays while the path leads to it */
	bool trusted;
};

/* Whether two files are to be probed alike. */
bool library_same_plan(const struct plan *a, const struct plan *b);

/* Whether its calls are seen: by its own probes, or by those of the file that stands for it. */
bool library_is_attached(const struct library *library);

void library_describe(const struct library *library, struct library_state *state);

#endif
