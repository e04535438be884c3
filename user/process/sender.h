/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Senders: made from what the kernel told of a task, filled with what user space knows of it. */
#ifndef SMTPSNOOP_SENDER_H
#define SMTPSNOOP_SENDER_H

#include "process/identity.h"
#include "process/names.h"
#include "watch/pipeline.h"
#include "process/process.h"

/* A new sender, with one reference; NULL if there is no memory. */
struct sender *sender_of_record(const struct sender_record *record, struct process_table *processes,
				const struct pipeline_hooks *hooks);

/* The same from the short form, where the full one was lost. */
struct sender *sender_of_task(const struct task_id *task, uint64_t time_ns,
			      struct process_table *processes, const struct pipeline_hooks *hooks);

/*
 * Fills in names, unit, container and hash as far as they are known, and asks for those that are
 * not. Names are given for ids of the user namespace `own->user` only. True if nothing more is to
 * come.
 */
bool sender_fill(struct sender *sender, struct names *names, const struct namespaces *own,
		 uint64_t now_ns, const struct pipeline_hooks *hooks);

#endif
