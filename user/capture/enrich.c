/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: requests wait in lanes. Each lane has a thread, so that a slow lane does not
 * delay the others: a directory service or a hash may take long, and a process whose cgroup is
 * needed may end soon. A thread takes a request, works on it without the lock, and adds it to the
 * results; an eventfd wakes the reader. A request carries copies: no reference to an image or a
 * sender leaves the main thread. From the beginning it also carries a result that says "nothing
 * found", so that a result exists even if memory runs out.
 *
 * The threads can hang in the kernel or in a name service. The end waits for them, but not for
 * long; the last one to leave frees what they share.
 */
#include "capture/enrich.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "capture/account.h"
#include "capture/activation.h"
#include "capture/hash.h"
#include "capture/procfs.h"
#include "capture/records.h"
#include "capture/resolve.h"
#include "capture/root_accounts.h"

#define END_WAIT_S 2 /* for a thread that hangs */

enum lane {
	LANE_NAMES,
	LANE_HASHES,
	LANE_CGROUPS,
	LANE_RELAYS,
	LANE_UNITS,
	LANE_ROOTS,
	LANE_COUNT
};

/* What is searched for, then what was found. */
struct request {
	struct request *next;
	enum lane lane;
	uint32_t pid;	       /* of a hash */
	uint64_t exec_ns;      /* of a hash */
	struct record *record; /* owned; the result, at first "nothing found" */
	char text[];	       /* the executable to hash, the relay's name, or the unit */
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
	/* requests and results of each lane: a lane that hangs leaves room for the others */
	size_t outstanding[LANE_COUNT];
	unsigned int users;  /* threads that have not left, including the main one */
	_Atomic bool ending; /* set under the lock; hashing reads it without */
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

/* ---- Finding --------------------------------------------------------------------------------- */

/* Appends `data` to the record. False if there is no memory; the record is unchanged then. */
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
	const struct name_record *sought = (struct name_record *)request->record;
	char *name = account_name(sought->kind, sought->id);

	if (name && extend(request, name, offsetof(struct name_record, name), strlen(name)))
		((struct name_record *)request->record)->name_len = (uint32_t)strlen(name);
	free(name);
}

static void find_hash(struct enricher *enricher, struct request *request)
{
	const struct hash_source source = {.pid = request->pid,
					   .exec_ns = request->exec_ns,
					   .path = request->text};

	hash_executable((struct hash_record *)request->record, &source, &enricher->ending);
}

/* A process that has ended shows the v1 root cgroup, wherever it was: "/" says nothing then. */
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
		path = procfs_cgroup(dir);
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

static void find_accounts(struct request *request)
{
	const struct accounts_record *sought = (struct accounts_record *)request->record;
	char *text = root_accounts(sought->pid, sought->start_ns, sought->uid, sought->gid);
	size_t len = text ? strlen(text) : 0;

	if (len && extend(request, text, offsetof(struct accounts_record, text), len))
		((struct accounts_record *)request->record)->text_len = (uint32_t)len;
	free(text);
}

/* Without memory the result has no addresses. */
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

/* Leaves the threads' shared state; the last one to leave frees it. */
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
		request->next =
			NULL; /* the counter is at its limit: the reader was woken already */
	pthread_mutex_unlock(&enricher->lock);
}

static void *work(void *context)
{
	struct worker *worker = context;
	struct enricher *enricher = worker->enricher;
	struct request *request;

	while ((request = wait_request(worker))) {
		switch (request->lane) {
		case LANE_NAMES: find_name(request); break;
		case LANE_HASHES: find_hash(enricher, request); break;
		case LANE_CGROUPS: find_cgroup(request); break;
		case LANE_RELAYS: find_relay(request); break;
		case LANE_UNITS: find_activation(request); break;
		case LANE_ROOTS: find_accounts(request); break;
		case LANE_COUNT: break;
		}
		put_result(enricher, request);
	}
	leave(enricher);
	return NULL;
}

/* Signals are for the main thread. */
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

/* Tells the first `started` threads to end, waits at most END_WAIT_S for them, and leaves. */
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
			enricher->users++; /* no thread leaves before finish() */
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
 * A request with its empty result of `len` bytes, and `extra` bytes for its text. NULL if there is
 * no memory.
 */
static struct request *request_new(enum lane lane, uint32_t type, size_t len, size_t extra)
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
	request->lane = lane;
	request->record = record;
	return request;
}

static int put_request(struct enricher *enricher, struct request *request)
{
	struct worker *worker = &enricher->workers[request->lane];
	bool full;

	pthread_mutex_lock(&enricher->lock);
	full = enricher->outstanding[request->lane] >= ENRICH_QUEUE_MAX;
	if (!full) {
		enricher->outstanding[request->lane]++;
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

static int request_name(struct enricher *enricher, enum name_kind kind, uint32_t id)
{
	struct request *request =
		request_new(LANE_NAMES, RECORD_NAME, sizeof(struct name_record), 0);
	struct name_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct name_record *)request->record;
	record->kind = kind;
	record->id = id;
	return put_request(enricher, request);
}

int enricher_request_user(struct enricher *enricher, uint32_t uid)
{
	return request_name(enricher, NAME_USER, uid);
}

int enricher_request_group(struct enricher *enricher, uint32_t gid)
{
	return request_name(enricher, NAME_GROUP, gid);
}

int enricher_request_hash(struct enricher *enricher, struct image *image, uint32_t pid)
{
	const size_t size = strlen(image->executable) + 1;
	struct request *request =
		request_new(LANE_HASHES, RECORD_HASH, sizeof(struct hash_record), size);
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
	return put_request(enricher, request);
}

int enricher_request_cgroup(struct enricher *enricher, uint32_t pid, uint64_t start_ns)
{
	struct request *request =
		request_new(LANE_CGROUPS, RECORD_CGROUP, sizeof(struct cgroup_record), 0);
	struct cgroup_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct cgroup_record *)request->record;
	record->pid = pid;
	record->start_ns = start_ns;
	return put_request(enricher, request);
}

int enricher_request_accounts(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
			      uint32_t uid, uint32_t gid)
{
	struct request *request =
		request_new(LANE_ROOTS, RECORD_ACCOUNTS, sizeof(struct accounts_record), 0);
	struct accounts_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct accounts_record *)request->record;
	record->pid = pid;
	record->start_ns = start_ns;
	record->uid = uid;
	record->gid = gid;
	return put_request(enricher, request);
}

int enricher_request_relay(struct enricher *enricher, const char *name)
{
	const size_t len = strlen(name);
	struct request *request =
		request_new(LANE_RELAYS, RECORD_RELAY, sizeof(struct relay_record) + len, len + 1);
	struct relay_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct relay_record *)request->record;
	record->name_len = (uint32_t)len;
	memcpy(record->data, name, len);
	memcpy(request->text, name, len + 1);
	return put_request(enricher, request);
}

int enricher_request_activation(struct enricher *enricher, uint32_t pid, uint64_t start_ns,
				const char *unit)
{
	const size_t size = strlen(unit) + 1;
	struct request *request =
		request_new(LANE_UNITS, RECORD_ACTIVATION, sizeof(struct activation_record), size);
	struct activation_record *record;

	if (!request)
		return -EAGAIN;
	record = (struct activation_record *)request->record;
	record->pid = pid;
	record->start_ns = start_ns;
	memcpy(request->text, unit, size);
	return put_request(enricher, request);
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
		count = 0; /* nothing was signalled, so there is nothing to clear */
	pthread_mutex_unlock(&enricher->lock);
	if (request)
		record = request->record;
	free(request);
	return record;
}
