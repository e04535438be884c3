/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "format/table_notes.h"

#include <string.h>
#include <strings.h>

#include "event/criterion.h"
#include "format/event_words.h"

/* Begins another note. */
static void next(struct text *text, size_t start)
{
	if (text->len > start)
		text_add_string(text, "; ");
}

/* ---- Why it is an alert ---------------------------------------------------------------------- */

/* Adds the criteria that fit a line of `width` columns (0: no limit), and the number of others. */
static void add_criteria(struct text *text, const char *before, struct criteria criteria,
			 size_t width)
{
	unsigned int left = criteria_count(criteria);
	bool first = true;

	for (int i = 0; i < CRITERION_COUNT && left; i++) {
		const char *name = criterion_name((enum criterion)i);

		if (!criteria_have(criteria, (enum criterion)i))
			continue;
		if (width && !first &&
		    text_width((struct span){text->data, text->len}) + strlen(name) +
				    sizeof(",  and 99 more") >
			    width) {
			text_add_format(text, " and %u more", left);
			return;
		}
		text_add_string(text, first ? before : ", ");
		text_add_string(text, name);
		first = false;
		left--;
	}
}

static void add_nearest(struct text *text, const struct event *event, size_t width)
{
	text_add_string(text, "closest exclusion '");
	text_add_visible(text, span_of(event->nearest));
	text_add_string(text, "'");
	add_criteria(text, " failed on ",
		     (struct criteria){event->failed.bits & ~event->unknown.bits}, width);
	add_criteria(text, "; not known: ", event->unknown, width);
}

/* Reasons that have words of their own, here or as the result. */
static bool has_words(const char *reason)
{
	static const char *const covered[] = {"witnesses_differ", "bytes_missing",
					      "several_senders",  "transaction_open",
					      "sender_unknown",	  "commands_carry_data",
					      "plaintext_unseen"};

	for (size_t i = 0; i < sizeof(covered) / sizeof(covered[0]); i++)
		if (strcmp(covered[i], reason) == 0)
			return true;
	return false;
}

void notes_add_reasons(struct text *text, const char *const *reasons, size_t count)
{
	const char *before = "";

	for (size_t i = 0; i < count; i++) {
		if (has_words(reasons[i]))
			continue;
		text_add_string(text, before);
		text_add_string(text, reasons[i]);
		before = ", ";
	}
}

static void add_unusual(struct text *text, const struct event *event, size_t start)
{
	struct text reasons = {0};

	if (event->capture.witness == WITNESS_DIFFER) {
		next(text, start);
		text_add_string(text, event->tls ? "NOT what its TLS library was given"
						 : "REWRITTEN while it was sent");
	}
	if (event_commands_carry_data(event)) {
		next(text, start);
		text_add_string(text, "DATA in commands, without a mail");
	}
	notes_add_reasons(&reasons, event->reasons, event->reason_count);
	if (reasons.len) {
		next(text, start);
		text_add(text, (struct span){reasons.data, reasons.len});
	}
	text_free(&reasons);
}

void notes_add_alert(struct text *text, const struct event *event, size_t width)
{
	struct text why = {0};

	if (event->verdict != VERDICT_ALERT)
		return;
	text_add_string(&why, "ALERT: ");
	if (event->nearest)
		add_nearest(&why, event, width);
	add_unusual(&why, event, strlen("ALERT: "));
	if (why.len > strlen("ALERT: "))
		text_add(text, (struct span){why.data, why.len});
	text_free(&why);
}

/* ---- What else ------------------------------------------------------------------------------- */

static struct span domain_of(struct span address)
{
	size_t at = address.len;

	while (at && address.data[at - 1] != '@')
		at--;
	return at ? (struct span){address.data + at, address.len - at}
		  : (struct span){address.data, 0};
}

static bool is_among(struct span domain, const struct span *domains, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (domains[i].len == domain.len &&
		    strncasecmp(domains[i].data, domain.data, domain.len) == 0)
			return true;
	return false;
}

/* The table names the first recipient. Others may be somewhere else entirely. */
static void add_domains(struct text *text, const struct smtp_transaction *transaction, size_t start)
{
	struct span domains[NOTES_DOMAINS_MAX + 1];
	size_t count = 0;
	bool others = transaction->recipients_dropped;

	for (uint32_t i = 0; i < transaction->recipient_count; i++) {
		struct span domain = domain_of(smtp_transaction_recipient(transaction, i));

		if (is_among(domain, domains, count))
			continue;
		if (count <= NOTES_DOMAINS_MAX)
			domains[count++] = domain;
		else
			others = true;
	}
	for (size_t i = 1; i < count; i++) {
		if (i == 1)
			next(text, start);
		text_add_string(text, i == 1 ? "also to " : ", ");
		text_add_visible(text, domains[i].len ? domains[i] : span_of("(no domain)"));
	}
	if (others && count > 1)
		text_add_string(text, " and others");
}

static bool is_wider(const struct text *cell, size_t width)
{
	return cell->len && text_width((struct span){cell->data, cell->len}) > width;
}

/* What a column would have, if the layout has no room for it. */
static void add_left_out(struct text *text, const struct event *event,
			 const struct table_layout *layout, size_t start)
{
	struct text cell = {0};

	if (event->sender_count)
		words_add_process(&cell, event->senders[0], event->origin, 0);
	if (is_wider(&cell, layout->width[COLUMN_PROCESS])) {
		next(text, start);
		text_add_string(text, "process ");
		text_add(text, (struct span){cell.data, cell.len});
	}
	text_clear(&cell);
	words_add_to(&cell, event, 0);
	if (!layout->width[COLUMN_DESTINATION]) /* the port took some of its place */
		text_add_format(&cell, " :%u", event->destination.port);
	if (is_wider(&cell, layout->width[COLUMN_TO])) {
		next(text, start);
		text_add_string(text, "to ");
		words_add_to(text, event, 0);
	}
	text_free(&cell);
	if (event->transaction && !layout->width[COLUMN_FROM]) {
		next(text, start);
		text_add_string(text, "from ");
		words_add_from(text, event, 0);
	}
	if (!layout->width[COLUMN_DESTINATION]) {
		next(text, start);
		text_add_string(text, "server ");
		words_add_endpoint(text, &event->destination);
	}
}

static void add_refusals(struct text *text, const struct smtp_transaction *transaction,
			 size_t start)
{
	uint32_t refused = 0;

	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		refused += smtp_recipient_refused(transaction, i);
	if (refused && refused < transaction->recipient_count) {
		next(text, start);
		text_add_format(text, "%u of %u recipients refused", refused,
				transaction->recipient_count);
	}
	if (transaction->reply_code < 400)
		return;
	next(text, start);
	text_add_format(text, "reply: %u ", transaction->reply_code);
	text_add_visible(text, (struct span){transaction->reply_text, transaction->reply_len});
}

static void add_rest(struct text *text, const struct event *event, size_t start)
{
	if (event->provisional) {
		next(text, start);
		text_add_string(text, "STILL OPEN");
	}
	if (event->exclusion) {
		next(text, start);
		text_add_string(text, "excluded by '");
		text_add_visible(text, span_of(event->exclusion));
		text_add_string(text, "'");
	}
	if (event->sender_count > 1) {
		next(text, start);
		text_add_format(text, "%u senders", event->sender_count);
	}
	if (event->capture.missing_bytes) {
		next(text, start);
		text_add_format(text, "%llu bytes not captured",
				(unsigned long long)event->capture.missing_bytes);
	}
	if (event->transaction)
		add_refusals(text, event->transaction, start);
}

void notes_add_details(struct text *text, const struct event *event,
		       const struct table_layout *layout, bool all)
{
	size_t start = text->len;

	add_rest(text, event, start);
	if (event->verdict != VERDICT_ALERT)
		return;
	if (all)
		add_left_out(text, event, layout, start);
	if (event->transaction)
		add_domains(text, event->transaction, start);
}
