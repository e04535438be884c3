/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command explain: shows for each event of standard input, or of a recording, how it compares
 * with each criterion of each exclusion. Nothing is counted: a limit is shown for this message
 * alone.
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
#include "policy/facts_json.h"
#include "policy/relay_names.h"
#include "policy/verdict.h"
#include "watch/pipeline.h"

#define STEPS_MAX 10000000U

struct explanation {
	struct sink sink;
	const struct policy *policy;
	struct pipeline *pipeline;
	struct relay_names *names; /* for events; a recording contains its own */
	struct text line;
};

static void put(struct explanation *explanation)
{
	text_add_string(&explanation->line, "\n");
	if (explanation->line.data)
		fputs(explanation->line.data, stdout);
	text_clear(&explanation->line);
}

/* Writes "  met      process.user" for each criterion that is evaluated. */
static void explain_exclusion(struct explanation *explanation, const struct exclusion *exclusion,
			      const struct facts *facts, const struct relay_names *names)
{
	static const char *const words[] = {
		[STATE_MET] = "met", [STATE_FAILED] = "failed", [STATE_UNKNOWN] = "unknown"};
	struct surroundings surroundings = {.names = names, .steps = STEPS_MAX};
	uint32_t asks = exclusion_asks(exclusion);
	enum state states[CRITERION_COUNT] = {STATE_NOT_ASKED};
	unsigned int asked = 0, met = 0;

	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (asks & 1U << i)
			states[i] =
				exclusion_state(exclusion, (enum criterion)i, facts, &surroundings);
		asked += states[i] != STATE_NOT_ASKED;
		met += states[i] == STATE_MET;
	}
	text_add_string(&explanation->line, "  ");
	text_add_visible(&explanation->line, span_of(exclusion->name));
	text_add_format(&explanation->line, ": %s, %u of %u met",
			met == asked ? "excludes it" : "does not exclude it", met, asked);
	put(explanation);
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (states[i] == STATE_NOT_ASKED)
			continue;
		text_add_format(&explanation->line, "    %-8s %s", words[states[i]],
				criterion_name((enum criterion)i));
		put(explanation);
	}
}

static void explain_all(struct explanation *explanation, const struct facts *facts,
			const struct relay_names *names)
{
	for (size_t i = 0; i < explanation->policy->exclusion_count; i++)
		explain_exclusion(explanation, &explanation->policy->exclusions[i], facts, names);
	if (!explanation->policy->exclusion_count) {
		text_add_string(&explanation->line, "  no exclusion is configured");
		put(explanation);
	}
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
	struct explanation explanation = {.names = relay_names_new()};
	struct decider *decider;
	int status;

	if (!command_decider(options, &decider)) {
		relay_names_free(explanation.names);
		return STATUS_USAGE;
	}
	explanation.policy = decider_policy(decider);
	status = !explanation.names ? STATUS_FAILED
		 : options->file    ? explain_recording(&explanation, options->file, decider)
				    : explain_input(&explanation);
	errno = 0;
	if (fflush(stdout) || ferror(stdout))
		status = command_output_failed(errno ? -errno : -EIO);
	text_free(&explanation.line);
	relay_names_free(explanation.names);
	decider_free(decider);
	return status;
}
