/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/reasons.h"

void event_reasons(struct event *event)
{
	bool in_memory = false, deleted = false, swapped = false;

	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct sender *sender = event->senders[i];

		in_memory = in_memory || (sender->image && sender->image->flags & EXEC_MEMFD);
		deleted = deleted || sender->exe_deleted;
		swapped = swapped || sender->exe_swapped;
	}
	if (!event->sender_count)
		event_reason(event, "sender_unknown");
	if (event->sender_count > 1)
		event_reason(event, "several_senders");
	if (in_memory)
		event_reason(event, "executable_in_memory");
	else if (deleted)
		event_reason(event, "executable_deleted");
	if (swapped)
		event_reason(event, "executable_link_changed");
	if (event->capture.witness == WITNESS_DIFFER)
		event_reason(event, "witnesses_differ");
	if (event->capture.missing_bytes)
		event_reason(event, "bytes_missing");
	if (event->transaction && event->transaction->data_started &&
	    event->transaction->end != SMTP_END_DATA)
		event_reason(event, "data_not_ended");
	if (event->transaction && event->transaction->under_way)
		event_reason(event, "under_way_at_start");
	else if (event->transaction && event->transaction->from_unknown)
		event_reason(event, "mail_command_unseen");
	if (event->transaction && event->transaction->smuggling)
		event_reason(event, "smtp_smuggling");
	if (event->transaction && event->transaction->odd_address)
		event_reason(event, "odd_address");
	if (event->transaction && event->transaction->mail && event->transaction->mail->repeated)
		event_reason(event, "header_repeated");
	if (event->transaction && event->transaction->mail && event->transaction->mail->truncated)
		event_reason(event, "mail_truncated");
	if (event->session && event->session->commands_after_starttls)
		event_reason(event, "commands_after_starttls");
	if (event_commands_carry_data(event))
		event_reason(event, "commands_carry_data");
	if (event->session && event->session->urgent_bytes)
		event_reason(event, "urgent_data");
	if (event->session && event->session->replies_surplus)
		event_reason(event, "replies_unmatched");
}
