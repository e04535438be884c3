/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/event_words.h"

#include <stdio.h>
#include <string.h>

#include "process/cause.h"

const char *words_result(const struct event *event)
{
	if (event->action == EVENT_SESSION)
		return event_commands_carry_data(event) ? "channel" : "session";
	return event_result(event);
}

const char *words_result_color(const char *result)
{
	static const struct {
		const char *result, *color;
	} colors[] = {
		{"sent", GREEN}, {"deferred", YELLOW}, {"refused", MAGENTA},
		{"asked", CYAN}, {"open", BLUE},       {"unknown", BOLD},
		{"tls", CYAN},	 {"channel", YELLOW},  {"session", DIM},
	};

	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
		if (strcmp(colors[i].result, result) == 0)
			return colors[i].color;
	return BOLD;
}

/* A green "sent" would say that all is well. */
const char *words_color(const struct event *event)
{
	return event->verdict == VERDICT_ALERT ? ALERT : words_result_color(words_result(event));
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

void words_add_process(struct text *text, const struct sender *sender, const struct origin *origin,
		       size_t width)
{
	const struct sender *submitter = origin ? origin->submitter : NULL;
	const struct ancestor *ancestor = sender_cause(sender);
	const struct image *cause = submitter ? submitter->image : NULL;
	size_t start = text->len, end;

	if (!cause && ancestor)
		cause = ancestor->image;

	text_add_visible(text, words_process(sender));
	if (!cause)
		return;
	text_add_string(text, " ");
	end = text->len;
	add_cause(text, cause, true);
	if (fits(text, start, width))
		return;
	text->len = end;
	add_cause(text, cause, false);
	if (fits(text, start, width))
		return;
	text->len = start;
	add_cause(text, cause, false);
}

void words_add_user(struct text *text, const struct sender *sender)
{
	if (sender->user && sender->user[0])
		text_add_visible(text, span_of(sender->user));
	else
		text_add_format(text, "%u", sender_uid(sender));
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

/* ---- Addresses ------------------------------------------------------------------------------- */

/* "firstn...@corp.example", or "...rp.example" if the domain alone is too wide. */
static void add_shortened(struct text *text, struct span visible, size_t at, size_t width)
{
	struct span domain = {visible.data + at, visible.len - at};
	size_t columns, rest = text_width(domain) + 1; /* with the ellipsis */

	if (rest <= width) {
		text_add(text,
			 (struct span){visible.data, text_fitting((struct span){visible.data, at},
								  width - rest, &columns)});
	} else {
		domain = text_last((struct span){domain.data + 1, domain.len - 1}, width - 1);
	}
	text_add_string(text, text_ellipsis());
	text_add(text, domain);
}

/* Where the domain begins, behind the last @; 0: there is none. */
static size_t domain_at(struct span visible)
{
	size_t at = visible.len;

	while (at && visible.data[at - 1] != '@')
		at--;
	return at;
}

size_t words_address_needs(struct span visible)
{
	size_t at = domain_at(visible), whole = text_width(visible), domain;

	if (!at)
		return whole;
	domain = text_width((struct span){visible.data + at - 1, visible.len - at + 1}) + 1;
	return domain < whole ? domain : whole;
}

static void add_address(struct text *text, struct span address, size_t width)
{
	struct text all = {0};
	struct span visible;
	size_t at;

	text_add_visible(&all, address);
	visible = (struct span){all.data ? all.data : "", all.len};
	at = domain_at(visible);
	if (!width || text_width(visible) <= width)
		text_add(text, visible);
	else if (at)
		add_shortened(text, visible, at - 1, width);
	else
		text_add_column(text, visible, width, false);
	text_free(&all);
}

void words_add_from(struct text *text, const struct event *event, size_t width)
{
	struct span from;

	if (!event->transaction) {
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
		return;
	}
	from = smtp_transaction_from(event->transaction);
	if (from.len)
		add_address(text, from, width);
	else
		text_add_string(text, event->transaction->from_unknown ? "?" : "<>");
}

void words_add_to(struct text *text, const struct event *event, size_t width)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint32_t count =
		transaction ? transaction->recipient_count + transaction->recipients_dropped : 0;
	char more[20] = "";
	size_t len;

	if (!transaction || !transaction->recipient_count) {
		text_add_string(text, event->action == EVENT_ENCRYPTED ? "(encrypted)" : "-");
		return;
	}
	if (count > 1)
		snprintf(more, sizeof(more), " +%u", count - 1);
	len = strlen(more);
	add_address(text, smtp_transaction_recipient(transaction, 0),
		    width > len ? width - len : width);
	text_add_string(text, more);
}
