/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "daemon/metrics_page.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/hook.h"

static const double bounds_s[LATENCY_BUCKETS] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5};

void latency_add(struct latency *latency, int64_t late_ns)
{
	/* the wall clock may have been set back */
	double late_s = late_ns > 0 ? (double)late_ns / 1e9 : 0;
	size_t bucket = 0;

	while (bucket < LATENCY_BUCKETS && late_s > bounds_s[bucket])
		bucket++;
	latency->counts[bucket]++;
	latency->sum_s += late_s;
}

/* ---- Lines ----------------------------------------------------------------------------------- */

static void family(struct text *out, const char *name, const char *type, const char *help)
{
	text_add_format(out, "# HELP smtpsnoop_%s %s\n# TYPE smtpsnoop_%s %s\n", name, help, name,
			type);
}

/* Appends a label; backslash, quote and line feed in its value are escaped. */
static void add_label(struct text *out, const char *label, const char *value)
{
	text_add_format(out, "{%s=\"", label);
	for (; *value; value++) {
		if (*value == '\n')
			text_add_string(out, "\\n");
		else if (*value == '\\' || *value == '"')
			text_add_format(out, "\\%c", *value);
		else
			text_add(out, (struct span){value, 1});
	}
	text_add_string(out, "\"}");
}

static void sample_of(struct text *out, const char *name, const char *label, const char *value,
		      uint64_t number)
{
	text_add_format(out, "smtpsnoop_%s", name);
	add_label(out, label, value);
	text_add_format(out, " %llu\n", (unsigned long long)number);
}

static void single(struct text *out, const char *name, const char *type, const char *help,
		   uint64_t number)
{
	family(out, name, type, help);
	text_add_format(out, "smtpsnoop_%s %llu\n", name, (unsigned long long)number);
}

static void single_real(struct text *out, const char *name, const char *type, const char *help,
			double number)
{
	family(out, name, type, help);
	text_add_format(out, "smtpsnoop_%s %.6f\n", name, number);
}

/* ---- Mail, sessions, losses ------------------------------------------------------------------ */

static void add_messages(struct text *out, const struct event_stats *stats)
{
	family(out, "messages_total", "counter", "Mail transactions that ended, by verdict.");
	sample_of(out, "messages_total", "verdict", "alert", stats->messages - stats->excluded);
	sample_of(out, "messages_total", "verdict", "excluded", stats->excluded);
	single(out, "alerts_total", "counter",
	       "Alerts: messages, encrypted sessions and sessions whose commands carry data that "
	       "no "
	       "exclusion covers.",
	       stats->alerts);
	single(out, "recipients_total", "counter", "Recipients of all messages.",
	       stats->recipients);
	single(out, "message_bytes_total", "counter", "Bytes of all messages.", stats->bytes);
	single(out, "sessions_total", "counter", "SMTP sessions that ended.", stats->sessions);
	single(out, "carrying_sessions_total", "counter",
	       "SMTP sessions whose commands carried data.", stats->carrying);
	single(out, "command_bytes_total", "counter",
	       "Bytes that commands carried and that no mail accounts for.", stats->command_bytes);
	single(out, "encrypted_sessions_total", "counter", "SMTP sessions that switched to TLS.",
	       stats->encrypted);
	single(out, "unattributed_messages_total", "counter", "Messages whose sender is unknown.",
	       stats->unattributed);
	single(out, "joined_events_total", "counter", "Events that are in a joined one.",
	       stats->joined);
	single(out, "records_total", "counter", "Records read from the kernel side.",
	       stats->records);
}

static void add_exclusions(struct text *out, const struct decider *decider)
{
	const struct policy *policy = decider ? decider_policy(decider) : NULL;

	if (!policy || !policy->exclusion_count)
		return;
	family(out, "excluded_messages_total", "counter", "Messages excluded by an exclusion.");
	for (size_t i = 0; i < policy->exclusion_count; i++)
		sample_of(out, "excluded_messages_total", "exclusion", policy->exclusions[i].name,
			  decider_passed(decider, i)->messages);
}

static void add_losses(struct text *out, const struct event_stats *stats)
{
	family(out, "lost_total", "counter", "What was lost or could not be read, by cause.");
	sample_of(out, "lost_total", "cause", "malformed_records", stats->records_malformed);
	sample_of(out, "lost_total", "cause", "flows", stats->flows_dropped);
	sample_of(out, "lost_total", "cause", "events", stats->events_lost);
	sample_of(out, "lost_total", "cause", "events_left_out", stats->events_left_out);
	sample_of(out, "lost_total", "cause", "contents", stats->content_refused);
	for (int i = 0; i < COUNTER_MAX; i++)
		sample_of(out, "lost_total", "cause", counter_name((enum counter)i),
			  stats->counters[i]);
}

static void add_health(struct text *out, const struct pipeline_health *health)
{
	family(out, "hook_working", "gauge",
	       "Whether the hooks are attached, and worked when they were last checked.");
	sample_of(out, "hook_working", "hook", "send", health->send);
	sample_of(out, "hook_working", "hook", "wire", health->wire);
	single(out, "self_check_possible", "gauge",
	       "Whether the last self-check could send itself a mail.", !health->unsent);
	single(out, "self_check_success_timestamp_seconds", "gauge",
	       "When every hook last passed a self-check.",
	       (uint64_t)(health->checked_ns / 1000000000));
}

static void add_latency(struct text *out, const struct latency *latency)
{
	uint64_t count = 0;

	family(out, "event_latency_seconds", "histogram",
	       "Time from the end of a mail transaction until its event is passed to the outputs.");
	for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
		count += latency->counts[i];
		text_add_format(out, "smtpsnoop_event_latency_seconds_bucket{le=\"%g\"} %llu\n",
				bounds_s[i], (unsigned long long)count);
	}
	count += latency->counts[LATENCY_BUCKETS];
	text_add_format(out, "smtpsnoop_event_latency_seconds_bucket{le=\"+Inf\"} %llu\n",
			(unsigned long long)count);
	text_add_format(out, "smtpsnoop_event_latency_seconds_sum %.6f\n", latency->sum_s);
	text_add_format(out, "smtpsnoop_event_latency_seconds_count %llu\n",
			(unsigned long long)count);
}

/* ---- Memory, processor time ------------------------------------------------------------------ */

static void add_load(struct text *out, const struct metrics_sample *sample)
{
	single(out, "flows", "gauge", "Flows that are watched.", sample->load.flows);
	single(out, "held_events", "gauge", "Events that wait for names and replies.",
	       sample->load.held);
	single(out, "processes", "gauge", "Processes whose executable is known.",
	       sample->load.processes);
	if (!sample->map_count)
		return;
	family(out, "map_entries", "gauge", "Entries in the kernel side's tables.");
	for (size_t i = 0; i < sample->map_count; i++)
		sample_of(out, "map_entries", "map", sample->maps[i].name, sample->maps[i].entries);
	family(out, "map_entries_limit", "gauge", "Most entries that a table can hold.");
	for (size_t i = 0; i < sample->map_count; i++)
		sample_of(out, "map_entries_limit", "map", sample->maps[i].name,
			  sample->maps[i].limit);
}

static void add_process(struct text *out)
{
	struct rusage usage;
	unsigned long pages = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%*u %lu", &pages) == 1)
		single(out, "resident_memory_bytes", "gauge", "Resident memory of the daemon.",
		       (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE));
	if (file)
		fclose(file);
	if (getrusage(RUSAGE_SELF, &usage) == 0)
		single_real(out, "cpu_seconds_total", "counter", "CPU time of the daemon.",
			    (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6 +
				    (double)usage.ru_stime.tv_sec +
				    (double)usage.ru_stime.tv_usec / 1e6);
}

/* ---- Outputs, configuration ------------------------------------------------------------------ */

static void output_family(struct text *out, const struct outputs *outputs, const char *name,
			  const char *type, const char *help,
			  uint64_t (*value)(const struct output_stats *stats))
{
	family(out, name, type, help);
	for (size_t i = 0; i < outputs_count(outputs); i++) {
		const struct output *output = outputs_at(outputs, i);
		struct output_stats stats = output_stats(output);

		sample_of(out, name, "output", output_config_of(output)->name, value(&stats));
	}
}

static uint64_t written(const struct output_stats *stats)
{
	return stats->written;
}

static uint64_t lost(const struct output_stats *stats)
{
	return stats->lost;
}

static uint64_t repeated(const struct output_stats *stats)
{
	return stats->repeated;
}

static uint64_t failures(const struct output_stats *stats)
{
	return stats->failures;
}

static uint64_t waiting(const struct output_stats *stats)
{
	return stats->waiting;
}

static uint64_t doubt(const struct output_stats *stats)
{
	return stats->doubt;
}

static uint64_t bytes(const struct output_stats *stats)
{
	return stats->bytes;
}

static uint64_t is_up(const struct output_stats *stats)
{
	return stats->up;
}

static void add_outputs(struct text *out, const struct outputs *outputs)
{
	if (!outputs_count(outputs))
		return;
	output_family(out, outputs, "output_events_total", "counter",
		      "Events that an output has written.", written);
	output_family(out, outputs, "output_lost_events_total", "counter",
		      "Events that an output lost: no room in its queue, too large, or refused by "
		      "the receiver's host.",
		      lost);
	output_family(out, outputs, "output_repeated_events_total", "counter",
		      "Events that an output sent again because they may not have been read.",
		      repeated);
	output_family(out, outputs, "output_failures_total", "counter",
		      "Attempts to open or write that failed.", failures);
	output_family(out, outputs, "output_waiting_events", "gauge",
		      "Events in an output's queue.", waiting);
	output_family(out, outputs, "output_doubt_events", "gauge",
		      "Events that were sent and are kept until they have surely been read.",
		      doubt);
	output_family(out, outputs, "output_queue_bytes", "gauge",
		      "Bytes that an output's events use, both waiting and in doubt.", bytes);
	output_family(out, outputs, "output_up", "gauge",
		      "Whether an output's last attempt succeeded.", is_up);
}

static void add_configuration(struct text *out, const struct metrics_sample *sample)
{
	family(out, "config_reloads_total", "counter",
	       "Attempts to reload the configuration, by result.");
	sample_of(out, "config_reloads_total", "result", "success", sample->reloads);
	sample_of(out, "config_reloads_total", "result", "failure", sample->reloads_failed);
	single(out, "config_last_reload_successful", "gauge", "Whether the last attempt succeeded.",
	       sample->reload_good);
	single(out, "config_last_reload_success_timestamp_seconds", "gauge",
	       "When the configuration in force was read.", (uint64_t)sample->reloaded_s);
	single_real(out, "config_last_reload_seconds", "gauge",
		    "How long reading and applying it took.", sample->reload_s);
	single(out, "textfile_failures_total", "counter",
	       "How often the text file of metrics could not be written.", sample->file_failures);
	single(out, "heartbeat_sequence", "gauge", "Sequence number of the last status event.",
	       sample->heartbeat);
}

void metrics_page(struct text *out, const struct metrics_sample *sample)
{
	family(out, "build_info", "gauge", "The program's version.");
	sample_of(out, "build_info", "version", VERSION, 1);
	add_messages(out, sample->stats);
	add_exclusions(out, sample->decider);
	add_losses(out, sample->stats);
	add_health(out, &sample->health);
	add_latency(out, sample->latency);
	add_load(out, sample);
	add_outputs(out, sample->outputs);
	add_configuration(out, sample);
	add_process(out);
}
