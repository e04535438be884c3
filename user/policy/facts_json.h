/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The facts of an event that was written as JSON (event_json.c). */
#ifndef SMTPSNOOP_FACTS_JSON_H
#define SMTPSNOOP_FACTS_JSON_H

#include <jansson.h>

#include "policy/facts.h"

/*
 * The facts of an smtp-message or smtp-encrypted event. They borrow from `event`, which outlives
 * them. False if it is another event, or there is no memory. What lies in the body is not in an
 * event: it is not known.
 */
bool facts_of_json(struct facts *facts, const json_t *event);

/*
 * A string by the names of the objects it lies within, as "process.hash.sha256"; data NULL if there
 * is none.
 */
struct span json_text_at(const json_t *object, const char *path);

/* A number, or `otherwise`. */
int64_t json_number_at(const json_t *object, const char *path, int64_t otherwise);

/* A value of any kind; NULL if there is none. */
const json_t *json_at(const json_t *object, const char *path);

/* Seconds since 1970 of a time as events have it; -1 if it is none. */
int64_t json_time_at(const json_t *object, const char *path);

#endif
