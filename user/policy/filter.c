/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/filter.h"

#include <stdio.h>
#include <string.h>

#define STEPS_MAX 2000000U /* of expressions, for one event */

bool filter_add_word(struct filter_words *words, struct span word)
{
	if (words->count == FILTER_VALUES_MAX)
		return false;
	words->items[words->count++] = word;
	return true;
}

bool filter_add_number(struct filter_numbers *numbers, uint32_t number)
{
	if (numbers->count == FILTER_VALUES_MAX)
		return false;
	numbers->items[numbers->count++] = number;
	return true;
}

/* ---- The sender ------------------------------------------------------------------------------ */

static bool has_number(const struct filter_numbers *numbers, uint32_t number)
{
	for (uint32_t i = 0; i < numbers->count; i++) {
		if (numbers->items[i] == number)
			return true;
	}
	return false;
}

static bool has_word(const struct filter_words *words, const char *text)
{
	for (uint32_t i = 0; text && i < words->count; i++) {
		if (span_equal(words->items[i], span_of(text)))
			return true;
	}
	return false;
}

static bool is_user(const struct filter_words *users, const struct sender *sender)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", sender->task.euid);
	return has_word(users, number) || has_word(users, sender->user);
}

/* As of systemctl: a name without a suffix is that of a service. */
static bool is_unit(const struct filter_words *units, const char *unit)
{
	for (uint32_t i = 0; unit && i < units->count; i++) {
		const struct span *item = &units->items[i];
		const char *rest = unit + item->len;

		if (strncmp(unit, item->data, item->len) == 0 &&
		    (!*rest ||
		     (strcmp(rest, ".service") == 0 && !memchr(item->data, '.', item->len))))
			return true;
	}
	return false;
}

/* The beginning of an id, or a whole name: `web` is not `web2`. */
static bool is_container(const struct filter_words *containers, const struct sender *sender)
{
	const char *id = sender->container, *name = sender->container_name;

	for (uint32_t i = 0; i < containers->count; i++) {
		const struct span *item = &containers->items[i];

		if ((id && strncmp(id, item->data, item->len) == 0) ||
		    (name && span_equal(span_of(name), *item)))
			return true;
	}
	return false;
}

static bool is_pid(const struct filter_numbers *pids, const struct sender *sender)
{
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		if (has_number(pids, sender->ancestors[i].pid))
			return true;
	}
	return has_number(pids, sender->task.pid);
}

static bool meets_where(const struct filter *filter, const struct sender *sender)
{
	struct facts_process process;
	struct text line = {0};
	bool meets = true;

	if (!filter->where_count)
		return true;
	facts_of_sender(&process, sender);
	facts_command_line(&process, sender, &line);
	for (uint32_t i = 0; i < filter->where_count && meets; i++)
		meets = exclusion_finds_process(&filter->where[i], &process);
	text_free(&line);
	return meets;
}

bool filter_passes_sender(const struct filter *filter, const struct sender *sender)
{
	return (!filter->pid.count || is_pid(&filter->pid, sender)) &&
	       (!filter->user.count || is_user(&filter->user, sender)) &&
	       (!filter->unit.count || is_unit(&filter->unit, sender->unit)) &&
	       (!filter->container.count || is_container(&filter->container, sender)) &&
	       meets_where(filter, sender);
}

/* ---- The event ------------------------------------------------------------------------------- */

bool filter_wants_sender(const struct filter *filter)
{
	bool wants = filter->pid.count || filter->user.count || filter->unit.count ||
		     filter->container.count;

	for (uint32_t i = 0; i < filter->where_count && !wants; i++)
		wants = exclusion_asks_process(&filter->where[i]);
	return wants;
}

bool filter_selects(const struct filter *filter)
{
	return filter_wants_sender(filter) || filter->port.count;
}

bool filter_wants_content(const struct filter *filter)
{
	for (uint32_t i = 0; i < filter->where_count; i++) {
		if (exclusion_has(&filter->where[i], CRITERION_CONTAINS) ||
		    exclusion_has(&filter->where[i], CRITERION_MATCHES))
			return true;
	}
	return false;
}

bool filter_passes_port(const struct filter *filter, uint16_t port)
{
	return !filter->port.count || has_number(&filter->port, port);
}

/* True if the message meets each criterion that is not one of a process. */
static bool meets_where_of_message(const struct filter *filter, const struct event *event,
				   const struct relay_names *names)
{
	struct surroundings surroundings = {.names = names, .steps = STEPS_MAX, .any = true};
	struct facts facts;
	bool meets = true;

	if (!filter->where_count)
		return true;
	if (!facts_of_event(&facts, event))
		return true; /* without memory, rather too much than too little */
	for (uint32_t i = 0; i < filter->where_count && meets; i++)
		meets = exclusion_finds_message(&filter->where[i], &facts, &surroundings);
	facts_free(&facts);
	return meets;
}

/* A submission is observed, and all that may be known of its mail. */
static bool is_wanted(const struct filter *filter, const struct event *event)
{
	if (filter->alerts)
		return event->verdict == VERDICT_ALERT;
	return filter->all || event->action == EVENT_SUBMISSION ||
	       (event->verdict != VERDICT_OBSERVED && event->verdict != VERDICT_EXCLUDED);
}

bool filter_passes(const struct filter *filter, const struct event *event,
		   const struct relay_names *names)
{
	if (event_is_of_watch(event))
		return true;
	if (!event->has_flow && (filter->port.count || filter->where_count))
		return false;
	if (!is_wanted(filter, event) ||
	    (event->has_flow && !filter_passes_port(filter, event->destination.port)) ||
	    !meets_where_of_message(filter, event, names))
		return false;
	if (!filter_wants_sender(filter))
		return true;
	for (uint32_t i = 0; i < event->sender_count; i++) {
		if (filter_passes_sender(filter, event->senders[i]))
			return true;
	}
	return false;
}
