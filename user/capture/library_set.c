/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. A file is examined when it is first mapped; the verdict is kept by device,
 * inode, ctime and size (verdicts.c). A file that was rewritten is examined again when it is mapped
 * again, or at the next check. If the probes' places are the same, they stay: ctime also changes
 * when a file is renamed or unlinked.
 *
 * A probe holds the file and its mount. So of each library one process is remembered that maps it;
 * when that has ended, another one is looked for, and if there is none, the library is detached.
 * Libraries that ld.so.cache names stay attached as long as their path leads to them: the next
 * process may map them for the first time and use them 2 ms later.
 *
 * Who pays. An examination is paid by whoever maps the file first (verdicts.c), and so is a place
 * in this set: whoever makes a thousand copies of a library has LIBRARIES_USER_MAX of them watched.
 * A file that was refused for one user is attached when another one maps it.
 *
 * An overlay shows the same file with other numbers at each mount. If it were attached twice, each
 * call would be seen twice. So a library with the same inode, times, size and probes as one that is
 * attached is only noted, if the one that is attached belongs to root or to the same user.
 * Otherwise somebody could have his file stand for that of others.
 */
#include "capture/library_set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/closer.h"
#include "capture/layouts.h"
#include "capture/tls_library.h"
#include "capture/library_file.h"
#include "capture/uprobes.h"
#include "capture/verdicts.h"

#define WAITING_MAX 64U
#define WAIT_NS	    100000000ULL
#define MISSED_MAX  2U /* scans: a process that is born during one may escape it */

/* A process whose files are not examined for some time. */
struct waiting {
	uint32_t pid;
	uint64_t until_ns;
};

struct library_set {
	const struct libraries_programs *programs;
	struct uprobes_programs attach;
	enum uprobes_kind kind;
	struct closer *closer;
	struct verdicts *verdicts;
	struct layouts layouts;
	struct library *first;
	uint32_t count, others; /* `others`: not made known by root */
	bool wants_scan;
	struct waiting waiting[WAITING_MAX]; /* by pid */
	struct libraries_counts counts;
};

/* Where a file was found. */
struct finding {
	uint32_t pid; /* 0: named by ld.so.cache */
	const struct mapping *mapping;
	const char *path;
	uint32_t user;
};

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* ---- Libraries ------------------------------------------------------------------------------- */

static void tell_layouts(struct library_set *set, enum tls_layer layer)
{
	struct tls_layout list[TLS_LAYOUTS_MAX];
	uint32_t count = layouts_list(&set->layouts, layer, list);

	set->programs->layout(set->programs->context, layer, list, count);
}

/* Who pays for the places where it has the random. */
static uint32_t layouts_user(const struct library *library)
{
	return library->trusted ? LAYOUTS_TRUSTED : library->user;
}

static void attach(struct library_set *set, struct library *library, int fd)
{
	const struct plan *plan = &library->plan;
	bool changed;

	if (!plan->site_count)
		return;
	set->counts.layouts_full +=
		layouts_add(&set->layouts, plan->layer, plan->layouts, plan->layout_count,
			    layouts_user(library), &changed);
	if (changed)
		tell_layouts(set, plan->layer);
	library->error =
		uprobes_attach(&library->uprobes, set->kind, fd, plan, &set->attach, set->closer);
}

static void detach(struct library_set *set, struct library *library)
{
	const struct plan *plan = &library->plan;
	bool changed;

	if (library->same || !plan->site_count)
		return;
	set->counts.detached += library->uprobes.count != 0;
	uprobes_detach(&library->uprobes, set->closer);
	layouts_remove(&set->layouts, plan->layer, plan->layouts, plan->layout_count,
		       layouts_user(library), &changed);
	if (changed)
		tell_layouts(set, plan->layer);
}

/* Frees a library. Those for which it stands must be found again. */
static void drop(struct library_set *set, struct library *library)
{
	struct file_verdict *verdict = verdicts_find(set->verdicts, library->identity.device,
						     library->identity.inode, now_ns());
	struct library **link = &set->first;

	detach(set, library);
	while (*link && *link != library)
		link = &(*link)->next;
	if (*link)
		*link = library->next;
	if (verdict && verdict->library == library)
		verdicts_remove(set->verdicts, verdict);
	verdicts_count_library(set->verdicts, library->user, -1);
	set->count--;
	set->others -= library->user != 0;
	free(library->path);
	free(library);
}

/* Drops a library and those for which it stands. These are found again in a scan. */
static void drop_all(struct library_set *set, struct library *library)
{
	struct library *other = set->first, *next;

	for (; other; other = next) {
		next = other->next;
		if (other == library || other->same != library)
			continue;
		set->wants_scan = true;
		drop(set, other);
	}
	drop(set, library);
}

static bool has_room(struct library_set *set, uint32_t user)
{
	if (set->count >= LIBRARIES_MAX)
		return false;
	return user == 0 || (set->others < LIBRARIES_OTHERS_MAX &&
			     verdicts_libraries(set->verdicts, user) < LIBRARIES_USER_MAX);
}

/* An attached library that is the same file, seen through another mount; NULL if there is none. */
static struct library *same_below(const struct library_set *set, const struct library *library)
{
	struct library *other = set->first;

	while (other && (other == library || other->same || !other->uprobes.count ||
			 !file_same_below(&other->identity, &library->identity) ||
			 !library_same_plan(&other->plan, &library->plan)))
		other = other->next;
	return other;
}

/* A library takes over from another one, and from what that one stood for. */
static void stand_for(struct library_set *set, struct library *library, struct library *other)
{
	detach(set, other);
	other->same = library;
	for (struct library *third = set->first; third; third = third->next) {
		if (third->same == other)
			third->same = library;
	}
}

/* Attaches the library, unless the same file is attached already. */
static void attach_once(struct library_set *set, struct library *library, int fd)
{
	struct library *other = same_below(set, library);

	if (other && (other->user == library->user || other->user == 0)) {
		library->same = other;
		return;
	}
	attach(set, library, fd);
	if (other && library->user == 0 && library->uprobes.count)
		stand_for(set, library, other);
}

/* `user`: whose account it is. */
static struct library *library_new(struct library_set *set, const struct finding *finding,
				   uint32_t user, const struct file_identity *identity,
				   const struct plan *plan)
{
	struct library *library = calloc(1, sizeof(*library));
	char *path = strdup(finding->path);

	if (!library || !path) {
		free(library);
		free(path);
		return NULL;
	}
	*library = (struct library){.next = set->first,
				    .identity = *identity,
				    .plan = *plan,
				    .path = path,
				    .pid = finding->pid,
				    .user = user,
				    .named = finding->pid == 0,
				    .trusted = identity->owner == 0};
	if (finding->mapping) {
		library->start = finding->mapping->start;
		library->end = finding->mapping->end;
	}
	set->first = library;
	set->count++;
	set->others += user != 0;
	verdicts_count_library(set->verdicts, user, 1);
	return library;
}

/* ---- Examining ------------------------------------------------------------------------------- */

static struct file_verdict *put(struct library_set *set, const struct finding *finding,
				const struct file_identity *identity, enum verdict verdict)
{
	return verdicts_put(set->verdicts, identity, verdict, finding->user, now_ns(),
			    clock_ns(CLOCK_REALTIME));
}

/* Takes in a library that was found in a file. */
static void take_in(struct library_set *set, const struct finding *finding, int fd,
		    const struct file_identity *identity, const struct plan *plan)
{
	bool room = has_room(set, finding->user);
	struct file_verdict *verdict =
		put(set, finding, identity, room ? VERDICT_LIBRARY : VERDICT_REFUSED);
	struct library *library =
		room && verdict ? library_new(set, finding, verdict->user, identity, plan) : NULL;

	set->counts.refused += !library;
	if (!library) {
		if (verdict && room)
			verdicts_remove(set->verdicts, verdict);
		return;
	}
	verdict->library = library;
	attach_once(set, library, fd);
}

/* The content of a known library may have changed. True: it is as it was, and stays. */
static bool stays(struct library_set *set, struct file_verdict *verdict,
		  const struct finding *finding, const struct file_identity *identity,
		  const struct plan *plan)
{
	struct library *library = verdict->library;

	if (!library_same_plan(&library->plan, plan) || library->error) {
		drop_all(set, library);
		return false;
	}
	library->identity = *identity;
	library->plan = *plan; /* the version may be another */
	verdict = put(set, finding, identity, VERDICT_LIBRARY);
	if (verdict)
		verdict->library = library;
	return true;
}

/* Examines an open file. */
static void examine_file(struct library_set *set, const struct finding *finding, int fd,
			 const struct file_identity *identity)
{
	struct file_verdict *known =
		verdicts_find(set->verdicts, identity->device, identity->inode, now_ns());
	struct file_identity after;
	struct plan plan = {};
	int error = set->programs->plan(fd, &plan);

	set->counts.examined++;
	if (library_file_identify(fd, &after) || !file_same(identity, &after))
		return; /* it is being written: it will be mapped again */
	if (known && known->library && stays(set, known, finding, identity, &plan))
		return;
	if (error || plan.layer == TLS_NONE)
		put(set, finding, identity, VERDICT_NOTHING);
	else
		take_in(set, finding, fd, identity, &plan);
}

/* The library is in use here as well. */
static void note_place(struct library *library, const struct finding *finding)
{
	if (!finding->mapping) {
		library->named = true;
		return;
	}
	if (library->pid)
		return;
	library->pid = finding->pid;
	library->start = finding->mapping->start;
	library->end = finding->mapping->end;
	library->missed = 0;
}

/* Whether what is known of this file still holds. */
static bool is_known(struct library_set *set, const struct file_identity *identity,
		     const struct finding *finding)
{
	struct file_verdict *verdict =
		verdicts_find(set->verdicts, identity->device, identity->inode, now_ns());

	if (!verdict || !file_same(&verdict->identity, identity) || !verdict->settled)
		return false;
	if (verdict->verdict == VERDICT_REFUSED && has_room(set, finding->user))
		return false;
	verdict->checked_ns = now_ns();
	if (verdict->library)
		note_place(verdict->library, finding);
	return true;
}

/* Opens the file that was found, and examines it unless it is known after all. */
static void open_and_examine(struct library_set *set, const struct finding *finding)
{
	struct file_identity identity;
	int fd = finding->mapping ? library_file_open(finding->pid, finding->mapping, &identity)
				  : library_file_open_path(finding->path, &identity);

	if (fd < 0) {
		set->counts.not_opened++;
		return;
	}
	if (!is_known(set, &identity, finding))
		examine_file(set, finding, fd, &identity);
	close(fd);
}

/* For a while nothing that this process maps is looked at. */
static void wait_with(struct library_set *set, uint32_t pid)
{
	set->waiting[pid % WAITING_MAX] =
		(struct waiting){.pid = pid, .until_ns = now_ns() + WAIT_NS};
}

static void examine(struct library_set *set, const struct finding *finding)
{
	uint64_t began_ns = now_ns();

	if (!verdicts_may_examine(set->verdicts, finding->user, began_ns)) {
		set->counts.not_examined++;
		set->waiting[finding->pid % WAITING_MAX] =
			(struct waiting){.pid = finding->pid, .until_ns = began_ns + WAIT_NS};
		return;
	}
	open_and_examine(set, finding);
	verdicts_charge(set->verdicts, finding->user, now_ns() - began_ns);
}

/* Whether the process belongs to a user whose files wait: to look costs as much as to map. */
static bool waits(struct library_set *set, uint32_t pid)
{
	const struct waiting *waiting = &set->waiting[pid % WAITING_MAX];

	if (waiting->pid != pid || now_ns() >= waiting->until_ns)
		return false;
	set->counts.not_examined++;
	return true;
}

void library_set_mapped(struct library_set *set, uint32_t pid, const struct mapping *mapping,
			uint64_t fresh_ns)
{
	struct finding finding = {.pid = pid, .mapping = mapping, .path = mapping->path};
	struct file_verdict *verdict = verdicts_find(set->verdicts, library_file_device(mapping),
						     mapping->inode, now_ns());
	struct file_identity identity;

	if (verdict && verdict->checked_ns >= fresh_ns && verdict->verdict != VERDICT_REFUSED &&
	    !(verdict->library && !verdict->library->pid))
		return;
	if (waits(set, pid))
		return;
	if (!library_file_mapped(pid, mapping->start, mapping->end, &identity)) {
		verdict = verdicts_find(set->verdicts, identity.device, identity.inode, now_ns());
		if (verdict && verdict->verdict == VERDICT_REFUSED)
			finding.user = library_file_user(pid);
		if (is_known(set, &identity, &finding)) {
			if (verdict && verdict->verdict == VERDICT_REFUSED)
				wait_with(set, pid);
			return;
		}
	}
	finding.user = library_file_user(pid);
	examine(set, &finding);
}

void library_set_named(struct library_set *set, const char *path)
{
	struct finding finding = {.path = path};

	examine(set, &finding);
}

/* ---- Checking -------------------------------------------------------------------------------- */

/* Examines a library's file again, which has changed or may have. */
static void examine_again(struct library_set *set, const struct library *library)
{
	struct mapping mapping = {.start = library->start, .end = library->end, .path = ""};
	struct finding finding = {.pid = library->pid,
				  .mapping = library->pid ? &mapping : NULL,
				  .path = library->path,
				  .user = library->user};
	char *path = strdup(library->path); /* the library may be dropped */

	if (!path)
		return;
	finding.path = mapping.path = path;
	examine(set, &finding);
	free(path);
}

/* Whether the library is where it was; then `now` is what it is. */
static bool find(struct library *library, struct file_identity *now)
{
	const struct file_identity *identity = &library->identity;
	bool mapped = library->pid &&
		      !library_file_mapped(library->pid, library->start, library->end, now) &&
		      now->device == identity->device && now->inode == identity->inode;

	if (!mapped)
		library->pid = 0;
	if (mapped)
		return true;
	if (library->named)
		library->named = !library_file_at(library->path, now) &&
				 now->device == identity->device && now->inode == identity->inode;
	return library->named;
}

/* A library whose file has changed; NULL: there is none left. */
static struct library *next_changed(const struct library_set *set)
{
	struct library *library = set->first;

	while (library && !library->changed)
		library = library->next;
	return library;
}

uint32_t library_set_check(struct library_set *set)
{
	struct library *library;
	struct file_identity now;
	uint32_t gone = 0;

	for (library = set->first; library; library = library->next) {
		if (!find(library, &now))
			gone++;
		else
			library->changed = !file_same(&library->identity, &now);
	}
	while ((library = next_changed(set))) { /* an examination may drop several */
		library->changed = false;
		examine_again(set, library);
	}
	return gone;
}

/* A library that several scans have missed; NULL: there is none left. */
static struct library *next_gone(const struct library_set *set)
{
	struct library *library = set->first;

	while (library && library->missed < MISSED_MAX)
		library = library->next;
	return library;
}

void library_set_drop_gone(struct library_set *set)
{
	struct library *library;

	for (library = set->first; library; library = library->next) {
		if (library->pid || library->named)
			library->missed = 0;
		else
			library->missed++;
	}
	while ((library = next_gone(set))) /* others may go with it */
		drop_all(set, library);
}

bool library_set_wants_scan(const struct library_set *set)
{
	return set->wants_scan;
}

void library_set_scan_begins(struct library_set *set)
{
	set->wants_scan = false;
}

void library_set_lost(struct library_set *set, uint64_t events)
{
	set->counts.lost += events;
	set->wants_scan = set->wants_scan || events;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

struct library_set *library_set_new(const struct libraries_programs *programs)
{
	struct library_set *set = calloc(1, sizeof(*set));

	if (!set)
		return NULL;
	set->programs = programs;
	set->attach = (struct uprobes_programs){.program = programs->program,
						.return_program = programs->return_program,
						.context = programs->context};
	set->kind = uprobes_kind();
	set->closer = closer_new();
	set->verdicts = verdicts_new();
	if (set->closer && set->verdicts)
		return set;
	library_set_free(set);
	errno = ENOMEM;
	return NULL;
}

void library_set_free(struct library_set *set)
{
	if (!set)
		return;
	while (set->first)
		drop(set, set->first);
	closer_free(set->closer);
	verdicts_free(set->verdicts);
	free(set);
}

/* ---- What is known --------------------------------------------------------------------------- */

size_t library_set_list(const struct library_set *set, struct library_state *list, size_t max)
{
	size_t count = 0;

	for (int attached = 1; attached >= 0; attached--) {
		for (const struct library *library = set->first; library && count < max;
		     library = library->next) {
			if (library_is_attached(library) == (attached == 1))
				library_describe(library, &list[count++]);
		}
	}
	return count;
}

struct libraries_counts library_set_counts(const struct library_set *set)
{
	struct libraries_counts counts = set->counts;

	for (const struct library *library = set->first; library; library = library->next) {
		if (library_is_attached(library))
			counts.attached++;
		else
			counts.dark++;
	}
	return counts;
}
