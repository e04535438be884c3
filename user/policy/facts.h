/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What an exclusion may ask about one message: the facts of an event, of this watch or read back
 * from JSON. "Not known" is different from "no".
 */
#ifndef SMTPSNOOP_FACTS_H
#define SMTPSNOOP_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "process/identity.h"
#include "event/origin.h"
#include "base/span.h"
#include "base/text.h"

/* A span whose data is NULL is not known; a span of length 0 is known to be empty. */
struct facts_process {
	struct span executable; /* as of exec */
	struct span sha256;	/* in lower case */
	struct span user;	/* effective */
	struct span group;	/* effective */
	struct span unit;	/* of the system manager */
	struct span container;
	struct span login;  /* name of the login uid */
	struct span script; /* empty: none was run */
	struct span directory;
	struct span command_line; /* all arguments, joined by blanks */
	uint32_t uid, gid;	  /* effective */
	uint32_t loginuid;	  /* LOGINUID_NONE: none */
	enum truth same_user;	  /* real and effective user and group are the same */
	enum truth tty;
	enum truth own_namespaces; /* user, mount, pid and network namespace are the watch's own */
	enum scheduler scheduler;
	struct span ancestors[ANCESTORS_MAX]; /* executables at exec, the parent's first */
	uint32_t ancestor_count;
	enum truth mta; /* it relays mail that others submitted */
};

#define FACTS_PROCESSES_MAX 16U

struct facts {
	int64_t start_s, end_s; /* start and end of the transaction; seconds since 1970 */
	uint64_t clock_ns;	/* of its end, by a monotonic clock */

	struct facts_process processes[FACTS_PROCESSES_MAX];

	/* The destination, and the AUTH user. */
	struct span proxy_target; /* "name:port" behind CONNECT or SOCKS; empty: no proxy */
	struct span auth_user;	  /* empty: no AUTH */
	uint8_t relay[16];	  /* IPv4 is v4-mapped */

	/* What the sender chose. */
	struct span sender; /* reverse-path; "<>" is the null sender */
	struct span *recipients;
	size_t recipient_count;
	struct span *header_from;
	size_t header_from_count;
	struct span subject;
	struct span content; /* decoded header and body, as far as captured */
	uint64_t bytes;

	/* Of mail that an MTA relays: who handed it in, by the MTA's own words; and the process. */
	struct span origin_user;
	struct facts_process submitter; /* without its command line; zeroed if not known */

	struct span *spans; /* what recipients and header_from point into; owned */
	struct text lines[FACTS_PROCESSES_MAX]; /* what command_line points into; owned */

	uint32_t process_count;
	enum truth processes_complete; /* no other process sent a byte of it */
	enum truth whole;	       /* every byte and reply was seen, and they fit together */
	enum truth tls;
	uint32_t origin_uid; /* valid if has_origin_uid */
	uint16_t relay_port;
	bool encrypted; /* the plaintext was not seen */
	bool session;	/* a session whose commands carry data: there is no mail */
	bool has_origin_uid;
	bool has_submitter;
	bool recipients_known;
	bool header_known;
	bool no_content;       /* the server refused the mail before any octet of it was sent */
	bool content_complete; /* the content was captured completely */
	bool bytes_known;
};

/*
 * A path that a pattern may be compared with: unknown if a part of it is not known ("..."), or if
 * it has ".." in it, because what that leads to cannot be told from the path.
 */
struct span facts_path(struct span path);

/*
 * Whether the process that handed a mail in may meet a criterion. `by_time`: it is only the one
 * that fits (ORIGIN_TIME). Then the MTA must have named the user, whose submissions are all known:
 * anyone can write to OpenSMTPD's socket, which names no user, without a submission program.
 */
static inline bool origin_process_counts(bool by_time, bool user_named)
{
	return !by_time || user_named;
}

struct event;
struct sender;

/* The facts of one process, without its command line; borrowed from the sender. */
void facts_of_sender(struct facts_process *process, const struct sender *sender);

/*
 * Adds its command line, which points into `line`: empty before, the caller frees it. Where it is
 * known completely, the executable is known. False if there is no memory.
 */
bool facts_command_line(struct facts_process *process, const struct sender *sender,
			struct text *line);

/* The event is borrowed and outlives the facts. False if there is no memory. */
bool facts_of_event(struct facts *facts, const struct event *event);

void facts_free(struct facts *facts);

#endif
