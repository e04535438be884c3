/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation.
 *
 * A process is (pid, start_ns). Its images are kept with the time of each exec. So a send that is
 * processed after the next exec, or after the exit, still finds the image that sent it. A fork
 * starts with its parent's image. An image is returned for a moment only if an exec before that
 * moment is known. If records were lost, the answer is NULL rather than a wrong image.
 *
 * Two sources report the same process: the kernel side, with an exact start time, and /proc, with a
 * start time rounded down to a clock tick. Within one tick they are the same process. What /proc
 * says never replaces what an exec or a fork reported, because a process can change its link in
 * /proc. The hooks are attached before /proc is read, so the ring may hold an exec that is older
 * than the snapshot from /proc. Then the snapshot shows that exec or a later one, not the state
 * since the start, and is dropped.
 *
 * The table is bounded in processes and in bytes; an inherited image counts for each process that
 * has it. Exited processes are dropped first, in the order of their exit. If every process is
 * alive, the one known longest is dropped; it may be read from /proc again.
 */
#include "process/process.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "process/image.h"

#define HASH_SIZE 16384U /* a power of two */
/* Resolution of start times in /proc: USER_HZ is 100 on every current architecture. */
#define TICK_NS 10000000ULL

/* What a process runs from one exec on, and its bytes in the table. */
struct run {
	struct image *image; /* a reference; NULL: none */
	size_t bytes;
};

struct process {
	struct process *hash_next;
	struct process *older, *newer; /* in its list: alive by arrival, exited by exit */
	uint64_t start_ns;
	uint64_t exit_ns;     /* if ended */
	uint64_t snapshot_ns; /* when /proc was read, if `snapshot` */
	uint64_t asked_ns;    /* when /proc was last read because nothing was known; 0: never */
	uint32_t pid;
	bool rough; /* start_ns is rounded down to a tick */
	bool ended;
	/* The one of `runs` that came from /proc; NULL: none */
	const struct image *snapshot;
	struct run runs[PROCESS_IMAGES_MAX]; /* the newest exec first */
};

struct list {
	struct process *oldest, *newest;
};

struct process_table {
	struct process *buckets[HASH_SIZE];
	struct list alive, ended;
	size_t count;
	size_t bytes;
};

/* ---- The table ------------------------------------------------------------------------------- */

struct process_table *process_table_new(void)
{
	return calloc(1, sizeof(struct process_table));
}

static size_t bucket(uint32_t pid)
{
	return pid & (HASH_SIZE - 1);
}

static void list_remove(struct list *list, struct process *process)
{
	if (list->oldest == process)
		list->oldest = process->newer;
	else
		process->older->newer = process->newer;
	if (list->newest == process)
		list->newest = process->older;
	else
		process->newer->older = process->older;
	process->older = process->newer = NULL;
}

static void list_add(struct list *list, struct process *process)
{
	process->older = list->newest;
	process->newer = NULL;
	*(list->newest ? &list->newest->newer : &list->oldest) = process;
	list->newest = process;
}

/* Removes one run and drops its reference. */
static void run_remove(struct process_table *table, struct process *process, size_t index)
{
	struct run *run = &process->runs[index];

	if (run->image == process->snapshot)
		process->snapshot = NULL;
	table->bytes -= run->bytes;
	image_unref(run->image);
	memmove(run, run + 1, (PROCESS_IMAGES_MAX - 1 - index) * sizeof(*run));
	process->runs[PROCESS_IMAGES_MAX - 1] = (struct run){0};
}

/* Removes the oldest process of a list: no other one is ever removed. */
static void remove_oldest(struct process_table *table, struct list *list)
{
	struct process *process = list->oldest, **link = &table->buckets[bucket(process->pid)];

	while (*link && *link != process)
		link = &(*link)->hash_next;
	if (*link)
		*link = process->hash_next;
	list_remove(list, process);
	while (process->runs[0].image)
		run_remove(table, process, 0);
	table->bytes -= sizeof(*process);
	table->count--;
	free(process);
}

void process_table_free(struct process_table *table)
{
	if (!table)
		return;
	while (table->alive.oldest)
		remove_oldest(table, &table->alive);
	while (table->ended.oldest)
		remove_oldest(table, &table->ended);
	free(table);
}

size_t process_table_count(const struct process_table *table)
{
	return table->count;
}

/*
 * Drops processes until `processes` and `bytes` more fit. Pointers to processes are invalid
 * afterwards.
 */
static void make_room(struct process_table *table, size_t processes, size_t bytes)
{
	while (table->count && (table->count + processes > PROCESSES_MAX ||
				table->bytes + bytes > PROCESS_BYTES_MAX))
		remove_oldest(table, table->ended.oldest ? &table->ended : &table->alive);
}

static void process_end(struct process_table *table, struct process *process, uint64_t time_ns)
{
	if (process->ended)
		return;
	list_remove(&table->alive, process);
	process->ended = true;
	process->exit_ns = time_ns;
	list_add(&table->ended, process);
}

void process_table_expire(struct process_table *table, uint64_t now_ns)
{
	const struct process *oldest;

	while ((oldest = table->ended.oldest) && now_ns > oldest->exit_ns &&
	       now_ns - oldest->exit_ns >= PROCESS_LINGER_NS)
		remove_oldest(table, &table->ended);
}

/* ---- One process ----------------------------------------------------------------------------- */

/*
 * Whether a start time, exact or from /proc, may be this process's. A start from /proc is a
 * multiple of a tick; of the exact ones, one in ten million is.
 */
static bool may_have_started(const struct process *process, uint64_t start_ns)
{
	if (process->rough && start_ns > process->start_ns)
		return start_ns - process->start_ns < TICK_NS;
	return start_ns % TICK_NS == 0 && process->start_ns > start_ns &&
	       process->start_ns - start_ns < TICK_NS;
}

/* The process that started then: an exact match if there is one, else one within a tick. */
static struct process *process_find(const struct process_table *table, uint32_t pid,
				    uint64_t start_ns)
{
	struct process *near = NULL;

	for (struct process *process = table->buckets[bucket(pid)]; process;
	     process = process->hash_next) {
		if (process->pid != pid)
			continue;
		if (process->start_ns == start_ns)
			return process;
		if (!near && may_have_started(process, start_ns))
			near = process;
	}
	return near;
}

/*
 * The kernel reuses a pid only after its process is gone. If no exit was seen, its record was lost.
 */
static void end_predecessors(struct process_table *table, const struct process *successor,
			     uint64_t time_ns)
{
	for (struct process *process = table->buckets[bucket(successor->pid)]; process;
	     process = process->hash_next) {
		if (process->pid == successor->pid && process->start_ns < successor->start_ns)
			process_end(table, process, time_ns);
	}
}

/* The process, created if needed; NULL if there is no memory. `rough`: the start is from /proc. */
static struct process *process_get(struct process_table *table, uint32_t pid, uint64_t start_ns,
				   bool rough, uint64_t time_ns)
{
	struct process *process = process_find(table, pid, start_ns),
		       **head = &table->buckets[bucket(pid)];

	if (process) {
		if (process->rough && !rough) {
			process->start_ns = start_ns;
			process->rough = false;
		}
		return process;
	}
	make_room(table, 1, sizeof(*process));
	process = calloc(1, sizeof(*process));
	if (!process)
		return NULL;
	process->pid = pid;
	process->start_ns = start_ns;
	process->rough = rough;
	end_predecessors(table, process, time_ns);
	process->hash_next = *head;
	*head = process;
	list_add(&table->alive, process);
	table->count++;
	table->bytes += sizeof(*process);
	return process;
}

/*
 * Adds a run in the order of execs and takes its reference. If there is no room, the oldest is
 * dropped.
 */
static void run_add(struct process_table *table, struct process *process, struct run run)
{
	size_t at = 0;

	while (at < PROCESS_IMAGES_MAX && process->runs[at].image &&
	       process->runs[at].image->exec_ns > run.image->exec_ns)
		at++;
	if (at == PROCESS_IMAGES_MAX) {
		image_unref(run.image);
		return;
	}
	if (process->runs[PROCESS_IMAGES_MAX - 1].image)
		run_remove(table, process, PROCESS_IMAGES_MAX - 1);
	memmove(&process->runs[at + 1], &process->runs[at],
		(PROCESS_IMAGES_MAX - 1 - at) * sizeof(run));
	process->runs[at] = run;
	table->bytes += run.bytes;
}

/* The run at a moment; NULL: no exec before it is known. */
static const struct run *run_at(const struct process *process, uint64_t at_ns)
{
	for (size_t i = 0; i < PROCESS_IMAGES_MAX && process->runs[i].image; i++) {
		if (process->runs[i].image->exec_ns <= at_ns)
			return &process->runs[i];
	}
	return NULL;
}

/* Drops what /proc said after time_ns: the kernel side reports that time itself. */
static void snapshot_yield(struct process_table *table, struct process *process, uint64_t time_ns)
{
	if (!process->snapshot || process->snapshot_ns < time_ns)
		return;
	for (size_t i = 0; i < PROCESS_IMAGES_MAX; i++) {
		if (process->runs[i].image == process->snapshot) {
			run_remove(table, process, i);
			return;
		}
	}
}

/* ---- Records --------------------------------------------------------------------------------- */

static int on_exec(struct process_table *table, const struct exec_record *record)
{
	const bool snapshot = record->flags & EXEC_SNAPSHOT;
	struct process *process = process_find(table, record->pid, record->start_ns);
	struct run run = {0};

	if (snapshot && process && process->runs[0].image)
		return 0;
	run.image = image_of_exec(record);
	if (!run.image)
		return -ENOMEM;
	run.bytes = image_bytes(run.image);
	make_room(table, 1, sizeof(*process) + run.bytes);
	process = process_get(table, record->pid, record->start_ns, snapshot, record->h.time_ns);
	if (!process) {
		image_unref(run.image);
		return -ENOMEM;
	}
	if (snapshot) {
		process->snapshot = run.image;
		process->snapshot_ns = record->h.time_ns;
	} else {
		snapshot_yield(table, process, record->exec_ns);
	}
	run_add(table, process, run);
	return 0;
}

/* A child runs what its parent ran at the fork. */
static int on_fork(struct process_table *table, const struct fork_record *record)
{
	const struct process *parent =
		process_find(table, record->parent_pid, record->parent_start_ns);
	const struct run *inherited = parent ? run_at(parent, record->h.time_ns) : NULL;
	struct run run = {0};
	struct process *process;

	if (inherited)
		run = (struct run){image_ref(inherited->image), inherited->bytes};
	make_room(table, 1, sizeof(*process) + run.bytes);
	process = process_get(table, record->pid, record->start_ns, false, record->h.time_ns);
	if (!process) {
		image_unref(run.image);
		return -ENOMEM;
	}
	if (run.image)
		snapshot_yield(table, process, record->h.time_ns);
	if (run.image && !process->runs[0].image)
		run_add(table, process, run);
	else
		image_unref(run.image);
	return 0;
}

static void on_exit_record(struct process_table *table, const struct exit_record *record)
{
	struct process *process = process_find(table, record->pid, record->start_ns);

	if (process)
		process_end(table, process, record->h.time_ns);
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

/* ---- Questions ------------------------------------------------------------------------------- */

struct image *process_image_at(struct process_table *table, uint32_t pid, uint64_t start_ns,
			       uint64_t at_ns)
{
	const struct process *process = process_find(table, pid, start_ns);
	const struct run *run = process ? run_at(process, at_ns) : NULL;

	return run ? image_ref(run->image) : NULL;
}

bool process_ask(struct process_table *table, uint32_t pid, uint64_t start_ns, uint64_t at_ns)
{
	struct process *process = process_find(table, pid, start_ns);

	if (process && process->asked_ns && at_ns < process->asked_ns + PROCESS_ASK_NS)
		return false;
	process = process_get(table, pid, start_ns, false, at_ns);
	if (process)
		process->asked_ns = at_ns;
	return true;
}
