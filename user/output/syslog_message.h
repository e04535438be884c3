/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event as a syslog message (RFC 5424, RFC 3164). */
#ifndef SMTPSNOOP_SYSLOG_MESSAGE_H
#define SMTPSNOOP_SYSLOG_MESSAGE_H

#include "event/event.h"
#include "config/output_config.h"
#include "base/text.h"

/* Bytes of header and message together. rsyslog accepts 8 KiB by default. */
#define SYSLOG_MESSAGE_MAX 8000U

/*
 * Severity by RFC 5424, table 2: error (3) if the witnesses differ, warning (4) for an alert or a
 * loss, else informational (6).
 */
int syslog_severity(const struct event *event);

/*
 * Appends a message with `record` as its text, framed if it goes over TCP. JSON that is too long is
 * shortened. False if it does not fit even then, or if there is no memory; `out` may then hold an
 * incomplete message.
 */
bool syslog_add(struct text *out, const struct output_config *output, const struct event *event,
		struct span record);

#endif
