/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "commands/targets.h"

#include "base/text.h"
#include "policy/exclusion.h"

static void tell(const struct exclusion *exclusion, enum criterion criterion,
		 const struct pattern *pattern, FILE *out)
{
	struct text line = {0};

	text_add_format(&line, "%s:%u: ", exclusion->file, exclusion->line);
	text_add_visible(&line, span_of(exclusion->name));
	text_add_format(&line, ": %s: ", criterion_name(criterion));
	text_add_visible(&line, span_of(pattern->text));
	text_add_string(&line, " is a symbolic link; its real path matches as well: ");
	text_add_visible(&line, span_of(pattern->target));
	fprintf(out, "%s\n", line.data ? line.data : "");
	text_free(&line);
}

static void tell_exclusion(const struct exclusion *exclusion, FILE *out)
{
	for (int i = 0; i < CRITERION_COUNT; i++) {
		const struct criterion_row *row = &criterion_rows[i];
		const struct patterns *patterns =
			(const void *)((const char *)exclusion + row->offset);

		if (row->kind != VALUE_PATHS && row->kind != VALUE_SCRIPTS)
			continue;
		for (size_t j = 0; j < patterns->count; j++) {
			if (patterns->items[j].target)
				tell(exclusion, (enum criterion)i, &patterns->items[j], out);
		}
	}
}

void targets_tell(const struct config *config, FILE *out)
{
	for (size_t i = 0; i < config->policy.exclusion_count; i++)
		tell_exclusion(&config->policy.exclusions[i], out);
}
