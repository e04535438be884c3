/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration as a whole: its files, and the keys that no part has for itself. */
#include "config/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "config/reader.h"

#define DEADLINE_S     60
#define HEARTBEAT_S    300
#define BODY_BYTES     65536U
#define BODY_BYTES_MAX 16777216U

static bool read_decision(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"deadline", reader_duration,
					   offsetof(struct config, deadline_s)},
					  {NULL, NULL, 0}};

	return reader_mapping(reader, node, keys, target);
}

static bool read_body_bytes(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct span text =
		node->type == YAML_SCALAR_NODE ? reader_scalar(node) : (struct span){"", 0};
	uint64_t *bytes = target;

	if (reader_amount(&text, reader_byte_units, bytes) && !text.len && *bytes <= BODY_BYTES_MAX)
		return true;
	return reader_fail(reader, node,
			   "a number of bytes is wanted here, at most 16MiB, as 64KiB");
}

static bool read_hook(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct word words[] = {{"auto", HOOK_AUTO},
					    {"fentry", HOOK_FENTRY},
					    {"kprobe", HOOK_KPROBE},
					    {"tracepoint", HOOK_TRACEPOINT},
					    {NULL, 0}};

	return reader_word(reader, node, words, target);
}

static bool read_capture(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {{"hook", read_hook, offsetof(struct config, hook)},
					  {"tls", reader_bool, offsetof(struct config, tls)},
					  {"body_bytes", read_body_bytes,
					   offsetof(struct config, body_bytes)},
					  {NULL, NULL, 0}};

	return reader_mapping(reader, node, keys, target);
}

struct reading_privacy {
	struct privacy privacy;
	bool has_key;
};

static bool read_addresses(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct word words[] = {{"full", PRIVACY_FULL},
					    {"domain", PRIVACY_DOMAIN},
					    {"hash", PRIVACY_HASH},
					    {NULL, 0}};

	return reader_word(reader, node, words, target);
}

static bool read_subject(struct reader *reader, const yaml_node_t *node, void *target)
{
	bool shown = false;

	if (!reader_bool(reader, node, &shown))
		return false;
	*(bool *)target = !shown;
	return true;
}

static bool read_key(struct reader *reader, const yaml_node_t *node, void *target)
{
	char *path = reader_text(reader, node, "the path of a key file"), why[PRIVACY_WHY_MAX];
	struct reading_privacy *reading = target;
	bool good = path;

	if (good && path[0] != '/')
		good = reader_fail(reader, node,
				   "%.200s: not an absolute path: it is to begin with '/'", path);
	if (good && privacy_read_key(&reading->privacy, path, why))
		good = reader_fail(reader, node, "%.150s: %s", path, why);
	reading->has_key = good;
	free(path);
	return good;
}

static bool read_privacy(struct reader *reader, const yaml_node_t *node, void *target)
{
	static const struct key keys[] = {
		{"addresses", read_addresses, offsetof(struct reading_privacy, privacy.addresses)},
		{"subject", read_subject, offsetof(struct reading_privacy, privacy.subject_hidden)},
		{"key_file", read_key, 0},
		{NULL, NULL, 0}};
	struct reading_privacy reading = {.has_key = false};

	if (!reader_mapping(reader, node, keys, &reading))
		return false;
	if (reading.privacy.addresses == PRIVACY_HASH && !reading.has_key)
		return reader_fail(
			reader, node,
			"addresses: hash needs a key_file: `head -c 32 /dev/urandom > FILE; "
			"chmod 600 FILE` makes one");
	*(struct privacy *)target = reading.privacy;
	OPENSSL_cleanse(&reading, sizeof(reading));
	return true;
}

static bool add_rules(struct reader *reader, const yaml_node_t *node, void *target)
{
	struct config *config = target;
	char *path = reader_text(reader, node, "the path of a YARA file"), error[RULES_ERROR_MAX];
	bool good = path;

	if (good && path[0] != '/')
		good = reader_fail(reader, node,
				   "%.200s: not an absolute path: it is to begin with '/'", path);
	if (good && !config->rules && !(config->rules = rules_new(error)))
		good = reader_fail(reader, node, "%s", error);
	if (good && rules_add(config->rules, path, error))
		good = reader_fail(reader, node, "%.200s: %s", path, error);
	free(path);
	return good;
}

static bool read_rules(struct reader *reader, const yaml_node_t *node, void *target)
{
	return reader_list(reader, node, add_rules, target);
}

/* ---- Files ----------------------------------------------------------------------------------- */

#define KEYS_MAX 16U

/* All files are read by it: what stands in them together. */
struct loading {
	struct reader reader;
	const char *first[KEYS_MAX]; /* of each key the file where it was read; NULL: not yet */
};

/* Lists of all files are one list. */
static bool is_list(const struct key *key)
{
	return key->read == config_read_exclusions || key->read == config_read_outputs ||
	       key->read == read_rules;
}

/* Any other key stands in one file: else one would be in force, and the other silently not. */
static bool stand_once(struct reader *reader, const yaml_node_t *root, const struct key *keys)
{
	const char **first =
		((struct loading *)(void *)((char *)reader - offsetof(struct loading, reader)))
			->first;

	if (root->type != YAML_MAPPING_NODE)
		return true; /* that is told later */
	for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = reader_node(reader, pair->key);

		for (size_t i = 0; keys[i].name && name->type == YAML_SCALAR_NODE; i++) {
			struct span text = reader_scalar(name);

			if (text.len != strlen(keys[i].name) ||
			    memcmp(text.data, keys[i].name, text.len) != 0 || is_list(&keys[i]))
				continue;
			if (first[i] && first[i] != reader->file)
				return reader_fail(
					reader, name,
					"%s: it stands in %.200s already: once is allowed",
					keys[i].name, first[i]);
			first[i] = reader->file;
		}
	}
	return true;
}

static bool read_document(struct reader *reader)
{
	static const struct key keys[] = {{"capture", read_capture, 0},
					  {"decision", read_decision, 0},
					  {"rules", read_rules, 0},
					  {"privacy", read_privacy,
					   offsetof(struct config, privacy)},
					  {"outputs", config_read_outputs, 0},
					  {"metrics", config_read_metrics, 0},
					  {"heartbeat", reader_duration,
					   offsetof(struct config, heartbeat_s)},
					  {"exclusions", config_read_exclusions, 0},
					  {NULL, NULL, 0}};
	yaml_node_t *root = yaml_document_get_root_node(&reader->document);

	_Static_assert(sizeof(keys) / sizeof(keys[0]) <= KEYS_MAX, "each key has its file");
	if (!root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length))
		return true; /* comments, or nothing */
	return stand_once(reader, root, keys) && reader_mapping(reader, root, keys, reader->config);
}

/* The next document of a file is read. False if there is none. */
static bool next_document(struct reader *reader, yaml_parser_t *parser, bool *good)
{
	if (!yaml_parser_load(parser, &reader->document)) {
		yaml_node_t place = {.start_mark = parser->problem_mark};

		*good = reader_fail(reader, &place, "not YAML: %s",
				    parser->problem ? parser->problem : "it cannot be read");
		return false;
	}
	return yaml_document_get_root_node(&reader->document);
}

static bool read_yaml(struct reader *reader, struct span text)
{
	yaml_parser_t parser;
	bool good = true;

	if (!yaml_parser_initialize(&parser))
		return reader_fail(reader, NULL, "no memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	if (next_document(reader, &parser, &good))
		good = read_document(reader);
	yaml_document_delete(&reader->document);
	if (good && next_document(reader, &parser, &good))
		good = reader_fail(reader, yaml_document_get_root_node(&reader->document),
				   "a second document begins here: one is allowed");
	yaml_document_delete(&reader->document);
	yaml_parser_delete(&parser);
	return good;
}

/* The file is read once, so that what is hashed is what is parsed. */
static bool read_whole(struct reader *reader, FILE *file, size_t size)
{
	char *text = malloc(size + 1);
	size_t len = text ? fread(text, 1, size + 1, file) : 0;
	bool good;

	if (!text)
		return reader_fail(reader, NULL, "no memory");
	if (ferror(file))
		good = reader_fail(reader, NULL, "%s", strerror(errno));
	else if (len != size)
		good = reader_fail(reader, NULL, "it was written to while it was read: try again");
	else
		good = EVP_DigestUpdate(reader->digest, text, len) == 1
			       ? read_yaml(reader, (struct span){text, len})
			       : reader_fail(reader, NULL, "no memory");
	free(text);
	return good;
}

/* Opening waits for nobody: what is no file, as a FIFO, is told then. NULL: errno says why. */
static FILE *open_file(const char *path, struct stat *info)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), error;
	FILE *file = fd >= 0 && fstat(fd, info) == 0 ? fdopen(fd, "r") : NULL;

	if (!file && fd >= 0) {
		error = errno;
		close(fd);
		errno = error;
	}
	return file;
}

static bool read_file(struct reader *reader, const char *path)
{
	struct strings *files = &reader->config->files;
	struct stat info;
	FILE *file = open_file(path, &info);
	char **name;
	bool good;

	reader->file = path;
	if (!file) {
		snprintf(reader->error, CONFIG_ERROR_MAX, "%.400s: %s", path, strerror(errno));
		return false;
	}
	name = reader_append(&files->items, &files->count, sizeof(*name));
	if (name)
		*name = strdup(path);
	if (name && *name)
		reader->file = *name;
	if (!S_ISREG(info.st_mode) || info.st_size > (off_t)CONFIG_FILE_MAX)
		good = reader_fail(reader, NULL, "no file of at most %u bytes", CONFIG_FILE_MAX);
	else
		good = name && *name ? read_whole(reader, file, (size_t)info.st_size)
				     : reader_fail(reader, NULL, "no memory");
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
static bool read_folder(struct reader *reader, const char *main_path)
{
	const char *slash = strrchr(main_path, '/');
	int parent = slash ? (int)(slash - main_path) + 1 : 0, count;
	char folder[4096], path[sizeof(folder) + 256];
	struct dirent **entries = NULL;
	bool good = true;

	if (snprintf(folder, sizeof(folder), "%.*sconf.d", parent, main_path) >=
	    (int)sizeof(folder)) {
		snprintf(reader->error, CONFIG_ERROR_MAX, "%.400s: %s", main_path,
			 strerror(ENAMETOOLONG));
		return false;
	}
	count = scandir(folder, &entries, is_yaml, by_name);
	if (count < 0 && errno != ENOENT && errno != ENOTDIR) {
		snprintf(reader->error, CONFIG_ERROR_MAX, "%.400s: %s", folder, strerror(errno));
		return false;
	}
	for (int i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "%s/%s", folder, entries[i]->d_name);
		good = good && read_file(reader, path);
		free(entries[i]);
	}
	free(entries);
	reader->file = main_path; /* `path` ends here */
	return good;
}

static bool keep_hash(struct reader *reader)
{
	unsigned char sha256[EVP_MAX_MD_SIZE];
	unsigned int len = 0;

	if (EVP_DigestFinal_ex(reader->digest, sha256, &len) != 1)
		return reader_fail(reader, NULL, "no memory");
	for (unsigned int i = 0; i < len && 2 * i < CONFIG_HASH_LEN; i++)
		snprintf(reader->config->sha256 + 2ULL * i, 3, "%02x", sha256[i]);
	return true;
}

struct config *config_load(const char *path, char error[CONFIG_ERROR_MAX])
{
	struct config *config = calloc(1, sizeof(*config));
	struct loading loading = {.reader = {.config = config, .file = path, .error = error}};
	struct reader *reader = &loading.reader;
	bool good;

	snprintf(error, CONFIG_ERROR_MAX, "%.400s: no memory", path ? path : "configuration");
	if (!config)
		return NULL;
	config->deadline_s = DEADLINE_S;
	config->body_bytes = BODY_BYTES;
	config->heartbeat_s = HEARTBEAT_S;
	reader->digest = EVP_MD_CTX_new();
	good = reader->digest && EVP_DigestInit_ex(reader->digest, EVP_sha256(), NULL) == 1 &&
	       (!path || (read_file(reader, path) && read_folder(reader, path))) &&
	       (!config->rules || rules_ready(config->rules, error) == 0) &&
	       (!path || keep_hash(reader));
	EVP_MD_CTX_free(reader->digest);
	if (good)
		return config;
	config_free(config);
	return NULL;
}

bool config_wants_content(const struct config *config)
{
	for (size_t i = 0; i < config->exclusion_count; i++) {
		if (config->exclusions[i].mail.contains.count ||
		    config->exclusions[i].mail.matches.count)
			return true;
	}
	return false;
}

void config_free_strings(struct strings *strings)
{
	for (size_t i = 0; i < strings->count; i++)
		free(strings->items[i]);
	free(strings->items);
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->exclusion_count; i++)
		config_free_exclusion(&config->exclusions[i]);
	free(config->exclusions);
	for (size_t i = 0; i < config->output_count; i++)
		output_config_free(&config->outputs[i]);
	free(config->outputs);
	free(config->metrics.textfile);
	OPENSSL_cleanse(&config->privacy, sizeof(config->privacy));
	config_free_strings(&config->files);
	rules_free(config->rules);
	free(config);
}
