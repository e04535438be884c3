/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Keeps account of until when this run watches, for the next one. */
#ifndef SMTPSNOOP_RUN_STATE_H
#define SMTPSNOOP_RUN_STATE_H

#include <stdbool.h>

#include <linux/types.h>

#include "record.h"

/* A run that is killed is known to have watched until at most this long before. */
#define RUN_STATE_REFRESH_S 10U

struct run_state;

/*
 * Reads what the previous run left in $STATE_DIRECTORY, or in STATE_FOLDER. What goes wrong is
 * reported in one line and prevents nothing: then the previous run is unknown, and perhaps this one
 * to the next. NULL if there is no memory.
 */
struct run_state *run_state_open(void);

/* Fills in what is known of the previous run. The record's header is the caller's. */
void run_state_previous(const struct run_state *state, struct run_record *record);

/* The watch has begun: from now on the file is this run's. A thread writes it. */
void run_state_begin(struct run_state *state);

/* The watch goes on. Call it about once a second; it never waits for the disk. */
void run_state_alive(struct run_state *state);

/*
 * Ends the thread; waits at most two seconds for a disk that hangs. `in_order`: this run watched
 * until now and ends in order. NULL is allowed.
 */
void run_state_close(struct run_state *state, bool in_order);

#endif
