/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an MTA that relays a mail says in its Received field which process handed it
 * in, by pid and time or by user and time (origin.c). That process is a submission program: the
 * MTA's own sendmail, postdrop and so on, which took the mail from the process that people look
 * for. The kernel side reports each exec of such a program, with credentials and ancestors as they
 * were just after it (RECORD_SUBMISSION), and its exit.
 *
 * Program. It counts by its whole path, as the mount namespace has it, and by the rights that it
 * got: a copy of postdrop does not raise its privileges, so it cannot write into the queue, and is
 * none. In another user namespace it gets no rights that count. In a container it counts for the
 * MTA of that container: the pid namespace must be the MTA's, and the mount namespace as well, or
 * both have the watch's own root directory.
 *
 * Submitter. It is searched from the submission program upwards (steps_collect()): the images that
 * the same process ran before it executed the program (`exec sendmail` in a script), then its
 * parent, and so on. Submission programs, mail programs, shells with one command and starters are
 * passed over, as for the cause of a mail (process/cause.h), but only while the real user stays the
 * same. So nobody becomes the submitter of a mail that another user hands in.
 *
 * What is made of it is a sender like any other: its image, pid and ancestors are those of the
 * submitting process; credentials, cgroup and namespaces are those of the submission. Its effective
 * user is known only of an ancestor, whose credentials the kernel side has read; otherwise it is
 * SENDER_EUID_UNKNOWN, which equals no real user.
 *
 * Certainty. A pid at a time is one process. A user at a time may be several, and the one that fits
 * may be another one if the right one is not in the table. So the table knows until when it was
 * incomplete (submitters_know_all()): for all users after a loss, for the users of one bucket after
 * it dropped one of theirs.
 *
 * Bounds. One entry takes sizeof(struct entry), a sender with its strings, and the images, which
 * are counted in full for each entry although most are shared. There are at most SUBMITTERS_MAX in
 * SUBMITTERS_BYTES_MAX. If there is no room, the oldest of the users with most goes: who starts
 * many submission programs pushes out his own.
 */
#include "event/submitters.h"

#include <stdlib.h>
#include <string.h>

#include "event/submission_program.h"
#include "process/cause.h"
#include "process/image.h"
#include "process/sender.h"

#define BUCKETS	    256U /* users with the same remainder share one */
#define PID_BUCKETS 256U
#define STEPS_MAX   24U
/* So long a submission program that was lost may still run. */
#define DOUBT_NS (3600LL * 1000000000LL)
#define FOREVER	 INT64_MAX

struct entry {
	struct entry *older, *newer;
	struct entry *pid_next; /* of those that run */
	const char *mta;
	struct sender *submitter; /* a reference; NULL: not known */
	uint64_t start_ns;	  /* CLOCK_BOOTTIME, of the process */
	int64_t from_ns;	  /* CLOCK_REALTIME, of the exec */
	int64_t to_ns;		  /* of the exit; FOREVER: it runs */
	size_t bytes;
	uint32_t pid, vpid;
	uint32_t ns_pid, ns_mnt, root; /* root: SENDER_ROOT_OWN, SENDER_ROOT_OTHER or 0 */
	uint32_t uid;
	uint64_t exec_ns, exit_ns; /* CLOCK_BOOTTIME; exit_ns 0: not known */
	bool told;		   /* or nothing to tell */
	bool older_than_watch;	   /* of anybody, anywhere */
};

struct submitters {
	struct entry *oldest, *newest;
	struct entry *running[PID_BUCKETS];
	uint32_t count;
	uint32_t counts[BUCKETS];
	size_t bytes;
	uint64_t left_out;	     /* dropped before they were told */
	int64_t doubt_ns;	     /* until then something was lost */
	int64_t dropped_ns[BUCKETS]; /* until then one was running that is no longer known */
};

bool submitters_is_program(const struct image *image)
{
	const struct submission_program *program = submission_program_of(image);

	return program && program->mta;
}

/* ---- The submitting process ------------------------------------------------------------------ */

/* What a process ran, on the way from the submission program to init. `image` is a reference. */
struct step {
	struct image *image; /* NULL: not known */
	uint64_t start_ns;
	uint32_t pid, uid;
	bool own_euid; /* its effective user is known, and is the real one */
	bool current;  /* what it ran when the submission program was executed */
};

struct steps {
	struct step list[STEPS_MAX];
	uint32_t count;
};

static void step_add(struct steps *steps, struct step step)
{
	if (steps->count == STEPS_MAX)
		image_unref(step.image);
	else
		steps->list[steps->count++] = step;
}

/*
 * What the process ran before `image`, the newest first. What it inherited at its fork is its
 * parent's, and counts only if the parent is not there any more or runs something else now.
 */
static void steps_before(struct steps *steps, struct process_table *processes, struct step now,
			 const struct image *image, const struct image *parent)
{
	now.current = false;
	now.own_euid = false;
	while (image && steps->count < STEPS_MAX) {
		struct image *before = image->exec_ns
					       ? process_image_at(processes, now.pid, now.start_ns,
								  image->exec_ns - 1)
					       : NULL;

		if (!before || before == image ||
		    (before->exec_ns < now.start_ns && before == parent)) {
			image_unref(before);
			return;
		}
		now.image = before;
		step_add(steps, now);
		if (before->exec_ns < now.start_ns)
			return;
		image = before;
	}
}

static const struct image *image_at(const struct sender *program, uint32_t at)
{
	return at < program->ancestor_count ? program->ancestors[at].image : NULL;
}

static void steps_collect(struct steps *steps, const struct sender *program, uint32_t real,
			  struct process_table *processes)
{
	const struct task_id *task = &program->task;

	steps_before(steps, processes,
		     (struct step){.pid = task->pid, .start_ns = task->start_ns, .uid = task->uid},
		     program->image, image_at(program, 0));
	for (uint32_t i = 0; i < program->ancestor_count; i++) {
		const struct ancestor *one = &program->ancestors[i];
		struct step step = {.image = image_ref(one->image),
				    .pid = one->pid,
				    .start_ns = one->start_ns,
				    .uid = one->uid,
				    .own_euid = real >> i & 1,
				    .current = true};

		step_add(steps, step);
		steps_before(steps, processes, step, one->image, image_at(program, i + 1));
	}
}

static void steps_free(struct steps *steps)
{
	for (uint32_t i = 0; i < steps->count; i++)
		image_unref(steps->list[i].image);
}

/* The step that people look for; STEPS_MAX: it is not known. */
static uint32_t steps_choose(const struct steps *steps, uint32_t uid)
{
	uint32_t mails = STEPS_MAX, first = STEPS_MAX;

	for (uint32_t i = 0; i < steps->count; i++) {
		const struct step *step = &steps->list[i];
		enum role role;

		if (!step->image || step->pid == 1 || (step->uid != uid && first < STEPS_MAX))
			break;
		if (submission_program_of(step->image))
			continue;
		role = image_role(step->image);
		if (first == STEPS_MAX)
			first = i;
		if (role == ROLE_OTHER || step->uid != uid)
			return i;
		if (role == ROLE_SHELL)
			return mails < STEPS_MAX ? mails : i;
		if (role == ROLE_MAIL && mails == STEPS_MAX)
			mails = i;
	}
	return mails < STEPS_MAX ? mails : first;
}

/* The ancestors of the process of a step: what the others ran when the program was executed. */
static void take_ancestors(struct sender *submitter, const struct steps *steps, uint32_t at)
{
	const struct step *self = &steps->list[at];

	for (uint32_t i = at + 1; i < steps->count && submitter->ancestor_count < ANCESTORS_MAX;
	     i++) {
		const struct step *step = &steps->list[i];

		if (step->pid == self->pid || !step->current)
			continue;
		submitter->ancestors[submitter->ancestor_count++] =
			(struct ancestor){.pid = step->pid,
					  .uid = step->uid,
					  .start_ns = step->start_ns,
					  .image = image_ref(step->image)};
	}
}

/* NULL: it is not known, or there is no memory. */
static struct sender *submitter_of(const struct sender *program, const struct steps *steps)
{
	uint32_t at = steps_choose(steps, program->task.uid);
	const struct step *step = &steps->list[at % STEPS_MAX];
	struct sender *submitter = at < STEPS_MAX ? sender_copy(program) : NULL;

	if (!submitter)
		return NULL;
	for (uint32_t i = 0; i < submitter->ancestor_count; i++)
		image_unref(submitter->ancestors[i].image);
	memset(submitter->ancestors, 0, sizeof(submitter->ancestors));
	submitter->ancestor_count = 0;
	image_unref(submitter->image);
	submitter->image = image_ref(step->image);
	submitter->exe_deleted = step->image->flags & EXEC_DELETED;
	submitter->exe_swapped = false;
	submitter->task.pid = submitter->task.tid = step->pid;
	submitter->task.start_ns = step->start_ns;
	submitter->task.euid =
		step->own_euid && step->uid == program->task.uid ? step->uid : SENDER_EUID_UNKNOWN;
	submitter->task.egid = submitter->task.gid;
	memset(submitter->task.comm, 0, sizeof(submitter->task.comm));
	take_ancestors(submitter, steps, at);
	return submitter;
}

/* ---- The table ------------------------------------------------------------------------------- */

struct submitters *submitters_new(void)
{
	struct submitters *submitters = calloc(1, sizeof(*submitters));

	if (submitters)
		submitters->bytes = sizeof(*submitters);
	return submitters;
}

static uint32_t bucket_of(uint32_t uid)
{
	return uid % BUCKETS;
}

/* It no longer runs, since `to_ns`. */
static void entry_end(struct submitters *submitters, struct entry *entry, int64_t to_ns)
{
	struct entry **link = &submitters->running[entry->pid % PID_BUCKETS];

	while (*link && *link != entry)
		link = &(*link)->pid_next;
	if (*link)
		*link = entry->pid_next;
	entry->to_ns = to_ns;
}

/* What runs as this process; NULL: nothing that is known. */
static struct entry *running_as(const struct submitters *submitters, uint32_t pid)
{
	struct entry *entry = submitters->running[pid % PID_BUCKETS];

	while (entry && entry->pid != pid)
		entry = entry->pid_next;
	return entry;
}

static void entry_remove(struct submitters *submitters, struct entry *entry)
{
	if (entry->to_ns == FOREVER)
		entry_end(submitters, entry, entry->from_ns);
	*(entry->older ? &entry->older->newer : &submitters->oldest) = entry->newer;
	*(entry->newer ? &entry->newer->older : &submitters->newest) = entry->older;
	submitters->count--;
	submitters->counts[bucket_of(entry->uid)]--;
	submitters->bytes -= entry->bytes;
	sender_unref(entry->submitter);
	free(entry);
}

void submitters_free(struct submitters *submitters)
{
	struct entry *next;

	for (struct entry *entry = submitters ? submitters->oldest : NULL; entry; entry = next) {
		next = entry->newer;
		sender_unref(entry->submitter);
		free(entry);
	}
	free(submitters);
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

/* Drops the oldest one of the users who have most. */
static void drop_one(struct submitters *submitters, int64_t now_ns)
{
	struct entry *entry = submitters->oldest;
	uint32_t most = 0;

	for (uint32_t i = 1; i < BUCKETS; i++) {
		if (submitters->counts[i] > submitters->counts[most])
			most = i;
	}
	while (bucket_of(entry->uid) != most)
		entry = entry->newer;
	submitters->left_out += !entry->told;
	submitters->dropped_ns[most] =
		later(submitters->dropped_ns[most],
		      entry->to_ns == FOREVER ? now_ns + DOUBT_NS : entry->to_ns);
	entry_remove(submitters, entry);
}

/* If the process ran another one, that has ended: by an exec, or its exit record was lost. */
static void entry_add(struct submitters *submitters, struct entry *entry)
{
	struct entry *before = running_as(submitters, entry->pid),
		     **head = &submitters->running[entry->pid % PID_BUCKETS];

	if (before)
		entry_end(submitters, before, entry->from_ns);
	while (submitters->count && (submitters->count >= SUBMITTERS_MAX ||
				     submitters->bytes + entry->bytes > SUBMITTERS_BYTES_MAX))
		drop_one(submitters, entry->from_ns);
	entry->older = submitters->newest;
	*(entry->older ? &entry->older->newer : &submitters->oldest) = entry;
	submitters->newest = entry;
	entry->pid_next = *head;
	*head = entry;
	submitters->count++;
	submitters->counts[bucket_of(entry->uid)]++;
	submitters->bytes += entry->bytes;
}

/* A wall clock that is forged in a recording may wrap. */
static int64_t realtime(uint64_t boot_ns, int64_t offset_ns)
{
	return (int64_t)(boot_ns + (uint64_t)offset_ns);
}

void submitters_add(struct submitters *submitters, const struct sender_record *record,
		    const struct sender *program, struct process_table *processes,
		    uint32_t own_ns_user, int64_t offset_ns)
{
	const struct submission_program *known = submission_program_of(program->image);
	struct steps steps = {.count = 0};
	struct entry *entry;

	if (!known || !known->mta || program->task.ns_user != own_ns_user ||
	    !submission_has_rights(known, program) || submission_is_at_work(known, program))
		return;
	entry = calloc(1, sizeof(*entry));
	if (!entry) {
		submitters_doubt(submitters, record->h.time_ns, offset_ns);
		return;
	}
	steps_collect(&steps, program, record->ancestors_real, processes);
	entry->mta = known->mta;
	entry->submitter = submitter_of(program, &steps);
	steps_free(&steps);
	entry->start_ns = program->task.start_ns;
	entry->from_ns = realtime(program->image->exec_ns, offset_ns);
	entry->exec_ns = program->image->exec_ns;
	entry->told = !entry->submitter || submission_only_asks(program->image);
	entry->to_ns = FOREVER;
	entry->pid = program->task.pid;
	entry->vpid = record->vpid;
	entry->ns_pid = program->ns_pid;
	entry->ns_mnt = program->ns_mnt;
	entry->root = program->flags & (SENDER_ROOT_OWN | SENDER_ROOT_OTHER);
	entry->uid = program->task.uid;
	entry->bytes = sizeof(*entry) + (entry->submitter ? sender_bytes(entry->submitter) : 0);
	entry_add(submitters, entry);
}

void submitters_add_older(struct submitters *submitters, const struct exec_record *record,
			  const struct image *image, int64_t offset_ns)
{
	const struct submission_program *known = submission_program_of(image);
	struct entry *entry = known ? calloc(1, sizeof(*entry)) : NULL;

	if (!entry) {
		submitters_doubt(submitters, record->h.time_ns, offset_ns);
		return;
	}
	entry->mta = known->mta;
	entry->start_ns = record->start_ns;
	entry->from_ns = realtime(record->start_ns, offset_ns);
	entry->to_ns = FOREVER;
	entry->pid = record->pid;
	entry->older_than_watch = true;
	entry->told = true;
	entry->bytes = sizeof(*entry);
	entry_add(submitters, entry);
}

void submitters_exit(struct submitters *submitters, const struct exit_record *record,
		     int64_t offset_ns)
{
	struct entry *entry = running_as(submitters, record->pid);

	if (!entry)
		return;
	entry->exit_ns = record->h.time_ns;
	entry_end(submitters, entry, realtime(record->h.time_ns, offset_ns));
}

void submitters_doubt(struct submitters *submitters, uint64_t now_ns, int64_t offset_ns)
{
	submitters->doubt_ns = later(submitters->doubt_ns, realtime(now_ns, offset_ns) + DOUBT_NS);
}

/* ---- Questions ------------------------------------------------------------------------------- */

/* The MTA can have got a mail from it: it is in the same container, or neither is in one. */
static bool is_beside(const struct entry *entry, const struct sender *relay)
{
	return entry->ns_pid == relay->ns_pid &&
	       (entry->ns_mnt == relay->ns_mnt ||
		(entry->root == SENDER_ROOT_OWN && relay->flags & SENDER_ROOT_OWN));
}

static bool fits(const struct entry *entry, const struct submission_trace *trace)
{
	if (strcmp(entry->mta, trace->mta) != 0 || entry->from_ns > trace->to_ns ||
	    entry->to_ns < trace->from_ns)
		return false;
	if (entry->older_than_watch)
		return !trace->vpid || trace->vpid == entry->pid;
	return is_beside(entry, trace->relay) && (!trace->vpid || trace->vpid == entry->vpid) &&
	       (!trace->has_uid || trace->uid == entry->uid);
}

uint32_t submitters_find(const struct submitters *submitters, const struct submission_trace *trace,
			 struct sender **found, uint32_t max)
{
	uint32_t count = 0;

	for (const struct entry *entry = submitters->oldest; entry; entry = entry->newer) {
		if (!fits(entry, trace))
			continue;
		if (count < max)
			found[count] = entry->submitter;
		count++;
	}
	return count;
}

bool submitters_know_all(const struct submitters *submitters, const struct submission_trace *trace)
{
	if (trace->from_ns <= submitters->doubt_ns)
		return false;
	if (trace->has_uid)
		return trace->from_ns > submitters->dropped_ns[bucket_of(trace->uid)];
	for (uint32_t i = 0; i < BUCKETS; i++) {
		if (trace->from_ns <= submitters->dropped_ns[i])
			return false;
	}
	return true;
}

struct sender *submitters_of(const struct submitters *submitters, const struct sender *program)
{
	const struct entry *entry = submitters->newest;

	if (submission_runs_queue(program->image))
		return NULL;
	while (entry &&
	       (entry->pid != program->task.pid || entry->start_ns != program->task.start_ns))
		entry = entry->older;
	return entry && entry->exec_ns == program->image->exec_ns ? entry->submitter : NULL;
}

void submitters_claim(struct submitters *submitters, const struct sender *submitter)
{
	for (struct entry *entry = submitters->oldest; entry; entry = entry->newer) {
		if (entry->submitter == submitter)
			entry->told = true;
	}
}

void submitters_claim_any(struct submitters *submitters, const struct submission_trace *trace)
{
	struct entry *entry = submitters->oldest;

	while (entry && (entry->told || !fits(entry, trace)))
		entry = entry->newer;
	if (entry)
		entry->told = true;
}

uint64_t submitters_tell(struct submitters *submitters, uint64_t now_ns, bool all,
			 unclaimed_fn tell, void *context)
{
	uint64_t left_out = submitters->left_out;
	uint32_t told[BUCKETS] = {0};

	submitters->left_out = 0;
	for (struct entry *entry = submitters->oldest; entry; entry = entry->newer) {
		if (entry->told || !entry->exit_ns ||
		    (!all && now_ns < entry->exit_ns + SUBMITTERS_WAIT_NS))
			continue;
		entry->told = true;
		if (told[bucket_of(entry->uid)]++ == SUBMITTERS_TOLD_MAX) {
			told[bucket_of(entry->uid)]--;
			left_out++;
			continue;
		}
		tell(context, &(struct unclaimed){.mta = entry->mta,
						  .submitter = entry->submitter,
						  .exec_ns = entry->exec_ns,
						  .exit_ns = entry->exit_ns});
	}
	return left_out;
}

size_t submitters_bytes(const struct submitters *submitters)
{
	return submitters->bytes;
}
