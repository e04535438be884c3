/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "daemon/instance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDER "/run"

static int fail(char *why, const char *path, int error)
{
	snprintf(why, INSTANCE_WHY_MAX, "%.120s: %s", path, strerror(error));
	return -error;
}

/* Says who holds the lock. */
static int taken(int fd, const char *path, char *why)
{
	char pid[16] = "";
	ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);

	pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
	snprintf(why, INSTANCE_WHY_MAX,
		 "another daemon is running on this host (process %s, %.100s); stop it first "
		 "(`smtpsnoop watch` can run beside it)",
		 pid[0] ? pid : "unknown", path);
	return -EBUSY;
}

/*
 * Whether the path still names this file; otherwise another process may have locked a new file of
 * that name.
 */
static bool is_there(int fd, const char *path)
{
	struct stat here, there;

	return fstat(fd, &here) == 0 && stat(path, &there) == 0 && here.st_dev == there.st_dev &&
	       here.st_ino == there.st_ino;
}

static int write_pid(int fd, const char *path, char *why)
{
	char pid[16];
	int len = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());

	if (fchmod(fd, 0600) || ftruncate(fd, 0) || pwrite(fd, pid, (size_t)len, 0) != len)
		return fail(why, path, errno);
	return 0;
}

int instance_lock(char why[INSTANCE_WHY_MAX])
{
	const char *folder = getenv("RUNTIME_DIRECTORY");
	char path[512];
	int fd, error;

	if (!folder || folder[0] != '/' || strlen(folder) > 400)
		folder = FOLDER;
	if (mkdir(folder, 0755) && errno != EEXIST)
		return fail(why, folder, errno);
	snprintf(path, sizeof(path), "%s/smtpsnoop.pid", folder);
	do {
		/* mode 0600: whoever can open the file can lock it */
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd < 0)
			return fail(why, path, errno);
		error = flock(fd, LOCK_EX | LOCK_NB) ? errno : 0;
		error = error == EWOULDBLOCK ? taken(fd, path, why)
			: error		     ? fail(why, path, error)
			: is_there(fd, path) ? write_pid(fd, path, why)
					     : -EAGAIN;
		if (error)
			close(fd);
	} while (error == -EAGAIN);
	return error; /* the open descriptor holds the lock until the process ends */
}
