/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Which argument of an interpreter is the script. */
#include "unit.h"

#include "process/script.h"

static void expect_span(const char *executable, struct span args, const char *expected)
{
	struct span copy = exact(args), program = exact(span_of(executable));
	struct span script = script_of_args(program, copy);

	assert_int_equal(script.len, strlen(expected));
	assert_memory_equal(script.data, expected, script.len);
	exact_free(copy);
	exact_free(program);
}

/* With and without the last NUL: a process may end its arguments either way. */
#define EXPECT(executable, args, expected)                                                         \
	do {                                                                                       \
		expect_span(executable, (struct span){args, sizeof(args)}, expected);              \
		expect_span(executable, (struct span){args, sizeof(args) - 1}, expected);          \
	} while (0)

static void test_scripts(void **state)
{
	(void)state;
	EXPECT("/usr/bin/python3.11", "python3\0/opt/send.py\0--to\0b@y", "/opt/send.py");
	EXPECT("/usr/bin/python3.11", "python3\0-Bu\0send.py", "send.py");
	EXPECT("/usr/bin/python3.11", "python3\0-W\0ignore\0send.py", "send.py");
	EXPECT("/usr/bin/python3.11", "python3\0-Wignore\0send.py", "send.py");
	EXPECT("/usr/bin/python3.11", "python3\0-BW\0ignore\0send.py", "send.py");
	EXPECT("/usr/bin/python3.11", "python3\0--check-hash-based-pycs\0never\0send.py",
	       "send.py");
	EXPECT("python", "python\0--\0-odd.py", "-odd.py");
	EXPECT("/usr/bin/perl5.36-x86_64-linux-gnu", "perl\0-w\0-Mstrict\0send.pl", "send.pl");
	EXPECT("/usr/bin/perl", "perl\0-I\0lib\0send.pl", "send.pl");
	EXPECT("/usr/bin/perl", "perl\0-x\0send.pl", "send.pl");
	EXPECT("/usr/bin/perl", "perl\0-x/tmp\0send.pl", "send.pl");
	EXPECT("/usr/bin/perl", "perl\0-i.eE\0send.pl", "send.pl");
	EXPECT("/usr/bin/perl", "perl\0-MEnglish=e\0send.pl", "send.pl");
	EXPECT("/usr/bin/ruby", "ruby\0-Ke\0send.rb", "send.rb");
	EXPECT("/usr/bin/bash", "-bash\0--rcfile\0rc\0send.sh", "send.sh");
	EXPECT("/usr/bin/bash", "bash\0-eu\0-o\0pipefail\0send.sh\0x", "send.sh");
	EXPECT("/usr/bin/bash", "bash\0-euo\0pipefail\0send.sh", "send.sh");
	EXPECT("/usr/bin/bash", "bash\0+x\0send.sh", "send.sh");
	EXPECT("/usr/bin/dash", "sh\0s", "s");
	EXPECT("/usr/bin/ruby3.1", "ruby\0-r\0mail\0send.rb", "send.rb");
	EXPECT("/usr/bin/php8.2", "php\0-d\0x=1\0-f\0send.php", "send.php");
	EXPECT("/usr/bin/node", "node\0--require\0x\0--inspect\0send.js", "send.js");
	EXPECT("/usr/bin/lua5.4", "lua\0-l\0socket\0send.lua", "send.lua");
	EXPECT("/usr/bin/tclsh8.6", "tclsh\0send.tcl", "send.tcl");
}

static void test_no_scripts(void **state)
{
	(void)state;
	EXPECT("/usr/bin/python3", "python3", "");
	EXPECT("/usr/bin/python3", "python3\0-c\0import smtplib", "");
	EXPECT("/usr/bin/python3", "python3\0-m\0smtplib", "");
	EXPECT("/usr/bin/python3", "python3\0-Bc\0x", "");
	EXPECT("/usr/bin/python3", "python3\0-", "");
	EXPECT("/usr/bin/python3", "python3\0-W", "");
	EXPECT("/usr/bin/python3", "python3\0--", "");
	EXPECT("/usr/bin/python3", "python3\0-u", "");
	EXPECT("/usr/bin/python3", "python3\0\0x", "");
	EXPECT("/usr/bin/perl", "perl\0-ne\0print\0x", "");
	EXPECT("/usr/bin/bash", "bash\0-s\0x", "");
	EXPECT("/usr/bin/bash", "bash\0-lc\0x", "");
	EXPECT("/usr/bin/php", "php\0-r\0x", "");
	EXPECT("/usr/bin/node", "node\0-e\0x", "");
	EXPECT("/usr/bin/msmtp", "msmtp\0-t\0x", "");
	EXPECT("/usr/bin/pythonista", "python3\0send.py", "");
	EXPECT("/usr/bin/shred", "shred\0x", "");
	EXPECT("", "python3\0send.py", "");
	expect_span("/usr/bin/python3", (struct span){"", 0}, "");
	expect_span("/usr/bin/python3", (struct span){"", 1}, "");
}

/* Cut at any byte, the result is the script, a part of it, or nothing. No byte behind is read. */
static void test_truncated(void **state)
{
	static const char args[] = "python3\0-BW\0ignore\0/opt/send.py\0x";
	const size_t begin = 19, end = begin + 12;

	(void)state;
	for (size_t len = 0; len <= sizeof(args); len++) {
		struct span copy = exact((struct span){args, len});
		struct span script = script_of_args(BYTES("/usr/bin/python3"), copy);
		size_t wanted = len <= begin ? 0 : len < end ? len - begin : end - begin;

		assert_int_equal(script.len, wanted);
		assert_memory_equal(script.data, args + begin, wanted);
		exact_free(copy);
	}
}

static void test_longest(void **state)
{
	char *args = malloc(1 << 20);

	(void)state;
	assert_non_null(args);
	memset(args, 'x', 1 << 20);
	memcpy(args, "sh", 3);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, 1 << 20}).len,
			 (1 << 20) - 3);
	memset(args, '\0', 1 << 20);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, 1 << 20}).len, 0);
	memset(args, '-', 1 << 20);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, 1 << 20}).len, 0);
	free(args);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scripts),
		cmocka_unit_test(test_no_scripts),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_longest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
