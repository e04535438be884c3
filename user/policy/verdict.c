/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#include "policy/verdict.h"

#include <stdlib.h>
#include <string.h>

static void take_nearest(struct event *event, const struct decision *decision)
{
	const uint64_t limits = CRITERION_BIT(CRITERION_LIMIT_MESSAGES) |
				CRITERION_BIT(CRITERION_LIMIT_RECIPIENTS) |
				CRITERION_BIT(CRITERION_LIMIT_BYTES);

	if (!decision->nearest)
		return;
	event->nearest = strdup(decision->nearest->name);
	event->failed = decision->failed;
	event->unknown = decision->unknown;
	if (decision->failed.bits && !(decision->failed.bits & ~limits))
		event_reason(event, "exclusion_limit");
	if (decision->failed.bits == CRITERION_BIT(CRITERION_EXPIRES))
		event_reason(event, "exclusion_expired");
}

/*
 * Address verification is no alert: the client asked whether the server takes an envelope, and sent
 * nothing. That must be certain, because somebody could send a mail in a way that looks like it,
 * and nothing else may be unusual. An envelope is data too, so only few bytes of them may pass in a
 * session (carried.c).
 */
static bool is_only_asked(const struct event *event, const struct facts *facts)
{
	return event->transaction && event->transaction->result == SMTP_RESULT_ASKED &&
	       !event->provisional && !event->reason_count && facts->whole == IS_SO &&
	       facts->processes_complete == IS_SO && facts->recipients_known;
}

void event_decide(struct event *event, struct decider *decider, const struct relay_names *names)
{
	struct decision decision = {.excluded = NULL};
	struct facts facts;

	if (event->verdict != VERDICT_ALERT || !event->has_flow || !facts_of_event(&facts, event))
		return;
	if (decider)
		decide(decider, &facts, names, !event->provisional, &decision);
	if (decision.excluded && (event->exclusion = strdup(decision.excluded->name)))
		event->verdict = VERDICT_EXCLUDED;
	else if (is_only_asked(event, &facts))
		event->verdict = VERDICT_OBSERVED;
	else
		take_nearest(event, &decision);
	facts_free(&facts);
}

void event_take_tallies(struct event *event, const struct decider *decider)
{
	const struct policy *policy = decider_policy(decider);

	if (!policy->exclusion_count)
		return;
	event->let_pass = calloc(policy->exclusion_count, sizeof(*event->let_pass));
	for (size_t i = 0; event->let_pass && i < policy->exclusion_count; i++) {
		event->let_pass[i].name = strdup(policy->exclusions[i].name);
		event->let_pass[i].passed = *decider_passed(decider, i);
		event->let_pass_count++;
	}
}

void event_scan(struct event *event, const struct rules *rules, struct span said)
{
	struct rule_match matches[RULES_MATCHED_MAX];
	size_t count = said.len ? rules_scan(rules, said, matches, RULES_MATCHED_MAX) : 0;

	event->rules = count ? calloc(count, sizeof(*event->rules)) : NULL;
	for (size_t i = 0; event->rules && i < count; i++) {
		event->rules[i] = (struct rule){.name = strdup(matches[i].name),
						.author = strdup(matches[i].author),
						.description = strdup(matches[i].description),
						.version = strdup(matches[i].version)};
		event->rule_count++;
	}
}
