/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/facts.h"

#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "process/image.h"

static const struct span unknown = {NULL, 0};

static struct span known_string(const char *string)
{
	return string && string[0] ? span_of(string) : unknown;
}

/*
 * The unit or the container (its id, or else its name), if the cgroup is known. If the cgroup is
 * known and names none, the value is empty, not unknown.
 */
static struct span from_cgroup(const struct sender *sender, const char *name)
{
	return sender->cgroup ? span_of(name ? name : "") : unknown;
}

static enum truth mta_of(const struct sender *sender)
{
	if (user_passes_on(sender->user) ||
	    (sender->image && path_passes_on(sender->image->executable)))
		return IS_SO;
	return sender->image ? NOT_SO : NOT_KNOWN;
}

struct span facts_path(struct span path)
{
	if (!path.data || (path.len >= 3 && memcmp(path.data, "...", 3) == 0))
		return unknown;
	for (size_t at = 0; at + 3 <= path.len; at++) {
		if (memcmp(path.data + at, "/..", 3) == 0 &&
		    (at + 3 == path.len || path.data[at + 3] == '/'))
			return unknown;
	}
	return path;
}

/* What the process was asked to run. Known only where its executable is. */
static void exec_facts(struct facts_process *process, const struct image *image)
{
	process->script = image->flags & EXEC_ARGS_UNREAD && !image->script[0]
				  ? unknown
				  : facts_path(span_of(image->script));
	process->directory = facts_path(known_string(image->directory));
}

/* Of one that only started the program that handed a mail in, the effective user may be unknown. */
static enum truth same_user(const struct task_id *task)
{
	if (task->euid == UINT32_MAX)
		return NOT_KNOWN;
	return task->uid == task->euid && task->gid == task->egid ? IS_SO : NOT_SO;
}

void facts_of_sender(struct facts_process *process, const struct sender *sender)
{
	const struct task_id *task = &sender->task;

	*process = (struct facts_process){
		.executable = image_executable(sender->image, !task->uid && !task->euid),
		.sha256 = known_string(sender->sha256),
		.user = known_string(sender->user),
		.group = known_string(sender->group),
		.unit = from_cgroup(sender, sender->unit),
		.container = from_cgroup(sender, sender_container(sender)),
		.login = known_string(sender->audit_user),
		.uid = task->euid,
		.gid = task->egid,
		.loginuid = task->loginuid,
		.same_user = same_user(task),
		.own_namespaces = sender->own_namespaces,
		.scheduler = sender->scheduler,
		.ancestor_count = sender->ancestor_count,
		.mta = mta_of(sender),
	};
	if (process->executable.data)
		exec_facts(process, sender->image);
	if (sender->exe_swapped)
		process->executable = process->script = span_of("");
	if (sender->full)
		process->tty = sender->tty_major || sender->tty_minor ? IS_SO : NOT_SO;
	for (uint32_t i = 0; i < sender->ancestor_count; i++)
		process->ancestors[i] =
			image_executable(sender->ancestors[i].image, !sender->ancestors[i].uid);
}

bool facts_command_line(struct facts_process *process, const struct sender *sender,
			struct text *line)
{
	if (!process->executable.data || !sender->image ||
	    sender->image->flags & (EXEC_ARGS_TRUNCATED | EXEC_ARGS_UNREAD))
		return true;
	image_command_line(sender->image, line);
	process->command_line = (struct span){line->data ? line->data : "", line->len};
	return !line->failed;
}

/* Nothing was hidden from the parser, and nothing was lost. */
static enum truth whole(const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	const struct smtp_facts *session = event->session;

	if (event->capture.witness == WITNESS_DIFFER || !session || session->replies_surplus ||
	    session->urgent_bytes || session->commands_after_starttls ||
	    (transaction && (transaction->smuggling || transaction->odd_address)))
		return NOT_SO;
	if (event->action == EVENT_SESSION)
		return event->capture.complete && !event->capture.mid_stream ? IS_SO : NOT_KNOWN;
	if (!transaction)
		return IS_SO;
	if (event->capture.mid_stream || transaction->missing_bytes ||
	    transaction->replies_missing || transaction->recipients_dropped ||
	    (transaction->data_started && transaction->end != SMTP_END_DATA))
		return NOT_KNOWN;
	return IS_SO;
}

static bool envelope_facts(struct facts *facts, const struct smtp_transaction *transaction)
{
	const struct mail *mail = transaction->mail;
	size_t addresses = mail ? mail->address_count : 0;

	facts->spans = calloc(transaction->recipient_count + addresses + 1, sizeof(*facts->spans));
	if (!facts->spans)
		return false;
	facts->sender = transaction->from_unknown ? unknown : smtp_transaction_from(transaction);
	if (facts->sender.data && !facts->sender.len)
		facts->sender = span_of("<>");
	facts->recipients = facts->spans;
	facts->recipient_count = transaction->recipient_count;
	facts->recipients_known = transaction->recipient_count && !transaction->recipients_dropped;
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		facts->recipients[i] = smtp_transaction_recipient(transaction, i);
	facts->header_from = facts->spans + transaction->recipient_count;
	for (size_t i = 0; i < addresses; i++) {
		if (mail->addresses[i].kind == MAIL_FROM)
			facts->header_from[facts->header_from_count++] =
				mail_span(mail, mail->addresses[i].address);
	}
	return true;
}

static void mail_facts(struct facts *facts, const struct smtp_transaction *transaction)
{
	const struct mail *mail = transaction->mail;

	facts->bytes = transaction->bytes;
	facts->bytes_known = !transaction->missing_bytes;
	facts->no_content = !mail && !transaction->bytes &&
			    (transaction->result == SMTP_RESULT_DEFERRED ||
			     transaction->result == SMTP_RESULT_REFUSED);
	if (!mail)
		return;
	facts->header_known = mail->headers_end && !mail->truncated && !mail->repeated;
	facts->subject = mail_span(mail, mail->subject);
	if (mail->content.budget) {
		facts->content = mail->content.text.len ? (struct span){mail->content.text.data,
									mail->content.text.len}
							: span_of("");
		facts->content_complete = !mail->content.cut;
	}
}

static void session_facts(struct facts *facts, const struct smtp_facts *session, bool from_start)
{
	if (session->auth_user_len)
		facts->auth_user = (struct span){session->auth_user, session->auth_user_len};
	else if (from_start && !session->auth_mechanism_len)
		facts->auth_user = span_of("");
	if (session->auth_code && session->auth_code != 235)
		facts->auth_user = span_of(""); /* the login failed */
	if (session->proxy.hops)
		facts->proxy_target =
			(struct span){session->proxy.target, session->proxy.target_len};
}

bool facts_of_event(struct facts *facts, const struct event *event)
{
	*facts = (struct facts){
		.start_s = event->start_ns / 1000000000,
		.end_s = event->end_ns / 1000000000,
		.clock_ns = (uint64_t)event->end_ns - (uint64_t)event->boot_to_real_ns,
		.process_count = event->sender_count,
		.processes_complete = event->senders_incomplete ? NOT_KNOWN : IS_SO,
		.whole = whole(event),
		.relay_port = event->destination.port,
		.encrypted = event->action == EVENT_ENCRYPTED,
		.session = event->action == EVENT_SESSION,
		.tls = event->tls ? IS_SO : NOT_SO,
	};
	memcpy(facts->relay, event->destination.addr, sizeof(facts->relay));
	for (uint32_t i = 0; i < event->sender_count; i++) {
		facts_of_sender(&facts->processes[i], event->senders[i]);
		if (!facts_command_line(&facts->processes[i], event->senders[i],
					&facts->lines[i])) {
			facts_free(facts);
			return false;
		}
	}
	if (event->session && !facts->encrypted)
		session_facts(facts, event->session, !event->capture.mid_stream);
	else if (event->session)
		facts->proxy_target = (struct span){event->session->proxy.target,
						    event->session->proxy.target_len};
	if (event->origin) {
		facts->origin_user = known_string(event->origin->user);
		facts->has_origin_uid = event->origin->has_uid;
		facts->origin_uid = event->origin->uid;
		facts->has_submitter =
			event->origin->submitter &&
			origin_process_counts(event->origin->how == ORIGIN_TIME,
					      event->origin->user[0] || event->origin->has_uid);
		if (facts->has_submitter)
			facts_of_sender(&facts->submitter, event->origin->submitter);
	}
	if (facts->session && event->session) {
		facts->bytes = event->session->command_bytes;
		facts->bytes_known = !event->capture.missing_bytes;
		facts->recipients_known = true; /* there is none */
	}
	if (!event->transaction)
		return true;
	mail_facts(facts, event->transaction);
	return envelope_facts(facts, event->transaction);
}

void facts_free(struct facts *facts)
{
	free(facts->spans);
	facts->spans = NULL;
	for (uint32_t i = 0; i < FACTS_PROCESSES_MAX; i++)
		text_free(&facts->lines[i]);
}
