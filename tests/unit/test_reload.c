/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A configuration is read in a thread: who owns the result when, one at a time, and the end. */
#include "unit.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "watch/reload.h"

/* What the thread does is told by these: a read returns when `gate` opens, or at the stop. */
struct bench {
	atomic_int reads, releases, stopped;
	atomic_bool gate;
	_Atomic(pthread_t) thread;
	void *released[8];
};

static char results[8];

static void rest(void)
{
	nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void *bench_read(void *context, const atomic_bool *stop)
{
	struct bench *bench = context;

	bench->thread = pthread_self();
	while (!bench->gate && !*stop)
		rest();
	bench->stopped += *stop;
	return &results[bench->reads++];
}

static void bench_release(void *context, void *result)
{
	struct bench *bench = context;

	bench->released[bench->releases++] = result;
}

static struct reload *started(struct bench *bench)
{
	const struct reload_work work = {.context = bench,
					 .read = bench_read,
					 .release = bench_release};
	struct reload *reload;

	memset(bench, 0, sizeof(*bench));
	reload = reload_new(&work);
	assert_non_null(reload);
	return reload;
}

/* Waits as the loop does: for the descriptor. */
static void *taken(struct reload *reload)
{
	struct pollfd fd = {.fd = reload_fd(reload), .events = POLLIN};
	void *result = NULL;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(poll(&fd, 1, 10000), 1);
		if (reload_take(reload, &result))
			return result;
	}
	fail_msg("woken 100 times for nothing");
	return NULL;
}

static void begin(struct reload *reload)
{
	for (int i = 0; i < 10000 && !reload_begin(reload); i++)
		rest();
}

static void test_exchange(void **state)
{
	struct bench bench;
	struct reload *reload = started(&bench);
	char old;
	void *result;

	(void)state;
	assert_false(reload_take(reload, &result));
	assert_true(reload_begin(reload));
	assert_false(reload_begin(reload)); /* it is being read */
	assert_false(reload_take(reload, &result));
	bench.gate = true;
	assert_ptr_equal(taken(reload), &results[0]);
	assert_false(pthread_equal(bench.thread, pthread_self()));
	assert_false(reload_take(reload, &result)); /* it is the caller's now */
	assert_false(reload_begin(reload));
	reload_done(reload, &old);
	begin(reload);
	assert_ptr_equal(taken(reload), &results[1]);
	assert_int_equal(bench.releases, 1);
	assert_ptr_equal(bench.released[0], &old);
	reload_done(reload, &results[1]);
	reload_free(reload);
	assert_int_equal(bench.releases, 2);
	assert_ptr_equal(bench.released[1], &results[1]);
	assert_int_equal(bench.stopped, 0);
}

/* The end does not wait until all is read; what was read and not taken is released, once. */
static void test_end(void **state)
{
	struct bench bench;
	struct reload *reload = started(&bench);

	(void)state;
	reload_free(reload); /* nothing was begun */
	assert_int_equal(bench.releases, 0);
	reload = started(&bench);
	begin(reload);
	while (!bench.thread)
		rest();
	reload_free(reload);
	assert_int_equal(bench.stopped, 1);
	assert_int_equal(bench.releases, 1);
	assert_ptr_equal(bench.released[0], &results[0]);
	reload = started(&bench);
	bench.gate = true;
	begin(reload);
	assert_int_equal(poll(&(struct pollfd){.fd = reload_fd(reload), .events = POLLIN}, 1,
			      10000),
			 1);
	reload_free(reload);
	assert_int_equal(bench.releases, 1);
	reload_free(NULL);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
