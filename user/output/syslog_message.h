/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* An event as a syslog message. */
#ifndef SMTPSNOOP_SYSLOG_MESSAGE_H
#define SMTPSNOOP_SYSLOG_MESSAGE_H

#include "event/event.h"
#include "config/output_config.h"
#include "base/text.h"

/* Bytes of header and message together: what rsyslog takes by default is 8 KiB. */
#define SYSLOG_MESSAGE_MAX 8000U

/* Severity by RFC 5424, table 2: 3 if witnesses differ, 4 an alert or a loss, else 6. */
int syslog_severity(const struct event *event);

/*
 * Appends a message whose text is `record`: framed, where it goes over TCP. JSON that is too long
 * is shortened. False if that does not make it fit, or there was no memory: nothing of use was
 * appended.
 */
bool syslog_add(struct text *out, const struct output_config *output, const struct event *event,
		struct span record);

#endif
