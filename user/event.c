/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event.h"

#include <stdlib.h>
#include <string.h>

struct event *event_new(enum event_action action)
{
	struct event *event = calloc(1, sizeof(*event));

	if (event)
		event->action = action;
	return event;
}

void event_free(struct event *event)
{
	if (!event)
		return;
	for (uint32_t i = 0; i < event->sender_count; i++)
		sender_unref(event->senders[i]);
	smtp_transaction_free(event->transaction);
	free(event->origin);
	free(event->session);
	free(event->server_name);
	free(event->exclusion);
	free(event->nearest);
	for (size_t i = 0; i < event->let_pass_count; i++)
		free(event->let_pass[i].name);
	free(event->let_pass);
	for (size_t i = 0; i < event->rule_count; i++) {
		free(event->rules[i].name);
		free(event->rules[i].author);
		free(event->rules[i].description);
		free(event->rules[i].version);
	}
	free(event->rules);
	free(event->stats);
	free(event);
}

const char *event_action_name(enum event_action action)
{
	static const char *const names[] = {
		[EVENT_STARTED] = "started",	  [EVENT_STATUS] = "status",
		[EVENT_MESSAGE] = "smtp-message", [EVENT_ENCRYPTED] = "smtp-encrypted",
		[EVENT_SESSION] = "smtp-session", [EVENT_LOSS] = "capture-loss",
		[EVENT_STOPPED] = "stopped",
	};

	return names[action];
}

const char *event_verdict_name(enum event_verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_ALERT] = "alert",
		[VERDICT_EXCLUDED] = "excluded",
		[VERDICT_OBSERVED] = "observed",
	};

	return names[verdict];
}

const char *event_witness_name(enum event_witness witness)
{
	static const char *const names[] = {
		[WITNESS_NONE] = "none",	   [WITNESS_AGREE] = "agree",
		[WITNESS_SEND_ONLY] = "send-only", [WITNESS_WIRE_ONLY] = "wire-only",
		[WITNESS_DIFFER] = "differ",
	};

	return names[witness];
}

const char *counter_name(enum counter counter)
{
	static const char *const names[] = {
		[COUNTER_PROCESS_LOST] = "process_records",    [COUNTER_SENDER_LOST] = "sender_records",
		[COUNTER_SEGMENT_LOST] = "segments",	       [COUNTER_SEGMENT_BYTES] = "segment_bytes",
		[COUNTER_PRESSURE_BYTES] = "bytes_left_out",   [COUNTER_CLOSE_LOST] = "close_records",
		[COUNTER_STATE_FAILED] = "socket_states",      [COUNTER_SEND_UNREADABLE] = "unreadable_sends",
		[COUNTER_SEND_PENDING_FULL] = "pending_sends", [COUNTER_MISSED] = "missed_runs",
	};

	return names[counter];
}

void event_reason(struct event *event, const char *reason)
{
	for (uint32_t i = 0; i < event->reason_count; i++) {
		if (strcmp(event->reasons[i], reason) == 0)
			return;
	}
	if (event->reason_count < EVENT_REASONS_MAX)
		event->reasons[event->reason_count++] = reason;
}
