/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: a sender starts from a kernel record, with ids only. Names, hash, unit and
 * scheduler are filled in as they become known. What is missing is asked for (want.h), and the next
 * sender_fill() finds the answer in struct names. An id gets a name only if it belongs to the user
 * namespace of the watch: a name of this host if the sender's root directory is the watch's own, or
 * else the name that its own root gives, which nothing trusts.
 */
#include "process/sender.h"

#include <stdlib.h>
#include <string.h>

#include "process/cgroup.h"
#include "process/image.h"

/* The image of a process. One that is not known yet may still be running: /proc can tell. */
static struct image *image_of(struct process_table *processes, const struct want *want,
			      uint32_t pid, uint64_t start_ns, uint64_t at_ns)
{
	struct image *image = process_image_at(processes, pid, start_ns, at_ns);

	if (image || !want->process || !process_ask(processes, pid, start_ns, at_ns))
		return image;
	want->process(want->context, pid, start_ns);
	return process_image_at(processes, pid, start_ns, at_ns);
}

struct sender *sender_of_task(const struct task_id *task, uint64_t time_ns,
			      struct process_table *processes, const struct want *want)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	if (!sender)
		return NULL;
	sender->refs = 1;
	sender->task = *task;
	sender->image = image_of(processes, want, task->pid, task->start_ns, time_ns);
	sender->exe_deleted = sender->image && sender->image->flags & EXEC_DELETED;
	return sender;
}

/*
 * "cron.service\0system.slice\0" becomes "/system.slice/cron.service". NULL if there is no memory.
 */
static char *cgroup_path(const char *leaf_first, size_t len)
{
	char *path = malloc(len + 2);
	size_t at = 0, end = len;

	if (!path)
		return NULL;
	while (end) {
		size_t start = end - 1; /* on the component's NUL */

		while (start && leaf_first[start - 1])
			start--;
		path[at++] = '/';
		memcpy(path + at, leaf_first + start, end - 1 - start);
		at += end - 1 - start;
		end = start;
	}
	path[at] = '\0';
	return path;
}

/*
 * Whether the task's exe link names another file than the one it executed. On overlayfs and btrfs,
 * stat() reports other device numbers than the kernel uses, so devices from the snapshot cannot be
 * compared.
 */
static bool is_other_file(const struct image *image, uint32_t dev, uint64_t inode)
{
	if (image->dev != dev)
		return !(image->flags & EXEC_SNAPSHOT);
	return image->inode != inode;
}

struct sender *sender_of_record(const struct sender_record *record, struct process_table *processes,
				const struct want *want)
{
	struct sender *sender = sender_of_task(&record->task, record->h.time_ns, processes, want);

	if (!sender)
		return NULL;
	sender->flags = record->flags;
	sender->full = record->ns_pid != 0;
	if (sender->image && record->exe_inode) {
		sender->exe_swapped =
			is_other_file(sender->image, record->exe_dev, record->exe_inode);
		sender->exe_deleted = sender->exe_deleted ||
				      (!sender->exe_swapped && record->flags & SENDER_EXE_DELETED);
	}
	sender->cgroup_id = record->cgroup_id;
	sender->sessionid = record->sessionid;
	sender->ns_pid = record->ns_pid;
	sender->ns_mnt = record->ns_mnt;
	sender->ns_net = record->ns_net;
	sender->tty_major = record->tty_major;
	sender->tty_minor = record->tty_minor;
	sender->ancestor_count = record->ancestor_count;
	for (uint32_t i = 0; i < record->ancestor_count; i++) {
		const struct ancestor_id *id = &record->ancestors[i];

		sender->ancestors[i] = (struct ancestor){
			.pid = id->pid,
			.uid = id->uid,
			.start_ns = id->start_ns,
			.image =
				image_of(processes, want, id->pid, id->start_ns, record->h.time_ns),
		};
	}
	if (record->cgroup_len && !(record->flags & SENDER_CGROUP_TRUNCATED))
		sender->cgroup = cgroup_path(record->cgroup, record->cgroup_len);
	return sender;
}

void sender_stands(struct sender *sender, const struct directory_record *record)
{
	const struct task_id *task = &sender->task;

	if (sender->directory || record->pid != task->pid || record->tid != task->tid ||
	    record->start_ns != task->start_ns ||
	    (!record->path_len && record->flags & DIRECTORY_TRUNCATED))
		return;
	sender->directory = path_of_components(record->path, record->path_len,
					       record->flags & DIRECTORY_TRUNCATED);
}

/* Whose names are shown: the effective user, or the real one if only that is known. */
static struct task_id task_by_name(const struct sender *sender)
{
	struct task_id task = sender->task;

	task.euid = sender_uid(sender);
	return task;
}

/* ---- Filling in ------------------------------------------------------------------------------ */

static bool is_known_string(const char *string)
{
	return string && string[0];
}

static void set(char **field, const char *text)
{
	if (!*field && text[0])
		*field = strdup(text);
}

static bool fill_group(struct sender *sender, struct names *names, uint64_t now_ns,
		       const struct want *want)
{
	const char *text = NULL;
	enum name_state state;

	if (sender->group)
		return true;
	state = names_group(names, sender->task.egid, now_ns, &text);
	if (state == NAME_MISSING && want->group)
		want->group(want->context, sender->task.egid);
	if (state == NAME_KNOWN)
		set(&sender->group, text);
	return state == NAME_KNOWN;
}

static bool fill_user(char **field, uint32_t uid, struct names *names, uint64_t now_ns,
		      const struct want *want)
{
	const char *text = NULL;
	enum name_state state;

	if (*field)
		return true;
	state = names_user(names, uid, now_ns, &text);
	if (state == NAME_MISSING && want->user)
		want->user(want->context, uid);
	if (state == NAME_KNOWN)
		set(field, text);
	return state == NAME_KNOWN;
}

static bool fill_hash(struct sender *sender, struct names *names, uint64_t now_ns,
		      const struct want *want)
{
	const char *text = NULL;
	enum name_state state;

	if (sender->sha256[0] || !sender->image || !sender->image->inode)
		return true;
	state = names_hash(names, sender->image, now_ns, &text);
	if (state == NAME_MISSING && want->hash)
		want->hash(want->context, sender->image, sender->task.pid);
	if (state == NAME_KNOWN)
		memcpy(sender->sha256, text, strlen(text) + 1);
	return state == NAME_KNOWN;
}

static void fill_units(struct sender *sender)
{
	struct cgroup_names names;

	cgroup_parse(span_of(sender->cgroup), &names);
	set(&sender->unit, names.unit);
	set(&sender->user_unit, names.user_unit);
	set(&sender->container, names.container);
	set(&sender->container_name, names.container_name);
	sender->container_runtime = names.runtime;
}

static bool fill_cgroup(struct sender *sender, struct names *names, uint64_t now_ns,
			const struct want *want)
{
	const char *text = NULL;
	enum name_state state = NAME_KNOWN;

	if (!sender->cgroup) {
		state = names_cgroup(names, sender->task.pid, sender->task.start_ns, now_ns, &text);
		if (state == NAME_MISSING && want->cgroup)
			want->cgroup(want->context, sender->task.pid, sender->task.start_ns);
		if (state == NAME_KNOWN)
			set(&sender->cgroup, text);
		if (state == NAME_KNOWN &&
		    sender->full) /* the process has exited: the kernel's record counts */
			set(&sender->cgroup, "/");
	}
	if (sender->cgroup)
		fill_units(sender);
	return state == NAME_KNOWN;
}

/* ---- Who started it -------------------------------------------------------------------------- */

static bool is_one_of(const char *const *paths, const char *path)
{
	while (*paths && strcmp(*paths, path) != 0)
		paths++;
	return *paths;
}

/*
 * A job of the system's cron or at daemon: one ancestor is that daemon and runs as root, which a
 * user who starts the program himself is not; and the login uid, which the daemon sets to the job's
 * owner, is the sender's uid.
 */
static enum scheduler scheduler_among_ancestors(const struct sender *sender)
{
	static const char *const cron[] = {"/usr/sbin/cron",  "/usr/sbin/crond",  "/usr/bin/crond",
					   "/usr/sbin/fcron", "/usr/sbin/cronie", NULL},
				 *const at[] = {"/usr/sbin/atd", "/usr/bin/atd", NULL};

	if (sender->task.loginuid != task_by_name(sender).euid)
		return SCHEDULER_NONE;
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		const struct ancestor *ancestor = &sender->ancestors[i];

		if (!ancestor->image || ancestor->uid != 0)
			continue;
		if (is_one_of(cron, ancestor->image->executable))
			return SCHEDULER_CRON;
		if (is_one_of(at, ancestor->image->executable))
			return SCHEDULER_AT;
	}
	return SCHEDULER_NONE;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/*
 * Whether the accounts of this host name the sender's ids: not in another root directory, not in
 * another user namespace. Without the kernel's word on the root, the mount namespace decides.
 */
static bool has_host_names(const struct sender *sender, const struct namespaces *own)
{
	if (sender->task.ns_user != own->user || sender->flags & SENDER_ROOT_OTHER)
		return false;
	if (sender->flags & SENDER_ROOT_OWN)
		return true;
	return sender->full ? sender->ns_mnt == own->mnt
			    : !is_known_string(sender_container(sender));
}

/*
 * Who logged in is an account of this host, except in a container that root made: there, its own
 * login may have set the number.
 */
static bool has_host_login(const struct sender *sender, const struct namespaces *own)
{
	return sender->task.loginuid != LOGINUID_NONE &&
	       (sender->task.ns_user != own->user || !sender->full || sender->ns_mnt == own->mnt ||
		sender->flags & SENDER_ROOT_OWN);
}

static bool fill_host_names(struct sender *sender, struct names *names, uint64_t now_ns,
			    const struct want *want)
{
	bool filled = fill_user(&sender->user, task_by_name(sender).euid, names, now_ns, want);

	return fill_group(sender, names, now_ns, want) && filled;
}

/* "own:USER:GROUP" */
static void set_root_names(struct sender *sender, const char *text)
{
	const char *user = text + strlen("own:"), *colon = strchr(user, ':');

	if (!colon || sender->root_user)
		return;
	sender->root_user = strndup(user, (size_t)(colon - user));
	sender->root_group = strdup(colon + 1);
}

/* The names by the sender's own root. A chroot without accounts of its own has the host's. */
static bool fill_root_names(struct sender *sender, struct names *names,
			    const struct namespaces *own, uint64_t now_ns, const struct want *want)
{
	const char *text = NULL;
	const struct task_id task = task_by_name(sender);
	enum name_state state = names_accounts(names, &task, now_ns, &text);

	if (state == NAME_MISSING && want->accounts)
		want->accounts(want->context, task.pid, task.start_ns, task.euid, task.egid);
	if (state != NAME_KNOWN)
		return false;
	if (strncmp(text, "own:", 4) == 0)
		set_root_names(sender, text);
	else if (strcmp(text, "host") == 0 && sender->full && sender->ns_mnt == own->mnt)
		return fill_host_names(sender, names, now_ns, want);
	return true;
}

static bool is_service(const char *unit)
{
	size_t len = unit ? strlen(unit) : 0;

	return len > 8 && strcmp(unit + len - 8, ".service") == 0;
}

static bool fill_scheduler(struct sender *sender, struct names *names, uint64_t now_ns,
			   const struct want *want)
{
	enum name_state state;
	const char *text = "";

	if (!sender->full || sender->scheduler != SCHEDULER_NOT_KNOWN)
		return true;
	sender->scheduler = scheduler_among_ancestors(sender);
	if (sender->scheduler != SCHEDULER_NONE || (sender->cgroup && !is_service(sender->unit)))
		return true;
	sender->scheduler = SCHEDULER_NOT_KNOWN;
	if (!sender->cgroup)
		return false;
	state = names_activation(names, sender->task.pid, sender->task.start_ns, now_ns, &text);
	if (state == NAME_MISSING && want->activation)
		want->activation(want->context, sender->task.pid, sender->task.start_ns,
				 sender->unit);
	if (state == NAME_KNOWN)
		sender->scheduler = strcmp(text, "timer") == 0	 ? SCHEDULER_SYSTEMD_TIMER
				    : strcmp(text, "other") == 0 ? SCHEDULER_NONE
								 : SCHEDULER_NOT_KNOWN;
	return state == NAME_KNOWN;
}

bool sender_fill(struct sender *sender, struct names *names, const struct namespaces *own,
		 uint64_t now_ns, const struct want *want)
{
	bool filled;

	if (sender->filled)
		return true;
	if (sender->full)
		sender->own_namespaces =
			sender->task.ns_user == own->user && sender->ns_pid == own->pid &&
					sender->ns_mnt == own->mnt && sender->ns_net == own->net
				? IS_SO
				: NOT_SO;
	filled = fill_cgroup(sender, names, now_ns, want);
	if (has_host_names(sender, own))
		filled = (sender->full || filled) && fill_host_names(sender, names, now_ns, want) &&
			 filled;
	else if (sender->task.ns_user == own->user)
		filled = fill_root_names(sender, names, own, now_ns, want) && filled;
	if (has_host_login(sender, own))
		filled = fill_user(&sender->audit_user, sender->task.loginuid, names, now_ns,
				   want) &&
			 filled;
	filled = fill_hash(sender, names, now_ns, want) && filled;
	filled = fill_scheduler(sender, names, now_ns, want) && filled;
	sender->filled = filled;
	return filled;
}
