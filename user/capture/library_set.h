/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The files with TLS libraries that are known: examined, attached, and detached when they are gone.
 * One thread at a time.
 */
#ifndef SMTPSNOOP_LIBRARY_SET_H
#define SMTPSNOOP_LIBRARY_SET_H

#include <stdbool.h>
#include <stdint.h>

#include "capture/libraries.h"
#include "capture/mapping.h"

struct library_set;

/* `programs` is borrowed. NULL: errno says why. */
struct library_set *library_set_new(const struct libraries_programs *programs);

/* Detaches everything, and waits until that is done. NULL is allowed. */
void library_set_free(struct library_set *set);

/*
 * A process has mapped a file as executable. The file is examined if it is not known, and attached
 * if it has a TLS library. It counts as known without a look if it was looked at after `fresh_ns`
 * (CLOCK_MONOTONIC).
 */
void library_set_mapped(struct library_set *set, uint32_t pid, const struct mapping *mapping,
			uint64_t fresh_ns);

/* The same for a file that root has named; it stays attached also while no process maps it. */
void library_set_named(struct library_set *set, const char *path);

/*
 * Looks whether the known libraries are still mapped and unchanged. Returns how many are mapped by
 * no process that is known: their other processes must be looked for.
 */
uint32_t library_set_check(struct library_set *set);

/* All processes were looked at since the last library_set_check(): drops what none of them maps. */
void library_set_drop_gone(struct library_set *set);

/* Events were lost, or a library that others stand for is gone: look at all processes. */
bool library_set_wants_scan(const struct library_set *set);
void library_set_scan_begins(struct library_set *set);
void library_set_lost(struct library_set *set, uint64_t events);

size_t library_set_list(const struct library_set *set, struct library_state *list, size_t max);
struct libraries_counts library_set_counts(const struct library_set *set);

#endif
