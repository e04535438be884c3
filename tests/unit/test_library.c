/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What a build without an optional library says of a configuration that needs it: the place, the
 * library, and what to install. The same text is valid in a build that has all libraries.
 */
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#include "base/library.h"
#include "config/config.h"

static struct config *load(const char *text, unsigned int without, char error[CONFIG_ERROR_MAX])
{
	const struct config_terms terms = {.without = without};
	char path[] = "/tmp/smtpsnoop-library-XXXXXX.yaml";
	int fd = mkstemps(path, 5);
	struct config *config;
	char *after;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	config = config_load(path, &terms, error);
	unlink(path);
	after = strstr(error, ".yaml:");
	if (!config && after)
		memmove(error, after + 6, strlen(after + 6) + 1);
	return config;
}

static const struct {
	enum library library;
	const char *text;
	const char *error;
} cases[] = {
	{LIBRARY_MICROHTTPD, "heartbeat: 1m\nmetrics: { listen: '127.0.0.1:9099' }\n",
	 "2:20: metrics.listen needs libmicrohttpd, and this smtpsnoop was built without it; "
	 "install libmicrohttpd-dev and run make again, or use metrics.textfile"},
	{LIBRARY_YARA, "rules: [/etc/smtpsnoop/none.yar]\n",
	 "1:9: rules needs libyara, and this smtpsnoop was built without it; install libyara-dev "
	 "and run make again"},
	{LIBRARY_SYSTEMD,
	 "exclusions:\n- name: a\n  process: { user: root, scheduled_by: systemd-timer }\n",
	 "3:40: scheduled_by: systemd-timer needs libsystemd, and this smtpsnoop was built "
	 "without it; install libsystemd-dev and run make again"},
};

static void test_keys_without_their_library(void **state)
{
	(void)state;
	_Static_assert(sizeof(cases) / sizeof(cases[0]) == LIBRARY_COUNT, "each library");
	for (size_t i = 0; i < LIBRARY_COUNT; i++) {
		char error[CONFIG_ERROR_MAX];

		assert_null(load(cases[i].text, 1U << cases[i].library, error));
		assert_string_equal(error, cases[i].error);
	}
}

static void test_keys_with_their_library(void **state)
{
	(void)state;
	for (size_t i = 0; i < LIBRARY_COUNT; i++) {
		char error[CONFIG_ERROR_MAX];
		/* Without all others. */
		struct config *config = load(cases[i].text, ~(1U << cases[i].library), error);

		if (!library_built(cases[i].library)) {
			assert_null(config);
			assert_string_equal(error, cases[i].error);
		} else if (cases[i].library == LIBRARY_YARA) { /* there is no such file */
			assert_null(config);
			assert_null(strstr(error, "libyara"));
		} else if (!config) {
			fail_msg("%s", error);
		}
		config_free(config);
	}
}

/* What does not need the library stays valid without it. */
static void test_other_values(void **state)
{
	static const char *const texts[] = {
		"metrics: { textfile: /tmp/smtpsnoop.prom }\n", "rules: []\n",
		"exclusions:\n- name: a\n  process: { user: root, scheduled_by: cron }\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		char error[CONFIG_ERROR_MAX];
		struct config *config = load(texts[i], ~0U, error);

		if (!config)
			fail_msg("%s", error);
		config_free(config);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_without_their_library),
		cmocka_unit_test(test_keys_with_their_library),
		cmocka_unit_test(test_other_values),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
