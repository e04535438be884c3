/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/event_words.h"

#include <errno.h>
#include <string.h>

#include "format/event_sentence.h"
#include "process/cause.h"

/* ---- Words ----------------------------------------------------------------------------------- */

const char *words_result(const struct event *event)
{
	if (event->action == EVENT_SESSION)
		return event_commands_carry_data(event) ? "channel" : "session";
	return event_result(event);
}

const char *words_color(const struct event *event)
{
	if (event_commands_carry_data(event))
		return YELLOW;
	if (event->action != EVENT_MESSAGE)
		return DIM;
	switch (event->transaction->outcome) {
	case SMTP_OUTCOME_SUCCESS: return GREEN;
	case SMTP_OUTCOME_FAILURE: return RED;
	case SMTP_OUTCOME_UNKNOWN: break;
	}
	return YELLOW;
}

struct span words_process(const struct sender *sender)
{
	if (sender->image && sender->image->script[0])
		return text_basename(span_of(sender->image->script));
	if (sender->image)
		return text_basename(span_of(sender->image->executable));
	return sender_comm(sender);
}

/* "php8.2" is php, "python3.11" is python. */
static struct span without_version(struct span name)
{
	while (name.len > 1 && strchr("0123456789.", name.data[name.len - 1]))
		name.len--;
	return name;
}

/* Adds "< php spam.php" or, without the interpreter, "< spam.php". */
static void add_cause(struct text *text, const struct image *cause, bool interpreter)
{
	bool script = cause->script[0];

	text_add_string(text, "< ");
	if (script && interpreter) {
		text_add_visible(text, without_version(text_basename(span_of(cause->executable))));
		text_add_string(text, " ");
	}
	text_add_visible(text, text_basename(span_of(script ? cause->script : cause->executable)));
}

static bool fits(const struct text *text, size_t start, size_t width)
{
	return !width || text->len <= start ||
	       text_width((struct span){text->data + start, text->len - start}) <= width;
}

void words_add_process(struct text *text, const struct sender *sender, size_t width)
{
	const struct ancestor *cause = sender_cause(sender);
	size_t start = text->len, end;

	text_add_visible(text, words_process(sender));
	if (!cause)
		return;
	text_add_string(text, " ");
	end = text->len;
	add_cause(text, cause->image, true);
	if (fits(text, start, width))
		return;
	text->len = end;
	add_cause(text, cause->image, false);
	if (fits(text, start, width))
		return;
	text->len = start;
	add_cause(text, cause->image, false);
}

void words_add_user(struct text *text, const struct sender *sender)
{
	if (sender->user && sender->user[0])
		text_add_visible(text, span_of(sender->user));
	else
		text_add_format(text, "%u", sender->task.euid);
}

void words_add_origin(struct text *text, const struct origin *origin)
{
	if (origin->user[0])
		text_add_visible(text, span_of(origin->user));
	else if (origin->has_uid)
		text_add_format(text, "%u", origin->uid);
	else
		return;
	text_add_string(text, ">");
}

void words_add_endpoint(struct text *text, const struct endpoint *endpoint)
{
	char address[ADDRESS_LEN];

	text_address(address, endpoint->addr);
	text_add_format(text, address_is_ipv4(endpoint->addr) ? "%s:%u" : "[%s]:%u", address,
			endpoint->port);
}

void words_add_size(struct text *text, uint64_t bytes)
{
	static const char units[] = "BKMGTPE";
	double size = (double)bytes;
	size_t unit = 0;

	while (size >= 999.5 && unit + 2 < sizeof(units)) {
		size /= 1024;
		unit++;
	}
	if (unit == 0)
		text_add_format(text, "%u", (unsigned int)bytes);
	else
		text_add_format(text, size < 9.95 ? "%.1f%c" : "%.0f%c", size, units[unit]);
}

void words_add_unit(struct text *text, const struct sender *sender)
{
	if (sender->container && sender->container[0])
		text_add_visible(text,
				 (struct span){sender->container, strnlen(sender->container, 12)});
	else if (is_known(sender->container_name))
		text_add_visible(text, span_of(sender->container_name));
	else if (sender->unit && sender->unit[0])
		text_add_visible(text, span_of(sender->unit));
	else if (sender->user_unit && sender->user_unit[0])
		text_add_visible(text, span_of(sender->user_unit));
	else
		text_add_string(text, "-");
}

void words_add_from(struct text *text, const struct event *event)
{
	struct span from;

	if (!event->transaction) {
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
		return;
	}
	from = smtp_transaction_from(event->transaction);
	if (from.len)
		text_add_visible(text, from);
	else
		text_add_string(text, event->transaction->from_unknown ? "?" : "<>");
}

void words_add_to(struct text *text, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint32_t count =
		transaction ? transaction->recipient_count + transaction->recipients_dropped : 0;

	if (transaction && transaction->recipient_count)
		text_add_visible(text, smtp_transaction_recipient(transaction, 0));
	else
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
	if (count > 1)
		text_add_format(text, " +%u", count - 1);
}

static void add_verdict(struct text *text, const struct event *event)
{
	if (event->provisional)
		text_add_string(text, "  STILL OPEN");
	if (event->exclusion) {
		text_add_string(text, "  excluded: ");
		text_add_visible(text, span_of(event->exclusion));
	}
	if (!event->nearest)
		return;
	text_add_string(text, "  not ");
	text_add_visible(text, span_of(event->nearest));
	text_add_string(text, ": ");
	event_add_criteria(text, event->failed);
}

void words_add_notes(struct text *text, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint32_t refused = 0;

	for (uint32_t i = 0; transaction && i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	if (refused && refused < transaction->recipient_count)
		text_add_format(text, "  %u of %u recipients refused", refused,
				transaction->recipient_count);
	if (event_commands_carry_data(event))
		text_add_string(text, "  DATA in commands, without a mail");
	if (event->capture.witness == WITNESS_DIFFER)
		text_add_string(text, "  REWRITTEN while it was sent");
	if (event->capture.missing_bytes)
		text_add_format(text, "  %llu bytes not captured",
				(unsigned long long)event->capture.missing_bytes);
	if (event->sender_count > 1)
		text_add_format(text, "  %u senders", event->sender_count);
	add_verdict(text, event);
}

/* ---- Lines ----------------------------------------------------------------------------------- */

void terminal_color(struct terminal *terminal, const char *code)
{
	if (terminal->color)
		text_add_string(&terminal->line, code);
}

void terminal_trim(struct terminal *terminal)
{
	while (terminal->line.len && terminal->line.data[terminal->line.len - 1] == ' ')
		terminal->line.data[--terminal->line.len] = '\0';
}

int terminal_put_line(struct terminal *terminal)
{
	int error = 0;

	terminal_trim(terminal);
	text_add_string(&terminal->line, "\n");
	errno = 0;
	if (fwrite(terminal->line.data, 1, terminal->line.len, terminal->out) != terminal->line.len)
		error = errno ? -errno : -EIO;
	text_clear(&terminal->line);
	return error;
}
