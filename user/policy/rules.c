/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/rules.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_LIBYARA

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yara.h>

/* yara 4.0 made it an int. */
#undef bool
#define bool _Bool

#include "base/trusted.h"

struct rules {
	YR_COMPILER *compiler; /* until they are ready */
	YR_RULES *rules;
	char *error; /* the error of the file that is being read is written here */
	bool trusted;
};

struct scan {
	struct rule_match *matches;
	size_t count, max;
};

static void on_mistake(int level, const char *file, int line, const YR_RULE *rule,
		       const char *message, void *data)
{
	struct rules *rules = data;

	(void)file;
	(void)rule;
	if (level == YARA_ERROR_LEVEL_ERROR && !rules->error[0])
		snprintf(rules->error, RULES_ERROR_MAX, "line %d: %s", line, message);
}

_Static_assert(TRUSTED_WHY_MAX <= RULES_ERROR_MAX, "a reason of trusted_open() fits");

static FILE *open_file(const char *path, bool trusted, char error[RULES_ERROR_MAX])
{
	int fd = trusted_open_if(trusted, path, error);
	struct stat info = {.st_mode = 0};
	FILE *file = NULL;

	if (fd < 0)
		return NULL;
	if (fstat(fd, &info) == 0 && S_ISREG(info.st_mode))
		file = fdopen(fd, "r");
	if (!file)
		snprintf(error, RULES_ERROR_MAX, "%s",
			 S_ISDIR(info.st_mode) ? "is a directory; name the files in it"
			 : info.st_mode && !S_ISREG(info.st_mode) ? "not a regular file"
								  : strerror(errno));
	if (!file)
		close(fd);
	return file;
}

/*
 * The content of an included file: an absolute path, or one relative to the folder of the including
 * file. Owned by YARA.
 */
static const char *read_included(const char *name, const char *by, const char *space, void *data)
{
	const char *slash = by && name[0] != '/' ? strrchr(by, '/') : NULL;
	char path[4096], why[RULES_ERROR_MAX] = "", *text = NULL;
	struct rules *rules = data;
	FILE *file = NULL;
	size_t size = 0;
	ssize_t len = -1;

	(void)space;
	if (snprintf(path, sizeof(path), "%.*s%s", slash ? (int)(slash - by) + 1 : 0,
		     slash ? by : "", name) < (int)sizeof(path))
		file = open_file(path, rules->trusted, why);
	if (!file) {
		/* YARA says no more than that it cannot be opened. */
		if (!rules->error[0])
			snprintf(rules->error, RULES_ERROR_MAX, "it includes %.60s: %.300s", name,
				 why);
		return NULL;
	}
	len = getdelim(&text, &size, '\0', file); /* rules contain no NUL */
	if (len < 0 && !ferror(file))
		len = 0;
	fclose(file);
	if (len > 0)
		return text;
	free(text);
	return len ? NULL : strdup("");
}

static void free_included(const char *text, void *data)
{
	(void)data;
	free((char *)text);
}

struct rules *rules_new(bool trusted, char error[RULES_ERROR_MAX])
{
	struct rules *rules = calloc(1, sizeof(*rules));

	snprintf(error, RULES_ERROR_MAX, "no memory");
	if (!rules)
		return NULL;
	rules->trusted = trusted;
	if (yr_initialize() == ERROR_SUCCESS &&
	    yr_compiler_create(&rules->compiler) == ERROR_SUCCESS) {
		yr_compiler_set_callback(rules->compiler, on_mistake, rules);
		yr_compiler_set_include_callback(rules->compiler, read_included, free_included,
						 rules);
		return rules;
	}
	free(rules);
	return NULL;
}

int rules_add(struct rules *rules, const char *path, char error[RULES_ERROR_MAX])
{
	FILE *file;
	int mistakes;

	error[0] = '\0';
	rules->error = error;
	file = open_file(path, rules->trusted, error);
	if (!file)
		return -1;
	mistakes = yr_compiler_add_file(rules->compiler, file, NULL, path);
	fclose(file);
	return mistakes ? -1 : 0;
}

int rules_ready(struct rules *rules, char error[RULES_ERROR_MAX])
{
	if (yr_compiler_get_rules(rules->compiler, &rules->rules) != ERROR_SUCCESS) {
		snprintf(error, RULES_ERROR_MAX, "no memory");
		return -1;
	}
	yr_compiler_destroy(rules->compiler);
	rules->compiler = NULL;
	return 0;
}

void rules_free(struct rules *rules)
{
	if (!rules)
		return;
	if (rules->compiler)
		yr_compiler_destroy(rules->compiler);
	if (rules->rules)
		yr_rules_destroy(rules->rules);
	free(rules);
	yr_finalize();
}

static const char *meta_of(YR_RULE *rule, const char *name)
{
	YR_META *meta;

	yr_rule_metas_foreach(rule, meta)
	{
		if (meta->type == META_TYPE_STRING && strcmp(meta->identifier, name) == 0)
			return meta->string;
	}
	return "";
}

static int on_message(YR_SCAN_CONTEXT *context, int message, void *rule, void *data)
{
	struct scan *scan = data;

	(void)context;
	if (message == CALLBACK_MSG_RULE_MATCHING && scan->count < scan->max)
		scan->matches[scan->count++] =
			(struct rule_match){.name = ((YR_RULE *)rule)->identifier,
					    .author = meta_of(rule, "author"),
					    .description = meta_of(rule, "description"),
					    .version = meta_of(rule, "version")};
	return CALLBACK_CONTINUE;
}

size_t rules_scan(const struct rules *rules, struct span data, struct rule_match *matches,
		  size_t max)
{
	struct scan scan = {.matches = matches, .max = max};

	if (rules->rules)
		yr_rules_scan_mem(rules->rules, (const uint8_t *)data.data, data.len,
				  SCAN_FLAGS_FAST_MODE | SCAN_FLAGS_REPORT_RULES_MATCHING,
				  on_message, &scan, RULES_SCAN_S);
	return scan.count;
}

#else

struct rules *rules_new(bool trusted, char error[RULES_ERROR_MAX])
{
	(void)trusted;
	snprintf(error, RULES_ERROR_MAX, "this smtpsnoop was built without libyara");
	return NULL;
}

int rules_add(struct rules *rules, const char *path, char error[RULES_ERROR_MAX])
{
	(void)rules;
	(void)path;
	(void)error;
	return -1;
}

int rules_ready(struct rules *rules, char error[RULES_ERROR_MAX])
{
	(void)rules;
	(void)error;
	return -1;
}

void rules_free(struct rules *rules)
{
	(void)rules;
}

size_t rules_scan(const struct rules *rules, struct span data, struct rule_match *matches,
		  size_t max)
{
	(void)rules;
	(void)data;
	(void)matches;
	(void)max;
	return 0;
}

#endif
