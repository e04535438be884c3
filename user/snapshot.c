/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a process is read file by file while it runs, so its start is read first and
 * once more at the end; if it is another by then, nothing is told. Whatever of it the process could
 * have chosen (comm, arguments, names) is taken as bytes.
 */
#include "snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define PATH_LEN_MAX 4096U
#define NS_PER_S     1000000000ULL

/* Reads up to `size` bytes of /proc/PID/name. The number read, or a negative errno. */
static ssize_t read_proc(uint32_t pid, const char *name, char *out, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, out, size);
	if (n < 0)
		n = -errno;
	close(fd);
	return n;
}

/*
 * Parent and start from /proc/PID/stat (proc(5), fields 4 and 22). The name stands in parentheses and
 * may hold anything, so the fields are counted from the last ')'.
 */
static int read_stat(uint32_t pid, uint32_t *parent, uint64_t *start_ns)
{
	char buffer[1024], *fields;
	unsigned long long ticks = 0;
	ssize_t n = read_proc(pid, "stat", buffer, sizeof(buffer) - 1);

	if (n <= 0)
		return n ? (int)n : -ESRCH;
	buffer[n] = '\0';
	fields = memrchr(buffer, ')', (size_t)n);
	if (!fields ||
	    sscanf(fields + 1,
		   " %*c %u %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu", parent,
		   &ticks) != 2)
		return -EINVAL;
	*start_ns = ticks * (NS_PER_S / (unsigned long long)sysconf(_SC_CLK_TCK));
	return 0;
}

/* Appends "/usr/bin/msmtp" as "msmtp\0bin\0usr\0"; the bytes written. `out` has room for len + 1. */
static size_t append_leaf_first(char *out, const char *path, size_t len)
{
	size_t at = 0, end = len;

	while (end) {
		size_t start = end;

		while (start && path[start - 1] != '/')
			start--;
		if (end > start) {
			memcpy(out + at, path + start, end - start);
			at += end - start;
			out[at++] = '\0';
		}
		end = start ? start - 1 : 0;
	}
	return at;
}

/* Appends where a link of /proc/PID points to; the bytes written, or a negative errno. */
static ssize_t append_link(uint32_t pid, const char *name, char *out, uint32_t *flags)
{
	static const char deleted[] = " (deleted)", memfd[] = "/memfd:";
	const size_t deleted_len = sizeof(deleted) - 1;
	char path[64], target[PATH_LEN_MAX];
	ssize_t len;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	len = readlink(path, target, sizeof(target));
	if (len < 0)
		return -errno;
	if (*flags & EXEC_DELETED && (size_t)len > deleted_len &&
	    memcmp(target + len - deleted_len, deleted, deleted_len) == 0)
		len -= (ssize_t)deleted_len;
	if (*flags & EXEC_DELETED && (size_t)len >= sizeof(memfd) - 1 &&
	    memcmp(target, memfd, sizeof(memfd) - 1) == 0)
		*flags |= EXEC_MEMFD;
	return (ssize_t)append_leaf_first(out, target, (size_t)len);
}

/* The file behind /proc/PID/exe, as the kernel numbers devices. Kernel threads have none. */
static int read_exe(uint32_t pid, struct exec_record *record)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	if (stat(path, &st))
		return -errno;
	record->dev = major(st.st_dev) << 20 | minor(st.st_dev);
	record->inode = st.st_ino;
	record->size = (__u64)st.st_size;
	record->ctime_ns = (__u64)st.st_ctim.tv_sec * NS_PER_S + (__u64)st.st_ctim.tv_nsec;
	if (st.st_nlink == 0)
		record->flags |= EXEC_DELETED;
	return 0;
}

/* Fills the data part; its length, or a negative errno. */
static ssize_t read_data(uint32_t pid, struct exec_record *record)
{
	uint32_t ignored = 0;
	char probe;
	ssize_t n = append_link(pid, "exe", record->data, &record->flags);
	size_t at;

	if (n < 0)
		return n;
	record->exe_len = (__u16)n;
	at = (size_t)n;
	n = append_link(pid, "cwd", record->data + at, &ignored);
	record->cwd_len = n > 0 ? (__u16)n : 0;
	at += record->cwd_len;
	n = read_proc(pid, "cmdline", record->data + at, EXEC_ARGS_MAX);
	if (n < 0)
		record->flags |= EXEC_ARGS_UNREAD;
	if (n == EXEC_ARGS_MAX && read_proc(pid, "cmdline", &probe, 1) > 0)
		record->flags |= EXEC_ARGS_TRUNCATED;
	record->args_len = n > 0 ? (__u16)n : 0;
	return (ssize_t)(at + record->args_len);
}

int snapshot_process(uint32_t pid, uint64_t start_ns, snapshot_fn on_record, void *context)
{
	struct exec_record *record = calloc(1, sizeof(*record) + EXEC_DATA_MAX);
	uint32_t parent = 0, again_parent;
	uint64_t start = 0, again = 0;
	const uint64_t tick_ns = NS_PER_S / (unsigned long long)sysconf(_SC_CLK_TCK);
	ssize_t n;
	int error = record ? read_stat(pid, &parent, &start) : -ENOMEM;

	if (!error && start_ns && (start > start_ns || start_ns - start >= tick_ns))
		error = -ESRCH;
	if (error)
		goto out;
	record->flags = EXEC_SNAPSHOT;
	record->pid = pid;
	record->start_ns = record->exec_ns = start;
	record->parent_pid = parent;
	if (parent && read_stat(parent, &again_parent, &again) == 0)
		record->parent_start_ns = again;
	error = read_exe(pid, record);
	n = error ? error : read_data(pid, record);
	error = n < 0 ? (int)n : read_stat(pid, &parent, &again);
	if (!error && again != start)
		error = -ESRCH;
	if (error)
		goto out;
	record->h.type = RECORD_EXEC;
	record->h.len = (__u32)(sizeof(*record) + (size_t)n);
	record->h.time_ns = start;
	on_record(context, &record->h);
out:
	free(record);
	return error;
}

static bool is_pid(const char *name, uint32_t *pid)
{
	char *end = NULL;
	unsigned long value = strtoul(name, &end, 10);

	*pid = (uint32_t)value;
	return name[0] >= '1' && name[0] <= '9' && *end == '\0';
}

int snapshot_processes(snapshot_fn on_record, void *context)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	int count = 0;

	if (!proc)
		return -errno;
	while ((entry = readdir(proc))) {
		uint32_t pid;

		if (is_pid(entry->d_name, &pid) && snapshot_process(pid, 0, on_record, context) == 0)
			count++;
	}
	closedir(proc);
	return count;
}
