/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a process is read file by file while it runs. Everything is read below one
 * descriptor of its directory, which never becomes another process's. The state and the file behind
 * exe are read once more at the end; if either changed (an exec, a new parent), everything is read
 * again.
 *
 * Nothing here may wait for another process: files are examined with AT_STATX_DONT_SYNC, no path is
 * resolved, and the kernel reads arguments from anonymous memory only (since 4.17), not from a file
 * system that its owner may have stopped.
 *
 * The text of a link is the path from the root of the mount tree that the file is in. A process of
 * this mount namespace may run a file of another namespace (through a descriptor that somebody
 * passed to it), where the owner may mount anything anywhere; such a path is reported without its
 * root. The link count shows that a file has no name any more, because " (deleted)" may be part of
 * a name.
 */
#include "capture/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "capture/procfs.h"

#define LINK_MAX_LEN 4096U
#define NS_PER_S     1000000000ULL
#define TRIES	     3
#define PARENTS	     64U /* start times that are cached, because parents have many children */

_Static_assert(2 * LINK_MAX_LEN + EXEC_ARGS_MAX <= EXEC_DATA_MAX, "the parts of a snapshot fit");

/* What stays the same for all processes. */
struct scan {
	snapshot_fn on_record;
	void *context;
	struct exec_record *record; /* with room for EXEC_DATA_MAX */
	dev_t memfd_dev;	    /* the file system of memfds; 0: unknown */
	ino_t mount_ns;		    /* our own */
	uint64_t *mounts;	    /* ids of its mounts, sorted; read when first needed */
	size_t mount_count;
	bool mounts_read;
	struct {
		uint32_t pid;
		uint64_t start_ns;
	} parents[PARENTS];
};

/* ---- Mounts ---------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* Reads the first field of each line of mountinfo (proc(5)). */
static void read_mounts(struct scan *scan)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0, room = 0;

	scan->mounts_read = true;
	if (!file)
		return;
	while (getline(&line, &size, file) > 0) {
		if (scan->mount_count == room) {
			uint64_t *mounts = realloc(scan->mounts, (room + 64) * 2 * sizeof(*mounts));

			if (!mounts)
				break;
			scan->mounts = mounts;
			room = (room + 64) * 2;
		}
		scan->mounts[scan->mount_count++] = strtoull(line, NULL, 10);
	}
	free(line);
	fclose(file);
	if (scan->mount_count)
		qsort(scan->mounts, scan->mount_count, sizeof(*scan->mounts), compare);
}

/* Whether a process of our mount namespace runs a file that is in none of its mounts. */
static bool is_foreign(struct scan *scan, int dir, const struct statx *file)
{
	const uint64_t mount = file->stx_mnt_id;
	struct stat ns;

	if (!(file->stx_mask & STATX_MNT_ID)) /* before 5.8 */
		return false;
	if (!scan->mounts_read)
		read_mounts(scan);
	if (!scan->mount_count ||
	    bsearch(&mount, scan->mounts, scan->mount_count, sizeof(mount), compare))
		return false;
	return fstatat(dir, "ns/mnt", &ns, 0) || ns.st_ino == scan->mount_ns;
}

/* ---- Links ----------------------------------------------------------------------------------- */

/*
 * Appends "/usr/bin/msmtp" as "msmtp\0bin\0usr\0", and the root as one empty component. Returns the
 * bytes written.
 */
static size_t append_leaf_first(char *out, const char *path, size_t len)
{
	size_t at = 0, end = len;

	while (end) {
		size_t start = end;

		while (start && path[start - 1] != '/')
			start--;
		memcpy(out + at, path + start, end - start);
		at += end - start;
		out[at++] = '\0';
		end = start ? start - 1 : 0;
	}
	return at;
}

static bool cut_suffix(const char *text, size_t *len, const char *suffix)
{
	const size_t suffix_len = strlen(suffix);

	if (*len <= suffix_len || memcmp(text + *len - suffix_len, suffix, suffix_len) != 0)
		return false;
	*len -= suffix_len;
	return true;
}

static bool is_memfd(const struct scan *scan, const struct statx *file, const char *path,
		     size_t len)
{
	return len > 1 && path[0] == '/' && scan->memfd_dev && file->stx_nlink == 0 &&
	       makedev(file->stx_dev_major, file->stx_dev_minor) == scan->memfd_dev;
}

/* Appends the executable's path. Returns the bytes written, or a negative errno. */
static ssize_t append_exe(struct scan *scan, int dir, const struct statx *file)
{
	struct exec_record *record = scan->record;
	char path[LINK_MAX_LEN];
	ssize_t n = readlinkat(dir, "exe", path, sizeof(path));
	size_t len = (size_t)n;

	if (n < 0 && errno != ENAMETOOLONG)
		return -errno;
	if (n < 0 || len == sizeof(path)) {
		record->flags |= EXEC_PATH_TRUNCATED;
		return 0;
	}
	if (file->stx_nlink == 0) {
		record->flags |= EXEC_DELETED;
		cut_suffix(path, &len, " (deleted)");
	}
	if (is_memfd(scan, file, path, len)) {
		record->flags |= EXEC_MEMFD;
		memcpy(record->data, path + 1, len - 1);
		record->data[len - 1] = '\0';
		return (ssize_t)len;
	}
	if (len == 0 || path[0] != '/' || is_foreign(scan, dir, file))
		record->flags |= EXEC_PATH_TRUNCATED;
	return (ssize_t)append_leaf_first(record->data, path, len);
}

/* Appends the working directory's path, if it is known. Returns the bytes written. */
static size_t append_cwd(int dir, char *out)
{
	char path[LINK_MAX_LEN];
	ssize_t n = readlinkat(dir, "cwd", path, sizeof(path));
	size_t len = n > 0 ? (size_t)n : 0, kept = len;
	struct statx file;

	if (len == 0 || len == sizeof(path) || path[0] != '/')
		return 0;
	if (cut_suffix(path, &kept, " (deleted)") &&
	    statx(dir, "cwd", AT_STATX_DONT_SYNC, STATX_NLINK, &file) == 0 && file.stx_nlink == 0)
		len = kept;
	return append_leaf_first(out, path, len);
}

/* ---- One process ----------------------------------------------------------------------------- */

static uint64_t boottime_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

static int stat_exe(int dir, struct statx *file)
{
	return statx(dir, "exe", AT_STATX_DONT_SYNC, STATX_BASIC_STATS | STATX_MNT_ID, file)
		       ? -errno
		       : 0;
}

/* Appends the arguments. Returns the bytes written. */
static size_t append_args(struct exec_record *record, int dir, char *out)
{
	char args[EXEC_ARGS_MAX + 1];
	ssize_t n = procfs_read(dir, "cmdline", args, sizeof(args));

	if (n < 0)
		record->flags |= EXEC_ARGS_UNREAD;
	if (n <= 0)
		return 0;
	if ((size_t)n > EXEC_ARGS_MAX) {
		record->flags |= EXEC_ARGS_TRUNCATED;
		n = EXEC_ARGS_MAX;
	}
	/* setproctitle() leaves NULs after its title */
	while (n > 1 && !args[n - 1] && !args[n - 2])
		n--;
	memcpy(out, args, (size_t)n);
	return (size_t)n;
}

/*
 * When the parent started; 0 if unknown. A process that started after its child is not the parent:
 * it got the pid later.
 */
static uint64_t parent_start(struct scan *scan, uint32_t pid, uint64_t child_start_ns)
{
	const size_t slot = pid % PARENTS;
	struct procfs_stat stat;
	int dir;

	if (!pid)
		return 0;
	if (scan->parents[slot].pid != pid) {
		dir = procfs_open(pid);
		if (dir < 0)
			return 0;
		if (procfs_stat(dir, &stat) == 0) {
			scan->parents[slot].pid = pid;
			scan->parents[slot].start_ns = stat.start_ns;
		}
		close(dir);
	}
	if (scan->parents[slot].pid != pid || scan->parents[slot].start_ns > child_start_ns)
		return 0;
	return scan->parents[slot].start_ns;
}

/* Fills the scan's record once. 0 or a negative errno; -EAGAIN if the process changed meanwhile. */
static int read_process(struct scan *scan, int dir, const struct procfs_stat *stat)
{
	struct exec_record *record = scan->record;
	struct procfs_stat again;
	struct statx file, file_again;
	ssize_t n;
	size_t at;
	int error = stat_exe(dir, &file);

	if (error)
		return error;
	memset(record, 0, sizeof(*record));
	record->flags = EXEC_SNAPSHOT;
	n = append_exe(scan, dir, &file);
	if (n < 0)
		return (int)n;
	record->exe_len = (__u16)n;
	at = (size_t)n;
	record->cwd_len = (__u16)append_cwd(dir, record->data + at);
	at += record->cwd_len;
	record->args_len = (__u16)append_args(record, dir, record->data + at);
	at += record->args_len;
	record->dev = file.stx_dev_major << 20 | file.stx_dev_minor;
	record->inode = file.stx_ino;
	record->size = file.stx_size;
	record->ctime_ns = (__u64)file.stx_ctime.tv_sec * NS_PER_S + file.stx_ctime.tv_nsec;
	record->parent_pid = stat->parent_pid;
	record->parent_start_ns = parent_start(scan, stat->parent_pid, stat->start_ns);
	record->h = (struct record){RECORD_EXEC, (__u32)(sizeof(*record) + at), boottime_ns()};
	error = procfs_stat(dir, &again);
	if (!error)
		error = stat_exe(dir, &file_again);
	if (error)
		return error;
	if (again.start_ns != stat->start_ns)
		return -ESRCH;
	if (again.parent_pid != stat->parent_pid || file_again.stx_ino != file.stx_ino ||
	    file_again.stx_dev_major != file.stx_dev_major ||
	    file_again.stx_dev_minor != file.stx_dev_minor)
		return -EAGAIN;
	return 0;
}

static int scan_process(struct scan *scan, uint32_t pid, uint64_t start_ns)
{
	struct procfs_stat stat;
	int dir = procfs_open(pid), error = -EAGAIN;

	if (dir < 0)
		return dir == -ENOENT ? -ESRCH : dir;
	for (int i = 0; i < TRIES && error == -EAGAIN; i++) {
		error = procfs_stat(dir, &stat);
		if (!error && start_ns &&
		    (stat.start_ns > start_ns || start_ns - stat.start_ns >= procfs_tick_ns()))
			error = -ESRCH;
		if (!error)
			error = read_process(scan, dir, &stat);
	}
	close(dir);
	if (error)
		return error;
	scan->record->pid = pid;
	scan->record->start_ns = scan->record->exec_ns = stat.start_ns;
	scan->on_record(scan->context, &scan->record->h);
	return 0;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static int scan_begin(struct scan *scan, snapshot_fn on_record, void *context)
{
	int memfd = memfd_create("smtpsnoop", MFD_CLOEXEC);
	struct stat stat;

	*scan = (struct scan){.on_record = on_record, .context = context};
	scan->record = calloc(1, sizeof(*scan->record) + EXEC_DATA_MAX);
	if (memfd >= 0) {
		if (fstat(memfd, &stat) == 0)
			scan->memfd_dev = stat.st_dev;
		close(memfd);
	}
	if (fstatat(AT_FDCWD, "/proc/self/ns/mnt", &stat, 0) == 0)
		scan->mount_ns = stat.st_ino;
	return scan->record ? 0 : -ENOMEM;
}

static void scan_end(struct scan *scan)
{
	free(scan->record);
	free(scan->mounts);
}

int snapshot_process(uint32_t pid, uint64_t start_ns, snapshot_fn on_record, void *context)
{
	struct scan scan;
	int error = scan_begin(&scan, on_record, context);

	if (!error)
		error = scan_process(&scan, pid, start_ns);
	scan_end(&scan);
	return error;
}

static bool is_pid(const char *name, uint32_t *pid)
{
	char *end = NULL;
	unsigned long value = strtoul(name, &end, 10);

	*pid = (uint32_t)value;
	return name[0] >= '1' && name[0] <= '9' && *end == '\0' && value <= UINT32_MAX;
}

int snapshot_processes(snapshot_fn on_record, void *context)
{
	const struct dirent *entry;
	struct scan scan;
	int error = scan_begin(&scan, on_record, context), count = 0;
	DIR *proc = opendir("/proc");

	if (!proc && !error)
		error = -errno;
	while (proc && !error && (entry = readdir(proc))) {
		uint32_t pid;

		if (is_pid(entry->d_name, &pid) && scan_process(&scan, pid, 0) == 0)
			count++;
	}
	if (proc)
		closedir(proc);
	scan_end(&scan);
	return error ? error : count;
}
