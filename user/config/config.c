/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* The configuration as a whole: its files, and the keys that have no file of their own. */
#include "config/config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/crypto.h>

#include "base/amount.h"
#include "base/trusted.h"
#include "config/privacy_key.h"
#include "config/reader.h"

#define DEADLINE_S     60
#define HEARTBEAT_S    300
#define BODY_BYTES_MAX 16777216U
#define JOIN_S	       60
#define JOIN_S_MAX     86400U
#define JOIN_AFTER     5
#define JOIN_AFTER_MAX 1000000U

#define AT(field) offsetof(struct config, field)

static bool read_body_bytes(struct reader *reader, const yaml_node_t *node, const struct key *key,
			    void *target)
{
	struct span text = reader_scalar(node);
	uint64_t *bytes = target;

	(void)key;
	if (amount_parse(&text, amount_byte_units, bytes) && !text.len && *bytes <= BODY_BYTES_MAX)
		return true;
	return reader_fail(reader, node, "expected a number of bytes such as 64KiB, at most 16MiB");
}

/* ---- Alerts ---------------------------------------------------------------------------------- */

static bool read_join(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	struct span text = reader_scalar(node);
	uint64_t *seconds = target;

	(void)key;
	if (span_equal(text, span_of("false")) || span_equal(text, span_of("0"))) {
		*seconds = 0;
		return true;
	}
	if (amount_parse(&text, amount_time_units, seconds) && !text.len && *seconds &&
	    *seconds <= JOIN_S_MAX)
		return true;
	return reader_fail(reader, node, "expected a duration such as 1m, at most 1d, or false");
}

static bool read_after(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	struct span text = reader_scalar(node);
	uint64_t *after = target;

	(void)key;
	if (amount_parse(&text, amount_no_units, after) && !text.len && *after &&
	    *after <= JOIN_AFTER_MAX)
		return true;
	return reader_fail(reader, node, "expected a number from 1 to %u", JOIN_AFTER_MAX);
}

static const struct key alert_keys[] = {{.name = "join", .read = read_join, .offset = AT(join_s)},
					{.name = "after",
					 .read = read_after,
					 .offset = AT(join_after)},
					{.name = NULL}};

/* ---- Capture, decision ----------------------------------------------------------------------- */

static const struct word hooks[] = {{"auto", HOOK_AUTO},
				    {"fentry", HOOK_FENTRY},
				    {"kprobe", HOOK_KPROBE},
				    {"tracepoint", HOOK_TRACEPOINT},
				    {NULL, 0}};

static const struct key capture_keys[] =
	{{.name = "hook", .read = reader_word, .offset = AT(hook), .words = hooks},
	 {.name = "tls", .read = reader_bool, .offset = AT(tls)},
	 {.name = "body_bytes", .read = read_body_bytes, .offset = AT(policy.body_bytes)},
	 {.name = NULL}},
			decision_keys[] = {{.name = "deadline",
					    .read = reader_duration,
					    .offset = AT(policy.deadline_s)},
					   {.name = NULL}};

/* ---- Privacy --------------------------------------------------------------------------------- */

struct reading_privacy {
	struct privacy privacy;
	bool has_key;
};

static bool read_key(struct reader *reader, const yaml_node_t *node, const struct key *key,
		     void *target)
{
	char *path = reader_path(reader, node, "the path of a key file"), why[PRIVACY_WHY_MAX];
	struct reading_privacy *reading = target;
	bool good = path;

	(void)key;
	if (good && privacy_read_key(&reading->privacy, path, reader->trusted, why))
		good = reader_fail(reader, node, "%.150s: %s", path, why);
	reading->has_key = good;
	free(path);
	return good;
}

static bool read_privacy(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target)
{
	static const struct word addresses[] = {{"full", PRIVACY_FULL},
						{"domain", PRIVACY_DOMAIN},
						{"hash", PRIVACY_HASH},
						{NULL, 0}},
				 hidden[] = {{"true", false}, {"false", true}, {NULL, 0}};
	static const struct key keys[] = {{"addresses", reader_word,
					   offsetof(struct reading_privacy, privacy.addresses),
					   .words = addresses},
					  {"subject", reader_flag,
					   offsetof(struct reading_privacy, privacy.subject_hidden),
					   .words = hidden},
					  {.name = "key_file", .read = read_key},
					  {.name = NULL}};
	struct reading_privacy reading = {.has_key = false};

	(void)key;
	if (!reader_keys(reader, node, keys, &reading))
		return false;
	if (reading.privacy.addresses == PRIVACY_HASH && !reading.has_key)
		return reader_fail(reader, node,
				   "addresses: hash needs a key_file; create one with: head -c 32 "
				   "/dev/urandom > FILE; chmod 600 FILE");
	*(struct privacy *)target = reading.privacy;
	OPENSSL_cleanse(&reading, sizeof(reading));
	return true;
}

/* ---- Rules ----------------------------------------------------------------------------------- */

static bool add_rules(struct reader *reader, const yaml_node_t *node, const struct key *key,
		      void *target)
{
	struct policy *policy = &((struct config *)target)->policy;
	char *path = reader_path(reader, node, "the path of a YARA file"), error[RULES_ERROR_MAX];
	bool good = path && reader_needs(reader, node, LIBRARY_YARA, "rules", NULL);

	(void)key;
	if (good && !policy->rules && !(policy->rules = rules_new(reader->trusted, error)))
		good = reader_fail(reader, node, "%s", error);
	if (good && rules_add(policy->rules, path, error))
		good = reader_fail(reader, node, "%.120s: %s", path, error);
	free(path);
	return good;
}

static bool read_rules(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target)
{
	return reader_list(reader, node, key, add_rules, target);
}

/* ---- Files ----------------------------------------------------------------------------------- */

#define KEYS_MAX 16U

/* What the reading of all files has in common. */
struct loading {
	struct reader reader;
	const char *first[KEYS_MAX]; /* the file in which each key was read; NULL: none yet */
};

/* The lists of all files are joined into one list. */
static bool is_list(const struct key *key)
{
	return key->read == config_read_exclusions || key->read == config_read_outputs ||
	       key->read == read_rules;
}

/* Any other key may be set in one file only: otherwise one of them would silently not apply. */
static bool keys_are_set_once(struct reader *reader, const yaml_node_t *root,
			      const struct key *keys)
{
	const char **first =
		((struct loading *)(void *)((char *)reader - offsetof(struct loading, reader)))
			->first;

	if (root->type != YAML_MAPPING_NODE)
		return true; /* reported later */
	for (const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
	     pair < root->data.mapping.pairs.top; pair++) {
		const yaml_node_t *name = reader_node(reader, pair->key);

		for (size_t i = 0; keys[i].name && name->type == YAML_SCALAR_NODE; i++) {
			struct span text = reader_scalar(name);

			if (text.len != strlen(keys[i].name) ||
			    memcmp(text.data, keys[i].name, text.len) != 0 || is_list(&keys[i]))
				continue;
			if (first[i] && first[i] != reader->file)
				return reader_fail(reader, name,
						   "%s: already set in %.200s; allowed only once",
						   keys[i].name, first[i]);
			first[i] = reader->file;
		}
	}
	return true;
}

static bool read_document(struct reader *reader)
{
	static const struct key keys[] = {
		{.name = "capture", .read = reader_mapping, .keys = capture_keys},
		{.name = "decision", .read = reader_mapping, .keys = decision_keys},
		{.name = "rules", .read = read_rules},
		{.name = "privacy", .read = read_privacy, .offset = AT(policy.privacy)},
		{.name = "outputs", .read = config_read_outputs},
		{.name = "metrics", .read = config_read_metrics},
		{.name = "alerts", .read = reader_mapping, .keys = alert_keys},
		{.name = "heartbeat", .read = reader_duration, .offset = AT(heartbeat_s)},
		{.name = "exclusions", .read = config_read_exclusions},
		{.name = NULL},
	};
	yaml_node_t *root = yaml_document_get_root_node(&reader->document);

	_Static_assert(sizeof(keys) / sizeof(keys[0]) <= KEYS_MAX, "room for the file of each key");
	if (!root || (root->type == YAML_SCALAR_NODE && !root->data.scalar.length))
		return true; /* comments, or nothing */
	return keys_are_set_once(reader, root, keys) &&
	       reader_keys(reader, root, keys, reader->config);
}

/* Reads the next document of a file. False if there is none. */
static bool next_document(struct reader *reader, yaml_parser_t *parser, bool *good)
{
	if (!yaml_parser_load(parser, &reader->document)) {
		yaml_node_t place = {.start_mark = parser->problem_mark};

		*good = reader_fail(reader, &place, "not YAML: %s",
				    parser->problem ? parser->problem : "cannot be read");
		return false;
	}
	return yaml_document_get_root_node(&reader->document);
}

static bool read_yaml(struct reader *reader, struct span text)
{
	yaml_parser_t parser;
	bool good = true;

	if (!reader_bounds(reader, text))
		return false;
	if (!yaml_parser_initialize(&parser))
		return reader_fail(reader, NULL, "no memory");
	yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.len);
	if (next_document(reader, &parser, &good))
		good = read_document(reader);
	yaml_document_delete(&reader->document);
	if (good && next_document(reader, &parser, &good))
		good = reader_fail(reader, yaml_document_get_root_node(&reader->document),
				   "second YAML document; only one is allowed");
	yaml_document_delete(&reader->document);
	yaml_parser_delete(&parser);
	return good;
}

/* Reads the file once, so that the bytes that are hashed are those that are parsed. */
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
		good = reader_fail(reader, NULL, "the file changed while it was read; try again");
	else
		good = EVP_DigestUpdate(reader->digest, text, len) == 1
			       ? read_yaml(reader, (struct span){text, len})
			       : reader_fail(reader, NULL, "no memory");
	free(text);
	return good;
}

/* NULL: `why` says why. */
static FILE *open_file(const struct reader *reader, const char *path, struct stat *info,
		       char why[TRUSTED_WHY_MAX])
{
	int fd = trusted_open_if(reader->trusted, path, why);
	FILE *file = fd >= 0 && fstat(fd, info) == 0 ? fdopen(fd, "r") : NULL;

	if (!file && fd >= 0) {
		snprintf(why, TRUSTED_WHY_MAX, "%s", strerror(errno));
		close(fd);
	}
	return file;
}

/* Reports that a file cannot be opened, or must not be. Always returns false. */
static bool fail_open(struct reader *reader, const char *path, const char *why)
{
	snprintf(reader->error, CONFIG_ERROR_MAX, "%.400s: %s", path, why);
	return reader_refused(reader);
}

/* False (reported) if it is not a file of a size that can be read. */
static bool is_readable(struct reader *reader, const char *path, const struct stat *info)
{
	char why[TRUSTED_WHY_MAX];

	if (S_ISDIR(info->st_mode))
		snprintf(why, sizeof(why),
			 "is a directory; name the file in it, such as %.200s/smtpsnoop.yaml",
			 path);
	else if (!S_ISREG(info->st_mode))
		snprintf(why, sizeof(why), "not a regular file; name one that is");
	else if (info->st_size > (off_t)CONFIG_FILE_MAX)
		snprintf(why, sizeof(why),
			 "larger than %u bytes; move exclusions to conf.d beside it",
			 CONFIG_FILE_MAX);
	else
		return true;
	return fail_open(reader, path, why);
}

static bool read_file(struct reader *reader, const char *path)
{
	struct strings *files = &reader->config->files;
	char why[TRUSTED_WHY_MAX];
	struct stat info;
	FILE *file = open_file(reader, path, &info, why);
	char **name;
	bool good;

	reader->file = path;
	if (!file) {
		return fail_open(reader, path, why);
	}
	name = reader_append(&files->items, &files->count, sizeof(*name));
	if (name)
		*name = strdup(path);
	if (name && *name)
		reader->file = *name;
	if (!is_readable(reader, path, &info))
		good = false;
	else if (++reader->files > CONFIG_FILES_MAX)
		good = reader_fail(reader, NULL, "more than %u files", CONFIG_FILES_MAX);
	else if ((reader->bytes += (size_t)info.st_size) > CONFIG_BYTES_MAX)
		good = reader_fail(reader, NULL, "more than %u bytes in all files together",
				   CONFIG_BYTES_MAX);
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
	char why[TRUSTED_WHY_MAX];
	bool good = true;
	int fd;

	if (snprintf(folder, sizeof(folder), "%.*sconf.d", parent, main_path) >=
	    (int)sizeof(folder)) {
		snprintf(reader->error, CONFIG_ERROR_MAX, "%.400s: %s", main_path,
			 strerror(ENAMETOOLONG));
		return false;
	}
	fd = trusted_open_if(reader->trusted, folder, why);
	if (fd == -ENOENT || fd == -ENOTDIR)
		return true;
	if (fd < 0)
		return fail_open(reader, folder, why);
	count = scandirat(fd, ".", &entries, is_yaml, by_name);
	close(fd);
	if (count < 0 && errno != ENOTDIR)
		return fail_open(reader, folder, strerror(errno));
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
	for (unsigned int i = 0; i < len && 2 * i < POLICY_HASH_LEN; i++)
		snprintf(reader->config->policy.sha256 + 2ULL * i, 3, "%02x", sha256[i]);
	return true;
}

/* NULL: no memory. */
static struct config *config_new(void)
{
	struct config *config = calloc(1, sizeof(*config));

	if (!config)
		return NULL;
	config->policy.deadline_s = DEADLINE_S;
	config->policy.body_bytes = POLICY_BODY_BYTES;
	config->heartbeat_s = HEARTBEAT_S;
	config->tls = true;
	config->join_s = JOIN_S;
	config->join_after = JOIN_AFTER;
	return config;
}

struct config *config_parse(struct span text, const char *name, char error[CONFIG_ERROR_MAX])
{
	struct config *config = config_new();
	struct loading loading = {.reader = {.config = config, .file = name, .error = error}};

	snprintf(error, CONFIG_ERROR_MAX, "%.400s: no memory", name);
	if (config && text.len <= CONFIG_FILE_MAX && read_yaml(&loading.reader, text) &&
	    (!config->policy.rules || rules_ready(config->policy.rules, error) == 0))
		return config;
	config_free(config);
	return NULL;
}

struct config *config_load(const char *path, const struct config_terms *terms,
			   char error[CONFIG_ERROR_MAX])
{
	struct config *config = config_new();
	struct loading loading = {.reader = {.config = config,
					     .file = path,
					     .stop = terms ? terms->stop : NULL,
					     .trusted = terms && terms->trusted,
					     .without = terms ? terms->without : 0,
					     .error = error}};
	struct reader *reader = &loading.reader;
	bool good;

	snprintf(error, CONFIG_ERROR_MAX, "%.400s: no memory", path ? path : "configuration");
	if (!config)
		return NULL;
	reader->digest = EVP_MD_CTX_new();
	good = reader->digest && EVP_DigestInit_ex(reader->digest, EVP_sha256(), NULL) == 1 &&
	       (!path || (read_file(reader, path) && read_folder(reader, path))) &&
	       (!config->policy.rules || rules_ready(config->policy.rules, error) == 0) &&
	       (!path || keep_hash(reader));
	EVP_MD_CTX_free(reader->digest);
	if (good)
		return config;
	config_free(config);
	return NULL;
}

void config_free(struct config *config)
{
	if (!config)
		return;
	for (size_t i = 0; i < config->policy.exclusion_count; i++)
		exclusion_free(&config->policy.exclusions[i]);
	free(config->policy.exclusions);
	for (size_t i = 0; i < config->output_count; i++)
		output_config_free(&config->outputs[i]);
	free(config->outputs);
	free(config->metrics.textfile);
	OPENSSL_cleanse(&config->policy.privacy, sizeof(config->policy.privacy));
	strings_free(&config->files);
	rules_free(config->policy.rules);
	free(config);
}

static void release(void *owner)
{
	config_free(owner);
}

struct decider *config_decider(struct config *config)
{
	return decider_new(&config->policy, config, release);
}

const struct config *config_of(const struct decider *decider)
{
	return decider_owner(decider);
}
