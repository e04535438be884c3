/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a pipeline is made of, for the files that make it up: pipeline.c (records in), compose.c
 * (events are built), exclude.c (exclusions), open.c (transactions before their end), encrypted.c
 * (TLS), hold.c (events wait and go out), joining.c (alike events are joined), pacing.c (a flood is
 * bounded), tell.c (they are written), keep.c (what is recorded), totals.c (counters, losses,
 * status), health.c (self-checks).
 */
#ifndef SMTPSNOOP_PIPELINE_STATE_H
#define SMTPSNOOP_PIPELINE_STATE_H

#include "base/hook.h"
#include "flow/flow_state.h"
#include "process/names.h"
#include "process/process.h"
#include "watch/pipeline.h"

struct held_event {
	struct held_event *next;
	/* not written before: later replies may show that this mail hid another one */
	uint64_t settle_ns;
	uint64_t deadline_ns;
	uint32_t holder; /* index in held_by */
	struct event *event;
};

/* Users share a place in the counts of waiting events if their uids have the same remainder. */
#define HOLDERS 1024U

struct pipeline {
	struct sink *sink;
	struct filter filter;
	struct pipeline_hooks hooks;
	struct process_table *processes;
	struct flow_table *flows;
	struct names *names;
	struct submissions *submissions; /* NULL until the first one */
	struct submitters *submitters;	 /* NULL until the first one */
	struct decider *decider;	 /* borrowed; NULL: nothing is excluded */
	struct relay_names *relay_names;
	struct keep *keep; /* NULL: nothing is recorded */
	struct mail_budget budget;
	struct join *join;     /* NULL: alike events are not joined */
	struct pacing *pacing; /* NULL: all events are written */
	struct held_event *held_first, *held_last;
	size_t held_count;
	uint32_t held_by[HOLDERS +
			 1]; /* how many wait of each user; the last one: of unknown ones */
	struct event_stats stats;
	uint64_t counters[COUNTER_MAX]; /* as last reported */
	uint64_t flows_evicted;		/* as last reported */
	uint64_t now_ns;
	uint64_t deadline_ns;	       /* without a byte, for an open transaction */
	const struct privacy *privacy; /* of the decider's configuration; NULL: nothing is hidden */
	const struct rules *rules;     /* of the decider's configuration; NULL: none */
	size_t said_max;	       /* bytes kept of each client's side, for the rules */
	size_t content_max;	       /* bytes kept of a message's content; 0: none */
	uint64_t heartbeat_ns;	       /* between status events; 0: there are none */
	uint64_t beat_ns;	       /* when the last one was */
	uint64_t sequence;	       /* of the last one */
	struct event_dropped dropped[EVENT_DROPPED_MAX]; /* not yet reported */
	size_t dropped_count;
	uint64_t outputs_lost; /* events lost behind the sink, not yet reported */
	uint64_t expired_ns;   /* when processes and streams were last checked */
	int64_t realtime_offset_ns;
	uint64_t watched_ns; /* since when: of the host record */
	int error;

	/* From the host record. */
	enum hook hook;
	bool wire; /* the programs were made for a wire hook; pipeline_health() says if it works */
	bool tls;  /* TLS libraries are probed: plaintext of TLS sessions may come */
	const char *blind[HOOK_BLIND_MAX]; /* what cannot be seen: of the started event */
	struct namespaces own;
	uint64_t boot;

	/* From health records. */
	uint32_t health;     /* enum health_flag: those of HEALTH_STATES */
	uint64_t checked_ns; /* the last check that every hook passed (CLOCK_BOOTTIME); 0: none */
	char *host;

	/* From the run record before it. */
	struct previous_run *previous; /* owned; NULL: there is none */
};

/* ---- Counters (totals.c) --------------------------------------------------------------------- */

/* Notes whose bytes were left out, for the next capture-loss event. */
void totals_dropped(struct pipeline *pipeline, const struct dropped_record *record);

/* ---- Composing events (compose.c) ------------------------------------------------------------ */

/* An event of this time (CLOCK_BOOTTIME). NULL: no memory, and it is counted as lost. */
struct event *compose_event(struct pipeline *pipeline, enum event_action action, uint64_t time_ns);

/*
 * Writes an id of EVENT_ID_LEN hex digits, and a NUL, that these numbers make unique on this boot.
 */
void compose_id(const struct pipeline *pipeline, char *id, uint64_t cookie, uint64_t what,
		uint64_t number);

/*
 * A number that no other flow has had since boot; a flow known by address may share that address.
 */
uint64_t compose_flow_number(const struct flow *flow);

/* Whether the wire hook sees the bytes of this flow: not if they are encrypted below. */
bool compose_on_wire(const struct pipeline *pipeline, const struct flow *flow);

/* Whether bytes before the first record of the flow were missed. */
bool compose_is_mid_stream(const struct flow_id *id);

/* Whether what was seen of the flow is an SMTP session. */
bool compose_is_session(const struct flow *flow);

/* An event with the endpoints, session and times of a flow. NULL if there is no memory. */
struct event *compose_flow_event(struct pipeline *pipeline, enum event_action action,
				 const struct flow *flow, uint64_t start_ns, uint64_t end_ns);

/* Adds the senders of the positions [start, end), each with a reference. */
void compose_senders(struct event *event, const struct flow *flow, uint64_t start, uint64_t end);

/* The event of a session, as it is so far. NULL: there is no memory. */
struct event *compose_session(struct pipeline *pipeline, const struct flow *flow, uint64_t end_ns);

/*
 * The event of a transaction, which it owns from then on. NULL: there is no memory, and the
 * transaction is freed.
 */
struct event *compose_message(struct pipeline *pipeline, const struct flow *flow,
			      struct smtp_transaction *transaction);

/* ---- Who handed a mail in (origin_find.c) ---------------------------------------------------- */

/* Records of submission programs, of other processes, and what makes the table incomplete. */
void origin_submission(struct pipeline *pipeline, const struct sender_record *record);
void origin_older(struct pipeline *pipeline, const struct exec_record *record);
void origin_exit(struct pipeline *pipeline, const struct exit_record *record);
void origin_clock(struct pipeline *pipeline, const struct clock_record *record);
void origin_doubt(struct pipeline *pipeline);

/* Remembers who submitted a mail to an MTA of this host by a connection. */
void origin_connection(struct pipeline *pipeline, const struct event *event);

/* Fills in what is known of an event's origin by now. True: nothing more is to come. */
bool origin_fill(struct pipeline *pipeline, struct event *event);

/* ---- What was handed in and not seen again (unclaimed.c) ---------------------------------------
 */

/* Tells of it, if it is time for that or the end has come. */
void origin_tell(struct pipeline *pipeline, bool end);

/* ---- Names of what is in an event (compose.c) ------------------------------------------------ */

/*
 * Fills in what is known of the event's senders and origin by now. True: nothing more is to come.
 */
bool compose_fill(struct pipeline *pipeline, struct event *event);

/* ---- Transactions before their end (open.c) -------------------------------------------------- */

static inline bool is_mail_port(uint16_t port)
{
	return port == 25 || port == 465 || port == 587 || port == 2525;
}

/* Text that a client sends to these ports is most likely mail. (What goes to 465 is TLS.) */
static inline bool is_plain_mail_port(uint16_t port)
{
	return is_mail_port(port) && port != 465;
}

/* Reports the flow's open transaction if it is time for that. Called each second. */
void open_look(struct pipeline *pipeline, struct flow *flow);

/* Reports the flow's session if its commands carry data and it stays open. Called each second. */
void open_look_at_commands(struct pipeline *pipeline, struct flow *flow);

/* Whether a connection that is older than the watch carried, or may have carried, mail. */
bool open_is_older(const struct flow *flow);

/* ---- Exclusions (exclude.c) ------------------------------------------------------------------ */

/* Asks for the addresses of the relays that exclusions and the filter name, when they are due. */
void exclude_want_relays(struct pipeline *pipeline);

/* ---- Sessions under TLS (encrypted.c) -------------------------------------------------------- */

/* A segment of the flow has passed, and its bytes were read: TLS may begin in it. */
void encrypted_segment(struct pipeline *pipeline, struct flow *flow,
		       const struct segment_record *record);

/* Reports a session whose plaintext has not come, if it is time for that. Called each second. */
void encrypted_look(struct pipeline *pipeline, struct flow *flow);

/* The flow ends: reports it if its plaintext has not come. */
void encrypted_end(struct pipeline *pipeline, struct flow *flow, uint64_t end_ns);

/* ---- Events on their way out (hold.c) -------------------------------------------------------- */

/* Queues an event until its names have arrived. Takes ownership. */
void hold_event(struct pipeline *pipeline, struct event *event);

/* Writes, in order, the events that are complete or have waited long enough. */
void hold_flush(struct pipeline *pipeline);

/* Writes the oldest event as it is. There must be one. */
void hold_write_first(struct pipeline *pipeline);

/* Frees the events that wait, unwritten. */
void hold_free(struct pipeline *pipeline);

/* Decides an event and, if the filter passes it, counts it and writes or joins it. Frees it. */
void hold_write(struct pipeline *pipeline, struct event *event);

/* Writes an event that was decided and counted, and frees it (tell.c). */
void tell_event(struct pipeline *pipeline, struct event *event);

/* The server sent `surplus` replies to nothing that was parsed: marks the flow's waiting events. */
void hold_take_surplus(struct pipeline *pipeline, uint64_t flow, uint32_t surplus);

/* ---- Joining alike events (joining.c); pipeline->join is not NULL -----------------------------
 */

/*
 * Joins an event that was decided and counted with alike ones, or writes it. Takes ownership.
 * pipeline->join is not NULL.
 */
void joining_take(struct pipeline *pipeline, struct event *event);

/*
 * Who is charged for an event: an account, or a number above all uids for others. Not for a sender
 * to choose.
 */
uint64_t joining_user(struct pipeline *pipeline, const struct event *event);

/* Writes the joined events that are due; of all users if `all` is set: the end has come. */
void joining_flush(struct pipeline *pipeline, bool all);

/* ---- The bound on what one connection or user writes (pacing.c) ------------------------------ */

struct pacing;
void pacing_free(struct pacing *pacing); /* NULL is allowed */

/* Writes an event that was decided and counted, or leaves it out. Takes ownership. */
void pacing_take(struct pipeline *pipeline, struct event *event);

/* Reports events that were left out, if it is time for that or the end has come. */
void pacing_report(struct pipeline *pipeline, bool end);

/* ---- What is recorded (keep.c) --------------------------------------------------------------- */

struct keep;

/* NULL if there is no memory. */
struct keep *keep_new(void);
void keep_free(struct keep *keep); /* NULL is allowed; after keep_finish() */

/*
 * Passes a record to hooks.on_record, now or when it is known whether the filter selects its flow;
 * or drops it. Takes ownership. `flow`: of a record of a flow; NULL for any other one.
 */
void keep_record(struct pipeline *pipeline, struct flow *flow, struct record *record);

/* The senders of the flow may have changed. */
void keep_look(struct pipeline *pipeline, struct flow *flow);

/* The flow ends. */
void keep_flow_end(struct pipeline *pipeline, struct flow *flow);

/* Names may have arrived. */
void keep_tick(struct pipeline *pipeline);

/* The end: every flow has ended. Decides what still waits. */
void keep_finish(struct pipeline *pipeline);

/* ---- Totals (totals.c) ----------------------------------------------------------------------- */

/* The kernel side's counters, as they are now: reports what was lost since the last time. */
void totals_lost(struct pipeline *pipeline, const __u64 counters[COUNTER_MAX]);

/* How the previous run ended, for the started event that follows. */
void totals_previous_run(struct pipeline *pipeline, const struct run_record *record);

/* Reports the span in which nobody watched before this run, if there was one. */
void totals_unwatched(struct pipeline *pipeline, const struct previous_run *previous);

/* The same for what user space lost: no record reports that. */
void totals_check(struct pipeline *pipeline);

/* ---- Self-checks (health.c) ------------------------------------------------------------------ */

/* What a self-check of the capture found: reports what has changed. */
void health_take(struct pipeline *pipeline, const struct health_record *record);

/*
 * Whether a message is the canary of another watch on this host (other_canary.c). Then it is
 * excluded, by this name.
 */
#define CANARY_EXCLUSION "self-check"
bool other_canary(const struct pipeline *pipeline, const struct event *event);

/* ---- Totals for events (totals.c) ------------------------------------------------------------ */

/* Fills in what status and stopped events have in common. */
void totals_take(struct pipeline *pipeline, struct event *event);

#endif
