/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "daemon/metrics_board.h"

#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#define END_WAIT_S 1 /* for a thread that hangs */

struct board {
	pthread_mutex_t lock;
	pthread_cond_t left; /* a user has left */
	unsigned int users;
	struct text page;
	uint64_t failures; /* to write a text file */
};

void condition_init(pthread_cond_t *condition)
{
	pthread_condattr_t clock;

	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(condition, &clock);
	pthread_condattr_destroy(&clock);
}

struct board *board_new(void)
{
	struct board *board = calloc(1, sizeof(*board));

	if (!board)
		return NULL;
	pthread_mutex_init(&board->lock, NULL);
	condition_init(&board->left);
	board->users = 1;
	return board;
}

struct board *board_use(struct board *board)
{
	pthread_mutex_lock(&board->lock);
	board->users++;
	pthread_mutex_unlock(&board->lock);
	return board;
}

void board_leave(struct board *board)
{
	bool last;

	pthread_mutex_lock(&board->lock);
	last = --board->users == 0;
	pthread_cond_signal(&board->left);
	pthread_mutex_unlock(&board->lock);
	if (!last)
		return;
	pthread_cond_destroy(&board->left);
	pthread_mutex_destroy(&board->lock);
	text_free(&board->page);
	free(board);
}

void board_wait(struct board *board)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += END_WAIT_S;
	pthread_mutex_lock(&board->lock);
	while (board->users > 1 && pthread_cond_timedwait(&board->left, &board->lock, &until) == 0)
		;
	pthread_mutex_unlock(&board->lock);
}

struct text board_page(struct board *board)
{
	struct text copy = {0};

	pthread_mutex_lock(&board->lock);
	text_add(&copy, (struct span){board->page.data ? board->page.data : "", board->page.len});
	pthread_mutex_unlock(&board->lock);
	return copy;
}

void board_publish(struct board *board, struct span page)
{
	pthread_mutex_lock(&board->lock);
	text_clear(&board->page);
	text_add(&board->page, page);
	pthread_mutex_unlock(&board->lock);
}

void board_add_failure(struct board *board)
{
	pthread_mutex_lock(&board->lock);
	board->failures++;
	pthread_mutex_unlock(&board->lock);
}

uint64_t board_failures(struct board *board)
{
	uint64_t failures;

	pthread_mutex_lock(&board->lock);
	failures = board->failures;
	pthread_mutex_unlock(&board->lock);
	return failures;
}
