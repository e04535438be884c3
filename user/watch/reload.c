/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: everything of a reload that takes time happens in this thread: reading
 * files, compiling patterns, opening outputs, and freeing the old configuration. The capture loop
 * exchanges the finished result for the old one between two turns, and gives the old one back.
 *
 *	      reload_begin()            read()          reload_take()          reload_done()
 *	IDLE ---------------> READING --------> FINISHED -----------> TAKEN ---------------> LEFT
 *	  ^                                                                                   |
 *	  +--------------------------------- release() ---------------------------------------+
 *
 * Only the loop moves from IDLE, FINISHED and TAKEN, only the thread from READING and LEFT. So the
 * result has one owner at any time, and the lock hands it over. Signals are for the main thread.
 */
#include "watch/reload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum stage { STAGE_IDLE, STAGE_READING, STAGE_FINISHED, STAGE_TAKEN, STAGE_LEFT };

struct reload {
	struct reload_work work;
	pthread_t thread;
	pthread_mutex_t lock; /* for what follows */
	pthread_cond_t moved; /* the stage has changed, or `stop` was set */
	enum stage stage;
	void *result; /* owned in the stages FINISHED and LEFT */
	atomic_bool stop;
	int fd;
};

static void move(struct reload *reload, enum stage stage, void *result)
{
	pthread_mutex_lock(&reload->lock);
	reload->stage = stage;
	reload->result = result;
	pthread_cond_signal(&reload->moved);
	pthread_mutex_unlock(&reload->lock);
}

static void wake_loop(const struct reload *reload)
{
	const uint64_t one = 1;

	/* It fails only if the loop has been woken so often that it need not be woken again. */
	if (write(reload->fd, &one, sizeof(one)) < 0)
		return;
}

/* Waits for something to do. The result of STAGE_LEFT is the caller's. False: the thread ends. */
static bool next(struct reload *reload, enum stage *stage, void **result)
{
	bool more;

	pthread_mutex_lock(&reload->lock);
	while (reload->stage != STAGE_READING && reload->stage != STAGE_LEFT && !reload->stop)
		pthread_cond_wait(&reload->moved, &reload->lock);
	*stage = reload->stage;
	*result = reload->result;
	more = !reload->stop;
	pthread_mutex_unlock(&reload->lock);
	return more;
}

static void *run(void *argument)
{
	struct reload *reload = argument;
	const struct reload_work *work = &reload->work;
	enum stage stage;
	void *result;

	while (next(reload, &stage, &result)) {
		if (stage == STAGE_READING) {
			move(reload, STAGE_FINISHED, work->read(work->context, &reload->stop));
		} else {
			work->release(work->context, result);
			move(reload, STAGE_IDLE, NULL);
		}
		wake_loop(reload);
	}
	return NULL;
}

static int start(struct reload *reload)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&reload->thread, NULL, run, reload);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

struct reload *reload_new(const struct reload_work *work)
{
	struct reload *reload = calloc(1, sizeof(*reload));
	int error;

	if (!reload)
		return NULL;
	reload->work = *work;
	pthread_mutex_init(&reload->lock, NULL);
	pthread_cond_init(&reload->moved, NULL);
	reload->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	error = reload->fd < 0 ? errno : start(reload);
	if (!error)
		return reload;
	if (reload->fd >= 0)
		close(reload->fd);
	free(reload);
	errno = error;
	return NULL;
}

void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	pthread_mutex_lock(&reload->lock);
	reload->stop = true;
	pthread_cond_signal(&reload->moved);
	pthread_mutex_unlock(&reload->lock);
	pthread_join(reload->thread, NULL);
	if (reload->stage == STAGE_FINISHED || reload->stage == STAGE_LEFT)
		reload->work.release(reload->work.context, reload->result);
	close(reload->fd);
	pthread_cond_destroy(&reload->moved);
	pthread_mutex_destroy(&reload->lock);
	free(reload);
}

int reload_fd(const struct reload *reload)
{
	return reload->fd;
}

bool reload_begin(struct reload *reload)
{
	bool idle;

	pthread_mutex_lock(&reload->lock);
	idle = reload->stage == STAGE_IDLE;
	pthread_mutex_unlock(&reload->lock);
	if (idle)
		move(reload, STAGE_READING, NULL);
	return idle;
}

bool reload_take(struct reload *reload, void **result)
{
	bool finished;
	uint64_t woken;

	if (read(reload->fd, &woken, sizeof(woken)) < 0)
		woken = 0; /* nothing to forget: the descriptor does not block */
	pthread_mutex_lock(&reload->lock);
	finished = reload->stage == STAGE_FINISHED;
	if (finished) {
		*result = reload->result;
		reload->result = NULL;
		reload->stage = STAGE_TAKEN;
	}
	pthread_mutex_unlock(&reload->lock);
	return finished;
}

void reload_done(struct reload *reload, void *result)
{
	move(reload, STAGE_LEFT, result);
}
