/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: requests wait in lanes, each with a thread, so that none holds another up: a
 * directory service may take its time, a hash does, and a process whose cgroup is asked for may end
 * soon. A thread takes a request, works on it without the lock, and puts it among the results; an
 * eventfd tells the reader. A request carries copies: no reference to an image or a sender leaves
 * the main thread. It also carries its result from the beginning, the one that says that nothing
 * was found, and so has one even if memory runs out.
 *
 * A hash is given only if it cannot be another file's. The file's device, inode, ctime and size are
 * those of the exec, before and after it is read. Who writes to a file sets its ctime; but the
 * clock of ctime stands still for a tick, so a file that was made within one tick of its exec could
 * be written again without a trace once the process has ended (while it runs, the kernel lets
 * nobody write). Such a file is hashed only if the process still runs it when it has been read. A
 * file system in user space can serve every reader something else: nothing on it is hashed. On
 * overlayfs and btrfs stat(2) reports another device than the superblock's, which is the one that
 * is seen at an exec: no hash there.
 *
 * The threads can hang in the kernel or in a name service. The end waits for them, but not for
 * long; what is shared is freed by the last one to leave.
 */
#include "capture/enrich.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <linux/magic.h>

#include <openssl/evp.h>

#include "capture/activation.h"
#include "base/clock.h"
#include "capture/procfs.h"
#include "capture/records.h"
#include "capture/resolve.h"

#define READ_SIZE	65536U
#define NAME_BUFFER	1024U	 /* to begin with */
#define NAME_BUFFER_MAX 1048576U /* a group may have many members */
#define PATH_SIZE	8192U
#define NS_PER_S	1000000000ULL
#define COARSE_NS	2000000000ULL /* of file systems whose times have no fraction of a second */
#define END_WAIT_S	2	      /* for a thread that hangs */

enum want { WANT_USER, WANT_GROUP, WANT_HASH, WANT_CGROUP, WANT_RELAY, WANT_ACTIVATION };
enum lane { LANE_NAMES, LANE_HASHES, LANE_CGROUPS, LANE_RELAYS, LANE_UNITS, LANE_COUNT };

/* What is sought, then what was found. */
struct request {
	struct request *next;
	enum want want;
	enum lane lane;
	uint32_t pid;	       /* of a hash or a cgroup */
	uint64_t exec_ns;      /* of a hash */
	struct record *record; /* owned; the result: "nothing found" until it is */
	char text[]; /* of a hash the executable, of a relay its name, of an activation the unit */
};

struct queue {
	struct request *first, *last;
};

struct worker {
	struct enricher *enricher;
	pthread_t thread;
	pthread_cond_t wanted;
	struct queue requests;
};

struct enricher {
	pthread_mutex_t lock;
	struct worker workers[LANE_COUNT];
	struct queue results;
	/* requests and results: a lane that hangs leaves the others their room */
	size_t outstanding[LANE_COUNT];
	unsigned int users; /* threads that have not left, the main one included */
	bool ending;
	int fd;
};

/* ---- Queues ---------------------------------------------------------------------------------- */

static void queue_put(struct queue *queue, struct request *request)
{
	request->next = NULL;
	*(queue->last ? &queue->last->next : &queue->first) = request;
	queue->last = request;
}

static struct request *queue_take(struct queue *queue)
{
	struct request *request = queue->first;

	if (request) {
		queue->first = request->next;
		if (!queue->first)
			queue->last = NULL;
	}
	return request;
}

static void queue_drop(struct queue *queue)
{
	struct request *request;

	while ((request = queue_take(queue))) {
		free(request->record);
		free(request);
	}
}

static bool is_ending(struct enricher *enricher)
{
	bool ending;

	pthread_mutex_lock(&enricher->lock);
	ending = enricher->ending;
	pthread_mutex_unlock(&enricher->lock);
	return ending;
}

/* ---- Names ----------------------------------------------------------------------------------- */

/*
 * One attempt with a buffer of this size: 0 and the name in it, -ERANGE if it is too small, or
 * -ENOENT.
 */
static int look_up(enum want want, uint32_t id, char *buffer, size_t size, const char **name)
{
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	int error;

	if (want == WANT_USER)
		error = getpwuid_r(id, &user, buffer, size, &found_user);
	else
		error = getgrgid_r(id, &group, buffer, size, &found_group);
	if (error)
		return error == ERANGE ? -ERANGE : -ENOENT;
	if (found_user)
		*name = found_user->pw_name;
	if (found_group)
		*name = found_group->gr_name;
	return *name && strlen(*name) <= RECORD_NAME_MAX ? 0 : -ENOENT;
}

/* Makes the record longer by the bytes of `data`. False if there is no memory; it is as it was. */
static bool extend(struct request *request, const char *data, size_t offset, size_t len)
{
	struct record *record = realloc(request->record, request->record->len + len);

	if (!record)
		return false;
	memset((char *)record + record->len, 0, len);
	memcpy((char *)record + offset, data, len);
	record->len += (uint32_t)len;
	request->record = record;
	return true;
}

static void find_name(struct request *request)
{
	const uint32_t id = ((struct name_record *)request->record)->id;
	const char *name = NULL;
	char *buffer = NULL;
	int error = -ERANGE;

	for (size_t size = NAME_BUFFER; error == -ERANGE && size <= NAME_BUFFER_MAX; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		error = buffer ? look_up(request->want, id, buffer, size, &name) : -ENOMEM;
	}
	if (!error && extend(request, name, offsetof(struct name_record, name), strlen(name)))
		((struct name_record *)request->record)->name_len = (uint32_t)strlen(name);
	free(buffer);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

static bool same_file(int fd, const struct hash_record *sought)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == sought->inode &&
	       (major(st.st_dev) << 20 | minor(st.st_dev)) == sought->dev &&
	       (uint64_t)st.st_size == sought->size &&
	       (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec ==
		       sought->ctime_ns;
}

/*
 * An O_PATH descriptor of the file that is sought, if this is its path; else -1. What it is gets
 * looked at before it is opened: to open a pipe or a device may block, or do something.
 */
static int find_place(const char *path, const struct hash_record *sought)
{
	int place = open(path, O_PATH | O_CLOEXEC);

	if (place >= 0 && !same_file(place, sought)) {
		close(place);
		place = -1;
	}
	return place;
}

/* Opens the file at the place for reading, its atime untouched and waiting for nobody's lease. */
static int open_place(int place)
{
	const int flags = O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC;
	struct statfs fs;
	char path[32];
	int fd;

	if (fstatfs(place, &fs) || fs.f_type == FUSE_SUPER_MAGIC)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", place);
	fd = open(path, flags | O_NOATIME);
	return fd < 0 && errno == EPERM ? open(path, flags) : fd;
}

static int open_executable(const struct request *request, const struct hash_record *sought)
{
	const bool absolute = request->text[0] == '/';
	char path[PATH_SIZE];
	int place, fd;

	snprintf(path, sizeof(path), "/proc/%u/exe", request->pid);
	place = find_place(path, sought);
	if (place < 0 && absolute &&
	    snprintf(path, sizeof(path), "/proc/%u/root%s", request->pid, request->text) <
		    (int)sizeof(path))
		place = find_place(path, sought);
	if (place < 0 && absolute)
		place = find_place(request->text, sought);
	if (place < 0)
		return -1;
	fd = open_place(place);
	close(place);
	return fd;
}

static bool hash_file(struct enricher *enricher, int fd, unsigned char *sha256)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *buffer = malloc(READ_SIZE);
	bool good = context && buffer && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	ssize_t n = 0;

	posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL);
	while (good && (n = read(fd, buffer, READ_SIZE)) > 0)
		good = EVP_DigestUpdate(context, buffer, (size_t)n) == 1 && !is_ending(enricher);
	good = good && n == 0 && EVP_DigestFinal_ex(context, sha256, NULL) == 1;
	free(buffer);
	EVP_MD_CTX_free(context);
	return good;
}

/*
 * Whether the file could have been written after the exec and have kept the ctime from before it.
 */
static bool is_racy(uint64_t exec_ns, uint64_t ctime_ns)
{
	const uint64_t exec_real_ns =
		exec_ns + (clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME));
	struct timespec tick = {0, 0};
	uint64_t window_ns = COARSE_NS;

	clock_getres(CLOCK_REALTIME_COARSE, &tick);
	if (ctime_ns % NS_PER_S) /* and a millisecond, for the two clocks were not read at once */
		window_ns =
			(uint64_t)tick.tv_sec * NS_PER_S + (uint64_t)tick.tv_nsec + NS_PER_S / 1000;
	return exec_real_ns < ctime_ns + window_ns;
}

static bool still_runs(uint32_t pid, const struct hash_record *sought)
{
	char path[32];
	int place;

	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	place = find_place(path, sought);
	if (place >= 0)
		close(place);
	return place >= 0;
}

static void find_hash(struct enricher *enricher, struct request *request)
{
	struct hash_record *record = (struct hash_record *)request->record;
	int fd = record->size <= ENRICH_FILE_MAX ? open_executable(request, record) : -1;

	if (fd < 0)
		return;
	record->valid =
		same_file(fd, record) && hash_file(enricher, fd, record->sha256) &&
		same_file(fd, record) &&
		(!is_racy(request->exec_ns, record->ctime_ns) || still_runs(request->pid, record));
	if (!record->valid)
		memset(record->sha256, 0, sizeof(record->sha256));
	close(fd);
}

/* ---- Cgroups --------------------------------------------------------------------------------- */

/*
 * The path in a line "ID:CONTROLLERS:PATH\n" (cgroups(7)) of these controllers; NULL if it is of
 * others.
 */
static char *cgroup_path(char *line, const char *controllers)
{
	const size_t len = strlen(controllers);
	char *colon = strchr(line, ':');

	if (!colon || strncmp(colon + 1, controllers, len) != 0 || colon[1 + len] != ':')
		return NULL;
	colon += len + 2;
	colon[strcspn(colon, "\n")] = '\0';
	return colon;
}

/*
 * The v2 path, or that of systemd's named hierarchy where the v2 one says nothing. Owned by the
 * caller.
 */
static char *read_cgroup(int dir)
{
	int fd = openat(dir, "cgroup", O_RDONLY | O_CLOEXEC);
	FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;
	char *line = NULL, *v2 = NULL, *named = NULL;
	size_t size = 0;

	if (fd >= 0 && !file)
		close(fd);
	while (file && getline(&line, &size, file) > 0) {
		const char *path;

		if (!v2 && (path = cgroup_path(line, "")))
			v2 = strdup(path);
		else if (!named && (path = cgroup_path(line, "name=systemd")))
			named = strdup(path);
	}
	if (file)
		fclose(file);
	free(line);
	if (named && (!v2 || strcmp(v2, "/") == 0)) {
		free(v2);
		return named;
	}
	free(named);
	return v2;
}

/* One that has ended is in the root cgroup of v1, wherever it was: that says nothing. */
static void find_cgroup(struct request *request)
{
	const struct cgroup_record *sought = (struct cgroup_record *)request->record;
	int dir = procfs_open(sought->pid);
	struct procfs_stat before, after;
	char *path = NULL;
	size_t len;

	if (dir < 0)
		return;
	if (procfs_stat(dir, &before) == 0 &&
	    before.start_ns / procfs_tick_ns() == sought->start_ns / procfs_tick_ns())
		path = read_cgroup(dir);
	if (path && (procfs_stat(dir, &after) || strchr("ZXx", after.state)) &&
	    strcmp(path, "/") == 0)
		path[0] = '\0';
	len = path ? strlen(path) : 0;
	if (len && path[0] == '/' && len <= RECORD_PATH_MAX &&
	    extend(request, path, offsetof(struct cgroup_record, path), len))
		((struct cgroup_record *)request->record)->path_len = (uint32_t)len;
	free(path);
	close(dir);
}

/* ---- Relays and units ------------------------------------------------------------------------ */

/* Without memory for them there are no addresses. */
static void find_relay(struct request *request)
{
	struct relay_record *record = relay_resolve(request->text);

	if (!record)
		return;
	free(request->record);
	request->record = &record->h;
}

static void find_activation(struct request *request)
{
	struct activation_record *record = (struct activation_record *)request->record;

	record->by = activation_of(request->text, record->start_ns);
}

/* ---- The threads ----------------------------------------------------------------------------- */

/* The last one to leave frees what is shared. */
static void leave(struct enricher *enricher)
{
	bool last;

	pthread_mutex_lock(&enricher->lock);
	last = --enricher->users == 0;
	pthread_mutex_unlock(&enricher->lock);
	if (!last)
		return;
	for (int i = 0; i < LANE_COUNT; i++) {
		queue_drop(&enricher->workers[i].requests);
		pthread_cond_destroy(&enricher->workers[i].wanted);
	}
	queue_drop(&enricher->results);
	pthread_mutex_destroy(&enricher->lock);
	if (enricher->fd >= 0)
		close(enricher->fd);
	free(enricher);
}

static struct request *wait_request(struct worker *worker)
{
	struct enricher *enricher = worker->enricher;
	struct request *request = NULL;

	pthread_mutex_lock(&enricher->lock);
	while (!enricher->ending && !worker->requests.first)
		pthread_cond_wait(&worker->wanted, &enricher->lock);
	if (!enricher->ending)
		request = queue_take(&worker->requests);
	pthread_mutex_unlock(&enricher->lock);
	return request;
}

static void put_result(struct enricher *enricher, struct request *request)
{
	const uint64_t one = 1;

	request->record->time_ns = clock_ns(CLOCK_BOOTTIME);
	pthread_mutex_lock(&enricher->lock);
	queue_put(&enricher->results, request);
	if (write(enricher->fd, &one, sizeof(one)) < 0)
		request->next = NULL; /* the counter is at its limit: the reader is told already */
	pthread_mutex_unlock(&enricher->lock);
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct enricher *enricher = worker->enricher;
	struct request *request;

	while ((request = wait_request(worker))) {
		switch (request->want) {
		case WANT_USER:
		case WANT_GROUP: find_name(request); break;
		case WANT_HASH: find_hash(enricher, request); break;
		case WANT_CGROUP: find_cgroup(request); break;
		case WANT_RELAY: find_relay(request); break;
		case WANT_ACTIVATION: find_activation(request); break;
		}
		put_result(enricher, request);
	}
	leave(enricher);
	return NULL;
}

/* Signals are the main thread's. */
static int start(struct worker *worker)
{
	sigset_t all, before;
	int error;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	error = pthread_create(&worker->thread, NULL, work, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return error;
}

/* ---- The main thread's side ------------------------------------------------------------------ */

/* Tells the first `started` threads to end, waits for them, and leaves. */
static void finish(struct enricher *enricher, int started)
{
	struct timespec until;

	pthread_mutex_lock(&enricher->lock);
	enricher->ending = true;
	for (int i = 0; i < started; i++)
		pthread_cond_signal(&enricher->workers[i].wanted);
	pthread_mutex_unlock(&enricher->lock);
	clock_gettime(CLOCK_MONOTONIC, &until); /* the wall clock may be set meanwhile */
	until.tv_sec += END_WAIT_S;
	for (int i = 0; i < started; i++) {
		if (pthread_clockjoin_np(enricher->workers[i].thread, NULL, CLOCK_MONOTONIC,
					 &until))
			pthread_detach(enricher->workers[i].thread);
	}
	leave(enricher);
}

struct enricher *enricher_new(void)
{
	struct enricher *enricher = calloc(1, sizeof(*enricher));
	int error = 0, started = 0;

	if (!enricher)
		return NULL;
	pthread_mutex_init(&enricher->lock, NULL);
	for (int i = 0; i < LANE_COUNT; i++) {
		enricher->workers[i].enricher = enricher;
		pthread_cond_init(&enricher->workers[i].wanted, NULL);
	}
	enricher->users = 1;
	enricher->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (enricher->fd < 0)
		error = errno;
	while (!error && started < LANE_COUNT) {
		error = start(&enricher->workers[started]);
		if (!error) {
			enricher->users++; /* nobody leaves before finish() */
			started++;
		}
	}
	if (!error)
		return enricher;
	finish(enricher, started);
	errno = error;
	return NULL;
}

void enricher_free(struct enricher *enricher)
{
	if (enricher)
		finish(enricher, LANE_COUNT);
}

int enricher_fd(const struct enricher *enricher)
{
	return enricher->fd;
}

/*
 * A request with its empty result; `len`: of the result, `extra`: behind the request. NULL: no
 * memory.
 */
static struct request *request_new(enum want want, uint32_t type, size_t len, size_t extra)
{
	struct request *request = calloc(1, sizeof(*request) + extra);
	struct record *record = calloc(1, len);

	if (!request || !record) {
		free(request);
		free(record);
		return NULL;
	}
	record->type = type;
	record->len = (uint32_t)len;
	request->want = want;
	request->record = record;
	return request;
}

static int put_request(struct enricher *enricher, enum lane lane, struct request *request)
{
	struct worker *worker = &enricher->workers[lane];
	bool full;

	pthread_mutex_lock(&enricher->lock);
	request->lane = lane;
	full = enricher->outstanding[lane] >= ENRICH_QUEUE_MAX;
	if (!full) {
		enricher->outstanding[lane]++;
		queue_put(&worker->requests, request);
		pthread_cond_signal(&worker->wanted);
	}
	pthread_mutex_unlock(&enricher->lock);
	if (full) {
		free(request->record);
		free(request);
	}
	return full ? -EAGAIN : 0;
}

static int request_name(struct enricher *enricher, enum want want, uint32_t kind, uint32_t id)
{
	struct request *request = request_new(want, RECORD_NAME, sizeof(struct name_record), 0);
	struct name_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct name_record *)request->record;
	record->kind = kind;
	record->id = id;
	return put_request(enricher, LANE_NAMES, request);
}

int enricher_request_user(struct enricher *enricher, uint32_t uid)
{
	return request_name(enricher, WANT_USER, NAME_USER, uid);
}

int enricher_request_group(struct enricher *enricher, uint32_t gid)
{
	return request_name(enricher, WANT_GROUP, NAME_GROUP, gid);
}

int enricher_request_hash(struct enricher *enricher, struct image *image, uint32_t pid)
{
	const size_t size = strlen(image->executable) + 1;
	struct request *request =
		request_new(WANT_HASH, RECORD_HASH, sizeof(struct hash_record), size);
	struct hash_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct hash_record *)request->record;
	record->inode = image->inode;
	record->ctime_ns = image->ctime_ns;
	record->size = image->size;
	record->dev = image->dev;
	request->pid = pid;
	request->exec_ns = image->exec_ns;
	memcpy(request->text, image->executable, size);
	return put_request(enricher, LANE_HASHES, request);
}

int enricher_request_cgroup(struct enricher *enricher, uint32_t pid, uint64_t start_ns)
{
	struct request *request =
		request_new(WANT_CGROUP, RECORD_CGROUP, sizeof(struct cgroup_record), 0);
	struct cgroup_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct cgroup_record *)request->record;
	record->pid = pid;
	record->start_ns = start_ns;
	return put_request(enricher, LANE_CGROUPS, request);
}

int enricher_request_relay(struct enricher *enricher, const char *name)
{
	const size_t len = strlen(name);
	struct request *request =
		request_new(WANT_RELAY, RECORD_RELAY, sizeof(struct relay_record) + len, len + 1);
	struct relay_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct relay_record *)request->record;
	record->name_len = (uint32_t)len;
	memcpy(record->data, name, len);
	memcpy(request->text, name, len + 1);
	return put_request(enricher, LANE_RELAYS, request);
}

int enricher_request_activation(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
				const char *unit)
{
	const size_t size = strlen(unit) + 1;
	struct request *request = request_new(WANT_ACTIVATION, RECORD_ACTIVATION,
					      sizeof(struct activation_record), size);
	struct activation_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct activation_record *)request->record;
	record->pid = pid;
	record->start_ns = start_ns;
	memcpy(request->text, unit, size);
	return put_request(enricher, LANE_UNITS, request);
}

struct record *enricher_next(struct enricher *enricher)
{
	struct request *request;
	struct record *record = NULL;
	uint64_t count;

	pthread_mutex_lock(&enricher->lock);
	request = queue_take(&enricher->results);
	if (request)
		enricher->outstanding[request->lane]--;
	else if (read(enricher->fd, &count, sizeof(count)) < 0)
		count = 0; /* nothing was told: nothing to clear */
	pthread_mutex_unlock(&enricher->lock);
	if (request)
		record = request->record;
	free(request);
	return record;
}
