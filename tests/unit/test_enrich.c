/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The enricher, with real files and processes: known digests, replaced files, pipes, a full queue.
 */
#include "processes.h"

#include <dlfcn.h>
#include <poll.h>
#include <pwd.h>
#include <sys/sysmacros.h>

#include "capture/enrich.h"
#include "capture/hash.h"
#include "capture/records.h"

/* ---- Files, processes, results --------------------------------------------------------------- */

static char *make_file(const char *name, const void *data, size_t len)
{
	char *path = in_work(name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	return path;
}

/* The image of a process that executed the file long enough (5 s) after the file was written. */
static struct image image_of(char *path)
{
	struct image image = {.refs = 1,
			      .executable = path,
			      .exec_ns = clock_ns(CLOCK_BOOTTIME) + 5000000000ULL};
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	image.dev = major(st.st_dev) << 20 | minor(st.st_dev);
	image.inode = st.st_ino;
	image.size = (uint64_t)st.st_size;
	image.ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000ULL + (uint64_t)st.st_ctim.tv_nsec;
	return image;
}

/* Waits for the next result, which must be valid and of this type. The caller frees it. */
static void *next(struct enricher *enricher, uint32_t type)
{
	struct record *record = enricher_next(enricher);

	while (!record) {
		struct pollfd fd = {.fd = enricher_fd(enricher), .events = POLLIN};

		assert_int_equal(poll(&fd, 1, 20000), 1);
		record = enricher_next(enricher);
	}
	assert_true(record_valid(record, record->len));
	assert_int_equal(record->type, type);
	assert_true(record->time_ns && record->time_ns <= clock_ns(CLOCK_BOOTTIME));
	return record;
}

/* The hash as hex digits; "" if the enricher gives no hash. */
static const char *hash(struct image *image, uint32_t pid)
{
	static char hex[SHA256_HEX_LEN + 1];
	static const uint8_t zero[32];
	struct enricher *enricher = enricher_new();
	struct hash_record *record;

	assert_non_null(enricher);
	assert_int_equal(enricher_request_hash(enricher, image, pid), 0);
	record = next(enricher, RECORD_HASH);
	assert_int_equal(record->inode, image->inode);
	assert_int_equal(record->ctime_ns, image->ctime_ns);
	assert_int_equal(record->size, image->size);
	assert_int_equal(record->dev, image->dev);
	hex[0] = '\0';
	for (size_t i = 0; record->valid && i < 32; i++)
		snprintf(hex + 2 * i, 3, "%02x", record->sha256[i]);
	if (!record->valid)
		assert_memory_equal(record->sha256, zero, 32);
	free(record);
	assert_null(enricher_next(enricher));
	enricher_free(enricher);
	return hex;
}

static void assert_like_sha256sum(const char *path, const char *hex)
{
	char command[256], line[256] = "";
	FILE *pipe;

	snprintf(command, sizeof(command), "sha256sum '%s'", path);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	assert_non_null(fgets(line, sizeof(line), pipe));
	pclose(pipe);
	line[SHA256_HEX_LEN] = '\0';
	assert_string_equal(hex, line);
}

/* ---- Hashes ---------------------------------------------------------------------------------- */

static void test_hash_known(void **state)
{
	char *empty = make_file("empty", "", 0), *abc = make_file("abc", "abc", 3),
	     *large = in_work("large");
	struct image image = image_of(empty);
	int fd = open(large, O_RDWR | O_CREAT | O_CLOEXEC, 0755);

	(void)state;
	assert_string_equal(hash(&image, 0),
			    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	image = image_of(abc);
	assert_string_equal(hash(&image, 0),
			    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	assert_int_equal(ftruncate(fd, 3000001), 0);
	image = image_of(large);
	assert_like_sha256sum(large, hash(&image, 0));
	close(fd);
	free(empty);
	free(abc);
	free(large);
}

/*
 * Read through the process, wherever its file is now; through the path, if the process has ended.
 */
static void test_hash_of_process(void **state)
{
	char *path = make_program("tool"), *elsewhere = in_work("elsewhere");
	struct image image = image_of(path);
	pid_t pid = spawn_sleep("/", path);

	(void)state;
	assert_like_sha256sum(path, hash(&image, (uint32_t)pid));
	image.executable = elsewhere;
	assert_like_sha256sum(path, hash(&image, (uint32_t)pid));
	end(pid);
	assert_string_equal(hash(&image, (uint32_t)pid), "");
	image.executable = path;
	assert_like_sha256sum(path, hash(&image, (uint32_t)pid));
	free(path);
	free(elsewhere);
}

/*
 * Deleting the last name changes the ctime, so nothing proves any more that the file is the same.
 */
static void test_hash_of_deleted(void **state)
{
	char *path = make_program("gone");
	struct image image = image_of(path);
	pid_t pid = spawn_sleep("/", path);
	char by_pid[64];
	struct stat st;

	(void)state;
	unlink(path);
	assert_string_equal(hash(&image, (uint32_t)pid), "");
	snprintf(by_pid, sizeof(by_pid), "/proc/%d/exe", pid);
	assert_int_equal(stat(by_pid, &st), 0); /* as if it was deleted before the exec */
	image.ctime_ns = (uint64_t)st.st_ctim.tv_sec * 1000000000ULL + (uint64_t)st.st_ctim.tv_nsec;
	assert_like_sha256sum("/bin/sleep", hash(&image, (uint32_t)pid));
	end(pid);
	free(path);
}

static void test_hash_of_another(void **state)
{
	char *path = make_file("a", "abc", 3), *other = make_file("b", "abd", 3);
	struct image image = image_of(path), changed;

	(void)state;
	assert_string_not_equal(hash(&image, 0), "");
	changed = image;
	changed.inode++;
	assert_string_equal(hash(&changed, 0), "");
	changed = image;
	changed.dev++;
	assert_string_equal(hash(&changed, 0), "");
	changed = image;
	changed.size++;
	assert_string_equal(hash(&changed, 0), "");
	changed = image;
	changed.ctime_ns++;
	assert_string_equal(hash(&changed, 0), "");
	assert_int_equal(rename(other, path), 0); /* replaced */
	assert_string_equal(hash(&image, 0), "");
	unlink(path);
	assert_string_equal(hash(&image, 0), "");
	assert_int_equal(symlink("/dev/zero", path), 0);
	assert_string_equal(hash(&image, 0), "");
	unlink(path);
	free(path);
	free(other);
}

static void test_hash_rewritten(void **state)
{
	char *path = make_file("rewritten", "abc", 3);
	struct image image = image_of(path);
	struct timespec times[2] = {{1, 0}, {1, 0}};

	(void)state;
	usleep(20000);
	free(make_file("rewritten", "abd", 3));
	/* The owner can restore the mtime. */
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
	assert_string_equal(hash(&image, 0), "");
	free(path);
}

/*
 * A file executed within a tick of its last change could have been written again without a trace.
 */
static void test_hash_racy(void **state)
{
	char *path = make_program("fresh");
	struct image image = image_of(path);
	pid_t pid;

	(void)state;
	image.exec_ns =
		image.ctime_ns - (clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME)) + 100000;
	assert_string_equal(hash(&image, 0), "");
	pid = spawn_sleep("/", path);
	/* Nobody can write it while it runs. */
	assert_like_sha256sum(path, hash(&image, (uint32_t)pid));
	end(pid);
	assert_string_equal(hash(&image, (uint32_t)pid), "");
	image.exec_ns += 1000000000ULL;
	assert_like_sha256sum(path, hash(&image, (uint32_t)pid));
	/* A file system that stores whole seconds. */
	image.ctime_ns -= image.ctime_ns % 1000000000ULL;
	assert_string_equal(hash(&image, (uint32_t)pid), "");
	free(path);
}

/* Opening a pipe would block until somebody writes to it. */
static void test_hash_of_pipe(void **state)
{
	char *path = in_work("pipe"), zero[] = "/dev/zero", directory[] = "/";
	struct image image;

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	image = image_of(path);
	assert_string_equal(hash(&image, 0), "");
	image = image_of(zero);
	assert_string_equal(hash(&image, 0), "");
	image = image_of(directory);
	assert_string_equal(hash(&image, 0), "");
	free(path);
}

static void test_hash_of_odd_paths(void **state)
{
	char *path = make_file("odd", "abc", 3), *longest = malloc(20000),
	     names[4][16] = {"", "memfd:x", ".../odd", "odd"};
	struct image image = image_of(path);

	(void)state;
	assert_non_null(longest);
	assert_int_equal(chdir(work), 0); /* a relative path is not used, even if it exists */
	for (int i = 0; i < 4; i++) {
		image.executable = names[i];
		assert_string_equal(hash(&image, 0), "");
	}
	assert_int_equal(chdir("/"), 0);
	memset(longest, '/', 20000);
	longest[19999] = '\0';
	image.executable = longest;
	assert_string_equal(hash(&image, (uint32_t)getpid()), "");
	free(longest);
	free(path);
}

static void test_hash_too_large(void **state)
{
	char *path = in_work("sparse");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0755);
	struct image image;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)HASH_FILE_MAX + 1), 0);
	image = image_of(path);
	assert_string_equal(hash(&image, 0), "");
	close(fd);
	unlink(path);
	free(path);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void check_name(struct enricher *enricher, bool user, uint32_t id, const char *expected)
{
	struct name_record *record;

	assert_int_equal(user ? enricher_request_user(enricher, id)
			      : enricher_request_group(enricher, id),
			 0);
	record = next(enricher, RECORD_NAME);
	assert_int_equal(record->kind, user ? NAME_USER : NAME_GROUP);
	assert_int_equal(record->id, id);
	assert_int_equal(record->name_len, strlen(expected));
	assert_memory_equal(record->name, expected, strlen(expected));
	free(record);
}

static void test_names(void **state)
{
	struct enricher *enricher = enricher_new();
	const struct passwd *daemon = getpwnam("daemon");

	(void)state;
	check_name(enricher, true, 0, "root");
	check_name(enricher, false, 0, "root");
	if (daemon)
		check_name(enricher, true, daemon->pw_uid, "daemon");
	check_name(enricher, true, 3999999999U, ""); /* an unused id */
	check_name(enricher, false, 3999999999U, "");
	check_name(enricher, true, UINT32_MAX, "");
	enricher_free(enricher);
}

/* ---- Cgroups --------------------------------------------------------------------------------- */

/* Our own cgroup: the v2 path, or the path in the named hierarchy if the v2 path is "/". */
static void own_cgroup(char *path, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[4096], named[4096] = "";

	path[0] = '\0';
	assert_non_null(file);
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::", 3) == 0)
			snprintf(path, size, "%s", line + 3);
		else if (strstr(line, ":name=systemd:"))
			snprintf(named, sizeof(named), "%s", strstr(line, ":name=systemd:") + 14);
	}
	fclose(file);
	if (named[0] && (!path[0] || strcmp(path, "/") == 0))
		snprintf(path, size, "%s", named);
}

static uint64_t start_of(pid_t pid)
{
	char name[64], buffer[2048];
	unsigned long long ticks = 0;
	FILE *file;
	size_t n;

	snprintf(name, sizeof(name), "/proc/%d/stat", pid);
	file = fopen(name, "re");
	assert_non_null(file);
	n = fread(buffer, 1, sizeof(buffer) - 1, file);
	fclose(file);
	buffer[n] = '\0';
	assert_int_equal(sscanf(strrchr(buffer, ')') + 1,
				" %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d "
				"%*d %*d %*d %llu",
				&ticks),
			 1);
	return ticks * 10000000;
}

static void check_cgroup(struct enricher *enricher, pid_t pid, uint64_t start, const char *expected)
{
	struct cgroup_record *record;

	assert_int_equal(enricher_request_cgroup(enricher, (uint32_t)pid, start), 0);
	record = next(enricher, RECORD_CGROUP);
	assert_int_equal(record->pid, pid);
	assert_int_equal(record->start_ns, start);
	assert_int_equal(record->path_len, strlen(expected));
	assert_memory_equal(record->path, expected, strlen(expected));
	free(record);
}

/* Whoever runs this test, in whatever root: the answer is one that a record may have. */
static void test_accounts(void **state)
{
	struct enricher *enricher = enricher_new();
	struct accounts_record *record;
	const uint64_t start = start_of(getpid());

	(void)state;
	assert_int_equal(enricher_request_accounts(enricher, (uint32_t)getpid(), start, 0,
						   4000000000U),
			 0);
	record = next(enricher, RECORD_ACCOUNTS);
	assert_int_equal(record->pid, getpid());
	assert_int_equal(record->start_ns, start);
	assert_int_equal(record->gid, 4000000000U);
	if (access("/etc/passwd", R_OK) == 0 && record->text_len > 4)
		assert_memory_equal(record->text, "own:root:", 9);
	free(record);
	assert_int_equal(enricher_request_accounts(enricher, (uint32_t)getpid(), 1, 0, 0), 0);
	record = next(enricher, RECORD_ACCOUNTS);
	assert_int_equal(record->text_len, 0);
	free(record);
	enricher_free(enricher);
}

static void test_cgroup(void **state)
{
	struct enricher *enricher = enricher_new();
	const uint64_t start = start_of(getpid());
	char path[4096];
	pid_t pid;

	(void)state;
	own_cgroup(path, sizeof(path));
	check_cgroup(enricher, getpid(), start, path);
	check_cgroup(enricher, getpid(), start + 9999999, path);
	check_cgroup(enricher, getpid(), start + 10000000, "");
	check_cgroup(enricher, getpid(), start - 1, "");
	pid = spawn_sleep("/", "/bin/sleep");
	check_cgroup(enricher, pid, start_of(pid), path);
	end(pid);
	check_cgroup(enricher, pid, start, "");
	enricher_free(enricher);
}

/* ---- The queue ------------------------------------------------------------------------------- */

static void test_full(void **state)
{
	struct enricher *enricher = enricher_new();
	unsigned int accepted = 0, results = 0;

	(void)state;
	while (enricher_request_user(enricher, accepted) == 0)
		accepted++;
	assert_int_equal(accepted, ENRICH_QUEUE_MAX); /* results that nobody has fetched count */
	assert_int_equal(enricher_request_group(enricher, 1), -EAGAIN);
	/* Activations have a queue of their own. */
	assert_int_equal(enricher_request_activation(enricher, 1, 1, "no-such.service"), 0);
	for (; results < accepted + 1; results++) {
		struct record *record = NULL;

		for (int i = 0; i < 1000 && !(record = enricher_next(enricher)); i++)
			usleep(10000);
		assert_non_null(record);
		free(record);
	}
	assert_null(enricher_next(enricher));
	assert_int_equal(enricher_request_user(enricher, 0), 0);
	free(next(enricher, RECORD_NAME));
	enricher_free(enricher);
}

/* Each request gives one result, and the descriptor is not readable once all are fetched. */
static void test_all_at_once(void **state)
{
	char *path = make_file("abc", "abc", 3);
	struct enricher *enricher = enricher_new();
	struct image image = image_of(path);
	struct pollfd fd = {.fd = enricher_fd(enricher), .events = POLLIN};
	unsigned int sent = 0, results = 0;
	struct record *record;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		const uint32_t id = (uint32_t)i;

		sent += enricher_request_user(enricher, id) == 0;
		sent += enricher_request_hash(enricher, &image, 0) == 0;
		sent += enricher_request_cgroup(enricher, id, 1) == 0;
		while (i % 50 == 0 && (record = enricher_next(enricher))) {
			free(record);
			results++;
		}
	}
	while (results < sent) {
		assert_int_equal(poll(&fd, 1, 20000), 1);
		while ((record = enricher_next(enricher))) {
			free(record);
			results++;
		}
	}
	assert_int_equal(results, sent);
	assert_int_equal(poll(&fd, 1, 0), 0);
	enricher_free(enricher);
	free(path);
}

/* enricher_free() waits neither for a long hash nor for queued requests. */
static void test_end(void **state)
{
	char *path = in_work("sparse");
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0755);
	struct enricher *enricher = enricher_new();
	struct image image;
	uint64_t started;

	(void)state;
	assert_int_equal(ftruncate(fd, (off_t)HASH_FILE_MAX), 0);
	image = image_of(path);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(enricher_request_hash(enricher, &image, 0), 0);
		assert_int_equal(enricher_request_user(enricher, 0), 0);
	}
	usleep(50000);
	started = clock_ns(CLOCK_MONOTONIC);
	enricher_free(enricher);
	assert_true(clock_ns(CLOCK_MONOTONIC) - started < 1000000000ULL);
	enricher_free(NULL);
	for (int i = 0; i < 50; i++)
		enricher_free(enricher_new());
	close(fd);
	unlink(path);
	free(path);
}

/* Replaces the C library's function: for this user, the name service does not answer. */
#define HANGING_UID 4242U

static int hang[2] = {-1, -1};

int getpwuid_r(uid_t uid, struct passwd *user, char *buffer, size_t size, struct passwd **found)
{
	int (*library)(uid_t, struct passwd *, char *, size_t, struct passwd **);
	char byte;

	*(void **)&library = dlsym(RTLD_NEXT, "getpwuid_r");
	if (uid == HANGING_UID && read(hang[0], &byte, 1) < 0)
		return EIO;
	return library(uid, user, buffer, size, found);
}

/*
 * Neither a hash nor enricher_free() waits for the name service. Its answer comes after the
 * enricher was freed.
 */
static void test_name_service_hangs(void **state)
{
	char *path = make_file("abc", "abc", 3);
	struct enricher *enricher = enricher_new();
	struct image image = image_of(path);
	uint64_t started;

	(void)state;
	assert_int_equal(pipe2(hang, O_CLOEXEC), 0);
	assert_int_equal(enricher_request_user(enricher, HANGING_UID), 0);
	assert_int_equal(enricher_request_user(enricher, 0), 0);
	assert_int_equal(enricher_request_hash(enricher, &image, 0), 0);
	free(next(enricher, RECORD_HASH));
	started = clock_ns(CLOCK_MONOTONIC);
	enricher_free(enricher);
	assert_true(clock_ns(CLOCK_MONOTONIC) - started < 5000000000ULL);
	close(hang[1]);
	usleep(200000);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash_known),
		cmocka_unit_test(test_hash_of_process),
		cmocka_unit_test(test_hash_of_deleted),
		cmocka_unit_test(test_hash_of_another),
		cmocka_unit_test(test_hash_rewritten),
		cmocka_unit_test(test_hash_racy),
		cmocka_unit_test(test_hash_of_pipe),
		cmocka_unit_test(test_hash_of_odd_paths),
		cmocka_unit_test(test_hash_too_large),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_cgroup),
		cmocka_unit_test(test_accounts),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_all_at_once),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_name_service_hangs),
	};

	return cmocka_run_group_tests(tests, make_work, remove_work);
}
