/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Events for the tests of joining: mails that are alike unless a test changes them. */
#ifndef SMTPSNOOP_TESTS_JOIN_EVENTS_H
#define SMTPSNOOP_TESTS_JOIN_EVENTS_H

#include <stdio.h>
#include <string.h>

#include "unit.h"

#include "event/event.h"
#include "smtp/transaction.h"

#define ALICE 1000U

static inline char *copy_of(const char *string)
{
	char *copy = strdup(string);

	assert_non_null(copy);
	return copy;
}

static inline struct sender *sender_new(const char *executable)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->task = (struct task_id){.pid = 7, .uid = ALICE, .euid = ALICE};
	sender->unit = copy_of("reports.service");
	sender->image = calloc(1, sizeof(*sender->image));
	assert_non_null(sender->image);
	sender->image->refs = 1;
	sender->image->executable = copy_of(executable);
	sender->image->script = copy_of("/opt/report.py");
	sender->image->directory = copy_of("/");
	return sender;
}

static inline void add_recipient(struct event *event, const char *address)
{
	struct smtp_command command = {.argument = span_of(address)};

	smtp_transaction_add(event->transaction, &command);
}

static unsigned int made;

/* A mail of one recipient, with an id of its own and an end of its own. */
static inline struct event *mail_of(const char *executable, const char *from, const char *to)
{
	struct smtp_command command = {.argument = span_of(from)};
	struct event *event = event_new(EVENT_MESSAGE);

	assert_non_null(event);
	made++;
	snprintf(event->id, sizeof(event->id), "%032x", made);
	event->has_flow = true;
	event->verdict = VERDICT_ALERT;
	event->time_ns = event->end_ns = made;
	event->start_ns = made - 1;
	event->destination.port = 25;
	event->senders[event->sender_count++] = sender_new(executable);
	event->transaction = smtp_transaction_new(1, 0, 1);
	assert_non_null(event->transaction);
	assert_true(smtp_transaction_set_from(event->transaction, &command));
	event->transaction->outcome = SMTP_OUTCOME_SUCCESS;
	event->transaction->result = SMTP_RESULT_SENT;
	event->transaction->bytes = 100;
	if (to)
		add_recipient(event, to);
	return event;
}

static inline struct event *mail(void)
{
	return mail_of("/usr/bin/msmtp", "reports@corp.example", "ops@corp.example");
}

#endif
