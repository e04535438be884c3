/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: closing an attached probe waits until no processor can still run its program
 * (20 to 120 ms). Links that are closed at the same time share that wait: fifty take 57 ms on Linux
 * 6.18. The kernel closes perf events one after another, whatever the number of threads: some 50 ms
 * each. A thread is started when there is something to close and ends when there is nothing left:
 * usually there is none.
 */
#include "capture/closer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CLOSER_THREADS_MAX 64U
#define STACK_SIZE	   65536U

struct closer {
	pthread_mutex_t lock;
	pthread_cond_t ended; /* the last thread has ended */
	pthread_attr_t attributes;
	int *fds; /* those that wait */
	size_t count, room;
	unsigned int threads;
};

/* A descriptor to close, or -1. The lock is held. */
static int take(struct closer *closer)
{
	return closer->count ? closer->fds[--closer->count] : -1;
}

static void *work(void *context)
{
	struct closer *closer = context;
	int fd;

	pthread_mutex_lock(&closer->lock);
	while ((fd = take(closer)) >= 0) {
		pthread_mutex_unlock(&closer->lock);
		close(fd);
		pthread_mutex_lock(&closer->lock);
	}
	if (--closer->threads == 0)
		pthread_cond_broadcast(&closer->ended);
	pthread_mutex_unlock(&closer->lock);
	return NULL;
}

struct closer *closer_new(void)
{
	struct closer *closer = calloc(1, sizeof(*closer));

	if (!closer)
		return NULL;
	pthread_mutex_init(&closer->lock, NULL);
	pthread_cond_init(&closer->ended, NULL);
	pthread_attr_init(&closer->attributes);
	pthread_attr_setdetachstate(&closer->attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&closer->attributes, STACK_SIZE);
	return closer;
}

/* Starts as many threads as there are descriptors, within the bound. The lock is held. */
static void start_threads(struct closer *closer, size_t wanted)
{
	sigset_t all, before;
	pthread_t thread;

	sigfillset(&all); /* signals are for the main thread */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	while (wanted-- && closer->threads < CLOSER_THREADS_MAX &&
	       pthread_create(&thread, &closer->attributes, work, closer) == 0)
		closer->threads++;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Whether the descriptors could be added to those that wait. The lock is held. */
static bool put(struct closer *closer, const int *fds, size_t count)
{
	if (closer->count + count > closer->room) {
		size_t room = 2 * (closer->count + count);
		int *larger = realloc(closer->fds, room * sizeof(*larger));

		if (!larger)
			return false;
		closer->fds = larger;
		closer->room = room;
	}
	memcpy(closer->fds + closer->count, fds, count * sizeof(*fds));
	closer->count += count;
	return true;
}

void closer_add(struct closer *closer, const int *fds, size_t count)
{
	bool added;

	if (!count)
		return;
	pthread_mutex_lock(&closer->lock);
	added = put(closer, fds, count);
	if (added)
		start_threads(closer, count);
	pthread_mutex_unlock(&closer->lock);
	for (size_t i = 0; !added && i < count; i++)
		close(fds[i]);
}

/* Closes along with the threads: there may be none, if none could be started. */
void closer_free(struct closer *closer)
{
	int fd;

	if (!closer)
		return;
	pthread_mutex_lock(&closer->lock);
	while ((fd = take(closer)) >= 0) {
		pthread_mutex_unlock(&closer->lock);
		close(fd);
		pthread_mutex_lock(&closer->lock);
	}
	while (closer->threads)
		pthread_cond_wait(&closer->ended, &closer->lock);
	pthread_mutex_unlock(&closer->lock);
	pthread_attr_destroy(&closer->attributes);
	pthread_cond_destroy(&closer->ended);
	pthread_mutex_destroy(&closer->lock);
	free(closer->fds);
	free(closer);
}
