/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Reads the outputs and the metrics of the configuration: where the daemon writes. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <syslog.h>

#include "config/reader.h"

#define DEFAULT_SOCKET	"/dev/log"
#define JOURNAL_SOCKET	"/run/systemd/journal/socket"
#define SYSLOG_PORT	"514" /* RFC 5426, 3.3; by convention also for RFC 6587 */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1)

#define AT(field) offsetof(struct output_config, field)

/* ---- Values ---------------------------------------------------------------------------------- */

static bool read_path(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	char **path = target;

	(void)key;
	*path = reader_path(reader, node, "an absolute path");
	return *path;
}

/* In the order of their values. */
static const struct word types[] = {{"json", OUTPUT_FILE},
				    {"stdout", OUTPUT_STDOUT},
				    {"syslog", OUTPUT_SYSLOG},
				    {"journald", OUTPUT_JOURNALD},
				    {NULL, 0}};

static bool read_format(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target)
{
	struct word words[FORMAT_COUNT + 1] = {0};
	struct key by_name = *key;
	size_t count = 0;

	for (int i = 0; i < FORMAT_COUNT; i++) {
		if (format_fits((enum output_format)i, FORMAT_IN_FILES | FORMAT_BY_SYSLOG))
			words[count++] = (struct word){format_name((enum output_format)i), i};
	}
	by_name.words = words;
	return reader_word(reader, node, &by_name, target);
}

static const struct word facilities[] = {{"kern", LOG_FAC(LOG_KERN)},
					 {"user", LOG_FAC(LOG_USER)},
					 {"mail", LOG_FAC(LOG_MAIL)},
					 {"daemon", LOG_FAC(LOG_DAEMON)},
					 {"auth", LOG_FAC(LOG_AUTH)},
					 {"syslog", LOG_FAC(LOG_SYSLOG)},
					 {"lpr", LOG_FAC(LOG_LPR)},
					 {"news", LOG_FAC(LOG_NEWS)},
					 {"uucp", LOG_FAC(LOG_UUCP)},
					 {"cron", LOG_FAC(LOG_CRON)},
					 {"authpriv", LOG_FAC(LOG_AUTHPRIV)},
					 {"ftp", LOG_FAC(LOG_FTP)},
					 {"local0", LOG_FAC(LOG_LOCAL0)},
					 {"local1", LOG_FAC(LOG_LOCAL1)},
					 {"local2", LOG_FAC(LOG_LOCAL2)},
					 {"local3", LOG_FAC(LOG_LOCAL3)},
					 {"local4", LOG_FAC(LOG_LOCAL4)},
					 {"local5", LOG_FAC(LOG_LOCAL5)},
					 {"local6", LOG_FAC(LOG_LOCAL6)},
					 {"local7", LOG_FAC(LOG_LOCAL7)},
					 {NULL, 0}};

static const struct word protocols[] = {{"rfc5424", SYSLOG_RFC5424},
					{"rfc3164", SYSLOG_RFC3164},
					{"local", SYSLOG_LOCAL},
					{NULL, 0}};

static const struct word framings[] = {{"octet-counting", SYSLOG_OCTET_COUNTING},
				       {"newline", SYSLOG_NEWLINE},
				       {NULL, 0}};

static const struct word events[] = {{"all", false}, {"alerts", true}, {NULL, 0}};

static bool read_queue(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct span text = reader_scalar(node);
	uint64_t *bytes = target;

	(void)key;
	if (amount_parse(&text, amount_byte_units, bytes) && !text.len &&
	    *bytes >= OUTPUT_QUEUE_LEAST && *bytes <= OUTPUT_QUEUE_MOST)
		return true;
	return reader_fail(reader, node,
			   "expected a number of bytes such as 64MiB, from 1MiB to 4GiB");
}

/* "HOST:PORT", "[ADDRESS]:PORT", or without a port. Cuts `text`. */
static bool split_host(char *text, char **host, char **port)
{
	char *colon = strrchr(text, ':');

	*port = NULL;
	*host = text;
	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return false;
		*end = '\0';
		*host = text + 1;
		*port = end[1] ? end + 2 : NULL;
	} else if (colon && strchr(text, ':') == colon) { /* one colon: no IPv6 */
		*colon = '\0';
		*port = colon + 1;
	}
	return **host && (!*port || (**port && strspn(*port, "0123456789") == strlen(*port) &&
				     strlen(*port) < 6 && atoi(*port) > 0 && atoi(*port) < 65536));
}

/* ---- Outputs --------------------------------------------------------------------------------- */

static const char *type_name(enum output_type type)
{
	return types[type].name;
}

/* What was written; the type decides later which keys are allowed. */
struct given {
	struct output_config output;
	char *file;
	bool address;
	int type, format, facility, protocol, framing; /* -1: not given */
};

/* "/dev/log", "udp://HOST:PORT", "tcp://HOST:PORT". */
static bool read_address(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	struct given *given = target;
	struct output_config *output = &given->output;
	char *text = reader_text(reader, node, "an address"), *host, *port;
	bool good = false;

	(void)key;
	given->address = true;
	if (!text)
		return false;
	if (text[0] == '/') {
		output->transport = SYSLOG_SOCKET;
		output->path = text;
		return true;
	}
	output->transport = strncmp(text, "tcp://", 6) == 0 ? SYSLOG_TCP : SYSLOG_UDP;
	if ((output->transport == SYSLOG_TCP || strncmp(text, "udp://", 6) == 0) &&
	    split_host(text + 6, &host, &port)) {
		output->host = strdup(host);
		output->service = strdup(port ? port : SYSLOG_PORT);
		good = output->host && output->service;
	}
	if (!good)
		reader_fail(reader, node,
			    "not an address; expected one such as /dev/log, udp://10.0.0.5:514 or "
			    "tcp://[2001:db8::5]:601");
	free(text);
	return good;
}

/* A key that was set but is not used by an output of this type; NULL: none. */
static const char *out_of_place(const struct given *given)
{
	bool is_syslog = given->type == OUTPUT_SYSLOG;

	if (given->file && given->type != OUTPUT_FILE)
		return "path";
	if (given->address && !is_syslog && (given->type != OUTPUT_JOURNALD || given->output.host))
		return "address";
	if (given->facility >= 0 && !is_syslog)
		return "facility";
	if (given->protocol >= 0 && !is_syslog)
		return "protocol";
	if (given->framing >= 0 && (!is_syslog || given->output.transport != SYSLOG_TCP))
		return "framing";
	return given->format >= 0 && given->type == OUTPUT_JOURNALD ? "format" : NULL;
}

static bool complete(struct reader *reader, const yaml_node_t *node, struct given *given)
{
	struct output_config *output = &given->output;
	const char *key;

	if (given->type < 0)
		return reader_fail(reader, node,
				   "an output needs a type: json, stdout, syslog or journald");
	key = out_of_place(given);
	if (given->format >= 0 && given->type == OUTPUT_SYSLOG &&
	    !format_fits((enum output_format)given->format, FORMAT_BY_SYSLOG))
		return reader_fail(reader, node, "%s: not a format for syslog; use json or cef",
				   format_name((enum output_format)given->format));
	if (key)
		return reader_fail(reader, node, "%s: not used by an output of type %s", key,
				   type_name((enum output_type)given->type));
	output->type = (enum output_type)given->type;
	output->format = given->format >= 0		   ? (enum output_format)given->format
			 : output->type == OUTPUT_SYSLOG   ? FORMAT_CEF
			 : output->type == OUTPUT_JOURNALD ? FORMAT_JOURNAL
							   : FORMAT_JSON;
	output->facility = given->facility >= 0 ? given->facility : LOG_FAC(LOG_DAEMON);
	output->protocol = given->protocol >= 0 ? (enum syslog_protocol)given->protocol
						: SYSLOG_PROTOCOL_DEFAULT;
	if (output->protocol == SYSLOG_PROTOCOL_DEFAULT)
		output->protocol =
			output->transport == SYSLOG_SOCKET ? SYSLOG_LOCAL : SYSLOG_RFC5424;
	output->framing =
		given->framing >= 0 ? (enum syslog_framing)given->framing : SYSLOG_OCTET_COUNTING;
	if (output->type == OUTPUT_FILE) {
		output->path = given->file;
		given->file = NULL;
	}
	if (output->type == OUTPUT_FILE && !output->path)
		return reader_fail(reader, node, "an output of type json needs a path");
	if (!output->path && output->type == OUTPUT_JOURNALD)
		output->path = strdup(JOURNAL_SOCKET);
	if (!output->path && output->type == OUTPUT_SYSLOG && output->transport == SYSLOG_SOCKET)
		output->path = strdup(DEFAULT_SOCKET);
	if (output->path && output->type != OUTPUT_FILE && strlen(output->path) > SOCKET_PATH_MAX)
		return reader_fail(
			reader, node,
			"%.120s: too long for the path of a socket, which has at most %zu bytes",
			output->path, SOCKET_PATH_MAX);
	return true;
}

/* Gives an output a unique name: its type, with a number from the second one on. */
static bool name_output(struct reader *reader, const yaml_node_t *node,
			struct output_config *output)
{
	const struct config *config = reader->config;
	unsigned int same_type = 1;
	char name[32];

	for (size_t i = 0; i < config->output_count; i++) {
		const struct output_config *other = &config->outputs[i];

		same_type += other->type == output->type;
		if (output->name && strcmp(other->name, output->name) == 0)
			return reader_fail(reader, node, "%s: another output has this name",
					   output->name);
		if (output->type == OUTPUT_FILE && other->type == OUTPUT_FILE &&
		    strcmp(other->path, output->path) == 0)
			return reader_fail(reader, node,
					   "%.200s: another output writes to this file",
					   output->path);
		if (output->type == OUTPUT_STDOUT && other->type == OUTPUT_STDOUT)
			return reader_fail(reader, node,
					   "another output writes to standard output");
	}
	if (output->name)
		return true;
	snprintf(name, sizeof(name), same_type > 1 ? "%s-%u" : "%s", type_name(output->type),
		 same_type);
	for (size_t i = 0; i < config->output_count; i++) {
		if (strcmp(config->outputs[i].name, name) == 0)
			return reader_fail(reader, node,
					   "needs a name, because another output is named %s",
					   name);
	}
	output->name = strdup(name);
	return output->name || reader_fail(reader, node, "no memory");
}

/* A name is also a label of metrics. */
static bool read_name(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	char **name = target;

	(void)key;
	*name = reader_text(reader, node, "a name");
	if (!*name)
		return false;
	if (strlen(*name) < 64 &&
	    strspn(*name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		    strlen(*name))
		return true;
	return reader_fail(
		reader, node,
		"%.64s: not a name; expected at most 63 letters, digits, '-', '_' and '.'", *name);
}

static bool add_output(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	static const struct key keys[] = {
		{.name = "type",
		 .read = reader_word,
		 .offset = offsetof(struct given, type),
		 .words = types},
		{.name = "name", .read = read_name, .offset = offsetof(struct given, output.name)},
		{.name = "path", .read = read_path, .offset = offsetof(struct given, file)},
		{.name = "format", .read = read_format, .offset = offsetof(struct given, format)},
		{.name = "address", .read = read_address},
		{.name = "facility",
		 .read = reader_word,
		 .offset = offsetof(struct given, facility),
		 .words = facilities},
		{.name = "protocol",
		 .read = reader_word,
		 .offset = offsetof(struct given, protocol),
		 .words = protocols},
		{.name = "framing",
		 .read = reader_word,
		 .offset = offsetof(struct given, framing),
		 .words = framings},
		{"events", reader_flag, offsetof(struct given, output.alerts_only),
		 .words = events},
		{.name = "queue",
		 .read = read_queue,
		 .offset = offsetof(struct given, output.queue_bytes)},
		{.name = NULL},
	};
	struct given given = {.output = {.queue_bytes = OUTPUT_QUEUE},
			      .type = -1,
			      .format = -1,
			      .facility = -1,
			      .protocol = -1,
			      .framing = -1};
	struct config *config = target;
	struct output_config *output;
	bool good;

	(void)key;
	if (config->output_count == OUTPUTS_MAX)
		return reader_fail(reader, node, "more than %u outputs", OUTPUTS_MAX);
	good = reader_keys(reader, node, keys, &given) && complete(reader, node, &given) &&
	       name_output(reader, node, &given.output);
	output = good ? reader_append(&config->outputs, &config->output_count, sizeof(*output))
		      : NULL;
	if (output)
		*output = given.output;
	else
		output_config_free(&given.output);
	free(given.file);
	return output || (good && reader_fail(reader, node, "no memory"));
}

bool config_read_outputs(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	return reader_list(reader, node, key, add_output, target);
}

/* ---- Metrics --------------------------------------------------------------------------------- */

/* A loopback address with a port: metrics are served without a password. */
static bool read_listen(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target)
{
	struct metrics_config *metrics = target;
	char *text = reader_text(reader, node, "an address"), *host = NULL, *port = NULL;
	bool good = false;

	(void)key;
	if (!text)
		return false;
	if (!reader_needs(reader, node, LIBRARY_MICROHTTPD, "metrics.listen",
			  "use metrics.textfile")) {
		free(text);
		return false;
	}
	if (split_host(text, &host, &port) && port) {
		struct in_addr v4;
		struct in6_addr v6;

		metrics->port = (uint16_t)atoi(port);
		metrics->ipv6 = inet_pton(AF_INET6, host, &v6) == 1;
		good = metrics->ipv6 ? IN6_IS_ADDR_LOOPBACK(&v6)
				     : inet_pton(AF_INET, host, &v4) == 1 &&
					       ntohl(v4.s_addr) >> 24 == 127;
		if (good)
			snprintf(metrics->address, sizeof(metrics->address), "%s", host);
	}
	free(text);
	return good ||
	       reader_fail(reader, node,
			   "expected a loopback address with a port, such as 127.0.0.1:9099 or "
			   "[::1]:9099, because anyone who can connect can read the metrics");
}

bool config_read_metrics(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	static const struct key keys[] = {{.name = "listen", .read = read_listen},
					  {.name = "textfile",
					   .read = read_path,
					   .offset = offsetof(struct metrics_config, textfile)},
					  {.name = NULL}};

	(void)key;
	return reader_keys(reader, node, keys, &((struct config *)target)->metrics);
}
