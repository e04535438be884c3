/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the reader of /proc says about real processes: names, deleted and foreign executables,
 * arguments, processes that end.
 */
#include "processes.h"

#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#include "process/image.h"
#include "process/process.h"
#include "capture/procfs.h"
#include "capture/records.h"
#include "capture/snapshot.h"

/* ---- Taking a snapshot ----------------------------------------------------------------------- */

struct taken {
	struct exec_record *record; /* the last record of `pid` */
	uint32_t pid;
	int count;
};

static void on_record(void *context, const struct record *record)
{
	struct taken *taken = context;

	assert_true(record_valid(record, record->len));
	taken->count++;
	if (((const struct exec_record *)record)->pid != taken->pid)
		return;
	free(taken->record);
	taken->record = malloc(record->len);
	assert_non_null(taken->record);
	memcpy(taken->record, record, record->len);
}

static struct exec_record *take(pid_t pid)
{
	struct taken taken = {.pid = (uint32_t)pid};

	assert_int_equal(snapshot_process((uint32_t)pid, 0, on_record, &taken), 0);
	assert_int_equal(taken.count, 1);
	assert_non_null(taken.record);
	return taken.record;
}

static struct image *take_image(pid_t pid)
{
	struct exec_record *record = take(pid);
	struct image *image = image_of_exec(record);

	assert_non_null(image);
	free(record);
	return image;
}

/* ---- Tests ----------------------------------------------------------------------------------- */

static void test_one(void **state)
{
	const uint64_t before = clock_ns(CLOCK_BOOTTIME);
	pid_t pid = spawn_sleep("/", "/bin/sleep");
	struct exec_record *record = take(pid), *own = take(getpid());
	struct image *image = image_of_exec(record);
	struct stat st;
	char real[4096];

	(void)state;
	assert_non_null(realpath("/bin/sleep", real));
	assert_int_equal(stat(real, &st), 0);
	assert_non_null(image);
	assert_string_equal(image->executable, real);
	assert_string_equal(image->directory, "/");
	assert_string_equal(image->script, "");
	assert_int_equal(image->args_len, 9);
	assert_memory_equal(image->args,
			    "sleep\0"
			    "60",
			    9);
	assert_int_equal(image->flags, EXEC_SNAPSHOT);
	assert_int_equal(image->inode, st.st_ino);
	assert_int_equal(image->dev, major(st.st_dev) << 20 | minor(st.st_dev));
	assert_int_equal(image->size, st.st_size);
	assert_int_equal(image->ctime_ns,
			 (uint64_t)st.st_ctim.tv_sec * 1000000000 + (uint64_t)st.st_ctim.tv_nsec);
	assert_int_equal(record->pid, pid);
	assert_int_equal(record->exec_ns, record->start_ns);
	assert_int_equal(record->start_ns % procfs_tick_ns(), 0);
	assert_true(record->start_ns + procfs_tick_ns() > before &&
		    record->start_ns < clock_ns(CLOCK_BOOTTIME));
	assert_true(record->h.time_ns >= before && record->h.time_ns <= clock_ns(CLOCK_BOOTTIME));
	assert_int_equal(record->parent_pid, getpid());
	assert_int_equal(record->parent_start_ns, own->start_ns);
	image_unref(image);
	free(record);
	free(own);
	end(pid);
}

static void test_which_process(void **state)
{
	pid_t pid = spawn_sleep("/", "/bin/sleep");
	struct exec_record *record = take(pid);
	const uint64_t start = record->start_ns, tick = procfs_tick_ns();
	struct taken taken = {0};

	(void)state;
	assert_int_equal(snapshot_process((uint32_t)pid, start, on_record, &taken), 0);
	assert_int_equal(snapshot_process((uint32_t)pid, start + tick - 1, on_record, &taken), 0);
	assert_int_equal(snapshot_process((uint32_t)pid, start + tick, on_record, &taken), -ESRCH);
	assert_int_equal(snapshot_process((uint32_t)pid, start - 1, on_record, &taken), -ESRCH);
	kill(pid, SIGKILL); /* a zombie until waitpid() */
	assert_int_equal(waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
	assert_int_equal(snapshot_process((uint32_t)pid, 0, on_record, &taken), -ENOENT);
	end(pid);
	assert_int_equal(snapshot_process((uint32_t)pid, 0, on_record, &taken), -ESRCH);
	assert_int_equal(snapshot_process(UINT32_MAX, 0, on_record, &taken), -ESRCH);
	assert_int_equal(snapshot_process(0, 0, on_record, &taken), -ESRCH);
	assert_int_equal(taken.count, 2);
	free(record);
}

/* The process name looks like the fields that follow it in /proc/PID/stat. */
static void test_comm(void **state)
{
	static const char *const names[] = {") \n", "a) S 1 2 3 4 (", "))))))))))))))", "\n\n\n",
					    "",	    "(R) 0 0 0 0 0"};
	struct exec_record *record, *own = take(getpid());

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			prctl(PR_SET_NAME, names[i]);
			pause();
			_exit(0);
		}
		usleep(20000);
		record = take(pid);
		assert_int_equal(record->parent_pid, getpid());
		assert_int_equal(record->parent_start_ns, own->start_ns);
		assert_true(record->start_ns >= own->start_ns &&
			    record->start_ns < clock_ns(CLOCK_BOOTTIME));
		assert_int_equal(record->inode, own->inode);
		free(record);
		end(pid);
	}
	free(own);
}

static void test_deleted(void **state)
{
	char *path = make_program("tool");
	pid_t pid = spawn_sleep("/", path);
	struct image *image = take_image(pid);

	(void)state;
	assert_string_equal(image->executable, path);
	assert_int_equal(image->flags, EXEC_SNAPSHOT);
	image_unref(image);
	assert_int_equal(unlink(path), 0);
	image = take_image(pid);
	assert_string_equal(image->executable, path);
	assert_int_equal(image->flags, EXEC_SNAPSHOT | EXEC_DELETED);
	image_unref(image);
	end(pid);
	free(path);
}

/* " (deleted)" may be part of the file name. */
static void test_deleted_by_name_only(void **state)
{
	char *path = make_program("tool (deleted)");
	pid_t pid = spawn_sleep("/", path);
	struct image *image = take_image(pid);

	(void)state;
	assert_string_equal(image->executable, path);
	assert_int_equal(image->flags, EXEC_SNAPSHOT);
	image_unref(image);
	assert_int_equal(unlink(path), 0);
	image = take_image(pid);
	assert_string_equal(image->executable, path);
	assert_int_equal(image->flags, EXEC_SNAPSHOT | EXEC_DELETED);
	image_unref(image);
	end(pid);
	free(path);
}

static void test_memfd(void **state)
{
	static const char *const names[] = {"tool", "", "../usr/bin/x", "x (deleted)"};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int fd = memfd_create(names[i], MFD_CLOEXEC), by_name;
		char path[64], expected[64];
		struct image *image;
		pid_t pid;

		assert_true(fd >= 0);
		copy_file("/bin/sleep", fd);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		/* A file open for writing cannot be executed. */
		by_name = open(path, O_RDONLY | O_CLOEXEC);
		close(fd);
		pid = spawn("/", by_name, NULL, sleep_argv);
		close(by_name);
		image = take_image(pid);
		snprintf(expected, sizeof(expected), "memfd:%s", names[i]);
		assert_string_equal(image->executable, expected);
		assert_int_equal(image->flags, EXEC_SNAPSHOT | EXEC_DELETED | EXEC_MEMFD);
		image_unref(image);
		end(pid);
	}
}

/* A deleted file is not a memfd, whatever its name. */
static void test_not_a_memfd(void **state)
{
	char *path = NULL;
	struct image *image;
	pid_t pid;
	int fd;

	(void)state;
	assert_true(asprintf(&path, "/memfd:smtpsnoop-%d", getpid()) > 0);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	if (fd < 0) {
		free(path);
		skip(); /* not root */
	}
	copy_file("/bin/sleep", fd);
	close(fd);
	pid = spawn_sleep("/", path);
	unlink(path);
	image = take_image(pid);
	assert_string_equal(image->executable, path);
	assert_int_equal(image->flags, EXEC_SNAPSHOT | EXEC_DELETED);
	image_unref(image);
	end(pid);
	free(path);
}

static void test_directory(void **state)
{
	char *directory = in_work("below"), *odd = in_work("odd (deleted)");
	struct image *image;
	pid_t pid;

	(void)state;
	assert_int_equal(mkdir(directory, 0755), 0);
	pid = spawn_sleep(directory, "/bin/sleep");
	image = take_image(pid);
	assert_string_equal(image->directory, directory);
	image_unref(image);
	assert_int_equal(rmdir(directory), 0);
	image = take_image(pid);
	assert_string_equal(image->directory, directory);
	image_unref(image);
	end(pid);
	assert_int_equal(mkdir(odd, 0755), 0);
	pid = spawn_sleep(odd, "/bin/sleep");
	image = take_image(pid);
	assert_string_equal(image->directory, odd);
	image_unref(image);
	end(pid);
	rmdir(odd);
	free(directory);
	free(odd);
}

/* `n` bytes of arguments, including the NULs. */
static void check_args(size_t n)
{
	char *most = malloc(n);
	const char *const argv[] = {"sleep", "60", most, NULL};
	struct image *image;
	pid_t pid;

	assert_non_null(most);
	memset(most, '0', n - 9);
	most[n - 10] = '\0';
	pid = spawn("/", -1, "/bin/sleep", argv);
	image = take_image(pid);
	if (n > EXEC_ARGS_MAX)
		assert_int_equal(image->flags, EXEC_SNAPSHOT | EXEC_ARGS_TRUNCATED);
	else
		assert_int_equal(image->flags, EXEC_SNAPSHOT);
	assert_int_equal(image->args_len, n > EXEC_ARGS_MAX ? EXEC_ARGS_MAX + 4 : n);
	assert_int_equal(image->args_partial, n > EXEC_ARGS_MAX);
	image_unref(image);
	end(pid);
	free(most);
}

static void test_arguments(void **state)
{
	(void)state;
	check_args(EXEC_ARGS_MAX - 1);
	check_args(EXEC_ARGS_MAX);
	check_args(EXEC_ARGS_MAX + 1);
	check_args(100000);
}

static void test_longest_path(void **state)
{
	char name[256], *command = NULL;
	int directory, fd, levels = 0;
	struct image *image;
	pid_t pid;

	(void)state;
	memset(name, 'd', 255);
	name[255] = '\0';
	directory = open(work, O_PATH | O_DIRECTORY | O_CLOEXEC);
	for (; levels < 17; levels++) { /* until the path exceeds PATH_MAX */
		int next;

		assert_int_equal(mkdirat(directory, name, 0755), 0);
		next = openat(directory, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(directory);
		directory = next;
		if (levels != 13 && levels != 16)
			continue;
		fd = openat(directory, "tool", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
		copy_file("/bin/sleep", fd);
		close(fd);
		fd = openat(directory, "tool", O_RDONLY | O_CLOEXEC);
		pid = spawn("/", fd, NULL, sleep_argv);
		close(fd);
		image = take_image(pid);
		if (levels == 13)
			assert_int_equal(strlen(image->executable), strlen(work) + 14 * 256 + 5);
		else
			assert_string_equal(image->executable, "...");
		assert_int_equal(!!(image->flags & EXEC_PATH_TRUNCATED), levels == 16);
		image_unref(image);
		end(pid);
	}
	close(directory);
	assert_true(asprintf(&command, "rm -rf '%s/%s'", work, name) > 0);
	assert_int_equal(system(command), 0);
	free(command);
}

/* Kernel threads have no executable. */
static void test_kernel_thread(void **state)
{
	struct taken taken = {0};
	char target[64];

	(void)state;
	if (access("/proc/2", F_OK) || readlink("/proc/2/exe", target, sizeof(target)) >= 0)
		skip(); /* a pid namespace of our own */
	assert_int_equal(snapshot_process(2, 0, on_record, &taken), -ENOENT);
	assert_int_equal(taken.count, 0);
}

/*
 * A user mounts a file system over /usr in a private mount namespace. A process outside executes
 * the file "/usr/tool" of that namespace.
 */
static void test_foreign_mount(void **state)
{
	char path[64];
	int ready[2], fd;
	struct image *image;
	pid_t owner, pid;
	char byte = 0;

	(void)state;
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	owner = fork();
	if (owner == 0) {
		if (unshare(CLONE_NEWNS) == 0 &&
		    mount("", "/", NULL, MS_PRIVATE | MS_REC, NULL) == 0 &&
		    mount("own", "/mnt", "tmpfs", 0, NULL) == 0) {
			fd = open("/mnt/tool", O_WRONLY | O_CREAT | O_CLOEXEC, 0755);
			copy_file("/bin/sleep", fd);
			close(fd);
			byte = mount("/mnt", "/usr", NULL, MS_MOVE, NULL) == 0;
		}
		if (write(ready[1], &byte, 1) == 1)
			pause();
		_exit(0);
	}
	assert_int_equal(read(ready[0], &byte, 1), 1);
	if (!byte) {
		end(owner);
		skip(); /* no permission */
	}
	snprintf(path, sizeof(path), "/proc/%d/root/usr/tool", owner);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	pid = spawn("/", fd, NULL, sleep_argv);
	image = take_image(pid);
	assert_string_equal(image->executable, ".../usr/tool");
	assert_true(image->flags & EXEC_PATH_TRUNCATED);
	image_unref(image);
	end(pid);
	end(owner);
	close(fd);
	close(ready[0]);
	close(ready[1]);
}

/*
 * Reads a process that executes two files in turn, all the time: each record must describe one of
 * them.
 */
static void test_exec_meanwhile(void **state)
{
	char *script = in_work("turn"), *shell = in_work("shell"), real[4096];
	struct taken taken = {0};
	FILE *file = fopen(script, "w");
	int fd = open(shell, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755), good = 0;
	struct stat one, other;
	pid_t pid;

	(void)state;
	copy_file("/bin/sh", fd);
	close(fd);
	assert_non_null(file);
	fprintf(file, "exec $2 $0 $2 $1\n");
	fclose(file);
	assert_true(stat(shell, &one) == 0 && stat("/bin/sh", &other) == 0 &&
		    realpath("/bin/sh", real));
	pid = spawn("/", -1, "/bin/sh", (const char *[]){"sh", script, "/bin/sh", shell, NULL});
	taken.pid = (uint32_t)pid;
	for (int i = 0; i < 2000; i++) {
		int error = snapshot_process((uint32_t)pid, 0, on_record, &taken);
		struct image *image;

		assert_true(error == 0 || error == -EAGAIN);
		if (error)
			continue;
		good++;
		image = image_of_exec(taken.record);
		assert_string_equal(image->executable, image->inode == one.st_ino ? shell : real);
		assert_true(image->inode == one.st_ino || image->inode == other.st_ino);
		image_unref(image);
	}
	assert_true(good > 0);
	end(pid);
	unlink(script);
	unlink(shell);
	free(taken.record);
	free(script);
	free(shell);
}

/* Processes come and go while all are read: every record is valid, and our own is among them. */
static void test_all(void **state)
{
	struct taken taken = {.pid = (uint32_t)getpid()};
	pid_t churn = fork();
	int n;

	(void)state;
	if (churn == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;) {
			pid_t pid = fork();

			if (pid == 0)
				_exit(0);
			waitpid(pid, NULL, 0);
		}
	}
	for (int i = 0; i < 20; i++) {
		taken.count = 0;
		n = snapshot_processes(on_record, &taken);
		assert_true(n >= 2);
		assert_int_equal(n, taken.count);
		assert_non_null(taken.record);
	}
	free(taken.record);
	end(churn);
}

/*
 * A thousand processes. The processor time is printed (other tests run at the same time), and it is
 * bounded where no sanitizer slows it down; there a hundred processes do.
 */
static void test_speed(void **state)
{
#ifdef SANITIZED
	enum { COUNT = 100 }; /* each fork copies the page tables of the shadow memory */
#else
	enum { COUNT = 1000 };
#endif
	static pid_t pids[COUNT];
	struct taken taken = {0};
	uint64_t started, best = UINT64_MAX;

	(void)state;
	for (int i = 0; i < COUNT; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			pause();
			_exit(0);
		}
		assert_true(pids[i] > 0);
	}
	for (int i = 0; i < 5; i++) {
		started = clock_ns(CLOCK_THREAD_CPUTIME_ID);
		assert_true(snapshot_processes(on_record, &taken) >= COUNT);
		started = clock_ns(CLOCK_THREAD_CPUTIME_ID) - started;
		best = started < best ? started : best;
	}
	for (int i = 0; i < COUNT; i++)
		kill(pids[i], SIGKILL);
	for (int i = 0; i < COUNT; i++)
		waitpid(pids[i], NULL, 0);
	print_message("%d processes: %.1f ms\n", COUNT, (double)best / 1e6);
#ifndef SANITIZED
	assert_true(best < 100000000);
#endif
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one),
		cmocka_unit_test(test_which_process),
		cmocka_unit_test(test_comm),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_deleted_by_name_only),
		cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_not_a_memfd),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_arguments),
		cmocka_unit_test(test_longest_path),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_foreign_mount),
		cmocka_unit_test(test_exec_meanwhile),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, make_work, remove_work);
}
