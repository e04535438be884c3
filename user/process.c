/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * A process is (pid, start_ns); it keeps the images it took on, by the time of each exec, the newest
 * first. Records of one process may be read after it has executed something else or has ended, so an
 * image is looked up by time, and an ended process lingers. A fork starts with its parent's image.
 *
 * Two sources tell of the same process: the kernel side, whose start is exact, and /proc, whose start
 * is rounded down to a clock tick. Within a tick they are the same process; what the kernel side told
 * of its image is never replaced by what /proc tells, for a process can change its link there.
 *
 * The table is bounded. Ended processes wait in the order of their end and leave first; if every
 * process is alive, the one known longest leaves, and may be read from /proc again.
 */
#include "process.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "script.h"

#define HASH_SIZE 8192U	      /* a power of two */
#define TICK_NS	  10000000ULL /* of /proc's start times: USER_HZ is 100 on every architecture of today */

struct process {
	struct process *hash_next;
	struct process *older, *newer; /* in the list it is in: alive by arrival, ended by end */
	uint64_t start_ns;
	uint64_t parent_start_ns;
	uint64_t exit_ns; /* 0: alive */
	uint32_t pid;
	uint32_t parent_pid;
	struct image *images[PROCESS_IMAGES_MAX]; /* the newest first */
};

struct list {
	struct process *oldest, *newest;
};

struct process_table {
	struct process *buckets[HASH_SIZE];
	struct list alive, ended;
	size_t count;
};

/* ---- The table ------------------------------------------------------------------------------ */

struct process_table *process_table_new(void)
{
	return calloc(1, sizeof(struct process_table));
}

static struct process **bucket(struct process_table *table, uint32_t pid)
{
	return &table->buckets[pid & (HASH_SIZE - 1)];
}

static void list_remove(struct list *list, struct process *process)
{
	*(process->older ? &process->older->newer : &list->oldest) = process->newer;
	*(process->newer ? &process->newer->older : &list->newest) = process->older;
	process->older = process->newer = NULL;
}

static void list_add(struct list *list, struct process *process)
{
	process->older = list->newest;
	process->newer = NULL;
	*(list->newest ? &list->newest->newer : &list->oldest) = process;
	list->newest = process;
}

static void process_remove(struct process_table *table, struct process *process)
{
	struct process **link = bucket(table, process->pid);

	while (*link && *link != process)
		link = &(*link)->hash_next;
	if (*link)
		*link = process->hash_next;
	list_remove(process->exit_ns ? &table->ended : &table->alive, process);
	for (size_t i = 0; i < PROCESS_IMAGES_MAX; i++)
		image_unref(process->images[i]);
	free(process);
	table->count--;
}

void process_table_free(struct process_table *table)
{
	if (!table)
		return;
	while (table->alive.oldest)
		process_remove(table, table->alive.oldest);
	while (table->ended.oldest)
		process_remove(table, table->ended.oldest);
	free(table);
}

size_t process_table_count(const struct process_table *table)
{
	return table->count;
}

/* Whether two start times name the same process: /proc's is rounded down to a tick. */
static bool same_start(uint64_t a, uint64_t b)
{
	return a == b || (a % TICK_NS == 0 && b >= a && b - a < TICK_NS) ||
	       (b % TICK_NS == 0 && a >= b && a - b < TICK_NS);
}

static struct process *process_find(const struct process_table *table, uint32_t pid, uint64_t start_ns)
{
	struct process *process = *bucket((struct process_table *)table, pid);

	while (process && (process->pid != pid || !same_start(process->start_ns, start_ns)))
		process = process->hash_next;
	return process;
}

/* The process, made if it is not there; NULL if there is no memory. */
static struct process *process_get(struct process_table *table, uint32_t pid, uint64_t start_ns)
{
	struct process *process = process_find(table, pid, start_ns), **head = bucket(table, pid);

	if (process) {
		if (process->start_ns % TICK_NS == 0)
			process->start_ns = start_ns; /* the exact one, if it is that */
		return process;
	}
	if (table->count >= PROCESSES_MAX)
		process_remove(table, table->ended.oldest ? table->ended.oldest : table->alive.oldest);
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	process->start_ns = start_ns;
	process->hash_next = *head;
	*head = process;
	list_add(&table->alive, process);
	table->count++;
	return process;
}

void process_table_expire(struct process_table *table, uint64_t now_ns)
{
	while (table->ended.oldest && table->ended.oldest->exit_ns + PROCESS_LINGER_NS < now_ns)
		process_remove(table, table->ended.oldest);
}

/* ---- Images --------------------------------------------------------------------------------- */

static void image_push(struct process *process, struct image *image)
{
	image_unref(process->images[PROCESS_IMAGES_MAX - 1]);
	memmove(&process->images[1], &process->images[0],
		(PROCESS_IMAGES_MAX - 1) * sizeof(process->images[0]));
	process->images[0] = image;
}

/* "msmtp\0bin\0usr\0" becomes "/usr/bin/msmtp", with `root` in front. NULL if there is no memory. */
static char *path_of(const char *leaf_first, size_t len, const char *root)
{
	size_t root_len = strlen(root), at = root_len, end = len;
	char *path = malloc(root_len + len + 2);

	if (!path)
		return NULL;
	memcpy(path, root, root_len);
	while (end) {
		size_t start = end - 1; /* on the component's NUL */

		while (start && leaf_first[start - 1])
			start--;
		if (at)
			path[at++] = '/';
		memcpy(path + at, leaf_first + start, end - 1 - start);
		at += end - 1 - start;
		end = start;
	}
	path[at] = '\0';
	if (root_len == 0 && len && path[0] != '/' && strncmp(path, "memfd:", 6) != 0) {
		memmove(path + 1, path, at + 1);
		path[0] = '/';
	}
	return path;
}

/* The script's path, absolute where the working directory is known. NULL if there is no memory. */
static char *script_of(struct span name, const char *directory)
{
	const char *filename = name.data;
	size_t n = name.len, dir_len = strlen(directory);
	char *script;

	if (n && filename[0] != '/' && dir_len) {
		while (n > 2 && filename[0] == '.' && filename[1] == '/') {
			filename += 2;
			n -= 2;
		}
		script = malloc(dir_len + n + 2);
		if (script)
			snprintf(script, dir_len + n + 2, "%s/%.*s",
				 strcmp(directory, "/") == 0 ? "" : directory, (int)n, filename);
		return script;
	}
	return strndup(filename, n);
}

/*
 * The script as it was named: by the kernel, where the file that was executed was not the interpreter
 * itself; else by the interpreter's arguments.
 */
static struct span script_name(const struct exec_record *record, struct span executable)
{
	const char *filename = record->data + record->exe_len, *interp = filename + record->filename_len;
	const char *args = interp + record->interp_len + record->cwd_len;

	if (record->filename_len && record->interp_len && strncmp(filename, interp, record->interp_len) != 0)
		return (struct span){filename, strnlen(filename, record->filename_len)};
	return script_of_args(executable, (struct span){args, record->args_len});
}

static struct image *image_of(const struct exec_record *record)
{
	const char *directory = record->data + record->exe_len + record->filename_len + record->interp_len;
	const char *args = directory + record->cwd_len;
	struct image *image = calloc(1, sizeof(*image));

	if (!image)
		return NULL;
	image->refs = 1;
	image->exec_ns = record->exec_ns;
	image->inode = record->inode;
	image->ctime_ns = record->ctime_ns;
	image->size = record->size;
	image->dev = record->dev;
	image->flags = record->flags;
	image->executable =
		path_of(record->data, record->exe_len, record->flags & EXEC_PATH_TRUNCATED ? "..." : "");
	image->directory = record->cwd_len ? path_of(directory, record->cwd_len, "") : strdup("/");
	if (image->directory && image->executable)
		image->script = script_of(script_name(record, span_of(image->executable)), image->directory);
	image->args = malloc(record->args_len + 1U);
	if (!image->executable || !image->directory || !image->script || !image->args) {
		image_unref(image);
		return NULL;
	}
	memcpy(image->args, args, record->args_len);
	image->args[record->args_len] = '\0';
	image->args_len = record->args_len;
	return image;
}

/* ---- Records -------------------------------------------------------------------------------- */

static int on_exec(struct process_table *table, const struct exec_record *record)
{
	struct process *process = process_get(table, record->pid, record->start_ns);
	bool snapshot = record->flags & EXEC_SNAPSHOT;
	struct image *image;

	if (!process)
		return -ENOMEM;
	if (snapshot && process->images[0])
		return 0;
	image = image_of(record);
	if (!image)
		return -ENOMEM;
	if (record->parent_pid) {
		process->parent_pid = record->parent_pid;
		process->parent_start_ns = record->parent_start_ns;
	}
	image_push(process, image);
	return 0;
}

static int on_fork(struct process_table *table, const struct fork_record *record)
{
	struct process *parent = process_find(table, record->parent_pid, record->parent_start_ns);
	struct image *image = parent ? image_ref(parent->images[0]) : NULL;
	struct process *process = process_get(table, record->pid, record->start_ns);

	if (!process) {
		image_unref(image);
		return -ENOMEM;
	}
	process->parent_pid = record->parent_pid;
	process->parent_start_ns = record->parent_start_ns;
	if (image && !process->images[0])
		process->images[0] = image;
	else
		image_unref(image);
	return 0;
}

static void on_exit_record(struct process_table *table, const struct exit_record *record)
{
	struct process *process = process_find(table, record->pid, record->start_ns);

	if (!process || process->exit_ns)
		return;
	list_remove(&table->alive, process);
	process->exit_ns = record->h.time_ns ? record->h.time_ns : 1;
	list_add(&table->ended, process);
}

int process_table_record(struct process_table *table, const struct record *record)
{
	switch (record->type) {
	case RECORD_EXEC: return on_exec(table, (const void *)record);
	case RECORD_FORK: return on_fork(table, (const void *)record);
	case RECORD_EXIT: on_exit_record(table, (const void *)record); return 0;
	default: return 0;
	}
}

/* ---- Questions ------------------------------------------------------------------------------ */

struct image *process_image_at(struct process_table *table, uint32_t pid, uint64_t start_ns, uint64_t at_ns)
{
	const struct process *process = process_find(table, pid, start_ns);
	struct image *image = NULL;

	for (size_t i = 0; process && i < PROCESS_IMAGES_MAX && process->images[i]; i++) {
		image = process->images[i];
		if (image->exec_ns <= at_ns)
			break;
	}
	return image_ref(image);
}

bool process_parent(const struct process_table *table, uint32_t pid, uint64_t start_ns, uint32_t *parent_pid,
		    uint64_t *parent_start_ns)
{
	const struct process *process = process_find(table, pid, start_ns);

	if (!process || !process->parent_pid)
		return false;
	*parent_pid = process->parent_pid;
	*parent_start_ns = process->parent_start_ns;
	return true;
}
