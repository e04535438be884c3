/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The key file of hashed addresses. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "unit.h"

#include "config/privacy_key.h"

/* SHA-256 of 16 times 'k' */
#define KEY_OF_K                                                                                   \
	"\xee\x63\x21\xd7\x58\xcc\x85\xfa\xc5\xf6\xad\x59\x83\xbb\xd4\xad\x1d\xd5\x94\xc5\x64\xfc" \
	"\xc8\xe2"                                                                                 \
	"\xf5\x89\x6f\x09\xaf\xc4\xd5\x74"

static void write_key(const char *path, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	char bytes[PRIVACY_KEY_MAX + 1];

	memset(bytes, 'k', sizeof(bytes));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void expect_key(const char *path, int error, const char *why_has)
{
	struct privacy privacy = {.key = "before"};
	char why[PRIVACY_WHY_MAX] = "";

	assert_int_equal(privacy_read_key(&privacy, path, false, why), error);
	if (error) {
		if (!strstr(why, why_has))
			fail_msg("%s: %s", path, why);
		assert_string_equal((char *)privacy.key, "before");
		assert_null(strchr(why, '\n'));
	}
}

static void test_key(void **state)
{
	char folder[] = "/tmp/test-privacy-XXXXXX", path[64];
	struct privacy one = {0}, two = {0};
	char why[PRIVACY_WHY_MAX];

	(void)state;
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/key", folder);
	expect_key(path, -ENOENT, "head -c 32 /dev/urandom");
	expect_key(folder, -EINVAL, "is a directory; name a file that contains the key");
	expect_key("/dev/null", -EINVAL, "not a regular file");
	write_key(path, PRIVACY_KEY_MIN - 1, 0600);
	expect_key(path, -EINVAL, "too short");
	write_key(path, 0, 0600);
	expect_key(path, -EINVAL, "too short");
	write_key(path, PRIVACY_KEY_MAX + 1, 0600);
	expect_key(path, -EFBIG, "too long");
	write_key(path, 32, 0640);
	expect_key(path, -EPERM, "chmod 600");
	write_key(path, 32, 0604);
	expect_key(path, -EPERM, "chmod 600");
	write_key(path, PRIVACY_KEY_MAX, 0400);
	expect_key(path, 0, "");
	write_key(path, PRIVACY_KEY_MIN, 0600);
	assert_int_equal(privacy_read_key(&one, path, false, why), 0);
	/* by sha256sum */
	assert_memory_equal(one.key, KEY_OF_K, 32);
	write_key(path, PRIVACY_KEY_MIN + 1, 0600);
	assert_int_equal(privacy_read_key(&two, path, false, why), 0);
	assert_memory_not_equal(one.key, two.key, 32);
	if (geteuid() == 0) {
		assert_int_equal(chown(path, 12345, 0), 0);
		expect_key(path, -EPERM, "uid 12345");
	}
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	alarm(10); /* it would wait for a writer */
	expect_key(path, -EINVAL, "not a regular file");
	alarm(0);
	unlink(path);
	rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
