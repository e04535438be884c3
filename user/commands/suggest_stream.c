/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/suggest_stream.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define DAY_S 86400

static char *copy_of(struct span text)
{
	return strndup(text.data ? text.data : "", text.len);
}

struct span address_domain(struct span address)
{
	for (size_t at = address.len; at; at--) {
		if (address.data[at - 1] == '@')
			return (struct span){address.data + at - 1, address.len - at + 1};
	}
	return (struct span){"", 0};
}

/* A "\x" stands for bytes that are not UTF-8, so the text is not what was sent. */
bool stream_text_is_plain(struct span text)
{
	if (text.len > STREAM_TEXT_MAX || memmem(text.data ? text.data : "", text.len, "\\x", 2))
		return false;
	while (text.len) {
		uint32_t code = 0;
		size_t len = utf8_front(text, &code);

		if (!len || code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0xfffd ||
		    code == 0xfeff || (code >= 0xfff0 && code <= 0xffff) || text_breaks_line(code))
			return false;
		text.data += len;
		text.len -= len;
	}
	return true;
}

/* ---- Relays and recipients ------------------------------------------------------------------- */

/* Seen on fewer days, or less recently. */
static bool is_weaker(const struct days *a, const struct days *b)
{
	unsigned int a_count = days_count(a), b_count = days_count(b);

	return a_count != b_count ? a_count < b_count : a->last < b->last;
}

static void add_relay(struct stream *stream, const struct facts *facts, int32_t day)
{
	struct relay_seen *relay = stream->relays, *weakest = stream->relays;
	size_t i = 0;

	for (; i < stream->relay_count; i++) {
		relay = &stream->relays[i];
		if (relay->port == facts->relay_port &&
		    memcmp(relay->address, facts->relay, sizeof(relay->address)) == 0)
			break;
		if (is_weaker(&relay->days, &weakest->days))
			weakest = relay;
	}
	if (i == stream->relay_count) {
		stream->too_many = stream->too_many || i == STREAM_RELAYS_MAX;
		relay = i < STREAM_RELAYS_MAX ? &stream->relays[stream->relay_count++] : weakest;
		*relay = (struct relay_seen){.port = facts->relay_port};
		memcpy(relay->address, facts->relay, sizeof(relay->address));
	}
	days_add(&relay->days, day);
}

static void domain_free(struct domain_seen *domain)
{
	for (size_t i = 0; i < domain->count; i++)
		free(domain->addresses[i]);
	free(domain->name);
}

/* The entry of a domain; where there is no room, that of the weakest. */
static struct domain_seen *domain_of(struct stream *stream, struct span name)
{
	struct domain_seen *weakest = stream->domains, *domain;

	for (size_t i = 0; i < stream->domain_count; i++) {
		domain = &stream->domains[i];
		if (strlen(domain->name) == name.len &&
		    strncasecmp(domain->name, name.data, name.len) == 0)
			return domain;
		if (is_weaker(&domain->days, &weakest->days))
			weakest = domain;
	}
	if (stream->domain_count < STREAM_DOMAINS_MAX) {
		domain = &stream->domains[stream->domain_count++];
	} else {
		domain = weakest;
		domain_free(domain);
		stream->too_many = true;
	}
	*domain = (struct domain_seen){.name = copy_of(name)};
	if (!domain->name) {
		*domain = (struct domain_seen){.name = strdup("")};
		stream->failed = true;
	}
	return domain;
}

static void add_recipient(struct stream *stream, struct span recipient, int32_t day)
{
	struct domain_seen *domain;

	if (!stream_text_is_plain(recipient)) {
		stream->too_many = true;
		return;
	}
	domain = domain_of(stream, address_domain(recipient));
	days_add(&domain->days, day);
	for (size_t i = 0; i < domain->count; i++) {
		if (strlen(domain->addresses[i]) == recipient.len &&
		    strncasecmp(domain->addresses[i], recipient.data, recipient.len) == 0)
			return;
	}
	domain->many = domain->many || domain->count == STREAM_ADDRESSES_MAX;
	if (domain->many)
		return;
	domain->addresses[domain->count] = copy_of(recipient);
	stream->failed = stream->failed || !domain->addresses[domain->count];
	domain->count += domain->addresses[domain->count] != NULL;
}

/* ---- The rest of a message ------------------------------------------------------------------- */

static void add_subject(struct stream *stream, struct span subject)
{
	size_t same = 0;

	if (stream->count == 1) {
		stream->subject = stream_text_is_plain(subject) ? copy_of(subject) : NULL;
		return;
	}
	while (stream->subject && same < subject.len && stream->subject[same] == subject.data[same])
		same++;
	if (stream->subject && (stream->subject[same] || same < subject.len)) {
		stream->subject[same] = '\0';
		stream->subject_varies = true;
	}
}

static void add_seen(struct stream *stream, const struct facts *facts, size_t *room)
{
	struct seen *grown = stream->messages;
	size_t count = stream->message_count;

	if (count == STREAM_MESSAGES_MAX || !*room) {
		stream->too_many = true;
		return;
	}
	if (!(count & (count - 1)))
		grown = realloc(grown, (count ? 2 * count : 1) * sizeof(*grown));
	if (!grown) {
		stream->failed = true;
		return;
	}
	stream->messages = grown;
	grown[stream->message_count++] = (struct seen){.time_s = facts->end_s,
						       .recipients = facts->recipient_count,
						       .bytes = facts->bytes};
	(*room)--;
}

static void name_stream(struct stream *stream, const struct span *parts, const struct facts *facts)
{
	for (int i = 0; i < PART_COUNT; i++) {
		stream->parts[i] = copy_of(parts[i]);
		stream->failed = stream->failed || !stream->parts[i];
	}
	stream->encrypted = facts->encrypted;
	stream->first_s = stream->last_s = facts->end_s;
}

void stream_add(struct stream *stream, const struct span *parts, const struct facts *facts,
		size_t *room)
{
	int32_t day = (int32_t)(facts->end_s / DAY_S);

	if (stream->failed)
		return;
	if (!stream->count++)
		name_stream(stream, parts, facts);
	stream->first_s = facts->end_s < stream->first_s ? facts->end_s : stream->first_s;
	stream->last_s = facts->end_s > stream->last_s ? facts->end_s : stream->last_s;
	days_add(&stream->days, day);
	add_relay(stream, facts, day);
	for (size_t i = 0; i < facts->recipient_count; i++)
		add_recipient(stream, facts->recipients[i], day);
	add_subject(stream, facts->header_known ? facts->subject : (struct span){"", 0});
	add_seen(stream, facts, room);
}

void stream_free(struct stream *stream)
{
	for (int i = 0; i < PART_COUNT; i++)
		free(stream->parts[i]);
	for (size_t i = 0; i < stream->domain_count; i++)
		domain_free(&stream->domains[i]);
	free(stream->messages);
	free(stream->subject);
}
