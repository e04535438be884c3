/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an event is formatted once for each format in use, however many outputs use
 * that format, and added to the queue of each output. Everything that can wait or fail is behind
 * the queues (output.c).
 */
#include "output/outputs.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "format/format.h"
#include "base/report.h"
#include "output/syslog_message.h"

#define LEAVING_NS 30000000000ULL /* the longest time that a removed output may keep writing */
/* Interval of the checks, at the end, whether removed outputs have ended */
#define LOOK_NS	    10000000L
#define TELL_LOSS_S 60		 /* shortest interval between two reports of an output's losses */
#define NAMELESS    (1ULL << 32) /* larger than every uid */

struct slot {
	struct output *output;
	/* The parts of output_stats.lost that were reported and taken */
	uint64_t lost_told, lost_taken;
	time_t told_s;
	bool stall_told;
};

struct outputs {
	struct sink sink;
	struct slot slots[OUTPUTS_MAX];
	size_t count;
	struct output_leavers leavers;
	uint64_t lost_by_left; /* losses of removed outputs before their removal, not yet taken */
	/* The current event in each format; empty if not yet formatted */
	struct text records[FORMAT_COUNT];
	struct text line;
};

/* ---- Writing --------------------------------------------------------------------------------- */

/* The event in this format, formatted at the first call. Empty if there was no memory. */
static struct span record_of(struct outputs *outputs, enum output_format format,
			     const struct event *event)
{
	struct text *record = &outputs->records[format];

	if (!record->len)
		format_writer(format)(record, event);
	if (record->failed)
		text_clear(record);
	record->failed = false;
	return (struct span){record->data, record->len};
}

static bool is_wanted(const struct output_config *config, const struct event *event)
{
	return !config->alerts_only || event_is_of_watch(event) || event->verdict == VERDICT_ALERT;
}

/* A number for a user known by name only, as the MTA reported it: larger than every uid. */
static uint64_t named_number(const char *name)
{
	uint64_t number = 0xcbf29ce484222325; /* FNV-1a */

	for (; *name; name++)
		number = (number ^ (unsigned char)*name) * 0x100000001b3;
	return number >> 1 | NAMELESS;
}

/*
 * The user charged for an event; for relayed mail, whoever submitted it. All ids without a name
 * count as one sender: a user with subordinate ids, for containers, has thousands of them.
 */
static uint64_t sender_number(const struct event *event)
{
	const struct sender *sender = event->sender_count ? event->senders[0] : NULL;

	if (event_is_of_watch(event))
		return QUEUE_OWN;
	if (event->origin && event->origin->user[0])
		return event->origin->has_uid ? event->origin->uid
					      : named_number(event->origin->user);
	if (event->origin && event->origin->has_uid)
		return NAMELESS;
	return sender && sender->user ? sender_uid(sender) : NAMELESS;
}

/* Adds the event to one output: as a line, as a journal entry, or as a syslog message. */
static void add(struct outputs *outputs, struct output *output, const struct event *event,
		struct queue_class class)
{
	const struct output_config *config = output_config_of(output);
	struct span record = record_of(outputs, config->format, event);
	/* a report of losses that does not fit must not cause another one */
	bool counted = event->action != EVENT_LOSS;
	struct text *line = &outputs->line;

	if (!record.len) {
		output_lose(output);
		return;
	}
	if (config->type == OUTPUT_FILE || config->type == OUTPUT_STDOUT) {
		output_add(output, record, (struct span){"\n", 1}, class, counted);
		return;
	}
	text_clear(line);
	if (config->type == OUTPUT_JOURNALD) {
		text_add_format(line, "SYSLOG_FACILITY=%d\n", config->facility);
		output_add(output, (struct span){line->data, line->len}, record, class, counted);
	} else if (syslog_add(line, config, event, record)) {
		output_add(output, (struct span){line->data, line->len}, (struct span){"", 0},
			   class, counted);
	} else {
		output_lose(output);
	}
	line->failed = false;
}

static int outputs_write(struct sink *sink, const struct event *event)
{
	struct outputs *outputs = (struct outputs *)sink;
	struct queue_class class = {.urgent = event_is_of_watch(event) ||
					      event->verdict == VERDICT_ALERT,
				    .sender = sender_number(event)};
	size_t longest = 0;

	for (size_t i = 0; i < FORMAT_COUNT; i++)
		text_clear(&outputs->records[i]);
	for (size_t i = 0; i < outputs->count; i++) {
		if (is_wanted(output_config_of(outputs->slots[i].output), event))
			add(outputs, outputs->slots[i].output, event, class);
	}
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		longest = outputs->records[i].len > longest ? outputs->records[i].len : longest;
	sink->bytes += longest;
	return 0;
}

static int outputs_flush(struct sink *sink)
{
	struct outputs *outputs = (struct outputs *)sink;

	for (size_t i = 0; i < outputs->count; i++) {
		if (output_has_news(outputs->slots[i].output))
			output_wake(outputs->slots[i].output);
	}
	return 0;
}

/* ---- Which there are ------------------------------------------------------------------------- */

struct outputs *outputs_new(void)
{
	struct outputs *outputs = calloc(1, sizeof(*outputs));

	if (outputs)
		outputs->sink = (struct sink){.write = outputs_write, .flush = outputs_flush};
	return outputs;
}

struct sink *outputs_sink(struct outputs *outputs)
{
	return &outputs->sink;
}

size_t outputs_count(const struct outputs *outputs)
{
	return outputs->count;
}

const struct output *outputs_at(const struct outputs *outputs, size_t index)
{
	return outputs->slots[index].output;
}

/* The slot with the same destination; NULL if there is none. */
static struct slot *slot_of(struct outputs *outputs, const struct output_config *config)
{
	for (size_t i = 0; i < outputs->count; i++) {
		if (output_config_same_place(output_config_of(outputs->slots[i].output), config))
			return &outputs->slots[i];
	}
	return NULL;
}

static void leave(struct outputs *outputs, const struct slot *slot)
{
	outputs->lost_by_left += output_stats(slot->output).lost - slot->lost_taken;
	output_leave(slot->output, LEAVING_NS, &outputs->leavers);
}

/*
 * Whether two paths lead to the same file. Two outputs to one file would break each other's lines
 * when the disk is full.
 */
static bool is_same_file(const struct output_config *a, const struct output_config *b)
{
	struct stat first, second;

	return a->type == OUTPUT_FILE && b->type == OUTPUT_FILE && stat(a->path, &first) == 0 &&
	       stat(b->path, &second) == 0 && first.st_dev == second.st_dev &&
	       first.st_ino == second.st_ino;
}

/*
 * Whether two of the outputs would write to the same file. False, with the reason in `why`, if not
 * two do. Files that are open already are not examined: their disk may hang.
 */
static bool share_a_file(const struct output_config *configs, size_t count,
			 struct output *const started[OUTPUTS_MAX], char why[OUTPUTS_WHY_MAX])
{
	for (size_t i = 0; i < count; i++) {
		for (size_t j = 0; j < i; j++) {
			if ((!started[i] && !started[j]) || !is_same_file(&configs[i], &configs[j]))
				continue;
			snprintf(why, OUTPUTS_WHY_MAX,
				 "output %s: %.200s: already the file of output %s",
				 configs[i].name, configs[i].path, configs[j].name);
			return true;
		}
	}
	return false;
}

/* Starts the outputs that do not exist yet. 0, or a negative errno; then some may have started. */
static int start_missing(struct outputs *outputs, const struct output_config *configs, size_t count,
			 struct output *started[OUTPUTS_MAX], char why[OUTPUTS_WHY_MAX])
{
	for (size_t i = 0; i < count; i++) {
		const struct output_config *config = &configs[i];
		int error = slot_of(outputs, config) ? 0 : output_new(&started[i], config);

		if (!error)
			continue;
		snprintf(why, OUTPUTS_WHY_MAX, "output %s: %.200s: %s", config->name,
			 config->path ? config->path : "cannot start it",
			 error == -EINVAL   ? "not a regular file"
			 : error == -EISDIR ? "is a directory; name a file in it"
					    : strerror(-error));
		return error;
	}
	return share_a_file(configs, count, started, why) ? -EEXIST : 0;
}

int outputs_prepare(struct outputs *outputs, const struct output_config *configs, size_t count,
		    struct output *started[OUTPUTS_MAX], char why[OUTPUTS_WHY_MAX])
{
	int error;

	memset(started, 0, OUTPUTS_MAX * sizeof(*started));
	error = start_missing(outputs, configs, count, started, why);
	if (error)
		outputs_drop(outputs, started);
	return error;
}

void outputs_drop(struct outputs *outputs, struct output *const started[OUTPUTS_MAX])
{
	for (size_t i = 0; i < OUTPUTS_MAX; i++) {
		if (started[i])
			output_leave(started[i], 0, &outputs->leavers);
	}
}

void outputs_take(struct outputs *outputs, const struct output_config *configs, size_t count,
		  struct output *const started[OUTPUTS_MAX])
{
	struct slot slots[OUTPUTS_MAX] = {0};
	bool kept[OUTPUTS_MAX] = {false};

	for (size_t i = 0; i < count; i++) {
		const struct slot *old = started[i] ? NULL : slot_of(outputs, &configs[i]);

		slots[i] = old ? *old : (struct slot){.output = started[i]};
		if (!old)
			continue;
		output_change(old->output, &configs[i]);
		kept[old - outputs->slots] = true;
	}
	for (size_t j = 0; j < outputs->count; j++) {
		if (!kept[j])
			leave(outputs, &outputs->slots[j]);
	}
	memcpy(outputs->slots, slots, sizeof(slots));
	outputs->count = count;
}

int outputs_configure(struct outputs *outputs, const struct output_config *configs, size_t count,
		      char why[OUTPUTS_WHY_MAX])
{
	struct output *started[OUTPUTS_MAX];
	int error = outputs_prepare(outputs, configs, count, started, why);

	if (!error)
		outputs_take(outputs, configs, count, started);
	return error;
}

void outputs_reopen(struct outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++)
		output_reopen(outputs->slots[i].output);
}

/* Reports new losses at most every TELL_LOSS_S; at once if `last` is set. */
static void tell_loss(struct slot *slot, const struct output_stats *stats, bool last)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (stats->lost == slot->lost_told ||
	    (!last && slot->told_s && now.tv_sec - slot->told_s < TELL_LOSS_S))
		return;
	report(output_config_of(slot->output)->name, "%llu more events were lost",
	       (unsigned long long)(stats->lost - slot->lost_told));
	slot->lost_told = stats->lost;
	slot->told_s = now.tv_sec;
}

static void tell_stall(struct slot *slot, const struct output_stats *stats)
{
	if (stats->stalled && !slot->stall_told)
		report(output_config_of(slot->output)->name,
		       "nothing written for %u s; %llu events wait", OUTPUT_STALL_S,
		       (unsigned long long)stats->waiting);
	if (!stats->stalled && slot->stall_told)
		report(output_config_of(slot->output)->name, "writing again");
	slot->stall_told = stats->stalled;
}

void outputs_look(struct outputs *outputs)
{
	for (size_t i = 0; i < outputs->count; i++) {
		struct output_stats stats = output_stats(outputs->slots[i].output);

		tell_loss(&outputs->slots[i], &stats, false);
		tell_stall(&outputs->slots[i], &stats);
	}
}

uint64_t outputs_take_lost(struct outputs *outputs)
{
	uint64_t lost = outputs->lost_by_left + atomic_exchange(&outputs->leavers.lost, 0);

	outputs->lost_by_left = 0;
	for (size_t i = 0; i < outputs->count; i++) {
		struct slot *slot = &outputs->slots[i];
		uint64_t now = output_stats(slot->output).lost;

		lost += now - slot->lost_taken;
		slot->lost_taken = now;
	}
	return lost;
}

void outputs_free(struct outputs *outputs, uint64_t limit_ns)
{
	if (!outputs)
		return;
	for (size_t i = 0; i < outputs->count; i++)
		output_stop(outputs->slots[i].output, limit_ns);
	for (size_t i = 0; i < outputs->count; i++) {
		struct output_stats stats;

		output_wait(outputs->slots[i].output);
		stats = output_stats(outputs->slots[i].output);
		tell_loss(&outputs->slots[i], &stats, true);
		output_free(outputs->slots[i].output);
	}
	for (uint64_t waited_ns = 0; outputs->leavers.count && waited_ns < limit_ns;
	     waited_ns += LOOK_NS)
		nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
	if (outputs->leavers.count)
		report("run",
		       "%zu outputs of an earlier configuration are still writing; their queued "
		       "events are lost",
		       (size_t)outputs->leavers.count);
	for (size_t i = 0; i < FORMAT_COUNT; i++)
		text_free(&outputs->records[i]);
	text_free(&outputs->line);
	if (!outputs->leavers.count) /* else a removed output still uses it; the process ends */
		free(outputs);
}
