/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What smtpsnoop reports: one struct for every kind of event. The pipeline fills it, and format/
 * writes it in one of the formats of formats.h. docs/event.schema.json documents the fields.
 */
#ifndef SMTPSNOOP_EVENT_H
#define SMTPSNOOP_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "process/identity.h"
#include "flow/hello.h"
#include "flow/witness.h"
#include "flow/pace.h"
#include "event/criterion.h"
#include "event/origin.h"
#include "smtp/smtp.h"
#include "tls.h"

enum event_action {
	EVENT_STARTED,
	EVENT_STATUS,
	EVENT_MESSAGE,	 /* smtp-message */
	EVENT_ENCRYPTED, /* smtp-encrypted */
	EVENT_SESSION,	 /* smtp-session */
	EVENT_LOSS,	 /* capture-loss */
	EVENT_STOPPED,
	EVENT_SUBMISSION, /* smtp-submission: handed to a local MTA, and not seen again */
};

#define EVENT_ACTIONS (EVENT_SUBMISSION + 1U) /* how many there are */

enum event_verdict {
	VERDICT_NONE, /* the totals of a session, whose transactions have verdicts of their own */
	VERDICT_ALERT,
	VERDICT_EXCLUDED,
	VERDICT_OBSERVED, /* a session without a mail, or an envelope that was only asked about */
};

struct endpoint {
	uint8_t addr[16]; /* IPv4 is v4-mapped */
	uint16_t port;
};

#define EVENT_ID_LEN	  32U /* hex digits */
#define EVENT_HASH_LEN	  64U
#define EVENT_SENDERS_MAX 8U
#define EVENT_REASONS_MAX 32U

struct event_capture {
	const char *hook; /* "fentry", "kprobe", "tracepoint", "none"; static */
	enum witness witness;
	bool wire;	   /* the wire hook was attached, and worked when it was last checked */
	const char *layer; /* "socket", or where it was read before encryption: "openssl"; static */
	bool complete;
	bool mid_stream;
	uint64_t missing_bytes;
	int64_t checked_ns; /* the last self-check that all hooks passed; 0: none so far */
};

/* Totals since the start: of the whole watch (stopped, status), or of a session (smtp-session). */
struct event_stats {
	uint64_t messages; /* events smtp-message; `excluded` and `alerts` count some of them */
	uint64_t excluded;
	uint64_t alerts; /* also of smtp-encrypted and smtp-session */
	uint64_t recipients;
	uint64_t bytes;
	uint64_t sessions;
	uint64_t carrying;	/* sessions whose commands carry data, excluded ones too */
	uint64_t command_bytes; /* of all sessions (smtp_facts) */
	uint64_t encrypted;
	uint64_t records;	    /* read from the kernel side */
	uint64_t records_malformed; /* of them, dropped */
	uint64_t flows_dropped;	    /* no room in the table of flows */
	uint64_t events_lost;	    /* a sink could not write them */
	uint64_t content_refused;   /* messages without room for their content */
	uint64_t quoted;	    /* transactions that were text in another protocol's flow */
	uint64_t unattributed;	    /* messages whose sender is not known */
	uint64_t mid_stream;	    /* connections older than the watch that carried SMTP */
	uint64_t incomplete;	    /* messages of which something was not seen */
	uint64_t unwatched_ns;	    /* in which nobody watched, between the last run and this */
	uint64_t joined;	    /* events that are in a joined one */
	/* Events that one connection or user made beyond its bound: counted, not written. */
	uint64_t events_left_out;
	uint64_t counters[COUNTER_MAX]; /* of the kernel side */
};

/* The mail that an exclusion let pass. */
struct passed {
	uint64_t messages;
	uint64_t recipients;
	uint64_t bytes;
};

struct let_pass {
	char *name;
	struct passed passed;
};

/* A user whose bytes the kernel side left out. */
struct event_dropped {
	uint32_t uid;
	bool contained; /* the user is in a container or a user namespace that this uid made */
	char name[33];	/* "" if it is not known */
	uint64_t bytes;
};

#define EVENT_DROPPED_MAX 10U /* those who lost most */

/* What happened to the events at one output of the daemon. */
struct event_output {
	char *name;
	uint64_t written, lost, waiting;
	bool up;
};

/* How the daemon's previous run ended. */
struct previous_run {
	enum run_end end;
	bool rebooted;	       /* the host was started since */
	int64_t ended_ns;      /* CLOCK_REALTIME; 0: not known */
	uint64_t unwatched_ns; /* from then on until this run; 0: not known */
};

/* A YARA rule that matched. Empty strings: the rule has no such entry. */
struct rule {
	char *name, *author, *description, *version;
};

/*
 * The parts by which events are alike (join.h). ROW(constant, name in events): the names are those
 * of the criteria of exclusions where there is one.
 */
#define JOINED_PARTS(ROW)                                                                          \
	ROW(JOINED_EXECUTABLE, "process.executable")                                               \
	ROW(JOINED_SCRIPT, "process.script")                                                       \
	ROW(JOINED_USER, "process.user")                                                           \
	ROW(JOINED_UNIT, "process.unit")                                                           \
	ROW(JOINED_RELAY, "relay")                                                                 \
	ROW(JOINED_SENDER, "mail.sender")                                                          \
	ROW(JOINED_RECIPIENTS, "mail.recipients")                                                  \
	ROW(JOINED_EXCLUSION, "exclusion")                                                         \
	ROW(JOINED_REASONS, "reasons")                                                             \
	ROW(JOINED_OUTCOME, "outcome")

#define JOINED_CONSTANT(constant, name) constant,
enum joined_part { JOINED_PARTS(JOINED_CONSTANT) JOINED_PART_COUNT };
#undef JOINED_CONSTANT

/* "process.executable", ...; a static string. */
const char *joined_part_name(enum joined_part part);

#define JOINED_IDS_MAX 8U

/* Of an event that stands for several: what they have together (join.h). */
struct event_joined {
	uint64_t count;	     /* events, this one included */
	uint64_t recipients; /* of all of them */
	uint64_t bytes;	     /* of all their messages; of sessions, in their commands */
	int64_t first_ns;    /* CLOCK_REALTIME: when the first of them ended, and the last */
	int64_t last_ns;
	uint32_t differ; /* parts in which they are not alike: bits, enum joined_part */
	uint32_t id_count;
	char ids[JOINED_IDS_MAX][EVENT_ID_LEN + 1]; /* of the first of them */
};

/* event_free() frees what is marked as owned; the rest is static, or borrowed as noted. */
struct event {
	enum event_action action;
	enum event_verdict verdict;
	int64_t time_ns; /* CLOCK_REALTIME, like the next two */
	int64_t start_ns;
	int64_t end_ns;
	int64_t boot_to_real_ns; /* CLOCK_REALTIME minus CLOCK_BOOTTIME, for starts of processes */
	const char *host;	 /* borrowed from the pipeline; NULL: not known */
	char *exclusion;	 /* owned; the exclusion that covers it, NULL: none does */
	char *nearest;		 /* owned; the exclusion that came closest, NULL: there is none */
	struct criteria failed;	 /* criteria that `nearest` does not meet */
	struct criteria unknown; /* of them, those that could not be determined */
	struct event_joined *joined; /* owned; NULL: it stands for itself alone */
	char id[EVENT_ID_LEN + 1];   /* the same input gives the same id */
	bool provisional;	     /* the transaction is still open */

	/* Of message, encrypted and session; the senders and the origin's MTA of submission, too.
	 */
	bool has_flow;
	bool mptcp;
	bool tls;		 /* it was sent under TLS; of a session: at least a part of it */
	bool senders_incomplete; /* others may have sent some of the bytes */
	struct endpoint source;
	struct endpoint destination;
	uint64_t source_bytes;	    /* sent in the connection; both 0: not known */
	uint64_t destination_bytes; /* likewise, received */
	char session_id[EVENT_ID_LEN + 1];
	uint64_t flow;				   /* flow_id.cookie */
	struct pace *pace;			   /* a reference; the flow's; may be NULL */
	struct smtp_facts *session;		   /* owned; may be NULL */
	struct smtp_transaction *transaction;	   /* owned; NULL except in a message */
	struct sender *senders[EVENT_SENDERS_MAX]; /* references; the first one is `process` */
	struct origin *origin; /* owned; of a message from an MTA; NULL: not known */
	struct rule *rules;    /* owned, with the strings; may be NULL */
	size_t rule_count;
	char *server_name;			/* owned; TLS SNI, NULL: not seen */
	struct server_hello tls_server;		/* what the server chose; version 0: not seen */
	const char *reasons[EVENT_REASONS_MAX]; /* from the documented list */
	uint32_t reason_count, sender_count;
	struct event_capture capture;

	/*
	 * Of started, stopped, status and loss; `reasons` also of loss: what a self-check found.
	 * `stats` also of session. */
	struct event_stats *stats; /* owned; loss: what was lost since the last such event */
	struct let_pass *let_pass; /* owned, with the names; stopped, status; may be NULL */
	size_t let_pass_count;
	struct event_dropped *dropped; /* owned; loss: whose bytes were left out; may be NULL */
	size_t dropped_count;
	struct event_output *outputs; /* owned, with the names; stopped, status; may be NULL */
	size_t output_count;
	uint64_t sequence;	  /* status: 1, 2, ... since the start */
	const char *const *blind; /* started: what cannot be seen, NULL-terminated; borrowed from
				     the pipeline, may be NULL */
	const char *detail;	  /* loss, stopped: one line; may be NULL */
	char *composed;		  /* owned; `detail`, if it is no static string; may be NULL */
	struct previous_run *previous; /* owned; started: NULL unless the daemon keeps account */
	char config_hash[EVENT_HASH_LEN + 1]; /* started, status: SHA-256 of the configuration */
};

/* NULL if there is no memory. */
struct event *event_new(enum event_action action);
void event_free(struct event *event);

/* Adds a reason once: a static string from the documented list (docs/smtpsnoop.8, REASONS). */
void event_reason(struct event *event, const char *reason);

const char *event_action_name(enum event_action action);
const char *event_verdict_name(enum event_verdict verdict);
const char *event_witness_name(enum witness witness);

/* "openssl", ...; "ktls" for TLS_NONE: TLS in the kernel. A static string. */
const char *event_layer_name(enum tls_layer layer);

/*
 * True if the commands of a session carry data that no mail accounts for. An envelope that was only
 * asked about is no mail.
 */
bool event_commands_carry_data(const struct event *event);

/*
 * What became of it, as events and the table name it: "sent", "deferred", "refused", "asked",
 * "open", "unknown" or "tls"; a static string. NULL: neither a message nor an encrypted session.
 */
const char *event_result(const struct event *event);

/* event.kind of ECS: "alert", "event", "state" or "metric". */
const char *event_kind(const struct event *event);

/* Severity and risk of an alert, up to 100: 21 is low, 47 medium, 73 high. 0: it is no alert. */
unsigned int event_risk(const struct event *event);

/* The name of the first rule that matched; NULL: no rule did. */
const char *event_rule(const struct event *event);

/* Puts in the MITRE ATT&CK techniques of an alert, static strings. Returns how many. */
#define EVENT_TECHNIQUES_MAX 2U
size_t event_techniques(const struct event *event, const char *techniques[EVENT_TECHNIQUES_MAX]);

/* An id of a process, the same in all events: its pid and its start. */
#define EVENT_ENTITY_LEN 26U
void event_entity_id(char entity[EVENT_ENTITY_LEN], uint32_t pid, uint64_t start_ns);

/* Community ID version 1 of the flow, with seed 0. False if there is no memory. */
#define EVENT_COMMUNITY_LEN 48U
bool event_community_id(const struct event *event, char community[EVENT_COMMUNITY_LEN]);

/* Whether the event is the watch's own, and not of a process that mails. */
static inline bool event_is_of_watch(const struct event *event)
{
	return !event->has_flow && event->action != EVENT_SUBMISSION;
}

/* A string of an event is not known if it is NULL or empty. */
static inline bool is_known(const char *string)
{
	return string && string[0];
}

/* The protocol of the last proxy that a session goes through: "http", "socks4" or "socks5". */
const char *event_proxy_protocol(const struct preamble *proxy);

/* "none", "stopped", "killed", "rebooted" or "unknown": a static string. */
const char *event_previous_how(const struct previous_run *previous);

/* The outcome of AUTH: "success", "failure" or "unknown". */
const char *event_auth_outcome(const struct smtp_facts *facts);

/* "success", ...; "smtp", "esmtp", "lmtp", "" if not known: static strings. */
const char *smtp_outcome_name(enum smtp_outcome outcome);
const char *smtp_protocol_name(enum smtp_protocol protocol);

/* The name of a kernel counter in smtpsnoop.stats.lost: "process_records", ... A static string. */
const char *counter_name(enum counter counter);

/*
 * Where events go. write() returns 0 or a negative errno. The caller counts a failure and
 * continues, except that a watch in a terminal ends at -EPIPE (the reader has gone) and -ENOSPC.
 */
struct sink {
	/* Of the events so far, each in its longest format. A sink that does not count leaves 0. */
	uint64_t bytes;
	int (*write)(struct sink *sink, const struct event *event);
	/* After a batch; may be NULL. */
	int (*flush)(struct sink *sink);
	/* Writes a summary at the end; may be NULL. */
	int (*finish)(struct sink *sink, const struct event_stats *stats);
	void (*free)(struct sink *sink);
};

#endif
