/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: libyaml makes a tree of nodes that know where they stand. Each mapping of the
 * configuration is a table of keys; a key has a reader and the place it writes to. The first mistake ends the
 * reading: it is written down with its place, and what would be right.
 */
#include "config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <yaml.h>

#include <openssl/evp.h>

#define DEADLINE_S     60
#define BODY_BYTES     65536U
#define BODY_BYTES_MAX 16777216U

struct loader {
	struct config *config;
	const char *file; /* of config->files */
	yaml_document_t document;
	struct exclusion *exclusion; /* under way */
	EVP_MD_CTX *digest;	     /* of all files */
	char *error;
};

/* What is wrong with a node, and what would be right. Always false. */
__attribute__((format(printf, 3, 4))) static bool fail(struct loader *loader, const yaml_node_t *node,
						       const char *format, ...)
{
	int len = snprintf(loader->error, CONFIG_ERROR_MAX, "%s:%zu:%zu: ", loader->file,
			   node ? node->start_mark.line + 1 : 1, node ? node->start_mark.column + 1 : 1);
	va_list args;

	va_start(args, format);
	if (len > 0 && len < (int)CONFIG_ERROR_MAX)
		vsnprintf(loader->error + len, CONFIG_ERROR_MAX - (size_t)len, format, args);
	va_end(args);
	for (char *c = loader->error; *c; c++) {
		if (iscntrl((unsigned char)*c))
			*c = '?';
	}
	return false;
}

/* ---- Nodes ------------------------------------------------------------------------------------------ */

static yaml_node_t *node_at(struct loader *loader, int index)
{
	return yaml_document_get_node(&loader->document, index);
}

static struct span scalar_of(const yaml_node_t *node)
{
	return (struct span){(const char *)node->data.scalar.value, node->data.scalar.length};
}

/* A scalar, as a string that the caller owns. `what` is told if it is none. */
static char *read_text(struct loader *loader, const yaml_node_t *node, const char *what)
{
	char *text;

	if (node->type != YAML_SCALAR_NODE) {
		fail(loader, node, "%s is wanted here, not a %s", what,
		     node->type == YAML_MAPPING_NODE ? "mapping" : "list");
		return NULL;
	}
	if (memchr(node->data.scalar.value, '\0', node->data.scalar.length)) {
		fail(loader, node, "a NUL is in it: %s without one is wanted", what);
		return NULL;
	}
	if (!node->data.scalar.length) {
		fail(loader, node, "nothing is there: %s is wanted", what);
		return NULL;
	}
	text = strndup((const char *)node->data.scalar.value, node->data.scalar.length);
	if (!text)
		fail(loader, node, "no memory");
	return text;
}

typedef bool (*read_fn)(struct loader *loader, const yaml_node_t *node, void *target);

struct key {
	const char *name;
	read_fn read;
	size_t offset;
};

/* "a, b, c", as far as it fits. */
static const char *names_of(const struct key *keys, char *out, size_t size)
{
	size_t len = 0;

	for (out[0] = '\0'; keys->name && len < size; keys++)
		len += (size_t)snprintf(out + len, size - len, "%s%s", len ? ", " : "", keys->name);
	return out;
}

static const struct key *key_of(const struct key *keys, struct span name)
{
	for (; keys->name; keys++) {
		if (name.len == strlen(keys->name) && memcmp(name.data, keys->name, name.len) == 0)
			return keys;
	}
	return NULL;
}

static bool read_mapping(struct loader *loader, const yaml_node_t *node, const struct key *keys, void *target)
{
	char names[300];
	uint64_t seen = 0;

	if (node->type != YAML_MAPPING_NODE)
		return fail(loader, node, "a mapping is wanted here, with %s",
			    names_of(keys, names, sizeof(names)));
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = node_at(loader, pair->key), *value = node_at(loader, pair->value);
		const struct key *key = name->type == YAML_SCALAR_NODE ? key_of(keys, scalar_of(name)) : NULL;

		if (!key)
			return fail(loader, name, "%.*s: no such key: known here are %s",
				    name->type == YAML_SCALAR_NODE ? (int)(scalar_of(name).len % 100) : 1,
				    name->type == YAML_SCALAR_NODE ? scalar_of(name).data : "?",
				    names_of(keys, names, sizeof(names)));
		if (seen & 1ULL << (key - keys))
			return fail(loader, name, "%s stands twice: once is allowed", key->name);
		seen |= 1ULL << (key - keys);
		if (!key->read(loader, value, (char *)target + key->offset))
			return false;
	}
	return true;
}

/* A list, or one value in place of a list of one. */
static bool read_list(struct loader *loader, const yaml_node_t *node, read_fn read, void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return read(loader, node, target);
	if (node->data.sequence.items.top - node->data.sequence.items.start > (ptrdiff_t)CONFIG_LIST_MAX)
		return fail(loader, node, "a list of more than %u values", CONFIG_LIST_MAX);
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		if (!read(loader, node_at(loader, *item), target))
			return false;
	}
	return true;
}

/* Room for one more of `size` bytes, zeroed; NULL if there is no memory. */
static void *append(void *items, size_t *count, size_t size)
{
	void **array = items;
	char *grown = *array;

	if ((*count & (*count - 1)) == 0) {
		grown = realloc(*array, (*count ? 2 * *count : 1) * size);
		if (!grown)
			return NULL;
		*array = grown;
	}
	memset(grown + *count * size, 0, size);
	return grown + (*count)++ * size;
}

/* ---- Values ----------------------------------------------------------------------------------------- */

static bool read_string(struct loader *loader, const yaml_node_t *node, void *target)
{
	char **string = target;

	*string = read_text(loader, node, "a text");
	return *string;
}

static bool read_bool(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};

	if (text.len == 4 && memcmp(text.data, "true", 4) == 0)
		*(bool *)target = true;
	else if (text.len == 5 && memcmp(text.data, "false", 5) == 0)
		*(bool *)target = false;
	else
		return fail(loader, node, "true or false is wanted here");
	return true;
}

static bool add_string(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct strings *strings = target;
	char *text = read_text(loader, node, "a text"), **item;

	if (!text)
		return false;
	item = append(&strings->items, &strings->count, sizeof(*item));
	if (!item) {
		free(text);
		return fail(loader, node, "no memory");
	}
	*item = text;
	return true;
}

static bool read_strings(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_string, target);
}

static bool add_sha256(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};

	for (size_t i = 0; i < text.len; i++) {
		if (!isdigit((unsigned char)text.data[i]) && !(text.data[i] >= 'a' && text.data[i] <= 'f'))
			text.len = 0;
	}
	if (text.len != 64)
		return fail(loader, node, "a SHA-256 is wanted here: 64 hexadecimal digits, in lower case");
	return add_string(loader, node, target);
}

static bool read_sha256(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_sha256, target);
}

static bool add_pattern(struct loader *loader, const yaml_node_t *node, struct patterns *patterns,
			enum wildcard_kind kind)
{
	struct pattern pattern = {.text = read_text(loader, node, "a pattern")}, *item;
	const char *error;
	size_t at;

	if (!pattern.text)
		return false;
	pattern.wildcard = wildcard_new(span_of(pattern.text), kind, &error, &at);
	if (!pattern.wildcard)
		fail(loader, node, "%s: not a pattern: %s, at character %zu", pattern.text, error, at + 1);
	item = pattern.wildcard ? append(&patterns->items, &patterns->count, sizeof(*item)) : NULL;
	if (!item) {
		wildcard_free(pattern.wildcard);
		free(pattern.text);
		return false;
	}
	*item = pattern;
	return true;
}

static bool add_path(struct loader *loader, const yaml_node_t *node, void *target)
{
	if (node->type == YAML_SCALAR_NODE && node->data.scalar.length && node->data.scalar.value[0] != '/')
		return fail(loader, node, "%.200s: not an absolute path: it is to begin with '/'",
			    (const char *)node->data.scalar.value);
	return add_pattern(loader, node, target, WILDCARD_PATH);
}

static bool read_paths(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_path, target);
}

static bool add_name(struct loader *loader, const yaml_node_t *node, void *target)
{
	return add_pattern(loader, node, target, WILDCARD_NAME);
}

static bool read_names(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_name, target);
}

static bool add_address(struct loader *loader, const yaml_node_t *node, void *target)
{
	return add_pattern(loader, node, target, WILDCARD_ADDRESS);
}

static bool read_addresses(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_address, target);
}

static bool add_subject(struct loader *loader, const yaml_node_t *node, void *target)
{
	return add_pattern(loader, node, target, WILDCARD_TEXT);
}

static bool read_subjects(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_subject, target);
}

static bool add_search(struct loader *loader, const yaml_node_t *node, struct searches *searches,
		       enum regex_kind kind)
{
	const char *what = kind == REGEX_WORDS ? "a text" : "a regular expression";
	struct search search = {.text = read_text(loader, node, what)}, *item = NULL;
	char error[REGEX_ERROR_MAX];
	size_t at = 0;

	if (!search.text)
		return false;
	if (strlen(search.text) > REGEX_LEN_MAX)
		fail(loader, node, "%s of more than %u bytes", what, REGEX_LEN_MAX);
	else if (!(search.regex = regex_new(span_of(search.text), kind, error, &at)))
		fail(loader, node, "%s: not %s: %s, at character %zu", search.text, what, error, at + 1);
	else
		item = append(&searches->items, &searches->count, sizeof(*item));
	if (!item) {
		regex_free(search.regex);
		free(search.text);
		return false;
	}
	*item = search;
	return true;
}

static bool add_words(struct loader *loader, const yaml_node_t *node, void *target)
{
	return add_search(loader, node, target, REGEX_WORDS);
}

static bool read_contains(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_words, target);
}

static bool add_expression(struct loader *loader, const yaml_node_t *node, void *target)
{
	return add_search(loader, node, target, REGEX_EXPRESSION);
}

static bool read_matches(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_expression, target);
}

/* One of some words: its index. */
static bool read_word(struct loader *loader, const yaml_node_t *node, const char *const *words,
		      const char *known, int *index)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};

	for (int i = 0; words[i]; i++) {
		if (text.len == strlen(words[i]) && memcmp(text.data, words[i], text.len) == 0) {
			*index = i;
			return true;
		}
	}
	return fail(loader, node, "%.*s: one of these is wanted: %s", (int)(text.len % 100), text.data,
		    known);
}

static bool read_scheduled_by(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const char *const words[] = {"systemd-timer", "cron", "at", "any", NULL};
	int index = 0;

	if (!read_word(loader, node, words, "systemd-timer, cron, at, any", &index))
		return false;
	*(enum scheduled_by *)target = (enum scheduled_by)(SCHEDULED_SYSTEMD_TIMER + index);
	return true;
}

static bool read_demand(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const char *const words[] = {"any", "required", "none", NULL};
	int index = 0;

	if (!read_word(loader, node, words, "any, required, none", &index))
		return false;
	*(enum demand *)target = (enum demand)index;
	return true;
}

static bool read_encrypted(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const char *const words[] = {"deny", "allow", NULL};
	int index = 0;

	if (!read_word(loader, node, words, "deny, allow", &index))
		return false;
	*(bool *)target = index == 1;
	return true;
}

/* A number with a unit behind it. Takes it off the text. */
struct unit {
	const char *name;
	uint64_t factor;
};

static bool take_amount(struct span *text, const struct unit *units, uint64_t *amount)
{
	uint64_t number = 0;
	size_t digits = 0;

	while (digits < text->len && isdigit((unsigned char)text->data[digits])) {
		if (number > UINT32_MAX)
			return false;
		number = number * 10 + (uint64_t)(text->data[digits++] - '0');
	}
	if (!digits || number > UINT32_MAX)
		return false;
	text->data += digits;
	text->len -= digits;
	for (; units->name; units++) {
		size_t len = strlen(units->name);

		if (text->len >= len && memcmp(text->data, units->name, len) == 0) {
			text->data += len;
			text->len -= len;
			*amount = number * units->factor;
			return true;
		}
	}
	return false;
}

static const struct unit time_units[] = {{"s", 1},     {"m", 60},     {"h", 3600},
					 {"d", 86400}, {"w", 604800}, {NULL, 0}};
static const struct unit byte_units[] = {
	{"KiB", 1024}, {"MiB", 1048576}, {"GiB", 1073741824}, {"", 1}, {NULL, 0}};
static const struct unit no_units[] = {{"", 1}, {NULL, 0}};

static bool read_duration(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};
	uint64_t *seconds = target;

	if (!take_amount(&text, time_units, seconds) || text.len || !*seconds || *seconds > 366ULL * 86400)
		return fail(loader, node,
			    "a duration is wanted here, as 30s, 15m, 1h or 7d, of a year at most");
	return true;
}

static bool read_rate(struct loader *loader, const yaml_node_t *node, const struct unit *units,
		      struct limit *limit)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};

	if (take_amount(&text, units, &limit->amount) && text.len > 1 && text.data[0] == '/') {
		text.data++;
		text.len--;
		if (take_amount(&text, time_units, &limit->window_s) && !text.len && limit->window_s &&
		    limit->window_s <= 366ULL * 86400)
			return true;
	}
	limit->window_s = 0;
	return fail(loader, node, "a limit is wanted here, as %s",
		    units == byte_units ? "10MiB/1h" : "20/1h");
}

static bool read_count(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_rate(loader, node, no_units, target);
}

static bool read_bytes(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_rate(loader, node, byte_units, target);
}

/* "2027-06-30": the end of that day. */
static bool read_expires(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct exclusion *exclusion = target;
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};
	char copy[11] = "", again[11];
	struct tm tm = {0};
	const char *end;

	if (text.len == 10)
		memcpy(copy, text.data, 10);
	end = strptime(copy, "%Y-%m-%d", &tm);
	exclusion->expires_s = (int64_t)timegm(&tm) + 86400;
	strftime(again, sizeof(again), "%Y-%m-%d", &tm);
	if (!end || *end || strcmp(copy, again) != 0)
		return fail(loader, node, "%.*s: no such day: a date is wanted, as 2027-06-30",
			    (int)(text.len % 100), text.data);
	exclusion->has_expires = true;
	return true;
}

/* ---- Relays ----------------------------------------------------------------------------------------- */

static bool read_port(const char *text, uint16_t *port)
{
	unsigned long number = 0;

	if (!*text || strlen(text) > 5)
		return false;
	for (; *text; text++) {
		if (!isdigit((unsigned char)*text))
			return false;
		number = number * 10 + (unsigned long)(*text - '0');
	}
	*port = (uint16_t)number;
	return number > 0 && number < 65536;
}

static bool read_prefix(const char *text, unsigned int max, unsigned int *prefix)
{
	uint16_t number = 0;

	if (strcmp(text, "0") != 0 && !read_port(text, &number))
		return false;
	*prefix = number;
	return number <= max;
}

bool network_parse(char *text, struct relay *relay)
{
	char *slash = strchr(text, '/');
	unsigned int prefix = 0;

	if (slash)
		*slash = '\0';
	if (inet_pton(AF_INET, text, relay->addr + 12) == 1) {
		relay->addr[10] = relay->addr[11] = 0xff;
		if (slash && !read_prefix(slash + 1, 32, &prefix))
			return false;
		relay->prefix = slash ? 96 + prefix : 128;
		return true;
	}
	if (inet_pton(AF_INET6, text, relay->addr) != 1 || (slash && !read_prefix(slash + 1, 128, &prefix)))
		return false;
	relay->prefix = slash ? prefix : 128;
	return true;
}

bool address_in_network(const uint8_t *addr, const uint8_t *network, unsigned int prefix)
{
	unsigned int bytes = prefix / 8, rest = prefix % 8;

	if (memcmp(addr, network, bytes) != 0)
		return false;
	return !rest || (addr[bytes] ^ network[bytes]) >> (8 - rest) == 0;
}

static bool is_host_name(const char *text)
{
	bool letter = false;

	if (!*text || strlen(text) > 253 || text[0] == '-' || text[0] == '.')
		return false;
	for (; *text; text++) {
		if (!isalnum((unsigned char)*text) && !strchr("-._", *text))
			return false;
		letter = letter || isalpha((unsigned char)*text);
	}
	return letter;
}

/* ADDRESS, ADDRESS/PREFIX, [ADDRESS]:PORT, NAME, NAME:PORT. */
static bool parse_relay(char *text, struct relay *relay)
{
	char *port = strrchr(text, ':'), *slash;

	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && (end[1] != ':' || !read_port(end + 2, &relay->port))))
			return false;
		*end = '\0';
		return network_parse(text + 1, relay);
	}
	if (port && strchr(text, ':') == port) { /* one colon: no IPv6 */
		if (!read_port(port + 1, &relay->port))
			return false;
		*port = '\0';
	}
	slash = strchr(text, '/');
	if (network_parse(text, relay))
		return true;
	if (slash || !is_host_name(text))
		return false;
	relay->name = strdup(text);
	return relay->name;
}

static bool add_relay(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct relays *relays = target;
	char *text = read_text(loader, node, "a relay"), *copy = text ? strdup(text) : NULL;
	struct relay *relay = copy ? append(&relays->items, &relays->count, sizeof(*relay)) : NULL;
	bool good = false;

	if (relay) {
		relay->text = text;
		good = parse_relay(copy, relay) || fail(loader, node,
							"%s: no relay: an address, a network or a name is "
							"wanted, as 10.0.0.25:587, 10.1.0.0/16, "
							"[2001:db8::1]:25 or mail.example",
							text);
	} else {
		free(text);
	}
	free(copy);
	return good;
}

static bool read_relays(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_relay, target);
}

/* ---- Exclusions ------------------------------------------------------------------------------------- */

static bool read_process(struct loader *loader, const yaml_node_t *node, void *target)
{
#define AT(field) offsetof(struct exclusion, field)
	static const struct key keys[] = {
		{"executable", read_paths, AT(process.executable)},
		{"sha256", read_sha256, AT(process.sha256)},
		{"user", read_strings, AT(process.user)},
		{"group", read_strings, AT(process.group)},
		{"unit", read_names, AT(process.unit)},
		{"scheduled_by", read_scheduled_by, AT(process.scheduled_by)},
		{"ancestor", read_paths, AT(process.ancestor)},
		{"container", read_names, AT(process.container)},
		{"tty", read_demand, AT(process.tty)},
		{"login", read_strings, AT(process.login)},
		{NULL, NULL, 0},
	};

	return read_mapping(loader, node, keys, target);
}

static bool read_mail(struct loader *loader, const yaml_node_t *node, void *target)
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

	return read_mapping(loader, node, keys, target);
}

static bool read_zone(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct zone **zone = target;
	char *name = read_text(loader, node, "a time zone");

	if (!name)
		return false;
	*zone = zone_new(span_of(name));
	if (!*zone)
		fail(loader, node, "%s: no such time zone: an IANA name is wanted, as Europe/Berlin", name);
	free(name);
	return *zone;
}

static bool read_schedule(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"at", read_string, AT(schedule.text)},
		{"for", read_duration, AT(schedule.for_s)},
		{"timezone", read_zone, AT(schedule.zone)},
		{NULL, NULL, 0},
	};
	struct exclusion *exclusion = target;
	const char *error;
	size_t at;

	if (!read_mapping(loader, node, keys, target))
		return false;
	if (!exclusion->schedule.text || !exclusion->schedule.for_s)
		return fail(loader, node,
			    "a schedule needs `at` and `for`, as { at: \"0 8 * * *\", for: 15m }");
	if (!exclusion->schedule.zone)
		exclusion->schedule.zone = zone_new((struct span){"", 0});
	exclusion->schedule.at =
		schedule_new(span_of(exclusion->schedule.text), exclusion->schedule.zone, &error, &at);
	if (!exclusion->schedule.at)
		return fail(loader, node, "%s: not a schedule: %s, at character %zu",
			    exclusion->schedule.text, error, at + 1);
	return true;
}

static bool read_limits(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"messages", read_count, AT(limits.messages)},
		{"recipients", read_count, AT(limits.recipients)},
		{"bytes", read_bytes, AT(limits.bytes)},
		{NULL, NULL, 0},
	};

	return read_mapping(loader, node, keys, target);
}

static bool read_origin(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"user", read_strings, AT(origin.user)}, {NULL, NULL, 0}};

	return read_mapping(loader, node, keys, target);
}

static bool has_criteria(const struct exclusion *exclusion)
{
	return exclusion->process.executable.count || exclusion->process.sha256.count ||
	       exclusion->process.user.count || exclusion->process.group.count ||
	       exclusion->process.unit.count || exclusion->process.ancestor.count ||
	       exclusion->process.container.count || exclusion->process.login.count ||
	       exclusion->process.scheduled_by || exclusion->relay.count || exclusion->mail.sender.count ||
	       exclusion->mail.header_from.count || exclusion->mail.recipients.count ||
	       exclusion->mail.subject.count || exclusion->mail.contains.count ||
	       exclusion->mail.matches.count || exclusion->origin.user.count || exclusion->auth_user.count;
}

static bool add_exclusion(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"name", read_string, AT(name)},
		{"note", read_string, AT(note)},
		{"process", read_process, 0},
		{"relay", read_relays, AT(relay)},
		{"mail", read_mail, 0},
		{"schedule", read_schedule, 0},
		{"limits", read_limits, 0},
		{"origin", read_origin, 0},
		{"tls", read_demand, AT(tls)},
		{"auth_user", read_names, AT(auth_user)},
		{"encrypted", read_encrypted, AT(encrypted)},
		{"accept_forgeable", read_bool, AT(accept_forgeable)},
		{"expires", read_expires, 0},
		{NULL, NULL, 0},
	};
	struct config *config = target;
	struct exclusion *exclusion;

	if (config->exclusion_count == CONFIG_EXCLUSIONS_MAX)
		return fail(loader, node, "more than %u exclusions", CONFIG_EXCLUSIONS_MAX);
	exclusion = append(&config->exclusions, &config->exclusion_count, sizeof(*exclusion));
	if (!exclusion)
		return fail(loader, node, "no memory");
	exclusion->file = loader->file;
	exclusion->line = (unsigned int)node->start_mark.line + 1;
	if (!read_mapping(loader, node, keys, exclusion))
		return false;
	if (!exclusion->name)
		return fail(loader, node,
			    "an exclusion needs a name: it stands in the events that it decides");
	if (!has_criteria(exclusion))
		return fail(loader, node,
			    "%s: nothing is asked of process, relay or mail: it would exclude every mail",
			    exclusion->name);
	if (!exclusion->process.user.count && !exclusion->process.unit.count && !exclusion->accept_forgeable)
		return fail(loader, node,
			    "%s: neither process.user nor process.unit is asked for, and all else can be "
			    "borrowed: name one, or say accept_forgeable: true",
			    exclusion->name);
	for (size_t i = 0; i + 1 < config->exclusion_count; i++) {
		if (strcmp(config->exclusions[i].name, exclusion->name) == 0)
			return fail(loader, node, "%s: the name is taken, by %s:%u", exclusion->name,
				    config->exclusions[i].file, config->exclusions[i].line);
	}
	return true;
}

static bool read_exclusions(struct loader *loader, const yaml_node_t *node, void *target)
{
	if (node->type != YAML_SEQUENCE_NODE)
		return fail(loader, node, "a list of exclusions is wanted here");
	return read_list(loader, node, add_exclusion, target);
}

static bool read_decision(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"deadline", read_duration, offsetof(struct config, deadline_s)},
					  {NULL, NULL, 0}};

	return read_mapping(loader, node, keys, target);
}

static bool read_body_bytes(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct span text = node->type == YAML_SCALAR_NODE ? scalar_of(node) : (struct span){"", 0};
	uint64_t *bytes = target;

	if (take_amount(&text, byte_units, bytes) && !text.len && *bytes <= BODY_BYTES_MAX)
		return true;
	return fail(loader, node, "a number of bytes is wanted here, at most 16MiB, as 64KiB");
}

static bool read_capture(struct loader *loader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"body_bytes", read_body_bytes,
					   offsetof(struct config, body_bytes)},
					  {NULL, NULL, 0}};

	return read_mapping(loader, node, keys, target);
}

static bool add_rules(struct loader *loader, const yaml_node_t *node, void *target)
{
	struct config *config = target;
	char *path = read_text(loader, node, "the path of a YARA file"), error[RULES_ERROR_MAX];
	bool good = path;

	if (good && path[0] != '/')
		good = fail(loader, node, "%.200s: not an absolute path: it is to begin with '/'", path);
	if (good && !config->rules && !(config->rules = rules_new(error)))
		good = fail(loader, node, "%s", error);
	if (good && rules_add(config->rules, path, error))
		good = fail(loader, node, "%.200s: %s", path, error);
	free(path);
	return good;
}

static bool read_rules(struct loader *loader, const yaml_node_t *node, void *target)
{
	return read_list(loader, node, add_rules, target);
}

/* ---- Files ------------------------------------------------------------------------------------------ */

static bool read_document(struct loader *loader)
{
	static const struct key keys[] = {{"capture", read_capture, 0},
					  {"decision", read_decision, 0},
					  {"rules", read_rules, 0},
					  {"exclusions", read_exclusions, 0},
					  {NULL, NULL, 0}};
	yaml_node_t *root = yaml_document_get_root_node(&loader->document);

	if (!root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length))
		return true; /* comments, or nothing */
	return read_mapping(loader, root, keys, loader->config);
}

/* The next document of a file is read. False if there is none. */
static bool next_document(struct loader *loader, yaml_parser_t *parser, bool *good)
{
	if (!yaml_parser_load(parser, &loader->document)) {
		yaml_node_t place = {.start_mark = parser->problem_mark};

		*good = fail(loader, &place, "not YAML: %s",
			     parser->problem ? parser->problem : "it cannot be read");
		return false;
	}
	return yaml_document_get_root_node(&loader->document);
}

static bool read_yaml(struct loader *loader, struct span text)
{
	yaml_parser_t parser;
	bool good = true;

	if (!yaml_parser_initialize(&parser))
		return fail(loader, NULL, "no memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	if (next_document(loader, &parser, &good))
		good = read_document(loader);
	yaml_document_delete(&loader->document);
	if (good && next_document(loader, &parser, &good))
		good = fail(loader, yaml_document_get_root_node(&loader->document),
			    "a second document begins here: one is allowed");
	yaml_document_delete(&loader->document);
	yaml_parser_delete(&parser);
	return good;
}

/* The file is read once, so that what is hashed is what is parsed. */
static bool read_whole(struct loader *loader, FILE *file, size_t size)
{
	char *text = malloc(size + 1);
	size_t len = text ? fread(text, 1, size + 1, file) : 0;
	bool good;

	if (!text)
		return fail(loader, NULL, "no memory");
	if (ferror(file))
		good = fail(loader, NULL, "%s", strerror(errno));
	else if (len != size)
		good = fail(loader, NULL, "it was written to while it was read: try again");
	else
		good = EVP_DigestUpdate(loader->digest, text, len) == 1
			       ? read_yaml(loader, (struct span){text, len})
			       : fail(loader, NULL, "no memory");
	free(text);
	return good;
}

static bool read_file(struct loader *loader, const char *path)
{
	struct strings *files = &loader->config->files;
	FILE *file = fopen(path, "re");
	struct stat info;
	char **name;
	bool good;

	loader->file = path;
	if (!file) {
		snprintf(loader->error, CONFIG_ERROR_MAX, "%.400s: %s", path, strerror(errno));
		return false;
	}
	name = append(&files->items, &files->count, sizeof(*name));
	if (name)
		*name = strdup(path);
	if (name && *name)
		loader->file = *name;
	if (fstat(fileno(file), &info) || !S_ISREG(info.st_mode) || info.st_size > (off_t)CONFIG_FILE_MAX)
		good = fail(loader, NULL, "no file of at most %u bytes", CONFIG_FILE_MAX);
	else
		good = name && *name ? read_whole(loader, file, (size_t)info.st_size)
				     : fail(loader, NULL, "no memory");
	fclose(file);
	return good;
}

static int is_yaml(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return entry->d_name[0] != '.' && len > 5 && strcmp(entry->d_name + len - 5, ".yaml") == 0;
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* The YAML files of conf.d beside the main file, in the order of their names' bytes. */
static bool read_folder(struct loader *loader, const char *main_path)
{
	const char *slash = strrchr(main_path, '/');
	int parent = slash ? (int)(slash - main_path) + 1 : 0, count;
	char folder[4096], path[sizeof(folder) + 256];
	struct dirent **entries = NULL;
	bool good = true;

	if (snprintf(folder, sizeof(folder), "%.*sconf.d", parent, main_path) >= (int)sizeof(folder)) {
		snprintf(loader->error, CONFIG_ERROR_MAX, "%.400s: %s", main_path, strerror(ENAMETOOLONG));
		return false;
	}
	count = scandir(folder, &entries, is_yaml, by_name);
	if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
		snprintf(loader->error, CONFIG_ERROR_MAX, "%.400s: %s", folder, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		good = good && read_file(loader, path);
		free(entries[i]);
	}
	free(entries);
	loader->file = main_path; /* `path` ends here */
	return good;
}

static bool keep_hash(struct loader *loader)
{
	unsigned char sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_DigestFinal_ex(loader->digest, sha256, &len) != 1)
		return fail(loader, NULL, "no memory");
	for (unsigned int i = 0; i < len && 2 * i < CONFIG_HASH_LEN; i++)
		snprintf(loader->config->sha256 + 2ULL * i, 3, "%02x", sha256[i]);
	return true;
}

struct config *config_load(const char *path, char error[CONFIG_ERROR_MAX])
{
	struct config *config = calloc(1, sizeof(*config));
	struct loader loader = {.config = config, .file = path, .error = error};
	bool good;

	snprintf(error, CONFIG_ERROR_MAX, "%.400s: no memory", path);
	if (!config)
		return NULL;
	config->deadline_s = DEADLINE_S;
	config->body_bytes = BODY_BYTES;
	loader.digest = EVP_MD_CTX_new();
	good = loader.digest && EVP_DigestInit_ex(loader.digest, EVP_sha256(), NULL) == 1 &&
	       read_file(&loader, path) && read_folder(&loader, path) &&
	       (!config->rules || rules_ready(config->rules, error) == 0) && keep_hash(&loader);
	EVP_MD_CTX_free(loader.digest);
	if (good)
		return config;
	config_free(config);
	return NULL;
}

bool config_wants_content(const struct config *config)
{
	for (size_t i = 0; i < config->exclusion_count; i++) {
		if (config->exclusions[i].mail.contains.count || config->exclusions[i].mail.matches.count)
			return true;
	}
	return false;
}

/* ---- Freeing ---------------------------------------------------------------------------------------- */

static void strings_free(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

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

static void exclusion_free(struct exclusion *exclusion)
{
	struct patterns *patterns[] = {&exclusion->process.executable, &exclusion->process.unit,
				       &exclusion->process.ancestor,   &exclusion->process.container,
				       &exclusion->mail.sender,	       &exclusion->mail.header_from,
				       &exclusion->mail.recipients,    &exclusion->mail.subject,
				       &exclusion->auth_user};
	struct strings *strings[] = {&exclusion->process.sha256, &exclusion->process.user,
				     &exclusion->process.group, &exclusion->process.login,
				     &exclusion->origin.user};

	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		patterns_free(patterns[i]);
	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		strings_free(strings[i]);
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

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->exclusion_count; i++)
		exclusion_free(&config->exclusions[i]);
	free(config->exclusions);
	strings_free(&config->files);
	rules_free(config->rules);
	free(config);
}
