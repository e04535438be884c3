/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The criteria of exclusions, as events carry them: one bit each. policy/exclusion.h says what they
 * compare.
 */
#ifndef SMTPSNOOP_CRITERION_H
#define SMTPSNOOP_CRITERION_H

#include <stdbool.h>
#include <stdint.h>

/*
 * ROW(constant, name in events), in the order of evaluation: the most expensive ones last. Events
 * list them in this order.
 *
 * These are evaluated even if an exclusion does not name them:
 *
 * CAPTURE and ENCRYPTED for every message: nothing was hidden or lost, and the plaintext was seen.
 * REAL_USER with any criterion of a process: real and effective user are the same.
 * CONTAINER likewise, and with any criterion of the origin: without a container, the namespaces are
 * the watch's own.
 * ORIGIN unless a criterion of the origin says for whom an MTA may send: no MTA has relayed it.
 * ORIGIN_REAL_USER and ORIGIN_CONTAINER with any criterion of the process that handed the mail in:
 * as for the process itself.
 */
#define CRITERIA(ROW)                                                                              \
	ROW(CRITERION_EXPIRES, "expires")                                                          \
	ROW(CRITERION_CAPTURE, "capture")                                                          \
	ROW(CRITERION_ENCRYPTED, "encrypted")                                                      \
	ROW(CRITERION_USER, "process.user")                                                        \
	ROW(CRITERION_REAL_USER, "process.real_user")                                              \
	ROW(CRITERION_GROUP, "process.group")                                                      \
	ROW(CRITERION_LOGIN, "process.login")                                                      \
	ROW(CRITERION_TTY, "process.tty")                                                          \
	ROW(CRITERION_CONTAINER, "process.container")                                              \
	ROW(CRITERION_SCHEDULED_BY, "process.scheduled_by")                                        \
	ROW(CRITERION_SHA256, "process.sha256")                                                    \
	ROW(CRITERION_UNIT, "process.unit")                                                        \
	ROW(CRITERION_EXECUTABLE, "process.executable")                                            \
	ROW(CRITERION_ANCESTOR, "process.ancestor")                                                \
	ROW(CRITERION_SCRIPT, "process.script")                                                    \
	ROW(CRITERION_WORKING_DIRECTORY, "process.working_directory")                              \
	ROW(CRITERION_ARGUMENTS, "process.arguments")                                              \
	ROW(CRITERION_RELAY, "relay")                                                              \
	ROW(CRITERION_TLS, "tls")                                                                  \
	ROW(CRITERION_ORIGIN, "origin")                                                            \
	ROW(CRITERION_ORIGIN_USER, "origin.user")                                                  \
	ROW(CRITERION_ORIGIN_REAL_USER, "origin.real_user")                                        \
	ROW(CRITERION_ORIGIN_CONTAINER, "origin.container")                                        \
	ROW(CRITERION_ORIGIN_SCHEDULED_BY, "origin.scheduled_by")                                  \
	ROW(CRITERION_ORIGIN_UNIT, "origin.unit")                                                  \
	ROW(CRITERION_ORIGIN_EXECUTABLE, "origin.executable")                                      \
	ROW(CRITERION_ORIGIN_SCRIPT, "origin.script")                                              \
	ROW(CRITERION_AUTH_USER, "auth_user")                                                      \
	ROW(CRITERION_SENDER, "mail.sender")                                                       \
	ROW(CRITERION_HEADER_FROM, "mail.header_from")                                             \
	ROW(CRITERION_RECIPIENTS, "mail.recipients")                                               \
	ROW(CRITERION_SUBJECT, "mail.subject")                                                     \
	ROW(CRITERION_SCHEDULE, "schedule")                                                        \
	ROW(CRITERION_CONTAINS, "mail.contains")                                                   \
	ROW(CRITERION_MATCHES, "mail.matches")                                                     \
	ROW(CRITERION_LIMIT_MESSAGES, "limits.messages")                                           \
	ROW(CRITERION_LIMIT_RECIPIENTS, "limits.recipients")                                       \
	ROW(CRITERION_LIMIT_BYTES, "limits.bytes")

#define CRITERION_CONSTANT(constant, name) constant,
enum criterion { CRITERIA(CRITERION_CONSTANT) CRITERION_COUNT };
#undef CRITERION_CONSTANT

/*
 * A set of criteria. The bit of a criterion is CRITERION_BIT() alone: a shift of an int would lose
 * the criteria from the 33rd on, which the compiler does not see where the number is a variable.
 */
struct criteria {
	uint64_t bits;
};

#define CRITERION_BIT(criterion) ((uint64_t)1 << (criterion))

_Static_assert(CRITERION_COUNT <= 64, "a set has a bit for each criterion");

static inline bool criteria_have(struct criteria criteria, enum criterion criterion)
{
	return criteria.bits & CRITERION_BIT(criterion);
}

static inline void criteria_add(struct criteria *criteria, enum criterion criterion)
{
	criteria->bits |= CRITERION_BIT(criterion);
}

static inline unsigned int criteria_count(struct criteria criteria)
{
	return (unsigned int)__builtin_popcountll(criteria.bits);
}

/* The first of a set that is not empty: the cheapest to evaluate. */
static inline enum criterion criteria_first(struct criteria criteria)
{
	return (enum criterion)__builtin_ctzll(criteria.bits);
}

/* "process.executable", ...; a static string. */
const char *criterion_name(enum criterion criterion);

#endif
