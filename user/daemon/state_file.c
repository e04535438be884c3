/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the file is a few lines of text, and it is read exactly: what is read is
 * written again into memory, and must be equal. Every write makes a new file and renames it, so
 * that a reader, or a crash, finds the old content or the new one. The name is never followed as a
 * symbolic link: rename(2) replaces a link, and reading refuses it.
 */
#include "daemon/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"

#define STATE_NEW  "run.state.new"
#define STATE_LOCK "run.lock"
#define OTHERS	   (S_IWGRP | S_IWOTH)

static int fail(char *why, int error, const char *what)
{
	snprintf(why, STATE_WHY_MAX, "%s", what ? what : strerror(-error));
	return error;
}

/* ---- The folder ------------------------------------------------------------------------------ */

/* Nobody but root and this user can have written it. */
static bool is_ours(const struct stat *stat)
{
	return stat->st_uid == geteuid() && !(stat->st_mode & OTHERS);
}

static int lock_folder(int folder, char *why)
{
	/* mode 0600: whoever can open the file can lock it */
	int lock = openat(folder, STATE_LOCK, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	int error;

	if (lock < 0)
		return fail(why, -errno, NULL);
	if (flock(lock, LOCK_EX | LOCK_NB) == 0)
		return lock;
	error = errno == EWOULDBLOCK ? -EBUSY : -errno;
	close(lock);
	return fail(why, error, error == -EBUSY ? "another daemon uses this folder" : NULL);
}

int state_folder_open(const char *path, int *folder, int *lock, char why[STATE_WHY_MAX])
{
	struct stat stat;
	int fd, locked;

	if (mkdir(path, 0700) && errno != EEXIST)
		return fail(why, -errno, NULL);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return fail(why, -errno, NULL);
	if (fstat(fd, &stat) || !is_ours(&stat)) {
		close(fd);
		return fail(why, -EPERM,
			    "the folder must belong to the daemon's user, and others must not be "
			    "able to write in it");
	}
	locked = lock_folder(fd, why);
	if (locked < 0) {
		close(fd);
		return locked;
	}
	*folder = fd;
	*lock = locked;
	return 0;
}

/* ---- The text -------------------------------------------------------------------------------- */

/* Returns its length. */
static size_t put_text(char text[STATE_FILE_MAX], const struct run_mark *mark)
{
	char boot[2 * BOOT_ID_LEN + 1];
	int len;

	for (size_t i = 0; i < BOOT_ID_LEN; i++)
		text_hex(boot + 2 * i, mark->boot[i], 2);
	len = snprintf(text, STATE_FILE_MAX,
		       "smtpsnoop run 1\nboot %s\nboottime %" PRIu64 "\nrealtime %" PRId64
		       "\nend %s\n",
		       boot, mark->boottime_ns, mark->realtime_ns,
		       mark->stopped ? "stopped" : "none");
	return len > 0 && (size_t)len < STATE_FILE_MAX ? (size_t)len : 0;
}

/* `text` ends with a NUL. */
static bool get_text(const char *text, size_t len, struct run_mark *mark)
{
	char boot[2 * BOOT_ID_LEN + 1] = "", end[8] = "", again[STATE_FILE_MAX];

	if (sscanf(text,
		   "smtpsnoop run 1 boot %32[0-9a-f] boottime %" SCNu64 " realtime %" SCNd64
		   " end %7[a-z]",
		   boot, &mark->boottime_ns, &mark->realtime_ns, end) != 4)
		return false;
	for (size_t i = 0; i < BOOT_ID_LEN; i++) {
		unsigned int byte = 0;

		sscanf(boot + 2 * i, "%2x", &byte);
		mark->boot[i] = (uint8_t)byte;
	}
	mark->stopped = strcmp(end, "stopped") == 0;
	return put_text(again, mark) == len && memcmp(again, text, len) == 0;
}

/* ---- The file -------------------------------------------------------------------------------- */

static int read_open(int fd, struct run_mark *mark, char *why)
{
	char text[STATE_FILE_MAX + 1];
	struct run_mark found = {.boottime_ns = 0};
	struct stat stat;
	ssize_t len;

	if (fstat(fd, &stat))
		return fail(why, -errno, NULL);
	if (!S_ISREG(stat.st_mode) || !is_ours(&stat))
		return fail(why, -EPERM, "not a file that the daemon's user alone can write");
	len = read(fd, text, STATE_FILE_MAX);
	if (len < 0)
		return fail(why, -errno, NULL);
	text[len] = '\0';
	if (!get_text(text, (size_t)len, &found))
		return fail(why, -EBADMSG, "damaged");
	*mark = found;
	return 0;
}

int state_read(int folder, struct run_mark *mark, char why[STATE_WHY_MAX])
{
	int fd = openat(folder, STATE_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	int error;

	if (fd < 0)
		return fail(why, -errno, errno == ELOOP ? "a symbolic link" : NULL);
	error = read_open(fd, mark, why);
	close(fd);
	return error;
}

static int write_new(int folder, const char *text, size_t len, bool sync)
{
	int fd, error = 0;

	unlinkat(folder, STATE_NEW, 0); /* a crash may have left it */
	fd = openat(folder, STATE_NEW, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	if (write(fd, text, len) != (ssize_t)len)
		error = errno ? -errno : -EIO;
	if (!error && sync && fsync(fd))
		error = -errno;
	if (close(fd) && !error)
		error = -errno;
	return error;
}

int state_write(int folder, const struct run_mark *mark, bool sync)
{
	char text[STATE_FILE_MAX];
	int error;

	errno = 0;
	error = write_new(folder, text, put_text(text, mark), sync);
	if (!error && renameat(folder, STATE_NEW, folder, STATE_FILE))
		error = -errno;
	if (!error && sync && fsync(folder))
		error = -errno;
	return error;
}

/* ---- What it means --------------------------------------------------------------------------- */

static bool is_same_boot(const struct run_mark *mark, const struct run_mark *now)
{
	static const uint8_t unknown[BOOT_ID_LEN];

	return memcmp(mark->boot, now->boot, BOOT_ID_LEN) == 0 &&
	       memcmp(mark->boot, unknown, BOOT_ID_LEN) != 0;
}

/* Only the wall clock goes on over a boot, and it may have been set back. */
static void compare_realtime(const struct run_mark *mark, const struct run_mark *now,
			     struct run_record *record)
{
	record->flags = RUN_REBOOTED;
	record->ended_ns = mark->realtime_ns;
	if (now->realtime_ns >= mark->realtime_ns)
		record->unwatched_ns = (uint64_t)now->realtime_ns - (uint64_t)mark->realtime_ns;
	else
		record->flags |= RUN_CLOCK_BACK;
}

void state_compare(const struct run_mark *mark, const struct run_mark *now,
		   struct run_record *record)
{
	record->end = mark->stopped ? RUN_STOPPED : RUN_KILLED;
	record->flags = 0;
	record->ended_ns = 0;
	record->unwatched_ns = 0;
	if (!is_same_boot(mark, now)) {
		compare_realtime(mark, now, record);
		return;
	}
	if (mark->boottime_ns > now->boottime_ns) { /* no run of this boot can have written it */
		record->end = RUN_UNKNOWN;
		return;
	}
	record->unwatched_ns = now->boottime_ns - mark->boottime_ns;
	/* by the wall clock of now, in which the other events are */
	record->ended_ns = now->realtime_ns - (int64_t)record->unwatched_ns;
}
