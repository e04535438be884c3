/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which executable a process ran at a given moment: a table fed by exec, fork and exit records.
 */
#ifndef SMTPSNOOP_PROCESS_H
#define SMTPSNOOP_PROCESS_H

#include "process/identity.h"

#define PROCESSES_MAX 65536U /* processes kept; the one that exited longest ago leaves first */
/* An exited process is kept this long: its bytes may still be on their way */
#define PROCESS_LINGER_NS 30000000000ULL
/* Bytes of memory for all of them with their images, likewise */
#define PROCESS_BYTES_MAX (24UL << 20)
#define PROCESS_ASK_NS	  60000000000ULL
/* Images kept of one process: execs between a send and its processing */
#define PROCESS_IMAGES_MAX 4U

struct process_table;

/* NULL if there is no memory. */
struct process_table *process_table_new(void);
void process_table_free(struct process_table *table);

/*
 * Takes in one record (RECORD_EXEC, RECORD_FORK or RECORD_EXIT, checked by record_valid()).
 * Returns 0, or -ENOMEM: then it is as if the record had been lost.
 */
int process_table_record(struct process_table *table, const struct record *record);

/*
 * The image that process (pid, start_ns) ran at at_ns; a reference for the caller, NULL if it is
 * not known. A fork that has not executed anything runs its parent's image. The start of a
 * process from /proc is only exact to a clock tick: it matches within one.
 */
struct image *process_image_at(struct process_table *table, uint32_t pid, uint64_t start_ns,
			       uint64_t at_ns);

/*
 * Whether /proc is to be read for a process whose image is not known: for one that cannot be read
 * (it has ended, or is kept from us), not again before PROCESS_ASK_NS have passed. True notes that
 * it was.
 */
bool process_ask(struct process_table *table, uint32_t pid, uint64_t start_ns, uint64_t at_ns);

/* The parent by the records seen; false if not known. */
bool process_parent(const struct process_table *table, uint32_t pid, uint64_t start_ns,
		    uint32_t *parent_pid, uint64_t *parent_start_ns);

/* Drops what has lingered long enough. */
void process_table_expire(struct process_table *table, uint64_t now_ns);

size_t process_table_count(const struct process_table *table);

#endif
