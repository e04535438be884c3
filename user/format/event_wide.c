/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events for people, in full: a line of name=value pairs for each. */
#include "format/event_words.h"

#include <stdio.h>
#include <string.h>

#include "process/image.h"
#include "format/event_sentence.h"

#define ANCESTOR_ARGS_MAX 512U /* bytes of an ancestor's arguments */

/* " name=value"; the value is quoted if it is empty or contains a blank or a quote. */
static void pair(struct terminal *terminal, const char *name, struct span value)
{
	struct text *line = &terminal->line;
	bool quoted;

	text_clear(&terminal->cell);
	text_add_visible(&terminal->cell, value);
	quoted = !terminal->cell.len || memchr(terminal->cell.data, ' ', terminal->cell.len) ||
		 memchr(terminal->cell.data, '"', terminal->cell.len);
	text_add_format(line, " %s=%s", name, quoted ? "\"" : "");
	for (size_t i = 0; i < terminal->cell.len; i++) {
		if (quoted && terminal->cell.data[i] == '"')
			text_add_string(line, "\\");
		text_add(line, (struct span){terminal->cell.data + i, 1});
	}
	if (quoted)
		text_add_string(line, "\"");
	text_clear(&terminal->cell);
}

static void pair_known(struct terminal *terminal, const char *name, const char *value)
{
	if (value && value[0])
		pair(terminal, name, span_of(value));
}

static void pair_number(struct terminal *terminal, const char *name, uint64_t value)
{
	text_add_format(&terminal->line, " %s=%llu", name, (unsigned long long)value);
}

static void wide_args(struct terminal *terminal, const char *name, const struct image *image,
		      size_t max)
{
	struct text args = {0};

	image_command_line(image, &args);
	if (args.len > max) {
		args.len = max;
		text_add_string(&args, "...");
	}
	pair(terminal, name, (struct span){args.data ? args.data : "", args.len});
	text_free(&args);
}

/* "cron>sh>report.sh": the oldest known ancestor first. */
static void wide_ancestry(struct terminal *terminal, const struct sender *sender)
{
	struct text row = {0};

	for (uint32_t i = sender->ancestor_count; i-- > 0;) {
		const struct image *image = sender->ancestors[i].image;

		if (image)
			text_add(&row,
				 text_basename(span_of(image->script[0] ? image->script
									: image->executable)));
		else
			text_add_format(&row, "%u", sender->ancestors[i].pid);
		if (i)
			text_add_string(&row, ">");
	}
	if (row.len)
		pair(terminal, "ancestors", (struct span){row.data, row.len});
	text_free(&row);
}

/* "parent_exe=/usr/bin/php8.2 parent_script=/srv/spam.php ...", then "ancestor2_exe=...". */
static void wide_ancestor(struct terminal *terminal, const struct image *image, uint32_t number)
{
	char prefix[16], name[32];

	snprintf(prefix, sizeof(prefix), number == 1 ? "parent" : "ancestor%u", number);
	snprintf(name, sizeof(name), "%s_exe", prefix);
	pair(terminal, name, span_of(image->executable));
	snprintf(name, sizeof(name), "%s_script", prefix);
	pair_known(terminal, name, image->script);
	snprintf(name, sizeof(name), "%s_args", prefix);
	wide_args(terminal, name, image, ANCESTOR_ARGS_MAX);
}

static void wide_sender(struct terminal *terminal, const struct sender *sender)
{
	const struct image *image = sender->image;

	pair_number(terminal, "pid", sender->task.pid);
	pair(terminal, "comm", sender_comm(sender));
	if (image) {
		pair(terminal, "exe", span_of(image->executable));
		pair_known(terminal, "script", image->script);
		wide_args(terminal, "args", image, SIZE_MAX);
		pair(terminal, "cwd", span_of(image->directory));
		if (sender->exe_deleted)
			pair(terminal, "exe_state",
			     span_of(image->flags & EXEC_MEMFD ? "memfd" : "deleted"));
	}
	pair_known(terminal, "cwd_at_send", sender->directory);
	pair_known(terminal, "sha256", sender->sha256);
	words_add_user(&terminal->cell, sender);
	text_add_format(&terminal->line, " user=%s",
			terminal->cell.data ? terminal->cell.data : "");
	text_clear(&terminal->cell);
	pair_number(terminal, "uid", sender->task.euid);
	if (sender->task.loginuid != LOGINUID_NONE)
		pair_number(terminal, "loginuid", sender->task.loginuid);
	if (sender->tty_major || sender->tty_minor)
		text_add_format(&terminal->line, " tty=%u:%u", sender->tty_major,
				sender->tty_minor);
	pair_known(terminal, "unit", sender->unit);
	pair_known(terminal, "user_unit", sender->user_unit);
	pair_known(terminal, "container", sender_container(sender));
	wide_ancestry(terminal, sender);
	for (uint32_t i = 0; i < sender->ancestor_count; i++) {
		if (sender->ancestors[i].image)
			wide_ancestor(terminal, sender->ancestors[i].image, i + 1);
	}
}

/* What the header says about the program that made the mail. */
static void wide_claims(struct terminal *terminal, const struct mail *mail)
{
	static const char *const names[] = {
		[MAIL_CLAIM_PHP_SCRIPT] = "claimed_php_script",
		[MAIL_CLAIM_SOURCE] = "claimed_source",
		[MAIL_CLAIM_SOURCE_ARGS] = "claimed_source_args",
		[MAIL_CLAIM_SOURCE_DIR] = "claimed_source_dir",
	};

	for (int i = 0; i < MAIL_CLAIM_COUNT; i++) {
		if (mail->claims[i].len)
			pair(terminal, names[i], mail_span(mail, mail->claims[i]));
	}
}

static void wide_mail(struct terminal *terminal, const struct mail *mail)
{
	struct text names = {0};

	if (mail->subject.len)
		pair(terminal, "subject", mail_span(mail, mail->subject));
	wide_claims(terminal, mail);
	for (uint32_t i = 0; i < mail->attachment_count; i++) {
		const struct mail_attachment *attachment = &mail->attachments[i];

		if (i)
			text_add_string(&names, ",");
		text_add(&names, mail_span(mail, attachment->name.len ? attachment->name
								      : attachment->type));
	}
	if (names.len)
		pair(terminal, "attachments", (struct span){names.data, names.len});
	text_free(&names);
}

static void wide_origin(struct terminal *terminal, const struct origin *origin)
{
	pair(terminal, "mta", span_of(origin->mta));
	pair_known(terminal, "queue_id", origin->queue_id);
	if (origin->has_uid)
		pair_number(terminal, "origin_uid", origin->uid);
	pair_known(terminal, "origin_user", origin->user);
	if (origin->candidate_count)
		pair_number(terminal, "origin_candidates", origin->candidate_count);
	if (!origin->submitter)
		return;
	pair(terminal, "origin_how", span_of(origin_how_name(origin->how)));
	pair_number(terminal, "origin_pid", origin->submitter->task.pid);
	if (!origin->submitter->image)
		return;
	pair(terminal, "origin_exe", span_of(origin->submitter->image->executable));
	pair_known(terminal, "origin_script", origin->submitter->image->script);
}

static void wide_session(struct terminal *terminal, const struct smtp_facts *facts)
{
	if (facts->proxy.hops)
		pair(terminal, "proxy_target",
		     (struct span){facts->proxy.target, facts->proxy.target_len});
	if (facts->helo_len)
		pair(terminal, "helo", (struct span){facts->helo, facts->helo_len});
	if (facts->auth_mechanism_len)
		pair(terminal, "auth",
		     (struct span){facts->auth_mechanism, facts->auth_mechanism_len});
	if (facts->auth_user_len)
		pair(terminal, "auth_user", (struct span){facts->auth_user, facts->auth_user_len});
}

static void wide_transaction(struct terminal *terminal, const struct smtp_transaction *transaction)
{
	struct text recipients = {0};

	if (!transaction->from_unknown)
		pair(terminal, "from", smtp_transaction_from(transaction));
	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		if (i)
			text_add_string(&recipients, ",");
		text_add(&recipients, smtp_transaction_recipient(transaction, i));
		if (smtp_recipient_refused(transaction, i))
			text_add_string(&recipients, "(refused)");
	}
	pair(terminal, "to", (struct span){recipients.data ? recipients.data : "", recipients.len});
	text_free(&recipients);
	pair_number(terminal, "bytes", transaction->bytes);
	if (transaction->mail)
		wide_mail(terminal, transaction->mail);
	if (!transaction->reply_code)
		return;
	pair_number(terminal, "reply", transaction->reply_code);
	pair(terminal, "reply_text",
	     (struct span){transaction->reply_text, transaction->reply_len});
}

int event_wide(struct terminal *terminal, const struct event *event)
{
	char time[TIME_LEN];

	text_time(time, event->time_ns);
	text_add_string(&terminal->line, time);
	terminal_color(terminal, words_color(event));
	text_add_format(&terminal->line, " %s", words_result(event));
	terminal_color(terminal, PLAIN);
	for (uint32_t i = 0; i < event->sender_count; i++)
		wide_sender(terminal, event->senders[i]);
	words_add_endpoint(&terminal->cell, &event->source);
	text_add_format(&terminal->line, " source=%s", terminal->cell.data);
	text_clear(&terminal->cell);
	words_add_endpoint(&terminal->cell, &event->destination);
	text_add_format(&terminal->line, " destination=%s", terminal->cell.data);
	text_clear(&terminal->cell);
	if (event->session)
		wide_session(terminal, event->session);
	if (event->session && event->action == EVENT_SESSION) {
		pair_number(terminal, "command_bytes", event->session->command_bytes);
		pair_number(terminal, "reply_bytes", event->session->reply_bytes);
	}
	if (event->origin)
		wide_origin(terminal, event->origin);
	if (event->transaction)
		wide_transaction(terminal, event->transaction);
	pair(terminal, "witness", span_of(event_witness_name(event->capture.witness)));
	pair_number(terminal, "missing", event->capture.missing_bytes);
	if (event->capture.mid_stream)
		text_add_string(&terminal->line, " mid_stream=yes");
	for (uint32_t i = 0; i < event->reason_count; i++)
		pair(terminal, "reason", span_of(event->reasons[i]));
	if (event->verdict != VERDICT_NONE)
		pair(terminal, "verdict", span_of(event_verdict_name(event->verdict)));
	if (event->provisional)
		text_add_string(&terminal->line, " final=no");
	pair_known(terminal, "exclusion", event->exclusion);
	if (event->nearest) {
		pair_known(terminal, "nearest", event->nearest);
		text_add_string(&terminal->line, " failed=");
		event_add_criteria(&terminal->line, event->failed);
	}
	return terminal_put_line(terminal);
}
