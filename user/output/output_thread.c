/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the capture loop adds records to the queue and never waits. Each output has
 * a thread that takes the records and passes them to its transport, which may block, fail, or be
 * slow.
 *
 *	queue ──take──▶ waiting ──send──▶ in doubt ──unsure──▶ released
 *			   ▲                  │
 *			   └──────rewind──────┘  the receiver went away
 *
 * The thread alone uses `waiting` and `in doubt`; all three count against the queue's bound. After
 * a failure the thread opens the transport again every RETRY_NS. It reports a failure when it
 * begins and when it is over, with what it cost.
 */
#include "output/output_thread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/report.h"

#define RETRY_NS 1000000000ULL
/* The longest interval between two checks of the file and of what is in doubt */
#define IDLE_NS	     1000000000ULL
#define STOP_LOOK_NS 20000000ULL /* the same while the output ends */
#define ROOM_WAIT_MS 100
/* Bounds of what is kept to be sent again: more than a receive buffer holds by default */
#define DOUBT_BYTES   (8U << 20)
#define DOUBT_RECORDS 100000U

/* ---- Reports --------------------------------------------------------------------------------- */

static const char *why(int error)
{
	return error == -EINVAL	   ? "not a regular file"
	       : error == -ENODATA ? "cannot resolve the host name"
				   : strerror(-error);
}

/* True at the beginning of a failure, which is reported once. */
static bool failed(struct output *output)
{
	output->failures++;
	output->failed_ns = clock_ns(CLOCK_MONOTONIC);
	if (!output->up || output->abandoned)
		return false;
	output->up = false;
	output->lost_before = output->lost;
	output->repeated_before = output->repeated;
	return true;
}

void output_failed(struct output *output, int error)
{
	if (failed(output))
		report(output->config.name,
		       "%s: %s; events wait in memory, up to the queue's limit", output->place,
		       why(error));
}

static void failed_to_reopen(struct output *output, int error)
{
	if (failed(output))
		report(output->config.name,
		       output->config.type == OUTPUT_FILE
			       ? "%s: %s: cannot reopen; still writing to the file opened earlier"
			       : "%s: %s; still sending to the address found earlier",
		       output->place, why(error));
}

static void worked(struct output *output)
{
	uint64_t lost = output->lost - output->lost_before,
		 repeated = output->repeated + output->again - output->repeated_before;

	if (output->up || output->reopen_due ||
	    clock_ns(CLOCK_MONOTONIC) - output->failed_ns < output->transport->quiet_ns)
		return;
	output->up = true;
	report(output->config.name, "%s: writing again; %llu events were dropped, %llu sent again",
	       output->place, (unsigned long long)lost, (unsigned long long)repeated);
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Removes the first entry of a list. */
static struct entry *first_off(struct entry **list, struct entry ***end)
{
	struct entry *first = *list;

	*list = first->next;
	if (!*list)
		*end = list;
	return first;
}

static void append(struct entry ***end, struct entry *entries)
{
	**end = entries;
	while (**end)
		*end = &(**end)->next;
}

static void doubt_release(struct output *output)
{
	struct entry *entry = first_off(&output->doubt, &output->doubt_end);

	output->doubt_count--;
	output->doubt_bytes -= entry->len;
	queue_release(output->queue, entry);
}

/* Limited to a share of the queue, so that a small queue keeps its room for what waits. */
static uint64_t doubt_max(const struct output *output)
{
	uint64_t share = queue_limit(output->queue) / 4;

	return share < DOUBT_BYTES ? share : DOUBT_BYTES;
}

/* The first `count` entries of `waiting` were sent. */
static void sent(struct output *output, int count)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC);

	if (count)
		output->progress_ns = time_ns;
	for (int i = 0; i < count && output->waiting; i++) {
		struct entry *entry = first_off(&output->waiting, &output->waiting_end);

		if (output->again) {
			output->again--;
			output->repeated++;
		} else {
			output->written++;
		}
		if (!output->transport->unsure) {
			queue_release(output->queue, entry);
			continue;
		}
		entry->next = NULL;
		entry->sent_ns = time_ns;
		append(&output->doubt_end, entry);
		output->doubt_count++;
		output->doubt_bytes += entry->len;
		while (output->doubt && (output->doubt_bytes > doubt_max(output) ||
					 output->doubt_count > DOUBT_RECORDS))
			doubt_release(output);
	}
}

/* Moves what is in doubt to the front of `waiting`, to be sent again first. */
static void rewind_doubt(struct output *output)
{
	if (!output->doubt)
		return;
	*output->doubt_end = output->waiting;
	if (!output->waiting)
		output->waiting_end = output->doubt_end;
	output->waiting = output->doubt;
	output->again += output->doubt_count;
	output->doubt = NULL;
	output->doubt_end = &output->doubt;
	output->doubt_count = 0;
	output->doubt_bytes = 0;
}

void output_destroy(struct output *output)
{
	struct entry **lists[] = {&output->waiting, &output->doubt};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]) && output->queue; i++) {
		while (*lists[i]) {
			struct entry *next = (*lists[i])->next;

			queue_release(output->queue, *lists[i]);
			*lists[i] = next;
		}
	}
	if (output->transport)
		output->transport->free(output->transport);
	queue_free(output->queue);
	output_config_free(&output->config);
	free(output);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void broken(struct output *output, int error)
{
	output_failed(output, error);
	output->retry_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	if (!output->transport->is_broken(output->transport, error))
		return;
	output->open = false;
	rewind_doubt(output);
}

/* The old file or connection stays open until the new one is. */
static void try_open(struct output *output)
{
	int error = output->transport->open(output->transport);

	if (!error) {
		output->open = true;
		output->reopen_due = false;
		return;
	}
	if (output->reopen_due) {
		failed_to_reopen(output, error);
		output->reopen_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	} else {
		output_failed(output, error);
		output->retry_ns = clock_ns(CLOCK_MONOTONIC) + RETRY_NS;
	}
}

/* Drops the first record: no transport accepts its size, and it would block the others for ever. */
static void drop_first(struct output *output)
{
	if (output->again)
		output->again--;
	queue_release(output->queue, first_off(&output->waiting, &output->waiting_end));
	output->lost++;
}

static void send_waiting(struct output *output)
{
	struct iovec records[TRANSPORT_BATCH];
	int count = 0, taken;

	for (struct entry *entry = output->waiting; entry && count < TRANSPORT_BATCH;
	     entry = entry->next)
		records[count++] = (struct iovec){.iov_base = entry->data, .iov_len = entry->len};
	taken = output->transport->send(output->transport, records, count);
	output->lost += output->transport->lost;
	output->transport->lost = 0;
	if (taken == -EMSGSIZE) {
		drop_first(output);
	} else if (taken < 0) {
		broken(output, taken);
	} else {
		sent(output, taken);
		if (taken)
			worked(output);
		if (taken < count && output->transport->wait)
			output->transport->wait(output->transport, ROOM_WAIT_MS);
	}
}

static void look_at_doubt(struct output *output)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC);
	int unsure;

	if (!output->open || !output->doubt)
		return;
	unsure = output->transport->unsure(output->transport, output->doubt_count);
	if (unsure < 0) {
		broken(output, unsure);
		return;
	}
	while (output->doubt && output->doubt_count > (uint64_t)unsure &&
	       time_ns - output->doubt->sent_ns >= output->transport->doubt_ns)
		doubt_release(output);
}

static void look_at_place(struct output *output)
{
	const struct transport *transport = output->transport;
	bool asked = atomic_exchange(&output->reopen, false);

	if (!output->open)
		return;
	if (transport->is_gone && transport->is_gone(transport)) {
		output->open = output->reopen_due = false;
		output->retry_ns = 0;
		try_open(output);
		return;
	}
	if (asked || (transport->is_stale && transport->is_stale(transport)))
		output->reopen_due = true;
	if (output->reopen_due && (asked || clock_ns(CLOCK_MONOTONIC) >= output->reopen_ns))
		try_open(output);
}

/* Whether there is something to send, or a connection to make. */
static bool has_to_try(const struct output *output)
{
	return output->waiting || (!output->open && !output->up);
}

/* How long the thread may sleep if nothing is added. */
static uint64_t rest_ns(const struct output *output)
{
	uint64_t time_ns = clock_ns(CLOCK_MONOTONIC),
		 rest = output->stop_ns ? STOP_LOOK_NS : IDLE_NS;

	if (!has_to_try(output))
		return rest;
	if (output->retry_ns <= time_ns)
		return 0;
	return output->retry_ns - time_ns < rest ? output->retry_ns - time_ns : rest;
}

/* Whether it is to end, and everything is written or the time is up. */
static bool is_over(const struct output *output)
{
	const struct transport *transport = output->transport;

	if (!output->stop_ns || clock_ns(CLOCK_MONOTONIC) >= output->stop_ns)
		return output->stop_ns;
	return !output->waiting && queue_records(output->queue) == output->doubt_count &&
	       (!output->doubt || (output->open && transport->is_settled(transport)));
}

static void try_to_send(struct output *output)
{
	if (!output->open)
		try_open(output);
	if (output->open && output->waiting)
		send_waiting(output);
}

/* What was added, and neither written nor sent. */
uint64_t output_unwritten(const struct output *output)
{
	uint64_t records = queue_records(output->queue), doubt = output->doubt_count;

	return records > doubt ? records - doubt : 0;
}

void output_report_unwritten(const struct output *output)
{
	uint64_t left = output_unwritten(output);

	if (left)
		report(output->config.name, "%s: %llu event%s could not be written in time",
		       output->place, (unsigned long long)left, left == 1 ? "" : "s");
}

void *output_run(void *context)
{
	struct output *output = context;
	struct output_leavers *leavers;

	while (!is_over(output)) {
		struct entry *taken = queue_take(output->queue, rest_ns(output));

		if (taken)
			append(&output->waiting_end, taken);
		if (!output->waiting)
			output->progress_ns = clock_ns(CLOCK_MONOTONIC);
		look_at_place(output);
		look_at_doubt(output);
		if (has_to_try(output) && clock_ns(CLOCK_MONOTONIC) >= output->retry_ns)
			try_to_send(output);
		if (output->open && !output->waiting)
			worked(output);
	}
	leavers = output->leavers;
	if (!leavers)
		return NULL;
	output_report_unwritten(output);
	leavers->lost += output->lost - output->lost_told + output_unwritten(output);
	output_destroy(output);
	leavers->count--;
	return NULL;
}
