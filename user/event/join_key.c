/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A part is a hash that starts with a secret seed, so that nobody can find two values with the same
 * number. Domains are compared regardless of the case of ASCII letters. The domains of the
 * recipients are a set: their order and their number do not matter.
 */
#include "event/join_key.h"

#include <stdlib.h>

#include "base/hash.h"
#include "process/cause.h"

/* ---- Who ------------------------------------------------------------------------------------- */

static uint64_t add_string(uint64_t sum, const char *string)
{
	return hash_bytes(sum, span_of(string));
}

/* Without an executable, what the process calls itself. */
static uint64_t executables(uint64_t sum, const struct event *event)
{
	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct sender *sender = event->senders[i];

		sum = hash_bytes(sum, sender->image ? span_of(sender->image->executable)
						    : sender_comm(sender));
	}
	return sum;
}

/* Also what made a mail program send. */
static uint64_t scripts(uint64_t sum, const struct event *event)
{
	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct image *image = event->senders[i]->image;
		const struct ancestor *cause = sender_cause(event->senders[i]);

		sum = add_string(sum, image ? image->script : "");
		if (cause)
			sum = add_string(add_string(sum, cause->image->executable),
					 cause->image->script);
	}
	return sum;
}

/* Of mail that an MTA relays, also who submitted it. */
static uint64_t users(uint64_t sum, const struct event *event)
{
	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct task_id *task = &event->senders[i]->task;

		sum = hash_mix(sum, (uint64_t)task->uid << 32 | task->euid);
	}
	if (!event->origin)
		return sum;
	sum = hash_mix(sum, event->origin->has_uid ? event->origin->uid : UINT64_MAX);
	return add_string(sum, event->origin->user);
}

static uint64_t units(uint64_t sum, const struct event *event)
{
	for (uint32_t i = 0; i < event->sender_count; i++) {
		sum = add_string(sum, event->senders[i]->unit);
		sum = add_string(sum, event->senders[i]->user_unit);
		sum = add_string(sum, sender_container(event->senders[i]));
	}
	return sum;
}

/* ---- Where to -------------------------------------------------------------------------------- */

static uint64_t relay(uint64_t sum, const struct event *event)
{
	const struct preamble *proxy = event->session ? &event->session->proxy : NULL;

	sum = hash_bytes(sum, (struct span){(const char *)event->destination.addr,
					    sizeof(event->destination.addr)});
	sum = hash_mix(sum, event->destination.port);
	if (proxy && proxy->hops)
		sum = hash_bytes(sum, (struct span){proxy->target, proxy->target_len});
	return sum;
}

static uint64_t add_domain(uint64_t sum, struct span address)
{
	const char *at = address.len ? memrchr(address.data, '@', address.len) : NULL;
	const char *end = address.data + address.len;
	uint64_t word = 0;

	if (!at)
		return hash_mix(sum, 0);
	for (const char *c = at + 1; c < end; c++) {
		unsigned char byte = (unsigned char)*c;

		word = word << 8 | (byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
		if ((c - at) % 8 == 0) {
			sum = hash_mix(sum, word);
			word = 0;
		}
	}
	return hash_mix(hash_mix(sum, word), (uint64_t)(end - at));
}

static uint64_t sender_domain(uint64_t sum, const struct event *event)
{
	return event->transaction && !event->transaction->from_unknown
		       ? add_domain(sum, smtp_transaction_from(event->transaction))
		       : sum;
}

static int by_number(const void *a, const void *b)
{
	uint64_t first = *(const uint64_t *)a, second = *(const uint64_t *)b;

	return first < second ? -1 : first > second;
}

static uint64_t recipient_domains(uint64_t sum, const struct event *event)
{
	const struct smtp_transaction *transaction = event->transaction;
	uint64_t domains[SMTP_RECIPIENTS_MAX];
	uint32_t count = transaction ? transaction->recipient_count : 0;

	for (uint32_t i = 0; i < count; i++)
		domains[i] = add_domain(sum, smtp_transaction_recipient(transaction, i));
	if (count > 1)
		qsort(domains, count, sizeof(domains[0]), by_number);
	for (uint32_t i = 0; i < count; i++) {
		if (!i || domains[i] != domains[i - 1])
			sum = hash_mix(sum, domains[i]);
	}
	/* Domains that were not kept may be any. */
	return transaction && transaction->recipients_dropped ? hash_mix(sum, 1) : sum;
}

/* ---- What was found -------------------------------------------------------------------------- */

static uint64_t reasons(uint64_t sum, const struct event *event)
{
	for (uint32_t i = 0; i < event->reason_count; i++)
		sum = add_string(sum, event->reasons[i]);
	return sum;
}

void join_key(struct join_key *key, const struct event *event, uint64_t seed)
{
	uint64_t *parts = key->parts;

	parts[JOINED_EXECUTABLE] = executables(seed, event);
	parts[JOINED_SCRIPT] = scripts(seed, event);
	parts[JOINED_USER] = users(seed, event);
	parts[JOINED_UNIT] = units(seed, event);
	parts[JOINED_RELAY] = relay(seed, event);
	parts[JOINED_SENDER] = sender_domain(seed, event);
	parts[JOINED_RECIPIENTS] = recipient_domains(seed, event);
	parts[JOINED_EXCLUSION] = add_string(seed, event->exclusion);
	parts[JOINED_REASONS] = reasons(seed, event);
	parts[JOINED_OUTCOME] =
		event->transaction ? hash_mix(seed, event->transaction->result) : seed;
	key->whole = hash_mix(seed, (uint64_t)event->action << 8 | (uint64_t)event->verdict << 1 |
					    event->provisional);
	for (int i = 0; i < JOINED_PART_COUNT; i++)
		key->whole = hash_mix(key->whole, parts[i]);
}

uint32_t join_key_differ(const struct join_key *a, const struct join_key *b)
{
	uint32_t differ = 0;

	for (int i = 0; i < JOINED_PART_COUNT; i++)
		differ |= (uint32_t)(a->parts[i] != b->parts[i]) << i;
	return differ;
}
