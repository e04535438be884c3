/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Finds the TLS libraries of this host and attaches the programs to them, in a thread of its own.
 */
#ifndef SMTPSNOOP_LIBRARIES_H
#define SMTPSNOOP_LIBRARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "probe/plan.h"

#define LIBRARIES_MAX 512U /* files, attached or dark */
#define LIBRARIES_USER_MAX                                                                         \
	32U /* made known by one user; root may have all, the others together                      \
	     */
#define LIBRARIES_OTHERS_MAX (LIBRARIES_MAX * 3 / 4) /* no more than this */
#define LIBRARY_PATH_MAX     256U

/*
 * What the libraries are attached to. The functions are called in the thread, and before
 * libraries_new() returns. Descriptors stay the giver's.
 */
struct libraries_programs {
	int (*program)(void *context, enum tls_probe probe);
	int (*return_program)(void *context);
	/* All places where objects of this layer may have the random have changed. */
	int (*layout)(void *context, enum tls_layer layer, const struct tls_layout *layouts,
		      uint32_t count);
	int (*plan)(int fd, struct plan *plan); /* plan_make() */
	void *context;
};

struct libraries;

/*
 * Attaches to the libraries of /etc/ld.so.cache, for at most START_NS (100 ms); then starts the
 * thread, which does the rest. NULL: errno says why.
 */
struct libraries *libraries_new(const struct libraries_programs *programs);

/*
 * Ends the thread and detaches everything: 0.1 s with links, 50 ms for each probe with perf events.
 * NULL is allowed.
 */
void libraries_free(struct libraries *libraries);

/* A file with a TLS library. */
struct library_state {
	char path[LIBRARY_PATH_MAX]; /* escaped; a process chose it: for display alone */
	char version[PLAN_VERSION_MAX];
	enum tls_layer layer;
	bool attached;
	bool mapped;	      /* by some process, when it was last looked at */
	uint32_t cheap, dear; /* sites of each price */
	const char *dark;     /* static: why it is not watched, or only in part; NULL: it is */
	int error;	      /* of attaching: 0 or a negative errno */
	uint32_t user;	      /* who made it known */
};

/*
 * Fills in at most `max` libraries, those that are attached first. Returns how many. If the thread
 * is busy for longer than 0.2 s, there are none.
 */
size_t libraries_list(struct libraries *libraries, struct library_state *list, size_t max);

/* Waits, at most that long, until all processes have been looked at once. */
bool libraries_settle(struct libraries *libraries, uint64_t timeout_ns);

struct libraries_counts {
	uint64_t attached;     /* libraries, now */
	uint64_t dark;	       /* libraries that are known and not attached, now */
	uint64_t examined;     /* files */
	uint64_t not_examined; /* files of users who had too many examined */
	uint64_t not_opened;   /* mappings whose file could not be opened: most were gone */
	uint64_t refused;      /* libraries beyond a bound */
	uint64_t detached;     /* libraries that were gone or rewritten */
	uint64_t lost;	       /* mappings that the kernel did not report */
	uint64_t layouts_full; /* places of the random that had no room */
};

/* As libraries_list(): false, and all 0, if the thread is busy. */
bool libraries_counts(struct libraries *libraries, struct libraries_counts *counts);

#endif
