/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Files that other users could change are refused, and so are those behind a folder or a symbolic
 * link that they could change. Needs root, to give files away.
 */
#include "unit.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/trusted.h"
#include "config/config.h"

#define OTHER 1234U

static char folder[] = "/tmp/smtpsnoop-trusted-XXXXXX";
static char why[TRUSTED_WHY_MAX];

static const char *in(const char *name)
{
	static char paths[4][PATH_MAX];
	static int next;
	char *path = paths[next++ % 4];

	snprintf(path, PATH_MAX, "%s/%s", folder, name);
	return path;
}

static void make_folder(const char *name)
{
	assert_int_equal(mkdir(in(name), 0755), 0);
}

static void make_file(const char *name, const char *text)
{
	FILE *file = fopen(in(name), "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
	assert_int_equal(chmod(in(name), 0644), 0);
}

/* folder/a/b/file, links to it, and a folder with the sticky bit */
static int setup(void **state)
{
	(void)state;
	strcpy(folder + sizeof(folder) - 7, "XXXXXX");
	if (geteuid() != 0 || !mkdtemp(folder) || chmod(folder, 0755))
		return -1;
	make_folder("a");
	make_folder("a/b");
	make_folder("sticky");
	assert_int_equal(chmod(in("sticky"), 01777), 0);
	make_file("a/b/file", "heartbeat: 5m\n");
	make_file("sticky/file", "x");
	assert_int_equal(symlink("a/b", in("relative")), 0);
	assert_int_equal(symlink(in("a/b/file"), in("absolute")), 0);
	assert_int_equal(symlink("../a/./b/../b/file", in("sticky/link")), 0);
	return 0;
}

static int teardown(void **state)
{
	char command[100];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return system(command);
}

static void expect_good(const char *path)
{
	int fd = trusted_open(path, why);

	if (fd < 0)
		fail_msg("%s", why);
	close(fd);
}

/* `format`: of the reason, which must be this one. */
__attribute__((format(printf, 2, 3))) static void expect_refused(const char *path,
								 const char *format, ...)
{
	char expected[TRUSTED_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(expected, sizeof(expected), format, args);
	va_end(args);
	assert_int_equal(trusted_open(path, why), -EPERM);
	assert_string_equal(why, expected);
}

static void test_good(void **state)
{
	char byte;
	int fd;

	(void)state;
	expect_good("/");
	expect_good("/tmp");
	expect_good(in("a/b/file"));
	expect_good(in("a/b"));
	expect_good(in("a//b/./../b/file"));
	expect_good(in("relative/file"));
	expect_good(in("relative/"));
	expect_good(in("absolute"));
	expect_good(in("sticky/file"));
	expect_good(in("sticky/link"));
	assert_int_equal(chdir(in("a")), 0);
	expect_good("b/file");
	expect_good("../absolute");
	expect_good("./b/");
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(chmod(in("a/b/file"), 0664), 0); /* the group is root's */
	assert_int_equal(chmod(in("a"), 0775), 0);
	expect_good(in("a/b/file"));
	fd = trusted_open(in("absolute"), why);
	assert_int_equal(read(fd, &byte, 1), 1);
	assert_int_equal(byte, 'h');
	close(fd);
}

static void test_file(void **state)
{
	const char *path = in("a/b/file");

	(void)state;
	assert_int_equal(chmod(path, 0646), 0);
	expect_refused(path, "%s has mode 0646: any user can write it; run: chmod o-w %s", path,
		       path);
	expect_refused(in("absolute"), "%s has mode 0646: any user can write it; run: chmod o-w %s",
		       path, path);
	assert_int_equal(chown(path, 0, 50), 0);
	assert_int_equal(chmod(path, 0664), 0);
	expect_refused(path, "%s has mode 0664: gid 50 can write it; run: chmod g-w %s", path,
		       path);
	assert_int_equal(chmod(path, 0644), 0);
	expect_good(path);
	assert_int_equal(chown(path, OTHER, 0), 0);
	expect_refused(path, "%s belongs to uid 1234, who can change it; run: chown -h root %s",
		       path, path);
	assert_true(trusted_open_if(false, path, why) >= 0);
}

static void test_folders(void **state)
{
	static const char *const paths[] = {"a/b/file", "relative/file", "absolute", "sticky/link",
					    "a/b"};
	char a[PATH_MAX];

	(void)state;
	strcpy(a, in("a"));
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		assert_int_equal(chmod(a, 0777), 0);
		expect_refused(in(paths[i]),
			       "%s has mode 0777: any user can write it and replace what is in it; "
			       "run: chmod o-w %s",
			       a, a);
		assert_int_equal(chmod(a, 01777), 0);
		expect_good(in(paths[i]));
		assert_int_equal(chmod(a, 0775), 0);
		assert_int_equal(chown(a, 0, 50), 0);
		expect_refused(in(paths[i]),
			       "%s has mode 0775: gid 50 can write it and replace what is in it; "
			       "run: chmod g-w %s",
			       a, a);
		assert_int_equal(chown(a, OTHER, 0), 0);
		assert_int_equal(chmod(a, 01700), 0); /* the owner may, whatever the bits */
		expect_refused(in(paths[i]),
			       "%s belongs to uid 1234, who can change it; run: chown -h root %s",
			       a, a);
		assert_int_equal(chown(a, 0, 0), 0);
		assert_int_equal(chmod(a, 0755), 0);
		expect_good(in(paths[i]));
	}
}

/* In a folder with the sticky bit, somebody put a link, a file, or a folder. */
static void test_planted(void **state)
{
	char path[PATH_MAX];

	(void)state;
	strcpy(path, in("sticky/link"));
	assert_int_equal(lchown(path, OTHER, OTHER), 0);
	expect_refused(path, "%s belongs to uid 1234, who can change it; run: chown -h root %s",
		       path, path);
	strcpy(path, in("sticky/file"));
	assert_int_equal(lchown(path, OTHER, OTHER), 0);
	expect_refused(path, "%s belongs to uid 1234, who can change it; run: chown -h root %s",
		       path, path);
	make_folder("sticky/sub");
	make_file("sticky/sub/file", "x");
	strcpy(path, in("sticky/sub"));
	assert_int_equal(lchown(path, OTHER, OTHER), 0);
	expect_refused(in("sticky/sub/file"),
		       "%s belongs to uid 1234, who can change it; run: chown -h root %s", path,
		       path);
}

static void test_errors(void **state)
{
	char lengthy[2 * PATH_MAX];

	(void)state;
	assert_int_equal(trusted_open("", why), -ENOENT);
	assert_int_equal(trusted_open(in("missing"), why), -ENOENT);
	assert_string_equal(why, "No such file or directory");
	assert_int_equal(trusted_open(in("missing/file"), why), -ENOENT);
	assert_int_equal(trusted_open(in("a/b/file/more"), why), -ENOTDIR);
	assert_int_equal(symlink("loop", in("loop")), 0);
	assert_int_equal(trusted_open(in("loop"), why), -ELOOP);
	memset(lengthy, 'x', sizeof(lengthy) - 1);
	lengthy[sizeof(lengthy) - 1] = '\0';
	lengthy[0] = '/';
	assert_int_equal(trusted_open(lengthy, why), -ENAMETOOLONG);
	lengthy[300] = '\0';
	assert_int_equal(trusted_open(lengthy, why), -ENAMETOOLONG);
	assert_int_equal(mkfifo(in("fifo"), 0600), 0);
	alarm(10);
	expect_good(in("fifo")); /* the caller examines what it is */
	alarm(0);
}

/* POSIX.1e draft 17: version 2, then tag, permissions and id of each entry. */
static void test_access_control_list(void **state)
{
	static const unsigned char list[] = {2,	  0,   0,   0,	 1,   0,   6,  0,   255, 255, 255,
					     255, 2,   0,   6,	 0,   210, 4,  0,   0,	 4,   0,
					     4,	  0,   255, 255, 255, 255, 16, 0,   6,	 0,   255,
					     255, 255, 255, 32,	 0,   4,   0,  255, 255, 255, 255};
	const char *path = in("a/b/file");

	(void)state;
	if (setxattr(path, "system.posix_acl_access", list, sizeof(list), 0)) {
		fputs("this file system has no access control lists\n", stderr);
		skip();
	}
	expect_refused(path,
		       "%s has an access control list: others can write it; run: setfacl -b %s",
		       path, path);
}

/* As another user: his own files and root's are good, anybody else's are not. */
static void test_other_user(void **state)
{
	int status = 0;
	pid_t child;

	(void)state;
	make_file("a/own", "x");
	assert_int_equal(chown(in("a/own"), OTHER, OTHER), 0);
	make_file("a/else", "x");
	assert_int_equal(chown(in("a/else"), OTHER + 1, 0), 0);
	child = fork();
	if (!child) {
		if (setgid(OTHER) || setuid(OTHER))
			_exit(10);
		if (trusted_open(in("a/own"), why) < 0)
			_exit(11);
		if (trusted_open(in("a/b/file"), why) < 0)
			_exit(12);
		_exit(trusted_open(in("a/else"), why) == -EPERM ? 0 : 13);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

/* ---- The configuration ----------------------------------------------------------------------- */

static void expect_config(const char *error)
{
	const struct config_terms terms = {.trusted = true};
	char seen[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
	struct config *config = config_load(in("a/b/file"), &terms, seen);

	if (!error) {
		if (!config)
			fail_msg("%s", seen);
		config_free(config);
		return;
	}
	assert_null(config);
	snprintf(expected, sizeof(expected), "%s/%s", folder, error);
	assert_memory_equal(seen, expected, strlen(expected));
	config_free(config_load(in("a/b/file"), NULL, seen)); /* not asked for: read all the same */
}

/* Everything that the configuration names and that decides something is examined. */
static void test_config(void **state)
{
	char text[3 * PATH_MAX];

	(void)state;
	expect_config(NULL);
	make_folder("a/b/conf.d");
	make_file("a/b/conf.d/x.yaml", "");
	expect_config(NULL);
	assert_int_equal(chmod(in("a/b/conf.d/x.yaml"), 0666), 0);
	expect_config("a/b/conf.d/x.yaml: /tmp/smtpsnoop-trusted-");
	assert_int_equal(unlink(in("a/b/conf.d/x.yaml")), 0);
	assert_int_equal(chmod(in("a/b/conf.d"), 0777), 0);
	expect_config("a/b/conf.d: /tmp/smtpsnoop-trusted-");
	assert_int_equal(rmdir(in("a/b/conf.d")), 0);
	expect_config(NULL);
	make_folder("keys");
	make_file("keys/key", "0123456789abcdef0123456789abcdef");
	assert_int_equal(chmod(in("keys/key"), 0600), 0);
	snprintf(text, sizeof(text), "privacy: { addresses: hash, key_file: %s }\n",
		 in("keys/key"));
	make_file("a/b/file", text);
	expect_config(NULL);
	assert_int_equal(chmod(in("keys"), 0777), 0);
	expect_config("a/b/file:1:39: /tmp/smtpsnoop-trusted-");
#ifdef HAVE_LIBYARA
	make_folder("rules");
	make_file("rules/x.yar", "include \"y.yar\"\n");
	make_file("rules/y.yar", "rule y { condition: true }\n");
	snprintf(text, sizeof(text), "rules: %s\n", in("rules/x.yar"));
	make_file("a/b/file", text);
	expect_config(NULL);
	assert_int_equal(chmod(in("rules/y.yar"), 0666), 0);
	expect_config("a/b/file:1:8: /tmp/smtpsnoop-trusted-");
	assert_int_equal(chmod(in("rules/y.yar"), 0644), 0);
	assert_int_equal(chmod(in("rules"), 0777), 0);
	expect_config("a/b/file:1:8: /tmp/smtpsnoop-trusted-");
#endif
}

static void test_needs_root(void **state)
{
	(void)state;
	fputs("needs root, to give files away\n", stderr);
	skip();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_good),       TEST(test_file),	  TEST(test_folders),
		TEST(test_planted),    TEST(test_errors), TEST(test_access_control_list),
		TEST(test_other_user), TEST(test_config),
	};

	static const struct CMUnitTest none[] = {cmocka_unit_test(test_needs_root)};

	if (geteuid() != 0)
		return cmocka_run_group_tests(none, NULL, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
