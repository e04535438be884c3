/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the file's device, inode, ctime and size must be those of the exec, before
 * and after the file is read.
 *
 * Writing to a file sets its ctime. But the clock behind ctime advances only with the tick, so a
 * file that was made within one tick of its exec could be written again without a trace once the
 * process has ended (while it runs, the kernel refuses writes). Such a file is hashed only if the
 * process still runs it after it was read.
 *
 * A file system in user space can serve different bytes to every reader: files on FUSE are not
 * hashed. On overlayfs and btrfs, stat(2) reports a device other than the superblock's, which is
 * the one seen at the exec: no hash there.
 */
#include "capture/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>

#include <openssl/evp.h>

#ifndef FUSE_SUPER_MAGIC /* Linux 5.13 */
#define FUSE_SUPER_MAGIC 0x65735546
#endif

#include "base/clock.h"

#define READ_SIZE 65536U
#define PATH_SIZE 8192U
#define NS_PER_S  1000000000ULL
#define COARSE_NS 2000000000ULL /* of file systems whose times have no fraction of a second */

static bool same_file(int fd, const struct hash_record *sought)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == sought->inode &&
	       (major(st.st_dev) << 20 | minor(st.st_dev)) == sought->dev &&
	       (uint64_t)st.st_size == sought->size &&
	       (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec ==
		       sought->ctime_ns;
}

/*
 * An O_PATH descriptor of the file that is sought, if this is its path; else -1. The file is
 * checked before it is opened for reading: opening a pipe or a device may block, or have an effect.
 */
static int find_place(const char *path, const struct hash_record *sought)
{
	int place = open(path, O_PATH | O_CLOEXEC);

	if (place >= 0 && !same_file(place, sought)) {
		close(place);
		place = -1;
	}
	return place;
}

/* Opens the file for reading. Leaves its atime alone and waits for no lease. */
static int open_place(int place)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct statfs fs;
	char path[32];
	int fd;

	if (fstatfs(place, &fs) || fs.f_type == FUSE_SUPER_MAGIC)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	fd = open(path, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

static int open_executable(const struct hash_source *source, const struct hash_record *sought)
{
	const bool absolute = source->path[0] == '/';
	char path[PATH_SIZE];
	int place, fd;

	snprintf(path, sizeof(path), "/proc/%u/exe", source->pid);
	place = find_place(path, sought);
	if (place < 0 && absolute &&
	    snprintf(path, sizeof(path), "/proc/%u/root%s", source->pid, source->path) <
		    (int)sizeof(path))
		place = find_place(path, sought);
	if (place < 0 && absolute)
		place = find_place(source->path, sought);
	if (place < 0)
		return -1;
	fd = open_place(place);
	close(place);
	return fd;
}

static bool hash_file(int fd, const _Atomic bool *stop, unsigned char *sha256)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *buffer = malloc(READ_SIZE);
	bool good = context && buffer && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	ssize_t n = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (good && (n = read(fd, buffer, READ_SIZE)) > 0)
		good = EVP_DigestUpdate(context, buffer, (size_t)n) == 1 && !*stop;
	good = good && n == 0 && EVP_DigestFinal_ex(context, sha256, NULL) == 1;
	free(buffer);
	EVP_MD_CTX_free(context);
	return good;
}

/* Whether the file could have been written after the exec and still have its ctime from before. */
static bool is_racy(uint64_t exec_ns, uint64_t ctime_ns)
{
	const uint64_t exec_real_ns =
		exec_ns + (clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME));
	struct timespec tick = {0, 0};
	uint64_t window_ns = COARSE_NS;

	clock_getres(CLOCK_REALTIME_COARSE, &tick);
	if (ctime_ns % NS_PER_S) /* and a millisecond: the two clocks were not read at once */
		window_ns =
			(uint64_t)tick.tv_sec * NS_PER_S + (uint64_t)tick.tv_nsec + NS_PER_S / 1000;
	return exec_real_ns < ctime_ns + window_ns;
}

static bool still_runs(uint32_t pid, const struct hash_record *sought)
{
	char path[32];
	int place;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	place = find_place(path, sought);
	if (place >= 0)
		close(place);
	return place >= 0;
}

void hash_executable(struct hash_record *record, const struct hash_source *source,
		     const _Atomic bool *stop)
{
	int fd = record->size <= HASH_FILE_MAX ? open_executable(source, record) : -1;

	if (fd < 0)
		return;
	record->valid =
		same_file(fd, record) && hash_file(fd, stop, record->sha256) &&
		same_file(fd, record) &&
		(!is_racy(source->exec_ns, record->ctime_ns) || still_runs(source->pid, record));
	if (!record->valid)
		memset(record->sha256, 0, sizeof(record->sha256));
	close(fd);
}
