/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Theory of operation: libyaml needs quadratic time for deep nesting, for many anchors and for many
 * directives. So its scanner runs alone first. It reports tokens one by one, and a text beyond a
 * bound is refused before the parser builds anything from it. The scanner reads at most 1024
 * characters ahead (that long may a simple key be), so the bounds hold for its own work too.
 *
 * An alias is one token but stands for a whole tree, and the readers read that tree again. So the
 * values that they read are counted as well (reader_counts()).
 */
#include "config/reader.h"

/* What one file has so far. */
struct tally {
	unsigned int depth;
	unsigned int anchors;
	unsigned int directives;
};

static bool is_start(yaml_token_type_t type)
{
	return type == YAML_BLOCK_SEQUENCE_START_TOKEN || type == YAML_BLOCK_MAPPING_START_TOKEN ||
	       type == YAML_FLOW_SEQUENCE_START_TOKEN || type == YAML_FLOW_MAPPING_START_TOKEN;
}

static bool is_end(yaml_token_type_t type)
{
	return type == YAML_BLOCK_END_TOKEN || type == YAML_FLOW_SEQUENCE_END_TOKEN ||
	       type == YAML_FLOW_MAPPING_END_TOKEN;
}

static bool count(struct reader *reader, struct tally *tally, const yaml_token_t *token)
{
	yaml_node_t place = {.start_mark = token->start_mark};

	tally->depth += is_start(token->type);
	tally->depth -= is_end(token->type) && tally->depth;
	tally->anchors += token->type == YAML_ANCHOR_TOKEN;
	tally->directives += token->type == YAML_TAG_DIRECTIVE_TOKEN ||
			     token->type == YAML_VERSION_DIRECTIVE_TOKEN;
	if (tally->depth > CONFIG_DEPTH_MAX)
		return reader_fail(reader, &place, "nested more than %u levels deep",
				   CONFIG_DEPTH_MAX);
	if (tally->anchors > CONFIG_ANCHORS_MAX)
		return reader_fail(reader, &place, "more than %u anchors in one file",
				   CONFIG_ANCHORS_MAX);
	if (tally->directives > CONFIG_DIRECTIVES_MAX)
		return reader_fail(reader, &place, "more than %u directives in one file",
				   CONFIG_DIRECTIVES_MAX);
	if (++reader->tokens > CONFIG_TOKENS_MAX)
		return reader_fail(reader, &place, "more than %u YAML tokens in all files together",
				   CONFIG_TOKENS_MAX);
	return true;
}

bool reader_bounds(struct reader *reader, struct span text)
{
	struct tally tally = {.depth = 0};
	bool good = true, ended = false;
	yaml_parser_t scanner;
	yaml_token_t token;

	if (!yaml_parser_initialize(&scanner))
		return reader_fail(reader, NULL, "no memory");
	yaml_parser_set_input_string(&scanner, (const unsigned char *)text.data, text.len);
	/* A mistake ends the loop; the parser finds it again and reports it. */
	while (good && !ended && yaml_parser_scan(&scanner, &token)) {
		good = count(reader, &tally, &token) && !reader_stopped(reader);
		ended = token.type == YAML_STREAM_END_TOKEN;
		yaml_token_delete(&token);
	}
	yaml_parser_delete(&scanner);
	return good;
}
