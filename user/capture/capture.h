/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The edge to the kernel: loads the programs, tries the families of hooks until one works, drains
 * the ring, and reads the counters. capture.c, family.c, links.c, tables.c and tls_programs.c alone
 * use libbpf.
 */
#ifndef SMTPSNOOP_CAPTURE_H
#define SMTPSNOOP_CAPTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>

#include "base/hook.h"
#include "record.h"
#include "tls.h"

#define CAPTURE_WHY_MAX 256

/* One attempt: the hooks, and the result. */
struct capture_trial {
	enum hook hook;
	bool wire;
	bool pages;
	bool tls;
	int error; /* 0, or a negative errno */
	char why[CAPTURE_WHY_MAX];
};

struct capture_options {
	enum hook hook;	    /* HOOK_AUTO: fentry, else kprobe, else tracepoint, else none */
	bool wire;	    /* false: send hooks only */
	bool tls;	    /* load the programs for TLS libraries; libraries.c attaches them */
	uint32_t ring_size; /* bytes, a power of two; 0: 8 MiB */
};

struct capture;

typedef void (*capture_record_fn)(void *context, const struct record *record);

/*
 * Loads and attaches. On success *capture is the caller's, to be freed with capture_close(). On
 * failure returns a negative errno and writes to `why` (CAPTURE_WHY_MAX bytes) what failed and what
 * can be done. `trials`, if not NULL, gets the attempts, at most `trials_max` of them, and
 * *trial_count their number.
 */
int capture_open(struct capture **capture, const struct capture_options *options, char *why,
		 struct capture_trial *trials, size_t trials_max, size_t *trial_count);
void capture_close(struct capture *capture); /* NULL is allowed */

enum hook capture_hook(const struct capture *capture);
bool capture_wire(const struct capture *capture);

/*
 * Whether data sent as pages (sendfile, splice) can be read at the send, because this kernel gives
 * the addresses of pages.
 */
bool capture_pages(const struct capture *capture);

/* Whether the programs for TLS libraries are loaded: they were requested, and this kernel can. */
bool capture_tls(const struct capture *capture);

/* Why the wire hook is not attached although it was requested; "" if it is attached. */
const char *capture_wire_why(const struct capture *capture);

/* Why TLS libraries cannot be probed although it was requested; "" if they can, or no wire hook. */
const char *capture_tls_why(const struct capture *capture);

/*
 * A descriptor to poll, owned by the capture. It becomes readable when the ring fills faster than
 * the caller's timer drains it.
 */
int capture_fd(const struct capture *capture);

/*
 * Passes on the waiting records, for at most DRAIN_NS (100 ms): a process that makes them as fast
 * as they are read must not keep the caller from its other work. Returns their number. Records die
 * with the call.
 */
size_t capture_drain(struct capture *capture, capture_record_fn on_record, void *context);

/* Whether the last drain left records behind. */
bool capture_has_more(const struct capture *capture);

/* Declares that the reader is about to sleep: from now on a filling ring wakes it. */
void capture_sleep(struct capture *capture);

/* Reads the counters, summed over all CPUs. Returns 0 or a negative errno. */
int capture_counters(struct capture *capture, uint64_t counters[COUNTER_MAX]);

/*
 * Takes out whose payload was left out since the last call, those who lost most first. Returns how
 * many users there are, at most DROPPED_USERS_MAX.
 */
size_t capture_dropped(struct capture *capture, struct dropped_user users[DROPPED_USERS_MAX]);

/*
 * Compares what is attached with what was, and attaches again what somebody has removed or
 * replaced. Returns what was found: bits of enum health_flag, without HEALTH_SEEN and those of the
 * canary. 0: all is as it should be. Costs one system call for each program.
 */
uint32_t capture_check(struct capture *capture);

/* The descriptors of the programs for TLS libraries, owned by the capture. -ENOENT: not loaded. */
int capture_tls_program(const struct capture *capture, enum tls_probe probe);
int capture_tls_return_program(const struct capture *capture);

/*
 * Tells these programs where the objects of that kind of library have the random: all places on
 * this host, at most TLS_LAYOUTS_MAX. Returns 0; -ENOENT: the programs are not loaded; -EINVAL: too
 * many; or another negative errno.
 */
int capture_tls_layout(const struct capture *capture, enum tls_layer layer,
		       const struct tls_layout *layouts, uint32_t count);

/* A table of the kernel side, and how full it is. */
struct capture_map {
	const char *name; /* borrowed from the capture */
	uint64_t entries;
	uint64_t limit;
};

#define CAPTURE_MAPS_MAX 8U

/*
 * Lists the tables that grow with what other processes do. Returns their number. Costs one system
 * call for each entry.
 */
size_t capture_maps(const struct capture *capture, struct capture_map maps[CAPTURE_MAPS_MAX]);

#endif
