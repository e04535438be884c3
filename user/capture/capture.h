/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel edge: loads the programs, tries the families of hooks until one works, drains the
 * ring, reads the counters. The only file that knows libbpf is capture.c.
 */
#ifndef SMTPSNOOP_CAPTURE_H
#define SMTPSNOOP_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "base/hook.h"
#include "record.h"

#define CAPTURE_WHY_MAX 256

/* One attempt: which hooks, and what came of it. */
struct capture_trial {
	enum hook hook;
	bool wire;
	bool pages;
	int error; /* 0, or a negative errno */
	char why[CAPTURE_WHY_MAX];
};

struct capture_options {
	enum hook hook;	    /* HOOK_AUTO: fentry, else kprobe, else tracepoint, else none */
	bool wire;	    /* false: send hooks alone */
	uint32_t ring_size; /* bytes, a power of two; 0: 8 MiB */
};

struct capture;

typedef void (*capture_record_fn)(void *context, const struct record *record);

/*
 * Loads and attaches. On success *capture is the caller's, to be freed with capture_close(). On
 * failure returns a negative errno and writes to `why` (CAPTURE_WHY_MAX bytes) what stood in the
 * way and what can be done. `trials`, if not NULL, gets each attempt made, at most `trials_max`,
 * and *trial_count their number.
 */
int capture_open(struct capture **capture, const struct capture_options *options, char *why,
		 struct capture_trial *trials, size_t trials_max, size_t *trial_count);
void capture_close(struct capture *capture); /* NULL is allowed */

enum hook capture_hook(const struct capture *capture);
bool capture_wire(const struct capture *capture);

/*
 * Whether what is sent as pages (sendfile, splice) can be read at the send: this kernel tells where
 * they are.
 */
bool capture_pages(const struct capture *capture);

/* Why the wire hook is not attached, though it was asked for; "" if it is. */
const char *capture_wire_why(const struct capture *capture);

/*
 * To be polled: readable when the kernel side could not wait for the timer. Owned by the capture.
 */
int capture_fd(const struct capture *capture);

/*
 * Passes on the records that wait, for DRAIN_NS at most: who makes them as fast as they are read
 * cannot keep the caller from all else. Returns their number.
 */
size_t capture_drain(struct capture *capture, capture_record_fn on_record, void *context);

/* Whether the last drain left some. */
bool capture_has_more(const struct capture *capture);

/* Says that the reader is about to sleep: a filling ring wakes it from now on. */
void capture_sleep(struct capture *capture);

/* The counters' totals over all CPUs. Returns 0 or a negative errno. */
int capture_counters(struct capture *capture, uint64_t counters[COUNTER_MAX]);

/* A table of the kernel side. */
struct capture_map {
	const char *name; /* borrowed from the capture */
	uint64_t entries;
	uint64_t limit;
};

#define CAPTURE_MAPS_MAX 8U

/*
 * The tables that grow with what others do, and how full they are. Returns their number. Costs a
 * call an entry.
 */
size_t capture_maps(const struct capture *capture, struct capture_map maps[CAPTURE_MAPS_MAX]);

#endif
