/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The walk over who handed a mail to the MTA that relays it. */
#include "format/walk.h"
#include "process/image.h"

static void put_parent(struct fields *fields, const struct ancestor *parent)
{
	put_number(fields, FIELD_ORIGIN_PARENT_PID, parent->pid);
	if (!parent->image)
		return;
	put_bytes(fields, FIELD_ORIGIN_PARENT_NAME,
		  text_basename(span_of(parent->image->executable)));
	put_bytes(fields, FIELD_ORIGIN_PARENT_EXECUTABLE, span_of(parent->image->executable));
}

static void put_image(struct fields *fields, const struct sender *sender)
{
	const struct image *image = sender->image;
	const struct task_id *task = &sender->task;

	put_bytes(fields, FIELD_ORIGIN_NAME, text_basename(span_of(image->executable)));
	put_bytes(fields, FIELD_ORIGIN_EXECUTABLE, span_of(image->executable));
	put_string_known(fields, FIELD_ORIGIN_SCRIPT, image->script);
	put(fields, FIELD_ORIGIN_ARGS)->args = image;
	put_bool(fields, FIELD_ORIGIN_ARGS_TRUNCATED, image->flags & EXEC_ARGS_TRUNCATED);
	put_bool(fields, FIELD_ORIGIN_EXE_VERIFIED,
		 image_is_verified(image, !task->uid && !task->euid));
}

static int64_t start_of(const struct sender *sender, const struct event *event)
{
	return (int64_t)(sender->task.start_ns + (uint64_t)event->boot_to_real_ns);
}

static void put_submitter(struct fields *fields, const struct event *event,
			  const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	put_number(fields, FIELD_ORIGIN_PID, task->pid);
	put_time(fields, FIELD_ORIGIN_START, start_of(sender, event));
	event_entity_id(fields->origin_entity_id, task->pid, task->start_ns);
	put_word(fields, FIELD_ORIGIN_ENTITY_ID, fields->origin_entity_id);
	if (sender->image)
		put_image(fields, sender);
	put_bool(fields, FIELD_ORIGIN_REAL_USER, task->uid == task->euid);
	if (sender->own_namespaces != NOT_KNOWN)
		put_bool(fields, FIELD_ORIGIN_OWN_NAMESPACES, sender->own_namespaces == IS_SO);
	if (sender->scheduler != SCHEDULER_NOT_KNOWN)
		put_word(fields, FIELD_ORIGIN_SCHEDULED_BY, scheduler_name(sender->scheduler));
	if (sender->ancestor_count)
		put_parent(fields, sender->ancestors);
	if (sender->full)
		put_records(fields, FIELD_ORIGIN_ANCESTRY, walk_ancestor_of, sender);
	put_string_known(fields, FIELD_ORIGIN_UNIT, sender->unit);
	put_string_known(fields, FIELD_ORIGIN_USER_UNIT, sender->user_unit);
	put_string_known(fields, FIELD_ORIGIN_CONTAINER_ID, sender->container);
	put_string_known(fields, FIELD_ORIGIN_CONTAINER_NAME, sender->container_name);
}

static bool candidate(struct fields *element, const void *of, uint32_t at)
{
	const struct event *event = of;
	const struct sender *sender =
		at < ORIGIN_CANDIDATES_MAX ? event->origin->candidates[at] : NULL;

	if (!sender)
		return false;
	walk_ancestor(element, &(struct ancestor){.pid = sender->task.pid,
						  .uid = sender->task.uid,
						  .start_ns = sender->task.start_ns,
						  .image = sender->image});
	put_time(element, FIELD_CANDIDATE_START, start_of(sender, event));
	event_entity_id(element->entity_id, sender->task.pid, sender->task.start_ns);
	put_word(element, FIELD_CANDIDATE_ENTITY_ID, element->entity_id);
	return true;
}

void walk_origin(struct fields *fields, const struct event *event)
{
	const struct origin *origin = event->origin;

	if (origin->has_uid)
		put_number(fields, FIELD_ORIGIN_UID, origin->uid);
	put_string_known(fields, FIELD_ORIGIN_USER, origin->user);
	put_word(fields, FIELD_ORIGIN_MTA, origin->mta);
	put_word_known(fields, FIELD_ORIGIN_QUEUE_ID, origin->queue_id);
	put_word_known(fields, FIELD_ORIGIN_SUBMISSION, origin->submission);
	if (origin->submitter) {
		put_word(fields, FIELD_ORIGIN_HOW, origin_how_name(origin->how));
		put_submitter(fields, event, origin->submitter);
	} else if (origin->candidate_count) {
		put_number(fields, FIELD_ORIGIN_CANDIDATE_COUNT, origin->candidate_count);
		put_records(fields, FIELD_ORIGIN_CANDIDATES, candidate, event);
	}
}
