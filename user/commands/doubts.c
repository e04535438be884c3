/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: check asks for the exclusions of a configuration, suggest for its drafts. A
 * pattern is in doubt if it can match what is in doubt: so a pattern with wildcards is compared
 * with an example in each doubtful place.
 */
#include "commands/doubts.h"

#include <ctype.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/text.h"
#include "process/grammar.h"

#define DOUBT_MAX 500U
#define COUNT(of) (sizeof(of) / sizeof((of)[0]))

static const char *const writable_folders[] = {"/tmp",	    "/var/tmp",	   "/dev/shm",
					       "/run/lock", "/var/lock",   "/run/shm",
					       "/run/user", "/dev/mqueue", "/var/crash"};

/* What runs scripts, or any program, besides the interpreters of process/grammar.c. */
static const char *const other_runners[] = {"env", "php-fpm", "guile", "pwsh"};

/* Accounts under which several programs run; of Debian, Fedora, SUSE, Arch, Alpine. */
static const char *const shared_users[] = {"www-data", "nobody", "apache",  "nginx", "httpd",
					   "http",     "wwwrun", "daemon",  "bin",   "www",
					   "33",       "65534",	 "nogroup", "sys",   "games"};

static const char *const public_domains[] = {"gmail.com",      "googlemail.com",
					     "outlook.com",    "hotmail.com",
					     "hotmail.co.uk",  "hotmail.de",
					     "hotmail.fr",     "live.com",
					     "msn.com",	       "yahoo.com",
					     "yahoo.co.uk",    "yahoo.co.jp",
					     "yahoo.de",       "yahoo.fr",
					     "ymail.com",      "aol.com",
					     "icloud.com",     "me.com",
					     "mac.com",	       "gmx.com",
					     "gmx.net",	       "gmx.de",
					     "gmx.at",	       "gmx.ch",
					     "web.de",	       "mail.com",
					     "mail.ru",	       "bk.ru",
					     "inbox.ru",       "list.ru",
					     "yandex.ru",      "yandex.com",
					     "ya.ru",	       "rambler.ru",
					     "proton.me",      "protonmail.com",
					     "pm.me",	       "tutanota.com",
					     "tuta.com",       "tuta.io",
					     "fastmail.com",   "zoho.com",
					     "hey.com",	       "t-online.de",
					     "freenet.de",     "posteo.de",
					     "mailbox.org",    "orange.fr",
					     "free.fr",	       "laposte.net",
					     "libero.it",      "wp.pl",
					     "o2.pl",	       "seznam.cz",
					     "qq.com",	       "163.com",
					     "126.com",	       "naver.com",
					     "rediffmail.com", "mailinator.com",
					     "yopmail.com",    "guerrillamail.com",
					     "cock.li",	       "riseup.net",
					     "outlook.de"};

struct doubting {
	const struct exclusion *exclusion;
	doubt_fn on_doubt;
	void *context;
};

__attribute__((format(printf, 2, 3))) static void doubt(const struct doubting *doubting,
							const char *format, ...)
{
	char line[DOUBT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	doubting->on_doubt(doubting->context, line);
}

/* ---- Paths ----------------------------------------------------------------------------------- */

static bool is_known_folder(const char *path, size_t len)
{
	for (size_t i = 0; i < COUNT(writable_folders); i++) {
		if (strlen(writable_folders[i]) == len &&
		    memcmp(writable_folders[i], path, len) == 0)
			return true;
	}
	return false;
}

static bool is_writable_here(const char *path, size_t len)
{
	char folder[PATH_MAX];
	struct stat info;

	if (len >= sizeof(folder))
		return false;
	memcpy(folder, path, len);
	folder[len] = '\0';
	return stat(folder, &info) == 0 && S_ISDIR(info.st_mode) && info.st_mode & S_IWOTH;
}

size_t path_writable_by_any(const char *path)
{
	for (size_t len = 1; path[0] && path[len]; len++) {
		if (path[len] == '/' && (is_known_folder(path, len) || is_writable_here(path, len)))
			return len;
	}
	return 0;
}

bool path_is_no_file(const char *path)
{
	static const char deleted[] = " (deleted)", memory[] = "/memfd:";
	size_t len = strlen(path), tail = strlen(deleted);

	return strncmp(path, memory, strlen(memory)) == 0 ||
	       (len >= tail && strcmp(path + len - tail, deleted) == 0);
}

/* The name of a folder or file that begins with a dot; its length, or 0. */
static size_t hidden_part(const char *path, const char **part)
{
	for (const char *at = strchr(path, '/'); at; at = strchr(at + 1, '/')) {
		size_t len = strcspn(at + 1, "/");

		if (at[1] != '.' || (len == 1) || (len == 2 && at[2] == '.'))
			continue;
		*part = at + 1;
		return len;
	}
	return 0;
}

/*
 * An example of a path that the pattern matches in this folder, if it matches one: the pattern's
 * last part with the wildcards replaced.
 */
static bool matches_in(const struct pattern *pattern, const char *folder)
{
	const char *tail = strrchr(pattern->text, '/');
	char example[300];
	size_t len = (size_t)snprintf(example, sizeof(example), "%s", folder);

	for (tail = tail ? tail : "/x"; *tail && len + 1 < sizeof(example); tail++)
		example[len++] = strchr("*?[", *tail) ? 'x' : *tail;
	return wildcard_match(pattern->wildcard, (struct span){example, len});
}

/* The folder that makes a pattern doubtful; its length, or 0. */
static size_t writable_part(const struct pattern *pattern, const char **folder)
{
	size_t len = path_writable_by_any(pattern->text);

	*folder = pattern->text;
	if (len || wildcard_is_literal(pattern->wildcard))
		return len;
	for (size_t i = 0; i < COUNT(writable_folders); i++) {
		*folder = writable_folders[i];
		if (matches_in(pattern, *folder))
			return strlen(*folder);
	}
	return 0;
}

/* Patterns of files: `what` is in them, and `advice` says where it belongs. */
static void file_doubts(const struct doubting *doubting, enum criterion criterion,
			const struct patterns *patterns, const char *what, const char *advice)
{
	const char *key = criterion_name(criterion);
	bool writable = false, hidden = false, no_file = false;

	for (size_t i = 0; i < patterns->count; i++) {
		const struct pattern *pattern = &patterns->items[i];
		const char *part = NULL;
		size_t len = writable ? 0 : writable_part(pattern, &part);

		if (len)
			doubt(doubting, "%s %.200s: any user can put a %s into %.*s; %s", key,
			      pattern->text, what, (int)len, part, advice);
		writable = writable || len;
		len = hidden ? 0 : hidden_part(pattern->text, &part);
		if (len)
			doubt(doubting, "%s %.200s: %.*s is hidden; find out who put it there", key,
			      pattern->text, (int)(len < 100 ? len : 100), part);
		hidden = hidden || len;
		if (!no_file && path_is_no_file(pattern->text))
			doubt(doubting,
			      "%s %.200s: a %s that was deleted or is only in memory has no path",
			      key, pattern->text, what);
		no_file = no_file || path_is_no_file(pattern->text);
	}
}

/* ---- Interpreters and users ------------------------------------------------------------------ */

/* "python3.11", "php-fpm8.2", "python3*". `context`: the struct pattern. */
static bool may_run(const void *context, struct span interpreter)
{
	const struct pattern *pattern = context;
	struct span name = text_basename(span_of(pattern->text));
	char example[64];

	if (name.len >= interpreter.len &&
	    memcmp(name.data, interpreter.data, interpreter.len) == 0 &&
	    (name.len == interpreter.len || strchr("0123456789.-*?[", name.data[interpreter.len])))
		return true;
	snprintf(example, sizeof(example), "/usr/bin/%.*s", (int)interpreter.len, interpreter.data);
	return wildcard_match(pattern->wildcard, span_of(example));
}

static bool is_interpreter(const struct pattern *pattern)
{
	for (size_t i = 0; i < COUNT(other_runners); i++) {
		if (may_run(pattern, span_of(other_runners[i])))
			return true;
	}
	return grammar_any_name(may_run, pattern);
}

static bool names_root(const struct strings *users)
{
	for (size_t i = 0; i < users->count; i++) {
		if (strcmp(users->items[i], "root") == 0 || strcmp(users->items[i], "0") == 0)
			return true;
	}
	return false;
}

/* `group`: "process" or "origin". */
static void root_doubts(const struct doubting *doubting, const char *group,
			const struct strings *users, const struct patterns *executables,
			const struct patterns *scripts)
{
	for (size_t i = 0; i < executables->count; i++) {
		const struct pattern *pattern = &executables->items[i];

		if (!names_root(users) || !is_interpreter(pattern) || scripts->count)
			continue;
		doubt(doubting,
		      "%s.user root with the interpreter %.200s: every script that root runs "
		      "with it passes; give the mailer a user of its own",
		      group, pattern->text);
		return;
	}
}

static void user_doubts(const struct doubting *doubting, const char *key,
			const struct strings *users)
{
	for (size_t i = 0; i < users->count; i++) {
		for (size_t j = 0; j < COUNT(shared_users); j++) {
			if (strcmp(users->items[i], shared_users[j]) != 0)
				continue;
			doubt(doubting,
			      "%s %s: many programs share this account, and whoever gets into one "
			      "of them passes; give the mailer a user of its own",
			      key, users->items[i]);
			return;
		}
	}
}

/* ---- Recipients ------------------------------------------------------------------------------ */

bool domain_is_public(struct span domain)
{
	for (size_t i = 0; i < COUNT(public_domains); i++) {
		if (strlen(public_domains[i]) == domain.len &&
		    strncasecmp(public_domains[i], domain.data, domain.len) == 0)
			return true;
	}
	return false;
}

/* The public domain that a pattern can match; NULL: none. */
static const char *public_domain_of(const struct pattern *pattern)
{
	const char *at = strrchr(pattern->text, '@');

	for (size_t i = 0; i < COUNT(public_domains); i++) {
		char example[80];

		if (at && strcasecmp(at + 1, public_domains[i]) == 0)
			return public_domains[i];
		snprintf(example, sizeof(example), "x@%s", public_domains[i]);
		if (wildcard_match(pattern->wildcard, span_of(example)))
			return public_domains[i];
	}
	return NULL;
}

static void recipient_doubts(const struct doubting *doubting)
{
	const struct patterns *patterns = &doubting->exclusion->mail.recipients;

	for (size_t i = 0; i < patterns->count; i++) {
		const char *domain = public_domain_of(&patterns->items[i]);

		if (!domain)
			continue;
		doubt(doubting, "mail.recipients %.200s: anyone can get an address at %s",
		      patterns->items[i].text, domain);
		return;
	}
}

void exclusion_doubts(const struct exclusion *exclusion, doubt_fn on_doubt, void *context)
{
	const struct doubting doubting = {.exclusion = exclusion,
					  .on_doubt = on_doubt,
					  .context = context};

	file_doubts(&doubting, CRITERION_EXECUTABLE, &exclusion->process.executable, "program",
		    "install the mailer in a folder of root");
	file_doubts(&doubting, CRITERION_SCRIPT, &exclusion->process.script, "script",
		    "keep it in a folder of root");
	file_doubts(&doubting, CRITERION_ORIGIN_EXECUTABLE, &exclusion->origin.executable,
		    "program", "install it in a folder of root");
	file_doubts(&doubting, CRITERION_ORIGIN_SCRIPT, &exclusion->origin.script, "script",
		    "keep it in a folder of root");
	root_doubts(&doubting, "process", &exclusion->process.user, &exclusion->process.executable,
		    &exclusion->process.script);
	root_doubts(&doubting, "origin", &exclusion->origin.user, &exclusion->origin.executable,
		    &exclusion->origin.script);
	user_doubts(&doubting, "process.user", &exclusion->process.user);
	user_doubts(&doubting, "origin.user", &exclusion->origin.user);
	recipient_doubts(&doubting);
}
