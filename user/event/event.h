/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What smtpsnoop reports: one struct for every event, filled by the pipeline and written in one of
 * several formats (format/). The names of the fields are in docs/event.schema.json.
 */
#ifndef SMTPSNOOP_EVENT_H
#define SMTPSNOOP_EVENT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "process/identity.h"
#include "flow/witness.h"
#include "event/origin.h"
#include "smtp/smtp.h"

enum event_action {
	EVENT_STARTED,
	EVENT_STATUS,
	EVENT_MESSAGE,	 /* smtp-message */
	EVENT_ENCRYPTED, /* smtp-encrypted */
	EVENT_SESSION,	 /* smtp-session */
	EVENT_LOSS,	 /* capture-loss */
	EVENT_STOPPED,
};

enum event_verdict {
	/* not decided: the totals of a session, whose transactions have verdicts of their own */
	VERDICT_NONE,
	VERDICT_ALERT,
	VERDICT_EXCLUDED,
	VERDICT_OBSERVED, /* an SMTP session without a transaction */
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
	bool wire; /* the wire hook was attached */
	bool ktls; /* read before TLS in the kernel encrypted it */
	bool complete;
	bool mid_stream;
	uint64_t missing_bytes;
};

/* Totals since the start; of the whole watch (stopped, status) or of one session (smtp-session). */
struct event_stats {
	uint64_t messages; /* smtp-message events */
	uint64_t excluded; /* of them */
	uint64_t alerts;   /* of them (and of smtp-encrypted, and differing witnesses) */
	uint64_t recipients;
	uint64_t bytes;
	uint64_t sessions;
	uint64_t encrypted;
	uint64_t records;		/* read from the kernel side */
	uint64_t records_malformed;	/* malformed ones, which were ignored */
	uint64_t flows_dropped;		/* flows evicted from the full table */
	uint64_t events_lost;		/* events that a sink could not write */
	uint64_t content_refused;	/* messages whose content was not kept, for lack of room */
	uint64_t quoted;		/* transactions quoted in a flow of another protocol */
	uint64_t unattributed;		/* messages whose sender is not known */
	uint64_t counters[COUNTER_MAX]; /* the kernel side's, enum counter */
};

/* What an exclusion let pass. */
struct passed {
	uint64_t messages;
	uint64_t recipients;
	uint64_t bytes;
};

struct let_pass {
	char *name;
	struct passed passed;
};

/* The events of one output of the daemon: written, lost, waiting. */
struct event_output {
	char *name;
	uint64_t written, lost, waiting;
	bool up;
};

/* A YARA rule that matched. */
struct rule {
	char *name, *author, *description, *version; /* "": missing in the rule */
};

struct event {
	enum event_action action;
	enum event_verdict verdict;
	int64_t time_ns; /* CLOCK_REALTIME; so are the two below */
	int64_t start_ns;
	int64_t end_ns;
	/* CLOCK_REALTIME minus CLOCK_BOOTTIME, for the start of a process */
	int64_t boot_to_real_ns;
	const char *host; /* borrowed from the pipeline; NULL: not known */
	char *exclusion;  /* owned; its name, if it is excluded */
	char *nearest;	  /* owned; the nearest exclusion; NULL: there is none */
	/* criteria of the nearest one that are not met, a bit each (enum criterion) */
	uint32_t failed;
	uint32_t unknown;	   /* those of them that are unknown */
	char id[EVENT_ID_LEN + 1]; /* the same input gives the same id */
	bool provisional;	   /* its transaction is still open */

	/* message, encrypted, session */
	bool has_flow;
	bool mptcp;
	bool tls;		 /* encrypted: TLS was established on the flow */
	bool senders_incomplete; /* other processes may have sent bytes of it as well */
	struct endpoint source;
	struct endpoint destination;
	char session_id[EVENT_ID_LEN + 1];
	uint64_t flow;				   /* flow_id.cookie */
	struct smtp_facts *session;		   /* owned; NULL: none */
	struct smtp_transaction *transaction;	   /* owned; NULL except for a message */
	struct sender *senders[EVENT_SENDERS_MAX]; /* references; the first one is `process` */
	struct origin *origin; /* owned; who submitted it to the MTA; NULL: not known */
	struct rule *rules;    /* owned, with the strings; the rules that matched; NULL: none */
	size_t rule_count;
	char *server_name;			/* owned; TLS SNI, NULL: none seen */
	const char *reasons[EVENT_REASONS_MAX]; /* static; from the documented list */
	uint32_t reason_count;
	uint32_t sender_count;
	struct event_capture capture;

	/* started, stopped, status, loss */
	struct event_stats *stats; /* owned; loss: what was lost since the last one */
	struct let_pass
		*let_pass; /* owned, with the names; stopped, status: by exclusion, NULL: none */
	size_t let_pass_count;
	uint64_t sequence; /* status: 1, 2, ... since the start */
	struct event_output
		*outputs; /* owned, with the names; stopped, status: NULL: there is none */
	size_t output_count;
	const char *const
		*blind;	    /* started: what cannot be seen; NULL-terminated, static; NULL: none */
	const char *detail; /* loss, stopped: one clear line; static or NULL */
	char config_hash[EVENT_HASH_LEN +
			 1]; /* started, status: the configuration's SHA-256; "": none */
};

/* NULL if there is no memory. */
struct event *event_new(enum event_action action);
void event_free(struct event *event);

/* Adds a reason from the documented list (docs/smtpsnoop.8, REASONS), once; a static string. */
void event_reason(struct event *event, const char *reason);

const char *event_action_name(enum event_action action);
const char *event_verdict_name(enum event_verdict verdict);
const char *event_witness_name(enum witness witness);

/* event.kind of ECS: "alert", "event", "state" or "metric". */
const char *event_kind(const struct event *event);

/*
 * Severity and risk of an alert, from 0 to 100: 21 is low, 47 medium, 73 high. 0 if it is not an
 * alert.
 */
unsigned int event_risk(const struct event *event);

/* The name of the rule that matched; NULL: none. */
const char *event_rule(const struct event *event);

/* Writes the MITRE ATT&CK techniques of an alert (static strings); returns how many. */
#define EVENT_TECHNIQUES_MAX 2U
size_t event_techniques(const struct event *event, const char *techniques[EVENT_TECHNIQUES_MAX]);

/* The id of a process over all events: from its pid and its start. */
#define EVENT_ENTITY_LEN 26U
void event_entity_id(char entity[EVENT_ENTITY_LEN], uint32_t pid, uint64_t start_ns);

/* The flow's Community ID, version 1 with seed 0. False if there is no memory. */
#define EVENT_COMMUNITY_LEN 48U
bool event_community_id(const struct event *event, char community[EVENT_COMMUNITY_LEN]);

/* Whether a string of an event is known: neither NULL nor "". */
static inline bool is_known(const char *string)
{
	return string && string[0];
}

/* The last proxy of a session: "http", "socks4" or "socks5". The outcome of AUTH. */
const char *event_proxy_protocol(const struct preamble *proxy);
const char *event_auth_outcome(const struct smtp_facts *facts);

/* "success", ...; "smtp", "esmtp", "lmtp", "" if not known: static strings. */
const char *smtp_outcome_name(enum smtp_outcome outcome);
const char *smtp_protocol_name(enum smtp_protocol protocol);

/* "process_records", ...: the name of a kernel counter in smtpsnoop.stats.lost; a static string. */
const char *counter_name(enum counter counter);

/*
 * Where events go. write() returns 0 or a negative errno. The caller counts a failure and
 * continues, except at -EPIPE (the reader is gone) and -ENOSPC, which end a watch in a terminal.
 */
struct sink {
	int (*write)(struct sink *sink, const struct event *event);
	int (*flush)(struct sink *sink); /* after a batch; may be NULL */
	int (*finish)(struct sink *sink,
		      const struct event_stats *stats); /* closing summary; may be NULL */
	void (*free)(struct sink *sink);
};

#endif
