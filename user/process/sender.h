/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Senders: created from the kernel's record of a task, and filled with what user space knows. */
#ifndef SMTPSNOOP_SENDER_H
#define SMTPSNOOP_SENDER_H

#include <stdbool.h>
#include <stdint.h>

#include "process/identity.h"
#include "process/names.h"
#include "process/process.h"
#include "process/want.h"

/* A new sender, with one reference; NULL if there is no memory. */
struct sender *sender_of_record(const struct sender_record *record, struct process_table *processes,
				const struct want *want);

/* The same from the short form that a send carries, for the case that the full record was lost. */
struct sender *sender_of_task(const struct task_id *task, uint64_t time_ns,
			      struct process_table *processes, const struct want *want);

/*
 * Takes the working directory from the record that preceded the sender's own. It is left out if the
 * record is of another task.
 */
void sender_stands(struct sender *sender, const struct directory_record *record);

/*
 * Fills in names, unit, container and hash as far as they are known, and asks for the others. Only
 * ids of the user namespace `own->user` get names. Returns true if nothing more is to come.
 */
bool sender_fill(struct sender *sender, struct names *names, const struct namespaces *own,
		 uint64_t now_ns, const struct want *want);

#endif
