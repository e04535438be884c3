/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Names from a root directory that others fill: files that do not fit are refused, nothing waits.
 */
#include "processes.h"

#include "capture/root_accounts.h"

#define PASSWD                                                                                     \
	"root:x:0:0::/:/bin/sh\n# comment\nbroken\nnginx:x:101:101::/:/bin/sh\nlast:x:7:7::/:/x"
#define GROUP "root:x:0:\nweb:x:101:nginx\n"

struct jail {
	char *path;
	int root;
};

static char *inside(const struct jail *jail, const char *name)
{
	char *path = NULL;

	assert_true(asprintf(&path, "%s/%s", jail->path, name) > 0);
	return path;
}

static void put(const struct jail *jail, const char *name, const char *text, mode_t mode)
{
	char *path = inside(jail, name);
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
	free(path);
}

static struct jail jail_new(const char *passwd)
{
	struct jail jail = {.path = in_work("jail.XXXXXX")};
	char *etc;

	assert_non_null(mkdtemp(jail.path));
	etc = inside(&jail, "etc");
	assert_int_equal(mkdir(etc, 0755), 0);
	free(etc);
	if (passwd) {
		put(&jail, "etc/passwd", passwd, 0644);
		put(&jail, "etc/group", GROUP, 0644);
	}
	jail.root = open(jail.path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(jail.root >= 0);
	return jail;
}

static void jail_free(struct jail *jail)
{
	close(jail->root);
	free(jail->path);
}

static void expect_of(const struct jail *jail, uid_t trusted, uint32_t uid, const char *want)
{
	char *text = root_accounts_at(jail->root, trusted, uid, uid);

	assert_non_null(text);
	assert_string_equal(text, want);
	free(text);
}

static void expect(const struct jail *jail, uint32_t uid, const char *want)
{
	expect_of(jail, geteuid(), uid, want);
}

static void test_names(void **state)
{
	struct jail jail = jail_new(PASSWD);

	(void)state;
	expect(&jail, 0, "own:root:root");
	expect(&jail, 101, "own:nginx:web");
	expect(&jail, 7, "own:last:");
	expect(&jail, 33, "own::");
	expect(&jail, 10, "own::");	    /* 101 begins with it */
	expect(&jail, UINT32_MAX, "own::"); /* no number is this one */
	jail_free(&jail);
}

static void test_no_accounts(void **state)
{
	struct jail jail = jail_new(NULL);
	char *etc = inside(&jail, "etc");

	(void)state;
	expect(&jail, 101, "host");
	assert_int_equal(rmdir(etc), 0);
	expect(&jail, 101, "host");
	free(etc);
	jail_free(&jail);
}

/* Whoever could have written the names chose them. */
static void test_owners(void **state)
{
	struct jail jail = jail_new(PASSWD);
	char *etc = inside(&jail, "etc");

	(void)state;
	expect_of(&jail, geteuid() + 1, 101, "");
	put(&jail, "etc/passwd", PASSWD, 0664);
	expect(&jail, 101, "");
	put(&jail, "etc/passwd", PASSWD, 0646);
	expect(&jail, 101, "");
	put(&jail, "etc/passwd", PASSWD, 0644);
	put(&jail, "etc/group", GROUP, 0666);
	expect(&jail, 101, "own:nginx:");
	assert_int_equal(chmod(etc, 01777), 0);
	expect(&jail, 101, "");
	free(etc);
	jail_free(&jail);
}

/* Nothing waits for a FIFO, no link leads out, a folder is no file. */
static void test_other_files(void **state)
{
	static const char *const targets[] = {"/etc/passwd", "../../../../../etc/passwd", "shadow"};
	struct jail jail = jail_new(PASSWD);
	char *passwd = inside(&jail, "etc/passwd"), *etc = inside(&jail, "etc"),
	     *away = inside(&jail, "away");

	(void)state;
	put(&jail, "etc/shadow", PASSWD, 0644);
	for (size_t i = 0; i < sizeof(targets) / sizeof(targets[0]); i++) {
		assert_int_equal(unlink(passwd), 0);
		assert_int_equal(symlink(targets[i], passwd), 0);
		expect(&jail, 101, "");
	}
	assert_int_equal(unlink(passwd), 0);
	assert_int_equal(mkfifo(passwd, 0644), 0);
	expect(&jail, 101, "");
	assert_int_equal(unlink(passwd), 0);
	assert_int_equal(mkdir(passwd, 0755), 0);
	expect(&jail, 101, "");
	assert_int_equal(rmdir(passwd), 0);
	expect(&jail, 101, "host");
	put(&jail, "etc/passwd", PASSWD, 0644);
	assert_int_equal(rename(etc, away), 0);
	assert_int_equal(symlink("away", etc), 0);
	expect(&jail, 101, "");
	free(passwd);
	free(etc);
	free(away);
	jail_free(&jail);
}

static void test_size(void **state)
{
	char *large = malloc(ACCOUNTS_FILE_MAX + 2U);
	struct jail jail;

	(void)state;
	assert_non_null(large);
	memset(large, '#', ACCOUNTS_FILE_MAX + 1U);
	large[ACCOUNTS_FILE_MAX + 1U] = '\0';
	jail = jail_new(large);
	expect(&jail, 101, "");
	memcpy(large + ACCOUNTS_FILE_MAX - 100, "\nnginx:x:101:101::/:\n", 21);
	large[ACCOUNTS_FILE_MAX - 1U] = '\0';
	put(&jail, "etc/passwd", large, 0644);
	expect(&jail, 101, "own:nginx:web");
	free(large);
	jail_free(&jail);
}

/* A name must not look like an id, a field, or hold what a terminal reads. */
static void test_odd_names(void **state)
{
	static const char *const lines[] = {"0:x:101:\n",
					    "33:x:101:\n",
					    ":x:101:\n",
					    "a b:x:101:\n",
					    "\033[2J:x:101:\n",
					    "-root:x:101:\n",
					    "root\r:x:101:\n",
					    "\xff:x:101:\n",
					    "nginx:x:0101\n",
					    "nginx:x:-101:\n",
					    "nginx:x: 101:\n",
					    "nginx:x:4294967397:\n",
					    "nginx:101:\n",
					    "nginx",
					    "nginx:x:101x:\n",
					    ":::::::",
					    "\n\n\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct jail jail = jail_new(lines[i]);

		expect(&jail, 101, "own::web");
		jail_free(&jail);
	}
}

/* A process of this host: its root is the host's. One that is gone, or is another one by now. */
static void test_processes(void **state)
{
	char *text = root_accounts(UINT32_MAX / 2, 1, 0, 0);

	(void)state;
	assert_string_equal(text, "");
	free(text);
	text = root_accounts((uint32_t)getpid(), 1, 0, 0); /* its start is another one */
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_no_accounts),
		cmocka_unit_test(test_owners),	  cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_size),	  cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_processes),
	};

	return cmocka_run_group_tests(tests, make_work, remove_work);
}
