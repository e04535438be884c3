/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the thread can hang in the disk, so nobody joins it. The writer is an
 * object of its own, held by the thread and by whoever started it; the last of the two frees it.
 */
#include "daemon/metrics_file.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/report.h"

#define FILE_S	15 /* interval between two writes */
#define FIRST_S 1  /* interval while there is no page yet */

struct writer {
	pthread_mutex_t lock;
	pthread_cond_t rest;
	unsigned int users;
	bool stop;
	bool failed; /* the last write failed, and that was reported */
	struct board *board;
	char path[];
};

static bool is_stopped(struct writer *writer)
{
	bool stop;

	pthread_mutex_lock(&writer->lock);
	stop = writer->stop;
	pthread_mutex_unlock(&writer->lock);
	return stop;
}

/* Writes another file and renames it, so that the node exporter never reads half a page. */
static int write_file(struct writer *writer, struct span page)
{
	const char *path = writer->path;
	char beside[4096];
	int fd, error = 0;

	if (snprintf(beside, sizeof(beside), "%s.tmp", path) >= (int)sizeof(beside))
		return -ENAMETOOLONG;
	if (unlink(beside) && errno != ENOENT)
		return -errno;
	fd = open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return -errno;
	errno = 0;
	if (write(fd, page.data, page.len) != (ssize_t)page.len)
		error = errno ? -errno : -ENOSPC;
	if (close(fd) && !error)
		error = -errno;
	if (!error && !is_stopped(writer) && rename(beside, path))
		error = -errno;
	if (error || is_stopped(writer))
		unlink(beside);
	return error;
}

/* Writes the page. False if there is none yet. */
static bool write_page(struct writer *writer)
{
	struct text page = board_page(writer->board);
	bool any = page.len;
	int error = any ? write_file(writer, (struct span){page.data, page.len}) : 0;

	text_free(&page);
	if (error)
		board_add_failure(writer->board);
	if (error && !writer->failed)
		report("metrics.textfile", "%s: %s", writer->path, strerror(-error));
	writer->failed = error;
	return any;
}

/* Sleeps for `seconds`. False as soon as the thread is to stop. */
static bool rest(struct writer *writer, int seconds)
{
	struct timespec until;
	bool stop;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += seconds;
	pthread_mutex_lock(&writer->lock);
	while (!writer->stop && pthread_cond_timedwait(&writer->rest, &writer->lock, &until) == 0)
		;
	stop = writer->stop;
	pthread_mutex_unlock(&writer->lock);
	return !stop;
}

static void writer_leave(struct writer *writer)
{
	bool last;

	pthread_mutex_lock(&writer->lock);
	last = --writer->users == 0;
	pthread_mutex_unlock(&writer->lock);
	if (!last)
		return;
	pthread_cond_destroy(&writer->rest);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

/* The thread. It removes the file at its end, so that no outdated numbers stay behind. */
static void *write_pages(void *context)
{
	struct writer *writer = context;
	struct board *board = writer->board;
	bool any = false;

	while (rest(writer, any ? FILE_S : FIRST_S))
		any = write_page(writer);
	unlink(writer->path);
	writer_leave(writer);
	board_leave(board);
	return NULL;
}

void writer_stop(struct writer *writer)
{
	if (!writer)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	pthread_cond_signal(&writer->rest);
	pthread_mutex_unlock(&writer->lock);
	writer_leave(writer);
}

/* Blocks all signals in the thread: they are for the main thread. */
static int start_thread(struct writer *writer)
{
	pthread_attr_t detached;
	sigset_t all, before;
	pthread_t thread;
	int error;

	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&thread, &detached, write_pages, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&detached);
	return -error;
}

int writer_start(struct writer **started, struct board *board, const char *path)
{
	struct writer *writer = calloc(1, sizeof(*writer) + strlen(path) + 1);
	int error;

	if (!writer)
		return -ENOMEM;
	pthread_mutex_init(&writer->lock, NULL);
	condition_init(&writer->rest);
	memcpy(writer->path, path, strlen(path) + 1);
	writer->users = 2;
	writer->board = board_use(board);
	error = start_thread(writer);
	if (error) {
		board_leave(board);
		writer->users = 1;
		writer_leave(writer);
		return error;
	}
	*started = writer;
	return 0;
}

const char *writer_path(const struct writer *writer)
{
	return writer->path;
}
