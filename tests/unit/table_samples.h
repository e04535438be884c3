/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* For the tests of the table: events of each kind, with ordinary and with difficult names, and
 * paper. */
#ifndef SMTPSNOOP_TESTS_TABLE_SAMPLES_H
#define SMTPSNOOP_TESTS_TABLE_SAMPLES_H

#include <stdio.h>
#include <stdlib.h>

#include "event_samples.h"

#include "base/text.h"
#include "event/criterion.h"
#include "format/event_words.h"

#define WIDTH_MIN 60U
#define WIDTH_MAX 220U

/* ---- Events ---------------------------------------------------------------------------------- */

struct sample {
	const char *script, *user, *unit, *from, *to;
	uint32_t recipients;
};

static const struct sample plain = {.script = "/srv/nightly.py",
				    .user = "reports",
				    .from = "reports@corp.example",
				    .to = "ops@partner.example",
				    .recipients = 1};

/* Names in wide characters, with zero-width and combining ones, with escapes, and very long ones.
 */
static const struct sample samples[] = {
	{"/srv/nightly.py", "reports", NULL, "reports@corp.example", "ops@partner.example", 1},
	{"/srv/夜間報告書送信プログラム.py", "報告者", "夜間.service",
	 "営業部門@日本の会社.example", "受取人@取引先企業株式会社.example", 3},
	{"/srv/a\xe2\x80\x8b\xe2\x80\x8d\xcc\x81\xef\xbb\xbf.py", "e\xcc\x81\xcc\x81",
	 "x\xe2\x80\x8d.service", "a\xe2\x80\x8b@b\xe2\x80\x8b.example",
	 "\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x92\xbb@\xf0\x9f\x93\xae.example", 2},
	{"/srv/\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8.sh", "\xef\xbd\xb6\xef\xbe\x9e", "\xea\xb0\x81",
	 "\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81@k.example",
	 "k@\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81\xea\xb0\x81.example", 1},
	{"/srv/\x1b[31m\x9b\r\n\t\x07.sh", "\x1b]0;t\x07", "\xff\xfe", "\x1b[2J@\x1b[H",
	 "\r\n@\x7f", 1},
	{"/srv/a-rather-long-name-of-a-script-that-does-not-fit-anywhere-at-all-really-never.pl",
	 "a-user-with-a-very-long-name-indeed", "a-unit-with-a-very-long-name-indeed.service",
	 "a.local.part.of.more.than.forty.characters.in.all@a.domain.of.many.labels.and.more."
	 "example",
	 "a.local.part.of.more.than.forty.characters.in.all@a.domain.of.many.labels.and.more."
	 "example",
	 1000},
	{"", "", NULL, "", "no-domain-at-all-but-a-word-that-is-as-long-as-a-column-or-two", 1},
};

static inline struct sender *sender_of(const struct sample *sample)
{
	static const char args[] = "one\0two";
	struct sender *sender = calloc(1, sizeof(*sender));
	struct image *image = calloc(1, sizeof(*image));

	assert_true(sender && image);
	image->refs = 1;
	image->executable = copy_of("/usr/bin/python3");
	image->script = copy_of(sample->script);
	image->directory = copy_of("/");
	image->args = malloc(sizeof(args));
	assert_non_null(image->args);
	memcpy(image->args, args, sizeof(args));
	image->args_len = sizeof(args);
	sender->refs = 1;
	sender->task.pid = 4194304;
	sender->task.euid = 1000;
	sender->image = image;
	sender->user = copy_of(sample->user);
	sender->unit = sample->unit ? copy_of(sample->unit) : NULL;
	return sender;
}

static inline struct smtp_transaction *envelope(const struct sample *sample)
{
	struct smtp_transaction *transaction = smtp_transaction_new(1, 0, 1);
	struct smtp_command from = {.argument = span_of(sample->from)};
	struct smtp_command to = {.argument = span_of(sample->to)};

	assert_non_null(transaction);
	assert_true(smtp_transaction_set_from(transaction, &from));
	for (uint32_t i = 0; i < sample->recipients; i++)
		smtp_transaction_add(transaction, &to);
	for (uint32_t i = 0; i < transaction->recipient_count; i++)
		transaction->recipients[i].code = 250;
	transaction->bytes = 12345;
	return transaction;
}

/* How the server answered in the end. */
static inline void answered(struct event *event, enum smtp_outcome outcome, uint16_t code)
{
	event->transaction->outcome = outcome;
	event->transaction->result = outcome == SMTP_OUTCOME_SUCCESS   ? SMTP_RESULT_SENT
				     : outcome == SMTP_OUTCOME_UNKNOWN ? SMTP_RESULT_UNKNOWN
				     : code < 500		       ? SMTP_RESULT_DEFERRED
								       : SMTP_RESULT_REFUSED;
	event->transaction->reply_code = code;
}

/* A mail that was sent, and is an alert. */
static inline struct event *mail_event(const struct sample *sample)
{
	struct event *event = bare_event(EVENT_MESSAGE);

	smtp_transaction_free(event->transaction);
	event->transaction = envelope(sample);
	answered(event, SMTP_OUTCOME_SUCCESS, 250);
	event->senders[0] = sender_of(sample);
	event->sender_count = 1;
	event->destination.port = 65535;
	memset(event->destination.addr, 0xfe, sizeof(event->destination.addr));
	return event;
}

static inline void nearest(struct event *event, const char *name, uint64_t failed, uint64_t unknown)
{
	event->nearest = copy_of(name);
	event->failed.bits = failed;
	event->unknown.bits = unknown;
}

/* One of each kind of row and line; NULL at the end. */
static inline struct event *kind_of(const struct sample *sample, unsigned int kind)
{
	struct event *event;

	switch (kind) {
	case 0: return mail_event(sample);
	case 1:
		event = mail_event(sample);
		nearest(event, "nightly", CRITERION_BIT(CRITERION_USER), 0);
		return event;
	case 2:
		event = mail_event(sample);
		nearest(event, "夜間の報告書に関する例外", CRITERION_BIT(CRITERION_COUNT) - 1,
			0x3000);
		event_reason(event, "executable_deleted");
		event_reason(event, "odd_address");
		return event;
	case 3:
		event = mail_event(sample);
		event->verdict = VERDICT_EXCLUDED;
		event->exclusion = copy_of("an exclusion whose name is a sentence of many words");
		return event;
	case 4:
		event = mail_event(sample);
		answered(event, SMTP_OUTCOME_FAILURE, 554);
		event->transaction->reply_len = SMTP_REPLY_TEXT_MAX;
		memset(event->transaction->reply_text, 'x', SMTP_REPLY_TEXT_MAX);
		return event;
	case 5: event = bare_event(EVENT_ENCRYPTED); break;
	case 6:
		event = bare_event(EVENT_SESSION);
		event->verdict = VERDICT_ALERT;
		event->session->command_bytes = SMTP_CARRIED_MAX;
		break;
	case 7:
		event = bare_event(EVENT_SESSION);
		event->verdict = VERDICT_OBSERVED;
		break;
	case 8:
		event = bare_event(EVENT_LOSS);
		event->stats->counters[COUNTER_SEGMENT_LOST] = 5;
		event->stats->flows_dropped = 77;
		event->stats->unwatched_ns = 2500000000;
		return event;
	case 9: return bare_event(EVENT_STARTED);
	default: return NULL;
	}
	event->senders[0] = sender_of(sample);
	event->sender_count = 1;
	return event;
}

/* ---- A table --------------------------------------------------------------------------------- */

struct paper {
	char *text;
	size_t size;
	FILE *out;
	struct sink *table;
};

static inline struct paper *paper_of(const struct table_options *options)
{
	struct paper *paper = calloc(1, sizeof(*paper));

	assert_non_null(paper);
	paper->out = open_memstream(&paper->text, &paper->size);
	assert_non_null(paper->out);
	paper->table = sink_table_new(paper->out, options);
	assert_non_null(paper->table);
	return paper;
}

static inline void put(struct paper *paper, struct event *event)
{
	assert_int_equal(paper->table->write(paper->table, event), 0);
	fflush(paper->out);
	event_free(event);
}

static inline void paper_free(struct paper *paper)
{
	paper->table->free(paper->table);
	fclose(paper->out);
	free(paper->text);
	free(paper);
}

static inline size_t count_of(const char *text, const char *what)
{
	size_t count = 0;

	while ((text = strstr(text, what))) {
		count++;
		text += strlen(what);
	}
	return count;
}

/* What the table makes of one event, behind the header. The caller frees it. */
static inline char *row_of(struct event *event, const struct table_options *options)
{
	struct paper *paper = paper_of(options);
	char *row;

	put(paper, event);
	row = strchr(paper->text, '\n');
	assert_non_null(row);
	row = copy_of(row + 1);
	paper_free(paper);
	return row;
}

#endif
