/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. Two checks complement each other.
 *
 * Once a second, every link is compared with what was attached (links.c), and our place in the ring
 * with where we left it (ring_place.h). That finds what root removes or replaces by the means of
 * bpf(2), at once, names it, and attaches it again.
 *
 * At the start, then every CANARY_PERIOD_NS, and after each repair, a mail goes over loopback and
 * must be seen by every hook (canary.c). That finds what the first check cannot know of: kprobes
 * that are switched off as a whole, a table that was tampered with, a hook that runs and does not
 * work. A canary that was not seen is repeated once before it is reported. If records were lost
 * while it was under way, or the ring is not read to its end, the load is the likelier reason: then
 * it says nothing and is repeated. What was lost is reported anyway. A canary that could not be
 * sent says nothing either, which is reported as what it is.
 *
 * Each change, and each canary that was seen, becomes a RECORD_HEALTH: the state as it is now, what
 * was found, and since when at most that has been so. The pipeline makes events of the changes
 * (watch/health.c), in a replay the same ones.
 *
 * Not detected: a kernel whose code or tables were changed by a module or by another BPF program; a
 * hook that is removed and put back between two checks; what treats the sockets of the watch unlike
 * others; hooks of processes (exec, fork, exit) that are attached and do nothing, because a canary
 * starts no process. Whoever has root's rights can also stop the watch itself: the gap in the
 * heartbeat tells of that.
 */
#include "capture/selfcheck.h"

#include <stdlib.h>

#include "base/clock.h"
#include "capture/canary.h"

struct selfcheck {
	struct capture *capture; /* borrowed */
	capture_record_fn on_record;
	void *context;
	struct canary canary;
	bool under_way;	   /* a canary was begun and has no result yet */
	uint32_t tries;	   /* canaries in a row that failed in some way */
	uint32_t states;   /* as last told */
	uint64_t next_ns;  /* the next canary begins */
	uint64_t sent_ns;  /* the canary under way was sent; 0: not yet */
	uint64_t lost;	   /* records lost when it began */
	uint64_t links_ns; /* the links were good at this time, */
	uint64_t seen_ns;  /* and a canary was seen that began at this one */
};

struct selfcheck *selfcheck_new(struct capture *capture, capture_record_fn on_record, void *context)
{
	struct selfcheck *check = calloc(1, sizeof(*check));
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);

	if (!check)
		return NULL;
	check->capture = capture;
	check->on_record = on_record;
	check->context = context;
	check->links_ns = check->seen_ns = now_ns;
	check->next_ns = now_ns + CANARY_FIRST_NS;
	canary_init(&check->canary);
	return check;
}

void selfcheck_free(struct selfcheck *check)
{
	if (check)
		canary_close(&check->canary);
	free(check);
}

bool selfcheck_take(struct selfcheck *check, const struct record *record)
{
	return canary_take(&check->canary, record);
}

/* `found`: of enum health_flag, beside the states that last. */
static void tell(struct selfcheck *check, uint32_t found, uint64_t good_ns, int error)
{
	struct health_record record = {.h = {.type = RECORD_HEALTH,
					     .len = sizeof(record),
					     .time_ns = clock_ns(CLOCK_BOOTTIME)},
				       .good_ns = good_ns,
				       .flags = check->states | found,
				       .error = error};

	check->on_record(check->context, &record.h);
}

/* ---- Links and ring -------------------------------------------------------------------------- */

void selfcheck_round(struct selfcheck *check)
{
	const uint32_t detached = HEALTH_SEND_DETACHED | HEALTH_WIRE_DETACHED;
	uint32_t found = capture_check(check->capture), before = check->states & detached;

	check->states = (check->states & ~detached) | (found & detached);
	if (found & ~detached || (found & detached) != before) {
		tell(check, found & ~detached, check->links_ns, 0);
		check->next_ns = 0; /* does what was repaired work? */
		check->tries = 0;
	}
	if (!found)
		check->links_ns = clock_ns(CLOCK_BOOTTIME);
}

/* ---- The canary ------------------------------------------------------------------------------ */

/* What the kernel side lost that may be the canary's. */
static uint64_t lost_records(struct capture *capture)
{
	uint64_t counters[COUNTER_MAX];

	if (capture_counters(capture, counters))
		return 0;
	return counters[COUNTER_SENDER_LOST] + counters[COUNTER_SEGMENT_LOST] +
	       counters[COUNTER_PRESSURE_BYTES] + counters[COUNTER_STATE_FAILED] +
	       counters[COUNTER_SEND_PENDING_FULL] + counters[COUNTER_MISSED];
}

/* The hooks that did not see all of it: HEALTH_SEND_MISSED, HEALTH_WIRE_MISSED. */
static uint32_t missed_by(const struct selfcheck *check)
{
	const struct canary *canary = &check->canary;
	uint32_t missed = 0;

	if (capture_hook(check->capture) != HOOK_NONE &&
	    !canary_client_seen(canary, CANARY_SEEN_SEND))
		missed |= HEALTH_SEND_MISSED;
	if (capture_wire(check->capture) && (!canary_client_seen(canary, CANARY_SEEN_WIRE) ||
					     !canary_server_seen(canary, CANARY_SEEN_WIRE)))
		missed |= HEALTH_WIRE_MISSED;
	return missed;
}

static void conclude(struct selfcheck *check, uint32_t result, int error)
{
	const uint32_t results = HEALTH_SEND_MISSED | HEALTH_WIRE_MISSED | HEALTH_UNSENT;
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);
	uint32_t before = check->states & results;

	check->under_way = false;
	if (result && ++check->tries < CANARY_TRIES) {
		check->next_ns = now_ns + CANARY_AGAIN_NS;
		return;
	}
	check->tries = 0;
	check->next_ns = now_ns + CANARY_PERIOD_NS;
	check->states = (check->states & ~results) | result;
	if (!result || result != before)
		tell(check, result ? 0 : HEALTH_SEEN, check->seen_ns, error);
	if (!result)
		check->seen_ns = check->canary.begun_ns;
}

static void begin(struct selfcheck *check, uint64_t now_ns)
{
	check->under_way = true;
	check->sent_ns = 0;
	check->lost = lost_records(check->capture);
	canary_begin(&check->canary, now_ns);
}

/* The canary was sent: its result, as soon as it is certain. */
static void judge(struct selfcheck *check, uint64_t now_ns)
{
	uint32_t missed = missed_by(check);

	if (!missed) {
		conclude(check, 0, 0);
		return;
	}
	if (!check->sent_ns || capture_has_more(check->capture))
		check->sent_ns = now_ns;
	if (now_ns - check->sent_ns < CANARY_SETTLE_NS)
		return;
	if (lost_records(check->capture) == check->lost) {
		conclude(check, missed, 0);
		return;
	}
	check->under_way = false;
	check->next_ns = now_ns + CANARY_BUSY_NS;
}

void selfcheck_turn(struct selfcheck *check)
{
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);

	if (!check->under_way && now_ns < check->next_ns)
		return;
	if (!check->under_way)
		begin(check, now_ns);
	canary_step(&check->canary, now_ns);
	if (check->canary.state == CANARY_FAILED)
		conclude(check, HEALTH_UNSENT, -check->canary.error);
	else if (check->canary.state == CANARY_SENT)
		judge(check, now_ns);
}
