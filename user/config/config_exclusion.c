/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: the keys of an exclusion come from the table of criteria (exclusion.c). A
 * criterion's name is "GROUP.KEY" or "KEY": the groups are mappings, such as process. The kind of a
 * criterion decides how its value is read.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/reader.h"

/* ---- Values ---------------------------------------------------------------------------------- */

static bool add_sha256(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct span text = reader_scalar(node);

	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]) &&
		    !(text.data[i] >= 'a' && text.data[i] <= 'f'))
			text.len = 0;
	}
	if (text.len != 64)
		return reader_fail(reader, node,
				   "expected a SHA-256: 64 hexadecimal digits in lower case");
	return reader_add_string(reader, node, key, target);
}

static bool read_sha256(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target)
{
	return reader_list(reader, node, key, add_sha256, target);
}

/* The real path of what a pattern without wildcards names, if it differs. The caller frees it. */
static char *target_of(const struct pattern *pattern)
{
	char *real = NULL;

	if (pattern->text[0] == '/' && !strchr(pattern->text, '\\') &&
	    wildcard_is_literal(pattern->wildcard))
		real = realpath(pattern->text, NULL);
	if (real && strcmp(real, pattern->text) == 0) {
		free(real);
		real = NULL;
	}
	return real;
}

/* Adds the pattern, whose text it takes; NULL: there is none, which has been reported. */
static bool add_text(struct reader *reader, const yaml_node_t *node, enum wildcard_kind kind,
		     struct patterns *patterns, char *text)
{
	struct pattern pattern = {.text = text};
	struct pattern *item;
	const char *error;
	size_t at;

	if (!pattern.text)
		return false;
	pattern.wildcard = wildcard_new(span_of(pattern.text), kind, &error, &at);
	if (!pattern.wildcard)
		reader_fail(reader, node, "%s: not a pattern: %s, at character %zu", pattern.text,
			    error, at + 1);
	item = pattern.wildcard ? reader_append(&patterns->items, &patterns->count, sizeof(*item))
				: NULL;
	if (!item) {
		wildcard_free(pattern.wildcard);
		free(pattern.text);
		return false;
	}
	if (kind == WILDCARD_PATH)
		pattern.target = target_of(&pattern);
	*item = pattern;
	return true;
}

static bool add_pattern(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target)
{
	enum wildcard_kind kind = (enum wildcard_kind)key->kind;

	return add_text(reader, node, kind, target,
			kind == WILDCARD_PATH ? reader_path(reader, node, "a pattern")
					      : reader_text(reader, node, "a pattern"));
}

static bool add_script(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	char *text = reader_text(reader, node, "a pattern");

	(void)key;
	if (!text || text[0] == '/' || strncmp(text, "-m ", 3) == 0 || strchr(text, ':'))
		return add_text(reader, node, WILDCARD_PATH, target, text);
	reader_fail(reader, node,
		    "%.200s: expected a path that begins with '/', or -m and a module's name",
		    text);
	free(text);
	return false;
}

static bool read_patterns(struct reader *reader, const yaml_node_t *node, const struct key *key,
			  void *target)
{
	return reader_list(reader, node, key, add_pattern, target);
}

static bool read_scripts(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	return reader_list(reader, node, key, add_script, target);
}

static bool add_search(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	enum regex_kind kind = (enum regex_kind)key->kind;
	struct searches *searches = target;
	const char *what = kind == REGEX_WORDS ? "a text" : "a regular expression";
	struct search search = {.text = reader_text(reader, node, what)}, *item = NULL;
	char error[REGEX_ERROR_MAX];
	size_t at = 0;

	if (!search.text)
		return false;
	if (strlen(search.text) > REGEX_LEN_MAX)
		reader_fail(reader, node, "%s of more than %u bytes", what, REGEX_LEN_MAX);
	else if (!(search.regex = regex_new(span_of(search.text), kind, error, &at)))
		reader_fail(reader, node, "%s: not %s: %s, at character %zu", search.text, what,
			    error, at + 1);
	else
		item = reader_append(&searches->items, &searches->count, sizeof(*item));
	if (!item) {
		regex_free(search.regex);
		free(search.text);
		return false;
	}
	*item = search;
	return true;
}

static bool read_searches(struct reader *reader, const yaml_node_t *node, const struct key *key,
			  void *target)
{
	return reader_list(reader, node, key, add_search, target);
}

static bool read_rate(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	struct limit *limit = target;
	struct span text = reader_scalar(node);

	if (amount_parse(&text, key->units, &limit->amount) && text.len > 1 &&
	    text.data[0] == '/') {
		text.data++;
		text.len--;
		if (amount_parse(&text, amount_time_units, &limit->window_s) && !text.len &&
		    limit->window_s && limit->window_s <= 366ULL * 86400)
			return true;
	}
	limit->window_s = 0;
	return reader_fail(reader, node, "expected a limit such as %s",
			   key->units == amount_byte_units ? "10MiB/1h" : "20/1h");
}

/* "2027-06-30": the end of that day. */
static bool read_expires(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	struct expiry *expiry = target;
	struct span text = reader_scalar(node);
	char copy[11] = "", again[11];
	struct tm tm = {0};
	const char *end;

	(void)key;
	if (text.len == 10)
		memcpy(copy, text.data, 10);
	end = strptime(copy, "%Y-%m-%d", &tm);
	expiry->time_s = (int64_t)timegm(&tm) + 86400;
	strftime(again, sizeof(again), "%Y-%m-%d", &tm);
	if (!end || *end || strcmp(copy, again) != 0)
		return reader_fail(reader, node,
				   "%.*s: not a date; expected one such as 2027-06-30",
				   (int)(text.len % 100), text.data);
	expiry->set = true;
	return true;
}

static bool read_zone(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	struct zone **zone = target;
	char *name = reader_text(reader, node, "a time zone");

	(void)key;
	if (!name)
		return false;
	*zone = zone_new(span_of(name));
	if (!*zone)
		reader_fail(reader, node,
			    "%s: unknown time zone; expected an IANA name such as Europe/Berlin",
			    name);
	free(name);
	return *zone;
}

static bool read_scheduled_by(struct reader *reader, const yaml_node_t *node, const struct key *key,
			      void *target)
{
	enum scheduled_by *by = target;

	return reader_word(reader, node, key, target) &&
	       (*by != SCHEDULED_SYSTEMD_TIMER ||
		reader_needs(reader, node, LIBRARY_SYSTEMD, "scheduled_by: systemd-timer", NULL));
}

/* How long before its time a schedule may be met; 0 is an answer too. */
static bool read_early(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct due *due = target;
	struct span text = reader_scalar(node);

	due->early_given = true;
	if (span_equal(text, span_of("0")) || span_equal(text, span_of("0s")))
		return true;
	return reader_duration(reader, node, key, &due->early_s);
}

static bool read_schedule(struct reader *reader, const yaml_node_t *node, const struct key *key,
			  void *target)
{
	static const struct key keys[] = {
		{.name = "at", .read = reader_string, .offset = offsetof(struct due, text)},
		{.name = "for", .read = reader_duration, .offset = offsetof(struct due, for_s)},
		{.name = "early", .read = read_early},
		{.name = "timezone", .read = read_zone, .offset = offsetof(struct due, zone)},
		{.name = NULL},
	};
	struct due *due = target;
	const char *error;
	size_t at;

	(void)key;
	if (!reader_keys(reader, node, keys, due))
		return false;
	if (!due->text || !due->for_s)
		return reader_fail(
			reader, node,
			"a schedule needs `at` and `for`, such as { at: \"0 8 * * *\", for: 15m }");
	if (!due->zone)
		due->zone = zone_new((struct span){"", 0});
	due->at = schedule_new(span_of(due->text), due->zone, &error, &at);
	if (!due->at)
		return reader_fail(reader, node, "%s: not a schedule: %s, at character %zu",
				   due->text, error, at + 1);
	return true;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static const struct word scheduled_by[] = {{"systemd-timer", SCHEDULED_SYSTEMD_TIMER},
					   {"cron", SCHEDULED_CRON},
					   {"at", SCHEDULED_AT},
					   {"any", SCHEDULED_ANY},
					   {NULL, 0}},
			 demands[] = {{"any", DEMAND_ANY},
				      {"required", DEMAND_REQUIRED},
				      {"none", DEMAND_NONE},
				      {NULL, 0}},
			 encrypted[] = {{"deny", false}, {"allow", true}, {NULL, 0}};

/* How each kind is read; name and offset come from the criterion. */
static const struct key kinds[VALUE_COUNT] = {
	[VALUE_PATHS] = {.read = read_patterns, .kind = WILDCARD_PATH},
	[VALUE_SCRIPTS] = {.read = read_scripts},
	[VALUE_NAMES] = {.read = read_patterns, .kind = WILDCARD_NAME},
	[VALUE_ADDRESSES] = {.read = read_patterns, .kind = WILDCARD_ADDRESS},
	[VALUE_TEXTS] = {.read = read_patterns, .kind = WILDCARD_TEXT},
	[VALUE_STRINGS] = {.read = reader_strings},
	[VALUE_SHA256] = {.read = read_sha256},
	[VALUE_WORDS] = {.read = read_searches, .kind = REGEX_WORDS},
	[VALUE_EXPRESSIONS] = {.read = read_searches, .kind = REGEX_EXPRESSION},
	[VALUE_RELAYS] = {.read = config_read_relays},
	[VALUE_SCHEDULED_BY] = {.read = read_scheduled_by, .words = scheduled_by},
	[VALUE_DEMAND] = {.read = reader_word, .words = demands},
	[VALUE_ENCRYPTED] = {.read = reader_flag, .words = encrypted},
	[VALUE_SCHEDULE] = {.read = read_schedule},
	[VALUE_RATE] = {.read = read_rate, .units = amount_no_units},
	[VALUE_BYTE_RATE] = {.read = read_rate, .units = amount_byte_units},
	[VALUE_EXPIRES] = {.read = read_expires},
};

#define KEYS_MAX (CRITERION_COUNT + 8)

bool config_read_criterion(struct reader *reader, const yaml_node_t *node, enum criterion criterion,
			   struct exclusion *exclusion)
{
	const struct criterion_row *row = &criterion_rows[criterion];
	struct key key = kinds[row->kind];

	key.name = criterion_name(criterion);
	return key.read(reader, node, &key, (char *)exclusion + row->offset);
}

/*
 * Adds the keys of a group ("" for criteria without one) after the `count` existing keys,
 * and the end of the list.
 */
static void add_keys(struct key keys[KEYS_MAX], size_t count, const char *group)
{
	size_t len = strlen(group);

	for (int i = 0; i < CRITERION_COUNT; i++) {
		const struct criterion_row *row = &criterion_rows[i];
		const char *path = criterion_name((enum criterion)i);
		const char *dot = strchr(path, '.');

		if (row->kind == VALUE_IMPLIED || (size_t)(dot ? dot - path : 0) != len ||
		    strncmp(path, group, len) != 0)
			continue;
		keys[count] = kinds[row->kind];
		keys[count].name = dot ? dot + 1 : path;
		keys[count++].offset = row->offset;
	}
	keys[count] = (struct key){.name = NULL};
}

/* A mapping such as process: key->name is the group. */
static bool read_group(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct key keys[KEYS_MAX];

	add_keys(keys, 0, key->name);
	return reader_keys(reader, node, keys, target);
}

/* ---- Exclusions ------------------------------------------------------------------------------ */

static bool selects_something(const struct exclusion *exclusion)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		if (criterion_rows[i].selects && exclusion_has(exclusion, (enum criterion)i))
			return true;
	}
	return false;
}

static bool has_unique_name(struct reader *reader, const yaml_node_t *node,
			    const struct policy *policy, const struct exclusion *exclusion)
{
	for (size_t i = 0; i + 1 < policy->exclusion_count; i++) {
		if (strcmp(policy->exclusions[i].name, exclusion->name) == 0)
			return reader_fail(reader, node,
					   "%s: another exclusion has this name: %s:%u",
					   exclusion->name, policy->exclusions[i].file,
					   policy->exclusions[i].line);
	}
	return true;
}

/* Whether what was read makes an exclusion that can be trusted. */
static bool check_exclusion(struct reader *reader, const yaml_node_t *node,
			    const struct policy *policy, const struct exclusion *exclusion)
{
	if (!exclusion->name)
		return reader_fail(reader, node,
				   "the exclusion needs a name, by which events report it");
	if (!selects_something(exclusion))
		return reader_fail(
			reader, node,
			"%s: no criterion of process, relay or mail; it would exclude every mail",
			exclusion->name);
	if (!exclusion->process.user.count && !exclusion->process.unit.count &&
	    !exclusion->accept_forgeable)
		return reader_fail(reader, node,
				   "%s: needs process.user or process.unit, because all other "
				   "criteria can be forged; or set accept_forgeable: true",
				   exclusion->name);
	if (exclusion_asks_origin(exclusion) && !exclusion_names_origin(exclusion))
		return reader_fail(reader, node,
				   "%s: needs origin.user or origin.unit, because all other "
				   "criteria of origin can be forged; or set accept_forgeable: "
				   "true",
				   exclusion->name);
	return has_unique_name(reader, node, policy, exclusion);
}

static bool add_exclusion(struct reader *reader, const yaml_node_t *node, const struct key *key,
			  void *target)
{
	static const struct key first[] = {
		{.name = "name", .read = reader_string, .offset = offsetof(struct exclusion, name)},
		{.name = "note", .read = reader_string, .offset = offsetof(struct exclusion, note)},
		{.name = "process", .read = read_group},
		{.name = "mail", .read = read_group},
		{.name = "limits", .read = read_group},
		{.name = "origin", .read = read_group},
		{.name = "accept_forgeable",
		 .read = reader_bool,
		 .offset = offsetof(struct exclusion, accept_forgeable)},
	};
	struct policy *policy = &((struct config *)target)->policy;
	struct exclusion *exclusion;
	struct key keys[KEYS_MAX];

	(void)key;
	if (policy->exclusion_count == CONFIG_EXCLUSIONS_MAX)
		return reader_fail(reader, node, "more than %u exclusions", CONFIG_EXCLUSIONS_MAX);
	exclusion =
		reader_append(&policy->exclusions, &policy->exclusion_count, sizeof(*exclusion));
	if (!exclusion)
		return reader_fail(reader, node, "no memory");
	exclusion->file = reader->file;
	exclusion->line = (unsigned int)node->start_mark.line + 1;
	memcpy(keys, first, sizeof(first));
	add_keys(keys, sizeof(first) / sizeof(first[0]), "");
	return reader_keys(reader, node, keys, exclusion) &&
	       check_exclusion(reader, node, policy, exclusion);
}

bool config_read_exclusions(struct reader *reader, const yaml_node_t *node, const struct key *key,
			    void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return reader_fail(reader, node, "expected a list of exclusions");
	return reader_list(reader, node, key, add_exclusion, target);
}
