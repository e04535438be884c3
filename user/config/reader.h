/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: libyaml makes a tree of nodes that know their line and column. Each mapping
 * is read by a table of keys. A key has a reader, the place where the reader writes the value, and
 * what that reader needs to know: words, units, or the keys of a mapping inside. The first mistake
 * ends the reading; it is reported with its place and with what was expected.
 */
#ifndef SMTPSNOOP_CONFIG_READER_H
#define SMTPSNOOP_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <yaml.h>

#include "base/amount.h"
#include "base/library.h"
#include "base/span.h"
#include "config/config.h"

struct reader {
	struct config *config;
	const char *file; /* of config->files; of --where: the key, and nodes have no place */
	yaml_document_t document;
	EVP_MD_CTX *digest;	 /* of all files */
	char *error;		 /* of CONFIG_ERROR_MAX bytes */
	const atomic_bool *stop; /* of struct config_terms */
	bool trusted;		 /* likewise */
	unsigned int without;	 /* likewise */

	/* Used so far by all files together. */
	unsigned int files;
	unsigned int tokens;
	unsigned int values;
	size_t bytes;
};

/*
 * Reports what is wrong with a node, and what was expected. `node` NULL: the file as a whole.
 * Always returns false.
 */
__attribute__((format(printf, 3, 4))) bool
reader_fail(struct reader *reader, const yaml_node_t *node, const char *format, ...);

/*
 * True if libyaml can parse the text of a file in a time that is proportional to its length: no
 * bound of config.h is exceeded. Otherwise the mistake has been reported. A text that is not YAML
 * passes.
 */
bool reader_bounds(struct reader *reader, struct span text);

/* Counts a value that is read. False: there are too many, or the reading ends (reported). */
bool reader_counts(struct reader *reader, const yaml_node_t *node);

/* True if the reading has to end, which has been reported. */
bool reader_stopped(struct reader *reader);

/*
 * True if the program was built with the library that `what` needs. Otherwise the mistake has been
 * reported, with what to install. `instead`: what else the user can do, after "or "; NULL: nothing.
 */
bool reader_needs(struct reader *reader, const yaml_node_t *node, enum library library,
		  const char *what, const char *instead);

/* Replaces control characters in the error. Always returns false. */
bool reader_refused(struct reader *reader);

yaml_node_t *reader_node(struct reader *reader, int index);

/* The text of a scalar; empty if the node is not one. */
struct span reader_scalar(const yaml_node_t *node);

struct key;

/* Reads a node into `target`. False: the mistake has been reported. */
typedef bool (*read_fn)(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target);

/* One of several words, and the value that it stands for. */
struct word {
	const char *name; /* NULL: end of the list */
	int value;
};

struct key {
	const char *name; /* NULL: end of the list */
	read_fn read;
	size_t offset; /* of the value in the target */
	union {	       /* what the reader needs to know */
		const struct word *words;
		const struct unit *units;
		const struct key *keys; /* of a mapping */
		int kind;		/* of a pattern or an expression */
	};
};

/* A mapping with these keys. */
bool reader_keys(struct reader *reader, const yaml_node_t *node, const struct key *keys,
		 void *target);

/* A list of values, or a single value instead of a list of one; `read` is called for each. */
bool reader_list(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 read_fn read, void *target);

/*
 * Room for one more item of `size` bytes, zeroed; NULL if there is no memory. `items` is the
 * address of the array's pointer.
 */
void *reader_append(void *items, size_t *count, size_t size);

/*
 * A copy of a scalar's text, owned by the caller. NULL: the node is not a text, which has been
 * reported with `what` as what was expected; or there is no memory.
 */
char *reader_text(struct reader *reader, const yaml_node_t *node, const char *what);

/* The same for a path, which must begin with '/'. */
char *reader_path(struct reader *reader, const yaml_node_t *node, const char *what);

/* Readers of values. Each writes the type named after it. */
bool reader_mapping(struct reader *reader, const yaml_node_t *node, const struct key *key,
		    void *target); /* as key->keys say, into the same target */
bool reader_string(struct reader *reader, const yaml_node_t *node, const struct key *key,
		   void *target); /* char * */
bool reader_strings(struct reader *reader, const yaml_node_t *node, const struct key *key,
		    void *target); /* struct strings */
bool reader_add_string(struct reader *reader, const yaml_node_t *node, const struct key *key,
		       void *target); /* one more of struct strings */
bool reader_bool(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target); /* bool */
bool reader_word(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target); /* int or an enum: one of key->words */
bool reader_flag(struct reader *reader, const yaml_node_t *node, const struct key *key,
		 void *target); /* bool: one of key->words */
bool reader_duration(struct reader *reader, const yaml_node_t *node, const struct key *key,
		     void *target); /* uint64_t: seconds */

/* The parts of the configuration; the target is the struct config. */
bool config_read_exclusions(struct reader *reader, const yaml_node_t *node, const struct key *key,
			    void *target);
bool config_read_outputs(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target);
bool config_read_metrics(struct reader *reader, const yaml_node_t *node, const struct key *key,
			 void *target);

/* One criterion of an exclusion. */
bool config_read_criterion(struct reader *reader, const yaml_node_t *node, enum criterion criterion,
			   struct exclusion *exclusion);

/* The target is a struct relays. */
bool config_read_relays(struct reader *reader, const yaml_node_t *node, const struct key *key,
			void *target);

#endif
