/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the capturing thread notes each second that it is alive, and a thread of its
 * own writes the newest note every RUN_STATE_REFRESH_S. A disk that hangs stops that thread alone.
 * If the capturing thread hangs, the note does not move, and neither does the file.
 *
 * Only the first and the last note of a run are forced to the disk: a file system brings the others
 * there within its usual interval, and a flush every ten seconds would cost every host.
 */
#include "daemon/run_state.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/report.h"
#include "daemon/state_file.h"

#define CLOSE_WAIT_S 2

struct run_state {
	int folder, lock; /* -1: no state can be kept */
	bool has_previous;
	int previous_error; /* why it has none: -ENOENT, or it cannot be used */
	struct run_mark previous;

	pthread_t thread;
	bool begun;
	pthread_mutex_t mutex; /* of what follows */
	pthread_cond_t wake;
	struct run_mark mark;
	bool ends, in_order;
};

static struct run_mark mark_now(void)
{
	struct run_mark mark = {.boottime_ns = clock_ns(CLOCK_BOOTTIME),
				.realtime_ns = (int64_t)clock_ns(CLOCK_REALTIME)};

	boot_id(mark.boot);
	return mark;
}

/* systemd may name several folders; the first one is ours. */
static void folder_path(char *path, size_t size)
{
	const char *folder = getenv("STATE_DIRECTORY");
	size_t len = folder ? strcspn(folder, ":") : 0;

	if (!folder || folder[0] != '/' || len >= size) {
		folder = STATE_FOLDER;
		len = strlen(folder);
	}
	memcpy(path, folder, len);
	path[len] = '\0';
}

/* Its waits do not depend on the wall clock, which may be set. */
static int init_wake(struct run_state *state)
{
	pthread_condattr_t attr;
	int error = pthread_condattr_init(&attr);

	if (error)
		return error;
	error = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!error)
		error = pthread_cond_init(&state->wake, &attr);
	pthread_condattr_destroy(&attr);
	return error;
}

struct run_state *run_state_open(void)
{
	struct run_state *state = calloc(1, sizeof(*state));
	char path[400], why[STATE_WHY_MAX];

	if (!state)
		return NULL;
	state->folder = state->lock = -1;
	pthread_mutex_init(&state->mutex, NULL);
	if (init_wake(state)) {
		free(state);
		return NULL;
	}
	folder_path(path, sizeof(path));
	state->previous_error = state_folder_open(path, &state->folder, &state->lock, why);
	if (state->previous_error) {
		report(path, "%s; this run leaves no state for the next one", why);
		if (state->previous_error == -ENOENT)
			state->previous_error = -ENOTDIR;
		return state;
	}
	state->previous_error = state_read(state->folder, &state->previous, why);
	state->has_previous = !state->previous_error;
	if (state->previous_error && state->previous_error != -ENOENT)
		report(path,
		       STATE_FILE ": %s; it is not known how long nobody watched before this run",
		       why);
	return state;
}

void run_state_previous(const struct run_state *state, struct run_record *record)
{
	struct run_mark now = mark_now();

	if (state->has_previous)
		state_compare(&state->previous, &now, record);
	else
		record->end = state->previous_error == -ENOENT ? RUN_NONE : RUN_UNKNOWN;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Reports the first failure of a row. */
static void write_mark(const struct run_state *state, const struct run_mark *mark, bool sync,
		       int *failed)
{
	int error = state_write(state->folder, mark, sync);

	if (error && !*failed)
		report(STATE_FILE, "%s; if this run is killed, the next one will not know when",
		       strerror(-error));
	*failed = error;
}

/* Waits for the next turn. Returns a copy of the newest mark. */
static struct run_mark next_mark(struct run_state *state, bool *ends, bool *in_order)
{
	struct timespec until;
	struct run_mark mark;
	int error = 0;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RUN_STATE_REFRESH_S;
	pthread_mutex_lock(&state->mutex);
	while (!state->ends && !error)
		error = pthread_cond_timedwait(&state->wake, &state->mutex, &until);
	mark = state->mark;
	*ends = state->ends;
	*in_order = state->in_order;
	pthread_mutex_unlock(&state->mutex);
	return mark;
}

static void *keep(void *argument)
{
	struct run_state *state = argument;
	bool ends = false, in_order = false;
	struct run_mark mark = mark_now();
	int failed = 0;

	write_mark(state, &mark, true, &failed);
	while (!ends) {
		mark = next_mark(state, &ends, &in_order);
		mark.stopped = ends && in_order;
		write_mark(state, &mark, mark.stopped, &failed);
	}
	return NULL;
}

void run_state_begin(struct run_state *state)
{
	int error;

	if (state->folder < 0)
		return;
	state->mark = mark_now();
	error = pthread_create(&state->thread, NULL, keep, state);
	state->begun = !error;
	if (error)
		report(STATE_FILE, "%s; this run leaves no state for the next one",
		       strerror(error));
}

void run_state_alive(struct run_state *state)
{
	if (!state->begun)
		return;
	pthread_mutex_lock(&state->mutex);
	state->mark.boottime_ns = clock_ns(CLOCK_BOOTTIME);
	state->mark.realtime_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	pthread_mutex_unlock(&state->mutex);
}

/* False if the thread hangs: it keeps what it uses until the process ends. */
static bool end_thread(struct run_state *state, bool in_order)
{
	struct timespec until;

	if (in_order)
		run_state_alive(state);
	pthread_mutex_lock(&state->mutex);
	state->ends = true;
	state->in_order = in_order;
	pthread_cond_signal(&state->wake);
	pthread_mutex_unlock(&state->mutex);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CLOSE_WAIT_S;
	if (pthread_timedjoin_np(state->thread, NULL, &until) == 0)
		return true;
	pthread_detach(state->thread);
	return false;
}

void run_state_close(struct run_state *state, bool in_order)
{
	if (!state || (state->begun && !end_thread(state, in_order)))
		return;
	if (state->folder >= 0)
		close(state->folder);
	if (state->lock >= 0)
		close(state->lock);
	pthread_cond_destroy(&state->wake);
	pthread_mutex_destroy(&state->mutex);
	free(state);
}
