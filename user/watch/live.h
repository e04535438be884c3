/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* A live watch: capture, enrichment, pipeline and an output, in one loop. */
#ifndef SMTPSNOOP_LIVE_H
#define SMTPSNOOP_LIVE_H

#include "capture/capture.h"
#include "policy/filter.h"
#include "watch/pipeline.h"
#include "watch/reload.h"

struct libraries;
struct recording;

/* What SIGHUP does. Each function gets live_options.context. */
struct live_reload {
	void (*on_hangup)(void *context); /* at each SIGHUP, at once; may be NULL */
	/* These two as in reload.h: in a thread of their own. */
	void *(*read)(void *context, const atomic_bool *stop);
	void (*release)(void *context, void *result);
	/*
	 * Takes over what was read: true if the decider has a new configuration. `result` then
	 * holds the old one, which is released. It may be NULL. Must be fast.
	 */
	bool (*take)(void *context, struct pipeline *pipeline, void *result);
};

struct live_options {
	struct capture_options capture;
	struct filter filter;
	uint64_t count;			  /* end after that many messages; 0: never */
	uint64_t duration_ns;		  /* 0: never */
	struct decider *decider;	  /* borrowed; NULL: nothing is excluded */
	struct recording *recording;	  /* borrowed; NULL: none */
	const struct live_reload *reload; /* borrowed; NULL: SIGHUP ends the watch */
	void (*on_event)(void *context, const struct event *event); /* NULL: none */
	/* Fills in what is known of the previous run, up to the record's time; may be NULL. */
	void (*previous_run)(void *context, struct run_record *record);
	/* Called when capture is on; may be NULL. */
	void (*on_ready)(void *context, const struct capture *capture);
	/*
	 * Called at the end with the TLS libraries that were found, while they are still attached;
	 * NULL: this watch looks for none. May be NULL.
	 */
	void (*on_libraries)(void *context, struct libraries *libraries);
	void (*on_round)(void *context, struct pipeline *pipeline,
			 struct capture *capture); /* called every second; may be NULL */
	void (*on_end)(void *context,
		       struct pipeline *pipeline); /* called when the end begins; may be NULL */
	void (*want_outputs)(void *context, struct event *event); /* as of pipeline_hooks */
	uint64_t heartbeat_ns;					  /* 0: no status events */
	uint64_t join_ns; /* alike events are joined for this long (pipeline_join()); 0: never */
	uint32_t join_after;
	bool pace; /* bound what one connection or user writes (pipeline_pace()) */
	void *context;
};

enum live_end {
	LIVE_SIGNAL,	/* SIGINT or SIGTERM */
	LIVE_COUNT,	/* enough messages */
	LIVE_DURATION,	/* enough time */
	LIVE_SINK,	/* the output failed for good */
	LIVE_RECORDING, /* the recording failed for good */
	LIVE_SIZE,	/* the recording has reached its size */
};

/*
 * Watches until a signal, the count or the duration ends it, then processes what was captured.
 * Returns 0, or a negative errno if it could not start (reported). *end says why it ended, *error
 * holds the errno of a failed output.
 */
int live_run(const struct live_options *options, struct sink *sink, enum live_end *end, int *error);

/* Ends a running watch as SIGTERM would. May be called from on_event(). */
void live_stop(void);

#endif
