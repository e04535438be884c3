/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A file that is appended to, and standard output.
 *
 * A file is opened for appending and never truncated: after a rotation, records go to the file
 * under its new name until it is reopened. When a full disk cuts a record off, the rest follows
 * later, so that every line is whole; a line that an earlier run cut off at its end is ended first.
 *
 * Standard output may be a pipe that nobody reads. It is written in pieces that fit, so that the
 * thread can always be ended.
 */
#include "output/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <linux/limits.h>

#define FILE_MODE 0640

struct file {
	struct transport transport;
	char *path;	/* NULL: standard output */
	int fd;		/* -1: not open */
	size_t written; /* bytes of the next record that were written */
	bool torn;	/* it ends in the middle of a line, which must be ended first */
};

/* ---- Records of which a part was written ----------------------------------------------------- */

/* Notes that `len` more bytes were written. Returns how many records are whole now. */
static int advance(struct file *file, const struct iovec *records, int count, size_t len)
{
	int whole = 0;

	file->written += len;
	while (whole < count && file->written >= records[whole].iov_len)
		file->written -= records[whole++].iov_len;
	return whole;
}

static int file_send(struct transport *transport, const struct iovec *records, int count)
{
	struct file *file = (struct file *)transport;
	struct iovec rest[TRANSPORT_BATCH];
	ssize_t len;

	if (file->torn && write(file->fd, "\n", 1) != 1)
		return errno == EINTR ? 0 : -errno;
	file->torn = false;
	memcpy(rest, records, (size_t)count * sizeof(rest[0]));
	rest[0].iov_base = (char *)rest[0].iov_base + file->written;
	rest[0].iov_len -= file->written;
	len = writev(file->fd, rest, count);
	if (len < 0)
		return errno == EINTR ? 0 : -errno;
	return advance(file, records, count, (size_t)len);
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Whether an earlier run left its last line without an end. */
static bool is_torn(int fd, const struct stat *info)
{
	char last = '\n';

	return info->st_size && pread(fd, &last, 1, info->st_size - 1) == 1 && last != '\n';
}

/* Removes a partly written record from the old file: it goes whole into the new one. */
static void take_back(struct file *file)
{
	struct stat info;

	if (file->written && fstat(file->fd, &info) == 0 && info.st_size >= (off_t)file->written &&
	    ftruncate(file->fd, info.st_size - (off_t)file->written))
		return; /* the line stays torn; the full disk was reported */
	file->written = 0;
}

/*
 * Accepts regular files only: a FIFO or a device could block the thread for ever. Follows no
 * symbolic link: whoever may write to the folder could point it at another file of root's.
 */
static int file_open(struct transport *transport)
{
	struct file *file = (struct file *)transport;
	int fd = open(file->path,
		      O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW,
		      FILE_MODE),
	    error;
	struct stat info;

	if (fd < 0)
		return -errno;
	error = fstat(fd, &info) ? -errno : S_ISREG(info.st_mode) ? 0 : -EINVAL;
	if (error) {
		close(fd);
		return error;
	}
	if (file->fd >= 0) {
		take_back(file);
		close(file->fd);
	}
	file->fd = fd;
	file->written = 0;
	file->torn = is_torn(fd, &info);
	return 0;
}

static bool file_is_broken(const struct transport *transport, int error)
{
	(void)transport;
	return error != -ENOSPC && error != -EDQUOT && error != -EFBIG;
}

/* Whether its last name is gone: records written to it would be lost. */
static bool file_is_gone(const struct transport *transport)
{
	struct stat info;

	return fstat(((const struct file *)transport)->fd, &info) == 0 && !info.st_nlink;
}

static void file_free(struct transport *transport)
{
	struct file *file = (struct file *)transport;

	if (file->path && file->fd >= 0)
		close(file->fd);
	free(file->path);
	free(file);
}

struct transport *transport_file_new(const char *path)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->transport = (struct transport){.open = file_open,
					     .send = file_send,
					     .is_broken = file_is_broken,
					     .is_gone = file_is_gone,
					     .free = file_free};
	file->fd = -1;
	file->path = strdup(path);
	if (file->path)
		return &file->transport;
	free(file);
	return NULL;
}

/* ---- Standard output ------------------------------------------------------------------------- */

static int stdout_open(struct transport *transport)
{
	(void)transport;
	return fcntl(STDOUT_FILENO, F_GETFD) < 0 ? -errno : 0;
}

/*
 * Writes at most PIPE_BUF bytes: poll() promises room for no more, and a longer write could block.
 */
static int stdout_send(struct transport *transport, const struct iovec *records, int count)
{
	struct file *file = (struct file *)transport;
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};
	const char *data = (const char *)records[0].iov_base + file->written;
	size_t left = records[0].iov_len - file->written;
	ssize_t len;

	if (poll(&fd, 1, 0) <= 0)
		return 0;
	len = write(STDOUT_FILENO, data, left < PIPE_BUF ? left : PIPE_BUF);
	if (len < 0)
		return errno == EINTR || errno == EAGAIN ? 0 : -errno;
	return advance(file, records, count, (size_t)len);
}

static void stdout_wait(struct transport *transport, int timeout_ms)
{
	struct pollfd fd = {.fd = STDOUT_FILENO, .events = POLLOUT};

	(void)transport;
	poll(&fd, 1, timeout_ms);
}

struct transport *transport_stdout_new(void)
{
	struct file *file = calloc(1, sizeof(*file));

	if (!file)
		return NULL;
	file->transport = (struct transport){.open = stdout_open,
					     .send = stdout_send,
					     .is_broken = file_is_broken,
					     .wait = stdout_wait,
					     .free = file_free};
	file->fd = STDOUT_FILENO;
	return &file->transport;
}
