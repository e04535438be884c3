/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a file is first opened as a place (O_PATH), which has no effect, and is
 * checked. Only a regular file is opened for reading. A path comes from the process that is looked
 * at, so it may name a pipe, a device, or another user's file.
 */
#include "capture/library_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "capture/procfs.h"

#ifndef FUSE_SUPER_MAGIC /* Linux 5.13 */
#define FUSE_SUPER_MAGIC 0x65735546
#endif
#ifndef OVERLAYFS_SUPER_MAGIC
#define OVERLAYFS_SUPER_MAGIC 0x794c7630
#endif
/* linux/nsfs.h */
#define NS_PARENT _IO(0xb7, 0x2)
#define NS_OWNER  _IO(0xb7, 0x4)

#define PATH_SIZE      (PATH_MAX + 64)
#define MAPS_MAX       (1U << 20) /* bytes of a process's mappings that are searched */
#define NAMESPACES_MAX 33	  /* the kernel allows this many, one in another */
#define NS_PER_S       1000000000ULL

/* ---- What a file is -------------------------------------------------------------------------- */

static uint64_t in_ns(const struct timespec *time)
{
	return (uint64_t)time->tv_sec * NS_PER_S + (uint64_t)time->tv_nsec;
}

static int identify(const struct stat *st, struct file_identity *identity)
{
	if (!S_ISREG(st->st_mode))
		return -ENODEV;
	*identity = (struct file_identity){.device = st->st_dev,
					   .inode = st->st_ino,
					   .ctime_ns = in_ns(&st->st_ctim),
					   .mtime_ns = in_ns(&st->st_mtim),
					   .size = (uint64_t)st->st_size,
					   .owner = st->st_uid};
	return 0;
}

int library_file_identify(int fd, struct file_identity *identity)
{
	struct stat st;

	return fstat(fd, &st) ? -errno : identify(&st, identity);
}

int library_file_at(const char *path, struct file_identity *identity)
{
	struct stat st;

	return stat(path, &st) ? -errno : identify(&st, identity);
}

uint64_t library_file_device(const struct mapping *mapping)
{
	return makedev(mapping->major, mapping->minor);
}

static void map_file(char *path, size_t size, uint32_t pid, uint64_t start, uint64_t end)
{
	snprintf(path, size, "/proc/%u/map_files/%" PRIx64 "-%" PRIx64, pid, start, end);
}

int library_file_mapped(uint32_t pid, uint64_t start, uint64_t end, struct file_identity *identity)
{
	char path[80];
	int error;

	map_file(path, sizeof(path), pid, start, end);
	error = library_file_at(path, identity);
	return error == -ESRCH ? -ENOENT : error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Opens a place for reading. Leaves its atime alone and waits for no lease. */
static int open_place(int place, struct file_identity *identity)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct statfs fs;
	char path[32];
	int fd;

	if (fstatfs(place, &fs))
		return -errno;
	if (fs.f_type == FUSE_SUPER_MAGIC)
		return -EXDEV;
	identity->overlay = fs.f_type == OVERLAYFS_SUPER_MAGIC;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	fd = open(path, flags | O_NOATIME);
	if (fd < 0 && errno == EPERM)
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

static bool is_mapped_file(const struct mapping *mapping, const struct file_identity *identity)
{
	return identity->inode == mapping->inode &&
	       identity->device == library_file_device(mapping);
}

/* `mapping`: the file must be this one; NULL: any. */
static int open_at(const char *path, const struct mapping *mapping, struct file_identity *identity)
{
	int place = open(path, O_PATH | O_CLOEXEC), fd;

	if (place < 0)
		return -errno;
	fd = library_file_identify(place, identity);
	if (!fd && mapping && !is_mapped_file(mapping, identity))
		fd = -ENOENT;
	if (!fd)
		fd = open_place(place, identity);
	close(place);
	return fd;
}

struct search {
	const struct mapping *sought;
	struct mapping found; /* `end` 0: not found */
};

static void compare(void *context, const struct mapping *mapping)
{
	struct search *search = context;

	if (!search->found.end && mapping->inode == search->sought->inode &&
	    mapping->major == search->sought->major && mapping->minor == search->sought->minor)
		search->found = *mapping;
}

/* Another executable mapping of the same file: the first one may have been split. */
static bool find_again(uint32_t pid, const struct mapping *mapping, struct mapping *found)
{
	struct search search = {.sought = mapping};
	int dir = procfs_open(pid);
	char *maps = dir >= 0 ? malloc(MAPS_MAX) : NULL;
	ssize_t len = maps ? procfs_read(dir, "maps", maps, MAPS_MAX) : 0;

	if (len > 0)
		mapping_each(maps, (size_t)len, compare, &search);
	free(maps);
	if (dir >= 0)
		close(dir);
	*found = search.found;
	return search.found.end != 0;
}

static int open_mapped(uint32_t pid, const struct mapping *mapping, struct file_identity *identity)
{
	char path[80];

	map_file(path, sizeof(path), pid, mapping->start, mapping->end);
	return open_at(path, NULL, identity);
}

int library_file_open(uint32_t pid, const struct mapping *mapping, struct file_identity *identity)
{
	int fd = open_mapped(pid, mapping, identity);
	struct mapping again;
	char path[PATH_SIZE];

	if (fd != -ENOENT && fd != -ESRCH)
		return fd;
	if (find_again(pid, mapping, &again))
		return open_mapped(pid, &again, identity);
	if (mapping->path[0] != '/' || strlen(mapping->path) >= PATH_MAX)
		return -ENOENT;
	snprintf(path, sizeof(path), "/proc/%u/root%s", pid, mapping->path);
	fd = open_at(path, mapping, identity);
	return fd < 0 && fd != -EXDEV ? open_at(mapping->path, mapping, identity) : fd;
}

int library_file_open_path(const char *path, struct file_identity *identity)
{
	return open_at(path, NULL, identity);
}

/* ---- Who pays -------------------------------------------------------------------------------- */

static uint32_t real_user(int dir)
{
	char status[4096];
	ssize_t len = procfs_read(dir, "status", status, sizeof(status) - 1);
	const char *line;

	if (len <= 0)
		return VERDICT_OTHER_USER;
	status[len] = '\0';
	line = strstr(status, "\nUid:\t");
	return line ? (uint32_t)strtoul(line + 6, NULL, 10) : VERDICT_OTHER_USER;
}

/* Whether a descriptor is of the user namespace that this program runs in. */
static bool is_own_namespace(int fd)
{
	struct stat theirs, own;

	return fstat(fd, &theirs) || stat("/proc/self/ns/user", &own) ||
	       theirs.st_ino == own.st_ino;
}

uint32_t library_file_user(uint32_t pid)
{
	int dir = procfs_open(pid), fd;
	uint32_t user;
	uid_t owner;

	if (dir < 0)
		return VERDICT_OTHER_USER;
	user = real_user(dir);
	fd = openat(dir, "ns/user", O_RDONLY | O_CLOEXEC);
	for (int i = 0; fd >= 0 && i < NAMESPACES_MAX && !is_own_namespace(fd); i++) {
		int parent = ioctl(fd, NS_PARENT);

		if (!ioctl(fd, NS_OWNER, &owner))
			user = owner;
		close(fd);
		fd = parent;
	}
	if (fd >= 0)
		close(fd);
	close(dir);
	return user;
}
