/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/run/smtpsnoop"

static int fail(char *why, const char *path, int error)
{
	snprintf(why, INSTANCE_WHY_MAX, "%.120s: %s", path, strerror(error));
	return -error;
}

/* Whose it is. */
static int taken(int fd, const char *path, char *why)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	snprintf(why, INSTANCE_WHY_MAX,
		 "another daemon runs on this host (process %s, %.100s): stop it first; `smtpsnoop watch` "
		 "may run beside it",
		 pid[0] ? pid : "unknown", path);
	return -EBUSY;
}

int instance_lock(char why[INSTANCE_WHY_MAX])
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	char path[512], pid[16];
	int fd, len, error;

	if (!folder || folder[0] != '/' || strlen(folder) > 400)
		folder = FOLDER;
	if (mkdir(folder, 0755) && errno != EEXIST)
		return fail(why, folder, errno);
	snprintf(path, sizeof(path), "%s/smtpsnoop.pid", folder);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0)
		return fail(why, path, errno);
	if (flock(fd, LOCK_EX | LOCK_NB)) {
		error = errno == EWOULDBLOCK ? taken(fd, path, why) : fail(why, path, errno);
		close(fd);
		return error;
	}
	len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len) {
		error = fail(why, path, errno);
		close(fd);
		return error;
	}
	return 0; /* the descriptor holds the lock until the process ends */
}
