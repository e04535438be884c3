/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Where the daemon writes: the outputs of the configuration. */
#ifndef SMTPSNOOP_OUTPUT_CONFIG_H
#define SMTPSNOOP_OUTPUT_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/formats.h"

#define OUTPUTS_MAX 16U
/* Default size of one output's queue, in bytes. */
#define OUTPUT_QUEUE	   (64ULL << 20)
#define OUTPUT_QUEUE_LEAST (1ULL << 20)
#define OUTPUT_QUEUE_MOST  (4ULL << 30)

enum output_type {
	OUTPUT_FILE, /* `json` in the configuration */
	OUTPUT_STDOUT,
	OUTPUT_SYSLOG,
	OUTPUT_JOURNALD,
};

enum syslog_transport {
	SYSLOG_SOCKET, /* a datagram socket of this host */
	SYSLOG_UDP,    /* RFC 5426 */
	SYSLOG_TCP,    /* RFC 6587 */
};

enum syslog_protocol {
	SYSLOG_PROTOCOL_DEFAULT, /* LOCAL over a socket of this host, otherwise RFC 5424 */
	SYSLOG_RFC5424,
	SYSLOG_RFC3164,
	SYSLOG_LOCAL, /* as syslog(3) writes it: RFC 3164 without a host name */
};

enum syslog_framing {
	SYSLOG_OCTET_COUNTING, /* RFC 6587, 3.4.1 */
	SYSLOG_NEWLINE,	       /* 3.4.2 */
};

struct output_config {
	char *name; /* unique; appears in metrics and messages */
	enum output_type type;
	enum output_format format;
	char *path;    /* of a file; of the socket, for SYSLOG_SOCKET and journald */
	char *host;    /* UDP, TCP */
	char *service; /* its port */
	enum syslog_transport transport;
	enum syslog_protocol protocol;
	enum syslog_framing framing;
	int facility;	      /* RFC 5424, table 1 */
	bool alerts_only;     /* without the excluded and observed ones */
	uint64_t queue_bytes; /* size of the queue in memory */
};

/* Whether both have the same name and write to the same place in the same framing. */
bool output_config_same_place(const struct output_config *a, const struct output_config *b);

/* A copy that the caller owns; false if there is no memory. */
bool output_config_copy(struct output_config *to, const struct output_config *from);

void output_config_free(struct output_config *output); /* its strings */

#endif
