/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The command run: a live watch whose events go to the outputs of a configuration.
 *
 * A reload is all or nothing: the new configuration is read, what it needs is started beside what
 * runs, and only when all of it works does it replace the old one. If anything is wrong, the error
 * is reported and nothing changes. Reading, starting outputs and freeing the old configuration
 * happen in a thread of their own (watch/reload.c). Every SIGHUP reopens the files, whatever the
 * configuration says, because log rotation relies on it.
 */
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/config.h"
#include "base/clock.h"
#include "commands/commands.h"
#include "commands/options_filter.h"
#include "policy/decision.h"
#include "daemon/instance.h"
#include "watch/live.h"
#include "daemon/metrics.h"
#include "daemon/metrics_page.h"
#include "daemon/notify.h"
#include "daemon/run_state.h"
#include "output/outputs.h"
#include "base/report.h"

#define CONFIG_PATH "/etc/smtpsnoop/smtpsnoop.yaml"
#define LAST_NS	    5000000000ULL /* how long outputs may write at the end */
#define MAPS_S	    15		  /* interval between two counts of the kernel's tables */
#define LOSS_S	    60.0

struct daemon {
	const struct options *options;
	const char *path; /* NULL: there is no configuration file */
	struct decider *decider;
	struct outputs *outputs;
	struct metrics *metrics;
	struct run_state *run_state; /* NULL: no memory */
	struct latency latency;
	struct metrics_sample sample;
	struct capture_map maps[CAPTURE_MAPS_MAX];
	time_t maps_s; /* when the tables were counted (CLOCK_MONOTONIC) */
	struct text page;
	uint64_t lost; /* events that outputs lost and that no event has reported yet */
	double lost_told_s;
};

static double monotonic_s(void)
{
	return (double)clock_ns(CLOCK_MONOTONIC) / 1e9;
}

/* ---- Configuration --------------------------------------------------------------------------- */

static bool has_name(const struct config *config, const char *name)
{
	for (size_t i = 0; i < config->output_count; i++) {
		if (config->outputs[i].type != OUTPUT_STDOUT &&
		    strcmp(config->outputs[i].name, name) == 0)
			return true;
	}
	return false;
}

/*
 * Adds standard output if the command line asks for it, or if there is no other output. False if
 * there is no memory.
 */
static bool add_stdout(struct config *config, const struct options *options)
{
	struct output_config output = {.type = OUTPUT_STDOUT,
				       .format = options->output_given ? options->output
								       : FORMAT_JSON,
				       .queue_bytes = OUTPUT_QUEUE};
	struct output_config *grown;

	if (!options->output_given && config->output_count)
		return true;
	for (size_t i = 0; i < config->output_count; i++) {
		if (config->outputs[i].type == OUTPUT_STDOUT) {
			config->outputs[i].format = output.format;
			return true;
		}
	}
	grown = realloc(config->outputs, (config->output_count + 1) * sizeof(*grown));
	output.name = strdup("stdout");
	if (!grown || !output.name) {
		free(output.name);
		config->outputs = grown ? grown : config->outputs;
		return false;
	}
	grown[config->output_count++] = output;
	config->outputs = grown;
	return true;
}

/*
 * Reads the configuration. NULL if that failed; the error was reported, followed by `otherwise`,
 * unless it was stopped.
 */
static struct decider *read_config(struct daemon *daemon, const atomic_bool *stop,
				   const char *otherwise)
{
	const struct config_terms terms = {.trusted = true, .stop = stop};
	char error[CONFIG_ERROR_MAX];
	struct decider *decider;
	struct config *config;

	if (!daemon->path && access(CONFIG_PATH, F_OK) == 0)
		daemon->path = CONFIG_PATH;
	config = config_load(daemon->path, &terms, error);
	if (!config && !(stop && atomic_load(stop)))
		report(NULL, "%s%s", error, otherwise);
	if (!config)
		return NULL;
	if (daemon->options->output_given && config->output_count == OUTPUTS_MAX) {
		report("-o", "the configuration already has %u outputs, the maximum%s", OUTPUTS_MAX,
		       otherwise);
		config_free(config);
		return NULL;
	}
	if (daemon->options->output_given && has_name(config, "stdout")) {
		report("-o", "the configuration already has an output named stdout%s", otherwise);
		config_free(config);
		return NULL;
	}
	decider = add_stdout(config, daemon->options) ? config_decider(config) : NULL;
	if (!decider) {
		config_free(config);
		report("run", "%s%s", strerror(ENOMEM), otherwise);
	}
	return decider;
}

static void tell_config(const struct daemon *daemon, const char *what)
{
	const struct config *config = config_of(daemon->decider);

	report("run", "%s: %zu exclusion%s, %zu output%s%s%s", what, config->policy.exclusion_count,
	       config->policy.exclusion_count == 1 ? "" : "s", config->output_count,
	       config->output_count == 1 ? "" : "s",
	       config->metrics.port || config->metrics.textfile ? ", metrics" : "",
	       daemon->path ? "" : "; no configuration file");
}

/* ---- Reloading ------------------------------------------------------------------------------- */

static const char otherwise[] = "; the old configuration stays in force";

/* A configuration that was read, with what it needs and what did not run yet. */
struct fresh {
	struct decider *decider; /* owned; the old one, after it was taken. NULL: it was refused */
	struct metrics_started metrics;
	struct output *outputs[OUTPUTS_MAX];
	double start_s;
	bool answered; /* the loop took or refused it */
	bool taken;
};

static void on_hangup(void *context)
{
	outputs_reopen(((struct daemon *)context)->outputs);
}

/*
 * Starts what the configuration needs. The one in force cannot change meanwhile: only take() does
 * that. False if something cannot be started: the error was reported, and nothing was.
 */
static bool prepare(struct daemon *daemon, struct fresh *fresh)
{
	const struct config *old = config_of(daemon->decider), *config = config_of(fresh->decider);
	char why[OUTPUTS_WHY_MAX > METRICS_WHY_MAX ? OUTPUTS_WHY_MAX : METRICS_WHY_MAX] = "";

	if (metrics_prepare(daemon->metrics, &old->metrics, &config->metrics, &fresh->metrics,
			    why)) {
		report("run", "%s%s", why, otherwise);
		return false;
	}
	if (outputs_prepare(daemon->outputs, config->outputs, config->output_count, fresh->outputs,
			    why)) {
		report("run", "%s%s", why, otherwise);
		metrics_drop(&fresh->metrics);
		return false;
	}
	return true;
}

/* In the thread. */
static void *read_again(void *context, const atomic_bool *stop)
{
	struct fresh *fresh = calloc(1, sizeof(*fresh));
	struct daemon *daemon = context;

	notify_reloading();
	if (!fresh) {
		report("run", "%s%s", strerror(ENOMEM), otherwise);
		return NULL;
	}
	fresh->start_s = monotonic_s();
	fresh->decider = read_config(daemon, stop, otherwise);
	if (fresh->decider && !prepare(daemon, fresh)) {
		decider_free(fresh->decider);
		fresh->decider = NULL;
	}
	return fresh;
}

/* In the thread. */
static void release(void *context, void *result)
{
	struct daemon *daemon = context;
	struct fresh *fresh = result;

	if (!fresh || fresh->answered)
		notify_ready();
	if (!fresh)
		return;
	if (fresh->decider && !fresh->taken) {
		outputs_drop(daemon->outputs, fresh->outputs);
		metrics_drop(&fresh->metrics);
	}
	decider_free(fresh->decider);
	free(fresh);
}

static void apply(struct daemon *daemon, struct pipeline *pipeline, struct fresh *fresh)
{
	const struct config *old = config_of(daemon->decider), *config = config_of(fresh->decider);

	metrics_take(daemon->metrics, &config->metrics, &fresh->metrics);
	outputs_take(daemon->outputs, config->outputs, config->output_count, fresh->outputs);
	if (config->hook != old->hook && daemon->options->hook == HOOK_AUTO)
		report("capture.hook", "the change takes effect when the daemon is restarted");
	if (config->tls != old->tls && daemon->options->tls)
		report("capture.tls", "the change takes effect when the daemon is restarted");
	pipeline_heartbeat(pipeline, config->heartbeat_s * 1000000000ULL);
	if (pipeline_join(pipeline, config->join_s * 1000000000ULL, (uint32_t)config->join_after))
		report("alerts", "%s; alike events are not joined", strerror(ENOMEM));
	decider_replace(daemon->decider, fresh->decider);
	tell_config(daemon, "configuration reloaded");
}

static bool take(void *context, struct pipeline *pipeline, void *result)
{
	struct daemon *daemon = context;
	struct fresh *fresh = result;
	bool good = fresh && fresh->decider;

	if (good)
		apply(daemon, pipeline, fresh);
	daemon->sample.reload_good = good;
	if (good) {
		daemon->sample.reloads++;
		daemon->sample.reloaded_s = time(NULL);
	} else {
		daemon->sample.reloads_failed++;
	}
	if (fresh) {
		daemon->sample.reload_s = monotonic_s() - fresh->start_s;
		fresh->answered = true;
		fresh->taken = good;
	}
	return good;
}

/* ---- While the watch runs -------------------------------------------------------------------- */

static void on_event(void *context, const struct event *event)
{
	struct daemon *daemon = context;
	struct timespec now;

	if (event->action == EVENT_STATUS)
		daemon->sample.heartbeat = event->sequence;
	if (event->action != EVENT_MESSAGE || event->provisional)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	latency_add(&daemon->latency,
		    (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - event->end_ns);
}

static void want_outputs(void *context, struct event *event)
{
	const struct daemon *daemon = context;
	size_t count = outputs_count(daemon->outputs);

	event->outputs = calloc(count + 1, sizeof(*event->outputs));
	for (size_t i = 0; event->outputs && i < count; i++) {
		const struct output *output = outputs_at(daemon->outputs, i);
		struct output_stats stats = output_stats(output);

		event->outputs[i] =
			(struct event_output){.name = strdup(output_config_of(output)->name),
					      .written = stats.written,
					      .lost = stats.lost,
					      .waiting = stats.waiting,
					      .up = stats.up};
		if (!event->outputs[i].name)
			break;
		event->output_count++;
	}
}

static void publish(struct daemon *daemon, struct pipeline *pipeline, struct capture *capture)
{
	struct metrics_sample *sample = &daemon->sample;
	time_t now = (time_t)monotonic_s();

	metrics_retry(daemon->metrics, &config_of(daemon->decider)->metrics);
	if (!metrics_wanted(daemon->metrics))
		return;
	if (!daemon->maps_s || now - daemon->maps_s >= MAPS_S) {
		sample->map_count = capture_maps(capture, daemon->maps);
		daemon->maps_s = now;
	}
	sample->stats = pipeline_stats(pipeline);
	sample->load = pipeline_load(pipeline);
	sample->health = pipeline_health(pipeline);
	sample->file_failures = metrics_file_failures(daemon->metrics);
	text_clear(&daemon->page);
	metrics_page(&daemon->page, sample);
	if (!daemon->page.failed)
		metrics_publish(daemon->metrics,
				(struct span){daemon->page.data, daemon->page.len});
	daemon->page.failed = false;
}

static void tell_manager(struct daemon *daemon, const struct pipeline *pipeline)
{
	const struct event_stats *stats = pipeline_stats(pipeline);
	size_t down = 0;

	for (size_t i = 0; i < outputs_count(daemon->outputs); i++)
		down += !output_stats(outputs_at(daemon->outputs, i)).up;
	notify_alive("%llu messages, %llu alerts, %llu events lost; %zu of %zu outputs fail%s%s",
		     (unsigned long long)stats->messages, (unsigned long long)stats->alerts,
		     (unsigned long long)stats->events_lost, down, outputs_count(daemon->outputs),
		     daemon->sample.reload_good ? "" : "; the configuration could not be reloaded",
		     pipeline_health(pipeline).impaired ? "; a hook does not work" : "");
}

/*
 * Writes an event about lost events: at once, then at most every LOSS_S, so that an output that is
 * down for long does not fill the other outputs.
 */
static void tell_lost(struct daemon *daemon, struct pipeline *pipeline, bool last)
{
	double now_s = monotonic_s();

	daemon->lost += outputs_take_lost(daemon->outputs);
	if (!daemon->lost ||
	    (!last && daemon->lost_told_s > 0 && now_s - daemon->lost_told_s < LOSS_S))
		return;
	pipeline_lost(pipeline, daemon->lost);
	daemon->lost = 0;
	daemon->lost_told_s = now_s;
}

static void on_round(void *context, struct pipeline *pipeline, struct capture *capture)
{
	struct daemon *daemon = context;

	if (daemon->run_state)
		run_state_alive(daemon->run_state);
	outputs_look(daemon->outputs);
	tell_lost(daemon, pipeline, false);
	publish(daemon, pipeline, capture);
	tell_manager(daemon, pipeline);
}

static void previous_run(void *context, struct run_record *record)
{
	const struct daemon *daemon = context;

	record->end = RUN_UNKNOWN;
	if (daemon->run_state)
		run_state_previous(daemon->run_state, record);
}

static void on_ready(void *context, const struct capture *capture)
{
	struct daemon *daemon = context;
	char what[120];

	snprintf(what, sizeof(what), "watching with %s hooks%s", hook_name(capture_hook(capture)),
		 capture_wire(capture) ? " and the wire" : "");
	tell_config(daemon, what);
	if (daemon->run_state)
		run_state_begin(daemon->run_state);
	notify_ready();
}

static void on_end(void *context, struct pipeline *pipeline)
{
	notify_stopping();
	tell_lost(context, pipeline, true);
}

/* ---- The command ----------------------------------------------------------------------------- */

static int watch(struct daemon *daemon)
{
	static const struct live_reload reload = {.on_hangup = on_hangup,
						  .read = read_again,
						  .take = take,
						  .release = release};
	const struct options *options = daemon->options;
	const struct config *config = config_of(daemon->decider);
	struct live_options live = {
		.capture = {.hook = options->hook != HOOK_AUTO ? options->hook : config->hook,
			    .wire = options->wire,
			    .tls = options->tls && config->tls},
		.filter = options->filter,
		.count = options->count,
		.duration_ns = options->duration_ns,
		.decider = daemon->decider,
		.reload = &reload,
		.on_event = on_event,
		.previous_run = previous_run,
		.on_ready = on_ready,
		.on_round = on_round,
		.on_end = on_end,
		.want_outputs = want_outputs,
		.heartbeat_ns = config->heartbeat_s * 1000000000ULL,
		.join_ns = config->join_s * 1000000000ULL,
		.join_after = (uint32_t)config->join_after,
		.context = daemon,
	};
	enum live_end end;
	int error = 0, status;

	live.filter.all = true; /* the outputs get all events */
	live.filter.count = options->count;
	daemon->run_state = run_state_open();
	status = live_run(&live, outputs_sink(daemon->outputs), &end, &error);
	run_state_close(daemon->run_state, !status);
	return status || error ? STATUS_FAILED : STATUS_DONE;
}

static int start(struct daemon *daemon)
{
	const struct config *config = config_of(daemon->decider);
	char why[INSTANCE_WHY_MAX], refused[OUTPUTS_WHY_MAX];

	if (instance_lock(why)) {
		report("run", "%s", why);
		return STATUS_FAILED;
	}
	daemon->outputs = outputs_new();
	daemon->metrics = metrics_new();
	if (!daemon->outputs || !daemon->metrics) {
		report("run", "%s", strerror(ENOMEM));
		return STATUS_FAILED;
	}
	daemon->sample = (struct metrics_sample){.decider = daemon->decider,
						 .outputs = daemon->outputs,
						 .latency = &daemon->latency,
						 .maps = daemon->maps,
						 .reloaded_s = time(NULL),
						 .reload_good = true};
	if (outputs_configure(daemon->outputs, config->outputs, config->output_count, refused)) {
		report("run", "%s", refused);
		return STATUS_FAILED;
	}
	/* the result does not matter: whoever holds its port must not prevent the start */
	metrics_retry(daemon->metrics, &config->metrics);
	return watch(daemon);
}

int command_run(const struct options *options)
{
	struct daemon daemon = {.options = options, .path = options->config};
	sigset_t signals;
	int status;

	if (!command_privileged("run"))
		return STATUS_FAILED;
	if (filter_check_host(&options->filter))
		return STATUS_USAGE;
	/*
	 * A signal that arrives before the watch runs must wait for it: SIGHUP would end the
	 * process.
	 */
	sigemptyset(&signals);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	daemon.decider = read_config(&daemon, NULL, "");
	if (!daemon.decider)
		return STATUS_USAGE;
	status = start(&daemon);
	outputs_free(daemon.outputs, LAST_NS);
	metrics_free(daemon.metrics);
	decider_free(daemon.decider);
	text_free(&daemon.page);
	return status;
}
