/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A pipeline that is fed records by hand, and what comes out of it: events as JSON, and records
 * that are kept for a recording.
 */
#ifndef SMTPSNOOP_TESTS_WATCHED_H
#define SMTPSNOOP_TESTS_WATCHED_H

#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/hook.h"
#include "base/text.h"
#include "capture/recording.h"
#include "format/format.h"
#include "watch/pipeline.h"

#define MS   1000000ULL
#define JOE  1000U
#define ANNE 1001U

/* ---- A watch, live or in replay -------------------------------------------------------------- */

struct watched {
	struct sink sink;
	struct pipeline *pipeline;
	struct text events;   /* of mails and sessions, as JSON */
	struct text recorded; /* the records, one after the other */
	size_t records;
};

static inline int take_event(struct sink *sink, const struct event *event)
{
	struct watched *watched = (struct watched *)sink;

	if (event->has_flow) {
		struct text line = {0};

		event_json(&line, event);
		text_add(&watched->events, (struct span){line.data, line.len});
		text_add_string(&watched->events, "\n");
		text_free(&line);
	}
	return 0;
}

static inline void take_record(void *context, const struct record *record)
{
	struct watched *watched = context;

	watched->records++;
	text_add(&watched->recorded, (struct span){(const char *)record, record->len});
}

static inline void begin(struct watched *watched, const struct filter *filter, bool record)
{
	struct pipeline_hooks hooks = {.context = watched,
				       .on_record = record ? take_record : NULL};

	*watched = (struct watched){.sink = {.write = take_event}};
	watched->pipeline = pipeline_new(&watched->sink, filter, &hooks);
	assert_non_null(watched->pipeline);
}

static inline void watched_free(struct watched *watched)
{
	pipeline_free(watched->pipeline);
	text_free(&watched->events);
	text_free(&watched->recorded);
}

static inline bool is_recorded(const struct watched *watched, const char *text)
{
	return memmem(watched->recorded.data, watched->recorded.len, text, strlen(text));
}

/* Passes the recorded records to another pipeline and expects the same events. */
static inline void expect_same_events(const struct watched *watched, const struct filter *filter)
{
	struct watched again;

	begin(&again, filter, false);
	for (size_t at = 0; at < watched->recorded.len;) {
		struct record *record = malloc(RECORDING_RECORD_MAX);
		uint32_t len;

		assert_non_null(record);
		memcpy(&len, watched->recorded.data + at + offsetof(struct record, len),
		       sizeof(len));
		memcpy(record, watched->recorded.data + at, len);
		pipeline_tick(again.pipeline, record->time_ns);
		pipeline_record(again.pipeline, record);
		at += len;
		free(record);
	}
	pipeline_finish(again.pipeline, "end");
	assert_string_equal(again.events.data ? again.events.data : "",
			    watched->events.data ? watched->events.data : "");
	watched_free(&again);
}

/* ---- Records --------------------------------------------------------------------------------- */

static uint64_t now_ns; /* of the next record */

static inline void tell(struct watched *watched, struct record *record, uint32_t type, size_t len)
{
	record->type = type;
	record->len = (uint32_t)len;
	record->time_ns = now_ns += MS;
	pipeline_tick(watched->pipeline, now_ns);
	pipeline_record(watched->pipeline, record);
	free(record);
}

static inline void *make(size_t fixed, struct span data)
{
	char *record = calloc(1, fixed + data.len);

	assert_non_null(record);
	if (data.len)
		memcpy(record + fixed, data.data, data.len);
	return record;
}

/* `wire`: enum host_wire. */
static inline void tell_host_of(struct watched *watched, uint32_t wire)
{
	struct host_record *host = make(sizeof(*host), span_of("mx"));

	host->version = RECORD_VERSION;
	host->hook = HOOK_FENTRY;
	host->wire = wire;
	host->ns_user = 1;
	host->name_len = 2;
	tell(watched, &host->h, RECORD_HOST, sizeof(*host) + 2);
}

static inline void tell_host(struct watched *watched)
{
	tell_host_of(watched, HOST_WIRE);
}

static inline struct flow_id id_of(uint64_t cookie, uint16_t port)
{
	return (struct flow_id){.cookie = cookie,
				.local_addr = {[10] = 0xff, [11] = 0xff, [12] = 10},
				.remote_addr = {[10] = 0xff, [11] = 0xff, [12] = 10},
				.local_port = 40000,
				.remote_port = port,
				.flags = FLOW_FROM_START};
}

static inline struct task_id task_of(uint32_t pid, uint32_t uid)
{
	return (struct task_id){.pid = pid,
				.tid = pid,
				.start_ns = pid,
				.uid = uid,
				.euid = uid,
				.loginuid = LOGINUID_NONE,
				.ns_user = 1,
				.comm = "mailer"};
}

static inline void tell_sender(struct watched *watched, uint64_t cookie, uint32_t pid, uint32_t uid)
{
	struct sender_record *sender = make(sizeof(*sender), BYTES("app.service\0system.slice\0"));

	sender->flow = cookie;
	sender->task = task_of(pid, uid);
	sender->ns_pid = 1;
	sender->cgroup_len = 25;
	tell(watched, &sender->h, RECORD_SENDER, sizeof(*sender) + 25);
}

static inline void tell_name(struct watched *watched, uint32_t uid, const char *text)
{
	struct name_record *name = make(sizeof(*name), span_of(text));

	name->kind = NAME_USER;
	name->id = uid;
	name->name_len = (uint32_t)strlen(text);
	tell(watched, &name->h, RECORD_NAME, sizeof(*name) + name->name_len);
}

/* One end of a connection. */
struct line {
	uint64_t cookie;
	uint16_t port;
	uint32_t pid, uid;
	uint32_t tx, rx;
	uint32_t flags; /* of its segments: enum flow_flag */
};

static inline void hear_bytes(struct watched *watched, struct line *line, struct span text)
{
	struct segment_record *segment = make(sizeof(*segment), text);

	segment->flow = id_of(line->cookie, line->port);
	segment->flow.flags |= line->flags;
	segment->seq = line->rx;
	segment->len = segment->data_len = (uint32_t)text.len;
	line->rx += segment->len;
	tell(watched, &segment->h, RECORD_SEGMENT, sizeof(*segment) + segment->len);
}

static inline void hear(struct watched *watched, struct line *line, const char *text)
{
	hear_bytes(watched, line, span_of(text));
}

/* Plaintext of a library is a send alone. */
static inline void say_bytes(struct watched *watched, struct line *line, struct span text)
{
	uint32_t prefix = text.len < SEND_PREFIX_MAX ? (uint32_t)text.len : SEND_PREFIX_MAX;
	struct send_record *send = make(sizeof(*send), (struct span){text.data, prefix});
	struct segment_record *segment = make(sizeof(*segment), text);

	send->flow = segment->flow = id_of(line->cookie, line->port);
	send->task = task_of(line->pid, line->uid);
	send->seq = segment->seq = line->tx;
	send->len = segment->len = segment->data_len = (uint32_t)text.len;
	send->data_len = prefix;
	send->flags = SEND_ENTRY | (prefix < text.len ? SEND_PARTIAL : 0);
	segment->flags = SEGMENT_OUTBOUND;
	segment->flow.flags |= line->flags;
	line->tx += (uint32_t)text.len;
	tell(watched, &send->h, RECORD_SEND, sizeof(*send) + prefix);
	if (flow_key_is_plaintext(line->cookie))
		free(segment);
	else
		tell(watched, &segment->h, RECORD_SEGMENT, sizeof(*segment) + text.len);
}

static inline void say(struct watched *watched, struct line *line, const char *text)
{
	say_bytes(watched, line, span_of(text));
}

/* The connection ends; TCP has counted these bytes. */
static inline void hang_up_after(struct watched *watched, const struct line *line, uint64_t sent,
				 uint64_t received)
{
	struct close_record *close = make(sizeof(*close), (struct span){NULL, 0});

	close->flow = id_of(line->cookie, line->port);
	close->sent = sent;
	close->received = received;
	tell(watched, &close->h, RECORD_CLOSE, sizeof(*close));
}

static inline void hang_up(struct watched *watched, const struct line *line)
{
	hang_up_after(watched, line, 0, 0);
}

static inline void greet(struct watched *watched, struct line *line, const char *name)
{
	char hello[100];

	hear(watched, line, "220 mx\r\n");
	tell_sender(watched, line->cookie, line->pid, line->uid);
	snprintf(hello, sizeof(hello), "EHLO %s\r\n", name);
	say(watched, line, hello);
	hear(watched, line, "250 mx\r\n");
}

/* `name` is in the client's bytes and in the server's. */
static inline void mail(struct watched *watched, struct line *line, const char *name)
{
	char text[200];

	snprintf(text, sizeof(text), "MAIL FROM:<%s@x>\r\n", name);
	say(watched, line, text);
	hear(watched, line, "250 ok\r\n");
	say(watched, line, "RCPT TO:<b@y>\r\n");
	hear(watched, line, "250 ok\r\n");
	say(watched, line, "DATA\r\n");
	hear(watched, line, "354 go\r\n");
	snprintf(text, sizeof(text), "Subject: %s\r\n\r\nhi\r\n.\r\n", name);
	say(watched, line, text);
	snprintf(text, sizeof(text), "250 queued for %s\r\n", name);
	hear(watched, line, text);
}

static inline void session(struct watched *watched, struct line line, const char *name)
{
	greet(watched, &line, name);
	mail(watched, &line, name);
	hang_up(watched, &line);
}

#endif
