/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "output/syslog_message.h"

#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "format/json_shrink.h"

#define HOST_MAX 255U /* RFC 5424, 6: HOSTNAME */

int syslog_severity(const struct event *event)
{
	if (event->capture.witness == WITNESS_DIFFER && event->has_flow)
		return LOG_ERR;
	return event->action == EVENT_LOSS || event_risk(event) ? LOG_WARNING : LOG_INFO;
}

/* Appends the printable characters of the name, or "-" (RFC 5424, 6). */
static void add_host(struct text *out, const char *host)
{
	size_t before = out->len;

	for (; host && *host && out->len - before < HOST_MAX; host++) {
		if (*host > ' ' && *host < 0x7f)
			text_add(out, (struct span){host, 1});
	}
	if (out->len == before)
		text_add_string(out, "-");
}

/* "Nov  6 08:00:00", in local time (RFC 3164, 4.1.2). */
static void add_old_time(struct text *out, int64_t realtime_ns)
{
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	time_t seconds = (time_t)(realtime_ns / 1000000000);
	struct tm tm = {.tm_mday = 1};

	localtime_r(&seconds, &tm);
	text_add_format(out, "%s %2d %02d:%02d:%02d ", months[tm.tm_mon], tm.tm_mday, tm.tm_hour,
			tm.tm_min, tm.tm_sec);
}

static void add_header(struct text *out, const struct output_config *output,
		       const struct event *event)
{
	char time[TIME_LEN];

	text_add_format(out, "<%d>", output->facility * 8 + syslog_severity(event));
	if (output->protocol == SYSLOG_RFC5424) {
		text_time(time, event->time_ns);
		text_add_format(out, "1 %s ", time);
		add_host(out, event->host);
		text_add_format(out, " smtpsnoop %d %s - ", (int)getpid(),
				event_action_name(event->action));
		return;
	}
	add_old_time(out, event->time_ns);
	if (output->protocol == SYSLOG_RFC3164) {
		add_host(out, event->host);
		text_add_string(out, " ");
	}
	text_add_format(out, "smtpsnoop[%d]: ", (int)getpid());
}

/* Appends the record, shortened if it is JSON that is too long. CEF is always below the bound. */
static bool fit(struct text *message, const struct output_config *output, struct span record,
		size_t room)
{
	struct text shorter = {0};
	bool good = record.len <= room;

	if (good || output->format != FORMAT_JSON) {
		text_add(message, record);
		return good;
	}
	text_add(&shorter, record);
	good = !shorter.failed && json_shrink(&shorter, room);
	if (good)
		text_add(message, (struct span){shorter.data, shorter.len});
	text_free(&shorter);
	return good;
}

bool syslog_add(struct text *out, const struct output_config *output, const struct event *event,
		struct span record)
{
	struct text message = {0};
	bool good;

	add_header(&message, output, event);
	good = !message.failed && fit(&message, output, record, SYSLOG_MESSAGE_MAX - message.len) &&
	       !message.failed;
	if (good && output->transport == SYSLOG_TCP && output->framing == SYSLOG_OCTET_COUNTING)
		text_add_format(out, "%zu ", message.len);
	if (good)
		text_add(out, (struct span){message.data, message.len});
	if (good && output->transport == SYSLOG_TCP && output->framing == SYSLOG_NEWLINE)
		text_add_string(out, "\n");
	text_free(&message);
	return good && !out->failed;
}
