/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * From records to events. Live, replay and tests all enter at pipeline_record().
 */
#ifndef SMTPSNOOP_PIPELINE_H
#define SMTPSNOOP_PIPELINE_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"
#include "policy/filter.h"
#include "process/want.h"
#include "record.h"

#define EVENT_HOLD_NS 500000000ULL /* an event waits this long for names and hashes */
/* An event that may be excluded waits this long for further replies of the server. */
#define EVENT_SETTLE_NS 150000000ULL
/*
 * Events that wait. Beyond that, one is written as it is: the oldest one of a user who has more
 * than an eighth of them, so that who floods pushes out his own.
 */
#define EVENTS_HELD_MAX 4096U

/*
 * What the pipeline asks of the outside, and what it reports to it. Each function may be NULL, as
 * in a replay. What is asked for comes back as records.
 */
struct pipeline_hooks {
	void *context;
	struct want want; /* about processes; with a context of its own */
	void (*want_relay)(void *context, const char *name);
	/* For a status or stopped event: fills event->outputs. */
	void (*want_outputs)(void *context, struct event *event);
	/* At the end: delivers a last RECORD_LOSS before it returns. */
	void (*want_counters)(void *context);
	/* COUNTER_PROCESS_LOST as it is now. */
	uint64_t (*process_lost)(void *context);
	/*
	 * What goes into a recording, with AUTH secrets masked: all records about the host and its
	 * processes, and those of the flows that the filter selects (keep.c).
	 */
	void (*on_record)(void *context, const struct record *record);
	void (*on_event)(void *context, const struct event *event); /* if the filter passes it */
};

struct pipeline;

/* `sink` stays the caller's. NULL if there is no memory. */
struct pipeline *pipeline_new(struct sink *sink, const struct filter *filter,
			      const struct pipeline_hooks *hooks);
void pipeline_free(struct pipeline *pipeline);

/*
 * Lets exclusions decide from now on. Call it again after the decider's configuration was replaced.
 * The decider is borrowed and outlives the pipeline. Call it before the first record if exclusions
 * need the content of messages that are already under way.
 */
struct decider;
void pipeline_exclude(struct pipeline *pipeline, struct decider *decider);

/* The relays' addresses, as received in records. */
struct relay_names;
const struct relay_names *pipeline_relay_names(const struct pipeline *pipeline);

/* Processes one record. A malformed record is counted and ignored. */
void pipeline_record(struct pipeline *pipeline, const struct record *record);

/* The source of the records is damaged: what followed is lost. */
void pipeline_damaged(struct pipeline *pipeline);

/*
 * From now on joins alike events: after `after` of a kind, one event for each `interval_ns`
 * (CLOCK_BOOTTIME) has their count (event/join.h). 0: joins no more, and writes what was joined.
 * Returns 0 or -ENOMEM; then nothing has changed.
 */
int pipeline_join(struct pipeline *pipeline, uint64_t interval_ns, uint32_t after);

/*
 * From now on bounds the events that one connection or user writes, as a watch needs it; not
 * together with pipeline_join(). Returns 0 or -ENOMEM. Call it before the first record.
 */
int pipeline_pace(struct pipeline *pipeline);

/* Writes a status event every `interval_ns` (CLOCK_BOOTTIME) from now on; 0: never. */
void pipeline_heartbeat(struct pipeline *pipeline, uint64_t interval_ns);

/* Writes a status event now, in addition. */
void pipeline_status(struct pipeline *pipeline);

/* The outputs lost this many events: a capture-loss event reports them. */
void pipeline_lost(struct pipeline *pipeline, uint64_t events);

/* The time is now_ns (CLOCK_BOOTTIME): handles held events, holes in streams, exited processes. */
void pipeline_tick(struct pipeline *pipeline, uint64_t now_ns);

/*
 * The end: closes open sessions, writes held events, then the stopped event. `reason`: static or
 * NULL.
 */
void pipeline_finish(struct pipeline *pipeline, const char *reason);

/* 0, or the negative errno with which the sink failed for good (-EPIPE, -ENOSPC, ...). */
int pipeline_error(const struct pipeline *pipeline);

/* The sink's flush returned `error`: 0 or a negative errno. */
void pipeline_flushed(struct pipeline *pipeline, int error);

/* The number of recorded flows whose beginning is missing in the recording. */
uint64_t pipeline_recorded_late(const struct pipeline *pipeline);

const struct event_stats *pipeline_stats(const struct pipeline *pipeline);

/* Whether the hooks work now, as far as the last self-check knows. */
struct pipeline_health {
	bool send, wire;    /* false also if there is no such hook */
	bool impaired;	    /* a hook that there is does not work */
	bool unsent;	    /* the self-check could not send its mail: the above is not certain */
	int64_t checked_ns; /* the last check that every hook passed (CLOCK_REALTIME); 0: none */
};

struct pipeline_health pipeline_health(const struct pipeline *pipeline);

/* The number of flows, held events and processes, for tests. */
struct pipeline_load {
	size_t flows;
	size_t held;
	size_t processes;
};

struct pipeline_load pipeline_load(const struct pipeline *pipeline);

#endif
