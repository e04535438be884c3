/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The rows follow the sources and manuals of the interpreters, and were compared with what the
 * installed ones do. Options that print something and exit are flags: such a process sends nothing.
 */
#include "process/grammar.h"

#include <ctype.h>

/* Options of Node.js that are words, up to version 24. It fails on an unknown one. */
#define NODE_VALUES                                                                                \
	"--env-file: --env-file-if-exists: --title: --require: -r: --import: --loader: "           \
	"--experimental-loader: --conditions: -C: --input-type: --icu-data-dir: --watch-path: "    \
	"--watch-kill-signal: --redirect-warnings: --disable-warning: --unhandled-rejections: "    \
	"--openssl-config: --tls-cipher-list: --tls-keylog: --dns-result-order: "                  \
	"--diagnostic-dir: --report-dir: --report-directory: --report-filename: "                  \
	"--report-signal: --heapsnapshot-signal: --heapsnapshot-near-heap-limit: "                 \
	"--heap-prof-dir: --heap-prof-name: --heap-prof-interval: --cpu-prof-dir: "                \
	"--cpu-prof-name: --cpu-prof-interval: --trace-event-categories: "                         \
	"--trace-event-file-pattern: --inspect-port: --debug-port: --inspect-publish-uid: "        \
	"--max-http-header-size: --network-family-autoselection-attempt-timeout: "                 \
	"--secure-heap: --secure-heap-min: --v8-pool-size: --use-largepages: --disable-proto: "    \
	"--experimental-policy: --policy-integrity: --experimental-default-type: "                 \
	"--security-revert: --security-reverts: --allow-fs-read: --allow-fs-write: "               \
	"--localstorage-file: --snapshot-blob: --build-snapshot-config: --test-name-pattern: "     \
	"--test-skip-pattern: --test-reporter: --test-reporter-destination: --test-shard: "        \
	"--test-timeout: --test-concurrency: --test-isolation: --test-global-setup: "              \
	"--test-coverage-branches: --test-coverage-functions: --test-coverage-lines: "             \
	"--test-coverage-include: --test-coverage-exclude: "

#define NODE_FLAGS                                                                                 \
	"-i --interactive --preserve-symlinks --preserve-symlinks-main --enable-source-maps "      \
	"--inspect --inspect-brk --inspect-brk-node --inspect-wait --watch "                       \
	"--watch-preserve-output --pending-deprecation --throw-deprecation --deprecation "         \
	"--warnings --trace-warnings --trace-deprecation --trace-uncaught --trace-exit "           \
	"--trace-sigint --trace-sync-io --trace-tls --trace-promises --trace-atomics-wait "        \
	"--trace-env --trace-env-js-stack --trace-env-native-stack --trace-events-enabled "        \
	"--trace-gc --trace-gc-verbose --trace-opt --trace-deopt --abort-on-uncaught-exception "   \
	"--expose-gc --expose-internals --harmony* --jitless --optimize-for-size --predictable "   \
	"--single-threaded --max-lazy --prof --perf-prof --perf-basic-prof "                       \
	"--perf-basic-prof-only-functions --perf-prof-unwinding-info --allow-natives-syntax "      \
	"--interpreted-frames-native-stack --huge-max-old-generation-size "                        \
	"--disallow-code-generation-from-strings --frozen-intrinsics --zero-fill-buffers "         \
	"--track-heap-objects --verify-base-objects --use-bundled-ca --use-openssl-ca "            \
	"--use-system-ca --use-env-proxy --openssl-legacy-provider --openssl-shared-config "       \
	"--enable-fips --force-fips --force-context-aware --force-async-hooks-checks "             \
	"--force-node-api-uncaught-exceptions-policy --insecure-http-parser --tls-min-v1.0 "       \
	"--tls-min-v1.1 --tls-min-v1.2 --tls-min-v1.3 --tls-max-v1.2 --tls-max-v1.3 "              \
	"--report-compact --report-on-fatalerror --report-on-signal --report-exclude-network "     \
	"--report-exclude-env --report-uncaught-exception --node-snapshot --addons "               \
	"--global-search-paths --network-family-autoselection --async-context-frame "              \
	"--enable-network-family-autoselection --extra-info-on-fatal-exception --heap-prof "       \
	"--cpu-prof --debug-arraybuffer-allocations --disable-wasm-trap-handler "                  \
	"--disable-sigusr1 --permission --experimental-permission --allow-addons "                 \
	"--allow-child-process --allow-wasi --allow-worker --allow-net --entry-url "               \
	"--experimental-strip-types --experimental-transform-types --experimental-sqlite "         \
	"--experimental-websocket --experimental-webstorage --experimental-eventsource "           \
	"--experimental-vm-modules --experimental-wasm-modules --experimental-json-modules "       \
	"--experimental-import-meta-resolve --experimental-network-imports "                       \
	"--experimental-detect-module --experimental-require-module --experimental-fetch "         \
	"--experimental-modules --experimental-worker --experimental-report "                      \
	"--experimental-abortcontroller --experimental-top-level-await "                           \
	"--experimental-repl-await --experimental-shadow-realm --experimental-addon-modules "      \
	"--experimental-print-required-tla --experimental-global-customevent "                     \
	"--experimental-global-navigator --experimental-global-webcrypto "                         \
	"--experimental-wasi-unstable-preview1 --experimental-async-context-frame "                \
	"--experimental-network-inspection --experimental-worker-inspection "

/* Options of java that are words. Everything else fails. */
#define JAVA_OPTIONS                                                                               \
	"-jar> -cp: -classpath: --class-path: -p: --module-path: --upgrade-module-path: "          \
	"--add-modules: --add-exports: --add-opens: --add-reads: --limit-modules: "                \
	"--patch-module: --enable-native-access: --illegal-native-access: --source: "              \
	"--sun-misc-unsafe-memory-access: -m! --module! -X* -D* -ea* -da* -esa -dsa "              \
	"-enableassertions* -disableassertions* -enablesystemassertions "                          \
	"-disablesystemassertions -agentlib* -agentpath* -javaagent* -verbose* -splash* -server "  \
	"-client -d32 -d64 -showversion --show-version --enable-preview"

#define DENO_OPTIONS                                                                               \
	"run serve eval! repl! task! test! bench! fmt! lint! check! cache! install! add! x! "      \
	"-c: --config: --import-map: --importmap: --location: --seed: --cert: --ext: -L: "         \
	"--log-level: --preload: --import: --port: --host: --lock= -RWEINSr~ -Aq "                 \
	"--allow-* --deny-* --no-* --unstable* --check* --reload* --watch* --inspect* --env* "     \
	"--v8-flags* --frozen* --node-modules-dir* --vendor* --coverage* --strace-ops* "           \
	"--unsafely-ignore-certificate-errors* --cached-only --quiet --parallel --prompt "         \
	"--allow-all"

#define BUN_OPTIONS                                                                                \
	"run x! test! install! add! create! build! repl! exec! -e! --eval! -p! --print! -F! "      \
	"--filter! -r: --preload: --require: --import: --cwd/ --env-file: --port: -d: --define: "  \
	"-l: --loader: --conditions: --main-fields: --extension-order: --tsconfig-override: "      \
	"--jsx-factory: --jsx-fragment: --jsx-import-source: --jsx-runtime: --install: --shell: "  \
	"--title: --user-agent: --dns-result-order: --max-http-header-size: --fetch-preconnect: "  \
	"--drop: --elide-lines: --console-depth: --unhandled-rejections: -c= --config= -b --bun "  \
	"-i --watch --hot --smol --silent --if-present --expose-gc --no-* --prefer-* --inspect* "  \
	"--preserve-symlinks* --zero-fill-buffers --throw-deprecation --experimental-* --use-*"

static const struct grammar grammars[] = {
	{.names = "python pypy micropython graalpy",
	 .options = "-c! -m@ -WXQ: -bBdEhiIJOPqRsStuUvVx?3 --check-hash-based-pycs: --jit: --help* "
		    "--version"},
	{.names = "perl", .options = "-eE! -I: -MmCDFixV~ -0ld# -S% -acfghnpstTuUvwWX"},
	{.names = "ruby",
	 .options = "-ec! -CX/ -IrE: -0lTW# -K$ -Fix~ -S% -adhlnpsUvwy --encoding: "
		    "--external-encoding: --internal-encoding: --enable: --disable: "
		    "--backtrace-limit: --parser: --crash-report: --dump! --enable-* --disable-* "
		    "--jit* --yjit* --rjit* --mjit* --zjit* --debug* --verbose --yydebug "
		    "--copyright --version --help"},
	{.names = "bash sh",
	 .options = "-cs! -oO+ --rcfile: --init-file: --debugger --debug --login --noediting "
		    "--noprofile --norc --posix --restricted --verbose --interactive "
		    "--dump-strings --dump-po-strings --pretty-print --protected --wordexp "
		    "--version --help -abefhiklmnprtuvxBCDEHPT",
	 .traits = GRAMMAR_WORDS_FIRST | GRAMMAR_PLUS | GRAMMAR_DASH_ENDS},
	{.names = "dash",
	 .options = "-cs! -o+ -abeEfilmnpquvxCIV",
	 .traits = GRAMMAR_PLUS | GRAMMAR_DASH_ENDS},
	{.names = "ksh mksh lksh oksh pdksh",
	 .options = "-cs! -oRT: -abefhiklmnprtuvxBCDEGHPUX",
	 .traits = GRAMMAR_PLUS | GRAMMAR_DASH_ENDS},
	{.names = "zsh",
	 .options = "-cs! -o: --emulate: -abdefghijklmnpqrtuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
		    "0123456789",
	 .traits = GRAMMAR_PLUS | GRAMMAR_DASH_ENDS | GRAMMAR_OPEN},
	{.names = "csh tcsh", .options = "-cst! -bdefFilmnqvVxX"},
	{.names = "fish",
	 .options = "-c! --command! -CdDfop: --init-command: --debug: --debug-output: --features: "
		    "--profile: --profile-startup: --debug-stack-frames: -hilnNPv --help "
		    "--interactive --login --no-config --no-execute --private --version"},
	{.names = "php",
	 .options = "-arR! --interactive! --run! --process-code! -fF> --file> --process-file> -BE^ "
		    "--process-begin^ --process-end^ -cdtzS: --php-ini: --define: --docroot: "
		    "--zend-extension: --server: --rf! --rfunction! --rc! --rclass! --re! "
		    "--rextension! --rz! --rzendextension! --ri! --rextinfo! --ini! "
		    "-CeHhilmnqsvw? --no-chdir --profile-info --hide-args --no-php-ini "
		    "--no-header --syntax-check --syntax-highlight --syntax-highlighting --strip "
		    "--info --modules --help --usage --version",
	 .traits = GRAMMAR_STDIN_BEHIND},
	{.names = "php-cgi",
	 .options = "-b! --bindpath! -f> --file> -cdTz: --php-ini: --define: --timing: "
		    "--zend-extension: -aCehilmnqsvw? --no-chdir --no-php-ini --no-header",
	 .traits = GRAMMAR_STDIN_BEHIND},
	{.names = "node nodejs",
	 .options = NODE_VALUES NODE_FLAGS "-e! --eval! -p! -pe! --print! -c! --check! --test! "
					   "--run! --build-snapshot! --prof-process! "
					   "--experimental-sea-config! inspect! "
					   "--experimental-config-file= --trace-require-module= "
					   "--no-*",
	 .traits = GRAMMAR_WORDS | GRAMMAR_UNDERSCORES},
	{.names = "deno", .options = DENO_OPTIONS, .traits = GRAMMAR_URLS},
	{.names = "bun",
	 .options = BUN_OPTIONS,
	 .endings = ".ts .tsx .js .jsx .mjs .cjs .mts .cts .wasm .sh"},
	{.names = "lua luajit texlua", .options = "-elj: -ivEW -O~ -b!"},
	{.names = "tclsh wish", .options = "-encoding:", .traits = GRAMMAR_WORDS},
	{.names = "expect", .options = "-fb> -cD: -dinNv"},
	{.names = "awk gawk mawk nawk original-awk",
	 .options = "-fE> --file> --exec> -eW! --source! -vFil: --assign: --field-separator: "
		    "--include: --load: -dDoLp~ --debug* --dump-variables* --lint* --pretty-print* "
		    "--profile* -bcCghIkMnNOPrsStV --*",
	 .traits = GRAMMAR_NO_WORD},
	{.names = "R",
	 .options = "-f> --file> -e! --args! -g: --gui: -d: --debugger: --encoding: CMD!",
	 .traits = GRAMMAR_WORDS | GRAMMAR_OPEN | GRAMMAR_NO_WORD},
	{.names = "Rscript", .options = "-e!", .traits = GRAMMAR_WORDS | GRAMMAR_OPEN},
	{.names = "java", .options = JAVA_OPTIONS, .endings = ".java", .traits = GRAMMAR_WORDS},
	{.names = "dotnet",
	 .options = "exec --additionalprobingpath: --additional-deps: --depsfile: --fx-version: "
		    "--runtimeconfig: --roll-forward:",
	 .endings = ".dll .exe",
	 .traits = GRAMMAR_WORDS},
	{.names = "mono mono-sgen",
	 .options = "--config:",
	 .endings = ".exe .dll",
	 .traits = GRAMMAR_WORDS | GRAMMAR_OPEN},
	{.names = "busybox toybox", .options = "", .traits = GRAMMAR_APPLETS},
};

/* The shells and awks that BusyBox has; their options are those of dash and awk. */
static const char *const applets[][2] = {{"sh", "dash"},
					 {"ash", "dash"},
					 {"hush", "dash"},
					 {"awk", "awk"}};

/* ---- Names ----------------------------------------------------------------------------------- */

/* The next of the words, which are separated by blanks. False: there is none. */
static bool next_word(const char **words, struct span *word)
{
	*words += strspn(*words, " ");
	*word = (struct span){*words, strcspn(*words, " ")};
	*words += word->len;
	return word->len;
}

static bool begins(struct span text, struct span with)
{
	return text.len >= with.len && memcmp(text.data, with.data, with.len) == 0;
}

/* What may follow the name of an interpreter: "3.11", "-2.1.0", "-static", ".static". */
static bool is_version(struct span rest)
{
	if (!rest.len || isdigit((unsigned char)rest.data[0]))
		return true;
	if (rest.data[0] != '-' && rest.data[0] != '.')
		return false;
	return (rest.len > 1 && isdigit((unsigned char)rest.data[1])) ||
	       span_equal((struct span){rest.data + 1, rest.len - 1}, span_of("static"));
}

const struct grammar *grammar_of(struct span name)
{
	for (size_t i = 0; i < sizeof(grammars) / sizeof(grammars[0]); i++) {
		const char *names = grammars[i].names;
		struct span one;

		while (next_word(&names, &one)) {
			if (begins(name, one) &&
			    is_version((struct span){name.data + one.len, name.len - one.len}))
				return &grammars[i];
		}
	}
	return NULL;
}

bool grammar_any_name(bool (*is)(const void *context, struct span name), const void *context)
{
	for (size_t i = 0; i < sizeof(grammars) / sizeof(grammars[0]); i++) {
		const char *names = grammars[i].names;
		struct span name;

		while (next_word(&names, &name)) {
			if (is(context, name))
				return true;
		}
	}
	return false;
}

const struct grammar *grammar_of_applet(struct span name)
{
	for (size_t i = 0; i < sizeof(applets) / sizeof(applets[0]); i++) {
		if (span_equal(name, span_of(applets[i][0])))
			return grammar_of(span_of(applets[i][1]));
	}
	return NULL;
}

/* ---- Options --------------------------------------------------------------------------------- */

/* Takes the mark off an entry of `options`. */
static enum option_kind take_mark(struct span *entry)
{
	const char last = entry->data[entry->len - 1];

	if (!strchr(":~+#$=!>@/^%", last))
		return OPTION_FLAG;
	entry->len--;
	return (enum option_kind)last;
}

static bool same_letter(const struct grammar *grammar, char given, char listed)
{
	return given == listed ||
	       (grammar->traits & GRAMMAR_UNDERSCORES && given == '_' && listed == '-');
}

static bool fits(const struct grammar *grammar, struct span word, struct span entry)
{
	const bool any_rest = entry.data[entry.len - 1] == '*';
	const size_t len = entry.len - any_rest;

	if (any_rest ? word.len < len : word.len != len)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!same_letter(grammar, word.data[i], entry.data[i]))
			return false;
	}
	return true;
}

/* "-abc" without GRAMMAR_WORDS: letters, not a word. */
static bool is_letters(const struct grammar *grammar, struct span entry)
{
	return !(grammar->traits & GRAMMAR_WORDS) && entry.data[0] == '-' && entry.data[1] != '-';
}

enum option_kind grammar_word(const struct grammar *grammar, struct span word)
{
	const char *options = grammar->options;
	struct span entry;

	while (next_word(&options, &entry)) {
		enum option_kind kind = take_mark(&entry);

		if (!is_letters(grammar, entry) && fits(grammar, word, entry))
			return kind;
	}
	return OPTION_UNKNOWN;
}

enum option_kind grammar_letter(const struct grammar *grammar, char letter)
{
	const char *options = grammar->options;
	struct span entry;

	while (next_word(&options, &entry)) {
		enum option_kind kind = take_mark(&entry);

		if (is_letters(grammar, entry) && memchr(entry.data + 1, letter, entry.len - 1))
			return kind;
	}
	return OPTION_UNKNOWN;
}

bool grammar_ends(const struct grammar *grammar, struct span name)
{
	const char *endings = grammar->endings;
	struct span one;

	if (!endings)
		return true;
	while (next_word(&endings, &one)) {
		if (name.len > one.len &&
		    memcmp(name.data + name.len - one.len, one.data, one.len) == 0)
			return true;
	}
	return false;
}
