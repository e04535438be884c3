/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "capture/procfs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NS_PER_S    1000000000ULL
#define STAT_SIZE   2048U
#define FIELD_START 22 /* proc(5) */

uint64_t procfs_tick_ns(void)
{
	long ticks = sysconf(_SC_CLK_TCK);

	return NS_PER_S / (ticks > 0 ? (uint64_t)ticks : 100);
}

int procfs_open(uint32_t pid)
{
	char path[32];
	int dir;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir < 0 ? -errno : dir;
}

ssize_t procfs_read(int dir, const char *name, char *out, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC), error = 0;
	size_t len = 0;
	ssize_t n = 1;

	if (fd < 0)
		return -errno;
	while (len < size && n > 0) {
		n = read(fd, out + len, size - len);
		if (n > 0)
			len += (size_t)n;
		else if (n < 0)
			error = -errno;
	}
	close(fd);
	return error ? error : (ssize_t)len;
}

/* The name is in parentheses and may contain anything, so fields are counted from the last ')'. */
int procfs_stat(int dir, struct procfs_stat *stat)
{
	char buffer[STAT_SIZE], *at;
	ssize_t len = procfs_read(dir, "stat", buffer, sizeof(buffer) - 1);
	uint64_t ticks = 0;

	if (len < 0)
		return (int)len;
	buffer[len] = '\0';
	at = memrchr(buffer, ')', (size_t)len);
	if (!at || at[1] != ' ' || !at[2])
		return -EBADMSG;
	stat->state = at[2];
	at += 3;
	for (int field = 4; field <= FIELD_START; field++) {
		char *end;

		ticks = strtoull(at, &end, 10);
		if (end == at)
			return -EBADMSG;
		if (field == 4)
			stat->parent_pid = (uint32_t)ticks;
		at = end;
	}
	stat->start_ns = ticks * procfs_tick_ns();
	return 0;
}

/* The path in a line "ID:CONTROLLERS:PATH\n" (cgroups(7)); NULL if the controllers are others. */
static char *cgroup_path(char *line, const char *controllers)
{
	const size_t len = strlen(controllers);
	char *colon = strchr(line, ':');

	if (!colon || strncmp(colon + 1, controllers, len) != 0 || colon[1 + len] != ':')
		return NULL;
	colon += len + 2;
	colon[strcspn(colon, "\n")] = '\0';
	return colon;
}

char *procfs_cgroup(int dir)
{
	int fd = openat(dir, "cgroup", O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL, *v2 = NULL, *named = NULL;
	size_t size = 0;

	if (fd >= 0 && !file)
		close(fd);
	while (file && getline(&line, &size, file) > 0) {
		const char *path;

		if (!v2 && (path = cgroup_path(line, "")))
			v2 = strdup(path);
		else if (!named && (path = cgroup_path(line, "name=systemd")))
			named = strdup(path);
	}
	if (file)
		fclose(file);
	free(line);
	if (named && (!v2 || strcmp(v2, "/") == 0)) {
		free(v2);
		return named;
	}
	free(named);
	return v2;
}
