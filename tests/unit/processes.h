/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A folder for the files of a test, and processes that run one of them. */
#ifndef SMTPSNOOP_TESTS_PROCESSES_H
#define SMTPSNOOP_TESTS_PROCESSES_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "unit.h"

static inline uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

/* ---- Files ----------------------------------------------------------------------------------- */

static char work[] = "/tmp/smtpsnoop-test.XXXXXX";

/* For cmocka_run_group_tests(): creates the folder. */
static inline int make_work(void **state)
{
	(void)state;
	return mkdtemp(work) ? 0 : -1;
}

/* For cmocka_run_group_tests(): removes the folder and all that is in it. */
static inline int remove_work(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", work);
	return system(command);
}

/* The path of a file in the folder. The caller frees it. */
static inline char *in_work(const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", work, name) > 0);
	return path;
}

static inline void copy_file(const char *from, int to)
{
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	struct stat st;

	assert_true(fd >= 0 && fstat(fd, &st) == 0);
	assert_int_equal(sendfile(to, fd, NULL, (size_t)st.st_size), st.st_size);
	close(fd);
}

/* A new copy of sleep in the folder. The caller frees the path. */
static inline char *make_program(const char *name)
{
	char *path = in_work(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	copy_file("/bin/sleep", fd);
	close(fd);
	return path;
}

/* ---- Processes ------------------------------------------------------------------------------- */

static const char *const sleep_argv[] = {"sleep", "60", NULL};

/*
 * Starts a process in `directory` that executes the file at `path` or, if that is NULL, the
 * descriptor `program`. Returns once it has executed it: a pipe closes on exec.
 */
static inline pid_t spawn(const char *directory, int program, const char *path,
			  const char *const *argv)
{
	int fds[2];
	pid_t pid;
	char byte;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		if (chdir(directory))
			_exit(1);
		if (path)
			execv(path, (char *const *)argv);
		else
			fexecve(program, (char *const *)argv, environ);
		_exit(1);
	}
	close(fds[1]);
	assert_int_equal(read(fds[0], &byte, 1), 0);
	close(fds[0]);
	return pid;
}

static inline pid_t spawn_sleep(const char *directory, const char *path)
{
	return spawn(directory, -1, path, sleep_argv);
}

static inline void end(pid_t pid)
{
	assert_true(pid > 0); /* kill(-1) would end every process of this host */
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

#endif
