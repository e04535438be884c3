/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * suggest --library. Theory of operation: each file of deploy/exclusions has the exclusions of one
 * mailer. Lines in the comment at its beginning say which packages bring the mailer and where its
 * program is; one of them is enough for the file to fit this host.
 *
 * A mailer that runs sendmail(1) has two exclusions: one for a sendmail that speaks SMTP itself,
 * with msmtp as its executable, and one for an MTA that relays the mail, with Postfix. The one that
 * fits this host is taken, and this host's MTA put in. The example's relay, domain and recipient
 * are replaced by this host's, where its files say which they are. Each exclusion is then read as
 * check reads it, so that what is written is valid and has the same warnings.
 */
#include "commands/suggest_library.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/report.h"
#include "base/text.h"
#include "commands/advice.h"
#include "commands/commands.h"
#include "commands/library_host.h"
#include "config/config.h"

#define FILES_MAX	 256U
#define LIBRARY_FILE_MAX (64U << 10)

#define EXAMPLE_RELAY	  "192.0.2.25:25"
#define EXAMPLE_DOMAIN	  "corp.example"
#define EXAMPLE_RECIPIENT "root@corp.example"
#define ITEM		  "  - name: "

struct drafting {
	struct library_host host;
	struct text out, left_out;
	size_t mailers, exclusions;
};

static struct span next_line(struct span *rest)
{
	const char *end = memchr(rest->data, '\n', rest->len);
	size_t len = end ? (size_t)(end - rest->data) + 1 : rest->len;
	struct span line = span_part(*rest, 0, len);

	*rest = span_part(*rest, len, rest->len);
	return line;
}

static bool starts_with(struct span text, const char *start)
{
	return text.len >= strlen(start) && memcmp(text.data, start, strlen(start)) == 0;
}

static bool contains(struct span text, const char *part)
{
	return text.len && memmem(text.data, text.len, part, strlen(part));
}

/* ---- Whether the mailer is here ---------------------------------------------------------------
 */

static bool is_program(const struct library_host *host, struct span path)
{
	char name[PATH_MAX];

	(void)host;
	if (path.len >= sizeof(name))
		return false;
	memcpy(name, path.data, path.len);
	name[path.len] = '\0';
	return access(name, X_OK) == 0;
}

/* Whether one of the words behind "# packages:" or "# programs:" is here. */
static bool any_word(const struct library_host *host, struct span head, const char *key,
		     bool (*is_here)(const struct library_host *host, struct span word))
{
	while (head.len) {
		struct span line = next_line(&head);
		size_t at = strlen(key), len;

		if (!starts_with(line, key))
			continue;
		for (; at < line.len; at += len + 1) {
			for (len = 0; at + len < line.len && !strchr(" \n", line.data[at + len]);)
				len++;
			if (len && is_here(host, span_part(line, at, at + len)))
				return true;
		}
	}
	return false;
}

static bool is_here(const struct library_host *host, struct span head)
{
	return any_word(host, head, "# packages:", library_host_has_package) ||
	       any_word(host, head, "# programs:", is_program);
}

/* ---- One exclusion, for this host --------------------------------------------------------------
 */

/* NULL: the exclusion fits. Otherwise why not. */
static const char *why_not(const struct library_host *host, struct span item)
{
	bool relayed = contains(item, "\n    origin:"),
	     direct = contains(item, "executable: /usr/bin/msmtp\n");

	if (!relayed && !direct) /* the mailer speaks SMTP itself */
		return NULL;
	if (!host->mta)
		return "/usr/sbin/sendmail is missing or of an unknown MTA";
	if (!host->mta->executable)
		return "no exclusion covers mail of this host's MTA: nothing says for whom it "
		       "sends";
	return host->mta->relays == relayed ? NULL : "";
}

/* Adds a line with every `old` replaced. */
static void add_replaced(struct text *out, struct span line, const char *old, const char *new)
{
	const char *at;

	while (new[0] && line.len && (at = memmem(line.data, line.len, old, strlen(old)))) {
		text_add(out, (struct span){line.data, (size_t)(at - line.data)});
		text_add_string(out, new);
		line = span_part(line, (size_t)(at - line.data) + strlen(old), line.len);
	}
	text_add(out, line);
}

/* The executable and the user of the process: the host's own MTA. False: it is another line. */
static bool add_mta(struct text *out, const struct library_mta *mta, struct span line)
{
	if (starts_with(line, "      executable: "))
		text_add_format(out, "      executable: %s\n", mta->executable);
	else if (starts_with(line, "      user: ") && mta->user)
		text_add_format(out, "      user: %s\n", mta->user);
	else
		return false;
	return true;
}

static void adapt(struct text *out, const struct library_host *host, struct span item)
{
	bool by_mta = contains(item, "\n    origin:") ||
		      contains(item, "executable: /usr/bin/msmtp\n"),
	     in_process = false;

	while (item.len) {
		struct span line = next_line(&item);

		if (starts_with(line, "    ") && line.len > 4 && line.data[4] != ' ')
			in_process = starts_with(line, "    process:");
		if (by_mta && in_process && add_mta(out, host->mta, line))
			continue;
		if (contains(line, EXAMPLE_RELAY) && !host->relay[0])
			text_add_string(out, "    # REVIEW: an example; the relay of this host is "
					     "not known\n");
		if (contains(line, EXAMPLE_RELAY))
			add_replaced(out, line, EXAMPLE_RELAY, host->relay);
		else if (contains(line, EXAMPLE_RECIPIENT) && host->recipient[0])
			add_replaced(out, line, EXAMPLE_RECIPIENT, host->recipient);
		else
			add_replaced(out, line, EXAMPLE_DOMAIN, host->domain);
	}
}

static void on_warning(void *context, const struct exclusion *exclusion, const char *advice)
{
	struct text *warnings = context;

	(void)exclusion;
	text_add_string(warnings, "  # WARNING: ");
	text_add_visible(warnings, span_of(advice));
	text_add_string(warnings, "\n");
}

/* Reads the exclusion as check does. False: it is not valid, and `error` says why. */
static bool is_valid(struct span item, struct text *warnings, char error[CONFIG_ERROR_MAX])
{
	struct text text = {0};
	struct config *config;

	text_add_string(&text, "exclusions:\n");
	text_add(&text, item);
	config = config_parse((struct span){text.data, text.len}, "library", error);
	if (config)
		config_advise(config, time(NULL), NULL, on_warning, warnings);
	config_free(config);
	text_free(&text);
	return config;
}

static void leave_out(struct drafting *drafting, const char *name, const char *why)
{
	text_add_string(&drafting->left_out, "#   ");
	text_add_visible(&drafting->left_out, span_of(name));
	text_add_format(&drafting->left_out, ": %s\n", why);
}

/* Returns whether it was written. */
static bool draft_item(struct drafting *drafting, const char *name, struct span item)
{
	const char *why = why_not(&drafting->host, item);
	char error[CONFIG_ERROR_MAX];
	struct text text = {0}, warnings = {0};
	bool good = false;

	if (why) {
		if (why[0])
			leave_out(drafting, name, why);
		return false;
	}
	adapt(&text, &drafting->host, item);
	good = is_valid((struct span){text.data, text.len}, &warnings, error);
	if (good) {
		text_add(&drafting->out, (struct span){warnings.data, warnings.len});
		text_add(&drafting->out, (struct span){text.data, text.len});
		drafting->exclusions++;
	} else {
		leave_out(drafting, name, error);
	}
	drafting->out.failed = drafting->out.failed || text.failed || warnings.failed;
	text_free(&text);
	text_free(&warnings);
	return good;
}

/* ---- One file ----------------------------------------------------------------------------------
 */

/* The comment at the beginning, indented. */
static void add_head(struct text *out, struct span head)
{
	while (head.len) {
		struct span line = next_line(&head);

		if (!starts_with(line, "# packages:") && !starts_with(line, "# programs:") &&
		    line.len > 2) {
			text_add_string(out, "  ");
			text_add(out, line);
		}
	}
}

/* The next exclusion: from its name to the next one. Comments between two are not taken. */
static struct span next_item(struct span *rest)
{
	struct span item = {rest->data, 0};

	while (rest->len && !starts_with(*rest, ITEM))
		next_line(rest);
	item.data = rest->data;
	while (rest->len && (!item.len || !starts_with(*rest, "  ") ||
			     (!starts_with(*rest, ITEM) && !starts_with(*rest, "  #"))))
		item.len += next_line(rest).len;
	return item;
}

static void draft_file(struct drafting *drafting, const char *name, struct span text)
{
	static const char key[] = "exclusions:\n";
	const char *at = memmem(text.data, text.len, key, strlen(key));
	struct span head, rest, item;
	size_t before = drafting->exclusions;
	size_t start = drafting->out.len;

	if (!at) {
		leave_out(drafting, name, "the file has no line 'exclusions:'");
		return;
	}
	head = span_part(text, 0, (size_t)(at - text.data));
	rest = span_part(text, head.len + strlen(key), text.len);
	if (!is_here(&drafting->host, head)) {
		leave_out(drafting, name, "not installed");
		return;
	}
	text_add_string(&drafting->out, "\n");
	add_head(&drafting->out, head);
	while ((item = next_item(&rest)).len)
		draft_item(drafting, name, item);
	if (drafting->exclusions == before) {
		drafting->out.len = start;
		return;
	}
	drafting->mailers++;
}

/* ---- The folder --------------------------------------------------------------------------------
 */

static int is_yaml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

/* -errno if the folder cannot be read. */
static int draft_folder(struct drafting *drafting, const char *folder)
{
	struct dirent **entries = NULL;
	int count = scandir(folder, &entries, is_yaml, alphasort);

	for (int i = 0; i < count; i++) {
		char path[PATH_MAX], *text = NULL;
		size_t len = strlen(entries[i]->d_name) - strlen(".yaml");

		if (i < (int)FILES_MAX && (size_t)snprintf(path, sizeof(path), "%s/%s", folder,
							   entries[i]->d_name) < sizeof(path))
			text = library_file_read(path, LIBRARY_FILE_MAX);
		entries[i]->d_name[len] = '\0';
		if (text)
			draft_file(drafting, entries[i]->d_name, span_of(text));
		else
			leave_out(drafting, entries[i]->d_name, "the file cannot be read");
		free(text);
		free(entries[i]);
	}
	free(entries);
	return count < 0 ? -errno : 0;
}

/*
 * The library beside this program: below its prefix (/usr/local/sbin: /usr/local/share), or in the
 * source tree from which it was built.
 */
static bool find_folder(char folder[PATH_MAX])
{
	static const char *const places[] = {"/../share/smtpsnoop/deploy/exclusions",
					     "/../deploy/exclusions"};
	char own[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", own, sizeof(own) - 1);
	char *slash;

	own[len > 0 ? len : 0] = '\0';
	slash = strrchr(own, '/');
	if (!slash)
		return false;
	*slash = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if ((size_t)snprintf(folder, PATH_MAX, "%s%s", own, places[i]) < PATH_MAX &&
		    access(folder, R_OK) == 0)
			return true;
	}
	return false;
}

static void print_known(const char *what, const char *value)
{
	printf("#   %s: %s\n", what, value && value[0] ? value : "not known");
}

static void print_all(const struct drafting *drafting)
{
	printf("# Exclusions for %zu mailer%s of this host. Review each of them before you use "
	       "it.\n# What was put into them:\n",
	       drafting->mailers, drafting->mailers == 1 ? "" : "s");
	print_known("MTA", drafting->host.mta ? drafting->host.mta->name : NULL);
	print_known("relay", drafting->host.relay);
	print_known("domain", drafting->host.domain);
	print_known("root's mail goes to", drafting->host.recipient);
	if (drafting->left_out.len)
		printf("# Left out:\n%s", drafting->left_out.data);
	printf("exclusions:%s\n", drafting->exclusions ? "" : " []");
	if (drafting->exclusions)
		fputs(drafting->out.data, stdout);
}

int suggest_library(const char *folder)
{
	char found[PATH_MAX];
	struct drafting drafting = {.mailers = 0};
	bool failed;
	int error;

	if (!folder && !find_folder(found)) {
		report("suggest", "this program has no library beside it; name its folder: "
				  "smtpsnoop suggest --library FOLDER");
		return STATUS_FAILED;
	}
	folder = folder ? folder : found;
	library_host_read(&drafting.host);
	error = draft_folder(&drafting, folder);
	failed = drafting.out.failed || drafting.left_out.failed;
	if (error)
		report(folder, "cannot read the folder: %s", strerror(-error));
	else if (failed)
		report("suggest", "nothing was drafted: %s", strerror(ENOMEM));
	else
		print_all(&drafting);
	text_free(&drafting.out);
	text_free(&drafting.left_out);
	library_host_free(&drafting.host);
	errno = 0;
	if (!error && !failed && fflush(stdout))
		return command_output_failed(errno ? -errno : -EIO);
	return error || failed ? STATUS_FAILED : STATUS_DONE;
}
