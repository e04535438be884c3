/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which script sends: the ancestor that is meant (process/cause.c), and how each format shows the
 * script and the arguments of every ancestor.
 */
#include "event_samples.h"

#include <locale.h>

#include <jansson.h>

#include "format/event_words.h"
#include "process/cause.h"

/* What a process ran. The arguments are separated by blanks here. */
struct ran {
	const char *executable, *script, *args;
};

static struct image *image_of(const struct ran *ran)
{
	struct image *image = calloc(1, sizeof(*image));

	assert_non_null(image);
	image->refs = 1;
	image->executable = copy_of(ran->executable);
	image->script = copy_of(ran->script);
	image->directory = copy_of("/");
	image->args = copy_of(ran->args);
	image->args_len = strlen(ran->args) + 1;
	for (size_t i = 0; i < image->args_len; i++) {
		if (image->args[i] == ' ')
			image->args[i] = '\0';
	}
	return image;
}

#define CHAIN_MAX (ANCESTORS_MAX + 1)

/* The sender first, then its ancestors; an executable that is NULL is not known. */
static struct sender *sender_of(const struct ran *chain)
{
	struct sender *sender = calloc(1, sizeof(*sender));

	assert_non_null(sender);
	sender->refs = 1;
	sender->full = true;
	sender->image = image_of(chain);
	sender->task.pid = 1000;
	for (chain++; chain->args; chain++) {
		struct ancestor *one = &sender->ancestors[sender->ancestor_count];

		one->pid =
			strcmp(chain->args, "/sbin/init") == 0 ? 1 : 999 - sender->ancestor_count;
		one->image = chain->executable ? image_of(chain) : NULL;
		sender->ancestor_count++;
	}
	return sender;
}

static struct event *event_of(const struct ran *chain)
{
	struct event *event = bare_event(EVENT_MESSAGE);

	event->senders[0] = sender_of(chain);
	event->sender_count = 1;
	return event;
}

#define MSMTP                                                                                      \
	{                                                                                          \
		"/usr/bin/msmtp", "", "/usr/bin/msmtp -t"                                          \
	}
#define SH_C                                                                                       \
	{                                                                                          \
		"/usr/bin/dash", "", "sh -c msmtp"                                                 \
	}
#define BASH                                                                                       \
	{                                                                                          \
		"/usr/bin/bash", "", "-bash"                                                       \
	}
#define INIT                                                                                       \
	{                                                                                          \
		"/usr/lib/systemd/systemd", "", "/sbin/init"                                       \
	}
#define END                                                                                        \
	{                                                                                          \
		NULL, NULL, NULL                                                                   \
	}

static const struct {
	const char *words;
	struct ran chain[CHAIN_MAX + 1];
} cases[] = {
	{"msmtp < php spam.php",
	 {MSMTP, SH_C, {"/usr/bin/php8.2", "/srv/spam.php", "php /srv/spam.php"}, BASH, END}},
	/* mail() of Python by a wrapper that is called sendmail */
	{"msmtp < python app.py",
	 {MSMTP,
	  {"/usr/bin/dash", "/usr/local/sbin/sendmail", "/bin/sh /usr/local/sbin/sendmail -t"},
	  {"/usr/bin/python3.11", "/opt/shop/app.py", "python3 /opt/shop/app.py"},
	  INIT,
	  END}},
	{"ssmtp < perl send.pl",
	 {{"/usr/sbin/ssmtp", "", "ssmtp -t"},
	  {"/usr/bin/env", "", "env -i ssmtp"},
	  {"/usr/bin/perl", "/home/a/send.pl", "perl -w /home/a/send.pl"},
	  END}},
	{"msmtp < ruby report.rb",
	 {MSMTP,
	  {"/usr/bin/bash", "", "bash -lc cat|msmtp"},
	  {"/usr/bin/ruby3.1", "/srv/report.rb", "ruby report.rb"},
	  END}},
	{"msmtp < node job.js",
	 {MSMTP,
	  {"/usr/bin/timeout", "", "timeout 10 nice msmtp"},
	  {"/usr/bin/sudo", "", "sudo -u x msmtp"},
	  {"/usr/bin/node", "/srv/job.js", "node job.js"},
	  END}},
	{"curl < bash backup.sh",
	 {{"/usr/bin/curl", "", "curl smtp://x"},
	  {"/usr/bin/bash", "/root/backup.sh", "/bin/bash /root/backup.sh"},
	  END}},
	/* a program that is no mail program, started by a script */
	{"notify < python supervisord",
	 {{"/opt/notify", "", "/opt/notify"},
	  {"/usr/bin/python3.11", "/usr/bin/supervisord", "python3 /usr/bin/supervisord"},
	  END}},
	{"msmtp < php-fpm8.2",
	 {MSMTP, SH_C, {"/usr/sbin/php-fpm8.2", "", "php-fpm: pool www"}, INIT, END}},
	{"msmtp < cron", {MSMTP, {"/usr/sbin/cron", "", "CRON -f"}, INIT, END}},
	/* a mail program by a mail program, and nothing above it */
	{"msmtp < mutt", {MSMTP, {"/usr/bin/mutt", "", "mutt -s x y"}, BASH, END}},
	/* nobody else */
	{"msmtp", {MSMTP, BASH, {"/usr/sbin/sshd", "", "sshd: a"}, END}},
	{"msmtp", {MSMTP, SH_C, INIT, END}},
	{"msmtp", {MSMTP, {NULL, "", "?"}, {"/usr/bin/php8.2", "/x.php", "php /x.php"}, END}},
	{"smtp",
	 {{"/usr/lib/postfix/sbin/smtp", "", "smtp"},
	  {"/usr/lib/postfix/sbin/master", "", "master -w"},
	  INIT,
	  END}},
	{"daily.py",
	 {{"/usr/bin/python3.11", "/opt/daily.py", "python3 /opt/daily.py"},
	  {"/usr/bin/bash", "/opt/all.sh", "bash /opt/all.sh"},
	  END}},
	/* a name alone is not enough to be skipped */
	{"msmtp < sh",
	 {MSMTP, {"/tmp/sh", "", "sh -c x"}, {"/usr/bin/php8.2", "/x.php", "php /x.php"}, END}},
	{"msmtp < python sendmail",
	 {MSMTP,
	  {"/usr/bin/python3.11", "/tmp/sendmail", "python3 /tmp/sendmail"},
	  {"/usr/bin/php8.2", "/x.php", "php /x.php"},
	  END}},
	/* bytes that others chose */
	{"msmtp < php a\\x1b[31m.php",
	 {MSMTP, SH_C, {"/usr/bin/php", "/srv/a\x1b[31m.php", "php"}, END}},
};

static void expect_words(const struct ran *chain, size_t width, const char *expected)
{
	struct sender *sender = sender_of(chain);
	struct text text = {0};

	words_add_process(&text, sender, NULL, width);
	assert_string_equal(text.data, expected);
	text_free(&text);
	sender_unref(sender);
}

static void test_cause(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect_words(cases[i].chain, 0, cases[i].words);
}

/* The script is what is left when there is little room. */
static void test_narrow(void **state)
{
	(void)state;
	expect_words(cases[0].chain, 20, "msmtp < php spam.php");
	expect_words(cases[0].chain, 19, "msmtp < spam.php");
	expect_words(cases[0].chain, 15, "< spam.php");
	expect_words(cases[0].chain, 5, "< spam.php");
}

/* A sender that is its own ancestor's image, and a chain of mail programs to the bound. */
static void test_bounds(void **state)
{
	struct ran chain[CHAIN_MAX + 1];
	struct sender *sender;

	(void)state;
	for (size_t i = 0; i < CHAIN_MAX; i++)
		chain[i] = (struct ran)MSMTP;
	chain[CHAIN_MAX] = (struct ran)END;
	sender = sender_of(chain);
	assert_int_equal(sender->ancestor_count, ANCESTORS_MAX);
	assert_ptr_equal(sender_cause(sender), &sender->ancestors[0]);
	sender_unref(sender);
}

/* Arguments that end without an option, within "-c", or that are none. */
static void test_shell_arguments(void **state)
{
	static const char *const lines[] = {"sh", "", "sh -", "sh --posix", "sh -e"};

	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct ran chain[] = {MSMTP,
				      {"/bin/sh", "", lines[i]},
				      {"/bin/perl", "/x.pl", "perl"},
				      END};

		expect_words(chain, 0, "msmtp");
		chain[1].args = "sh -ec true";
		expect_words(chain, 0, "msmtp < perl x.pl");
	}
}

/* ---- The formats ----------------------------------------------------------------------------- */

static char *line_of(struct event *event, void (*write)(struct text *, const struct event *))
{
	struct text text = {0};

	write(&text, event);
	assert_false(text.failed);
	event_free(event);
	return text.data;
}

static char *row_of(struct event *event, bool wide, unsigned int width)
{
	const struct table_options options = {.wide = wide, .width = width};
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct sink *sink = sink_table_new(out, &options);

	assert_non_null(sink);
	assert_int_equal(sink->write(sink, event), 0);
	sink->free(sink);
	fclose(out);
	event_free(event);
	return text;
}

static void expect_in(char *text, const char *expected)
{
	if (!strstr(text, expected))
		fail_msg("'%s' is not in %.2000s", expected, text);
	free(text);
}

static const json_t *ancestor_in(const json_t *event, size_t index)
{
	const json_t *own = json_object_get(event, "smtpsnoop");

	return json_array_get(json_object_get(json_object_get(own, "process"), "ancestry"), index);
}

static json_t *json_of(struct event *event)
{
	char *line = line_of(event, event_json);
	json_t *root = json_loads(line, JSON_REJECT_DUPLICATES, NULL);

	assert_non_null(root);
	keep(line);
	keep("\n");
	free(line);
	return root;
}

static void test_json(void **state)
{
	json_t *root = json_of(event_of(cases[0].chain));
	const json_t *shell = ancestor_in(root, 0), *php = ancestor_in(root, 1);

	(void)state;
	assert_null(json_object_get(shell, "script"));
	assert_string_equal(json_string_value(json_array_get(json_object_get(shell, "args"), 2)),
			    "msmtp");
	assert_string_equal(json_string_value(json_object_get(php, "executable")),
			    "/usr/bin/php8.2");
	assert_string_equal(json_string_value(json_object_get(php, "script")), "/srv/spam.php");
	assert_int_equal(json_array_size(json_object_get(php, "args")), 2);
	assert_null(json_object_get(php, "args_truncated"));
	json_decref(root);
}

/* args_truncated: the kernel side cut the arguments, or the bound of the line did. */
static void test_json_cut(void **state)
{
	char args[3000];
	const struct ran chain[] = {MSMTP, SH_C, {"/usr/bin/perl", "/x.pl", args}, BASH, END};
	struct event *event;
	const json_t *one;
	json_t *root;

	(void)state;
	memset(args, 'a', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	args[5] = ' ';
	event = event_of(chain);
	event->senders[0]->ancestors[0].image->flags |= EXEC_ARGS_TRUNCATED;
	root = json_of(event);
	assert_true(json_is_true(json_object_get(ancestor_in(root, 0), "args_truncated")));
	one = ancestor_in(root, 1);
	assert_true(json_is_true(json_object_get(one, "args_truncated")));
	assert_string_equal(json_string_value(json_object_get(one, "script")), "/x.pl");
	assert_in_range(json_string_length(json_array_get(json_object_get(one, "args"), 1)), 900,
			1024);
	/* what was cut before does not count for the next one */
	assert_null(json_object_get(ancestor_in(root, 2), "args_truncated"));
	assert_true(json_is_true(json_object_get(json_object_get(root, "smtpsnoop"), "truncated")));
	json_decref(root);
}

/* The same of the process itself, whose bound is larger. */
static void test_json_own_cut(void **state)
{
	char args[9000];
	const struct ran chain[] = {{"/usr/bin/perl", "/x.pl", args}, SH_C, END};
	const json_t *own;
	json_t *root;

	(void)state;
	memset(args, 'a', sizeof(args) - 1);
	args[sizeof(args) - 1] = '\0';
	root = json_of(event_of(chain));
	own = json_object_get(json_object_get(root, "smtpsnoop"), "process");
	assert_true(json_is_true(json_object_get(own, "args_truncated")));
	assert_null(json_object_get(ancestor_in(root, 0), "args_truncated"));
	json_decref(root);
	args[3000] = '\0';
	root = json_of(event_of(chain));
	own = json_object_get(json_object_get(root, "smtpsnoop"), "process");
	assert_null(json_object_get(own, "args_truncated"));
	json_decref(root);
}

static void test_others(void **state)
{
	const struct ran *chain = cases[0].chain, *hostile_chain = cases[17].chain;

	(void)state;
	expect_in(line_of(event_of(chain), event_cef),
		  " requestContext=/usr/bin/dash: sh -c msmtp < /usr/bin/php8.2 /srv/spam.php: php "
		  "/srv/spam.php < ");
	expect_in(line_of(event_of(chain), event_cef),
		  "with \"/usr/bin/msmtp\" for \"/srv/spam.php\"");
	expect_in(line_of(event_of(chain), event_journal),
		  "SMTPSNOOP_ANCESTOR=/usr/bin/php8.2 /srv/spam.php: php /srv/spam.php\n");
	expect_in(line_of(event_of(hostile_chain), event_journal),
		  "SMTPSNOOP_ANCESTOR=/usr/bin/php /srv/a\\\\x1b[31m.php: php\n");
	expect_in(row_of(event_of(chain), true, 0),
		  " parent_exe=/usr/bin/dash parent_args=\"sh -c msmtp\" ");
	expect_in(row_of(event_of(chain), true, 0),
		  " ancestor2_exe=/usr/bin/php8.2 ancestor2_script=/srv/spam.php "
		  "ancestor2_args=\"php /srv/spam.php\"");
	expect_in(row_of(event_of(chain), false, 80), "spam.php");
	expect_in(row_of(event_of(chain), false, 160), "spam.php");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cause),  cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_bounds), cmocka_unit_test(test_shell_arguments),
		cmocka_unit_test(test_json),   cmocka_unit_test(test_json_cut),
		cmocka_unit_test(test_others), cmocka_unit_test(test_json_own_cut),
	};

	setlocale(LC_ALL, "C.UTF-8");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
