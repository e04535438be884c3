/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Which argument of an interpreter is the script. What is expected was compared with what the
 * interpreters do, as far as Debian 12 has them.
 */
#include "unit.h"

#include <stdio.h>

#include "process/grammar.h"
#include "process/script.h"

/* ">name": a file; "?name": looked up in PATH; "@name": a module; "&name": a URL; "...": behind. */
static void expect_span(const char *executable, struct span args, const char *line,
			const char *expected)
{
	static const char marks[] = {
		[SCRIPT_NONE] = ' ', [SCRIPT_FILE] = '>',   [SCRIPT_SEARCHED] = '?',
		[SCRIPT_URL] = '&',  [SCRIPT_MODULE] = '@', [SCRIPT_BEHIND] = '.'};
	struct span copy = exact(args), program = exact(span_of(executable));
	struct script script = script_of_args(program, copy);
	char got[256] = "";

	if (script.kind == SCRIPT_BEHIND)
		strcpy(got, "...");
	else if (script.kind != SCRIPT_NONE)
		snprintf(got, sizeof(got), "%c%.*s%s%.*s", marks[script.kind],
			 (int)script.folder.len, script.folder.data, script.folder.len ? "//" : "",
			 (int)script.name.len, script.name.data);
	if (strcmp(got, expected) != 0)
		fail_msg("%s: %s: '%s', not '%s'", executable, line, got, expected);
	exact_free(copy);
	exact_free(program);
}

/* A command line; each blank separates two arguments. */
static void expect(const char *executable, const char *line, const char *expected)
{
	char args[256];
	size_t len = strlen(line) + 1;

	memcpy(args, line, len);
	for (size_t i = 0; i < len; i++) {
		if (args[i] == ' ')
			args[i] = '\0';
	}
	/* With and without the last NUL: a process may end its arguments either way. */
	expect_span(executable, (struct span){args, len}, line, expected);
	expect_span(executable, (struct span){args, len - 1}, line, expected);
}

struct row {
	const char *executable, *line, *expected;
};

#define EXPECT_ROWS(rows)                                                                          \
	do {                                                                                       \
		for (size_t i = 0; i < sizeof(rows) / sizeof((rows)[0]); i++)                      \
			expect((rows)[i].executable, (rows)[i].line, (rows)[i].expected);          \
	} while (0)

static void test_python(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/python3.11", "python3 /opt/send.py --to b@y", ">/opt/send.py"},
		{"/usr/bin/python3.11", "python3 -Bu send.py", ">send.py"},
		{"/usr/bin/python3.11", "python3 -W ignore send.py", ">send.py"},
		{"/usr/bin/python3.11", "python3 -Wignore send.py", ">send.py"},
		{"/usr/bin/python3.11", "python3 -BW ignore send.py", ">send.py"},
		{"/usr/bin/python3.11", "python3 -X dev -X utf8=1 send.py", ">send.py"},
		{"/usr/bin/python3.11", "python3 -uXdev send.py", ">send.py"},
		{"/usr/bin/python3", "python3 --check-hash-based-pycs never send.py", ">send.py"},
		{"/usr/bin/python2.7", "python2 -3 -Q new send.py", ">send.py"},
		{"/usr/bin/python3", "python -- -odd.py", ">-odd.py"},
		{"/usr/bin/python3", "python3 -m smtplib x.py", "@smtplib"},
		{"/usr/bin/python3", "python3 -um http.server 80", "@http.server"},
		{"/usr/bin/python3", "python3 -mjson.tool", "@json.tool"},
		{"/usr/lib/pypy3.9/bin/pypy3.9", "pypy3 --jit off send.py", ">send.py"},
		{"/usr/bin/pypy3", "pypy3 -m mailer", "@mailer"},
		{"/usr/bin/micropython", "micropython -X heapsize=1M send.py", ">send.py"},
		{"/usr/bin/python3-dbg", "python3 send.py", ">send.py"},
		{"/usr/bin/python3.11-dbg", "python3 send.py", ">send.py"},
		{"/usr/bin/python3", "python3", "..."},
		{"/usr/bin/python3", "python3 -c import_smtplib x.py", ""},
		{"/usr/bin/python3", "python3 -Bc x", ""},
		{"/usr/bin/python3", "python3 -", ""},
		{"/usr/bin/python3", "python3 - x.py", ""},
		{"/usr/bin/python3", "python3 -W", "..."},
		{"/usr/bin/python3", "python3 -m", "..."},
		{"/usr/bin/python3", "python3 --", "..."},
		{"/usr/bin/python3", "python3 -u", "..."},
		{"/usr/bin/python3", "python3 --new-option send.py", ""},
		{"/usr/bin/python3", "python3  x", ""}, /* an empty argument */
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_perl(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/perl5.36-x86_64-linux-gnu", "perl -w -Mstrict send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -I lib send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -Ilib -T send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -x send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -x/tmp send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -i.eE send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -MEnglish=e send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -mCarp send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -CSDA send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -C send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -0777 -l012 send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -F: send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -d:NYTProf send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -dw send.pl", ">send.pl"},
		{"/usr/bin/perl", "perl -S send.pl", "?send.pl"},
		{"/usr/bin/perl", "perl -wS ./send.pl", ">./send.pl"},
		{"/usr/bin/perl", "perl -- -send.pl", ">-send.pl"},
		{"/usr/bin/perl", "perl -ne print x", ""},
		{"/usr/bin/perl", "perl -l0e print x", ""},
		{"/usr/bin/perl", "perl -de1 x", ""},
		{"/usr/bin/perl", "perl -Mstrict -E say x", ""},
		{"/usr/bin/perl", "perl - x", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_ruby(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/ruby3.1", "ruby -r mail send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby -rmail -Ilib -I lib send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --encoding utf-8 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --external-encoding=utf-8 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --internal-encoding utf-8 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby -E utf-8 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --disable gems send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --disable-gems --enable=did_you_mean send.rb",
		 ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --yjit --jit-max-cache=1 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby --backtrace-limit 3 send.rb", ">send.rb"},
		{"/usr/bin/ruby3.1", "ruby -C /srv/app send.rb", ">/srv/app//send.rb"},
		{"/usr/bin/ruby3.1", "ruby -Capp send.rb", ">app//send.rb"},
		{"/usr/bin/ruby3.1", "ruby -w -X app send.rb", ">app//send.rb"},
		{"/usr/bin/ruby3.1", "ruby -C a -C /b send.rb", ">/b//send.rb"},
		{"/usr/bin/ruby3.1", "ruby -C a -C b send.rb", ""},
		{"/usr/bin/ruby", "ruby -Ke send.rb", ">send.rb"},
		{"/usr/bin/ruby", "ruby -Kue puts x", ""},
		{"/usr/bin/ruby", "ruby -W0 -W:no-deprecated -W send.rb", ">send.rb"},
		{"/usr/bin/ruby", "ruby -W2e puts x", ""},
		{"/usr/bin/ruby", "ruby -i.e send.rb", ">send.rb"},
		{"/usr/bin/ruby", "ruby -S rake", "?rake"},
		{"/usr/bin/ruby", "ruby -ce x", ""},
		{"/usr/bin/ruby", "ruby -we puts x", ""},
		{"/usr/bin/ruby", "ruby -C", "..."},
		{"/usr/bin/ruby", "ruby -", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_shells(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/bash", "-bash --rcfile rc send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash -rcfile rc send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash --init-file rc -e send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash --norc --posix send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash -eu -o pipefail send.sh x", ">send.sh"},
		{"/usr/bin/bash", "bash -euo pipefail send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash -oeu pipefail send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash -oo a b send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash -O extglob +O dotglob send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash +x send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash +o errexit send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash - send.sh", ">send.sh"},
		{"/usr/bin/bash", "bash /dev/fd/63", ">/dev/fd/63"},
		{"/usr/bin/bash", "bash -c true send.sh", ""},
		{"/usr/bin/bash", "bash -euo pipefail -c true send.sh", ""},
		{"/usr/bin/bash", "bash -s x", ""},
		{"/usr/bin/bash", "bash -lc x", ""},
		{"/usr/bin/bash", "bash --login -c x", ""},
		{"/usr/bin/bash", "bash -o", "..."},
		{"/usr/bin/bash-static", "bash send.sh", ">send.sh"},
		{"/bin/sh", "sh -e send.sh", ">send.sh"},
		{"/usr/bin/dash", "sh s", ">s"},
		{"/usr/bin/dash", "sh -eo errexit send.sh", ">send.sh"},
		{"/usr/bin/dash", "sh -oe errexit send.sh", ">send.sh"},
		{"/usr/bin/dash", "sh - send.sh", ">send.sh"},
		{"/usr/bin/dash", "sh -ec true send.sh", ""},
		{"/usr/bin/ksh93", "ksh -oerrexit send.sh", ">send.sh"},
		{"/usr/bin/ksh93", "ksh -o errexit +o nounset send.sh", ">send.sh"},
		{"/usr/bin/mksh", "mksh -T - send.sh", ">send.sh"},
		{"/usr/bin/mksh", "mksh -c true send.sh", ""},
		{"/usr/bin/zsh", "zsh -f --extended-glob send.sh", ">send.sh"},
		{"/usr/bin/zsh", "zsh --emulate sh send.sh", ">send.sh"},
		{"/usr/bin/zsh", "zsh -oerrexit -o nounset send.sh", ">send.sh"},
		{"/usr/bin/zsh-static", "zsh -fc true send.sh", ""},
		{"/usr/bin/tcsh", "tcsh -f send.csh", ">send.csh"},
		{"/usr/bin/csh", "csh -fc true", ""},
		{"/usr/bin/fish", "fish -C true -p /dev/null send.fish", ">send.fish"},
		{"/usr/bin/fish", "fish --init-command=true --features x send.fish", ">send.fish"},
		{"/usr/bin/fish", "fish --command=true send.fish", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_busybox(void **state)
{
	static const struct row rows[] = {
		{"/bin/busybox", "sh -e send.sh", ">send.sh"},
		{"/bin/busybox", "-sh send.sh", ">send.sh"},
		{"/bin/busybox", "/bin/ash send.sh", ">send.sh"},
		{"/bin/busybox", "busybox sh -eo errexit send.sh", ">send.sh"},
		{"/bin/busybox", "/usr/bin/busybox awk -f send.awk", ">send.awk"},
		{"/bin/busybox.static", "busybox ash -c true", ""},
		{"/bin/busybox", "busybox sendmail -t x", ""},
		{"/bin/busybox", "busybox", ""},
		{"/bin/busybox", "wget x", ""},
		{"/usr/bin/toybox", "toybox sh send.sh", ">send.sh"},
		{"/usr/bin/mawk", "sh -f send.awk", ">send.awk"}, /* its own name does not choose */
		{"/usr/bin/dash", "awk -f send.sh", ">send.sh"},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_php(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/php8.2", "php send.php -- x", ">send.php"},
		{"/usr/bin/php8.2", "php -d x=1 -f send.php", ">send.php"},
		{"/usr/bin/php8.2", "php -dx=1 -c /etc -nq send.php", ">send.php"},
		{"/usr/bin/php8.2", "php -c/etc -t /srv -z ext send.php", ">send.php"},
		{"/usr/bin/php8.2", "php --define x=1 --file send.php", ">send.php"},
		{"/usr/bin/php8.2", "php --define=x=1 --no-php-ini send.php", ">send.php"},
		{"/usr/bin/php8.2", "php --file=send.php", ">send.php"},
		{"/usr/bin/php8.2", "php -F line.php", ">line.php"},
		{"/usr/bin/php8.2", "php -B x -F line.php -E y", ">line.php"},
		{"/usr/bin/php8.2", "php -B x send.php", ""},
		{"/usr/bin/php8.2", "php -S 127.0.0.1:80 -t /srv", "..."},
		{"/usr/bin/php8.2", "php -t /srv -S 127.0.0.1:80 router.php", ">router.php"},
		{"/usr/bin/php8.2", "php --server=127.0.0.1:80", "..."},
		{"/usr/bin/php8.2", "php -r x send.php", ""},
		{"/usr/bin/php8.2", "php -nr x", ""},
		{"/usr/bin/php8.2", "php -R x send.php", ""},
		{"/usr/bin/php8.2", "php -a send.php", ""},
		{"/usr/bin/php8.2", "php -- send.php", ""},
		{"/usr/bin/php8.2", "php", "..."},
		{"/usr/bin/php-cgi8.2", "php-cgi -q -f send.php", ">send.php"},
		{"/usr/bin/php-cgi8.2", "php-cgi -d x=1 send.php", ">send.php"},
		{"/usr/bin/php-cgi8.2", "php-cgi -b 127.0.0.1:9000", ""},
		{"/usr/sbin/php-fpm8.2", "php-fpm8.2 -y fpm.conf -F", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_javascript(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/node", "node --require x --inspect send.js", ">send.js"},
		{"/usr/bin/node", "node --env-file .env send.js", ">send.js"},
		{"/usr/bin/node", "node --env-file=.env send.js", ">send.js"},
		{"/usr/bin/node", "node --env_file .env send.js", ">send.js"},
		{"/usr/bin/node", "node --env-file-if-exists .env --title t send.js", ">send.js"},
		{"/usr/bin/node", "node -C development -r ./x.js --import y send.mjs", ">send.mjs"},
		{"/usr/bin/node", "node --max-old-space-size=64 --stack_size=9 send.js",
		 ">send.js"},
		{"/usr/bin/node", "node --no-warnings --expose-gc --harmony_x send.js", ">send.js"},
		{"/usr/bin/node", "node --inspect=0.0.0.0:1 -i -- -send.js", ">-send.js"},
		{"/usr/bin/nodejs", "node --watch-path src --input-type module send.js",
		 ">send.js"},
		{"/usr/bin/node", "node -e x send.js", ""},
		{"/usr/bin/node", "node --eval=x send.js", ""},
		{"/usr/bin/node", "node -pe x send.js", ""},
		{"/usr/bin/node", "node --print x", ""},
		{"/usr/bin/node", "node --run build", ""},
		{"/usr/bin/node", "node inspect send.js", ""},
		{"/usr/bin/node", "node - send.js", ""},
		{"/usr/bin/node", "node --option-of-tomorrow x send.js", ""},
		{"/usr/bin/deno", "deno run --allow-net -c deno.json send.ts", ">send.ts"},
		{"/usr/bin/deno", "deno run -A --env-file=.env --seed 1 send.ts", ">send.ts"},
		{"/usr/bin/deno", "deno run -R=/etc -N --v8-flags=--x eval", ">eval"},
		{"/usr/bin/deno", "deno send.ts", ">send.ts"},
		{"/usr/bin/deno", "deno run https://x.example/send.ts",
		 "&https://x.example/send.ts"},
		{"/usr/bin/deno", "deno run npm:mailer", "&npm:mailer"},
		{"/usr/bin/deno", "deno run --lock x send.ts", ""},
		{"/usr/bin/deno", "deno eval x", ""},
		{"/usr/bin/deno", "deno task send", ""},
		{"/usr/bin/bun", "bun run --env-file .env --smol send.ts", ">send.ts"},
		{"/usr/bin/bun", "bun --cwd /srv/app send.ts", ">/srv/app//send.ts"},
		{"/usr/bin/bun", "bun -r ./x.ts --hot send.js", ">send.js"},
		{"/usr/bin/bun", "bun run dev", ""}, /* a name in package.json */
		{"/usr/bin/bun", "bun -e x", ""},
		{"/usr/bin/bun", "bun test send.ts", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_others(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/lua5.4", "lua -l socket send.lua", ">send.lua"},
		{"/usr/bin/lua5.4", "lua -e x=1 -W send.lua", ">send.lua"},
		{"/usr/bin/lua5.4", "lua -ex=1 -lsocket -v send.lua", ">send.lua"},
		{"/usr/bin/lua5.4", "lua -", ""},
		{"/usr/bin/luajit-2.1.0-beta3", "luajit -O3 -joff -j on send.lua", ">send.lua"},
		{"/usr/bin/luajit", "luajit -b x y", ""},
		{"/usr/bin/tclsh8.6", "tclsh send.tcl", ">send.tcl"},
		{"/usr/bin/tclsh8.6", "tclsh -encoding utf-8 send.tcl", ">send.tcl"},
		{"/usr/bin/tclsh8.6", "tclsh -x send.tcl", ""},
		{"/usr/bin/wish8.6", "wish send.tcl -geometry 1x1", ">send.tcl"},
		{"/usr/bin/expect", "expect -c x -f send.exp", ">send.exp"},
		{"/usr/bin/expect", "expect -d -c x send.exp y", ">send.exp"},
		{"/usr/bin/expect", "expect -c x -", ""},
		{"/usr/bin/gawk", "gawk -v x=1 -F : -f send.awk", ">send.awk"},
		{"/usr/bin/gawk", "gawk --assign=x=1 --file=send.awk y", ">send.awk"},
		{"/usr/bin/gawk", "gawk -i inplace -E send.awk", ">send.awk"},
		{"/usr/bin/mawk", "awk -vx=1 -fsend.awk", ">send.awk"},
		{"/usr/bin/mawk", "awk {print} x", ""},
		{"/usr/bin/gawk", "gawk -e BEGIN{} -f x", ""},
		{"/usr/lib/R/bin/exec/R", "R --no-echo --file=send.R --args x", ">send.R"},
		{"/usr/lib/R/bin/exec/R", "R --vanilla -f send.R", ">send.R"},
		{"/usr/lib/R/bin/exec/R", "R --no-save --args -f x", ""},
		{"/usr/bin/Rscript", "Rscript --vanilla send.R x", ">send.R"},
		{"/usr/bin/Rscript", "Rscript -e x", ""},
		{"/usr/lib/jvm/17/bin/java", "java -Xmx1g -Da=b -jar app.jar x", ">app.jar"},
		{"/usr/lib/jvm/17/bin/java", "java -cp a:b --add-opens x=y -jar app.jar",
		 ">app.jar"},
		{"/usr/lib/jvm/17/bin/java", "java --source 17 Send.java", ">Send.java"},
		{"/usr/lib/jvm/17/bin/java", "java -cp app.jar com.example.Send", ""},
		{"/usr/lib/jvm/17/bin/java", "java -m module/Send x.java", ""},
		{"/usr/bin/dotnet", "dotnet exec --depsfile x app.dll", ">app.dll"},
		{"/usr/bin/dotnet", "dotnet app.dll x", ">app.dll"},
		{"/usr/bin/dotnet", "dotnet run", ""},
		{"/usr/bin/mono-sgen", "mono --debug --config x app.exe", ">app.exe"},
	};

	(void)state;
	EXPECT_ROWS(rows);
}

static void test_no_interpreter(void **state)
{
	static const struct row rows[] = {
		{"/usr/bin/msmtp", "msmtp -t x", ""},
		{"/usr/bin/msmtp", "python3 send.py", ""}, /* its own name says nothing */
		{"/usr/bin/pythonista", "python3 send.py", ""},
		{"/usr/bin/shred", "shred x", ""},
		{"/usr/bin/nodetool", "node x", ""},
		{"/usr/bin/R-", "R -f x", ""},
		{"", "python3 send.py", ""},
		{"memfd:python3", "python3 send.py", ""},
	};

	(void)state;
	EXPECT_ROWS(rows);
	expect_span("/usr/bin/python3", (struct span){"", 0}, "", "");
	expect_span("/usr/bin/python3", (struct span){"", 1}, "", "...");
}

/* Cut at any byte, the result is the script, a part of it, or nothing. No byte behind is read. */
static void test_truncated(void **state)
{
	static const char args[] = "python3\0-BW\0ignore\0/opt/send.py\0x";
	const size_t begin = 19, end = begin + 12;

	(void)state;
	for (size_t len = 0; len <= sizeof(args); len++) {
		struct span copy = exact((struct span){args, len});
		struct script script = script_of_args(BYTES("/usr/bin/python3"), copy);
		size_t wanted = len <= begin ? 0 : len < end ? len - begin : end - begin;

		assert_int_equal(script.name.len, wanted);
		assert_memory_equal(script.name.data, args + begin, wanted);
		exact_free(copy);
	}
}

static void test_longest(void **state)
{
	const size_t len = 1 << 20;
	char *args = malloc(len);

	(void)state;
	assert_non_null(args);
	memset(args, 'x', len);
	memcpy(args, "sh", 3);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, len}).name.len, len - 3);
	memset(args, '\0', len);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, len}).kind, SCRIPT_NONE);
	memset(args, '-', len);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, len}).kind, SCRIPT_BEHIND);
	memcpy(args, "sh", 3);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, len}).kind, SCRIPT_NONE);
	memset(args, 'e', len);
	memcpy(args, "sh\0-", 4);
	assert_int_equal(script_of_args(BYTES("sh"), (struct span){args, len}).kind, SCRIPT_BEHIND);
	free(args);
}

/* Every option with every argument behind it: nothing reads beyond, whatever the grammar. */
static void test_every_letter(void **state)
{
	static const char *const executables[] = {"python3", "perl", "ruby", "bash",  "zsh",
						  "php",     "node", "bun",  "gawk",  "java",
						  "deno",    "R",    "fish", "tclsh", "busybox"};

	(void)state;
	for (size_t i = 0; i < sizeof(executables) / sizeof(executables[0]); i++) {
		for (unsigned int c = 0; c < 256 * 8; c++) {
			char args[] = {'x', '\0', '-', (char)(c >> 3), "a-=0:e "[c & 7], '\0', 's'};
			struct span copy = exact((struct span){args, sizeof(args)});
			struct script script = script_of_args(span_of(executables[i]), copy);

			assert_true(script.name.len <= sizeof(args));
			exact_free(copy);
		}
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_python),	       cmocka_unit_test(test_perl),
		cmocka_unit_test(test_ruby),	       cmocka_unit_test(test_shells),
		cmocka_unit_test(test_busybox),	       cmocka_unit_test(test_php),
		cmocka_unit_test(test_javascript),     cmocka_unit_test(test_others),
		cmocka_unit_test(test_no_interpreter), cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_longest),	       cmocka_unit_test(test_every_letter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
