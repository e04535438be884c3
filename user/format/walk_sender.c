/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over the processes that sent an event's bytes. */
#include "format/walk.h"

#include "format/event_sentence.h"
#include "process/image.h"

/* Bytes of an ancestor's executable, script or arguments in a line. */
#define COMMAND_PART_MAX 320U

static void put_image(struct fields *fields, const struct sender *sender)
{
	const struct image *image = sender->image;
	const struct task_id *task = &sender->task;

	put_bytes(fields, FIELD_PROCESS_NAME, text_basename(span_of(image->executable)));
	put_bytes(fields, FIELD_EXECUTABLE, span_of(image->executable));
	put(fields, FIELD_ARGS)->args = image;
	if (image->args_count)
		put_number(fields, FIELD_ARGS_COUNT, image->args_count);
	image_command_line(image, &fields->command_line);
	put_bytes_known(fields, FIELD_COMMAND_LINE,
			(struct span){fields->command_line.data, fields->command_line.len});
	put_bytes(fields, FIELD_DIRECTORY, span_of(image->directory));
	put_string_known(fields, FIELD_SCRIPT, image->script);
	put_bool(fields, FIELD_ARGS_TRUNCATED, image->flags & EXEC_ARGS_TRUNCATED);
	put_word(fields, FIELD_EXE_SOURCE, image->flags & EXEC_SNAPSHOT ? "snapshot" : "exec");
	put_bool(fields, FIELD_EXE_DELETED, sender->exe_deleted);
	put_bool(fields, FIELD_EXE_MEMFD, image->flags & EXEC_MEMFD);
	put_bool(fields, FIELD_EXE_VERIFIED, image_is_verified(image, !task->uid && !task->euid));
	put_bool(fields, FIELD_EXE_SWAPPED, sender->exe_swapped);
}

void walk_ancestor(struct fields *element, const struct ancestor *one)
{
	put_number(element, FIELD_ANCESTOR_PID, one->pid);
	put_number(element, FIELD_ANCESTOR_UID, one->uid);
	if (one->image) {
		put_bytes(element, FIELD_ANCESTOR_NAME,
			  text_basename(span_of(one->image->executable)));
		put_bytes(element, FIELD_ANCESTOR_EXECUTABLE, span_of(one->image->executable));
		put_string_known(element, FIELD_ANCESTOR_SCRIPT, one->image->script);
		put(element, FIELD_ANCESTOR_ARGS)->args = one->image;
		put_bool(element, FIELD_ANCESTOR_ARGS_TRUNCATED,
			 one->image->flags & EXEC_ARGS_TRUNCATED);
	}
	put_bool(element, FIELD_ANCESTOR_VERIFIED, image_is_verified(one->image, !one->uid));
}

bool walk_ancestor_of(struct fields *element, const void *of, uint32_t at)
{
	const struct sender *sender = of;

	if (at >= sender->ancestor_count)
		return false;
	walk_ancestor(element, &sender->ancestors[at]);
	return true;
}

/* The executable and the script that it ran; empty: not known. */
static bool next_ancestor(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct sender *sender = of;
	const struct image *image;

	if (*at >= sender->ancestor_count)
		return false;
	image = sender->ancestors[(*at)++].image;
	text_clear(scratch);
	if (image)
		text_add_string(scratch, image->executable);
	if (image && image->script[0]) {
		text_add_string(scratch, " ");
		text_add_string(scratch, image->script);
	}
	*item = (struct span){scratch->data, scratch->len};
	return true;
}

/* What each ancestor ran, with its arguments. */
static bool next_command(const void *of, uint32_t *at, struct span *item, struct text *scratch)
{
	const struct sender *sender = of;

	if (*at >= sender->ancestor_count)
		return false;
	text_clear(scratch);
	event_add_ancestor(scratch, &sender->ancestors[(*at)++], COMMAND_PART_MAX, COMMAND_PART_MAX,
			   0);
	*item = (struct span){scratch->data ? scratch->data : "", scratch->len};
	return true;
}

/* `sender->full` is false of a process of which only the ids are known. */
static void put_ancestry(struct fields *fields, const struct sender *sender)
{
	const struct ancestor *parent = sender->ancestors;
	bool tty = sender->tty_major || sender->tty_minor;

	if (sender->ancestor_count) {
		put_number(fields, FIELD_PARENT_PID, parent->pid);
		if (parent->image) {
			put_bytes(fields, FIELD_PARENT_NAME,
				  text_basename(span_of(parent->image->executable)));
			put_bytes(fields, FIELD_PARENT_EXECUTABLE,
				  span_of(parent->image->executable));
		}
	}
	if (!sender->full)
		return;
	put_records(fields, FIELD_ANCESTRY, walk_ancestor_of, sender);
	put_list(fields, FIELD_ANCESTRY_LINES, next_ancestor, sender);
	if (sender->ancestor_count)
		put_list(fields, FIELD_ANCESTRY_COMMANDS, next_command, sender);
	put_bool(fields, FIELD_INTERACTIVE, tty);
	if (!tty)
		return;
	put_number(fields, FIELD_TTY_MAJOR, sender->tty_major);
	put_number(fields, FIELD_TTY_MINOR, sender->tty_minor);
}

static void put_process(struct fields *fields, const struct event *event,
			const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	put_number(fields, FIELD_PID, task->pid);
	put_number(fields, FIELD_OBJECT_PID, task->pid);
	put_number(fields, FIELD_TID, task->tid);
	put_time(fields, FIELD_PROCESS_START,
		 (int64_t)(task->start_ns + (uint64_t)event->boot_to_real_ns));
	event_entity_id(fields->entity_id, task->pid, task->start_ns);
	put_word(fields, FIELD_ENTITY_ID, fields->entity_id);
	put_bytes(fields, FIELD_COMM, sender_comm(sender));
	if (sender->image)
		put_image(fields, sender);
	else
		put_bytes(fields, FIELD_PROCESS_NAME, sender_comm(sender));
	put_string_known(fields, FIELD_SEND_DIRECTORY, sender->directory);
	put_word_known(fields, FIELD_SHA256, sender->sha256);
	put_ancestry(fields, sender);
	put_string_known(fields, FIELD_CGROUP, sender->cgroup);
	if (sender->own_namespaces != NOT_KNOWN)
		put_bool(fields, FIELD_OWN_NAMESPACES, sender->own_namespaces == IS_SO);
	if (sender->scheduler != SCHEDULER_NOT_KNOWN)
		put_word(fields, FIELD_SCHEDULED_BY, scheduler_name(sender->scheduler));
}

static void put_user(struct fields *fields, const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	put_number(fields, FIELD_UID, sender_uid(sender));
	put_string_known(fields, FIELD_USER,
			 is_known(sender->user) ? sender->user : sender->root_user);
	put_number(fields, FIELD_GID, task->egid);
	put_string_known(fields, FIELD_GROUP,
			 is_known(sender->group) ? sender->group : sender->root_group);
	if (is_known(sender->root_user) || is_known(sender->root_group))
		put_bool(fields, FIELD_ROOT_NAMES, true);
	if (task->uid != sender_uid(sender))
		put_number(fields, FIELD_REAL_UID, task->uid);
	if (task->gid != task->egid)
		put_number(fields, FIELD_REAL_GID, task->gid);
	if (task->loginuid != LOGINUID_NONE) {
		put_number(fields, FIELD_LOGINUID, task->loginuid);
		put_string_known(fields, FIELD_LOGIN_USER, sender->audit_user);
	}
	put_string_known(fields, FIELD_UNIT, sender->unit);
	put_string_known(fields, FIELD_USER_UNIT, sender->user_unit);
	put_string_known(fields, FIELD_CONTAINER, sender->container);
	put_string_known(fields, FIELD_CONTAINER_NAME, sender->container_name);
	if (is_known(sender->container_runtime))
		put_word(fields, FIELD_CONTAINER_RUNTIME, sender->container_runtime);
}

static void put_sender(struct fields *fields, const struct event *event,
		       const struct sender *sender)
{
	put_process(fields, event, sender);
	put_user(fields, sender);
}

/* One of several senders: JSON has all that is known of each. */
static bool sender_of(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;

	if (at >= event->sender_count)
		return false;
	put_sender(element, event, event->senders[at]);
	return true;
}

/* The senders after the first, each in brief. */
static bool other_sender(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;
	const struct sender *sender;

	if (at + 1 >= event->sender_count)
		return false;
	sender = event->senders[at + 1];
	put_number(element, FIELD_OTHER_PID, sender->task.pid);
	put_bytes(element, FIELD_OTHER_COMM, sender_comm(sender));
	if (sender->image)
		put_bytes(element, FIELD_OTHER_EXECUTABLE, span_of(sender->image->executable));
	put_number(element, FIELD_OTHER_UID, sender->task.euid);
	put_string_known(element, FIELD_OTHER_USER, sender->user);
	return true;
}

void walk_senders(struct fields *fields, const struct event *event)
{
	put_number(fields, FIELD_SENDER_COUNT, event->sender_count);
	put_bool(fields, FIELD_SENDERS_COMPLETE, !event->senders_incomplete);
	if (event->sender_count)
		put_sender(fields, event, event->senders[0]);
	if (event->sender_count < 2)
		return;
	put_records(fields, FIELD_SENDERS, sender_of, event);
	put_records(fields, FIELD_OTHER_SENDERS, other_sender, event);
}
