/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/options_filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/report.h"
#include "config/where.h"

/* Takes the next value off a list. False: an empty one, which has been reported. */
static bool next_value(const char *option, const char **text, struct span *value)
{
	*value = (struct span){*text, strcspn(*text, ",")};
	*text += value->len;
	if (value->len)
		return true;
	report(option, "empty; expected a value, or several with commas between them");
	return false;
}

static int too_many(const char *option)
{
	report(option, "more than %u values; expected fewer", FILTER_VALUES_MAX);
	return -EINVAL;
}

/* Digits alone, from 1 to `max`. */
static bool number_of(struct span value, uint32_t max, uint32_t *number)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < value.len; i++) {
		if (value.data[i] < '0' || value.data[i] > '9' || sum > max)
			return false;
		sum = sum * 10 + (uint64_t)(value.data[i] - '0');
	}
	*number = (uint32_t)sum;
	return sum && sum <= max;
}

int filter_option_numbers(const char *option, const char *text, uint32_t max,
			  struct filter_numbers *numbers)
{
	struct span value;
	uint32_t number;

	do {
		if (!next_value(option, &text, &value))
			return -EINVAL;
		if (!number_of(value, max, &number)) {
			report(option,
			       "'%.*s' is out of range or not a number; expected 1 to %u, or "
			       "several with commas between them",
			       (int)(value.len < 64 ? value.len : 64), value.data, max);
			return -EINVAL;
		}
		if (!filter_add_number(numbers, number))
			return too_many(option);
	} while (*text++);
	return 0;
}

int filter_option_words(const char *option, const char *text, struct filter_words *words)
{
	struct span value;

	do {
		if (!next_value(option, &text, &value))
			return -EINVAL;
		if (!filter_add_word(words, value))
			return too_many(option);
	} while (*text++);
	return 0;
}

int filter_option_where(struct options *options, const char *text)
{
	struct exclusion *where = &options->where[options->filter.where_count];
	char error[CONFIG_ERROR_MAX];

	if (options->filter.where_count == FILTER_WHERE_MAX) {
		report("--where", "given more than %u times; expected fewer", FILTER_WHERE_MAX);
		return -EINVAL;
	}
	options->filter.where = options->where;
	options->filter.where_count++;
	if (config_read_where(where, text, error))
		return 0;
	report("--where", "%s", error);
	return -EINVAL;
}
