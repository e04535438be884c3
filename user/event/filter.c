/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/filter.h"

#include <stdio.h>
#include <string.h>

static bool filter_user(const char *wanted, const struct sender *sender)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", sender->task.euid);
	return strcmp(wanted, number) == 0 || (sender->user && strcmp(wanted, sender->user) == 0);
}

static bool filter_pid(uint32_t wanted, const struct sender *sender)
{
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		if (sender->ancestors[i].pid == wanted)
			return true;
	}
	return sender->task.pid == wanted;
}

/* The beginning of an id, or a whole name: `web` is not `web2`. */
static bool filter_container(const char *wanted, const struct sender *sender)
{
	return (sender->container && strncmp(wanted, sender->container, strlen(wanted)) == 0) ||
	       (sender->container_name && strcmp(wanted, sender->container_name) == 0);
}

bool filter_passes_sender(const struct filter *filter, const struct sender *sender)
{
	if (filter->pid && !filter_pid(filter->pid, sender))
		return false;
	if (filter->user && !filter_user(filter->user, sender))
		return false;
	if (filter->unit && !(sender->unit && strcmp(filter->unit, sender->unit) == 0))
		return false;
	return !filter->container || filter_container(filter->container, sender);
}

bool filter_wants_sender(const struct filter *filter)
{
	return filter->pid || filter->user || filter->unit || filter->container;
}

bool filter_selects(const struct filter *filter)
{
	return filter_wants_sender(filter) || filter->port;
}

bool filter_passes(const struct filter *filter, const struct event *event)
{
	if (!event->has_flow)
		return true;
	if ((event->verdict == VERDICT_OBSERVED || event->verdict == VERDICT_EXCLUDED) &&
	    !filter->all)
		return false;
	if (filter->port && event->destination.port != filter->port)
		return false;
	if (!filter_wants_sender(filter))
		return true;
	for (uint32_t i = 0; i < event->sender_count; i++) {
		if (filter_passes_sender(filter, event->senders[i]))
			return true;
	}
	return false;
}
