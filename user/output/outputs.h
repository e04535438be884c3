/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All outputs of the daemon, as one sink: it never fails and never waits. */
#ifndef SMTPSNOOP_OUTPUTS_H
#define SMTPSNOOP_OUTPUTS_H

#include "event/event.h"
#include "output/output.h"

#define OUTPUTS_WHY_MAX 300U

struct outputs;

/* No output yet. NULL if there is no memory. */
struct outputs *outputs_new(void);

/* Has all write what is left, for limit_ns at most, and ends them. NULL is allowed. */
void outputs_free(struct outputs *outputs, uint64_t limit_ns);

/*
 * Takes on what the configuration says: an output of the same name and place goes on with what
 * waits in it, new ones start, others end once they have written what they have. All or none: a
 * negative errno, with one clause in `why`, leaves all as it was.
 */
int outputs_configure(struct outputs *outputs, const struct output_config *configs, size_t count,
		      char why[OUTPUTS_WHY_MAX]);

/* Opens files anew. */
void outputs_reopen(struct outputs *outputs);

/* To be called every second or so: tells of losses, and of outputs that hang. */
void outputs_look(struct outputs *outputs);

/* Events that outputs lost since the last call, all outputs together. */
uint64_t outputs_take_lost(struct outputs *outputs);

size_t outputs_count(const struct outputs *outputs);
const struct output *outputs_at(const struct outputs *outputs, size_t index);

/* The sink; borrowed, and freed with the outputs. */
struct sink *outputs_sink(struct outputs *outputs);

#endif
