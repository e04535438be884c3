/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Joins alike events, so that a flood of mail does not become a flood of output. Pure: no I/O, no
 * clock. You push decided events in with join_take() and pull joined ones out with join_next().
 *
 * Theory of operation. An event belongs to a user (whoever is charged for it), and within the user
 * to a kind: events of one action and verdict that are alike in all parts of event.h
 * (JOINED_PARTS). In an interval, the first `after` events of a kind are written at once. The
 * others are joined: the first of them is kept as the example, and the others only add to its
 * counts. When the interval of the user ends, each example is written, with these counts. If more
 * than `after` events of a kind were joined, the kind continues to be joined in the next interval;
 * else it begins anew.
 *
 * Who floods can choose almost everything, so he can make every event of another kind. What is
 * bounded is therefore the user: the kinds that are told apart (JOIN_KINDS_MAX), those of them that
 * are joined apart (JOIN_APART_MAX), and the bytes that his events take in the outputs in an
 * interval (JOIN_BYTES_MAX). What exceeds one of these is joined regardless of its kind, one event
 * for each action and verdict, whose `differ` says in which parts its events differ. Nobody can use
 * up what belongs to another user.
 *
 * Excluded messages are expected mail, and often an audit trail. They have no kinds. They are
 * joined only beyond a larger number of bytes (JOIN_EXCLUDED_MAX).
 *
 * A final event whose provisional event was written by itself is written by itself too, unless the
 * user's bytes are used up. So an event with `final` false is not left without its end.
 */
#ifndef SMTPSNOOP_JOIN_H
#define SMTPSNOOP_JOIN_H

#include <stdbool.h>
#include <stdint.h>

#include "event/event.h"

#define JOIN_USERS_MAX	  512U	       /* the others share one place */
#define JOIN_KINDS_MAX	  64U	       /* of a user, in an interval */
#define JOIN_APART_MAX	  8U	       /* kinds of a user that have a joined event of their own */
#define JOIN_BYTES_MAX	  (256U << 10) /* of a user's events in an interval, in each output */
#define JOIN_EXCLUDED_MAX (16U << 20)  /* the same for excluded messages */
#define JOIN_OPEN_MAX	  256U	       /* provisional events whose end is awaited */

/*
 * Memory: 1.8 KiB for each user with an event in the interval, and at most 10 KiB for an example.
 * One user has at most JOIN_APART_MAX examples and one for each action and verdict that occurs
 * (three in a flood of mail): about 100 KiB for a user who floods.
 */

struct join;

/* Starts switched off. `seed`: a number that nobody else knows. NULL: no memory. */
struct join *join_new(uint64_t seed);
void join_free(struct join *join); /* NULL is allowed; what was joined and not pulled is lost */

/*
 * Joins within intervals of `interval_ns`, after the first `after` events of a kind. 0: off; then
 * pull what is left.
 */
void join_configure(struct join *join, uint64_t interval_ns, uint32_t after);

enum join_result {
	JOIN_WRITE,  /* the event stays the caller's, to be written now, and then charged for */
	JOIN_JOINED, /* it is in a joined event; the join owns it */
	JOIN_LOST,   /* the same, but there is no memory, and no event will count it */
};

/*
 * `user`: who is charged, the same number for the same user. `now_ns`: the clock of join_next().
 * The event has a flow.
 */
enum join_result join_take(struct join *join, struct event *event, uint64_t user, uint64_t now_ns);

/* An event that was written for JOIN_WRITE took this many bytes in an output. */
void join_charge(struct join *join, uint64_t user, bool excluded, uint64_t bytes);

/*
 * The next joined event whose interval has ended, which the caller owns from then on; NULL: there
 * is none. When joining is off, every interval has ended.
 */
struct event *join_next(struct join *join, uint64_t now_ns);

#endif
