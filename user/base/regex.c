/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * PCRE2's own match limit starts again at each place of the text where a match may begin. In 64
 * KiB, an expression that backtracks could take 65,536 times as long. So expressions call out
 * before each of their items, and the steps of a whole search are counted there. No JIT: a root
 * process should have no memory that is both writable and executable.
 */
#include "base/regex.h"

#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define DEPTH_MAX 10000U
#define HEAP_KIB  4096U

struct regex {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *context;
};

static int count_step(pcre2_callout_block *block, void *data)
{
	uint64_t *steps = data;

	(void)block;
	if (!*steps)
		return PCRE2_ERROR_CALLOUT;
	--*steps;
	return 0;
}

struct regex *regex_new(struct span expression, enum regex_kind kind, char *error, size_t *at)
{
	uint32_t options =
		PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C |
		(kind == REGEX_WORDS ? PCRE2_LITERAL | PCRE2_CASELESS : PCRE2_AUTO_CALLOUT);
	struct regex *regex = calloc(1, sizeof(*regex));
	int number = PCRE2_ERROR_NOMEMORY;
	PCRE2_SIZE offset = 0;

	if (kind == REGEX_WORDS)
		options &= ~PCRE2_NEVER_BACKSLASH_C;
	if (regex)
		regex->code = pcre2_compile((PCRE2_SPTR)expression.data, expression.len, options,
					    &number, &offset, NULL);
	if (regex && regex->code) {
		regex->data = pcre2_match_data_create(1, NULL);
		regex->context = pcre2_match_context_create(NULL);
		number = PCRE2_ERROR_NOMEMORY;
	}
	if (!regex || !regex->data || !regex->context) {
		pcre2_get_error_message(number, (PCRE2_UCHAR *)error, REGEX_ERROR_MAX);
		*at = offset;
		regex_free(regex);
		return NULL;
	}
	pcre2_set_depth_limit(regex->context, DEPTH_MAX);
	pcre2_set_heap_limit(regex->context, HEAP_KIB);
	return regex;
}

void regex_free(struct regex *regex)
{
	if (!regex)
		return;
	pcre2_match_context_free(regex->context);
	pcre2_match_data_free(regex->data);
	pcre2_code_free(regex->code);
	free(regex);
}

enum regex_result regex_find(const struct regex *regex, struct span text, uint64_t *steps)
{
	int result;

	pcre2_set_callout(regex->context, count_step, steps);
	result = pcre2_match(regex->code, (PCRE2_SPTR)(text.len ? text.data : ""), text.len, 0, 0,
			     regex->data, regex->context);
	if (result >= 0)
		return REGEX_FOUND;
	return result == PCRE2_ERROR_NOMATCH ? REGEX_NOT_FOUND : REGEX_GAVE_UP;
}
