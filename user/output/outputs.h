/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* All outputs of the daemon, as one sink that never fails and never waits. */
#ifndef SMTPSNOOP_OUTPUTS_H
#define SMTPSNOOP_OUTPUTS_H

#include "event/event.h"
#include "output/output.h"

#define OUTPUTS_WHY_MAX 300U

struct outputs;

/* Starts without outputs. NULL if there is no memory. */
struct outputs *outputs_new(void);

/* Lets every output write what is left, for at most limit_ns, and ends them. NULL is allowed. */
void outputs_free(struct outputs *outputs, uint64_t limit_ns);

/*
 * Applies a configuration: an output with the same name and destination continues with its queue,
 * new ones start, and removed ones end once they have written what they have. All or nothing: on a
 * negative errno, with one clause in `why`, nothing has changed.
 */
int outputs_configure(struct outputs *outputs, const struct output_config *configs, size_t count,
		      char why[OUTPUTS_WHY_MAX]);

/*
 * The same in two steps, because opening a file may take time. outputs_prepare() may be called in
 * another thread while `outputs` is used. It starts what is missing: started[i] is that of
 * configs[i], or NULL. On a negative errno, with one clause in `why`, nothing was started. One of
 * the other two calls follows before any other configuration is applied: outputs_take() in the
 * thread that uses `outputs`, or outputs_drop(), in any thread, which gives up what was started.
 */
int outputs_prepare(struct outputs *outputs, const struct output_config *configs, size_t count,
		    struct output *started[OUTPUTS_MAX], char why[OUTPUTS_WHY_MAX]);
void outputs_take(struct outputs *outputs, const struct output_config *configs, size_t count,
		  struct output *const started[OUTPUTS_MAX]);
void outputs_drop(struct outputs *outputs, struct output *const started[OUTPUTS_MAX]);

/* Reopens all files, and looks up UDP receivers again. */
void outputs_reopen(struct outputs *outputs);

/* Reports losses, and outputs that hang. To be called about once a second. */
void outputs_look(struct outputs *outputs);

/* The number of events that all outputs together lost since the last call. */
uint64_t outputs_take_lost(struct outputs *outputs);

size_t outputs_count(const struct outputs *outputs);
const struct output *outputs_at(const struct outputs *outputs, size_t index);

/* The sink, borrowed; it is freed with the outputs. */
struct sink *outputs_sink(struct outputs *outputs);

#endif
