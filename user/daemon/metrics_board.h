/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The board: the last page of metrics, shared by the capture loop, which writes it, and by the
 * threads that give it out. It is counted by its users; the last one that leaves frees it. So a
 * thread that hangs in the disk keeps a valid board for as long as it hangs.
 */
#ifndef SMTPSNOOP_METRICS_BOARD_H
#define SMTPSNOOP_METRICS_BOARD_H

#include <pthread.h>
#include <stdint.h>

#include "base/text.h"

struct board;

/* A board with one user, the caller, and an empty page. NULL if there is no memory. */
struct board *board_new(void);

/* Adds a user. Returns the same board. */
struct board *board_use(struct board *board);

/* Removes a user; the last one frees the board. */
void board_leave(struct board *board);

/* Waits until the caller is the only user, for at most one second. */
void board_wait(struct board *board);

/* Replaces the page by a copy of `page`. */
void board_publish(struct board *board, struct span page);

/* A copy of the page, which the caller frees with text_free(). Empty if there is no page yet. */
struct text board_page(struct board *board);

/* Counts a failure to write a text file. */
void board_add_failure(struct board *board);
uint64_t board_failures(struct board *board);

/* Initializes a condition whose timed waits use CLOCK_MONOTONIC. */
void condition_init(pthread_cond_t *condition);

#endif
