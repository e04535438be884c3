/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command replay: passes a recording through the pipeline. The recording's clock is the only
 * one.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/report.h"
#include "capture/recording.h"
#include "commands/commands.h"
#include "policy/decision.h"
#include "watch/pipeline.h"

struct replay {
	const struct options *options;
	struct pipeline *pipeline;
	uint64_t end_ns;    /* --duration; 0: not known yet, or never */
	uint64_t decrypted; /* sessions under TLS whose plaintext is in the recording */
};

static int on_record(void *context, const struct record *record)
{
	struct replay *replay = context;

	if (!replay->end_ns && replay->options->duration_ns)
		replay->end_ns = record->time_ns + replay->options->duration_ns;
	if (replay->end_ns && record->time_ns > replay->end_ns)
		return 1;
	replay->decrypted += record->type == RECORD_TLS;
	pipeline_tick(replay->pipeline, record->time_ns);
	pipeline_record(replay->pipeline, record);
	if (pipeline_error(replay->pipeline))
		return 1;
	return replay->options->count &&
	       pipeline_stats(replay->pipeline)->messages >= replay->options->count;
}

/* A mistyped name matches nothing: that is said, because it looks like a host that never mails. */
static void tell_unmatched(const struct replay *replay)
{
	const struct filter *filter = &replay->options->filter;
	const struct event_stats *stats = pipeline_stats(replay->pipeline);

	if ((filter_selects(filter) || filter->where_count) &&
	    !(stats->messages | stats->encrypted | stats->sessions))
		report(replay->options->file, "nothing in it matches the filters");
}

static int replay_file(struct replay *replay, struct sink *sink)
{
	const char *path = replay->options->file;
	char why[RECORDING_WHY_MAX];
	int error = recording_read(path, on_record, replay, why);

	if (error)
		report(path, "%s", why);
	if (error && error != -EBADMSG)
		return STATUS_FAILED;
	if (error)
		pipeline_damaged(replay->pipeline);
	pipeline_finish(replay->pipeline, "end of the recording");
	if (!pipeline_error(replay->pipeline) && sink->finish)
		pipeline_flushed(replay->pipeline,
				 sink->finish(sink, pipeline_stats(replay->pipeline)));
	if (!pipeline_error(replay->pipeline) && sink->flush)
		pipeline_flushed(replay->pipeline, sink->flush(sink));
	if (pipeline_error(replay->pipeline))
		return command_output_failed(pipeline_error(replay->pipeline));
	tell_unmatched(replay);
	command_tell_decrypted(path, replay->decrypted);
	return error ? STATUS_FAILED : STATUS_DONE;
}

int command_replay(const struct options *options)
{
	const struct pipeline_hooks hooks = {.context = NULL};
	struct filter filter = options->filter;
	struct replay replay = {.options = options};
	struct decider *decider;
	struct sink *sink;
	int status = STATUS_FAILED;

	if (!command_decider(options, &decider))
		return STATUS_USAGE;
	filter.count = options->count;
	signal(SIGPIPE, SIG_IGN);
	sink = command_sink(options);
	if (sink)
		replay.pipeline = pipeline_new(sink, &filter, &hooks);
	if (replay.pipeline && decider)
		pipeline_exclude(replay.pipeline, decider);
	if (replay.pipeline)
		status = replay_file(&replay, sink);
	else
		report(options->file, "cannot replay: %s", strerror(ENOMEM));
	pipeline_free(replay.pipeline);
	decider_free(decider);
	if (sink)
		sink->free(sink);
	return status;
}
