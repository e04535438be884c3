/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: an MTA relays a mail, and its own Received field says who handed it in
 * (event/origin.c). Which process that was follows from the table of submission programs
 * (event/submitters.c), or from the mail on its way into the MTA, if that came by a connection.
 *
 * By pid (Exim, nullmailer): the field names the submission program, and exactly one has that pid
 * at that time. Exim names the user as well; a program of another user is not the one.
 *
 * By time (Postfix, OpenSMTPD): the field names the second in which the submission program wrote
 * its queue file, and at best the user. If exactly one fits, it is that one, but only if the table
 * misses none: no record was lost, the watch ran, and the wall clock was not set. If several fit,
 * they are candidates. What is not certain is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "event/submitters.h"
#include "process/sender.h"
#include "watch/pipeline_state.h"

#define NS_PER_S 1000000000LL
/* File times lag by a tick of up to 10 ms, and our idea of the wall clock differs by 1 ms. */
#define SLACK_NS 20000000LL
/* A smaller change of the wall clock does not matter. */
#define STEP_NS (SLACK_NS / 2)

/* ---- The table ------------------------------------------------------------------------------- */

static bool has_table(struct pipeline *pipeline)
{
	if (!pipeline->submitters)
		pipeline->submitters = submitters_new();
	return pipeline->submitters;
}

void origin_submission(struct pipeline *pipeline, const struct sender_record *record)
{
	struct sender *program =
		sender_of_record(record, pipeline->processes, &pipeline->hooks.want);

	if (!program || !has_table(pipeline))
		origin_doubt(pipeline);
	else
		submitters_add(pipeline->submitters, record, program, pipeline->processes,
			       pipeline->own.user, pipeline->realtime_offset_ns);
	sender_unref(program);
}

void origin_older(struct pipeline *pipeline, const struct exec_record *record)
{
	struct image *image = process_image_at(pipeline->processes, record->pid, record->start_ns,
					       record->h.time_ns);

	if (submitters_is_program(image) && has_table(pipeline))
		submitters_add_older(pipeline->submitters, record, image,
				     pipeline->realtime_offset_ns);
	image_unref(image);
}

void origin_exit(struct pipeline *pipeline, const struct exit_record *record)
{
	if (pipeline->submitters)
		submitters_exit(pipeline->submitters, record, pipeline->realtime_offset_ns);
}

void origin_doubt(struct pipeline *pipeline)
{
	if (has_table(pipeline))
		submitters_doubt(pipeline->submitters, pipeline->now_ns,
				 pipeline->realtime_offset_ns);
}

void origin_clock(struct pipeline *pipeline, const struct clock_record *record)
{
	uint64_t change =
		(uint64_t)record->realtime_offset_ns - (uint64_t)pipeline->realtime_offset_ns;

	if (pipeline->realtime_offset_ns && change + STEP_NS > 2 * STEP_NS)
		origin_doubt(pipeline);
	pipeline->realtime_offset_ns = record->realtime_offset_ns;
	if (pipeline->submitters && change + STEP_NS > 2 * STEP_NS)
		origin_doubt(pipeline);
}

/* ---- The Received field ---------------------------------------------------------------------- */

/* The MTA that relays a message; NULL: the senders are not all the same trusted MTA. */
static const char *mta_of(const struct pipeline *pipeline, const struct event *event)
{
	const char *mta = NULL;

	for (uint32_t i = 0; i < event->sender_count; i++) {
		const struct sender *sender = event->senders[i];
		const char *name =
			sender->task.ns_user == pipeline->own.user ? origin_mta(sender) : NULL;

		if (!name || (mta && strcmp(mta, name) != 0))
			return NULL;
		mta = name;
	}
	return mta;
}

static void event_find_origin(struct pipeline *pipeline, struct event *event)
{
	const struct mail *mail = event->transaction ? event->transaction->mail : NULL;
	const char *mta = mail && mail->received.len ? mta_of(pipeline, event) : NULL;
	struct origin origin;

	if (event->origin || !mta || event->transaction->missing_bytes ||
	    !origin_parse(mta, mail_span(mail, mail->received), &origin))
		return;
	if (!origin.has_uid && !origin.user[0] && pipeline->submissions)
		submissions_find(pipeline->submissions, &origin);
	event->origin = malloc(sizeof(*event->origin));
	if (event->origin)
		*event->origin = origin;
	else
		sender_unref(origin.submitter);
}

/* ---- The process ----------------------------------------------------------------------------- */

/* Whether every submission that may have handed in the mail is in the table. */
static bool knows_all(struct pipeline *pipeline, const struct submission_trace *trace)
{
	int64_t began_ns = (int64_t)(pipeline->watched_ns + (uint64_t)pipeline->realtime_offset_ns);
	const struct pipeline_hooks *hooks = &pipeline->hooks;

	if (hooks->process_lost &&
	    hooks->process_lost(hooks->context) > pipeline->counters[COUNTER_PROCESS_LOST])
		origin_doubt(pipeline);
	return trace->from_ns > began_ns && submitters_know_all(pipeline->submitters, trace);
}

static void take_candidates(struct origin *origin, struct sender **found, uint32_t count)
{
	uint32_t kept = 0;

	origin->candidate_count = count;
	for (uint32_t i = 0; i < count && i < ORIGIN_CANDIDATES_MAX; i++) {
		if (found[i])
			origin->candidates[kept++] = sender_ref(found[i]);
	}
}

/* Looks once; what is found by pid is not proved yet (prove()). */
static void origin_search(struct pipeline *pipeline, const struct event *event)
{
	struct origin *origin = event->origin;
	struct submission_trace trace = {.mta = origin->mta,
					 .relay = event->senders[0],
					 .from_ns = origin->time_s * NS_PER_S - SLACK_NS,
					 .to_ns = (origin->time_s + 1) * NS_PER_S + SLACK_NS,
					 .vpid = origin->pid,
					 .uid = origin->uid,
					 .has_uid = origin->has_uid};
	struct sender *found[ORIGIN_CANDIDATES_MAX] = {NULL};
	uint32_t count;

	if (origin->searched || !origin->local || !origin->has_time || !pipeline->submitters ||
	    origin->time_s < 0 || origin->time_s > INT32_MAX * 100LL)
		return;
	origin->searched = true;
	count = submitters_find(pipeline->submitters, &trace, found, ORIGIN_CANDIDATES_MAX);
	if (count == 1 && found[0] && (origin->pid || knows_all(pipeline, &trace))) {
		origin->unproved = sender_ref(found[0]);
		if (origin->pid)
			return;
		origin->submitter = origin->unproved;
		origin->unproved = NULL;
		origin->how = ORIGIN_TIME;
		submitters_claim(pipeline->submitters, origin->submitter);
	} else if (count > 1 && !origin->pid) {
		take_candidates(origin, found, count);
		submitters_claim_any(pipeline->submitters, &trace);
	}
}

/* The user that the MTA names is the one who ran the submission program. */
static bool is_of_user(const struct origin *origin)
{
	const struct sender *sender = origin->unproved;
	const char *user = is_known(sender->user) ? sender->user : sender->root_user;

	return origin->has_uid ? origin->uid == sender->task.uid
			       : user && strcmp(user, origin->user) == 0;
}

static bool fill_submitters(struct pipeline *pipeline, struct origin *origin)
{
	struct sender *one = origin->unproved ? origin->unproved : origin->submitter;
	bool filled = true;

	if (one)
		filled = sender_fill(one, pipeline->names, &pipeline->own, pipeline->now_ns,
				     &pipeline->hooks.want);
	for (uint32_t i = 0; i < ORIGIN_CANDIDATES_MAX && origin->candidates[i]; i++)
		filled = sender_fill(origin->candidates[i], pipeline->names, &pipeline->own,
				     pipeline->now_ns, &pipeline->hooks.want) &&
			 filled;
	if (origin->unproved && is_of_user(origin)) {
		origin->submitter = origin->unproved;
		origin->unproved = NULL;
		origin->how = ORIGIN_PID;
		submitters_claim(pipeline->submitters, origin->submitter);
	}
	return filled;
}

static bool fill_user(struct pipeline *pipeline, struct origin *origin)
{
	const char *name = NULL;
	enum name_state state;

	if (!origin->named || origin->user[0])
		return true;
	state = names_user(pipeline->names, origin->uid, pipeline->now_ns, &name);
	if (state == NAME_MISSING && pipeline->hooks.want.user)
		pipeline->hooks.want.user(pipeline->hooks.want.context, origin->uid);
	if (state == NAME_KNOWN && strlen(name) <= ORIGIN_USER_MAX)
		memcpy(origin->user, name, strlen(name) + 1);
	return state == NAME_KNOWN;
}

bool origin_fill(struct pipeline *pipeline, struct event *event)
{
	bool filled;

	event_find_origin(pipeline, event);
	if (!event->origin)
		return true;
	origin_search(pipeline, event);
	filled = fill_user(pipeline, event->origin);
	return fill_submitters(pipeline, event->origin) && filled;
}

/* Who handed in what this process sends: itself, or who started it, if it is an MTA's sendmail. */
static struct sender *connected(const struct pipeline *pipeline, struct sender *sender)
{
	struct sender *submitter;

	if (!submitters_is_program(sender->image))
		return sender;
	submitter = pipeline->submitters ? submitters_of(pipeline->submitters, sender) : NULL;
	if (submitter)
		submitters_claim(pipeline->submitters, submitter);
	return submitter;
}

void origin_connection(struct pipeline *pipeline, const struct event *event)
{
	static const uint8_t loopback4[13] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127},
			     loopback6[16] = {[15] = 1};
	const uint8_t *to = event->destination.addr;
	bool here = memcmp(to, loopback4, sizeof(loopback4)) == 0 ||
		    memcmp(to, loopback6, sizeof(loopback6)) == 0 ||
		    memcmp(to, event->source.addr, 16) == 0;
	struct sender *sender;
	struct span queue_id = origin_queue_id(event->transaction);

	if (!here || event->sender_count != 1 || !queue_id.len)
		return;
	sender = event->senders[0];
	if (!pipeline->submissions)
		pipeline->submissions = submissions_new();
	if (pipeline->submissions)
		submissions_add(pipeline->submissions, queue_id, sender,
				connected(pipeline, sender),
				sender->task.ns_user == pipeline->own.user, event->id);
}
