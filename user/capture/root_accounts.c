/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: in a chroot or a container, uid 101 is whoever its own etc/passwd names. Who
 * is in there may have put anything there, and the watch runs as root. So:
 *
 *   - The process must be in the watch's own user namespace after its root was opened. Anyone can
 *     make a user namespace with a root of his own, and nobody comes back from one: so the root was
 *     made by root.
 *   - Each step is one component without a symbolic link, so nothing leads out of that root.
 *   - Folders and files must belong to root and be writable by nobody else.
 *   - A file is opened for reading only after it is known to be a regular file, so that no FIFO or
 *     device waits for anybody. Its size is bounded.
 *
 * A root without etc/passwd has no accounts of its own (the chroot of a mail server): its ids are
 * the host's, if it is also in the host's mount namespace. The pipeline knows that.
 */
#include "capture/root_accounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/span.h"
#include "capture/procfs.h"
#include "capture/records.h"

/* A descriptor of a component that can be trusted; -EPERM if it cannot, or another errno. */
static int open_trusted(int folder, const char *name, uid_t trusted, mode_t type)
{
	int fd = openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == type && st.st_uid == trusted &&
	    !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return fd;
	close(fd);
	return -EPERM;
}

/* Opens for reading what an O_PATH descriptor names: the same file, whatever its name is now. */
static int reopen(int fd)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* The whole file, NUL-terminated, which the caller frees; NULL: it cannot be read, or is too large.
 */
static char *read_all(int fd)
{
	char *text = malloc(ACCOUNTS_FILE_MAX + 1U);
	size_t len = 0;
	ssize_t n = 1;

	while (text && n > 0 && len < ACCOUNTS_FILE_MAX) {
		n = read(fd, text + len, ACCOUNTS_FILE_MAX - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (text && n == 0) {
		text[len] = '\0';
		return text;
	}
	free(text);
	return NULL;
}

/* 0, or -ENOENT: there is no such file. Any other errno: it cannot be used. */
static int read_file(int etc, const char *name, uid_t trusted, char **text)
{
	int path = open_trusted(etc, name, trusted, S_IFREG), fd;

	*text = NULL;
	if (path < 0)
		return path;
	fd = reopen(path);
	close(path);
	if (fd < 0)
		return fd;
	*text = read_all(fd);
	close(fd);
	return *text ? 0 : -EFBIG;
}

/* A name that cannot be taken for an id, nor for anything but a name: as shadow-utils allows. */
static bool is_name(struct span name)
{
	bool letter = false;

	for (size_t i = 0; i < name.len; i++) {
		char c = name.data[i];
		bool alpha = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';

		if (!alpha && !(c >= '0' && c <= '9') && !(i && strchr("-.$", c)))
			return false;
		letter = letter || alpha;
	}
	return letter && name.len <= RECORD_NAME_MAX;
}

/* The name of an id in lines NAME:PASSWORD:ID:...; empty if there is none. */
static struct span name_of(const char *text, uint32_t id)
{
	while (text && *text) {
		const char *end = strchrnul(text, '\n'),
			   *colon = memchr(text, ':', (size_t)(end - text));
		const char *number =
			colon ? memchr(colon + 1, ':', (size_t)(end - colon - 1)) : NULL;
		char *behind = NULL;

		if (number && number[1] >= '0' && number[1] <= '9' &&
		    strtoul(number + 1, &behind, 10) == id && *behind == ':') {
			struct span name = {text, (size_t)(colon - text)};

			return is_name(name) ? name : (struct span){"", 0};
		}
		text = *end ? end + 1 : end;
	}
	return (struct span){"", 0};
}

char *root_accounts_at(int root, uid_t trusted, uint32_t uid, uint32_t gid)
{
	int etc = open_trusted(root, "etc", trusted, S_IFDIR), error;
	char *users = NULL, *groups = NULL, *out = NULL;
	struct span user, group;

	error = etc < 0 ? etc : read_file(etc, "passwd", trusted, &users);
	if (error) {
		if (etc >= 0)
			close(etc);
		return strdup(error == -ENOENT ? "host" : "");
	}
	read_file(etc, "group", trusted, &groups);
	close(etc);
	user = name_of(users, uid);
	group = name_of(groups, gid);
	if (asprintf(&out, "own:%.*s:%.*s", (int)user.len, user.data, (int)group.len, group.data) <
	    0)
		out = NULL;
	free(users);
	free(groups);
	return out;
}

/* Whether the process is in the watch's own user namespace. */
static bool is_in_own_user_namespace(int dir)
{
	struct stat own, its;

	return stat("/proc/self/ns/user", &own) == 0 && fstatat(dir, "ns/user", &its, 0) == 0 &&
	       own.st_ino == its.st_ino && own.st_dev == its.st_dev;
}

static bool is_process(int dir, uint64_t start_ns)
{
	struct procfs_stat stat;

	return procfs_stat(dir, &stat) == 0 &&
	       stat.start_ns / procfs_tick_ns() == start_ns / procfs_tick_ns();
}

/* The process's root directory; a negative number: it cannot be trusted. */
static int open_root(int dir, uint64_t start_ns)
{
	int root;
	struct stat st;

	if (!is_process(dir, start_ns))
		return -ESRCH;
	root = openat(dir, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return -errno;
	if (is_in_own_user_namespace(dir) && fstat(root, &st) == 0 && st.st_uid == 0 &&
	    !(st.st_mode & (S_IWGRP | S_IWOTH)))
		return root;
	close(root);
	return -EPERM;
}

char *root_accounts(uint32_t pid, uint64_t start_ns, uint32_t uid, uint32_t gid)
{
	int dir = procfs_open(pid), root = dir < 0 ? dir : open_root(dir, start_ns);
	char *text = root < 0 ? strdup("") : root_accounts_at(root, 0, uid, gid);

	if (root >= 0)
		close(root);
	if (dir >= 0)
		close(dir);
	return text;
}
