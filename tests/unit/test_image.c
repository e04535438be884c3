/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Images made from exec records, as the kernel side and the reader of /proc write them. */
#include "exec_records.h"

#include "process/image.h"

static void check_image(const struct exec *exec, const char *executable, const char *script,
			const char *directory)
{
	struct exec_record *record = exec_record(exec);
	struct image *image = image_of_exec(record);

	assert_non_null(image);
	assert_string_equal(image->executable, executable);
	assert_string_equal(image->script, script);
	assert_string_equal(image->directory, directory);
	assert_true(image_bytes(image) > sizeof(*image));
	image_unref(image);
	free(record);
}

#define CHECK_IMAGE(executable, script, directory, ...)                                            \
	check_image(&(struct exec){.pid = 1, __VA_ARGS__}, executable, script, directory)

#define PYTHON	PATH("python3\0bin\0usr")
#define HOME	PATH("reports\0home")
#define PY_PATH PATH("/usr/bin/python3")

static void test_paths(void **state)
{
	(void)state;
	CHECK_IMAGE("/usr/bin/python3", "", "/home/reports", .exe = PYTHON, .cwd = HOME);
	CHECK_IMAGE("", "", "/");
	CHECK_IMAGE("/tool", "", "/", .exe = PATH("tool"));
	CHECK_IMAGE(".../lib/tool", "", "/", .exe = PATH("tool\0lib"),
		    .flags = EXEC_PATH_TRUNCATED);
	CHECK_IMAGE("...", "", "/", .flags = EXEC_PATH_TRUNCATED);
	CHECK_IMAGE("/tool", "", "/", .exe = PATH("tool\0"), .cwd = PATH(""));
	CHECK_IMAGE("", "", "", .flags = EXEC_SNAPSHOT);
	CHECK_IMAGE("", "", "/", .flags = EXEC_SNAPSHOT, .cwd = PATH(""));
}

/* The creator chooses the name of a file outside all file systems; it must not look like a path. */
static void test_memfd(void **state)
{
	(void)state;
	CHECK_IMAGE("memfd:x", "", "/", .exe = PATH("memfd:x"), .flags = EXEC_MEMFD | EXEC_DELETED);
	CHECK_IMAGE("memfd:", "", "/", .exe = PATH("memfd:"), .flags = EXEC_MEMFD);
	CHECK_IMAGE("memfd:../usr/bin/x", "", "/", .exe = PATH("memfd:../usr/bin/x"),
		    .flags = EXEC_MEMFD);
	CHECK_IMAGE("usr/bin/x", "", "/", .exe = PATH("//usr/bin/x"), .flags = EXEC_MEMFD);
	CHECK_IMAGE("dev/zero", "", "/", .exe = PATH("dev/zero"), .flags = EXEC_MEMFD);
	CHECK_IMAGE("/memfd:x", "", "/", .exe = PATH("memfd:x")); /* a file of that name */
}

static void test_script(void **state)
{
	(void)state;
	CHECK_IMAGE("/usr/bin/python3", "/opt/r.py", "/home/reports", .exe = PYTHON, .cwd = HOME,
		    .filename = PATH("/opt/r.py"), .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "/home/reports/r.py", "/home/reports", .exe = PYTHON,
		    .cwd = HOME, .filename = PATH("./r.py"), .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "/home/reports/../x/r.py", "/home/reports", .exe = PYTHON,
		    .cwd = HOME, .filename = PATH("../x/.//./r.py"), .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "/r.py", "/", .exe = PYTHON, .filename = PATH("r.py"),
		    .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "/a/.b/..c/r.py", "/", .exe = PYTHON,
		    .filename = PATH("//a/./.b/..c//r.py"), .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "/dev/fd/3", "/", .exe = PYTHON,
		    .filename = PATH("/dev/fd/3"), .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", ".../r.py", "", .exe = PYTHON, .filename = PATH("r.py"),
		    .interp = PY_PATH, .flags = EXEC_SNAPSHOT);
}

static void test_no_script(void **state)
{
	(void)state;
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .filename = PY_PATH,
		    .interp = PY_PATH);
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .filename = PATH("r.py"));
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .interp = PATH("r.py"));
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .filename = PATH(""),
		    .interp = PATH("r.py"));
	CHECK_IMAGE("/usr/bin/python3", "/r.pyc", "/", .exe = PYTHON, .filename = PATH("r.pyc"),
		    .interp = PATH("r.py"));
}

/* The kernel saw no script, but the interpreter's arguments name one (user/process/script.c). */
static void test_script_by_args(void **state)
{
	static char cut[EXEC_ARGS_MAX] = "python3\0-B\0/opt/";
	struct span all = {cut, sizeof(cut)};

	(void)state;
	memset(cut + 16, 'x', sizeof(cut) - 16);
	CHECK_IMAGE("/usr/bin/python3", "/home/reports/r.py", "/home/reports", .exe = PYTHON,
		    .cwd = HOME, .args = PATH("python3\0-B\0./r.py\0-x"));
	CHECK_IMAGE("/usr/bin/python3", "/r.py", "/", .exe = PYTHON,
		    .args = BYTES("python3\0r.py")); /* no NUL */
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .args = PATH("python3\0-c\0pass"));
	CHECK_IMAGE("/usr/bin/python3", "", "/", .exe = PYTHON, .flags = EXEC_ARGS_UNREAD);
	CHECK_IMAGE("/usr/bin/python3", "...", "/", .exe = PYTHON, .args = all,
		    .flags = EXEC_ARGS_TRUNCATED);
	CHECK_IMAGE("/usr/bin/python3", "/a", "/", .exe = PYTHON, .args = PATH("python3\0a\0b"),
		    .flags = EXEC_ARGS_TRUNCATED);
	CHECK_IMAGE("/usr/bin/python3", "...", "/", .exe = PYTHON, .args = PATH("python3\0-u"),
		    .flags = EXEC_ARGS_TRUNCATED);
	CHECK_IMAGE("/bin/a", "", "/", .exe = A, .args = PATH("python3\0r.py"));
}

static void test_script_names(void **state)
{
	(void)state;
	CHECK_IMAGE("/usr/bin/python3", "-m mail.sender", "/", .exe = PYTHON,
		    .args = PATH("python3\0-m\0mail.sender"));
	CHECK_IMAGE("/usr/bin/ruby", "/home/reports/app/r.rb", "/home/reports",
		    .exe = PATH("ruby\0bin\0usr"), .cwd = HOME,
		    .args = PATH("ruby\0-C\0app\0r.rb"));
	CHECK_IMAGE("/usr/bin/ruby", "/srv/r.rb", "/home/reports", .exe = PATH("ruby\0bin\0usr"),
		    .cwd = HOME, .args = PATH("ruby\0-C\0/srv\0r.rb"));
	CHECK_IMAGE("/usr/bin/ruby", "/r.rb", "/home/reports", .exe = PATH("ruby\0bin\0usr"),
		    .cwd = HOME, .args = PATH("ruby\0-C/srv\0/r.rb"));
	CHECK_IMAGE("/usr/bin/ruby", ".../app/r.rb", "", .exe = PATH("ruby\0bin\0usr"),
		    .flags = EXEC_SNAPSHOT, .args = PATH("ruby\0-Capp\0r.rb"));
	CHECK_IMAGE("/usr/bin/perl", ".../r.pl", "/home/reports", .exe = PATH("perl\0bin\0usr"),
		    .cwd = HOME, .args = PATH("perl\0-S\0r.pl"));
	CHECK_IMAGE("/bin/deno", "https://x.example/r.ts", "/", .exe = PATH("deno\0bin"),
		    .args = PATH("deno\0run\0https://x.example/r.ts"));
}

/* The kernel side keeps 1024 bytes of the requested file name and 256 of the interpreter's. */
static void test_script_cut(void **state)
{
	char name[1024], interp[256];

	(void)state;
	memset(name, 'n', sizeof(name));
	memcpy(interp, name, sizeof(interp));
	name[0] = interp[0] = '/';
	interp[255] = name[300] = '\0';
	CHECK_IMAGE("/bin/a", "", "/", .exe = A, .filename = {name, 301}, .interp = {interp, 256});
	name[300] = 'n';
	name[1023] = '\0';
	CHECK_IMAGE("/bin/a", "", "/", .exe = A, .filename = {name, 1024}, .interp = {interp, 256});
	CHECK_IMAGE("/bin/a", "...", "/", .exe = A, .filename = {name, 1024},
		    .interp = PATH("/bin/a"));
	interp[200] = '\0';
	CHECK_IMAGE("/bin/a", "...", "/", .exe = A, .filename = {name, 1024},
		    .interp = {interp, 201});
}

/* A directory that was too deep for the kernel side is not shown as an absolute path. */
static void test_directory_cut(void **state)
{
	char deep[2 * PATH_DEPTH_MAX], expected[8 + 2 * PATH_DEPTH_MAX] = "...";
	char script[sizeof(expected)];

	(void)state;
	for (unsigned int i = 0; i < PATH_DEPTH_MAX; i++) {
		memcpy(deep + (size_t)2 * i, "d", 2);
		strcat(expected, "/d");
	}
	CHECK_IMAGE("/bin/a", "", expected, .exe = A, .cwd = {deep, sizeof(deep)});
	CHECK_IMAGE("/bin/a", "", expected + 3, .exe = A, .cwd = {deep, sizeof(deep)},
		    .flags = EXEC_SNAPSHOT);
	memcpy(script, expected, sizeof(expected));
	strcat(script, "/x");
	CHECK_IMAGE("/bin/a", script, expected, .exe = A, .filename = PATH("x"),
		    .interp = PATH("/bin/a"), .cwd = {deep, sizeof(deep)});
}

static void check_args(struct span args, struct span expected)
{
	struct exec_record *record = exec_record(&(struct exec){.pid = 1, .args = args});
	struct image *image = image_of_exec(record);

	assert_non_null(image);
	assert_int_equal(image->args_len, expected.len);
	assert_memory_equal(image->args, expected.data, expected.len + 1);
	image_unref(image);
	free(record);
}

static void test_args(void **state)
{
	static char most[EXEC_ARGS_MAX + 2];

	(void)state;
	check_args(BYTES(""), BYTES(""));
	check_args(BYTES("a\0-b\0\0c\0"), BYTES("a\0-b\0\0c\0"));
	check_args(BYTES("a\0-b"), BYTES("a\0-b\0")); /* cut, or overwritten by the process */
	check_args(BYTES("\0"), BYTES("\0"));
	memset(most, 'x', EXEC_ARGS_MAX);
	check_args((struct span){most, EXEC_ARGS_MAX}, (struct span){most, EXEC_ARGS_MAX + 1});
}

/* Of arguments that were cut, complete ones are kept, and the beginning of a long one. */
static void check_cut(struct span args, const char *last, bool partial)
{
	struct exec_record *record =
		exec_record(&(struct exec){.pid = 1, .args = args, .flags = EXEC_ARGS_TRUNCATED});
	struct image *image = image_of_exec(record);
	size_t len = strlen(last) + 1;

	assert_non_null(image);
	assert_true(image->args_len >= len);
	assert_string_equal(image->args + image->args_len - len, last);
	assert_true(image->args_len == len || !image->args[image->args_len - len - 1]);
	assert_int_equal(image->args_partial, partial);
	assert_int_equal(image->args_count, 0);
	image_unref(image);
	free(record);
}

static void test_args_cut(void **state)
{
	static char args[EXEC_ARGS_MAX], expected[EXEC_ARGS_MAX + 4];

	(void)state;
	check_cut(BYTES("a\0-b\0 c"), "-b", false);
	check_cut(PATH("a\0-b"), "-b", false);
	check_cut(PATH("a\0-b\0"), "", false);
	memset(args, 'x', sizeof(args));
	args[0] = '\0';
	memcpy(expected, args + 1, sizeof(args) - 1);
	memcpy(expected + sizeof(args) - 1, "...", 4);
	check_cut((struct span){args, sizeof(args)}, expected, true);
	check_cut((struct span){args, sizeof(args) / 2}, "", false);
	args[3000] = '\n';
	memcpy(expected + 2999, "\n...", 5);
	check_cut((struct span){args, sizeof(args)}, expected, true);
	args[3000] = 'x'; /* a character that was cut, of two bytes at least */
	args[sizeof(args) - 1] = '\xc3';
	memset(expected + 2999, 'x', sizeof(args) - 2999);
	memcpy(expected + sizeof(args) - 2, "...", 4);
	check_cut((struct span){args, sizeof(args)}, expected, true);
	memset(args, 'x', sizeof(args)); /* the program's own name */
	memset(expected, 'x', sizeof(args));
	memcpy(expected + sizeof(args), "...", 4);
	check_cut((struct span){args, sizeof(args)}, expected, true);
}

static void check_count(struct span args, uint32_t flags, uint32_t written, uint32_t expected)
{
	struct exec_record *record =
		exec_record(&(struct exec){.pid = 1, .args = args, .flags = flags});
	struct image *image;

	record->args_count = written;
	image = image_of_exec(record);
	assert_non_null(image);
	assert_int_equal(image->args_count, expected);
	image_unref(image);
	free(record);
}

static void test_args_count(void **state)
{
	(void)state;
	check_count(PATH("a\0b\0"), 0, 9, 3); /* without the flag, the number means nothing */
	check_count(BYTES("a\0b"), 0, 0, 2);
	check_count(BYTES(""), 0, 0, 0);
	check_count(PATH("a\0b"), EXEC_ARGS_COUNTED, 2, 2);
	check_count(PATH("a\0b"), EXEC_ARGS_COUNTED | EXEC_ARGS_TRUNCATED, 3004, 3004);
	check_count(BYTES(""), EXEC_ARGS_COUNTED | EXEC_ARGS_UNREAD, 7, 7);
	check_count(PATH("a\0b"), EXEC_ARGS_TRUNCATED, 3004, 0);
}

static void test_longest_record(void **state)
{
	static char path[EXEC_DATA_MAX - EXEC_ARGS_MAX];
	struct exec_record *record;
	struct image *image;

	(void)state;
	memset(path, 'p', sizeof(path) - 1);
	record = exec_record(&(struct exec){.pid = 1, .exe = {path, sizeof(path)}});
	image = image_of_exec(record);
	assert_non_null(image);
	assert_int_equal(strlen(image->executable), sizeof(path));
	image_unref(image);
	free(record);
	memset(path, '\0', sizeof(path)); /* only empty components */
	CHECK_IMAGE("/", "", "...", .exe = {path, 4096}, .cwd = {path, 4096});
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),	       cmocka_unit_test(test_memfd),
		cmocka_unit_test(test_script),	       cmocka_unit_test(test_no_script),
		cmocka_unit_test(test_script_by_args), cmocka_unit_test(test_script_cut),
		cmocka_unit_test(test_directory_cut),  cmocka_unit_test(test_args),
		cmocka_unit_test(test_args_cut),       cmocka_unit_test(test_args_count),
		cmocka_unit_test(test_script_names),   cmocka_unit_test(test_longest_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
