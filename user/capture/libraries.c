/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation. First the kernel is asked to report mappings (mmap_events.h), then what
 * exists is looked at, so that nothing is missed in between: the libraries that ld.so.cache names,
 * mapped or not, then all mappings of all processes. From then on the thread sleeps until something
 * is mapped as executable.
 *
 * Every CHECK_NS it checks whether the libraries are still there and unchanged. If a library's
 * process has ended, or the kernel could not report a mapping, all processes are looked at again.
 * That is also done once in a while, in case something was overlooked. Scans take at most one part
 * in SCAN_SHARE of the time, and between two processes what was mapped meanwhile is handled.
 *
 * The lock is held for one file at a time. So others who want to know what was found wait briefly.
 */
#include "capture/libraries.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/report.h"
#include "capture/ld_cache.h"
#include "capture/library_set.h"
#include "capture/mmap_events.h"
#include "capture/procfs.h"

#define START_NS	 100000000ULL	/* the start waits this long for the first libraries */
#define CHECK_NS	 1000000000ULL	/* between two checks */
#define SCAN_NS		 60000000000ULL /* between two scans without a reason; */
#define SCAN_BLIND_NS	 5000000000ULL	/* if the kernel reports no mappings */
#define SCAN_SHARE	 20U
#define FRESH_NS	 100000000ULL /* a file that was looked at is not looked at again */
#define MAPS_CHUNK	 65536U
#define MAPS_MAX	 (4U << 20) /* bytes of one process's list of mappings */
#define DESCRIPTORS_WANT 16384U
#define END_WAIT_S	 2 /* for a thread that hangs */
#define LIST_WAIT_NS	 200000000ULL
#define NS_PER_S	 1000000000ULL

struct libraries {
	struct libraries_programs given;
	struct libraries_programs programs; /* the same, but not after the end */
	pthread_t thread;
	pthread_mutex_t lock; /* of the set and `settled` */
	struct library_set *set;
	struct mmap_events *events; /* NULL: the kernel does not report mappings */
	struct pollfd *fds;	    /* room for all rings, and `wake` */
	int wake;
	atomic_bool ending;
	bool settled;	       /* all processes were looked at once */
	bool more;	       /* mappings wait that wake nobody */
	bool start_cut;	       /* not all of ld.so.cache was looked at before the thread began */
	struct stat cache;     /* of ld.so.cache when it was read */
	uint64_t start_by_ns;  /* until the start has waited long enough; 0: no limit */
	uint64_t fresh_ns;     /* files that were looked at since are not looked at again */
	uint64_t check_ns;     /* when the next check is due; */
	uint64_t scan_due_ns;  /* and the next scan without a reason */
	uint64_t scan_from_ns; /* the next scan, whatever its reason, begins no earlier */
};

static uint64_t now_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* ---- ld.so.cache ----------------------------------------------------------------------------- */

static void on_named(void *context, const char *path)
{
	struct libraries *libraries = context;

	if (libraries->start_by_ns && now_ns() >= libraries->start_by_ns) {
		libraries->start_cut = true;
		return;
	}
	pthread_mutex_lock(&libraries->lock);
	if (!libraries->ending)
		library_set_named(libraries->set, path);
	pthread_mutex_unlock(&libraries->lock);
}

/* Reads a file. Returns its content, to be freed, and its length; NULL: it cannot be read. */
static char *read_file(const char *path, struct stat *st, size_t *len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char *content = NULL;
	ssize_t n = -1;

	if (fd < 0)
		return NULL;
	if (!fstat(fd, st) && S_ISREG(st->st_mode) && st->st_size > 0 &&
	    st->st_size <= (off_t)LD_CACHE_MAX)
		content = malloc((size_t)st->st_size);
	if (content)
		n = pread(fd, content, (size_t)st->st_size, 0);
	close(fd);
	if (n < 0) {
		free(content);
		return NULL;
	}
	*len = (size_t)n;
	return content;
}

static void read_cache(struct libraries *libraries)
{
	size_t len = 0;
	char *content = read_file(LD_CACHE, &libraries->cache, &len);

	if (content)
		ld_cache_each((struct span){content, len}, on_named, libraries);
	free(content);
}

/* ldconfig writes a new file whenever packages have changed. */
static bool cache_changed(const struct libraries *libraries)
{
	struct stat now;

	return !stat(LD_CACHE, &now) && (now.st_ino != libraries->cache.st_ino ||
					 now.st_mtim.tv_sec != libraries->cache.st_mtim.tv_sec ||
					 now.st_mtim.tv_nsec != libraries->cache.st_mtim.tv_nsec);
}

/* ---- Processes ------------------------------------------------------------------------------- */

struct process {
	struct libraries *libraries;
	uint32_t pid;
};

static void on_event(void *context, uint32_t pid, const struct mapping *mapping)
{
	struct libraries *libraries = context;

	pthread_mutex_lock(&libraries->lock);
	if (!libraries->ending)
		library_set_mapped(libraries->set, pid, mapping, libraries->fresh_ns);
	pthread_mutex_unlock(&libraries->lock);
}

static void on_mapping(void *context, const struct mapping *mapping)
{
	struct process *process = context;

	on_event(process->libraries, process->pid, mapping);
}

static void drain(struct libraries *libraries)
{
	uint64_t before_ns = libraries->fresh_ns, lost = 0;

	if (!libraries->events)
		return;
	libraries->fresh_ns = now_ns() - FRESH_NS;
	libraries->more = mmap_events_drain(libraries->events, on_event, libraries, &lost);
	libraries->fresh_ns = before_ns;
	pthread_mutex_lock(&libraries->lock);
	library_set_lost(libraries->set, lost);
	pthread_mutex_unlock(&libraries->lock);
}

/* Goes through /proc/PID/maps piece by piece. */
static void read_maps(struct process *process, int fd, char *buffer)
{
	size_t len = 0, total = 0, used;
	ssize_t n;

	while (total < MAPS_MAX && (n = read(fd, buffer + len, MAPS_CHUNK - len)) > 0) {
		total += (size_t)n;
		len += (size_t)n;
		used = mapping_each(buffer, len, on_mapping, process);
		len -= used;
		memmove(buffer, buffer + used, len);
		if (len == MAPS_CHUNK)
			len = 0; /* no line is that long */
	}
}

static void scan_process(struct libraries *libraries, uint32_t pid, char *buffer)
{
	struct process process = {.libraries = libraries, .pid = pid};
	int dir = procfs_open(pid), fd;

	if (dir < 0)
		return;
	fd = openat(dir, "maps", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		read_maps(&process, fd, buffer);
		close(fd);
	}
	close(dir);
}

static void scan_processes(struct libraries *libraries)
{
	char *buffer = malloc(MAPS_CHUNK);
	DIR *proc = buffer ? opendir("/proc") : NULL;
	struct dirent *entry;

	while (proc && !libraries->ending && (entry = readdir(proc))) {
		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		scan_process(libraries, (uint32_t)strtoul(entry->d_name, NULL, 10), buffer);
		drain(libraries);
	}
	if (proc)
		closedir(proc);
	free(buffer);
}

static void scan(struct libraries *libraries)
{
	uint64_t began_ns = now_ns();

	pthread_mutex_lock(&libraries->lock);
	library_set_scan_begins(libraries->set);
	pthread_mutex_unlock(&libraries->lock);
	libraries->fresh_ns = began_ns;
	scan_processes(libraries);
	pthread_mutex_lock(&libraries->lock);
	if (!libraries->ending)
		library_set_drop_gone(libraries->set);
	libraries->settled = true;
	pthread_mutex_unlock(&libraries->lock);
	libraries->scan_from_ns = now_ns() + SCAN_SHARE * (now_ns() - began_ns);
	libraries->scan_due_ns = now_ns() + (libraries->events ? SCAN_NS : SCAN_BLIND_NS);
}

/* ---- The thread ------------------------------------------------------------------------------ */

static void check(struct libraries *libraries)
{
	uint32_t gone = 0;

	pthread_mutex_lock(&libraries->lock);
	if (!libraries->ending)
		gone = library_set_check(libraries->set);
	pthread_mutex_unlock(&libraries->lock);
	if (gone)
		libraries->scan_due_ns = 0;
	if (libraries->events)
		mmap_events_renew(libraries->events);
	if (cache_changed(libraries))
		read_cache(libraries);
	libraries->check_ns = now_ns() + CHECK_NS;
}

static bool wants_scan(struct libraries *libraries)
{
	bool wanted;

	if (now_ns() < libraries->scan_from_ns)
		return false;
	pthread_mutex_lock(&libraries->lock);
	wanted = library_set_wants_scan(libraries->set);
	pthread_mutex_unlock(&libraries->lock);
	return wanted || now_ns() >= libraries->scan_due_ns;
}

static void sleep_until_mapped(struct libraries *libraries)
{
	size_t count = 0;

	if (libraries->events)
		count = mmap_events_poll(libraries->events, libraries->fds,
					 mmap_events_fds_max(libraries->events));
	libraries->fds[count++] = (struct pollfd){.fd = libraries->wake, .events = POLLIN};
	poll(libraries->fds, count, libraries->more ? 0 : (int)(CHECK_NS / 1000000));
}

static void *work(void *context)
{
	struct libraries *libraries = context;

	if (libraries->start_cut)
		read_cache(libraries);
	while (!libraries->ending) {
		drain(libraries);
		if (now_ns() >= libraries->check_ns)
			check(libraries);
		if (wants_scan(libraries))
			scan(libraries);
		sleep_until_mapped(libraries);
	}
	return NULL;
}

/* ---- Beginning and end ----------------------------------------------------------------------- */

/* Each probe takes a descriptor; the limit at the start is often 1,024. */
static void raise_descriptor_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= DESCRIPTORS_WANT)
		return;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANT ? limit.rlim_max : DESCRIPTORS_WANT;
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void release(struct libraries *libraries)
{
	library_set_free(libraries->set);
	mmap_events_close(libraries->events);
	if (libraries->wake >= 0)
		close(libraries->wake);
	pthread_mutex_destroy(&libraries->lock);
	free(libraries->fds);
	free(libraries);
}

static int prepare(struct libraries *libraries)
{
	int error;

	libraries->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (libraries->wake < 0)
		return -errno;
	libraries->set = library_set_new(&libraries->programs);
	if (!libraries->set)
		return -errno;
	error = mmap_events_open(&libraries->events);
	if (error)
		report("new TLS libraries", "found by looking every %llu s: %s",
		       SCAN_BLIND_NS / NS_PER_S, strerror(-error));
	libraries->fds =
		calloc((libraries->events ? mmap_events_fds_max(libraries->events) : 0) + 1,
		       sizeof(libraries->fds[0]));
	return libraries->fds ? 0 : -ENOMEM;
}

/* Signals are for the main thread. */
static int start(struct libraries *libraries)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&libraries->thread, NULL, work, libraries);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -error;
}

/* A thread that hangs in a file system may go on when the programs are gone. */

static int give_program(void *context, enum tls_probe probe)
{
	struct libraries *libraries = context;

	return libraries->ending ? -ESHUTDOWN
				 : libraries->given.program(libraries->given.context, probe);
}

static int give_return_program(void *context)
{
	struct libraries *libraries = context;

	return libraries->ending ? -ESHUTDOWN
				 : libraries->given.return_program(libraries->given.context);
}

static int give_layout(void *context, enum tls_layer layer, const struct tls_layout *layouts,
		       uint32_t count)
{
	struct libraries *libraries = context;

	return libraries->ending
		       ? -ESHUTDOWN
		       : libraries->given.layout(libraries->given.context, layer, layouts, count);
}

struct libraries *libraries_new(const struct libraries_programs *programs)
{
	struct libraries *libraries = calloc(1, sizeof(*libraries));
	int error;

	if (!libraries)
		return NULL;
	libraries->given = *programs;
	libraries->programs = (struct libraries_programs){.program = give_program,
							  .return_program = give_return_program,
							  .layout = give_layout,
							  .plan = programs->plan,
							  .context = libraries};
	pthread_mutex_init(&libraries->lock, NULL);
	raise_descriptor_limit();
	error = prepare(libraries);
	if (!error) {
		libraries->start_by_ns = now_ns() + START_NS;
		read_cache(libraries);
		libraries->start_by_ns = 0;
		error = start(libraries);
	}
	if (!error)
		return libraries;
	release(libraries);
	errno = -error;
	return NULL;
}

/* A thread that hangs in a file system keeps what it uses. */
void libraries_free(struct libraries *libraries)
{
	const uint64_t one = 1;
	struct timespec until;

	if (!libraries)
		return;
	libraries->ending = true;
	if (write(libraries->wake, &one, sizeof(one)) < 0)
		libraries->ending = true; /* it was woken already */
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += END_WAIT_S;
	if (pthread_clockjoin_np(libraries->thread, NULL, CLOCK_MONOTONIC, &until))
		pthread_detach(libraries->thread);
	else
		release(libraries);
}

/* ---- What is known --------------------------------------------------------------------------- */

/* False: the thread has been busy for too long. */
static bool take_lock(struct libraries *libraries, uint64_t wait_ns)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	wait_ns += (uint64_t)until.tv_nsec;
	until.tv_sec += (time_t)(wait_ns / NS_PER_S);
	until.tv_nsec = (long)(wait_ns % NS_PER_S);
	return pthread_mutex_timedlock(&libraries->lock, &until) == 0;
}

size_t libraries_list(struct libraries *libraries, struct library_state *list, size_t max)
{
	size_t count;

	if (!take_lock(libraries, LIST_WAIT_NS))
		return 0;
	count = library_set_list(libraries->set, list, max);
	pthread_mutex_unlock(&libraries->lock);
	return count;
}

bool libraries_counts(struct libraries *libraries, struct libraries_counts *counts)
{
	*counts = (struct libraries_counts){};
	if (!take_lock(libraries, LIST_WAIT_NS))
		return false;
	*counts = library_set_counts(libraries->set);
	pthread_mutex_unlock(&libraries->lock);
	return true;
}

bool libraries_settle(struct libraries *libraries, uint64_t timeout_ns)
{
	const struct timespec pause = {.tv_nsec = 2000000};
	uint64_t until_ns = now_ns() + timeout_ns;
	bool settled = false;

	while (!settled && now_ns() < until_ns) {
		if (!take_lock(libraries, LIST_WAIT_NS))
			continue;
		settled = libraries->settled;
		pthread_mutex_unlock(&libraries->lock);
		if (!settled)
			nanosleep(&pause, NULL);
	}
	return settled;
}
