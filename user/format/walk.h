/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Parts of the walk over an event (fields.h has the theory): walk.c, walk_mail.c, walk_sender.c
 * and walk_origin.c.
 * put_*() makes a field known. The values borrow: what they point to outlives the fields.
 */
#ifndef SMTPSNOOP_WALK_H
#define SMTPSNOOP_WALK_H

#include "format/fields.h"

/* `late_tls`: TLS had begun before anything was seen, so STARTTLS may have been missed. */
void walk_session(struct fields *fields, const struct smtp_facts *facts, bool late_tls);
void walk_transaction(struct fields *fields, const struct smtp_transaction *transaction);
void walk_senders(struct fields *fields, const struct event *event);
void walk_origin(struct fields *fields, const struct event *event); /* event->origin is known */

/* Puts in an ancestor, or another process in brief, as an object of a list. */
void walk_ancestor(struct fields *element, const struct ancestor *one);
bool walk_ancestor_of(struct fields *element, const void *sender, uint32_t at);

static inline struct value *put(struct fields *fields, enum field field)
{
	fields->known[field / 64] |= 1ULL << field % 64;
	return &fields->values[field];
}

static inline void put_word(struct fields *fields, enum field field, const char *word)
{
	put(fields, field)->word = word;
}

static inline void put_bytes(struct fields *fields, enum field field, struct span bytes)
{
	put(fields, field)->bytes = bytes;
}

/* Not if it is empty. */
static inline void put_bytes_known(struct fields *fields, enum field field, struct span bytes)
{
	if (bytes.len)
		put_bytes(fields, field, bytes);
}

/* Not if it is NULL or empty. */
static inline void put_string_known(struct fields *fields, enum field field, const char *string)
{
	if (is_known(string))
		put_bytes(fields, field, span_of(string));
}

static inline void put_word_known(struct fields *fields, enum field field, const char *word)
{
	if (is_known(word))
		put_word(fields, field, word);
}

static inline void put_number(struct fields *fields, enum field field, uint64_t number)
{
	put(fields, field)->number = number;
}

static inline void put_bool(struct fields *fields, enum field field, bool value)
{
	put(fields, field)->number = value;
}

static inline void put_time(struct fields *fields, enum field field, int64_t time_ns)
{
	put(fields, field)->time_ns = time_ns;
}

/* `words` outlive the fields. */
static inline void put_words(struct fields *fields, enum field field, const char *const *words,
			     size_t count)
{
	struct value *value = put(fields, field);

	value->words = words;
	value->count = count;
}

static inline void put_list(struct fields *fields, enum field field, list_fn next, const void *of)
{
	struct value *value = put(fields, field);

	value->next = next;
	value->of = of;
}

static inline void put_records(struct fields *fields, enum field field, record_fn record,
			       const void *of)
{
	struct value *value = put(fields, field);

	value->record = record;
	value->of = of;
}

#endif
