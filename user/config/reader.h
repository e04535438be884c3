/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the parts of the configuration are read with. libyaml makes a tree of nodes that know where
 * they stand. Each mapping is a table of keys; a key has a reader and the place it writes to. The
 * first mistake ends the reading: it is written down with its place, and what would be right.
 */
#ifndef SMTPSNOOP_CONFIG_READER_H
#define SMTPSNOOP_CONFIG_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <openssl/evp.h>
#include <yaml.h>

#include "config/config.h"
#include "base/span.h"

struct reader {
	struct config *config;
	const char *file; /* of config->files */
	yaml_document_t document;
	EVP_MD_CTX *digest; /* of all files */
	char *error;	    /* of CONFIG_ERROR_MAX bytes */
};

/* What is wrong with a node, and what would be right. Always false. */
__attribute__((format(printf, 3, 4))) bool
reader_fail(struct reader *reader, const yaml_node_t *node, const char *format, ...);

yaml_node_t *reader_node(struct reader *reader, int index);
struct span reader_scalar(const yaml_node_t *node);

/* Reads a node into `target`. False: the mistake is told. */
typedef bool (*read_fn)(struct reader *reader, const yaml_node_t *node, void *target);

struct key {
	const char *name; /* NULL: behind the last */
	read_fn read;
	size_t offset; /* of its value in the target */
};

bool reader_mapping(struct reader *reader, const yaml_node_t *node, const struct key *keys,
		    void *target);

/* A list, or one value in place of a list of one. */
bool reader_list(struct reader *reader, const yaml_node_t *node, read_fn read, void *target);

/*
 * Room for one more of `size` bytes, zeroed; NULL if there is no memory. `items` is the address of
 * the array's pointer.
 */
void *reader_append(void *items, size_t *count, size_t size);

/* A scalar, as a string that the caller owns; NULL: it is none. `what` is told then. */
char *reader_text(struct reader *reader, const yaml_node_t *node, const char *what);

/* One of some words: its value, into an int or an enum. */
struct word {
	const char *name; /* NULL: behind the last */
	int value;
};

bool reader_word(struct reader *reader, const yaml_node_t *node, const struct word *words,
		 void *value);

/* Values, each a read_fn: into char *, bool, struct strings, and uint64_t of seconds. */
bool reader_string(struct reader *reader, const yaml_node_t *node, void *target);
bool reader_bool(struct reader *reader, const yaml_node_t *node, void *target);
bool reader_add_string(struct reader *reader, const yaml_node_t *node, void *target); /* one more */
bool reader_strings(struct reader *reader, const yaml_node_t *node, void *target);
bool reader_duration(struct reader *reader, const yaml_node_t *node, void *target);

/* A number with a unit behind it. Takes it off the text. */
struct unit {
	const char *name;
	uint64_t factor;
};

extern const struct unit reader_time_units[], reader_byte_units[], reader_no_units[];

bool reader_amount(struct span *text, const struct unit *units, uint64_t *amount);

/* The parts of the configuration, each a read_fn for struct config. */
bool config_read_exclusions(struct reader *reader, const yaml_node_t *node, void *target);
bool config_read_outputs(struct reader *reader, const yaml_node_t *node, void *target);
bool config_read_metrics(struct reader *reader, const yaml_node_t *node, void *target);

/* For struct relays. */
bool config_read_relays(struct reader *reader, const yaml_node_t *node, void *target);

void config_free_strings(struct strings *strings);
void config_free_exclusion(struct exclusion *exclusion);

#endif
