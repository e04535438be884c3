/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command explain: shows for each event of standard input, or of a recording, how it compares
 * with each criterion of the nearest exclusion, and with --all of the others. Nothing is counted: a
 * limit is shown for this message alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "base/text.h"
#include "capture/recording.h"
#include "capture/resolve.h"
#include "commands/commands.h"
#include "commands/event_lines.h"
#include "commands/explain_values.h"
#include "policy/decision.h"
#include "policy/facts_json.h"
#include "policy/relay_names.h"
#include "policy/verdict.h"
#include "watch/pipeline.h"

#define STEPS_MAX 10000000U

/* How an exclusion compares with the message. */
struct standing {
	const struct exclusion *exclusion;
	enum state states[CRITERION_COUNT];
	unsigned int asked, met;
	uint32_t distance; /* as an alert's nearest exclusion is chosen */
	size_t index;
};

struct explanation {
	struct sink sink;
	const struct policy *policy;
	struct pipeline *pipeline;
	struct relay_names *names;  /* for events; a recording contains its own */
	struct standing *standings; /* owned; one for each exclusion */
	bool all;		    /* show them all */
	struct text line;
};

static void put(struct explanation *explanation)
{
	text_add_string(&explanation->line, "\n");
	if (explanation->line.data)
		fputs(explanation->line.data, stdout);
	text_clear(&explanation->line);
}

static void compare(struct standing *standing, const struct exclusion *exclusion,
		    const struct facts *facts, const struct relay_names *names)
{
	struct surroundings surroundings = {.names = names, .steps = STEPS_MAX};
	struct criteria asks = exclusion_asks(exclusion);
	unsigned int written = criteria_count(exclusion_written(exclusion));

	*standing = (struct standing){.exclusion = exclusion};
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criteria_have(asks, (enum criterion)i))
			standing->states[i] =
				exclusion_state(exclusion, (enum criterion)i, facts, &surroundings);
		standing->asked += standing->states[i] != STATE_NOT_ASKED;
		standing->met += standing->states[i] == STATE_MET;
	}
	standing->distance =
		decision_distance(standing->asked - standing->met, written ? written : 1);
}

static int by_distance(const void *a, const void *b)
{
	const struct standing *first = a, *second = b;

	if (first->distance != second->distance)
		return first->distance < second->distance ? -1 : 1;
	return first->index < second->index ? -1 : 1;
}

/* "    failed   relay: expected 10.0.0.25; it is 10.0.0.26:25". */
static void explain_criterion(struct explanation *explanation, const struct standing *standing,
			      enum criterion criterion, const struct facts *facts)
{
	static const char *const words[] = {
		[STATE_MET] = "met", [STATE_FAILED] = "failed", [STATE_UNKNOWN] = "unknown"};
	enum state state = standing->states[criterion];
	struct text *line = &explanation->line;

	text_add_format(line, "    %-8s %s", words[state], criterion_name(criterion));
	if (state != STATE_MET) {
		text_add_string(line, ": expected ");
		explain_expected(line, standing->exclusion, criterion);
	}
	if (state == STATE_FAILED) {
		text_add_string(line, "; it is ");
		explain_actual(line, standing->exclusion, criterion, facts);
	} else if (state == STATE_UNKNOWN) {
		text_add_format(line, "; %s",
				explain_unknown(standing->exclusion, criterion, facts));
	}
	put(explanation);
}

/* What failed comes first, and what is met last. */
static void explain_exclusion(struct explanation *explanation, const struct standing *standing,
			      const struct facts *facts)
{
	static const enum state order[] = {STATE_FAILED, STATE_UNKNOWN, STATE_MET};

	text_add_string(&explanation->line, "  ");
	text_add_visible(&explanation->line, span_of(standing->exclusion->name));
	text_add_format(&explanation->line, ": %s, %u of %u met",
			standing->met == standing->asked ? "excludes it" : "does not exclude it",
			standing->met, standing->asked);
	put(explanation);
	for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++) {
		for (int j = 0; j < CRITERION_COUNT; j++) {
			if (standing->states[j] == order[i])
				explain_criterion(explanation, standing, (enum criterion)j, facts);
		}
	}
}

/* The nearest exclusion, and with --all the others, in the order of their distance. */
static void explain_all(struct explanation *explanation, const struct facts *facts,
			const struct relay_names *names)
{
	size_t count = explanation->policy->exclusion_count,
	       shown = explanation->all || !count ? count : 1;

	for (size_t i = 0; i < count; i++) {
		compare(&explanation->standings[i], &explanation->policy->exclusions[i], facts,
			names);
		explanation->standings[i].index = i;
	}
	qsort(explanation->standings, count, sizeof(*explanation->standings), by_distance);
	for (size_t i = 0; i < shown; i++)
		explain_exclusion(explanation, &explanation->standings[i], facts);
	if (!count)
		text_add_string(&explanation->line, "  no exclusion is configured");
	else if (shown < count)
		text_add_format(&explanation->line,
				"  %zu other exclusion%s not shown; add --all to see %s",
				count - shown, count - shown == 1 ? " is" : "s are",
				count - shown == 1 ? "it" : "them");
	else
		return;
	put(explanation);
}

/* Describes the message in one line. */
static void headline(struct explanation *explanation, const char *time, const struct facts *facts,
		     struct span executable)
{
	struct text *line = &explanation->line;

	text_add_format(line, "%s %s", time,
			facts->encrypted ? "encrypted session"
			: facts->session ? "session whose commands carry data"
					 : "message");
	if (facts->sender.data) {
		text_add_string(line, " from ");
		text_add_visible(line, facts->sender);
		text_add_format(line, " to %zu recipient%s", facts->recipient_count,
				facts->recipient_count == 1 ? "" : "s");
	}
	if (executable.data) {
		text_add_string(line, " by ");
		text_add_visible(line, executable);
	}
	if (facts->process_count && facts->processes[0].user.data) {
		text_add_string(line, " of user ");
		text_add_visible(line, facts->processes[0].user);
	}
	put(explanation);
}

/* ---- Events on standard input ---------------------------------------------------------------- */

static void resolve_names(struct explanation *explanation)
{
	for (size_t i = 0; i < explanation->policy->exclusion_count; i++) {
		const struct relays *relays = &explanation->policy->exclusions[i].relay;

		for (size_t j = 0; j < relays->count; j++) {
			const char *name = relays->items[j].name;
			struct relay_record *record = NULL;

			if (name && relay_names_due(explanation->names, name, 1))
				record = relay_resolve(name);
			if (record)
				relay_names_record(explanation->names, record);
			free(record);
		}
	}
}

static void explain_json(void *context, const json_t *event)
{
	struct span time = json_text_at(event, "@timestamp");
	struct explanation *explanation = context;
	struct facts facts;

	if (!facts_of_json(&facts, event))
		return;
	facts.clock_ns = 0; /* the names have just been resolved */
	text_add_visible(&explanation->line, time.data ? time : span_of("-"));
	headline(explanation, "", &facts, json_text_at(event, "process.executable"));
	explain_all(explanation, &facts, explanation->names);
	facts_free(&facts);
}

static int explain_input(struct explanation *explanation)
{
	resolve_names(explanation);
	return event_lines_read(stdin, "standard input", false, explain_json, explanation)
		       ? STATUS_DONE
		       : STATUS_FAILED;
}

/* ---- A recording ----------------------------------------------------------------------------- */

static int explain_event(struct sink *sink, const struct event *event)
{
	struct explanation *explanation = (struct explanation *)sink;
	struct facts facts;
	char time[TIME_LEN];

	if ((event->action != EVENT_MESSAGE && event->action != EVENT_ENCRYPTED &&
	     !event_commands_carry_data(event)) ||
	    event->provisional || !facts_of_event(&facts, event))
		return 0;
	text_time(time, event->time_ns);
	headline(explanation, time, &facts,
		 event->sender_count && event->senders[0]->image
			 ? span_of(event->senders[0]->image->executable)
			 : (struct span){NULL, 0});
	explain_all(explanation, &facts, pipeline_relay_names(explanation->pipeline));
	facts_free(&facts);
	return ferror(stdout) ? -EIO : 0;
}

static int on_record(void *context, const struct record *record)
{
	struct explanation *explanation = context;

	pipeline_tick(explanation->pipeline, record->time_ns);
	pipeline_record(explanation->pipeline, record);
	return pipeline_error(explanation->pipeline) != 0;
}

static int explain_recording(struct explanation *explanation, const char *path,
			     struct decider *decider)
{
	const struct filter everything = {.all = true};
	const struct pipeline_hooks hooks = {.context = NULL};
	char why[RECORDING_WHY_MAX];
	int error;

	explanation->sink.write = explain_event;
	explanation->pipeline = pipeline_new(&explanation->sink, &everything, &hooks);
	if (!explanation->pipeline) {
		report(path, "cannot explain: %s", strerror(ENOMEM));
		return STATUS_FAILED;
	}
	pipeline_exclude(explanation->pipeline, decider);
	error = recording_read(path, on_record, explanation, why);
	if (error)
		report(path, "%s", why);
	pipeline_finish(explanation->pipeline, "end of the recording");
	pipeline_free(explanation->pipeline);
	return error ? STATUS_FAILED : STATUS_DONE;
}

int command_explain(const struct options *options)
{
	struct explanation explanation = {.names = relay_names_new(), .all = options->filter.all};
	struct decider *decider;
	int status;

	if (!command_decider(options, &decider)) {
		relay_names_free(explanation.names);
		return STATUS_USAGE;
	}
	explanation.policy = decider_policy(decider);
	explanation.standings =
		calloc(explanation.policy->exclusion_count + 1, sizeof(*explanation.standings));
	status = !explanation.names || !explanation.standings ? STATUS_FAILED
		 : options->file ? explain_recording(&explanation, options->file, decider)
				 : explain_input(&explanation);
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		status = command_output_failed(errno ? -errno : -EIO);
	text_free(&explanation.line);
	free(explanation.standings);
	relay_names_free(explanation.names);
	decider_free(decider);
	return status;
}
