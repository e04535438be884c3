/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The facts of an event that was written as JSON (event_json.c). */
#ifndef SMTPSNOOP_FACTS_JSON_H
#define SMTPSNOOP_FACTS_JSON_H

#include <jansson.h>

#include "policy/facts.h"

/*
 * The facts of an smtp-message or smtp-encrypted event, or of an smtp-session event whose commands
 * carry data. They borrow from `event`, which outlives them. False if it is another event, or there
 * is no memory. An event does not contain the body, so facts about the body are not known.
 */
bool facts_of_json(struct facts *facts, const json_t *event);

/* A string by its path, such as "process.hash.sha256"; data NULL if there is none. */
struct span json_text_at(const json_t *object, const char *path);

/* A number, or `otherwise`. */
int64_t json_number_at(const json_t *object, const char *path, int64_t otherwise);

/* A value of any type; NULL if there is none. */
const json_t *json_at(const json_t *object, const char *path);

/* A time of an event in seconds since 1970; -1 if the field is not a time. */
int64_t json_time_at(const json_t *object, const char *path);

#endif
