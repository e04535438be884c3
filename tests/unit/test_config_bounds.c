/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A hostile or broken configuration is refused at once, and the error names the bound. Each text
 * that is refused has a neighbour just within the bound, which is read.
 */
#include "unit.h"

#include <stdio.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/text.h"
#include "config/config.h"

/* Of processor time. Without the bounds these take from half a minute to hours. */
#define REFUSED_S 10

/* Ends the program once it has used this much processor time: a busy machine takes longer. */
static void limit(time_t seconds)
{
	const struct itimerval timer = {.it_value.tv_sec = seconds};

	assert_int_equal(setitimer(ITIMER_PROF, &timer, NULL), 0);
}

static char folder[] = "/tmp/smtpsnoop-bounds-XXXXXX";
static char path[100];

static void write_file(const char *name, struct span text)
{
	char full[200];
	FILE *file;

	snprintf(full, sizeof(full), "%s/%s", folder, name);
	file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(text.data, 1, text.len, file), text.len);
	assert_int_equal(fclose(file), 0);
}

static void expect(struct text *text, const char *error)
{
	char seen[CONFIG_ERROR_MAX], expected[CONFIG_ERROR_MAX];
	struct config *config;

	assert_false(text->failed);
	write_file("smtpsnoop.yaml", (struct span){text->data, text->len});
	text_free(text);
	limit(REFUSED_S);
	config = config_load(path, NULL, seen);
	limit(0);
	if (!error) {
		if (!config)
			fail_msg("%s", seen);
		config_free(config);
		return;
	}
	assert_null(config);
	snprintf(expected, sizeof(expected), "%s:%s", path, error);
	assert_string_equal(seen, expected);
}

static void repeat(struct text *text, const char *what, size_t times)
{
	for (size_t i = 0; i < times; i++)
		text_add_string(text, what);
}

static void test_depth(void **state)
{
	static const char *const opening[] = {"[", "{a: ", "- ", "? "};
	static const char *const places[] = {"1:33", "1:129", "1:65", "1:65"};
	char error[100];

	(void)state;
	for (size_t i = 0; i < sizeof(opening) / sizeof(opening[0]); i++) {
		struct text text = {0};

		repeat(&text, opening[i], 400000);
		snprintf(error, sizeof(error), "%s: nested more than 32 levels deep", places[i]);
		expect(&text, error);
	}
}

/* At the bound itself, the text is parsed. */
static void test_depth_allowed(void **state)
{
	struct text text = {0};

	(void)state;
	repeat(&text, "[", 32);
	repeat(&text, "]", 32);
	expect(&text, "1:1: expected a mapping with capture, decision, rules, privacy, outputs, "
		      "metrics, alerts, heartbeat, exclusions");
	repeat(&text, "[", 33);
	repeat(&text, "]", 33);
	expect(&text, "1:33: nested more than 32 levels deep");
	/* Closing brackets that nothing opened do not make room. */
	repeat(&text, "]", 100);
	repeat(&text, "[", 100);
	expect(&text, "1:133: nested more than 32 levels deep");
}

static void add_exclusions(struct text *text, unsigned int count, const char *more)
{
	for (unsigned int i = 0; i < count; i++)
		text_add_format(text, "- { name: e%u, accept_forgeable: true, %s }\n", i, more);
}

static void test_anchors(void **state)
{
	struct text text = {0};

	(void)state;
	for (unsigned int n = 100; n <= 101; n++) {
		text_add_string(&text, "exclusions:\n- name: x\n  accept_forgeable: true\n"
				       "  mail: { sender: [\n");
		for (unsigned int i = 0; i < n; i++)
			text_add_format(&text, "&a%u a@b,\n", i);
		text_add_string(&text, "*a0 ] }\n");
		expect(&text, n > 100 ? "105:1: more than 100 anchors in one file" : NULL);
	}
}

static void test_directives(void **state)
{
	struct text text = {0};

	(void)state;
	for (unsigned int n = 10; n <= 11; n++) {
		for (unsigned int i = 0; i < n; i++)
			text_add_format(&text, "%%TAG !a%u! b\n", i);
		text_add_string(&text, "---\nheartbeat: 5m\n");
		expect(&text, n > 10 ? "11:1: more than 10 directives in one file" : NULL);
	}
}

static void test_tokens(void **state)
{
	struct text text = {0};

	(void)state;
	repeat(&text, "-\n", 2000000);
	expect(&text, "1999999:1: more than 2000000 YAML tokens in all files together");
}

/* An alias costs a few bytes, and stands for any number of values. */
static void test_aliases(void **state)
{
	struct text text = {0};

	(void)state;
	for (unsigned int count = 400; count <= 600; count += 200) {
		text_add_string(&text, "exclusions:\n- { name: first, accept_forgeable: true, "
				       "mail: &m { sender: [ ");
		repeat(&text, "a@b, ", 999);
		text_add_string(&text, "a@b ] } }\n");
		add_exclusions(&text, count, "mail: *m");
		expect(&text, count == 400 ? NULL
					   : "2:2608: more than 500000 values in all files "
					     "together; an alias counts as what it stands for");
	}
	text_add_string(&text, "exclusions: &a [ *a ]\n");
	text_add_string(&text, "heartbeat: 5m\n");
	write_file("smtpsnoop.yaml", (struct span){text.data, text.len});
	text_free(&text);
	limit(REFUSED_S);
	assert_null(
		config_load(path, NULL, (char[CONFIG_ERROR_MAX]){""})); /* a list within itself */
	limit(0);
}

static void in_folder(unsigned int count, struct span text)
{
	char name[60];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "conf.d/%04u.yaml", i);
		write_file(name, text);
	}
}

static void clear_folder(unsigned int count)
{
	char full[200];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(full, sizeof(full), "%s/conf.d/%04u.yaml", folder, i);
		assert_int_equal(unlink(full), 0);
	}
}

static void test_all_files(void **state)
{
	char full[200], error[CONFIG_ERROR_MAX], *spaces = malloc(4U << 20);
	struct text text = {0};

	(void)state;
	assert_non_null(spaces);
	memset(spaces, ' ', 4U << 20);
	snprintf(full, sizeof(full), "%s/conf.d", folder);
	assert_int_equal(mkdir(full, 0755), 0);
	text_add_string(&text, "heartbeat: 5m\n");
	write_file("smtpsnoop.yaml", (struct span){text.data, text.len});
	in_folder(4, (struct span){spaces, 4U << 20});
	assert_null(config_load(path, NULL, error));
	assert_non_null(strstr(error, "conf.d/0003.yaml:1:1: more than 16777216 bytes in all"));
	clear_folder(4);
	in_folder(1000, (struct span){"", 0});
	assert_null(config_load(path, NULL, error));
	assert_non_null(strstr(error, "conf.d/0999.yaml:1:1: more than 1000 files"));
	clear_folder(1000);
	in_folder(999, (struct span){"", 0});
	expect(&text, NULL);
	clear_folder(999);
	snprintf(full, sizeof(full), "%s/conf.d", folder);
	assert_int_equal(rmdir(full), 0);
	free(spaces);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_depth),	  cmocka_unit_test(test_depth_allowed),
		cmocka_unit_test(test_anchors),	  cmocka_unit_test(test_directives),
		cmocka_unit_test(test_tokens),	  cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_all_files),
	};
	int failed;

	if (!mkdtemp(folder))
		return 1;
	snprintf(path, sizeof(path), "%s/smtpsnoop.yaml", folder);
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	rmdir(folder);
	return failed;
}
