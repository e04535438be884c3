/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "event/event.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "base/text.h"

struct event *event_new(enum event_action action)
{
	struct event *event = calloc(1, sizeof(*event));

	if (!event)
		return NULL;
	event->action = action;
	event->capture.layer = "socket";
	return event;
}

void event_free(struct event *event)
{
	if (!event)
		return;
	for (uint32_t i = 0; i < event->sender_count; i++)
		sender_unref(event->senders[i]);
	pace_unref(event->pace);
	smtp_transaction_free(event->transaction);
	origin_free(event->origin);
	free(event->session);
	free(event->server_name);
	free(event->exclusion);
	free(event->nearest);
	for (size_t i = 0; i < event->let_pass_count; i++)
		free(event->let_pass[i].name);
	free(event->dropped);
	free(event->let_pass);
	for (size_t i = 0; i < event->output_count; i++)
		free(event->outputs[i].name);
	free(event->outputs);
	for (size_t i = 0; i < event->rule_count; i++) {
		free(event->rules[i].name);
		free(event->rules[i].author);
		free(event->rules[i].description);
		free(event->rules[i].version);
	}
	free(event->rules);
	free(event->stats);
	free(event->previous);
	free(event->joined);
	free(event->composed);
	free(event);
}

const char *event_action_name(enum event_action action)
{
	static const char *const names[] = {
		[EVENT_STARTED] = "started",	  [EVENT_STATUS] = "status",
		[EVENT_MESSAGE] = "smtp-message", [EVENT_ENCRYPTED] = "smtp-encrypted",
		[EVENT_SESSION] = "smtp-session", [EVENT_LOSS] = "capture-loss",
		[EVENT_STOPPED] = "stopped",	  [EVENT_SUBMISSION] = "smtp-submission",
	};

	return names[action];
}

const char *event_verdict_name(enum event_verdict verdict)
{
	static const char *const names[] = {
		[VERDICT_NONE] = "none",
		[VERDICT_ALERT] = "alert",
		[VERDICT_EXCLUDED] = "excluded",
		[VERDICT_OBSERVED] = "observed",
	};

	return names[verdict];
}

const char *joined_part_name(enum joined_part part)
{
#define JOINED_NAME(constant, name) [constant] = (name),
	static const char *const names[] = {JOINED_PARTS(JOINED_NAME)};
#undef JOINED_NAME

	return names[part];
}

const char *event_layer_name(enum tls_layer layer)
{
	static const char *const names[TLS_LAYER_MAX] = {
		[TLS_NONE] = "ktls", [TLS_OPENSSL] = "openssl", [TLS_GNUTLS] = "gnutls",
		[TLS_GO] = "go",     [TLS_NSS] = "nss",
	};

	return names[layer];
}

const char *event_witness_name(enum witness witness)
{
	static const char *const names[] = {
		[WITNESS_NONE] = "none",	   [WITNESS_AGREE] = "agree",
		[WITNESS_SEND_ONLY] = "send-only", [WITNESS_WIRE_ONLY] = "wire-only",
		[WITNESS_DIFFER] = "differ",
	};

	return names[witness];
}

bool event_commands_carry_data(const struct event *event)
{
	bool asked = event->transaction && event->transaction->result == SMTP_RESULT_ASKED;

	return (event->action == EVENT_SESSION || asked) && event->session &&
	       event->session->command_bytes >= SMTP_CARRIED_MAX;
}

const char *event_result(const struct event *event)
{
	static const char *const names[] = {
		[SMTP_RESULT_UNKNOWN] = "unknown",   [SMTP_RESULT_SENT] = "sent",
		[SMTP_RESULT_DEFERRED] = "deferred", [SMTP_RESULT_REFUSED] = "refused",
		[SMTP_RESULT_ASKED] = "asked",
	};

	if (event->provisional)
		return "open";
	if (event->action == EVENT_ENCRYPTED)
		return "tls";
	return event->transaction ? names[event->transaction->result] : NULL;
}

const char *event_kind(const struct event *event)
{
	switch (event->action) {
	case EVENT_STARTED:
	case EVENT_STOPPED: return "state";
	case EVENT_STATUS: return "metric";
	default: return event->has_flow && event->verdict == VERDICT_ALERT ? "alert" : "event";
	}
}

unsigned int event_risk(const struct event *event)
{
	if (!event->has_flow || event->verdict != VERDICT_ALERT)
		return 0;
	if (event->capture.witness == WITNESS_DIFFER)
		return 73;
	return event->transaction && event->transaction->outcome == SMTP_OUTCOME_FAILURE ? 21 : 47;
}

const char *event_rule(const struct event *event)
{
	if (event->rule_count)
		return event->rules[0].name;
	return event->session && event->session->mail_from_seen && event->session->rcpt_to_seen
		       ? "network_smtp_raw"
		       : NULL;
}

size_t event_techniques(const struct event *event, const char *techniques[EVENT_TECHNIQUES_MAX])
{
	techniques[0] = event->tls ? "T1048.002" : "T1048.003";
	techniques[1] = "T1071.003";
	return event->has_flow && event->verdict == VERDICT_ALERT ? EVENT_TECHNIQUES_MAX : 0;
}

void event_entity_id(char entity[EVENT_ENTITY_LEN], uint32_t pid, uint64_t start_ns)
{
	text_hex(entity, pid, 8);
	entity[8] = '-';
	text_hex(entity + 9, start_ns, 16);
}

/* Never freed. EVP_sha1() of OpenSSL 3 is looked up again for each digest. */
static const EVP_MD *sha1_algorithm(void)
{
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
	return EVP_MD_fetch(NULL, "SHA1", NULL);
#else
	return EVP_sha1();
#endif
}

/*
 * The algorithm is looked up once, because that takes as long as hashing twenty bytes. The statics
 * need no lock: one thread writes formats.
 */
static bool digest_sha1(const unsigned char *bytes, size_t len, unsigned char *sha1,
			unsigned int *sha1_len)
{
	static const EVP_MD *algorithm;
	static EVP_MD_CTX *context;

	if (!algorithm)
		algorithm = sha1_algorithm();
	if (!context)
		context = EVP_MD_CTX_new();
	return algorithm && context && EVP_DigestInit_ex(context, algorithm, NULL) == 1 &&
	       EVP_DigestUpdate(context, bytes, len) == 1 &&
	       EVP_DigestFinal_ex(context, sha1, sha1_len) == 1;
}

/*
 * https://github.com/corelight/community-id-spec. The ends are in order of address and port, so
 * that both directions give the same id.
 */
bool event_community_id(const struct event *event, char community[EVENT_COMMUNITY_LEN])
{
	bool v4 = address_is_ipv4(event->source.addr);
	size_t len = v4 ? 4 : 16, skip = 16 - len, at = 2;
	int order = memcmp(event->source.addr + skip, event->destination.addr + skip, len);
	unsigned char input[64] = {0, 0}, sha1[EVP_MAX_MD_SIZE], base64[40];
	const struct endpoint *ends[2];
	unsigned int sha1_len = 0;

	if (order == 0)
		order = (int)event->source.port - (int)event->destination.port;
	ends[0] = order <= 0 ? &event->source : &event->destination;
	ends[1] = order <= 0 ? &event->destination : &event->source;
	for (int i = 0; i < 2; i++, at += len)
		memcpy(input + at, ends[i]->addr + skip, len);
	input[at++] = 6; /* TCP */
	input[at++] = 0;
	for (int i = 0; i < 2; i++) {
		input[at++] = (unsigned char)(ends[i]->port >> 8);
		input[at++] = (unsigned char)ends[i]->port;
	}
	if (!digest_sha1(input, at, sha1, &sha1_len))
		return false;
	EVP_EncodeBlock(base64, sha1, (int)sha1_len);
	snprintf(community, EVENT_COMMUNITY_LEN, "1:%s", (const char *)base64);
	return true;
}

const char *event_proxy_protocol(const struct preamble *proxy)
{
	static const char *const names[] = {[PREAMBLE_HTTP] = "http",
					    [PREAMBLE_SOCKS4] = "socks4",
					    [PREAMBLE_SOCKS5] = "socks5"};

	return names[proxy->protocols[proxy->hops - 1]];
}

const char *event_previous_how(const struct previous_run *previous)
{
	switch (previous->end) {
	case RUN_NONE: return "none";
	case RUN_STOPPED: return "stopped";
	case RUN_KILLED: return previous->rebooted ? "rebooted" : "killed";
	default: return "unknown";
	}
}

const char *event_auth_outcome(const struct smtp_facts *facts)
{
	return !facts->auth_code ? "unknown" : facts->auth_code == 235 ? "success" : "failure";
}

const char *smtp_outcome_name(enum smtp_outcome outcome)
{
	return outcome == SMTP_OUTCOME_SUCCESS	 ? "success"
	       : outcome == SMTP_OUTCOME_FAILURE ? "failure"
						 : "unknown";
}

const char *smtp_protocol_name(enum smtp_protocol protocol)
{
	static const char *const names[] = {[SMTP_PROTOCOL_UNKNOWN] = "",
					    [SMTP_PROTOCOL_SMTP] = "smtp",
					    [SMTP_PROTOCOL_ESMTP] = "esmtp",
					    [SMTP_PROTOCOL_LMTP] = "lmtp"};

	return names[protocol];
}

const char *counter_name(enum counter counter)
{
	static const char *const names[] = {
		[COUNTER_PROCESS_LOST] = "process_records",
		[COUNTER_SENDER_LOST] = "sender_records",
		[COUNTER_SEGMENT_LOST] = "segments",
		[COUNTER_SEGMENT_BYTES] = "segment_bytes",
		[COUNTER_PRESSURE_BYTES] = "bytes_left_out",
		[COUNTER_CLOSE_LOST] = "close_records",
		[COUNTER_STATE_FAILED] = "socket_states",
		[COUNTER_SEND_UNREADABLE] = "unreadable_sends",
		[COUNTER_SEND_PENDING_FULL] = "pending_sends",
		[COUNTER_MISSED] = "missed_runs",
	};

	return names[counter];
}

void event_reason(struct event *event, const char *reason)
{
	for (uint32_t i = 0; i < event->reason_count; i++) {
		if (strcmp(event->reasons[i], reason) == 0)
			return;
	}
	if (event->reason_count < EVENT_REASONS_MAX)
		event->reasons[event->reason_count++] = reason;
}
