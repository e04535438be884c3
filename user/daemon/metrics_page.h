/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The page of metrics: everything that the daemon counts, in the text format of Prometheus (version
 * 0.0.4).
 */
#ifndef SMTPSNOOP_METRICS_PAGE_H
#define SMTPSNOOP_METRICS_PAGE_H

#include "capture/capture.h"
#include "policy/decision.h"
#include "event/event.h"
#include "output/outputs.h"
#include "watch/pipeline.h"
#include "base/text.h"

#define LATENCY_BUCKETS 9U

/*
 * A histogram of the time from the end of a transaction until its event is passed to the outputs.
 */
struct latency {
	uint64_t counts[LATENCY_BUCKETS + 1]; /* the last bucket: above all bounds */
	double sum_s;
};

void latency_add(struct latency *latency, int64_t late_ns);

struct metrics_sample {
	const struct event_stats *stats;
	struct pipeline_load load;
	struct pipeline_health health;
	const struct decider *decider; /* NULL: no configuration */
	const struct outputs *outputs;
	const struct latency *latency;
	const struct capture_map *maps;
	size_t map_count;
	uint64_t file_failures; /* failures to write the text file */
	uint64_t reloads, reloads_failed;
	int64_t reloaded_s; /* when the configuration in force was read; seconds since 1970 */
	double reload_s;    /* how long reading and applying it took */
	bool reload_good;   /* the last attempt succeeded */
	uint64_t heartbeat; /* sequence number of the last status event */
};

/* Appends the page. */
void metrics_page(struct text *out, const struct metrics_sample *sample);

#endif
