/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From what a self-check of the capture found (capture/selfcheck.c) to an event: one when something
 * was found or a state has changed, none while it stays the same.
 */
#include <stdlib.h>
#include <string.h>

#include "watch/pipeline_state.h"

/* The reason and the words for a bit of enum health_flag. */
struct finding {
	uint32_t flag;
	const char *reason, *words;
};

#define SEND_HOOK "a hook of sends, sockets or processes "
#define WIRE_HOOK "the wire hook "

static const struct finding found_now[] = {
	{HEALTH_SEND_REMOVED, "send_hook_removed", SEND_HOOK "was removed"},
	{HEALTH_WIRE_REMOVED, "wire_hook_removed", WIRE_HOOK "was removed"},
	{HEALTH_SEND_REPLACED, "send_hook_replaced", SEND_HOOK "was replaced by another program"},
	{HEALTH_WIRE_REPLACED, "wire_hook_replaced", WIRE_HOOK "was replaced by another program"},
	{HEALTH_RING_MOVED, "ring_moved",
	 "another process moved the reader's place in the ring buffer, or read from it"},
};

static const struct finding begun[] = {
	{HEALTH_SEND_DETACHED, "send_hook_detached", SEND_HOOK "cannot be attached again"},
	{HEALTH_WIRE_DETACHED, "wire_hook_detached", WIRE_HOOK "cannot be attached again"},
	{HEALTH_SEND_MISSED, "send_hook_blind",
	 "the send hook did not see a mail that the watch sent itself over loopback"},
	{HEALTH_WIRE_MISSED, "wire_hook_blind",
	 "the wire hook did not see a mail that the watch sent itself over loopback"},
	{HEALTH_UNSENT, "canary_unsent",
	 "the watch could not send itself a mail over loopback to check its hooks"},
};

static const struct finding ended[] = {
	{HEALTH_SEND_DETACHED, "send_hook_attached", "that hook is attached again"},
	{HEALTH_WIRE_DETACHED, "wire_hook_attached", WIRE_HOOK "is attached again"},
	{HEALTH_SEND_MISSED, "send_hook_sees", "the send hook sees mail again"},
	{HEALTH_WIRE_MISSED, "wire_hook_sees", WIRE_HOOK "sees mail again"},
	{HEALTH_UNSENT, "canary_sent", "the watch can send itself mail over loopback again"},
};

static void add_findings(struct event *event, struct text *words, const struct finding *findings,
			 size_t count, uint32_t flags)
{
	for (size_t i = 0; i < count; i++) {
		if (!(flags & findings[i].flag))
			continue;
		event_reason(event, findings[i].reason);
		text_add_string(words, words->len ? "; " : "");
		text_add_string(words, findings[i].words);
	}
}

/* What was removed or replaced in this moment, and is attached again by now. */
static uint32_t repaired(uint32_t flags)
{
	uint32_t gone =
		(flags & HEALTH_SEND_REMOVED || flags & HEALTH_SEND_REPLACED ? HEALTH_SEND_DETACHED
									     : 0U) |
		(flags & HEALTH_WIRE_REMOVED || flags & HEALTH_WIRE_REPLACED ? HEALTH_WIRE_DETACHED
									     : 0U);

	return gone & ~flags;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void tell(struct pipeline *pipeline, const struct health_record *record, uint32_t before)
{
	uint64_t since_ns = record->h.time_ns - record->good_ns;
	uint32_t now = record->flags & HEALTH_STATES;
	struct event *event = compose_event(pipeline, EVENT_LOSS, record->h.time_ns);
	struct text words = {0};

	if (!event)
		return;
	compose_id(pipeline, event->id, record->h.time_ns, EVENT_LOSS, 1 + record->flags);
	event->start_ns = event->time_ns - (int64_t)since_ns;
	add_findings(event, &words, found_now, COUNT(found_now), record->flags);
	add_findings(event, &words, begun, COUNT(begun), now & ~before);
	if (now & ~before & HEALTH_UNSENT)
		text_add_format(&words, ": %s", strerror(record->error));
	add_findings(event, &words, ended, COUNT(ended), (before & ~now) | repaired(record->flags));
	text_add_format(&words, "; the last good check was %.1f s earlier", (double)since_ns / 1e9);
	event->detail = event->composed = words.data;
	event->stats = calloc(1, sizeof(*event->stats));
	hold_event(pipeline, event);
}

void health_take(struct pipeline *pipeline, const struct health_record *record)
{
	uint32_t before = pipeline->health;

	pipeline->health = record->flags & HEALTH_STATES;
	if (record->flags & HEALTH_SEEN)
		pipeline->checked_ns = record->h.time_ns;
	if (pipeline->health != before || record->flags & ~(uint32_t)(HEALTH_STATES | HEALTH_SEEN))
		tell(pipeline, record, before);
}
