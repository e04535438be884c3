/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which executable a process ran at a given moment: a table fed by exec, fork and exit records.
 */
#ifndef SMTPSNOOP_PROCESS_H
#define SMTPSNOOP_PROCESS_H

#include "process/identity.h"

/* Processes kept; beyond that, the one that exited longest ago is dropped */
#define PROCESSES_MAX 65536U
/* An exited process is kept this long: its bytes may still be in the ring. */
#define PROCESS_LINGER_NS 30000000000ULL
/* Bytes of memory for all processes with their images; beyond that, as above. */
#define PROCESS_BYTES_MAX (24UL << 20)
#define PROCESS_ASK_NS	  60000000000ULL
/* Images kept of one process: execs between a send and its processing. */
#define PROCESS_IMAGES_MAX 4U

struct process_table;

/* NULL if there is no memory. */
struct process_table *process_table_new(void);
void process_table_free(struct process_table *table);

/*
 * Processes one record (RECORD_EXEC, RECORD_FORK or RECORD_EXIT, checked by record_valid()).
 * Returns 0, or -ENOMEM: then the table is as if the record had been lost.
 */
int process_table_record(struct process_table *table, const struct record *record);

/*
 * The image that the process (pid, start_ns) ran at at_ns: a reference for the caller, or NULL if
 * it is not known. A fork that has not executed anything runs its parent's image. A start time from
 * /proc is only exact to a clock tick, so it matches within one tick.
 */
struct image *process_image_at(struct process_table *table, uint32_t pid, uint64_t start_ns,
			       uint64_t at_ns);

/*
 * Whether to read /proc for a process whose image is not known. If /proc could not be read (the
 * process has ended, or access is denied), the answer is false until PROCESS_ASK_NS have passed.
 * True also notes the time.
 */
bool process_ask(struct process_table *table, uint32_t pid, uint64_t start_ns, uint64_t at_ns);

/* Drops processes that exited PROCESS_LINGER_NS ago or earlier. */
void process_table_expire(struct process_table *table, uint64_t now_ns);

size_t process_table_count(const struct process_table *table);

#endif
