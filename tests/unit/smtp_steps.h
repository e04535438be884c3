/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Steps of conversations that several tests of the SMTP session use. */
#ifndef SMTPSNOOP_TEST_SMTP_STEPS_H
#define SMTPSNOOP_TEST_SMTP_STEPS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conversation.h"

#define HELLO  S("220 mx ESMTP\r\n"), C("EHLO me.example\r\n"), S("250-mx\r\n250 PIPELINING\r\n")
#define MAIL_A C("MAIL FROM:<a@x>\r\n"), S("250 Ok\r\n")
#define RCPT_B C("RCPT TO:<b@y>\r\n"), S("250 Ok\r\n")
#define DATA   C("DATA\r\n"), S("354 Go\r\n")
#define TEXT   C("Subject: x\r\n\r\nHi\r\n.\r\n"), S("250 Queued\r\n")
#define QUIT   C("QUIT\r\n"), S("221 Bye\r\n")
#define MAIL_1 "1 data success <a@x> <b@y>250 18 bytes 250 Queued\n"

static inline struct smtp_facts expect(const struct step *steps, const char *lines)
{
	return expect_with(steps, true, lines);
}

/* A line of `len` bytes: `head`, then as many x as needed, then `tail`. The caller frees it. */
static inline char *long_line(const char *head, const char *tail, size_t len)
{
	char *line = malloc(len + 1);

	assert_non_null(line);
	memset(line, 'x', len);
	memcpy(line, head, strlen(head));
	memcpy(line + len - strlen(tail), tail, strlen(tail));
	line[len] = '\0';
	return line;
}

/* The one transaction that a test expects: keep_it() is its session's callback. */
__attribute__((unused)) static struct smtp_transaction *transaction_kept;

static inline void keep_it(void *context, struct smtp_transaction *transaction)
{
	(void)context;
	assert_null(transaction_kept);
	transaction_kept = transaction;
}

#endif
