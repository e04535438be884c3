/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration's exclusions. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/reader.h"

/* ---- Values ---------------------------------------------------------------------------------- */

static bool add_sha256(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};

	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]) &&
		    !(text.data[i] >= 'a' && text.data[i] <= 'f'))
			text.len = 0;
	}
	if (text.len != 64)
		return reader_fail(
			reader, node,
			"a SHA-256 is wanted here: 64 hexadecimal digits, in lower case");
	return reader_add_string(reader, node, target);
}

static bool read_sha256(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_sha256, target);
}

static bool add_pattern(struct reader *reader, const yaml_node_t *node, struct patterns *patterns,
			enum wildcard_kind kind)
{
	struct pattern pattern = {.text = reader_text(reader, node, "a pattern")}, *item;
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
	*item = pattern;
	return true;
}

static bool add_path(struct reader *reader, const yaml_node_t *node, void *target)
{
	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length &&
	    node->data.scalar.value[0] != '/')
		return reader_fail(reader, node,
				   "%.200s: not an absolute path: it is to begin with '/'",
				   (const char *)node->data.scalar.value);
	return add_pattern(reader, node, target, WILDCARD_PATH);
}

static bool read_paths(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_path, target);
}

static bool add_name(struct reader *reader, const yaml_node_t *node, void *target)
{
	return add_pattern(reader, node, target, WILDCARD_NAME);
}

static bool read_names(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_name, target);
}

static bool add_address(struct reader *reader, const yaml_node_t *node, void *target)
{
	return add_pattern(reader, node, target, WILDCARD_ADDRESS);
}

static bool read_addresses(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_address, target);
}

static bool add_subject(struct reader *reader, const yaml_node_t *node, void *target)
{
	return add_pattern(reader, node, target, WILDCARD_TEXT);
}

static bool read_subjects(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_subject, target);
}

static bool add_search(struct reader *reader, const yaml_node_t *node, struct searches *searches,
		       enum regex_kind kind)
{
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

static bool add_words(struct reader *reader, const yaml_node_t *node, void *target)
{
	return add_search(reader, node, target, REGEX_WORDS);
}

static bool read_contains(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_words, target);
}

static bool add_expression(struct reader *reader, const yaml_node_t *node, void *target)
{
	return add_search(reader, node, target, REGEX_EXPRESSION);
}

static bool read_matches(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_expression, target);
}

static bool read_scheduled_by(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct word words[] = {{"systemd-timer", SCHEDULED_SYSTEMD_TIMER},
					    {"cron", SCHEDULED_CRON},
					    {"at", SCHEDULED_AT},
					    {"any", SCHEDULED_ANY},
					    {NULL, 0}};

	return reader_word(reader, node, words, target);
}

static bool read_demand(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct word words[] = {{"any", DEMAND_ANY},
					    {"required", DEMAND_REQUIRED},
					    {"none", DEMAND_NONE},
					    {NULL, 0}};

	return reader_word(reader, node, words, target);
}

static bool read_encrypted(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct word words[] = {{"deny", false}, {"allow", true}, {NULL, 0}};
	int value = 0;

	if (!reader_word(reader, node, words, &value))
		return false;
	*(bool *)target = value;
	return true;
}

static bool read_rate(struct reader *reader, const yaml_node_t *node, const struct unit *units,
		      struct limit *limit)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};

	if (reader_amount(&text, units, &limit->amount) && text.len > 1 && text.data[0] == '/') {
		text.data++;
		text.len--;
		if (reader_amount(&text, reader_time_units, &limit->window_s) && !text.len &&
		    limit->window_s && limit->window_s <= 366ULL * 86400)
			return true;
	}
	limit->window_s = 0;
	return reader_fail(reader, node, "a limit is wanted here, as %s",
			   units == reader_byte_units ? "10MiB/1h" : "20/1h");
}

static bool read_count(struct reader *reader, const yaml_node_t *node, void *target)
{
	return read_rate(reader, node, reader_no_units, target);
}

static bool read_bytes(struct reader *reader, const yaml_node_t *node, void *target)
{
	return read_rate(reader, node, reader_byte_units, target);
}

/* "2027-06-30": the end of that day. */
static bool read_expires(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct exclusion *exclusion = target;
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};
	char copy[11] = "", again[11];
	struct tm tm = {0};
	const char *end;

	if (text.len == 10)
		memcpy(copy, text.data, 10);
	end = strptime(copy, "%Y-%m-%d", &tm);
	exclusion->expires_s = (int64_t)timegm(&tm) + 86400;
	strftime(again, sizeof(again), "%Y-%m-%d", &tm);
	if (!end || *end || strcmp(copy, again) != 0)
		return reader_fail(reader, node,
				   "%.*s: no such day: a date is wanted, as 2027-06-30",
				   (int)(text.len % 100), text.data);
	exclusion->has_expires = true;
	return true;
}

/* ---- The whole ------------------------------------------------------------------------------- */

static bool read_process(struct reader *reader, const yaml_node_t *node, void *target)
{
#define AT(field) offsetof(struct exclusion, field)
	static const struct key keys[] = {
		{"executable", read_paths, AT(process.executable)},
		{"sha256", read_sha256, AT(process.sha256)},
		{"user", reader_strings, AT(process.user)},
		{"group", reader_strings, AT(process.group)},
		{"unit", read_names, AT(process.unit)},
		{"scheduled_by", read_scheduled_by, AT(process.scheduled_by)},
		{"ancestor", read_paths, AT(process.ancestor)},
		{"container", read_names, AT(process.container)},
		{"tty", read_demand, AT(process.tty)},
		{"login", reader_strings, AT(process.login)},
		{NULL, NULL, 0},
	};

	return reader_mapping(reader, node, keys, target);
}

static bool read_mail(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"sender", read_addresses, AT(mail.sender)},
		{"header_from", read_addresses, AT(mail.header_from)},
		{"recipients", read_addresses, AT(mail.recipients)},
		{"subject", read_subjects, AT(mail.subject)},
		{"contains", read_contains, AT(mail.contains)},
		{"matches", read_matches, AT(mail.matches)},
		{NULL, NULL, 0},
	};

	return reader_mapping(reader, node, keys, target);
}

static bool read_zone(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct zone **zone = target;
	char *name = reader_text(reader, node, "a time zone");

	if (!name)
		return false;
	*zone = zone_new(span_of(name));
	if (!*zone)
		reader_fail(reader, node,
			    "%s: no such time zone: an IANA name is wanted, as Europe/Berlin",
			    name);
	free(name);
	return *zone;
}

static bool read_schedule(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"at", reader_string, AT(schedule.text)},
		{"for", reader_duration, AT(schedule.for_s)},
		{"timezone", read_zone, AT(schedule.zone)},
		{NULL, NULL, 0},
	};
	struct exclusion *exclusion = target;
	const char *error;
	size_t at;

	if (!reader_mapping(reader, node, keys, target))
		return false;
	if (!exclusion->schedule.text || !exclusion->schedule.for_s)
		return reader_fail(
			reader, node,
			"a schedule needs `at` and `for`, as { at: \"0 8 * * *\", for: 15m }");
	if (!exclusion->schedule.zone)
		exclusion->schedule.zone = zone_new((struct span){"", 0});
	exclusion->schedule.at = schedule_new(span_of(exclusion->schedule.text),
					      exclusion->schedule.zone, &error, &at);
	if (!exclusion->schedule.at)
		return reader_fail(reader, node, "%s: not a schedule: %s, at character %zu",
				   exclusion->schedule.text, error, at + 1);
	return true;
}

static bool read_limits(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"messages", read_count, AT(limits.messages)},
		{"recipients", read_count, AT(limits.recipients)},
		{"bytes", read_bytes, AT(limits.bytes)},
		{NULL, NULL, 0},
	};

	return reader_mapping(reader, node, keys, target);
}

static bool read_origin(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"user", reader_strings, AT(origin.user)},
					  {NULL, NULL, 0}};

	return reader_mapping(reader, node, keys, target);
}

static bool has_criteria(const struct exclusion *exclusion)
{
	return exclusion->process.executable.count || exclusion->process.sha256.count ||
	       exclusion->process.user.count || exclusion->process.group.count ||
	       exclusion->process.unit.count || exclusion->process.ancestor.count ||
	       exclusion->process.container.count || exclusion->process.login.count ||
	       exclusion->process.scheduled_by || exclusion->relay.count ||
	       exclusion->mail.sender.count || exclusion->mail.header_from.count ||
	       exclusion->mail.recipients.count || exclusion->mail.subject.count ||
	       exclusion->mail.contains.count || exclusion->mail.matches.count ||
	       exclusion->origin.user.count || exclusion->auth_user.count;
}

static bool add_exclusion(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"name", reader_string, AT(name)},
		{"note", reader_string, AT(note)},
		{"process", read_process, 0},
		{"relay", config_read_relays, AT(relay)},
		{"mail", read_mail, 0},
		{"schedule", read_schedule, 0},
		{"limits", read_limits, 0},
		{"origin", read_origin, 0},
		{"tls", read_demand, AT(tls)},
		{"auth_user", read_names, AT(auth_user)},
		{"encrypted", read_encrypted, AT(encrypted)},
		{"accept_forgeable", reader_bool, AT(accept_forgeable)},
		{"expires", read_expires, 0},
		{NULL, NULL, 0},
	};
	struct config *config = target;
	struct exclusion *exclusion;

	if (config->exclusion_count == CONFIG_EXCLUSIONS_MAX)
		return reader_fail(reader, node, "more than %u exclusions", CONFIG_EXCLUSIONS_MAX);
	exclusion =
		reader_append(&config->exclusions, &config->exclusion_count, sizeof(*exclusion));
	if (!exclusion)
		return reader_fail(reader, node, "no memory");
	exclusion->file = reader->file;
	exclusion->line = (unsigned int)node->start_mark.line + 1;
	if (!reader_mapping(reader, node, keys, exclusion))
		return false;
	if (!exclusion->name)
		return reader_fail(
			reader, node,
			"an exclusion needs a name: it stands in the events that it decides");
	if (!has_criteria(exclusion))
		return reader_fail(reader, node,
				   "%s: nothing is asked of process, relay or mail: it would "
				   "exclude every mail",
				   exclusion->name);
	if (!exclusion->process.user.count && !exclusion->process.unit.count &&
	    !exclusion->accept_forgeable)
		return reader_fail(reader, node,
				   "%s: neither process.user nor process.unit is asked for, and "
				   "all else can be "
				   "borrowed: name one, or say accept_forgeable: true",
				   exclusion->name);
	for (size_t i = 0; i + 1 < config->exclusion_count; i++) {
		if (strcmp(config->exclusions[i].name, exclusion->name) == 0)
			return reader_fail(reader, node, "%s: the name is taken, by %s:%u",
					   exclusion->name, config->exclusions[i].file,
					   config->exclusions[i].line);
	}
	return true;
}

bool config_read_exclusions(struct reader *reader, const yaml_node_t *node, void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return reader_fail(reader, node, "a list of exclusions is wanted here");
	return reader_list(reader, node, add_exclusion, target);
}

/* ---- Freeing --------------------------------------------------------------------------------- */

static void patterns_free(struct patterns *patterns)
{
	for (size_t i = 0; i < patterns->count; i++) {
		free(patterns->items[i].text);
		wildcard_free(patterns->items[i].wildcard);
	}
	free(patterns->items);
}

static void searches_free(struct searches *searches)
{
	for (size_t i = 0; i < searches->count; i++) {
		free(searches->items[i].text);
		regex_free(searches->items[i].regex);
	}
	free(searches->items);
}

void config_free_exclusion(struct exclusion *exclusion)
{
	struct patterns *patterns[] = {
		&exclusion->process.executable, &exclusion->process.unit,
		&exclusion->process.ancestor,	&exclusion->process.container,
		&exclusion->mail.sender,	&exclusion->mail.header_from,
		&exclusion->mail.recipients,	&exclusion->mail.subject,
		&exclusion->auth_user};
	struct strings *strings[] = {&exclusion->process.sha256, &exclusion->process.user,
				     &exclusion->process.group, &exclusion->process.login,
				     &exclusion->origin.user};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		patterns_free(patterns[i]);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		config_free_strings(strings[i]);
	for (size_t i = 0; i < exclusion->relay.count; i++) {
		free(exclusion->relay.items[i].text);
		free(exclusion->relay.items[i].name);
	}
	free(exclusion->relay.items);
	searches_free(&exclusion->mail.contains);
	searches_free(&exclusion->mail.matches);
	schedule_free(exclusion->schedule.at);
	zone_free(exclusion->schedule.zone);
	free(exclusion->schedule.text);
	free(exclusion->name);
	free(exclusion->note);
}
