/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the exclusions ask of a pipeline: which content it keeps, and the addresses of relays. */
#include "policy/relay_names.h"
#include "policy/verdict.h"
#include "watch/pipeline_state.h"

static void want_relays_of(struct pipeline *pipeline, const struct relays *relays)
{
	for (size_t i = 0; i < relays->count; i++) {
		const char *name = relays->items[i].name;

		if (name && relay_names_due(pipeline->relay_names, name, pipeline->now_ns))
			pipeline->hooks.want_relay(pipeline->hooks.context, name);
	}
}

void exclude_want_relays(struct pipeline *pipeline)
{
	const struct policy *policy = pipeline->decider ? decider_policy(pipeline->decider) : NULL;

	if (!pipeline->hooks.want_relay)
		return;
	for (size_t i = 0; policy && i < policy->exclusion_count; i++)
		want_relays_of(pipeline, &policy->exclusions[i].relay);
	for (uint32_t i = 0; i < pipeline->filter.where_count; i++)
		want_relays_of(pipeline, &pipeline->filter.where[i].relay);
}

void pipeline_exclude(struct pipeline *pipeline, struct decider *decider)
{
	const struct policy *policy = decider_policy(decider);

	pipeline->decider = decider;
	pipeline->deadline_ns = policy->deadline_s * 1000000000ULL;
	pipeline->rules = policy->rules;
	pipeline->privacy = &policy->privacy;
	pipeline->said_max = policy->body_bytes;
	pipeline->content_max =
		decider_wants_content(decider) || filter_wants_content(&pipeline->filter)
			? policy->body_bytes
			: 0;
	exclude_want_relays(pipeline);
}

const struct relay_names *pipeline_relay_names(const struct pipeline *pipeline)
{
	return pipeline->relay_names;
}
