/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: two bounded queues under one lock, one thread. The thread takes a request,
 * works on it without the lock, and puts one result record into the other queue; an eventfd tells the
 * reader. A request carries copies: no reference to an image or a sender leaves the main thread.
 *
 * A hash is given only if it cannot be another file's: the file is opened, its device, inode, ctime
 * and size are compared with what the kernel saw at exec, and again once it has been read. On
 * overlayfs and btrfs, stat reports another device than the superblock's: no hash is given there.
 */
#include "enrich.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>

#define READ_SIZE   65536U
#define NAME_BUFFER 16384U
#define PATH_SIZE   8192U
#define NS_PER_S    1000000000ULL

enum want { WANT_USER, WANT_GROUP, WANT_HASH, WANT_CGROUP };

struct request {
	struct request *next;
	enum want want;
	uint32_t id; /* uid, gid or pid */
	uint64_t start_ns;
	uint64_t inode, ctime_ns, size;
	uint32_t dev;
	char executable[]; /* of a hash */
};

struct result {
	struct result *next;
	struct record *record;
};

struct enricher {
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wanted;
	int fd;
	bool ending;
	size_t queued; /* requests and results */
	struct request *first_request, *last_request;
	struct result *first_result, *last_result;
};

static bool is_ending(struct enricher *enricher)
{
	bool ending;

	pthread_mutex_lock(&enricher->lock);
	ending = enricher->ending;
	pthread_mutex_unlock(&enricher->lock);
	return ending;
}

/* A zeroed record with its header filled in. NULL if there is no memory. */
static void *make_record(uint32_t type, size_t len)
{
	struct record *record = calloc(1, len);
	struct timespec now;

	if (!record)
		return NULL;
	clock_gettime(CLOCK_BOOTTIME, &now);
	record->type = type;
	record->len = (uint32_t)len;
	record->time_ns = (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
	return record;
}

/* ---- Names ---------------------------------------------------------------------------------- */

static struct record *find_name(const struct request *request)
{
	char *buffer = malloc(NAME_BUFFER);
	struct passwd user, *found_user = NULL;
	struct group group, *found_group = NULL;
	const char *name = "";
	struct name_record *record;

	if (!buffer)
		return NULL;
	if (request->want == WANT_USER &&
	    getpwuid_r(request->id, &user, buffer, NAME_BUFFER, &found_user) == 0 && found_user)
		name = user.pw_name;
	if (request->want == WANT_GROUP &&
	    getgrgid_r(request->id, &group, buffer, NAME_BUFFER, &found_group) == 0 && found_group)
		name = group.gr_name;
	record = make_record(RECORD_NAME, sizeof(*record) + strlen(name));
	if (record) {
		record->kind = request->want == WANT_USER ? NAME_USER : NAME_GROUP;
		record->id = request->id;
		record->name_len = (uint32_t)strlen(name);
		memcpy(record->name, name, record->name_len);
	}
	free(buffer);
	return record ? &record->h : NULL;
}

/* ---- Hashes --------------------------------------------------------------------------------- */

static bool same_file(int fd, const struct request *request)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_ino == request->inode &&
	       (major(st.st_dev) << 20 | minor(st.st_dev)) == request->dev &&
	       (uint64_t)st.st_size == request->size &&
	       (uint64_t)st.st_ctim.tv_sec * NS_PER_S + (uint64_t)st.st_ctim.tv_nsec == request->ctime_ns;
}

/*
 * Opens the path for reading if it is the file that is sought; -1 if not. What it is gets looked at
 * before it is opened: to open a pipe or a device may block, or do something.
 */
static int open_same(const char *path, const struct request *request)
{
	char by_fd[64];
	int place = open(path, O_PATH | O_CLOEXEC), fd = -1;

	if (place < 0)
		return -1;
	if (same_file(place, request)) {
		snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", place);
		fd = open(by_fd, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	close(place);
	return fd;
}

static int open_executable(const struct request *request)
{
	char path[PATH_SIZE];
	int fd;

	snprintf(path, sizeof(path), "/proc/%u/exe", request->id);
	fd = open_same(path, request);
	if (fd < 0 && snprintf(path, sizeof(path), "/proc/%u/root%s", request->id, request->executable) <
			      (int)sizeof(path))
		fd = open_same(path, request);
	return fd < 0 ? open_same(request->executable, request) : fd;
}

static bool hash_file(struct enricher *enricher, int fd, unsigned char *sha256)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	unsigned char *buffer = malloc(READ_SIZE);
	bool good = context && buffer && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1;
	ssize_t n = 0;

	while (good && (n = read(fd, buffer, READ_SIZE)) > 0)
		good = EVP_DigestUpdate(context, buffer, (size_t)n) == 1 && !is_ending(enricher);
	good = good && n == 0 && EVP_DigestFinal_ex(context, sha256, NULL) == 1;
	free(buffer);
	EVP_MD_CTX_free(context);
	return good;
}

static struct record *find_hash(struct enricher *enricher, const struct request *request)
{
	struct hash_record *record = make_record(RECORD_HASH, sizeof(*record));
	int fd;

	if (!record)
		return NULL;
	record->inode = request->inode;
	record->ctime_ns = request->ctime_ns;
	record->size = request->size;
	record->dev = request->dev;
	fd = request->size <= ENRICH_FILE_MAX ? open_executable(request) : -1;
	if (fd >= 0) {
		record->valid = hash_file(enricher, fd, record->sha256) && same_file(fd, request);
		close(fd);
	}
	if (!record->valid)
		memset(record->sha256, 0, sizeof(record->sha256));
	return &record->h;
}

/* ---- Cgroups -------------------------------------------------------------------------------- */

/* The path of a line "ID:CONTROLLERS:PATH" (cgroups(7)) of these controllers; NULL if it is not that. */
static char *cgroup_line(char *line, const char *controllers)
{
	char *first = strchr(line, ':'), *second = first ? strchr(first + 1, ':') : NULL;

	if (!second)
		return NULL;
	*second = '\0';
	line = strcmp(first + 1, controllers) == 0 ? second + 1 : NULL;
	*second = ':';
	if (line)
		line[strcspn(line, "\n")] = '\0';
	return line;
}

/* The v2 path, or that of systemd's named hierarchy where the v2 one says nothing. */
static void read_cgroup(uint32_t pid, char *path, size_t size)
{
	char name[64], *line = NULL;
	const char *found;
	size_t line_size = 0;
	FILE *file;

	path[0] = '\0';
	snprintf(name, sizeof(name), "/proc/%u/cgroup", pid);
	file = fopen(name, "re");
	if (!file)
		return;
	while (getline(&line, &line_size, file) > 0) {
		found = cgroup_line(line, "");
		if (!found || strcmp(found, "/") == 0)
			found = cgroup_line(line, "name=systemd");
		if (found && strlen(found) < size && strlen(found) > strlen(path))
			snprintf(path, size, "%s", found);
	}
	free(line);
	fclose(file);
}

/* Whether the process is still the one that started then (to a clock tick, as /proc tells it). */
static bool still_started_at(uint32_t pid, uint64_t start_ns)
{
	char name[64], buffer[1024];
	unsigned long long ticks = 0, tick_ns = NS_PER_S / (unsigned long long)sysconf(_SC_CLK_TCK);
	const char *fields = NULL;
	FILE *file;
	size_t n = 0;

	snprintf(name, sizeof(name), "/proc/%u/stat", pid);
	file = fopen(name, "re");
	if (file) {
		n = fread(buffer, 1, sizeof(buffer) - 1, file);
		fclose(file);
	}
	buffer[n] = '\0';
	fields = memrchr(buffer, ')', n);
	return fields &&
	       sscanf(fields + 1,
		      " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %llu",
		      &ticks) == 1 &&
	       ticks == start_ns / tick_ns;
}

static struct record *find_cgroup(const struct request *request)
{
	char path[PATH_SIZE];
	struct cgroup_record *record;

	read_cgroup(request->id, path, sizeof(path));
	if (!still_started_at(request->id, request->start_ns))
		path[0] = '\0';
	record = make_record(RECORD_CGROUP, sizeof(*record) + strlen(path));
	if (!record)
		return NULL;
	record->start_ns = request->start_ns;
	record->pid = request->id;
	record->path_len = (uint32_t)strlen(path);
	memcpy(record->path, path, record->path_len);
	return &record->h;
}

/* ---- The thread ----------------------------------------------------------------------------- */

static struct request *take_request(struct enricher *enricher)
{
	struct request *request;

	pthread_mutex_lock(&enricher->lock);
	while (!enricher->ending && !enricher->first_request)
		pthread_cond_wait(&enricher->wanted, &enricher->lock);
	request = enricher->ending ? NULL : enricher->first_request;
	if (request) {
		enricher->first_request = request->next;
		if (!request->next)
			enricher->last_request = NULL;
	}
	pthread_mutex_unlock(&enricher->lock);
	return request;
}

static void put_result(struct enricher *enricher, struct record *record)
{
	struct result *result = record ? calloc(1, sizeof(*result)) : NULL;
	const uint64_t one = 1;

	if (!result)
		free(record);
	pthread_mutex_lock(&enricher->lock);
	if (result) {
		result->record = record;
		*(enricher->last_result ? &enricher->last_result->next : &enricher->first_result) = result;
		enricher->last_result = result;
	} else {
		enricher->queued--;
	}
	pthread_mutex_unlock(&enricher->lock);
	if (write(enricher->fd, &one, sizeof(one)) < 0)
		return; /* the counter is at its limit: the reader is told already */
}

static void *enrich(void *context)
{
	struct enricher *enricher = context;
	struct request *request;

	while ((request = take_request(enricher))) {
		if (request->want == WANT_HASH)
			put_result(enricher, find_hash(enricher, request));
		else if (request->want == WANT_CGROUP)
			put_result(enricher, find_cgroup(request));
		else
			put_result(enricher, find_name(request));
		free(request);
	}
	return NULL;
}

/* ---- The main thread's side ----------------------------------------------------------------- */

struct enricher *enricher_new(void)
{
	struct enricher *enricher = calloc(1, sizeof(*enricher));

	if (!enricher)
		return NULL;
	enricher->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	pthread_mutex_init(&enricher->lock, NULL);
	pthread_cond_init(&enricher->wanted, NULL);
	if (enricher->fd < 0 || pthread_create(&enricher->thread, NULL, enrich, enricher)) {
		if (enricher->fd >= 0)
			close(enricher->fd);
		free(enricher);
		return NULL;
	}
	return enricher;
}

void enricher_free(struct enricher *enricher)
{
	struct record *record;

	if (!enricher)
		return;
	pthread_mutex_lock(&enricher->lock);
	enricher->ending = true;
	pthread_cond_signal(&enricher->wanted);
	pthread_mutex_unlock(&enricher->lock);
	pthread_join(enricher->thread, NULL);
	while ((record = enricher_next(enricher)))
		free(record);
	while (enricher->first_request) {
		struct request *request = enricher->first_request;

		enricher->first_request = request->next;
		free(request);
	}
	pthread_cond_destroy(&enricher->wanted);
	pthread_mutex_destroy(&enricher->lock);
	close(enricher->fd);
	free(enricher);
}

int enricher_fd(const struct enricher *enricher)
{
	return enricher->fd;
}

static int put_request(struct enricher *enricher, struct request *request)
{
	int error = 0;

	if (!request)
		return -EAGAIN;
	pthread_mutex_lock(&enricher->lock);
	if (enricher->queued >= ENRICH_QUEUE_MAX) {
		error = -EAGAIN;
	} else {
		enricher->queued++;
		*(enricher->last_request ? &enricher->last_request->next : &enricher->first_request) =
			request;
		enricher->last_request = request;
		pthread_cond_signal(&enricher->wanted);
	}
	pthread_mutex_unlock(&enricher->lock);
	if (error)
		free(request);
	return error;
}

static struct request *make_request(enum want want, uint32_t id, size_t extra)
{
	struct request *request = calloc(1, sizeof(*request) + extra);

	if (request) {
		request->want = want;
		request->id = id;
	}
	return request;
}

int enricher_request_user(struct enricher *enricher, uint32_t uid)
{
	return put_request(enricher, make_request(WANT_USER, uid, 0));
}

int enricher_request_group(struct enricher *enricher, uint32_t gid)
{
	return put_request(enricher, make_request(WANT_GROUP, gid, 0));
}

int enricher_request_hash(struct enricher *enricher, struct image *image, uint32_t pid)
{
	size_t len = strlen(image->executable);
	struct request *request = make_request(WANT_HASH, pid, len + 1);

	if (request) {
		request->inode = image->inode;
		request->ctime_ns = image->ctime_ns;
		request->size = image->size;
		request->dev = image->dev;
		memcpy(request->executable, image->executable, len);
	}
	return put_request(enricher, request);
}

int enricher_request_cgroup(struct enricher *enricher, uint32_t pid, uint64_t start_ns)
{
	struct request *request = make_request(WANT_CGROUP, pid, 0);

	if (request)
		request->start_ns = start_ns;
	return put_request(enricher, request);
}

struct record *enricher_next(struct enricher *enricher)
{
	struct record *record = NULL;
	struct result *result;
	uint64_t count;

	pthread_mutex_lock(&enricher->lock);
	result = enricher->first_result;
	if (result) {
		enricher->first_result = result->next;
		if (!result->next)
			enricher->last_result = NULL;
		enricher->queued--;
		record = result->record;
	} else if (read(enricher->fd, &count, sizeof(count)) < 0) {
		count = 0; /* nothing was told: nothing to clear */
	}
	pthread_mutex_unlock(&enricher->lock);
	free(result);
	return record;
}
