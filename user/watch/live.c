/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: one loop in one thread. The enricher has its own thread, and so has the
 * reading of a new configuration (reload.c).
 *
 * The ring is drained on a timer. After a drain that found records, the next one follows in
 * SLEEP_MIN_MS. Each empty drain doubles the pause, up to SLEEP_MAX_MS; that is the cost of an idle
 * host. If a ring fills faster, the kernel side wakes the reader.
 *
 * The hooks are attached before /proc is read, so that a process which starts in between is seen at
 * least once. What /proc says never overrides what an exec reported.
 */
#include "watch/live.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/boot.h"
#include "base/clock.h"
#include "capture/connections.h"
#include "capture/enrich.h"
#include "capture/libraries.h"
#include "capture/recording.h"
#include "capture/selfcheck.h"
#include "base/report.h"
#include "capture/snapshot.h"

#define SLEEP_MIN_MS  2
#define NICE	      (-10) /* nine times the weight of a process with nice 0 */
#define SLEEP_MAX_MS  100
#define LOOK_ROUND_NS 1000000000ULL /* losses and the clock are checked this often */
/* After a reload, no other one starts for this many times what it took of the loop's time */
#define RELOAD_REST    4U
#define CLOCK_STEP_NS  1000000LL    /* smaller changes of the wall clock are not recorded */
#define FINISH_WAIT_NS 500000000ULL /* at the end, wait this long for names and hashes */

struct live {
	const struct live_options *options;
	struct capture *capture;
	struct selfcheck *selfcheck;
	struct enricher *enricher;
	struct libraries *libraries; /* NULL: the text of TLS sessions is not read */
	struct pipeline *pipeline;
	struct sink *sink;
	int signals;
	struct reload *reload; /* NULL: SIGHUP ends the watch */
	bool reload_wanted;    /* a SIGHUP came after the reading in progress had begun */
	uint64_t reload_ns;    /* the next reload starts no earlier than this */
	int64_t realtime_offset_ns;
	uint64_t counters[COUNTER_MAX];
	int recording_error;
};

static bool stop_requested;

void live_stop(void)
{
	stop_requested = true;
}

/* ---- What the pipeline asks for -------------------------------------------------------------- */

static void want_user(void *context, uint32_t uid)
{
	enricher_request_user(((struct live *)context)->enricher, uid);
}

static void want_group(void *context, uint32_t gid)
{
	enricher_request_group(((struct live *)context)->enricher, gid);
}

static void want_hash(void *context, struct image *image, uint32_t pid)
{
	enricher_request_hash(((struct live *)context)->enricher, image, pid);
}

static void want_cgroup(void *context, uint32_t pid, uint64_t start_ns)
{
	enricher_request_cgroup(((struct live *)context)->enricher, pid, start_ns);
}

static void want_accounts(void *context, uint32_t pid, uint64_t start_ns, uint32_t uid,
			  uint32_t gid)
{
	enricher_request_accounts(((struct live *)context)->enricher, pid, start_ns, uid, gid);
}

static void want_activation(void *context, uint32_t pid, uint64_t start_ns, const char *unit)
{
	enricher_request_activation(((struct live *)context)->enricher, pid, start_ns, unit);
}

static void want_relay(void *context, const char *name)
{
	enricher_request_relay(((struct live *)context)->enricher, name);
}

static void pass_on(void *context, const struct record *record)
{
	pipeline_record(((struct live *)context)->pipeline, record);
}

static void pass_captured(void *context, const struct record *record)
{
	if (!selfcheck_take(((struct live *)context)->selfcheck, record))
		pass_on(context, record);
}

static void want_process(void *context, uint32_t pid, uint64_t start_ns)
{
	snapshot_process(pid, start_ns, pass_on, context);
}

static void on_record(void *context, const struct record *record)
{
	struct live *live = context;

	if (live->options->recording && !live->recording_error)
		live->recording_error = recording_write(live->options->recording, record);
}

static void want_outputs(void *context, struct event *event)
{
	struct live *live = context;

	if (live->options->want_outputs)
		live->options->want_outputs(live->options->context, event);
}

static void on_event(void *context, const struct event *event)
{
	struct live *live = context;

	if (live->options->on_event)
		live->options->on_event(live->options->context, event);
}

/* ---- TLS libraries --------------------------------------------------------------------------- */

static int tls_program(void *context, enum tls_probe probe)
{
	return capture_tls_program(((struct live *)context)->capture, probe);
}

static int tls_return_program(void *context)
{
	return capture_tls_return_program(((struct live *)context)->capture);
}

static int tls_layout(void *context, enum tls_layer layer, const struct tls_layout *layouts,
		      uint32_t count)
{
	return capture_tls_layout(((struct live *)context)->capture, layer, layouts, count);
}

/* Attaches the programs for TLS libraries, if they are loaded. */
static void open_libraries(struct live *live)
{
	const struct libraries_programs programs = {.program = tls_program,
						    .return_program = tls_return_program,
						    .layout = tls_layout,
						    .plan = plan_make,
						    .context = live};

	if (capture_tls_return_program(live->capture) < 0)
		return;
	live->libraries = libraries_new(&programs);
	if (!live->libraries)
		report("the text of TLS sessions is not read", "%s", strerror(errno));
}

/* ---- Records that user space makes ----------------------------------------------------------- */

static struct record header(uint32_t type, size_t len)
{
	return (struct record){.type = type,
			       .len = (uint32_t)len,
			       .time_ns = clock_ns(CLOCK_BOOTTIME)};
}

static void tell_clock(struct live *live)
{
	struct clock_record record = {.h = header(RECORD_CLOCK, sizeof(record))};
	int64_t change;

	record.realtime_offset_ns = (int64_t)(clock_ns(CLOCK_REALTIME) - record.h.time_ns);
	change = record.realtime_offset_ns - live->realtime_offset_ns;
	if (change > -CLOCK_STEP_NS && change < CLOCK_STEP_NS)
		return;
	live->realtime_offset_ns = record.realtime_offset_ns;
	pipeline_record(live->pipeline, &record.h);
}

static void tell_dropped(struct live *live)
{
	struct {
		struct dropped_record head;
		struct dropped_user users[DROPPED_USERS_MAX];
	} record;
	size_t count = capture_dropped(live->capture, record.users);

	if (!count)
		return;
	record.head.h =
		header(RECORD_DROPPED, sizeof(record.head) + count * sizeof(record.users[0]));
	record.head.count = (uint32_t)count;
	record.head.pad = 0;
	pipeline_record(live->pipeline, &record.head.h);
}

static void tell_losses(void *context)
{
	struct live *live = context;
	struct loss_record record = {.h = header(RECORD_LOSS, sizeof(record))};
	uint64_t counters[COUNTER_MAX];

	if (capture_counters(live->capture, counters))
		return;
	if (memcmp(counters, live->counters, sizeof(counters)) == 0)
		return;
	if (counters[COUNTER_PRESSURE_BYTES] != live->counters[COUNTER_PRESSURE_BYTES])
		tell_dropped(live);
	memcpy(live->counters, counters, sizeof(counters));
	for (size_t i = 0; i < COUNTER_MAX; i++)
		record.counters[i] = counters[i];
	pipeline_record(live->pipeline, &record.h);
}

static uint64_t process_lost(void *context)
{
	const struct live *live = context;
	uint64_t counters[COUNTER_MAX];

	/* what cannot be read may be more than before */
	return capture_counters(live->capture, counters) ? UINT64_MAX
							 : counters[COUNTER_PROCESS_LOST];
}

static uint32_t namespace_inode(const char *path)
{
	struct stat st;

	return stat(path, &st) ? 0 : (uint32_t)st.st_ino;
}

static void tell_host(struct live *live)
{
	char name[256] = "";
	struct host_record *record = calloc(1, sizeof(*record) + sizeof(name));

	if (!record)
		return;
	gethostname(name, sizeof(name) - 1);
	record->version = RECORD_VERSION;
	record->hook = capture_hook(live->capture);
	record->wire = (capture_wire(live->capture) ? HOST_WIRE : 0U) |
		       (capture_pages(live->capture) ? HOST_PAGES : 0U) |
		       (live->libraries ? HOST_TLS : 0U);
	record->ns_user = namespace_inode("/proc/self/ns/user");
	record->ns_pid = namespace_inode("/proc/self/ns/pid");
	record->ns_mnt = namespace_inode("/proc/self/ns/mnt");
	record->ns_net = namespace_inode("/proc/self/ns/net");
	boot_id(record->boot_id);
	record->name_len = (uint32_t)strlen(name);
	memcpy(record->name, name, record->name_len);
	record->h = header(RECORD_HOST, sizeof(*record) + record->name_len);
	pipeline_record(live->pipeline, &record->h);
	free(record);
}

/* How the previous run ended, if this one keeps account of that. */
static void tell_previous_run(struct live *live)
{
	struct run_record record = {.h = header(RECORD_RUN, sizeof(record))};

	if (!live->options->previous_run)
		return;
	live->options->previous_run(live->options->context, &record);
	pipeline_record(live->pipeline, &record.h);
}

/* ---- The loop -------------------------------------------------------------------------------- */

static size_t live_turn(struct live *live)
{
	size_t records = capture_drain(live->capture, pass_captured, live);
	struct record *result;

	while ((result = enricher_next(live->enricher))) {
		pipeline_record(live->pipeline, result);
		free(result);
		records++;
	}
	pipeline_tick(live->pipeline, clock_ns(CLOCK_BOOTTIME));
	if (live->sink->flush && !pipeline_error(live->pipeline))
		pipeline_flushed(live->pipeline, live->sink->flush(live->sink));
	return records;
}

static void live_wait(struct live *live, int timeout_ms)
{
	struct pollfd fds[] = {
		{.fd = capture_fd(live->capture), .events = POLLIN},
		{.fd = enricher_fd(live->enricher), .events = POLLIN},
		{.fd = live->signals, .events = POLLIN},
		{.fd = live->reload ? reload_fd(live->reload) : -1, .events = POLLIN},
	};

	capture_sleep(live->capture);
	poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
}

/* Exchanges the configuration for the one that was read. The old one is released in the thread. */
static void take_over(struct live *live, void *result)
{
	const struct live_options *options = live->options;

	if (options->reload->take(options->context, live->pipeline, result)) {
		pipeline_exclude(live->pipeline, options->decider);
		if (options->heartbeat_ns)
			pipeline_status(live->pipeline); /* reports the new configuration */
	}
	reload_done(live->reload, result);
}

/* One step of a reload. A SIGHUP while one is under way is done after it. */
static void live_reload(struct live *live)
{
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME);
	void *result;

	if (!live->reload)
		return;
	if (reload_take(live->reload, &result)) {
		take_over(live, result);
		live->reload_ns = clock_ns(CLOCK_BOOTTIME) +
				  RELOAD_REST * (clock_ns(CLOCK_BOOTTIME) - now_ns);
	}
	if (live->reload_wanted && now_ns >= live->reload_ns && reload_begin(live->reload))
		live->reload_wanted = false;
}

/*
 * True if an ending signal arrived. Drains all pending signals: SIGHUPs that arrive faster than a
 * reload takes must not delay the end or the capture.
 */
static bool signalled(struct live *live)
{
	const struct live_options *options = live->options;
	struct signalfd_siginfo info;
	bool end = false, hangup = false;

	while (read(live->signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			hangup = true;
		else
			end = true;
	}
	if (hangup && options->reload && options->reload->on_hangup)
		options->reload->on_hangup(options->context);
	live->reload_wanted = live->reload_wanted || hangup;
	return end;
}

static bool live_ended(struct live *live, uint64_t deadline_ns, enum live_end *end)
{
	uint64_t messages = pipeline_stats(live->pipeline)->messages;

	if (pipeline_error(live->pipeline))
		*end = LIVE_SINK;
	else if (live->recording_error)
		*end = recording_is_full(live->options->recording) ? LIVE_SIZE : LIVE_RECORDING;
	else if (live->options->count && messages >= live->options->count)
		*end = LIVE_COUNT;
	else if (deadline_ns && clock_ns(CLOCK_BOOTTIME) >= deadline_ns)
		*end = LIVE_DURATION;
	else if (stop_requested || signalled(live))
		*end = LIVE_SIGNAL;
	else
		return false;
	return true;
}

static enum live_end live_loop(struct live *live)
{
	uint64_t now_ns = clock_ns(CLOCK_BOOTTIME), round_ns = now_ns;
	uint64_t deadline_ns = live->options->duration_ns ? now_ns + live->options->duration_ns : 0;
	int sleep_ms = SLEEP_MIN_MS;
	enum live_end end;

	for (;;) {
		sleep_ms = live_turn(live)		 ? SLEEP_MIN_MS
			   : sleep_ms * 2 > SLEEP_MAX_MS ? SLEEP_MAX_MS
							 : sleep_ms * 2;
		selfcheck_turn(live->selfcheck);
		if (live_ended(live, deadline_ns, &end))
			return end;
		live_reload(live);
		if (clock_ns(CLOCK_BOOTTIME) - round_ns > LOOK_ROUND_NS) {
			round_ns = clock_ns(CLOCK_BOOTTIME);
			tell_losses(live);
			tell_clock(live);
			selfcheck_round(live->selfcheck);
			if (live->options->on_round)
				live->options->on_round(live->options->context, live->pipeline,
							live->capture);
		}
		live_wait(live, capture_has_more(live->capture) ? 0 : sleep_ms);
	}
}

/* Processes what was captured, and waits for missing names, within bounds. */
static void live_finish(struct live *live, enum live_end end)
{
	static const char *const reasons[] = {
		[LIVE_SIGNAL] = "signal",
		[LIVE_COUNT] = "count reached",
		[LIVE_DURATION] = "duration reached",
		[LIVE_SINK] = "the output failed",
		[LIVE_RECORDING] = "the recording failed",
		[LIVE_SIZE] = "size reached",
	};
	uint64_t until_ns = clock_ns(CLOCK_BOOTTIME) + FINISH_WAIT_NS;

	do {
		live_turn(live);
	} while (capture_has_more(live->capture) && clock_ns(CLOCK_BOOTTIME) < until_ns);
	while (pipeline_load(live->pipeline).held && clock_ns(CLOCK_BOOTTIME) < until_ns) {
		live_wait(live, SLEEP_MIN_MS);
		live_turn(live);
	}
	pipeline_finish(live->pipeline, reasons[end]);
	if (live->sink->finish && !pipeline_error(live->pipeline))
		pipeline_flushed(live->pipeline,
				 live->sink->finish(live->sink, pipeline_stats(live->pipeline)));
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

/* SIGHUP ends a watch whose terminal is gone, unless there is a configuration to read again. */
static int block_signals(bool reload)
{
	sigset_t set;

	signal(SIGPIPE, SIG_IGN); /* a closed pipe is an error of write() */
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	if (reload) {
		sigaddset(&set, SIGHUP);
		signal(SIGHUP, SIG_DFL); /* if it were ignored (nohup), it would not arrive */
	}
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
}

/*
 * Loading the programs used about 12 MB for the kernel's types. Returns what is free of it to the
 * host.
 */
static void give_back_memory(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}

static int open_reload(struct live *live)
{
	const struct live_reload *reload = live->options->reload;

	live->reload = reload_new(&(struct reload_work){.context = live->options->context,
							.read = reload->read,
							.release = reload->release});
	if (!live->reload)
		report("cannot watch", "no thread for the configuration: %s", strerror(errno));
	return live->reload ? 0 : -ENOMEM;
}

static int live_open(struct live *live)
{
	struct pipeline_hooks hooks = {
		.context = live,
		.want = {.context = live,
			 .user = want_user,
			 .group = want_group,
			 .hash = want_hash,
			 .cgroup = want_cgroup,
			 .accounts = want_accounts,
			 .activation = want_activation,
			 .process = want_process},
		.want_relay = want_relay,
		.want_counters = tell_losses,
		.process_lost = process_lost,
		.want_outputs = want_outputs,
		.on_record = live->options->recording ? on_record : NULL,
		.on_event = on_event,
	};
	char why[CAPTURE_WHY_MAX];
	int error;

	live->signals = block_signals(live->options->reload != NULL);
	if (live->signals < 0) {
		error = -errno;
		report("cannot watch", "no descriptor for signals: %s", strerror(-error));
		return error;
	}
	error = capture_open(&live->capture, &live->options->capture, why, NULL, 0, NULL);
	if (error) {
		report("cannot watch", "%s", why);
		return error;
	}
	give_back_memory();
	live->selfcheck = selfcheck_new(live->capture, pass_on, live);
	if (live->options->reload && open_reload(live))
		return -ENOMEM;
	live->enricher = enricher_new();
	live->pipeline = pipeline_new(live->sink, &live->options->filter, &hooks);
	if (live->selfcheck && live->enricher && live->pipeline &&
	    !(live->options->pace && pipeline_pace(live->pipeline)) &&
	    !pipeline_join(live->pipeline, live->options->join_ns, live->options->join_after)) {
		if (live->options->decider)
			pipeline_exclude(live->pipeline, live->options->decider);
		pipeline_heartbeat(live->pipeline, live->options->heartbeat_ns);
		return 0;
	}
	report("cannot watch", "%s", strerror(ENOMEM));
	return -ENOMEM;
}

/*
 * A flood also takes processor time from the reader. So this thread, and no other, gets a higher
 * priority, unless whoever started the program has chosen one.
 */
static void raise_priority(void)
{
	errno = 0;
	if (getpriority(PRIO_PROCESS, 0) == 0 && !errno)
		setpriority(PRIO_PROCESS, 0, NICE);
}

int live_run(const struct live_options *options, struct sink *sink, enum live_end *end, int *error)
{
	struct live live = {.options = options, .sink = sink, .signals = -1};
	int status = live_open(&live);

	stop_requested = false;
	if (!status) {
		open_libraries(&live); /* the hooks are attached: they see each ClientHello */
		tell_clock(&live);
		tell_previous_run(&live);
		tell_host(&live);
		snapshot_processes(pass_on, &live);
		if (capture_wire(live.capture)) /* otherwise flows have other keys */
			connections_read(pass_on, &live);
		if (capture_wire_why(live.capture)[0])
			report("no wire hook", "%s", capture_wire_why(live.capture));
		if (capture_tls_why(live.capture)[0])
			report("no probes in TLS libraries", "%s", capture_tls_why(live.capture));
		if (options->on_ready)
			options->on_ready(options->context, live.capture);
		raise_priority();
		*end = live_loop(&live);
		if (options->on_end)
			options->on_end(options->context, live.pipeline);
		live_finish(&live, *end);
		if (options->on_libraries)
			options->on_libraries(options->context, live.libraries);
		*error = *end == LIVE_RECORDING ? live.recording_error
						: pipeline_error(live.pipeline);
	}
	libraries_free(live.libraries);
	reload_free(live.reload);
	pipeline_free(live.pipeline);
	enricher_free(live.enricher);
	selfcheck_free(live.selfcheck);
	capture_close(live.capture);
	if (live.signals >= 0)
		close(live.signals);
	return status;
}
